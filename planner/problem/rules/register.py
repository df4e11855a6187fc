"""The rules of the plan, of which each function's name is the sentence that must hold.

PURCHASE rules hold once. Per state, INSIDE rules have the same coefficients in every failure; LINK rules bound one
state variable by what is bought. Given columns a rule builds the program; given numbers it audits.
"""

from collections.abc import Callable, Iterator

import numpy as np

from planner.problem.algebra import Rows, spread
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import State
from planner.problem.problem import states as states_of
from planner.problem.rules import failures, gateway_limits, purchases, states

Rule = Callable[[Arrays, Vectors], Iterator[Rows]]
StateRule = Callable[[Arrays, Vectors, State], Iterator[Rows]]

PURCHASE_RULES: tuple[Rule, ...] = (
    purchases.offers_have_limits,
    purchases.limits_hold,
    purchases.shares_hold,
    purchases.budget_holds,
    purchases.measure_is_limited,
    purchases.non_preemptible_replicas_stand_on_non_preemptible_machines,
    purchases.a_pool_in_use_keeps_spare_machines,
    purchases.outages_are_ranked,
    purchases.an_outage_saves_no_more_than_operation,
    purchases.deferred_work_is_done,
    purchases.build_outs_have_limits,
    purchases.phases_follow_each_other,
    purchases.capital_has_limits,
    purchases.spend_commitments_are_used_or_paid,
    purchases.what_was_ordered_stays,
    gateway_limits.reserves_cover_what_is_due,
    gateway_limits.replicas_carry_what_is_reserved,
    gateway_limits.warm_replicas_stand_on_machines,
    gateway_limits.components_pass_what_is_reserved,
    gateway_limits.weights_keep_to_shares,
    gateway_limits.limits_are_of_edges,
)
INSIDE_RULES: tuple[StateRule, ...] = (
    states.demand_is_served,
    states.replicas_carry_traffic,
    states.nothing_is_served_before_a_replica_runs,
    states.running_replicas_stand_on_machines,
    failures.what_is_obtained_is_counted,
    failures.what_loads_occupies,
    failures.storage_can_load_that_fast,
    states.throughput_is_counted,
    states.each_request_passes_one_alternative,
)
LINK_RULES: tuple[StateRule, ...] = (
    states.requests_go_where_they_may,
    states.offered_is_demand,
    failures.survival_goals_are_met,
    states.components_pass_what_they_can,
    states.no_request_passes_a_closed_alternative,
    failures.no_request_passes_a_dead_component,
    failures.an_outage_costs_what_is_not_served,
    states.survivors_only,
    failures.only_what_is_on_the_market_is_obtained,
    states.replicas_run_in_normal_operation,
    failures.no_replica_before_its_cold_start_ends,
    failures.only_the_living_run,
    states.a_unit_opens_what_it_serves,
    gateway_limits.gateways_renormalise,
)
STATE_RULES = INSIDE_RULES + LINK_RULES
RULES = (*PURCHASE_RULES, *STATE_RULES)
RELAXABLE = {
    "offers_have_limits": "by policy",
    "limits_hold": "by policy",
    "shares_hold": "by policy",
    "budget_holds": "by policy",
    "measure_is_limited": "by policy",
    "capital_has_limits": "by policy",
    "build_outs_have_limits": "by policy",
    "survival_goals_are_met": "by policy",
    "survivors_only": "by buying",
    "only_what_is_on_the_market_is_obtained": "by policy",
    "non_preemptible_replicas_stand_on_non_preemptible_machines": "by buying",
    "no_replica_before_its_cold_start_ends": "by buying",
    "storage_can_load_that_fast": "by buying",
    "components_pass_what_they_can": "by buying",
    "replicas_carry_traffic": "by policy",
    "reserves_cover_what_is_due": "by policy",
    "replicas_carry_what_is_reserved": "by buying",
    "warm_replicas_stand_on_machines": "by buying",
    "components_pass_what_is_reserved": "by buying",
    "weights_keep_to_shares": "by policy",
}
"""What can be done about a rule: `by buying`, `by policy`; what is not named here is physics: no."""


def rules_with_rows(a: Arrays, x: Vectors) -> tuple[str, ...]:
    """Names of the rules that ask anything of the numbers of a plan, in the order of the register."""
    names = [rule.__name__ for rule in PURCHASE_RULES if any(_asks(rows) for rows in rule(a, x))]
    every = [s for f in a.p.failures for s in states_of(a.p, f)]
    for rule in STATE_RULES:
        if any(_asks(rows) for s in every for rows in rule(a.of(s[1]), x, s)):
            names.append(rule.__name__)
    return tuple(names)


def _asks(rows: Rows) -> bool:
    """Whether any of the rows is more than that nothing is nothing."""
    return any(bool(np.any(spread(side, len(rows)))) for side in (rows.lhs, rows.rhs))
