"""Every rule: a point inside and one outside, by hand; every cost: a worked number."""

from dataclasses import replace

import pytest
from buildouts import HALL, years
from row_by_row import rows_of
from studies import machine_type, model, offer, profile, site, study, workload

from planner.problem.algebra import Sparse
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import HOUR, PERIOD, Measure, Problem, states
from planner.problem.rules.costs import COSTS, cost_usd
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import INSIDE_RULES, LINK_RULES, RELAXABLE, RULES, STATE_RULES
from planner.study.dependencies import NORMAL
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Component,
    Counted,
    Dependency,
    Goal,
    NamedFailure,
    Needs,
    Policies,
    Quota,
    RequestCost,
    Share,
    Study,
    Tier,
)

A, B = "m/m-cuda@a/x/m", "m/n-neuron@b/y/n"
RENT, BUILD = ("a/x/m:on_demand", HOUR), ("b/y/n:commitment", PERIOD)
USUAL = (HOUR, NORMAL, 0.0)
EAST, SOUTH, WEST = "1.1 path:east", "1.2 path:south", "1.3 path:west"
NO_A, NO_B, NO_ENTRY = "site:a/x", "site:b/y", "failure:entry"


def worked() -> Study:
    """10 requests/s; a replica of A serves 5 on one machine at once, one of B 4 after 40 s; failures of three kinds."""
    return study(
        hours_per_month=100.0,
        sites=(site("a/x"), site("b/y", load_gib_per_second=5.0)),
        machine_types=(machine_type("m", quota_units={"vcpu": 10.0}), machine_type("n", quota_units={"vcpu": 10.0})),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="n", spare_machines=0.25)),
        bought=[
            offer("a/x/m", 2, "on_demand", most_units=6.0),
            offer("a/x/m", 1, "spot", most_units=2.0),
            offer("b/y/n", 3, "commitment", most_units=2.0, machines_per_unit=2),
        ],
        models=(
            model("m", [profile("m", "cuda", 5), profile("n", "neuron", 4, load_seconds=40.0)]).model_copy(
                update={"rollout_surge_fraction": 0.5}
            ),
        ),
        tiers=(
            Tier(
                name="t",
                serve_fraction=0.9,
                outage_usd_per_request=0.01,
                survive=(
                    Goal(any="site", serve_fraction=0.3, within_seconds=30.0),
                    Goal(any="site", serve_fraction=0.5, within_seconds=60.0),
                    Goal(any="site", serve_fraction=0.8, within_seconds=300.0),
                    Goal(failure="entry", serve_fraction=0.8, within_seconds=60.0),
                ),
            ),
        ),
        workloads=(workload("w"),),
        demand={("w", "o"): 10},
        components=(
            Component(name="login", kind="identity"),
            Component(name="in", kind="gateway", most_requests_per_second=12.0),
            Component(name="east", kind="path", most_requests_per_second=8.0),
            Component(name="south", kind="path"),
            Component(name="west", kind="path"),
        ),
        dependencies=(
            Dependency(component="workload:w", needs=Needs(all_of=("identity:login", "gateway:in"))),
            Dependency(component="origin:o", needs=Needs(any_of=("path:east", "path:south", "path:west"))),
        ),
        failures=(
            NamedFailure(
                name="entry", lost={"identity:login": 0.5, "gateway:in": 0.5, "path:west": 1.0}, surge_factor=1.2
            ),
        ),
        request_costs=(RequestCost(origin="o", site="b/y", usd_per_request=0.001),),
        policies=Policies(
            budget_usd=6000.0,
            quotas=(Quota(name="cores", pools=("*",), unit="vcpu", most=60.0),),
            shares=(Share(component="provider:a", most_fraction=0.9),),
        ),
    )


