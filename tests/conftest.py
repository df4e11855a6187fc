"""Reports fold tables to the terminal: tests and goldens have one of 120 columns. Which tests are quick.

What all tests cost together is kept down here: modules are compiled once, and what collecting leaves behind is looked
through by no later garbage collection.
"""

import gc
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["COLUMNS"] = "120"
if sys.dont_write_bytecode:
    # no bytecode beside the sources was asked for: it is kept where pytest keeps its own, also for processes of tests
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ["PYTHONDONTWRITEBYTECODE"], os.environ["PYTHONPYCACHEPREFIX"] = "", sys.pycache_prefix
collect_ignore = [] if importlib.util.find_spec("tf") else ["support/terraform_provider.py"]
"""Helpers that need packages of requirements-emit.txt are not looked into for doctests without them."""
QUICK = {
    f"test_{name}.py"
    for name in (
        *(
            "algebra",
            "arrays",
            "formulas",
            "rules",
            "worked_points",
            "worked_audit",
            "worked_contracts",
            "contracts",
            "periods",
            "money",
            "buildout",
            "cash",
        ),
        *("failures", "economics", "cut_sets", "rescale", "layers", "doors", "drill", "drill_effects", "worked_drill"),
        *("drill_stages", "drill_failover", "drill_wrong_answers", "control_planes", "obtaining"),
    )
}
"""A minute of processor time in all: what a developer runs first, and what mutants are tried on."""
NOT_QUICK = {
    "test_what_harder_failures_imply_costs_nothing_to_leave_out",
    "test_merged_or_not_the_optimum_is_the_same",
    "test_the_loop_costs_what_the_whole_program_costs",
    "test_priced_plans_pass_their_audit",
    "test_zeng_and_zhao",
    "test_lands",
    "test_flows_equal_brute_force_on_random_studies",
    "test_no_renamed_thing_in_a_plan_ends_in_an_internal_error",
    "test_a_hundred_random_plans_survive_every_failure_by_their_weights",
}
"""Of them, what takes seconds each."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name in QUICK and getattr(item, "originalname", "") not in NOT_QUICK:
            item.add_marker("quick")


@pytest.fixture(scope="session")
def planner_command() -> Iterator[list[str]]:
    """What `planner` is in a test that runs commands as a user does, one after the other (support/forked.py)."""
    program, root = Path(__file__).parent / "support" / "forked.py", Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        address = f"{folder}/planner"
        listening.bind(address)
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(program), "serve", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # as of a command whose output is read: its copies have files that cannot be sought
            stderr=subprocess.STDOUT,
            pass_fds=[listening.fileno()],
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        yield [sys.executable, "-IS", str(program), address]
        said, _ = server.communicate()
        assert server.returncode == 0, said.decode()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests and their modules stay to the end: no garbage is looked for among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `pytest -n auto`: a worker that has nothing left takes tests from the one that has most.

    As it comes, tests are given out in portions of hundreds, and slow ones stand side by side.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
