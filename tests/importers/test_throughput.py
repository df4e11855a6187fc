"""Benchmarks: closed loops that are a capacity, and those that are none."""

import json
import random

import pytest
import yaml
from import_excerpts import (
    AIPERF,
    CHIP,
    DATA,
    HALF,
    MEASURED,
    SILICON,
    VLLM,
    adds_up,
    guidellm,
    guidellm_benchmark,
    refused,
    throughput,
    with_data,
    written,
)

from planner.importers.operating_points import MeasuredRow, points_yaml, replica_seconds
from planner.importers.source import csv_text
from planner.importers.throughput import read_throughput
from planner.study.records.serving import OperatingPoint


def test_silicon_rows_count_chips_and_leave_out_what_is_no_capacity(tmp_path):
    imported, points = read_throughput(written(tmp_path, "s.csv", SILICON))
    adds_up(imported)
    assert [(r.accelerator, r.chips, r.concurrency, r.as_of) for r in imported.rows] == [
        ("H100-SXM-80GB", 4, 128, "2026-04-17"),
        ("H100-SXM-80GB", 4, 128, "2026-04-21"),
        ("B300-SXM-288GB", 16, 512, "2026-04-21"),  # 4 ranks x 4 of data parallel attention
    ]
    assert len(imported.skipped) == 2 and len(points) == 2
    # by hand: y1 = (205.6 + 1023 x 17.79) / 128 ms, y2 = (972.3 + 1023 x 33.44) / 128 ms
    y1, y2 = (0.2056 + 1023 * 0.01779) / 128, (0.9723 + 1023 * 0.03344) / 128
    prefill = (8192 - 1024) / (y2 - y1)
    for made in points:
        assert made.point.prefill_tokens_per_second == pytest.approx(prefill)
        assert made.point.decode_tokens_per_second == pytest.approx(1024 / (y1 - 1024 / prefill))
    assert {p.point.context_class: p.point.first_token_ms for p in points} == {"short": 205.6, "medium": 972.3}


def test_measured_rows_that_are_no_capacity_are_left_out_with_the_reason(tmp_path):
    imported, points = read_throughput(written(tmp_path, "m.csv", MEASURED))
    adds_up(imported)
    assert imported.read == 8 and imported.kept == 4 and len(imported.skipped) == 4
    assert {p.concurrency for p in points} == {64}  # one request at a time is a user's speed, not a capacity
    assert any("one request at a time" in note for note in imported.notes)
    assert imported.rows[0].engine == "vllm"  # "nan" is not a version


def test_operating_points_are_records_that_a_profile_takes(tmp_path):
    imported, points = read_throughput(written(tmp_path, "m.csv", MEASURED))
    for item in yaml.safe_load(points_yaml(points))["points"]:
        measured_on = item.pop("measured_on")
        point = OperatingPoint.model_validate_json(json.dumps(item), strict=True)
        assert point.evidence == "measured" and point.as_of == "2026-03-14"
        for row in imported.rows:
            if row.concurrency == measured_on["concurrency"]:
                took = row.input_len / point.prefill_tokens_per_second + row.output_len / point.decode_tokens_per_second
                assert took == pytest.approx(replica_seconds(row), rel=1e-4)
    again = read_throughput(written(tmp_path, "again.csv", csv_text(MeasuredRow, imported.rows)))[0]
    assert again.rows == imported.rows


def test_vllm_needs_the_machine_and_a_closed_loop(tmp_path):
    path = written(tmp_path, "v.json", json.dumps(VLLM))
    imported, _ = read_throughput(path, **CHIP)
    row = imported.rows[0]
    assert (row.input_len, row.output_len, row.concurrency, row.ttft_ms, row.tpot_ms) == (1024, 256, 64, 350.5, 21.25)
    assert (row.model, row.engine, row.as_of) == ("meta-llama/Llama-3.1-70B", "vllm", "2026-03-14")
    assert any("--accelerator" in f.fix for f in refused(lambda: read_throughput(path, precision="fp8")))
    for change in ({"max_concurrency": None}, {"failed": 3}, {"request_rate": 2.0}, {"completed": 70}):
        changed = written(tmp_path, "w.json", json.dumps(VLLM | change))
        imported, _ = read_throughput(changed, **CHIP)
        adds_up(imported)
        assert not imported.rows, change
    lines = written(tmp_path, "l.json", json.dumps(VLLM) + "\n" + json.dumps(VLLM | HALF) + "\n")
    assert [r.concurrency for r in read_throughput(lines, **CHIP)[0].rows] == [64, 32]


