"""States of a plan, simulated: what is sent where by hand, how many are in time as Erlang says, and the command.

As in `test_drill`: a request takes 0.05 s of a replica to read and 0.05 s to write; a replica has 10 slots, so it keeps
one for 0.5 s and 0.5 s while the replica is full. Demand is 100 requests/s of chat from town.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, plan, state, study, workload
from drilled import A, B, tier
from typer.testing import CliRunner

import planner
from planner.cli.main import app
from planner.drill.simulated import Queue, Stream, simulated_states
from planner.drill.simulated_queue import Lengths
from planner.drill.simulated_tiers import Sampling, simulated_queue, simulated_tiers
from planner.errors import InputError
from planner.plan.file import plan_text, sealed
from planner.questions import simulated
from planner.questions.simulated import simulate
from planner.review.simulated import review_simulated
from planner.study.records.plan import PlanFile
from planner.study.records.policies import Utilisation

QUICK = Sampling(requests=2_000, least_requests=4_000)


def a_plan(**more: Any) -> PlanFile:
    """8 replicas at a and 8 at b; a serves 60 and b 40 requests/s; where a is lost b serves 72 of 80 with one more."""
    of = study(holdings=hold(a=8, b=9), tiers=(tier(goal(fraction=0.5, within=400.0), first_token_ms=400.0),), **more)
    a_lost = state(chat(b=72), A, 400.0, cold_started={at("b"): 1}, shed={"chat": {"town": 28.0}})
    return plan(of, {at("a"): 8, at("b"): 8}, chat(a=60, b=40), [a_lost, state(chat(a=75), B, 400.0)])


def test_queues_by_hand():
    normal, b_lost, a_lost = simulated_states(a_plan())
    assert [(q.placement, q.replicas, q.slots_per_replica) for q in normal.queues] == [
        (at("a"), 8, 10),
        (at("b"), 8, 10),
    ]
    assert [q.utilisation for q in normal.queues] == pytest.approx([0.75, 0.5])
    assert normal.utilisation == pytest.approx((60 * 0.75 + 40 * 0.5) / 100)
    (queue,) = a_lost.queues
    assert (queue.replicas, queue.utilisation) == (9, pytest.approx(0.8)), "8 kept, one cold-started"
    assert (b_lost.queues[0].replicas, b_lost.utilisation) == (8, pytest.approx(75 / 80))
    (stream,) = queue.streams
    assert (stream.reading_seconds, stream.writing_seconds) == pytest.approx((0.5, 0.5))
    assert (stream.first_token_ms, stream.first_token_ms_high, stream.target_ms) == (100.0, 100.0, 400.0)


def test_bursts_and_cold_caches_are_in_it():
    more = {"burst_factor": 1.25, "cached_fraction": 0.8, "cached_fraction_in_failure": 0.4}
    of = simulated_states(a_plan(workloads=(workload(**more),)))
    assert of[0].queues[0].streams[0].requests_per_second == pytest.approx(75.0)
    assert of[0].queues[0].streams[0].reading_seconds == pytest.approx(0.1)
    assert of[1].queues[0].streams[0].reading_seconds == pytest.approx(0.3)


def test_fullest_first_or_those_that_are_asked_for():
    assert [state.failure for state in simulated_states(a_plan())] == ["normal", B, A]
    assert [state.failure for state in simulated_states(a_plan(), ["site:aws/*"])] == ["normal", A]
    assert [state.failure for state in simulated_states(a_plan(), most_failures=1)] == ["normal", B]
    with pytest.raises(InputError, match=r"'provider:\*'"):
        simulated_states(a_plan(), ["site:*", "provider:*"])


def erlang(servers: int, utilisation: float) -> float:
    b = 1.0
    for k in range(1, servers + 1):
        b = servers * utilisation * b / (k + servers * utilisation * b)
    return b / (1 - utilisation + utilisation * b)


def test_a_share_in_time_is_what_erlang_says():
    """Outputs alone, exponential: of 20 slots 0.85 busy `C exp(-c (1 - u) t)` wait longer than t = 0.3 s."""
    stream = Stream("chat", "town", "gold", 17.0, 0.0, 1.0, 20.0, 80.0, 180.0, 400.0)
    of = simulated_queue(Queue("e", 2, 10, (stream,)), 1.0, "s", replace(QUICK, requests=120_000, routing="one-queue"))
    c = erlang(20, 0.85)
    assert 1 - of["gold"].within.mean() == pytest.approx(c * math.exp(-20 * 0.15 * 0.3), rel=0.1)
    assert 1 - of["gold"].within_high.mean() == pytest.approx(c * math.exp(-20 * 0.15 * 0.2), rel=0.1)


def test_of_a_tier_each_placement_counts_by_its_requests():
    """Of 100 requests/s 60 go to a; where b, which is idle by half, is late by its prefill, 60 % are in time."""
    rows = simulate(a_plan(), QUICK, ("one-queue",)).rows
    normal = next(row for row in rows if row.failure == "normal")
    assert normal.within_fraction is not None and normal.within_fraction > 0.98
    assert normal.requests_per_second == 100.0 and normal.utilisation == pytest.approx(0.65)
    b = f"{at('b')}"
    states = simulated_states(a_plan(), most_failures=0)
    late = [replace(one.streams[0], first_token_ms=500.0) for one in states[0].queues if one.placement == b]
    queues = tuple(replace(one, streams=tuple(late)) if one.placement == b else one for one in states[0].queues)
    of_late = replace(states[0], queues=queues)
    answers = [simulated_queue(one, 0.5, "s", replace(QUICK, routing="one-queue")) for one in queues]
    (row,) = simulated_tiers(of_late, "one-queue", answers)
    assert row.within_fraction == pytest.approx(0.6, abs=0.01)
    assert (row.worst_placement, row.worst_within_fraction) == (b, 0.0)


def test_random_is_worse_and_said_with_its_error():
    rows = {(row.failure, row.routing): row for row in simulate(a_plan(), QUICK).rows}
    best, worst = rows[B, "least-requests"], rows[B, "random"]
    assert best.within_fraction is not None and worst.within_fraction is not None
    assert worst.within_fraction < best.within_fraction - 0.1
    assert worst.error_fraction is not None and 0.001 < worst.error_fraction < 0.4
    assert worst.wait_ms[50] <= worst.wait_ms[95] <= worst.wait_ms[99]
    long = replace(QUICK, requests=40_000)
    worst, fixed = (simulate(a_plan(), replace(long, output=Lengths(x)), ("random",), [B]).rows[-1] for x in (2.0, 0.0))
    assert fixed.within_fraction is not None and worst.within_fraction is not None
    assert fixed.within_fraction > worst.within_fraction


def test_the_same_in_whatever_order_processes_end(monkeypatch):
    one = simulate(a_plan(), QUICK, ("random",), [A])
    monkeypatch.setattr(simulated, "side_by_side", lambda work, _: reversed([(n, job()) for n, job in enumerate(work)]))
    assert simulate(a_plan(), QUICK, ("random",), [A], jobs=2) == one
    assert simulate(a_plan(), replace(QUICK, seed=2), ("random",), [A]) != one
    assert simulate(a_plan(), QUICK, ("random",)).rows[0] == one.rows[0], "whatever else is asked for"


def written(folder: Path) -> Path:
    path = folder / "plan.json"
    path.write_text(plan_text(sealed(a_plan())))
    return path


def call(*words: object) -> Any:
    return CliRunner().invoke(app, ["drill", *map(str, words), "--quiet"])


def test_the_command_says_what_it_assumes(tmp_path):
    words = ("--simulate", "--requests", 2000, "--jobs", 1, "--failure", A, "--routing", "one-queue", "--seed", 3)
    done = call(written(tmp_path), *words)
    assert done.exit_code == 0
    assert "busy: share of all slots" in " ".join(done.stdout.split())
    assert "estimates, by an event simulation" in done.stdout and "outputs are exponential" in done.stdout
    assert "site aws/a" in done.stdout and "in time, one-queue" in done.stdout and "seed 3" in done.stdout
    done = call(written(tmp_path), *words, "--variation", 0, "--format", "json")
    answer = json.loads(done.stdout)["sections"]["waiting, simulated"]
    assert [(row["failure"], row["routing"]) for row in answer["rows"]] == [("normal", "one-queue"), (A, "one-queue")]
    assert answer["sampling"] == {"requests": 2000, "seed": 3, "variation": 0}


def test_a_plan_that_serves_nothing_says_so():
    idle = plan(study(), {}, {})
    assert "serves nothing" in planner.render(review_simulated(planner.simulate(idle, requests=2000)))


def test_from_python():
    answer = planner.simulate(a_plan(), requests=2000, routings=["one-queue"], variation=0.0, failures=[B])
    assert [(row.failure, row.routing) for row in answer.rows] == [("normal", "one-queue"), (B, "one-queue")]
    with pytest.raises(InputError, match="routings"):
        planner.simulate(a_plan(), routings=["any"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "words, says",
    [
        (["--seed", 2, "--failure", A], ["--seed", "--failure"]),
        (["--simulate", "--mode", "resolve", "--pairs", "site"], ["--mode", "--pairs"]),
        (["--simulate", "--failure", "nothing"], ["--failure", "site:aws/a"]),
        (["--simulate", "--hour", "noon"], ["--hour"]),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, words, says):
    done = call(written(tmp_path), *words)
    assert done.exit_code == 2 and all(text in done.output for text in says), done.output


def test_a_fleet_is_not_simulated(tmp_path):
    done = call(tmp_path / "fleet.csv", "--simulate")
    assert done.exit_code == 2 and "a fleet" in done.output


def test_a_plan_by_waiting_is_held_to_its_percentile():
    """Of fixed shares nobody promises a wait; by waiting 99.9 % within 400 ms is a promise, which 8 replicas break."""
    strict = {"percentile": 99.9}
    made = a_plan()
    assert simulate(made, QUICK, ("one-queue",), [B]).late == ()
    tiers = tuple(one.model_copy(update=strict) for one in made.study.tiers)
    said = Utilisation(basis="waiting", spread="one-queue")
    by_waiting = made.model_copy(update={"study": made.study.model_copy(update={"tiers": tiers, "utilisation": said})})
    answer = simulate(by_waiting, replace(QUICK, requests=60_000), ("random",), [B])
    assert {row.routing for row in answer.rows} == {"one-queue", "random"}
    assert [(row.failure, row.routing) for row in answer.late] == [(B, "one-queue")]
    report = review_simulated(answer)
    assert not report.good and "0 of" not in planner.render(report) and "IN TIME" in planner.render(report)
