"""Round trips from tables and matrices."""

import json

import pytest
from import_excerpts import CLOUDPING, DATA, LATENCY, MATRIX, adds_up, refused, with_data, written

from planner.importers.round_trips import read_round_trips


def test_round_trips_prefer_the_median_and_name_providers_as_the_inventory_does(tmp_path):
    imported = read_round_trips(written(tmp_path, "l.csv", LATENCY))
    adds_up(imported)
    assert [(r.from_region, r.to_region, r.round_trip_ms, r.as_of) for r in imported.rows] == [
        ("aws/af-south-1", "aws/ap-east-1", 247.41, "2024-04-19"),
        ("aws/ap-northeast-1", "google/asia-east1", 38.1, "2022-02-14"),
    ]
    assert imported.rows[0].source == "cloudping, median" and imported.rows[0].evidence == "measured"


def test_any_table_of_round_trips_by_columns(tmp_path):
    path = written(tmp_path, "p.csv", "a,b,ms\nx,y,12.5\nx,y,12.5\nx,z,\n")
    assert "--columns" in refused(lambda: read_round_trips(path))[0].expected
    imported = read_round_trips(path, "from=a,to=b,ms=ms", "aws", "2026-11", "own pings")
    adds_up(imported)
    assert [(r.from_region, r.to_region) for r in imported.rows] == [("aws/x", "aws/y")]
    assert dict(imported.skipped) == {"a repetition of the same figure": 1, "no figure": 1}
    assert len(refused(lambda: read_round_trips(path, "from=a,too=b,ms=msec"))) == 2


def test_a_matrix_of_round_trips_is_read_from_csv_and_json(tmp_path):
    given = {"provider": "aws", "as_of": "2026-11", "source": "cloudping.co"}
    imported = read_round_trips(written(tmp_path, "m.csv", MATRIX), **given)
    adds_up(imported)
    ms = {(row.from_region, row.to_region): row.round_trip_ms for row in imported.rows}
    assert ms["aws/us-east-1", "aws/us-west-2"] == 66.0 and ms["aws/us-west-2", "aws/us-east-1"] == 65.1
    assert len(ms) == 5 and imported.skipped == {"no figure": 1}
    for data in (CLOUDPING, CLOUDPING["data"]):
        again = read_round_trips(written(tmp_path, "c.json", json.dumps(data)), **given)
        adds_up(again)
        assert {(row.from_region, row.to_region): row.round_trip_ms for row in again.rows} == {
            ("aws/us-east-1", "aws/us-east-1"): 4.1,
            ("aws/us-east-1", "aws/us-west-2"): 66.0,
            ("aws/us-west-2", "aws/us-east-1"): 65.1,
        }
        assert {row.source for row in again.rows} == {"cloudping.co, median" if data is CLOUDPING else "cloudping.co"}
    dated = CLOUDPING | {"metadata": {"timestamp": "2026-10-02T08:00:00Z", "percentile": "p_50"}}
    path = written(tmp_path, "d.json", json.dumps(dated))
    assert {row.as_of for row in read_round_trips(path, provider="aws", source="x").rows} == {"2026-10-02"}
    worst = CLOUDPING | {"metadata": {"percentile": "p_90", "unit": "milliseconds"}}
    assert "p_90" in " ".join(read_round_trips(written(tmp_path, "w.json", json.dumps(worst)), **given).notes)


def test_what_a_matrix_does_not_say_is_asked_for_once(tmp_path):
    for name, text in (("m.csv", MATRIX), ("c.json", json.dumps(CLOUDPING))):
        path = written(tmp_path, name, text)
        fixes = [finding.fix.split(",")[0] for finding in refused(lambda path=path: read_round_trips(path))]
        assert fixes == ["give --provider", "give --as-of", "give --source"]
    seconds = CLOUDPING | {"metadata": {"unit": "seconds"}}
    assert refused(lambda: read_round_trips(written(tmp_path, "s.json", json.dumps(seconds))))[0].got == "'seconds'"
    for other in ({"a": 1}, [1], {"data": []}, {"data": {"a": 3}}, {"data": {}}):
        (finding,) = refused(lambda other=other: read_round_trips(written(tmp_path, "o.json", json.dumps(other))))
        assert "matrix as JSON" in finding.expected
    wrong = MATRIX.replace("128.0", "far")
    (finding,) = refused(
        lambda: read_round_trips(written(tmp_path, "x.csv", wrong), provider="aws", as_of="2026", source="us")
    )
    assert finding.where.endswith("x.csv:3: us-west-2 to eu-west-1")


@with_data
@pytest.mark.parametrize(("name", "pairs"), [("aws", 441), ("azure", 2862), ("gcp", 560), ("crosscloud", 768)])
def test_latency_tables_become_round_trips(name, pairs):
    imported = read_round_trips(DATA / f"latency_{name}.csv")
    adds_up(imported)
    assert len(imported.rows) == pairs
    regions = {region for row in imported.rows for region in (row.from_region, row.to_region)}
    assert {region.partition("/")[0] for region in regions} <= {"aws", "azure", "google"}
