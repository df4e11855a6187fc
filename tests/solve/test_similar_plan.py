"""A search that starts from a plan of a similar study: its replicas are tried first, and it is proven first."""

from dataclasses import replace

import numpy as np
import pytest
from studies import random_study
from two_sites import changed, two_sites

from planner.plan import plan as plans
from planner.plan.audit import audit
from planner.plan.decisions import decisions_of, problem_of
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.problem import CapitalCap
from planner.problem.rules.index_sets import as_vectors
from planner.solve.lp_bound import relax
from planner.solve.program import Program
from planner.solve.search import Effort, Search, unhurt
from planner.solve.similar_plan import SimilarProblem, keep_to_bound, known_replicas
from planner.solve.solve import solve
from planner.solve.whole_by_number import WholeByNumber
from planner.solve.whole_plan import WholePlan
from planner.study.records.policies import Utilisation
from planner.study.records.study import Goal

SEEDS = (0, 2, 6)
"""Studies in which some failure is survived only with replicas that take a search."""


@pytest.fixture(scope="module", params=SEEDS)
def planned(request):
    plan = make_plan(random_study(request.param, "small"), Effort(gap_fraction=0.05))
    p = problem_of(plan)
    return plan, p, decisions_of(plan, p)


@pytest.fixture
def searches(monkeypatch):
    """How many integer programs of tests are solved."""
    made, original = [], Program.solve_whole

    def counted(self, *args, **more):
        made.append(args)
        return original(self, *args, **more)

    monkeypatch.setattr(Program, "solve_whole", counted)
    return made


def survival(p, x, known):
    search = Search(p, Effort(), None, lambda *told: None)
    search.known.update(known)
    purchases = search.with_non_preemptible(as_vectors(p, x), True)
    return search, purchases, search.broken_whole(purchases)


def test_a_plan_is_tested_with_its_own_replicas_without_a_search(planned, searches):
    _, p, x = planned
    _, _, (broken, _) = survival(p, x, {})
    assert not broken and searches
    searches.clear()
    _, _, (broken, survived) = survival(p, x, known_replicas(p, x))
    assert not broken and not searches and survived


def test_what_is_known_does_not_let_a_broken_plan_pass(planned):
    """Half of what is bought: what is broken without knowing anything is broken with it."""
    _, p, x = planned
    fewer = as_vectors(p, x)
    for name in ("started", "rented", "replicas", "non_preemptible"):
        for scope, vector in getattr(fewer, name).items():
            getattr(fewer, name)[scope] = np.floor(vector / 2)
    broken = []
    for known in ({}, known_replicas(p, x)):
        search = Search(p, Effort(), None, lambda *told: None)
        search.known.update(known)
        found, _ = search.broken_whole(search.with_non_preemptible(fewer, True))
        broken.append({block for _, block in found})
    assert broken[0] and broken[0] == broken[1]


def test_of_other_deadlines_and_failures_nothing_is_known(planned):
    _, p, x = planned
    f = next(f for f, _ in known_replicas(p, x))
    later = {**p.deadlines_seconds, f: tuple(c + 1.0 for c in p.deadlines_seconds[f])}
    others = replace(p, deadlines_seconds=later)
    assert {g for g, _ in known_replicas(p, x)} - {g for g, _ in known_replicas(others, x)} == {f}


def test_unhurt_states_keep_all_that_survives():
    """What a test of an unhurt failure finds is what is settled without one."""
    compared = 0
    for seed in (1, 5, 9):
        plan = make_plan(random_study(seed), Effort(gap_fraction=0.05))
        p = problem_of(plan)
        search, purchases, _ = survival(p, decisions_of(plan, p), {})
        for f, h in ((f, h) for f in search.failures() for h in p.hours if unhurt(p, purchases, f, h)):
            subproblem = search.subproblem(f, h)
            short, replicas = subproblem.test_whole(f, purchases, None)
            x = subproblem.set_failure(f, purchases, integer=True)
            warm = subproblem.all_warm(f)
            for s in subproblem.states(f):
                most = subproblem.program.upper[x.kept[s,].column]
                assert short == 0 and (replicas["kept", s] == np.minimum(warm["kept", s], most)).all()
                compared += 1
    assert compared > 5


def test_a_plan_that_holds_and_is_good_enough_is_only_proven(monkeypatch):
    """At other prices the same is bought within the gap: no whole numbers are looked for beside it."""
    effort = Effort(gap_fraction=0.2)
    base = make_plan(random_study(4, "small"), effort)
    asked = base.study.model_copy(
        update={
            "prices": tuple(
                price.model_copy(update={"price_usd_per_machine_hour": 1.02 * price.price_usd_per_machine_hour})
                for price in base.study.prices
            )
        }
    )
    cold = make_plan(asked, effort)
    parts, original = [], WholePlan._part

    def counted(self, label, *args, **more):
        parts.append(label)
        return original(self, label, *args, **more)

    monkeypatch.setattr(WholePlan, "_part", counted)
    warm = solve(build(asked), effort, start=decisions_of(base, problem_of(base)))
    assert not parts and warm.status == "proven" == cold.proof.status
    assert warm.cost_usd == pytest.approx(1.02 * base.proof.cost_usd) and warm.bound_usd <= warm.cost_usd
    assert warm.bound_usd <= cold.proof.cost_usd * (1 + 1e-9) and cold.proof.bound_usd <= warm.cost_usd * (1 + 1e-9)


