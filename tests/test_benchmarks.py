"""The benchmarks at a tiny size: studies are what was asked for, peers reach the same optimum, tables say so."""

import doctest
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import melange, memory, peers, questions, tables, whole_plans  # noqa: E402
from benchmarks.measure import Measured, alone  # noqa: E402
from benchmarks.studies import SIZES, Size, generated  # noqa: E402
from planner.problem.build import build  # noqa: E402
from planner.problem.eligibility import workloads_without_edge  # noqa: E402
from planner.solve.highs import INTERIOR_POINT  # noqa: E402

TINY = SIZES["tiny"]
main = import_module("benchmarks.__main__")


@pytest.mark.parametrize("size", [TINY, Size(4, 8, 20, 30), Size(2, 2, 25, 10)])
def test_a_generated_study_is_as_large_as_asked(size):
    study = generated(size)
    p = build(study)
    origins = {o for _, o in p.flows}
    assert Size(len(study.workloads), len(origins), len(p.pools), len(p.failures) - 1) == size


def test_the_same_seed_makes_the_same_study():
    study = generated(TINY)
    assert generated(TINY) == study != generated(TINY, seed=2)


def test_more_failures_are_the_same_and_others():
    """Growth with failures is of one study: what is lost in the smaller is lost in the larger."""
    studies = [generated(replace(TINY, failures=n)) for n in (6, 10, 16)]
    lost = [set(build(study).failures) for study in studies]
    assert lost[0] < lost[1] < lost[2]
    assert studies[0].demand == studies[2].demand


@pytest.mark.parametrize("name", ["small", "newcomer"])
def test_every_stream_can_be_served(name):
    assert workloads_without_edge(build(generated(SIZES[name]), with_goals=False)) == {}


def test_more_failures_than_there_are_pairs():
    with pytest.raises(ValueError, match="there are"):
        generated(replace(TINY, failures=1000))


def test_every_peer_has_the_same_optimum():
    ours = peers.ours(TINY, 1)
    blocks = ours.facts["blocks"]
    others = {
        "oracle": peers.at_once(TINY, 1, blocks, True),
        "oracle, nothing merged": peers.at_once(TINY, 1, blocks, False, INTERIOR_POINT),
        "monolith": peers.at_once(TINY, 1, None, True),
        "monolith in PuLP": peers.pulp_monolith(TINY, 1, True),
    }
    if peers.has_linopy():
        others["monolith in linopy"] = peers.linopy_monolith(TINY, 1, True)
    for name, measured in others.items():
        assert tables.differing(name, [measured], [ours]) == []
    assert others["monolith"].facts["columns"] > others["oracle"].facts["columns"]


def test_an_oracle_that_forgets_a_failure_is_noticed():
    ours = peers.ours(TINY, 1)
    forgetful = peers.at_once(TINY, 1, [], True)
    assert len(tables.differing("forgetful", [forgetful], [ours])) == 1


def test_melange_is_at_its_published_optimum_and_ours_with_it():
    assert melange.transcription("example").value == pytest.approx(melange.EXAMPLE_USD)
    assert melange.ours("example").value == pytest.approx(melange.EXAMPLE_USD)


def test_memory_is_of_programs_that_differ_in_one_number(monkeypatch):
    """Twice the hours are twice the terms; a failure more is a part more."""
    monkeypatch.setattr(main, "alone", lambda function, *arguments: function(*arguments))
    one = memory.Case(TINY, binding=2)
    cases = {
        "hours": {n: replace(one, hours=n) for n in (1, 2)},
        "binding": {n: replace(one, binding=n) for n in (1, 2)},
    }
    table = main.memory_table(main.Asked(say=lambda line: None), cases)
    terms = {row[0]: int(row[2].replace(",", "")) for row in table.rows}
    assert terms["2 hours"] == pytest.approx(2 * terms["1 hours"], rel=0.1)
    assert terms["1 binding"] < terms["2 binding"] == terms["1 hours"]
    assert "hours 1." in table.after[0] or "hours 0.9" in table.after[0]


