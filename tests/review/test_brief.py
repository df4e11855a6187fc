"""The brief: one screen, from the rows of the review, with all that must be seen; colours by severity, not by words."""

import json
import os
import re
from dataclasses import replace
from threading import Thread

import pytest
from helpers import write_study
from sections import table
from typer.testing import CliRunner

from planner.cli.console import in_colour
from planner.cli.main import app
from planner.emit.cascade import NOT_PUSHED, OVERRIDE, TOO_LATE
from planner.plan.file import sealed
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.questions.explain_failure import explain_failure
from planner.review.answer import review_plan
from planner.review.brief import MOST_ORDERS, _files_that_break, _order, _read_next, brief_plan
from planner.review.failures import MOVED_WITHOUT_NEED
from planner.review.render import render
from planner.review.report import AT_RISK, BROKEN, HELD, Column, Judged, Report, Section, percent, usd
from planner.review.static import StaticOutcome
from planner.solve.search import Effort
from planner.study.read import read_study

ESCAPE = "\x1b["


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    study, _ = read_study(write_study(tmp_path_factory.mktemp("study")))
    return make_plan(study, Effort())


@pytest.fixture(scope="module")
def whole(plan):
    return review_plan(plan, True)


@pytest.fixture(scope="module")
def brief(plan):
    return brief_plan(plan, "plan.json")


@pytest.fixture
def not_drilled(monkeypatch):
    """Reviews without their longest part."""
    monkeypatch.setattr("planner.review.trust._margins", lambda plan, progress: ((), "study.yaml: expected a, got b"))


@pytest.fixture(scope="module")
def file(plan, tmp_path_factory):
    path = tmp_path_factory.mktemp("with blanks") / "my plan.json"
    path.write_text(plan.model_dump_json(by_alias=True), encoding="utf-8")
    return path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def part(report, title):
    return next(section for section in report.sections if section.title == title)


def words(report):
    """The text of a report on one line."""
    return " ".join(render(report, "text").split())


