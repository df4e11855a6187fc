"""What the gateway targets share: a plan made ready, options read, and the files beside the configurations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from planner.emit.cascade import cascade, cascade_data, cascade_text, keeps_its_weights
from planner.emit.detection import detections
from planner.emit.fleet import placed
from planner.emit.lint import lint_table, raise_if_any
from planner.emit.names import slug
from planner.emit.options import Endpoint, chosen, endpoints, hold, integer
from planner.emit.overrides import BASE, Override, overrides, steps
from planner.emit.routing import Subject, Table, override_data, routing_table, subject, table_data
from planner.emit.runbook import Pushing, runbook_text
from planner.emit.spreading import spread_head
from planner.emit.text import json_text, quoted_yaml, yaml_data
from planner.errors import Finding
from planner.plan.in_hand import Plan, in_hand
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile
from planner.study.records.serving import Profile
from planner.study.records.study import Workload

INTEGERS: Mapping[str, tuple[int, int]] = {
    "cooldown_seconds": (1, 3600),
    "timeout_seconds": (0, 86400),
    "gateway_replicas": (1, 1000),
    "port": (1, 65535),
    "admin_port": (1, 65535),
    "refusal_port": (1, 65535),
}
"""Options that are integers: least and most."""
NOT_PROVEN = "NOT PROVEN, see NOT-PROVEN.md"
"""What stands at the head of every file of a plan that is not proven."""


@dataclass(frozen=True)
class Given:
    """All that a gateway's files are made of."""

    of: Subject
    table: Table
    options: Mapping[str, str]
    integers: Mapping[str, int]
    endpoints: Mapping[str, Endpoint]
    workloads: Mapping[str, Workload]
    most_tokens: Mapping[str, int]
    """workload -> longest request of its context class [tokens]"""
    profiles: Mapping[str, Profile]
    """placement -> how it serves"""
    set_id: str = BASE
    """what the table is: base, or FAILURE/DEADLINE"""

    def pushed(self, override: Override) -> "Given":
        """The same with the routes of an override."""
        return replace(self, table=replace(self.table, routes=override.routes), set_id=override.id)


@dataclass(frozen=True)
class GatewayFile:
    """A file of each gateway.

    Parameters
    ----------
    name : in the folder of the origin
    config : (plan made ready, origin) -> the file as data
    comments : its head; `{hours}` stands for the hours of the plan
    lint : (plan made ready, origin, path, the file read back) -> what does not hold in it
    is_pushed : whether an override replaces it; else it stays as it is
    """

    name: str
    config: Callable[[Given, str], dict[str, Any]]
    comments: tuple[str, ...]
    lint: Callable[[Given, str, str, Any], list[Finding]]
    is_pushed: bool


def given(plan: PlanFile | Plan, options: Mapping[str, str], known: Mapping[str, str]) -> Given:
    """A plan and the options of a target, checked.

    Raises
    ------
    InputError
        for every option that does not fit, and every entry of the table that the plan does not bear out
    """
    not_proven = options.get("not_proven")  # what is written although it is not proven says so
    values = chosen({name: value for name, value in options.items() if name != "not_proven"}, known)
    integers = {name: integer(values, name, *INTEGERS[name]) for name in sorted(set(INTEGERS) & set(known))}
    of, table = _routed(in_hand(plan), hold(values))
    if not not_proven:
        raise_if_any(lint_table(of, table))
    study = of.plan.study
    known_placements = placed(study)
    placements = sorted({e for route in table.routes for e in route.placements})
    models = {e: known_placements[e][0].model for e in placements}
    addresses = endpoints(of.problem, models, values["endpoint"], values["endpoints"])
    raise_if_any(_shared_addresses(table, addresses))
    classes = {c.name: c.most_tokens for c in study.context_classes}
    return Given(
        of=of,
        table=table,
        options=values | ({"not_proven": not_proven} if not_proven else {}),
        integers=integers,
        endpoints=addresses,
        workloads={w.name: w for w in study.workloads},
        most_tokens={w.name: classes[w.context_class] for w in study.workloads},
        profiles={e: known_placements[e][1] for e in placements},
    )


