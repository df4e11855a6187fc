"""Closed loops: what a benchmark says of requests that were sent at a fixed concurrency, and when it is no capacity."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.importers.source import figure_of

NOT_STATED = ("", "nan", "none", "null", "n/a")
SHARED_LENGTH = r"prefix\w*_(tokens|len|length)|shared_system(_prompt)?_length|user_context(_prompt)?_length"
"""Names under which benchmarks state how many tokens of a prompt others have as well."""
NO_TIMES = "no time to first token or per token"
ONE_TOKEN = "one token of output: no time per token, so that nothing is said of decoding"
FAILED = "requests failed: the times are of those that did not"
TOO_FEW = "fewer than two requests per slot: filling and draining decide its times"
SHARED = "a shared prefix, or conversations of several turns: a prefix cache does part of the work, not a capacity"
CONTRADICTED = "its own throughput is not that of its times: one of the two is wrong"


@dataclass(frozen=True)
class Loop:
    """One closed loop as a source states it: values of JSON or cells that nobody has checked yet.

    Parameters
    ----------
    figures : by field of `MeasuredRow`, lengths [tokens], concurrency and times [ms]: its name in the source, its value
    about : by field of `MeasuredRow`, what was measured, where it is from and when
    requests_per_second, output_tokens_per_second : throughput that the source itself states
    split : how chips were split, where known
    config : what may say that prompts share a prefix
    finished : requests that were completed
    means : whether lengths are means, which are rounded
    """

    figures: Mapping[str, tuple[str, object]]
    about: Mapping[str, object]
    requests_per_second: tuple[object, ...] = ()
    output_tokens_per_second: object = None
    split: str = ""
    config: object = None
    finished: object = None
    means: bool = True


Stated = Loop | str | None
"""A closed loop, the reason why it is left out, or nothing where findings were reported."""


def blank(value: object) -> bool:
    """Whether a source does not state a value."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NOT_STATED)


def positive(value: object) -> float | None:
    """A number above 0 of JSON; None for anything else."""
    figure = None if isinstance(value, str) else figure_of(value)
    return figure if figure is not None and 0 < figure < 1e300 else None


def quotient(above: object, below: object) -> float | None:
    """The quotient of two figures of a source; None where one of them is no number above 0."""
    first, second = positive(above), positive(below)
    return None if first is None or second is None else first / second


def not_capacity(note: str) -> str | None:
    """Why a row is no capacity, from what is said about it."""
    text = note.lower()
    if re.search(r"\b(speculat|eagle|draft|mtp\b)", text):
        return "with speculation: not a capacity"
    if re.search(r"prefix.?cach|cache.?hit|shared.?prefix", text):
        return "with a prefix cache: not a capacity"
    return None


def shares_prompts(config: object) -> bool:
    """Whether what a benchmark states of its prompts gives them a prefix in common, or several turns."""
    stack: list[tuple[str, bool, Any]] = [("", False, config)]
    while stack:
        name, within_prefix, value = stack.pop()
        if isinstance(value, dict):
            prefixed = within_prefix or name.startswith("prefix")
            stack += [(str(key), prefixed, inner) for key, inner in value.items()]
            value = value.get("mean") if name in ("turn", "turns") else None
        elif isinstance(value, list):
            stack += [(name, within_prefix, inner) for inner in value]
        elif isinstance(value, str):
            by_name = name == "dataset_name" and "prefix" in value
            if by_name or re.search(rf"({SHARED_LENGTH})\W{{1,4}}[1-9]", value):
                return True
        figure = positive(value)
        if figure is not None:
            length = re.fullmatch(SHARED_LENGTH, name) or (within_prefix and name == "length")
            if length or (name in ("turn", "turns") and figure > 1):
                return True
    return False
