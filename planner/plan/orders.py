"""Orders: what the plan asks to buy, beyond what is held, by which date and why."""

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from planner.plan.decisions import units_by_period
from planner.problem.arrays import full
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem
from planner.problem.rules.formulas import limit_used, unit_usd_per_hour
from planner.study.calendar import Span, covers, spans
from planner.study.records.buildout import PARTS
from planner.study.records.inventory import Offer
from planner.study.records.plan import NoRegret, PlanFile, Purchase
from planner.study.records.study import Study
from planner.study.renewals import Contract, chain_of
from planner.units import ROUNDING, after_months


@dataclass(frozen=True)
class Order:
    """An action that the plan asks for.

    Parameters
    ----------
    period, need : from when on it must be up, and that period's first day
    order_by : latest day to order: need − lead − slack, until then it can wait; `days_late` when that day has passed
    usd : over the horizon, not discounted; `capital_usd` of it for machines that are bought
    blocks : how the units are sold, where only 1, 2, 4, ... are sold at once
    counted_until : last day of the last period that it is counted for
    chain, chain_days_beyond : the contracts that cover that time, of an offer that states the longest; days that the
        last one ends later, which are paid and in no cost [days]
    units_without_goals : of them, at most those that the plan without survival goals has then: on equal terms, where
        that is known, as a plan that stands on spot tells nothing of what goals ask for
    reasons : failures that pay for the pool, largest share first
    no_regret_units, no_regret_in : units of the order that the low, base and high demand plans all have by then, and
        how many of the three have as many; None when not asked
    """

    offer: str
    kind: str
    pool: str
    units: int
    machines: int
    period: str
    need: date
    order_by: date
    days_late: int
    usd_per_hour: float
    usd: float
    capital_usd: float
    term_months: float
    instrument: str
    blocks: tuple[int, ...]
    counted_until: date
    chain: tuple[Contract, ...]
    chain_days_beyond: int
    units_without_goals: int
    reasons: tuple[str, ...]
    no_regret_units: int | None
    no_regret_in: int | None


def orders(plan: PlanFile, p: Problem) -> tuple[Order, ...]:
    """The plan's orders, earliest first, then the most expensive; hourly offers once a period, for its fullest hour."""
    study = plan.study
    offers, periods = {b.id: b for b in study.offers}, {span.name: span for span in spans(study)}
    without_goals = units_by_period(p, (plan.on_equal_terms or plan.without_goals).purchases)
    no_regret = {(row.offer, row.when or p.periods[0]): row for row in plan.no_regret}
    active = units_by_period(p, plan.purchases)
    bought: dict[tuple[str, str], list[Purchase]] = {}
    for purchase in plan.purchases:
        bought.setdefault((purchase.offer, p.period_of.get(purchase.when, purchase.when)), []).append(purchase)
    rows = []
    for (b, t), purchases in bought.items():
        offer, need = offers[b], periods[t].first_day
        order_by = need - timedelta(days=math.ceil(offer.lead_days + study.order_slack_days))
        if offer.order_days_ahead is not None:  # not before it is sold, whatever the slack
            order_by = max(order_by, need - timedelta(days=math.floor(offer.order_days_ahead)))
        units = max(purchase.units for purchase in purchases)
        usd_per_hour, hourly = unit_usd_per_hour(p, b, t), b in p.hourly
        until = counted_until(study, offer, periods[t])
        chain = chain_of(offer, need, until)
        hours = [row.units * (p.hours_in[row.when] if hourly else p.paid_hours[b, t]) for row in purchases]
        capital = sum(paid.get((b, t), 0.0) for paid in p.capital_usd.values())
        no_regret_units, no_regret_in = _in_all_cases(no_regret.get((b, t)), units, active.get((b, t), units))
        rows.append(
            Order(
                offer=b,
                kind=offer.kind,
                pool=offer.pool,
                units=units,
                machines=units * offer.machines_per_unit,
                period=t,
                need=need,
                order_by=order_by,
                days_late=max(0, (study.today - order_by).days),
                usd_per_hour=units * usd_per_hour,
                usd=sum(hours) * usd_per_hour + units * capital,
                capital_usd=units * capital,
                term_months=offer.term_months,
                instrument=offer.instrument,
                blocks=blocks(units, offer.most_units_at_once),
                counted_until=until,
                chain=chain,
                chain_days_beyond=(chain[-1].last_day - until).days if chain else 0,
                units_without_goals=min(units, without_goals.get((b, t), 0)),
                reasons=plan.drivers.get(offer.pool, ()),
                no_regret_units=no_regret_units,
                no_regret_in=no_regret_in,
            )
        )
    return tuple(sorted(rows, key=lambda r: (r.order_by, -r.usd, r.offer)))


def latest_order_day(study: Study, contract: Contract) -> date:
    """Latest day to order a further contract of a chain: with slack, but never before it is sold."""
    latest = contract.order_by - timedelta(days=math.ceil(study.order_slack_days))
    return max(latest, contract.order_from or latest)


def counted_until(study: Study, offer: Offer, start: Span) -> date:
    """Last day of the last period that a unit which starts with a period is counted for."""
    several = len(spans(study)) > 1
    return max(span.last_day for span in spans(study) if span == start or covers(offer, start, span, several))


