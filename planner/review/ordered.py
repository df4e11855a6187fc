"""What is signed, by when, and which limits bind."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from planner.plan.orders import Order, phase_orders
from planner.problem.problem import Problem
from planner.review.report import MOST_ROWS, Section, short_failure, usd
from planner.study.calendar import spans
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.units import DAYS_PER_MONTH

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


def price_ends_usd(plan: PlanFile, p: Problem, bought: tuple[Order, ...]) -> PriceEnds:
    """The orders at the ends of their prices; an end that is not stated is the price itself."""
    price_of = {price.offer_id: price for price in plan.study.prices}
    by_offer, middle = {}, 0.0
    for o in bought:
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


def beyond_horizon(study: Study, bought: tuple[Order, ...]) -> list[tuple[Order, date, float]]:
    """Orders that bind for longer than the horizon: until when, and what is then still to be paid [USD].

    Formula
        USD per hour · hours per month · (term − horizon) [months]
    """
    found = []
    for o in bought:
        begins = next(span.begins_months for span in spans(study) if span.name == o.period)
        months = begins + o.term_months - study.horizon.months
        if months > 0:
            until = o.need + timedelta(days=round(o.term_months * DAYS_PER_MONTH) - 1)
            found.append((o, until, o.usd_per_hour * study.hours_per_month * months))
    return found


def _alike(plan: PlanFile) -> str:
    return ", on equal terms" if plan.on_equal_terms is not None else ""


def order_section(plan: PlanFile, p: Problem, bought: tuple[Order, ...], all_rows: bool) -> Section:
    """What to sign, by when, at what cost, and what for."""
    rows, several = [], len(p.periods) > 1
    called = {offer.id: offer.offer for offer in plan.study.offers}
    for o in bought:
        for_goals = o.units - o.units_without_goals
        rows.append(
            (
                o.units,
                called[o.offer],
                o.pool,
                *((o.period,) if several else ()),
                f"{o.by}{' LATE' if o.days_late else ''}",
                f"{o.usd / 1e6:,.2f} M",
                f"{for_goals} of {o.units}",
                short_failure(o.reasons[0]) if for_goals and o.reasons else "",
                *(() if o.no_regret_in is None else (f"{o.no_regret_in} of 3, ≥ {o.no_regret_units}",)),
            )
        )
    kept = rows if all_rows else rows[: 2 * MOST_ROWS]
    columns = ["units", "offer", "pool", "by", "USD", "for goals", "above all when lost"]
    if several:
        columns.insert(columns.index("by"), "from")
    if plan.no_regret:
        columns.append("no_regret")
    study = plan.study
    need = "the first day of its period" if several else f"{study.horizon.start}"
    after = [
        f"by = need ({need}) − lead time − slack ({study.order_slack_days:g} days)"
        + ("; LATE: that day has passed, the slack is used up" if any(o.days_late for o in bought) else ""),
        f"for goals: not bought without survival goals{_alike(plan)}; above all when lost: what pays most for it in "
        "the relaxation",
    ]
    if plan.no_regret:
        after.append("firm: how many of the low, base and high demand plans buy as much, and the least of the three")
    else:
        after.append("which orders are no-regret in low and high demand: planner plan --no-regret")
    later = beyond_horizon(study, bought)
    after += [
        f"binds beyond the horizon: {o.units} {called[o.offer]} of {o.pool} until {until}, "
        f"{usd(value)} USD that are in no cost here"
        for o, until, value in later
    ]
    after += [
        f"{called[o.offer]} of {o.pool}: blocks of {' + '.join(str(units) for units in o.blocks)} units, the"
        " sizes that are sold at once"
        for o in bought
        if len(o.blocks) > 1
    ]
    ends = price_ends_usd(plan, p, bought)
    after += [
        f"price of {offer} is known to a range: {usd(low)} to {usd(high)} USD over the horizon"
        for offer, (low, high) in ends.by_offer.items()
    ]
    type_of = {pool.id: pool.machine_type for pool in plan.study.pools}
    instruments = sorted({f"{called[o.offer]} of {type_of[o.pool]}: {o.instrument}" for o in bought})
    after += instruments if all_rows else instruments[:MOST_INSTRUMENTS]
    if len(instruments) > MOST_INSTRUMENTS and not all_rows:
        after.append(f"... and {len(instruments) - MOST_INSTRUMENTS} more contracts: --all")
    return Section(
        "ORDER",
        () if rows else ("nothing: what is held is enough",),
        tuple(columns),
        tuple(kept),
        len(rows) - len(kept),
        tuple(after) if rows else (),
        [_as_data(o, _named(o, p), later, ends) for o in bought],
    )


def build_section(plan: PlanFile, p: Problem) -> tuple[Section, ...]:
    """What is built, part by part, by when; no section where the study has no phases."""
    if not plan.study.build_outs:
        return ()
    asked = phase_orders(plan, p)
    rows = tuple(
        (
            o.modules,
            o.build_out,
            o.period,
            o.part,
            f"{o.by}{' LATE' if o.days_late else ''}",
            f"{o.usd / 1e6:,.2f} M",
            f"{o.modules - o.modules_without_goals} of {o.modules}",
            *(() if o.no_regret_in is None else (f"{o.no_regret_in} of 3, ≥ {o.no_regret_modules}",)),
        )
        for o in asked
    )
    chosen = {built.build_out for built in plan.builds}
    left = [
        f"not built: {m.id}" + (f" (one of {m.either_or} at most)" if m.either_or is not None else "")
        for m in plan.study.build_outs
        if m.id not in chosen and m.id not in p.not_built
    ]
    left += [f"cannot be built: {m}: {why}" for m, why in sorted(p.not_built.items())]
    columns = ("modules", "phase", "usable from", "part", "order by", "capital USD", "for goals")
    after = (
        f"order by = need (first day of its period) − the part's clock − slack ({plan.study.order_slack_days:g} days)"
        + ("; LATE: that day has passed, the slack is used up" if any(o.days_late for o in asked) else ""),
    )
    return (
        Section(
            "BUILD",
            () if rows else ("nothing",),
            (*columns, "no_regret") if plan.no_regret else columns,
            rows,
            0,
            (*left, *after) if rows else tuple(left),
            [asdict(o) for o in asked],
        ),
    )


def _as_data(o: Order, name: str, later: list[tuple[Order, date, float]], ends: PriceEnds) -> dict[str, Any]:
    """An order with what it costs at the ends of its price and beyond the horizon, for JSON."""
    low, high = ends.by_offer.get(name, (o.usd, o.usd))
    until, beyond = next(((day, value) for other, day, value in later if other is o), (None, 0.0))
    more = {"low_usd": low, "high_usd": high, "bound_until": until, "beyond_horizon_usd": beyond}
    return {**asdict(o), **more}


def bottlenecks_section(plan: PlanFile) -> Section:
    """Limits that bind, with what a machine's worth more of them saves."""
    gap_usd = plan.proof.cost_usd - plan.proof.bound_usd
    rows = tuple(
        (
            b.limit,
            f"{b.step or 1.0:g} {b.unit}",
            usd(b.marginal_usd * (b.step or 1.0)) if b.step else f"{usd(b.marginal_usd)}, LP only",
            usd(b.replanned_usd) if b.replanned_usd is not None else "not planned again",
        )
        for b in plan.bottlenecks[:MOST_ROWS]
    )
    lines = () if rows else ("no quota, stock or power limit binds by which more of it would save anything",)
    after = (
        "more of it: of a quota or power a whole machine's worth, of an offer a unit; LP: what the relaxation "
        "(replicas divisible) saves with so much more, solved again over the failures that entered: at most that",
        *(("LP only: its dual, for less than a machine: a direction, confirmed by nothing",) if _duals(plan) else ()),
        f"planned again (planner plan --value-limits N): true to within the gap, {usd(gap_usd)} USD here",
    )
    return Section(
        "BINDS",
        lines,
        ("limit", "more of it", "LP saves USD", "planned again saves USD"),
        rows,
        max(0, len(plan.bottlenecks) - MOST_ROWS),
        after if rows else (),
        [b.model_dump() for b in plan.bottlenecks],
    )


def _duals(plan: PlanFile) -> bool:
    """Whether something is shown that no finite difference confirms."""
    return any(b.step is None for b in plan.bottlenecks[:MOST_ROWS])
