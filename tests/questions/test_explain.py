"""Why a pool, a placement, a move: what `planner explain` says is what the plan does, and why not has its figures."""

from collections import defaultdict

import numpy as np
import pytest
from buildouts import HALL, hall
from helpers import write_study
from studies import SOURCED, model, offer, profile, random_study, site
from three_sites import three_sites
from two_sites import two_sites

import planner
from planner.errors import InputError, NoPlan
from planner.plan.in_hand import Plan, in_hand
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.eligibility import WHY_NOT
from planner.problem.problem import fullest_hour
from planner.questions.explain_candidates import NO_POOL, NOT_QUALIFIED, explain_candidates, usd_per_million_requests
from planner.questions.explain_failure import explain_failure
from planner.questions.explain_pool import explain_pool
from planner.questions.explain_subjects import asked_of
from planner.review.explain_pool import entry_text, obstacles, pool_sections
from planner.review.render import render
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL
from planner.study.read import read_study
from planner.study.records.buildout import Electricity
from planner.study.records.policies import ColdStarts
from planner.study.records.study import Claim, Goal, Holding, NamedFailure, Tier


def planned(study) -> Plan:
    return in_hand(make_plan(study, Effort(gap_fraction=0.0)))


@pytest.fixture(scope="module")
def three():
    return planned(three_sites())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The study of helpers.py: two models' stacks, quotas, spot, partial losses."""
    study, _ = read_study(write_study(tmp_path_factory.mktemp("written")))
    return in_hand(make_plan(study, Effort(gap_fraction=0.05)))


# ------------------------------------------------------------------ names
def test_all_names_that_lead_nowhere_come_at_once(three):
    with pytest.raises(InputError) as error:
        asked_of(three, "a/x/n", "ww", "p", "floods", "noon")
    found = {finding.where: finding.got for finding in error.value.findings}
    assert (
        found["--pool"] == "'a/x/n' (did you mean 'a/x/m'?)"
        and found["--failure"] == "'floods' (did you mean 'flood'?)"
    )
    assert set(found) == {"--pool", "--workload", "--origin", "--failure", "--hour"}


def test_a_workload_needs_its_origin_and_the_other_way_round(three):
    for given, other in (({"workload": "w"}, "--origin"), ({"origin": "o"}, "--workload")):
        with pytest.raises(InputError) as error:
            asked_of(three, **given)
        assert error.value.findings[0].fix == f"add {other}"


def test_an_offer_is_asked_about_in_its_pool_and_a_failure_by_its_name(three):
    asked = asked_of(three, "b/y/m:on_demand", failure="flood")
    assert (asked.pool, asked.offer, asked.failure) == ("b/y/m", "b/y/m:on_demand", "failure:flood")
    assert asked.hour == three.problem.hours[0]


# ------------------------------------------------------------------ pools
def test_why_a_pool_is_not_used_by_hand(three):
    hour = three.problem.hours[0]
    there = explain_pool(three, "b/y/m", hour)
    (only,) = there.offers
    assert not there.is_used and there.machines == 0
    assert entry_text(only) == "would enter at 2.00 USD/h, 33.3 % below its price of 3.00"
    used = explain_pool(three, "a/x/m", hour)
    assert used.is_used and used.machines == 2 and used.replicas == 0, "started when the third is lost: loads in 0 s"
    kept = "kept for failures: 10.0 requests/s of w from o when site c/z is lost"
    assert kept in pool_sections(three, used)[0].lines[0]
    assert entry_text(used.offers[0]).startswith("2.00 USD/h; stays up to 3.00 USD/h, 50.0 % above its price")
    (needed,) = explain_pool(three, "c/z/m", hour).offers
    assert entry_text(needed) == "4.00 USD/h; needed at any price: without it there is no plan"


