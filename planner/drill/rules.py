"""Which rules of a plan the drill can judge, by name: of a rule that it does not know it says so."""

from collections.abc import Mapping

from planner.study.records.plan import PlanFile

AS_BOUGHT = "nothing to judge: what may be bought and paid; the drill takes purchases as they are"
OF_COSTS = "nothing to judge: orders what outages cost; the drill reckons their impact by itself"
OF_BOUNDS = "nothing to judge: strengthens a bound, and forbids no whole number of replicas"
REPLAYED = "replay: what the replicas and machines of the plan serve in each failure, at each deadline"
ELIGIBLE = "instance: which placements may serve which requests, from study and distances"
MACHINES = "remaining: machines that survive, are counted, back from others or obtained by then"
COLD_STARTS = "resolve, claims: replicas start in time, where something lives, on machines of their own"
LIMITS = "request limits: what passes a component is no more than it lets through"
BY_WEIGHTS = "rescale: weights of normal operation over what remains, within what gateways may send"
RULES: Mapping[str, str] = {
    "offers_have_limits": AS_BOUGHT,
    "limits_hold": "time slices: the power of sites; quotas are what may be bought, which the drill takes as it is",
    "shares_hold": "nothing to judge: a policy on normal operation, which loses nothing",
    "budget_holds": AS_BOUGHT,
    "measure_is_limited": AS_BOUGHT,
    "non_preemptible_replicas_stand_on_non_preemptible_machines": "baseline: they have machines that always count",
    "a_pool_in_use_keeps_spare_machines": "installed: spare machines carry nothing in normal operation",
    "outages_are_ranked": OF_COSTS,
    "an_outage_saves_no_more_than_operation": OF_COSTS,
    "deferred_work_is_done": "time slices: work that can wait is taken up over its period",
    "build_outs_have_limits": AS_BOUGHT,
    "phases_follow_each_other": AS_BOUGHT,
    "capital_has_limits": AS_BOUGHT,
    "spend_commitments_are_used_or_paid": AS_BOUGHT,
    "what_was_ordered_stays": AS_BOUGHT,
    "reserves_cover_what_is_due": BY_WEIGHTS,
    "replicas_carry_what_is_reserved": BY_WEIGHTS,
    "warm_replicas_stand_on_machines": BY_WEIGHTS,
    "components_pass_what_is_reserved": BY_WEIGHTS,
    "weights_keep_to_shares": "nothing to judge: a policy on normal operation, which loses nothing",
    "limits_are_of_edges": BY_WEIGHTS,
    "demand_is_served": REPLAYED,
    "replicas_carry_traffic": REPLAYED,
    "nothing_is_served_before_a_replica_runs": REPLAYED,
    "running_replicas_stand_on_machines": MACHINES,
    "what_is_obtained_is_counted": "nothing to judge: the drill obtains what the study counts on, whatever the quotas",
    "what_loads_occupies": COLD_STARTS,
    "storage_can_load_that_fast": COLD_STARTS,
    "throughput_is_counted": LIMITS,
    "each_request_passes_one_alternative": LIMITS,
    "requests_go_where_they_may": ELIGIBLE,
    "offered_is_demand": REPLAYED,
    "survival_goals_are_met": REPLAYED,
    "components_pass_what_they_can": LIMITS,
    "no_request_passes_a_closed_alternative": LIMITS,
    "no_request_passes_a_dead_component": LIMITS,
    "an_outage_costs_what_is_not_served": OF_COSTS,
    "survivors_only": MACHINES,
    "only_what_is_on_the_market_is_obtained": MACHINES,
    "replicas_run_in_normal_operation": MACHINES,
    "no_replica_before_its_cold_start_ends": COLD_STARTS,
    "only_the_living_run": COLD_STARTS,
    "a_unit_opens_what_it_serves": OF_BOUNDS,
    "gateways_renormalise": BY_WEIGHTS,
}
"""Rule of a plan -> where the drill judges it, or why there is nothing to judge."""


def rules_not_judged(plan: PlanFile) -> tuple[str, ...]:
    """Rules that a plan was held to and the drill does not know; its verdict does not cover them."""
    return tuple(rule for rule in plan.rules if rule not in RULES)
