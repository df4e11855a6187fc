"""What restores a plan where there is none: worked by hand, against brute force, and asked again as a what-if."""

import itertools
import json
import random
import subprocess
from dataclasses import replace

import pytest
from helpers import write_study
from oracle import cheapest
from studies import machine_type, model, offer, profile, random_study, site, workload
from studies import study as study_of
from two_sites import call, two_sites

import planner
from planner.errors import SolverError
from planner.problem.build import build
from planner.questions import relaxations as asked
from planner.questions import relaxed_study
from planner.questions.patched import patched
from planner.questions.patches import json_text, patch_of_text
from planner.questions.planned import silent, solution_or_why_not
from planner.questions.relaxable import patch_of_values, relaxables, with_limits
from planner.questions.relaxations import relaxations
from planner.questions.smallest_sets import smallest_sets
from planner.questions.variants import variants_of
from planner.questions.whatif import plan_variants
from planner.review.relaxations import review_relaxations
from planner.review.render import render
from planner.review.variants import review_variants
from planner.solve.search import Effort
from planner.solve.solve import solve
from planner.study.places import Reading
from planner.study.records.inventory import Pool
from planner.study.records.policies import Policies, Quota
from planner.study.records.study import Component, Dependency, Goal, Needs, Origin, Tier, Utilisation

ONE_EACH = [offer("a/x/m", 2, most_units=1.0), offer("b/y/m", 3, most_units=1.0)]


def by_kind(result):
    return {" + ".join(row.kinds): row for row in result.restored}


def changed_by(study, sets):
    """The study with the changes, as `planner whatif STUDY --set ...` makes them."""
    reading = Reading()
    patches = [patch_of_text(text, reading) for text in sets]
    made, findings = patched(study, tuple(patches), "asked again")
    assert made is not None, [*reading.findings, *findings]
    return made


def asked_again(study, sets):
    """What the study costs with the changes."""
    return solve(build(changed_by(study, sets)), Effort(gap_fraction=0.0)).cost_usd


# ------------------------------------------------------------------ smallest sets
def test_smallest_sets_are_those_of_brute_force():
    for seed in range(40):
        g = random.Random(seed)
        many = g.randint(3, 7)
        enough = [frozenset(g.sample(range(many), g.randint(1, 3))) for _ in range(g.randint(1, 4))]

        def does(chosen, enough=enough):
            return any(one <= chosen for one in enough)

        every = [frozenset(c) for n in range(many + 1) for c in itertools.combinations(range(many), n)]
        minimal = {c for c in every if does(c) and not any(does(c - {i}) for i in c)}
        result = smallest_sets(many, does, 99)
        assert set(result.sets) == minimal and result.complete
        assert [len(one) for one in result.sets] == sorted(len(one) for one in result.sets)


def test_sets_that_are_known_are_not_asked_for_again():
    result = smallest_sets(3, lambda chosen: len(chosen) >= 2, 9, known=[frozenset({0, 1})])
    assert set(result.sets) == {frozenset({0, 2}), frozenset({1, 2})}


def test_where_tests_run_out_one_set_comes_of_which_no_part_does():
    result = smallest_sets(20, lambda chosen: {3, 7, 11} <= chosen, 9, most_tests=2)
    assert result.sets == [frozenset({3, 7, 11})] and not result.complete and not result.is_smallest


# ------------------------------------------------------------------ kinds of no plan, by hand
def test_too_few_machines():
    """One machine a site: 5 of 10 requests/s survive. One more at each, 2 x 2 + 2 x 3 = 10 USD, or half the goal, 5."""
    study = two_sites(bought=ONE_EACH)
    result = relaxations(study)
    rows = by_kind(result)
    assert not result.has_plan and set(rows) == {"capacity", "goal"}
    assert rows["goal"].sets == ("tiers[t].survive[site].serve_fraction=0.5",)
    assert rows["goal"].cost_usd == pytest.approx(5.0) and rows["goal"].is_least
    assert rows["capacity"].sets == ("offers[a/x/m:on_demand].most_units=2", "offers[b/y/m:on_demand].most_units=2")
    assert rows["capacity"].cost_usd == pytest.approx(10.0)
    assert (rows["goal"].more_usd, rows["capacity"].more_usd) == (0.0, pytest.approx(5.0))
    assert result.restored[0] is rows["goal"], "the cheapest comes first"
    for row in result.restored:
        assert asked_again(study, row.sets) == pytest.approx(row.cost_usd, rel=0.05)


