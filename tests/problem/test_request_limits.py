"""Components that let only so many requests through: worked by hand, and random needs against brute force."""

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pulp
import pytest
from failing import EXACT, asked, bought, gateways, goal
from helpers import write_study
from studies import model, offer, profile, site

from planner.drill import drill_plan, drill_state_claims
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.explain import diagnose
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.algebra import total
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, states
from planner.problem.rules.states import (
    components_pass_what_they_can,
    each_request_passes_one_alternative,
    no_request_passes_a_closed_alternative,
    throughput_is_counted,
)
from planner.questions.margins import margins
from planner.solve.columns import purchase_columns, state_columns
from planner.solve.program import OPTIMAL, Program
from planner.solve.search import Infeasible
from planner.study.checks.request_limits import not_counted
from planner.study.dependencies import NORMAL
from planner.study.read import read_study
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Demand, Dependency, Goal, NamedFailure, Needs, Origin, Study, Tier

SEEDS = 150


def gate(name: str, most: float | None = None) -> Component:
    return Component(name=name, kind="gate", most_requests_per_second=most)


def ids(names: tuple[str | Needs, ...]) -> tuple[str | Needs, ...]:
    return tuple(f"gate:{part}" if isinstance(part, str) else part for part in names)


def all_of(*names: str | Needs) -> Needs:
    return Needs(all_of=ids(names))


def any_of(*names: str | Needs) -> Needs:
    return Needs(any_of=ids(names))


def needing(components: tuple[Component, ...], lost: str = "", demand: float = 10, **needs: Needs) -> Study:
    """The brick of test_failures; what the workload w, the origin o, site a and gates need; one gate may be lost."""
    of = {"w": "workload:w", "o": "origin:o", "north": "origin:north", "a": "site:p/a", "h": "site:r/b"}
    more: dict[str, Any] = {}
    if lost:
        more = {"failures": (NamedFailure(name="f", lost={f"gate:{lost}": 1.0}),), "tiers": goal()}
    dependencies = tuple(Dependency(component=of.get(who, f"gate:{who}"), needs=need) for who, need in needs.items())
    return asked(components=components, dependencies=dependencies, demand={("w", "o"): demand}, **more)


def planned(study: Study) -> dict[str, int]:
    """What is bought; the plan passes audit and drill."""
    plan = make_plan(study, EXACT)
    assert audit(plan).passed, audit(plan).violations[:3]
    assert not drill_plan(plan).broken and not drill_state_claims(plan)
    return bought(study)


def none(study: Study) -> None:
    with pytest.raises(Infeasible):
        make_plan(study, EXACT)


def test_an_alternative_without_a_limit_that_is_lost_leaves_the_limit():
    """Any of g1 (4/s) and g2: 10 pass in normal operation, 4 when g2 is lost."""
    study = needing((gate("g1", 4.0), gate("g2")), lost="g2", w=any_of("g1", "g2"))
    none(study)
    assert planned(study.model_copy(update={"tiers": goal(fraction=0.4)})) == {"p/a": 10}
    assert planned(needing((gate("g1", 4.0), gate("g2")), w=any_of("g1", "g2"))) == {"p/a": 10}


def test_why_there_is_no_plan_names_the_gateway():
    why = str(diagnose(needing((gate("g1", 4.0), gate("g2")), lost="g2", w=any_of("g1", "g2"))))
    assert "short of: w from o by 6.0 requests/s when failure:f is lost" in why
    assert "nearest binding: gate:g1 (lets 4 requests/s through)" in why
    assert "about 6 more requests/s through gate:g1" in why


def test_what_is_behind_something_dead_lets_nothing_through():
    """Any of b at 10/s, which needs x, and c at 4/s: 4 pass when x is lost, though b lives."""
    study = needing((gate("b", 10.0), gate("x"), gate("c", 4.0)), lost="x", w=any_of("b", "c"), b=all_of("x"))
    none(study)
    assert planned(study.model_copy(update={"tiers": goal(fraction=0.4)})) == {"p/a": 10}