def test_what_stands_in_the_way_of_a_pool_has_its_figures():
    """An offer that policy forbids, a cold start that is too late, an origin that is too far."""
    study = two_sites(tiers=(Tier(name="t", round_trip_ms=1.0, round_trip_ms_in_failure=100.0),))
    with pytest.raises(NoPlan):
        planned(study)
    tiers = (Tier(name="t", survive=(Goal(any="site", within_seconds=60.0),)),)
    models = tuple(
        m.model_copy(update={"profiles": tuple(f.model_copy(update={"load_seconds": 55.0}) for f in m.profiles)})
        for m in two_sites().models
    )
    study = two_sites(
        tiers=tiers, models=models, bought=[offer("a/x/m", 2), offer("b/y/m", 3), offer("b/y/m", 1, "spot")]
    )
    policies = study.policies.model_copy(update={"offers": ("on_demand",)})
    plan = planned(study.model_copy(update={"policies": policies}))
    there = explain_pool(plan, "b/y/m", plan.problem.hours[0])
    refused = {row.offer: row.refused for row in there.offers}
    assert refused["b/y/m:spot"].startswith("policy: spot is not among") and not refused["b/y/m:on_demand"]
    (profile,) = there.profiles
    assert (profile.cold_start_seconds, profile.in_time_for, profile.too_late_for) == (65.0, (), (60.0,))
    assert any("runs after 65 s, too late for deadlines of 60 s" in line for line in obstacles(there))


def test_a_cold_start_comes_when_the_rules_say_failure_by_failure():
    """Detected after 10 s, loaded in 55, compiled in 30: 95 s. At c/z 100 GiB are read at 0.5 GiB/s before: 240 s.

    In the flood none starts at b/y and c/z before their control planes work again, after 720 s: 805 s.
    """
    planes = ("control_plane:b/y", "control_plane:c/z")
    flood = NamedFailure(
        name="flood", lost=dict.fromkeys(("site:a/x", *planes), 1.0), repaired=dict.fromkeys(planes, 0.2)
    )
    goals = (Goal(any="site", within_seconds=100.0), Goal(failure="flood", within_seconds=800.0))
    plan = planned(
        three_sites(
            sites=(site("a/x"), site("b/y", (50.0, 1.0)), site("c/z", (50.0, 2.0), load_gib_per_second=0.5)),
            models=(model("m", [profile("m", "cuda", 5, load_seconds=55.0, compile_seconds=30.0)]),),
            bought=[offer("a/x/m", 2), offer("b/y/m", 3), offer("c/z/m", 9)],
            cold_starts=ColdStarts(compile_caches="cold"),
            tiers=(Tier(name="t", survive=goals),),
            failures=(flood,),
        )
    )
    hour, later = plan.problem.hours[0], "failure:flood after 0.2 h"
    (cheap,), (dear,) = (explain_pool(plan, pool, hour).profiles for pool in ("a/x/m", "c/z/m"))
    assert (cheap.load_seconds, cheap.cold_start_seconds, cheap.slowest_when) == (85.0, 95.0, "")
    assert (cheap.in_time_for, cheap.too_late_for) == ((100.0,), ())
    assert (dear.cold_start_seconds, dear.slowest_when, dear.too_late_for) == (805.0, later, (100.0, 800.0))
    (late,) = [line for line in obstacles(explain_pool(plan, "c/z/m", hour)) if "load time" in line]
    assert "runs after 805 s when failure flood after 0.2 h is lost, too late for deadlines of 100, 800 s" in late
    for f, why in (
        ("site:a/x", "load time: a cold start runs after 240 s, past the deadline of 100 s"),
        (later, "load time: a cold start runs after 805 s, past the deadline of 800 s"),
    ):
        (row,) = [row for row in explain_candidates(plan, "w", "o", hour, f).rows if row.pool == "c/z/m"]
        assert row.refused_in_failure == why


def test_most_in_a_failure_is_of_all_its_deadlines():
    """By 60 s all 10 requests/s go to c/z when a/x is lost; by 600 s, when others have loaded, half of them."""
    tiers = (Tier(name="t", survive=tuple(Goal(any="site", within_seconds=c) for c in (60.0, 600.0))),)
    plan = planned(three_sites(tiers=tiers, failures=()))
    p, hour = plan.problem, plan.problem.hours[0]
    at_c = full(p).pool_of_edge == full(p).pool_at["c/z/m"]
    for within, rate in ((60.0, 10.0), (600.0, 5.0)):
        plan.vectors.traffic[(hour, "site:a/x", within),] = np.where(at_c, rate, 0.0)
    (row,) = explain_pool(plan, "c/z/m", hour).reach
    assert (row.most_in_failure_requests_per_second, row.when_lost) == (10.0, "site:a/x")


