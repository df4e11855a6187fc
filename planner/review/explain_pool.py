"""Why a pool is used or not, in words and tables."""

from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.questions.explain_pool import LimitThere, OfferThere, PoolExplained, ProfileThere, ReachThere
from planner.questions.explain_prices import EntryPrice
from planner.review.report import Column, Section, first_of, made, percent, short_failure, usd

BREAK_EVEN_FRACTION = 1e-6
MOST_NAMED = 4
CONFIRMED = (
    "enters at: the price below which the LP bound buys it and above which it does not, all other prices as they are; "
    "confirmed by solving the bound again 0.1 % below and above it: machine-hours bought there"
)
DIVISIBLE = "the bound is that of divisible replicas over all failures: a plan of whole machines may differ by its gap"


@dataclass(frozen=True)
class OfferRow:
    """An offer of a pool with its price of entry; the fields are those of `OfferThere` and `EntryPrice`."""

    offer: str
    kind: str
    price_usd_per_machine_hour: float | None
    capital_usd_per_machine: float | None
    units: float
    refused: str
    least_counted_fraction: float
    use: str
    entry_usd_per_machine_hour: float | None
    beyond_fraction: float | None
    below_machine_hours: float | None
    above_machine_hours: float | None
    without_usd: float | None
    why: str
    is_confirmed: bool


def pool_sections(plan: Plan, explained: PoolExplained) -> tuple[Section, ...]:
    """Why a pool is used or not: the answer, its offers, profiles, reach and limits."""
    return made(
        _answer(plan, explained), _offers(explained), _profiles(explained), _reach(explained), _limits(explained)
    )


def _answer(plan: Plan, explained: PoolExplained) -> Section:
    lines = [_used(plan, explained), *obstacles(explained)]
    for offer in explained.offers:
        lines.append(f"{offer.offer}: {entry_text(offer)}")
    if not explained.offers:
        lines.append("nothing is offered there")
    if explained.is_used and explained.drivers:
        drivers = [short_failure(f) for f in explained.drivers]
        lines.append(f"paid for by: {first_of(drivers, MOST_NAMED)}, those that need it most first")
    lines += [f"policy: {text}" for text in explained.policies]
    return Section(f"POOL ({explained.pool})", tuple(lines))


def _used(plan: Plan, explained: PoolExplained) -> str:
    sent = sum(row.requests_per_second for row in explained.reach)
    all_sent = sum(plan.problem.demand_requests_per_second[w, o, explained.hour] for w, o in plan.problem.flows)
    machines = f"{explained.machines:g} machines ({explained.held_machines:g} held)"
    if not explained.is_used:
        return f"not used: {machines}, no replica runs there"
    if explained.replicas <= 0:
        return f"used: {machines}, no replica runs in normal operation; {_kept_for(explained)}"
    share = percent(sent / all_sent, 1) if all_sent > 0 else "none"
    return (
        f"used: {machines}, {explained.replicas:g} replicas; {sent:,.1f} requests/s in normal operation, {share} of all"
    )


def _kept_for(explained: PoolExplained) -> str:
    """What machines are for that nothing runs on in normal operation."""
    most = max(explained.reach, key=lambda row: row.most_in_failure_requests_per_second)
    if not most.when_lost:
        return "nothing is sent there in any state of this hour"
    return (
        f"kept for failures: {most.most_in_failure_requests_per_second:,.1f} requests/s of {most.workload} from "
        f"{most.origin} when {short_failure(most.when_lost)} is lost"
    )