def test_several_needs_are_each_an_own_choice():
    """Any of a and b at the workload, 6/s each; any of c (9/s) and d (3/s) in front of all: 12 pass; x at 11/s: 11."""
    gates = (gate("a", 6.0), gate("b", 6.0), gate("c", 9.0), gate("d", 3.0), gate("x", 12.0))
    both = any_of("a", "b")
    front: dict[str, Needs] = {"w": all_of("x", both), "x": any_of("c", "d")}
    assert planned(needing(gates, demand=12, **front)) == {"p/a": 12}
    none(needing(gates, demand=13, **front))
    none(needing((*gates[:4], gate("x", 11.0)), demand=12, **front))
    p = build(needing(gates, **front))
    assert [a.ids for a in p.request_limits.alternatives] == [
        ("1.1 gate:a", "1.2 gate:b"),
        ("2.1 gate:c", "2.2 gate:d"),
    ]
    # all but one is all, and one of one is that one
    same = needing(gates[:2], demand=6, w=Needs(at_least=2, of=("gate:a", any_of("b"))))
    assert planned(same) == {"p/a": 6}
    none(same.model_copy(update={"demand": needing((), demand=7).demand}))


def test_what_is_met_twice_counts_once():
    """A gateway at 15/s, needed through two others, or by workload, origin and site alike."""
    diamond = needing((gate("x"), gate("y"), gate("n", 15.0)), w=all_of("x", "y"), x=all_of("n"), y=all_of("n"))
    assert planned(diamond) == {"p/a": 10}
    both = needing((gate("n", 15.0),), w=all_of("n"), o=all_of("n"), a=all_of("n"))
    assert planned(both) == {"p/a": 10}
    none(needing((gate("n", 9.0),), w=all_of("n"), o=all_of("n")))
    # the origin goes through n anyway, so the workload's choice of n or m takes nothing more
    chosen = needing((gate("n", 10.0), gate("m", 1.0)), w=any_of("n", "m"), o=all_of("n"))
    assert planned(chosen) == {"p/a": 10} and not build(chosen).request_limits.alternatives
    # the same alternatives at the workload and at the origin are met once
    alike = needing((gate("n", 6.0), gate("m", 4.0)), w=any_of("n", "m"), o=any_of("m", "n"))
    assert planned(alike) == {"p/a": 10}
    none(needing((gate("n", 6.0), gate("m", 3.0)), w=any_of("n", "m"), o=any_of("m", "n")))


def chain(demand: float, gates: int = 64) -> Study:
    """63 origins, each of which may use two neighbours of 64 gateways of 1/s."""
    origins = tuple(Origin(name=f"o{n:02d}", latitude=50.0, longitude=0.0) for n in range(gates - 1))
    return asked(
        origins=origins,
        components=tuple(gate(f"g{n:02d}", 1.0) for n in range(gates)),
        dependencies=tuple(
            Dependency(component=f"origin:o{n:02d}", needs=any_of(f"g{n:02d}", f"g{n + 1:02d}"))
            for n in range(gates - 1)
        ),
        demand={("w", o.name): demand / (gates - 1) for o in origins},
        bought=[offer("p/a/m", 1, most_units=400.0)],
        sites=(site("p/a"),),
        pools=(Pool(site="p/a", machine_type="m"),),
    )


def test_many_alternatives_are_all_looked_at():
    none(chain(65.5))
    assert planned(chain(64.0)) == {"p/a": 64}
    p = build(chain(64.0))
    assert len(p.request_limits.alternatives) == 63 and len(p.request_limits.component_of) == 126


