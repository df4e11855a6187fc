"""A point at which no factor is 1, as data: what is given, what is chosen, both sides of each rule by hand.

The numbers are worked out from what the rules mean, and say nothing of how rules are written down in code: another form
of them is checked by the same tables. A table names a rule; each of its entries is (key, left side, sense, right side).
`DECISIONS` breaks rules and is no plan: sides are numbers wherever the point is.

What is not 1: bursts 1.25 and 1.5, usable 0.8 and 0.9, utilisation 0.85 and 0.95, two replicas a machine, units of two
machines, two hours of 300 and 900 h, two periods' worth at 7 %, PUE 1.3, deadlines at detection + load, surges, partial
losses, what counts in part, what is lent and comes back, caches that are cold after a move.
"""

import math
from datetime import date
from typing import Any

from studies import SOURCED, machine_type, model, offer, profile, site, study, workload

from planner.problem.problem import Measure
from planner.study.records.buildout import Electricity, Money, SpendCommitment
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Claim,
    Counted,
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Policies,
    Quota,
    RequestCost,
    Share,
    Study,
    Tier,
    Utilisation,
)

A, B = "m/m-cuda@a/x/m", "m/n-neuron@b/y/n"
ENGINES = ("b/y", "engines of 5 s")
"""What storage has read at y when engines there begin to start."""
DAY, NIGHT, HALF = "period-1/day", "period-1/night", "period-1"


def given() -> Study:
    """A year of days (300 h) and nights (900 h) at 7 %; two workloads, of which v waits; two pools, two kinds of chip.

    A replica of A takes half a machine and 0.4 · 60/1000 + 1/5 s a request; one of B loads 40 s.
    """
    fast = profile("m", "cuda", 5, accelerators_per_replica=4, load_seconds=0.0)
    loads = {"load_seconds": 40.0, "engine_start_seconds": 5.0}
    slow = profile("n", "neuron", 4, accelerators_per_replica=4, **loads)
    profiles = [
        row.model_copy(
            update={"classes": tuple(c.model_copy(update={"prefill_tokens_per_second": 1000.0}) for c in row.classes)}
        )
        for row in (fast, slow)
    ]
    rows: list[Demand] = []
    for w, day, night in (("w", 10.0, 6.0), ("v", 2.0, 1.0)):
        rows.append(Demand(workload=w, origin="o", requests_per_second=day, hour="day"))
        rows.append(Demand(workload=w, origin="o", requests_per_second=night, hour="night"))
    goals = (
        Goal(any="site", serve_fraction=0.3, within_seconds=30.0),
        Goal(any="site", serve_fraction=0.5, within_seconds=50.0),  # 10 to detect, 40 to load
        Goal(any="site", serve_fraction=0.8, within_seconds=300.0),
        Goal(failure="part", serve_fraction=0.7, within_seconds=50.0),
        Goal(failure="hit", serve_fraction=0.6, within_seconds=50.0),
    )
    tokens = {"mean_input_tokens": 100.0, "cached_fraction": 0.4, "cached_fraction_in_failure": 0.1}
    return study(
        horizon=Horizon(
            start=date(2026, 1, 1),
            months=12.0,
            hours=(Hour(name="day", weight_fraction=0.25), Hour(name="night", weight_fraction=0.75)),
        ),
        hours_per_month=100.0,
        detection_seconds=10.0,
        utilisation=Utilisation(basis="fixed", normal=0.85, in_failure=0.95),
        money=Money(discount_fraction_per_year=0.07),
        sites=(site("a/x"), site("b/y", load_gib_per_second=5.0)),
        machine_types=(
            machine_type("m", quota_units={"vcpu": 10.0}, power_kw=6.0),
            machine_type("n", quota_units={"vcpu": 12.0}, power_kw=4.0),
        ),
        pools=(
            Pool(site="a/x", machine_type="m", usable_fraction=0.8, spare_machines=0.25),
            Pool(site="b/y", machine_type="n", usable_fraction=0.9, spare_machines=0.5),
        ),
        bought=[
            offer("a/x/m", 2, "on_demand", most_units=6.0),
            offer("a/x/m", 1, "spot", most_units=3.0),
            offer("b/y/n", 3, "commitment", most_units=5.0, machines_per_unit=2),
        ],
        models=(model("m", profiles, rollout_surge_fraction=0.5),),
        tiers=(
            Tier(name="t", serve_fraction=0.9, outage_usd_per_request=0.01, survive=goals),
            Tier(name="late", serve_fraction=0.75, outage_usd_per_request=0.002, deferrable_hours=24.0),
        ),
        workloads=(
            workload("w", burst_factor=1.25, **tokens),
            workload("v", tier="late", burst_factor=1.5, **tokens),
        ),
        demand=tuple(rows),
        holdings=(Holding(pool="a/x/m", machines=2),),
        claims=(Claim(pool="a/x/m", machines=1, reclaim_seconds=20.0, lent_to="training"),),
        failures=(
            NamedFailure(name="part", lost={"pool:a/x/m": 0.25}, surge_factor=1.2, surges={"workload:w": 1.1}),
            NamedFailure(name="hit", lost={"pool:a/x/m": 0.4}, worst_part=True),
        ),
        electricity=(Electricity(site="a/x", usd_per_kwh=0.1, pue=1.3, draw_fraction=0.5, **SOURCED),),
        request_costs=(RequestCost(origin="o", site="b/y", usd_per_request=0.001),),
        spend_commitments=(SpendCommitment(name="promise", offers=("a/*",), usd_per_year=9000.0),),
        policies=Policies(
            budget_usd=60000.0,
            quotas=(Quota(name="cores", pools=("*",), unit="vcpu", most=130.0),),
            shares=(Share(component="provider:a", most_fraction=0.7),),
            counted=(
                Counted(
                    offers=("a/x/m:on_demand",),
                    any="site",
                    running_fraction=0.75,
                    obtainable_fraction=0.5,
                    obtain_seconds=15.0,
                ),
            ),
        ),
    )


