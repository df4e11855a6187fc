"""What a component needs, read: how much of it is available, and which components it names."""

from collections.abc import Iterable, Mapping

import numpy as np

from planner.drill.instance import Numbers
from planner.study.records.study import Needs

Part = Needs | str


def parts_of(need: Needs) -> tuple[Part, ...]:
    """What a need lists."""
    return need.all_of or need.any_of or need.of or ()


def least_parts(need: Needs) -> int:
    """How many of the parts must live."""
    return len(parts_of(need)) if need.all_of is not None else need.at_least or 1


def available(part: Part, value: Mapping[str, Numbers], one: Numbers) -> Numbers:
    """Available fraction [f]: all_of is the least, any_of the largest, at_least k the k-th largest."""
    if isinstance(part, str):
        return value[part]
    parts = [available(inner, value, one) for inner in parts_of(part)]
    k = least_parts(part)
    if not k:
        return one
    fraction: Numbers = np.sort(parts, axis=0)[-k] if k <= len(parts) else 0.0 * one
    return fraction


def leaves(part: Part) -> Iterable[str]:
    """Component ids that a need names, at any depth."""
    if isinstance(part, str):
        yield part
        return
    for inner in parts_of(part):
        yield from leaves(inner)
