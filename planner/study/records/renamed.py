"""Fields that were renamed, and how a file of the version before is read: as if it had the new names."""

from collections.abc import Iterator, Mapping
from typing import Any

Loc = tuple[int | str, ...]

STUDY: Mapping[Loc, str] = {("build_outs", "*", "clocks_months"): "lead_months"}
"""Where a field stood in a study of schema version 1 (`*`: any element) -> its name since version 2."""
PLAN: Mapping[Loc, str] = {
    **{("study", *old): new for old, new in STUDY.items()},
    ("replicas", "*", "firm"): "non_preemptible",
    ("states", "*", "clock_seconds"): "deadline_seconds",
    ("states", "*", "ways"): "routed_via",
    ("states", "*", "taking_requests_per_second"): "throughput_requests_per_second",
    ("states", "*", "loaded"): "cold_started",
    ("proof", "relaxation_usd"): "lp_bound_usd",
    ("proof", "failures_entered"): "binding_failures",
    ("proof", "failures_implied"): "dominated_failures",
    ("binds",): "bottlenecks",
    ("firm",): "no_regret",
}
"""The same of plan files."""
NEW_NAMES: Mapping[str, str] = {str(old[-1]): new for old, new in PLAN.items()}
"""Retired name of a field -> its name now."""


def dotted(old: Loc) -> str:
    """How a retired field is written to people: `states.*.ways`."""
    return ".".join(map(str, old))


def rename(data: Any, table: Mapping[Loc, str]) -> list[tuple[Loc, Loc]]:
    """Rename fields of plain data in place; the locations before and after, of each field that had its old name.

    A field whose new name is there, too, keeps its old one: the reader then finds a field that it does not know.

    Examples
    --------
    >>> data = {"replicas": [{"firm": 3}, {}]}
    >>> rename(data, PLAN), data
    ([(('replicas', 0, 'firm'), ('replicas', 0, 'non_preemptible'))], {'replicas': [{'non_preemptible': 3}, {}]})
    """
    moved = []
    for old, new in table.items():
        for loc, owner in _owners(data, old[:-1], ()):
            if old[-1] in owner and new not in owner:
                owner[new] = owner.pop(old[-1])
                moved.append(((*loc, old[-1]), (*loc, new)))
    return moved


def _owners(data: Any, pattern: Loc, loc: Loc) -> Iterator[tuple[Loc, dict[str, Any]]]:
    """The mappings that a pattern leads to, with where they are."""
    if not pattern:
        if isinstance(data, dict):
            yield loc, data
    elif pattern[0] == "*":
        for i, item in enumerate(data) if isinstance(data, list) else ():
            yield from _owners(item, pattern[1:], (*loc, i))
    elif isinstance(data, dict) and pattern[0] in data:
        yield from _owners(data[str(pattern[0])], pattern[1:], (*loc, pattern[0]))
