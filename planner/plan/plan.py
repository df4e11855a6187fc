"""From a study to its plan: solved with and without survival goals, with what binds and what is no-regret."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from planner import __version__
from planner.errors import NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.alternative import decided
from planner.plan.decisions import (
    builds_of,
    costs_usd,
    decisions_of,
    gap_fraction,
    problem_of,
    purchases_of,
    uncoverable,
    units_by_period,
    without_survival_goals,
)
from planner.plan.file import is_sealed, sealed, sha256
from planner.plan.in_hand import Plan, in_hand
from planner.problem.build import build
from planner.problem.decisions import Decisions
from planner.problem.failures import uncounted_at_most
from planner.problem.problem import Problem
from planner.solve.search import Effort, Progress, Solution, is_proven
from planner.solve.similar_plan import SimilarProblem
from planner.solve.solve import solve
from planner.solve.stages import BUILDING, WRITING, part, stage
from planner.study.records.inventory import power_limit_name, sold_in_all_name
from planner.study.records.plan import (
    Bottleneck,
    Built,
    NoRegret,
    OnEqualTerms,
    PlanFile,
    Proof,
    Purchase,
    ReSolved,
    WithoutGoals,
)
from planner.study.records.study import Quota, Study

Case = Literal["base", "low", "high"]
SHORT_SOLVE_FRACTION, RE_SOLVED_FRACTION = 0.2, 0.5
"""Shares of a time limit at which the solves end that the plan is only compared with."""
WITHOUT_GOALS, EQUAL_TERMS, RE_SOLVED = "without goals", "without goals, on equal terms", "re-solved"
"""What a plan is compared with, as progress and times name it."""
EQUAL_TERMS_GAP = 0.03
"""Gap of the plan without goals on equal terms, where none larger is asked for: a comparison must not take minutes."""


@stage(WRITING)
def make_plan(
    study: Study,
    effort: Effort = Effort(),
    solver: Callable[[], Any] | None = None,
    solver_name: str = "HiGHS",
    progress: Progress = lambda stage, done, detail: None,
    no_regret: bool = False,
    case: Case = "base",
    hints: Iterable[str] = (),
    start: PlanFile | Plan | None = None,
) -> PlanFile:
    """The straight line: build, solve with and without survival goals, and put the answer into a plan.

    Without them it is solved twice: as cheap as can be, and on equal terms (`OnEqualTerms`), which needs the plan.

    `hints` are failures that decided a similar plan (its `proof.binding_failures`): they save passes, nothing else.
    `start` is a similar plan: its failures are hints, and whole numbers are looked for near its own first; where none
    there is good enough, the search goes on, unless the effort is quick. Its bound is one here, too, where no plan of
    this study can cost less than one of that: the two problems say so; at other prices it is a row. The rest of the
    proof is of this study alone.

    Raises
    ------
    NoPlan
        when no plan exists
    """
    # the short solve first: an interruption of the long one then ends in a whole plan
    began = time.monotonic()
    known = None if start is None else in_hand(start)
    with part(WITHOUT_GOALS):
        with stage(BUILDING):
            no_goals = without_survival_goals(study, case)
        without_goals = None if known is None else _already_planned(known, no_goals, effort)
        if without_goals is None:
            shorter = _to_end_at(effort, began, SHORT_SOLVE_FRACTION)
            reference = solve(no_goals, shorter, solver, renamed(progress, WITHOUT_GOALS))
            without_goals = _without_goals(no_goals, reference.decisions, reference.cost_usd, reference.bound_usd)
    with stage(BUILDING):
        p = build(study, case)
    re_solved = _re_solved(p, _to_end_at(effort, began, RE_SOLVED_FRACTION), solver, progress, hints)
    hints = (*hints, *(known.file.proof.binding_failures if known is not None else ()))
    decisions, similar = (None, None) if known is None else (known.decisions, _similar(known))
    solution = solve(p, _to_end_at(effort, began), solver, progress, hints, decisions, True, similar)
    orders = purchases_of(p, solution.decisions)
    without_goals = _cheaper(no_goals, without_goals, p, solution)
    remaining = _to_end_at(effort, began)
    on_equal_terms = _on_equal_terms(no_goals, without_goals, p, solution, remaining, solver, progress)
    if on_equal_terms is not None and on_equal_terms.cost_usd < without_goals.cost_usd:  # it has no goals, either
        cheaper = on_equal_terms.model_dump() | {"bound_usd": min(without_goals.bound_usd, on_equal_terms.cost_usd)}
        without_goals = WithoutGoals(**cheaper)
    fields = decided(p, solution.decisions)
    return sealed(
        PlanFile(
            planner_version=__version__,
            solver=solver_name,
            demand_case=case,
            study_sha256=sha256(study.model_dump(mode="json", by_alias=True)),
            digest_sha256="unsealed",
            study=study,
            **fields,
            uncoverable=tuple(uncoverable(study, p)),
            bottlenecks=bottlenecks(p, solution),
            no_regret=no_regret_of(study, orders, fields["builds"], _to_end_at(effort, began), solver, progress)
            if no_regret and not interrupted()
            else (),
            drivers=solution.drivers,
            without_goals=without_goals,
            on_equal_terms=on_equal_terms,
            re_solved=re_solved,
            proof=Proof(
                status=solution.status,
                cost_usd=solution.cost_usd,
                bound_usd=solution.bound_usd,
                gap_fraction=gap_fraction(solution.cost_usd, solution.bound_usd),
                gap_asked_fraction=effort.gap_fraction,
                lp_bound_usd=solution.lp_bound_usd,
                failures_tested=len(p.failures) - 1,
                binding_failures=solution.binding,
                dominated_failures=solution.dominated,
                passes=solution.passes,
            ),
        )
    )


def _without_goals(p: Problem, x: Decisions, cost_usd: float, bound_usd: float) -> WithoutGoals:
    """What a plan is compared with, as a record."""
    return WithoutGoals(
        purchases=purchases_of(p, x),
        builds=builds_of(p, x),
        costs_usd=costs_usd(p, x),
        cost_usd=cost_usd,
        bound_usd=min(bound_usd, cost_usd),
    )


def _similar(start: Plan) -> SimilarProblem:
    """The problem of a plan, with its bound where this version proved it and nobody changed the file since."""
    is_ours = start.file.planner_version == __version__ and is_sealed(start.file)
    return SimilarProblem(start.problem, start.file.proof.bound_usd) if is_ours else SimilarProblem(start.problem)


def _already_planned(start: Plan, no_goals: Problem, effort: Effort) -> WithoutGoals | None:
    """What a similar plan was compared with, where that asks the same but for goals and is as good as is asked for."""
    planned = start.file.without_goals
    if not is_proven(gap_fraction(planned.cost_usd, planned.bound_usd), effort.gap_fraction):
        return None
    return planned if start.problem_without_goals == no_goals else None


def _cheaper(no_goals: Problem, reference: WithoutGoals, p: Problem, solution: Solution) -> WithoutGoals:
    """The cheapest plan found without survival goals; the plan itself, where it happens to cost less."""
    if solution.cost_usd >= reference.cost_usd or p.objective != "cost":
        return reference
    return _without_goals(no_goals, solution.decisions, solution.cost_usd, reference.bound_usd)


def _on_equal_terms(
    no_goals: Problem,
    without_goals: WithoutGoals,
    p: Problem,
    solution: Solution,
    effort: Effort,
    solver: Callable[[], Any] | None,
    progress: Progress,
) -> OnEqualTerms | None:
    """The plan without goals on equal terms; none where the search for it was interrupted: the plan itself stands."""
    most = uncounted_at_most(p, purchases_of(p, solution.decisions))
    if all(row.units <= most.get((row.offer, row.when), float("inf")) for row in without_goals.purchases):
        return OnEqualTerms(**without_goals.model_dump())
    if interrupted() or effort.seconds == 0:
        return None
    equal = replace(no_goals, ordered={at: (0.0, units) for at, units in most.items()})
    near_enough = replace(effort, gap_fraction=max(effort.gap_fraction, EQUAL_TERMS_GAP))
    try:
        with part(EQUAL_TERMS):
            cheapest = solve(equal, near_enough, solver, renamed(progress, EQUAL_TERMS))
    except (KeyboardInterrupt, NoPlan, SolverError):
        return None
    if interrupted():  # what it ended with is a plan, but not the same twice
        return None
    reference = _without_goals(equal, cheapest.decisions, cheapest.cost_usd, cheapest.bound_usd)
    return OnEqualTerms(**_cheaper(equal, reference, p, solution).model_dump())


def _to_end_at(effort: Effort, began: float, fraction: float = 1.0) -> Effort:
    """The effort with what remains of its time limit, or of a fraction of it: all solves of a plan share one.

    Parameters
    ----------
    began : `time.monotonic` when the first of them was begun [s]
    """
    if effort.seconds is None:
        return effort
    return replace(effort, seconds=max(0.0, fraction * effort.seconds - (time.monotonic() - began)))


def _re_solved(
    p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress, hints: Iterable[str]
) -> ReSolved | None:
    """What a plan with fixed weights is compared with: the same goals, weights chosen anew for each failure."""
    if not p.rescaled:
        return None
    q = replace(p, rescaled=frozenset())
    with part(RE_SOLVED):
        solution = solve(q, effort, solver, renamed(progress, RE_SOLVED), hints)
    without_weights = _without_goals(q, solution.decisions, solution.cost_usd, solution.bound_usd)
    return ReSolved(**without_weights.model_dump())


def renamed(progress: Progress, stage: str) -> Progress:
    """Progress of a solve within a larger work, under one name."""
    return lambda inner, done, detail: progress(stage, done, f"{inner}: {detail}" if detail else inner)


def bottlenecks(p: Problem, solution: Solution) -> tuple[Bottleneck, ...]:
    """Limits that bind, by what a machine's worth of each saves, largest first."""
    units = {limit.name: limit.unit for limit in p.limits}
    steps = solution.limit_steps
    rows = [
        Bottleneck(limit=name, unit=units[name], marginal_usd=value, step=steps.get(name))
        for name, value in solution.limit_marginals.items()
        if value > 1e-6
    ] + [
        Bottleneck(limit=f"most_units of {b}", unit="units", marginal_usd=value, step=steps.get(b))
        for b, value in solution.offer_marginals.items()
        if value > 1e-6
    ]
    return tuple(sorted(rows, key=lambda row: (-row.marginal_usd * (row.step or 1.0), row.limit)))


