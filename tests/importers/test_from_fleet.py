"""`planner init --from`: a fleet becomes a study."""

import random
from datetime import date

import pytest
from import_excerpts import ROOT, refused, written

from planner.drill import DrillResult, drill_fleet
from planner.errors import InputError
from planner.importers.catalogue import read_models
from planner.importers.from_fleet import start_from_fleet
from planner.importers.new_study import LONG_MEAN_TOKENS, MEAN_TOKENS
from planner.problem.build import build
from planner.study.dependencies import placement_id
from planner.study.memory import memory_needed_gib, usable_memory_gib
from planner.study.places import Reading
from planner.study.read import read_fleet, read_study
from planner.study.records.inventory import MachineType
from planner.study.tables import read_list

FLEET = """\
workload,origin,pool,profile,replicas,weight
chat,london,aws/us-east-2/trn2.48xlarge,llama-3.3-70b/trn2-bf16-tp32,10,30
chat,london,google/us-east5/ct6e-standard-8t,llama-3.3-70b/v6e-bf16-tp8,7,70
chat,New York,google/us-east5/ct6e-standard-8t,llama-3.3-70b/v6e-bf16-tp8,7,100
nightly-batch,aws/us-east-1,google/us-east5/ct6e-standard-8t,qwen3-32b/v6e-bf16-tp8,3,1
"""
DAY = date(2026, 11, 22)


def normal_operation_is_served(result: DrillResult) -> None:
    """Every route is eligible, and what is assumed to be asked is carried."""
    assert result.findings == ()
    normal = [row for row in result.rows if row.failure == "normal"]
    assert normal and all(row.served_fraction > 1 - 1e-9 and not row.broken for row in normal)


