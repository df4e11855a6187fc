"""How far to trust a plan: what its figures rest on, and how far they may move."""

from collections import defaultdict
from dataclasses import asdict

from planner.margins import margins
from planner.problem import Decisions, Problem, State
from planner.records.plan import PlanFile
from planner.review.report import Section, percent, short_failure
from planner.risk import NORMAL

MOST_MARGINS = 6


def trust_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """What the figures rest on, and how far each may move before a goal breaks."""
    s: State = (p.hours[0], NORMAL, 0.0)
    study = plan.study
    known: dict[tuple[str, str], str] = {}
    lowest: dict[str, float] = {}
    classes = {w.name: w.context_class for w in study.workloads}
    for model in study.models:
        for prof in model.profiles:
            for point in prof.classes:
                name = f"{model.model}/{prof.name}"
                known[name, point.context_class] = point.evidence
                lowest[name] = min(point.low_factor, lowest.get(name, 1.0))
    by_rate: dict[str, float] = defaultdict(float)
    by_trip: dict[str, float] = defaultdict(float)
    for w, o in p.flows:
        for e in p.edges[w, o]:
            value = x.traffic[w, o, e, s]
            if value:
                by_rate[known[e.partition("@")[0], classes[w]]] += value
                by_trip[p.round_trip_ms[o, p.site_of[p.pool_of[e]]].how.partition(" ")[0]] += value
    price_of = {price.offer_id: price for price in study.prices}
    by_price: dict[str, float] = defaultdict(float)
    for b in plan.purchases:
        by_price[price_of[b.offer].evidence] += (
            b.units * p.machines_per_unit[b.offer] * p.price_usd_per_machine_hour[b.offer]
        )
    dates = sorted(price_of[b.offer].as_of for b in plan.purchases)

    def shares(found: dict[str, float]) -> str:
        whole = sum(found.values())
        return (
            ", ".join(f"{percent(v / whole)} {name}" for name, v in sorted(found.items(), key=lambda r: -r[1]))
            if whole
            else "none"
        )

    lines = [
        f"speed: {shares(by_rate)} (share of requests in normal operation)",
        f"round trips: {shares(by_trip)} (share of requests)",
        f"prices: {shares(by_price)} (share of USD/h ordered)"
        + (f", as of {dates[0]}{f' to {dates[-1]}' if dates[-1] != dates[0] else ''}" if dates else ""),
        "demand: as the study states it; its assumptions stand under NOT IN",
    ]
    found = margins(p, x)
    rows = []
    for m in found[:MOST_MARGINS]:
        evidence = " and ".join(sorted({e for (name, _), e in known.items() if name == m.figure})) or "of the study"
        low = f"× {lowest[m.figure]:.2f}" if m.figure in lowest else ""
        rows.append(
            (m.figure, evidence, low, f"× {m.factor:.3f}", f"{short_failure(m.failure)} at {m.clock_seconds:g} s")
        )
    return Section(
        "TRUST",
        tuple(lines),
        ("figure", "evidence", "its low end", "holds to", "then breaks first when lost"),
        tuple(rows),
        after=(
            "holds to: factor on demand, or on the speed of a profile in all its pools, where the first goal breaks,",
            "replicas as planned and filled completely. A plan at the lowest cost has little to spare: for slack, plan",
            "with --demand high, a lower utilisation.in_failure, or higher goals",
        ),
        data={
            "speed_share": dict(by_rate),
            "round_trip_share": dict(by_trip),
            "price_share": dict(by_price),
            "margins": [asdict(m) for m in found],
        },
    )