def test_a_pool_says_what_serves_there_as_the_problem_does(written):
    p = written.problem
    for pool in p.pools:
        there = explain_pool(written, pool, fullest_hour(p), offer="none of them")
        assert sum(row.replicas for row in there.profiles) == there.replicas and there.offers == ()
        edges = sum(p.pool_of[e] == pool for ends in p.edges.values() for e in ends)
        assert sum(row.serves for row in there.profiles) == edges
        for row in there.profiles:
            assert bool(row.refused) == (row.serves + row.serves_in_failure == 0)
        sent = sum(row.requests_per_second for row in there.reach)
        hour = fullest_hour(p)
        x = written.vectors.traffic[(hour, NORMAL, 0.0),]
        assert sent == pytest.approx(float(x[full(p).pool_of_edge == full(p).pool_at[pool]].sum()))


# ------------------------------------------------------------------ candidates
def test_every_candidate_is_refused_for_a_reason_or_has_its_price(written):
    p, hour = written.problem, fullest_hour(written.problem)
    failures = [f for f in p.failures if f != NORMAL]
    for n, (w, o) in enumerate(p.flows):
        f = failures[n % len(failures)]
        candidates = explain_candidates(written, w, o, hour, f)
        rows = {row.placement: row for row in candidates.rows}
        known = {e for (w_, o_, e) in p.why_not if (w_, o_) == (w, o)} | set(p.edges[w, o])
        assert known <= set(rows)
        for e, row in rows.items():
            assert (e in p.edges[w, o]) == (not row.refused) and bool(row.refused) == bool(row.refused_by)
            assert row.refused in ("", NO_POOL, NOT_QUALIFIED, *WHY_NOT.values())
            assert not (row.refused and row.chosen) and not (row.refused_in_failure and row.chosen_in_failure)
        sent = sum(row.requests_per_second for row in candidates.rows)
        assert sent + candidates.shed_requests_per_second == pytest.approx(candidates.demand_requests_per_second)
        then = sum(row.in_failure_requests_per_second for row in candidates.rows)
        shed = candidates.shed_in_failure_requests_per_second
        assert then + shed == pytest.approx(candidates.in_failure_requests_per_second)


def test_prices_and_ranks_by_hand(three):
    """A replica of 5 requests/s a machine: a million requests take 200,000 machine-seconds, 55.56 h, at 2, 3, 4 USD."""
    rows = explain_candidates(three, "w", "o", three.problem.hours[0], "failure:flood").rows
    prices = {row.pool: (row.rank, row.usd_per_million_requests) for row in rows}
    assert prices == {
        "a/x/m": (1, pytest.approx(2e6 / 5 / 3600, rel=1e-6)),
        "b/y/m": (2, pytest.approx(3e6 / 5 / 3600, rel=1e-6)),
        "c/z/m": (3, pytest.approx(4e6 / 5 / 3600, rel=1e-6)),
    }
    refused = {row.pool: row.refused_in_failure for row in rows}
    assert refused == {"a/x/m": "lost: with failure:flood", "b/y/m": "lost: with failure:flood", "c/z/m": ""}
    assert next(row for row in rows if row.pool == "c/z/m").in_failure_share_fraction == pytest.approx(1.0)


def test_the_price_is_of_an_offer_that_counts_in_failures():
    p = planned(two_sites(bought=[offer("a/x/m", 2), offer("a/x/m", 1, "spot"), offer("b/y/m", 3)])).problem
    e = next(e for e in p.placements if p.pool_of[e] == "a/x/m")
    price, by = usd_per_million_requests(p, "w", "o", e)
    assert by == "a/x/m:on_demand" and price == pytest.approx(2e6 / 5 / 3600, rel=1e-6)


def test_machines_that_are_bought_are_ranked_with_their_capital_and_energy():
    """12,000 USD, 6,000 of it left after 2 of 4 years, over 2,400 h: 2.50 USD/h, and 10 kW at half for 0.75 USD/h.

    Upkeep is nothing: by that alone the hall would be cheaper than the cloud at 2 USD/h.
    """
    current = Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED)
    plan = planned(hall(cloud_usd_per_hour=2.0, electricity=(current,)))
    rows = explain_candidates(plan, "w", "o", plan.problem.hours[0]).rows
    assert {row.pool: (row.rank, row.usd_per_million_requests) for row in rows} == {
        "a/x/m": (1, pytest.approx(2e6 / 5 / 3600, rel=1e-6)),
        f"{HALL}/m": (2, pytest.approx(3.25e6 / 5 / 3600, rel=1e-6)),
    }