def test_a_whole_plan_and_plain_highs_bound_each_other():
    ours = whole_plans.plan("tiny", 1, 0.01)
    plain = whole_plans.plain("tiny", 1, 0.01, 60.0)
    assert ours.facts["audit"] and ours.facts["gap_fraction"] <= 0.01
    assert plain.bound <= ours.value * (1 + 1e-6) and ours.bound <= plain.value * (1 + 1e-6)


def test_a_question_changes_the_study():
    study = generated(TINY)
    for question in questions.QUESTIONS:
        assert questions.changed(study, question, study.offers[0].id) != study


def test_a_measurement_of_its_own_process_or_why_there_is_none():
    said = []
    measured = alone(melange.transcription, "example")
    assert measured.mib > 10 and measured.value == pytest.approx(melange.EXAMPLE_USD)
    assert tables.attempted(lambda: alone(melange.transcription, "unknown"), said.append, "none") is None
    assert said == ["none failed: KeyError: 'unknown'"]


def test_rows_of_a_table():
    ours = [Measured(10.0, 2.0), Measured(10.0, 4.0)]
    slower = [Measured(10.0, 8.0, facts={"columns": 1234}), Measured(10.0, 10.0)]
    assert tables.ratio_row("peer", slower, ours) == (
        "peer",
        "9.00 (8.00 to 10.00)",
        "0.325 (0.250 to 0.400)",
        "1,234",
        "0",
    )
    ended = [Measured(None, 80.0)]
    assert tables.ratio_row("peer", ended, ours)[1:3] == ("> 80.00", "< 0.025")
    assert tables.differing("peer", ended, ours) == []
    assert tables.ratio_row("peer", [None], ours)[1] == "failed"
    assert tables.exponent([10, 100], [1, 10]) == pytest.approx(1.0)


def test_what_is_not_reached_says_why():
    why = "few nodes; more of them"
    goals = [tables.Goal("seconds", 3.0, 2.5, " s", why), tables.Goal("gap", 1.0, 1.5, " %", why)]
    goals.append(tables.Goal("ratio", 1.0, None, "", why))
    page = main.page([tables.Table("Plans", ("study",), goals=goals)], "python -m benchmarks")
    assert "| seconds | 3 s | 2.5 s | yes |" in page and "| gap | 1 % | 1.5 % | **no** |" in page
    assert "gap; ratio: few nodes" in page and "seconds: " not in page
    assert page.index("What was to be reached") < page.index("## Plans")


def test_what_a_script_says_is_held_to_its_goals():
    seconds, gap = main.said_goals("full_inventory", "  71.5 s  search\n75.0 s in all, 0.6 GiB\ngap 0.97% (relaxation)")
    assert (seconds.measured, seconds.is_reached) == (75.0, False)
    assert (gap.measured, gap.is_reached) == (0.97, True)
    assert main.said_goals("drill", "75.0 s in all") == []


def test_the_command_runs_what_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(
        main, "melange_table", lambda asked: tables.Table("Program", ("case",), wrong=["ours is dearer"])
    )
    assert main.main(["--only", "melange", "--write", str(tmp_path / "page.md")]) == 1
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Benchmarks\n\nWritten by `python -m benchmarks --only melange")
    assert "WRONG: ours is dearer" in page and "What was to be reached" not in page


def test_a_table_says_what_is_wrong(monkeypatch):
    """The command ends with 1, and the page says it, when an optimum differs."""
    monkeypatch.setattr(main, "_ways", lambda *_: [("forgetful", peers.at_once, ([], True))])
    monkeypatch.setattr(main, "alone", lambda function, *arguments: function(*arguments))
    table = main.relaxation(main.Asked(runs=1, say=lambda line: None), "tiny", TINY)
    assert [row[0] for row in table.rows] == ["ours", "forgetful"]
    assert len(table.wrong) == 1 and "WRONG: forgetful" in table.markdown()


@pytest.mark.parametrize("module", ["benchmarks.measure", "benchmarks.tables"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(import_module(module)).failed == 0
