"""What breaks while purchases are missing: as the drill says of the plan without them, asked at less expense."""

import pytest
from drill_fixtures import at, chat, hold, offer, plan, study
from over_time import study_over_time
from studies import random_study

from planner.drill import broken_without, drill_plan, one_hour
from planner.drill.instance import TOLERANCE
from planner.plan.plan import make_plan
from planner.questions.shortfalls import costs_of_being_late
from planner.solve.search import Effort, Infeasible
from planner.study.records.inventory import Pool
from planner.study.records.study import Demand


def without(made, keys):
    """A plan whose purchases never come."""
    left = tuple(row for row in made.purchases if (row.offer, row.when) not in keys)
    return made.model_copy(update={"purchases": left})


def keys_of(made):
    """Each purchase alone, two together, none, and one that there is not."""
    keys = [(row.offer, row.when) for row in made.purchases]
    return [{key} for key in keys[:4]] + [set(keys[:2]), set(), {("no-such-offer", "ever")}]


def drilled(made, keys, most_nodes):
    rows = drill_plan(without(made, keys), most_nodes=most_nodes, only_goals=True).rows
    return {(r.failure, r.hour, r.deadline_seconds, r.tier): r for r in rows if r.broken}


def of_rows(rows):
    return {(r.failure, r.hour, r.deadline_seconds, r.tier): r for r in rows}


def test_random_plans_without_some_purchases_break_as_the_drill_says():
    plans = broken = 0
    for seed in range(4):
        try:
            made = make_plan(random_study(seed), Effort(gap_fraction=0.3, most_nodes=20))
        except Infeasible:
            continue
        plans, sets = plans + 1, keys_of(made)
        for keys, rows in zip(sets, broken_without(made, sets), strict=True):
            expected = drilled(made, keys, 0)
            assert of_rows(rows).keys() == expected.keys(), (seed, keys)
            all_rows = drill_plan(without(made, keys), most_nodes=0).rows  # those after the last deadline, too
            breaks = {(r.failure, r.hour) for r in all_rows if r.broken}
            assert {(r.failure, r.hour) for r in rows} == breaks, (seed, keys)
            for key, row in of_rows(rows).items():
                assert row.short_requests_per_second == pytest.approx(
                    expected[key].short_requests_per_second, rel=1e-6, abs=TOLERANCE
                )
            broken += bool(rows)
    assert plans >= 2 and broken >= 8


def test_over_years_each_hour_is_asked_once(monkeypatch):
    made = make_plan(study_over_time(2), Effort(gap_fraction=0.3, most_nodes=20))
    sets = keys_of(made)
    asked, resolve = [], one_hour.resolve

    def counted(remaining, programs, most_nodes, only_goals):
        asked.append(remaining.failures[0].id)
        return resolve(remaining, programs, most_nodes, only_goals)

    seen = []
    monkeypatch.setattr(one_hour, "resolve", counted)
    once = broken_without(made, sets, progress=lambda done, of: seen.append((done, of)))
    for keys, rows in zip(sets, once, strict=True):
        assert of_rows(rows).keys() == drilled(made, keys, 0).keys()
    asked.clear()
    assert broken_without(made, sets * 3) == once * 3
    three_times = len(asked)
    asked.clear()
    broken_without(made, sets)
    assert three_times == len(asked), "the same sets are asked once"
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == list(range(1, len(seen) + 1))


def nine_and_a_half(requests_per_second):
    """Ten replicas at a; at b nine machines and a half are usable until another has come, which serve 10 each."""
    s = study(
        pools=(Pool(site="aws/a", machine_type="m"), Pool(site="google/b", machine_type="m", usable_fraction=0.95)),
        holdings=hold(a=10, b=10),
        offers=(offer("b", "on_demand"),),
        demand=(Demand(workload="chat", origin="town", requests_per_second=requests_per_second),),
    )
    replicas = {at("a"): 10, at("b"): 10}
    return plan(s, replicas, chat(a=requests_per_second), purchases={s.offers[0].id: 1})


@pytest.mark.parametrize(
    ("requests_per_second", "parts_break", "whole_break"),
    [
        (90.0, False, False),
        (95.0, False, True),  # 9.5 replicas would do, and 9 do not
        (98.0, True, True),
    ],
)
def test_whole_replicas_are_looked_for_where_parts_break_nothing(
    monkeypatch, requests_per_second, parts_break, whole_break
):
    made = nine_and_a_half(requests_per_second)
    (purchase,) = made.purchases
    late = {(purchase.offer, purchase.when)}
    asked, resolve = [], one_hour.resolve
    monkeypatch.setattr(
        one_hour, "resolve", lambda r, p, nodes, **more: asked.append(nodes) or resolve(r, p, nodes, **more)
    )
    (rows,) = broken_without(made, [late])
    assert bool(rows) == parts_break
    asked.clear()
    (found,) = costs_of_being_late(made, [late])
    assert [goal.failures for goal in found.goals] == ([("site:aws/a",)] if whole_break else [])
    assert any(asked) == (whole_break and not parts_break), "a search for whole replicas only where parts break nothing"
    assert all(goal.in_parts == parts_break for goal in found.goals)
