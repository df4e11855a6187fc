"""What capacity there is and can be had: what is held and lent, what can be bought and built when, what limits it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from fnmatch import fnmatchcase

from planner.problem.money import build_out_payments, contract_payments, discount_factor, present_values_usd
from planner.problem.parts import Parts
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
from planner.study.records.inventory import Offer, power_limit_name, sold_in_all_name
from planner.study.records.study import Quota, Study
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
        return f"length: {offer.length_days or 0.0:g} days last through no whole period"
    return None


def covering(study: Study, offer: Offer) -> dict[str, tuple[str, ...]]:
    """Period -> periods in which a unit of the offer can start that lasts through it; hourly: itself."""
    periods = spans(study)
    able = [t for t in periods if may_start(study, offer, t)]
    if offer.kind in HOURLY:
        return {t.name: (t.name,) for t in able}
    vintages = {}
    for t in periods:
        if names := tuple(s.name for s in able if covers(offer, s, t, len(periods) > 1)):
            vintages[t.name] = names
    return vintages


def vintages_of(study: Study, offers: Mapping[str, Offer]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(b, t) -> periods in which a unit, or a module of a build-out, can start that lasts through t."""
    vintages = {(b, t): names for b, offer in offers.items() for t, names in covering(study, offer).items()}
    for m in study.build_outs:
        ready = [s for s in spans(study) if may_be_ready(study.today, m, s)]
        for t in spans(study):
            if names := tuple(s.name for s in ready if s.begins_months <= t.begins_months):
                vintages[m.id, t.name] = names
    return vintages


