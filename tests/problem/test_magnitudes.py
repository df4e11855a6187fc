"""Plans at every magnitude: scaled alike they buy alike, a proof is true, and what is out of range is refused."""

import itertools
import math
import random
from datetime import date
from functools import cache

import pytest
from helpers import write_study
from studies import machine_type, model, offer, profile, random_study, site, study, workload
from typer.testing import CliRunner

from planner.cli.main import app
from planner.drill import drill_plan
from planner.errors import InputError, NoPlan
from planner.plan.audit import audit
from planner.plan.decisions import gap_fraction
from planner.plan.explain import diagnose
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.questions.diff import diff_plans
from planner.review.answer import review_plan
from planner.solve.program import solver_named
from planner.solve.search import Effort, Infeasible
from planner.solve.solve import solve
from planner.study.read import read_study
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.serving import Profile
from planner.study.records.study import Demand, Goal, Horizon, Hour, NamedFailure, Study, Tier

RATES, PRICES = (3.0, 5.0, 8.0), (3.0, 4.0, 9.0)
EXACT = Effort(gap_fraction=0.0, most_nodes=2000)
CLOSE = 1e-6
"""What a plan may miss the truth by [fraction]: what an audit overlooks."""


def asked(
    rates: tuple[float, ...],
    prices: tuple[float, ...],
    wanted: tuple[float, ...],
    hours: tuple[float, ...] = (1.0,),
    most: tuple[float | None, ...] = (None, None, None),
    survives: bool = True,
) -> Study:
    """A pool for each rate [requests/s a machine] and price [USD/h], any of which may be lost; a workload for each."""
    sites = tuple(site(f"aws/s{n}") for n in range(len(rates)))
    types = tuple(machine_type(f"m{n}") for n in range(len(rates)))
    pools = tuple(Pool(site=s.id, machine_type=t.name) for s, t in zip(sites, types, strict=True))
    goals = (Goal(any="pool", within_seconds=60.0),) if survives else ()
    names = [Hour(name=f"h{n}", weight_fraction=1 / len(hours)) for n in range(len(hours))]
    return study(
        horizon=Horizon(start=date(2026, 1, 1), months=1.0, hours=tuple(names)),
        sites=sites,
        machine_types=types,
        pools=pools,
        bought=[offer(q.id, price, most_units=n) for q, price, n in zip(pools, prices, most, strict=False)],
        models=(model("m", [profile(t.name, "cuda", rate) for t, rate in zip(types, rates, strict=True)]),),
        tiers=tuple(Tier(name=f"t{n}", survive=goals) for n in range(len(wanted))),
        workloads=tuple(workload(f"w{n}", tier=f"t{n}") for n in range(len(wanted))),
        demand=tuple(
            Demand(workload=f"w{n}", origin="o", requests_per_second=v * factor, hour=hour.name)
            for n, v in enumerate(wanted)
            for factor, hour in zip(hours, names, strict=True)
        ),
    )


def least_usd(rates: tuple[float, ...], prices: tuple[float, ...], wanted: float) -> float:
    """Cost of an hour, by trying machines of the two fastest pools: the third fills what any two are short of."""
    (a, x), (b, y), (c, z) = sorted(zip(rates, prices, strict=True), reverse=True)
    best = math.inf
    for n, m in itertools.product(range(math.ceil(wanted / a) + 1), range(math.ceil(wanted / b) + 1)):
        if n * a + m * b >= wanted:
            short = max(wanted - n * a, wanted - m * b, 0.0)
            best = min(best, n * x + m * y + math.ceil(short / c) * z)
    return best


def bought(plan: PlanFile) -> dict[str, int]:
    return {row.offer: row.units for row in plan.purchases}


def assert_true(plan: PlanFile, usd: float) -> None:
    """The plan is the cheapest, said to be proven, its bound is one, and its audit passes."""
    assert plan.proof.status == "proven"
    assert plan.proof.cost_usd == pytest.approx(usd, rel=CLOSE)
    assert plan.proof.bound_usd <= usd * (1 + CLOSE)
    assert audit(plan).violations == ()


@cache
def tiny_plan() -> PlanFile:
    return make_plan(asked(RATES, PRICES, (1e-9,)), EXACT)