# ------------------------------------------------------------------ failures
def test_a_failure_by_hand(three):
    """The third site serves all, as it must when both others are lost; when it is, the first takes over, after 10 s."""
    explained = explain_failure(three, "site:c/z", three.problem.hours[0])
    lost, cold, moved = explained.steps
    assert (lost.what, lost.seconds, lost.replicas, lost.pool) == ("lost", 0.0, 2.0, "c/z/m")
    assert (cold.what, cold.seconds, cold.replicas, cold.pool) == ("cold start", 10.0, 2.0, "a/x/m")
    assert (moved.what, moved.seconds, moved.from_pool, moved.pool) == ("moved", 10.0, "c/z/m", "a/x/m")
    assert lost.requests_per_second == moved.requests_per_second == pytest.approx(10.0)
    assert [row.is_short for row in explained.served] == [False] and explained.binding
    nothing = explain_failure(three, "failure:flood", three.problem.hours[0])
    assert nothing.nothing_moves and nothing.steps == ()


def test_what_is_reclaimed_and_loaded_comes_at_its_second():
    """Machines lent to training are back 20 s after detection; a replica loads there in 25 s."""
    models = tuple(
        m.model_copy(update={"profiles": tuple(f.model_copy(update={"load_seconds": 25.0}) for f in m.profiles)})
        for m in two_sites().models
    )
    study = two_sites(
        models=models,
        holdings=(Holding(pool="b/y/m", machines=2),),
        claims=(Claim(pool="b/y/m", machines=2, reclaim_seconds=20.0, lent_to="training"),),
        bought=[offer("a/x/m", 2)],
    )
    plan = planned(study)
    explained = explain_failure(plan, "site:a/x", plan.problem.hours[0])
    at = {step.what: step.seconds for step in explained.steps}
    assert at["lost"] == 0.0 and at["reclaimed"] == 30.0
    assert 30.0 <= at.get("cold start", at["moved"]) <= 60.0


@pytest.mark.parametrize("seed", range(6))
def test_steps_of_a_failure_add_up_to_its_last_state(seed):
    """From normal operation, less what is gone, with what is added: the requests of the plan at the last deadline."""
    try:
        plan = in_hand(make_plan(random_study(seed), Effort(gap_fraction=0.5)))
    except NoPlan:
        pytest.skip("no plan")
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    hour = p.hours[0]
    for f in p.failures:
        if f == NORMAL:
            continue
        explained = explain_failure(plan, f, hour)
        sent: dict[tuple[str, str, str], float] = defaultdict(float)
        for (w, o, e), rate in zip(a.edges, np.asarray(x.traffic[(hour, NORMAL, 0.0),]).tolist(), strict=True):
            sent[w, o, e] = rate
        for step in explained.steps:
            if step.what in ("moved", "more demand", "served again", "not served"):
                if step.from_placement:
                    sent[step.workload, step.origin, step.from_placement] -= step.requests_per_second
                if step.placement:
                    sent[step.workload, step.origin, step.placement] += step.requests_per_second
            assert 0 <= step.begins_seconds <= step.seconds
        last = (hour, f, p.deadlines_seconds[f][-1])
        for (w, o, e), rate in zip(a.edges, np.asarray(x.traffic[last,]).tolist(), strict=True):
            assert sent[w, o, e] == pytest.approx(rate, abs=1e-4), (f, w, o, e)
        assert not any(row.is_short for row in explained.served)
        assert [step.seconds for step in explained.steps] == sorted(step.seconds for step in explained.steps)


@pytest.mark.parametrize("how", ["text", "md", "json"])
def test_pages_are_written_in_every_format(written, how):
    p = written.problem
    failure = next(f for f in p.failures if f != NORMAL)
    w, o = p.flows[0]
    report = planner.explain(written, pool=p.pools[0], workload=w, origin=o, failure=failure)
    assert report.good and len(report.sections) > 6
    page = render(report, how)
    assert page and "None" not in page and len({section.title for section in report.sections}) == len(report.sections)
