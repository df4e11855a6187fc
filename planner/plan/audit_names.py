"""Of the audit: every name is known, every state is stated once, every number is one that a plan may hold."""

from collections import Counter
from collections.abc import Iterator

from planner.plan.decisions import chosen_key
from planner.plan.in_hand import Plan
from planner.plan.violations import Violation, each_once, text_of
from planner.problem.algebra import Key
from planner.problem.decisions import CHOSEN, stored_in
from planner.problem.problem import Problem, states
from planner.problem.rules.index_sets import every_key
from planner.problem.rules.register import RULES
from planner.study.records.plan import PlanFile, State


def misnamed(plan: Plan) -> Iterator[Violation]:
    """What the study does not know, what is stated twice or not at all, and what is no number that a plan may hold."""
    file, p = plan.file, plan.problem
    for name in sorted(set(file.rules) - {rule.__name__ for rule in RULES}):
        yield Violation("rules", name, 0.0, "a rule that this version does not know: it cannot be audited")
    may_run = {(e, h) for e in p.placements for h in p.hours}
    yield from each_once("purchases", may_buy(p), Counter((row.offer, row.when) for row in file.purchases))
    yield from each_once("builds", may_build(p), Counter((row.build_out, row.when) for row in file.builds))
    yield from each_once("replicas", may_run, Counter((row.placement, row.hour) for row in file.replicas))
    on_offers = [(row.placement, b, row.hour) for row in file.replicas for b in row.on_offers]
    yield from each_once("replicas.on_offers", set(every_key(p, "on_offer")), Counter(on_offers))
    yield from _reserves(file, p)
    yield from _chosen(file, p)
    in_states = {s for f in p.failures for s in states(p, f)}
    stated = Counter((s.hour, s.failure, s.deadline_seconds) for s in file.states)
    yield from each_once("states", in_states, stated)
    for s in sorted(in_states - set(stated)):
        yield Violation("states", text_of(s), 1.0, "missing: nothing is said about it")
    for state in file.states:
        yield from _state(state, p)


def may_buy(p: Problem) -> set[Key]:
    """(offer, period or hour) that can be bought."""
    return {*every_key(p, "rented"), *(key for key in every_key(p, "started") if key[0] in p.pool_of)}


def may_build(p: Problem) -> set[Key]:
    """(phase, period) that can be built."""
    return {key for key in every_key(p, "started") if key[0] in p.build_outs}


def _reserves(file: PlanFile, p: Problem) -> Iterator[Violation]:
    """Reserves of gateways are stated where they keep their weights in a failure, each once, on edges."""
    if bool(p.rescaled) != (file.re_solved is not None):
        detail = "there where gateways keep their weights (failover: rescale), and only there"
        yield Violation("re_solved", "", 1.0, detail)
    columns = file.reserves
    if columns.workload and not p.rescaled:
        yield Violation("reserves", "", 1.0, "gateways keep their weights in no failure of the study")
    stated = Counter(zip(columns.workload, columns.origin, columns.placement, columns.hour, strict=True))
    yield from each_once("reserves", set(every_key(p, "reserve")), stated)


def _chosen(file: PlanFile, p: Problem) -> Iterator[Violation]:
    """Decisions without a record of their own: of their index set, with their sign, whole where the table says so."""
    of_table = {decision.name: decision for decision in stored_in(CHOSEN)}
    for name in of_table:
        may = set(every_key(p, name))
        yield from each_once(name, may, Counter(chosen_key(row) for row in file.chosen if row.decision == name))
    for row in file.chosen:
        key = text_of(chosen_key(row))
        if row.decision not in of_table:
            yield Violation("chosen", f"{row.decision} {key}", 1.0, "not a decision that this version knows")
        elif row.value < 0 and not of_table[row.decision].free:
            yield Violation(row.decision, key, -row.value, "negative")
        elif of_table[row.decision].integer != "never" and row.value != round(row.value):
            yield Violation(row.decision, key, abs(row.value - round(row.value)), "not a whole number")


def _state(state: State, p: Problem) -> Iterator[Violation]:
    """One state says nothing twice, and nothing of what is not there."""
    where = f"{state.failure} at {state.deadline_seconds:g} s"
    edges, flows = set(p.placements), set(p.flows)
    lengths = {len(c) for c in (state.workload, state.origin, state.placement, state.requests_per_second)}
    if len(lengths) > 1:
        yield Violation("states", where, 1.0, "columns of different length")
    of_replicas = {d.name: getattr(state, d.name) for d in stored_in("states") if d.integer != "never"}
    if state.same_as_normal and any((state.workload, state.routed_via, state.shed, *of_replicas.values())):
        yield Violation("states", where, 1.0, "said to equal normal operation, and more")
    alternatives = {(a,) for a in p.request_limits.component_of}
    yield from each_once("routed_via", alternatives, Counter((a,) for a in state.routed_via))
    if any(value < 0 for value in (*state.requests_per_second, *state.throughput_requests_per_second)):
        yield Violation("traffic", where, 1.0, "negative requests/s")
    for w, o, e in zip(state.workload, state.origin, state.placement, strict=False):
        if e not in edges or (w, o) not in flows:
            yield Violation("traffic", f"{where} {w} {o} {e}", 1.0, "not something the study knows")
    for w, by_origin in state.shed.items():
        for o, value in by_origin.items():
            if value < 0 or (w, o) not in flows:
                yield Violation("shed", f"{where} {w} {o}", 1.0, "negative, or not something the study knows")
    for name, replicas in of_replicas.items():
        for e, count in replicas.items():
            if count < 0 or e not in edges:
                yield Violation(name, f"{where} {e}", 1.0, "negative, or not something the study knows")
