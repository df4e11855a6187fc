"""The reports of the ready-made questions: slip, crossover, sequence. The answer first, then the tables behind it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from planner.questions.crossover import UNITS, UTILISATIONS, Crossing, Crossover, Option
from planner.questions.delay_cost import BrokenWhileLate, DelayCost, KnownLate
from planner.questions.patches import Change
from planner.questions.sequence import Alternative, Sequences
from planner.review.compared import signed
from planner.review.report import MOST_ROWS, Cell, Report, Section, first_line, percent, short_failure, usd
from planner.study.calendar import ALMOST
from planner.study.records.plan import Built, PlanFile
from planner.study.records.study import Study

MOST_FAILURES = 2
KNOWN_NOW = (
    "bridging cost: cost of the re-plan that knows of the slip today, less the cost as it is: the least that it can "
    "cost; true to within both gaps"
)
AS_IT_STANDS = (
    "as the plan stands nothing else is bought: replicas may be placed anew on the machines that are there, in parts "
    "of machines, so a goal that is named breaks for sure, and one that is not may break by rounding"
)


# ------------------------------------------------------------------ slip
def review_slips(study: Study, found: Sequence[DelayCost], all_rows: bool = False) -> Report:
    """What each slip costs: ANSWER, SLIPS, VALUE OF A MONTH, BROKEN, NO PLAN."""
    sections = [_worst_slip(found), _slips(found, all_rows), *_known_late(found), *_values(found)]
    sections += _broken(found, all_rows)
    without = [one for one in found if one.delay_usd is None]
    if without:
        lines = [line for one in without for line in (f"{one.delay.patch.name}:", *_indented(one.why_not))]
        data = [{"slip": one.delay.patch.name, "why_not": one.why_not} for one in without]
        sections.append(Section("NO PLAN", tuple(lines), data=data))
    if late := [one for one in found if one.delay.ready is not None]:
        sets = " ".join(f"--set '{_written(change)}'" for change in late[0].delay.patch.changes)
        sections.append(Section("NEXT", (f"planner whatif STUDY {sets}  one of them against the plan",)))
    unsure = [f"{name}: {first_line(late.unsure)}" for name, late in _late(found) if late.unsure]
    return Report(f"slips of {study.study}", not without, tuple(sections), unsure=tuple(unsure))


def _written(change: Change) -> str:
    """A change as `--set` takes it."""
    value = f"{change.value:g}" if isinstance(change.value, float) else json.dumps(change.value, ensure_ascii=False)
    return f"{change.path}={value}"


def _indented(text: str, most: int = 4) -> list[str]:
    return [f"  {line.strip()}" for line in text.splitlines()[:most]]


def _worst_slip(found: Sequence[DelayCost]) -> Section:
    lines = []
    valued = [one for one in found if one.usd_per_month is not None]
    for one in sorted(valued, key=lambda o: (-(o.usd_per_month or 0.0), o.delay.patch.name))[:3]:
        cost = f"{signed(one.delay_usd or 0.0)} USD, {signed(one.usd_per_month or 0.0)} USD a month"
        lines.append(
            f"{one.delay.subject}, {one.delay.lead_time}: {one.delay.months:g} months cost {cost}, when known now"
        )
    goals = {b.goal for one in found for b in one.broken}
    if goals:
        lines.append(f"as the plan stands, slips break {len(goals)}: {'; '.join(sorted(goals)[:4])}")
    lines += _how_late(found)
    without = [one.delay.patch.name for one in found if one.delay_usd is None]
    if without:
        lines.append(f"NO PLAN with {', '.join(without[:MOST_FAILURES])}")
    if not found or all(one.delay.ready is None for one in found):
        lines.append("the plan has none of what could be late: nothing depends on it")
    return Section("ANSWER", tuple(lines), data={"slips": len(found), "without_plan": without, "goals": sorted(goals)})


def _how_late(found: Sequence[DelayCost]) -> list[str]:
    """Of each clock that was asked about with several delays: how late it may be as the plan stands."""
    by_clock: dict[tuple[str, str], list[DelayCost]] = {}
    for one in found:
        if one.delay.ready is not None:
            by_clock.setdefault((one.delay.subject, one.delay.lead_time), []).append(one)
    lines = []
    for (subject, clock), several in sorted(by_clock.items()):
        first_broken = min((one.delay.months for one in several if one.broken), default=float("inf"))
        held = max((one.delay.months for one in several if one.delay.months < first_broken), default=0.0)
        if held:
            more = f", not {first_broken:g}" if first_broken < float("inf") else ", the longest that was asked about"
            lines.append(f"as the plan stands, {subject}, {clock}, may be {held:g} months late{more}")
    return lines


def _slips(found: Sequence[DelayCost], all_rows: bool) -> Section:
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for one in found:
        slip = one.delay
        there = slip.until or "the end"
        broken = len({b.goal for b in one.broken})
        usual = (slip.patch.name, slip.ready or "not in the plan")
        if slip.ready is None:
            rows.append((*usual, "", "0", "", "0", None))
        elif one.delay_usd is None:
            rows.append((*usual, there, "no plan", "", "", broken))
        else:
            between = f"{signed(one.least_usd)} to {signed(one.most_usd)}"
            month = signed(one.usd_per_month or 0.0)
            rows.append((*usual, there, signed(one.delay_usd), between, month, broken))
        data.append(
            {
                "subject": slip.subject,
                "site": slip.site,
                "clock": slip.lead_time,
                "months": slip.months,
                "planned_for": slip.ready,
                "there_in": slip.until if slip.ready else None,
                "months_without": slip.months_without,
                "delay_usd": one.delay_usd,
                "best_plans_differ_by_usd": [one.least_usd, one.most_usd] if one.delay_usd is not None else None,
                "usd_per_month": one.usd_per_month,
                "goals_broken": sorted({b.goal for b in one.broken}),
                "why_not": one.why_not,
            }
        )
    shown = rows if all_rows else rows[:MOST_ROWS]
    columns = (
        "late",
        "missing from",
        "until",
        "bridging USD",
        "the best plans differ by",
        "USD/month",
        "goals broken",
    )
    after = [KNOWN_NOW, AS_IT_STANDS]
    if any(one.delay.months_without > one.delay.months + ALMOST for one in found):
        after.append("USD/month: by the months in which it is missing; plans count whole periods: split the horizon")
    return Section("SLIPS", (), columns, tuple(shown), len(rows) - len(shown), after=tuple(after), data=data)


def _late(found: Sequence[DelayCost]) -> list[tuple[str, KnownLate]]:
    return [(one.delay.patch.name, one.known_late) for one in found if one.known_late is not None]


def _known_late(found: Sequence[DelayCost]) -> list[Section]:
    """What slips cost that are known late, where that was asked, beside what they cost when they are known now."""
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for one in found:
        if (late := one.known_late) is None:
            continue
        now = signed(one.delay_usd) if one.delay_usd is not None else "no plan"
        cost, between = "not known" if late.unsure else "no plan", ""
        if late.usd is not None:
            cost, between = signed(late.usd), f"{signed(late.least_usd)} to {signed(late.most_usd)}"
        rows.append((one.delay.patch.name, str(late.known_on), now, cost, between))
        data.append({"slip": one.delay.patch.name, **asdict(late), "known_on": str(late.known_on)})
    line = (
        "what had to be ordered before that day is as in the plan, and nothing beside it; the late phase is built and "
        "paid all the same, and the machines for its site wait with it; no plan: then goals break in between"
    )
    columns = ("late", "known on", "known now USD", "known late USD", "the best plans differ by")
    after = tuple(f"{name}: not known: {first_line(late.unsure)}" for name, late in _late(found) if late.unsure)
    return [Section("KNOWN LATE", (line,), columns, tuple(rows), after=after, data=data)] if rows else []


def _values(found: Sequence[DelayCost]) -> list[Section]:
    """The value of a month at each site: of its dearest slip."""
    best: dict[str, DelayCost] = {}
    for one in found:
        if one.usd_per_month is not None:
            other = best.get(one.delay.site)
            if other is None or one.usd_per_month > (other.usd_per_month or 0.0):
                best[one.delay.site] = one
    rows = tuple((site, signed(one.usd_per_month or 0.0), one.delay.patch.name) for site, one in sorted(best.items()))
    data = {
        site: {"usd_per_month": one.usd_per_month, "of": one.delay.patch.name} for site, one in sorted(best.items())
    }
    line = "what a month less of delay is worth, of the dearest slip of the site that was asked about"
    columns = ("site", "USD/month", "of")
    return [Section("VALUE OF A MONTH", (line,), columns, rows, data=data)] if rows else []


def _broken(found: Sequence[DelayCost], all_rows: bool) -> list[Section]:
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for one in found:
        by_goal: dict[str, list[BrokenWhileLate]] = {}
        for b in one.broken:
            by_goal.setdefault(b.goal, []).append(b)
            data.append({"slip": one.delay.patch.name, **asdict(b)})
        for n, (goal, broken) in enumerate(by_goal.items()):
            failures = sorted({f for b in broken for f in b.failures})
            worst = ", ".join(short_failure(f) for f in failures[:MOST_FAILURES])
            more = f" and {len(failures) - MOST_FAILURES} more" if len(failures) > MOST_FAILURES else ""
            periods = broken[0].period + (f" to {broken[-1].period}" if len(broken) > 1 else "")
            short = max(b.requests_per_second or 0.0 for b in broken)
            cells = (periods, goal, worst + more, f"{short:,.4g}" if short else "")
            rows.append((one.delay.patch.name if n == 0 else "", *cells))
    shown = rows if all_rows else rows[:MOST_ROWS]
    columns = ("late", "in", "goal", "when lost", "requests/s")
    line = (
        "what the plan as it stands cannot keep while the machines are missing, and requests/s short in the worst of "
        "it; none given: normal operation is short already"
    )
    return [Section("BROKEN", (line,), columns, tuple(shown), len(rows) - len(shown), data=data)] if rows else []


# ------------------------------------------------------------------ crossover
def review_crossover(study: Study, found: Crossover, all_rows: bool = False) -> Report:
    """Where offers cross: ANSWER, CROSSOVER, OPTIONS."""
    sections = [_cheapest_above(found), _crossings(found, all_rows), _options(found, all_rows), *_of_which(found)]
    return Report(f"owned, committed or on demand: {study.study}", True, tuple(sections))


def _above(utilisation: float) -> str:
    return f"above {percent(utilisation, 1)}" if utilisation < 1 else "never"


def _cheapest_above(found: Crossover) -> Section:
    lines: list[str] = []
    first: dict[tuple[str, str], Crossing] = {}
    for crossing in found.crossings:
        key = (crossing.fixed.group, crossing.fixed.period)
        if key not in first or crossing.utilisation < first[key].utilisation:
            first[key] = crossing
    groups: dict[str, list[Crossing]] = {}
    for (group, _), crossing in first.items():
        groups.setdefault(group, []).append(crossing)
    for group, rows in sorted(groups.items()):
        for crossing, periods in _merged(rows, lambda c: (c.fixed.name, c.hourly.name, round(c.utilisation, 4)))[:4]:
            lines.append(
                f"{group}, from {periods}: {crossing.fixed.name} is the cheapest {_above(crossing.utilisation)} "
                f"utilisation, below that {crossing.hourly.name}"
                if crossing.utilisation < 1
                else f"{group}, from {periods}: {crossing.hourly.name} is the cheapest at any utilisation"
            )
    lines += [f"{group}: nothing on demand to compare with; try --by workload" for group in found.alone]
    return Section("ANSWER", tuple(lines), data={"groups": sorted(groups), "nothing_on_demand": list(found.alone)})


def _merged(rows: Iterable[Any], key: Any) -> list[tuple[Any, str]]:
    """Rows that are the same in periods that follow each other, once, with the first and the last of these."""
    found: list[tuple[Any, str, str]] = []
    for row in rows:
        period = getattr(row, "fixed", row).period
        if found and key(found[-1][0]) == key(row):
            found[-1] = (found[-1][0], found[-1][1], period)
        else:
            found.append((row, period, period))
    return [(row, first if first == last else f"{first} to {last}") for row, first, last in found]


def _crossings(found: Crossover, all_rows: bool) -> Section:
    rows: list[tuple[Cell, ...]] = []
    by_option: dict[tuple[str, str], list[Crossing]] = {}
    for c in sorted(found.crossings, key=lambda c: (c.fixed.group, c.fixed.name)):
        by_option.setdefault((c.fixed.group, c.fixed.name), []).append(c)
    for crossings in by_option.values():
        same = _merged(crossings, lambda c: (c.hourly.name, round(c.utilisation, 6), round(c.hourly_usd_per_hour, 6)))
        for c, periods in same:
            fixed = (c.fixed.group, c.fixed.name, periods, usd(c.fixed.usd_per_hour))
            rows.append((*fixed, usd(c.hourly_usd_per_hour), _above(c.utilisation)))
    shown = rows if all_rows else rows[:MOST_ROWS]
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
        for c in found.crossings
    ]
    lines = [
        f"{UNITS[found.basis]} in full use; utilisation: share of the hours in which it is used; on demand: the "
        "cheapest, over the same months, by its price path"
    ]
    hired = {(c.fixed.group, c.hourly.name) for c in found.crossings}
    lines += [f"on demand for {group}: {name}" for group, name in sorted(hired)]
    columns = (found.basis.replace("_", " "), "option", "from", "USD", "on demand USD", "cheaper")
    return Section("CROSSOVER", tuple(lines), columns, tuple(shown), len(rows) - len(shown), data=data)


def _options(found: Crossover, all_rows: bool) -> Section:
    by_name: dict[tuple[str, str], list[Option]] = {}
    for o in found.options:
        by_name.setdefault((o.group, o.name), []).append(o)
    rows: list[tuple[Cell, ...]] = []
    for options in by_name.values():
        for o, periods in _merged(options, lambda o: (round(o.usd_per_hour, 6), o.price)):
            at = tuple(usd(o.usd_per_used_hour(u)) for u in UTILISATIONS)
            rows.append((o.group, o.name, periods, *at, f"{o.price}, {o.evidence} {o.as_of}"))
    shown = rows if all_rows else rows[:MOST_ROWS]
    data = [{**asdict(o), "usd_per_hour": o.usd_per_hour} for o in found.options]
    line = f"{UNITS[found.basis]} when used in so many of the hours; spot does not count in a failure"
    used = tuple(f"at {percent(u)}" for u in UTILISATIONS)
    columns = (found.basis.replace("_", " "), "option", "from", *used, "price")
    return Section("OPTIONS", (line,), columns, tuple(shown), len(rows) - len(shown), data=data)


def _of_which(found: Crossover) -> list[Section]:
    """What options of several parts are made of, from the first period in which they can be had."""
    first: dict[tuple[str, str], Option] = {}
    for o in found.options:
        if len(o.parts) > 1:
            first.setdefault((o.group, o.name), o)
    names = list(dict.fromkeys(name for o in first.values() for name in o.parts))
    rows = tuple(
        (group, name, *(usd(o.parts[part]) if part in o.parts else "" for part in names), f"{o.months:g}")
        for (group, name), o in sorted(first.items())
    )
    line = f"{UNITS[found.basis]} in full use; machines, hall: capital as an annuity over the life of each asset"
    columns = (found.basis.replace("_", " "), "option", *names, "months")
    data = [{"group": o.group, "option": o.name, "parts": dict(o.parts)} for o in first.values()]
    return [Section("OF WHICH", (line,), columns, rows, data=data)] if rows else []


# ------------------------------------------------------------------ sequence
def review_sequences(found: Sequences, all_rows: bool = False, pairs: bool = False) -> Report:
    """The chosen sequence and the next best: ANSWER, CHOSEN, NEXT BEST, FURTHER, NOT ASKED, NO PLAN."""
    share = percent(found.within_fraction, 1)
    sections = [
        _chosen(found, pairs),
        _alternatives("NEXT BEST", f"within {share} of the plan's cost", found.near, all_rows),
        _alternatives("FURTHER", f"more than {share} dearer", found.further, all_rows),
    ]
    if found.without:
        lines = [line for name, why in found.without.items() for line in (f"{name}:", *_indented(why))]
        sections.append(Section("NO PLAN", tuple(lines), data=dict(found.without)))
    if found.not_asked:
        rows = tuple(found.not_asked.items())
        sections.append(Section("NOT ASKED", (), ("change", "why"), rows, data=dict(found.not_asked)))
    return Report(f"sequences of {found.plan.study.study}", not found.cheaper, tuple(sections))


def builds_told(builds: Iterable[Built]) -> str:
    """What is built when, in one line."""
    told = [f"{row.build_out} from {row.when}" + (f" x{row.units}" if row.units > 1 else "") for row in builds]
    return ", ".join(told) or "nothing is built"


def _chosen(found: Sequences, pairs: bool) -> Section:
    plan = found.plan
    proof = plan.proof
    lines = [
        f"chosen: {builds_told(plan.builds)}",
        f"{usd(proof.cost_usd)} USD over {plan.study.horizon.months:g} months; gap {percent(proof.gap_fraction, 2)}",
    ]
    for better in found.cheaper[:1]:
        saves = f"{usd(-better.needs_usd)} USD less"
        lines.append(f"CHEAPER than the plan, which is not the best: {builds_told(better.builds)}, {saves}")
    near = [a for a in found.near if a.needs_usd >= 0]
    if near:
        best = near[0]
        lines.append(f"next best: {builds_told(best.builds)}, {_needs(best)} more")
    within = percent(found.within_fraction, 1)
    lines.append(f"within {within}, alternatives: {len(found.near)}; further away: {len(found.further)}")
    what = "one or two changes" if pairs else "one change"
    lines.append(f"each alternative is {what} to the chosen sequence, and everything else chosen anew: not every order")
    return Section("ANSWER", tuple(lines), data=_sequence_data(plan))


def _sequence_data(plan: PlanFile) -> dict[str, Any]:
    builds = [row.model_dump() for row in plan.builds]
    return {"builds": builds, "cost_usd": plan.proof.cost_usd, "gap_fraction": plan.proof.gap_fraction}


def _needs(a: Alternative) -> str:
    share = f" ({percent(a.share_of_capital, 1)} of its capital)" if a.share_of_capital is not None else ""
    return f"{usd(a.needs_usd)} USD{share}"


def _alternatives(title: str, line: str, found: Sequence[Alternative], all_rows: bool) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for a in found:
        between = f"{signed(a.least_usd)} to {signed(a.most_usd)}"
        share = percent(a.share_of_capital, 1) if a.share_of_capital is not None else ""
        cells = (builds_told(a.builds), "; ".join(a.names), usd(a.cost_usd), signed(a.needs_usd), share)
        rows.append((*cells, between, percent(a.gap_fraction, 2)))
    shown = rows if all_rows else rows[:MOST_ROWS]
    data = [
        {
            "changes": list(a.names),
            "builds": [row.model_dump() for row in a.builds],
            "cost_usd": a.cost_usd,
            "needs_usd": a.needs_usd,
            "share_of_capital": a.share_of_capital,
            "best_plans_differ_by_usd": [a.least_usd, a.most_usd],
            "gap_fraction": a.gap_fraction,
        }
        for a in found
    ]
    columns = ("sequence", "by", "USD", "needs to win", "of its capital", "the best plans differ by", "gap")
    return Section(
        title, (line,) if rows else (f"{line}: none",), columns, tuple(shown), len(rows) - len(shown), data=data
    )