def test_a_quota_and_stock_go_up_together_and_only_what_is_needed():
    quotas = (Quota(name="x", pools=("a/*",), most=1.0), Quota(name="all", pools=("*",), most=99.0))
    bought = [offer("a/x/m", 2, most_units=1.0), offer("b/y/m", 3)]
    study = two_sites(bought=bought, policies=Policies(quotas=quotas))
    row = by_kind(relaxations(study, kinds=("capacity",)))["capacity"]
    assert row.sets == ("offers[a/x/m:on_demand].most_units=2", "policies.quotas[x].most=2")


def test_a_site_too_far():
    """20 degrees further east, 1,428 km: 8.5 + 0.0154 x 1,428 = 30.5 ms, more than the 20 that are allowed."""
    sites = (site("a/x", (50.0, 20.0)), site("b/y", (50.0, 20.0)))
    tier = Tier(name="t", round_trip_ms=20.0, survive=(Goal(any="site", within_seconds=60.0),))
    study = two_sites(sites=sites, tiers=(tier,))
    result = relaxations(study)
    rows = by_kind(result)
    assert list(rows) == ["latency"] and rows["latency"].sets == ("tiers[t].round_trip_ms=31",)
    assert asked_again(study, rows["latency"].sets) == pytest.approx(rows["latency"].cost_usd) == pytest.approx(10.0)


def test_what_nothing_can_cover_is_said_and_not_compared():
    """10 degrees further than a, b is in time at 42 ms: from 31 ms on a alone is; lost, nothing serves."""
    tier = Tier(name="t", round_trip_ms=20.0, survive=GOALS)
    study = two_sites(sites=(site("a/x", (50.0, 20.0)), site("b/y", (50.0, 30.0))), tiers=(tier,))
    result = relaxations(study, kinds=("latency",))
    covered, least = result.restored
    assert least.sets == ("tiers[t].round_trip_ms=31",) and least.cost_usd == pytest.approx(4.0)
    assert [f for f, _, _ in least.uncoverable] == ["site:a/x"] and least.more_usd is None
    assert covered.sets == ("tiers[t].round_trip_ms=42",) and covered.cost_usd == pytest.approx(10.0)
    assert (covered.uncoverable, covered.is_to_cover, covered.more_usd) == ((), True, 0.0)
    text = render(review_relaxations(result), "text")
    assert "CANNOT BE COVERED by any capacity, cases: 1, as w from o when site a/x is lost" in text
    assert "leaves fewest cases uncovered: round trip of t, 20 -> 42 ms" in text
    again = relaxations(changed_by(study, least.sets))
    assert again.has_plan and "CANNOT BE COVERED" in render(review_relaxations(again), "text")


def test_variants_that_leave_out_what_nothing_can_cover_are_named():
    tier = Tier(name="t", round_trip_ms=42.0, survive=GOALS)
    study = two_sites(sites=(site("a/x", (50.0, 20.0)), site("b/y", (50.0, 30.0))), tiers=(tier,))
    patch = patch_of_text("tiers[t].round_trip_ms=31", Reading())
    answers = plan_variants(study, variants_of((), [(patch,)]))
    text = " ".join(render(review_variants(study, answers), "text").split())
    assert "survives every failure of its own study as far as that can be covered" in text
    assert f"by any capacity: {patch.name} 1;" in text


def test_a_policy_excludes_every_site():
    study = two_sites(workloads=(workload("w", jurisdictions=("EU",)),))
    result = relaxations(study)
    assert [row.sets for row in result.restored] == [("workloads[w].jurisdictions=[]",)]
    assert result.restored[0].cost_usd == pytest.approx(10.0)