@pytest.mark.parametrize("wanted", [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
def test_next_to_no_demand_needs_a_machine_in_two_pools(wanted):
    assert_true(make_plan(asked(RATES, PRICES, (wanted,)), EXACT), 3.0 + 4.0)


def test_the_states_of_a_tiny_plan_hold_in_the_drill_too():
    result = drill_plan(tiny_plan())
    assert not [row for row in result.rows if row.broken]
    assert min(row.served_fraction for row in result.rows if row.due_fraction > 0) == pytest.approx(1.0)


def test_a_plan_that_buys_nothing_for_a_tiny_demand_fails_its_audit():
    plan = sealed(tiny_plan().model_copy(update={"purchases": (), "replicas": ()}))
    broken = {violation.rule for violation in audit(plan).violations}
    assert "nothing_is_served_before_a_replica_runs" in broken
    served_less = tuple(s.model_copy(update={"requests_per_second": (5e-10,)}) for s in tiny_plan().states[:1])
    plan = sealed(tiny_plan().model_copy(update={"states": (*served_less, *tiny_plan().states[1:])}))
    assert "demand_is_served" in {violation.rule for violation in audit(plan).violations}


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e-3, 1e3, 1e7])
def test_demand_and_rates_times_the_same_factor_buy_the_same(factor):
    rates = tuple(rate * factor for rate in RATES)
    plan = make_plan(asked(rates, PRICES, (12 * factor,)), EXACT)
    assert_true(plan, 22.0)
    assert bought(plan) == bought(make_plan(asked(RATES, PRICES, (12.0,)), EXACT))


@pytest.mark.parametrize("factor", [1e-8, 1e6])
def test_random_studies_times_a_factor_cost_the_same(factor):
    """With claims, deadlines, partial losses, surges, spot and two stacks; few replicas and thousands."""

    def faster(f: Profile) -> Profile:
        classes = tuple(
            point.model_copy(update={"decode_tokens_per_second": point.decode_tokens_per_second * factor})
            for point in f.classes
        )
        return f.model_copy(update={"classes": classes})

    for seed in range(12):
        plain = random_study(seed)
        models = [m.model_copy(update={"profiles": tuple(faster(f) for f in m.profiles)}) for m in plain.models]
        demand = [
            row.model_copy(update={"requests_per_second": row.requests_per_second * factor}) for row in plain.demand
        ]
        scaled = plain.model_copy(update={"models": tuple(models), "demand": tuple(demand)})
        cost = []
        for each in (plain, scaled):
            try:
                cost.append(solve(build(each), EXACT).cost_usd)
            except Infeasible:
                cost.append(math.inf)
        assert cost[1] == pytest.approx(cost[0], rel=CLOSE), seed