def inside(deferrable: bool = False) -> tuple[Problem, Decisions]:
    """3 machines rented for 2 replicas of A, a unit of 2 machines for one replica of B; half as many in a rollout."""
    p, x = build(worked()), no_decisions()
    measure = Measure({RENT[0]: 1.0, BUILD[0]: 2.0}, most=600.0)  # machine-hours: 100 h of 3 and of 2 machines
    p = replace(p, deferrable=frozenset({"w"}) if deferrable else frozenset(), measure=measure)
    x.rented, x.started = Sparse({RENT: 3.0}), Sparse({BUILD: 1.0})
    x.replicas = Sparse({(A, HOUR): 2.0, (B, HOUR): 1.0})
    x.non_preemptible, x.opened = Sparse({(A, HOUR): 2.0}), Sparse({("b/y/n", HOUR): 1.0})

    def state(f: str, c: float, a: tuple[float, ...], b: tuple[float, ...], shed: float, offered: float = 10.0) -> None:
        s = (HOUR, f, c)
        x.offered["w", "o", s], x.shed["w", "o", s] = offered, shed
        for e, q, row in ((A, "a/x/m", a), (B, "b/y/n", b)):
            if row:
                x.traffic["w", "o", e, s], x.kept[e, s], x.cold_started[e, s], x.occupied[e, s] = row
                x.machines[q, s] = x.occupied[e, s]
        through = sum(row[0] for row in (a, b) if row)
        x.component_throughput["gateway:in", s], x.component_throughput["path:east", s] = through, min(8.0, through)
        # each passes one of three: all that east lets through, the rest one of the others that lives
        x.throughput[EAST, s] = min(8.0, through)
        x.throughput[SOUTH if f == NO_ENTRY else WEST, s] = max(0.0, through - 8.0)

    # traffic, kept, loaded, occupied of A and of B; shed
    state(NORMAL, 0.0, (6.0, 2.0, 0.0, 3.0), (3.0, 1.0, 0.0, 1.5), 1.0)
    state(NO_A, 30.0, (), (4.0, 1.0, 0.0, 2.0), 6.0)  # a second replica of B loads from second 10 to 50
    state(NO_A, 60.0, (), (6.0, 1.0, 1.0, 2.0), 4.0)
    state(NO_A, 300.0, (), (8.0, 1.0, 1.0, 2.0), 2.0)
    for c in (30.0, 60.0, 300.0):
        state(NO_B, c, (8.0, 2.0, 0.0, 2.0), (), 2.0)
    state(NO_ENTRY, 60.0, (6.0, 2.0, 0.0, 2.0), (0.0, 1.0, 0.0, 1.0), 6.0, 12.0)  # half of 10 · 1.2 cannot log in
    return p, x


