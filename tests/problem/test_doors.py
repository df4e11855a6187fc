"""Components that let only so many requests through: worked by hand, and random needs against brute force."""

import itertools
import random
from pathlib import Path
from typing import Any

import pulp
import pytest
from helpers import write_study
from studies import model, offer, profile, site
from test_failures import EXACT, asked, bought, gateways, goal

from planner.drill import drill_plan, drill_state_claims
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.explain import diagnose
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.algebra import Sparse, total
from planner.problem.build import build
from planner.problem.problem import Problem, State, no_decisions, states
from planner.problem.rules.formulas import live_edges
from planner.problem.rules.inside import requests_choose_their_way, what_passes_is_counted
from planner.problem.rules.link import components_pass_what_they_can, no_request_takes_a_closed_way
from planner.questions.margins import margins
from planner.solve.program import OPTIMAL, Program, state_columns
from planner.solve.search import Infeasible
from planner.study.dependencies import NORMAL, dependency_graph
from planner.study.doors import MOST_WAYS, TooManyWays, doors_of
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


def at_least(k: int, *names: str | Needs) -> Needs:
    return Needs(at_least=k, of=ids(names))


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


def test_a_way_without_a_limit_that_is_lost_leaves_the_limit():
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
    """Any of (a at 10/s and x) and c at 4/s: 4 pass when x is lost, though a lives."""
    study = needing((gate("a", 10.0), gate("x"), gate("c", 4.0)), lost="x", w=any_of(all_of("a", "x"), "c"))
    none(study)
    assert planned(study.model_copy(update={"tiers": goal(fraction=0.4)})) == {"p/a": 10}


def test_at_least_two_of_three_pass_half_of_all_together():
    """Three of 4/s, two for each request: 3 · 4 / 2 = 6 pass."""
    three = (gate("a", 4.0), gate("b", 4.0), gate("c", 4.0))
    none(needing(three, demand=7, w=at_least(2, "a", "b", "c")))
    assert planned(needing(three, demand=6, w=at_least(2, "a", "b", "c"))) == {"p/a": 6}
    # none takes one twice: 9 and 4 and 1 pass 5, not 7, as no more than 4 + 1 take the first
    uneven = (gate("a", 9.0), gate("b", 4.0), gate("c", 1.0))
    none(needing(uneven, demand=6, w=at_least(2, "a", "b", "c")))
    assert planned(needing(uneven, demand=5, w=at_least(2, "a", "b", "c"))) == {"p/a": 5}


def test_choices_within_alternatives():
    """Any of (a and b) and c, 10/s each: 20 pass."""
    three = (gate("a", 10.0), gate("b", 10.0), gate("c", 10.0))
    assert planned(needing(three, demand=20, w=any_of(all_of("a", "b"), "c"))) == {"p/a": 20}
    none(needing(three, demand=21, w=any_of(all_of("a", "b"), "c")))
    # (a at 10, and b at 3 or c at 4) or d at 2: 9
    four = (gate("a", 10.0), gate("b", 3.0), gate("c", 4.0), gate("d", 2.0))
    deep = any_of(all_of("a", any_of("b", "c")), "d")
    assert planned(needing(four, demand=9, w=deep)) == {"p/a": 9}
    none(needing(four, demand=10, w=deep))


def test_what_is_met_twice_counts_once():
    """A gateway at 15/s, needed through two others, or by workload, origin and site alike."""
    diamond = needing((gate("x"), gate("y"), gate("n", 15.0)), w=all_of("x", "y"), x=all_of("n"), y=all_of("n"))
    assert planned(diamond) == {"p/a": 10}
    both = needing((gate("n", 15.0),), w=all_of("n"), o=all_of("n"), a=all_of("n"))
    assert planned(both) == {"p/a": 10}
    none(needing((gate("n", 9.0),), w=all_of("n"), o=all_of("n")))
    # the origin goes through n anyway, so the workload's choice of n or m takes nothing more
    chosen = needing((gate("n", 10.0), gate("m", 1.0)), w=any_of("n", "m"), o=all_of("n"))
    assert planned(chosen) == {"p/a": 10}


def test_choices_that_share_a_component():
    """w: a or b; o: a or c. Through a once, or through b and c: 4 + 3 of 4, 3, 3; the drill agrees."""
    three = (gate("a", 4.0), gate("b", 3.0), gate("c", 3.0))
    assert planned(needing(three, demand=7, w=any_of("a", "b"), o=any_of("a", "c"))) == {"p/a": 7}
    none(needing(three, demand=8, w=any_of("a", "b"), o=any_of("a", "c")))
    # two of (a and n), (b and n), c: n is met once by each, whatever it takes
    shared = at_least(2, all_of("a", "n"), all_of("b", "n"), "c")
    many = (gate("a", 6.0), gate("b", 6.0), gate("c", 6.0), gate("n", 8.0))
    assert planned(needing(many, demand=8, w=shared)) == {"p/a": 8}
    none(needing(many, demand=9, w=shared))
    # any of (a and n), (b and n): all of them pass n
    none(needing(many, demand=9, w=any_of(all_of("a", "n"), all_of("b", "n"))))


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


