"""What is paid and when: the MONEY of a review, and what is bought with its annuities."""

from collections.abc import Callable
from dataclasses import asdict

from planner.plan.cash import GIVEN, NO_CASH, Cash, cash_by_evidence
from planner.problem.money import capital_recovery_factor
from planner.problem.problem import Problem
from planner.problem.rules.costs import COSTS
from planner.review.report import MOST_ROWS, Cell, Section, percent, usd
from planner.study.records.plan import PlanFile
from planner.units import MONTHS_PER_YEAR

UNSURE = ("estimated", "assumed")
MILLION = 1e6


def spending_sections(plan: PlanFile, p: Problem, paid: Cash, all_rows: bool) -> tuple[Section, ...]:
    """Cash by period and its other views; none where all is rented and paid alike over one period."""
    study = plan.study
    if len(p.periods) == 1 and not study.build_outs and not study.money.discount_fraction_per_year:
        return ()
    return (_money(plan, p, paid), *_assets(paid, all_rows))


def _money(plan: PlanFile, p: Problem, paid: Cash) -> Section:
    """A row a period, a column for each component that is paid at all."""
    components = [
        cost.__name__ for cost in COSTS if cost.__name__ in paid.present_value_usd and cost.__name__ not in NO_CASH
    ]
    whole = [sum(paid.by_period[t].get(name, 0.0) for t in p.periods) for name in components]
    unit, shown = _scale(sum(whole))
    rows: list[tuple[Cell, ...]] = []
    for t in p.periods:
        here = [paid.by_period[t].get(name, 0.0) for name in components]
        rows.append((t, *map(shown, here), shown(sum(here)), shown(paid.annuity_by_period[t])))
    rows.append(("all", *map(shown, whole), shown(sum(whole)), shown(sum(paid.annuity_by_period.values()))))
    return Section(
        "MONEY",
        (*_totals(plan, paid, sum(whole)), *_limits(paid)),
        (unit, *(name.replace("_", " ") for name in components), "cash", "annuity"),
        tuple(rows),
        after=(
            "cash: when it is paid, not discounted; what is due before the horizon counts on its first day, and of an "
            "upfront payment its share within",
            "annuity: the same with each asset in equal payments over its life, from its first use on (ASSETS)",
            prices_text(paid),
        ),
        data=asdict(paid),
    )


def _totals(plan: PlanFile, paid: Cash, cash_usd: float) -> list[str]:
    """Cash against the plan's cost, as equal payments, by token and by MW."""
    study, rate = plan.study, plan.study.money.discount_fraction_per_year
    years, worth = study.horizon.months / MONTHS_PER_YEAR, paid.present_value_usd
    at = f" at {percent(rate, 1)} a year" if rate else ", not discounted"
    in_cash = sum(value for name, value in worth.items() if name not in NO_CASH)
    lines = [f"cash {usd(cash_usd)} USD over {study.horizon.months:g} months, on the first day {usd(in_cash)} USD{at}"]
    if worth.get("salvage"):
        lines.append(
            f"salvage {usd(-worth['salvage'])} USD, no cash: book value of what is left when the horizon ends, by the "
            "straight line (IAS 16, paragraph 62), on the first day"
        )
    elif plan.study.build_outs and study.money.salvage == "none":
        lines.append("salvage none: what is left when the horizon ends counts for nothing (money.salvage)")
    if worth.get("unserved_requests"):
        lines.append(
            f"unserved requests {usd(worth['unserved_requests'])} USD, no cash: at the tiers' cost of an outage"
        )
    if plan.costs_usd.get("outages"):
        lines.append(f"outages {usd(plan.costs_usd['outages'])} USD are in the cost and not here")
    factor = capital_recovery_factor(rate, years)
    lines.append(
        f"annuity {usd(paid.annuity_usd_per_year)} USD: the same at the end of each of {years:g} years "
        f"(capital recovery factor {factor:.4f})"
    )
    if paid.usd_per_million_tokens is not None:
        also = ", worth over worth on the first day" if rate else ""
        lines.append(
            f"{paid.usd_per_million_tokens:,.3f} USD per million tokens, input and output, of "
            f"{paid.million_tokens:,.0f} million served in normal operation{also}"
        )
    lines += [
        f"{row.site}: {row.mw_built:,.3g} MW built, {row.mw_years:,.3g} MW-years, {usd(row.usd_per_mw_year)} USD per "
        f"MW-year, {percent(row.machines_usd / (row.present_value_usd or 1.0))} of it machines; "
        "all that is paid for the site less salvage"
        for row in paid.sites
    ]
    return lines


def _limits(paid: Cash) -> list[str]:
    """Capital against its limits, and what was promised against what is spent."""
    promised = [
        f"promised {row.name}, year {row.year}: {usd(row.spent_usd)} of {usd(row.promised_usd)} USD spent"
        + (f", {usd(row.short_usd)} paid for nothing" if row.short_usd else "")
        for row in paid.promises
    ]
    return promised + [
        f"capital {row.name}: {usd(row.paid_usd)} of {usd(row.most_usd)} USD, {usd(row.most_usd - row.paid_usd)} left"
        + (f" ({row.periods[0]} to {row.periods[-1]})" if row.periods else " (in no period)")
        for row in paid.capital
    ]


def prices_text(paid: Cash) -> str:
    """How the prices of all cash in the plan are known, in one line: the same wherever it is told."""
    by_evidence = cash_by_evidence(paid)
    whole = sum(by_evidence.values())
    if not whole:
        return "prices: no cash is paid"
    parts = ", ".join(
        f"{percent(value / whole)} {name}{' by the study' if name == GIVEN else ''}"
        for name, value in sorted(by_evidence.items(), key=lambda part: (-part[1], part[0]))
    )
    unsure = sum(by_evidence.get(name, 0.0) for name in UNSURE)
    return f"prices: {parts} (share of all cash in the plan)" + ("; estimates are no quotes" if unsure else "")


def _assets(paid: Cash, all_rows: bool) -> tuple[Section, ...]:
    """What is bought, with its life and its annuity."""
    if not paid.assets:
        return ()
    unit, shown = _scale(sum(row.usd for row in paid.assets))
    rows = tuple(
        (
            row.units,
            row.item,
            row.asset.replace("_", "-"),
            row.used_from,
            shown(row.usd),
            f"{row.life_years:g}",
            shown(row.annuity_usd_per_year),
        )
        for row in sorted(paid.assets, key=lambda row: (row.used_months, row.site, row.item, row.paid_months))
    )
    most = len(rows) if all_rows else MOST_ROWS
    after = (
        "annuity: equal payments at the end of each year of its life that pay it back, with interest from its order on",
    )
    columns = ("units", "of", "asset", "used from", unit, "life, years", f"annuity, {unit}")
    return (Section("ASSETS", (), columns, rows[:most], max(0, len(rows) - most), after),)


def _scale(whole_usd: float) -> tuple[str, Callable[[float], str]]:
    """The unit of a table by its largest sum, and how a sum is written in it."""
    if abs(whole_usd) < 10 * MILLION:
        return "USD", lambda value: usd(value) if value else "0"
    return "M USD", lambda value: f"{value / MILLION:,.2f}" if value else "0"
