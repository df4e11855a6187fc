"""Minimal cut sets against brute force: everything of at most two events is lost in turn and evaluated."""

import math
import random
from itertools import combinations

import pytest
import studies

from planner.problem.build import build
from planner.questions.risk.cut_sets import Cuts, LostSets, at_most, broken_components
from planner.questions.risk.exposure import exposure
from planner.study.dependencies import availability, dependency_graph
from planner.study.records.study import Component, Dependency, NamedFailure, Needs

KINDS = ("all_of", "any_of", "at_least")


def random_needs(g, below, depth=0):
    """A condition over some of the components, nested up to three deep."""
    parts = tuple(
        random_needs(g, below, depth + 1) if depth < 2 and g.random() < 0.3 else g.choice(below)
        for _ in range(g.randint(1, 4))
    )
    kind = g.choice(KINDS)
    if kind == "at_least":
        return Needs(at_least=g.randint(1, len(parts)), of=parts)
    return Needs(**{kind: parts})


def random_graph(seed):
    """Components with random needs, and events: each component by itself, and some that lose shares of several."""
    g = random.Random(seed)
    names = [f"c{i:02}" for i in range(g.randint(3, 12))]
    needs = {
        name: [random_needs(g, names[:i]) for _ in range(g.randint(0, 2))] if i else [] for i, name in enumerate(names)
    }
    events = {name: {name: 1.0} for name in names if g.random() < 0.9}
    for i in range(g.randint(0, 2)):
        events[f"failure:{i}"] = {name: g.choice([0.25, 0.5, 1.0]) for name in g.sample(names, 2)}
    return needs, events


def left(needs, lost):
    """What is left of every component, by the words of the definition; a component needs earlier ones only."""
    value = {}

    def of(part):
        if isinstance(part, str):
            return value[part]
        if part.all_of is not None:
            return min(of(p) for p in part.all_of)
        if part.any_of is not None:
            return max(of(p) for p in part.any_of)
        return sorted((of(p) for p in part.of), reverse=True)[part.at_least - 1]

    for component in needs:
        value[component] = min([1 - lost.get(component, 0), *(of(part) for part in needs[component])])
    return value


def cut_sets(needs, events, most_remaining=0.0):
    """Minimal cut sets of every component."""
    sets = LostSets(events)
    return {c: sets.minimal(bits) for c, bits in broken_components(sets, needs, events, most_remaining).items()}


def smallest(broken, events):
    """The sets of at most two events that break something and hold no smaller one that does as much."""
    found = {}
    for order in range(3):
        for members in combinations(sorted(events), order):
            worst_inside = max(
                (broken[inner] for size in range(order) for inner in combinations(members, size)), default=0.0
            )
            if (value := broken[members]) > worst_inside + 1e-9:
                found[members] = value
    return found


def together(events, members):
    lost = {}
    for event in members:
        for component, share in events[event].items():
            lost[component] = max(share, lost.get(component, 0))
    return lost


def test_cut_sets_equal_brute_force_on_200_random_graphs():
    orders = {0: 0, 1: 0, 2: 0}
    for seed in range(200):
        needs, events = random_graph(seed)
        after = {
            members: left(needs, together(events, members))
            for order in orders
            for members in combinations(sorted(events), order)
        }
        for most_left in (0.0, 0.5):
            found = cut_sets(needs, events, most_left)
            for component in needs:
                broken = {members: float(value[component] <= most_left) for members, value in after.items()}
                sets = found[component].sets()
                assert sorted(sets) == sorted(smallest(broken, events)), (seed, component, most_left)
                for members in sets:
                    orders[len(members)] += 1
    assert orders[1] > 2000 and orders[2] > 500, "a test that meets no pair proves nothing"


def with_dependencies(seed):
    """A random study with components of its own; workloads break for new logins too, and named failures have rates."""
    g = random.Random(seed)
    study = studies.random_study(seed, "small")
    own = [Component(name=f"n{i}", kind=g.choice(["power", "identity"])) for i in range(4)]
    ids = [f"{c.kind}:{c.name}" for c in own]
    sites = sorted({f"site:{pool.site}" for pool in study.pools})
    dependencies = [Dependency(component=c, needs=random_needs(g, ids)) for c in sites if g.random() < 0.4]
    for w in study.workloads:
        if g.random() < 0.6:
            dependencies.append(Dependency(component=f"workload:{w.name}", needs=random_needs(g, ids + sites)))
        if g.random() < 0.6:
            goes_on = g.choice([0.0, 0.3, 0.75])
            dependencies.append(
                Dependency(
                    component=f"workload:{w.name}",
                    needs=random_needs(g, ids + sites),
                    breaks="new_logins",
                    sessions_go_on_fraction=goes_on,
                )
            )
    if g.random() < 0.5:
        needs = random_needs(g, ids + sites)
        dependencies.append(Dependency(component=sites[0], needs=Needs(any_of=ids[:2]), breaks="starting"))
        dependencies.append(Dependency(component=f"origin:{study.origins[0].name}", needs=needs))
    failures = [
        NamedFailure(
            name=f"f{i}",
            lost={c: g.choice([0.5, 1.0]) for c in g.sample(ids + sites, 2)},
            failures_per_year=1.0,
            hours_to_repair=1.0,
        )
        for i in range(2)
    ]
    return study.model_copy(
        update={
            "components": tuple(own),
            "dependencies": tuple(dependencies),
            "failures": (*study.failures, *failures),
        }
    )