def test_many_choices_are_all_looked_at():
    none(chain(65.5))
    assert planned(chain(64.0)) == {"p/a": 64}
    p = build(chain(64.0))
    assert len(p.doors.choices) == 63 and len(p.doors.ways) == 126


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
    assert not p.doors.choices and not p.doors.ways and p.doors.components == ("gate:g",)
    s, program, x = (p.hours[0], NORMAL, 0.0), Program(), no_decisions()
    state_columns(p, program, x, s)
    assert len(x.passing) == 1 and not x.taking
    assert len(list(what_passes_is_counted(p, x, s))) == 1 and not list(requests_choose_their_way(p, x, s))
    assert gateways_alone.components and not build(asked()).doors.components


def test_demand_cannot_grow_beyond_what_gateways_let_through():
    """A machine serves 100/s, the gateway lets 10 through, 10 are wanted; with 25/s demand may grow by 2.5."""
    fast: dict[str, Any] = {"models": (model("m", [profile("m", "cuda", 100)]),)}
    for most, factor in ((10.0, 1.0), (25.0, 2.5)):
        need = (Dependency(component="workload:w", needs=any_of("g", all_of("h", "h"))),)
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
    # two of three, 9, 4 and 1: the first is taken by all, the others by 4 / 5 and 1 / 5
    three = (gate("a", 9.0), gate("b", 4.0), gate("c", 1.0))
    uneven = needing(three, demand=5, w=at_least(2, "a", "b", "c"))
    plan = make_plan(uneven.model_copy(update={"failover": "rescale"}), EXACT)
    assert plan.states[0].throughput_requests_per_second == pytest.approx((5.0, 4.0, 1.0))
    assert audit(plan).passed and not drill_plan(plan, "rescale").broken


@pytest.mark.parametrize(
    ("limits", "need", "share"),
    [
        ({"n": 8.0}, any_of(all_of("b", "n"), all_of("c", "n")), 0.8),  # both ways pass n
        ({"b": 6.0, "n": 3.0}, any_of("b", "n"), 0.9),
        ({"b": 9.0, "c": 4.0, "d": 1.0}, at_least(2, "b", "c", "d"), 0.5),  # all take b once: 4 + 1 with it
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
def lost_way() -> PlanFile:
    """6/s through g1 or g2, 4/s each in half of the cases, g2 may be lost for half of the requests."""
    study = needing((gate("g1", 4.0), gate("g2", 4.0)), lost="g2", demand=6, w=any_of("g1", "g2"))
    return make_plan(study.model_copy(update={"tiers": goal(fraction=0.5)}), EXACT)


def test_the_plan_says_which_way_requests_take():
    plan = lost_way()
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
        (0, {"routed_via": (), "throughput_requests_per_second": ()}, "requests_choose_their_way"),
        (
            1,
            {"routed_via": ("1.2 gate:g2",), "throughput_requests_per_second": (4.0,)},
            "no_request_takes_a_closed_way",
        ),
        (0, {"routed_via": ("1.3 gate:g3",), "throughput_requests_per_second": (4.0,)}, "routed_via"),
    ],
)
def test_the_audit_looks_at_every_way(state: int, update: dict[str, Any], rule: str):
    plan = lost_way()
    wrong = [s.model_copy(update=update) if n == state else s for n, s in enumerate(plan.states)]
    found = audit(sealed(plan.model_copy(update={"states": tuple(wrong)}))).violations
    assert rule in {violation.rule for violation in found}


# ------------------------------------------------------------------ random needs against brute force
NAMES = "bcdefg"


def random_needs(g: random.Random, depth: int, names: str) -> Needs:
    parts = [
        random_needs(g, depth - 1, names) if depth and g.random() < 0.4 else g.choice(names)
        for _ in range(g.randint(1, 3))
    ]
    kind = g.choice(["all", "any", "any", "some"])
    if kind == "some" and len(parts) > 1:
        return at_least(g.randint(1, len(parts)), *parts)
    return all_of(*parts) if kind == "all" else any_of(*parts)