@lru_cache(maxsize=1)
def _routed(plan: Plan, hold: str) -> tuple[Subject, Table]:
    """A plan made ready and its routes: once for all gateways of an emission, for its limits are linear programs."""
    of = subject(plan)
    return of, routing_table(of, hold)


def _shared_addresses(table: Table, addresses: Mapping[str, Endpoint]) -> list[Finding]:
    """Two placements of one route, or of a set in its place, behind one address could not be told apart; those of
    different routes can."""
    findings = []
    for route in table.routes:
        first: dict[str, str] = {}
        for e in route.placements:
            other = first.setdefault(addresses[e].url, e)
            if other != e:
                where = f"endpoints of {route.workload} from {route.origin}"
                got = f"{addresses[e].url} for {other} and {e}"
                fix = "use {placement} in the template"
                findings.append(Finding(where, "an address for each placement", got, fix))
    return findings


def gateway_files(
    made: Given, gateway: str, parts: tuple[GatewayFile, ...], pushing: Pushing | None = None
) -> dict[str, str]:
    """The files of each origin and what is pushed to it, and beside them routing.json, cascade.md, cascade.json,
    RUNBOOK.md and one override a failure for control planes.

    Parameters
    ----------
    pushing : how sets are pushed; none: by files of the gateway's own, and there is no runbook

    Raises
    ------
    InputError
        with what does not hold
    """
    files: dict[str, str] = {}
    outcomes = cascade(made.of, made.table, gateway)
    pushed = overrides(made.of, made.table, outcomes)
    failures = dict.fromkeys(override.failure for override in pushed)
    for origin in sorted({route.origin for route in made.table.routes}):
        folder = f"origins/{slug(origin)}"
        for part in parts:
            text = _text(made, origin, part, f"{folder}/{part.name}")
            files[f"{folder}/{part.name}"] = text
            if part.is_pushed:
                files[f"{folder}/{BASE}/{part.name}"] = text
        for override in (x for f in failures for x in steps(pushed, made.table, f, origin)):
            for part in parts:
                if part.is_pushed:
                    path = f"{folder}/overrides/{override.id}/{part.name}"
                    files[path] = _text(made.pushed(override), origin, part, path)
    files["routing.json"] = _json(made, table_data(made.of, made.table))
    study = made.of.plan.study
    detected = detections(study, made.table, gateway)
    files["cascade.md"] = (f"{NOT_PROVEN}\n\n" if _not_proven(made) else "") + cascade_text(
        outcomes, detected, study.push_seconds
    )
    files["cascade.json"] = _json(made, cascade_data(outcomes, detected))
    if pushing is not None:
        files["RUNBOOK.md"] = runbook_text(made.of, made.table, outcomes, pushed, pushing, _not_proven(made))
    for f in made.of.problem.failures:
        if f != NORMAL and not keeps_its_weights(made.of, f):
            files[f"overrides/{slug(f)}.json"] = _json(made, override_data(made.of, f))
    return files


def _not_proven(made: Given) -> str:
    """Why the plan is not proven; empty: it is."""
    return made.options.get("not_proven", "")


def _json(made: Given, data: Mapping[str, object]) -> str:
    """Data as JSON, with why the plan is not proven where it is not."""
    why = _not_proven(made)
    return json_text({**data, "not_proven": why} if why else data)


def _text(made: Given, origin: str, part: GatewayFile, path: str) -> str:
    """A file of a gateway, read back and looked at.

    Raises
    ------
    InputError
        with what does not hold
    """
    head = tuple(line.format(hours=made.table.hours) for line in part.comments)
    if not all(at.is_set for at in made.endpoints.values()):
        head = (*head, "ENDPOINTS ARE NOT SET: hosts under .invalid are placeholders; see option endpoint.")
    if made.set_id == BASE:
        head = (*head, *spread_head(made.of.plan))
    if _not_proven(made):
        head = (NOT_PROVEN, *head)
    if part.is_pushed:
        head = (f"Set: {made.set_id}", *head)
    text = quoted_yaml(part.config(made, origin), head)
    raise_if_any(part.lint(made, origin, path, yaml_data(text)))
    return text