OUTSIDE: dict[str, list[tuple[str, tuple, float, float]]] = {
    # rule: (decision, key, its value, shortfall of the rule's worst row)
    "offers_have_limits": [("rented", RENT, 7.5, 1.5)],  # 7.5 − 6 units
    "limits_hold": [("rented", RENT, 5.0, 10.0)],  # 10 · 5 + 10 · 2 · 1 − 60 vcpu
    "shares_hold": [("traffic", ("w", "o", A, USUAL), 10.0, 1.0)],  # 10 − 0.9 · 10 requests/s
    "budget_holds": [("rented", RENT, 4.0, 80.0)],  # 5880 + 2 · 100 − 6000 USD
    "measure_is_limited": [("rented", RENT, 4.5, 50.0)],  # 450 + 200 − 600 machine-hours
    "non_preemptible_replicas_stand_on_non_preemptible_machines": [
        ("non_preemptible", (A, HOUR), 2.5, 0.5),  # 2.5 − 2 replicas
        ("rented", RENT, 1.25, 0.75),  # 1 · 2 replicas on 1.25 machines that are not spot
    ],
    "a_pool_in_use_keeps_spare_machines": [
        ("opened", ("b/y/n", HOUR), 0.0, 1.0),  # 1 · 1 replica in a pool that is said to be unused
        ("opened", ("b/y/n", HOUR), 3.0, 2.0),  # 3 − 1
    ],
    "deferred_work_is_done": [("offered", ("w", "o", USUAL), 9.5, 50.0)],  # 100 h · (10 − 9.5) requests/s
    "demand_is_served": [("traffic", ("w", "o", A, USUAL), 5.5, 0.5)],  # 5.5 + 3 + 1 against 10 requests/s
    "requests_go_where_they_may": [("traffic", ("w", "o", B, (HOUR, NO_B, 60.0)), 1.25, 1.25)],  # B is dead
    "replicas_carry_traffic": [("traffic", ("w", "o", A, USUAL), 11.0, 0.2)],  # 11 / 5 − 2 replicas
    "running_replicas_stand_on_machines": [
        ("occupied", (A, USUAL), 2.5, 0.5),  # 1.5 · 2 in a rollout − 2.5 replicas
        ("machines", ("a/x/m", USUAL), 2.75, 0.25),  # 1 · 3 − 2.75 machines
    ],
    "what_loads_occupies": [
        ("occupied", (B, (HOUR, NO_A, 30.0)), 1.0, 1.0),  # 2 run at 60 s, and were loading at 30 s
        ("kept", (B, (HOUR, NO_A, 300.0)), 3.0, 2.0),  # 3 kept at 300 s, of 1 kept at 60 s
    ],
    "storage_can_load_that_fast": [("cold_started", (B, (HOUR, NO_A, 60.0)), 3.0, 50.0)],  # 3 · 100 − 5 · (60 − 10) GiB
    "throughput_is_counted": [
        ("component_throughput", ("gateway:in", USUAL), 8.0, 1.0),  # 6 + 3 − 8 requests/s
        ("component_throughput", ("path:east", USUAL), 7.5, 0.5),  # 8 − 7.5 that pass it
    ],
    "each_request_passes_one_alternative": [
        ("throughput", (SOUTH, USUAL), 0.5, 0.5),  # 8 + 1 + 0.5 − 9 requests/s
        ("throughput", (EAST, (HOUR, NO_A, 60.0)), 5.0, 1.0),  # 6 − 5
        ("traffic", ("w", "o", A, USUAL), 5.0, 1.0),  # 8 + 1 − (5 + 3)
    ],
    "no_request_passes_a_closed_alternative": [
        ("throughput", (WEST, (HOUR, NO_ENTRY, 60.0)), 1.5, 1.5)
    ],  # west is lost
    "components_pass_what_they_can": [
        ("component_throughput", ("gateway:in", USUAL), 12.5, 0.5),  # 12.5 − 12 requests/s through the gateway
        ("component_throughput", ("gateway:in", (HOUR, NO_ENTRY, 60.0)), 6.5, 0.5),  # 6.5 − 12 · 0.5
        ("component_throughput", ("path:east", USUAL), 8.5, 0.5),  # 8.5 − 8
    ],
    "offered_is_demand": [
        ("offered", ("w", "o", USUAL), 11.0, 1.0),  # 11 − 10 requests/s
        ("offered", ("w", "o", (HOUR, NO_ENTRY, 60.0)), 10.0, 2.0),  # 10 · 1.2 − 10
    ],
    "survival_goals_are_met": [
        ("shed", ("w", "o", (HOUR, NO_A, 60.0)), 5.5, 0.5),  # 5.5 − (1 − 0.5) · 10 requests/s
        ("shed", ("w", "o", USUAL), 1.5, 0.5),  # 1.5 − (1 − 0.9) · 10
        ("shed", ("w", "o", (HOUR, NO_ENTRY, 60.0)), 7.0, 1.0),  # due is what is coverable: 7 − (1 − 0.5) · 12
    ],
    "no_request_passes_a_dead_component": [
        ("shed", ("w", "o", (HOUR, NO_ENTRY, 60.0)), 5.0, 1.0)
    ],  # (1 − 0.5) · 12 − 5
    "survivors_only": [
        ("machines", ("a/x/m", USUAL), 3.5, 0.5),  # 3.5 − 3 machines
        ("machines", ("a/x/m", (HOUR, NO_A, 60.0)), 2.0, 2.0),  # 2 − 0 · 3
        ("machines", ("b/y/n", USUAL), 2.0, 0.25),  # 2 − (2 − 0.25 spare)
    ],
    "replicas_run_in_normal_operation": [("kept", (A, USUAL), 1.0, 1.0)],  # 2 − 1 replicas
    "no_replica_before_its_cold_start_ends": [
        ("kept", (A, (HOUR, NO_B, 60.0)), 3.0, 1.0),  # 3 − 1 · 2 replicas
        ("non_preemptible", (A, HOUR), 1.0, 1.0),  # 2 kept, of which one stands on spot machines
        ("cold_started", (B, (HOUR, NO_A, 30.0)), 1.0, 1.0),  # 10 + 40 s > 30 s
    ],
    "only_the_living_run": [
        ("kept", (B, (HOUR, NO_B, 60.0)), 2.0, 2.0),  # B is dead
        ("cold_started", (B, (HOUR, NO_B, 300.0)), 1.5, 1.5),
    ],
    "nothing_is_served_before_a_replica_runs": [
        ("kept", (A, USUAL), 0.25, 3.0),  # 6 − 10 · 1.2 · 0.25 requests/s, were A so fast that a replica carries all
    ],
    "a_unit_opens_what_it_serves": [("started", BUILD, 0.0, 8.0)],  # 8 requests/s at 300 s − 10 · 0 units
}
COSTED = {
    "commitments": 600.0,  # 3 USD · 2 machines · 100 h · 1 unit
    "hourly_machines": 600.0,  # 2 USD · 1 machine · 100 h · 3 units
    "requests": 1080.0,  # 3600 s/h · 100 h · 0.001 USD · 3 requests/s at b/y
    "capital": 0.0,  # nothing is built here: see test_buildout
    "upkeep": 0.0,
    "energy": 0.0,
    "salvage": 0.0,
    "spend_shortfalls": 0.0,
    "outages": 0.0,  # nothing is priced here: see PRICED
    "unserved_requests": 3600.0,  # 3600 s/h · 100 h · 0.01 USD · 1 request/s
}


