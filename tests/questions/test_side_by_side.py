"""Plans side by side: the same bytes one by one, in processes, on a cluster, after a kill, after a worker died.

Variants are of two sites that need each other: demand of so many times 10 requests/s, 5 USD for each request/s.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import write_study
from side_jobs import EndsItsProcess, Square
from studies import offer
from two_sites import call, patch, two_sites

from planner.errors import InputError
from planner.interruption import interrupted
from planner.plan.file import read_plan
from planner.questions import whatif
from planner.questions.rows import ROWS, Rows
from planner.questions.side_by_side import Lost, Workers, _result_of, side_by_side
from planner.questions.variants import variants_of
from planner.questions.whatif import plan_variants
from planner.solve.search import Effort
from planner.study.files import write_atomically

FACTORS = (2, 3, 1000, 4, 5, 6)
"""No plan for a thousand times the demand."""


def study():
    return two_sites(bought=[offer("a/x/m", 2, most_units=50.0), offer("b/y/m", 3)])


def variants(factors=FACTORS):
    return variants_of((), [tuple(patch(f"x{i}", set={"demand": f"x{i}"}) for i in factors)])


def rows_in(folder):
    return Rows(folder, lambda text, path: write_atomically(path, text))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """The answers made in this process, and the folder that they leave."""
    folder = tmp_path_factory.mktemp("rows") / "plans"
    return plan_variants(study(), variants(), rows=rows_in(folder)), contents(folder)


# ------------------------------------------------------------------ jobs
def test_jobs_that_end_their_process_take_no_other_with_them():
    jobs = [Square(0), Square(1), EndsItsProcess(), Square(3), Square(4)]
    results = dict(side_by_side(jobs, Workers(2)))
    assert "its process ended early" in results.pop(2).why and results == {n: n**2 for n in (0, 1, 3, 4)}


def test_processes_end_with_the_one_that_asked():
    program = (
        "import os; from side_jobs import SaysItsProcess; from planner.questions.side_by_side import *\n"
        "for n, process in side_by_side([SaysItsProcess()] * 2, Workers(8)): print(process, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = os.pathsep.join(sys.path)
    asked = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert asked.returncode == -signal.SIGKILL
    processes, until = {int(line) for line in asked.stdout.split()}, time.monotonic() + 60
    while any(Path(f"/proc/{process}").exists() for process in processes) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes and not any(Path(f"/proc/{process}").exists() for process in processes)


def test_no_job_is_asked_of_nobody():
    assert list(side_by_side([], Workers(4))) == list(side_by_side([], Workers(1, "dask", "tcp://127.0.0.1:1"))) == []


def test_a_cluster_that_is_not_there_is_told():
    for scheduler, said in ((None, "address of a scheduler"), ("nonsense://x", "a Dask scheduler that answers")):
        with pytest.raises(InputError) as error:
            list(side_by_side([Square(1)], Workers(1, "dask", scheduler)))
        assert said in str(error.value) or "extra dask" in str(error.value)


# ------------------------------------------------------------------ plans
def test_plans_are_the_same_bytes_with_any_number_of_processes(one_by_one, tmp_path):
    answers, left_behind = one_by_one
    seen = []
    beside = plan_variants(
        study(),
        variants(),
        progress=lambda stage, done, detail: seen.append((done, detail)),
        workers=Workers(2),
        rows=rows_in(tmp_path / "plans"),
    )
    assert beside == answers and contents(tmp_path / "plans") == left_behind
    assert [a.plan is not None for a in answers] == [True, True, True, False, True, True, True]
    assert seen[-1] == (1.0, "6 of 6, about 0 s left") and "0 of 6" in [detail for _, detail in seen]


def test_rows_say_what_each_variant_costs(one_by_one):
    answers, left_behind = one_by_one
    rows = [json.loads(line) for line in left_behind[ROWS].splitlines()]
    assert [row["variant"] for row in rows] == ["as it is", *(f"x{i}" for i in FACTORS)]
    assert [row.get("cost_usd") for row in rows] == [a.plan and a.plan.proof.cost_usd for a in answers]
    assert rows[3]["why_not"] == answers[3].why_not != "" and "file" not in rows[3]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -2, -200])
def test_what_a_kill_leaves_is_gone_on_from(one_by_one, tmp_path, cut, monkeypatch):
    """Ended after four answers; of the rows, all but some bytes are on the disk."""
    answers, left_behind = one_by_one
    folder = tmp_path / "plans"
    done = []

    def ended(answer):
        done.append(answer)
        if len(done) == 4:
            raise Killed

    with pytest.raises(Killed):
        plan_variants(study(), variants(), done=ended, rows=rows_in(folder))
    rows = (folder / ROWS).read_bytes()
    (folder / ROWS).write_bytes(rows[:cut])
    (folder / ".05-x5.json.4711.tmp").write_text("half a")
    planned_again, plan_or_why_not = [], whatif.plan_or_why_not

    def counted(*args):
        planned_again.append(args)
        return plan_or_why_not(*args)

    monkeypatch.setattr(whatif, "plan_or_why_not", counted)
    assert plan_variants(study(), variants(), rows=rows_in(folder)) == answers
    assert contents(folder) == left_behind
    assert len(planned_again) == 7 - rows[:cut].count(b"\n")


def test_a_process_that_is_killed_goes_on(one_by_one, tmp_path):
    answers, left_behind = one_by_one
    folder = tmp_path / "plans"
    program = (
        "import os, test_side_by_side as t; from pathlib import Path\n"
        f"rows = t.rows_in(Path({str(folder)!r}))\n"
        "done = lambda answer: answer.variant.name == 'x3' and os.kill(os.getpid(), 9)\n"
        "t.plan_variants(t.study(), t.variants(), done=done, rows=rows)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == -signal.SIGKILL and (folder / ROWS).read_bytes().count(b"\n") == 3
    assert plan_variants(study(), variants(), rows=rows_in(folder)) == answers and contents(folder) == left_behind


def test_a_plan_that_is_not_as_it_was_written_is_made_again(one_by_one, tmp_path):
    _, left_behind = one_by_one
    folder = tmp_path / "plans"
    folder.mkdir()
    for name, data in left_behind.items():
        (folder / name).write_bytes(data if name != "01-x2.json" else data[: len(data) // 2])
    (folder / "02-x3.json").unlink()
    plan_variants(study(), variants(), rows=rows_in(folder))
    assert contents(folder) == left_behind


def test_rows_of_another_question_are_not_touched(one_by_one, tmp_path):
    _, left_behind = one_by_one
    folder = tmp_path / "plans"
    folder.mkdir()
    for name, data in left_behind.items():
        (folder / name).write_bytes(data)
    for asked, said in (
        ({"effort": Effort(gap_fraction=0.02)}, "of another study, effort or version"),
        ({"study": two_sites()}, "of another study, effort or version"),
        ({"variants": variants((2, 3))}, "a row of 'x"),
        ({"variants": variants((*FACTORS, 7)), "effort": Effort(rounds=1)}, "of another"),
    ):
        with pytest.raises(InputError) as error:
            plan_variants(**{"study": study(), "variants": variants(), **asked}, rows=rows_in(folder))
        assert said in str(error.value) and contents(folder) == left_behind
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        plan_variants(study(), variants(), rows=rows_in(folder))
    (folder / ROWS).write_text("no row\n")
    with pytest.raises(InputError, match=r"line 1 of rows\.jsonl, which is no row"):
        rows_in(folder)


def test_what_goes_wrong_in_one_variant_ends_no_other(monkeypatch, tmp_path):
    plan_or_why_not = whatif.plan_or_why_not

    def broken(asked, *args):
        if asked.study.endswith("x3"):
            raise MemoryError("too large")
        return plan_or_why_not(asked, *args)

    monkeypatch.setattr(whatif, "plan_or_why_not", broken)
    answers = plan_variants(study(), variants((2, 3, 4)), rows=rows_in(tmp_path / "plans"))
    assert [a.plan is not None for a in answers] == [True, True, False, True]
    assert answers[2].unsure and answers[2].not_planned and "MemoryError('too large')" in answers[2].why_not
    monkeypatch.undo()
    again = plan_variants(study(), variants((2, 3, 4)), rows=rows_in(tmp_path / "plans"))
    assert all(a.plan is not None for a in again), "another run tries again"


def test_ctrl_c_keeps_what_has_ended(monkeypatch, tmp_path):
    def ended(answer):
        if answer.variant.name != "as it is":
            raise KeyboardInterrupt

    answers = plan_variants(study(), variants(), done=ended, workers=Workers(2), rows=rows_in(tmp_path / "plans"))
    planned = [a.variant.name for a in answers if not a.not_planned]
    assert planned[0] == "as it is" and len(planned) == 2 and not interrupted()
    rows = [json.loads(line)["variant"] for line in (tmp_path / "plans" / ROWS).read_text().splitlines()]
    assert rows == planned


# ------------------------------------------------------------------ a cluster
def test_a_cluster_that_loses_a_worker_answers_the_same(one_by_one, tmp_path):
    """Two workers; one is killed when the first variant is done.

    What ran on it is not given to the other by the cluster (no failure is allowed), but by us.
    """
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    import dask

    answers, left_behind = one_by_one
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        pids = list(client.run(os.getpid).values())
        assert len(pids) == 2

        def kill_one(answer):
            if answer.variant.name != "as it is" and pids:
                os.kill(pids.pop(), signal.SIGKILL)
                pids.clear()

        workers = Workers(1, "dask", cluster.scheduler_address)
        beside = plan_variants(study(), variants(), done=kill_one, workers=workers, rows=rows_in(tmp_path / "plans"))
        assert not pids and beside == answers and contents(tmp_path / "plans") == left_behind


@pytest.mark.parametrize(
    ("status", "result"), [("lost", None), ("pending", None), ("cancelled", Lost("the scheduler of the cluster ended"))]
)
def test_a_result_that_ended_with_its_worker_is_made_again(status, result):
    """A worker may end between the word that a job is done and the fetching of what it made."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    assert _result_of(SimpleNamespace(status=status)) == result


# ------------------------------------------------------------------ the command
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:8786"), "add --backend dask"),
        (("--backend", "dask", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:8786"), "none with --backend dask"),
        (("--backend", "dask"), "--backend dask"),
    ],
)
def test_where_plans_are_made_is_said_whole(tmp_path, words, said):
    result = call("whatif", write_study(tmp_path / "study"), "--set", "demand=x2", *words, "--quiet")
    assert result.exit_code == 2 and said in result.stderr


def test_plans_in_the_folder_are_those_of_the_answers(one_by_one, tmp_path):
    answers, left_behind = one_by_one
    (tmp_path / "01-x2.json").write_bytes(left_behind["01-x2.json"])
    assert read_plan(tmp_path / "01-x2.json") == answers[1].plan


def test_a_folder_of_another_plan_stays_as_it_is(tmp_path):
    """The plan that the question is about is another one of the same study: refused before anything is written."""
    folder = tmp_path / "plans"
    (own, *_), one = plan_variants(study(), variants((2,)), rows=rows_in(folder)), contents(folder)
    other = own.plan.model_copy(update={"digest_sha256": "0" * 64})
    with pytest.raises(InputError):
        plan_variants(study(), variants((2,)), base=other, rows=rows_in(folder))
    assert contents(folder) == one