def test_a_budget():
    """10 USD of plan, 8 of budget: 25 steps of 1 % more; or a goal of a half, 2 + 3 USD."""
    result = relaxations(two_sites(policies=Policies(budget_usd=8.0)))
    rows = by_kind(result)
    assert rows["budget"].sets == ("policies.budget_usd=10",) and rows["budget"].cost_usd == pytest.approx(10.0)
    assert rows["goal"].cost_usd <= 8.0


def test_a_deadline_before_replicas_are_loaded():
    """Replicas take 100 s to load, 10 s until a failure is known; machines for them are there all the same."""
    slow = (model("m", [profile("m", "cuda", 5, load_seconds=100.0)]),)
    claims = two_sites(models=slow, bought=ONE_EACH)
    rows = relaxations(claims, kinds=("goal",), most_priced=4).restored
    assert rows and all(row.kinds == ("goal",) for row in rows)


def test_several_at_once_need_several_changes():
    """Too few machines and a budget of 8 USD: no single change but a lower goal, and both together."""
    study = two_sites(bought=ONE_EACH, policies=Policies(budget_usd=8.0))
    result = relaxations(study, kinds=("capacity", "budget"))
    (row,) = result.restored
    assert row.kinds == ("capacity", "budget") and len(row.changes) == 3
    assert row.cost_usd == pytest.approx(10.0)
    assert {kind.kind: kind.restores for kind in result.of_kinds} == {"capacity": False, "budget": False}


def test_what_nothing_restores_says_so():
    study = two_sites(workloads=(workload("w", model="another"),), models=())
    result = relaxations(study)
    assert not result.restores and "no placement of its model exists" in result.why_not
    text = render(review_relaxations(result), "text")
    assert "no relaxation restores one" in text


def test_a_study_that_has_a_plan_needs_nothing():
    result = planner.relaxations(two_sites(), kinds=["goal"])
    assert result.has_plan and review_relaxations(result).good


def test_names_that_would_be_read_otherwise_are_paths_by_number():
    study = two_sites(bought=ONE_EACH, origins=(Origin(name="o", latitude=50.0, longitude=0.0),))
    quotas = (Quota(name="of [a]", pools=("a/*",), most=1.0),)
    study = study.model_copy(update={"policies": Policies(quotas=quotas)})
    for thing in relaxables(study, build(study)):
        made, findings = patched(study, (patch_of_values([(thing, 1)], "n"),), "n")
        assert made is not None, (thing, findings)


@pytest.mark.parametrize("n", [1, 3])
def test_limits_in_the_problem_are_those_of_the_patched_study(n):
    quotas = (Quota(name="x", pools=("a/*",), most=1.0),)
    study = two_sites(bought=ONE_EACH, policies=Policies(quotas=quotas, budget_usd=8.0))
    p = build(study)
    for thing in relaxables(study, p):
        if thing.limits:
            made, _ = patched(study, (patch_of_values([(thing, n)], "n"),), "n")
            there, here = build(made), with_limits(p, [(thing, n)])
            assert (there.most_units, there.budget_usd) == (here.most_units, here.budget_usd)
            assert [limit.most for limit in there.limits] == [limit.most for limit in here.limits]
            assert there.few_large_units == here.few_large_units


GOALS = (Goal(any="site", within_seconds=60.0),)
GATEWAY = {
    "components": (Component(name="gw", kind="gateway", most_requests_per_second=4.0),),
    "dependencies": (Dependency(component="workload:w", needs=Needs(all_of=("gateway:gw",))),),
}
POWER = {
    "machine_types": (machine_type("m", power_kw=10.0),),
    "sites": (site("a/x", power_kw=10.0), site("b/y", (50.0, 1.0), power_kw=10.0)),
}
BY_THE_YEAR = {"term_months": 12.0}
TERMS = [offer("a/x/m", 2, "commitment", **BY_THE_YEAR), offer("b/y/m", 2, "commitment", **BY_THE_YEAR)]
UNQUALIFIED = model("m", [profile("m", "cuda", 5)]).model_copy(update={"qualifications": ()})
QUALIFIED = {"stack": "cuda", "evidence": "assumed", "source": "relaxed: not qualified yet", "as_of": "2026-01-01"}


