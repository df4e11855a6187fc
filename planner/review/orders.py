"""What is signed and what is built, by when and at what cost."""

from dataclasses import dataclass
from datetime import date, timedelta

from planner.plan.in_hand import Plan
from planner.plan.orders import Order, PhaseOrder, QuotaOrder, latest_order_day
from planner.problem.problem import Problem
from planner.review.figures import Figure, million_usd, number
from planner.review.report import BROKEN, MOST_ROWS, Column, Section, Several, Severity, as_data, short_failure, usd
from planner.study.calendar import spans
from planner.study.records.study import Study
from planner.units import DAYS_PER_MONTH, HOURS_PER_DAY

MOST_INSTRUMENTS = 8


@dataclass(frozen=True)
class PriceEnds:
    """What the plan would cost at the low and high ends of the prices that state them.

    Parameters
    ----------
    with_range_usd : cost of the orders whose price has such ends
    low_usd, high_usd : by how much the cost would change, all prices at that end
    by_offer : offer (and period) -> its orders at the low and at the high end [USD over the horizon]
    """

    with_range_usd: float
    low_usd: float
    high_usd: float
    by_offer: dict[str, tuple[float, float]]


def price_ends_usd(plan: Plan) -> PriceEnds:
    """The orders at the ends of their prices; an end that is not stated is the price itself."""
    p, price_of = plan.problem, {price.offer_id: price for price in plan.study.prices}
    by_offer, middle = {}, 0.0
    for o in plan.orders:
        price = price_of[o.offer]
        at = price.price_usd_per_machine_hour
        low, high = price.low_usd_per_machine_hour, price.high_usd_per_machine_hour
        if low is None and high is None:
            continue
        paid = o.machines * at  # at the list price: a factor on it, of one's own or by date, is one on its ends, too
        hours = (o.usd - o.capital_usd) / paid if paid else sum(p.hours_in[t] for t in p.periods)
        middle += o.usd
        ends = (o.capital_usd + o.machines * (at if end is None else end) * hours for end in (low, high))
        by_offer[_named(o, p)] = (next(ends), next(ends))
    low_usd, high_usd = (sum(ends[i] for ends in by_offer.values()) - middle for i in (0, 1))
    return PriceEnds(middle, low_usd, high_usd, by_offer)


def _named(o: Order, p: Problem) -> str:
    """The offer of an order, with its period where there are several."""
    return o.offer if len(p.periods) == 1 else f"{o.offer} from {o.period}"


@dataclass(frozen=True)
class OrderRow(Order):
    """An order with its cost at the ends of its price, and what it binds beyond the horizon.

    Parameters
    ----------
    units_for_goals : of its units, those that the plan without survival goals has not then
    bound_until : its last day; None where that lies within the horizon
    beyond_horizon_usd : what is then still to be paid [USD]:
        USD per hour · hours per month · (term − horizon) [months]
    """

    units_for_goals: int
    low_usd: float
    high_usd: float
    bound_until: date | None
    beyond_horizon_usd: float


def order_rows(plan: Plan) -> list[OrderRow]:
    """Every order, as it is written in a review."""
    by_offer, rows = price_ends_usd(plan).by_offer, []
    for o in plan.orders:
        low, high = by_offer.get(_named(o, plan.problem), (o.usd, o.usd))
        until, beyond_usd = _beyond_horizon(plan.study, o)
        for_goals = o.units - o.units_without_goals
        rows.append(
            OrderRow(
                **vars(o),
                units_for_goals=for_goals,
                low_usd=low,
                high_usd=high,
                bound_until=until,
                beyond_horizon_usd=beyond_usd,
            )
        )
    return rows


def _beyond_horizon(study: Study, o: Order) -> tuple[date | None, float]:
    begins = next(span.begins_months for span in spans(study) if span.name == o.period)
    months = begins + o.term_months - study.horizon.months
    if months <= 0:
        return None, 0.0
    until = o.need + timedelta(days=round(o.term_months * DAYS_PER_MONTH) - 1)
    return until, o.usd_per_hour * study.hours_per_month * months


def due_text(order_by: date, days_late: int) -> Figure:
    """The day by which to order, and whether it has passed."""
    late = "LATE" if days_late else ""
    return Figure(f"{order_by} {late}".rstrip(), order_by, note=late)


def _of_all(units: int, of: int) -> Figure:
    """How many of the units that another column has."""
    return Figure(f"{units} of {of}", units)