def obstacles(explained: PoolExplained) -> list[str]:
    """What stands in the way of a pool beside prices, in words: profiles, reach, limits, offers, load times."""
    lines = []
    serving = [row for row in explained.profiles if not row.refused]
    if not explained.profiles:
        lines.append("memory, context: no model has a profile for its machines")
    elif not serving:
        lines.append(f"profiles: none may serve a workload there: {first_of(_reasons(explained), MOST_NAMED)}")
    elif len(serving) < len(explained.profiles):
        lines.append(f"profiles: {len(serving)} of {len(explained.profiles)} may serve there; refused: see PROFILES")
    near = {
        level: sum(row.in_reach == level for row in explained.reach) for level in ("always", "in failures", "never")
    }
    if near["never"] or near["in failures"]:
        lines.append(
            f"reach: {near['always']} of {len(explained.reach)} streams within the round trip of their tier, "
            f"{near['in failures']} more in failures only, {near['never']} never"
        )
    if explained.offers and all(offer.refused for offer in explained.offers):
        reasons = list(dict.fromkeys(offer.refused for offer in explained.offers))
        lines.append(f"offers: none can be bought: {first_of(reasons, MOST_NAMED)}")
    lines += [
        f"limit: nothing is free of {row.limit} ({row.used:g} of {row.most:g} {row.unit})" for row in _full(explained)
    ]
    if late := [row for row in serving if row.too_late_for]:
        slowest = max(late, key=lambda row: row.cold_start_seconds)
        deadlines = ", ".join(f"{c:g}" for c in slowest.too_late_for)
        when = f" when {short_failure(slowest.slowest_when)} is lost" if slowest.slowest_when else ""
        lines.append(
            f"load time: a cold start of {slowest.profile} runs after {slowest.cold_start_seconds:g} s{when}, too late "
            f"for deadlines of {deadlines} s: for these its replicas must run all along"
        )
    return lines


def _reasons(explained: PoolExplained) -> list[str]:
    return list(dict.fromkeys(row.refused for row in explained.profiles if row.refused))


def _full(explained: PoolExplained) -> list[LimitThere]:
    return [row for row in explained.limits if row.is_full]


def entry_text(offer: OfferThere) -> str:
    """From which price on an offer is bought, as people say it.

    A price of entry is that of the LP bound.
    """
    entry, price = offer.entry, offer.price_usd_per_machine_hour
    if offer.refused:
        return f"cannot be bought: {offer.refused}"
    if entry is None or price is None:
        return "no price of entry is known"
    if entry.use == "at any price":
        return f"{price:,.2f} USD/h; needed at any price: without it there is no plan"
    if entry.use == "at no price":
        why = ": nothing of it counts in failures" if offer.least_counted_fraction <= 0 else ""
        return f"{price:,.2f} USD/h; would not enter even at a hundredth of that: the bound is no lower with it{why}"
    if entry.use == "not worked out":
        return f"{price:,.2f} USD/h; price of entry not worked out: {entry.why}"
    text = _at_a_price(offer, entry, price)
    return text if entry.is_confirmed else f"{text} (not confirmed: solved again beside it, the bound says otherwise)"


def _at_a_price(offer: OfferThere, entry: EntryPrice, price: float) -> str:
    """Where an offer has a price of entry: how far it is from its own."""
    at, beyond = entry.entry_usd_per_machine_hour or 0.0, entry.beyond_fraction
    if offer.capital_usd_per_machine is not None or beyond is None:
        beside = " of upkeep, beside its capital" if offer.capital_usd_per_machine is not None else ""
        stays = "would stay" if entry.use == "bought" else "would enter"
        return f"{price:,.2f} USD/h{beside}; {stays} up to {at:,.2f} USD/h, all else as it is"
    if abs(beyond) <= BREAK_EVEN_FRACTION:
        return f"{price:,.2f} USD/h: breaks even at its price: the bound does as well with it as without"
    if entry.use == "bought":
        more = f"; without it the bound is {usd(entry.without_usd or 0.0)} USD higher"
        return f"{price:,.2f} USD/h; stays up to {at:,.2f} USD/h, {percent(beyond, 1)} above its price{more}"
    return f"would enter at {at:,.2f} USD/h, {percent(-beyond, 1)} below its price of {price:,.2f}"


def _row(offer: OfferThere) -> OfferRow:
    entry = offer.entry
    return OfferRow(
        offer.offer,
        offer.kind,
        offer.price_usd_per_machine_hour,
        offer.capital_usd_per_machine,
        offer.units,
        offer.refused,
        offer.least_counted_fraction,
        "" if entry is None else entry.use,
        None if entry is None else entry.entry_usd_per_machine_hour,
        None if entry is None else entry.beyond_fraction,
        None if entry is None else entry.below_machine_hours,
        None if entry is None else entry.above_machine_hours,
        None if entry is None else entry.without_usd,
        "" if entry is None else entry.why,
        entry is not None and entry.is_confirmed,
    )


