"""The audit: every rule, every state, every stated total, on the plan's own numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.errors import InputError
from planner.plan.decisions import (
    costs_usd,
    decisions_of,
    gap_fraction,
    problem_of,
    uncoverable,
    units_by_period,
    upkeep_apart,
)
from planner.plan.explain import shortage
from planner.plan.file import digest, sha256
from planner.problem.algebra import Row
from planner.problem.build import build
from planner.problem.failures import uncounted_at_most
from planner.problem.problem import Problem, states
from planner.problem.rules.costs import COSTS
from planner.problem.rules.register import PURCHASE_RULES, RULES, STATE_RULES
from planner.solve.dominance import dominated
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile, WithoutGoals
from planner.units import SECONDS_PER_HOUR

PAID_BY_PURCHASES = (
    "commitments",
    "hourly_machines",
    "capital",
    "upkeep",
    "energy",
    "salvage",
    "spend_shortfalls",
)
"""Costs that follow from what is bought alone."""
TOLERANCE = 1e-6
"""Relative to a row's larger side, at least one unit."""
NOT_CHECKED: Mapping[str, str] = {
    "planner_version": "a name",
    "solver": "a name",
    "study.*": "taken as it is (checked: that it is the one that was planned); whoever changes it has another study",
    "proof.bound_usd": "proving it again means solving again (checked: between the relaxation and the cost)",
    "proof.lp_bound_usd": "as the bound (checked: between zero, where no outage has a price, and the bound)",
    "proof.gap_asked_fraction": "what was asked for (checked: that the status fits it)",
    "proof.status": "whether a time limit or a person ended the search (checked: proven and gap)",
    "proof.passes": "how often the search went round",
    "proof.binding_failures": "which failures are binding (checked: that the study has them)",
    "states.*.kept": "whether a replica that carries nothing is kept or evicted, where there is room for it (checked: "
    "that it survived, and stands on machines)",
    "bottlenecks": "which limits bind, and their marginal values: of the LP bound; rows may be missing (checked: "
    "limits and units are the study's, no saving is more than is paid)",
    "rules": "whether all are named: plans of earlier versions name none (checked: that they are known)",
    "drivers": "which failures pay for a pool: of the LP bound; rows may be missing (checked: pools and failures "
    "are the study's)",
    "on_equal_terms": "whether it is there: plans of earlier versions have none, nor where its search was interrupted",
    "no_regret": "units of the low and high demand plans, which are plans of their own, and whether they were asked "
    "for (checked: offers, periods, units of the plan itself)",
}
"""Fields of the plan file, as patterns -> why the audit does not check them, and what of them it does."""
NOT_CHECKED_BESIDE: Mapping[str, str] = {
    "purchases": "that no cheaper ones do, or that they survive what they promise (checked: that normal operation is "
    "served with them, and what they cost)",
    "bound_usd": "as the bound of the plan (checked: between zero and its cost)",
    "costs_usd.requests": "its routes are not in the file (checked: within what its streams can cost)",
    "costs_usd.unserved_requests": "as its requests (checked: within what its tiers allow)",
}
"""The same of every plan that this one is compared with."""
BESIDE = ("without_goals", "on_equal_terms", "re_solved")
"""Fields with such plans."""


def not_checked(plan: PlanFile) -> dict[str, str]:
    """Fields of this plan file that the audit does not check, and why; all others are checked."""
    found = dict(NOT_CHECKED)
    for name, _ in _beside(plan):
        found |= {f"{name}.{f}": why for f, why in NOT_CHECKED_BESIDE.items()}
    return found


@dataclass(frozen=True)
class Violation:
    """Something in the plan that does not hold."""

    rule: str
    key: str
    by: float
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} {self.key}: {self.detail}"


@dataclass(frozen=True)
class Audit:
    """What was checked and what does not hold."""

    violations: tuple[Violation, ...]
    rows_checked: int
    states_checked: int
    digest_matches: bool

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return not self.violations


