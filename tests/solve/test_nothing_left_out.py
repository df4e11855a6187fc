"""What is taken to be one with another is compared in all that a problem says of it: a new field fails here first.

Whoever adds a field to the problem says here what it is keyed by. One that is keyed by failures, placements or edges is
then read where these are compared, or stands with the reason why it need not be.
"""

import ast
import dataclasses
import inspect

from planner.problem.problem import Priced, Problem, ShareLimit
from planner.problem.request_limits import Alternatives, RequestLimits
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve import dominated_placements, priced_failures
from planner.study.dependencies import Failure

BY_FAILURE = {
    "failures", "deadlines_seconds", "promised", "lost", "cannot_start", "closed", "coverable", "counted", "obtainable",
    "priced",
}  # fmt: skip
BY_PLACEMENT = {
    "placements", "edges", "edges_in_failure", "replica_seconds", "replica_seconds_in_failure", "machines_per_replica",
    "load_seconds", "weights_gib", "rollout_surge_fraction", "pool_of", "model_of", "shares", "request_limits", "lost",
    "cannot_start", "engine_start_seconds",
}  # fmt: skip
NAMES_OF_PLACEMENTS = {"why_not": "a reason, to be read", "profile_of": "a name", "on_pool": "follows from pool_of"}
BY_NEITHER = {
    "flows", "pools", "offers", "periods", "hours", "period_of", "hours_in", "most_requests_per_second", "tier_of",
    "demand_requests_per_second", "burst_factor", "serve_fraction", "outage_usd_per_request", "site_of",
    "load_gib_per_second", "usable_fraction", "spare_machines", "maybe_unused", "held_machines", "claims", "offers_of",
    "hourly", "may_obtain", "with_spot", "machines_per_unit", "most_units", "price_usd_per_machine_hour", "limits",
    "budget_usd", "policies", "objective", "cvar_level", "request_usd", "round_trip_ms", "few_large_units",
    "utilisation_normal", "utilisation_in_failure", "detection_seconds", "provider_of", "not_offered", "vintages",
    "vintages_on_some_day", "held_at_most", "paid_hours", "price_factor", "present_hours", "build_outs", "not_built",
    "ordered", "least_units", "either_or", "after", "start_usd", "capital_usd", "energy_usd_per_machine_hour",
    "spend_years", "capital_caps", "deferrable", "sizes_requests_per_second", "measure",
}  # fmt: skip
NEVER_PRICED = {
    "rescaled": "failures with fixed weights: an objective other than cost is refused beside them",
    "waiting": "the same where utilisation is by waiting; nor are placements left out then",
}
OF_STAGES = "of stages of a failure: these stay"
OF_FAILURE = {
    "surge_factor": "said",
    "surges": "said",
    "targeted": "asked before: such failures stay",
    "lost": "by component; what it leaves is the problem's `lost`, `coverable`, `closed` and `cannot_start`",
    "id": "its name",
    "of": "its name, where it falls on several places: these stay",
    "failures_per_year": "the rates are added up: `priced`",
    "hours_to_repair": "said, of `priced`",
    "failover": "what follows is the problem's `rescaled`: such failures are never priced",
    "outage": OF_STAGES,
    "begins_seconds": OF_STAGES,
    "ends_seconds": OF_STAGES,
    "startable_seconds": OF_STAGES,
    "obtainable_seconds": OF_STAGES,
    "answers_wrongly": "what was answered before it begins is reported, and decides nothing",
    "hours_to_find_out": "the same",
}
OF_PRICED = {
    "hours_to_repair": "said",
    "occurrences": "added up",
    "of": "several places: these stay",
    "begins_hours": OF_STAGES,
    "stage_of": "asked before: stages stay",
}

PROVEN_IN_STATES = [
    "a_unit_opens_what_it_serves",
    "an_outage_costs_what_is_not_served",
    "components_pass_what_they_can",
    "demand_is_served",
    "each_request_passes_one_alternative",
    "gateways_renormalise",
    "no_replica_before_its_cold_start_ends",
    "no_request_passes_a_closed_alternative",
    "no_request_passes_a_dead_component",
    "nothing_is_served_before_a_replica_runs",
    "offered_is_demand",
    "only_the_living_run",
    "only_what_is_on_the_market_is_obtained",
    "replicas_carry_traffic",
    "replicas_run_in_normal_operation",
    "requests_go_where_they_may",
    "running_replicas_stand_on_machines",
    "storage_can_load_that_fast",
    "survival_goals_are_met",
    "survivors_only",
    "throughput_is_counted",
    "what_is_obtained_is_counted",
    "what_loads_occupies",
]
PROVEN_OF_PURCHASES = [
    "a_pool_in_use_keeps_spare_machines",
    "an_outage_saves_no_more_than_operation",
    "budget_holds",
    "build_outs_have_limits",
    "capital_has_limits",
    "components_pass_what_is_reserved",
    "deferred_work_is_done",
    "limits_are_of_edges",
    "limits_hold",
    "measure_is_limited",
    "non_preemptible_replicas_stand_on_non_preemptible_machines",
    "offers_have_limits",
    "outages_are_ranked",
    "phases_follow_each_other",
    "replicas_carry_what_is_reserved",
    "reserves_cover_what_is_due",
    "shares_hold",
    "spend_commitments_are_used_or_paid",
    "warm_replicas_stand_on_machines",
    "weights_keep_to_shares",
    "what_was_ordered_stays",
]
"""Rules of which it was looked at whether they stay when a placement takes over all that another has: see there."""


def fields(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def read_in(source: object) -> set[str]:
    """Attributes that a function or a module reads."""
    tree = ast.parse(inspect.getsource(source))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_each_field_of_a_problem_is_keyed_by_what_stands_here() -> None:
    all_of_them = BY_FAILURE | BY_PLACEMENT | NAMES_OF_PLACEMENTS.keys() | BY_NEITHER | NEVER_PRICED.keys()
    assert all_of_them == fields(Problem)
    assert not BY_NEITHER & (BY_FAILURE | BY_PLACEMENT | NAMES_OF_PLACEMENTS.keys())


def test_all_that_is_said_of_a_failure_is_compared() -> None:
    said = read_in(priced_failures._all_that_is_said)
    assert said >= BY_FAILURE
    assert OF_FAILURE.keys() == fields(Failure) and OF_PRICED.keys() == fields(Priced)
    assert said >= {name for of in (OF_FAILURE, OF_PRICED) for name, why in of.items() if why == "said"}
    assert read_in(priced_failures.same_priced) >= {"targeted", "priced", "stage_of"}


def test_all_that_is_said_of_a_placement_is_compared() -> None:
    compared = read_in(dominated_placements)
    assert compared >= BY_PLACEMENT
    assert fields(ShareLimit) == {"component", "placements", "most_fraction"}
    assert fields(RequestLimits) == {"always", "alternatives", "component_of", "ids_of"}
    assert fields(Alternatives) == {"ids", "edges"}
    assert compared >= {"always", "alternatives", "edges", "placements", "targeted"}


def test_the_proof_speaks_of_the_rules_there_are() -> None:
    """Whoever adds a rule reads the proof in dominated_placements.py again, and says so here."""
    assert sorted(rule.__name__ for rule in STATE_RULES) == PROVEN_IN_STATES
    assert sorted(rule.__name__ for rule in PURCHASE_RULES) == PROVEN_OF_PURCHASES
