"""What a problem says of contracts: what can be bought when, what is held and lent, what limits it."""

from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from planner.problem.parts import Parts
from planner.problem.payments import build_out_payments, contract_payments, worth_factor, worth_usd
from planner.problem.problem import HOURLY, CapitalCap, Limit, ShareLimit, SpendYear
from planner.study.calendar import (
    Span,
    covers,
    earliest_day,
    is_there,
    may_be_ready,
    may_start,
    paid_months,
    period_at,
    price_in,
    spans,
    through,
    touches,
    usable_from,
)
from planner.study.dependencies import availability, dependency_graph
from planner.study.records.buildout import BuildOut
from planner.study.records.inventory import Offer
from planner.study.records.study import Study
from planner.units import MONTHS_PER_YEAR


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


def there(study: Study, offers: Mapping[str, Offer]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(b, t) -> periods in which a unit can start that is there on some day of t, where more than cover all of it."""
    periods, found = spans(study), {}
    for b, offer in offers.items():
        covered = covering(study, offer)
        able = [s for s in periods if offer.kind not in HOURLY and s.name in covered.get(s.name, ())]
        for t in periods:
            names = tuple(s.name for s in able if is_there(offer, s, t))
            if names and names != covered.get(t.name, ()):
                found[b, t.name] = names
    return found


def not_built(study: Study, phase: BuildOut) -> str | None:
    """Why a phase cannot be built within the horizon; None when it can."""
    if phase.never:
        return "never: the study leaves it out"
    if any(may_be_ready(study.today, phase, span) for span in spans(study)):
        return None
    day, last = usable_from(study.today, phase), spans(study)[-1].first_day
    if day > last:
        return f"clocks: {phase.lead_months.longest:g} months from {study.today} end on {day}, after {last}"
    return "start: no period begins between its clocks, decide_by and ready_in"


def build_outs(study: Study) -> dict[str, Any]:
    """What a problem says of build-outs, spend commitments and capital over time, beside `contracts`."""
    refused = {m.id: reason for m in study.build_outs if (reason := not_built(study, m)) is not None}
    able = tuple(m for m in sorted(study.build_outs, key=lambda m: m.id) if m.id not in refused)
    groups: dict[str, list[str]] = {}
    for m in able:
        if m.either_or is not None:
            groups.setdefault(m.either_or, []).append(m.id)
    return {
        "build_outs": tuple(m.id for m in able),
        "not_built": refused,
        "least_units": {m.id: float(m.least) for m in able if m.least},
        "either_or": tuple(tuple(group) for _, group in sorted(groups.items()) if len(group) > 1),
        "after": {m.id: m.after for m in able if m.after},
        "spend_years": tuple(_spend_years(study)),
        "capital_caps": tuple(
            CapitalCap(cap.name, cap.most_usd, _touched(study, cap.from_day, cap.until))
            for cap in study.policies.capital_limits
        ),
    }


def _touched(study: Study, first: date | None, last: date | None) -> tuple[str, ...]:
    return tuple(t.name for t in spans(study) if touches(first, last, t))


def _spend_years(study: Study) -> Iterator[SpendYear]:
    """The years of the spend commitments; a period belongs to the year in which its middle lies."""
    for k in study.spend_commitments:
        covered = [t for t in spans(study) if touches(k.from_day, k.until, t)]
        years: dict[int, list[Span]] = {}
        for t in covered:
            months = t.begins_months + t.months / 2 - covered[0].begins_months
            years.setdefault(int(months // MONTHS_PER_YEAR), []).append(t)
        offers = tuple(sorted(b.id for b in study.offers if any(fnmatchcase(b.id, p) for p in k.offers)))
        for year, periods in years.items():
            usd = k.usd_per_year * sum(t.months for t in periods) / MONTHS_PER_YEAR
            worth = worth_factor(study, periods[-1].ends_months)
            yield SpendYear(k.name, year + 1, usd, offers, tuple(t.name for t in periods), worth)


def payments_of(study: Study, offers: Mapping[str, Offer], p: Mapping[str, Any]) -> dict[str, Any]:
    """What a unit or module that starts in a period costs, by component; and its capital, by period of payment."""
    periods, prices = spans(study), {row.offer_id: row for row in study.prices}
    phases = {m.id: m for m in study.build_outs}
    start_usd: dict[str, dict[tuple[str, str], float]] = {}
    capital_usd: dict[str, dict[tuple[str, str], float]] = {}
    for (b, name), starts in p["starts"].items():
        if name not in starts or (b in offers and offers[b].kind in HOURLY):
            continue
        start = next(t for t in periods if t.name == name)
        paid = (
            contract_payments(study, offers[b], prices[b], start)
            if b in offers
            else build_out_payments(study, phases[b], start)
        )
        for component, usd in worth_usd(study, paid).items():
            start_usd.setdefault(component, {})[b, name] = usd
        for payment in paid:
            if payment.component == "capital":
                into = capital_usd.setdefault(period_at(periods, payment.months).name, {})
                into[b, name] = into.get((b, name), 0.0) + payment.usd
    return {"start_usd": start_usd, "capital_usd": capital_usd}


def energy_of(parts: Parts) -> dict[tuple[str, str], float]:
    """(q, t) -> energy of a machine at a site that pays it apart [USD/h].

    Formula
        power_kw · draw_fraction · pue · usd_per_kwh, of the last price step that has begun
    """
    found = {}
    tariffs = {row.site: row for row in parts.study.electricity}
    for q, pool in parts.pools.items():
        if (tariff := tariffs.get(pool.site)) is None:
            continue
        kw = (parts.machine[pool.machine_type].power_kw or 0.0) * tariff.draw_fraction * tariff.pue
        for t in spans(parts.study):
            begun = [step for step in tariff.steps if step.from_day <= t.first_day]
            usd_per_kwh = max(begun, key=lambda step: step.from_day).usd_per_kwh if begun else tariff.usd_per_kwh
            found[q, t.name] = kw * usd_per_kwh
    return found


def contracts(study: Study, offers: Mapping[str, Offer]) -> dict[str, Any]:
    """What a problem says of contracts over time: starts, paid hours, factors on prices, payments."""
    periods, prices = spans(study), {row.offer_id: row for row in study.prices}
    starts = {(b, t): names for b, offer in offers.items() for t, names in covering(study, offer).items()}
    for m in study.build_outs:
        ready = [s for s in periods if may_be_ready(study.today, m, s)]
        for t in periods:
            if earlier := tuple(s.name for s in ready if s.begins_months <= t.begins_months):
                starts[m.id, t.name] = earlier
    paid, factors = {}, {}
    for b, offer in offers.items():
        for t in periods:
            months = t.months if offer.kind in HOURLY else paid_months(offer, t, study.horizon.months)
            paid[b, t.name] = study.hours_per_month * months
            price, then = prices[b].price_usd_per_machine_hour, price_in(study, offer, prices[b], t)
            if then != price and price:
                factors[b, t.name] = then / price
    found = {"starts": starts, "paid_hours": paid, "price_factor": factors, "there": there(study, offers)}
    return found | payments_of(study, offers, found)


def held_machines(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held through a whole period [machines]."""
    there = (h.machines for h in study.holdings if h.pool == pool and through(h.from_day, h.until, period))
    return float(sum(there))


def held_at_most(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held at the same time on some day of a period, at most: what limits look at."""
    days = {period.first_day} | {h.from_day for h in study.holdings if h.from_day is not None}
    here = [h for h in study.holdings if h.pool == pool]
    return float(
        max(
            sum(h.machines for h in here if (h.from_day or day) <= day <= (h.until or day))
            for day in days
            if period.first_day <= day <= period.last_day
        )
    )


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
            _touched(parts.study, quota.from_day, quota.until) if quota.from_day or quota.until else None,
        )
        for quota in parts.study.policies.quotas
    ]
    power = []
    for site in parts.study.sites:
        here = {q: power_kw(q) for q in parts.pools if parts.pools[q].site == site.id}
        phases = [m for m in parts.study.build_outs if m.site == site.id]
        if here and (site.power_kw is not None or phases):
            modules = {m.id: m.power_kw for m in phases if not_built(parts.study, m) is None}
            power.append(Limit(f"power of {site.id}", "kW", here, site.power_kw or 0.0, modules=modules))
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
