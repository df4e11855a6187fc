"""A figure moved in arrays is the figure moved in the study; what is kept between two looks changes no answer."""

from contextlib import suppress
from dataclasses import fields

import numpy as np
import pytest
from moved_figures import moved
from studies import beset_study

from planner.drill import Move, Replays, broken_rows
from planner.drill.instance import Instance, build_instance
from planner.drill.moved import moved as moved_arrays
from planner.drill.replay import prepare
from planner.errors import NoPlan
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.dependencies import profile_id

SEEDS = (1, 3, 4, 9)


@pytest.fixture(scope="module")
def plans():
    """Plans of studies in which several hours, repairs in stages, compile caches and storage rates occur."""
    made = []
    for seed in SEEDS:
        study = beset_study(seed)
        caches = {"compile_caches": "cold" if seed % 2 else "warm"}
        changed = {"cold_starts": study.cold_starts.model_copy(update=caches)}
        with suppress(NoPlan):
            made.append(make_plan(study.model_copy(update=changed), Effort(gap_fraction=0.05)))
    assert len(made) > 2
    return made


def moves_of(plan):
    """Each sort of move, of demand and of the profiles that run."""
    names = sorted({profile_id(m.model, p.name) for m in plan.study.models for p in m.profiles})
    yield Move("demand", 1.3)
    for name in names[:2]:
        yield Move("speed", 0.8, name)
        yield Move("load time", 1.7, name)


def numbers_of(instance: Instance):
    for field in fields(instance):
        value = getattr(instance, field.name)
        if isinstance(value, np.ndarray):
            yield field.name, value
    if instance.queues is not None:
        yield "met_seconds", instance.queues.met_seconds


def test_arrays_moved_are_those_of_the_study_moved(plans):
    for plan in plans:
        for move in moves_of(plan):
            other, _ = moved(plan, move.figure, move.profile, move.factor)
            arrays = moved_arrays(build_instance(plan.study, plan.demand_case), move)
            of_study = build_instance(other.study, plan.demand_case)
            for (name, value), (_, expected) in zip(numbers_of(arrays), numbers_of(of_study), strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-9, err_msg=f"{move} {name}")
            assert list(arrays.flows) == list(of_study.flows)
            assert list(arrays.placements) == list(of_study.placements)


def test_asked_in_any_order_the_answers_are_those_of_a_drill_from_nothing(plans):
    """With parts of replicas: what breaks does so for sure, whatever was asked before."""
    asked = 0
    for plan in plans:
        replays = Replays(plan)
        _, _, failures = prepare(plan.study, plan.demand_case)
        blocks = [(one.hour, f.id) for one in replays.slices for f in failures][:5]
        for move in moves_of(plan):
            for factor in (2.0, 1.02, 1.3):
                one = Move(move.figure, 1 / factor if move.figure == "speed" else factor, move.profile)
                other, _ = moved(plan, one.figure, one.profile, one.factor)
                for block in blocks:
                    kept = {row.failure for row in replays.broken_rows([block], one, 0)}
                    anew = {row.failure for row in broken_rows(other, [block], most_nodes=0)}
                    assert kept == anew, (plan.study.study, one, block)
                    asked += 1
    assert asked > 100
