"""A runbook says of each step what is served with it and without any push; a lesser set says what it is for."""

import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
from gateway_fakes import small_plan

from planner.emit import envoy
from planner.emit.behaviour import EVERY_BEHAVIOUR
from planner.emit.cascade import cascade
from planner.emit.common import given
from planner.emit.moves import Move, Moves
from planner.emit.overrides import RIGHT_AFTER_SECONDS, Override, overrides
from planner.emit.routing import peak_requests_per_second
from planner.emit.runbook import when_due
from planner.emit.set_served import served_table, side_by_side
from planner.study.records.study import Goal, Tier, Utilisation


@cache
def plan():
    """A fifth is due after 5 s, seven tenths after 60 s; starts take 20 s."""
    goals = (
        Goal(any="site", serve_fraction=0.2, within_seconds=5.0),
        Goal(any="site", serve_fraction=0.7, within_seconds=60.0),
    )
    room = Utilisation(basis="fixed", normal=0.7, in_failure=0.95)
    tiers = (Tier(name="t", survive=goals),)
    return small_plan(load_seconds=20.0, tiers=tiers, utilisation=room, detection_seconds=2.0)


@cache
def made():
    return given(plan(), {}, envoy.OPTIONS)


def refusing(seconds):
    """A set in which everything is refused."""
    routes = tuple(replace(r, levels=(), pushed=True, shed_fraction=1.0) for r in made().table.routes)
    return Override("site:b/s", seconds, routes)


def lines(override, moves):
    sides = side_by_side(made().of, made().table, "envoy", override)
    return sides, "\n".join(served_table(made().of, [(override, sides)], moves))


def test_each_step_says_what_is_served_with_it_and_without_any_push():
    text = envoy.files(plan(), {})["RUNBOOK.md"]
    without = {x.failure: f"{100 * x.meanwhile.served_fraction:.1f}" for x in cascade(made().of, made().table, "envoy")}
    looked_at = 0
    for section in re.split(r"^## \d+\. ", text, flags=re.M)[1:]:
        failure = section.partition("\n")[0]
        said = re.findall(r"^\| \d+ \| \S+ s \| \S+ % \| (\S+) % \| .* \|$", section, re.M)
        assert said and set(said) == {without[failure]}
        assert len(said) == len(re.findall(r"^\*\*Step ", section, re.M))
        looked_at += len(said)
    assert looked_at


def test_a_set_that_serves_less_for_a_later_start_says_that_it_is_the_price_of_the_later_goal():
    p = made().of.problem
    on_c = [e for e in p.placements if p.pool_of[e] == "c/s/m3"]
    evicted, started = Move(on_c[0], "c/s", 2, 0, 2, 0, 2.0), Move(on_c[1], "c/s", 0, 1, 0, 1, 40.0)
    sides, text = lines(refusing(5.0), {5.0: Moves((evicted,)), 60.0: Moves((started,))})
    less = (
        f"Step 1 serves **{100 * sides.without_push.served_fraction:.1f} percentage points less than no push at all**"
    )
    assert less in text and "the price of the later goal, due by 60 s: 2 replicas are evicted" in text
    _, elsewhere = lines(refusing(5.0), {5.0: Moves((evicted,)), 60.0: Moves()})
    assert "price" not in elsewhere


def test_a_set_that_serves_less_for_nothing_says_so_too():
    sides, text = lines(refusing(5.0), {})
    assert sides.less_fraction >= sides.less_by_routes_fraction > 0
    assert "No goal asks for it by then. No later start needs its machines, either" in text
    assert "of it are its routes'" in text


def test_a_set_that_serves_what_the_static_files_serve_gives_no_reason():
    sides, text = lines(Override("site:b/s", 5.0, made().table.routes), {})
    assert sides.with_set.served_fraction == pytest.approx(sides.its_replicas.served_fraction)
    assert "less than no push" not in lines(Override("site:c/s", 5.0, made().table.routes), {})[1]
    assert "| 1 | 5 s | " in text


def test_two_steps_at_one_second_say_that_the_second_replaces_the_first_at_once():
    of, after = made().of, RIGHT_AFTER_SECONDS / 2
    first = when_due(of, refusing(5.0), Moves(), 5.0 + after, is_pushed=True)
    assert first == "from 2 s, by 5 s, until 5 s, when the next step replaces it at once: push at once"
    deadlines = {**of.problem.deadlines_seconds, "site:b/s": (5.0, 5.0 + after, 60.0)}
    shifted = SimpleNamespace(problem=SimpleNamespace(detection_seconds=2.0, deadlines_seconds=deadlines))
    second = when_due(shifted, refusing(5.0 + after), Moves(), 60.0, is_pushed=True)
    assert second == "at 5 s, in place of what holds until then: at once after it, not before; until 60 s: push"


@pytest.mark.parametrize("gateway", sorted(EVERY_BEHAVIOUR))
def test_every_gateway_serves_with_a_set_what_the_plan_serves(gateway):
    of, table = made().of, made().table
    looked_at = 0
    for override in overrides(of, table, cascade(of, table, gateway)):
        s = (of.hour, override.failure, override.deadline_seconds)
        if s in of.sent:
            sent = sum(value for placements in of.sent[s].values() for value in placements.values())
            offered = sum(peak_requests_per_second(of.problem, *flow, s) for flow in of.problem.flows)
            with_set = side_by_side(of, table, gateway, override).with_set
            assert with_set.served_fraction == pytest.approx(sent / offered, abs=0.01)
            looked_at += 1
    assert looked_at
