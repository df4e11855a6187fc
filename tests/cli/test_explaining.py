"""`planner explain`: each question by itself and together, what is wrong at once, and every format alike."""

import json
import re

import pytest
from three_sites import three_sites
from two_sites import call, two_sites

from planner.plan.file import plan_text
from planner.plan.plan import make_plan
from planner.solve.search import Effort


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "plan.json"
    path.write_text(plan_text(make_plan(three_sites(), Effort(gap_fraction=0.0))), encoding="utf-8")
    return path


def sections(*words):
    done = call("explain", *words, "--format", "json", "--quiet")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["sections"]


def test_what_sizes_a_plan(plan):
    done = call("explain", plan, "--quiet")
    assert done.exit_code == 0, done.output
    assert "all demand: 1 % less would save 0.12 USD a month" in done.stdout
    rows = {row["what"]: row for row in sections(plan)["values"]}
    assert rows["all demand"]["lp_saves_usd"] == pytest.approx(0.12)


def test_all_asks_both_ways_and_plan_again_says_within_what(plan):
    rows = sections(plan, "--all", "--plan-again", "1")["values"]
    assert all(row["tightened"] != "not asked" for row in rows)
    (again,) = [row for row in rows if row["replanned_usd"] is not None]
    assert again["replanned_least_usd"] <= again["replanned_usd"] <= again["replanned_most_usd"] + 1e-6
    assert "planned again" in call("explain", plan, "--plan-again", "1", "--quiet").stdout.split("VALUES")[1]


def test_a_pool_a_stream_and_a_failure_together(plan):
    asked = ("--pool", "b/y/m", "--workload", "w", "--origin", "o", "--failure", "site:c/z")
    done = call("explain", plan, *asked, "--quiet")
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "would enter at 2.00 USD/h, 33.3 % below its price of 3.00" in text
    assert "WHO MAY SERVE (w from o)" in text and "lost: with site:c/z" in text
    assert re.search(r"10 10 cold start 2 replicas a/x/m", text), text
    every = sections(plan, *asked)
    assert {"pool", "who may serve", "when lost", "offers", "profiles", "reach", "in order", "served"} <= set(every)
    assert every["offers"][0]["entry_usd_per_machine_hour"] == pytest.approx(2.0)
    assert [row["what"] for row in every["who goes where"]] == ["moved"] and "values" not in every


def test_markdown_says_the_same(plan):
    done = call("explain", plan, "--pool", "b/y/m", "--format", "md", "--quiet")
    assert done.exit_code == 0 and "| b/y/m:on\\_demand | 3.00 | 0 | 2.00 | -33.3 % |" in done.stdout, done.stdout


def test_wrong_names_end_in_all_findings_and_2(plan):
    done = call("explain", plan, "--pool", "b/y/n", "--workload", "w", "--failure", "flod", "--quiet")
    assert done.exit_code == 2
    assert "did you mean 'b/y/m'?" in done.output and "did you mean 'flood'?" in done.output
    assert "add --origin" in done.output and "3 errors" in done.output


def test_a_study_is_no_plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(two_sites().model_dump_json(), encoding="utf-8")
    assert call("explain", path, "--quiet").exit_code == 2
