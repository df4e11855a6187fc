"""The hours of a plan, each as it stands by itself: what is wanted, held, lent, bought and built in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from planner.study.records.inventory import Offer
from planner.study.records.plan import PlanFile, Purchase
from planner.study.records.study import Demand, Study
from planner.units import MONTHS_PER_YEAR, after_months

SAME = 1e-9
"""What lengths of months may miss each other by."""
HOURLY = ("on_demand", "spot")
Flow = tuple[str, str]


@dataclass(frozen=True)
class Moment:
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
        held: dict[str, float] = {}
        for row in study.holdings:
            if (row.from_day is None or row.from_day <= self.first) and (row.until is None or row.until >= self.last):
                held[row.pool] = held.get(row.pool, 0.0) + row.machines
        return held

    def lent(self, study: Study) -> list[tuple[str, float, float | None]]:
        """(pool, machines, seconds to reclaim) of what is lent on any day of the period."""
        return [
            (row.pool, float(row.machines), row.reclaim_seconds)
            for row in study.claims
            if (row.from_day is None or row.from_day <= self.last) and (row.until is None or row.until >= self.first)
        ]

    def is_there(self, offer: Offer, row: Purchase, every: Sequence["Moment"], whole: bool = True) -> bool:
        """Whether what was bought is there through the whole of the period; by the hour: in this hour.

        Parameters
        ----------
        whole : False asks whether it is there on some day of the period
        """
        if offer.kind in HOURLY:
            return len(every) == 1 or row.when == self.hour
        if offer.length_days is None and len({m.period for m in every}) == 1:
            return True
        start = next((m for m in every if m.period == row.when), None)
        if start is None or start.begins > self.begins + SAME:
            return False
        if offer.length_days is not None:
            end = start.first + timedelta(days=int(offer.length_days))
            return end > self.last if whole else end > self.first
        gone = start.begins + _lasts_months(offer, start)
        return self.ends <= gone + SAME if whole else self.begins + SAME < gone

    def held_at_once(self, study: Study) -> dict[str, float]:
        """Pool -> machines that are held on some day of the period at the same time, at most."""
        most: dict[str, float] = {}
        begun = {row.from_day for row in study.holdings if row.from_day and self.first < row.from_day <= self.last}
        for day in (self.first, *sorted(begun)):
            held: dict[str, float] = {}
            for row in study.holdings:
                if (row.from_day is None or row.from_day <= day) and (row.until is None or row.until >= day):
                    held[row.pool] = held.get(row.pool, 0.0) + row.machines
            most = {pool: max(most.get(pool, 0.0), held.get(pool, 0.0)) for pool in {*most, *held}}
        return most


def _lasts_months(offer: Offer, start: Moment) -> float:
    """How long a unit that starts with a period is there [months]."""
    if offer.life_years is not None:
        return max(offer.life_years * MONTHS_PER_YEAR, start.ends - start.begins)
    if offer.kind == "build_out" and offer.term_months == 0:
        return math.inf
    return max(offer.term_months, start.ends - start.begins)


def moments(study: Study, case: str = "base") -> tuple[Moment, ...]:
    """Every representative hour of every period, in order, with what is wanted in it.

    requests/s = row of the case · (1 + growth a year) ^ (years to the middle of the period) · shape in the hour
    """
    found, begins = [], 0.0
    shapes = {shape.name: shape.factors for shape in study.shapes}
    said: dict[Flow, dict[tuple[str | None, str | None], Demand]] = {}
    for row in study.demand:  # of rows for the same time the last wins
        said.setdefault((row.workload, row.origin), {})[row.period, row.hour] = row
    for period in study.horizon.each_period:
        ends = begins + period.months
        days = [after_months(study.horizon.start, at) for at in (begins, ends)]
        for hour in study.horizon.each_hour:
            wanted: dict[Flow, float] = {}
            for flow, rows in said.items():
                closest = _closest(rows, period.name, hour.name)
                if closest is None:
                    continue
                rate, growth = _of_case(closest, case)
                years = (begins + ends) / 2 / MONTHS_PER_YEAR
                shape = shapes[closest.shape].get(hour.name, 1.0) if closest.shape is not None else 1.0
                wanted[flow] = rate * float((1.0 + growth) ** years) * shape
            found.append(
                Moment(
                    f"{period.name}/{hour.name}",
                    period.name,
                    begins,
                    ends,
                    days[0],
                    days[1] - timedelta(days=1),
                    hour.weight_fraction,
                    wanted,
                )
            )
        begins = ends
    return tuple(found)


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


def taken_up(study: Study, plan: PlanFile, moment: Moment) -> dict[Flow, float]:
    """What normal operation takes up in an hour: what is wanted; of work that can wait, what is served and shed."""
    waits = {tier.name for tier in study.tiers if tier.deferrable_hours}
    waiting = {w.name for w in study.workloads if w.tier in waits}
    if not waiting:
        return moment.wanted
    found = {flow: rate for flow, rate in moment.wanted.items() if flow[0] not in waiting}
    state = next((s for s in plan.states if s.failure == "normal" and s.hour == moment.hour), None)
    if state is not None:
        for w, o, rate in zip(state.workload, state.origin, state.requests_per_second, strict=False):
            if w in waiting:
                found[w, o] = found.get((w, o), 0.0) + rate
        for w, by_origin in state.shed.items():
            for o, rate in by_origin.items() if w in waiting else ():
                found[w, o] = found.get((w, o), 0.0) + rate
    return found


def not_done(study: Study, plan: PlanFile, every: Sequence[Moment]) -> list[str]:
    """Findings where work that can wait is not taken up over its period: as much as is wanted, by hours' weights."""
    waits = {tier.name for tier in study.tiers if tier.deferrable_hours}
    waiting = {w.name for w in study.workloads if w.tier in waits}
    findings = []
    for period in dict.fromkeys(m.period for m in every) if waiting else ():
        hours = [m for m in every if m.period == period]
        taken = [taken_up(study, plan, m) for m in hours]
        for flow in dict.fromkeys(flow for m in hours for flow in m.wanted if flow[0] in waiting):
            wanted = sum(m.weight * m.wanted.get(flow, 0.0) for m in hours)
            done = sum(m.weight * t.get(flow, 0.0) for m, t in zip(hours, taken, strict=True))
            if abs(done - wanted) > 1e-6 * max(1.0, wanted):
                findings.append(
                    f"normal: {flow[0]} from {flow[1]} in {period}: {done:g} requests/s are taken up, wanted {wanted:g}"
                )
    return findings


