"""What limits save and failures cost in the linear program over all failures: its duals, and finite differences.

Duals of a degenerate program are one-sided, and those of a limit in kW say nothing of a whole machine: each limit that
binds is asked about with one more machine's worth of it.
"""

from collections.abc import Callable

from planner.problem.algebra import Key
from planner.problem.problem import Problem
from planner.solve.highs import KeptHiGHS
from planner.solve.program import Program
from planner.solve.search import Search, Solution
from planner.study.dependencies import NORMAL

MOST_LIMITS = 12
"""Limits that are asked about, those of the largest dual first: each is one more solve of the linear program."""
NOTHING = 1e-9
"""Share of the bound below which a saving is arithmetic."""
CLOSE = 1e-9
"""A dual below is none."""
LIMIT_RULES = ("limits_hold", "only_what_is_on_the_market_is_obtained")
OFFER_RULE = "offers_have_limits"


FAILURE_OF: dict[str, Callable[[Problem, Key], tuple[str, str]]] = {
    "survivors_only": lambda p, key: (key[0], key[-1][1]),
    "running_replicas_stand_on_machines": lambda p, key: (p.pool_of.get(key[0], key[0]), key[-1][1]),
    "no_replica_before_its_cold_start_ends": lambda p, key: (p.pool_of[key[0]], key[1][1]),
    "replicas_carry_traffic": lambda p, key: (p.pool_of[key[0]], key[-1][1]),
    "replicas_carry_what_is_reserved": lambda p, key: (p.pool_of[key[0]], key[2]),
}
"""Rules whose duals say which failure pays for a pool -> pool and failure of a row.

Where machines and what is kept follow from purchases, rows of replicas say it."""


def read_marginals(search: Search, solution: Solution) -> None:
    """Read marginal values off the linear program over all failures [USD over the horizon per unit], and drivers."""
    program, scale, p = search.program, search.program.scale, search.p
    marginals = {"limits_hold": solution.limit_marginals, OFFER_RULE: solution.offer_marginals}
    by_pool: dict[str, dict[str, float]] = {}
    for added in program.added:
        for key, row in added.keyed() if added.rule in marginals or added.rule in FAILURE_OF else ():
            dual = float(program.duals[row])
            if added.rule in marginals:
                saved = marginals[added.rule]
                saved[key[0]] = saved.get(key[0], 0.0) - dual * scale
            elif abs(dual) > CLOSE:
                q, f = FAILURE_OF[added.rule](p, key)
                if f != NORMAL:
                    usd = by_pool.setdefault(q, {})
                    usd[f] = usd.get(f, 0.0) + abs(dual)
    columns = {at: key for bound in program.bounded if bound.rule == OFFER_RULE for key, at in bound.keyed()}
    for at, key in columns.items():  # each once
        reduced_cost = float(program.reduced_costs[at])
        if reduced_cost < 0 < program.values[at]:
            solution.offer_marginals[key[0]] = solution.offer_marginals.get(key[0], 0.0) - reduced_cost * scale
    for q, usd in by_pool.items():
        solution.drivers[q] = tuple(sorted(usd, key=lambda f: (-usd[f], f)))


def one_machine_more(p: Problem, name: str) -> float:
    """So much of a limit takes one more of what can be bought under it, at its largest [the limit's unit]."""
    limit = next(limit for limit in p.limits if limit.name == name)
    takes = [
        units * min(counted)
        for q, units in limit.units_per_machine.items()
        if (counted := [p.machines_per_unit[b] for b in p.offers_of.get(q, ()) if b not in limit.uncounted])
    ]
    return max(takes, default=1.0)


def confirm(search: Search, solution: Solution) -> None:
    """Put finite differences in the place of the duals of a solution, just after its linear program was solved.

    What a machine's worth saves nothing of is left out; what was not asked about keeps its dual, without a step.
    """
    p, program = search.p, search.program
    if not isinstance(program.solver, KeptHiGHS):
        return
    steps = {name: one_machine_more(p, name) for name in solution.limit_marginals}
    asked = [(dual * steps[name], name, solution.limit_marginals) for name, dual in solution.limit_marginals.items()]
    asked += [(dual, b, solution.offer_marginals) for b, dual in solution.offer_marginals.items()]
    largest_first = sorted((row for row in asked if row[0] > 1e-6), key=lambda row: (-row[0], row[1]))
    before = (program.objective - program.constant) / program.scale
    for _, name, marginals in largest_first[:MOST_LIMITS]:
        is_offer = marginals is solution.offer_marginals
        step = 1.0 if is_offer else steps[name]
        rows, columns = _raised(p, program, name, is_offer, step)
        after = program.solver.objective_with(program, rows, columns)
        if after is None:
            continue
        saved_usd = (before - after) * program.scale
        marginals[name] = saved_usd / step if saved_usd > NOTHING * max(1.0, abs(search.bound)) else 0.0
        solution.limit_steps[name] = step


def _raised(
    p: Problem, program: Program, name: str, is_offer: bool, step: float
) -> tuple[dict[int, float], dict[int, float]]:
    """Rows and columns whose upper bounds rise when there is more of a limit, or of what an offer has."""
    rules = (OFFER_RULE,) if is_offer else LIMIT_RULES
    rows = {at: step for added in program.added if added.rule in rules for key, at in added.keyed() if key[0] == name}
    columns = {}
    for bound in program.bounded:
        for key, at in bound.keyed() if bound.rule in rules else ():
            most = p.most_units[name] if is_offer else None
            if key[0] == name and most in (None, program.upper[at]):
                columns[at] = step
    return rows, columns