def test_guidellm_counts_benchmarks_at_a_fixed_number_of_streams(tmp_path):
    text = guidellm(
        guidellm_benchmark(), guidellm_benchmark("throughput", None), guidellm_benchmark("synchronous", None)
    )
    imported, _ = read_throughput(written(tmp_path, "g.json", text), **CHIP, engine="vllm")
    adds_up(imported)
    assert [(r.concurrency, r.input_len, r.output_len, r.ttft_ms, r.tpot_ms) for r in imported.rows] == [
        (32, 1000, 256, 120.5, 14.5),
        (1, 1000, 256, 120.5, 14.5),
    ]
    assert imported.rows[0].model == "qwen" and imported.rows[0].as_of == "2026-03-14"
    old = guidellm_benchmark()
    old["args"], old["run_stats"] = old.pop("config"), {"start_time": old.pop("start_time")}
    old["worker"] = {"backend_model": "older"}
    path = written(tmp_path, "old.json", json.dumps({"benchmarks": [old]}))
    assert read_throughput(path, **CHIP, engine="vllm")[0].rows[0].model == "older"


def none_of(tmp_path, data, reason):
    """A benchmark that is left out whole, for one reason that is said with its place."""
    path = written(tmp_path, "none.json", json.dumps(data))
    imported, _ = read_throughput(path, **CHIP, engine="vllm", model="m", as_of="2026-03")
    adds_up(imported)
    assert not imported.rows, data
    assert [reason in said for said in imported.skipped] == [True], imported.as_text()
    assert "none.json" in imported.as_text()
    return imported


def test_aiperf_is_read_by_its_means_in_their_units(tmp_path):
    imported, _ = read_throughput(written(tmp_path, "a.json", json.dumps(AIPERF)), **CHIP, engine="trtllm")
    (row,) = imported.rows
    # 32 in flight, each 0.61 s + 199 x 0.0205 s
    assert 1 / replica_seconds(row) == pytest.approx(32 / (0.61 + 199 * 0.0205))
    assert (row.model, row.input_len, row.output_len, row.concurrency) == ("Qwen/Qwen3-32B", 2000, 200, 32)
    assert row.as_of == "2026-03-14"
    phases = [
        {"name": "warmup", "kind": "warmup", "type": "concurrency", "concurrency": 4},
        {"name": "profiling", "kind": "profiling", "type": "concurrency", "concurrency": 32},
    ]
    later = AIPERF | {"time_to_first_token": {"unit": "s", "avg": 0.61}}
    later["input_config"] = {"models": {"items": [{"name": "Qwen/Qwen3-32B"}]}, "phases": phases}
    again, _ = read_throughput(written(tmp_path, "b.json", json.dumps(later)), **CHIP, engine="trtllm")
    assert again.rows == [row.model_copy(update={"source": "AIPerf, b.json"})]
    unit = AIPERF | {"time_to_first_token": {"unit": "fortnights", "avg": 1}}
    assert "one of ms" in refused(lambda: throughput(written(tmp_path, "u.json", json.dumps(unit))))[0].expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"was_cancelled": True}, "cancelled"),
        ({"error_summary": [{"count": 3}]}, "requests failed"),
        ({"request_count": {"unit": "requests", "avg": 40}}, "two requests per slot"),
        ({"request_throughput": {"unit": "requests/sec", "avg": 2.0}}, "its own throughput"),
        ({"time_to_first_token": None}, "no time to first token"),
        ({"output_sequence_length": {"unit": "tokens", "avg": 1}}, "one token of output"),
        ({"input_config": {"loadgen": {"request_rate": 5}}}, "no single concurrency"),
        ({"input_config": {"loadgen": {"request_rate": 5, "concurrency": 32}}}, "a limited request rate"),
        ({"input_config": {"phases": [{"name": "profiling", "type": "poisson", "concurrency": 32}]}}, "a limited"),
        (
            {"input_config": {"loadgen": {"concurrency": 32}, "datasets": [{"prefix_prompts": {"length": 9}}]}},
            "a shared",
        ),
        ({"input_config": {"loadgen": {"concurrency": 32}, "shared_system_prompt_length": 900}}, "a shared"),
        ({"input_config": {"loadgen": {"concurrency": 32}, "conversation": {"turn": {"mean": 4}}}}, "a shared"),
    ],
)
def test_aiperf_runs_that_are_no_capacity_are_left_out_with_the_reason(tmp_path, change, reason):
    none_of(tmp_path, AIPERF | change, reason)


