"""Findings about a plan give the line on which its mistake stands."""

import json

import pytest
from helpers import write_study
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.plan.file import plan_text, read_plan
from planner.plan.json_lines import line_of
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.read import read_study


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    study, _ = read_study(write_study(tmp_path_factory.mktemp("tiny")))
    return plan_text(make_plan(study, Effort(gap_fraction=0.5), no_regret=False))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"units": ', '"units": -', "on_equal_terms.purchases.0.units"),
        ('"mean_input_tokens": 1000.0', '"mean_input_tokens": "many"', "study.workloads.0.mean_input_tokens"),
        ('"mean_input_tokens": 2000.0', '"mean_input_tokens": 0', "study.workloads.1.mean_input_tokens"),
        ('\n "schema_version": 2', '\n "schema_version": 9', "schema_version"),
    ],
)
def test_a_finding_about_a_plan_gives_the_line(plan, tmp_path, old, new, field):
    assert old in plan
    path = tmp_path / "plan.json"
    path.write_text(plan.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    line = plan[: plan.index(old) + len(old)].count("\n") + 1
    assert [f.where for f in caught.value.findings] == [f"{path}:{line}: {field}"]


def test_mistakes_without_number_are_told_as_far_as_anyone_reads(plan, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan.replace('"requests_per_second":', '"requests_a_second":'))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert 0 < len(caught.value.findings) <= 101
    path.write_text(json.dumps({"schema_version": 2, **{f"field {n}": n for n in range(1000)}}, indent=1))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert len(caught.value.findings) == 101 and "more mistakes" in caught.value.findings[-1].got


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_the_line_of_every_part_is_the_line_on_which_it_is_written(data):
    text = json.dumps(data, indent=1)
    lines = text.split("\n")

    def check(value, loc):
        told = lines[line_of(text, loc) - 1]
        if isinstance(value, dict | list) and value:
            assert told.rstrip().endswith(("{", "["))
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                assert line_of(text, (*loc, key)) > line_of(text, loc)
                check(item, (*loc, key))
        else:
            assert json.dumps(value) in told

    check(data, ())


def test_what_is_not_there_has_the_line_of_what_is_around_it():
    assert line_of('{\n "a": [\n  1]}', ("a", 3)) == 2
    assert line_of("5", ("a",)) == 1