@pytest.mark.parametrize(
    ("parts", "kind", "sets", "usd"),
    [
        (GATEWAY, "capacity", ("components[gw].most_requests_per_second=10",), 10.0),
        (POWER, "capacity", ("sites[a/x].power_kw=20", "sites[b/y].power_kw=20"), 10.0),
        ({"bought": TERMS}, "policy", ("policies.terms_beyond_horizon=true",), 8.0),
        ({"policies": Policies(offers=("spot",))}, "policy", ('policies.offers=["spot", "on_demand"]',), 10.0),
        ({"models": (UNQUALIFIED,)}, "policy", (f"models[m].qualifications={json_text([QUALIFIED])}",), 10.0),
        (
            {"tiers": (Tier(name="t", first_token_ms=50.0, survive=GOALS),)},
            "latency",
            ("tiers[t].first_token_ms=100",),
            10,
        ),
    ],
    ids=("gateway", "power", "terms", "offers", "qualification", "first token"),
)
def test_each_kind_of_limit(parts, kind, sets, usd):
    study = two_sites(**parts)
    row = by_kind(relaxations(study, most_priced=1))[kind]
    assert row.sets == sets and row.cost_usd == pytest.approx(usd)
    assert asked_again(study, row.sets) == pytest.approx(usd)


def test_to_ask_for_nothing_is_the_last_resort():
    """Without any offer that may be bought: nothing at all is served, for nothing, or on demand is bought, 10 USD."""
    first, last = relaxations(two_sites(policies=Policies(offers=("spot",)))).restored
    assert first.kinds == ("policy",) and not first.drops and first.more_usd == 0.0
    assert last.drops and last.cost_usd == 0.0 and "(dropped)" in last.changes[0]


def test_what_serves_nothing_of_a_goal_is_no_measure_for_others():
    """Nothing for 0 USD, one goal less for 4: no cheapest to compare with, until a set of 5 USD drops nothing."""
    nothing, less = (asked.Restored(("goal",), (f"{n}",), (), n, n, 0.0, drops=True) for n in (0.0, 4.0))
    assert [row.more_usd for row in asked._compared([nothing, less])] == [None, None]
    least = asked.Restored(("capacity",), ("more",), (), 5.0, 5.0, 0.0)
    assert [row.more_usd for row in asked._compared([nothing, least])] == [0.0, -5.0]


@pytest.mark.parametrize("seed", [55, 147, 183])
def test_brute_force_says_the_same(seed):
    """Every set has a plan, at its cost to within the gap, and no part of one has any."""
    study = random_study(seed)
    assert cheapest(study) is None
    result = relaxations(study)
    assert result.restored
    for row in result.restored:
        usd, _ = cheapest(changed_by(study, row.sets))
        assert usd * (1 - 1e-9) <= row.cost_usd <= usd * 1.06
        for i in range(len(row.sets)):
            assert cheapest(changed_by(study, row.sets[:i] + row.sets[i + 1 :])) is None
    assert (result.not_in_whole_numbers > 0) == (seed == 183)


def test_an_interruption_keeps_what_is_done(monkeypatch):
    """The second plan is interrupted: the first, of the least bound, stands with its cost, the other with its bound."""
    calls = []

    def once(*given):
        calls.append(given)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return solution_or_why_not(*given)

    monkeypatch.setattr("planner.questions.relaxations.solution_or_why_not", once)
    result = relaxations(two_sites(bought=ONE_EACH))
    first, second = result.restored
    assert result.is_stopped and first.cost_usd == pytest.approx(5.0)
    assert second.cost_usd is None and second.lp_usd == pytest.approx(10.0)
    text = render(review_relaxations(result), "text")
    assert "INTERRUPTED" in text and "from 10.00" in text


