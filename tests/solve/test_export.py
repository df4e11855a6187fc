"""The program as a file: what any solver makes of it is what ours does."""

import shutil
import subprocess
import sys
from pathlib import Path

import highspy
import pulp
import pytest
from studies import beset_study, random_study

from planner import program_text
from planner.errors import InputError, NoPlan
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve import export
from planner.solve.export import program_of
from planner.solve.highs import KeptHiGHS
from planner.solve.highs_instance import new_highs, run, set_option
from planner.solve.program import OPTIMAL, solver_named
from planner.solve.search import Effort
from planner.study.read import data_folder


@pytest.mark.filterwarnings("ignore:PULP_CBC_CMD is deprecated")
@pytest.mark.parametrize("seed", [1, 3, 7])
@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_another_solver_reads_the_same_optimum(seed: int, ending: str, tmp_path: Path) -> None:
    """HiGHS and CBC on the file, divisible, in USD: the optimum of the program; integer columns are marked."""
    p = build(random_study(seed, "small") if seed % 2 else beset_study(seed))
    program = program_of(p, list(p.failures)[:4])
    assert program.solve() == OPTIMAL
    path = tmp_path / f"program{ending}"
    text = export.program_text(program, ending)
    path.write_text(text, encoding="utf-8")
    assert "replicas_" in text and "replicas_carry_traffic" in text
    highs = new_highs()
    highs.readModel(str(path))
    kinds = highs.getLp().integrality_
    assert sum(kind == highspy.HighsVarType.kInteger for kind in kinds) == program.integral.sum() > 0
    set_option(highs, "solve_relaxation", True)
    run(highs)
    assert highs.getInfo().objective_function_value == pytest.approx(program.objective, rel=1e-6)
    if ending == ".mps":
        _, lp = pulp.LpProblem.fromMPS(str(path))
        for v in lp.variables():
            v.cat = pulp.LpContinuous
        make = solver_named("PULP_CBC_CMD")
        assert make is not None
        lp.solve(make())
        assert pulp.value(lp.objective) == pytest.approx(program.objective, rel=1e-6)


def test_the_optimum_of_the_file_lies_between_the_bound_and_the_cost(tmp_path: Path) -> None:
    """Replicas in the failures that bind are whole in it, as in the program that gave the bound."""
    compared = 0
    for seed in range(12):
        try:
            plan = make_plan(random_study(seed), Effort(gap_fraction=0.0))
        except NoPlan:
            continue
        path = tmp_path / "program.mps"
        path.write_text(program_text(plan), encoding="utf-8")
        _, lp = pulp.LpProblem.fromMPS(str(path))
        lp.solve(KeptHiGHS())
        usd, slack = pulp.value(lp.objective), 1e-5 * (1 + plan.proof.cost_usd)
        assert plan.proof.bound_usd - slack <= usd <= plan.proof.cost_usd + slack
        compared += 1
    assert compared >= 5


def test_a_name_that_is_no_program_is_refused(tmp_path: Path) -> None:
    """Before anything is solved."""
    with pytest.raises(InputError, match=r"\.lp or \.mps"):
        export.check_ending(tmp_path / "program.txt")


@pytest.mark.parametrize("name", ["study.yaml.mps", "plan.mps"])
def test_no_program_takes_the_place_of_an_input_or_of_the_plan(name: str, tmp_path: Path) -> None:
    """Refused before it is planned: nothing is written."""
    folder = Path(shutil.copytree(data_folder("examples") / "quickstart", tmp_path / "quickstart"))
    (folder / "study.yaml.mps").symlink_to(folder / "study.yaml")
    before = (folder / "study.yaml").read_bytes()
    words = ["plan", str(folder), "--out", str(tmp_path / "plan.mps"), "--program"]
    program = folder / name if name.startswith("study") else tmp_path / name
    result = subprocess.run([sys.executable, "-m", "planner", *words, str(program)], capture_output=True, text=True)
    assert (
        result.returncode == 2
        and "fix: name another" in result.stderr
        and "--out" not in result.stderr.split("fix:")[1]
    )
    assert (folder / "study.yaml").read_bytes() == before and not (tmp_path / "plan.mps").exists()
