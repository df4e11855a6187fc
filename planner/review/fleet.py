"""Which machines: by pool held, lent, ordered, used; by provider and by accelerator; by period."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import things_of
from planner.problem.problem import fullest_hour
from planner.problem.rules.formulas import machines_held_or_bought, units_active
from planner.review.failures import hour_text
from planner.review.figures import number
from planner.review.report import Column, Section, percent, usd
from planner.review.traffic import requests_by, traffic_rows
from planner.study.calendar import spans, touches
from planner.study.records.study import Claim


@dataclass(frozen=True)
class PoolMachines:
    """The machines of a pool in the hour of most requests.

    Parameters
    ----------
    lent_machines : by whom they are lent to
    ordered_machines : by offer
    replicas : by placement
    used_machines : on which these replicas run
    usd_per_hour : of what is ordered
    """

    pool: str
    city: str
    accelerator: str
    held_machines: int
    lent_machines: dict[str, int]
    ordered_machines: dict[str, int]
    replicas: dict[str, int]
    used_machines: float
    usd_per_hour: float

    @property
    def machines(self) -> int:
        """Held and ordered."""
        return self.held_machines + sum(self.ordered_machines.values())


def fleet_section(plan: Plan) -> Section:
    """Machines by pool; shares of requests by provider; accelerators in all."""
    p, study = plan.problem, plan.study
    called = {offer.id: offer.offer for offer in study.offers}
    per_machine = {machine.name: machine.accelerators for machine in study.machine_types}
    machine_type_of = {pool.id: pool.machine_type for pool in study.pools}
    every = pools_of(plan)
    rows = [row for row in every if row.machines]
    accelerators: Counter[str] = Counter()
    for row in rows:
        accelerators[row.accelerator] += row.machines * per_machine[machine_type_of[row.pool]]
    largest_first = sorted(accelerators.items(), key=lambda item: (-item[1], item[0]))
    lines = (
        *_by_provider(plan, rows),
        *hour_text(p),
        f"accelerators: {', '.join(f'{n:,} {name}' for name, n in largest_first) or 'none'}",
        *(_lent(claim) for claim in study.claims if claim.machines),
    )

    def by_model(row: PoolMachines) -> str:
        replicas: Counter[str] = Counter()
        for e, n in row.replicas.items():
            replicas[p.model_of[e]] += n
        return ", ".join(f"{n} {model}" for model, n in sorted(replicas.items()))

    columns = (
        Column("pool"),
        Column("held", lambda row: row.held_machines),
        Column("lent", lambda row: sum(row.lent_machines.values()) or None),
        Column("ordered", lambda row: " + ".join(f"{n} {called[b]}" for b, n in row.ordered_machines.items())),
        Column("used", lambda row: number(row.used_machines, ",.1f")),
        Column("USD/h", lambda row: usd(row.usd_per_hour), adds=True),
        Column("replicas", by_model),
    )
    return Section("FLEET", lines, columns, rows, data=every, most=None)


def pools_of(plan: Plan) -> list[PoolMachines]:
    """The machines of every pool, in the hour of most requests."""
    p, x, h = plan.problem, plan.decisions, fullest_hour(plan.problem)
    a = things_of(p)
    period = next(span for span in spans(plan.study) if span.name == p.period_of[h])
    active = units_active(a, plan.vectors, h)
    units = {b: round(float(active[a.offer_at[b]])) for b in sorted({row.offer for row in plan.file.purchases})}
    city_of = {site.id: site.city for site in plan.study.sites}
    accelerator_of = {machine.name: machine.accelerator for machine in plan.study.machine_types}
    lent: dict[str, Counter[str]] = defaultdict(Counter)
    for claim in plan.study.claims:
        if touches(claim.from_day, claim.until, period):
            lent[claim.pool][claim.lent_to] += claim.machines
    rows = []
    for pool in sorted(plan.study.pools, key=lambda pool: pool.id):
        q = pool.id
        ordered = {b: units[b] * p.machines_per_unit[b] for b in p.offers_of[q] if units.get(b)}
        rows.append(
            PoolMachines(
                pool=q,
                city=city_of[pool.site],
                accelerator=accelerator_of[pool.machine_type],
                held_machines=int(p.held_machines[q, p.period_of[h]]),
                lent_machines=dict(sorted(lent[q].items())),
                ordered_machines=ordered,
                replicas={e: int(x.replicas[e, h]) for e in p.on_pool[q] if x.replicas[e, h]},
                used_machines=sum(p.machines_per_replica[e] * x.replicas[e, h] for e in p.on_pool[q]),
                usd_per_hour=sum(n * p.price_usd_per_machine_hour[b] for b, n in ordered.items()),
            )
        )
    return rows


def _by_provider(plan: Plan, rows: list[PoolMachines]) -> list[str]:
    """Machines held and ordered, the share of requests, and the cities of every provider."""
    p, site_of = plan.problem, {site.id: site for site in plan.study.sites}
    requests = requests_by(traffic_rows(plan), lambda row: row.provider)
    in_all = sum(requests.values())
    pools: dict[str, list[PoolMachines]] = defaultdict(list)
    for row in rows:
        pools[p.provider_of[row.pool]].append(row)
    lines = []
    for provider in sorted({*pools, *requests}):
        held = sum(row.held_machines for row in pools[provider])
        ordered = sum(sum(row.ordered_machines.values()) for row in pools[provider])
        share = requests.get(provider, 0.0) / in_all if in_all else 0.0
        sites = [site_of[p.site_of[row.pool]] for row in pools[provider]]
        cities = ", ".join(dict.fromkeys(f"{site.site} ({site.city})" for site in sites))
        line = f"{provider}: {held} held, {ordered} ordered, {percent(share)} of requests in normal operation"
        lines.append(line + (f"; in {cities}" if cities else ""))
    return lines


def _lent(claim: Claim) -> str:
    seconds = claim.reclaim_seconds
    back = "not back in a failure" if seconds is None else f"back {seconds:g} s after a failure is detected"
    return f"lent: {claim.machines} of {claim.pool} to {claim.lent_to}, {back}"


def over_time_section(plan: Plan) -> Section | None:
    """Machines of each pool, and power that is built, by period; no section where there is one period."""
    p, x = plan.problem, plan.vectors
    if len(p.periods) == 1:
        return None
    a = things_of(p)
    hours = {t: [h for h in p.hours if p.period_of[h] == t] for t in p.periods}
    most = {t: np.max([machines_held_or_bought(a, x, h) for h in hours[t]], axis=0) for t in p.periods}
    machines: dict[str, dict[str, float]] = {}
    for q in sorted(p.pools):
        machines[q] = {t: float(most[t][a.pool_at[q]]) for t in p.periods}
    built = [m for m in plan.study.build_outs if m.id in p.build_outs]
    total, power_mw, wanted = {}, {}, {}
    for t in p.periods:
        total[t] = sum(by_period[t] for by_period in machines.values())
        active = units_active(a, x, hours[t][0])
        power_mw[t] = sum(m.power_mw * float(active[a.offer_at[m.id]]) for m in built)
        wanted[t] = max(sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in hours[t])
    totals = {"all": (total, ",.0f"), "built, MW": (power_mw, "g"), "requests/s wanted": (wanted, ",.4g")}
    if not any(power_mw.values()):
        del totals["built, MW"]
    rows = [(q, by_period, ",.0f") for q, by_period in machines.items() if any(by_period.values())]
    rows += [(name, by_period, written) for name, (by_period, written) in totals.items()]

    def column(t: str) -> Column:
        return Column(t, lambda row: number(row[1][t], row[2]))

    ends = [h for h in plan.study.holdings if h.until is not None and h.until <= plan.study.horizon.last_day]
    return Section(
        "FLEET OVER TIME",
        ("machines held and bought, those rented by the hour in the fullest hour of each period",),
        (Column("pool", lambda row: row[0]), *map(column, p.periods)),
        rows,
        tuple(f"{h.machines} of {h.pool} held end on {h.until}" for h in ends),
        data={"machines": machines, "totals": {name: of_period for name, (of_period, _) in totals.items()}},
        always=lambda row: row[0] in totals,
        total=next(row for row in rows if row[1] is total),
    )
