"""The report of where offers cross: owned, committed or on demand, by utilisation."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.questions.crossover import UNITS, UTILISATIONS, Crossing, Crossover, Option
from planner.review.figures import number
from planner.review.report import Column, Report, Section, as_data, made, percent, usd
from planner.study.records.study import Study

MOST_PERIODS = 4


def review_crossover(study: Study, crossover: Crossover, all_rows: bool = False) -> Report:
    """Where offers cross: ANSWER, CROSSOVER, OPTIONS, OF WHICH."""
    sections = made(_answer(crossover), _crossings(crossover), _options(crossover), _of_which(crossover))
    return Report(f"owned, committed or on demand: {study.study}", True, sections, all_rows=all_rows)


def _above(utilisation: float) -> str:
    return f"above {percent(utilisation, 1)}" if utilisation < 1 else "never"


def _answer(crossover: Crossover) -> Section:
    first: dict[tuple[str, str], Crossing] = {}
    for crossing in crossover.crossings:
        key = (crossing.fixed.group, crossing.fixed.period)
        if key not in first or crossing.utilisation < first[key].utilisation:
            first[key] = crossing
    groups: dict[str, list[Crossing]] = {}
    for (group, _), crossing in first.items():
        groups.setdefault(group, []).append(crossing)
    lines: list[str] = []
    for group, crossings in sorted(groups.items()):
        same = _merged(crossings, lambda c: (c.fixed.name, c.hourly.name, round(c.utilisation, 4)))
        for row in same[:MOST_PERIODS]:
            fixed, hourly, utilisation = row.first.fixed.name, row.first.hourly.name, row.first.utilisation
            if utilisation < 1:
                cheapest = f"{fixed} is the cheapest {_above(utilisation)} utilisation, below that {hourly}"
            else:
                cheapest = f"{hourly} is the cheapest at any utilisation"
            lines.append(f"{group}, from {row.periods}: {cheapest}")
    lines += [f"{group}: nothing on demand to compare with; try --by workload" for group in crossover.alone]
    data = {"groups": sorted(groups), "nothing_on_demand": crossover.alone}
    return Section("ANSWER", tuple(lines), data=data)


@dataclass(frozen=True)
class Merged:
    """Options or crossings that are the same in periods that follow each other: the first of them, and the periods."""

    first: Any
    periods: str


def _merged(rows: Iterable[Any], key: Callable[[Any], Any]) -> list[Merged]:
    """Rows that are the same in periods that follow each other, once."""
    runs = [list(run) for _, run in itertools.groupby(rows, key)]
    return [Merged(run[0], " to ".join(dict.fromkeys((_period(run[0]), _period(run[-1]))))) for run in runs]


def _period(row: Crossing | Option) -> str:
    return row.fixed.period if isinstance(row, Crossing) else row.period


def _by_option(options: Iterable[Any], option_of: Callable[[Any], Option]) -> list[list[Any]]:
    groups: dict[tuple[str, str], list[Any]] = {}
    for one in options:
        groups.setdefault((option_of(one).group, option_of(one).name), []).append(one)
    return list(groups.values())


def _group_column(crossover: Crossover) -> str:
    return crossover.basis.replace("_", " ")


def _crossings(crossover: Crossover) -> Section:
    by_name = sorted(crossover.crossings, key=lambda c: (c.fixed.group, c.fixed.name))
    rows: list[Merged] = []
    for crossings in _by_option(by_name, lambda c: c.fixed):
        rows += _merged(crossings, lambda c: (c.hourly.name, round(c.utilisation, 6), round(c.hourly_usd_per_hour, 6)))
    data = [
        {
            "group": c.fixed.group,
            "period": c.fixed.period,
            "option": c.fixed.name,
            "usd_per_hour": c.fixed.usd_per_hour,
            "on_demand": c.hourly.name,
            "on_demand_usd_per_hour": c.hourly_usd_per_hour,
            "utilisation": c.utilisation,
        }
        for c in crossover.crossings
    ]
    lines = [
        f"{UNITS[crossover.basis]} in full use; utilisation: share of the hours in which it is used; on demand: the "
        "cheapest, over the same months, by its price path"
    ]
    hired = {(c.fixed.group, c.hourly.name) for c in crossover.crossings}
    lines += [f"on demand for {group}: {name}" for group, name in sorted(hired)]
    columns = (
        Column(_group_column(crossover), lambda row: row.first.fixed.group),
        Column("option", lambda row: row.first.fixed.name),
        Column("from", lambda row: row.periods),
        Column("USD", lambda row: usd(row.first.fixed.usd_per_hour)),
        Column("on demand USD", lambda row: usd(row.first.hourly_usd_per_hour)),
        Column("cheaper", lambda row: _above(row.first.utilisation)),
    )
    return Section("CROSSOVER", tuple(lines), columns, rows, data=data)


def _options(crossover: Crossover) -> Section:
    rows: list[Merged] = []
    for options in _by_option(crossover.options, lambda o: o):
        rows += _merged(options, lambda o: (round(o.usd_per_hour, 6), o.price))

    def used(utilisation: float) -> Column:
        return Column(f"at {percent(utilisation)}", lambda row: usd(row.first.usd_per_used_hour(utilisation)))

    columns = (
        Column(_group_column(crossover), lambda row: row.first.group),
        Column("option", lambda row: row.first.name),
        Column("from", lambda row: row.periods),
        *map(used, UTILISATIONS),
        Column("price", lambda row: f"{row.first.price}, {row.first.evidence} {row.first.as_of}"),
    )
    line = f"{UNITS[crossover.basis]} when used in so many of the hours; spot does not count in a failure"
    data = [{**as_data(o), "usd_per_hour": o.usd_per_hour} for o in crossover.options]
    return Section("OPTIONS", (line,), columns, rows, data=data)


def _of_which(crossover: Crossover) -> Section | None:
    """What options of several parts are made of, from the first period in which they can be had."""
    of_parts = [o for o in crossover.options if len(o.parts) > 1]
    first: Sequence[Option] = [options[0] for options in _by_option(of_parts, lambda o: o)]

    def cost(part: str) -> Column:
        return Column(part, lambda o: usd(o.parts[part]) if part in o.parts else "")

    columns = (
        Column(_group_column(crossover), lambda o: o.group),
        Column("option", lambda o: o.name),
        *map(cost, dict.fromkeys(part for o in first for part in o.parts)),
        Column("months", lambda o: number(o.months, "g")),
    )
    line = f"{UNITS[crossover.basis]} in full use; machines, hall: capital as an annuity over the life of each asset"
    data = [{"group": o.group, "option": o.name, "parts": o.parts} for o in first]
    rows = sorted(first, key=lambda o: (o.group, o.name))
    return Section("OF WHICH", (line,), columns, rows, data=data, most=None) if rows else None
