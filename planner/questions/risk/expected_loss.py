"""Expected hours of broken goal and expected loss per year, where failure rates are given."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from planner.problem.problem import Problem
from planner.questions.risk.cut_sets import (
    Cuts,
    Flow,
    Levels,
    Members,
    at_most,
    probability,
    stages_with_a_rate,
    unavailability,
    union,
)
from planner.study.dependencies import Graph
from planner.study.records.study import Study
from planner.units import MONTHS_PER_YEAR, ROUNDING, outage_usd_per_hour


@dataclass(frozen=True)
class Expected:
    """What a tier loses in a year, at most, over cut sets of order 1 and 2 whose members all have a rate."""

    tier: str
    hours_per_year: float
    usd_per_year: float


@dataclass(frozen=True)
class Contribution:
    """What one cut set adds to the expected loss, over all tiers."""

    members: Members
    tiers: tuple[str, ...]
    hours_per_year: float
    usd_per_year: float


def mean_demand(p: Problem) -> dict[Flow, float]:
    """Demand of each flow, mean over the hours of the horizon [requests/s]."""
    parts = parts_of_horizon(p)
    rates = p.demand_requests_per_second
    return {(w, o): sum(part * rates[w, o, h] for h, part in parts.items()) for w, o in p.flows}


def parts_of_horizon(p: Problem) -> dict[str, float]:
    """h -> share of the horizon that the hour stands for; all of it when there is one."""
    hours = sum(p.hours_in[h] for h in p.hours)
    return {h: p.hours_in[h] / hours for h in p.hours}


def usd_per_hour(p: Problem, w: str, requests_per_second: float) -> float:
    """What so many unserved requests/s of a workload cost [USD/h]."""
    return outage_usd_per_hour(requests_per_second, p.outage_usd_per_request[w])


def hours_per_year(study: Study) -> float:
    """Hours in a year, as the study counts them [h]."""
    return study.hours_per_month * MONTHS_PER_YEAR


def rates(study: Study, graph: Graph) -> dict[str, float]:
    """Event -> share of the time that it is down, where both rates are known; a failure by its stages."""
    rows = [(f"{own.kind}:{own.name}", own.failures_per_year, own.hours_to_repair) for own in study.components]
    rows += [(stage.id, stage.failures_per_year, hours) for stage, hours in stages_with_a_rate(study, graph)]
    return {
        event: unavailability(often, hours, hours_per_year(study))
        for event, often, hours in rows
        if often is not None and hours is not None
    }


def _tolerance(study: Study, tier: str) -> float:
    """Share of a tier that may be unserved: what its strictest goal leaves, or normal operation's where it has none."""
    record = study.tier_by_name[tier]
    return 1.0 - max((goal.serve_fraction for goal in record.survive), default=record.serve_fraction)


def _tolerated(p: Problem, tier: str, event: str, strictest: float) -> float:
    """Share of a tier that may be unserved when a component is lost: its goal's for that loss, else the strictest's."""
    own = [fraction for name, fraction, _ in p.promised.get(event, ()) if name == tier]
    return 1.0 - max(own) if own else strictest


def expected_loss(
    study: Study, p: Problem, demand: Mapping[Flow, float], levels: Mapping[Flow, Levels], down: Mapping[str, float]
) -> tuple[tuple[Expected, ...], tuple[Contribution, ...]]:
    """Expected hours of broken goal and expected loss, upper bounds by the rare-event approximation.

    Formula
        hours per year = year · Σ over minimal cut sets of "a flow of the tier has more broken than its goals leave":
                         the goal for the loss of that component, where there is one, else the tier's strictest
        USD per year = year · Σ over flows, levels of (fraction − next smaller one) · Σ over sets · USD/h of the flow
    """
    year = hours_per_year(study)
    usd: dict[tuple[str, Members], float] = defaultdict(float)
    over: dict[str, list[Cuts]] = defaultdict(list)
    for (w, o), of in levels.items():
        tier, hour_usd = p.tier_of[w], usd_per_hour(p, w, demand[w, o])
        tolerance = _tolerance(study, tier)
        smaller = [*(fraction for fraction, _ in of), 0.0][1:]
        for (fraction, cuts), below in zip(of, smaller, strict=True):
            if cuts.always:
                continue  # told apart: it is broken all the time, by nothing that fails
            for members in cuts.sets():
                usd[tier, members] += year * (fraction - below) * probability(members, down) * hour_usd
        for fraction, cuts in of:
            if not cuts.always:
                singles = frozenset(e for e in cuts.singles if fraction > _tolerated(p, tier, e, tolerance) + ROUNDING)
                over[tier].append(
                    Cuts(singles=singles, pairs=cuts.pairs if fraction > tolerance + ROUNDING else frozenset())
                )
    rows = []
    for name in (t.name for t in study.tiers):
        hours = year * at_most(union(over[name]), down)
        rows.append(Expected(name, hours, sum(value for (of_tier, _), value in usd.items() if of_tier == name)))
    by_set: dict[Members, dict[str, float]] = defaultdict(dict)
    for (name, members), value in usd.items():
        if probability(members, down) > 0:
            by_set[members][name] = value
    parts = [
        Contribution(members, tuple(sorted(of)), year * probability(members, down), sum(of.values()))
        for members, of in by_set.items()
    ]
    return tuple(rows), tuple(sorted(parts, key=lambda c: (-c.usd_per_year, -c.hours_per_year, c.members)))
