"""Failures that take the same of what is bought are one: tested, settled and re-solved once."""

import pytest
from failing import asked
from studies import offer, random_study, site

from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve.dominance import Dominance
from planner.solve.feasibility_subproblem import FeasibilitySubproblem, tolerance
from planner.solve.search import Effort, Search
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Holding, Tier

SITES = ("p/a", "q/b", "r/c", "r/d")


def losing_pairs(s):
    """The study, every site and every two of them to be survived."""
    goals = tuple(Goal(any="site", of=n, serve_fraction=0.5, within_seconds=60.0) for n in (1, 2))
    return s.model_copy(update={"tiers": tuple(t.model_copy(update={"survive": goals}) for t in s.tiers)})


def in_two_of_four():
    """Machines are held in a and b; none can be had in c and d."""
    pools = tuple(Pool(site=at, machine_type="m") for at in SITES)
    held = tuple(Holding(pool=pool.id, machines=40) for pool in pools[:2])
    pairs = Goal(any="site", of=2, except_=("q/b",), within_seconds=60.0)
    bought = [offer(pool.id, 1, most_units=0.0) for pool in pools]
    return asked(
        sites=tuple(map(site, SITES)),
        pools=pools,
        bought=bought,
        holdings=held,
        tiers=(Tier(name="t", survive=(pairs,)),),
    )


def bought_without_goals(p):
    """A search of a problem, and what its linear program without failures buys."""
    search = Search(p, Effort(), None, lambda stage, done, detail: None)
    search.minimise()
    search.program.solve()
    return search, search.purchases(integer=False)


def test_a_site_without_machines_makes_no_difference():
    p = build(in_two_of_four())
    search, bought = bought_without_goals(p)
    (h,), failures = p.hours, search.failures()
    assert len(failures) == 3 and not search.dominated, "whatever is bought, none covers another"
    given = Dominance(p).dominated_with(bought, h, failures, ())
    (hardest,) = set(failures) - given.keys()
    assert set(given.values()) == {hardest}
    one = next(f for f in failures if f != hardest)
    assert one not in Dominance(p).dominated_with(bought, h, failures, {one}), "that of the program stands for others"
    signatures = {f: search.subproblem(f, h).signature(f, bought) for f in failures}
    assert signatures["site:p/a + site:r/c"] == signatures["site:p/a + site:r/d"] != signatures["site:r/c + site:r/d"]


@pytest.mark.parametrize("seed", range(8))
def test_what_survives_the_harder_survives_the_easier(seed):
    p = build(losing_pairs(random_study(seed, "small")))
    search, bought = bought_without_goals(p)
    for h in p.hours:
        failures = search.failures()
        short = {f: search.subproblem(f, h).test(f, bought) for f in failures}
        covered = Dominance(p).dominated_with(bought, h, failures, ())
        assert covered.keys() >= search.dominated.keys()
        for f, harder in covered.items():
            assert short[f] <= short[harder] + tolerance(p, f, h), (f, harder)
        tested = {f for f, _ in search.to_test(bought, [h])}
        assert not tested & (covered.keys() | search.dominated.keys())
        by_signature = {}
        for f in failures:
            by_signature.setdefault((p.deadlines_seconds[f], search.subproblem(f, h).signature(f, bought)), []).append(
                f
            )
        for same in by_signature.values():
            assert [short[f] for f in same] == pytest.approx([short[same[0]]] * len(same), abs=tolerance(p, same[0], h))


def test_what_is_the_same_is_settled_once(monkeypatch):
    settled = []
    of_one = FeasibilitySubproblem.settle

    def counted(self, f, *given):
        settled.append(f)
        return of_one(self, f, *given)

    monkeypatch.setattr(FeasibilitySubproblem, "settle", counted)
    plan = make_plan(in_two_of_four(), Effort(gap_fraction=0.0))
    assert len(settled) == 2 and audit(plan).passed
    states = {state.failure: state for state in plan.states}
    one, other = states["site:p/a + site:r/c"], states["site:p/a + site:r/d"]
    assert one.model_copy(update={"failure": other.failure}) == other
