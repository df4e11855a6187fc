"""Which limits bind, and what more of them would save."""

from planner.plan.in_hand import Plan
from planner.review.figures import Figure
from planner.review.report import Column, Section, as_data, usd
from planner.study.records.plan import Bottleneck


def bottlenecks_section(plan: Plan) -> Section:
    """Limits that bind, with what a machine's worth more of them saves."""
    proof, rows = plan.file.proof, plan.file.bottlenecks
    columns = (
        Column("limit"),
        Column("more of it", lambda b: Figure(f"{_more(b):g} {b.unit}", _more(b), measured_in=b.unit)),
        Column("LP bound saves USD", _saved_at_most),
        Column(
            "planned again saves USD",
            lambda b: usd(b.replanned_usd) if b.replanned_usd is not None else "not planned again",
        ),
    )
    if not rows:
        lines = ("no quota, stock or power limit binds by which more of it would save anything",)
        return Section("BOTTLENECKS (shadow prices)", lines, columns)
    after = [
        "more of it: of a quota or power a whole machine's worth, of an offer a unit; LP bound: what the plan with "
        "divisible replicas saves with so much more, solved again over the binding failures: at most that",
        "planned again (planner plan --value-limits N): true to within the gap, "
        f"{usd(proof.cost_usd - proof.bound_usd)} USD here",
    ]
    if any(b.step is None for b in rows):
        after.insert(1, "dual only: a shadow price for less than a machine: a direction, confirmed by nothing")
    data = [
        {
            **as_data(b),
            "marginal_usd_is": f"USD over the horizon per {b.unit}",
            "more": _more(b),
            "saves_at_most_usd": _saved_at_most(b).value,
        }
        for b in rows
    ]
    return Section("BOTTLENECKS (shadow prices)", (), columns, rows, tuple(after), data)


def _more(b: Bottleneck) -> float:
    """How much more of a limit is asked about, by its unit."""
    return b.step or 1.0


def _saved_at_most(b: Bottleneck) -> Figure:
    """What a step more saves by the relaxation; where no step is known, what the first bit more does, by the unit."""
    if b.step:
        return usd(b.marginal_usd * b.step)
    return Figure(f"{usd(b.marginal_usd)}, dual only", b.marginal_usd, "USD", note="dual only")
