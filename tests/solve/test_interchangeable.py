"""What is not planned because something else is: the optimum stays, plans hold in full; and what prevents it."""

import random
from dataclasses import replace

import pytest
from priced import priced
from studies import beset_study, model, profile, random_study
from two_sites import two_sites
from whole_program import optimum

from planner.drill import drill_plan, drill_state_claims
from planner.plan import plan as planning
from planner.plan.audit import audit
from planner.problem.arrays import full, merged
from planner.problem.build import build
from planner.problem.decisions import Decisions, table
from planner.problem.problem import Problem, ShareLimit
from planner.problem.request_limits import Alternatives, RequestLimits
from planner.solve import solve as solving
from planner.solve.dominated_placements import dominated_placements, without_placements
from planner.solve.interchangeable import Reduced, reduced
from planner.solve.lp_bound import relax
from planner.solve.priced_failures import same_priced
from planner.solve.search import Effort, Infeasible, Search, Stopped
from planner.solve.size import size_of
from planner.study.dependencies import NORMAL
from planner.study.records.study import NamedFailure, Study

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
ROUGH = Effort(gap_fraction=0.05, most_nodes=50)
SEEDS = (2, 6, 10, 20, 22, 24, 31, 33, 38, 39)
"""Small ones: rescaled, priced, with few large units."""


def as_asked(p: Problem, similar: Decisions | None = None) -> Reduced:
    """Nothing taken out: what a reduced problem is compared with."""
    return Reduced(p, p, {}, {})


def cost_of(p: Problem) -> float | None:
    """Of the cheapest plan [USD]; None: there is none."""
    try:
        return solving.solve(p, EXACT).cost_usd
    except Infeasible:
        return None


# ------------------------------------------------------------------ dominated placements
A, B = "m/m-a@a/x/m", "m/m-b@a/x/m"
FLOW = ("w", "o")
LOST = "site:b/y"


def two_profiles(rate: float = 4.0, **more) -> Problem:
    """Two sites with two profiles of a model each: b serves 4 requests/s where a serves 5, all else the same."""
    faster, slower = (profile("m", "cuda", r, name=f"m-{name}") for name, r in (("a", 5.0), ("b", rate)))
    return build(two_sites(models=(model("m", [faster, slower]),), **more))


def with_changed(of: str, *at, to):
    """A problem in which a map has another number at some keys, one in another."""

    def change(p: Problem) -> Problem:
        def changed(values, keys):
            return {**values, keys[0]: to if len(keys) == 1 else changed(values[keys[0]], keys[1:])}

        return replace(p, **{of: changed(getattr(p, of), at)})

    return change


def with_targeted(p: Problem) -> Problem:
    failures = {**p.failures, LOST: replace(p.failures[LOST], targeted=A)}
    return replace(p, failures=failures)


PREVENTS = {
    "an edge in normal operation": with_changed("edges", FLOW, to=(B,)),
    "an edge in failures": with_changed("edges_in_failure", FLOW, to=(B,)),
    "work": with_changed("replica_seconds", ("w", A), to=0.3),
    "work in failures": with_changed("replica_seconds_in_failure", ("w", A), to=0.3),
    "machines: twice as fast on two is the same where all is divisible": lambda p: with_changed(
        "machines_per_replica", A, to=2.0
    )(with_changed("replica_seconds", ("w", A), to=0.1)(p)),
    "time to load": with_changed("load_seconds", A, to=1.0),
    "weights": with_changed("weights_gib", A, to=101.0),
    "a rollout": with_changed("rollout_surge_fraction", A, to=0.1),
    "another model": with_changed("model_of", A, to="n"),
    "another pool": with_changed("pool_of", A, to="b/y/m"),
    "a failure in which it is dead": with_changed("lost", LOST, A, to=0.0),
    "a failure in which the other is dead": with_changed("lost", LOST, B, to=0.0),
    "a part of the pool of its own": lambda p: with_changed("lost", LOST, A, to=0.5)(
        with_changed("lost", LOST, B, to=0.5)(p)
    ),
    "a failure in which it cannot start": with_changed("cannot_start", LOST, to=frozenset({A})),
    "a loss that falls on one placement": with_targeted,
    "a share": lambda p: replace(p, shares=(ShareLimit("stack:cuda", frozenset({A}), 0.5),)),
    "a component with a limit": lambda p: replace(p, request_limits=RequestLimits(always={"gateway:g": ((*FLOW, A),)})),
    "alternatives": lambda p: replace(
        p, request_limits=RequestLimits(alternatives=(Alternatives(("1", "2"), ((*FLOW, A),)),))
    ),
}