def test_an_interruption_keeps_what_was_not_in_whole_numbers_and_not_known(monkeypatch):
    """The first plan has no whole numbers, as far as it goes; then it ends: the row is left out and counted."""
    calls = []

    def none_then_ended(things, least, asking, gap):
        calls.append(things)
        if len(calls) > 1:
            raise KeyboardInterrupt
        asking.unsure.append("a solver that failed")
        return replace(asked._restored(least, asking), why_not=asked.NO_WHOLE_NUMBERS)

    monkeypatch.setattr(asked, "_priced", none_then_ended)
    result = relaxations(two_sites(bought=ONE_EACH))
    assert [" + ".join(row.kinds) for row in result.restored] == ["capacity"]
    assert (result.is_stopped, result.not_in_whole_numbers) == (True, 1)
    assert result.unsure == ("a solver that failed",)


def test_an_interruption_at_the_first_says_that_nothing_is_known(monkeypatch):
    def ended(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(relaxed_study, "relax", ended)
    result = relaxations(two_sites())
    assert result.is_stopped and not result.is_known and not result.has_plan
    text = render(review_relaxations(result), "text")
    assert "may have a plan as it is" in text and "INTERRUPTED" in text
    monkeypatch.undo()
    monkeypatch.setattr(asked, "diagnose", ended)
    result = relaxations(two_sites(bought=ONE_EACH), kinds=("budget",))
    assert result.is_stopped and result.is_known and not result.restores


# ------------------------------------------------------------------ what a solver does not know is not a no
def failing_solver(monkeypatch, fails):
    """The linear program fails in problems of which that is said; others are solved."""

    def relax(search, **more):
        if fails(search.p):
            raise SolverError("HiGHS: unknown")
        return solved(search, **more)

    solved = relaxed_study.relax
    monkeypatch.setattr(relaxed_study, "relax", relax)


def test_a_solver_that_fails_of_the_study_itself_is_an_error(monkeypatch):
    """The study has a plan at 10 USD: nothing may say that it has none."""
    failing_solver(monkeypatch, lambda p: True)
    with pytest.raises(SolverError):
        relaxations(two_sites())


def test_a_solver_that_fails_later_is_not_a_no(monkeypatch):
    """One machine a site; the solver fails wherever more can be bought: of these nothing is known, of goals all is."""
    failing_solver(monkeypatch, lambda p: max(p.most_units.values()) > 1)
    result = relaxations(two_sites(bought=ONE_EACH))
    assert result.restores and result.unsure == ("HiGHS: unknown",)
    assert [" + ".join(row.kinds) for row in result.restored] == ["goal"]
    of_kind = {row.kind: row for row in result.of_kinds}
    assert (of_kind["capacity"].restores, of_kind["capacity"].complete) == (False, False)
    assert of_kind["goal"].restores and of_kind["goal"].complete
    alone = relaxations(two_sites(bought=ONE_EACH), kinds=("capacity",))
    assert alone.restores and not alone.restored
    text = render(review_relaxations(alone), "text")
    assert "whether a relaxation restores one is not known" in text and "no relaxation restores one" not in text


def test_plan_says_what_is_short_where_the_solver_then_fails(tmp_path, monkeypatch):
    failing_solver(monkeypatch, lambda p: True)
    planned = call(
        "plan", write_study(tmp_path / "study", policies={"budget_usd": 1000}), "--quiet", "--format", "json"
    )
    data = json.loads(planned.stdout)
    assert planned.exit_code == 1 and "budget" in data["message"] and "HiGHS: unknown" in str(data)


# ------------------------------------------------------------------ by waiting, looser is not always looser
def three_origins(each, most_units):
    """By waiting: `mid` reaches no site within 20 ms, one with 31; the longest round trip lets everybody reach both,
    and what that leaves to wait holds every queue."""
    return study_of(
        sites=(site("a/x", (50.0, 0.0)), site("b/y", (40.0, -75.0))),
        machine_types=(machine_type("m"),),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        bought=[offer("a/x/m", 2, most_units=most_units), offer("b/y/m", 2, most_units=most_units)],
        models=(model("m", [profile("m", "cuda", 5)]),),
        origins=(
            Origin(name="near", latitude=50.0, longitude=0.0),
            Origin(name="mid", latitude=50.0, longitude=20.0),
            Origin(name="far", latitude=40.0, longitude=-75.0),
        ),
        tiers=(Tier(name="t", round_trip_ms=20.0, first_token_ms=199.0),),
        workloads=(workload("w"),),
        demand={("w", "near"): each, ("w", "mid"): each / 5, ("w", "far"): each},
        utilisation=Utilisation(basis="waiting", spread="one-queue"),
    )


def test_by_waiting_a_value_between_may_restore_what_the_loosest_does_not(monkeypatch):
    study = three_origins(24.25, 10.0)
    (thing,) = (one for one in relaxables(study, build(study)) if one.text.startswith("round trip"))
    asking = relaxed_study.RelaxedStudy(study, "base", silent)
    assert asking.lp_usd(((thing, 1),)) is not None and asking.lp_usd(((thing, thing.most),)) is None
    monkeypatch.setattr(asked, "relaxables", lambda *given: (thing,))
    result = relaxations(study, is_priced=False)
    (row,) = result.restored
    assert row.sets == ("tiers[t].round_trip_ms=31",)
    (of_kind,) = result.of_kinds
    assert of_kind.restores and not of_kind.complete and not result.is_proven_smallest
    text = render(review_relaxations(result), "text")
    assert "are not ruled out" in text and "there may be more" in text


# ------------------------------------------------------------------ the command line
def test_commands_can_be_pasted(monkeypatch):
    """In 60 columns, with a quota whose name has blanks and a quote: a shell reads the words that were meant."""
    monkeypatch.setenv("COLUMNS", "60")
    name = "what  we may have of these large machines in all of Dallas, 8 h a day: it's little"
    quotas = (Quota(name=name, pools=("a/*",), most=1.0),)
    study = two_sites(bought=[offer("a/x/m", 2, most_units=1.0), offer("b/y/m", 3)], policies=Policies(quotas=quotas))
    result = relaxations(study, kinds=("capacity",))
    text = render(review_relaxations(result, study_path="my studies/one"), "text")
    command = text.partition("\nNEXT\n")[2].partition("\n  sets of up to")[0]
    (row,) = result.restored
    words = [word for one in row.sets for word in ("--set", one)]
    assert name in row.sets[1] and command.count("\\\n") > 1
    printed = subprocess.run(
        ["sh", "-c", command.replace("planner", "printf '%s\\n'", 1)], capture_output=True, text=True
    )
    assert printed.stdout.splitlines() == ["whatif", "my studies/one", *words]


def test_plan_and_relax_say_the_same(tmp_path):
    """The tiny study with a budget of 1,000 USD; what `plan` says of it, `relax` says, too."""
    policies = {"budget_usd": 1000}
    path = write_study(tmp_path / "study", policies=policies)
    relaxed = call("relax", path, "--kind", "budget", "--quiet", "--format", "json")
    assert relaxed.exit_code == 1, relaxed.output
    (row,) = json.loads(relaxed.stdout)["sections"]["what restores a plan"]
    assert row["kinds"] == ["budget"] and row["sets"][0].startswith("policies.budget_usd=")
    assert call("relax", path, "--kind", "buget").exit_code == 2
    short = call("plan", path, "--quiet", "--no-relax")
    assert short.exit_code == 1 and "would help" in short.stderr and not short.stdout
    text = call("plan", path, "--quiet")
    assert f"planner whatif {path} --set" in " ".join(text.stderr.replace("\\\n", "").split())
    planned = call("plan", path, "--quiet", "--format", "json")
    data = json.loads(planned.stdout)
    assert planned.exit_code == 1 and data["plan"] is None and "budget" in data["message"]
    assert row["sets"] in [each["sets"] for each in data["sections"]["what restores a plan"]]