def test_half_of_a_site_with_a_limit_is_half_of_its_machines():
    one: dict[str, Any] = {
        "sites": (site("p/a"),),
        "pools": (Pool(site="p/a", machine_type="m"),),
        "bought": [offer("p/a/m", 1, most_units=40.0)],
        "failures": (NamedFailure(name="f", lost={"site:p/a": 0.5}),),
        "tiers": goal(),
    }
    limited = Component(name="p/a", kind="site", most_requests_per_second=100.0)
    assert planned(asked(**one)) == planned(asked(components=(limited,), **one)) == {"p/a": 20}
    tight = limited.model_copy(update={"most_requests_per_second": 19.0})
    none(asked(components=(tight,), **one))  # half of it lets 9.5 through
    # a gateway has no machines: half of it is half of what it lets through, and the machines are whole
    lost = NamedFailure(name="f", lost={"gate:g": 0.5})
    wide = needing((gate("g", 20.0),), w=all_of("g")).model_copy(update={"failures": (lost,), "tiers": goal()})
    assert planned(wide) == {"p/a": 10}


def test_all_that_cannot_be_avoided_is_one_row_and_one_bound():
    p = build(gateways_alone := needing((gate("g", 20.0),), w=all_of("g"), o=all_of("g")))
    assert not p.request_limits.alternatives and p.request_limits.components == ("gate:g",)
    a, s = full(p), (p.hours[0], NORMAL, 0.0)
    program, x = Program(), Vectors()
    purchase_columns(a, program, x)
    state_columns(a, program, x, s)
    assert len(x.component_throughput[s,]) == 1 and not len(x.throughput[s,])
    (rows,) = throughput_is_counted(a, x, s)
    assert len(rows) == 1 and not list(each_request_passes_one_alternative(a, x, s))
    assert gateways_alone.components and not build(asked()).request_limits.components


def test_demand_cannot_grow_beyond_what_gateways_let_through():
    """A machine serves 100/s, the gateway lets 10 through, 10 are wanted; with 25/s demand may grow by 2.5."""
    fast: dict[str, Any] = {"models": (model("m", [profile("m", "cuda", 100)]),)}
    for most, factor in ((10.0, 1.0), (25.0, 2.5)):
        need = (Dependency(component="workload:w", needs=any_of("g", "h", "h")),)
        plan = make_plan(asked(components=(gate("g", most - 4), gate("h", 4.0)), dependencies=need, **fast), EXACT)
        (found,) = [m for m in margins(plan) if m.kind == "demand"]
        assert found.factor == pytest.approx(factor, rel=0.02) and found.factor <= factor + 1e-6 < found.breaks_at


def test_nothing_steers_requests_that_only_rescale():
    """o goes through g1, b through g1 or g2 (4/s), 5/s each: unsteered, b splits by what both let through."""
    # g1 at 6: b could send 1 and 4, but sends 3 and 2, and 5 + 3 are more than 6
    assert planned(asked(**gateways())) == {"p/a": 10}
    none(asked(**gateways(), failover="rescale"))
    # g1 at 9: 5 + 5 · 9 / 13 = 8.46
    plan = make_plan(asked(**gateways(g1=9.0), failover="rescale"), EXACT)
    assert audit(plan).passed and not drill_plan(plan, "rescale").broken
    normal = next(s for s in plan.states if s.failure == NORMAL)
    assert normal.throughput_requests_per_second == pytest.approx((45 / 13, 20 / 13))
    # one of three, 9, 4 and 1: split by what each lets through; without a limit on the last all pass that one
    three = (gate("a", 9.0), gate("b", 4.0), gate("c", 1.0))
    split = make_plan(
        needing(three, demand=7, w=any_of("a", "b", "c")).model_copy(update={"failover": "rescale"}), EXACT
    )
    assert split.states[0].throughput_requests_per_second == pytest.approx((4.5, 2.0, 0.5))
    free = needing((*three[:2], gate("c")), demand=7, w=any_of("a", "b", "c"))
    split = make_plan(free.model_copy(update={"failover": "rescale"}), EXACT)
    assert split.states[0].routed_via == ("1.3 gate:c",)
    assert audit(split).passed and not drill_plan(split, "rescale").broken


