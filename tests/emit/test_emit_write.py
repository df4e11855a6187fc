"""Names stay apart, paths stay inside, and a folder is written whole, once, and never through a link."""

import json
import re

import pytest
from emitting import hostile_names
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.emit import write as writing
from planner.emit.names import distinct, short_slug, slug
from planner.emit.reservation_rules import RESERVATION_RULES, rule_of
from planner.emit.write import MANIFEST, changes, write
from planner.errors import InputError

FILES = {"a.txt": "one\n", "b/c.txt": "two\n", "b/d/e.json": "{}\n"}
ABOUT = {"target": "test"}


@given(st.lists(st.text(max_size=300), min_size=2, max_size=20, unique=True), st.sampled_from([20, 38, 63]))
@settings(max_examples=100, deadline=None)
def test_slugs_are_plain_short_and_apart(names, most):
    found = [slug(name, most) for name in names]
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) and len(name) <= most for name in found)
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]{0,11}", short_slug(name)) for name in names)


def test_hostile_names_stay_apart_and_plain_names_stay():
    names = hostile_names()
    assert len(names) >= 500
    assert len(set(distinct(names).values())) == len(names)
    assert slug("chat-70b") == "chat-70b"
    for name in ("Chat 70b", "chat_70b", "chat.70b", "CHAT-70B", "ｃｈａｔ-70b"):
        assert slug(name) != "chat-70b" and slug(name).startswith("chat-70b-")


def test_nobody_can_take_the_slug_of_another_name():
    taken = slug("Chat 70b")
    assert slug(taken) != taken


def test_equal_slugs_are_refused(monkeypatch):
    monkeypatch.setattr("planner.emit.names._digest", lambda text: "0" * 64)
    with pytest.raises(InputError, match="a name of its own"):
        distinct(["a b", "a_b"])


def test_the_law():
    said = {
        ("aws", "on_demand", "p5.48xlarge"): "immediate",
        ("aws", "commitment", "p5.48xlarge"): "immediate",
        ("aws", "capacity_block", "trn2.48xlarge"): "capacity_block",
        ("aws", "capacity_block", "g6.48xlarge"): "by_hand",
        ("aws", "spot", "p5.48xlarge"): "spot",
        ("google", "commitment", "ct6e-standard-8t"): "future_reservation",
        ("google", "commitment", "tpu7x-standard-4t"): "by_hand",
        ("google", "on_demand", "ct6e-standard-8t"): "none",
        ("google", "on_demand", "a3-highgpu-8g"): "immediate",
        ("azure", "on_demand", "Standard_ND96isr_H100_v5"): "none",
        ("azure", "on_demand", "Standard_ND96isr_MI300X_v5"): "none",
        ("azure", "commitment", "Standard_NC80adis_H100_v5"): "none",
        ("azure", "on_demand", "Standard_NC96ads_A100_v4"): "immediate",
        ("owned", "build_out", "dgx-b200"): "by_hand",
        ("coreweave", "commitment", "h100"): "by_hand",
        ("azure", "held", "Standard_ND96isr_H100_v5"): "none",
    }
    assert {key: rule_of(*key).instrument for key in said} == said
    assert all(rule.source and re.match(r"\d{4}", rule.as_of) for rule in RESERVATION_RULES)
    nd = [rule for rule in RESERVATION_RULES if rule.provider == "azure" and rule.instrument == "immediate"]
    assert not any(t.startswith(("Standard_ND", "*")) for rule in nd for t in rule.machine_types)


def kinds(found):
    return {change.path: change.kind for change in found}


def test_what_is_written_is_listed_and_the_second_time_nothing_changes(tmp_path):
    assert kinds(changes(tmp_path / "out", FILES)) == dict.fromkeys(FILES, "new")
    assert not (tmp_path / "out").exists()
    assert kinds(write(tmp_path / "out", FILES, ABOUT)) == dict.fromkeys(FILES, "new")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()}
    assert {p.relative_to(tmp_path / "out").as_posix() for p in before} == {*FILES, MANIFEST}
    assert kinds(write(tmp_path / "out", FILES, ABOUT)) == dict.fromkeys(FILES, "same")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before


def test_a_dry_run_shows_the_difference(tmp_path):
    write(tmp_path, FILES, ABOUT)
    (found,) = [c for c in changes(tmp_path, {**FILES, "a.txt": "three\n"}) if c.kind == "changed"]
    assert found.path == "a.txt" and "-one" in found.difference and "+three" in found.difference
    assert (tmp_path / "a.txt").read_text() == "one\n"


def test_stale_files_go_only_when_the_manifest_names_them_and_nobody_edited_them(tmp_path):
    write(tmp_path, FILES, ABOUT)
    (tmp_path / "b/mine.txt").write_text("mine")
    (tmp_path / "b/c.txt").write_text("edited")
    assert kinds(write(tmp_path, {"a.txt": "one\n"}, ABOUT)) == {
        "a.txt": "same",
        "b/c.txt": "kept",
        "b/d/e.json": "stale",
    }
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"a.txt", "b/c.txt", "b/mine.txt", MANIFEST}
    assert not (tmp_path / "b/d").exists()


def test_a_file_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="somebody else"):
        write(tmp_path, FILES, ABOUT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "mine"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../x", "a//x", "", ".", "a\\x", ".hidden", "a\nb", "x/."])
def test_paths_stay_inside(tmp_path, path):
    with pytest.raises(InputError):
        write(tmp_path / "out", {path: "x"}, ABOUT)
    assert not (tmp_path / "out").exists()


def test_links_out_of_the_folder_are_refused(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("theirs")
    (out / "b").symlink_to(elsewhere)
    with pytest.raises(InputError, match="a link"):
        write(out, FILES, ABOUT)
    (out / "b").unlink()
    (out / "a.txt").symlink_to(elsewhere / "a.txt")
    with pytest.raises(InputError, match="a link"):
        write(out, FILES, ABOUT)
    (out / "a.txt").unlink()
    (out / MANIFEST).symlink_to(elsewhere / "a.txt")
    with pytest.raises(InputError, match="a link"):
        write(out, FILES, ABOUT)
    assert {p.name: p.read_text() for p in elsewhere.iterdir()} == {"a.txt": "theirs"}


def test_a_manifest_that_leads_outside_removes_nothing(tmp_path):
    (tmp_path / "victim").write_text("x")
    out = tmp_path / "out"
    write(out, FILES, ABOUT)
    (out / MANIFEST).write_text(json.dumps({"files": {"../victim": "0" * 64}}))
    with pytest.raises(InputError):
        write(out, {}, ABOUT)
    (out / MANIFEST).write_text("[1]")
    with pytest.raises(InputError, match="manifest"):
        write(out, {}, ABOUT)
    assert (tmp_path / "victim").exists()


def test_when_a_file_cannot_be_written_none_is(tmp_path, monkeypatch):
    original = writing._write_temporary

    def fails(root, path, text):
        if path == "b/d/e.json":
            raise OSError(28, "No space left on device")
        original(root, path, text)

    monkeypatch.setattr(writing, "_write_temporary", fails)
    with pytest.raises(InputError, match="No space left"):
        write(tmp_path, FILES, ABOUT)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
