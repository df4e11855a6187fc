"""Alternatives to a plan: what plans within a margin of its cost have least of something, and what that gives up.

Modelling to generate alternatives (Brill, Chang and Hopkins, Management Science 28, 1982): cost becomes a limit, and
what a reviewer would rather have less of is minimised. Each begins with the plan at hand, so it is never worse by its
own measure; then, with no more of that, cost is minimised once more.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.errors import Finding, InputError, NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.alternative import with_decisions
from planner.plan.audit import audit
from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.decisions import Decisions
from planner.problem.problem import Measure, Problem
from planner.problem.rules.costs import measured
from planner.problem.rules.index_sets import as_vectors
from planner.questions.planned import silent
from planner.solve.dominated_placements import without_placements
from planner.solve.lp_bound import relax
from planner.solve.program import Impossible
from planner.solve.search import Effort, Progress, Search
from planner.solve.solve import solve
from planner.study.places import listed, quoted
from planner.study.records.plan import PlanFile

WITHIN = 0.05
USD_BESIDE = 0.01
"""What a share of the plan's cost counts for beside the same share of the measure, while that is minimised."""
HAIR = 1e-9
"""What a measure may be above what was reached, as numbers are rounded."""
EFFORT = Effort(gap_fraction=0.05, most_nodes=60, rounds=1)
"""Of each search: an alternative need not be the best of its kind, what it may lack is said."""
MACHINE_HOURS, POOLS = "machine-hours bought", "pools"
BOUND_BY_A_TERM = ("commitment", "capacity_block", "build_out")


@dataclass(frozen=True)
class Aim:
    """What an alternative has least of.

    Parameters
    ----------
    text : what it is, as people say it
    unit : of its measure
    per_unit_hour : offer or build-out -> what a unit counts for in an hour; none: pools in use are counted
    """

    text: str
    unit: str
    per_unit_hour: Mapping[str, float] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Alternative:
    """A plan that has least of something, within the margin.

    Parameters
    ----------
    before, value : by its measure, of the plan at hand and of this one
    at_least : no plan within the margin has less
    plan : sealed, as planned; none: see `why_not`
    is_same : whether it is the plan at hand: nothing was come upon that has less
    """

    aim: Aim
    before: float
    value: float
    at_least: float
    plan: PlanFile | None
    why_not: str = ""
    is_same: bool = False
    is_stopped: bool = False
    """whether a person ended its search: less may be had, and `at_least` is what was proven until then"""

    @property
    def gap(self) -> float:
        """How much less of it the best plan within the margin might have [unit of the measure]."""
        return max(0.0, self.value - self.at_least)


def aims_of(plan: Plan, providers: Sequence[str] = ()) -> tuple[Aim, ...]:
    """What alternatives may have least of: a provider each, what is bound by a term, what is owned, changes, pools.

    Parameters
    ----------
    providers : by name; none: all that the plan buys machines of

    Raises
    ------
    InputError
        for a provider that the study does not know
    """
    p = plan.problem
    known = sorted({*p.provider_of.values()})
    if findings := [
        Finding("--provider", f"one of {listed(known)}", quoted(name), "name a provider of the plan's pools")
        for name in providers
        if name not in known
    ]:
        raise InputError(findings)
    bought = {p.provider_of[p.pool_of[row.offer]] for row in plan.file.purchases}
    each = {b: float(p.machines_per_unit[b]) for b in p.offers}
    kind_of = {b.id: b.kind for b in plan.study.offers}
    aims = [
        Aim(
            f"least of {provider}",
            MACHINE_HOURS,
            {b: n for b, n in each.items() if p.provider_of[p.pool_of[b]] == provider},
        )
        for provider in (dict.fromkeys(providers) if providers else sorted(bought))
    ]
    bound = {b: n for b, n in each.items() if kind_of[b] in BOUND_BY_A_TERM}
    owned = {b: n for b, n in each.items() if kind_of[b] == "build_out"}
    if len(bound) < len(each):
        aims.append(Aim("least bound by a term", MACHINE_HOURS, bound))
    if owned:
        aims.append(Aim("least owned", MACHINE_HOURS, owned))
    aims.append(Aim("fewest changes from today", MACHINE_HOURS, each))
    aims.append(Aim("fewest pools", POOLS))
    return tuple(aims)


def files_of(aims: Sequence[Aim]) -> dict[Aim, str]:
    """Names of files for plans: letters, digits and dashes, none twice.

    Examples
    --------
    `least of aws` as the first: `1-least-of-aws.json`
    """
    slugs = [re.sub(r"[^a-z0-9]+", "-", aim.text.lower()).strip("-")[:80] for aim in aims]
    return {aim: f"{n}-{slug}.json" for n, (aim, slug) in enumerate(zip(aims, slugs, strict=True), 1)}


def alternatives(
    plan: Plan, aims: Iterable[Aim], within_fraction: float = WITHIN, progress: Progress = silent
) -> tuple[Alternative, ...]:
    """One plan of the study for each aim, that costs at most so much more than the plan at hand.

    Each passes the audit, and is never worse by its own measure than the plan at hand. An interruption keeps those
    that are there.

    Parameters
    ----------
    within_fraction : the margin
    progress : called with (stage, fraction done, detail)
    """
    aims, results = list(aims), list[Alternative]()
    for n, aim in enumerate(aims):
        progress("looking for alternatives", n / len(aims), f"{n + 1} of {len(aims)}: {aim.text}")
        if interrupted():
            break
        try:
            one = _alternative(plan, aim, within_fraction)
            results.append(replace(one, is_stopped=interrupted()))
        except KeyboardInterrupt:
            break
    return tuple(results)


