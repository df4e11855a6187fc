"""Which machines: by pool held, lent, ordered, used; by provider and by accelerator."""

from collections import Counter, defaultdict
from typing import Any

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.formulas import machines_held_or_bought, units_active
from planner.review.report import MOST_ROWS, Section, percent, usd
from planner.study.calendar import spans, touches
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile
from planner.study.records.study import Claim


def fleet_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """Machines by pool; shares of requests by provider; accelerators in all."""
    h = fullest_hour(p)
    units = {b: round(n) for b in sorted({row.offer for row in plan.purchases}) if (n := units_active(p, x, b, h))}
    city_of = {site.id: site.city for site in plan.study.sites}
    called = {offer.id: offer.offer for offer in plan.study.offers}
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
            by_model[p.model_of[e]] += x.replicas[e, h]
        rows.append(
            (
                q,
                held,
                sum(lent_to[q].values()) or None,
                " + ".join(f"{n} {called[b]}" for b, n in bought.items()),
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


def over_time_section(plan: PlanFile, p: Problem, x: Decisions, all_rows: bool) -> tuple[Section, ...]:
    """Machines of each pool, and power that is built, by period; no section where there is one period."""
    if len(p.periods) == 1:
        return ()
    hours = {t: [h for h in p.hours if p.period_of[h] == t] for t in p.periods}
    there = {q: [max(float(machines_held_or_bought(p, x, q, h)) for h in hours[t]) for t in p.periods] for q in p.pools}
    rows = [(q, *(f"{n:,.0f}" for n in machines)) for q, machines in sorted(there.items()) if any(machines)]
    rows += [("all", *(f"{sum(column):,.0f}" for column in zip(*there.values(), strict=True)))]
    built = {m.id: m for m in plan.study.build_outs if m.id in p.build_outs}
    power = [[m.power_mw * float(units_active(p, x, m.id, hours[t][0])) for t in p.periods] for m in built.values()]
    if power and any(map(any, power)):
        rows += [("built, MW", *(f"{sum(column):g}" for column in zip(*power, strict=True)))]
    wanted = [max(sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in hours[t]) for t in p.periods]
    rows += [("requests/s wanted", *(f"{n:,.4g}" for n in wanted))]
    kept = rows if all_rows else [*rows[:MOST_ROWS], *rows[max(MOST_ROWS, len(there)) :]]
    ends = [h for h in plan.study.holdings if h.until is not None and h.until <= plan.study.horizon.last_day]
    return (
        Section(
            "FLEET OVER TIME",
            ("machines held and bought, those rented by the hour in the fullest hour of each period",),
            ("pool", *p.periods),
            tuple(kept),
            len(rows) - len(kept),
            tuple(f"{h.machines} of {h.pool} held end on {h.until}" for h in ends),
            {"machines": {q: dict(zip(p.periods, machines, strict=True)) for q, machines in sorted(there.items())}},
        ),
    )


def _lent(claim: Claim) -> str:
    seconds = claim.reclaim_seconds
    back = "not back in a failure" if seconds is None else f"back {seconds:g} s after a failure is detected"
    return f"lent: {claim.machines} of {claim.pool} to {claim.lent_to}, {back}"


def _by_provider(
    plan: PlanFile, p: Problem, x: Decisions, rows: list[tuple[Any, ...]], units: dict[str, int]
) -> tuple[str, ...]:
    """Machines held and ordered, the share of requests, and the cities of every provider."""
    site_of = {site.id: site for site in plan.study.sites}
    cities: dict[str, list[str]] = defaultdict(list)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    all_served = sum(x.traffic[w, o, e, s] for w, o in p.flows for e in p.edges[w, o])
    for q, held, *_ in rows:
        provider, site = p.provider_of[q], site_of[p.site_of[q]]
        totals[provider][0] += held
        cities[provider].append(f"{site.site} ({site.city})")
    for b, n in units.items():
        totals[p.provider_of[p.pool_of[b]]][1] += n * p.machines_per_unit[b]
    for w, o in p.flows:
        for e in p.edges[w, o]:
            totals[p.provider_of[p.pool_of[e]]][2] += x.traffic[w, o, e, s]
    return tuple(
        f"{provider}: {held:.0f} held, {new:.0f} ordered, "
        f"{percent(share / all_served if all_served else 0.0)} of requests in normal operation"
        + (f"; in {', '.join(dict.fromkeys(cities[provider]))}" if cities[provider] else "")
        for provider, (held, new, share) in sorted(totals.items())
    )