def reserved() -> tuple[Problem, Decisions]:
    """Gateways rescale: 6 replicas of A and 2 of B for 10 requests/s; up to 10 go to A, up to 8 to B, by weight."""
    asked = worked()
    goals = (*asked.tiers[0].survive, Goal(failure="part", serve_fraction=0.5, within_seconds=60.0))
    study = asked.model_copy(
        update={
            "failover": "rescale",
            "tiers": (asked.tiers[0].model_copy(update={"survive": goals}),),
            "dependencies": (
                Dependency(component="workload:w", needs=Needs(all_of=("identity:login",))),
                Dependency(component="site:b/y", needs=Needs(all_of=("gateway:in",))),
            ),
            "failures": (
                NamedFailure(name="entry", lost={"identity:login": 0.5}, surge_factor=1.2),
                NamedFailure(name="part", lost={"pool:a/x/m": 0.5}, worst_part=True),
            ),
        }
    )
    p, x = build(study), no_decisions()
    x.rented, x.started = Sparse({RENT: 6.0}), Sparse({BUILD: 1.0})
    x.replicas, x.non_preemptible = Sparse({(A, HOUR): 6.0, (B, HOUR): 2.0}), Sparse({(A, HOUR): 6.0})
    x.reserve = Sparse({("w", "o", A, HOUR): 10.0, ("w", "o", B, HOUR): 8.0})
    sent = {
        NORMAL: (10 * 10 / 18, 10 * 8 / 18),
        NO_A: (0.0, 8.0),  # 10 come in, 8 may go on
        NO_B: (10.0, 0.0),
        NO_ENTRY: (6 * 10 / 18, 6 * 8 / 18),  # half of 12 cannot log in
    }
    for f in p.failures:
        for s in states(p, f):
            # part: a loss that falls on A is for the replicas of A that are left, not for its weight
            x.traffic["w", "o", A, s], x.traffic["w", "o", B, s] = sent.get(f, sent[NORMAL])
    return p, x


