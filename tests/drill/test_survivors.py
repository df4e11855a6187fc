"""What runs on carries everything, or a search says what must start: both say the same, and the order says nothing.

As in `test_drill`: a replica serves 10 requests/s, takes one machine and 300 s to load, detection takes 10 s.
"""

import random
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from drill_fixtures import at, chat, goal, hold, lend, model, plan, profile, site, study, workload
from drilled import A, B, served, tier

from planner.drill import drill_plan, one_hour, replay, resolve, shared_answers
from planner.drill.remaining import what_remains
from planner.drill.resolve import MOST_PROGRAMS, Programs, times_of
from planner.drill.survivors import build_survivors, survivors_carry_all
from planner.drill.symmetric import merge_symmetric, symmetric_but_for_failures
from planner.errors import SolverError
from planner.study.records.inventory import Pool
from planner.study.records.study import Component, Demand, Dependency, Holding, NamedFailure, Needs, Origin, Utilisation

WITHIN = (30.0, 60.0, 400.0)
"""Deadlines [s]: before and after a replica has started."""


def fleet(seed):
    """A plan of random replicas at three or four sites, with gateways, surges and partial losses, and its hour."""
    g = random.Random(seed)
    sites = tuple(site("pq"[n % 2], f"s{n}", region=f"r{n // 2}") for n in range(g.choice((3, 4))))
    pools = tuple(Pool(site=s.id, machine_type="m") for s in sites)
    origins = tuple(Origin(name=f"o{n}", latitude=0.0, longitude=0.0) for n in range(3))
    workloads = (workload("chat"), workload("code", tier="bulk"))
    asked = tuple(
        Demand(workload=w.name, origin=o.name, requests_per_second=g.choice((10.0, 20.0, 35.0)))
        for w in workloads
        for o in origins
    )
    gates = tuple(
        Component(name=n, kind="gateway", most_requests_per_second=g.choice((90.0, 400.0, None))) for n in "xy"
    )
    needing = (
        Dependency(component="workload:chat", needs=Needs(any_of=("gateway:x", "gateway:y"))),
        Dependency(component="origin:o1", needs=Needs(all_of=("gateway:y",))),
    )
    failures = (
        NamedFailure(name="part", lost={f"pool:{pools[0].id}": 0.5}),
        NamedFailure(name="surge", lost={f"site:{sites[1].id}": 1.0}, surges={"origin:o0": 2.0}),
    )
    goals = [goal(None, within=g.choice(WITHIN), failure=failure.name) for failure in failures]
    goals += [goal("gateway", within=g.choice(WITHIN)), goal("region", within=400.0, fraction=0.8)]
    goals += [goal(within=g.choice(WITHIN), fraction=g.choice((0.7, 1.0)), of=n) for n in (1, 2)]
    replicas = {f"llm/p@{pool.id}": g.randint(2, 14) for pool in pools}
    total = sum(replicas.values())
    traffic = {(d.workload, d.origin, e): d.requests_per_second * n / total for d in asked for e, n in replicas.items()}
    holdings = tuple(
        Holding(pool=pool.id, machines=n + g.choice((0, 3, 9)))
        for pool, n in zip(pools, replicas.values(), strict=True)
    )
    claims = (lend(pools[0].id, 2, 50.0),) if g.random() < 0.5 else ()
    of = study(
        sites=sites,
        pools=pools,
        models=(model(profiles=(profile(accelerators_per_replica=g.choice((4, 8))),)),),
        utilisation=Utilisation(basis="fixed", normal=0.9, in_failure=0.95),
        origins=origins,
        workloads=workloads,
        demand=asked,
        tiers=(tier(*goals), tier(goal(within=400.0, fraction=0.5), name="bulk")),
        components=gates,
        dependencies=needing,
        failures=failures,
        holdings=holdings,
        claims=claims,
    )
    return plan(of, replicas, traffic)


