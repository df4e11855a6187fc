"""Utilisation by waiting: worked numbers, plans that keep to it, a bound below brute force, and what is refused."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from failing import asked, goal, units
from studies import beset_study, machine_type, model, offer, profile, random_study, site

from planner.drill import drill_plan, drill_state_claims
from planner.drill.instance import build_instance
from planner.drill.queues import Queues
from planner.plan.audit import audit
from planner.plan.file import plan_text
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.states import replicas_carry_traffic
from planner.problem.waiting import Queue, Waiting
from planner.review.waiting import waiting_section
from planner.solve import by_waiting as rounds_of
from planner.solve import solve as solving
from planner.solve.by_number import lines_above, ranges_up_to
from planner.solve.search import Effort, Infeasible, Solution
from planner.study.dependencies import NORMAL
from planner.study.records.inventory import Pool
from planner.study.records.policies import Policies, Quota, Utilisation
from planner.study.records.study import NamedFailure, Study

EFFORT = Effort(gap_fraction=0.05, most_nodes=50)
BY_WAITING = Utilisation(basis="waiting", spread="one-queue")
OF_TWO_SLOTS = (0.05 + (0.05**2 + 8 * 0.05) ** 0.5) / 4
"""Where one request in twenty finds none of two slots free: Erlang's C, `2 u² / (1 + u)`, is 0.05."""


def by_waiting(s: Study, first_token_ms: float | None = 900.0, **said: object) -> Study:
    tiers = tuple(t.model_copy(update={"first_token_ms": first_token_ms}) for t in s.tiers)
    return s.model_copy(
        update={"utilisation": Utilisation(**{"basis": "waiting", "spread": "one-queue", **said}), "tiers": tiers}
    )


def no_wait(**said: object) -> Waiting:
    return Waiting(
        Utilisation(**{"basis": "waiting", "spread": "one-queue", **said}), {"e": Queue(1.0, 10.0, {95.0: 0.0})}
    )


def test_of_one_slot_and_of_two_that_nobody_in_twenty_waits_for() -> None:
    assert no_wait().largest(True, ["e", "e"], [1.0, 2.0]) == pytest.approx([0.05, OF_TWO_SLOTS])
    assert no_wait(spread="each").largest(True, ["e", "e"], [1.0, 2.0]) == pytest.approx([0.05, 0.05])
    assert no_wait(in_failure=0.04).largest(True, ["e"], [1.0]) == pytest.approx([0.04])


@pytest.mark.parametrize("spread", ["one-queue", "least-requests", "each"])
def test_the_drill_reckons_the_same_by_its_own_formula(spread: Literal["one-queue", "least-requests", "each"]) -> None:
    said = Utilisation(basis="waiting", spread=spread, arrivals_variation=3.0, lengths_variation=2.5)
    slots, wait, replicas = np.array([1.0, 7.0, 64.0]), np.array([0.3, 2.0, 0.0]), np.array([3.0, 20.0, 5.0])
    names = ["a", "b", "c"]
    queues = {e: Queue(slots[i], 7.0, {95.0: wait[i]}, said.lengths_variation) for i, e in enumerate(names)}
    planned = Waiting(said, queues).largest(False, names, replicas.tolist())
    met = np.full(3, 7.0 * (1.0 + said.lengths_variation))
    drilled = Queues(said, slots, met, {95.0: wait}).most_filled(False, replicas)
    assert drilled == pytest.approx(planned, rel=1e-6)


def test_more_replicas_are_filled_further() -> None:
    many = no_wait().largest(False, ["e"] * 6, [1.0, 2.0, 5.0, 20.0, 100.0, 1000.0])
    assert (np.diff(many) > 0).all() and many[-1] < 1


def test_the_rule_counts_the_replicas_of_each_state() -> None:
    p = build(by_waiting(asked()))
    assert p.waiting is not None
    e, s = p.placements[0], (p.hours[0], NORMAL, 0.0)
    p = replace(p, waiting=replace(p.waiting, queues={name: Queue(1.0, 1.0, {95.0: 0.0}) for name in p.placements}))

    def short(requests: float) -> float:
        x = Decisions()
        x.replicas[e, s[0]] = x.kept[e, s] = 2.0
        x.traffic["w", "o", e, s] = requests
        (rows,) = replicas_carry_traffic(full(p), as_vectors(p, x), s)
        return float(rows.shortfall().max())

    assert short(2 * OF_TWO_SLOTS - 1e-6) == 0
    assert short(2 * OF_TWO_SLOTS + 1e-3) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("requests", [3, 8])