def test_prompts_with_a_shared_prefix_are_no_capacity(tmp_path):
    none = {"prefix_buckets": None, "prefix_tokens": 0, "turns": 1}
    for shared in (
        {"prefix_buckets": [{"bucket_weight": 100, "prefix_count": 1, "prefix_tokens": 4000}]},
        {"prefix_tokens": 4000},
        {"turns": 2},
    ):
        report = json.loads(guidellm(guidellm_benchmark()))
        report["config"] = {"spec": {"data": [none]}}
        assert throughput(written(tmp_path, "g.json", json.dumps(report))).rows
        report["config"]["spec"]["data"].append(shared)
        none_of(tmp_path, report, "a shared prefix")
        benchmark = guidellm_benchmark()
        benchmark["config"]["data"] = shared
        none_of(tmp_path, json.loads(guidellm(benchmark)), "a shared prefix")
    report = json.loads(guidellm(guidellm_benchmark()))
    report["args"]["data"] = ["prompt_tokens=32,output_tokens=8,prefix_tokens=4000"]
    none_of(tmp_path, report, "a shared prefix")
    none_of(tmp_path, VLLM | {"dataset_name": "prefix_repetition"}, "a shared prefix")
    none_of(tmp_path, VLLM | {"prefix_repetition_prefix_len": 4000}, "a shared prefix")
    few = guidellm_benchmark()
    few["metrics"]["request_totals"]["successful"] = 2
    none_of(tmp_path, json.loads(guidellm(few)), "two requests per slot")


def test_a_throughput_that_contradicts_the_times_is_left_out_and_both_are_said(tmp_path):
    # 64 in flight, each 0.3505 s + 255 x 0.02125 s: 11.1 requests/s
    for wrong in ({"request_throughput": 3.2}, {"duration": 200.0}, {"output_throughput": 25 * 256}):
        imported = none_of(tmp_path, VLLM | wrong, "its own throughput")
        assert any("requests/s are stated, its times give 11.1" in note for note in imported.notes)
    silent = {name: value for name, value in VLLM.items() if name not in ("request_throughput", "duration")}
    assert throughput(written(tmp_path, "s.json", json.dumps(silent | {"output_throughput": None}))).rows
    slow = guidellm_benchmark()
    slow["metrics"]["requests_per_second"] = {"successful": {"mean": 0.4}}
    none_of(tmp_path, json.loads(guidellm(slow)), "its own throughput")
    table = MEASURED.replace("300,20,3150,3150,derived", "300,20,600,600,measured")
    imported = throughput(written(tmp_path, "t.csv", table))
    adds_up(imported)
    assert imported.places["its own throughput is not that of its times: one of the two is wrong"] == [
        f"{tmp_path / 't.csv'}:2"
    ]


def test_one_row_without_time_per_token_does_not_refuse_the_others(tmp_path):
    one = VLLM | {"total_output_tokens": 640, "mean_tpot_ms": 0.0, "request_throughput": 150.0, "duration": 4.3}
    unmeasured = VLLM | {"mean_ttft_ms": 0.0}
    text = "\n".join(json.dumps(data) for data in (VLLM, one, unmeasured, VLLM | {"max_concurrency": None}))
    imported = throughput(written(tmp_path, "batch.jsonl", text))
    adds_up(imported)
    assert len(imported.rows) == 1
    assert [reason.split(":")[0] for reason, at in imported.places.items() if at[0].endswith("batch.jsonl:2")] == [
        "one token of output"
    ]
    assert "batch.jsonl:3" in imported.as_text() and "batch.jsonl:4" in imported.as_text()
    for name, old, new in (
        ("m.csv", MEASURED, MEASURED.replace("fp8,1024,1024,64,300,20", "fp8,1024,1,64,300,0")),
        ("s.csv", SILICON, SILICON.replace("8192,1024,128", "8192,1,128", 1)),
    ):
        before, after = throughput(written(tmp_path, name, old)), throughput(written(tmp_path, name, new))
        assert len(after.rows) == len(before.rows) - 1 and any("one token" in reason for reason in after.skipped)


@with_data
def test_ten_measured_rows_are_met_to_one_percent():
    imported, points = read_throughput(DATA / "throughput.csv")
    adds_up(imported)
    rows = {
        (r.model, r.accelerator, r.chips, r.engine, r.precision, r.concurrency, r.ttft_ms, r.tpot_ms): r
        for r in imported.rows
    }
    picked = random.Random(1).sample(points, 10)
    for p in picked:
        key = (p.model, p.accelerator, p.chips, p.engine, p.precision, p.concurrency)
        row = rows[*key, p.point.first_token_ms, p.point.per_token_ms]
        took = row.input_len / p.point.prefill_tokens_per_second + row.output_len / p.point.decode_tokens_per_second
        assert took == pytest.approx(
            (row.ttft_ms + (row.output_len - 1) * row.tpot_ms) / 1000 / row.concurrency, rel=0.01
        )