def merged(made):
    """Each failure of a plan with what remains in it, symmetric flows together."""
    instance, graph, failures = replay.prepare(made.study)
    (one,) = slices = replay.hours_of(made)
    remaining = what_remains(replay.fleets_of(instance, failures, made, one, slices).in_failure, graph, failures)
    kinds = symmetric_but_for_failures(remaining)
    return [(alone, merge_symmetric(alone, kinds)) for alone in map(remaining.one, range(len(failures)))]


def test_what_runs_on_needs_no_search(monkeypatch):
    # 100 requests/s, 10 replicas at each site: without a those at b carry them, in one program for all times
    monkeypatch.setattr(resolve, "best_integer", lambda *_: pytest.fail("searched"))
    enough = plan(study(holdings=hold(a=10, b=10)), {at("a"): 10, at("b"): 10}, chat(a=50, b=50))
    result = drill_plan(enough)
    assert served(result, A) == served(result, B) == 1.0
    assert {row.warm_fraction for row in result.rows if row.deadline_seconds} == {1.0}


@pytest.mark.parametrize(
    ("replicas", "held", "lent", "enough"),
    [
        (10, 10, 0, True),
        (9, 10, 0, False),  # 90 of 100 requests/s
        (10, 12, 2, True),
        (10, 11, 2, False),  # one of them runs on a machine that others still have
    ],
)
def test_what_survivors_carry_by_hand(replicas, held, lent, enough):
    s = study(
        holdings=hold(a=10, b=held),
        tiers=(tier(goal(within=60.0), goal(within=400.0)),),
        claims=(lend("b", lent, 30.0),),
    )
    made = plan(s, {at("a"): 10, at("b"): replicas}, chat(a=50, b=50))
    ((alone, few),) = [(a, few) for a, few in merged(made) if a.failures[0].id == A]
    assert survivors_carry_all(few.remaining, build_survivors(few.remaining), times_of(alone)[0]) == enough


def test_survivors_and_the_search_say_the_same(monkeypatch):
    """Thirty fleets, a dozen failures each: where survivors carry everything, the search for starts finds just that."""
    plans = [fleet(seed) for seed in range(30)]
    asked = []

    def counted(*of):
        asked.append(survivors_carry_all(*of))
        return asked[-1]

    monkeypatch.setattr(resolve, "survivors_carry_all", counted)
    short_cut = [drill_plan(made) for made in plans]
    assert min(asked.count(True), asked.count(False)) > 50, "both happen"
    monkeypatch.setattr(resolve, "survivors_carry_all", lambda *_: False)
    for made, result in zip(plans, short_cut, strict=True):
        searched = drill_plan(made)
        assert result.findings == searched.findings
        others = {(row.failure, row.deadline_seconds, row.tier): row for row in searched.rows}
        assert len(others) == len(result.rows)
        for row in result.rows:
            other = others[row.failure, row.deadline_seconds, row.tier]
            equally_served = row.worst_served_fraction == 1.0  # then rounding says which flow is worst
            for field, value in vars(row).items():
                if field in ("worst_workload", "worst_origin") and equally_served:
                    continue
                same = pytest.approx(value, abs=2e-9) if isinstance(value, float) else value
                assert vars(other)[field] == same, (row, other)


def test_asked_only_for_goals_the_drill_says_which_are_broken():
    """Neither what is served after the last deadline nor whole replicas where parts break are looked for."""
    how_many = 0
    for made in map(fleet, range(8)):
        result, brief = drill_plan(made), drill_plan(made, only_goals=True)
        assert broken(brief) == broken(result)
        assert not brief.outage_impacts and not any(row.recovered for row in brief.rows)
        how_many += len(broken(brief))
    assert how_many


def broken(result):
    """(failure, tier) of the goals that break."""
    return {(row.failure, row.tier) for row in result.rows if row.broken and not row.recovered}


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_failures_and_how_many_programs_are_kept_change_nothing(seed, monkeypatch):
    made = fleet(seed)
    instance, graph, failures = replay.prepare(made.study)
    (one,) = slices = replay.hours_of(made)
    fleets = replay.fleets_of(instance, failures, made, one, slices)
    usual = one_hour.drill_hour(fleets, graph, failures, "resolve", None)
    assert one_hour.drill_hour(fleets, graph, failures[::-1], "resolve", None).rows == usual.rows
    monkeypatch.setattr(resolve, "MOST_PROGRAMS", 1)
    assert one_hour.drill_hour(fleets, graph, failures, "resolve", None).rows == usual.rows


