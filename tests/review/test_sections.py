"""Sections of a report: cut once, the same row in text and JSON, added by a function and a line in a list."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from helpers import write_study
from sections import table

from planner.drill import drill_plan
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.review import answer
from planner.review.drill import review_drill
from planner.review.render import render
from planner.review.report import Column, Report, Section, Several, as_data, no_plan_section
from planner.solve.search import Effort
from planner.study.read import read_study


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    study, _ = read_study(write_study(tmp_path_factory.mktemp("study")))
    return make_plan(study, Effort())


@dataclass(frozen=True)
class Load:
    """What a pool carries."""

    pool: str
    used_fraction: float
    is_total: bool = False


COLUMNS = (
    Column("pool"),
    Column("used", lambda row: f"{100 * row.used_fraction:.0f} %"),
    Column("never", lambda row: 1, when=False),
)
LOADS = [Load(f"p{n}", n / 20) for n in range(20)] + [Load("all", 0.5, True)]


def written(section, **how):
    return render(Report("t", True, (section,), **how), "text").splitlines()[3:]


def test_rows_are_cut_once_and_totals_stay():
    section = Section("LOAD", (), COLUMNS, LOADS, always=lambda row: row.is_total)
    lines = written(section, all_rows=False)
    assert lines[0].split() == ["pool", "used"], "a column that there is not"
    assert lines[2].split() == ["p0", "0", "%"] and lines[13].split() == ["p11", "55", "%"]
    assert lines[14].split() == ["all", "50", "%"] and lines[15].strip() == "... and 8 more: --all"
    assert len(written(section)) == 2 + 21 == len(written(replace(section, most=None), all_rows=False))


def test_text_and_json_come_from_the_same_row():
    section = Section("LOAD (pools)", (), COLUMNS, LOADS[:2])
    (rows,) = json.loads(render(Report("t", True, (section,), all_rows=False), "json"))["sections"].values()
    assert rows == [as_data(row) for row in LOADS[:2]] and rows[1]["used_fraction"] == 0.05
    assert table(section)[1] == {"pool": "p1", "used": "5 %"}
    report = Report("t", True, (section, Section("NEXT", ("a", Several(("b", "c"), "more", 1)))))
    assert json.loads(render(report, "json"))["sections"] == {
        "load": rows,
        "next": {"lines": ["a", "b", "c"], "rows": []},
    }


def test_lines_of_one_kind_are_cut_like_rows():
    section = Section("T", ("first", Several(("a", "b", "c"), "more contracts", 2)))
    assert [line.strip() for line in written(section, all_rows=False, all_by="--format json")] == [
        "first",
        "a",
        "b",
        "... and 1 more contracts: --format json",
    ]
    assert no_plan_section({}) is None
    assert no_plan_section({"one": "no power\nno more"}).lines == ("one:", "  no power", "  no more")


def test_a_section_is_a_function_and_a_line_in_the_list(plan, monkeypatch):
    def largest(held):
        """A section of the reader's own: how full each pool is."""
        rows = [Load(q, 0.5) for q in held.problem.pools]
        return Section("HOW FULL", (), COLUMNS, rows)

    monkeypatch.setattr(answer, "SECTIONS", (largest, lambda held: None))
    report = answer.review_plan(plan)
    assert [section.title for section in report.sections] == ["ANSWER", "HOW FULL"]
    data = json.loads(render(report, "json"))["sections"]["how full"]
    assert {row["pool"] for row in data} == set(in_hand(plan).problem.pools)


def test_a_review_builds_problem_and_graph_once(plan, monkeypatch):
    """Whatever a section needs is of the one plan in hand; the audit works out anew what the plan states of itself."""
    calls = Counter()

    def counted(name, original):
        def call(*args, **more):
            calls[name] += more.get("with_goals", True)
            return original(*args, **more)

        return call

    rooms = ("planner.review.", "planner.emit.", "planner.questions.", "planner.plan.")
    of_the_audit = {("planner.plan.decisions", "dependency_graph")}
    for module in [m for name, m in sys.modules.items() if name.startswith(rooms)]:
        for name in ("build", "dependency_graph"):
            if callable(getattr(module, name, None)) and (module.__name__, name) not in of_the_audit:
                monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    answer.review_plan(plan)
    assert calls["build"] == 1 and calls["dependency_graph"] == 1, calls
    held = in_hand(plan)
    assert held.problem is not None and held.graph is not None
    answer.review_plan(held)
    assert calls["build"] == 2 and calls["dependency_graph"] == 2, "a plan in hand is taken as it is"


def test_the_report_of_a_drill_says_which_rules_it_does_not_judge(plan):
    result = drill_plan(plan)
    line = "not judged: rule at_most_so_many of the plan is not known to the drill; its verdict does not cover it"
    assert line not in review_drill(result, ()).sections[0].lines
    assert line in review_drill(replace(result, not_judged=("at_most_so_many",)), ()).sections[0].lines