RESERVED: dict[str, list[tuple[str, tuple, float, float]]] = {
    # as OUTSIDE, from the point `reserved`; headroom 1.6: (8 + 8) / (2 − 1) are due of two losses that leave nothing
    "reserves_cover_what_is_due": [
        ("reserve", ("w", "o", B, HOUR), 7.0, 1.0),  # 0.8 · 10 − 7 requests/s without A
        ("reserve", ("w", "o", A, HOUR), 0.5, 7.5),  # 8 − 0.5 without B
    ],
    "replicas_carry_what_is_reserved": [
        ("reserve", ("w", "o", A, HOUR), 22.0, 1.4),  # 22 / 5 replicas − (6 − 0.5 · 6)
        ("reserve", ("w", "o", B, HOUR), 9.0, 0.25),  # 9 / 4 − 2 replicas
        ("replicas", (A, HOUR), 1.0, 0.25),  # 10 / 1.6 / 5 − 1 in normal operation
    ],
    "warm_replicas_stand_on_machines": [("non_preemptible", (A, HOUR), 8.0, 2.0)],  # 8 − 3 replicas on 0.5 · 6 machines
    "components_pass_what_is_reserved": [
        ("reserve", ("w", "o", B, HOUR), 12.5, 0.5),  # 12.5 − 12 when A is lost
    ],
    "weights_keep_to_shares": [("reserve", ("w", "o", A, HOUR), 16.0, 1.0)],  # 16 / 1.6 − 0.9 · 10
    "limits_are_of_edges": [("reserve", ("w", "o", B, HOUR), 1.5, 1.5)],
    "gateways_renormalise": [
        ("traffic", ("w", "o", A, USUAL), 6.0, 6 - 100 / 18),
        ("traffic", ("w", "o", B, (HOUR, NO_A, 60.0)), 10.0, 2.0),  # 8 at most
        ("traffic", ("w", "o", A, (HOUR, NO_A, 60.0)), 1.0, 1.0),  # dead
    ],
}


def priced() -> tuple[Problem, Decisions]:
    """The point `inside`, where half of the entry is lost for an hour, once; its state at 60 s holds from 10 s on."""
    s = worked()
    (entry,) = s.failures
    rated = entry.model_copy(update={"failures_per_year": 12.0, "hours_to_repair": 1.0})
    p, (_, x) = build(s.model_copy(update={"failures": (rated,), "objective": "worst_case"})), inside()
    for name in (
        "traffic",
        "kept",
        "cold_started",
        "occupied",
        "machines",
        "offered",
        "shed",
        "component_throughput",
        "throughput",
    ):
        column = getattr(x, name)
        for clock in (10.0, 50.0):  # detected; from 50 s on B could have been loaded
            column.update(
                {(*k[:-1], (HOUR, NO_ENTRY, clock)): v for k, v in column.items() if k[-1] == (HOUR, NO_ENTRY, 60.0)}
            )
    # 3590 s of 6 requests/s at 0.01 USD; 10 s of 12 − 0.6 · 9 and of 0.6 · 3 at 0.001; less an hour of 3 at 0.001 and
    # 1 shed at 0.01
    x.outage, x.tail = Sparse({(NO_ENTRY,): 215.4 + 0.66 + 0.018 - 46.8}), Sparse({("worst",): 169.278})
    return p, x


