"""What it costs that something comes late, known now or known late.

*Known now*: the study with the longer clock is planned again, and everything may be chosen anew: the least that it can
cost. *Known late*: what was ordered by then stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from planner.errors import NoPlan, SolverError
from planner.plan.decisions import problem_of
from planner.plan.explain import Shortage
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.questions.bridge import purchased
from planner.questions.missing import Broken, broken_by
from planner.questions.slip import DELIVERY, Slip, later_phases
from planner.questions.whatif import Answer
from planner.solve.search import Effort, Infeasible, Progress
from planner.solve.solve import solve
from planner.study.calendar import Span, spans
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.units import after_months


@dataclass(frozen=True)
class Late:
    """What a slip costs when it is known only from some day on, and what was to be there by then stays as it is.

    Parameters
    ----------
    usd : cost of the plan that is changed from that day on, less the cost as it is; None: no such plan
    unsure : why it is not known whether there is one; empty: it is known
    """

    known_on: date
    usd: float | None
    least_usd: float
    most_usd: float
    unsure: str = ""


@dataclass(frozen=True)
class Slipped:
    """A slip with its answers.

    Parameters
    ----------
    bridging_usd : cost of the re-plan less the cost as it is, both over the horizon; None: no plan
    least_usd, most_usd : between these lies what the best possible plans differ by
    broken : by the plan as it stands
    why_not : why there is no re-plan
    late : the same when it is known late, where that was asked
    """

    slip: Slip
    bridging_usd: float | None
    least_usd: float
    most_usd: float
    broken: tuple[Broken, ...]
    why_not: str = ""
    late: Late | None = None

    @property
    def usd_per_month(self) -> float | None:
        """Value of a month: bridging cost / months in which it is missing within the horizon [USD/month]."""
        if self.bridging_usd is None or not self.slip.missing_months:
            return None
        return self.bridging_usd / self.slip.missing_months


def slipped(
    asked: Sequence[Slip],
    answers: Sequence[Answer],
    progress: Progress,
    late: Callable[[PlanFile, Slip], Late | None] = lambda plan, slip: None,
) -> tuple[Slipped, ...]:
    """The answers to slips: what the re-plans cost beyond the plan, and what the plan breaks as it stands.

    A phase or an offer that the plan has nothing of may be late for nothing: the plan stays one.

    Parameters
    ----------
    answers : the study as it is, then the variants of those slips that the plan has something of
    late : what a slip costs that is known late, as `known_late`
    """
    plan = answers[0].plan
    if plan is None:
        return ()
    planned = {answer.variant.key: answer for answer in answers[1:]}
    p = problem_of(plan)
    x = purchased(p, plan)
    tested: dict[object, Shortage | None] = {}
    found = []
    for n, slip in enumerate(asked):
        if slip.ready is None:
            found.append(Slipped(slip, 0.0, 0.0, 0.0, ()))
            continue
        progress("testing the plan as it stands", n / len(asked), slip.patch.name)
        broken = tuple(broken_by(plan, p, x, slip, tested))
        answer, known = planned[slip.variant.key], late(plan, slip)
        a, b = plan.proof, answer.plan.proof if answer.plan is not None else None
        if b is None:
            found.append(Slipped(slip, None, 0.0, 0.0, broken, answer.why_not, known))
        else:
            # what is known late could be done as well by who knows now: where the search found it cheaper, it counts
            cost_usd = min(b.cost_usd, *([a.cost_usd + known.usd] if known and known.usd is not None else [b.cost_usd]))
            least, most = b.bound_usd - a.cost_usd, cost_usd - a.bound_usd
            found.append(
                Slipped(slip, cost_usd - a.cost_usd, min(least, cost_usd - a.cost_usd), most, broken, "", known)
            )
    return tuple(found)


def known_late(plan: PlanFile, slip: Slip, known_on: date | None, effort: Effort, progress: Progress) -> Late | None:
    """What a slip costs when it is known only from a day on; None where nothing of it comes within the horizon.

    What had to be ordered before that day (for a phase: its longest part) is as in the plan, and nothing beside it. The
    late phase is built and paid all the same, and the machines for its site wait with it; all else may be chosen anew.

    Parameters
    ----------
    known_on : None: the day on which it should have been there
    """
    if slip.ready is None or slip.until is None:
        return None
    periods = {t.name: t for t in spans(plan.study)}
    ready, until = periods[slip.ready], periods[slip.until]
    day = known_on or ready.first_day
    study = _comes_late(plan, slip, until)
    p = build(study, plan.demand_case)
    x = purchased(p, plan)
    lead = {b.id: timedelta(days=b.lead_days) for b in study.offers}
    clock = {m.id: m.lead_months.longest for m in study.build_outs}
    waiting = {b for b in (*p.offers, *p.build_outs) if _waits(p, plan.study, b, slip)}
    ordered: dict[tuple[str, str], tuple[float, float]] = {}
    for b in (*p.offers, *p.build_outs):
        bought: Mapping[Any, Any] = x.rented if b in p.hourly else x.started
        for when in p.hours if b in p.hourly else p.periods:
            t = periods[p.period_of.get(when, when)]
            free = b in waiting and t.begins_months >= ready.begins_months
            asked = after_months(t.first_day, -clock[b]) if b in clock else t.first_day - lead[b]
            if asked < day and not free and (b in p.hourly or p.may_start(b, t.name)):
                ordered[b, when] = (float(bought[b, when]), float(bought[b, when]))
    if slip.clock == DELIVERY and slip.subject not in p.hourly:
        ordered[slip.subject, slip.until] = (float(x.started[slip.subject, slip.ready]), float("inf"))
    try:
        found = solve(replace(p, ordered=ordered), effort, None, progress, plan.proof.binding_failures)
    except Infeasible:
        return Late(day, None, 0.0, 0.0)
    except (NoPlan, SolverError) as error:
        return Late(day, None, 0.0, 0.0, str(error))
    a = plan.proof
    return Late(day, found.cost_usd - a.cost_usd, found.bound_usd - a.cost_usd, found.cost_usd - a.bound_usd)


def _comes_late(plan: PlanFile, slip: Slip, until: Span) -> Study:
    """The study in which the late phase must be built, from the period on in which it is there; or so for an offer."""
    study = plan.study
    if slip.clock == DELIVERY:
        late = {"starts_from": until.first_day}
        offers = tuple(b.model_copy(update=late) if b.id == slip.subject else b for b in study.offers)
        return study.model_copy(update={"offers": offers})
    units = sum(row.units for row in plan.builds if row.build_out == slip.subject)
    there = tuple(t.name for t in spans(study) if t.begins_months >= until.begins_months)
    others = later_phases(study, slip.subject, slip.clock, slip.months)
    phases = tuple(
        m.model_copy(update={"ready_in": there, "least": units}) if m.id == slip.subject else others.get(m.id, m)
        for m in study.build_outs
    )
    return study.model_copy(update={"build_outs": phases})


def _waits(p: Problem, study: Study, b: str, slip: Slip) -> bool:
    """Whether something waits with what is late: itself, and all that is bought for the site of a late phase."""
    if b == slip.subject:
        return True
    site = p.site_of[p.pool_of[b]] if b in p.pool_of else next(m.site for m in study.build_outs if m.id == b)
    return slip.clock != DELIVERY and site == slip.site
