"""The audit: every rule, every state, every stated total, on the plan's own numbers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from planner.algebra import Row
from planner.costs import COSTS
from planner.errors import InputError
from planner.planfile import digest, sha256
from planner.problem import Problem, states
from planner.pruning import implied
from planner.recorded import costs_usd, decisions_of, gap_fraction, problem_of, uncoverable, units_by_period
from planner.records.plan import PlanFile, WithoutGoals
from planner.risk import NORMAL
from planner.rules import PURCHASE_RULES, STATE_RULES

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
CANNOT_BE_CHECKED = (
    "bounds (checked: below the cost, not below the relaxation, gap as stated): proving them again means solving again",
    "marginal values, and which failures pay for a pool: of the relaxation, explanations only (checked: that the study "
    "has what they name, in its units)",
    "units in the low and high demand plans, savings planned again: plans of their own (checked: that they can be)",
    "passes, names of solver and version",
)


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


def _names(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """Every name is known, every state is there once, every number is one that a plan may hold."""
    may_buy = {
        (b, when)
        for b in p.offers
        for when in (p.hours if b in p.hourly else p.periods)
        if p.may_start(b, p.period_of.get(when, when))
    }
    bought = Counter((x.offer, x.when) for x in plan.purchases)
    may_run = {(e, h) for e in p.placements for h in p.hours}
    run = Counter((r.placement, r.hour) for r in plan.replicas)
    may_build = {(m, t) for m in p.build_outs for t in p.periods if p.may_start(m, t)}
    yield from _each_once("purchases", may_buy, bought)
    yield from _each_once("builds", may_build, Counter((m.build_out, m.when) for m in plan.builds))
    yield from _each_once("replicas", may_run, run)
    in_states = {s for f in p.failures for s in states(p, f)}
    stated = Counter((s.hour, s.failure, s.clock_seconds) for s in plan.states)
    yield from _each_once("states", in_states, stated)
    for s in sorted(in_states - set(stated)):
        yield Violation("states", _text(s), 1.0, "missing: nothing is said about it")
    edges = set(p.placements)
    flows = set(p.flows)
    yield from _limits(plan, p)
    for state in plan.states:
        where = f"{state.failure} at {state.clock_seconds:g} s"
        lengths = {len(c) for c in (state.workload, state.origin, state.placement, state.requests_per_second)}
        if len(lengths) > 1:
            yield Violation("states", where, 1.0, "columns of different length")
        more = (state.workload, state.ways, state.shed, state.kept, state.loaded, state.occupied)
        if state.same_as_normal and any(more):
            yield Violation("states", where, 1.0, "said to equal normal operation, and more")
        yield from _each_once("ways", {(way,) for way in p.doors.ways}, Counter((way,) for way in state.ways))
        if any(value < 0 for value in (*state.requests_per_second, *state.taking_requests_per_second)):
            yield Violation("traffic", where, 1.0, "negative requests/s")
        for w, o, e in zip(state.workload, state.origin, state.placement, strict=False):
            if e not in edges or (w, o) not in flows:
                yield Violation("traffic", f"{where} {w} {o} {e}", 1.0, "not something the study knows")
        for w, by_origin in state.shed.items():
            for o, value in by_origin.items():
                if value < 0 or (w, o) not in flows:
                    yield Violation("shed", f"{where} {w} {o}", 1.0, "negative, or not something the study knows")
        for name in ("kept", "loaded", "occupied"):
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
    compared: list[tuple[str, WithoutGoals]] = [("without_goals", plan.without_goals)]
    compared += [("re_solved", plan.re_solved)] if plan.re_solved is not None else []
    for stated, truth, what in (
        (plan.costs_usd, costs_usd(p, x), "costs_usd"),
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
        for name, value in costs_usd(p, bought).items():
            if name in PAID_BY_PURCHASES and _differs(other.costs_usd.get(name, 0.0), value):
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
            float(proof.failures_implied),
            float(len(implied(p))),
            "proof.failures_implied",
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
        (proof.relaxation_usd, proof.bound_usd, "proof.relaxation_usd above the bound"),
        (0.0, proof.relaxation_usd, "proof.relaxation_usd below zero"),
        *((other.bound_usd, other.cost_usd, f"{name}.bound_usd above its cost") for name, other in compared),
        # outages are no cost of the plan without goals, and may be below zero: the others cost no less without them
        *(
            (bare.bound_usd, cost - parts.get("outages", 0.0), "without_goals.bound_usd above a cost with goals")
            for cost, parts in with_goals
        ),
        *((other.bound_usd, proof.cost_usd, f"{name}.bound_usd above the cost") for name, other in compared[1:]),
    ):
        if low > high + TOLERANCE * max(1.0, abs(high)):
            yield Violation("proof", "", low - high, what)
    if proof.status == "proven" and proof.gap_fraction > proof.gap_asked_fraction + TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to be proven, but the gap is larger than what was asked")
    if proof.status == "gap" and proof.gap_fraction <= proof.gap_asked_fraction - TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to have a larger gap than what was asked, but it has not")
    for f in proof.failures_entered:
        if f not in p.failures:
            yield Violation("proof.failures_entered", f, 1.0, "not a failure of the study")
    if list(plan.uncoverable) != uncoverable(plan.study, p):
        yield Violation("uncoverable", "", 1.0, "not the list that follows from the study")
    yield from _explanations(plan, p)


def _explanations(plan: PlanFile, p: Problem) -> Iterator[Violation]:
    """What is told beside the proof fits the study, as far as it follows from it: names, units, what savings may be."""
    units = {limit.name: limit.unit for limit in p.limits} | {f"most_units of {b}": "units" for b in p.offers}
    yield from _each_once("binds", {(name,) for name in units}, Counter((bind.limit,) for bind in plan.binds))
    for bind in plan.binds:
        if bind.limit in units and bind.unit != units[bind.limit]:
            yield Violation("binds", bind.limit, 0.0, f"in {bind.unit}; the study has it in {units[bind.limit]}")
        if bind.replanned_usd is not None and not 0.0 <= bind.replanned_usd <= _most_saved(plan):
            yield Violation("binds", bind.limit, bind.replanned_usd, "more is saved than is paid")
    for q, failures in plan.drivers.items():
        if q not in p.pools:
            yield Violation("drivers", q, 1.0, "not a pool of the study")
        yield from _each_once("drivers", {(f,) for f in p.failures if f != NORMAL}, Counter((f,) for f in failures))
    base = units_by_period(p, plan.purchases, plan.builds)
    several = len(p.periods) > 1
    may = {(b, t) for b in (*p.offers, *p.build_outs) for t in (p.periods if several else (None,))}
    stated = Counter((row.offer, row.when) for row in plan.firm)
    yield from _each_once("firm", may, stated)
    for row in plan.firm:
        if row.base_units != base.get((row.offer, row.when or p.periods[0]), 0):
            yield Violation("firm", row.offer, 1.0, "base units are not those of the plan")
    for b, t in sorted(base):
        if plan.firm and not stated[b, t if several else None]:
            yield Violation("firm", f"{b} {t}", 1.0, "missing: the plan has units of it")


def _most_saved(plan: PlanFile) -> float:
    """What a looser limit can save at most [USD]: all that is paid; what is left in the books comes on top."""
    return sum(abs(usd) for usd in plan.costs_usd.values()) * (1 + TOLERANCE)
