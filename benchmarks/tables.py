"""Tables of what was measured, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.measure import Measured, spread_of

SAME_FRACTION = 1e-6
"""Within which two ways to one linear program have the same optimum."""


@dataclass(frozen=True)
class Goal:
    """What a figure was to be at most, and what it is.

    Parameters
    ----------
    at_most, measured : in `unit`; none measured: it was not reached within its time limit
    why : what limits it, and what would lift that, said where it is not reached
    """

    what: str
    at_most: float
    measured: float | None
    unit: str = ""
    why: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the figure is as low as it was to be."""
        return self.measured is not None and self.measured <= self.at_most


def goals_table(goals: Sequence[Goal]) -> Table:
    """What was to be reached, and was or was not."""
    table = Table("What was to be reached", ("figure", "at most", "measured", "reached"))
    for goal in goals:
        measured = "none" if goal.measured is None else f"{goal.measured:.3g}{goal.unit}"
        table.rows.append((goal.what, f"{goal.at_most:g}{goal.unit}", measured, "yes" if goal.is_reached else "**no**"))
    not_reached = [goal for goal in goals if goal.why and not goal.is_reached]
    for why in dict.fromkeys(goal.why for goal in not_reached):
        table.after.append(f"{'; '.join(goal.what for goal in not_reached if goal.why == why)}: {why}")
    return table


@dataclass
class Table:
    """A table with a title, and what is to be said of it.

    Parameters
    ----------
    rows : cells as text; the first column is left-aligned
    wrong : what must not be: optima that differ, a plan that fails its audit
    goals : what was to be reached
    """

    title: str
    columns: tuple[str, ...]
    before: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as a section of a page."""
        lines = [f"## {self.title}", ""]
        if self.before:
            lines += [self.before, ""]
        lines.append(f"| {' | '.join(self.columns)} |")
        lines.append(f"| --- | {' | '.join('--:' for _ in self.columns[1:])} |")
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        notes = [*self.after, *(f"WRONG: {line}" for line in self.wrong)]
        return "\n".join([*lines, *(f"\n{note}" for note in notes), ""])


def ratio_row(name: str, runs: Sequence[Measured | None], ours: Sequence[Measured]) -> tuple[str, ...]:
    """A peer beside ours: seconds, ours over it run by run, memory.

    A run that its time limit ended gives an upper bound of the ratio; one that failed (None) gives nothing.
    """
    pairs = [(run, own) for run, own in zip(runs, ours, strict=False) if run is not None]
    if not pairs:
        return (name, "failed", "", "", "")
    seconds = spread_of([run.seconds for run, _ in pairs]).written()
    ratio = spread_of([own.seconds / run.seconds for run, own in pairs]).written(3)
    is_ended = any(run.value is None for run, _ in pairs)
    more, less = ("> ", "< ") if is_ended else ("", "")
    columns = pairs[0][0].facts.get("columns")
    return (
        name,
        more + seconds,
        less + ratio,
        "" if columns is None else f"{columns:,}",
        f"{max(run.mib for run, _ in pairs):,.0f}",
    )


def differing(name: str, runs: Sequence[Measured | None], ours: Sequence[Measured]) -> list[str]:
    """Where a peer has another optimum."""
    return [
        f"{name}: {run.value:,.4f} USD, ours {own.value:,.4f} USD"
        for run, own in zip(runs, ours, strict=False)
        if run is not None
        and run.value is not None
        and own.value is not None
        and abs(run.value - own.value) > SAME_FRACTION * abs(own.value)
    ]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """By which power seconds grow with sizes: least squares of the logarithms.

    Examples
    --------
    >>> round(exponent([1, 2, 4], [3, 12, 48]), 3)
    2.0
    """
    x, y = [math.log(size) for size in sizes], [math.log(each) for each in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return slope / sum((a - mean_x) ** 2 for a in x)


def attempted(measure: Callable[[], Measured], say: Callable[[str], None], name: str) -> Measured | None:
    """A measurement, said as it is made; None, and why, where it failed: one failure must not end the others."""
    try:
        measured = measure()
    except RuntimeError as error:
        say(f"{name} failed: {str(error).strip().splitlines()[-1]}")
        return None
    say(f"{name}: {measured.seconds:,.2f} s, {measured.mib:,.0f} MiB{', not ended' * (measured.value is None)}")
    return measured