def audit(plan: PlanFile, problem: Problem | None = None) -> Audit:
    """Check a plan against every rule in every state, on its own numbers.

    Parameters
    ----------
    plan : as read from the file; nothing else is needed
    problem : the problem of the plan's study, where the caller has it already
    """
    violations = list(_header(plan))
    try:
        p = problem_of(plan) if problem is None else problem
    except InputError as error:
        broken = Violation("study", "", 0.0, error.findings[0].got)
        return Audit((*violations, broken), 0, 0, not violations)
    digest_matches = not violations
    violations += _names(plan, p)
    try:
        return _rows(plan, p, violations, digest_matches)
    except (ValueError, LookupError, ArithmeticError) as error:
        broken = Violation("study", "", 0.0, f"its parts do not fit each other: {error!r}")
        return Audit((*violations, broken), 0, 0, digest_matches)


def _rows(plan: PlanFile, p: Problem, violations: list[Violation], digest_matches: bool) -> Audit:
    """Every rule in every state, and every total."""
    x = decisions_of(plan, p)
    rows = 0
    for rule in PURCHASE_RULES:
        for row in rule(p, x):
            rows += 1
            if row.shortfall() > TOLERANCE * row.scale():
                violations.append(Violation(rule.__name__, _text(row.key), row.shortfall(), _sentence(row)))
    in_states = [s for f in p.failures for s in states(p, f)]
    for s in in_states:
        for state_rule in STATE_RULES:
            for row in state_rule(p, x, s):
                rows += 1
                if row.shortfall() > TOLERANCE * row.scale():
                    violations.append(Violation(state_rule.__name__, _text(row.key), row.shortfall(), _sentence(row)))
    violations += _totals(plan, p)
    return Audit(tuple(violations), rows, len(in_states), digest_matches)


def _text(key: tuple[object, ...]) -> str:
    return " ".join(str(part) for part in key)


def _sentence(row: Row) -> str:
    return f"{row.lhs:,.6f} {row.sense} {row.rhs:,.6f} does not hold"


def _header(plan: PlanFile) -> Iterator[Violation]:
    data = plan.model_dump(mode="json", by_alias=True)
    if plan.digest_sha256 != digest(data):
        yield Violation("digest", "", 0.0, "the file was changed after it was sealed")
    if plan.study_sha256 != sha256(data["study"]):
        yield Violation("study digest", "", 0.0, "the study is not the one that was planned")


def _each_once(what: str, may: set[Any], found: Counter[Any]) -> Iterator[Violation]:
    for key, times in found.items():
        if key not in may:
            yield Violation(what, _text(key), 1.0, "not something the study knows")
        if times > 1:
            yield Violation(what, _text(key), 1.0, f"stated {times} times")


def _may_buy(p: Problem) -> set[tuple[str, str]]:
    """(offer, period or hour) that can be bought."""
    times = {b: p.hours if b in p.hourly else p.periods for b in p.offers}
    return {(b, when) for b in p.offers for when in times[b] if p.may_start(b, p.period_of.get(when, when))}


def _may_build(p: Problem) -> set[tuple[str, str]]:
    """(phase, period) that can be built."""
    return {(m, t) for m in p.build_outs for t in p.periods if p.may_start(m, t)}