def test_the_slower_of_two_is_dominated():
    p = two_profiles()
    assert dominated_placements(p) == {B: A, B.replace("a/x", "b/y"): A.replace("a/x", "b/y")}
    assert dominated_placements(p, [B]) == {B.replace("a/x", "b/y"): A.replace("a/x", "b/y")}
    smaller = without_placements(p, dominated_placements(p))
    assert B not in smaller.placements and B not in smaller.edges[FLOW] and B not in smaller.on_pool["a/x/m"]
    assert full(smaller).P == 2


@pytest.mark.parametrize("change", PREVENTS.values(), ids=PREVENTS)
def test_what_tells_two_apart(change):
    assert B not in dominated_placements(change(two_profiles()))


def test_of_those_that_are_equal_the_first_stays():
    assert dominated_placements(two_profiles(rate=5.0))[B] == A
    assert A not in dominated_placements(two_profiles(rate=5.0))
    assert dominated_placements(two_profiles(rate=6.0))[A] == B


def test_of_three_each_names_one_that_stays():
    profiles = [profile("m", "cuda", rate, name=f"m-{n}") for n, rate in enumerate((3.0, 4.0, 5.0))]
    dominated = dominated_placements(build(two_sites(models=(model("m", profiles),))))
    assert len(dominated) == 4 and {e.partition("@")[0] for e in dominated.values()} == {"m/m-2"}


def with_worse(study: Study, seed: int) -> Study:
    """A study in which most profiles have a worse one beside them, or one that is as good."""
    g = random.Random(seed)
    models = []
    for old in study.models:
        worse = []
        for f in old.profiles:
            points = tuple(
                c.model_copy(update={"decode_tokens_per_second": c.decode_tokens_per_second * g.choice([1.0, 0.8])})
                for c in f.classes
            )
            update = {
                "name": f"{f.name}-{g.choice('az')}",
                "classes": points,
                "load_seconds": f.load_seconds + g.choice([0.0, 30.0]),
                "weights_gib": f.weights_gib + g.choice([0.0, 10.0]),
                "accelerators_per_replica": g.choice([f.accelerators_per_replica, 8]),
            }
            if g.random() < 0.7:
                worse.append(f.model_copy(update=update))
        models.append(old.model_copy(update={"profiles": (*old.profiles, *worse)}))
    return study.model_copy(update={"models": tuple(models)})


def lp_bound(p: Problem) -> float | None:
    """Cost of the linear program over all failures [USD]; None: it has no solution."""
    try:
        return relax(Search(p, Effort(), None, lambda *_: None))
    except Infeasible:
        return None


def test_the_linear_program_costs_no_less_and_the_same_where_no_row_is_of_one_edge():
    compared, fewer = 0, 0
    for seed in SEEDS:
        p = build(with_worse(beset_study(seed), seed))
        for asked in (p, replace(p, few_large_units=frozenset())):
            smaller = reduced(asked).p
            one, other = lp_bound(asked), lp_bound(smaller)
            assert (one is None) == (other is None), seed
            assert one is None or other >= one * (1 - 1e-6), seed
            assert one is None or asked.few_large_units or other == pytest.approx(one, rel=1e-6), seed
            compared += one is not None
            fewer += len(asked.placements) - len(smaller.placements)
    assert compared > 10 and fewer > 30, (compared, fewer)


def test_whole_numbers_cost_the_same(monkeypatch):
    compared, fewer = 0, 0
    for seed in (0, 1, 2, 5, 6, 7):
        p = build(with_worse(random_study(seed), seed))
        fewer += len(dominated_placements(p))
        cost = cost_of(p)
        with monkeypatch.context() as patched:
            patched.setattr(solving, "reduced", as_asked)
            other = cost_of(p)
        assert (cost is None) == (other is None), seed
        assert cost is None or cost == pytest.approx(other, abs=1e-6), seed
        compared += cost is not None
    assert compared > 3 and fewer > 8, (compared, fewer)


def moved(x: Decisions, to: dict[str, str]) -> Decisions:
    """The decisions with what some placements have given to others."""
    after = Decisions()
    for decision in table():
        letters = decision.index.split()
        for key, value in getattr(x, decision.name).items():
            if "e" in letters:
                at = letters.index("e")
                key = (*key[:at], to.get(key[at], key[at]), *key[at + 1 :])
            getattr(after, decision.name)[key] = getattr(after, decision.name)[key] + value
    return after


def test_what_a_dominated_placement_does_the_other_does_as_well(monkeypatch):
    """A plan of the worse ones alone; then all that they have is given to the better: it holds and costs the same."""
    moves = []

    def with_the_worse(p: Problem, *given, **more):
        dominated = dominated_placements(p)
        worse_only = without_placements(p, {better: e for e, better in dominated.items()})
        solution = solving.solve(worse_only, *given, **more)
        moves.append(sum(e in dominated for e, _ in solution.decisions.replicas))
        return replace(solution, decisions=moved(solution.decisions, dominated))

    monkeypatch.setattr(planning, "solve", with_the_worse)
    plans = 0
    for seed in SEEDS:
        try:
            plan = planning.make_plan(with_worse(beset_study(seed), seed), ROUGH)
        except (Infeasible, Stopped):
            continue
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        assert not drill_plan(plan, plan.study.failover).broken, seed
        plans += 1
    assert plans > 5 and sum(moves) > 10, (plans, moves)


