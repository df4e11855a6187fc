"""The hours of a plan, each as it stands by itself: what is wanted, held, lent, bought and built in it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from planner.study.records.inventory import Offer
from planner.study.records.plan import PlanFile, Purchase
from planner.study.records.study import Demand, Holding, Study
from planner.units import MONTHS_PER_YEAR, after_months

SAME = 1e-9
"""What lengths of months may miss each other by."""
HOURLY = ("on_demand", "spot")
Flow = tuple[str, str]


@dataclass(frozen=True)
class TimeSlice:
    """A representative hour of a period.

    Parameters
    ----------
    hour, period : `period/hour` as plans name it, and the period
    begins, ends : of the period, from the start of the horizon [months]
    first, last : days of the period
    weight : share of the hour in its period
    wanted : (workload, origin) -> requests/s
    """

    hour: str
    period: str
    begins: float
    ends: float
    first: date
    last: date
    weight: float
    wanted: dict[Flow, float]

    def held(self, study: Study) -> dict[str, float]:
        """Pool -> machines that are held from the first day of the period to its last."""
        return _machines(study.holdings, self.first, self.last)

    def held_at_once(self, study: Study) -> dict[str, float]:
        """Pool -> machines that are held on some day of the period at the same time, at most."""
        begun = {row.from_day for row in study.holdings if row.from_day and self.first < row.from_day <= self.last}
        most: dict[str, float] = {}
        for day in (self.first, *sorted(begun)):
            for pool, machines in _machines(study.holdings, day, day).items():
                most[pool] = max(most.get(pool, 0.0), machines)
        return most

    def lent(self, study: Study) -> list[tuple[str, float, float | None]]:
        """(pool, machines, seconds to reclaim) of what is lent on any day of the period."""
        return [
            (row.pool, float(row.machines), row.reclaim_seconds)
            for row in study.claims
            if (row.from_day is None or row.from_day <= self.last) and (row.until is None or row.until >= self.first)
        ]

    def has(self, offer: Offer, row: Purchase, slices: Sequence["TimeSlice"], throughout: bool = True) -> bool:
        """Whether what was bought runs through all of the period; by the hour: in this hour.

        Parameters
        ----------
        slices : all of the plan
        throughout : False asks whether it runs on some day of the period
        """
        if offer.kind in HOURLY:
            return len(slices) == 1 or row.when == self.hour
        if offer.length_days is None and len({one.period for one in slices}) == 1:
            return True
        start = next((one for one in slices if one.period == row.when), None)
        if start is None or start.begins > self.begins + SAME:
            return False
        if offer.length_days is not None:
            end = start.first + timedelta(days=int(offer.length_days))
            return end > self.last if throughout else end > self.first
        ends = start.begins + _lasts_months(offer, start)
        return self.ends <= ends + SAME if throughout else self.begins + SAME < ends


def _machines(holdings: Iterable[Holding], first: date, last: date) -> dict[str, float]:
    """Pool -> machines of holdings that are held from one day to another."""
    machines: dict[str, float] = {}
    for row in holdings:
        if (row.from_day is None or row.from_day <= first) and (row.until is None or row.until >= last):
            machines[row.pool] = machines.get(row.pool, 0.0) + row.machines
    return machines


def _lasts_months(offer: Offer, start: TimeSlice) -> float:
    """How long a unit that starts with a period runs [months]."""
    if offer.life_years is not None:
        return max(offer.life_years * MONTHS_PER_YEAR, start.ends - start.begins)
    if offer.kind == "build_out" and offer.term_months == 0:
        return math.inf
    return max(offer.term_months, start.ends - start.begins)


def time_slices_of(study: Study, case: str = "base") -> tuple[TimeSlice, ...]:
    """Every representative hour of every period, in order, with what is wanted in it.

    requests/s = row of the case · (1 + growth a year) ^ (years to the middle of the period) · shape in the hour
    """
    slices, begins = [], 0.0
    shapes = {shape.name: shape.factors for shape in study.shapes}
    rows_of: dict[Flow, dict[tuple[str | None, str | None], Demand]] = {}
    for row in study.demand:  # of rows for the same time the last wins
        rows_of.setdefault((row.workload, row.origin), {})[row.period, row.hour] = row
    for period in study.horizon.each_period:
        ends = begins + period.months
        first, next_first = (after_months(study.horizon.start, at) for at in (begins, ends))
        last = next_first - timedelta(days=1)
        for hour in study.horizon.each_hour:
            wanted: dict[Flow, float] = {}
            for flow, rows in rows_of.items():
                closest = _closest(rows, period.name, hour.name)
                if closest is None:
                    continue
                rate, growth = _of_case(closest, case)
                years = (begins + ends) / 2 / MONTHS_PER_YEAR
                shape = shapes[closest.shape].get(hour.name, 1.0) if closest.shape is not None else 1.0
                wanted[flow] = rate * float((1.0 + growth) ** years) * shape
            id = f"{period.name}/{hour.name}"
            slices.append(TimeSlice(id, period.name, begins, ends, first, last, hour.weight_fraction, wanted))
        begins = ends
    return tuple(slices)


def _closest(rows: Mapping[tuple[str | None, str | None], Demand], period: str, hour: str) -> Demand | None:
    """The row of a flow that says most about an hour: both, then the period, then the hour, then neither."""
    asked = ((period, hour), (period, None), (None, hour), (None, None))
    return next((rows[key] for key in asked if key in rows), None)


def _of_case(row: Demand, case: str) -> tuple[float, float]:
    """Requests/s and growth a year of a case."""
    rate = {"low": row.low_requests_per_second, "high": row.high_requests_per_second}.get(case)
    growth = {"low": row.low_growth_fraction_per_year, "high": row.high_growth_fraction_per_year}.get(case)
    return (
        row.requests_per_second if rate is None else rate,
        row.growth_fraction_per_year if growth is None else growth,
    )


def deferrable(study: Study) -> set[str]:
    """Workloads whose work can wait."""
    tiers = {tier.name for tier in study.tiers if tier.deferrable_hours}
    return {w.name for w in study.workloads if w.tier in tiers}


def taken_up(plan: PlanFile, one: TimeSlice) -> dict[Flow, float]:
    """What normal operation takes up in an hour: what is wanted; of work that can wait, what is served and shed."""
    waiting = deferrable(plan.study)
    if not waiting:
        return one.wanted
    rates = defaultdict(float, {flow: rate for flow, rate in one.wanted.items() if flow[0] not in waiting})
    state = next((s for s in plan.states if s.failure == "normal" and s.hour == one.hour), None)
    if state is not None:
        for w, o, rate in zip(state.workload, state.origin, state.requests_per_second, strict=False):
            if w in waiting:
                rates[w, o] += rate
        for w in waiting & state.shed.keys():
            for o, rate in state.shed[w].items():
                rates[w, o] += rate
    return rates


def not_done(plan: PlanFile, slices: Sequence[TimeSlice]) -> list[str]:
    """Findings where work that can wait is not taken up over its period: as much as is wanted, by hours' weights."""
    waiting = deferrable(plan.study)
    wanted: dict[tuple[str, Flow], float] = defaultdict(float)
    done: dict[tuple[str, Flow], float] = defaultdict(float)
    for one in slices if waiting else ():
        taken = taken_up(plan, one)
        for flow in (flow for flow in {**one.wanted, **taken} if flow[0] in waiting):
            wanted[one.period, flow] += one.weight * one.wanted.get(flow, 0.0)
            done[one.period, flow] += one.weight * taken.get(flow, 0.0)
    return [
        f"normal: {w} from {o} in {period}: {done[period, (w, o)]:g} requests/s are taken up, wanted {rate:g}"
        for (period, (w, o)), rate in wanted.items()
        if abs(done[period, (w, o)] - rate) > 1e-6 * max(1.0, rate)
    ]