def with_valued_limits(plan: PlanFile, effort: Effort, most: int, progress: Progress) -> PlanFile:
    """The plan with its first binding limits valued by planning again with a machine's worth more of each.

    The saving is what the plans differ by; it is true to within the gaps of both.
    """
    rows, similar = [], decisions_of(plan, problem_of(plan))
    for n, row in enumerate(plan.bottlenecks):
        if n < most and not interrupted():
            p = build(more_of(plan.study, row.limit, row.step or 1.0), plan.demand_case)
            hints = plan.proof.binding_failures
            solution = solve(p, effort, None, renamed(progress, row.limit), hints, similar)
            # the plan at hand stays a plan with more of it: a dearer one found is no loss
            row = row.model_copy(update={"replanned_usd": max(0.0, plan.proof.cost_usd - solution.cost_usd)})
        rows.append(row)
    return sealed(plan.model_copy(update={"bottlenecks": tuple(rows)}))


def more_of(study: Study, limit: str, step: float = 1.0) -> Study:
    """The study with more of a limit that binds, in its unit, by its name in the plan."""
    quotas = tuple(_more_of_quota(q, step) if q.name == limit else q for q in study.policies.quotas)
    provider_of = {site.id: site.provider for site in study.sites}
    offers = []
    for b in study.offers:
        if b.most_units is not None and f"most_units of {b.id}" == limit:
            b = b.model_copy(update={"most_units": b.most_units + step})
        if b.most_machines_in_all is not None and sold_in_all_name(provider_of[b.site], b.kind) == limit:
            b = b.model_copy(update={"most_machines_in_all": b.most_machines_in_all + step})
        offers.append(b)
    sites = tuple(
        s.model_copy(update={"power_kw": (s.power_kw or 0.0) + step}) if power_limit_name(s.id) == limit else s
        for s in study.sites
    )
    policies = study.policies.model_copy(update={"quotas": quotas})
    return study.model_copy(update={"policies": policies, "offers": tuple(offers), "sites": sites})


