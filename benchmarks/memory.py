"""Memory of the program of a plan, for studies that differ in one number: built and handed to the solver."""

from dataclasses import dataclass, replace

from benchmarks.measure import Measured, Timer
from benchmarks.peers import entered, every_block, size_of
from benchmarks.studies import SIZES, Size, generated
from planner.problem.arrays import merged
from planner.problem.build import build
from planner.solve.highs import KeptHiGHS
from planner.solve.highs_instance import new_highs
from planner.solve.interchangeable import reduced
from planner.study.records.study import Hour, Study


@dataclass(frozen=True)
class Case:
    """A study, with how many failures are in its program, and how many hours it has."""

    size: Size = SIZES["medium"]
    binding: int = 12
    hours: int = 1


def cases() -> dict[str, dict[int, Case]]:
    """What differs -> its number -> the case: about half and twice of one number, all else as in medium."""
    one, size = Case(), SIZES["medium"]
    return {
        "workloads": {n: replace(one, size=replace(size, workloads=n)) for n in (15, 30, 60)},
        "cities": {n: replace(one, size=replace(size, origins=n)) for n in (4, 8, 16)},
        "pools": {n: replace(one, size=replace(size, pools=n)) for n in (20, 40, 79)},
        "failures": {n: replace(one, size=replace(size, failures=n)) for n in (20, 40, 80)},
        "failures that bind": {n: replace(one, binding=n) for n in (6, 12, 24)},
        "hours": {n: replace(one, hours=n) for n in (1, 2, 4)},
    }


def with_hours(study: Study, count: int) -> Study:
    """The study with so many hours of equal length, each less busy than the one before."""
    hours = tuple(Hour(name=f"hour-{k}", weight_fraction=1 / count) for k in range(count))
    rows = tuple(
        row.model_copy(update={"hour": h.name, "requests_per_second": row.requests_per_second * (1 - k / (2 * count))})
        for row in study.demand
        for k, h in enumerate(hours)
    )
    horizon = study.horizon.model_copy(update={"hours": hours})
    return study.model_copy(update={"horizon": horizon, "demand": rows})


def built(case: Case, seed: int) -> Measured:
    """The program with the first so many failures in all their hours, in arrays and in the solver; not solved."""
    study = generated(case.size, seed=seed)
    timer = Timer()
    p = reduced(build(study if case.hours == 1 else with_hours(study, case.hours))).p
    names = list(dict.fromkeys(f for f, _ in every_block(p)))[: case.binding]
    solver = KeptHiGHS()
    program = entered(p, merged(p), [(f, h) for f in names for h in p.hours], solver)
    solver.highs = new_highs()
    program.send()
    return Measured(None, timer.seconds(), facts=size_of(program))