@pytest.mark.parametrize(
    ("limits", "need", "share"),
    [
        ({"n": 8.0}, all_of("n", any_of("b", "c")), 0.8),
        ({"b": 6.0, "n": 3.0}, any_of("b", "n"), 0.9),
        ({"b": 5.0, "c": 1.0, "d": 1.0}, any_of("b", "c", "d"), 0.7),
        ({"b": 4.0}, any_of("b", "n"), 1.0),
    ],
)
def test_the_drill_finds_what_gateways_hold_up(limits: dict[str, float], need: Needs, share: float):
    """The plan of the study without limits, replayed with them: re-solved and rescaled."""
    plan = make_plan(needing(tuple(gate(name) for name in "bcdn"), w=need), EXACT)
    gates = tuple(gate(name, limits.get(name)) for name in "bcdn")
    held_up = plan.model_copy(update={"study": plan.study.model_copy(update={"components": gates})})
    for mode in ("resolve", "rescale"):
        (row,) = [row for row in drill_plan(held_up, mode).rows if row.failure == NORMAL]
        assert row.served_fraction == pytest.approx(share), mode


# ------------------------------------------------------------------ the plan file
def one_lost() -> PlanFile:
    """6/s through g1 or g2, 4/s each in half of the cases, g2 may be lost for half of the requests."""
    study = needing((gate("g1", 4.0), gate("g2", 4.0)), lost="g2", demand=6, w=any_of("g1", "g2"))
    return make_plan(study.model_copy(update={"tiers": goal(fraction=0.5)}), EXACT)


def test_the_plan_says_by_which_alternative_requests_go():
    plan = one_lost()
    normal, broken = plan.states
    assert set(normal.routed_via) == {"1.1 gate:g1", "1.2 gate:g2"}
    assert sum(normal.throughput_requests_per_second) == pytest.approx(6.0)
    assert max(normal.throughput_requests_per_second) <= 4.0 + 1e-9
    assert broken.routed_via == ("1.1 gate:g1",) and not broken.same_as_normal
    (through,) = broken.throughput_requests_per_second
    assert 3.0 - 1e-9 <= through <= 4.0 + 1e-9
    assert "routed_via" not in make_plan(asked(), EXACT).model_dump_json(), "what is not used leaves no trace"


@pytest.mark.parametrize(
    ("state", "update", "rule"),
    [
        (
            0,
            {"routed_via": ("1.1 gate:g1",), "throughput_requests_per_second": (6.0,)},
            "components_pass_what_they_can",
        ),
        (0, {"routed_via": (), "throughput_requests_per_second": ()}, "each_request_passes_one_alternative"),
        (
            1,
            {"routed_via": ("1.2 gate:g2",), "throughput_requests_per_second": (4.0,)},
            "no_request_passes_a_closed_alternative",
        ),
        (0, {"routed_via": ("1.3 gate:g3",), "throughput_requests_per_second": (4.0,)}, "routed_via"),
    ],
)
def test_the_audit_looks_at_every_alternative(state: int, update: dict[str, Any], rule: str):
    plan = one_lost()
    wrong = [s.model_copy(update=update) if n == state else s for n, s in enumerate(plan.states)]
    violations = audit(sealed(plan.model_copy(update={"states": tuple(wrong)}))).violations
    assert rule in {violation.rule for violation in violations}


# ------------------------------------------------------------------ random needs against brute force
NAMES = "bcdefg"


def random_needs(g: random.Random, names: str) -> Needs:
    """All of some gates, any of some, or all of some of which two may do for each other."""
    some = g.sample(names, g.randint(1, min(3, len(names))))
    kind = g.choice(["all", "any", "any", "both"])
    if kind == "both" and len(some) == 3:
        return all_of(some[0], any_of(*some[1:]))
    return all_of(*some) if kind == "all" else any_of(*some)


