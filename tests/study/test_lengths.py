"""Lengths by quantiles: mean powers by hand, requests in flight against a drawing, memory, waits, simulation."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from failing import asked
from studies import machine_type, model, offer, profile, site, study, workload
from typer.testing import CliRunner

from planner.cli.main import app
from planner.drill import drill_plan, drill_state_claims
from planner.drill.instance import build_instance
from planner.drill.lengths import tokens_in_flight, variation_of_seconds
from planner.drill.simulated_queue import Lengths
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.solve.search import Effort
from planner.study.lengths import live_tokens_at_tail, mean_powers, squared_variation
from planner.study.records.inventory import Pool
from planner.study.records.study import Quantile, Study, Utilisation, Workload


def quantiles(**tokens: float) -> tuple[Quantile, ...]:
    """p0=.., p50=.., p100=..: quantiles in this order."""
    return tuple(Quantile(percent=float(name[1:]), tokens=value) for name, value in tokens.items())


LONG_TAIL = quantiles(p0=0.0, p50=20.0, p90=100.0, p100=800.0)
"""Mean 0.5 · 10 + 0.4 · 60 + 0.1 · 450 = 74."""
ONE = profile("m", "cuda", 5.0, concurrency_limit=64)


def varied(**more: object) -> Workload:
    return workload("w", mean_input_tokens=100.0, mean_output_tokens=74.0, output_tokens_quantiles=LONG_TAIL, **more)


def test_mean_powers_by_hand():
    first, second, third = mean_powers(LONG_TAIL, 1.0)
    assert first == pytest.approx(74.0)
    assert second == pytest.approx(0.5 * 400 / 3 + 0.4 * (400 + 2000 + 10000) / 3 + 0.1 * (10000 + 80000 + 640000) / 3)
    assert third == pytest.approx(
        0.5 * 8000 / 4
        + 0.4 * (8000 + 400 * 100 + 20 * 10000 + 1e6) / 4
        + 0.1 * (1e6 + 10000 * 800 + 100 * 640000 + 512e6) / 4
    )
    assert mean_powers((), 7.0) == (7.0, 49.0, 343.0)


def drawn_in_flight(w: Workload, reading: float, writing: float, moments_drawn: int, in_flight: int) -> np.ndarray:
    """Tokens in the cache of so many requests, at so many moments: requests drawn, then a time of each."""
    random = np.random.default_rng(7)
    n = 400_000
    outputs = np.interp(random.random(n), [q.percent / 100 for q in LONG_TAIL], [q.tokens for q in LONG_TAIL])
    seconds = reading * w.mean_input_tokens + writing * outputs
    seen = random.choice(n, moments_drawn * in_flight, p=seconds / seconds.sum())
    at = random.random(len(seen)) * seconds[seen] - reading * w.mean_input_tokens
    live = w.mean_input_tokens + np.maximum(0.0, at / writing)
    return np.asarray(live.reshape(moments_drawn, in_flight).sum(axis=1))


def test_one_moment_in_a_hundred_holds_more():
    """Against requests drawn one by one, 64 in flight: between 0.3 and 2.5 % of instants; the drill says the same."""
    point = ONE.classes[0]
    fast = ONE.model_copy(update={"classes": (point.model_copy(update={"prefill_tokens_per_second": 400.0}),)})
    w, reading, writing = varied(), 1 / 400.0, 1 / point.decode_tokens_per_second
    tokens = live_tokens_at_tail(w, fast)
    more = float((drawn_in_flight(w, reading, writing, 4000, 64) > 64 * tokens).mean())
    assert 0.003 < more < 0.025
    assert tokens_in_flight(w, reading, writing, 64) == pytest.approx(tokens, rel=1e-9)


def test_the_drill_sees_the_tail_and_outputs_without_quantiles():
    """One request in a thousand is very long: by quadrature as by mean powers; outputs without any vary as is said."""
    tail = quantiles(p0=0.0, p50=20.0, p99=300.0) + (
        Quantile(percent=99.9, tokens=900.0),
        Quantile(percent=100.0, tokens=9000.0),
    )
    mean = mean_powers(tail, 1.0)[0]
    long = workload("w", mean_input_tokens=100.0, mean_output_tokens=mean, output_tokens_quantiles=tail)
    reads = workload("w", mean_input_tokens=mean, mean_output_tokens=100.0, input_tokens_quantiles=tail)
    point = ONE.classes[0].model_copy(update={"prefill_tokens_per_second": 400.0, "decode_tokens_per_second": 100.0})
    for w in (long, reads):
        said = squared_variation(w, point, 0.0, 2.0)
        assert variation_of_seconds(w, 1 / 400.0, 1 / 100.0, 2.0) == pytest.approx(said, rel=1e-9)
        assert tokens_in_flight(w, 1 / 400.0, 1 / 100.0, 1) == pytest.approx(
            live_tokens_at_tail(w, ONE.model_copy(update={"classes": (point,), "concurrency_limit": 1})), rel=1e-9
        )
    variance = mean_powers(tail, 1.0)[1] - mean**2
    seconds = mean / 400.0 + 1.0
    assert squared_variation(reads, point, 0.0, 2.0) == pytest.approx((variance / 400.0**2 + 2.0) / seconds**2)
    even = workload(
        "w", mean_input_tokens=100.0, mean_output_tokens=100.0, output_tokens_quantiles=quantiles(p0=100.0, p100=100.0)
    )
    assert live_tokens_at_tail(even, ONE.model_copy(update={"classes": (point,)})) >= 150.0


def memory_study(gib: float, w: Workload) -> Study:
    """One profile on chips of so many GiB; a token takes 1/64 GiB of cache."""
    cache = ONE.model_copy(update={"weights_gib": 10.0, "kv_bytes_per_value": 2.0**30 / 64 / (2 * 8 * 8)})
    return study(
        sites=(site("a/x"),),
        machine_types=(machine_type("m").model_copy(update={"memory_gib_per_accelerator": gib}),),
        pools=(Pool(site="a/x", machine_type="m"),),
        models=(model("m", [cache]),),
        tiers=(asked().tiers[0],),
        workloads=(w,),
        demand={("w", "o"): 1},
        bought=[offer("a/x/m", 1)],
    )


@pytest.mark.parametrize("fits", [True, False])
def test_memory_holds_the_tail_and_the_drill_says_the_same(fits: bool):
    """The mean holds 137 tokens a request, 137 GiB; one moment in a hundred more than twice as much."""
    tail = live_tokens_at_tail(varied(), ONE)
    assert tail > 2 * (100 + 74 / 2)
    gib = (10 + tail * (1.01 if fits else 0.99)) / 0.9 / 8
    of_mean = workload("w", mean_input_tokens=100.0, mean_output_tokens=74.0)
    for s, held in ((memory_study(gib, varied()), fits), (memory_study(gib, of_mean), True)):
        assert any(build(s).edges.values()) == held
        assert bool(build_instance(s).fits.any()) == held


def with_lengths(s: Study, several: tuple[Quantile, ...]) -> Study:
    workloads = tuple(w.model_copy(update={"output_tokens_quantiles": several}) for w in s.workloads)
    return s.model_copy(update={"workloads": workloads})


def test_long_tails_wait_longer_and_plans_pass_audit_and_drill():
    """Of as many requests as exponential lengths give 1 twice: cs2 of 3 and more leaves less utilisation."""
    tail = tuple(Quantile(percent=p, tokens=t) for p, t in ((0, 0.0), (50, 0.27), (90, 1.35), (100, 10.9)))
    said = {"utilisation": Utilisation(basis="waiting", spread="one-queue")}
    tiers = tuple(t.model_copy(update={"first_token_ms": 900.0}) for t in asked().tiers)
    usual = asked(demand={("w", "o"): 5}).model_copy(update={**said, "tiers": tiers})
    varies = with_lengths(usual, tail)
    p, q = build(usual), build(varies)
    assert p.waiting is not None and q.waiting is not None
    e = p.placements[0]
    assert p.waiting.queues[e].lengths_variation == pytest.approx(1.0)
    assert q.waiting.queues[e].lengths_variation > 2.5
    assert (q.waiting.largest(False, [e], [5.0]) < p.waiting.largest(False, [e], [5.0])).all()

    def least(p: Problem) -> int:
        assert p.waiting is not None
        return next(n for n in range(1, 41) if p.waiting.largest(False, [e], [n])[0] * n >= 5)

    made = make_plan(varies, Effort(gap_fraction=0.05, most_nodes=50))
    assert audit(made).passed and not drill_state_claims(made) and not drill_plan(made).broken
    assert make_plan(usual, Effort(gap_fraction=0.05, most_nodes=50)).proof.cost_usd == least(p) == 8
    assert made.proof.cost_usd == least(q) == 9


def test_simulated_by_the_lengths_of_the_study():
    from planner.drill.simulated import Queue, Stream
    from planner.drill.simulated_tiers import Sampling, simulated_queue

    stream = Stream("chat", "town", "gold", 8.5, 0.0, 1.0, 20.0, 80.0, 180.0, 2500.0)
    quick = Sampling(requests=40_000, least_requests=4_000, routing="one-queue")
    tail = Lengths(shares=(0.0, 0.5, 0.9, 1.0), values=(0.0, 0.27, 1.35, 10.9))

    def late(of: Stream) -> float:
        return 1 - float(simulated_queue(Queue("e", 1, 10, (of,)), 1.0, "s", quick)["gold"].within.mean())

    assert late(replace(stream, outputs=tail)) > 1.3 * late(stream) > 1.3 * late(replace(stream, outputs=Lengths(0.0)))


CHECKS = {
    "not sorted": (quantiles(p0=0.0, p90=50.0, p50=60.0, p100=800.0), "from 0 to 100"),
    "no end": (quantiles(p0=0.0, p50=100.0), "from 0 to 100"),
    "falls": (quantiles(p0=10.0, p100=5.0), "rising"),
    "another mean": (quantiles(p0=0.0, p100=800.0), "of mean 211"),
    "too long": (quantiles(p0=0.0, p50=100.0, p99=460.0, p100=9000.0), "at most 8192"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_bad_quantiles_are_findings(case: str, tmp_path):
    """In a folder with the first workload of the quickstart: where, what was expected, how to mend it; exit code 2."""
    several, expected = CHECKS[case]
    assert CliRunner().invoke(app, ["init", str(tmp_path / "mine")]).exit_code == 0
    path = tmp_path / "mine" / "study.yaml"
    data = yaml.safe_load(path.read_text())
    chat = next(w for w in data["workloads"] if w["name"] == "chat")
    chat["output_tokens_quantiles"] = [q.model_dump() for q in several]
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    done = CliRunner().invoke(app, ["check", str(path.parent)])
    assert done.exit_code == 2 and "output_tokens_quantiles" in done.stderr
    assert expected in " ".join(done.stderr.split())


def test_what_a_trace_says_can_be_put_into_a_study(tmp_path):
    trace, out, random = tmp_path / "t.csv", tmp_path / "w.yaml", np.random.default_rng(1)
    tokens = random.lognormal(5.0, 1.0, (2, 400)).round() + 1
    rows = [f"2024-05-10 10:{n // 10:02d}:{n % 10:02d},{i:.0f},{o:.0f}" for n, (i, o) in enumerate(tokens.T)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    words = ["import", "demand", str(trace), "--origin", "x=1", "--workload", "chat", "--workloads", str(out)]
    assert CliRunner().invoke(app, words).exit_code == 0
    (row,) = yaml.safe_load(out.read_text())["workloads"]
    w = Workload(**row, model="m", context_class="short", tier="t")
    assert w.burst_factor >= 1 and "busiest minute" in out.read_text()
    assert mean_powers(w.input_tokens_quantiles, 1.0)[0] == pytest.approx(w.mean_input_tokens, rel=0.1)
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows[:99]]))
    assert CliRunner().invoke(app, words).exit_code == 0
    (row,) = yaml.safe_load(out.read_text())["workloads"]
    assert "input_tokens_quantiles" not in row and "fewer than 100 requests" in out.read_text()


def test_a_heavy_tail_has_quantiles_whose_mean_is_its_own(tmp_path):
    """Cut at 8,000 tokens, as engines do: with few quantiles the mean would be off by a tenth, so there are more."""
    trace, out = tmp_path / "t.csv", tmp_path / "w.yaml"
    tokens = np.minimum(np.random.default_rng(3).lognormal(4.0, 2.0, 3000).round() + 1, 8000)
    rows = [f"{n},{o:.0f},100" for n, o in enumerate(tokens)]
    trace.write_text("\n".join(["timestamp_s,input,output", *rows]))
    words = ["import", "demand", str(trace), "--origin", "x=1", "--workload", "chat", "--workloads", str(out)]
    assert CliRunner().invoke(app, words).exit_code == 0
    (row,) = yaml.safe_load(out.read_text())["workloads"]
    w = Workload(**row, model="m", context_class="short", tier="t")
    assert mean_powers(w.input_tokens_quantiles, 1.0)[0] == pytest.approx(w.mean_input_tokens, rel=0.05)
    assert "8,000 tokens of input" in out.read_text()