def _alternative(plan: Plan, aim: Aim, within_fraction: float) -> Alternative:
    """The alternative of one aim; where none is better, the plan at hand."""
    before = measure_of(plan.problem, plan.decisions, aim)
    by_pools = aim.per_unit_hour is None
    same = Alternative(aim, before, before, 0.0, plan.file, is_same=True)
    if before <= 0:
        return same
    try:
        least, at_least, binding = (_fewest_pools if by_pools else _least)(plan, aim, before, within_fraction)
    except (NoPlan, SolverError) as error:
        return replace(same, why_not=str(error))
    value = measure_of(plan.problem, least, aim)
    if value >= before * (1 - HAIR):
        return replace(same, at_least=min(at_least, before))
    made = with_decisions(plan, least, binding)
    if not audit(made).passed:
        return replace(same, why_not="what was come upon does not pass the audit: please report it")
    return Alternative(aim, before, value, min(at_least, value), made)


def measure_of(p: Problem, x: Decisions, aim: Aim) -> float:
    """How much of an aim some decisions have, in its unit."""
    if aim.per_unit_hour is None:
        return float(len(pools_in_use(p, x)))
    counting = replace(p, measure=Measure(aim.per_unit_hour))
    return float(measured(full(counting), as_vectors(p, x))[0])


def pools_in_use(p: Problem, x: Decisions) -> list[str]:
    """Pools in which replicas run in some state: in normal operation, or in a failure only."""
    return sorted({p.pool_of[e] for of in (x.replicas, x.kept, x.cold_started) for (e, _), n in of.items() if n})


def _most_usd(plan: Plan, within_fraction: float) -> float:
    """What an alternative may cost."""
    most = plan.file.proof.cost_usd * (1 + within_fraction)
    budget = plan.problem.budget_usd
    return most if budget is None else min(most, budget)


def _least(plan: Plan, aim: Aim, before: float, within_fraction: float) -> tuple[Decisions, float, tuple[str, ...]]:
    """Decisions with least of a measure, what no plan is below, and the failures that decide it.

    Formula
        minimise  cost[plan] / before · measure + USD_BESIDE · cost,  cost ≤ (1 + within) · cost[plan]
        at least  (bound − USD_BESIDE · most cost) · before / cost[plan]
    Then cost alone, with no more of the measure.
    """
    assert aim.per_unit_hour is not None
    p, hints = plan.problem, plan.file.proof.binding_failures
    most_usd, scale = _most_usd(plan, within_fraction), max(plan.file.proof.cost_usd, HAIR) / before
    scaled = Measure({b: scale * n for b, n in aim.per_unit_hour.items()}, USD_BESIDE)
    first = solve(replace(p, measure=scaled, budget_usd=most_usd), EFFORT, None, silent, hints, plan.decisions)
    at_least = max(0.0, (first.bound_usd - USD_BESIDE * most_usd) / scale)
    value = min(before, measure_of(p, first.decisions, aim))
    limited = replace(p, measure=Measure(aim.per_unit_hour, most=value * (1 + HAIR)), budget_usd=most_usd)
    hints = tuple(dict.fromkeys((*hints, *first.binding)))
    try:
        cheaper = solve(limited, EFFORT, None, silent, hints, first.decisions)
    except (NoPlan, SolverError):
        return first.decisions, at_least, first.binding
    return cheaper.decisions, at_least, cheaper.binding


def _fewest_pools(
    plan: Plan, aim: Aim, before: float, within_fraction: float
) -> tuple[Decisions, float, tuple[str, ...]]:
    """Decisions that run replicas in few pools: one after the other is closed, the smallest first, while that leaves a
    plan within the margin; and how many pools are in every plan, as none within the margin does without them."""
    p = replace(plan.problem, budget_usd=_most_usd(plan, within_fraction))
    x, binding = plan.decisions, plan.file.proof.binding_failures
    closed, needed = set[str](), set[str]()
    every = {q for q in p.pools if p.on_pool[q]}
    while open_pools := [q for q in _smallest_first(p, x) if q not in needed]:
        q = open_pools[0]
        trial = _without_pools(p, {*closed, q, *(every - {*pools_in_use(p, x)})})
        try:
            solution = solve(trial, EFFORT, None, silent, binding, None)
        except (NoPlan, Impossible):
            needed.add(q)
            continue
        closed.add(q)
        x, binding = solution.decisions, solution.binding
    return x, float(len(_in_every_plan(p, pools_in_use(p, x)))), binding


def _smallest_first(p: Problem, x: Decisions) -> list[str]:
    """Pools in use, by the machines that are used there."""
    used = dict.fromkeys(pools_in_use(p, x), 0.0)
    for (e, _), n in x.replicas.items():
        if n:
            used[p.pool_of[e]] += p.machines_per_replica[e] * n
    return sorted(used, key=lambda q: (used[q], q))


def _without_pools(p: Problem, pools: Iterable[str]) -> Problem:
    return without_placements(p, {e: e for q in pools for e in p.on_pool[q]})


def _in_every_plan(p: Problem, pools: Iterable[str]) -> list[str]:
    """Pools without which the linear program has no solution: every plan has replicas there."""
    needed = []
    for q in pools:
        try:
            relax(Search(_without_pools(p, [q]), Effort(), None, silent))
        except (NoPlan, Impossible):
            needed.append(q)
    return needed
