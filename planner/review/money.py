"""What is paid and when: the MONEY of a review, and what is bought with its annuities."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.plan.cash import GIVEN, NO_CASH, Asset, Cash, cash_by_evidence
from planner.plan.in_hand import Plan
from planner.problem.money import capital_recovery_factor
from planner.problem.rules.costs import COSTS
from planner.review.figures import Figure, number
from planner.review.report import Column, Section, as_data, percent, usd
from planner.units import MONTHS_PER_YEAR

UNSURE = ("estimated", "assumed")
MILLION = 1e6


@dataclass(frozen=True)
class Paid:
    """What is paid in a period, by component of the cost, and the same as annuities [USD]."""

    period: str
    by_component: dict[str, float]
    cash_usd: float
    annuity_usd: float


def _is_paid_over_time(plan: Plan) -> bool:
    """Whether there is more to say than one sum: several periods, what is built, or interest."""
    study = plan.study
    return len(plan.problem.periods) > 1 or bool(study.build_outs) or bool(study.money.discount_fraction_per_year)


def money_section(plan: Plan) -> Section | None:
    """Cash by period, a column for each component; none where all is rented and paid alike over one period."""
    if not _is_paid_over_time(plan):
        return None
    paid = plan.cash
    components = [
        cost.__name__ for cost in COSTS if cost.__name__ in paid.present_value_usd and cost.__name__ not in NO_CASH
    ]
    rows, total = [], dict.fromkeys(components, 0.0)
    for t in plan.problem.periods:
        in_period = {name: paid.by_period[t].get(name, 0.0) for name in components}
        rows.append(Paid(t, in_period, sum(in_period.values()), paid.annuity_by_period[t]))
        total = {name: total[name] + in_period[name] for name in components}
    rows.append(Paid("all", total, sum(total.values()), sum(paid.annuity_by_period.values())))
    cash_usd = sum(total.values())
    unit, written = _scale(cash_usd)

    def column(name: str) -> Column:
        return Column(name.replace("_", " "), lambda row: written(row.by_component[name]))

    return Section(
        "MONEY",
        (*_totals(plan, cash_usd), *_limits(paid)),
        (
            Column(unit, lambda row: row.period, spreadsheet_title="period"),
            *map(column, components),
            Column("cash", lambda row: written(row.cash_usd)),
            Column("annuity", lambda row: written(row.annuity_usd)),
        ),
        rows,
        (
            "cash: when it is paid, not discounted; what is due before the horizon counts on its first day, and of an "
            "upfront payment its share within",
            "annuity: the same with each asset in equal payments over its life, from its first use on (ASSETS)",
            prices_text(paid),
        ),
        data={**as_data(paid), "rows": rows},
        most=None,
        total=rows[-1],
    )


def _totals(plan: Plan, cash_usd: float) -> list[str]:
    """Cash against the plan's cost, as equal payments, by token and by MW."""
    study, paid, rate = plan.study, plan.cash, plan.study.money.discount_fraction_per_year
    years, present_usd = study.horizon.months / MONTHS_PER_YEAR, paid.present_value_usd
    at = f" at {percent(rate, 1)} a year" if rate else ", not discounted"
    in_cash = sum(value for name, value in present_usd.items() if name not in NO_CASH)
    lines = [f"cash {usd(cash_usd)} USD over {study.horizon.months:g} months, on the first day {usd(in_cash)} USD{at}"]
    if present_usd.get("salvage"):
        lines.append(
            f"salvage {usd(-present_usd['salvage'])} USD, no cash: book value of what remains when the horizon ends, "
            "by the straight line (IAS 16, paragraph 62), on the first day"
        )
    elif study.build_outs and study.money.salvage == "none":
        lines.append("salvage none: what remains when the horizon ends counts for nothing (money.salvage)")
    if present_usd.get("unserved_requests"):
        lines.append(
            f"unserved requests {usd(present_usd['unserved_requests'])} USD, no cash: at the tiers' cost of an outage"
        )
    if plan.file.costs_usd.get("outages"):
        lines.append(f"outages {usd(plan.file.costs_usd['outages'])} USD are in the cost and not here")
    factor = capital_recovery_factor(rate, years)
    lines.append(
        f"annuity {usd(paid.annuity_usd_per_year)} USD: the same at the end of each of {years:g} years "
        f"(capital recovery factor {factor:.4f})"
    )
    if paid.usd_per_million_tokens is not None:
        also = ", present value over present value on the first day" if rate else ""
        lines.append(
            f"{paid.usd_per_million_tokens:,.3f} USD per million tokens, input and output, of "
            f"{paid.million_tokens:,.0f} million served in normal operation{also}"
        )
    lines += [
        f"{row.site}: {row.mw_built:,.3g} MW built, {row.mw_years:,.3g} MW-years, {usd(row.usd_per_mw_year)} USD per "
        f"MW-year, {percent(row.machines_usd / row.present_value_usd if row.present_value_usd else 0.0)} of it "
        "machines; all that is paid for the site less salvage"
        for row in paid.sites
    ]
    return lines


