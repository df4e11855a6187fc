"""The generated pages of docs/: `python -m planner.cli.pages docs` writes them; a stale page fails a test."""

import inspect
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from planner.cli.outage_page import outages_page
from planner.emit import quotas
from planner.problem.decisions import table
from planner.problem.eligibility import WHY_NOT
from planner.problem.rules.costs import COSTS
from planner.problem.rules.register import INSIDE_RULES, LINK_RULES, PURCHASE_RULES, RELAXABLE
from planner.review.report_file import ReportFile
from planner.review.topics import UNITS
from planner.study.records import gate, inventory, serving, study
from planner.study.records import outages as records_of_outages
from planner.study.records.base import Record

NOTE = "Generated; do not edit: `python -m planner.cli.pages docs`."
SECTIONS = ("Formula", "Units", "Rows", "Marginal value", "Source")
FILES: tuple[tuple[str, str, type[Record]], ...] = (
    ("study.yaml", "what is asked", study.StudyFile),
    ("demand.csv", "named by `demand:` in study.yaml", study.Demand),
    ("request_costs CSV", "named by `request_costs:` in study.yaml", study.RequestCost),
    ("fleet CSV", "what runs today, for `planner drill`", study.RunningReplicas),
    ("policy.yaml", "what a plan must keep to, for `planner gate`; an example: `examples/quickstart`", gate.GatePolicy),
    ("quotas CSV", "what providers grant today, for `planner drift`", quotas.QuotaToday),
    ("inventories/machine_types.yaml", "a list under `machine_types:`", inventory.MachineType),
    ("inventories/sites.csv", "one row a site, and a region that round trips name", inventory.Site),
    ("inventories/zones.csv", "one row a zone and machine type that a provider's list names there", inventory.Zone),
    ("inventories/storage.csv", "one row a site, or a pattern of sites, that states no rate", inventory.StorageRate),
    ("inventories/round_trips.csv", "one row a pair of regions", inventory.RoundTrip),
    ("inventories/PROVIDER/pools.csv", "one row a pool", inventory.Pool),
    ("inventories/PROVIDER/offers.csv", "terms; one row an offer", inventory.Offer),
    ("inventories/PROVIDER/prices.csv", "prices apart from terms; one row an offer", inventory.Price),
    ("inventories/outages.yaml", "a list under `outages:`; [those that ship](outages.md)", records_of_outages.Outage),
    ("models/context_classes.yaml", "a list under `context_classes:`", serving.ContextClass),
    ("models/MODEL.yaml", "a model with its facts, qualifications and profiles", serving.Model),
    ("report", "what every command writes with --json that answers with a report", ReportFile),
)


def formulation() -> str:
    """Every rule and cost, from its docstring."""
    out = [
        "# Formulation",
        "",
        NOTE,
        "",
        "Index letters: w workload, o origin, e placement, q pool, b offer, t period, h hour, f failure,",
        "c deadline [s], s = (h, f, c). Words: [concepts](concepts.md). The code: `planner/problem/rules/`.",
        "",
    ]
    out += _decisions()
    parts = (
        ("Purchases", "hold once", PURCHASE_RULES),
        ("Inside a state", "hold in every state, with the same coefficients in every failure", INSIDE_RULES),
        ("From purchases to states", "bound one state variable by what is bought", LINK_RULES),
        ("Costs", "are minimised together [USD over the horizon]", COSTS),
    )
    for title, meaning, functions in parts:
        out += [f"## {title}", "", f"These {meaning}.", ""]
        for function in functions:
            out += _page(function)
            if functions is not COSTS:
                out += [f"- Relaxable: {RELAXABLE.get(function.__name__, 'no')}", ""]
    return "\n".join(out).rstrip() + "\n"