def test_a_plan_has_no_more_than_brute_force_needs_and_is_proven(requests: int) -> None:
    s = by_waiting(asked(demand={("w", "o"): requests}, bought=[offer("p/a/m", 1, most_units=40.0)]), 1500.0)
    p, plan = build(s), make_plan(s, Effort(gap_fraction=0.0, most_nodes=1000))
    assert p.waiting is not None
    e = next(e for e in p.placements if p.pool_of[e] == "p/a/m")
    needed = next(n for n in range(1, 41) if p.waiting.largest(False, [e], [n])[0] * n >= requests)
    assert needed > requests + 1
    assert units(plan)["p/a"] == needed
    # no more is reckoned with than carry all that may be served there
    assert plan.proof.lp_bound_usd == pytest.approx(requests / p.waiting.largest(False, [e], [needed])[0])
    assert plan.proof.bound_usd == pytest.approx(needed)
    assert plan.proof.status == "proven"


@pytest.mark.parametrize("requests, fraction, surge", [(4, 0.75, 1.0), (7, 0.3, 1.5)])
def test_of_two_pools_of_which_one_is_lost_a_plan_costs_what_brute_force_finds(
    requests: int, fraction: float, surge: float
) -> None:
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0}, surge_factor=surge)
    bought = [offer("p/a/m", 1, most_units=16.0), offer("r/b/m", 1.3, most_units=16.0)]
    s = asked(bought=bought, demand={("w", "o"): requests}, failures=(lost,), tiers=goal(fraction=fraction))
    s = by_waiting(s, 1500.0)
    p, plan = build(s), make_plan(s, Effort(gap_fraction=0.0, most_nodes=1000))
    waiting, counts, of_pool = p.waiting, list(range(17)), {p.pool_of[e]: e for e in p.placements}
    assert waiting is not None
    a, b = (waiting.largest(False, [of_pool[q]] * 17, counts) * counts for q in ("p/a/m", "r/b/m"))
    b_alone = waiting.largest(True, [of_pool["r/b/m"]] * 17, counts) * counts
    costs = [
        n + 1.3 * m
        for n in counts
        for m in counts
        if a[n] + b[m] >= requests - 1e-9 and b_alone[m] >= surge * fraction * requests - 1e-9
    ]
    assert plan.proof.lp_bound_usd < plan.proof.bound_usd <= min(costs) + 1e-6
    assert plan.proof.cost_usd == pytest.approx(min(costs))


def test_a_small_study_is_planned_from_the_most_replicas_too() -> None:
    plan = make_plan(by_waiting(random_study(4)), EFFORT)
    assert plan.proof.cost_usd == pytest.approx(27.0) and plan.proof.status == "proven"  # 33 from those of the program


def test_a_plan_is_found_where_no_number_of_all_states_together_has_one() -> None:
    plan = make_plan(by_waiting(random_study(13)), EFFORT)
    assert plan.proof.cost_usd == pytest.approx(15.0) and plan.proof.status == "proven"
    assert not drill_plan(plan).broken


def test_a_failure_after_which_nothing_runs_has_no_numbers() -> None:
    plan = make_plan(by_waiting(random_study(5)), EFFORT)
    assert plan.proof.cost_usd == pytest.approx(12.0) and plan.proof.bound_usd > 6.0
    assert not drill_plan(plan).broken


@pytest.mark.parametrize("spread", ["one-queue", "least-requests"])
def test_lines_are_nowhere_below_what_replicas_carry(spread: Literal["one-queue", "least-requests"]) -> None:
    said = Utilisation(basis="waiting", spread=spread)
    waiting = Waiting(said, {"e": Queue(8.0, 10.0, {95.0: 1.0})})
    low, high = ranges_up_to(200.0)
    assert low[0] == 1 and high[-1] == 200 and (low[1:] == high[:-1] + 1).all()
    slopes, constants = lines_above(waiting, False, [("e", *ends) for ends in zip(low, high, strict=True)])
    for least, most, slope, constant in zip(low, high, slopes, constants, strict=True):
        n = np.arange(least, most + 1)
        carried = waiting.largest(False, ["e"] * len(n), n.tolist()) * n
        above = slope * n + constant - carried
        assert (above >= 0).all() and above.max() <= 0.05 * most