def _more_of_quota(quota: Quota, step: float) -> Quota:
    """The quota, and what it is increased to, with so much more [its unit]."""
    increases = tuple(one.model_copy(update={"most": one.most + step}) for one in quota.increases)
    return quota.model_copy(update={"most": quota.most + step, "increases": increases})


def no_regret_of(
    study: Study,
    orders: tuple[Purchase, ...],
    builds: tuple[Built, ...],
    effort: Effort,
    solver: Callable[[], Any] | None,
    progress: Progress,
) -> tuple[NoRegret, ...]:
    """Units of each offer in the plans for low, base and high demand; none when one of them has no plan."""
    base = build(study)
    units = {"base": units_by_period(base, orders, builds)}
    for case in ("low", "high"):
        p = build(study, case)
        try:
            with part(f"{case} demand"):
                solution = solve(p, effort, solver, renamed(progress, f"{case} demand"))
        except (KeyboardInterrupt, NoPlan):
            return ()
        units[case] = units_by_period(p, purchases_of(p, solution.decisions), builds_of(p, solution.decisions))
    several = len(base.periods) > 1
    return tuple(
        NoRegret(
            offer=b,
            when=t if several else None,
            low_units=units["low"].get((b, t), 0),
            base_units=units["base"].get((b, t), 0),
            high_units=units["high"].get((b, t), 0),
        )
        for b, t in sorted({key for of_case in units.values() for key in of_case})
    )