def random_limits(seed: int) -> Study:
    """Six gates, some with limits, some that need others; a workload, two origins, two sites need some; a failure."""
    g = random.Random(seed)
    limits = {name: g.choice([None, 1.0, 2.0, 3.0, 5.0, 8.0]) for name in NAMES}
    needs = {name: random_needs(g, NAMES[n + 1 :]) for n, name in enumerate(NAMES[:-1]) if g.random() < 0.1}
    needs |= {name: random_needs(g, NAMES) for name in ("w", "o", "north") if g.random() < 0.6}
    site_needs = g.random() < 0.3
    if site_needs:
        needs |= {name: random_needs(g, NAMES) for name in "ah" if g.random() < 0.6}
    lost = {f"gate:{name}": 1.0 for name in g.sample(NAMES, g.randint(1, 2))}
    if not site_needs:  # with machines behind it, a part of a gate is a part of the machines
        lost |= {f"gate:{name}": g.choice([0.25, 0.5]) for name in g.sample(NAMES, 2) if limits[name] is not None}
    return needing(tuple(gate(name, most) for name, most in limits.items()), **needs).model_copy(
        update={
            "origins": tuple(Origin(name=o, latitude=50.0, longitude=0.0) for o in ("o", "north")),
            "demand": tuple(Demand(workload="w", origin=o, requests_per_second=100.0) for o in ("o", "north")),
            "failures": (NamedFailure(name="f", lost=lost),),
            "tiers": (Tier(name="t", survive=(Goal(failure="f", within_seconds=60.0),)),),
        }
    )


def open_with(part: str | Needs, some: frozenset[str], needs: dict[str, list[Needs]]) -> bool:
    """Whether a need is met by some components alone."""
    if isinstance(part, str):
        return part in some and all(open_with(need, some, needs) for need in needs.get(part, []))
    inner = [open_with(each, some, needs) for each in part.all_of or part.any_of or part.of or ()]
    return sum(inner) >= (len(inner) if part.all_of else part.at_least or 1)


EDGES = [("w", o, f"m/m-cuda@{at}/m") for o in ("o", "north") for at in ("p/a", "r/b")]


def most_by_brute_force(study: Study, lost: dict[str, float], worth: list[float]) -> float:
    """Worth of the requests/s that get through, 100 an edge at most: a stream for each set that meets all needs."""
    needs: dict[str, list[Needs]] = {}
    for d in study.dependencies:
        needs.setdefault(d.component, []).append(d.needs)
    alive = [f"gate:{name}" for name in NAMES if lost.get(f"gate:{name}", 0.0) < 1]
    sets = [frozenset(some) for n in range(len(alive) + 1) for some in itertools.combinations(alive, n)]
    streams: list[tuple[frozenset[str], int, Any]] = []
    lp = pulp.LpProblem("most", pulp.LpMaximize)
    for e, (_, o, placement) in enumerate(EDGES):
        passed = ("workload:w", f"origin:{o}", "site:" + placement.partition("@")[2].rpartition("/")[0])
        asked_for = [need for component in passed for need in needs.get(component, [])]
        mine = [some for some in sets if all(open_with(need, some, needs) for need in asked_for)]
        streams += [(some, e, lp.add_variable(f"s{len(streams) + n}", 0, 100)) for n, some in enumerate(mine)]
    lp.setObjective(pulp.lpSum(worth[e] * v for _, e, v in streams))
    for e in range(len(EDGES)):
        lp.addConstraint(pulp.lpSum(v for _, at, v in streams if at == e) <= 100)
    for c in study.components:
        if c.most_requests_per_second is not None:
            left = c.most_requests_per_second * (1 - lost.get(f"gate:{c.name}", 0.0))
            lp.addConstraint(pulp.lpSum(v for some, _, v in streams if f"gate:{c.name}" in some) <= left)
    lp.solve(pulp.getSolver("HiGHS", msg=False))
    return sum(worth[e] * (v.varValue or 0.0) for _, e, v in streams)