def test_a_plan_stays_where_it_is_looked_for_again_and_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[Problem] = []
    once = solving._solve

    def second_interrupted(p: Problem, *more: Any) -> Solution:
        rounds.append(p)
        if len(rounds) == 2:
            raise KeyboardInterrupt
        return once(p, *more)

    lost = NamedFailure(name="f", lost={"site:p/a": 1.0}, surge_factor=1.5)
    bought = [offer("p/a/m", 1, most_units=16.0), offer("r/b/m", 1.3, most_units=16.0)]
    s = asked(bought=bought, demand={("w", "o"): 7}, failures=(lost,), tiers=goal(fraction=0.3))
    p = build(by_waiting(s, 1500.0))
    monkeypatch.setattr(solving, "_solve", second_interrupted)
    monkeypatch.setattr(rounds_of, "_with_own_numbers", lambda *_: None)  # it would be proven without any round
    solution = solving.solve(p, Effort(gap_fraction=0.0, most_nodes=1000))
    assert len(rounds) == 2
    assert solution.status == "stopped" and 0 < solution.bound_usd < solution.cost_usd


def test_no_more_replicas_are_reckoned_with_than_limits_leave() -> None:
    quotas = (Quota(name="both", pools=("p/a/m", "r/b/m"), most=7.0), Quota(name="b", pools=("r/*",), most=3.0))
    spot = offer("r/b/m", 2, kind="spot", most_units=4.0)
    bought = [offer("p/a/m", 1, most_units=40.0), offer("r/b/m", 2, most_units=40.0), spot]
    apart = (quotas[0], quotas[1].model_copy(update={"counts": ("on_demand",)}))
    for several, of_b in ((quotas, 3.0), (apart, 7.0), (apart[1:], 3.0 + 4.0), ((), 44.0)):
        p = build(by_waiting(asked(bought=bought, policies=Policies(quotas=several), demand={("w", "o"): 100})))
        assert p.waiting is not None
        most = {p.pool_of[e]: n for (e, _), n in p.waiting.replicas.items()}
        assert most == {"p/a/m": 7.0 if "both" in {q.name for q in several} else 40.0, "r/b/m": of_b}


@pytest.mark.parametrize("seed", [4, 10])
def test_plans_pass_their_audit_and_the_drill(seed: int) -> None:
    fixed, waiting = (make_plan(s, EFFORT) for s in (random_study(seed), by_waiting(random_study(seed))))
    assert audit(waiting).passed, audit(waiting).violations[:3]
    assert not drill_state_claims(waiting)
    assert not drill_plan(waiting).broken
    assert waiting.proof.bound_usd <= waiting.proof.cost_usd
    assert waiting.proof.cost_usd > fixed.proof.cost_usd
    section, none = (waiting_section(in_hand(plan)) for plan in (waiting, fixed))
    assert none is None and section is not None
    assert all(row.filled_fraction <= row.largest_fraction * (1 + 1e-6) for row in section.rows)


def test_the_drill_tries_what_the_plan_states_where_its_own_search_by_number_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a plan in rounds starts few replicas of a placement; what each state's own numbers give is in the drill's reach
    monkeypatch.setattr(rounds_of, "_with_own_numbers", lambda *_: None)
    plan = make_plan(by_waiting(beset_study(3)), EFFORT)
    assert not drill_plan(plan).broken
    without = plan.model_copy(update={"states": tuple(s for s in plan.states if s.failure == NORMAL)})
    result = drill_plan(without)
    assert result.broken and any("may be less" in finding for finding in result.findings)


def test_replicas_that_are_too_full_for_their_number_are_seen_by_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    s = by_waiting(random_study(4))
    monkeypatch.setattr("planner.problem.waiting.utilisation_that_meets", lambda wait, *_: np.full(len(wait), 0.95))
    plan = make_plan(s, EFFORT)
    assert audit(plan).passed
    assert any("load in replicas" in finding for finding in drill_state_claims(plan))
    monkeypatch.undo()
    assert {v.rule for v in audit(plan).violations} >= {"replicas_carry_traffic"}