PRICED: dict[str, list[tuple[str, tuple, float, float]]] = {
    # as OUTSIDE, from the point `priced`
    "an_outage_costs_what_is_not_served": [("outage", (NO_ENTRY,), 100.0, 69.278)],
    "an_outage_saves_no_more_than_operation": [("outage", (NO_ENTRY,), -50.0, 3.2)],  # 50 − 46.8
    "outages_are_ranked": [("tail", ("worst",), 100.0, 69.278)],
}
OUT_OF_B = (HOUR, NO_B, 60.0)


def obtaining() -> tuple[Problem, Decisions]:
    """The point `inside`; while B is lost half a machine of A's type is obtained, of 10 vcpu that are left of 60."""
    asked = worked()
    market = Counted(offers=("a/x/m:on_demand",), obtainable_fraction=0.5, obtain_seconds=20.0)
    policies = asked.policies.model_copy(update={"counted": (market,)})
    p, (_, x) = build(asked.model_copy(update={"policies": policies})), inside()
    x.obtained, x.drawn = Sparse({("a/x/m", OUT_OF_B): 0.5}), Sparse({(0, OUT_OF_B): 5.0})
    return p, x


OBTAINED: dict[str, list[tuple[str, tuple, float, float]]] = {
    # as OUTSIDE, from the point `obtaining`
    "only_what_is_on_the_market_is_obtained": [
        ("obtained", ("a/x/m", OUT_OF_B), 2.0, 0.5),  # 2 − 0.5 · (6 − 3)
        ("drawn", (0, OUT_OF_B), 12.0, 2.0),  # 12 + 10 · 3 + 10 · 2 · 1 − 60 vcpu
    ],
    "what_is_obtained_is_counted": [("obtained", ("a/x/m", OUT_OF_B), 1.0, 5.0)],  # 10 · 1 − 5 vcpu
}
ONE, TWO, OTHER = (f"{HALL}:{name}" for name in ("one", "two", "other"))
OWN, HIRED, Q5 = f"{HALL}/m:build_out", "a/x/m:on_demand", "quarter-5"


def built() -> tuple[Problem, Decisions]:
    """Two modules of 20 kW in quarter 5, a third in 6, 4 machines; a cloud machine for the first year."""
    p, x = build(years()), no_decisions()
    p = replace(p, ordered={(ONE, Q5): (2.0, 2.0), (HIRED, p.hours[0]): (0.0, 1.0)})
    x.started = Sparse({(ONE, Q5): 2.0, (TWO, "quarter-6"): 1.0, (OWN, Q5): 4.0})
    x.rented = Sparse({(HIRED, h): 1.0 for h in p.hours[:4]})
    x.shortfall = Sparse({("promise", 2): 48000.0})
    return p, x


BUILT: dict[str, list[tuple[str, tuple, float, float]]] = {
    # as OUTSIDE, from the point `built`
    "build_outs_have_limits": [
        ("started", (ONE, "quarter-6"), 1.0, 1.0),  # 2 + 1 − 2 modules
        ("started", (OTHER, "quarter-7"), 1.0, 1.0),  # 1 + 1 − 1 of the group
    ],
    "what_was_ordered_stays": [
        ("started", (ONE, Q5), 1.0, 1.0),
        ("started", (ONE, Q5), 4.0, 2.0),
        ("rented", (HIRED, "quarter-1/mean-hour"), 3.0, 2.0),
    ],
    "phases_follow_each_other": [("started", (TWO, Q5), 3.0, 2.0), ("started", (ONE, Q5), 0.0, 1.0)],  # 3 + 1 − 1 · 2
    # paid in the first year: 2 · 36,000 for one; 10,000 + 20,000 for two, whose fit-out is ordered in quarter 5;
    # a module of two in quarter 5 as well: 36,000 more than 110,000 − 102,000 leave
    "capital_has_limits": [("started", (TWO, Q5), 1.0, 28000.0)],
    # a machine for a quarter is 300 h · 40 USD; nothing is bought in the second year
    "spend_commitments_are_used_or_paid": [
        ("rented", (HIRED, "quarter-1/mean-hour"), 0.0, 12000.0),
        ("shortfall", ("promise", 2), 40000.0, 8000.0),
    ],
}
NO_ROWS_INSIDE = {"requests_go_where_they_may", "no_request_passes_a_closed_alternative", "limits_are_of_edges"}
"""Where nothing is forbidden there is no row: a dead placement or alternative has none, and carries nothing."""
POINTS = [
    (name, point)
    for table in (OUTSIDE, RESERVED, PRICED, BUILT, OBTAINED)
    for name, points in table.items()
    for point in points
]