def drawn(seed: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Rates, prices, demand of workloads and factors of hours, all over many magnitudes."""
    g = random.Random(seed)
    rates = tuple(g.uniform(1, 10) * 10 ** g.choice([-4, -1, 0, 0, 1, 2, 4]) for _ in range(3))
    prices = tuple(g.choice([g.uniform(1, 9), 10 ** g.uniform(-4, 4)]) for _ in range(3))
    wanted = sorted(rates)[1] * 10 ** g.uniform(-9, 2)
    few = (wanted, wanted * 10 ** g.uniform(-5, 0)) if seed % 3 == 0 else (wanted,)
    hours = (1.0, 10 ** g.uniform(-5, 0)) if seed % 3 == 1 else (1.0,)
    return rates, prices, few, hours


def test_random_magnitudes_cost_what_brute_force_finds():
    """A bound is never above the truth, a plan never below; a proof is a proof."""
    for seed in range(45):
        rates, prices, wanted, hours = drawn(seed)
        if sum(wanted) < 1e-9 or min(wanted) * min(hours) < 1e-9:
            continue
        truth = sum(least_usd(rates, prices, sum(wanted) * factor) for factor in hours) / len(hours)
        solution = solve(build(asked(rates, prices, wanted, hours)), EXACT)
        answer = (solution.bound_usd, solution.cost_usd, solution.status)
        assert solution.bound_usd <= truth * (1 + CLOSE), (seed, answer, truth)
        assert solution.cost_usd >= truth * (1 - CLOSE), (seed, answer, truth)
        assert solution.status == "proven" and solution.cost_usd <= truth * (1 + CLOSE), (seed, answer, truth)


def test_a_stream_of_a_millionth_beside_another():
    """HiGHS 1.16 called 7.86 optimal here: substitution in equations of two columns is off."""
    rates, prices = (7.883082292276304, 28.637738639216963, 9.015237768713419), (1.607849, 6.4390767, 1.4168014)
    study = asked(rates, prices, (0.0379189476627148, 5.089009992138884e-08))
    assert_true(make_plan(study, EXACT), 1.607849 + 1.4168014)


def test_an_hour_of_a_thousandth():
    study = asked(RATES, PRICES, (1e-3,), hours=(1.0, 1e-3))
    assert_true(make_plan(study, EXACT), 7.0)


@pytest.mark.filterwarnings("ignore:PULP_CBC_CMD is deprecated")
def test_another_solver_sees_the_same_numbers():
    make = solver_named("PULP_CBC_CMD")
    assert solve(build(asked(RATES, PRICES, (1e-7,))), EXACT, make).cost_usd == pytest.approx(7.0)


def test_slow_beside_fast():
    """A pool that would need a billion machines is no harm: 1 of the fastest and 100,000 of the next are enough."""
    assert_true(make_plan(asked((1e-4, 1.0, 1e5), PRICES, (99_999.5,)), EXACT), 9.0 + 4 * 100_000)


def test_a_hundred_million_requests():
    """9,999 machines of 10,000 requests/s are all there are; the rest comes from machines of 1 request/s."""
    study = asked((1.0, 1e4), (1.0, 1000.0), (99_999_999.5,), most=(None, 9_999), survives=False)
    assert_true(make_plan(study, EXACT), 1000.0 * 9_999 + 10_000)


@pytest.mark.parametrize("wanted", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("short", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("survives", [False, True])
def test_capacity_that_is_short_by_a_hair_is_a_plan_or_a_diagnosis(wanted, short, survives):
    n = 10.0 if wanted < 1e8 else 10_000.0
    most = (n, n) if survives else (n - 3, 3.0)
    study = asked((wanted / n, wanted / n), (1.0, 1.0), (wanted * (1 + short),), most=most, survives=survives)
    try:
        plan = make_plan(study, EXACT)
    except Infeasible:
        why = str(diagnose(study))
        assert "by 0.0 requests/s" not in why and "would help: " in why
    else:
        assert_true(plan, sum(most))


@pytest.mark.parametrize("failover", ["resolve", "rescale"])
@pytest.mark.parametrize(("replicas", "more"), [(1, 3e-7), (2, 1e-7), (10, 1e-7), (100, 1e-8), (10_000, 1e-10)])
def test_a_replica_that_is_missed_by_a_hair_ends_in_a_plan(failover, replicas, more):
    """Whole numbers that an integer search calls enough are enough for what is settled on them."""
    wanted = replicas * (1 + more)
    study = asked((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (wanted,)).model_copy(update={"failover": failover})
    plan = make_plan(study, EXACT)
    assert audit(plan).violations == () and plan.proof.status == "proven"
    assert 0 <= plan.proof.cost_usd - math.ceil(1.5 * replicas) <= 2


# ------------------------------------------------------------------ what is refused
def test_a_demand_below_the_range_is_refused_where_it_stands(tmp_path):
    few = {"demand.csv": "workload,origin,requests_per_second\nchat,london,1e-10\nbatch,london,3\n"}
    with pytest.raises(InputError) as error:
        read_study(write_study(tmp_path, files=few))
    where, expected, fix = str(error.value).splitlines()[:3]
    assert "demand.csv:2" in where and "requests_per_second" in where
    assert expected == "  expected 0, or 1e-09 to 1e+09 requests/s, got 1e-10"
    assert fix == "  fix: write requests per second; 0 where nothing is wanted"


OUT_OF_RANGE = {
    "at most 10,000,000 replicas": asked((1e-4, 2e-4, 3e-4), PRICES, (1e6,)),
    "at least 1e-09 requests/s": asked(RATES, PRICES, (1e-10,)),
    "at least a millionth of the most": asked(RATES, PRICES, (1.0,), hours=(1.0, 1e-7)),
    "1e-06 to 1,000,000 USD": asked(RATES, (1e-9, 4.0, 9.0), (1.0,)),
}


@pytest.mark.parametrize("expected", OUT_OF_RANGE)
def test_what_is_out_of_range_is_refused_from_python_too(expected):
    with pytest.raises(InputError) as error:
        make_plan(OUT_OF_RANGE[expected])
    (finding,) = error.value.findings
    assert expected in finding.expected and finding.where and finding.got and finding.fix


# ------------------------------------------------------------------ what nothing may serve
def test_what_nothing_may_serve_has_no_plan_from_python():
    plain = asked(RATES, PRICES, (10.0, 2.0))
    far = plain.model_copy(
        update={"tiers": (plain.tiers[0], plain.tiers[1].model_copy(update={"round_trip_ms": 0.001}))}
    )
    for refuse in (lambda: make_plan(far), lambda: solve(build(far)), lambda: solve(build(far, with_goals=False))):
        with pytest.raises(NoPlan) as error:
            refuse()
        assert error.value.exit_code == 1
        assert "workload w1 from o, 2 requests/s: a placement that may serve it: none: round trip 3" in str(error.value)
        assert "would help: " in str(error.value)
    assert str(diagnose(far)) == str(error.value)


@pytest.mark.parametrize("command", ["plan", "ladder"])
def test_what_nothing_may_serve_ends_the_command_with_1(tmp_path, command):
    edits = [("study.yaml", "model: small, context_class: short, tier: bulk", "model: small, context_class: short, "
              "features: [vision], tier: bulk")]  # fmt: skip
    result = CliRunner().invoke(app, [command, str(write_study(tmp_path, edits)), "--quiet"])
    assert result.exit_code == 1
    assert "workload batch from london" in result.stderr and "feature" in result.stderr


# ------------------------------------------------------------------ proofs and surges
def test_a_gap_of_the_solvers_arithmetic_is_proven():
    """Exit 0 is of `good`: the gap is said as it is."""
    plan = make_plan(asked(RATES, PRICES, (12.0,)), EXACT)
    for off, good in ((2e-7, True), (1e-4, False)):
        bound = plan.proof.cost_usd * (1 - off)
        proof = plan.proof.model_copy(
            update={
                "bound_usd": bound,
                "lp_bound_usd": min(bound, plan.proof.lp_bound_usd),
                "gap_fraction": gap_fraction(plan.proof.cost_usd, bound),
                "status": "proven" if good else "gap",
            }
        )
        report = review_plan(sealed(plan.model_copy(update={"proof": proof})))
        assert report.good == good
        lines = " ".join(str(line) for section in report.sections for line in section.lines)
        assert ("gap 2e-07 of the cost" in lines) == good


@pytest.mark.parametrize("objective", ["cost", "expected", "worst_case"])
@pytest.mark.parametrize("failover", ["resolve", "rescale"])
def test_demand_may_vanish_in_a_failure(objective, failover):
    if failover == "rescale" and objective != "cost":
        pytest.skip("gateways that rescale shed what they must: nothing is priced")
    rates = {"failures_per_year": 1.0, "hours_to_repair": 1.0}
    gone = NamedFailure(name="gone", lost={"pool:aws/s0/m0": 1.0}, surge_factor=0.0, **rates)
    half = NamedFailure(name="half", lost={"pool:aws/s1/m1": 0.5}, surges={"origin:o": 0.0}, **rates)
    goals = (Goal(any="pool", within_seconds=60.0), *(Goal(failure=f, within_seconds=30.0) for f in ("gone", "half")))
    plain = asked(RATES, PRICES, (10.0,))
    tier = plain.tiers[0].model_copy(update={"survive": goals, "outage_usd_per_request": 0.01})
    study = plain.model_copy(
        update={"failures": (gone, half), "tiers": (tier,), "objective": objective, "failover": failover}
    )
    plan = make_plan(study, EXACT)
    assert audit(plan).violations == () and review_plan(plan).good
    rows = [row for row in drill_plan(plan).rows if row.failure in ("failure:gone", "failure:half")]
    assert rows and not [row for row in rows if row.broken or row.served_fraction < 1]
    assert diff_plans(plan, plan).same


def test_a_small_stream_is_not_short_by_what_is_nothing_to_a_large_one():
    types = tuple(machine_type(f"m{n}") for n in range(3))
    sites = tuple(site(f"aws/s{n}") for n in range(3))
    made = study(
        machine_types=types,
        sites=sites,
        pools=tuple(Pool(site=s.id, machine_type=t.name) for s, t in zip(sites, types, strict=True)),
        models=tuple(model(f"m{n}", [profile(f"m{n}", "cuda", rate)]) for n, rate in enumerate((1000.0, 1.0, 1.0))),
        workloads=(workload("large", model="m0"), workload("small", model="m1")),
        tiers=(Tier(name="t", round_trip_ms=1000.0, survive=(Goal(failure="peak", within_seconds=60.0),)),),
        failures=(NamedFailure(name="peak", lost={"site:aws/s2": 1.0}, surge_factor=1.0003),),
        bought=[offer(f"aws/s{n}/m{n}", 1.0) for n in range(3)],
        demand={("large", "o"): 9500.0, ("small", "o"): 1.0},
    )
    assert audit(make_plan(made, EXACT)).passed
