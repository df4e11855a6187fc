"""What an audit says when something in a plan does not hold."""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-6
"""Relative to a row's larger side, at least one unit."""


@dataclass(frozen=True)
class Violation:
    """Something in the plan that does not hold."""

    rule: str
    key: str
    shortfall: float
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} {self.key}: {self.detail}"


def text_of(key: tuple[object, ...]) -> str:
    """A key as text."""
    return " ".join(str(part) for part in key)


def each_once(what: str, may: Set[Any], stated: Counter[Any]) -> Iterator[Violation]:
    """What is stated is something that the study knows, and is stated once."""
    for key, times in stated.items():
        if key not in may:
            yield Violation(what, text_of(key), 1.0, "not something the study knows")
        if times > 1:
            yield Violation(what, text_of(key), 1.0, f"stated {times} times")


def differs(a: float, b: float) -> bool:
    """Whether two sums are not the same, but for rounding."""
    return abs(a - b) > TOLERANCE * max(1.0, abs(a), abs(b))