def _decisions() -> list[str]:
    """The table of decisions."""
    out = [
        "## Decisions",
        "",
        "What is chosen: purchases hold in every failure alike, costs follow from them and from the states, reserves",
        "are what gateways that rescale may send, states are chosen anew in each. In tests: the program takes it as",
        "divisible until a failure breaks on whole numbers. All but those of any sign are at least zero.",
        "",
        "| decision | index | meaning | block | whole | in the plan file |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for decision in table():
        means = decision.means + ("; any sign" if decision.free else "")
        stored = ", ".join(f"`{record}`" for record in decision.records) or "follows"
        name, index = f"`{decision.name}`", decision.index.replace(" ", ", ")
        out.append(f"| {name} | {index} | {means} | {decision.block} | {decision.integer} | {stored} |")
    return [*out, ""]


def _page(function: Callable[..., Any]) -> list[str]:
    doc = inspect.getdoc(function) or ""
    head, _, rest = doc.partition("\n")
    parts = re.split(rf"^({'|'.join(SECTIONS)})$", rest, flags=re.M)
    out = [f"### {function.__name__}", "", head, ""]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        text = inspect.cleandoc(body)
        out += ["```text", text, "```", ""] if title == "Formula" else [f"- {title}: {' '.join(text.split())}"]
    return [*out, ""] if function in COSTS else out


def files() -> str:
    """Every file that people write: fields, types, defaults, meaning."""
    out = [
        "# Files",
        "",
        NOTE,
        "",
        "YAML for structure, CSV for tables; numbers are numbers, the unit is in the name; unknown fields are refused.",
        "Ids: site `provider/site`, pool `site/machine-type`, offer `pool:offer`, profile `model/profile`, placement",
        "`model/profile@pool`; components `provider:aws`, `region:aws/us-east-2`, `site:aws/us-east-2`, `pool:ID`,",
        "`zone:aws/use2-az1` (of sites not named as their region), `control_plane:aws`, `control_plane:aws/us-east-2`,",
        "`stack:neuron`, `stack_version:rocm@7.0` (of profiles whose stack is written with a version: it falls with",
        "`stack:rocm`, too), `qualification:MODEL/STACK` (that a model may run on a stack: lost, the pair is",
        "quarantined everywhere), `workload:NAME`, `origin:NAME`, and `kind:name` for a study's own.",
        "",
        "Editors complete and check YAML by a line at its head, `# yaml-language-server:",
        "$schema=schemas/study.schema.json` (the path is relative to the file). `planner init` writes these schemas",
        "beside a study, `planner show schema --out schemas` anywhere else. Only `planner check` knows names that must",
        "lead somewhere, sums and comparisons of fields, days that a month does not have, `16.0` where a whole number",
        "is asked for, `.nan`, anchors and aliases.",
        "",
        "## Units",
        "",
        "| name ends in | unit |",
        "| --- | --- |",
        *(f"| `{unit}` | {meaning} |" for unit, meaning in UNITS.items()),
        "",
        "## Why an edge is missing",
        "",
        "The closed list of reasons, as `planner check` counts them:",
        "",
        *(f"- {reason}" for reason in WHY_NOT.values()),
        "",
    ]
    written: set[type[Record]] = set()
    waiting = [(f"`{name}`: {what}", record) for name, what, record in FILES]
    while waiting:
        title, record = waiting.pop(0)
        if record in written:
            continue
        written.add(record)
        out += [f"## {title}", "", (inspect.getdoc(record) or "").partition("\n")[0], ""]
        out += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        inner: list[type[Record]] = []
        for name, field in record.model_fields.items():
            inner += [r for r in _records(field.annotation) if r not in written]
            meaning = (field.description or "").replace("|", "\\|")
            out.append(f"| `{field.alias or name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
        out.append("")
        waiting = [(f"{r.__name__}, in {record.__name__}", r) for r in dict.fromkeys(inner)] + waiting
    return "\n".join(out).rstrip() + "\n"


def _records(annotation: object) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for part in typing.get_args(annotation) for record in _records(part)]


def _type(annotation: object) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return f"mapping to {_type(parts[1])}"
    if parts:
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not type(None)))
    names = {
        "AwareDatetime": "date and time",
        "str": "text",
        "float": "number",
        "int": "whole number",
        "bool": "true or false",
    }
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined or value == ():
        return "none"
    if isinstance(value, Record):
        return "see below"
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from planner.cli.main import app

    group = get_command(app)
    out = [
        "# Command line",
        "",
        NOTE,
        "",
        "`planner VERB FILE... [--out FILE] [--format text|md|json|csv|xlsx]`. Results on stdout, all else on stderr.",
        "Exit: 0 fine; 1 a finding about the subject (no plan, a goal not met, not proven, cannot be covered); 2 wrong",
        "input, a result that cannot be written, or an internal error; 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP)",
        "interrupted with nothing to offer. A search that is interrupted ends with the best plan it has.",
        "",
        "`--out` refuses every file that was read, and the tables and YAML files beside study.yaml. A file is written",
        "whole or not at all: a new one with the mode that the umask leaves, a replaced one with the mode it had; a",
        "symbolic link stays, what it leads to is written, and that is said. What is read is a regular file of at most",
        "1 GiB; plans, what runs and sources of imports may come from a pipe of at most 256 MiB, as in",
        "`planner review <(ssh host cat plan.json)`. A reader that closes standard output early changes no exit code.",
        "",
        "Tables: `--format xlsx` writes the lines of a report and a sheet a table, totals as sums; `--format csv`",
        "the table of `--section NAME`; with `--out NAME.zip`, or a new folder, a file each; else one below another.",
        "Every row is in them, numbers as numbers: USD, shares as fractions of 1, days as dates. Text that begins with",
        "= + - or @ stays text: in a workbook as it stands, in CSV with an apostrophe before it. `--json`: the same as",
        "`--format json`, one [form](files.md) for all, with a `schema_version` (`planner show schema:report`). What",
        "stops a command is JSON then, too: `findings` (where, expected, got, fix), or without a plan `message` and",
        "`diagnosis`.",
        "",
        "Text is as wide as the terminal, 60 to 160 columns (`COLUMNS`), 120 where there is none. A table that does",
        "not fit has two lines a row, or more; names up to 40 characters, and numbers, are never broken. On a terminal",
        "green is held, yellow at risk, red broken: never with `NO_COLOR` or `TERM=dumb`, also elsewhere with",
        "`FORCE_COLOR`. Work of more than a second or two says on stderr how far it is, but with `--quiet`: a bar on a",
        "terminal, else lines; time left is an estimate.",
        "",
        "`planner --install-completion` sets up the shell: options, what they take, and files.",
        "",
    ]
    for name, command in _leaf_commands("planner", group):
        out += [f"## {name}", "", inspect.cleandoc(command.help or ""), ""]
        out += ["| argument or option | default | meaning |", "| --- | --- | --- |"]
        for param in command.params:
            if param.name == "help":
                continue
            is_option = param.param_type_name == "option"
            written = ", ".join(f"`{o}`" for o in param.opts) if is_option else f"`{(param.name or '').upper()}`"
            default = "required" if param.required else "" if param.default in (None, False) else f"`{param.default}`"
            if isinstance(said := getattr(param, "show_default", None), str):
                default = said
            out.append(f"| {written} | {default} | {getattr(param, 'help', '') or ''} |".replace("a|b", "a\\|b"))
        out.append("")
    return "\n".join(out).rstrip() + "\n"


def _leaf_commands(name: str, command: Any) -> list[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        return [(name, command)]
    return [leaf for part, inner in command.commands.items() for leaf in _leaf_commands(f"{name} {part}", inner)]


PAGES: dict[str, Callable[[], str]] = {
    "formulation.md": formulation,
    "files.md": files,
    "commands.md": commands,
    "outages.md": lambda: outages_page(NOTE),
}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (Path(sys.argv[1]) / page).write_text(text(), encoding="utf-8")