State = tuple[str, str, float]
NORMAL: State = (DAY, "normal", 0.0)
AT_NIGHT: State = (NIGHT, "normal", 0.0)
NO_A_50: State = (DAY, "site:a/x", 50.0)
NO_A_300: State = (DAY, "site:a/x", 300.0)
NO_B_25: State = (DAY, "site:b/y", 25.0)
NO_B_AFTER_30: State = (DAY, "site:b/y", 30.001)
PART: State = (NIGHT, "failure:part", 50.0)
HIT: State = (DAY, f"failure:hit on {A}", 50.0)
RENTED, SPOT, TERM = "a/x/m:on_demand", "a/x/m:spot", "b/y/n:commitment"
QA, QB = "a/x/m", "b/y/n"
MEASURE = Measure({RENTED: 1.0, SPOT: 0.5, TERM: 2.0}, most=12000.0)
"""Of an alternative: what a unit counts for in an hour."""

DECISIONS: dict[str, dict[tuple[Any, ...], float]] = {
    "started": {(TERM, HALF): 3.0},
    "rented": {(RENTED, DAY): 4.0, (RENTED, NIGHT): 2.5, (SPOT, DAY): 1.5, (SPOT, NIGHT): 0.5},
    "replicas": {(A, DAY): 5.0, (A, NIGHT): 3.0, (B, DAY): 7.0, (B, NIGHT): 2.0},
    "non_preemptible": {(A, DAY): 4.5, (A, NIGHT): 2.75},
    "on_offer": {(A, RENTED, DAY): 0.3, (A, RENTED, NIGHT): 0.2},
    "opened": {(QB, DAY): 0.9, (QB, NIGHT): 0.8},
    "shortfall": {("promise", 1): 700.0},
    "offered": {
        ("w", "o", NORMAL): 9.5,
        ("v", "o", NORMAL): 2.2,
        ("v", "o", AT_NIGHT): 0.9,
        ("w", "o", PART): 8.0,
        ("v", "o", PART): 1.1,
    },
    "shed": {
        ("w", "o", NORMAL): 0.75,
        ("v", "o", NORMAL): 0.3,
        ("w", "o", AT_NIGHT): 0.4,
        ("v", "o", AT_NIGHT): 0.15,
        ("w", "o", NO_A_50): 3.5,
        ("v", "o", NO_A_50): 0.6,
        ("w", "o", PART): 2.1,
    },
    "excess": {("w", "o", NORMAL): 0.05},
    "traffic": {
        ("w", "o", A, NORMAL): 6.5,
        ("w", "o", B, NORMAL): 2.25,
        ("v", "o", A, NORMAL): 1.1,
        ("v", "o", B, NORMAL): 0.7,
        ("w", "o", A, AT_NIGHT): 4.0,
        ("w", "o", B, AT_NIGHT): 1.2,
        ("v", "o", A, AT_NIGHT): 0.35,
        ("v", "o", B, AT_NIGHT): 0.25,
        ("w", "o", A, NO_A_50): 0.125,
        ("w", "o", B, NO_A_50): 6.0,
        ("v", "o", B, NO_A_50): 1.3,
        ("w", "o", A, PART): 3.3,
        ("w", "o", B, PART): 2.4,
        ("v", "o", A, PART): 0.45,
        ("v", "o", B, PART): 0.55,
    },
    "kept": {
        (A, NORMAL): 4.75,
        (B, NORMAL): 6.5,
        (B, NO_A_50): 6.0,
        (B, NO_A_300): 5.0,
        (A, NO_A_50): 0.3,
        (A, NO_B_AFTER_30): 2.0,
        (A, PART): 1.5,
        (B, PART): 1.75,
        (A, HIT): 2.2,
        (B, HIT): 6.2,
    },
    "cold_started": {
        (A, NORMAL): 0.2,
        (B, NO_A_50): 1.4,
        (B, NO_A_300): 1.2,
        (A, NO_B_25): 0.35,
        (A, NO_B_AFTER_30): 0.6,
        (A, PART): 0.65,
        (B, PART): 0.85,
    },
    "occupied": {
        (A, NORMAL): 7.25,
        (B, NORMAL): 9.5,
        (B, NO_A_50): 6.9,
        (A, NO_B_AFTER_30): 2.7,
        (A, PART): 2.3,
        (B, PART): 2.6,
    },
    "machines": {
        (QA, NORMAL): 4.1,
        (QB, NORMAL): 4.9,
        (QA, NO_B_25): 2.9,
        (QA, NO_B_AFTER_30): 3.8,
        (QA, PART): 1.7,
        (QB, PART): 5.1,
        (QA, HIT): 2.05,
        (QB, HIT): 5.2,
    },
    "obtained": {(QA, NO_B_25): 0.15, (QA, NO_B_AFTER_30): 0.7},
    "drawn": {(0, NO_B_25): 2.0, (0, NO_B_AFTER_30): 9.0},
}
"""Name of a decision -> key -> number; all others are zero. Some of `kept` and `traffic` is where none may be."""
Side = tuple[float, str, float]
YEAR = 1.07**0.5
"""What a USD in the middle of the year is worth more than at its start."""
MOST_B = 0.5 * (math.ceil(0.34 * (1.25 * (10 + 6) + 1.5 * (5 + 5 / 3)) * 1.32 / 0.85) + 1) / 0.9
"""Machines of b that could ever be of use: peaks of w and of v, of all that an hour may take up (1500 / 300, / 900)."""

