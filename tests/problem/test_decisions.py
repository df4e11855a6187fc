"""The table of decisions: a row that is added is in program, whole numbers, plan file and audit."""

from dataclasses import dataclass

import pytest
from worked_points import solvable

from planner.plan.audit import audit
from planner.plan.decisions import chosen_of, decisions_of, problem_of
from planner.plan.file import sealed
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.problem import decisions
from planner.problem.algebra import Row, Sparse
from planner.problem.build import build
from planner.problem.decisions import Decisions, names, no_decisions, stored_in, table
from planner.problem.problem import states
from planner.problem.rules.index_sets import INDEX_SETS
from planner.problem.rules.register import PURCHASE_RULES
from planner.solve.columns import start_program
from planner.solve.search import Effort
from planner.solve.whole_numbers import whole_columns, whole_names
from planner.study.records.plan import Chosen, PlanFile


@dataclass
class More(Decisions):
    """The table with two decisions more: whether a placement is used in an hour, and one of states."""

    used: Sparse = decisions.row("e h", "1 where a replica runs", "placements", "purchases", "always")  # noqa: RUF009
    mirrored: Sparse = decisions.row("e s", "replicas of it", "live placements", "states")  # noqa: RUF009


def used_where_a_replica_runs(p, x):
    for e in p.placements:
        for h in p.hours:
            yield Row((e, h), x.replicas[e, h], "<=", 1000.0 * x.used[e, h])


@pytest.fixture
def more(monkeypatch):
    monkeypatch.setattr(decisions, "Decisions", More)
    for module in ("planner.solve.columns", "planner.plan.audit"):
        monkeypatch.setattr(f"{module}.PURCHASE_RULES", (*PURCHASE_RULES, used_where_a_replica_runs))


def test_every_row_has_an_index_set_that_is_there():
    assert {decision.over for decision in table()} == set(INDEX_SETS)
    assert all(decision.means and decision.index for decision in table())
    records = {record for decision in table() for record in decision.records}
    assert records >= {"purchases", "builds", "replicas", "reserves", "states"}
    assert records <= PlanFile.model_fields.keys()
    assert {decision.block for decision in stored_in("chosen")} <= {"purchases", "states"}, "others are not carried on"


def test_the_program_has_a_column_for_each_key_of_each_index_set():
    p = build(solvable())
    _, x = start_program(p)
    for decision in table():
        keys = INDEX_SETS[decision.over].keys
        if decision.block in ("purchases", "costs"):
            assert set(getattr(x, decision.name)) == set(keys(p)), decision.name
        elif decision.block == "states":
            normal = {key for s in states(p, "normal") for key in keys(p, s, False)}
            assert set(getattr(x, decision.name)) == normal, decision.name
    assert len(whole_columns(x)) == sum(len(getattr(x, name)) for name in whole_names())


def test_a_row_that_is_added_is_in_program_whole_numbers_plan_file_and_audit(more):
    assert [d.name for d in stored_in("chosen")][-2:] == ["used", "mirrored"]
    assert "used" in whole_names() and "mirrored" in names("states")
    assert isinstance(no_decisions(), More)
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