def without_power(plan: PlanFile, one: TimeSlice, slices: Sequence[TimeSlice]) -> list[str]:
    """Findings where machines of a site draw more than it has: its own power, and what is built at it by then.

    What runs on some day draws power on it, also where it does not count as it is gone before the period ends.
    """
    study = plan.study
    kw_of = {machine.name: machine.power_kw or 0.0 for machine in study.machine_types}
    pools, offers = {pool.id: pool for pool in study.pools}, {offer.id: offer for offer in study.offers}
    machines = defaultdict(float, one.held_at_once(study))
    for row in plan.purchases:
        offer = offers.get(row.offer)
        if offer is not None and one.has(offer, row, slices, throughout=False):
            machines[offer.pool] += row.units * offer.machines_per_unit
    drawn: dict[str, float] = defaultdict(float)
    for id, n in machines.items():
        if id in pools:
            drawn[pools[id].site] += n * kw_of[pools[id].machine_type]
    begins = {each.period: each.begins for each in slices}
    phases = {phase.id: phase for phase in study.build_outs}
    built: dict[str, float] = {phase.site: 0.0 for phase in study.build_outs}
    for build in plan.builds:
        if build.build_out in phases and begins.get(build.when, math.inf) <= one.begins + SAME:
            built[phases[build.build_out].site] += build.units * phases[build.build_out].power_mw * 1000.0
    limited = [site for site in study.sites if site.power_kw is not None or site.id in built]
    most = {site.id: (site.power_kw or 0.0) + built.get(site.id, 0.0) for site in limited}
    return [
        f"{one.hour}: machines at {site.id} draw {drawn[site.id]:g} kW, at most {most[site.id]:g}"
        for site in limited
        if drawn[site.id] > most[site.id] * (1 + 1e-9) + 1e-6
    ]


def not_ready(plan: PlanFile, slices: Sequence[TimeSlice]) -> list[str]:
    """Findings where modules or contracts begin before what is ordered today can run."""
    study = plan.study
    first = {one.period: one.first for one in slices} | {one.hour: one.first for one in slices}
    offers, phases = {offer.id: offer for offer in study.offers}, {phase.id: phase for phase in study.build_outs}
    findings, ordered = [], []
    for build in plan.builds:
        if build.build_out not in phases:
            findings.append(f"builds: {build.build_out}: no such build-out")
        elif build.units:
            ready = after_months(study.today, phases[build.build_out].lead_months.longest)
            ordered.append((build.build_out, build.when, ready))
    for row in plan.purchases:
        if row.units and row.offer in offers:
            ordered.append((row.offer, row.when, study.today + timedelta(days=offers[row.offer].lead_days)))
    for name, when, ready in ordered:
        if when in first and ready > first[when]:
            findings.append(f"{name} in {when}: ordered on {study.today} it is there on {ready}, after {first[when]}")
    return findings
