"""Jobs that need nothing of each other: one by one in this process, in several of this machine, or on a cluster.

A job is what can be pickled and returns what can be pickled: called alone, it gives the same wherever it runs.
"""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from planner import __version__
from planner.errors import refusal

Backend = Literal["joblib", "dask"]
Result = TypeVar("Result")
CONNECT_SECONDS = 10.0
"""For which a scheduler may take to answer."""
CHECK_SECONDS = 1.0
"""Between two looks whether whoever asked is still there."""
PROCESS_ENDED = "its process ended early, as for want of memory; try fewer --jobs"
WORKERS_ENDED = "several workers of the cluster ended early over it, as for want of memory"

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Workers:
    """Where jobs run.

    Parameters
    ----------
    jobs : processes of this machine at a time; 1: in this process, one after another
    backend : joblib: processes of this machine; dask: the workers of a cluster that runs
    scheduler : address of the scheduler of that cluster, as tcp://host:8786
    """

    jobs: int = 1
    backend: Backend = "joblib"
    scheduler: str | None = None

    def run_here(self, jobs: int) -> bool:
        """Whether so many jobs run in this process, one after another."""
        return self.backend == "joblib" and (self.jobs == 1 or jobs <= 1)


@dataclass(frozen=True)
class Lost:
    """What a job has instead of a result: nobody could finish it, and why."""

    why: str


Ended = Generator[tuple[int, Result | Lost]]
"""(number of the job, its result), in the order in which they end"""


@dataclass(frozen=True)
class _Numbered(Generic[Result]):
    """A job that says which one it was; a worker does one at a time, and leaves Ctrl-C to whoever asked."""

    n: int
    job: Callable[[], Result]

    def __call__(self) -> tuple[int, Result]:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with _one_at_a_time:
            return self.n, self.job()


def _watch(process: int) -> None:
    """End this process, a child of another, soon after that was killed: nobody would take what it finds."""
    threading.Thread(target=_end_with, args=(process,), daemon=True).start()


def _end_with(process: int) -> None:
    while os.getppid() == process:
        time.sleep(CHECK_SECONDS)
    os._exit(1)


def side_by_side(jobs: Sequence[Callable[[], Result]], workers: Workers) -> Ended[Result]:
    """Run jobs, and give the result of each as soon as it ends.

    A process that ends early, as for want of memory, takes no other job with it: a cluster gives its jobs to another
    worker. Those that ran when processes of this machine ended, or several workers, run once more, one by one. A
    generator that is closed, as by Ctrl-C, ends the processes of this machine at once; a cluster's jobs are called off.

    Parameters
    ----------
    jobs : independent of each other, in the order in which they are begun
    workers : where

    Raises
    ------
    InputError
        when there is no such cluster, it has another version of the planner, or dask is not installed
    """
    if not jobs:
        return
    if workers.backend == "dask":
        yield from _on_cluster(jobs, workers.scheduler)
    elif workers.run_here(len(jobs)):
        for n, job in enumerate(jobs):
            yield n, job()
    else:
        yield from _in_processes(jobs, min(workers.jobs, len(jobs)))


def check_workers(workers: Workers) -> None:
    """Find out before long work whether there is such a cluster.

    Raises
    ------
    InputError
        as `side_by_side`
    """
    if workers.backend == "dask":
        _connected(workers.scheduler).close()


def processors() -> int:
    """Processors that this process may use."""
    from joblib import cpu_count

    return int(cpu_count())


# ------------------------------------------------------------------ processes of this machine
def _in_processes(jobs: Sequence[Callable[[], Result]], processes: int) -> Ended[Result]:
    remaining = dict(enumerate(jobs))
    try:
        with _ended(remaining, processes) as ended:
            for n, result in ended:
                del remaining[n]
                yield n, result
    except BrokenProcessPool:  # which of the running jobs did it, nobody knows
        yield from _each_by_itself(remaining)


