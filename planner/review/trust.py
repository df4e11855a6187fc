"""How far to trust a plan: what its figures rest on, and how far they may move."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict

from planner.margins import Margin, margins
from planner.problem import Decisions, Problem, State
from planner.records.plan import PlanFile
from planner.review.report import Section, percent, short_failure
from planner.risk import NORMAL

MOST_MARGINS = 8
MOVED = {"demand": "more", "speed": "slower", "load time": "longer", "round trip": "longer"}
NOT_LEANED_ON = {
    "demand": "nothing is wanted",
    "speed": "no profile is needed",
    "load time": "no goal leans on replicas that are loaded",
    "round trip": "no goal leans on one whose error (proxy 14 ms, estimated 67 ms) reaches the tier's limit",
}
AFTER = (
    "holds to: factor on demand, or on a figure in all its pools, where the first goal breaks; replicas as planned and "
    "filled completely",
    "load times: what is loaded comes later; round trips: only those whose error reaches a limit are probed",
    "a plan at the lowest cost has little to spare: for slack, plan with --demand high, a lower "
    "utilisation.in_failure, or higher goals",
)


def trust_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """What the figures rest on, and how far each may move before a goal breaks."""
    s: State = (p.hours[0], NORMAL, 0.0)
    study = plan.study
    known: dict[tuple[str, str], str] = {}
    lowest: dict[str, float] = {}
    loads: dict[str, str] = {}
    trips = {f"{o} to {site}": reach.evidence for (o, site), reach in p.round_trip_ms.items()}
    classes = {w.name: w.context_class for w in study.workloads}
    for model in study.models:
        for prof in model.profiles:
            loads[f"{model.model}/{prof.name}"] = prof.load_evidence.partition(":")[0]
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
                by_trip[p.round_trip_ms[o, p.site_of[p.pool_of[e]]].evidence] += value
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
    found = margins(p, x, study)
    lines += _first_to_break(found, lowest)
    rows = []
    for m in found[:MOST_MARGINS]:
        evidence = " and ".join(sorted({e for (name, _), e in known.items() if name == m.figure})) or "of the study"
        if m.kind != "speed":
            evidence = loads[m.figure] if m.kind == "load time" else trips.get(m.figure, "of the study")
        low = f"× {lowest[m.figure]:.2f}" if m.kind == "speed" else ""
        rows.append(
            (
                m.figure if m.kind == "demand" else f"{m.kind}: {m.figure}",
                evidence,
                low,
                f"× {m.factor:.3f}",
                f"{short_failure(m.failure)} at {m.clock_seconds:g} s",
            )
        )
    return Section(
        "TRUST",
        tuple(lines),
        ("figure", "evidence", "its low end", "holds to", "then breaks first when lost"),
        tuple(rows),
        after=AFTER,
        data={
            "speed_share": dict(by_rate),
            "round_trip_share": dict(by_trip),
            "price_share": dict(by_price),
            "margins": [asdict(m) for m in found],
        },
    )


def _first_to_break(found: tuple[Margin, ...], lowest: Mapping[str, float]) -> list[str]:
    """One line a kind: the figure whose error breaks a goal first, and by how much it may be wrong."""
    lines = []
    for kind, moved in MOVED.items():
        m = next((m for m in found if m.kind == kind), None)
        if m is None:
            lines.append(f"  {kind}: {NOT_LEANED_ON[kind]}")
            continue
        what = "" if kind == "demand" else f" of {m.figure}"
        error = ""
        if kind == "speed":
            stated = 1 - lowest[m.figure]
            within = "within" if stated > m.move_fraction else "beyond"
            error = f"; {within} its stated error ({percent(stated)} slower)" if stated else "; its error is not stated"
        elif kind == "round trip":
            error = "; within its error"
        where = f"when {short_failure(m.failure)} is lost" if m.failure != NORMAL else "in normal operation"
        lines.append(f"  {kind}{what}: {percent(m.move_fraction, 1)} {moved} breaks a goal {where}{error}")
    return ["first to break, each by itself:", *lines]