ONCE: dict[str, dict[tuple[Any, ...], Side]] = {
    # rules of what is bought: all their rows
    "offers_have_limits": {
        (RENTED, DAY): (4.0, "<=", 6.0),
        (RENTED, NIGHT): (2.5, "<=", 6.0),
        (SPOT, DAY): (1.5, "<=", 3.0),
        (SPOT, NIGHT): (0.5, "<=", 3.0),
        (TERM, HALF): (3.0, "<=", 5.0),
    },
    "limits_hold": {  # 10 vcpu a machine of m, held 2; 12 of n, units of 2
        ("cores", DAY): (10 * (2 + 4 + 1.5) + 12 * 2 * 3, "<=", 130.0),
        ("cores", NIGHT): (10 * (2 + 2.5 + 0.5) + 12 * 2 * 3, "<=", 130.0),
    },
    "shares_hold": {  # w is not to wait: what is wanted; of v what is taken up
        ("provider:a", DAY): (6.5 + 1.1, "<=", 0.7 * (10 + 2.2)),
        ("provider:a", NIGHT): (4.0 + 0.35, "<=", 0.7 * (6 + 0.9)),
    },
    "budget_holds": {
        ("budget",): ((21600 + 7800 + 2632.5 + 7884 + 22680) / YEAR + 700 / 1.07, "<=", 60000.0),  # see COST
    },
    "measure_is_limited": {  # see MEASURE: 300 h of a day, 900 h of nights
        ("measure",): (300 * (4 + 0.5 * 1.5 + 2 * 3) + 900 * (2.5 + 0.5 * 0.5 + 2 * 3), "<=", 12000.0),
    },
    "non_preemptible_replicas_stand_on_non_preemptible_machines": {  # of 2 held 1 is lent; spot counts 0
        (A, DAY): (4.5 + 0.3, "<=", 5.0),
        (QA, DAY): (0.5 * 4.5, "<=", 0.8 * (2 - 1 + 0.75 * 4)),
        (RENTED, DAY): (0.5 * 0.3, "<=", 0.8 * (1 - 0.75) * 4),  # where only the pool is lost all of it counts
        (A, NIGHT): (2.75 + 0.2, "<=", 3.0),
        (QA, NIGHT): (0.5 * 2.75, "<=", 0.8 * (2 - 1 + 0.75 * 2.5)),
        (RENTED, NIGHT): (0.5 * 0.2, "<=", 0.8 * (1 - 0.75) * 2.5),
    },
    "a_pool_in_use_keeps_spare_machines": {  # at a 0.8 · (2 − 1) held cover the 0.25 that are spare
        (QB, DAY): (0.5 * 7, "<=", MOST_B * 0.9),
        (QB, DAY, "once"): (0.9, "<=", 1.0),
        (QB, NIGHT): (0.5 * 2, "<=", MOST_B * 0.8),
        (QB, NIGHT, "once"): (0.8, "<=", 1.0),
    },
    "deferred_work_is_done": {("v", "o", HALF): (300 * 2.2 + 900 * 0.9, "==", 300 * 2.0 + 900 * 1.0)},
    "spend_commitments_are_used_or_paid": {  # 2 USD on demand, 1 USD spot, not discounted
        ("promise", 1): (2 * (300 * 4 + 900 * 2.5) + 1 * (300 * 1.5 + 900 * 0.5) + 700, ">=", 9000.0),
    },
    "outages_are_ranked": {},  # see RANKED
    "an_outage_saves_no_more_than_operation": {},  # see RATED
    "build_outs_have_limits": {},
    "phases_follow_each_other": {},
    "capital_has_limits": {},
    "what_was_ordered_stays": {},
}
IN_STATES: dict[str, dict[State, dict[tuple[Any, ...], Side]]] = {
    # rules of each state: all their rows in some states; keys without the state
    "demand_is_served": {
        NORMAL: {("w", "o"): (6.5 + 2.25 + 0.75 + 0.05, "==", 9.5), ("v", "o"): (1.1 + 0.7 + 0.3, "==", 2.2)},
        # what goes to the dead is counted as well: that it may not go there is requests_go_where_they_may
        NO_A_50: {("w", "o"): (0.125 + 6 + 3.5, "==", 0.0), ("v", "o"): (1.3 + 0.6, "==", 0.0)},
    },
    "replicas_carry_traffic": {
        NORMAL: {
            (A,): (0.26 * (1.25 * 6.5 + 1.5 * 1.1), "<=", 0.85 * (4.75 + 0.2)),
            (B,): (0.31 * (1.25 * 2.25 + 1.5 * 0.7), "<=", 0.85 * 6.5),
        },
        NO_A_50: {
            (A,): (0.29 * 1.25 * 0.125, "<=", 0.95 * 0.3),
            (B,): (0.34 * (1.25 * 6 + 1.5 * 1.3), "<=", 0.95 * (6 + 1.4)),
        },
        PART: {
            (A,): (0.29 * (1.25 * 3.3 + 1.5 * 0.45), "<=", 0.95 * (1.5 + 0.65)),
            (B,): (0.34 * (1.25 * 2.4 + 1.5 * 0.55), "<=", 0.95 * (1.75 + 0.85)),
        },
    },
    "running_replicas_stand_on_machines": {
        NORMAL: {
            (A,): (1.5 * (4.75 + 0.2), "<=", 7.25),
            (B,): (1.5 * 6.5, "<=", 9.5),
            (QA,): (0.5 * 7.25, "<=", 4.1),
            (QB,): (0.5 * 9.5, "<=", 4.9),
        },
        NO_B_AFTER_30: {
            (A,): (2 + 0.6, "<=", 2.7),
            (B,): (0.0, "<=", 0.0),
            (QA,): (0.5 * 2.7, "<=", 3.8 + 0.7),
            (QB,): (0.0, "<=", 0.0),
        },
        PART: {
            (A,): (1.5 + 0.65, "<=", 2.3),
            (B,): (1.75 + 0.85, "<=", 2.6),
            (QA,): (0.5 * 2.3, "<=", 1.7),
            (QB,): (0.5 * 2.6, "<=", 5.1),
        },
    },
    "what_is_obtained_is_counted": {  # 0.15 that can be used are 0.15 / 0.8 machines
        NORMAL: {},
        NO_B_25: {("cores",): (10 * 0.15 / 0.8, "==", 2.0)},
        NO_B_AFTER_30: {("cores",): (10 * 0.7 / 0.8, "==", 9.0)},
    },
    "what_loads_occupies": {
        NORMAL: {},
        NO_A_300: {  # 250 s before: not 30 s
            (A, 50.0, "kept"): (0.0, "<=", 0.3),
            (B, 50.0, "kept"): (5.0, "<=", 6.0),
            (B, 50.0): (5 + 1.2, "<=", 6.9),
        },
        PART: {  # 19.999 and 20 s are less than the 40 that b loads; a loads in no time
            (A, 30.001, "kept"): (1.5, "<=", 0.0),
            (B, 30.001, "kept"): (1.75, "<=", 0.0),
            (B, 30.0): (1.75 + 0.85, "<=", 0.0),
            (B, 30.001): (1.75 + 0.85, "<=", 0.0),
        },
    },
    "storage_can_load_that_fast": {
        NORMAL: {},
        NO_A_50: {ENGINES: (100 * 1.4, "<=", 5 * (50 - 10 - 5)), (B,): (0.0, "<=", 1.4)},
        NO_A_300: {ENGINES: (100 * 1.2, "<=", 5 * (300 - 10 - 5)), (B,): (1.4, "<=", 1.2)},
        NO_B_AFTER_30: {ENGINES: (0.0, "<=", 5 * (30.001 - 10 - 5)), (B,): (0.0, "<=", 0.0)},
    },
    "requests_go_where_they_may": {
        NORMAL: {},
        NO_A_50: {("w", "o", A): (0.125, "<=", 0.0), ("v", "o", A): (0.0, "<=", 0.0)},
    },
    "offered_is_demand": {
        NORMAL: {("w", "o"): (9.5, "==", 10.0)},  # v waits
        PART: {("w", "o"): (8.0, "==", 6 * 1.2 * 1.1), ("v", "o"): (1.1, "==", 1 * 1.2)},
    },
    "survival_goals_are_met": {
        NORMAL: {("w", "o"): (0.75, "<=", 0.1 * 10), ("v", "o"): (0.3, "<=", 0.25 * 2)},
        NO_B_25: {("w", "o"): (0.0, "<=", 10.0), ("v", "o"): (0.0, "<=", 2.0)},  # nothing is due by now
        NO_B_AFTER_30: {("w", "o"): (0.0, "<=", 0.7 * 10), ("v", "o"): (0.0, "<=", 2.0)},
        NO_A_50: {("w", "o"): (3.5, "<=", 0.5 * 10), ("v", "o"): (0.6, "<=", 2.0)},
        NO_A_300: {("w", "o"): (0.0, "<=", 0.2 * 10), ("v", "o"): (0.0, "<=", 2.0)},
        PART: {("w", "o"): (2.1, "<=", 0.3 * 7.92), ("v", "o"): (0.0, "<=", 1.2)},
    },
    "survivors_only": {
        NORMAL: {
            (QA,): (4.1, "<=", 0.8 * (2 + 4 + 1.5 - 1) - 0.25),
            (QB,): (4.9, "<=", 0.9 * 2 * 3 - 0.5 * 0.9),
        },
        NO_B_25: {(QA,): (2.9, "<=", 0.8 * (2 + 0.75 * 4 - 1))},  # the one that is lent is back after 30 s
        NO_B_AFTER_30: {(QA,): (3.8, "<=", 0.8 * (2 + 0.75 * 4))},
        PART: {(QA,): (1.7, "<=", 0.75 * 0.8 * (2 + 2.5)), (QB,): (5.1, "<=", 0.9 * 6)},  # of a pool: on demand whole
        HIT: {(QA,): (2.05, "<=", 0.6 * 0.8 * (2 + 4)), (QB,): (5.2, "<=", 0.9 * 6)},
    },
    "only_what_is_on_the_market_is_obtained": {
        NORMAL: {},
        NO_B_25: {(QA,): (0.15, "<=", 0.0), ("cores",): (2.0, "<=", 130.0 - 147.0)},  # after 25 s, not at
        NO_B_AFTER_30: {(QA,): (0.7, "<=", 0.8 * 0.5 * (6 - 4)), ("cores",): (9.0, "<=", 130.0 - 147.0)},
    },
    "replicas_run_in_normal_operation": {
        NORMAL: {(A,): (4.75, "==", 5.0), (B,): (6.5, "==", 7.0)},
        PART: {},
    },
    "no_replica_before_its_cold_start_ends": {
        NORMAL: {(A, "cold_started"): (0.2, "<=", 0.0), (B, "cold_started"): (0.0, "<=", 0.0)},
        NO_A_50: {(B, "kept"): (6.0, "<=", 7.0)},  # 10 + 40 s have passed
        (DAY, "site:a/x", 30.0): {(B, "kept"): (0.0, "<=", 7.0), (B, "cold_started"): (0.0, "<=", 0.0)},
        NO_B_AFTER_30: {(A, "kept"): (2.0, "<=", 4.5)},  # firm ones: spot does not count
        # of a pool alone: of what is on demand more counts than where a site is lost, and what stands on that goes on
        PART: {(A, "kept"): (1.5, "<=", 0.75 * (2.75 + 0.2)), (B, "kept"): (1.75, "<=", 2.0)},
        # two fifths of what is usable of 2 + 4 − 1 machines, two replicas on each: 3.2 of 4.8
        HIT: {(A, "kept"): (2.2, "<=", 4.5 + 0.3 - 0.4 * 0.8 / 0.5 * (2 + 4 - 1)), (B, "kept"): (6.2, "<=", 7.0)},
    },
    "only_the_living_run": {
        PART: {},
        NO_A_50: {(A, "kept"): (0.3, "<=", 0.0), (A, "cold_started"): (0.0, "<=", 0.0)},
    },
    "no_request_passes_a_dead_component": {NO_A_50: {}},
    "no_request_passes_a_closed_alternative": {NO_A_50: {}},
    "components_pass_what_they_can": {NO_A_50: {}},
    "throughput_is_counted": {NO_A_50: {}},
    "each_request_passes_one_alternative": {NO_A_50: {}},
    "nothing_is_served_before_a_replica_runs": {NORMAL: {}},
    "a_unit_opens_what_it_serves": {NORMAL: {}},
    "an_outage_costs_what_is_not_served": {NO_A_50: {}},
    "gateways_renormalise": {NORMAL: {}},
}
COST: dict[str, float] = {
    "commitments": 3 * 2 * (300 + 900) * 3 / YEAR,  # 21600
    "hourly_machines": (2 * (300 * 4 + 900 * 2.5) + 1 * (300 * 1.5 + 900 * 0.5)) / YEAR,  # 7800
    "capital": 0.0,
    "upkeep": 0.0,
    # 6 kW · 0.5 · 1.3 · 0.1 USD = 0.39 USD/h for each machine of a: 2632.5
    "energy": 6 * 0.5 * 1.3 * 0.1 * (300 * (2 + 4 + 1.5) + 900 * (2 + 2.5 + 0.5)) / YEAR,
    "salvage": 0.0,
    "spend_shortfalls": 700 / 1.07,
    "requests": 3600 * 0.001 * (300 * (2.25 + 0.7) + 900 * (1.2 + 0.25)) / YEAR,  # 7884
    # 22680
    "unserved_requests": 3600 * (300 * (0.01 * 0.75 + 0.002 * 0.3) + 900 * (0.01 * 0.4 + 0.002 * 0.15)) / YEAR,
    "outages": 0.0,
}