# ------------------------------------------------------------------ what is on it
def test_one_screen_of_80_columns(brief, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = render(brief, "text").splitlines()
    assert 20 <= len(lines) <= 44 and max(map(len, lines)) <= 80
    titles = [line for line in lines if line.isupper() and not line.startswith(" ")]
    assert titles == ["ANSWER", "ORDER", "WORST FAILURES", "TRUST", "READ NEXT"]


def test_every_figure_is_one_of_the_review(plan, whole, brief):
    assert brief.good == whole.good and brief.data == whole.data
    orders, failures = part(whole, "ORDER").rows, part(whole, "FAILURES").rows
    assert all(row in orders for row in part(brief, "ORDER").rows)
    worst = part(brief, "WORST FAILURES").rows
    assert [row.failure for row in worst] == list(failures[: len(worst)])
    slices = part(whole, "RECOVERY TIMELINE").data
    for row in worst:
        f = row.failure.failure
        protected = {tier for tier, fraction, _ in in_hand(plan).problem.promised[f] if fraction > 0}
        begin = [s.served_fraction for s in slices if s.failure == f and s.event == "begin" and s.tier in protected]
        assert row.served_at_once_fraction == min(begin)
    tiers = [c.title for c in part(whole, "FAILURES").columns if c.title in worst[0].failure.served_fraction]
    of_review, of_brief = table(part(whole, "FAILURES")), table(part(brief, "WORST FAILURES"))
    assert [[row[t] for t in tiers] for row in of_brief] == [[row[t] for t in tiers] for row in of_review[: len(worst)]]
    margins, assumptions = part(whole, "TRUST").data["margins"], part(whole, "KEY ASSUMPTIONS").data
    trust = part(brief, "TRUST")
    assert list(trust.data["margins"]) == list(margins[:1])
    assert all(a in assumptions for a in trust.data["key_assumptions"]) and trust.data["key_assumptions"]
    assert margins and any(f"first to break: {margins[0].kind}" in line for line in trust.lines)
    proof, months = plan.proof, plan.study.horizon.months
    cost = next(line for line in part(brief, "ANSWER").lines if line.startswith("cost "))
    assert cost.startswith(
        f"cost {usd(proof.cost_usd / months)} USD a month, {usd(proof.cost_usd)} USD over {months:g}"
    )
    assert part(whole, "ANSWER").data["cost_usd_per_month"] == proof.cost_usd / months


def test_the_worst_failure_is_the_same_one_in_all_sections(plan, whole, brief):
    """By the tier with a goal: provider alpha takes gold to 24 %, but goals leave it 70 % when quake lasts."""
    order = [row.failure for row in part(whole, "FAILURES").rows]
    assert order == ["failure:quake", "provider:alpha", "provider:beta", "power:grid"]
    assert list(dict.fromkeys(row.failure for row in part(whole, "RECOVERY TIMELINE").rows)) == order
    assert [row.failure for row in part(whole, "HEAT MAP").rows] == order
    assert {row.failure for row in part(whole, "RECOVERY FROM THE WORST FAILURE").rows} == {"failure:quake"}
    at_once = {row.failure.failure: (row.tier_at_once, percent(row.served_at_once_fraction)) for row in worst_of(brief)}
    assert at_once["provider:alpha"] == ("gold", "24 %"), "bulk, without a goal, is at 0 %"


def test_what_is_evicted_is_gone_when_requests_are_moved_not_when_what_takes_its_machines_runs(plan, whole):
    """Quake is detected after 10 s: bulk, half of which outlives it, makes headroom for gold then, not after 130 s."""
    steps = explain_failure(in_hand(plan), "failure:quake", in_hand(plan).problem.hours[0]).steps
    evicted = {step.seconds for step in steps if step.what == "evicted" or step.what == "not served"}
    assert evicted == {10.0}
    timeline = part(whole, "RECOVERY TIMELINE")
    bulk = [row for row in timeline.data if (row.failure, row.tier) == ("failure:quake", "bulk")]
    assert [(row.seconds, row.event, row.served_fraction) for row in bulk[:2]] == [
        (0.0, "begin", 0.5),
        (10.0, "moved", 0),
    ]
    said = " ".join(part(whole, "RECOVERY FROM THE WORST FAILURE").lines)
    assert "replicas that make headroom" in said and "a second with .001" in said


def test_it_is_said_that_what_moves_though_nothing_is_lost_need_not(whole):
    failures = part(whole, "FAILURES")
    grid = next(row for row in failures.rows if row.failure == "power:grid")
    assert grid.replicas_lost == 0 and grid.moved_requests_per_second > 1 and MOVED_WITHOUT_NEED in failures.lines


def test_what_fullest_is_of_is_said_where_it_is_read(whole):
    """FAILURES divides by the limit, UTILISATION BY POOL by all machines, a gate and a simulation by neither."""
    said = " ".join(part(whole, "FAILURES").lines)
    assert "may be filled in a failure (by waiting)" in said and "gate's of a placement is of the full" in said
    assert "fullest in FAILURES is of the replicas of one placement" in " ".join(
        part(whole, "UTILISATION BY POOL").lines
    )


def worst_of(brief):
    return part(brief, "WORST FAILURES").rows


def orders(whole, *usd, **changes):
    """The orders of a review, one of each sum, as its only section that is asked for."""
    (first, *_) = part(whole, "ORDER").rows
    rows = [replace(first, usd=float(each), **changes) for each in usd]
    return {"ORDER": Section("ORDER", rows=rows)}


def test_few_orders_are_all_written_and_of_many_the_largest_and_the_first(plan, whole):
    few = _order(in_hand(plan), orders(whole, *range(MOST_ORDERS)))
    assert [o.usd for o in few.rows] == list(range(MOST_ORDERS)) and few.after == ()
    many = _order(in_hand(plan), orders(whole, 1, 9, 2, 3, 8, 1, 7, 4, 6))
    assert [o.usd for o in many.rows] == [1.0, 9.0, 2.0, 8.0, 7.0, 6.0]
    assert many.after == ("... and 3 more, 8.00 USD",)


# ------------------------------------------------------------------ what must be seen
def test_a_plan_that_is_not_proven_says_so(plan, not_drilled):
    worse = plan.proof.model_copy(update={"gap_asked_fraction": 0.0, "gap_fraction": 0.5, "status": "stopped"})
    report = brief_plan(sealed(plan.model_copy(update={"proof": worse})))
    assert not report.good and "(NOT PROVEN: 0.00 % was asked)" in words(report) and "not reproducible" in words(report)


def test_an_audit_that_fails_is_all_that_is_read(plan, not_drilled):
    """A sum that is wrong is said above the orders; of a file that was edited nothing else is read."""
    report = brief_plan(plan.model_copy(update={"digest_sha256": "0" * 64}))
    assert [section.title for section in report.sections] == ["ANSWER", "READ NEXT"] and not report.good
    fails = part(report, "ANSWER").lines[0]
    assert fails.startswith("THE AUDIT FAILS") and fails.severity == BROKEN
    cost = next(line for line in part(report, "ANSWER").lines if line.startswith("cost "))
    assert "AS THE FILE SAYS" in cost and cost.severity == BROKEN
    dearer = plan.proof.model_copy(update={"cost_usd": plan.proof.cost_usd * 2})
    report = brief_plan(sealed(plan.model_copy(update={"proof": dearer})))
    assert part(report, "ANSWER").lines[0].startswith("THE AUDIT FAILS") and part(report, "ORDER").rows


def test_what_cannot_be_covered_stands_first(tmp_path, not_drilled):
    """Nobody outlives both providers: no capacity can cover that, and the goal is not held in full."""
    both = "survive:\n      - {any: provider, of: 2, serve_fraction: 0.5, within_seconds: 600}\n"
    study, _ = read_study(write_study(tmp_path, [("study.yaml", "survive:\n", both)]))
    report = brief_plan(make_plan(study, Effort(gap_fraction=0.1)))
    first, *others = part(report, "ANSWER").lines
    assert first.startswith("CANNOT BE COVERED by any capacity") and first.severity == BROKEN and not report.good
    assert any("missing:" in line for line in others)
    in_part = [line for line in others if "but for the uncoverable" in line]
    assert in_part and all(line.severity == AT_RISK for line in in_part)


def test_an_order_whose_day_has_passed_is_late(plan, whole):
    section = _order(in_hand(plan), orders(whole, 3, 4, days_late=2))
    assert section.lines == ("LATE: 2 orders, 7.00 USD, by days that have passed",)
    assert section.lines[0].severity == BROKEN and section.columns[0].severity_in(section.rows[0]) == BROKEN
    assert table(section)[0]["order by"].endswith(" LATE")


def test_a_gateway_that_breaks_goals_by_its_file_is_named():
    outcomes = [("too late", TOO_LATE, OVERRIDE), ("dark", NOT_PUSHED, OVERRIDE), ("fine", OVERRIDE, OVERRIDE)]
    rows = []
    for failure, envoy, litellm in outcomes:
        verdicts = {"envoy": envoy, "litellm": litellm}
        rows.append({gateway: StaticOutcome(failure, gateway, verdict, 0.5) for gateway, verdict in verdicts.items()})
    (line,) = _files_that_break(Section("STATIC FILES", rows=rows))
    assert line == "envoy: goals break in 2 failures by its file: see STATIC FILES" and line.severity == BROKEN
    assert _files_that_break(None) == []


def test_what_the_drill_refuses_is_said(plan, not_drilled):
    lines = part(brief_plan(plan), "TRUST").lines
    assert lines[0] == "first to break: not known, as the drill refuses the study: study.yaml: expected a, got b"


# ------------------------------------------------------------------ the command line
def test_the_commands_to_read_next_have_the_path_of_the_plan(plan, file, not_drilled):
    said = call("review", file, "--brief", "-q").stdout
    assert f"planner review '{file}'" in said and f"planner drill '{file}'" in said
    assert "not kept in a file" in render(brief_plan(plan), "text")


def test_a_piped_plan_is_not_read_next_from_its_pipe(file, tmp_path, not_drilled):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=lambda: pipe.write_bytes(file.read_bytes()), daemon=True)
    writer.start()
    said = call("review", pipe, "--brief", "-q").stdout
    writer.join(10)
    assert "planner review plan.json" in said and "not kept in a file" in said and str(pipe) not in said


