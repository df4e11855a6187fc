"""A small plan, each of its statements changed by hand and sealed anew: the audit says which of them does not hold."""

from functools import cache
from typing import Any

import pytest
from worked_points import DAY, HALF, NIGHT, QB, RENTED, TERM, A, B, solvable

from planner.plan.audit import audit
from planner.plan.file import digest, sha256
from planner.plan.plan import make_plan
from planner.plan.violations import TOLERANCE
from planner.solve.search import Effort
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal

PART, NO_A = "failure:part", "site:a/x"


@cache
def planned() -> PlanFile:
    return make_plan(solvable(), Effort(gap_fraction=0.0))


def data() -> dict[str, Any]:
    return planned().model_dump(mode="json", by_alias=True)


def sealed(changed: dict[str, Any]) -> PlanFile:
    plan = PlanFile.model_validate(changed)
    text = plan.model_dump(mode="json", by_alias=True)
    plan = plan.model_copy(update={"study_sha256": sha256(text["study"])})
    return plan.model_copy(update={"digest_sha256": digest(plan.model_dump(mode="json", by_alias=True))})


def found(changed: dict[str, Any]) -> set[tuple[str, str]]:
    """(rule, key) of what the audit of a changed plan says."""
    return {(v.rule, v.key) for v in audit(sealed(changed)).violations}


def state(changed: dict[str, Any], failure: str, clock: float, hour: str = DAY) -> dict[str, Any]:
    return next(
        s for s in changed["states"] if (s["failure"], s["deadline_seconds"], s["hour"]) == (failure, clock, hour)
    )


def test_the_plan_itself_passes():
    result = audit(planned())
    assert result.passed and result.digest_matches
    # 4 failures and normal operation, with 1, 3, 6, 3 and 3 clocks in two hours
    assert result.states_checked == 2 * (1 + 3 + 6 + 3 + 3)
    assert sealed(data()) == planned()


def test_a_plan_that_was_changed_after_it_was_sealed():
    plan = planned().model_copy(update={"solver": "another"})
    result = audit(plan)
    assert [v.rule for v in result.violations] == ["digest"] and not result.digest_matches
    changed = data()
    changed["study"]["order_slack_days"] += 1
    plan = PlanFile.model_validate(changed)
    plan = plan.model_copy(update={"digest_sha256": digest(plan.model_dump(mode="json", by_alias=True))})
    assert [v.rule for v in audit(plan).violations] == ["study digest"]


def twice(rows: list[dict[str, Any]]) -> None:
    rows.append(dict(rows[0]))