def test_where_round_trip_and_prefill_take_all_of_the_target_there_is_no_edge() -> None:
    s = asked(models=(model("m", [profile("m", "cuda", 1)]),))  # prefill takes 100 ms, the round trip some
    p, instance = build(by_waiting(s, 100.5)), build_instance(by_waiting(s, 100.5))
    assert all(not ends for ends in p.edges.values())
    assert {why.partition(":")[0] for why in p.why_not.values()} == {"wait"}
    assert not instance.normal.any()
    (late_ms,) = {round(ms, 6) for ms in p.late_ms.values() if ms == min(p.late_ms.values())}
    with pytest.raises(Infeasible, match=f"take {late_ms:,.0f} ms more than its first_token_ms even at m/"):
        make_plan(by_waiting(s, 100.5), EFFORT)
    assert build(s).edges["w", "o"] and build(by_waiting(s, 200.0)).edges["w", "o"]


def test_without_a_target_only_the_queue_must_end() -> None:
    p = build(by_waiting(asked(), None))
    assert p.waiting is not None
    (most,) = p.waiting.largest(False, p.placements[:1], [1.0])
    assert 0.9 < most < 1


def test_what_has_no_effect_is_refused_and_leaves_no_trace() -> None:
    with pytest.raises(ValueError, match="spread with basis: waiting"):
        Utilisation(basis="fixed", spread="each")
    usual = {"basis": "waiting", "normal": 1.0, "in_failure": 1.0, "spread": "least-requests"}
    assert Utilisation().model_dump(mode="json") == usual
    fixed = Utilisation(basis="fixed")
    assert fixed.model_dump(mode="json") == {**usual, "basis": "fixed", "normal": 0.85, "in_failure": 0.95}
    for said in (BY_WAITING, fixed, Utilisation(basis="fixed", normal=0.7)):
        assert Utilisation(**said.model_dump()) == said
    assert "percentile" not in plan_text(make_plan(asked(), EFFORT))


def with_little_left(only: str | None = None) -> Study:
    """A cheap pool of which a failure leaves one in two hundred, and a dear one that it spares."""
    offers = [
        (one, usd, most) for one, usd, most in (("p/a/m", 0.0085, 1000.0), ("r/b/k", 1.0, 40.0)) if only in (None, one)
    ]
    profiles = [
        profile("m", "cuda", 13.0, concurrency_limit=8, load_seconds=9999.0),
        profile("k", "xla", 8.0, concurrency_limit=8, load_seconds=9999.0),
    ]
    s = asked(
        sites=(site("p/a"), site("r/b")),
        pools=(Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="k")),
        machine_types=(machine_type("m"), machine_type("k")),
        bought=[offer(pool, usd, most_units=most) for pool, usd, most in offers],
        tiers=goal("f", 1.0, 5.0),
        models=(model("m", profiles),),
        failures=(NamedFailure(name="f", lost={"pool:p/a/m": 0.995}),),
    )
    return by_waiting(s)


@pytest.mark.parametrize("gap", [0.01, 0.03])
def test_a_bound_knows_the_many_replicas_of_which_a_failure_leaves_one(gap: float) -> None:
    """200 of the cheap pool leave one: no bound may be above what they cost, 1.70 USD."""
    many = make_plan(with_little_left("p/a/m"), Effort(gap_fraction=0.0))
    assert units(many) == {"p/a": 200} and audit(many).passed and not drill_plan(many).broken
    plan = make_plan(with_little_left(), Effort(gap_fraction=gap))
    assert plan.proof.bound_usd <= many.proof.cost_usd * (1 + 1e-9)


def test_an_interrupt_in_rounds_keeps_the_plan_by_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand = []
    own = rounds_of._with_own_numbers

    def kept(*given: Any) -> Solution | None:
        at_hand.append(own(*given))
        return at_hand[-1]

    def interrupt(*_: Any, **__: Any) -> Solution:
        raise KeyboardInterrupt

    monkeypatch.setattr(rounds_of, "_with_own_numbers", kept)
    monkeypatch.setattr(solving, "_solve", interrupt)
    p = build(by_waiting(beset_study(5001), 300.0, spread="each"))
    solution = solving.solve(p, Effort(gap_fraction=1e-4, most_nodes=5))
    (first,) = at_hand
    assert first is not None and solution.status == "stopped" and solution.cost_usd == first.cost_usd


def test_a_loss_that_falls_on_what_may_serve_nothing_is_no_error() -> None:
    s = by_waiting(beset_study(9040), 150.0, spread="least-requests")
    p = build(s)
    assert {x.targeted for x in p.failures.values() if x.targeted is not None} - set(p.placements)
    assert audit(make_plan(s, EFFORT)).passed