def late_severity(o: Order | PhaseOrder | QuotaOrder) -> Severity | None:
    """How grave the day is by which to order: broken where that has passed."""
    return BROKEN if o.days_late else None


def _why_due(need: str, lead: str, plan: Plan, is_late: bool, column: str = "order by") -> str:
    late = "; LATE: that day has passed, the slack is used up" if is_late else ""
    return f"{column} = need ({need}) − {lead} − slack ({plan.study.order_slack_days:g} days){late}"


def _no_regret(cases: int | None, least: int | None) -> str | None:
    return None if cases is None else f"{cases} of 3, ≥ {least}"


def _chain_lines(o: OrderRow, offer: str, study: Study) -> list[str]:
    """The contracts that follow the first one of an order, when each is ordered, and what happens in between."""
    if not o.chain:
        return []
    paid = o.usd_per_hour * HOURS_PER_DAY * o.chain_days_beyond
    beyond = (
        f"; the last ends {o.chain_days_beyond} days later, {usd(paid)} USD that are in no cost here" if paid else ""
    )
    if len(o.chain) == 1:
        days = o.chain[0].days
        sold = f"{offer} of {o.pool}: sold for {days} days, {o.chain_days_beyond} more than counted, {usd(paid)} USD"
        return [f"{sold} that are in no cost here"] if paid else []
    later = []
    for contract in o.chain[1:]:
        earliest = f"{contract.order_from} to " if contract.order_from is not None else "by "
        ordered = f"ordered {earliest}{latest_order_day(study, contract)}"
        later.append(f"from {contract.first_day} for {contract.days} days, {ordered}")
    minutes = next(b.ended_minutes_early for b in study.offers if b.id == o.offer)
    ended = f"machines are ended {minutes:g} minutes before each end and load anew; " if minutes else ""
    return [
        f"{offer} of {o.pool}: {len(o.chain)} contracts one after the other, {o.chain[0].days} days, then "
        f"{'; '.join(later)}{beyond}",
        f"  {ended}nobody assures a renewal: planner drill PLAN --each renewal says what one that is refused breaks, a "
        "goal `any: renewal` survives it",
    ]


def _gaps_together(rows: list[OrderRow], study: Study) -> list[str]:
    """Chains whose machines are ended before the next contract begins on the same days: gaps that are certain."""
    is_ended_early = {offer.id: offer.ended_minutes_early > 0 for offer in study.offers}
    of_day: dict[date, dict[str, None]] = {}
    for o in rows:
        for contract in o.chain[1:] if is_ended_early[o.offer] else ():
            of_day.setdefault(contract.first_day, {})[o.offer] = None
    days_of: dict[tuple[str, ...], list[str]] = {}
    for day, offers in sorted(of_day.items()):
        if len(offers) > 1:
            days_of.setdefault(tuple(sorted(offers)), []).append(f"{day}")
    lines = []
    for together, days in days_of.items():
        lines.append(
            f"ended at the same time, before {', '.join(days)}: {', '.join(together)}; a goal `any: renewal` loses one "
            f"of them at a time, with `of: {len(together)}` as many; a shorter first contract moves the days of one"
        )
    return lines


def order_section(plan: Plan) -> Section:
    """What to sign, by when, at what cost, and what for."""
    study, several = plan.study, len(plan.problem.periods) > 1
    called = {offer.id: offer.offer for offer in study.offers}
    rows = order_rows(plan)
    columns = (
        Column("units"),
        Column("offer", lambda o: called[o.offer]),
        Column("pool"),
        Column("from", lambda o: o.period, when=several),
        Column("order by", lambda o: due_text(o.order_by, o.days_late), severity=late_severity),
        Column("USD", lambda o: million_usd(o.usd), adds=True),
        Column("for goals", lambda o: _of_all(o.units_for_goals, o.units)),
        Column("above all when lost", _paid_for),
        Column("no-regret", lambda o: _no_regret(o.no_regret_in, o.no_regret_units), when=bool(plan.file.no_regret)),
    )
    if not rows:
        return Section("ORDER", ("nothing: what is held is enough",), columns)
    need = "the first day of its period" if several else f"{study.horizon.start}"
    on_equal_terms = ", on equal terms" if plan.file.on_equal_terms is not None else ""
    after = [
        _why_due(need, "lead time", plan, any(o.days_late for o in rows)),
        f"for goals: not bought without survival goals{on_equal_terms}; above all when lost: the failure that pays "
        "most for it in the LP bound",
        "no-regret: how many of the low, base and high demand plans buy as much, and the least of the three"
        if plan.file.no_regret
        else "which orders are no-regret in low and high demand: planner plan --no-regret",
    ]
    for o in rows:
        if o.bound_until is not None:
            bound = f"{o.units} {called[o.offer]} of {o.pool} until {o.bound_until}"
            after.append(f"binds beyond the horizon: {bound}, {usd(o.beyond_horizon_usd)} USD that are in no cost here")
    for o in rows:
        if len(o.blocks) > 1:
            blocks = " + ".join(str(units) for units in o.blocks)
            after.append(f"{called[o.offer]} of {o.pool}: blocks of {blocks} units, the sizes that are sold at once")
    for o in rows:
        after += _chain_lines(o, called[o.offer], study)
    after += _gaps_together(rows, study)
    for offer, (low, high) in price_ends_usd(plan).by_offer.items():
        after.append(f"price of {offer} is known to a range: {usd(low)} to {usd(high)} USD over the horizon")
    type_of = {pool.id: pool.machine_type for pool in study.pools}
    instruments = sorted({f"{called[o.offer]} of {type_of[o.pool]}: {o.instrument}" for o in rows})
    contracts = Several(tuple(instruments), "more contracts", MOST_INSTRUMENTS)
    return Section("ORDER", (), columns, rows, (*after, contracts), most=2 * MOST_ROWS)


