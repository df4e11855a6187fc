"""Why there is no plan, and why there is no edge."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from planner.errors import NoPlan, SolverError
from planner.problem.algebra import Array, total
from planner.problem.arrays import Arrays, full, merged
from planner.problem.build import build
from planner.problem.decisions import Vectors
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Limit, Problem, State, flow_size, states
from planner.problem.rules.formulas import due_fraction, limit_used, requests_per_second
from planner.problem.rules.gateway_limits import rescaled_failures, without_weights
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import RELAXABLE
from planner.solve.columns import add_failure, add_purchase_rules, purchase_columns
from planner.solve.lp_bound import relax
from planner.solve.program import INFEASIBLE, OPTIMAL, Program
from planner.solve.search import Effort, Progress, Search
from planner.solve.solve import nothing_may_serve, solve
from planner.study.dependencies import (
    NORMAL,
    Graph,
    availability,
    dependency_graph,
    leaves,
    placements,
    without_new_weights,
)
from planner.study.places import listed
from planner.study.records.study import Study

MOST_SHOWN = 5
MOST_HELPS = 3
MOST_LOOKED_AT = 20
"""Failures without new weights that are looked at one by one, to say which of them are in the way."""
ROUGH_GAP = 0.05
SMALL = 1e-6
NOTHING_SHORT = 1e-10
"""Share of what is asked for that may be short by the arithmetic of the solver; more is reported."""


@dataclass(frozen=True)
class Shortage:
    """What one failure, alone and with purchases free, is short of.

    `rows`: (workload, origin, deadline in s, requests/s short), largest first.
    `binding`: (rule, key, requests/s per unit of the limit), strongest first.
    """

    failure: str
    rows: tuple[tuple[str, str, float, float], ...]
    due_requests_per_second: float
    binding: tuple[tuple[str, str, float], ...]

    @property
    def requests_per_second(self) -> float:
        """Requests/s short, of all workloads and deadlines."""
        return sum(row[3] for row in self.rows)


def shortage(p: Problem, f: str) -> Shortage | None:
    """What normal operation and one failure are short of with purchases free; None when nothing.

    Raises
    ------
    SolverError
        when the solver gives neither a solution nor a proof
    """
    program, x, arrays_of = Program(), Vectors(), merged(p)
    a = arrays_of(NORMAL)
    purchase_columns(a, program, x)
    for block in dict.fromkeys((NORMAL, f)):
        add_failure(arrays_of(block), program, x, block, short=block == f)
    add_purchase_rules(a, program, x)
    short, of = np.zeros(1), arrays_of(f)
    for s in states(p, f):
        short = short + total(of.weights() * x.excess[s,])
    program.minimise(short)
    status = program.solve()
    if status == INFEASIBLE:
        return Shortage(f, (), 0.0, ())
    if status != OPTIMAL:
        raise SolverError(f"what {f} is short of: the search ended with {status}")
    rows = [row for s in states(p, f) for row in _short(of, program.number(x.excess[s,]), s)]
    if not rows:
        return None
    binding = []
    for added in program.added:
        relaxable = added.rule in RELAXABLE and added.rule != "replicas_carry_traffic"
        for key, row in added.keyed() if relaxable else ():
            if abs(program.duals[row]) > SMALL:
                binding.append((added.rule, _where(key), float(abs(program.duals[row])) * program.scale))
    for bound in program.bounded:
        counts = bound.rule in ("offers_have_limits", "components_pass_what_they_can")
        for key, column in bound.keyed() if counts else ():
            if program.reduced_costs[column] < -SMALL:
                binding.append((bound.rule, _where(key), float(-program.reduced_costs[column]) * program.scale))
    return Shortage(
        f,
        tuple(sorted(rows, key=lambda row: (-row[3], row))),
        sum(due_fraction(p, w, o, s) * requests_per_second(p, w, o, s) for w, o in p.flows for s in states(p, f)),
        tuple(sorted(binding, key=lambda row: (RELAXABLE[row[0]] != "by policy", -row[2], row))),
    )


def _short(a: Arrays, excess: Array, s: State) -> Iterator[tuple[str, str, float, float]]:
    """(workload, origin, deadline, requests/s) of flows that are short in a state, merged ones taken apart.

    What a merged flow is short of falls on its members in proportion to what is due of each.
    """
    p, due = a.p, a.due_share(s) * a.wanted(s)
    of_all = a.by_flow(due)
    for member, flow in zip(a.member.tolist(), a.group.tolist(), strict=True):
        if excess[flow] > 0 and of_all[flow] > 0:
            short = float(excess[flow] * due[member] / of_all[flow])
            if short > NOTHING_SHORT * flow_size(p, *p.flows[member]):
                yield (*p.flows[member], s[2], short)


def _where(key: tuple[object, ...]) -> str:
    return str(key[0])


def diagnose(study: Study, demand: str = "base", progress: Progress = lambda stage, done, detail: None) -> NoPlan:
    """Why no plan exists: normal operation first, then each failure alone with purchases free.

    Returns
    -------
    NoPlan
        whose message names workload, origin, failure, requests/s short, what binds and what would help
    """
    p = build(study, demand)
    if orphans := workloads_without_edge(p):
        return nothing_may_serve(p, orphans)
    if p.budget_usd is not None:
        try:
            cost = solve(replace(p, budget_usd=None), Effort(gap_fraction=ROUGH_GAP), None, progress).cost_usd
        except NoPlan:
            p = replace(p, budget_usd=None)
        else:
            return NoPlan(
                f"no plan of study {study.study} keeps within the budget of {p.budget_usd:,.0f} USD\n"
                f"  would help: a budget of {cost:,.0f} USD, for which there is a plan"
            )
    if p.rescaled:
        fixed, p = p, replace(p, rescaled=frozenset())
        try:
            cost = solve(p, Effort(gap_fraction=ROUGH_GAP), None, progress).cost_usd
        except NoPlan:
            pass
        else:
            return _by_fixed_weights(study, fixed, cost)
    shortages = _shortages(p, progress)
    at_all = bool(shortages) and shortages[0].failure == NORMAL
    lines = [
        f"no plan serves the demand of study {study.study}, even when nothing is lost"
        if at_all
        else f"no plan meets the survival goals of study {study.study}"
    ]
    for short in shortages[:MOST_SHOWN]:
        lines += _lines(p, study, short)
    if len(shortages) > MOST_SHOWN:
        lines.append(f"  {len(shortages) - MOST_SHOWN} more failures are short: planner plan --format json lists them")
    if not shortages:
        lines += [
            "  each failure alone could be survived with machines and replicas divisible; all of them together,",
            "  in whole numbers, cannot",
        ]
        helps = [text for _, text in zip(range(MOST_HELPS), obstacles(p, progress), strict=False)]
        lines += [f"  would help: {text}" for text in helps]
        if not helps:
            none = "no single limit, stock or budget is in the way"
            lines.append(f"  {none}: drop or lower a goal, or raise several limits")
    rows: tuple[dict[str, object], ...] = tuple(
        {"failure": s.failure, "short": s.rows, "binding": s.binding} for s in shortages
    )
    return NoPlan("\n".join(lines), rows)


def _by_fixed_weights(study: Study, p: Problem, cost_usd: float) -> NoPlan:
    """Why there is no plan by fixed weights where there is one with new weights in every failure, at some cost."""
    where = [f"\n  no weight is left: {w} from {o} when {f} is lost" for w, o, f in without_weights(p)[:MOST_SHOWN]]
    others = "more stock of offers; lower fractions; longer round_trip_ms: an edge that is near enough in failures only"
    if study.failover == "rescale":
        return NoPlan(
            f"no plan of study {study.study} survives its failures by weights that gateways only renormalise"
            f"{''.join(where)}\n"
            f"  would help: failover: resolve (new weights for each failure), for which there is a plan for "
            f"{cost_usd:,.0f} USD; {others} has no weight"
        )
    graph = dependency_graph(study)
    why = [_why_fixed(graph, p, f) for f in _not_by_fixed_weights(p)]
    needs = "a second way to push them (any_of, in what `breaks: pushing` names)"
    return NoPlan(
        f"no plan of study {study.study} survives its failures by the weights that gateways have then"
        f"{''.join([*why, *where])}\n"
        f"  would help: new weights there, for which there is a plan for {cost_usd:,.0f} USD: {needs}, or failover: "
        f"resolve where only the failure says rescale; {others} has no weight",
    )


def _not_by_fixed_weights(p: Problem) -> list[str]:
    """Failures in which gateways keep their weights that have no plan, each alone; all of them where each has one."""
    fixed = [f for f in rescaled_failures(p) if f != NORMAL]
    broken = []
    for f in fixed[:MOST_LOOKED_AT]:
        both = {name: p.failures[name] for name in (NORMAL, f)}
        try:
            relax(Search(replace(p, failures=both), Effort(), None, lambda stage, done, detail: None))
        except NoPlan:
            broken.append(f)
    return (broken or fixed)[:MOST_SHOWN]


def _why_fixed(graph: Graph, p: Problem, f: str) -> str:
    """That no new weights are pushed in a failure, to whom, and for want of what, as a line."""
    value = availability(graph, p.failures[f].lost)
    if not (entries := without_new_weights(graph, value, p.flows)):
        return f"\n  no new weights are pushed in {f}: it says failover: rescale"
    leaf = {one for c in entries for part in graph.nodes[c]["pushing"] for one in leaves(part) if value[one] < 1}
    return f"\n  no new weights can be pushed in {f}, to {listed(entries, 3)}: lost {listed(sorted(leaf), 3)}"


def _shortages(p: Problem, progress: Progress) -> list[Shortage]:
    """What normal operation is short of; else what each failure alone is, largest first."""
    if (normal := shortage(p, NORMAL)) is not None:
        return [normal]
    shortages = []
    failures = [f for f in p.failures if f != NORMAL]
    for n, f in enumerate(failures):
        progress("diagnosing", n / len(failures), f)
        if (short := shortage(p, f)) is not None:
            shortages.append(short)
    return sorted(shortages, key=lambda short: (-short.requests_per_second, short.failure))


def _lines(p: Problem, study: Study, short: Shortage) -> list[str]:
    """What one failure is short of, and what would help."""
    if not short.rows:
        where = "" if short.failure == NORMAL else f" so that {short.failure} is survived"
        return [f"  no purchases satisfy limits, spare machines and claims together{where}, whatever is served"]
    w, o, c, missing = short.rows[0]
    when = "in normal operation" if short.failure == NORMAL else f"when {short.failure} is lost, within {c:g} s"
    of_all = _amount(short.requests_per_second, 0)
    of_several = f" ({of_all} with {len(short.rows) - 1} more)" if len(short.rows) > 1 else ""
    return [
        f"  short of: {w} from {o} by {_amount(missing)} requests/s {when}{of_several}{_binding(p, short)}",
        f"  would help: {_help(p, study, short, w, o)}",
    ]


def obstacles(p: Problem, progress: Progress) -> Iterator[str]:
    """Sentences on what, left out alone, makes a plan possible, with what the plan then takes of it."""
    without: list[tuple[str, Problem, int | None]] = [
        (f"{limit.name} (at most {_most_text(limit)})", replace(p, limits=p.limits[:i] + p.limits[i + 1 :]), i)
        for i, limit in enumerate(p.limits)
    ]
    if any(p.most_units[b] < float("inf") for b in p.offers):
        endless = {**p.most_units, **dict.fromkeys(p.offers, float("inf"))}  # halls are as many as they are
        without.append(
            ("the stock of offers (most_units)", replace(p, most_units=endless, few_large_units=frozenset()), None)
        )
    for n, (name, q, index) in enumerate(without):
        progress("looking for what stands in the way", n / len(without), name)
        try:
            solution = solve(q, Effort(gap_fraction=ROUGH_GAP))
        except NoPlan:
            continue
        taken = ""
        if index is not None:
            x = as_vectors(p, solution.decisions)
            most = max(float(limit_used(full(p), x, h)[index]) for h in p.hours)
            taken = f", which takes {most:,.0f} {p.limits[index].unit}"
        yield f"without {name} there is a plan for {solution.cost_usd:,.0f} USD{taken}"


def _most_text(limit: Limit) -> str:
    """What there is of a limit, and what will be once increases are granted that come within the horizon.

    Examples
    --------
    `2 vcpu, 4 once granted`
    """
    granted = " and ".join(f"{most:g}" for most in sorted(set(limit.granted.values())))
    return f"{limit.most:g} {limit.unit}" + (f", {granted} once granted" if granted else "")


def _amount(requests_per_second: float, decimals: int = 1) -> str:
    """Requests/s as text: however few, never none."""
    few = requests_per_second < 0.5 * 10**-decimals
    return f"{requests_per_second:.2g}" if few else f"{requests_per_second:,.{decimals}f}"


def _binding(p: Problem, short: Shortage) -> str:
    if not short.binding:
        return ""
    rule, key, _ = short.binding[0]
    limit = {limit.name: f"quota {limit.name} ({_most_text(limit)})" for limit in p.limits}
    if rule == "offers_have_limits":
        return f"; nearest binding: offer {key} (at most {p.most_units[key]:g} units)"
    if rule == "components_pass_what_they_can":
        return f"; nearest binding: {key} (lets {p.most_requests_per_second[key]:g} requests/s through)"
    return f"; nearest binding: {limit.get(key, key)} ({rule.replace('_', ' ')})"


def _help(p: Problem, study: Study, short: Shortage, w: str, o: str) -> str:
    parts = []
    for rule, key, per_unit in short.binding:
        passes = rule == "components_pass_what_they_can"
        if (RELAXABLE[rule] != "by policy" and not passes) or rule == "survival_goals_are_met":
            continue
        units = {limit.name: limit.unit for limit in p.limits} | dict.fromkeys(p.offers, "units")
        more = short.requests_per_second / per_unit
        if passes:
            parts.append(f"about {math.ceil(round(more, 3)):,} more requests/s through {key}")
        elif key in units:
            parts.append(f"about {math.ceil(more):,} more {units[key]} of {key}")
        else:
            parts.append(f"less of what {rule} asks of {key} (planner show {rule})")
        if len(parts) == 2:
            break
    if (nearer := next_site(p, study, w, o, short.failure)) is not None:
        parts.append(nearer)
    fraction = max(0.0, 1 - short.requests_per_second / short.due_requests_per_second)
    parts.append(f"serving {math.floor(fraction * 100) / 100:g} of what is due")
    return "; ".join(parts)


def next_site(p: Problem, study: Study, w: str, o: str, failure: str) -> str | None:
    """The nearest site that only the round trip keeps from (w, o), with the field that would have to be longer."""
    allowed = set((p.edges if failure == NORMAL else p.edges_in_failure)[w, o])
    # of all placements: those that serve nothing are not in the problem
    sites = {e: study.pools[pool].site for e, (_, _, pool) in placements(study).items()}
    far = [
        (p.round_trip_ms[o, sites[e]].round_trip_ms, sites[e])
        for (w_, o_, e), reason in p.why_not.items()
        if (w_, o_) == (w, o) and reason.startswith("round trip") and e not in allowed
        if (o, sites[e]) in p.round_trip_ms
    ]
    if not far:
        return None
    round_trip_ms, site = min(far)
    workload = next(one for one in study.workloads if one.name == w)
    tier = next(one for one in study.tiers if one.name == workload.tier)
    own = failure != NORMAL and tier.round_trip_ms_in_failure is not None
    field = "round_trip_ms_in_failure" if own else "round_trip_ms"
    return f"{field} of {math.ceil(round_trip_ms)} (reaches {site})"