def _limits(paid: Cash) -> list[str]:
    """Capital against its limits, and what was promised against what is spent."""
    lines = []
    for row in paid.promises:
        line = f"promised {row.name}, year {row.year}: {usd(row.spent_usd)} of {usd(row.promised_usd)} USD spent"
        lines.append(line + (f", {usd(row.short_usd)} paid for nothing" if row.short_usd else ""))
    for capital in paid.capital:
        periods = f"{capital.periods[0]} to {capital.periods[-1]}" if capital.periods else "in no period"
        paid_text = f"{usd(capital.paid_usd)} of {usd(capital.most_usd)} USD"
        remaining = usd(capital.most_usd - capital.paid_usd)
        lines.append(f"capital {capital.name}: {paid_text}, {remaining} remaining ({periods})")
    return lines


def prices_text(paid: Cash) -> str:
    """How the prices of all cash in the plan are known, in one line: the same wherever it stands."""
    by_evidence = cash_by_evidence(paid)
    total_usd = sum(by_evidence.values())
    if not total_usd:
        return "prices: no cash is paid"
    parts = ", ".join(
        f"{percent(value / total_usd)} {name}{' by the study' if name == GIVEN else ''}"
        for name, value in sorted(by_evidence.items(), key=lambda part: (-part[1], part[0]))
    )
    unsure = sum(by_evidence.get(name, 0.0) for name in UNSURE)
    return f"prices: {parts} (share of all cash in the plan)" + ("; estimates are no quotes" if unsure else "")


def assets_section(plan: Plan) -> Section | None:
    """What is bought, with its life and its annuity."""
    if not plan.cash.assets or not _is_paid_over_time(plan):
        return None
    rows = sorted(plan.cash.assets, key=_order_of_use)
    unit, written = _scale(sum(row.usd for row in rows))
    columns = (
        Column("units"),
        Column("of", lambda row: row.item),
        Column("asset", lambda row: row.asset.replace("_", "-")),
        Column("used from"),
        Column(unit, lambda row: written(row.usd), adds=True),
        Column("life, years", lambda row: number(row.life_years, "g")),
        Column(f"annuity, {unit}", lambda row: written(row.annuity_usd_per_year), adds=True),
    )
    after = (
        "annuity: equal payments at the end of each year of its life that pay it back, with interest from its order on",
    )
    return Section("ASSETS", (), columns, rows, after)


def _order_of_use(row: Asset) -> tuple[float, str, str, float]:
    return row.used_months, row.site, row.item, row.paid_months


def _scale(largest_usd: float) -> tuple[str, Callable[[float], str]]:
    """The unit of a table by its largest sum, and how a sum is written in it."""
    if abs(largest_usd) < 10 * MILLION:
        return "USD", lambda value: usd(value) if value else Figure("0", 0.0, "USD")
    return "M USD", lambda value: Figure(f"{value / MILLION:,.2f}" if value else "0", value, "USD")