def rated(objective: str) -> Study:
    """The same, where a part is lost three times a year for two hours, and the worst part twice for 1.5 hours."""
    asked = given()
    often = {"part": (3.0, 2.0), "hit": (2.0, 1.5)}
    failures = tuple(
        row.model_copy(update={"failures_per_year": often[row.name][0], "hours_to_repair": often[row.name][1]})
        for row in asked.failures
    )
    return asked.model_copy(update={"failures": failures, "objective": objective, "cvar_level": 0.6})


BROKEN, STRUCK = "failure:part", f"failure:hit on {A}"
OUTAGES: dict[str, dict[tuple[Any, ...], float]] = {
    "outage": {(BROKEN,): 45.0, (STRUCK,): 12.5},
    "tail": {
        ("worst",): 80.0,
        ("threshold",): 100.0,
        ("above", BROKEN): 40.0,
        ("above", "failure:hit"): 70.0,
    },
}
"""Beside DECISIONS."""
NORMAL_USD_PER_HOUR = {
    # 3600 s of what is shed at 0.01 and 0.002 USD, and of what b serves at 0.001
    DAY: 36 * 0.75 + 7.2 * 0.3 + 3.6 * (2.25 + 0.7),
    NIGHT: 36 * 0.4 + 7.2 * 0.15 + 3.6 * (1.2 + 0.25),
}
# until detection what went to the quarter that is lost is not served: of w 1.32 times as much is wanted, of v 1.2
UNMOVED_USD_PER_HOUR = {
    DAY: 36 * (13.2 - 0.75 * 1.32 * 6.5 - 1.32 * 2.25)
    + 3.6 * 1.32 * 2.25
    + 7.2 * (2.4 - 0.75 * 1.2 * 1.1 - 1.2 * 0.7)
    + 3.6 * 1.2 * 0.7,
    NIGHT: 36 * (7.92 - 0.75 * 1.32 * 4 - 1.32 * 1.2)
    + 3.6 * 1.32 * 1.2
    + 7.2 * (1.2 - 0.75 * 1.2 * 0.35 - 1.2 * 0.25)
    + 3.6 * 1.2 * 0.25,
}
# a quarter of the time is day; the last state, given for the night alone, lasts from 50 s to 7200 s
BROKEN_USD = (
    0.75 * 7150 / 3600 * (36 * 2.1 + 3.6 * (2.4 + 0.55))
    + 10 / 3600 * (0.25 * UNMOVED_USD_PER_HOUR[DAY] + 0.75 * UNMOVED_USD_PER_HOUR[NIGHT])
    - 2 * (0.25 * NORMAL_USD_PER_HOUR[DAY] + 0.75 * NORMAL_USD_PER_HOUR[NIGHT])
) / YEAR
SAVED_USD_PER_HOUR = (0.25 * NORMAL_USD_PER_HOUR[DAY] + 0.75 * NORMAL_USD_PER_HOUR[NIGHT]) / YEAR
RATED: dict[str, dict[tuple[Any, ...], Side]] = {
    "an_outage_saves_no_more_than_operation": {
        (BROKEN,): (45.0 + 2 * SAVED_USD_PER_HOUR, ">=", 0.0),
        (STRUCK,): (12.5 + 1.5 * SAVED_USD_PER_HOUR, ">=", 0.0),
    },
}
RANKED: dict[str, dict[tuple[Any, ...], Side]] = {
    "expected": {},
    "worst_case": {(BROKEN,): (80.0, ">=", 45.0), (STRUCK,): (80.0, ">=", 12.5)},
    "cvar": {(BROKEN,): (40.0 + 100.0, ">=", 45.0), (STRUCK,): (70.0 + 100.0, ">=", 12.5)},
}
OUTAGE_COST = {
    "expected": 3 * 45.0 + 2 * 12.5,
    "worst_case": 80.0,
    "cvar": (3 + 2) * 100.0 + 3 / (1 - 0.6) * 40.0 + 2 / (1 - 0.6) * 70.0,
}