def most_by_rules(p: Problem, s: State, worth: list[float]) -> float:
    """Worth of the requests/s that the rules let through, 100 an edge at most, machines left out."""
    a, program, x = full(p), Program(), Vectors()
    served = np.array([p.coverable[s[1]].get(edge[:2], 1.0) > 0 for edge in a.edges])
    traffic = program.columns(a.may_serve(s[1]) & served)
    program.upper[traffic.column] = 100.0
    x.traffic[s,] = traffic
    x.component_throughput[s,] = program.columns(np.ones(len(a.components), dtype=bool))
    x.throughput[s,] = program.columns(np.ones(len(a.alternatives), dtype=bool))
    for rule in (
        throughput_is_counted,
        each_request_passes_one_alternative,
        components_pass_what_they_can,
        no_request_passes_a_closed_alternative,
    ):
        program.add(rule.__name__, rule(a, x, s))
    of_edge = dict(zip(EDGES, worth, strict=True))
    program.minimise(total(np.array([-of_edge[edge] for edge in a.edges]) * traffic))
    assert not len(traffic.column) or program.solve() == OPTIMAL
    return -program.objective if len(traffic.column) else 0.0


def test_random_needs_let_through_what_brute_force_says():
    counted = binding = dividing = 0
    for seed in range(SEEDS):
        study = random_limits(seed)
        if not_counted(study):
            with pytest.raises(InputError):
                build(study)
            continue
        counted += 1
        value = random.Random(seed).choices([1.0, 2.0, 3.0], k=len(EDGES))
        p = build(study)
        for f in p.failures:
            most = most_by_rules(p, states(p, f)[0], value)
            truth = most_by_brute_force(study, dict(p.failures[f].lost), value)
            assert most == pytest.approx(truth, abs=1e-6), (seed, f)
            binding += 0 < truth < 100
        dividing += bool(p.request_limits.alternatives)
    assert counted > SEEDS / 2 and binding > SEEDS / 3 and dividing > SEEDS / 5, (counted, binding, dividing)


# ------------------------------------------------------------------ what cannot be counted is found
G = [f"gate:g{n}" for n in range(4)]
"""Gates; all but the last let 9 requests/s through."""
CHAT, LONDON, EAST = "workload:chat", "origin:london", "site:alpha/east-1"
UNCOUNTED: dict[str, tuple[dict[str, dict[str, Any]], str, str, str]] = {
    # what needs what: the place of the finding, and what it got and how to cure it begin with
    "several of more": (
        {CHAT: {"at_least": 2, "of": G[:3]}},
        "dependencies[0].needs",
        "at_least 2, where gate:g0 has a limit",
        "write any_of",
    ),
    "alternatives within alternatives": (
        {CHAT: {"all_of": [G[3], {"any_of": [G[0], {"all_of": [G[1], G[3]]}]}]}},
        "dependencies[0].needs.all_of[1]",
        "a need within a need, where gate:g0 has a limit",
        "name components only",
    ),
    "a limit below an alternative": (
        {CHAT: {"any_of": [G[1], G[3]]}, G[3]: {"all_of": [G[2]]}},
        "dependencies[0].needs",
        "gate:g3, which needs a component with a limit",
        "put the limit on the alternative itself",
    ),
    "alternatives below an alternative": (
        {CHAT: {"any_of": [G[2], G[3]]}, G[3]: {"any_of": [G[0], G[1]]}},
        "dependencies[0].needs",
        "gate:g3, which needs a component with a limit",
        "put the limit on the alternative itself",
    ),
    "a limit that two needs share": (
        {CHAT: {"any_of": [G[0], G[3]]}, LONDON: {"any_of": [G[0], G[1]]}},
        "components[0].most_requests_per_second",
        "gate:g0 in several any_of of the same requests",
        "name it in one any_of",
    ),
    "a limit that workload and site share": (
        {CHAT: {"any_of": [G[0], G[1]]}, EAST: {"any_of": [G[2], G[1]]}},
        "components[1].most_requests_per_second",
        "gate:g1 in several any_of of the same requests",
        "name it in one any_of",
    ),
}