def random_doors(seed: int) -> Study:
    """Six gates, some with limits, some that need others; a workload, two origins, two sites need some; a failure."""
    g = random.Random(seed)
    limits = {name: g.choice([None, 1.0, 2.0, 3.0, 5.0, 8.0]) for name in NAMES}
    needs = {name: random_needs(g, 1, NAMES[n + 1 :]) for n, name in enumerate(NAMES[:-1]) if g.random() < 0.2}
    needs |= {name: random_needs(g, 2, NAMES) for name in ("w", "o", "north") if g.random() < 0.7}
    site_needs = g.random() < 0.3
    if site_needs:
        needs |= {name: random_needs(g, 1, NAMES) for name in "ah"}
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
        doors = ("workload:w", f"origin:{o}", "site:" + placement.partition("@")[2].rpartition("/")[0])
        asked_for = [need for door in doors for need in needs.get(door, [])]
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
    program, x = Program(), no_decisions()
    open_edges = [e for e, (w, o, at) in enumerate(EDGES) if at in live_edges(p, w, o, s[1])]
    open_edges = [e for e in open_edges if p.coverable[s[1]].get(EDGES[e][:2], 1.0) > 0]
    x.traffic = Sparse({(*EDGES[e], s): program.column(upper=100.0) for e in open_edges})
    x.passing = Sparse({(c, s): program.column() for c in p.doors.components})
    x.taking = Sparse({(way, s): program.column() for way in p.doors.ways})
    for rule in (
        what_passes_is_counted,
        requests_choose_their_way,
        components_pass_what_they_can,
        no_request_takes_a_closed_way,
    ):
        program.add(rule.__name__, rule(p, x, s))
    program.minimise(total((-worth[e], x.traffic[(*EDGES[e], s)]) for e in open_edges))
    assert not open_edges or program.solve() == OPTIMAL
    return -program.objective if open_edges else 0.0


def test_random_needs_let_through_what_brute_force_says():
    binding = choosing = shared = 0
    for seed in range(SEEDS):
        study = random_doors(seed)
        worth = random.Random(seed).choices([1.0, 2.0, 3.0], k=len(EDGES))
        p = build(study)
        for f in p.failures:
            found = most_by_rules(p, states(p, f)[0], worth)
            truth = most_by_brute_force(study, dict(p.failures[f].lost), worth)
            assert found == pytest.approx(truth, abs=1e-6), (seed, f)
            binding += 0 < truth < 100
        choosing += bool(p.doors.choices)
        shared += bool(p.doors.shared)
    assert binding > SEEDS / 2 and choosing > SEEDS / 3 and shared > SEEDS / 20, (binding, choosing, shared)


# ------------------------------------------------------------------ what cannot be counted is found
def tangled(gates: int = 12) -> Study:
    """Each of the pairs at the workload shares gates with pairs at the origin: too many ways to write out."""
    pairs = [any_of(f"g{n}", f"g{n + 1}") for n in range(gates - 1)]
    more = [any_of(f"g{n}", f"g{(n + 5) % gates}", f"g{(n + 3) % gates}") for n in range(gates)]
    return needing(tuple(gate(f"g{n}", 9.0) for n in range(gates)), w=all_of(*pairs), o=all_of(*more))


def test_too_many_ways_are_refused():
    study = tangled(24)
    with pytest.raises(TooManyWays, match=f"more than {MOST_WAYS} ways"):
        doors_of(study, dependency_graph(study), [("w", "o", "m/m-cuda@p/a/m")])


def found_in(tmp_path: Path, **changes: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_study(write_study(tmp_path, **changes))
    return [f"{finding.expected} | {finding.got}" for finding in caught.value.findings]


def test_what_cannot_be_counted_is_found_when_a_study_is_read(tmp_path: Path):
    names = [f"g{n}" for n in range(24)]
    components = [{"name": name, "kind": "gate", "most_requests_per_second": 9.0} for name in names]
    study, _ = read_study(write_study(tmp_path / "plain"))
    w, o = f"workload:{study.workloads[0].name}", f"origin:{study.origins[0].name}"
    pairs = [{"any_of": [f"gate:g{n}", f"gate:g{n + 1}"]} for n in range(23)]
    (text,) = found_in(
        tmp_path / "tangled",
        components=components,
        failures=[],
        tiers=[{"name": "gold"}, {"name": "bulk"}],
        dependencies=[{"component": w, "needs": {"all_of": pairs}}],
    )
    assert text.startswith("few ways through alternatives that share components | gate:g0 in more than")
    (text,) = found_in(
        tmp_path / "login",
        components=components[:1],
        failures=[],
        tiers=[{"name": "gold"}, {"name": "bulk"}],
        dependencies=[
            {
                "component": w,
                "needs": {"all_of": ["gate:g0"]},
                "breaks": "new_logins",
                "sessions_go_on_fraction": 0.5,
            }
        ],
    )
    assert text.startswith("no limit on requests | one, and gate:g0 is what new logins need")
    both = [
        {"component": w, "needs": {"any_of": ["gate:g0", "gate:g1"]}},
        {"component": o, "needs": {"any_of": ["gate:g0", "gate:g2"]}},
    ]
    shared: dict[str, Any] = {
        "components": components[:3],
        "failures": [],
        "tiers": [{"name": "gold"}, {"name": "bulk"}],
        "dependencies": both,
    }
    assert read_study(write_study(tmp_path / "resolve", **shared))
    texts = found_in(tmp_path / "rescale", **shared, failover="rescale")
    assert [text.partition(" | ")[2].partition(" in several")[0] for text in texts] == ["gate:g0", "gate:g1", "gate:g2"]