def _offers(explained: PoolExplained) -> Section | None:
    rows = [_row(offer) for offer in explained.offers]
    if not rows:
        return None
    columns = (
        Column("offer"),
        Column("USD/h", lambda row: _price(row.price_usd_per_machine_hour)),
        Column("units bought", lambda row: f"{row.units:g}"),
        Column("enters at USD/h", lambda row: _price(row.entry_usd_per_machine_hour)),
        Column("against its price", _beyond),
        Column("hours below", lambda row: _hours(row.below_machine_hours)),
        Column("above", lambda row: _hours(row.above_machine_hours)),
        Column("counts in failures", lambda row: percent(row.least_counted_fraction)),
        Column("refused", when=any(row.refused for row in rows)),
    )
    return Section("OFFERS", (), columns, rows, (CONFIRMED, DIVISIBLE), most=None)


def _price(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _hours(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _beyond(row: OfferRow) -> str:
    """How far the entry is from the price; nothing where the price is upkeep beside capital."""
    if row.beyond_fraction is None or row.capital_usd_per_machine is not None:
        return ""
    return f"{100 * row.beyond_fraction:+.1f} %"


def _profiles(explained: PoolExplained) -> Section | None:
    if not explained.profiles:
        return None

    def deadlines(several: tuple[float, ...]) -> str:
        return ", ".join(f"{c:g}" for c in several)

    columns = (
        Column("profile"),
        Column("stack"),
        Column("serves", lambda row: f"{row.serves} ({row.serves_in_failure} in failures)"),
        Column("replicas", lambda row: f"{row.replicas:g}"),
        Column("context", lambda row: ", ".join(row.context_classes)),
        Column("memory GiB", lambda row: f"{row.most_needed_gib:,.0f} of {row.usable_gib:,.0f}"),
        Column("cold start s", lambda row: f"{row.cold_start_seconds:g}"),
        Column("in time for s", lambda row: deadlines(row.in_time_for)),
        Column("too late for s", lambda row: deadlines(row.too_late_for)),
        Column("refused", when=any(row.refused for row in explained.profiles)),
    )
    lines = (
        "serves: streams (workload and origin) that it may serve; memory: what a replica needs for the workload that "
        "needs most, of what it has; cold start: the first, from the failure's begin, started as soon as it can be, in "
        "the failure in which that takes longest",
    )
    rows = sorted(explained.profiles, key=_serving_first)
    return Section("PROFILES", lines, columns, rows)


def _serving_first(row: ProfileThere) -> tuple[bool, float, int, str]:
    return bool(row.refused), -row.replicas, -row.serves, row.profile


def _reach(explained: PoolExplained) -> Section:
    columns = (
        Column("workload"),
        Column("origin"),
        Column("round trip ms", lambda row: "not known" if row.round_trip_ms is None else f"{row.round_trip_ms:g}"),
        Column("how"),
        Column("limit", _limit),
        Column("in reach", lambda row: row.in_reach),
        Column("requests/s", lambda row: f"{row.requests_per_second:,.1f}"),
        Column("most in failures", lambda row: f"{row.most_in_failure_requests_per_second:,.1f}"),
        Column("when lost", lambda row: short_failure(row.when_lost)),
    )
    rows = sorted(explained.reach, key=_largest_first)
    return Section("REACH", (), columns, rows)


def _largest_first(row: ReachThere) -> tuple[float, float, str, str]:
    return -row.requests_per_second, -row.most_in_failure_requests_per_second, row.workload, row.origin


def _limit(row: ReachThere) -> str:
    if row.limit_ms is None:
        return "none"
    longer = row.limit_in_failure_ms
    return f"{row.limit_ms:g}" if longer is None else f"{row.limit_ms:g} ({longer:g} in failures)"


def _limits(explained: PoolExplained) -> Section | None:
    if not explained.limits:
        return None
    columns = (
        Column("limit"),
        Column("a machine takes", lambda row: f"{row.per_machine:g} {row.unit}"),
        Column("used", lambda row: f"{row.used:,.6g}"),
        Column("most", lambda row: f"{row.most:,.6g}"),
        Column("", lambda row: "nothing free" if row.is_full else ""),
    )
    return Section("QUOTAS AND POWER", (), columns, explained.limits)