def _names(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """Every name is known, every state is there once, every number is one that a plan may hold."""
    for name in sorted(set(plan.rules) - {rule.__name__ for rule in RULES}):
        yield Violation("rules", name, 0.0, "a rule that this version does not know: it cannot be audited")
    bought = Counter((x.offer, x.when) for x in plan.purchases)
    may_run = {(e, h) for e in p.placements for h in p.hours}
    run = Counter((r.placement, r.hour) for r in plan.replicas)
    yield from _each_once("purchases", _may_buy(p), bought)
    yield from _each_once("builds", _may_build(p), Counter((m.build_out, m.when) for m in plan.builds))
    yield from _each_once("replicas", may_run, run)
    in_states = {s for f in p.failures for s in states(p, f)}
    stated = Counter((s.hour, s.failure, s.deadline_seconds) for s in plan.states)
    yield from _each_once("states", in_states, stated)
    for s in sorted(in_states - set(stated)):
        yield Violation("states", _text(s), 1.0, "missing: nothing is said about it")
    edges = set(p.placements)
    flows = set(p.flows)
    yield from _limits(plan, p)
    for state in plan.states:
        where = f"{state.failure} at {state.deadline_seconds:g} s"
        lengths = {len(c) for c in (state.workload, state.origin, state.placement, state.requests_per_second)}
        if len(lengths) > 1:
            yield Violation("states", where, 1.0, "columns of different length")
        more = (state.workload, state.routed_via, state.shed, state.kept, state.cold_started, state.occupied)
        if state.same_as_normal and any(more):
            yield Violation("states", where, 1.0, "said to equal normal operation, and more")
        yield from _each_once(
            "routed_via", {(a,) for a in p.request_limits.component_of}, Counter((a,) for a in state.routed_via)
        )
        if any(value < 0 for value in (*state.requests_per_second, *state.throughput_requests_per_second)):
            yield Violation("traffic", where, 1.0, "negative requests/s")
        for w, o, e in zip(state.workload, state.origin, state.placement, strict=False):
            if e not in edges or (w, o) not in flows:
                yield Violation("traffic", f"{where} {w} {o} {e}", 1.0, "not something the study knows")
        for w, by_origin in state.shed.items():
            for o, value in by_origin.items():
                if value < 0 or (w, o) not in flows:
                    yield Violation("shed", f"{where} {w} {o}", 1.0, "negative, or not something the study knows")
        for name in ("kept", "cold_started", "occupied"):
            for e, count in getattr(state, name).items():
                if count < 0 or e not in edges:
                    yield Violation(name, f"{where} {e}", 1.0, "negative, or not something the study knows")


def _limits(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """Limits of gateways are there where the study rescales, each once, on edges."""
    if (p.failover == "rescale") != (plan.re_solved is not None):
        yield Violation("re_solved", "", 1.0, "there where the study asks for failover: rescale, and only there")
    limits = plan.reserves
    if limits.workload and p.failover != "rescale":
        yield Violation("reserves", "", 1.0, "the study does not ask for failover: rescale")
    stated = Counter(zip(limits.workload, limits.origin, limits.placement, limits.hour, strict=True))
    yield from _each_once(
        "reserves", {(w, o, e, h) for w, o in p.flows for e in p.edges[w, o] for h in p.hours}, stated
    )


def _differs(a: float, b: float) -> bool:
    return abs(a - b) > TOLERANCE * max(1.0, abs(a), abs(b))


def _totals(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """Every total that the plan states is computed anew."""
    x = decisions_of(plan, p)
    compared, without_goals = _beside(plan), build(plan.study, plan.demand_case, with_goals=False)
    for stated, truth, what in (
        (upkeep_apart(p, x, plan.costs_usd), costs_usd(p, x), "costs_usd"),
        *((other.costs_usd, None, f"{name}.costs_usd") for name, other in compared),
    ):
        if set(stated) != {cost.__name__ for cost in COSTS}:
            yield Violation(what, "", 1.0, "not the components that are minimised")
        for name, value in (truth or {}).items():
            if name in stated and _differs(stated[name], value):
                yield Violation(
                    what, name, abs(stated[name] - value), f"{stated[name]:,.2f} is stated, {value:,.2f} is true"
                )
    proof, bare = plan.proof, plan.without_goals
    for what, other in compared:
        its = {"purchases": other.purchases, "builds": other.builds, "states": (), "replicas": ()}
        bought = decisions_of(plan.model_copy(update=its), p)
        stated = upkeep_apart(p, bought, other.costs_usd)
        yield from _beside_names(p, what, other)
        yield from _beside_requests(without_goals, what, other)
        for name, value in costs_usd(p, bought).items():
            if name in PAID_BY_PURCHASES and _differs(stated.get(name, 0.0), value):
                yield Violation(f"{what}.costs_usd", name, 0.0, f"{value:,.2f} is true")
    checks = (
        (proof.cost_usd, sum(plan.costs_usd.values()), "proof.cost_usd", "the sum of the components"),
        *(
            (other.cost_usd, sum(other.costs_usd.values()), f"{name}.cost_usd", "the sum of the components")
            for name, other in compared
        ),
        (
            proof.gap_fraction,
            gap_fraction(proof.cost_usd, proof.bound_usd),
            "proof.gap_fraction",
            "(cost - bound) / cost",
        ),
        (
            float(proof.failures_tested),
            float(len(p.failures) - 1),
            "proof.failures_tested",
            "the failures of the study",
        ),
        (
            float(proof.dominated_failures),
            float(len(dominated(p))),
            "proof.dominated_failures",
            "those that harder ones imply",
        ),
    )
    for stated_value, true_value, what, meaning in checks:
        scale = 1.0 if "gap" not in what else 1e-3
        if abs(stated_value - true_value) > TOLERANCE * max(scale, abs(true_value)):
            yield Violation(
                what, "", abs(stated_value - true_value), f"{stated_value:,.6f} is stated; {meaning}: {true_value:,.6f}"
            )
    with_goals = [(proof.cost_usd, plan.costs_usd), *((other.cost_usd, other.costs_usd) for _, other in compared[1:])]
    for low, high, what in (
        (proof.bound_usd, proof.cost_usd, "proof.bound_usd above the cost"),
        (proof.lp_bound_usd, proof.bound_usd, "proof.lp_bound_usd above the bound"),
        # an outage may cost less than normal operation, as what is not served costs no requests
        *(() if p.priced else ((0.0, proof.lp_bound_usd, "proof.lp_bound_usd below zero"),)),
        *((other.bound_usd, other.cost_usd, f"{name}.bound_usd above its cost") for name, other in compared),
        # outages are no cost of the plan without goals, and may be below zero: the others cost no less without them
        *(
            (bare.bound_usd, cost - parts.get("outages", 0.0), "without_goals.bound_usd above a cost with goals")
            for cost, parts in with_goals
        ),
        *(
            (other.bound_usd, proof.cost_usd - plan.costs_usd.get("outages", 0.0), f"{name}.bound_usd above the cost")
            for name, other in compared[1:]
        ),
    ):
        if low > high + TOLERANCE * max(1.0, abs(high)):
            yield Violation("proof", "", low - high, what)
    if proof.status == "proven" and proof.gap_fraction > proof.gap_asked_fraction + TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to be proven, but the gap is larger than what was asked")
    if proof.status == "gap" and proof.gap_fraction <= proof.gap_asked_fraction - TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to have a larger gap than what was asked, but it has not")
    most = uncounted_at_most(p, plan.purchases)
    for bought_alike in plan.on_equal_terms.purchases if plan.on_equal_terms is not None else ():
        if bought_alike.units > most.get((bought_alike.offer, bought_alike.when), float("inf")):
            what = f"{bought_alike.offer} {bought_alike.when}"
            yield Violation("on_equal_terms", what, 1.0, "counts in no failure, and is more than the plan buys")
    for f in proof.binding_failures:
        if f not in p.failures:
            yield Violation("proof.binding_failures", f, 1.0, "not a failure of the study")
    if list(plan.uncoverable) != uncoverable(plan.study, p):
        yield Violation("uncoverable", "", 1.0, "not the list that follows from the study")
    yield from _explanations(plan, p)


def _beside(plan: PlanFile) -> list[tuple[str, WithoutGoals]]:
    """Plans that this one is compared with, by field."""
    found = [(name, getattr(plan, name)) for name in BESIDE]
    return [(name, other) for name, other in found if other is not None]


def _beside_names(p: Problem, what: str, other: WithoutGoals) -> Iterator[Violation]:
    """A plan beside this one buys and builds what the study has, each once."""
    bought, built = _may_buy(p), _may_build(p)
    yield from _each_once(f"{what}.purchases", bought, Counter((x.offer, x.when) for x in other.purchases))
    yield from _each_once(f"{what}.builds", built, Counter((m.build_out, m.when) for m in other.builds))


def _beside_requests(p: Problem, what: str, other: WithoutGoals) -> Iterator[Violation]:
    """A plan beside this one serves normal operation with what it buys, and says of its requests what they can cost.

    `p` is the problem without survival goals: with them there are rows of what counts in failures.
    """
    started = {(x.offer, x.when): x.units for x in other.purchases} | {
        (m.build_out, m.when): m.units for m in other.builds
    }
    ordered = {at: 2 * (float(started.get(at, 0)),) for at in (*_may_buy(p), *_may_build(p))}
    alone = {NORMAL: p.failures[NORMAL]}
    q = replace(p, failures=alone, priced={}, objective="cost", failover="resolve", ordered=ordered, budget_usd=None)
    short, whole = shortage(q, NORMAL), sum(p.demand_requests_per_second.values())
    if short is not None and not (short.rows and short.requests_per_second <= TOLERANCE * max(1.0, whole)):
        least = f"{short.requests_per_second:,.6f} requests/s" if short.rows else "limits, spare machines and claims"
        yield Violation(f"{what}.purchases", "", short.requests_per_second, f"normal operation is short of {least}")
    cheapest = dearest = unserved = offered = 0.0
    for (w, o, h), wanted in p.demand_requests_per_second.items():
        requests = SECONDS_PER_HOUR * p.present_hours[h] * wanted
        usd = [p.request_usd.get((o, p.site_of[p.pool_of[e]]), 0.0) for e in p.edges[w, o]]
        cheapest += requests * p.serve_fraction[w] * min(usd, default=0.0)
        dearest += requests * max(usd, default=0.0)
        unserved += requests * (1 - p.serve_fraction[w]) * p.outage_usd_per_request[w]
        offered += requests * p.outage_usd_per_request[w]
    for name, low, high, most in (
        ("requests", cheapest, dearest, dearest),
        ("unserved_requests", 0.0, unserved, offered),
        ("outages", 0.0, 0.0, 0.0),
    ):
        stated, error = other.costs_usd.get(name, 0.0), TOLERANCE * max(1.0, most)
        if not low - error <= stated <= high + error:
            detail = f"{stated:,.2f} is stated; it is between {low:,.2f} and {high:,.2f}"
            yield Violation(f"{what}.costs_usd", name, max(low - stated, stated - high), detail)


def _explanations(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """What is told beside the proof fits the study, as far as it follows from it: names, units, what savings may be."""
    units = {limit.name: limit.unit for limit in p.limits} | {f"most_units of {b}": "units" for b in p.offers}
    yield from _each_once(
        "bottlenecks", {(name,) for name in units}, Counter((bottleneck.limit,) for bottleneck in plan.bottlenecks)
    )
    for bottleneck in plan.bottlenecks:
        if bottleneck.limit in units and bottleneck.unit != units[bottleneck.limit]:
            yield Violation(
                "bottlenecks",
                bottleneck.limit,
                0.0,
                f"in {bottleneck.unit}; the study has it in {units[bottleneck.limit]}",
            )
        if bottleneck.replanned_usd is not None and not 0.0 <= bottleneck.replanned_usd <= _most_saved(plan):
            yield Violation("bottlenecks", bottleneck.limit, bottleneck.replanned_usd, "more is saved than is paid")
    for q, failures in plan.drivers.items():
        if q not in p.pools:
            yield Violation("drivers", q, 1.0, "not a pool of the study")
        yield from _each_once("drivers", {(f,) for f in p.failures if f != NORMAL}, Counter((f,) for f in failures))
    base = units_by_period(p, plan.purchases, plan.builds)
    several = len(p.periods) > 1
    may = {(b, t) for b in (*p.offers, *p.build_outs) for t in (p.periods if several else (None,))}
    stated = Counter((row.offer, row.when) for row in plan.no_regret)
    yield from _each_once("no_regret", may, stated)
    for row in plan.no_regret:
        if row.base_units != base.get((row.offer, row.when or p.periods[0]), 0):
            yield Violation("no_regret", row.offer, 1.0, "base units are not those of the plan")
    for b, t in sorted(base):
        if plan.no_regret and not stated[b, t if several else None]:
            yield Violation("no_regret", f"{b} {t}", 1.0, "missing: the plan has units of it")


def _most_saved(plan: PlanFile) -> float:
    """What a looser limit can save at most [USD]: all that is paid; what is left in the books comes on top."""
    return sum(abs(usd) for usd in plan.costs_usd.values()) * (1 + TOLERANCE)