def test_a_fleet_becomes_a_study_that_is_read_and_drilled(tmp_path):
    folder = tmp_path / "mine"
    files = start_from_fleet(folder, written(tmp_path, "fleet.csv", FLEET), DAY)
    assert sorted(path.name for path in files) == ["demand.csv", "fleet.csv", "study.yaml"]
    study, _ = read_study(folder)
    fleet = read_fleet(folder / "fleet.csv", study)
    # 10 replicas of half a machine; 7 + 3 of a machine each
    held = {h.pool: h.machines for h in study.holdings}
    trn2 = next(
        p for m in study.models for p in m.profiles if p.name == "trn2-bf16-tp32" and m.model == "llama-3.3-70b"
    )
    assert held["google/us-east5/ct6e-standard-8t"] == 10
    assert held["aws/us-east-2/trn2.48xlarge"] == -(-10 * trn2.accelerators_per_replica // 16)
    tiers = {t.name: t for t in study.tiers}
    assert {w.name: w.tier for w in study.workloads} == {"chat": "interactive", "nightly-batch": "batch"}
    assert len(tiers["interactive"].survive) == 3 and not tiers["batch"].survive
    assert any("Demand is assumed" in text for text in study.assumptions)
    normal_operation_is_served(drill_fleet(study, fleet))
    assert start_from_fleet(tmp_path / "again", folder / "fleet.csv", DAY)
    assert (tmp_path / "again" / "demand.csv").read_text() == (folder / "demand.csv").read_text()


def test_the_traffic_of_a_fleet_fills_it_and_no_more(tmp_path):
    start_from_fleet(tmp_path / "mine", written(tmp_path, "fleet.csv", FLEET), DAY)
    study, _ = read_study(tmp_path / "mine")
    fleet = read_fleet(tmp_path / "mine" / "fleet.csv", study)
    rate = {(d.workload, d.origin): d.requests_per_second for d in study.demand}
    used: dict[tuple[str, str], float] = {}
    for row in fleet:
        total = sum(r.weight for r in fleet if (r.workload, r.origin) == (row.workload, row.origin))
        model, _, name = row.profile.partition("/")
        profile = next(p for m in study.models if m.model == model for p in m.profiles if p.name == name)
        workload = next(w for w in study.workloads if w.name == row.workload)
        point = next(p for p in profile.classes if p.context_class == workload.context_class)
        seconds = workload.mean_input_tokens / point.prefill_tokens_per_second
        seconds += workload.mean_output_tokens / point.decode_tokens_per_second
        key = row.pool, row.profile
        used[key] = used.get(key, 0.0) + seconds * rate[row.workload, row.origin] * row.weight / total / row.replicas
    waiting = build(study).waiting
    assert waiting is not None
    fullness = {}  # of what so many replicas may be filled
    for row in fleet:
        (most,) = waiting.largest(False, [placement_id(row.profile, row.pool)], [row.replicas])
        fullness[row.pool, row.profile] = used[row.pool, row.profile] / most
    assert all(share <= 1 for share in fullness.values())
    assert max(fullness.values()) > 0.97
    assert fullness["google/us-east5/ct6e-standard-8t", "llama-3.3-70b/v6e-bf16-tp8"] > 0.97


def test_the_quickstart_fleet_starts_a_study_whose_normal_operation_is_served(tmp_path):
    start_from_fleet(tmp_path / "mine", ROOT / "examples" / "quickstart" / "fleet_today.csv", DAY)
    study, _ = read_study(tmp_path / "mine")
    assert len(study.workloads) == 4 and len(study.demand) == 24
    by_class = {w.name: w.context_class for w in study.workloads}
    assert by_class == {"chat": "short", "code": "short", "long": "long", "batch": "short"}
    normal_operation_is_served(drill_fleet(study, read_fleet(tmp_path / "mine" / "fleet.csv", study)))


def test_a_profile_that_does_not_fit_ends_no_start(tmp_path):
    """12,035 tokens of input were too many for this fleet's own profile, and for others of its model."""
    row = "reason,london,aws/us-east-2/p5en.48xlarge,deepseek-r1/p5en-fp8-tp8-32k,4,1\n"
    fleet = written(tmp_path, "fleet.csv", FLEET.splitlines(keepends=True)[0] + row)
    start_from_fleet(tmp_path / "mine", fleet, DAY)
    study, _ = read_study(tmp_path / "mine")
    assert [w.context_class for w in study.workloads] == ["medium"]
    normal_operation_is_served(drill_fleet(study, read_fleet(tmp_path / "mine" / "fleet.csv", study)))


def test_every_profile_that_ships_holds_what_a_start_assumes():
    machines = {m.name: m for m, _ in read_list(MachineType, ROOT / "inventories" / "machine_types.yaml", Reading())}
    for model in read_models().values():
        for profile in model.profiles:
            for point in profile.classes:
                tokens = MEAN_TOKENS.get(point.context_class, LONG_MEAN_TOKENS)
                needed = memory_needed_gib(model.facts, profile, tokens[0] + tokens[1] / 2)
                assert needed <= usable_memory_gib(profile, machines[profile.machine_type]), (profile.name, tokens)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("london", "atlantis", "a city of sites.csv"),
        ("aws/us-east-2/trn2.48xlarge", "aws/us-east-2/trn2.48xlarg", "a pool that ships"),
        ("llama-3.3-70b/trn2-bf16-tp32", "llama-3.3-70b/trn2", "a profile (model/profile) that ships"),
        ("llama-3.3-70b/trn2-bf16-tp32", "llama-3.3-70b/v6e-bf16-tp8", "a profile for trn2.48xlarge"),
        ("v6e-bf16-tp8,7,100", "v6e-bf16-tp8,8,100", "7 as at"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,0,1", "replicas behind a route"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,3,0", "a route with a weight above 0"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,three,1", "a number"),
        ("nightly-batch,", "chat,", "llama-3.3-70b, the model of chat"),
        ("weight", "share", "a known column"),
        (FLEET, "", "a header and rows"),
        (FLEET.partition("\n")[2], "", "rows of a fleet"),
    ],
)
def test_a_wrong_fleet_is_answered_with_findings_and_nothing_is_written(old, new, expected, tmp_path):
    path = written(tmp_path, "fleet.csv", FLEET.replace(old, new, 1))
    imported = refused(lambda: start_from_fleet(tmp_path / "mine", path, DAY))
    assert any(expected in finding.expected for finding in imported), imported
    assert not (tmp_path / "mine").exists()


def test_random_mutations_of_a_fleet_are_answered(tmp_path):
    rng = random.Random("fleet")
    path = tmp_path / "fleet.csv"
    for i in range(60):
        raw = bytearray(FLEET.encode())
        at = rng.randrange(len(raw))
        raw[at : at + rng.choice((0, 1, 3))] = rng.choice([b"", b"0", b"-", b",", b"\n", b'"', b"x", b"1e9", b"\xff"])
        path.write_bytes(bytes(raw))
        try:
            start_from_fleet(tmp_path / f"study{i}", path, DAY)
        except InputError as error:
            assert error.findings


def test_a_folder_with_files_is_not_touched(tmp_path):
    path = written(tmp_path, "fleet.csv", FLEET)
    assert "new or empty" in refused(lambda: start_from_fleet(tmp_path, path, DAY))[0].expected