KNOWN_ONCE = {
    # what is stated: (change, what the audit calls it, its key)
    "an offer that is not there": (
        lambda d: d["purchases"].append({"offer": "ghost", "when": HALF, "units": 1}),
        "study",
        "",
    ),
    "by the period what is rented by the hour": (
        lambda d: d["purchases"].append({"offer": RENTED, "when": HALF, "units": 1}),
        "study",
        "",
    ),
    "by the hour what starts with a period": (
        lambda d: d["purchases"].append({"offer": TERM, "when": DAY, "units": 1}),
        "study",
        "",
    ),
    "a purchase twice": (lambda d: twice(d["purchases"]), "purchases", f"a/x/m:spot {DAY}"),
    "a build-out that is not there": (
        lambda d: d.update(builds=[{"build_out": "ghost", "when": HALF, "units": 1}]),
        "study",
        "",
    ),
    "replicas of nothing": (
        lambda d: d["replicas"].append({"placement": "ghost", "hour": DAY, "replicas": 1}),
        "replicas",
        f"ghost {DAY}",
    ),
    "replicas twice": (lambda d: twice(d["replicas"]), "replicas", f"{A} {DAY}"),
    "a state twice": (lambda d: twice(d["states"]), "states", f"{DAY} normal 0.0"),
    "a state that is not there": (
        lambda d: d["states"].append({**d["states"][0], "deadline_seconds": 1.0}),
        "states",
        f"{DAY} normal 1.0",
    ),
    "a state left out": (lambda d: d["states"].remove(state(d, NO_A, 50.0)), "states", f"{DAY} {NO_A} 50.0"),
    "the same as normal, and more": (
        lambda d: state(d, PART, 50.0).update(same_as_normal=True, cold_started={B: 0}),
        "states",
        f"{PART} at 50 s",
    ),
    "negative traffic": (
        lambda d: state(d, "normal", 0.0)["requests_per_second"].__setitem__(0, -1.0),
        "traffic",
        "normal at 0 s",
    ),
    "negative through an alternative": (
        lambda d: state(d, "normal", 0.0).update(routed_via=["ghost"], throughput_requests_per_second=[-1.0]),
        "traffic",
        "normal at 0 s",
    ),
    "an alternative that is not there": (
        lambda d: state(d, "normal", 0.0).update(routed_via=["ghost"], throughput_requests_per_second=[0.0]),
        "routed_via",
        "ghost",
    ),
    "traffic to nothing": (
        lambda d: state(d, "normal", 0.0)["placement"].__setitem__(0, "ghost"),
        "traffic",
        "normal at 0 s v o ghost",
    ),
    "traffic of nothing": (
        lambda d: state(d, "normal", 0.0)["workload"].__setitem__(0, "ghost"),
        "traffic",
        f"normal at 0 s ghost o {B}",
    ),
    "shed below zero": (lambda d: state(d, PART, 50.0).update(shed={"w": {"o": -1.0}}), "shed", f"{PART} at 50 s w o"),
    "shed of nothing": (lambda d: state(d, PART, 50.0).update(shed={"x": {"o": 1.0}}), "shed", f"{PART} at 50 s x o"),
    "kept below zero": (lambda d: state(d, PART, 50.0).update(kept={B: -1}), "kept", f"{PART} at 50 s {B}"),
    "kept of nothing": (lambda d: state(d, PART, 50.0).update(kept={"x": 0}), "kept", f"{PART} at 50 s x"),
    "loaded below zero": (
        lambda d: state(d, PART, 50.0).update(cold_started={B: -1}),
        "cold_started",
        f"{PART} at 50 s {B}",
    ),
    "occupied by nothing": (lambda d: state(d, PART, 50.0).update(occupied={"x": 1}), "occupied", f"{PART} at 50 s x"),
    "limits of gateways": (
        lambda d: d.update(
            reserves={"workload": ["w"], "origin": ["o"], "placement": [A], "hour": [DAY], "requests_per_second": [1.0]}
        ),
        "reserves",
        "",
    ),
    "weights chosen anew": (lambda d: d.update(re_solved=d["without_goals"]), "re_solved", ""),
}


@pytest.mark.parametrize("what", KNOWN_ONCE)
def test_every_name_is_known_and_there_once(what):
    change, rule, key = KNOWN_ONCE[what]
    changed = data()
    change(changed)
    assert (rule, key) in found(changed)


def test_nothing_below_zero_is_not_negative():
    """0 is none of something."""
    changed = data()
    for at in changed["states"]:
        if at["failure"] == PART and not at["same_as_normal"]:
            at["shed"], at["cold_started"] = (
                {**at["shed"], "v": {"o": 0.0}},
                {**at["cold_started"], B: at["cold_started"].get(B, 0)},
            )
    assert not {rule for rule, _ in found(changed)} & {"shed", "cold_started", "kept", "traffic"}


def more(*path: str | int, by: float = 1.0) -> Any:
    """A change: a number of the plan that is larger."""

    def change(d: Any) -> None:
        for part in path[:-1]:
            d = d[part]
        d[path[-1]] += by

    return change


STATED = {
    # a total: (change, all that the audit calls it)
    "a cost": (more("costs_usd", "energy"), {("costs_usd", "energy"), ("proof.cost_usd", "")}),
    "a cost, just": (more("costs_usd", "outages", by=2e-6), {("costs_usd", "outages")}),
    "no cost that is minimised": (lambda d: d["costs_usd"].update(taxes=0.0), {("costs_usd", "")}),
    "a cost left out": (lambda d: d["costs_usd"].pop("outages"), {("costs_usd", "")}),
    "the total": (more("proof", "cost_usd"), {("proof.cost_usd", ""), ("proof.gap_fraction", "")}),
    "the total, less": (more("proof", "cost_usd", by=-1.0), {("proof.cost_usd", ""), ("proof", "")}),
    "the gap": (more("proof", "gap_fraction", by=2e-9), {("proof.gap_fraction", "")}),
    "the gap, above what was asked": (
        more("proof", "gap_fraction", by=0.1),
        {("proof.gap_fraction", ""), ("proof.status", "")},
    ),
    "failures tested": (more("proof", "failures_tested", by=1), {("proof.failures_tested", "")}),
    "failures implied": (more("proof", "dominated_failures", by=1), {("proof.dominated_failures", "")}),
    "a failure entered": (
        lambda d: d["proof"]["binding_failures"].append("ghost"),
        {("proof.binding_failures", "ghost")},
    ),
    "the bound": (more("proof", "bound_usd"), {("proof", "")}),
    "the relaxation": (more("proof", "lp_bound_usd", by=1e6), {("proof", "")}),
    "the relaxation below zero": (more("proof", "lp_bound_usd", by=-1e6), {("proof", "")}),
    "a gap that is none": (lambda d: d["proof"].update(status="gap", gap_asked_fraction=0.1), {("proof.status", "")}),
    "without goals: the total": (more("without_goals", "cost_usd"), {("without_goals.cost_usd", "")}),
    "without goals: the bound": (more("without_goals", "bound_usd", by=1e6), {("proof", "")}),
    "without goals: a purchase": (
        more("without_goals", "purchases", 0, "units", by=1),
        {("without_goals.costs_usd", name) for name in ("hourly_machines", "energy", "spend_shortfalls")}
        | {("without_goals.purchases", "")},  # beyond a limit
    ),
    "without goals: a cost left out": (
        lambda d: d["without_goals"]["costs_usd"].pop("outages"),
        {("without_goals.costs_usd", "")},
    ),
    "what cannot be covered": (
        lambda d: d["uncoverable"].append(
            {"failure": NO_A, "workload": "w", "origin": "o", "coverable_fraction": 0.5, "missing": "x"}
        ),
        {("uncoverable", "")},
    ),
}


