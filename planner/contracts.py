"""What a problem says of contracts: what can be bought when, what is held and lent, what limits it."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from planner.parts import Parts
from planner.periods import Span, covers, earliest_day, may_start, paid_months, price_in, spans, through, touches
from planner.problem import HOURLY, Limit, ShareLimit
from planner.records.inventory import Offer
from planner.records.study import Study
from planner.risk import availability, dependency_graph


def not_offered(study: Study, offer: Offer) -> str | None:
    """Why an offer cannot be bought in this study; None when it can."""
    policies, horizon = study.policies, study.horizon
    if offer.kind not in policies.offers:
        return f"policy: {offer.kind} is not among policies.offers"
    if offer.term_months > horizon.months and not policies.terms_beyond_horizon:
        return f"term: {offer.term_months:g} months run past the horizon of {horizon.months:g}"
    last = spans(study)[-1].first_day
    if earliest_day(study, offer) > last:
        return f"lead time: {offer.lead_days:g} days from {study.today} end after {last}"
    if not any(may_start(study, offer, span) for span in spans(study)):
        return "start: no period begins between its lead time, its window and the horizon less its term"
    if not covering(study, offer):
        return f"length: {offer.length_days or 0.0:g} days are there through no whole period"
    return None


def covering(study: Study, offer: Offer) -> dict[str, tuple[str, ...]]:
    """Period -> periods in which a unit of the offer can start that is there through it; hourly: itself."""
    periods = spans(study)
    found = {}
    for t in periods:
        if offer.kind in HOURLY:
            starts = [t] if may_start(study, offer, t) else []
        else:
            able = [s for s in periods if may_start(study, offer, s)]
            starts = [s for s in able if covers(offer, s, t, len(periods) > 1)]
        if starts:
            found[t.name] = tuple(s.name for s in starts)
    return found


def contracts(study: Study, offers: Mapping[str, Offer]) -> dict[str, Any]:
    """What a problem says of contracts over time: starts, paid hours, factors on prices."""
    periods, prices = spans(study), {row.offer_id: row for row in study.prices}
    starts = {(b, t): names for b, offer in offers.items() for t, names in covering(study, offer).items()}
    paid, factors = {}, {}
    for b, offer in offers.items():
        for t in periods:
            months = t.months if offer.kind in HOURLY else paid_months(offer, t, study.horizon.months)
            paid[b, t.name] = study.hours_per_month * months
            price, then = prices[b].price_usd_per_machine_hour, price_in(study, offer, prices[b], t)
            if then != price and price:
                factors[b, t.name] = then / price
    return {"starts": starts, "paid_hours": paid, "price_factor": factors}


def held_machines(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held through a whole period [machines]."""
    there = (h.machines for h in study.holdings if h.pool == pool and through(h.from_day, h.until, period))
    return float(sum(there))


def claims_of(study: Study, pool: str, period: Span) -> tuple[tuple[float, float | None], ...]:
    """Machines of a pool that are lent on some day of a period, and seconds to reclaim them."""
    lent = (c for c in study.claims if c.pool == pool and touches(c.from_day, c.until, period))
    return tuple((float(c.machines), c.reclaim_seconds) for c in lent)


def limits_of(parts: Parts) -> tuple[Limit, ...]:
    """Quotas of the study, and the power of its sites."""

    def units(pool: str, unit: str) -> float:
        return 1.0 if unit == "machines" else parts.machine[parts.pools[pool].machine_type].quota_units.get(unit, 0.0)

    def power_kw(pool: str) -> float:
        return parts.machine[parts.pools[pool].machine_type].power_kw or 0.0

    quotas = [
        Limit(
            quota.name,
            quota.unit,
            {q: units(q, quota.unit) for q in parts.pools if any(fnmatchcase(q, p) for p in quota.pools)},
            quota.most,
            tuple(t.name for t in spans(parts.study) if touches(quota.from_day, quota.until, t))
            if quota.from_day or quota.until
            else None,
        )
        for quota in parts.study.policies.quotas
    ]
    power = []
    for site in parts.study.sites:
        here = {q: power_kw(q) for q in parts.pools if parts.pools[q].site == site.id}
        if site.power_kw is not None and here:
            power.append(Limit(f"power of {site.id}", "kW", here, site.power_kw))
    return (*quotas, *power)


def shares_of(parts: Parts) -> tuple[ShareLimit, ...]:
    """Limits on the share of requests that a component serves, with the placements behind it."""
    graph = dependency_graph(parts.study)
    shares = []
    for share in parts.study.policies.shares:
        value = availability(graph, {share.component: 1.0})
        through = frozenset(e for e in parts.placements if value[f"placement:{e}"] < 1)
        shares.append(ShareLimit(share.component, through, share.most_fraction))
    return tuple(shares)
