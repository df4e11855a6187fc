"""Many hours, one by one: what limits purchases holds in whole numbers and in what-ifs, and nothing moves the bound."""

from datetime import date

import pytest
from buildouts import hall, phase
from over_time import HOURS
from studies import machine_type, model, offer, profile, site, study, workload

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve import enter_by_hours as entering
from planner.solve.lp_bound import relax
from planner.solve.search import Effort, Search
from planner.solve.solve import solve
from planner.study.records.buildout import CapitalLimit
from planner.study.records.study import Claim, Goal, Holding, Horizon, NamedFailure, Period, Policies, Pool, Study, Tier


def over_six_months(**parts: object) -> Study:
    """Two pools, a workload of 5 requests/s a machine, a day and a night in each of six months."""
    fields = {
        "sites": (site("a/x"), site("b/y")),
        "machine_types": (machine_type("m"),),
        "pools": (Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
    } | parts
    periods = tuple(Period(name=f"p{i}", months=1.0) for i in range(6))
    made = study(**fields)
    return made.model_copy(update={"horizon": Horizon(start=made.horizon.start, periods=periods, hours=HOURS)})


def as_directly(asked: Study, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Costs of a plan by hours and of one of all hours at once [USD]; both pass their audit and their proofs agree."""
    by_hours = make_plan(asked)
    monkeypatch.setattr(entering, "FEWEST_HOURS", 10**9)
    directly = make_plan(asked)
    monkeypatch.undo()
    assert audit(by_hours).passed and audit(directly).passed
    assert by_hours.proof.bound_usd <= directly.proof.cost_usd * (1 + 1e-6)
    assert by_hours.proof.status == directly.proof.status == "proven"
    return by_hours.proof.cost_usd, directly.proof.cost_usd


def test_machines_that_others_claim_stay_where_nothing_runs(monkeypatch):
    """Held until March, lent until the end: from April on they are rented for who has them, 2 · 9 USD an hour."""
    asked = over_six_months(
        bought=[offer("a/x/m", 9.0), offer("b/y/m", 5.0)],
        demand={("w", "o"): 11},
        holdings=(Holding(pool="a/x/m", machines=2, until=date(2026, 3, 31)),),
        claims=(Claim(pool="a/x/m", machines=2, lent_to="training", reclaim_seconds=None),),
    )
    by_hours, directly = as_directly(asked, monkeypatch)
    assert by_hours == directly


def test_what_a_loss_may_fall_on_grows_with_no_purchase(monkeypatch):
    """A unit of eight is cheaper than five that are rented, and loses more on the one placement that is hit."""
    asked = over_six_months(
        bought=[
            offer("a/x/m", 5.625, "commitment", term_months=6.0, machines_per_unit=8, most_units=500.0),
            offer("a/x/m", 10.0),
        ],
        demand={("w", "o"): 16},
        tiers=(Tier(name="t", survive=(Goal(failure="part", serve_fraction=0.853, within_seconds=60.0),)),),
        failures=(NamedFailure(name="part", lost={"pool:a/x/m": 0.3}, worst_part=True),),
    )
    by_hours, directly = as_directly(asked, monkeypatch)
    assert by_hours == directly


def capped(usd: float) -> Study:
    """A hall of modules with a machine each, of which a limit on capital pays one for each 30,000 USD."""
    limit = CapitalLimit(name="cap", most_usd=usd, until=date(2030, 1, 1))
    built = (phase("one", most=50, power_mw=0.01),)
    made = hall(demand=200.0, build_outs=built, policies=Policies(capital_limits=(limit,)))
    horizon = Horizon(start=made.horizon.start, quarters=made.horizon.quarters, hours=HOURS)
    return made.model_copy(update={"horizon": horizon})


def test_a_limit_on_capital_holds_for_whole_modules(monkeypatch):
    by_hours, directly = as_directly(capped(620_000.0), monkeypatch)
    assert by_hours == pytest.approx(directly)


def test_a_similar_plan_that_a_limit_now_forbids_is_not_kept():
    """Forty modules were right under the old limit; thirty are under the new one, and hours still go one by one."""
    before = solve(build(capped(5_000_000.0)))
    said = []
    after = solve(
        build(capped(900_000.0)),
        hints=before.binding,
        start=before.decisions,
        progress=lambda stage, done, detail: said.append(detail),
    )
    modules = sum(units for (b, _), units in after.decisions.started.items() if b.endswith(":one"))
    assert modules == 900_000 / 30_000 and after.status == "proven"
    assert not [detail for detail in said if "all hours at once" in detail]


def test_a_similar_plan_that_is_the_best_is_kept():
    asked = build(capped(620_000.0))
    best = solve(asked, Effort(gap_fraction=0.0))
    again = solve(asked, Effort(gap_fraction=0.3), start=best.decisions)
    assert again.cost_usd <= best.cost_usd * (1 + 1e-9)


@pytest.mark.parametrize("fewest", [2, 10**9])
def test_what_nobody_buys_moves_no_bound(fewest, monkeypatch):
    """An offer a hundred thousand times as dear as the plan: the solver's tolerance is no share of the cost."""
    monkeypatch.setattr(entering, "FEWEST_HOURS", fewest)
    bounds = []
    for dear in ([], [offer("a/x/m", 1e5, "capacity_block", length_days=100, most_units=5.0)]):
        bought = [offer("a/x/m", 1.7), offer("b/y/m", 0.9, "commitment", term_months=3.0, most_units=2.0), *dear]
        goals = (Goal(any="site", serve_fraction=0.9, within_seconds=60.0),)
        asked = over_six_months(
            bought=[*bought, offer("b/y/m", 1.3)], demand={("w", "o"): 27.3}, tiers=(Tier(name="t", survive=goals),)
        )
        bounds.append(relax(Search(build(asked), Effort(gap_fraction=1e-6), None, lambda *said: None)))
    assert bounds[1] == pytest.approx(bounds[0], rel=1e-6)


def test_where_nothing_can_serve_no_plan_is_the_answer():
    """Three machines at most, where many are asked for."""
    asked = over_six_months(bought=[offer("a/x/m", 1.0, most_units=3.0)], demand={("w", "o"): 40})
    with pytest.raises(NoPlan):
        solve(build(asked))