@pytest.mark.parametrize("what", STATED)
def test_every_total_is_computed_anew(what):
    change, expected = STATED[what]
    changed = data()
    change(changed)
    assert found(changed) == expected


def test_rows_that_do_not_hold_are_named_with_their_shortfall():
    """Half a request/s less over one edge: it is not served, and not said to be shed."""
    changed = data()
    usual = state(changed, "normal", 0.0, NIGHT)
    n = usual["workload"].index("w")
    usual["requests_per_second"][n] -= 0.5
    named = [v for v in audit(sealed(changed)).violations if v.rule == "demand_is_served" and "normal" in v.key]
    assert [(v.shortfall, v.key) for v in named] == [(pytest.approx(0.5), f"w o {(NIGHT, 'normal', 0.0)}")]
    assert named[0].detail.startswith("5.500000 == 6.000000")
    # what is judged is relative to all that may be asked for: 6 · 1.32 requests/s
    for less, holds in ((0.9, True), (1.2, False)):
        changed = data()
        usual = state(changed, "normal", 0.0, NIGHT)
        usual["requests_per_second"][n] -= less * TOLERANCE * 6 * 1.32
        said = {v.key for v in audit(sealed(changed)).violations if v.rule == "demand_is_served"}
        assert (f"w o {(NIGHT, 'normal', 0.0)}" in said) != holds


TOLD = {
    # beside the proof: (change, all that the audit calls it)
    "a limit that is not there": (
        lambda d: d.update(bottlenecks=[{"limit": "ghost", "unit": "vcpu", "marginal_usd": 1.0}]),
        {("bottlenecks", "ghost")},
    ),
    "in another unit": (
        lambda d: d.update(bottlenecks=[{"limit": "cores", "unit": "kW", "marginal_usd": 1.0}]),
        {("bottlenecks", "cores")},
    ),
    "in its unit": (lambda d: d.update(bottlenecks=[{"limit": "cores", "unit": "vcpu", "marginal_usd": 1.0}]), set()),
    "twice": (
        lambda d: d.update(bottlenecks=2 * [{"limit": "cores", "unit": "vcpu", "marginal_usd": 1.0}]),
        {("bottlenecks", "cores")},
    ),
    "units of an offer": (
        lambda d: d.update(bottlenecks=[{"limit": f"most_units of {TERM}", "unit": "units", "marginal_usd": 1.0}]),
        set(),
    ),
    "more saved than paid": (
        lambda d: d.update(
            bottlenecks=[{"limit": "cores", "unit": "vcpu", "marginal_usd": 1.0, "replanned_usd": 1.01 * total_of(d)}]
        ),
        {("bottlenecks", "cores")},
    ),
    "all saved": (
        lambda d: d.update(
            bottlenecks=[{"limit": "cores", "unit": "vcpu", "marginal_usd": 1.0, "replanned_usd": total_of(d)}]
        ),
        set(),
    ),
    "a pool that is not there": (lambda d: d.update(drivers={"ghost": [NO_A]}), {("drivers", "ghost")}),
    "normal operation as a driver": (lambda d: d.update(drivers={QB: ["normal"]}), {("drivers", "normal")}),
    "a driver": (lambda d: d.update(drivers={QB: [NO_A]}), set()),
    "other units than the plan's": (
        lambda d: d.update(no_regret=[{"offer": TERM, "low_units": 1, "base_units": 99, "high_units": 1}, spot(d)]),
        {("no_regret", TERM)},
    ),
    "units left out": (lambda d: d.update(no_regret=[spot(d)]), {("no_regret", f"{TERM} {HALF}")}),
    "units of a period where there is one": (
        lambda d: d.update(no_regret=[term(d), {**spot(d), "when": HALF}]),
        {("no_regret", f"a/x/m:spot {HALF}")},
    ),
    "units": (lambda d: d.update(no_regret=[term(d), spot(d)]), set()),
}