@dataclass(frozen=True)
class PhaseOrder:
    """A part of a phase that the plan asks to build.

    Parameters
    ----------
    build_out, modules : the phase, and how many of its modules
    part : shell, power, equipment or commissioning; each has a lead time of its own
    period, need : from when on the modules must be usable, and that period's first day
    order_by : latest day to order the part: need − lead time − slack; `days_late` when that day has passed
    usd : capital of the part, not discounted; commissioning is in the fit-out, ordered with the equipment
    modules_without_goals : of them, at most those of the plan without survival goals by then, on equal terms
    no_regret_modules, no_regret_in : modules that the low, base and high demand plans all have by then, and how many of
        the three have as many; None when not asked
    """

    build_out: str
    modules: int
    part: str
    period: str
    need: date
    order_by: date
    days_late: int
    usd: float
    modules_without_goals: int
    no_regret_modules: int | None
    no_regret_in: int | None


def phase_orders(plan: PlanFile, p: Problem) -> tuple[PhaseOrder, ...]:
    """What must be ordered for each phase that is built, part by part, earliest first."""
    study, rows = plan.study, []
    phases, periods = {m.id: m for m in study.build_outs}, {span.name: span for span in spans(study)}
    without_goals = units_by_period(p, (), (plan.on_equal_terms or plan.without_goals).builds)
    active = units_by_period(p, (), plan.builds)
    no_regret = {(row.offer, row.when or p.periods[0]): row for row in plan.no_regret}
    for built in plan.builds:
        m, need, at = phases[built.build_out], periods[built.when].first_day, (built.build_out, built.when)
        no_regret_modules, no_regret_in = _in_all_cases(no_regret.get(at), built.units, active[at])
        for part, months in m.lead_months:
            order_by = after_months(need, -months) - timedelta(days=math.ceil(study.order_slack_days))
            if m.decide_by is not None and months == m.lead_months.longest:
                order_by = min(order_by, m.decide_by)
            name = "fit_out" if part == "equipment" else part
            rows.append(
                PhaseOrder(
                    build_out=m.id,
                    modules=built.units,
                    part=part,
                    period=built.when,
                    need=need,
                    order_by=order_by,
                    days_late=max(0, (study.today - order_by).days),
                    usd=built.units * m.power_mw * m.usd_per_mw(name) if name in PARTS else 0.0,
                    modules_without_goals=min(built.units, without_goals.get(at, 0)),
                    no_regret_modules=no_regret_modules,
                    no_regret_in=no_regret_in,
                )
            )
    return tuple(sorted(rows, key=lambda r: (r.order_by, r.build_out, r.part)))


@dataclass(frozen=True)
class QuotaOrder:
    """An increase of a quota that the plan counts on, and that has to be asked for.

    Parameters
    ----------
    quota, unit : name, and the unit of the figures
    most, granted : the limit before, and once it is granted
    used : what the plan takes of it in the fullest hour of that period
    period, need : from when on it is used, and that period's first day
    order_by : latest day to ask: need − lead − slack; `days_late` when that day has passed
    chance_fraction : that it is granted by then, as the study says; the plan counts on it
    """

    quota: str
    unit: str
    most: float
    granted: float
    used: float
    period: str
    need: date
    order_by: date
    days_late: int
    chance_fraction: float


def quota_orders(plan: PlanFile, p: Problem, x: Vectors) -> tuple[QuotaOrder, ...]:
    """Increases of quotas that the plan uses, earliest first: of several the least that does."""
    study, rows = plan.study, []
    limits = {limit.name: n for n, limit in enumerate(p.limits)}
    used_by_hour = {h: np.asarray(limit_used(full(p), x, h)) for h in p.hours} if p.limits else {}
    periods = {span.name: span for span in spans(study)}
    for quota in study.policies.quotas:
        n, asked = limits[quota.name], quota.most
        for t in p.periods if quota.increases else ():
            used = max(float(used_by_hour[h][n]) for h in p.hours if p.period_of[h] == t)
            in_force = t in (p.limits[n].periods or p.periods)
            if not in_force or used <= asked + ROUNDING * max(1.0, asked):
                continue
            need = periods[t].first_day
            enough = [one for one in quota.increases if one.most >= used - ROUNDING * max(1.0, used)]
            in_time = [one for one in enough if study.today + timedelta(days=math.ceil(one.lead_days)) <= need]
            if not in_time:  # more is used than is granted: what the audit says
                continue
            increase = min(in_time, key=lambda one: (one.most, one.lead_days))
            order_by = need - timedelta(days=math.ceil(increase.lead_days + study.order_slack_days))
            late = max(0, (study.today - order_by).days)
            figures = asked, increase.most, used
            asked = increase.most
            rows.append(QuotaOrder(quota.name, quota.unit, *figures, t, need, order_by, late, increase.chance_fraction))
    return tuple(sorted(rows, key=lambda r: (r.order_by, r.quota)))


def _in_all_cases(counts: NoRegret | None, units: int, active: int) -> tuple[int | None, int | None]:
    """Of the units of an order: those that the low, base and high demand plans all have by then, and how many have all.

    `active`: what the plan has by then, of earlier orders, too.
    """
    if counts is None:
        return None, None
    cases = (counts.low_units, counts.base_units, counts.high_units)
    return min(units, max(0, units - active + min(cases))), sum(n >= active for n in cases)


def blocks(units: int, most_at_once: int | None) -> tuple[int, ...]:
    """Units as blocks of 1, 2, 4, ..., the largest first; empty where any number is sold at once.

    Examples
    --------
    >>> blocks(150, 64)
    (64, 64, 16, 4, 2)
    """
    if most_at_once is None:
        return ()
    largest = 1 << (most_at_once.bit_length() - 1)
    full = [largest] * (units // largest)
    rest = units % largest
    return (*full, *(1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1))
