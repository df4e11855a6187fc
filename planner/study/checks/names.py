"""That the study's own names are text on one line, and each names one thing."""

import unicodedata
from typing import Any

from planner.study.parts import Parts
from planner.study.places import Reading, Row, quoted, unique
from planner.study.records.study import Component

FORBIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")

BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_names(parts: Parts, reading: Reading) -> None:
    """The study's own names are text on one line, and each names one thing."""
    names = [(parts.file.study, parts.place.at("study"))]
    named: tuple[list[Row[Any]], ...] = (parts.origins, parts.tiers, parts.workloads, parts.components, parts.failures)
    for rows in named:
        unique(rows, lambda row: row.id if isinstance(row, Component) else row.name, reading)
        names += [(record.name, place.at("name")) for record, place in rows]
    names += [(component.kind, place.at("kind")) for component, place in parts.components]
    names += [(quota.name, place.at("name")) for quota, place in parts.rows("policies", "quotas")]
    for name, where in names:
        if any(unicodedata.category(c) in FORBIDDEN_CATEGORIES or c in BIDIRECTIONAL for c in name):
            reading.error(where, "a name on one line, without control characters", quoted(name), "remove them")
        if name != name.strip():
            reading.error(where, "a name without blanks around it", quoted(name), f"write {quoted(name.strip())}")
    for component, place in parts.components:
        if ":" in component.kind or component.kind in ("workload", "origin", "placement", "failure"):
            fix = "choose another word, as in power, network, identity"
            reading.error(place.at("kind"), "a kind without ':' that is not built in", quoted(component.kind), fix)
