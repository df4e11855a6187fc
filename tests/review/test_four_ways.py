"""Text, page, workbook and JSON of a review and of its brief say the same: every section, row, column, and sentence."""

import json
import re
from dataclasses import replace

import pytest
from buildouts import years
from four_ways import captions, differences, four_ways, heads, numbers_that_stand_nowhere, sums_of
from report_keys import plan_of_two_periods
from studies import random_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.plan.file import plan_text
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.review import tables, trust
from planner.review.answer import review_plan
from planner.review.brief import brief_plan
from planner.solve.search import Effort

pytest.importorskip("xlsxwriter")
plain = tables._plain
PLANS = {
    "two periods": plan_of_two_periods,
    "something uncoverable": lambda folder: Plan(make_plan(random_study(8), Effort(gap_fraction=0.2))),
    "machines built over years": lambda folder: Plan(make_plan(years(), Effort(gap_fraction=0.2))),
}


@pytest.fixture(scope="module", params=PLANS)
def written(request, tmp_path_factory):
    """The review of a plan and its brief, each with what is written of it."""
    plan = PLANS[request.param](tmp_path_factory.mktemp("plan"))
    return [(report, four_ways(report)) for report in (review_plan(plan), brief_plan(plan, "plan.json"))]


def test_every_row_column_and_sentence_is_the_same_in_all_four(written):
    for report, ways in written:
        assert differences(report, ways) == []
    assert len(written[0][0].sections) > 25


def test_numbers_in_what_is_read_first_are_fields_of_the_json(written):
    (review, of_review), (brief, of_brief) = written
    of_json = json.loads(of_review.json)
    assert numbers_that_stand_nowhere(heads(review, of_review), of_json) == []
    of_brief_json = json.loads(of_brief.json)
    usd = sum(o["usd"] for o in of_json["sections"]["order"]) - sum(
        o["usd"] for o in of_brief_json["sections"]["order"]
    )
    orders = len(of_json["sections"]["order"]) - len(of_brief_json["sections"]["order"])
    assert numbers_that_stand_nowhere(heads(brief, of_brief), [of_brief_json, usd, orders]) == []


def test_numbers_below_pictures_are_those_of_their_rows_or_sums_of_them(written):
    of_json = json.loads(written[0][1].json)["sections"]
    for key, caption in captions(written[0][1]).items():
        data = [of_json[key], of_json["answer"], sums_of(of_json[key])]
        assert numbers_that_stand_nowhere([caption], data) == [], key


def test_nothing_is_drilled_where_margins_are_not_asked_for(tmp_path, monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("nothing is drilled again")

    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan_of_two_periods(tmp_path / "study").file))
    monkeypatch.setattr(trust, "margins", refuse)
    for words in (["--full"], ["--brief"], ["--format", "json"], ["--all", "--format", "md"]):
        result = CliRunner().invoke(app, ["review", str(path), "--no-margins", "--quiet", *words])
        assert result.exit_code == 0, result.output
        assert "planner review PLAN --margins" in " ".join(result.stdout.split()) or words[-1] == "json"


# ------------------------------------------------------------------ what is noticed
def other(text, number):
    """A text in which one number, where it stands first in a table, is another one."""
    before, found, after = text.partition(number)
    assert found
    return f"{before}{number[:-1]}{(int(number[-1]) + 1) % 10}{after}"


@pytest.fixture(scope="module")
def of_years():
    report = review_plan(Plan(make_plan(years(), Effort(gap_fraction=0.2))))
    return report, four_ways(report)


def test_another_number_in_one_format_is_noticed(of_years, monkeypatch):
    report, ways = of_years
    assert differences(report, ways) == []
    order = next(section for section in report.sections if section.key == "order")
    cell = next(c for c in order.columns if c.title == "USD").value(order.rows[0])
    shown = re.match(r"[\d.,]+", cell)[0]
    text_of_order = ways.text.index("\nORDER\n")
    text = ways.text[:text_of_order] + other(ways.text[text_of_order:], shown)
    html_of_order = ways.html.index(">Order<", ways.html.index('id="section"'))
    html = ways.html[:html_of_order] + other(ways.html[html_of_order:], shown)
    data = json.loads(ways.json)
    first = data["sections"]["order"][0]
    first |= {name: 1.01 * value for name, value in first.items() if isinstance(value, float)}
    monkeypatch.setattr(tables, "_plain", lambda value: plain(value) * (1.02 if value == cell.value else 1))
    workbook = four_ways(report).xlsx
    for one in ({"text": text}, {"html": html}, {"json": json.dumps(data)}, {"xlsx": workbook}):
        assert any(line.startswith("ORDER") for line in differences(report, replace(ways, **one))), list(one)


def test_a_row_or_a_sentence_that_one_format_lacks_is_noticed(of_years):
    report, ways = of_years
    lines = ways.text.split("\n")
    row = lines.index("ORDER") + 3
    assert differences(report, replace(ways, text="\n".join(lines[:row] + lines[row + 1 :])))
    assert differences(report, replace(ways, html=re.sub("<li>order by = .*?</li>", "", ways.html)))
    assert differences(report, replace(ways, xlsx=four_ways(replace(report, sections=report.sections[:-1])).xlsx))
    data = json.loads(ways.json)
    del data["sections"]["served"][-1]
    assert differences(report, replace(ways, json=json.dumps(data)))