def test_long_commands_stand_above_what_they_are_for(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = f"/{'a' * 30}/plan.json"
    lines = render(Report("t", True, (_read_next(path),)), "text").splitlines()[3:]
    assert lines[2:4] == [f"  planner explain {path}", "    why; what a step of a limit is worth"]
    assert len(lines) == 8 and max(map(len, lines)) <= 80
    short = render(Report("t", True, (_read_next("plan.json"),)), "text").splitlines()[3:]
    assert len(short) == 4 and max(map(len, short)) <= 80


def test_plan_prints_a_brief_and_the_review_on_demand(tmp_path, not_drilled):
    study, out = write_study(tmp_path / "study"), tmp_path / "plan.json"
    brief = call("plan", study, "--out", out, "-q").stdout
    assert "\nREAD NEXT\n" in brief and "\nRECOVERY TIMELINE\n" not in brief and f"planner drill {out}" in brief
    full = call("plan", study, "--full", "--format", "text", "-q").stdout
    assert "\nRECOVERY TIMELINE\n" in full and "\nREAD NEXT\n" not in full
    assert call("review", out, "-q").stdout == full
    sections = json.loads(call("review", out, "--brief", "-q", "-f", "json").stdout)["sections"]
    assert {"answer", "order", "worst failures", "trust", "read next"} == set(sections)


# ------------------------------------------------------------------ colour
REPORT = Report(
    "t",
    True,
    (
        Section(
            "T",
            (Judged("all is well", HELD), "BROKEN is but a word"),
            (Column("verdict", lambda row: row[0], severity=lambda row: row[1]),),
            [("holds", HELD), ("BROKEN", None), ("BROKEN", BROKEN), ("80 %", AT_RISK)],
        ),
    ),
)


def test_colours_are_of_severities_and_never_of_words():
    plain, coloured = render(REPORT, "text"), render(REPORT, "text", colour=True)
    assert ESCAPE not in plain and re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain
    lines = coloured.splitlines()
    assert lines[3] == "  \x1b[32mall is well\x1b[0m" and lines[4] == "  BROKEN is but a word"
    assert lines[7:] == ["\x1b[32mholds\x1b[0m", "BROKEN", "\x1b[1;31mBROKEN\x1b[0m", "\x1b[33m80 %\x1b[0m"]
    assert all(ESCAPE not in render(REPORT, format, colour=True) for format in ("md", "json"))


class Terminal:
    """A stream that is a terminal, or none."""

    def __init__(self, is_terminal):
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "variables", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
    ],
)
def test_when_there_is_colour(is_terminal, variables, expected, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert in_colour(Terminal(is_terminal)) is expected
    assert not in_colour(None) or variables.get("FORCE_COLOR")


def test_a_file_has_no_colour(file, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert call("audit", file, "-q", "--out", tmp_path / "a.txt").exit_code == 0
    assert ESCAPE not in (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert ESCAPE in call("audit", file, "-q").stdout and ESCAPE not in call("audit", file, "-q", "-f", "json").stdout
