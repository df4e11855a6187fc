"""The decision that a plan asks for: what to sign by when, what it costs, what it holds; and the dates it is due."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from planner.plan.in_hand import Plan
from planner.plan.orders import Order, latest_order_day
from planner.problem.problem import states
from planner.questions.near_figures import demand_that_holds
from planner.review.figures import Figure, number
from planner.review.redundancy import beyond_usd
from planner.review.report import AT_RISK, BROKEN, Column, Section, Severity, first_of, percent, short_failure, usd
from planner.review.served import HOLDS, GoalServed, goals_served
from planner.solve.search import is_proven
from planner.study.dependencies import NORMAL
from planner.study.renewals import chain_shares

NAMED = 3
"""Names that a detail holds at most."""
MOST_STATES = 200
"""States of which it is asked how much more demand holds: a page is there within two seconds."""
GROWTH_NOT_ASKED = "how much more demand holds is not asked here, of so many states: planner review PLAN --margins"


@dataclass(frozen=True)
class DecisionFigure:
    """A figure of the decision.

    Parameters
    ----------
    what : the same in every plan, so that two can stand side by side
    unit : of the figure: USD, orders, goals, cases, fraction
    detail : what it is made of
    severity : of what does not hold, cannot be covered, is late or not proven
    """

    what: str
    figure: float
    unit: str
    detail: str
    severity: Severity | None = None

    @property
    def text(self) -> Figure:
        """The figure with its unit."""
        if self.unit == "USD":
            return Figure(f"{usd(self.figure)} USD", self.figure, "USD")
        if self.unit == "fraction":
            return percent(self.figure, 2)
        unit = self.unit.removesuffix("s") if self.figure == 1 and not self.unit.startswith("of") else self.unit
        return number(self.figure, ",g", f" {unit}")


@dataclass(frozen=True)
class Deadline:
    """What has to be signed or asked for by one day.

    Parameters
    ----------
    orders : their number
    usd, usd_so_far : over the horizon, not discounted; of this day, and of this day and those before
    """

    order_by: date
    days_late: int
    orders: int
    usd: float
    usd_so_far: float
    what: tuple[str, ...]


@dataclass(frozen=True)
class _Due:
    """One thing to sign or to ask for."""

    order_by: date
    days_late: int
    usd: float
    what: str


def _due(plan: Plan) -> Iterator[_Due]:
    """Orders, parts of build-outs, and quotas to ask for."""
    called = {offer.id: offer.offer for offer in plan.study.offers}
    for o in plan.orders:
        what = f"{o.units} {called[o.offer]} of {o.pool}"
        if len(o.chain) > 1:
            yield from _each_contract(plan, o, what)
        else:
            yield _Due(o.order_by, o.days_late, o.usd, what)
    for part in plan.phase_orders:
        yield _Due(part.order_by, part.days_late, part.usd, f"{part.part} of {part.build_out}")
    for quota in plan.quota_orders:
        yield _Due(quota.order_by, quota.days_late, 0.0, f"quota {quota.quota}: {quota.granted:,.0f} {quota.unit}")


def _each_contract(plan: Plan, o: Order, what: str) -> Iterator[_Due]:
    """The contracts of a chain, each an order of its own, with what its days cost."""
    shares = chain_shares(o.chain, o.counted_until)
    yield _Due(o.order_by, o.days_late, shares[0] * o.usd, f"{what}, the first {o.chain[0].days} days")
    for contract, share in zip(o.chain[1:], shares[1:], strict=True):
        day = latest_order_day(plan.study, contract)
        late = max(0, (plan.study.today - day).days)
        last = f" to {contract.last_day}" if contract.days > 1 else ""
        yield _Due(day, late, share * o.usd, f"{what}, again from {contract.first_day}{last}")


def deadlines(plan: Plan) -> list[Deadline]:
    """Every day on which something is due, earliest first."""
    by_day: dict[date, list[_Due]] = {}
    for one in sorted(_due(plan), key=lambda due: due.order_by):
        by_day.setdefault(one.order_by, []).append(one)
    rows, so_far = [], 0.0
    for day, dues in by_day.items():
        of_day = sum(one.usd for one in dues)
        so_far += of_day
        names = tuple(one.what for one in dues)
        rows.append(Deadline(day, max(one.days_late for one in dues), len(dues), of_day, so_far, names))
    return rows


def decision_figures(plan: Plan) -> list[DecisionFigure]:
    """The decision in a few figures, the same ones of every plan."""
    study, proof, due = plan.study, plan.file.proof, deadlines(plan)
    months = study.horizon.months
    goals = goals_served(plan)
    held = [row for row in goals if row.verdict == HOLDS]
    others = [row for row in goals if row.verdict != HOLDS]
    late = AT_RISK if any(row.days_late for row in due) else None
    unproven = None if is_proven(proof.gap_fraction, proof.gap_asked_fraction) else AT_RISK
    uncoverable = len(plan.file.uncoverable)
    rows = [
        DecisionFigure("to sign", sum(row.orders for row in due), "orders", _when(due), late),
        DecisionFigure("committed in all", _committed_usd(plan), "USD", _committed(plan)),
        DecisionFigure("due at the first deadline", due[0].usd if due else 0.0, "USD", _first(due), late),
        DecisionFigure(
            "cost a month",
            proof.cost_usd / months,
            "USD",
            f"the mean of {months:g} months" if months != 1 else "the one month",
        ),
        DecisionFigure("cost over the horizon", proof.cost_usd, "USD", _proven(plan), unproven),
        DecisionFigure("goals held", len(held), f"of {len(goals)} goals", f"in all {proof.failures_tested} failures"),
        DecisionFigure("goals not held", len(others), "goals", _named(others), BROKEN if others else None),
        DecisionFigure("cannot be covered", uncoverable, "cases", _uncoverable(plan), AT_RISK if uncoverable else None),
    ]
    if _is_growth_asked(plan):
        rows.append(_growth(plan))
    redundancy = beyond_usd(plan.file, plan.file.on_equal_terms)
    if redundancy is not None:
        detail = "against the cheapest plan without survival goals, on equal terms"
        rows.append(DecisionFigure("redundancy", redundancy, "USD", f"{detail}{_share_of(redundancy, plan)}"))
    return rows


def _is_growth_asked(plan: Plan) -> bool:
    """Whether there are so few states that it is soon known how much more demand holds."""
    return sum(len(states(plan.problem, f)) for f in plan.problem.failures) <= MOST_STATES


def _growth(plan: Plan) -> DecisionFigure:
    """By how much all demand may grow for sure, cut to a hundredth of a percent."""
    near = demand_that_holds(plan)
    fraction = math.floor(1e4 * (near.guess - 1) + 1e-6) / 1e4
    when = "in normal operation" if near.failure == NORMAL else f"when {short_failure(near.failure)} is lost"
    first = f"first at risk {when}" if near.failure else "as far as is looked"
    detail = f"of all demand, with replicas as planned; {first}; what breaks a goal: planner review PLAN --margins"
    return DecisionFigure("demand may grow at least by", fraction, "fraction", detail)


def _when(due: list[Deadline]) -> str:
    if not due:
        return "nothing: what is held is enough"
    days = sorted({row.order_by for row in due})
    late = sum(row.orders for row in due if row.days_late)
    text = f"by {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}, on {len(days)} days"
    return text + (f"; LATE: {late}, their day has passed" if late else "")


def _committed_usd(plan: Plan) -> float:
    """What is owed once it is signed, used or not: all but what is paid by the hour [USD], not discounted."""
    bought = sum(o.usd for o in plan.orders if o.offer not in plan.problem.hourly)
    return bought + sum(part.usd for part in plan.phase_orders)


def _as_you_go_usd(plan: Plan) -> float:
    """What is paid by the hour, and ends when it is given back [USD], not discounted."""
    return sum(o.usd for o in plan.orders if o.offer in plan.problem.hourly)


def _committed(plan: Plan) -> str:
    built = sum(part.usd for part in plan.phase_orders)
    text = f"contracts {usd(_committed_usd(plan) - built)} USD"
    text += f", build-outs {usd(built)} USD" if built else ""
    as_you_go = _as_you_go_usd(plan)
    text += f"; besides, {usd(as_you_go)} USD by the hour, not committed" if as_you_go else ""
    return f"{text}; not discounted"


def _first(due: list[Deadline]) -> str:
    if not due:
        return "nothing is due"
    first = due[0]
    late = f", {first.days_late} days LATE" if first.days_late else ""
    return f"by {first.order_by}{late}: {first_of(first.what, NAMED)}"


def _proven(plan: Plan) -> str:
    proof = plan.file.proof
    prices = "your" if plan.study.price_book else "list"
    text = (
        f"at {prices} prices; no plan costs less than {usd(proof.bound_usd)} USD, gap {percent(proof.gap_fraction, 2)}"
    )
    if salvage := plan.file.costs_usd.get("salvage"):
        text += f"; {usd(-salvage)} USD of salvage deducted, on its first day"
    if not is_proven(proof.gap_fraction, proof.gap_asked_fraction):
        text += f" (NOT PROVEN: {percent(proof.gap_asked_fraction, 2)} was asked)"
    return text


def _named(goals: list[GoalServed]) -> str:
    names = [f"{row.tier}: {row.goal} ({row.verdict})" for row in goals]
    return first_of(names, NAMED) if names else "none"


def _uncoverable(plan: Plan) -> str:
    cases = [
        f"{row.workload} from {row.origin} when {short_failure(row.failure)} is lost, missing {row.missing}"
        for row in plan.file.uncoverable
    ]
    return first_of(cases, NAMED) if cases else "nothing that the goals ask for"


def _share_of(redundancy: float, plan: Plan) -> str:
    against = plan.file.proof.cost_usd - redundancy
    return f": +{percent(redundancy / against)}" if against > 0 else ""


def decision_section(plan: Plan) -> Section:
    """DECISION: what is asked of the reader, in a sentence and in figures."""
    due, cost = deadlines(plan), plan.file.proof.cost_usd
    figure = Column("figure", lambda row: row.text, severity=lambda row: row.severity)
    columns = (Column("what"), figure, Column("detail"))
    lines = (_sentence(plan, due, cost), *(() if _is_growth_asked(plan) else (GROWTH_NOT_ASKED,)))
    return Section(
        "DECISION",
        lines,
        columns,
        decision_figures(plan),
        most=None,
        part="answer",
        when_all=True,
    )


def _sentence(plan: Plan, due: list[Deadline], cost_usd: float) -> str:
    if not due:
        return "Nothing is to be signed: what is held is enough."
    first, orders = due[0], sum(row.orders for row in due)
    as_you_go, salvage = _as_you_go_usd(plan), -plan.file.costs_usd.get("salvage", 0.0)
    what = f"{'one order' if orders == 1 else f'{orders} orders'}: {usd(_committed_usd(plan))} USD committed"
    what += f" and {usd(as_you_go)} USD by the hour" if as_you_go else ""
    day = f"{first.order_by}{', which has passed' if first.days_late else ''}"
    by_when = f" by {day}"
    if len(due) > 1:
        first_ones = "the first" if first.orders == 1 else f"the first {first.orders}"
        by_when = f"; {first_ones}, {usd(first.usd)} USD, by {day}"
    elif orders > 1:
        by_when = f", all by {day}"
    after = f", after {usd(salvage)} USD of book value that remains at its end" if salvage > 0 else ""
    return f"Sign {what}{by_when}; the plan costs {usd(cost_usd)} USD over the horizon{after}."


def _day(row: Deadline) -> Figure:
    late = "LATE" if row.days_late else ""
    return Figure(f"{row.order_by} {late}".strip(), row.order_by, note=late)


def deadlines_section(plan: Plan) -> Section | None:
    """DUE BY DAY: what is due by which day; none where nothing is."""
    rows = deadlines(plan)
    if not rows:
        return None
    columns = (
        Column("order by", _day, severity=lambda row: AT_RISK if row.days_late else None),
        Column("orders", adds=True),
        Column("USD", lambda row: usd(row.usd), adds=True),
        Column("USD so far", lambda row: usd(row.usd_so_far)),
        Column("what", lambda row: "; ".join(row.what)),
    )
    after = (
        "orders, each contract of a chain, parts of build-outs and quotas; USD over the horizon, not discounted, also "
        "of what is paid by the hour",
    )
    return Section("DUE BY DAY", (), columns, rows, after, part="answer", when_all=True)


def uncoverable_section(plan: Plan) -> Section | None:
    """CANNOT BE COVERED: every case that no capacity helps; none where everything can be."""
    rows = plan.file.uncoverable
    if not rows:
        return None
    columns = (
        Column("when lost", lambda row: short_failure(row.failure)),
        Column("workload"),
        Column("origin"),
        Column("at most", lambda row: percent(row.coverable_fraction), severity=lambda row: AT_RISK),
        Column("missing"),
    )
    lines = ("the most that any capacity could serve then, where goals ask for more",)
    return Section("CANNOT BE COVERED", lines, columns, rows, part="answer", when_all=True)
