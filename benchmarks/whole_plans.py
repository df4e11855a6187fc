"""Whole plans as `planner plan` makes them, and plain HiGHS on the whole program of the same study."""

from typing import Literal

from benchmarks.measure import Measured, Timer
from benchmarks.peers import entered, every_block, size_of
from benchmarks.studies import SIZES, generated
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.arrays import merged
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.solve.highs import Ends
from planner.solve.program import Program
from planner.solve.search import Effort
from planner.solve.whole_numbers import IN_FAILURES
from planner.study.dependencies import NORMAL
from planner.study.read import data_folder, read_study
from planner.study.records.study import Study, Utilisation

EXAMPLES = ("quickstart", "buildout")
Basis = Literal["fixed", "waiting"]
"""How replicas are filled."""


def study_named(name: str, seed: int, basis: Basis = "fixed") -> Study:
    """An example that ships, or a generated study of a size; filled to fixed shares where peers are to plan it, too:
    what they know is linear."""
    if name in EXAMPLES:
        study, _ = read_study(data_folder("examples") / name)
    else:
        study = generated(SIZES[name], name, seed)
    return study.model_copy(update={"utilisation": Utilisation(basis=basis)})


def plan(name: str, seed: int, gap_fraction: float) -> Measured:
    """A plan to a gap: the solves that it is compared with are in its time, the audit is not."""
    study, timer = study_named(name, seed), Timer()
    made = make_plan(study, Effort(gap_fraction=gap_fraction))
    seconds, wall_seconds, proof = timer.seconds(), timer.wall_seconds(), made.proof
    facts = {
        "gap_fraction": proof.gap_fraction,
        "failures": proof.failures_tested,
        "binding": len(proof.binding_failures),
        "audit": audit(made).passed,
        "wall_seconds": wall_seconds,
    }
    return Measured(proof.cost_usd, seconds, proof.bound_usd, facts=facts)


def whole_program(p: Problem) -> Program:
    """The program with all failures, whole where a plan must be whole: what is bought, and replicas in failures."""
    program = entered(p, merged(p), every_block(p))
    for own in program.owned:
        if own.name in IN_FAILURES and own.scope[0][1] != NORMAL:
            program.integral[own.columns] = True
    return program


def plain(name: str, seed: int, gap_fraction: float, limit_seconds: float) -> Measured:
    """The whole program by HiGHS alone, to a gap or until a time limit, on the wall."""
    p, timer = build(study_named(name, seed)), Timer()
    program = whole_program(p)
    remaining = max(1.0, limit_seconds - timer.wall_seconds())
    answer = program.answer(Ends(gap_fraction=gap_fraction, seconds=remaining))
    value = answer.objective if answer.values is not None else None
    facts = {**size_of(program), "status": answer.status, "nodes": answer.nodes}
    return Measured(value, timer.seconds(), answer.bound, facts=facts)