def without_power(study: Study, plan: PlanFile, moment: Moment, every: Sequence[Moment]) -> list[str]:
    """Findings where machines of a site draw more than it has: its own power, and what is built there by then.

    What is there on some day draws power on it, also where it does not count as it is gone before the period ends.
    """
    kw_of = {machine.name: machine.power_kw or 0.0 for machine in study.machine_types}
    pools, offers = {pool.id: pool for pool in study.pools}, {offer.id: offer for offer in study.offers}
    there = moment.held_at_once(study)
    for row in plan.purchases:
        offer = offers.get(row.offer)
        if offer is not None and moment.is_there(offer, row, every, whole=False):
            there[offer.pool] = there.get(offer.pool, 0.0) + row.units * offer.machines_per_unit
    begins = {m.period: m.begins for m in every}
    built: dict[str, float] = {}
    for phase in study.build_outs:
        modules = sum(
            row.units
            for row in plan.builds
            if row.build_out == phase.id and begins.get(row.when, float("inf")) <= moment.begins + SAME
        )
        built[phase.site] = built.get(phase.site, 0.0) + modules * phase.power_mw * 1000.0
    findings = []
    for site in study.sites:
        if site.power_kw is None and site.id not in built:
            continue
        here = {q: n for q, n in there.items() if q in pools and pools[q].site == site.id}
        drawn = sum(n * kw_of[pools[q].machine_type] for q, n in here.items())
        most = (site.power_kw or 0.0) + built.get(site.id, 0.0)
        if drawn > most * (1 + 1e-9) + 1e-6:
            findings.append(f"{moment.hour}: machines at {site.id} draw {drawn:g} kW, at most {most:g}")
    return findings


def not_ready(study: Study, plan: PlanFile, every: Sequence[Moment]) -> list[str]:
    """Findings where modules or contracts begin before what is ordered today can be there."""
    first = {m.period: m.first for m in every} | {m.hour: m.first for m in every}
    offers, phases = {offer.id: offer for offer in study.offers}, {phase.id: phase for phase in study.build_outs}
    rows = [
        (row.build_out, row.when, after_months(study.today, phases[row.build_out].lead_months.longest))
        for row in plan.builds
        if row.units and row.build_out in phases
    ]
    found = [f"builds: {row.build_out}: no such build-out" for row in plan.builds if row.build_out not in phases]
    rows += [
        (row.offer, row.when, study.today + timedelta(days=offers[row.offer].lead_days))
        for row in plan.purchases
        if row.units and row.offer in offers
    ]
    for name, when, ready in rows:
        if when in first and ready > first[when]:
            found.append(f"{name} in {when}: ordered on {study.today} it is there on {ready}, after {first[when]}")
    return found