def _each_by_itself(jobs: Mapping[int, Callable[[], Result]]) -> Ended[Result]:
    for n, job in jobs.items():
        try:
            with _ended({n: job}, 1) as ended:
                yield from ended
        except BrokenProcessPool:
            yield n, Lost(PROCESS_ENDED)


@contextmanager
def _ended(jobs: Mapping[int, Callable[[], Result]], processes: int) -> Iterator[Any]:
    """(number, result) by joblib, as they end; never in this process, which a job may end."""
    from joblib import Parallel, delayed

    processes = max(2, processes)  # of one, joblib would take this one
    # batches of one: each result is handed on as soon as it is there
    parallel = Parallel(
        processes,
        backend="loky",
        batch_size=1,
        return_as="generator_unordered",
        max_nbytes=None,
        initializer=_watch,  # also where a process never has a job
        initargs=(os.getpid(),),
    )
    ended = parallel([delayed(_Numbered(n, job))() for n, job in jobs.items()])
    try:
        yield ended
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that jobs are called off
            ended.close()


# ------------------------------------------------------------------ a cluster
def _on_cluster(jobs: Sequence[Callable[[], Result]], scheduler: str | None) -> Ended[Result]:
    with _connected(scheduler) as client:
        lost = dict[int, Callable[[], Result]]()
        for n, result in _as_they_end(client, dict(enumerate(jobs))):
            if result is None:
                lost[n] = jobs[n]
            else:
                yield n, result
        for n, job in lost.items():  # which of the jobs on those workers did it, nobody knows
            for _, result in _as_they_end(client, {n: job}):
                yield n, Lost(WORKERS_ENDED) if result is None else result


def _as_they_end(client: Any, jobs: Mapping[int, Callable[[], Result]]) -> Ended[Any]:
    """Run jobs on a cluster; None for one over which several workers ended."""
    from distributed import as_completed

    # each job carries its own data: what is scattered is gone with the worker that holds it
    futures = {client.submit(_Numbered(n, job), pure=False): n for n, job in jobs.items()}
    try:
        for future in as_completed(list(futures), loop=client.loop):
            n = futures.pop(future)
            yield n, _result_of(future)
            future.release()
    finally:
        client.cancel(list(futures), force=True)


def _result_of(future: Any) -> Any:
    """What a future holds; None where workers ended over it, or with its result; `Lost` where the scheduler did."""
    from distributed import KilledWorker

    try:
        if future.status in ("finished", "error"):
            return future.result()[1]
    except KilledWorker:
        return None
    # what had ended is under way again, for the worker that held its result ended
    return None if future.status in ("lost", "pending") else Lost("the scheduler of the cluster ended")


def _connected(scheduler: str | None) -> Any:
    """A client of a cluster whose workers have this version of the planner.

    Raises
    ------
    InputError
        when there is none
    """
    try:
        from distributed import Client
    except ImportError:
        fix = "pip install 'multicloud-capacity-planner[dask]', here and where the workers run"
        raise refusal("--backend dask", "the extra dask", "distributed is not installed", fix) from None
    where = f"--scheduler {scheduler}"
    if scheduler is None:
        fix = "write --scheduler tcp://HOST:8786, as `dask scheduler` says when it starts"
        raise refusal("--backend dask", "the address of a scheduler", "none", fix)
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        fix = "start one with `dask scheduler`, and write the address that it says"
        raise refusal(where, "a Dask scheduler that answers", str(error) or type(error).__name__, fix) from None
    try:
        _check_versions(client, where)
    except BaseException:
        client.close()
        raise
    return client


def _check_versions(client: Any, where: str) -> None:
    fix = "install this version of the planner where the workers run"
    try:
        versions = set(client.run(planner_version).values())
    except ImportError as error:
        raise refusal(where, "workers that have the planner", str(error), fix) from None
    if others := sorted(versions - {__version__}):
        raise refusal(where, f"workers with planner {__version__}", ", ".join(others), fix)


def planner_version() -> str:
    """The version of the planner in this process."""
    return __version__