# ------------------------------------------------------------------ priced failures
ONE, TWO = "failure:one", "failure:two"


def with_twice(objective: str, seed: int = 0, **second) -> Study:
    """A random study with prices in which two failures differ in nothing but their rates."""
    s = priced(seed, objective, "tiny")
    fields = {"lost": {f"site:{s.pools[0].site}": 1.0}, "failures_per_year": 2.0, "hours_to_repair": 1.0}
    one, two = NamedFailure(name="one", **fields), NamedFailure(name="two", **fields | {"failures_per_year": 5.0})
    return s.model_copy(update={"failures": (*s.failures, one, two.model_copy(update=second))})


APART = {
    "lost": with_changed("lost", TWO, "a/x/m", to=0.5),
    "coverable": with_changed("coverable", TWO, FLOW, to=0.5),
    "cannot start": with_changed("cannot_start", TWO, to=frozenset({"e"})),
    "closed": with_changed("closed", TWO, to=frozenset({"1"})),
    "counted": with_changed("counted", TWO, "b", to=0.5),
    "obtainable": with_changed("obtainable", TWO, "b", to=(0.5, 10.0)),
    "deadlines": with_changed("deadlines_seconds", TWO, to=(10.0,)),
    "promised": with_changed("promised", TWO, to=(("gold", 0.5, 60.0),)),
    "hours to repair": lambda p: with_changed("priced", TWO, to=replace(p.priced[TWO], hours_to_repair=2.0))(p),
    "a surge": lambda p: with_changed("failures", TWO, to=replace(p.failures[TWO], surge_factor=1.1))(p),
    "a surge of one": lambda p: with_changed("failures", TWO, to=replace(p.failures[TWO], surges={"origin:o": 2.0}))(p),
    "where it falls": lambda p: with_changed("failures", TWO, to=replace(p.failures[TWO], targeted="e"))(p),
    "one of several places": lambda p: with_changed("priced", TWO, to=replace(p.priced[TWO], of=ONE))(p),
}


@pytest.mark.parametrize("change", APART.values(), ids=APART)
def test_what_tells_two_failures_apart(change):
    assert same_priced(change(build(with_twice("expected")))) == {}


def test_a_failure_without_a_price_is_never_one_with_another():
    assert same_priced(build(with_twice("cost"))) == {}


@pytest.mark.parametrize("objective", ["expected", "worst_case", "cvar"])
def test_the_optimum_is_the_same_with_rates_added_up(objective):
    compared = 0
    for seed in range(3):
        p = build(with_twice(objective, seed))
        smaller = reduced(p)
        assert smaller.failures == {TWO: ONE} and TWO not in smaller.p.failures and TWO not in smaller.p.priced
        assert smaller.p.priced[ONE].occurrences == pytest.approx(7 / 2 * p.priced[ONE].occurrences)
        one, other = optimum(p, merged(p)), optimum(smaller.p, merged(smaller.p))
        assert (one is None) == (other is None), seed
        assert one is None or other == pytest.approx(one, rel=1e-6), seed
        compared += one is not None
    assert compared > 1


@pytest.mark.parametrize("objective", ["expected", "worst_case", "cvar"])
def test_each_of_the_two_has_the_same_decisions_and_the_plan_holds_in_full(objective):
    plan = planning.make_plan(with_twice(objective), ROUGH)
    one, two = ([s for s in plan.states if s.failure == f] for f in (ONE, TWO))
    assert [s.model_copy(update={"failure": TWO}) for s in one] == two != []
    assert audit(plan).passed, audit(plan).violations[:3]
    assert not drill_plan(plan).broken and not drill_state_claims(plan)
    assert plan.proof.failures_tested == len(build(plan.study).failures) - 1


def test_the_size_says_what_is_no_part_of_the_program():
    size = size_of(two_profiles(), [])
    assert (size.placements, size.dominated_placements, size.same_priced, size.failures) == (4, 2, 0, 2)
    p = build(with_twice("expected"))
    size = size_of(p, [ONE, TWO])
    assert size.same_priced == 1 and [block.what for block in size.blocks[1:]] == [ONE]
    assert size.failures == len([f for f in p.failures if f != NORMAL])


def test_a_plan_at_hand_keeps_its_placements():
    p, similar = two_profiles(), Decisions()
    similar.replicas[B, p.hours[0]] = 2.0
    assert B not in reduced(p, similar).placements and B in reduced(p, similar).p.placements
    assert solving.solve(p, EXACT, start=similar).cost_usd == pytest.approx(10.0)