def _paid_for(o: Order) -> str:
    """The failure that pays most for what an order holds for goals."""
    return short_failure(o.reasons[0]) if o.units > o.units_without_goals and o.reasons else ""


def quota_section(plan: Plan) -> Section | None:
    """Increases of quotas that the plan counts on; no section where there is none."""
    rows = plan.quota_orders
    if not rows:
        return None
    columns = (
        Column("quota"),
        Column("unit"),
        Column("today", lambda o: number(o.most, ",.0f")),
        Column("ask for", lambda o: number(o.granted, ",.0f")),
        Column("used", lambda o: number(o.used, ",.0f")),
        Column("from", lambda o: o.period, when=len(plan.problem.periods) > 1),
        Column("ask by", lambda o: due_text(o.order_by, o.days_late), severity=late_severity),
        Column("chance", lambda o: Figure(f"{o.chance_fraction:.0%}", o.chance_fraction, "%")),
    )
    need = "the first day of its period" if len(plan.problem.periods) > 1 else f"{plan.study.horizon.start}"
    due = _why_due(need, "lead time", plan, any(o.days_late for o in rows), column="ask by")
    counted = (
        "the plan counts on each of them, whatever its chance (the study's own): one that is refused takes a part of "
        "its machines; what a plan costs without: leave `increases` out, and planner diff the two"
    )
    return Section("QUOTAS TO ASK FOR", (), columns, rows, (due, counted), most=None)


def build_section(plan: Plan) -> Section | None:
    """What is built, part by part, by when; no section where the study has no phases."""
    study, p, rows = plan.study, plan.problem, plan.phase_orders
    if not study.build_outs:
        return None
    chosen = {built.build_out for built in plan.file.builds}
    lines = []
    for m in study.build_outs:
        if m.id not in chosen and m.id not in p.not_built:
            lines.append(f"not built: {m.id}" + (f" (one of {m.either_or} at most)" if m.either_or is not None else ""))
    lines += [f"cannot be built: {m}: {why}" for m, why in sorted(p.not_built.items())]
    columns = (
        Column("modules"),
        Column("phase", lambda o: o.build_out),
        Column("usable from", lambda o: o.period),
        Column("part"),
        Column("order by", lambda o: due_text(o.order_by, o.days_late), severity=late_severity),
        Column("capital USD", lambda o: million_usd(o.usd), adds=True),
        Column("for goals", lambda o: _of_all(_for_goals(o), o.modules)),
        Column("no-regret", lambda o: _no_regret(o.no_regret_in, o.no_regret_modules), when=bool(plan.file.no_regret)),
    )
    if not rows:
        return Section("BUILD", ("nothing",), columns, after=tuple(lines))
    due = _why_due("first day of its period", "the part's lead time", plan, any(o.days_late for o in rows))
    data = [{**as_data(o), "modules_for_goals": _for_goals(o)} for o in rows]
    return Section("BUILD", (), columns, rows, (*lines, due), data, most=None)


def _for_goals(o: PhaseOrder) -> int:
    """Of the modules of a part, those that the plan without survival goals has not by then."""
    return o.modules - o.modules_without_goals
