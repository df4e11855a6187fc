"""One mistake is one finding: what follows from it is not said beside it."""

from pathlib import Path

import pytest
from helpers import FILES, STUDY, write_study

from planner.errors import InputError
from planner.study.read import read_study

HORIZON = "horizon: {start: 2026-07-01, months: 12}\n"
HOURS = "horizon: {start: 2026-07-01, quarters: 2, hours: [%s]}\n"
TWO = "{name: day, weight_fraction: 0.5}, {name: night, weight_fraction: 0.5}"
SHAPES = "shapes:\n- {name: sun, factors: {day: 1.5, night: 0.5}}\n"
DEMAND = """\
workload,origin,requests_per_second,period,hour,shape
chat,london,10,quarter-1,day,sun
chat,london,9,quarter-1,night,sun
chat,tokyo,8,quarter-1,,
chat,london,7,quarter-2,,
chat,tokyo,6,quarter-2,,
batch,london,5,,,
"""


def findings(tmp_path: Path, study: str, demand: str = FILES["demand.csv"]) -> list[str]:
    """What is wrong with the tiny study, after changes of its file: one text for each finding."""
    with pytest.raises(InputError) as caught:
        read_study(write_study(tmp_path, files={"study.yaml": study, "demand.csv": demand}))
    return [str(finding) for finding in caught.value.findings if finding.level == "error"]


def over_hours(hours: str = TWO) -> str:
    return STUDY.replace(HORIZON, HOURS % hours + SHAPES)


@pytest.mark.parametrize(
    ("study", "says"),
    [
        (over_hours().replace("quarters: 2", "quarters: two"), "horizon.quarters"),
        (over_hours().replace("quarters: 2", "quarter: 2"), "'quarter' (did you mean 'quarters'?)"),
        (over_hours().replace("start: 2026-07-01", "start: soon"), "horizon.start"),
        (over_hours(TWO.replace("0.5}, {", "0.7}, {")), "weights of the hours that add up to 1"),
        (over_hours(TWO.replace("name: day", "called: day")), "horizon.hours[0]"),
        (over_hours().replace("horizon:", "horizont:"), "'horizont' (did you mean 'horizon'?)"),
        (over_hours().replace("factors: {day: 1.5", "factors: {day: much"), "shapes[0].factors.day"),
        (over_hours().replace("shapes:", "shape:"), "'shape' (did you mean 'shapes'?)"),
    ],
)
def test_what_a_horizon_or_a_shape_that_cannot_be_read_would_have_is_not_missed(
    tmp_path: Path, study: str, says: str
) -> None:
    errors = findings(tmp_path, study, DEMAND)
    assert len(errors) == (2 if "called: day" in study else 1), errors  # no name, and a field that is not known
    assert says in errors[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("origins:\n  - name: london", "origins:\n  - nothing\n  - name: london", "origins[0]"),
        ("name: bulk", "label: bulk", "tiers[1]"),
        ("  - {name: batch, ", "  - {name: batch, tire: 1, ", "'tire'"),
        ("{name: chat, model: small", "{model: small", "workloads[0].name"),
        ("{name: chat, model: small, context_class", "{name: chat, model: small, context_clas", "'context_clas'"),
        ("{name: chat, model: small", "{name: chat, model: smal", "did you mean 'small'?"),
        ("{name: grid, kind: power}", "{name: grid, kid: power}", "'kid' (did you mean 'kind'?)"),
        ("components:", "component:", "'component' (did you mean 'components'?)"),
        ("failures:\n", "failure:\n", "'failure' (did you mean 'failures'?)"),
        ("lost: {", "losst: {", "'losst' (did you mean 'lost'?)"),
        ("demand: demand.csv", "demands: demand.csv", "'demands' (did you mean 'demand'?)"),
    ],
)
def test_what_refers_to_a_record_that_cannot_be_read_is_not_wrong(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in STUDY
    errors = findings(tmp_path, STUDY.replace(old, new))
    assert len(errors) == (2 if "label" in new else 1), errors  # no name, and a field that is not known
    assert says in errors[0]


def test_a_name_that_leads_nowhere_is_said_once_with_all_its_places(tmp_path: Path) -> None:
    demand = DEMAND.replace("quarter-1", "2026-q3")
    (error,) = findings(tmp_path, over_hours(), demand)
    assert "expected a period of the horizon, got '2026-q3', also at " in error
    assert "demand.csv:3: period and 1 more" in error


def test_a_name_is_said_as_it_stands_whatever_it_holds(tmp_path: Path) -> None:
    (error,) = findings(tmp_path, over_hours(), DEMAND.replace("quarter-1", '"q3, also at night"'))
    assert "got 'q3, also at night', also at " in error and "demand.csv:3: period and 1 more" in error


def test_a_component_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    study = STUDY.replace("'site:beta/west-1': 1.0", "'power:grit': 1.0").replace("'power:grid'", "'power:grit'")
    (error,) = findings(tmp_path, study)
    assert "got 'power:grit' (did you mean 'power:grid'?), also at " in error and "dependencies[0]" in error