def vintages_on_some_day(study: Study, offers: Mapping[str, Offer]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(b, t) -> periods in which a unit can start that stands on some day of t; where more than last through it."""
    vintages = {}
    for b, offer in offers.items():
        if offer.kind in HOURLY:
            continue
        covered = covering(study, offer)
        able = [s for s in spans(study) if s.name in covered.get(s.name, ())]
        for t in spans(study):
            names = tuple(s.name for s in able if is_there(offer, s, t))
            if names and names != covered.get(t.name, ()):
                vintages[b, t.name] = names
    return vintages


def not_built(study: Study, phase: BuildOut) -> str | None:
    """Why a phase cannot be built within the horizon; None when it can."""
    if phase.never:
        return "never: the study leaves it out"
    if any(may_be_ready(study.today, phase, span) for span in spans(study)):
        return None
    day, last = usable_from(study.today, phase), spans(study)[-1].first_day
    if day > last:
        return f"lead time: {phase.lead_months.longest:g} months from {study.today} end on {day}, after {last}"
    return "start: no period begins between its lead time, decide_by and ready_in"


def phases_of(study: Study) -> tuple[list[BuildOut], dict[str, str]]:
    """Build-outs that can be built within the horizon, sorted, and why the others cannot."""
    refused = {m.id: reason for m in study.build_outs if (reason := not_built(study, m)) is not None}
    return [m for m in sorted(study.build_outs, key=lambda m: m.id) if m.id not in refused], refused


def either_or_of(phases: Iterable[BuildOut]) -> tuple[tuple[str, ...], ...]:
    """Build-outs of which one at most is built."""
    groups: dict[str, list[str]] = defaultdict(list)
    for m in phases:
        if m.either_or is not None:
            groups[m.either_or].append(m.id)
    return tuple(tuple(group) for _, group in sorted(groups.items()) if len(group) > 1)


def capital_caps_of(study: Study) -> tuple[CapitalCap, ...]:
    """Limits on the capital that is paid in some time."""
    caps = study.policies.capital_limits
    return tuple(CapitalCap(cap.name, cap.most_usd, _touched(study, cap.from_day, cap.until)) for cap in caps)


def _touched(study: Study, first: date | None, last: date | None) -> tuple[str, ...]:
    return tuple(t.name for t in spans(study) if touches(first, last, t))


def spend_years_of(study: Study) -> Iterator[SpendYear]:
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
            factor = discount_factor(study, periods[-1].ends_months)
            yield SpendYear(k.name, year + 1, usd, offers, tuple(t.name for t in periods), factor)


UsdByVintage = dict[str, dict[tuple[str, str], float]]


def unit_costs(
    study: Study, offers: Mapping[str, Offer], vintages: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[UsdByVintage, UsdByVintage]:
    """What a unit or module that starts in a period costs, by component; and its capital, by period of payment."""
    periods = spans(study)
    start_usd: UsdByVintage = defaultdict(dict)
    capital_usd: UsdByVintage = defaultdict(dict)
    for (b, name), names in vintages.items():
        if name not in names or (b in offers and offers[b].kind in HOURLY):
            continue
        start = next(t for t in periods if t.name == name)
        if b in offers:
            payments = contract_payments(study, offers[b], study.price_by_offer[b], start)
        else:
            payments = build_out_payments(study, study.build_out_by_id[b], start)
        for component, usd in present_values_usd(study, payments).items():
            start_usd[component][b, name] = usd
        for payment in payments:
            if payment.component == "capital":
                paid_in = capital_usd[period_at(periods, payment.months).name]
                paid_in[b, name] = paid_in.get((b, name), 0.0) + payment.usd
    return dict(start_usd), dict(capital_usd)


def energy_of(parts: Parts) -> dict[tuple[str, str], float]:
    """(q, t) -> energy of a machine at a site that pays it apart [USD/h].

    Formula
        power_kw · draw_fraction · pue · usd_per_kwh, of the last price step that has begun
    """
    usd_per_hour = {}
    tariffs = {row.site: row for row in parts.study.electricity}
    for q, pool in parts.pools.items():
        if (tariff := tariffs.get(pool.site)) is None:
            continue
        kw = (parts.machine[pool.machine_type].power_kw or 0.0) * tariff.draw_fraction * tariff.pue
        for t in spans(parts.study):
            begun = [step for step in tariff.steps if step.from_day <= t.first_day]
            usd_per_kwh = max(begun, key=lambda step: step.from_day).usd_per_kwh if begun else tariff.usd_per_kwh
            usd_per_hour[q, t.name] = kw * usd_per_kwh
    return usd_per_hour


def paid_hours_of(study: Study, offers: Mapping[str, Offer]) -> dict[tuple[str, str], float]:
    """(b, t) -> hours of the horizon that a unit started in t is paid for; hourly: hours of t [h]."""
    hours = {}
    for b, offer in offers.items():
        for t in spans(study):
            months = t.months if offer.kind in HOURLY else paid_months(offer, t, study.horizon.months)
            hours[b, t.name] = study.hours_per_month * months
    return hours


def price_factors_of(study: Study, offers: Mapping[str, Offer]) -> dict[tuple[str, str], float]:
    """(b, t) -> factor on the list price of what starts or is rented in t, where not 1."""
    factors = {}
    for b, offer in offers.items():
        price = study.price_by_offer[b]
        listed = price.price_usd_per_machine_hour
        for t in spans(study) if listed else ():
            usd = price_in(study, offer, price, t)
            if usd != listed:
                factors[b, t.name] = usd / listed
    return factors


def held_machines(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held through a whole period [machines]."""
    return float(sum(h.machines for h in study.holdings if h.pool == pool and through(h.from_day, h.until, period)))


def held_at_most(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held at the same time on some day of a period, at most: what limits look at."""
    holdings = [h for h in study.holdings if h.pool == pool]
    most = 0.0
    for day in {period.first_day, *(h.from_day for h in holdings if h.from_day is not None)}:
        if period.first_day <= day <= period.last_day:
            held = sum(h.machines for h in holdings if (h.from_day or day) <= day <= (h.until or day))
            most = max(most, float(held))
    return most


def claims_of(study: Study, pool: str, period: Span) -> tuple[tuple[float, float | None], ...]:
    """Machines of a pool that are lent on some day of a period, and seconds to reclaim them."""
    lent = (c for c in study.claims if c.pool == pool and touches(c.from_day, c.until, period))
    return tuple((float(c.machines), c.reclaim_seconds) for c in lent)


def limits_of(parts: Parts) -> tuple[Limit, ...]:
    """Quotas of the study, what providers sell one customer of a kind of offer, and the power of sites."""
    return (*_quotas(parts), *_sold_in_all(parts), *_powers(parts))


def _quotas(parts: Parts) -> Iterator[Limit]:
    for quota in parts.study.policies.quotas:
        units = {}
        for q, pool in parts.pools.items():
            if any(fnmatchcase(q, pattern) for pattern in quota.pools):
                machine = parts.machine[pool.machine_type]
                units[q] = 1.0 if quota.unit == "machines" else machine.quota_units.get(quota.unit, 0.0)
        always = quota.from_day is None and quota.until is None
        periods = None if always else _touched(parts.study, quota.from_day, quota.until)
        uncounted = frozenset(b.id for b in parts.study.offers if b.pool in units and not quota.takes(b.kind))
        yield Limit(
            quota.name,
            quota.unit,
            units,
            quota.most,
            periods,
            uncounted=uncounted,
            granted=_granted(parts.study, quota),
            counts_held=quota.takes("held"),
        )


def _granted(study: Study, quota: Quota) -> dict[str, float]:
    """Period -> limit in it, where an increase that is asked for today is granted before it begins."""
    granted: dict[str, float] = {}
    for increase in quota.increases:
        day = study.today + timedelta(days=math.ceil(increase.lead_days))
        for t in spans(study):
            if day <= t.first_day:
                granted[t.name] = max(increase.most, granted.get(t.name, 0.0))
    return granted


def _sold_in_all(parts: Parts) -> Iterator[Limit]:
    """What one customer has at once of a provider's offers of a kind [machines], the least that any of them states.

    Left out where all that these offers have is no more: it cannot bind.
    """
    offers_of: dict[tuple[str, str], list[Offer]] = defaultdict(list)
    for b in parts.study.offers:
        if b.pool in parts.pools:
            offers_of[parts.sites[parts.pools[b.pool].site].provider, b.kind].append(b)
    for (provider, kind), offers in sorted(offers_of.items()):
        stated = [b.most_machines_in_all for b in offers if b.most_machines_in_all is not None]
        on_market = sum(math.inf if b.most_units is None else b.most_units * b.machines_per_unit for b in offers)
        if not stated or on_market <= min(stated):
            continue
        counted, pools = {b.id for b in offers}, {b.pool for b in offers}
        others = frozenset(b.id for b in parts.study.offers if b.pool in pools and b.id not in counted)
        name = sold_in_all_name(provider, kind)
        yield Limit(
            name, "machines", dict.fromkeys(sorted(pools), 1.0), min(stated), uncounted=others, counts_held=False
        )


def _powers(parts: Parts) -> Iterator[Limit]:
    for site in parts.study.sites:
        pools = [pool for pool in parts.pools.values() if pool.site == site.id]
        phases = [m for m in parts.study.build_outs if m.site == site.id]
        if pools and (site.power_kw is not None or phases):
            power_kw = {pool.id: parts.machine[pool.machine_type].power_kw or 0.0 for pool in pools}
            modules = {m.id: m.power_kw for m in phases if not_built(parts.study, m) is None}
            yield Limit(power_limit_name(site.id), "kW", power_kw, site.power_kw or 0.0, modules=modules)


def shares_of(parts: Parts) -> tuple[ShareLimit, ...]:
    """Limits on the share of requests that a component serves, with the placements behind it."""
    graph = dependency_graph(parts.study)
    shares = []
    for share in parts.study.policies.shares:
        value = availability(graph, {share.component: 1.0})
        through = frozenset(e for e in parts.placements if value[f"placement:{e}"] < 1)
        shares.append(ShareLimit(share.component, through, share.most_fraction))
    return tuple(shares)