def test_what_asks_for_more_goals_alone_is_compared_with_what_was_planned(monkeypatch):
    base, solved = make_plan(two_sites()), []

    def counted(p, *args, **more):
        solved.append(p)
        return solve(p, *args, **more)

    monkeypatch.setattr(plans, "solve", counted)
    tier = base.study.tiers[0]
    goal = Goal(any="provider", within_seconds=60.0)
    more = base.study.model_copy(update={"tiers": (tier.model_copy(update={"survive": (*tier.survive, goal)}),)})
    plan = make_plan(more, start=base)
    assert [len(p.failures) > 1 for p in solved] == [True] and audit(plan).passed
    assert plan.without_goals == base.without_goals
    solved.clear()
    dearer = make_plan(changed(base.study, {"prices[a/*]": "x1.5"}), start=base)
    assert [len(p.failures) > 1 for p in solved] == [False, True]
    assert dearer.without_goals.cost_usd == pytest.approx(6) != base.without_goals.cost_usd


def with_prices(study, factor):
    """The study with other prices of the first half of its offers."""
    changed_ones = study.prices[: (len(study.prices) + 1) // 2]
    prices = tuple(
        price.model_copy(update={"price_usd_per_machine_hour": factor * price.price_usd_per_machine_hour})
        if price in changed_ones
        else price
        for price in study.prices
    )
    return study.model_copy(update={"prices": prices})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.3])
def test_the_bound_at_other_prices_cuts_off_no_plan(seed, factor):
    """With the bound of the study as it is the linear program costs no less than without, and no more than any plan."""
    effort = Effort(gap_fraction=0.001)
    base = make_plan(random_study(seed, "small"), effort)
    asked = with_prices(base.study, factor)
    best = make_plan(asked, effort)
    search = Search(p := build(asked), effort, None, lambda *told: None)
    before = relax(search)
    keep_to_bound(search, p, SimilarProblem(problem_of(base), base.proof.bound_usd))
    assert before <= search.bound <= best.proof.cost_usd * (1 + 1e-6)
    warm = make_plan(asked, effort, start=base)
    assert warm.proof.bound_usd <= best.proof.cost_usd * (1 + 1e-6)
    assert best.proof.bound_usd <= warm.proof.cost_usd * (1 + 1e-6)


def test_the_bound_at_other_prices_is_worth_what_the_cheapest_way_to_it_costs():
    """11 requests/s at 5 a machine: 2.2 machines at each of two sites, 2 and 3 USD, whole ones 3: 15 USD. Where those
    of the first cost 1 USD the linear program costs 2.2 + 6.6. What costs 15 at the prices before costs at the least
    (15 - 6.6) / 2 + 6.6 = 10.8; the plan, 3 and 3 machines, 12."""
    base = make_plan(two_sites(demand={("w", "o"): 11.0}), Effort(gap_fraction=0.0))
    asked = changed(base.study, {"prices[a/*]": "x0.5"})
    search = Search(p := build(asked), Effort(), None, lambda *told: None)
    assert base.proof.bound_usd == pytest.approx(15.0) and relax(search) == pytest.approx(8.8)
    keep_to_bound(search, p, SimilarProblem(problem_of(base), base.proof.bound_usd))
    assert search.bound == pytest.approx(10.8, rel=1e-5)
    assert make_plan(asked, Effort(gap_fraction=0.0), start=base).proof.cost_usd == pytest.approx(12.0)


def test_a_bound_of_another_demand_says_nothing():
    base = make_plan(two_sites(demand={("w", "o"): 11.0}), Effort(gap_fraction=0.0))
    asked = changed(base.study, {"prices[a/*]": "x0.5", "demand": "x0.9"})
    search = Search(p := build(asked), Effort(), None, lambda *told: None)
    before = relax(search)
    keep_to_bound(search, p, SimilarProblem(problem_of(base), base.proof.bound_usd))
    assert search.bound == before