def limited_by(folder: Path, needs: dict[str, dict[str, Any]], limits: tuple[float | None, ...], **more: Any) -> Path:
    """A study in files, in which some components need gates with limits."""
    gates = [
        {"name": f"g{n}", "kind": "gate"} | ({} if most is None else {"most_requests_per_second": most})
        for n, most in enumerate(limits)
    ]
    dependencies = [{"component": component, "needs": need, **more} for component, need in needs.items()]
    tiers = [{"name": "gold"}, {"name": "bulk"}]
    return write_study(folder, components=gates, dependencies=dependencies, failures=[], tiers=tiers)


@pytest.mark.parametrize("what", UNCOUNTED)
def test_what_is_not_counted_is_found_when_a_study_is_read(tmp_path: Path, what: str):
    needs, place, got, fix = UNCOUNTED[what]
    with pytest.raises(InputError) as caught:
        read_study(limited_by(tmp_path / "limited", needs, (9.0, 9.0, 9.0, None)))
    (finding,) = [finding for finding in caught.value.findings if finding.level == "error"]
    assert finding.where.endswith(f": {place}") and finding.got == got and finding.fix.startswith(fix)
    assert "request" in finding.expected
    # without limits availability is as general as needs are
    study, _ = read_study(limited_by(tmp_path / "free", needs, (None,) * 4))
    assert not not_counted(study)
    # a study in a plan has no place in a file; it is not counted wrong, either
    names = {gate.name: gate for gate in study.components}
    limited = tuple(names[f"g{n}"].model_copy(update={"most_requests_per_second": 9.0}) for n in range(3))
    with pytest.raises(InputError) as caught:
        build(study.model_copy(update={"components": (*limited, names["g3"])}))
    assert [finding.got for finding in caught.value.findings] == [got]


def test_a_limit_on_what_new_logins_need_is_found(tmp_path: Path):
    for need in ({"all_of": [G[0]]}, {"any_of": [{"all_of": [G[0], G[1]]}, G[3]]}):
        needs = {CHAT: need}
        login: dict[str, Any] = {"breaks": "new_logins", "sessions_go_on_fraction": 0.5}
        with pytest.raises(InputError) as caught:
            read_study(limited_by(tmp_path / str(len(need)), needs, (9.0, None, None, None), **login))
        (finding,) = [finding for finding in caught.value.findings if finding.level == "error"]
        assert finding.where.endswith(": components[0].most_requests_per_second")
        assert finding.expected == "no limit on requests" and finding.got.startswith(
            "one, and gate:g0 is what new login"
        )


def test_what_is_counted_is_no_finding(tmp_path: Path):
    """Alternatives with and without limits, at the workload, the origin and the site, and what all of them pass."""
    needs = {
        CHAT: {"all_of": [{"any_of": [G[0], G[1]]}, {"at_least": 1, "of": [G[2], G[3]]}]},
        LONDON: {"any_of": [G[1], G[0]]},
        EAST: {"all_of": [G[3]]},
    }
    study, _ = read_study(limited_by(tmp_path / "limited", needs, (9.0, 9.0, 9.0, None)))
    assert not not_counted(study) and len(build(study).request_limits.alternatives) == 2


def test_a_gateway_without_a_limit_may_be_an_alternative_of_two_needs():
    """Only what has a limit must be met once: program, drill and reader agree."""
    asked = needing((gate("b", 9.0), gate("c"), gate("d", 9.0)), w=any_of("b", "c"), o=any_of("c", "d"))
    assert not not_counted(asked)
    plan = make_plan(asked, EXACT)
    assert audit(plan).passed and not drill_plan(plan).broken and drill_state_claims(plan) == ()
