"""Which reservation object exists for which machine: the instrument by which a lot of machines is secured.

The rules stand in reservation_rules.csv and are read in order; the first that fits holds. They say what the provider's
API knows, not what the plan wants: a machine without a reservation object gets none, and what no API sells becomes a
ticket for a person.
"""

import csv
from fnmatch import fnmatchcase
from importlib.resources import files as packaged
from typing import Literal

from pydantic import Field

from planner.study.records.base import Name, Record

Instrument = Literal["immediate", "capacity_block", "future_reservation", "spot", "none", "by_hand"]
"""immediate: a reservation made now · capacity_block: paid upfront, opt-in · future_reservation: a draft · spot, none:
machines run without any reservation · by_hand: no API; a ticket."""


class Rule(Record):
    """Machines of a provider, bought in one of some kinds, are secured by the instrument."""

    provider: Name = Field(description="or `*`: any")
    kinds: tuple[str, ...] = Field(description="of offers; `held`: nothing is bought")
    machine_types: tuple[str, ...] = Field(description="patterns, as of files")
    instrument: Instrument
    why: Name
    source: Name
    as_of: Name


def _read() -> tuple[Rule, ...]:
    text = packaged("planner.emit").joinpath("reservation_rules.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Rule.model_validate({**row, "kinds": row["kinds"].split(), "machine_types": row["machine_types"].split()})
        for row in rows
    )


RESERVATION_RULES = _read()


def rule_of(provider: str, kind: str, machine_type: str) -> Rule:
    """The rule that holds for machines of a type, bought as an offer of a kind; `held`: nothing is bought.

    Examples
    --------
    >>> rule_of("azure", "on_demand", "Standard_ND96isr_H100_v5").instrument
    'none'
    >>> rule_of("aws", "commitment", "p5.48xlarge").instrument
    'immediate'
    >>> rule_of("azure", "capacity_block", "Standard_ND96isr_H100_v5").instrument
    'by_hand'
    """
    return next(
        rule
        for rule in RESERVATION_RULES
        if rule.provider in ("*", provider)
        and kind in rule.kinds
        and any(fnmatchcase(machine_type, pattern) for pattern in rule.machine_types)
    )