def point_inside(name: str) -> tuple[Problem, Decisions]:
    if name in PRICED:
        return priced()
    if name in OBTAINED:
        return obtaining()
    if name == "nothing_is_served_before_a_replica_runs":  # a replica of A carries 100,000 times what is asked for
        p, x = inside()
        fast = {("w", A): 1e-6, ("w", B): 0.25}
        return replace(p, replica_seconds=fast, replica_seconds_in_failure=fast), x
    if name == "limits_are_of_edges":  # B is near enough in failures only
        p, x = reserved()
        del x.reserve["w", "o", B, HOUR]
        return replace(p, edges={("w", "o"): (A,)}), x
    if name in BUILT:
        return built()
    return reserved() if name in RESERVED else inside(name == "deferred_work_is_done")


def cost_of(cost, p: Problem, x: Decisions) -> float:
    (usd,) = cost(full(p), as_vectors(p, x))
    return float(usd)


def test_every_rule_has_a_point_outside_and_every_cost_a_number():
    assert set(OUTSIDE) | set(RESERVED) | set(PRICED) | set(BUILT) | set(OBTAINED) == {rule.__name__ for rule in RULES}
    assert set(COSTED) == {cost.__name__ for cost in COSTS}
    assert set(RELAXABLE) <= set(OUTSIDE) | set(RESERVED) | set(BUILT) | set(OBTAINED)
    assert len(set(RULES)) == len(RULES) and STATE_RULES == INSIDE_RULES + LINK_RULES


@pytest.mark.parametrize("name", [*OUTSIDE, *RESERVED, *PRICED, *BUILT, *OBTAINED])
def test_inside(name):
    p, x = point_inside(name)
    rows = rows_of(name, p, x)
    assert rows or name in NO_ROWS_INSIDE
    assert [str(row) for row in rows if row.shortfall > 1e-9] == []


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_outside(name, point):
    decision, key, value, shortfall = point
    p, x = point_inside(name)
    getattr(x, decision)[key] = value
    assert max(row.shortfall for row in rows_of(name, p, x)) == pytest.approx(shortfall)


@pytest.mark.parametrize("name", list(COSTED))
def test_cost(name):
    cost = next(cost for cost in COSTS if cost.__name__ == name)
    assert cost_of(cost, *inside()) == pytest.approx(COSTED[name])


def test_the_dearest_outage():
    outages = next(cost for cost in COSTS if cost.__name__ == "outages")
    assert cost_of(outages, *priced()) == pytest.approx(169.278)


def test_cost_is_their_sum():
    assert cost_of(cost_usd, *inside()) == pytest.approx(600 + 600 + 1080 + 3600)


def test_nothing_chosen_costs_nothing():
    assert cost_of(cost_usd, build(worked()), no_decisions()) == 0.0


def test_every_rule_says_what_it_is():
    for rule in RULES:
        text = rule.__doc__ or ""
        first, *parts = text.split("\n\n")
        assert first.rstrip().endswith("."), rule.__name__
        headings = [line[4:] for line in "\n".join(parts).splitlines() if line[4:].strip() and line[4] != " "]
        assert headings[:4] == ["Formula", "Units", "Rows", "Marginal value"], rule.__name__
    for cost in COSTS:
        assert "Formula" in (cost.__doc__ or "") and "USD over the horizon" in (cost.__doc__ or ""), cost.__name__
