"""Which machines: by pool held, lent, ordered, used; by provider and by accelerator."""

from collections import Counter, defaultdict
from typing import Any

from planner.formulas import units_active
from planner.periods import spans, touches
from planner.problem import Decisions, Problem, State, fullest_hour
from planner.records.plan import PlanFile
from planner.records.study import Claim
from planner.review.report import Section, percent, usd
from planner.risk import NORMAL


def fleet_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """Machines by pool; shares of requests by provider; accelerators in all."""
    h = fullest_hour(p)
    units = {b: round(n) for b in sorted({row.offer for row in plan.purchases}) if (n := units_active(p, x, b, h))}
    city_of = {site.id: site.city for site in plan.study.sites}
    machine_of = {machine.name: machine for machine in plan.study.machine_types}
    lent_to: dict[str, Counter[str]] = defaultdict(Counter)
    for claim in plan.study.claims:
        if touches(claim.from_day, claim.until, next(t for t in spans(plan.study) if t.name == p.period_of[h])):
            lent_to[claim.pool][claim.lent_to] += claim.machines
    rows: list[tuple[Any, ...]] = []
    data: list[dict[str, Any]] = []
    machines_of: Counter[str] = Counter()
    chips: Counter[str] = Counter()
    for pool in sorted(plan.study.pools, key=lambda pool: pool.id):
        q, machine = pool.id, machine_of[pool.machine_type]
        held = int(p.held_machines[q, p.period_of[h]])
        bought = {b: units[b] * p.machines_per_unit[b] for b in p.offers_of[q] if b in units}
        data.append(
            {
                "pool": q,
                "city": city_of[pool.site],
                "accelerator": machine.accelerator,
                "held_machines": held,
                "lent_machines": dict(sorted(lent_to[q].items())),
                "ordered_machines": bought,
                "replicas": {e: int(x.replicas[e, h]) for e in p.on_pool[q] if x.replicas[e, h]},
            }
        )
        if not held and not bought:
            continue
        machines_of[q] = held + sum(bought.values())
        chips[machine.accelerator] += machines_of[q] * machine.accelerators
        used = sum(p.machines_per_replica[e] * x.replicas[e, h] for e in p.on_pool[q])
        hourly = sum(n * p.price_usd_per_machine_hour[b] for b, n in bought.items())
        by_model: dict[str, float] = defaultdict(float)
        for e in p.on_pool[q]:
            by_model[e.partition("/")[0]] += x.replicas[e, h]
        rows.append(
            (
                q,
                held,
                sum(lent_to[q].values()) or None,
                " + ".join(f"{n} {b.rpartition(':')[2]}" for b, n in bought.items()),
                f"{used:,.1f}",
                usd(hourly),
                ", ".join(f"{int(n)} {model}" for model, n in sorted(by_model.items()) if n),
            )
        )
    counted = ", ".join(f"{n:,} {name}" for name, n in sorted(chips.items(), key=lambda c: (-c[1], c[0])))
    return Section(
        "FLEET",
        (
            *_by_provider(plan, p, x, rows, units),
            *((f"in {h}, the hour of most requests, of {len(p.hours)}",) if len(p.hours) > 1 else ()),
            f"accelerators: {counted or 'none'}",
            *(_lent(claim) for claim in plan.study.claims if claim.machines),
        ),
        ("pool", "held", "lent", "ordered", "used", "USD/h", "replicas"),
        tuple(rows),
        data=data,
    )


def _lent(claim: Claim) -> str:
    seconds = claim.reclaim_seconds
    back = "not back in a failure" if seconds is None else f"back {seconds:g} s after a failure is detected"
    return f"lent: {claim.machines} of {claim.pool} to {claim.lent_to}, {back}"


def _by_provider(
    plan: PlanFile, p: Problem, x: Decisions, rows: list[tuple[Any, ...]], units: dict[str, int]
) -> tuple[str, ...]:
    """Machines held and ordered, the share of requests, and the cities of every provider."""
    city_of = {site.id: site.city for site in plan.study.sites}
    cities: dict[str, list[str]] = defaultdict(list)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    all_served = sum(x.traffic[w, o, e, s] for w, o in p.flows for e in p.edges[w, o])
    for q, held, *_ in rows:
        provider, _, site = p.site_of[q].partition("/")
        totals[provider][0] += held
        cities[provider].append(f"{site} ({city_of[p.site_of[q]]})")
    for b, n in units.items():
        totals[p.pool_of[b].partition("/")[0]][1] += n * p.machines_per_unit[b]
    for w, o in p.flows:
        for e in p.edges[w, o]:
            totals[p.pool_of[e].partition("/")[0]][2] += x.traffic[w, o, e, s]
    return tuple(
        f"{provider}: {held:.0f} held, {new:.0f} ordered, "
        f"{percent(share / all_served if all_served else 0.0)} of requests in normal operation"
        + (f"; in {', '.join(dict.fromkeys(cities[provider]))}" if cities[provider] else "")
        for provider, (held, new, share) in sorted(totals.items())
    )
