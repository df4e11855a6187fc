"""The rules of the plan, of which each function's name is the sentence that must hold.

PURCHASE rules hold once. Per state, INSIDE rules have the same coefficients in every failure; LINK rules bound one
state variable by what is bought. Given variables a rule builds the program; given numbers it audits.
"""

from collections.abc import Callable, Iterator

from planner.problem.algebra import Row
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State
from planner.problem.rules.inside import (
    demand_is_served,
    each_request_passes_one_alternative,
    nothing_is_served_before_a_replica_runs,
    replicas_carry_traffic,
    running_replicas_stand_on_machines,
    storage_can_load_that_fast,
    throughput_is_counted,
    what_is_obtained_is_counted,
    what_loads_occupies,
)
from planner.problem.rules.link import (
    a_unit_opens_what_it_serves,
    an_outage_costs_what_is_not_served,
    components_pass_what_they_can,
    no_replica_before_its_cold_start_ends,
    no_request_passes_a_closed_alternative,
    no_request_passes_a_dead_component,
    offered_is_demand,
    only_the_living_run,
    only_what_is_left_is_obtained,
    replicas_run_in_normal_operation,
    requests_go_where_they_may,
    survival_goals_are_met,
    survivors_only,
)
from planner.problem.rules.purchases import (
    a_pool_in_use_keeps_spare_machines,
    an_outage_saves_no_more_than_operation,
    budget_holds,
    build_outs_have_limits,
    capital_has_limits,
    deferred_work_is_done,
    limits_hold,
    non_preemptible_replicas_stand_on_non_preemptible_machines,
    offers_have_limits,
    outages_are_ranked,
    phases_follow_each_other,
    shares_hold,
    spend_commitments_are_used_or_paid,
    what_was_ordered_stays,
)
from planner.problem.rules.reserve_rules import RESERVE_RELAXABLE, RESERVE_RULES, gateways_renormalise

Rule = Callable[[Problem, Decisions], Iterator[Row]]
StateRule = Callable[[Problem, Decisions, State], Iterator[Row]]

PURCHASE_RULES: tuple[Rule, ...] = (
    offers_have_limits,
    limits_hold,
    shares_hold,
    budget_holds,
    non_preemptible_replicas_stand_on_non_preemptible_machines,
    a_pool_in_use_keeps_spare_machines,
    outages_are_ranked,
    an_outage_saves_no_more_than_operation,
    deferred_work_is_done,
    build_outs_have_limits,
    phases_follow_each_other,
    capital_has_limits,
    spend_commitments_are_used_or_paid,
    what_was_ordered_stays,
    *RESERVE_RULES,
)
INSIDE_RULES: tuple[StateRule, ...] = (
    demand_is_served,
    replicas_carry_traffic,
    nothing_is_served_before_a_replica_runs,
    running_replicas_stand_on_machines,
    what_is_obtained_is_counted,
    what_loads_occupies,
    storage_can_load_that_fast,
    throughput_is_counted,
    each_request_passes_one_alternative,
)
LINK_RULES: tuple[StateRule, ...] = (
    requests_go_where_they_may,
    offered_is_demand,
    survival_goals_are_met,
    components_pass_what_they_can,
    no_request_passes_a_closed_alternative,
    no_request_passes_a_dead_component,
    an_outage_costs_what_is_not_served,
    survivors_only,
    only_what_is_left_is_obtained,
    replicas_run_in_normal_operation,
    no_replica_before_its_cold_start_ends,
    only_the_living_run,
    a_unit_opens_what_it_serves,
    gateways_renormalise,
)
STATE_RULES = INSIDE_RULES + LINK_RULES
RULES = (*PURCHASE_RULES, *STATE_RULES)
RELAXABLE = {
    "offers_have_limits": "by policy",
    "limits_hold": "by policy",
    "shares_hold": "by policy",
    "budget_holds": "by policy",
    "capital_has_limits": "by policy",
    "build_outs_have_limits": "by policy",
    "survival_goals_are_met": "by policy",
    "survivors_only": "by buying",
    "only_what_is_left_is_obtained": "by policy",
    "non_preemptible_replicas_stand_on_non_preemptible_machines": "by buying",
    "no_replica_before_its_cold_start_ends": "by buying",
    "storage_can_load_that_fast": "by buying",
    "components_pass_what_they_can": "by buying",
    "replicas_carry_traffic": "by policy",
    **RESERVE_RELAXABLE,
}
"""What can be done about a rule: `by buying`, `by policy`; what is not named here is physics: no."""
