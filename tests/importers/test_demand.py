"""Traces: rates by class, bursts, the shape of a day."""

from datetime import date, datetime, timedelta

import pytest
import yaml
from import_excerpts import AZURE_TRACE, BURSTGPT, DATA, MOONCAKE, adds_up, refused, runner, with_data, written

from planner.cli.importing import app
from planner.importers.demand import read_demand, shapes_yaml
from planner.study.records.study import Horizon, Hour, Shape


def test_demand_by_class_origin_and_scale(tmp_path):
    imported = read_demand(
        written(tmp_path, "t.csv", AZURE_TRACE), {"london": 0.75, "tokyo": 0.25}, 120, {"short": "chat"}
    )
    adds_up(imported)
    # three short requests in 120 s, times 120: 3 requests/s
    assert [(r.workload, r.origin, r.requests_per_second) for r in imported.rows] == [
        ("chat", "london", 2.25),
        ("chat", "tokyo", 0.75),
    ]
    assert imported.more["workloads"]["chat"]["mean_input_tokens"] == pytest.approx((374 + 396 + 800) / 3)
    # minutes 18:15, 18:16, 18:17 hold 2, 0 and 1: busiest over the mean of those with requests 2 / 1.5
    figures = imported.more["workloads"]["chat"]
    assert figures["burst_factor"] == pytest.approx(4 / 3) and figures["empty_minutes"] == 1
    assert figures["burst_over_mean_rate"] == pytest.approx(2 / 60 / (3 / 120))


def test_mooncake_lines_are_in_milliseconds_and_what_no_class_holds_is_counted(tmp_path):
    imported = read_demand(written(tmp_path, "m.jsonl", MOONCAKE), {"x": 1.0})
    adds_up(imported)
    assert {r.workload: r.requests_per_second for r in imported.rows} == {
        "short": pytest.approx(1 / 120, rel=1e-5),
        "medium": pytest.approx(1 / 120, rel=1e-5),
    }
    assert sum(imported.skipped.values()) == 1


def test_requests_without_output_failed_and_are_counted_apart(tmp_path):
    path = written(tmp_path, "b.csv", BURSTGPT)
    imported = read_demand(path, {"x": 1.0}, workloads={"*": "chat"})
    adds_up(imported)
    assert imported.what == "BurstGPT" and imported.kept == 3
    # (399 + 204 + 261) / 3; with the one that failed it would be 216; 3 requests in 100 s
    assert imported.more["workloads"]["chat"]["mean_output_tokens"] == pytest.approx(288)
    assert imported.rows[0].requests_per_second == pytest.approx(0.03)
    assert f"skipped      1  without output: a request that failed ({path}:2)" in imported.as_text()
    lines = MOONCAKE + '{"timestamp": 60000, "input_length": 10, "output_length": 0}\n'
    failed = read_demand(written(tmp_path, "m.jsonl", lines), {"x": 1.0})
    adds_up(failed)
    assert failed.places["without output: a request that failed"] == [f"{tmp_path / 'm.jsonl'}:4"]
    nothing = read_demand(written(tmp_path, "n.csv", BURSTGPT.split("23,")[0]), {"x": 1.0})
    adds_up(nothing)
    assert not nothing.rows


def a_week(start="2024-05-10T00:00:00+00:00"):
    """A request every six minutes, and every three from 8 to 20 o'clock."""
    first = datetime.fromisoformat(start)
    minutes = [m for m in range(0, 7 * 24 * 60 + 1, 3) if m % 6 == 0 or 8 <= m / 60 % 24 < 20]
    rows = [f"{first + timedelta(minutes=m)},1000,200" for m in minutes]
    return "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n"