def test_a_plan_by_waiting_is_kept_where_it_holds_and_its_bound_does(monkeypatch):
    """One more goal that it survives anyway: nothing is looked for beside it, and it is as near to proven as it was."""
    study = by_waiting_of(2)
    effort = Effort(gap_fraction=0.02)
    base = make_plan(study, effort)
    assert problem_of(base).waiting is not None
    tier = study.tiers[0]
    more = tier.model_copy(update={"survive": (*tier.survive, Goal(any="site", within_seconds=3600.0))})
    parts, original = [], WholePlan._part

    def counted(self, label, *args, **more):
        if self.search.failures():
            parts.append(label)
        return original(self, label, *args, **more)

    monkeypatch.setattr(WholePlan, "_part", counted)
    plan = make_plan(study.model_copy(update={"tiers": (more, *study.tiers[1:])}), effort, start=base)
    assert plan.proof.cost_usd <= base.proof.cost_usd * (1 + 1e-9) and audit(plan).passed
    assert plan.proof.bound_usd >= base.proof.bound_usd * (1 - 1e-9)
    assert not parts


def row_of_prices(asked, base, **changes):
    """Whether the program of a study has the row of the bound of a plan, with fields of its problem changed."""
    p, before = replace(build(asked), **changes), replace(problem_of(base), **changes)
    search = Search(p, Effort(), None, lambda *told: None)
    relax(search)
    keep_to_bound(search, p, SimilarProblem(before, base.proof.bound_usd))
    return any(added.rule == "costs_no_less_there" for added in search.program.added)


def test_where_prices_decide_what_may_be_bought_a_bound_at_other_prices_says_nothing():
    base = make_plan(two_sites(demand={("w", "o"): 11.0}), Effort(gap_fraction=0.0))
    asked = changed(base.study, {"prices[a/*]": "x0.5"})
    assert row_of_prices(asked, base)
    caps = (CapitalCap("2027", 1e9, build(asked).periods),)
    for changes in ({"budget_usd": 1e9}, {"capital_caps": caps}):
        assert not row_of_prices(asked, base, **changes)


@pytest.mark.parametrize("basis", ["fixed", "waiting"])
def test_of_a_file_that_somebody_changed_no_bound_is_taken_over(basis):
    """A bound three times as high: machines would be bought until the plan costs it."""
    study = two_sites(demand={("w", "o"): 11.0}, utilisation=Utilisation(basis=basis))
    base = make_plan(study, Effort(gap_fraction=0.0))
    asked = changed(base.study, {"prices[a/*]": "x0.5"})
    edited = base.model_copy(
        update={"proof": base.proof.model_copy(update={"bound_usd": 3 * base.proof.bound_usd, "gap_fraction": 0.0})}
    )
    cold = make_plan(asked, Effort(gap_fraction=0.0))
    warm = make_plan(asked, Effort(gap_fraction=0.0), start=edited)
    assert warm.proof.cost_usd == pytest.approx(cold.proof.cost_usd)


def by_waiting_of(seed):
    return random_study(seed, "small").model_copy(update={"utilisation": Utilisation(spread="least-requests")})


def test_where_a_similar_plan_by_waiting_leads_to_none_that_is_proven_it_is_planned_from_nothing(monkeypatch):
    """Nothing is found near a dear plan: what is planned without one is found, and the cheaper of the two stays."""
    effort = Effort(gap_fraction=0.001, most_nodes=1)
    base, cold = make_plan(by_waiting_of(9), Effort(gap_fraction=0.5)), make_plan(by_waiting_of(9), effort)
    assert base.proof.cost_usd > 1.1 * cold.proof.cost_usd
    improve, run, led, reached = WholeByNumber._improve_small, WholeByNumber._run, set(), []

    def ran(self):
        run(self)
        if self.start is not None:
            reached.append(self.best.cost_usd)

    def not_near_it(self):
        if self.start is None or self in led:
            improve(self)
        led.add(self)

    monkeypatch.setattr(WholeByNumber, "_run", ran)
    monkeypatch.setattr(WholeByNumber, "_improve_small", not_near_it)
    monkeypatch.setattr(WholeByNumber, "_search_near", lambda self, start: None)
    monkeypatch.setattr(WholeByNumber, "_is_far_from_proven", lambda self: False)
    warm = make_plan(by_waiting_of(9), effort, start=base)
    assert reached[0] <= cold.proof.cost_usd * (1 + 1e-9) and audit(warm).passed


def test_what_began_from_nothing_does_not_begin_twice(monkeypatch):
    """A plan that does not hold with more demand, and nothing near it: the search is one from nothing already."""
    effort = Effort(gap_fraction=0.0, most_nodes=1)
    base = make_plan(by_waiting_of(3), effort)
    asked = changed(base.study, {"demand": "x1.5"})
    begun, first = [], WholeByNumber._first_plan

    def counted(self):
        if self.start is not None:
            begun.append(self)
        first(self)

    monkeypatch.setattr(WholeByNumber, "_first_plan", counted)
    monkeypatch.setattr(WholeByNumber, "_search_near", lambda self, start: None)
    monkeypatch.setattr(WholeByNumber, "_is_proven", lambda self: False)
    make_plan(asked, effort, start=base)
    assert len(begun) == 1
