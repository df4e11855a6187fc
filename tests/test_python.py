"""The package for programs: docs/python.md runs as it stands, and tables say what the plan says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from buildouts import hall

import planner
from planner.errors import InputError
from planner.plan.tables import NAMES
from planner.solve.search import Infeasible

ROOT = Path(__file__).parents[1]


def test_the_page_runs_as_it_stands(tmp_path):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.S))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "USD, gap" in run.stdout and "requests_per_second" in run.stdout
    assert pd.read_csv(tmp_path / "orders.csv")["units"].min() > 0
    for name in NAMES:
        assert f"`{name}`" in page


def test_import_is_light():
    heavy = "pandas", "numpy", "pulp", "networkx", "pydantic", "typer", "highspy"
    code = f"import sys, planner; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def plan():
    return planner.plan(hall(), gap_fraction=0.05)


def test_a_folder_and_its_verb_have_one_name(plan):
    import planner.plan.audit as module

    assert module.audit(plan.file) == planner.audit(plan)
    assert planner.drill(plan) == planner.drill.drill_plan(plan.file)
    assert set(planner.__all__) <= {*dir(planner), *planner.__all__}
    with pytest.raises(AttributeError):
        _ = planner.nonsense


def test_tables_say_what_the_plan_says(plan):
    tables, file = planner.tables(plan), plan.file
    assert tables.purchases["units"].sum() == sum(row.units for row in file.purchases) > 0
    assert tables.builds["units"].tolist() == [row.units for row in file.builds]
    assert tables.costs["usd"].sum() == pytest.approx(file.proof.cost_usd)
    assert tables.orders["offer"].tolist() == [order.offer for order in plan.orders]
    running = tables.replicas.set_index(["placement", "hour"])["replicas"]
    assert all(running[row.placement, row.hour] == row.replicas for row in file.replicas)
    assert tables.replicas["pool"].notna().all()
    # what is sent and what is shed is what is wanted, in every state
    sent = tables.traffic.groupby(["hour", "failure", "deadline_seconds"])["requests_per_second"].sum()
    shed = tables.shed.groupby(["hour", "failure", "deadline_seconds"])["requests_per_second"].sum()
    wanted = {
        h: sum(v for (_, _, k), v in plan.problem.demand_requests_per_second.items() if k == h)
        for h in plan.problem.hours
    }
    for state in file.states:
        of = state.hour, state.failure, state.deadline_seconds
        assert sent.get(of, 0.0) + shed.get(of, 0.0) == pytest.approx(wanted[state.hour])
    with pytest.raises(KeyError):
        tables["nonsense"]


def test_a_plan_that_is_read_is_the_plan(plan, tmp_path):
    (tmp_path / "plan.json").write_text(plan.text, encoding="utf-8")
    read = planner.read_plan(tmp_path / "plan.json")
    assert read.file == plan.file and planner.review(read).good
    assert planner.render(planner.review(read)).startswith(f"study {plan.study.study}")


def test_no_plan_says_why():
    from planner.errors import NoPlan

    study = hall()
    tight = study.model_copy(update={"policies": study.policies.model_copy(update={"budget_usd": 1.0})})
    with pytest.raises(NoPlan) as error:
        planner.plan(tight)
    assert not isinstance(error.value, Infeasible) and "budget" in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"gap_fraction": 2}, {"gap_fraction": float("nan")}, {"demand": "foo"}, {"nodes": -3}, {"seconds": -1.0}],
)
def test_wrong_arguments_are_findings(options):
    with pytest.raises(InputError) as error:
        planner.plan(hall(), **options)
    assert [finding.where for finding in error.value.findings] == list(options)


def test_wrong_subjects_are_findings(plan):
    for call in (
        lambda: planner.plan("examples/quickstart"),
        lambda: planner.plan(plan.study, jobs=0),
        lambda: planner.drill(plan, jobs=0),
        lambda: planner.drill(plan, mode="x"),
        lambda: planner.drill("plan.json"),
        lambda: planner.render(planner.review(plan), "xx"),
    ):
        with pytest.raises(InputError):
            call()
    assert planner.drill(plan.file) == planner.drill(plan) and len(planner.tables(plan.file).costs)
