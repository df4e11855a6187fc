"""What is signed, by when, and which limits bind."""

from dataclasses import asdict

from planner.orders import Order
from planner.records.plan import PlanFile
from planner.review.report import MOST_ROWS, Section, short_failure, usd


def order_section(plan: PlanFile, bought: tuple[Order, ...], all_rows: bool) -> Section:
    """What to sign, by when, at what cost, and what for."""
    rows = []
    for o in bought:
        for_goals = o.units - o.units_without_goals
        rows.append(
            (
                o.units,
                o.offer.rpartition(":")[2],
                o.pool,
                f"{o.by}{' LATE' if o.days_late else ''}",
                f"{o.usd / 1e6:,.2f} M",
                f"{for_goals} of {o.units}",
                short_failure(o.reasons[0]) if for_goals and o.reasons else "",
                *(() if o.firm_in is None else (f"{o.firm_in} of 3, ≥ {o.firm_units}",)),
            )
        )
    kept = rows if all_rows else rows[: 2 * MOST_ROWS]
    columns = ["units", "offer", "pool", "by", "USD", "for goals", "above all when lost"]
    if plan.firm:
        columns.append("firm")
    study = plan.study
    after = [
        f"by = need ({study.horizon.start}) − lead time − slack ({study.order_slack_days:g} days)"
        + ("; LATE: that day has passed, the slack is used up" if any(o.days_late for o in bought) else ""),
        "for goals: not bought without survival goals; above all when lost: what pays most for it in the relaxation",
    ]
    if plan.firm:
        after.append("firm: how many of the low, base and high demand plans buy as much, and the least of the three")
    else:
        after.append("how firm each order is in low and high demand: planner plan --firm")
    after += sorted({f"{o.offer.rpartition(':')[2]} of {o.pool.rpartition('/')[2]}: {o.instrument}" for o in bought})[
        :8
    ]
    return Section(
        "ORDER",
        () if rows else ("nothing: what is held is enough",),
        tuple(columns),
        tuple(kept),
        len(rows) - len(kept),
        tuple(after) if rows else (),
        [asdict(o) for o in bought],
    )


def binds_section(plan: PlanFile) -> Section:
    """Limits that bind, with what one more unit of them is worth."""
    gap_usd = plan.proof.cost_usd - plan.proof.bound_usd
    rows = tuple(
        (
            b.limit,
            b.unit,
            usd(b.marginal_usd),
            usd(b.replanned_usd) if b.replanned_usd is not None else "not planned again",
        )
        for b in plan.binds[:MOST_ROWS]
    )
    lines = () if rows else ("no quota, stock or power limit binds",)
    after = (
        "saving of one more unit over the horizon in the relaxation (replicas divisible): a direction, not a quote",
        f"planned again (planner plan --value-limits N): true to within the gap, {usd(gap_usd)} USD here",
    )
    return Section(
        "BINDS",
        lines,
        ("limit", "unit", "USD per unit, relaxation", "planned again"),
        rows,
        max(0, len(plan.binds) - MOST_ROWS),
        after if rows else (),
        [b.model_dump() for b in plan.binds],
    )