def test_a_week_long_trace_gives_the_shape_of_a_day(tmp_path):
    path = written(tmp_path, "week.csv", a_week())
    imported = read_demand(path, {"nyc": 1.0}, workloads={"*": "chat"}, shaped=True)
    # 20 an hour from 8 to 20, 10 in the other half: 15 in the mean
    night, noon = pytest.approx(2 / 3, abs=0.01), pytest.approx(4 / 3, abs=0.01)
    assert list(imported.more["day"]["chat"]["factors"].values()) == [night, night, noon, noon, noon, night]
    assert [row.shape for row in imported.rows] == ["chat"]
    assert any("utc-08-to-12: 1.33" in note for note in imported.notes)
    data = yaml.safe_load(shapes_yaml(imported))
    horizon = Horizon(
        start=date(2026, 3, 1), months=12.0, hours=tuple(Hour(**hour) for hour in data["horizon"]["hours"])
    )
    (shape,) = [Shape(**one) for one in data["shapes"]]
    assert set(shape.factors) == {hour.name for hour in horizon.hours}
    mean = sum(hour.weight_fraction * shape.factors[hour.name] for hour in horizon.hours)
    assert mean == pytest.approx(1.0, abs=0.01)
    plain = read_demand(path, {"nyc": 1.0}, workloads={"*": "chat"})
    assert [row.shape for row in plain.rows] == [None] and any("--shape" in note for note in plain.notes)
    # two hours west the same requests come two hours later
    west = read_demand(written(tmp_path, "west.csv", a_week("2024-05-10T00:00:00-02:00")), {"nyc": 1.0})
    factors = list(west.more["day"]["short"]["factors"].values())
    assert factors == [night, night, pytest.approx(1.0, abs=0.01), noon, noon, pytest.approx(1.0, abs=0.01)]
    numbers = "Timestamp,Request tokens,Response tokens\n" + "\n".join(f"{3600 * h},10,10" for h in range(30)) + "\n"
    own = read_demand(written(tmp_path, "own.csv", numbers), {"nyc": 1.0})
    assert "hour-00-to-04" in own.more["day"]["short"]["factors"]
    assert "day" not in read_demand(written(tmp_path, "short.csv", AZURE_TRACE), {"nyc": 1.0}, shaped=True).more
    far = numbers + "1e300,10,10\n"
    assert "a time up to" in refused(lambda: read_demand(written(tmp_path, "far.csv", far), {"x": 1.0}))[0].expected


def test_the_command_writes_the_shape(tmp_path):
    path, out, shape = written(tmp_path, "week.csv", a_week()), tmp_path / "demand.csv", tmp_path / "shape.yaml"
    arguments = ["demand", str(path), "--origin", "nyc=1", "--workload", "chat", "-o", str(out), "--shape", str(shape)]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0 and yaml.safe_load(shape.read_text())["shapes"][0]["name"] == "chat"
    shape.unlink()
    short = written(tmp_path, "short.csv", AZURE_TRACE)
    done = runner.invoke(app, ["demand", str(short), "--origin", "nyc=1", "-o", str(out), "--shape", str(shape)])
    assert done.exit_code == 0 and not shape.exists() and "no shape was written" in done.output


def test_demand_by_columns_and_what_is_refused(tmp_path):
    path = written(tmp_path, "c.csv", "when,p,c\n0,10,1\n60,20,2\n")
    imported = read_demand(path, {"x": 1.0}, 1.0, {"*": "all"}, "timestamp_s=when,input=p,output=c")
    assert [r.workload for r in imported.rows] == ["all"] and imported.rows[0].requests_per_second == pytest.approx(
        2 / 60, rel=1e-5
    )
    assert "--columns" in refused(lambda: read_demand(path, {"x": 1.0}))[0].expected
    assert "sum to 1" in refused(lambda: read_demand(path, {"x": 0.7}))[0].expected
    assert refused(lambda: read_demand(path, {"x": 1.0}, 0.0)) and refused(lambda: read_demand(path, {}))
    assert "did you mean" in refused(lambda: read_demand(path, {"x": 1.0}, 1.0, {"shrt": "chat"}))[0].got
    still = written(tmp_path, "s.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n")
    assert "rate" in refused(lambda: read_demand(still, {"x": 1.0}))[0].expected


@with_data
@pytest.mark.parametrize(
    ("name", "rate", "tokens_in", "tokens_out", "burst"),
    [
        ("AzureLLMInferenceTrace_conv.csv", 5.53, 1155, 211, 1.56),
        ("AzureLLMInferenceTrace_code.csv", 2.57, 2048, 28, 2.99),
        ("mooncake_synthetic_trace.csv", 3.91, 15325, 149, None),
    ],
)
def test_statistics_of_the_traces(name, rate, tokens_in, tokens_out, burst):
    imported = read_demand(DATA / "traces" / name, {"london": 1.0})
    adds_up(imported)
    figures = imported.more["all"]
    assert round(figures["mean_requests_per_second"], 2) == rate
    assert (round(figures["mean_input_tokens"]), round(figures["mean_output_tokens"])) == (tokens_in, tokens_out)
    if burst is not None:
        assert round(figures["burst_factor"], 2) == burst
    # 13 of the 58 minutes of the code trace are empty: over the mean rate, which counts them, its bursts are 3.80
    if "code" in name:
        assert figures["empty_minutes"] == 13 and round(figures["burst_over_mean_rate"], 2) == 3.80
    percentiles = list(figures["rate_percentiles"].values())
    assert percentiles == sorted(percentiles)