def solvable() -> Study:
    """The same with a budget and a quota that leave room: there is a plan."""
    asked = given()
    (cores,) = asked.policies.quotas
    room = {"budget_usd": 100000.0, "quotas": (cores.model_copy(update={"most": 300.0}),)}
    return asked.model_copy(update={"policies": asked.policies.model_copy(update=room)})


# What stands, for the drill: a holds 2 machines, of which 1 is lent, rents 1 and 2 of spot; b has 6.
STANDS = {
    "purchases": {
        (RENTED, DAY): 1,
        (RENTED, NIGHT): 1,
        (SPOT, DAY): 2,
        (SPOT, NIGHT): 1,
        (TERM, HALF): 3,
    },
    # replicas, of them firm: 0.8 · (2 − 1 + 0.75) machines always count at a
    "replicas": {(A, DAY): (3, 2), (A, NIGHT): (2, 1), (B, DAY): (4, None), (B, NIGHT): (3, None)},
    "traffic": {
        DAY: {("w", A): 7.5, ("w", B): 2.5, ("v", B): 1.4},
        NIGHT: {("w", A): 4.2, ("w", B): 1.8, ("v", A): 0.7, ("v", B): 0.5},  # 300 · 1.4 + 900 · 1.2 = 1500
    },
}
STRUCK_A = f"failure:hit on {A}"
RESCALED: dict[tuple[str, str, float], tuple[float, float]] = {
    # (hour, failure, clock): shares of w and v that are served when gateways renormalise what is left of weights
    (DAY, "normal", 0.0): (1.0, 1.0),
    # nothing is moved yet: a quarter of w goes to b
    (DAY, "site:a/x", 0.0): (2.5 / 10, 1.0),
    # 4 replicas of b at 0.95, caches cold: 0.34 · 1.25 and 0.34 · 1.5 s
    (DAY, "site:a/x", 30.0): (0.95 * 4 / (10 * 0.425 + 2 * 0.51),) * 2,
    (DAY, "site:a/x", 300.0): (0.95 * 4 / (10 * 0.425 + 2 * 0.51),) * 2,
    (NIGHT, "site:a/x", 50.0): (0.95 * 3 / (6 * 0.425 + 1 * 0.51),) * 2,
    # 2 firm replicas of a, 0.29 · 1.25 s; v has no weight there by day
    (DAY, "site:b/y", 0.0): (7.5 * 2 / 3 / 10, 0.0),  # a third of them stood on spot
    (DAY, "site:b/y", 30.0): (0.95 * 2 / (10 * 0.3625), 0.0),
    (NIGHT, "site:b/y", 30.0): (0.95 / (6 * 0.3625 + 1 * 0.435),) * 2,
    # of 2 firm replicas 0.75 are left: 1 whole one, filled; b takes 2.5 of 0.75 · 7.5 + 2.5 parts of 13.2
    (DAY, "failure:part", 50.0): ((0.95 / 0.3625 + 13.2 * 2.5 / (0.75 * 7.5 + 2.5)) / 13.2, 1.0),
    # 0.75 of 1: none
    (NIGHT, "failure:part", 50.0): (1.8 / (0.75 * 4.2 + 1.8), 0.5 / (0.75 * 0.7 + 0.5)),
    # 0.4 · 0.8 / 0.5 · (2 + 1 − 1) = 1.28 of 2 replicas are lost: none is left whole; gateways do not know
    (DAY, STRUCK_A, 50.0): (2.5 / 10, 1.0),
    (NIGHT, STRUCK_A, 50.0): (1.8 / 6, 0.5 / 1.2),
}
SHORT = {
    # the same: requests/s of w below what is due
    (DAY, "site:a/x", 30.0): 0.0,
    (DAY, "site:a/x", 50.0): 0.0,
    (DAY, "site:a/x", 300.0): 0.8 * 10 - 0.95 * 4 / (4.25 + 1.02) * 10,
    (DAY, "site:b/y", 30.0): 0.0,
    (DAY, "site:b/y", 50.0): 0.0,
    (DAY, "site:b/y", 300.0): 0.8 * 10 - 0.95 * 2 / 0.3625,
    (NIGHT, "failure:part", 50.0): (0.7 - 1.8 / 4.95) * 7.92,
    (DAY, STRUCK_A, 50.0): (0.6 - 0.25) * 10,
}
LOST_WITHOUT_A = (
    # requests/s not served of w and v: 7.5 of w until detection, then 1 − 3.8 / 5.27 of all until 300 s
    10 * 7.5 + 290 * 10 * (1 - 3.8 / 5.27),
    290 * 2 * (1 - 3.8 / 5.27),
)
RESOLVED = {
    # (hour, failure, clock): share of w that is served by the best new weights and starts
    (DAY, "normal", 0.0): 1.0,
    (DAY, "site:a/x", 0.0): 0.25,
    (DAY, "site:a/x", 30.0): 0.95 * 4 / 0.425 / 10,  # all of b for w, of which 0.3 is due
    (DAY, "site:a/x", 50.0): 1.0,  # 5 GiB/s for 40 s load 2 of 100 GiB
    (NIGHT, "site:a/x", 30.0): 1.0,
    (DAY, "site:b/y", 30.0): 1.0,  # 0.8 · (2 − 1 + 0.75 + 0.5 · (6 − 1)) machines: 6 replicas, at once
}