def total_of(d: dict[str, Any]) -> float:
    return float(sum(abs(usd) for usd in d["costs_usd"].values()))


def term(d: dict[str, Any]) -> dict[str, Any]:
    units = next(row["units"] for row in d["purchases"] if row["offer"] == TERM)
    return {"offer": TERM, "low_units": 0, "base_units": units, "high_units": 0}


def spot(d: dict[str, Any]) -> dict[str, Any]:
    units = max(row["units"] for row in d["purchases"] if row["offer"] == "a/x/m:spot")
    return {"offer": "a/x/m:spot", "low_units": 0, "base_units": units, "high_units": 0}


@pytest.mark.parametrize("what", TOLD)
def test_what_is_told_beside_the_proof(what):
    change, expected = TOLD[what]
    changed = data()
    changed.update(bottlenecks=[], no_regret=[], drivers={})
    change(changed)
    assert {pair for pair in found(changed) if pair[0] in ("bottlenecks", "drivers", "no_regret")} >= expected
    assert bool(found(changed)) == bool(expected)


# ------------------------------------------------------------------ gateways that rescale
@cache
def rescaling() -> PlanFile:
    s = solvable()
    goals = (Goal(any="site", serve_fraction=0.6, within_seconds=60.0),)
    tiers = (s.tiers[0].model_copy(update={"survive": goals}),)
    more = {"failover": "rescale", "tiers": tiers, "workloads": s.workloads[:1], "failures": ()}
    demand = tuple(row for row in s.demand if row.workload == "w")
    return make_plan(s.model_copy(update={**more, "demand": demand}), Effort(gap_fraction=0.01))


def of_limits(d: dict[str, Any]) -> None:
    for column in d["reserves"].values():
        column.append(column[0])


BOUND = "re_solved.bound_usd"
GATEWAYS = {
    # (change, of what the audit says: rule, key or detail)
    "no plan with weights chosen anew": (lambda d: d.update(re_solved=None), ("re_solved", "")),
    "a limit twice": (of_limits, ("reserves", f"w o {A} {DAY}")),
    "its bound above its cost": (
        more("re_solved", "bound_usd", by=1e6),
        ("proof", "re_solved.bound_usd above its cost"),
    ),
    "its bound above the cost": (
        more("re_solved", "bound_usd", by=1e6),
        ("proof", "re_solved.bound_usd above the cost"),
    ),
    "its total": (more("re_solved", "cost_usd"), ("re_solved.cost_usd", "")),
    "its costs": (more("re_solved", "costs_usd", "energy"), ("re_solved.costs_usd", "energy")),
    "without goals above both": (
        more("without_goals", "bound_usd", by=1e6),
        ("proof", "without_goals.bound_usd above a cost with goals"),
    ),
}


def test_a_promise_that_is_not_used_is_paid_by_plans_whose_gateways_rescale():
    """9,000 USD at the end of the year, less what is spent at a."""
    plan = rescaling()
    hours, usd = {DAY: 300.0, NIGHT: 900.0}, {RENTED: 2.0, "a/x/m:spot": 1.0}
    spent = sum(usd[row.offer] * hours[row.when] * row.units for row in plan.purchases if row.offer in usd)
    assert spent < 9000.0
    assert plan.costs_usd["spend_shortfalls"] == pytest.approx((9000.0 - spent) / 1.07)


@pytest.mark.parametrize("what", GATEWAYS)
def test_limits_of_gateways_and_the_plan_beside_them(what):
    assert audit(rescaling()).passed
    change, (rule, said) = GATEWAYS[what]
    changed = rescaling().model_dump(mode="json", by_alias=True)
    change(changed)
    violations = audit(sealed(changed)).violations
    assert [v for v in violations if v.rule == rule and said in (v.key, v.detail)], violations
    if what == "without goals above both":
        assert sum(v.detail == said for v in violations) == 3
