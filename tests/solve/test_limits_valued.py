"""What limits save, a machine's worth at a time: no figure that planning again does not confirm."""

import pytest
from buildouts import HALL, hall
from sections import table
from studies import offer, random_study, site

from planner.errors import NoPlan
from planner.plan.plan import make_plan, more_of, with_valued_limits
from planner.review.answer import review_plan
from planner.review.report import usd
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.study import Policies, Quota

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
QUICK = Effort(gap_fraction=0.5)


def with_power(kw):
    """15 requests/s are three machines of 10 kW: in the hall as far as its power reaches, else in the cloud."""
    sites = (site(HALL).model_copy(update={"power_kw": kw}), site("a/x"))
    return hall(demand=15.0, sites=sites, build_outs=())


def test_power_is_valued_by_the_machine_and_planning_again_confirms_it():
    """A kW more holds no machine and saves nothing; 10 kW hold one: a year and a half of its life instead of cloud."""
    plan = make_plan(with_power(15.0), EXACT)
    (bottleneck,) = plan.bottlenecks
    assert (bottleneck.limit, bottleneck.unit, bottleneck.step) == (f"power of {HALL}", "kW", 10.0)
    saves = 40 * 100 * 24 - 12000 * 2 / 4
    assert bottleneck.marginal_usd * bottleneck.step == pytest.approx(saves)
    assert plan.proof.cost_usd - make_plan(with_power(16.0), EXACT).proof.cost_usd == pytest.approx(0)
    assert plan.proof.cost_usd - make_plan(with_power(25.0), EXACT).proof.cost_usd == pytest.approx(saves)
    (valued,) = with_valued_limits(plan, EXACT, 1, lambda *told: None).bottlenecks
    assert valued.replanned_usd == pytest.approx(saves)
    (section,) = [s for s in review_plan(plan).sections if s.title.startswith("BOTTLENECKS")]
    assert list(table(section)[0].values())[:3] == [f"power of {HALL}", "10 kW", usd(saves)]


def test_limits_that_bind_together_are_worth_nothing_alone():
    """Stock and quota both end at two machines: a dual gives one of them all of it, and one more saves nothing."""
    cheap = offer("a/x/m", 1, most_units=2.0)
    quota = Policies(quotas=(Quota(name="q", pools=("a/x/m",), unit="machines", most=2.0),))
    two = (Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m"))
    asked = hall(
        4,
        demand=20.0,
        sites=(site("a/x"), site("b/y")),
        pools=two,
        bought=[cheap, offer("b/y/m", 3)],
        build_outs=(),
        policies=quota,
    )
    plan = make_plan(asked, EXACT)
    assert plan.proof.cost_usd == pytest.approx(2 * 1200 * (1 + 3)) and plan.bottlenecks == ()
    # the quota alone: one more machine saves the difference
    plenty = offer("a/x/m", 1, most_units=9.0)
    alone = make_plan(asked.model_copy(update={"offers": (plenty[0], asked.offers[1])}), EXACT)
    (bottleneck,) = alone.bottlenecks
    assert bottleneck.limit == "q" and bottleneck.step == 1.0 and bottleneck.marginal_usd == pytest.approx(2 * 1200)


@pytest.mark.parametrize("seed", range(6))
def test_no_marginal_value_is_less_than_what_the_relaxation_saves(seed):
    """Of random studies, each limit that binds, planned again with so much more: the bound falls by that at most."""
    try:
        plan = make_plan(random_study(seed, "small"), QUICK)
    except NoPlan:
        return
    for bottleneck in plan.bottlenecks:
        assert bottleneck.step is not None and bottleneck.marginal_usd > 0
        more = make_plan(more_of(plan.study, bottleneck.limit, bottleneck.step), QUICK)
        saved = plan.proof.lp_bound_usd - more.proof.lp_bound_usd
        assert saved <= bottleneck.marginal_usd * bottleneck.step * (1 + 1e-6) + 1e-6
