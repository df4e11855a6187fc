"""`planner show`: a rule, a cost, the units, a schema."""

import inspect
import json

from planner.emit import quotas
from planner.errors import Finding, InputError
from planner.problem.eligibility import WHY_NOT
from planner.problem.rules.costs import COSTS
from planner.problem.rules.register import INSIDE_RULES, LINK_RULES, PURCHASE_RULES, RELAXABLE, RULES
from planner.study.records import inventory, outages, plan, serving, study
from planner.study.records.base import Record

UNITS = {
    "_usd_per_hour": "US dollars per hour",
    "_usd": "US dollars, over the horizon unless the name says otherwise",
    "_requests_per_second": "requests per second, mean of the hour",
    "_tokens": "tokens",
    "_tokens_per_second": "tokens per second of one replica",
    "_gib": "gibibytes (2^30 bytes); 141 GB = 131.3 GiB",
    "_gib_per_second": "gibibytes per second",
    "_kw": "kilowatts",
    "_ms": "milliseconds",
    "_seconds": "seconds",
    "_hours": "hours",
    "_days": "days",
    "_months": "months; hours_per_month (730) in a month",
    "_fraction": "share between 0 and 1",
    "_factor": "a number to multiply by",
    "plain plural": "a count: machines, replicas, units, accelerators",
}
SCHEMAS: dict[str, type[Record]] = {
    "study": study.StudyFile,
    "model": serving.Model,
    "machine-type": inventory.MachineType,
    "site": inventory.Site,
    "zone": inventory.Zone,
    "storage": inventory.StorageRate,
    "round-trip": inventory.RoundTrip,
    "pool": inventory.Pool,
    "offer": inventory.Offer,
    "price": inventory.Price,
    "outage": outages.Outage,
    "demand": study.Demand,
    "fleet": study.RunningReplicas,
    "quota": quotas.QuotaToday,
    "plan": plan.PlanFile,
}


def topic_text(what: str) -> str:
    """The text for one topic.

    Raises
    ------
    InputError
        when there is no such topic; with what there is
    """
    rules = {rule.__name__: rule for rule in (*RULES, *COSTS)}
    if what == "rules":
        return "\n".join(f"{name:36s} {sentence(rule)}" for name, rule in rules.items())
    if what == "units":
        return "\n".join(f"{unit:24s} {meaning}" for unit, meaning in UNITS.items())
    if what == "reasons":
        return "\n".join(WHY_NOT.values())
    if what == "schema":
        return "\n".join(f"schema:{name}" for name in SCHEMAS)
    if what.startswith("schema:") and what[7:] in SCHEMAS:
        return json.dumps(SCHEMAS[what[7:]].model_json_schema(), indent=1, sort_keys=True)
    if what in rules:
        return rule_page(what)
    raise InputError(
        [
            Finding(
                "show",
                "a topic",
                repr(what),
                f"rules, units, reasons, schema, schema:{{{','.join(SCHEMAS)}}}, or one of {', '.join(rules)}",
            )
        ]
    )


def sentence(rule: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(rule) or "").partition("\n")[0]


def rule_page(name: str) -> str:
    """A rule or cost with its kind, formula, units, rows and marginal value."""
    rule = next(r for r in (*RULES, *COSTS) if r.__name__ == name)
    kinds = {
        "purchase rule": PURCHASE_RULES,
        "rule inside a state": INSIDE_RULES,
        "rule that links a state to what is bought": LINK_RULES,
        "cost": COSTS,
    }
    kind = next(kind for kind, members in kinds.items() if rule in members)
    relaxable = "" if rule in COSTS else f"; relaxable: {RELAXABLE.get(name, 'no')}"
    return f"{name} ({kind}{relaxable})\n\n{inspect.getdoc(rule)}"