def served(study, p, flow, value):
    """Fraction of a flow that any capacity could serve, from the available fractions of every component."""

    def of(part):
        if isinstance(part, str):
            return value[part]
        if part.all_of is not None:
            return min(map(of, part.all_of))
        if part.any_of is not None:
            return max(map(of, part.any_of))
        return sorted(map(of, part.of), reverse=True)[part.at_least - 1]

    own = (f"workload:{flow[0]}", f"origin:{flow[1]}")
    found = [1.0 if any(value[f"placement:{e}"] > 0 for e in p.edges_in_failure[flow]) else 0.0]
    for dependency in study.dependencies:
        if dependency.component in own:
            inside = of(dependency.needs)
            go_on = dependency.sessions_go_on_fraction if dependency.breaks == "new_logins" else 0.0
            found.append(go_on + (1 - go_on) * inside if dependency.breaks != "starting" else 1.0)
    return min(found)


def test_flows_equal_brute_force_on_random_studies():
    fractions, pairs = set(), 0
    for seed in range(20):
        study = with_dependencies(seed)
        p = build(study)
        x = exposure(study, p)
        graph = dependency_graph(study)
        events = {c: {c: 1.0} for c in graph if c.partition(":")[0] not in ("workload", "origin", "placement")}
        after = {
            members: availability(graph, together(events, members))
            for order in (0, 1, 2)
            for members in combinations(sorted(events), order)
        }
        for flow in p.flows:
            broken = {members: 1 - served(study, p, flow, value) for members, value in after.items()}
            expected = {m: v for m, v in smallest(broken, events).items() if m}
            found = {
                cut.members: row.fraction
                for cut in x.cut_sets
                for row in cut.flows
                if (row.workload, row.origin) == flow
            }
            assert found == pytest.approx(expected), (seed, flow)
            fractions |= {round(v, 6) for v in found.values()}
            pairs += sum(len(m) == 2 for m in found)
    assert len(fractions) > 2 and pairs > 20


def test_wider_sets_are_told_with_the_one_they_take_with_them():
    study = with_dependencies(3)
    x = exposure(study, build(study))
    for tier in {cut.tier for cut in x.cut_sets}:
        told = [members for c in x.cut_sets if c.tier == tier and c.innermost for members in (c.members, *c.wider)]
        assert set(told) == {cut.members for cut in x.cut_sets if cut.tier == tier}


def test_so_many_of_many_stays_small():
    names = tuple(f"e{i:03}" for i in range(100))
    events = {name: {name: 1.0} for name in names}
    needs = dict.fromkeys(names, ()) | {"one": [Needs(at_least=99, of=names)], "two": [Needs(at_least=98, of=names)]}
    found = cut_sets(needs, events)
    assert len(found["one"].pairs) == 100 * 99 / 2 and not found["one"].singles
    assert not found["two"], "three must be lost"


def test_a_long_chain_of_needs_is_no_recursion():
    needs = {"c0": []} | {f"c{i}": [Needs(all_of=(f"c{i - 1}",))] for i in range(1, 3000)}
    found = cut_sets(needs, {"c0": {"c0": 1.0}, "c1500": {"c1500": 1.0}})
    assert found["c2999"].sets() == [("c0",), ("c1500",)] and found["c1499"].sets() == [("c0",)]


def test_the_sum_over_cut_sets_bounds_the_exact_probability_from_above():
    down = {"a": 0.1, "b": 0.2, "c": 0.05}
    cuts = Cuts(singles=frozenset("a"), pairs=frozenset({("b", "c")}))
    # exactly: 1 - (1 - 0.1) · (1 - 0.2 · 0.05) = 0.109; the sum: 0.1 + 0.01 = 0.11
    assert at_most(cuts, down) == pytest.approx(0.11)
    assert at_most(cuts, {"b": 0.2}) == 0.0, "without a rate nothing is assumed"


def test_the_sum_over_cut_sets_is_close_to_the_exact_share_of_time_and_never_below_it():
    """Exactly: over every subset of the events, the probability of those in which some cut set is down."""
    compared = 0
    for seed in range(40):
        needs, events = random_graph(seed)
        alone = sorted(e for e in events if not e.startswith("failure:"))[:10]
        g = random.Random(seed)
        down = {event: g.choice([1e-2, 1e-3]) for event in alone}
        for cuts in cut_sets(needs, {e: events[e] for e in alone}).values():
            sets = [set(members) for members in cuts.sets()]
            if not sets or cuts.always:
                continue
            exact = 0.0
            for order in range(len(alone) + 1):
                for lost in combinations(alone, order):
                    if any(members <= set(lost) for members in sets):
                        exact += math.prod(down[e] if e in lost else 1 - down[e] for e in alone)
            assert exact - 1e-15 <= at_most(cuts, down) <= exact * 1.1
            compared += 1
    assert compared > 100
