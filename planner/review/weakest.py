"""The assumptions that matter most: the weakest figures that goals and costs depend on, over all goals."""

from collections import defaultdict
from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.review.assumptions import EVIDENCE, Assumption, Figure, assumptions_of_goals
from planner.review.money import UNSURE
from planner.review.prices import price_rows
from planner.review.report import Column, Section, percent, short_failure, usd

MOST = 5


@dataclass(frozen=True)
class WeakFigure:
    """A figure that much depends on, and how it is known.

    Parameters
    ----------
    goals, of_goals : survival goals that depend on it, of those that there are
    share_fraction : of a tier's requests on it in the failure in which most are; of a price: of the cost of all
        orders; of salvage: of the capital that is paid
    failure : that failure; blank for prices and salvage
    decides : what is at stake where it is wrong
    """

    kind: str
    figure: str
    evidence: str
    error: str
    goals: int
    of_goals: int
    share_fraction: float
    failure: str
    decides: str

    @property
    def weakness(self) -> tuple[int, float]:
        """What is compared: the evidence, then the share."""
        return EVIDENCE.index(self.evidence), self.share_fraction


def weakest_figures(plan: Plan) -> list[WeakFigure]:
    """The weakest figure of each kind that goals and prices depend on, then the weakest of all others."""
    ranked = sorted([*_of_goals(plan), *_of_prices(plan), *_of_salvage(plan)], key=_weakest_first)
    first_of_kind = list({row.kind: row for row in reversed(ranked)}.values())
    others = [row for row in ranked if row not in first_of_kind]
    chosen = [*sorted(first_of_kind, key=_weakest_first), *others][:MOST]
    return sorted(chosen, key=_weakest_first)


def _weakest_first(row: WeakFigure) -> tuple[float, float, str, str]:
    evidence, share = row.weakness
    return -evidence, -share, row.kind, row.figure


def _of_goals(plan: Plan) -> list[WeakFigure]:
    of_goals = assumptions_of_goals(plan)
    of_figure: dict[Figure, list[Assumption]] = defaultdict(list)
    for assumptions in of_goals:
        for assumption in assumptions:
            of_figure[assumption.figure].append(assumption)
    rows = []
    for figure, assumptions_of_it in of_figure.items():
        worst = max(assumptions_of_it, key=lambda a: (a.figure_fraction, a.failure))
        goals = len({(a.tier, a.goal) for a in assumptions_of_it})
        rows.append(
            WeakFigure(
                figure.kind,
                figure.name,
                figure.evidence,
                figure.error,
                goals,
                len(of_goals),
                worst.figure_fraction,
                worst.failure,
                f"whether {goals} of {len(of_goals)} goals hold",
            )
        )
    return rows


def _of_prices(plan: Plan) -> list[WeakFigure]:
    rows = []
    for row in price_rows(plan):
        if row.evidence in UNSURE and row.usd:
            error = "not stated"
            if row.low_usd_per_machine_hour is not None and row.high_usd_per_machine_hour is not None:
                error = f"{usd(row.low_usd_per_machine_hour)} to {usd(row.high_usd_per_machine_hour)} USD/h"
            decides = f"{usd(row.usd)} USD of the cost"
            rows.append(WeakFigure("price", row.offer, row.evidence, error, 0, 0, row.share_fraction, "", decides))
    return rows


def _of_salvage(plan: Plan) -> list[WeakFigure]:
    """What the cost is less for, though nobody has bid for it: assumed, as nothing says what it would be sold for."""
    book_usd = -plan.file.costs_usd.get("salvage", 0.0)
    if book_usd <= 0:
        return []
    share, decides = book_usd / plan.file.costs_usd["capital"], f"{usd(book_usd)} USD deducted from the cost"
    return [WeakFigure("salvage", "at book value", "assumed", "not stated", 0, 0, share, "", decides)]


def weakest_section(plan: Plan) -> Section:
    """WEAKEST ASSUMPTIONS: the five that matter most."""
    columns = (
        Column("figure", lambda row: f"{row.kind} {row.figure}"),
        Column("evidence"),
        Column("error"),
        Column("decides"),
        Column("share", lambda row: percent(row.share_fraction)),
        Column("when lost", lambda row: short_failure(row.failure)),
    )
    after = (
        "share: of a tier's requests on the figure, in the failure in which most are; of a price, of the cost of all "
        "orders; of salvage, of the capital paid; every goal's weakest figures stand under KEY ASSUMPTIONS",
        "demand is as the study states it; its assumptions stand under OUT OF SCOPE",
    )
    rows = weakest_figures(plan)
    lines = () if rows else ("none: no goal and no order depends on a figure that is estimated or assumed",)
    return Section("WEAKEST ASSUMPTIONS", lines, columns, rows, after, most=None, part="answer", when_all=True)
