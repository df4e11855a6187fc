"""The keys of reports as JSON, pinned; anew by `PYTHONPATH=.:tests/support python tests/support/report_keys.py`."""

import json
import tempfile
from pathlib import Path

from helpers import write_study

from planner.drill import drill_plan
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.questions.risk.exposure import exposure, running_in
from planner.review.answer import review_plan
from planner.review.check import check_study
from planner.review.drill import review_drill
from planner.review.render import render
from planner.review.report_file import REPORT_SCHEMA_VERSION
from planner.review.risks import review_risks
from planner.solve.search import Effort
from planner.study.read import read_study

PINNED = Path(__file__).parents[1] / "review" / "report_keys.json"
HORIZON = {"start": "2026-07-01", "periods": [{"name": "first", "months": 6}, {"name": "second", "months": 6}]}


def plan_of_two_periods(folder):
    """A plan of the tiny study over two periods, with interest; its name begins with a sign of formulas."""
    path = write_study(folder, horizon=HORIZON, money={"discount_fraction_per_year": 0.1}, study="=tiny")
    return in_hand(make_plan(read_study(path)[0], Effort()))


def reports_of(plan):
    """Reports by the command that gives them."""
    exposed = exposure(plan.study, plan.problem, *running_in(plan.file, plan.problem))
    return {
        "review": review_plan(plan, all_rows=False),
        "drill": review_drill(drill_plan(plan.file), ()),
        "check": check_study(plan.study, [], True),
        "risk": review_risks(exposed, "risk", True),
    }


def keys_of(data):
    """The keys of a report as JSON: at the top, and of the rows of each section."""
    keys = {"": sorted(data.keys() - {"sections"})}
    for name, of_section in data["sections"].items():
        rows = of_section if isinstance(of_section, list) else [of_section]
        keys[name] = sorted({key for row in rows if isinstance(row, dict) for key in row})
    return keys


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        reports = reports_of(plan_of_two_periods(Path(folder)))
    keys = {name: keys_of(json.loads(render(report, "json"))) for name, report in reports.items()}
    pinned = {"schema_version": REPORT_SCHEMA_VERSION, "keys": keys}
    PINNED.write_text(json.dumps(pinned, indent=1, sort_keys=True) + "\n")
