"""What tests of the drill look up in its rows."""

from typing import Any

from planner.drill import DrillResult, DrillRow
from planner.study.records.study import Tier

A, B = "site:aws/a", "site:google/b"


def row(result: DrillResult, failure: str, elapsed: float, tier: str = "gold") -> DrillRow:
    return next(r for r in result.rows if (r.failure, r.deadline_seconds, r.tier) == (failure, elapsed, tier))


def served(result: DrillResult, failure: str, elapsed: float = 60.0, tier: str = "gold") -> float:
    return row(result, failure, elapsed, tier).served_fraction


def tier(*goals: Any, name: str = "gold", **more: Any) -> Tier:
    return Tier(name=name, survive=goals, **more)