def test_programs_that_are_kept_have_a_number():
    """A surge each: no two failures share a program, and the latest few are kept."""
    alone, _ = merged(fleet(0))[0]
    programs, limit = Programs(), MOST_PROGRAMS
    for n in range(1, 3 * limit):
        few = programs.merged(replace(alone, offered=n * alone.offered))
        made = programs.of_survivors(few)
        assert programs.of_survivors(few) is made, "kept"
        programs.over_time(few, [60.0])
        assert len(programs.survivors) == len(programs.templates) == min(n, limit)


@pytest.mark.parametrize("seed", range(4))
def test_flows_are_symmetric_in_a_failure_when_all_that_matters_is_the_same(seed):
    for alone, few in merged(fleet(seed)):
        instance, names = alone.instance, list(alone.instance.flows)
        keys = [
            (w, *instance.in_failure[i], alone.ingress[0, i], alone.coverable[0, i], alone.limits.by_flow.get(i))
            for i, (w, _) in enumerate(names)
        ]
        first = list(dict.fromkeys(keys))
        assert few.kind.tolist() == [first.index(key) for key in keys], "counted as they are met"
        ends = [few.remaining.offered[0, kind] for kind in range(len(first))]
        assert np.bincount(few.kind, weights=alone.offered[0]) == pytest.approx(ends)
        assert few.apart(few.remaining.offered[0]) == pytest.approx(alone.offered[0])
        assert all(a < b for a, b in pairwise(list(few.remaining.instance.flows.values())))


@pytest.mark.parametrize("seed", range(4))
def test_what_leaves_the_same_is_re_solved_once(seed, monkeypatch):
    made = fleet(seed)
    empty = tuple(site(provider, f"empty{n}", region=f"r-{n}") for n, provider in enumerate("pq"))
    pools = tuple(Pool(site=s.id, machine_type="m") for s in empty)
    of = made.study.model_copy(update={"sites": made.study.sites + empty, "pools": made.study.pools + pools})
    made, asked_about = made.model_copy(update={"study": of}), []
    resolved = one_hour.resolve

    def noted(remaining, *given):
        asked_about.append(remaining.failures[0].id)
        return resolved(remaining, *given)

    monkeypatch.setattr(one_hour, "resolve", noted)
    once, many = drill_plan(made), len(asked_about)
    monkeypatch.setattr(shared_answers, "signature", lambda remaining, only_goals: object())
    each = drill_plan(made)
    assert many < len(asked_about) - many
    assert broken(once) == broken(each)
    short = [
        {(row.failure, row.deadline_seconds, row.tier): row.short_requests_per_second for row in result.rows}
        for result in (once, each)
    ]
    assert short[0] == pytest.approx(short[1], abs=1e-6), "what is served beyond what is due may be another's"


@pytest.mark.parametrize("seed", range(4))
def test_any_number_of_threads_gives_the_same(seed, monkeypatch):
    made, seen = fleet(seed), set()
    one = drill_plan(made)
    resolved = one_hour.resolve

    def noted(*given):
        seen.add(threading.current_thread().name[:7])
        return resolved(*given)

    monkeypatch.setattr(one_hour, "resolve", noted)
    assert drill_plan(made, jobs=3) == one == drill_plan(made, jobs=2) and seen == {"planner"}


def test_an_error_in_one_failure_is_the_error_of_the_drill(monkeypatch):
    def fails(*given):
        raise SolverError("drill: the solver ended Unknown")

    monkeypatch.setattr(resolve, "best_integer", fails)
    with pytest.raises(SolverError, match="ended Unknown"):
        drill_plan(plan(study(holdings=hold(a=10, b=9)), {at("a"): 10, at("b"): 9}, chat(a=50, b=50)), jobs=2)
