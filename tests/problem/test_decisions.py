"""The table of decisions: a row that is added is in program, whole numbers, plan file and audit."""

from dataclasses import dataclass

import numpy as np
import pytest
from worked_points import solvable

from planner.plan.audit import audit
from planner.plan.decisions import chosen_of, decisions_of, problem_of
from planner.plan.file import sealed
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.problem import decisions
from planner.problem.algebra import Rows, Sparse, spread
from planner.problem.arrays import merged, of_tests
from planner.problem.build import build
from planner.problem.decisions import Decisions, Vectors, names, no_decisions, stored_in, table
from planner.problem.problem import states
from planner.problem.rules.index_sets import INDEX_SETS, scopes
from planner.problem.rules.register import PURCHASE_RULES
from planner.solve.columns import start_program, template_columns
from planner.solve.program import Program
from planner.solve.search import Effort
from planner.solve.whole_numbers import whole_names
from planner.study.dependencies import NORMAL
from planner.study.records.plan import Chosen, PlanFile


@dataclass
class More(Decisions):
    """The table with two decisions more: whether a placement is used in an hour, and one of states."""

    used: Sparse = decisions.row("e h", "1 where a replica runs", "placements", "purchases", "always")  # noqa: RUF009
    mirrored: Sparse = decisions.row("e s", "replicas of it", "live placements", "states")  # noqa: RUF009


def used_where_a_replica_runs(a, x):
    for h in a.p.hours:
        yield Rows(a.placements, (h,), x.replicas[h,], "<=", 1000.0 * x.used[h,])


@pytest.fixture
def more(monkeypatch):
    for part in ("__init__", "__dataclass_fields__"):  # as if the rows stood in the table: vectors have them, too
        monkeypatch.setattr(Decisions, part, getattr(More, part))
    for module in ("planner.solve.columns", "planner.plan.audit"):
        monkeypatch.setattr(f"{module}.PURCHASE_RULES", (*PURCHASE_RULES, used_where_a_replica_runs))
    decisions._rows_of.cache_clear()
    yield
    monkeypatch.undo()
    decisions._rows_of.cache_clear()


def test_every_row_has_an_index_set_that_is_there():
    assert {decision.over for decision in table()} == set(INDEX_SETS)
    assert all(decision.means and decision.index for decision in table())
    records = {record for decision in table() for record in decision.records}
    assert records >= {"purchases", "builds", "replicas", "reserves", "states"}
    assert records <= PlanFile.model_fields.keys()
    assert {decision.block for decision in stored_in("chosen")} <= {"purchases", "states"}, "others are not carried on"


def owned(program):
    """(decision, scope) -> keys of the elements that have a column."""
    keys = {}
    for one in program.owned:
        assert (one.name, one.scope) not in keys, "columns twice"
        keys[one.name, one.scope] = {(*one.of[i], *one.scope) for i in one.elements.tolist()}
    return keys


def test_the_program_has_a_column_for_each_key_of_each_index_set():
    p = build(solvable())
    a = merged(p)(NORMAL)
    program, x = start_program(p)
    keys = owned(program)
    for decision in table():
        index_set = INDEX_SETS[decision.over]
        for scope in scopes(p, index_set):
            every = set(index_set.keys(a, scope))
            if decision.block in ("purchases", "costs"):
                assert keys[decision.name, scope] == every, decision.name
            elif decision.block == "states" and scope[0][1] == NORMAL:
                # what is known, or follows from others, has none
                assert keys.get((decision.name, scope), set()) <= every, decision.name
                assert len(spread(getattr(x, decision.name)[scope], len(index_set.of(a)))) == len(index_set.of(a))
    whole = [one.columns for one in program.owned if one.name in whole_names()]
    assert sorted(np.concatenate(whole)) == [
        c for one in program.owned if one.name in names("purchases") for c in one.columns if program.integral[c]
    ]


def test_a_subproblem_has_a_column_for_each_key_of_states_whatever_is_lost():
    p = build(solvable())
    a, program = of_tests(p), Program()
    (s, *_) = (s for f in p.failures if f != NORMAL for s in states(p, f))
    template_columns(a, program, Vectors(), s)
    keys = owned(program)
    for decision in table():
        if decision.block == "states":
            assert keys[decision.name, (s,)] == set(INDEX_SETS[decision.over].keys(a, (s,), testing=True))
    assert keys["kept", (s,)] == {(e, s) for e in p.placements}


def test_a_row_that_is_added_is_in_program_whole_numbers_plan_file_and_audit(more):
    assert [d.name for d in stored_in("chosen")][-2:] == ["used", "mirrored"]
    assert "used" in whole_names() and "mirrored" in names("states")
    assert no_decisions().used == {} and Vectors().mirrored == {}
    plan = make_plan(solvable(), Effort(gap_fraction=0.02))
    run = {(row.placement, row.hour) for row in plan.replicas if row.replicas}
    used = {row.of for row in plan.chosen if row.decision == "used" and row.value >= 1.0}
    assert run and run <= used and audit(plan).passed
    p = problem_of(plan)
    assert {key for key, value in decisions_of(plan, p).used.items() if value} == used
    assert chosen_of(Plan(plan).decisions) == plan.chosen

    def said(*rows: Chosen) -> set[tuple[str, str]]:
        changed = sealed(plan.model_copy(update={"chosen": rows}))
        return {(violation.rule, violation.key) for violation in audit(changed).violations}

    first = next(row for row in plan.chosen if row.of in run)
    rest = [row for row in plan.chosen if row != first]
    e, h = first.of
    assert ("used_where_a_replica_runs", f"{e} {h}") in said(*rest)
    assert ("used", f"{e} {h}") in said(first.model_copy(update={"value": -1.0}), *rest)
    assert ("used", f"{e} {h}") in said(first.model_copy(update={"value": 0.5}), *rest)
    assert ("used", f"{e} {h}") in said(first, first, *rest)
    assert ("used", f"ghost {h}") in said(*plan.chosen, first.model_copy(update={"of": ("ghost", h)}))
    assert ("chosen", f"unknown {e} {h}") in said(*plan.chosen, first.model_copy(update={"decision": "unknown"}))


def test_a_row_of_states_is_kept_by_state(more):
    p, x = build(solvable()), no_decisions()
    (s,) = states(p, "normal")[:1]
    x.mirrored[p.placements[0], s] = 2.0
    (row,) = chosen_of(x)
    assert (row.of, row.hour, row.failure, row.deadline_seconds, row.value) == ((p.placements[0],), *s, 2.0)
