"""Closed loops: what a benchmark says of requests that were sent at a fixed concurrency, and when it is no capacity."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.importers.operating_points import MeasuredRow, replica_seconds
from planner.importers.source import Imported, date_of, figure_of, within_length

NOT_STATED = ("", "nan", "none", "null", "n/a")
SHARED_LENGTH = r"prefix\w*_(tokens|len|length)|shared_system(_prompt)?_length|user_context(_prompt)?_length"
"""Names under which benchmarks state how many tokens of a prompt others have as well."""
MOST_APART = 0.25
"""Part by which the stated requests/s may differ from those of the times: filling, draining, means of ratios."""
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


@dataclass
class ThroughputImport(Imported[MeasuredRow]):
    """An import of measured rows.

    Parameters
    ----------
    given : by field of a row, what the source may leave out; a date and a source count before those of the source
    splits : how the chips of each row were split, as far as known
    """

    given: Mapping[str, object] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)

    def take(self, where: str, stated: Stated) -> None:
        """A closed loop as a row; what is left out is counted with its reason."""
        self.read += 1
        row = self._row(where, stated) if isinstance(stated, Loop) else stated
        if isinstance(row, str):
            self.skip(row, where=where)
        elif row is not None and isinstance(stated, Loop):
            self.rows.append(row)
            self.splits.append(stated.split)
            self.kept += 1

    def _row(self, where: str, loop: Loop) -> MeasuredRow | str | None:
        """The row of a closed loop, why there is none, or nothing with findings."""
        if shares_prompts(loop.config):
            return SHARED
        figures = self._figures(where, loop)
        if figures is None or isinstance(figures, str):
            return figures
        if isinstance(loop.finished, int | float) and loop.finished < 2 * figures["concurrency"]:
            return TOO_FEW
        data = dict(loop.about)
        for name, value in self.given.items():
            if value is not None and (name in ("as_of", "source") or blank(data.get(name))):
                data[name] = value
        if blank(data.get("precision")):
            return "precision not stated: give --precision"
        date = date_of(data.get("as_of"))
        if date is None:
            return "date not stated: give --as-of"
        for name in ("model", "accelerator", "chips", "engine"):
            if blank(data.get(name)):
                self.error(f"{where}: {name}", "a value", "nothing", f"give --{name}")
                return None
        chips = self.count(data["chips"], f"{where}: chips", "chips of the replica", 1)
        if chips is None:
            return None
        data |= figures | {"as_of": date, "chips": chips, "source": within_length(str(data["source"]))}
        row = self.record(MeasuredRow, data, where)
        return CONTRADICTED if row is not None and self._contradicted(where, row, loop) else row

    def _figures(self, where: str, loop: Loop) -> dict[str, Any] | str | None:
        """Lengths, concurrency and times of a row, strictly; why there is none, or nothing with findings."""
        before = len(self.findings)
        stated = dict(loop.figures)
        for name in ("input_len", "output_len") if loop.means else ():
            column, value = stated[name]
            mean = self.number(value, f"{where}: {column}", "mean tokens", above=True)
            if mean is None:
                return None
            stated[name] = (column, max(1, round(mean)))
        if figure_of(stated["output_len"][1]) == 1:
            return ONE_TOKEN
        if any(blank(stated[name][1]) or figure_of(stated[name][1]) == 0 for name in ("ttft_ms", "tpot_ms")):
            return NO_TIMES
        figures: dict[str, Any] = {}
        for name, (column, value) in stated.items():
            at = f"{where}: {column}"
            if name in ("ttft_ms", "tpot_ms"):
                figures[name] = self.number(value, at, "a time [ms]", above=True)
            else:
                figures[name] = self.count(value, at, "a count", 1)
        return figures if len(self.findings) == before else None

    def _contradicted(self, where: str, row: MeasuredRow, loop: Loop) -> bool:
        """Whether a stated throughput is not that of the row's times; what is no number above 0 states nothing."""
        seconds = replica_seconds(row)
        derived = 1 / seconds if seconds > 1e-300 else math.inf
        for stated in (*loop.requests_per_second, quotient(loop.output_tokens_per_second, row.output_len)):
            rate = positive(stated)
            if rate is not None and abs(rate / derived - 1) > MOST_APART:
                self.notes.append(f"{where}: {rate:.3g} requests/s are stated, its times give {derived:.3g}")
                return True
        return False


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
