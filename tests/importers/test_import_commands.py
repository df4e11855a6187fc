"""`planner import`: rows, report, exit codes."""

import csv
import io
import json

import pytest
import yaml
from import_excerpts import (
    AZURE_TRACE,
    EXCERPTS,
    LATENCY,
    SILICON,
    aws,
    aws_product,
    azure_item,
    runner,
    written,
)

from planner.cli.importing import app
from planner.importers.prices import read_prices
from planner.importers.source import csv_text
from planner.study.places import Reading
from planner.study.records.inventory import Price, RoundTrip
from planner.study.records.study import Demand


def test_commands_write_rows_and_report(tmp_path):
    source, out = (
        written(tmp_path, "z.json", json.dumps([azure_item(), azure_item(currencyCode="EUR")])),
        tmp_path / "p.csv",
    )
    result = runner.invoke(app, ["prices", str(source), "--out", str(out)])
    assert result.exit_code == 0 and "2 prices read, 1 used" in result.stderr and "not in USD" in result.stderr
    with out.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == list(Price.model_fields) and row["price_usd_per_machine_hour"] == "98.32"
    result = runner.invoke(app, ["prices", str(source), "--out", str(out), "--format", "json"])
    assert json.loads(result.stdout)["skipped"] == {"not in USD": 1}
    result = runner.invoke(app, ["prices", str(written(tmp_path, "n.json", "{}"))])
    assert result.exit_code == 2 and "expected one of" in result.stderr
    nothing = written(tmp_path, "e.json", json.dumps([azure_item(currencyCode="EUR")]))
    absent = tmp_path / "absent.csv"
    assert runner.invoke(app, ["prices", str(nothing), "--out", str(absent)]).exit_code == 1 and not absent.exists()


def test_the_source_is_never_written_over(tmp_path):
    text = aws(aws_product())
    path = written(tmp_path, "answer.json", text)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for out in (path, link):
        result = runner.invoke(app, ["prices", str(path), "--out", str(out)])
        assert result.exit_code == 2 and "the input" in result.stderr
        assert path.read_text() == text
    rows = written(tmp_path, "rows.csv", "model,accelerator\n")
    assert runner.invoke(app, ["estimate", "--refit", str(rows), "--out", str(rows)]).exit_code == 2
    assert rows.read_text() == "model,accelerator\n"


@pytest.mark.parametrize("field", ["NextToken", "NextPageLink", "nextPageToken"])
def test_one_page_of_several_is_said(field, tmp_path):
    every = json.loads(aws(aws_product()))
    assert not read_prices(written(tmp_path, "a.json", json.dumps(every | {field: None}))).notes
    assert read_prices(written(tmp_path, "a.json", json.dumps(every | {field: "x"}))).notes == [
        f"one page of several: {field} names the next; import that too"
    ]


def test_commands_of_the_other_importers(tmp_path):
    latency = written(tmp_path, "l.csv", LATENCY)
    result = runner.invoke(app, ["round-trips", str(latency)])
    assert (result.exit_code == 0 and result.stdout.startswith("from_region,")) or "from_region" in result.stdout
    silicon, points = written(tmp_path, "s.csv", SILICON), tmp_path / "points.yaml"
    result = runner.invoke(app, ["throughput", str(silicon), "--points", str(points), "--out", str(tmp_path / "m.csv")])
    assert result.exit_code == 0 and len(yaml.safe_load(points.read_text())["points"]) == 2
    trace, rows = written(tmp_path, "t.csv", AZURE_TRACE), tmp_path / "d.csv"
    words = [
        "demand",
        str(trace),
        "--origin",
        "london=0.6",
        "--origin",
        "tokyo=0.4",
        "--workload",
        "chat",
        "--out",
        str(rows),
    ]
    result = runner.invoke(app, words)
    assert result.exit_code == 0 and "mean_input_tokens" in result.stderr
    assert next(csv.reader(io.StringIO(rows.read_text()))) == list(Demand.model_fields)
    for bad in (
        ["--origin", "london"],
        ["--origin", "london=x"],
        ["--origin", "a=1", "--workload", "a=b", "--workload", "c"],
    ):
        assert runner.invoke(app, ["demand", str(trace), *bad]).exit_code == 2, bad


def test_rows_are_read_back_as_the_records_they_are(tmp_path):
    from planner.study.read import KEYS
    from planner.study.tables import read_csv

    for name, cls in (("azure.json", Price), ("latency.csv", RoundTrip)):
        text, read = EXCERPTS[name]
        rows = read(written(tmp_path, name, text)).rows
        reading = Reading()
        back = read_csv(cls, written(tmp_path, "back.csv", csv_text(cls, rows)), reading, KEYS[cls])
        assert [row for row, _ in back] == rows and reading.findings == []
