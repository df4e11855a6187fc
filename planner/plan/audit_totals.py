"""Of the audit: every total that a plan states is computed anew, and what is said beside the proof fits the study."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from planner.plan.audit_names import may_build, may_buy
from planner.plan.decisions import (
    costs_usd,
    gap_fraction,
    purchased,
    uncoverable,
    units_by_period,
    upkeep_apart,
    with_shortfall,
)
from planner.plan.explain import Shortage, shortage
from planner.plan.in_hand import Plan
from planner.plan.violations import TOLERANCE, Violation, differs, each_once
from planner.problem.failures import uncounted_at_most
from planner.problem.problem import Problem
from planner.problem.rules.costs import COSTS
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
BESIDE = ("without_goals", "on_equal_terms", "re_solved")
"""Fields with such plans."""


def wrong_totals(plan: Plan) -> Iterator[Violation]:
    """Whatever is stated of the plan as a whole, and of those that it is compared with, and is not so."""
    file, p, proof = plan.file, plan.problem, plan.file.proof
    yield from _costs(plan)
    yield from _proof(file, p)
    if proof.status == "proven" and proof.gap_fraction > proof.gap_asked_fraction + TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to be proven, but the gap is larger than what was asked")
    if proof.status == "gap" and proof.gap_fraction <= proof.gap_asked_fraction - TOLERANCE:
        yield Violation("proof.status", "", 0.0, "said to have a larger gap than what was asked, but it has not")
    most = uncounted_at_most(p, file.purchases)
    for row in file.on_equal_terms.purchases if file.on_equal_terms is not None else ():
        if row.units > most.get((row.offer, row.when), float("inf")):
            key = f"{row.offer} {row.when}"
            yield Violation("on_equal_terms", key, 1.0, "counts in no failure, and is more than the plan buys")
    for f in proof.binding_failures:
        if f not in p.failures:
            yield Violation("proof.binding_failures", f, 1.0, "not a failure of the study")
    if list(file.uncoverable) != uncoverable(file.study, p):
        yield Violation("uncoverable", "", 1.0, "not the list that follows from the study")
    yield from _explanations(file, p)


def _costs(plan: Plan) -> Iterator[Violation]:
    """Costs by component, of this plan and of those that it is compared with."""
    file, p = plan.file, plan.problem
    short_of: dict[object, Shortage | None] = {}
    components = {cost.__name__ for cost in COSTS}
    compared = compared_plans(file)
    for what, costs in (("costs_usd", file.costs_usd), *((f"{name}.costs_usd", x.costs_usd) for name, x in compared)):
        if set(costs) != components:
            yield Violation(what, "", 1.0, "not the components that are minimised")
    stated = upkeep_apart(p, plan.decisions, file.costs_usd)
    for name, usd in costs_usd(p, plan.decisions).items():
        if name in stated and differs(stated[name], usd):
            detail = f"{stated[name]:,.2f} is stated, {usd:,.2f} is true"
            yield Violation("costs_usd", name, abs(stated[name] - usd), detail)
    for what, other in compared:
        bought = with_shortfall(p, purchased(p.hourly, other.purchases, other.builds))
        stated = upkeep_apart(p, bought, other.costs_usd)
        yield from _compared_names(p, what, other)
        bought_and_built = other.purchases, other.builds
        if bought_and_built not in short_of:  # on equal terms is most often the plan without goals
            short_of[bought_and_built] = _short_of(plan.problem_without_goals, other)
        yield from _compared_requests(plan.problem_without_goals, what, other, short_of[bought_and_built])
        for name, usd in costs_usd(p, bought).items():
            if name in PAID_BY_PURCHASES and differs(stated.get(name, 0.0), usd):
                yield Violation(f"{what}.costs_usd", name, 0.0, f"{usd:,.2f} is true")


def _proof(file: PlanFile, p: Problem) -> Iterator[Violation]:
    """Sums, and bounds below what they bound."""
    proof, compared = file.proof, compared_plans(file)
    gap = gap_fraction(proof.cost_usd, proof.bound_usd)
    sums = [(proof.cost_usd, sum(file.costs_usd.values()), "proof.cost_usd", "the sum of the components")]
    for name, other in compared:
        sums.append((other.cost_usd, sum(other.costs_usd.values()), f"{name}.cost_usd", "the sum of the components"))
    sums += [
        (proof.gap_fraction, gap, "proof.gap_fraction", "(cost - bound) / cost"),
        (proof.failures_tested, len(p.failures) - 1, "proof.failures_tested", "the failures of the study"),
        (proof.dominated_failures, len(dominated(p)), "proof.dominated_failures", "those that harder ones dominate"),
    ]
    for stated, true, what, meaning in sums:
        scale = 1.0 if "gap" not in what else 1e-3
        if abs(stated - true) > TOLERANCE * max(scale, abs(true)):
            yield Violation(what, "", abs(stated - true), f"{stated:,.6f} is stated; {meaning}: {true:,.6f}")
    # outages are no cost of the plan without goals, and may be below zero: the others cost no less without them
    without_outages = proof.cost_usd - file.costs_usd.get("outages", 0.0)
    bounds = [
        (proof.bound_usd, proof.cost_usd, "proof.bound_usd above the cost"),
        (proof.lp_bound_usd, proof.bound_usd, "proof.lp_bound_usd above the bound"),
        (file.without_goals.bound_usd, without_outages, "without_goals.bound_usd above a cost with goals"),
    ]
    if not p.priced:  # an outage may cost less than normal operation, as what is not served costs no requests
        bounds.append((0.0, proof.lp_bound_usd, "proof.lp_bound_usd below zero"))
    for name, other in compared:
        bounds.append((other.bound_usd, other.cost_usd, f"{name}.bound_usd above its cost"))
        if name != "without_goals":
            least = other.cost_usd - other.costs_usd.get("outages", 0.0)
            bounds.append((file.without_goals.bound_usd, least, "without_goals.bound_usd above a cost with goals"))
            bounds.append((other.bound_usd, without_outages, f"{name}.bound_usd above the cost"))
    for low, high, what in bounds:
        if low > high + TOLERANCE * max(1.0, abs(high)):
            yield Violation("proof", "", low - high, what)


def compared_plans(file: PlanFile) -> list[tuple[str, WithoutGoals]]:
    """Plans that this one is compared with, by field."""
    plans = [(name, getattr(file, name)) for name in BESIDE]
    return [(name, other) for name, other in plans if other is not None]


def _compared_names(p: Problem, what: str, other: WithoutGoals) -> Iterator[Violation]:
    """A plan beside this one buys and builds what the study has, each once."""
    bought, built = may_buy(p), may_build(p)
    yield from each_once(f"{what}.purchases", bought, Counter((x.offer, x.when) for x in other.purchases))
    yield from each_once(f"{what}.builds", built, Counter((m.build_out, m.when) for m in other.builds))


def _short_of(p: Problem, other: WithoutGoals) -> Shortage | None:
    """What normal operation is short of with what a plan beside this one buys; None: nothing.

    `p` is the problem without survival goals: with them there are rows of what counts in failures.
    """
    bought = purchased(p.hourly, other.purchases, other.builds)
    units = {**bought.started, **bought.rented}
    ordered = {key: 2 * (units.get(key, 0.0),) for key in (*may_buy(p), *may_build(p))}
    alone = {NORMAL: p.failures[NORMAL]}
    q = replace(p, failures=alone, priced={}, objective="cost", rescaled=frozenset(), ordered=ordered, budget_usd=None)
    return shortage(q, NORMAL)


def _compared_requests(p: Problem, what: str, other: WithoutGoals, short: Shortage | None) -> Iterator[Violation]:
    """A plan beside this one serves normal operation with what it buys, and says of its requests what they can cost."""
    wanted_of_all = sum(p.demand_requests_per_second.values())
    if short is not None and not (short.rows and short.requests_per_second <= TOLERANCE * max(1.0, wanted_of_all)):
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


def _explanations(file: PlanFile, p: Problem) -> Iterator[Violation]:
    """What is said beside the proof fits the study, as far as it follows from it: names, units, what savings may be."""
    units = {limit.name: limit.unit for limit in p.limits} | {f"most_units of {b}": "units" for b in p.offers}
    yield from each_once("bottlenecks", {(name,) for name in units}, Counter((row.limit,) for row in file.bottlenecks))
    for row in file.bottlenecks:
        if (unit := units.get(row.limit, row.unit)) != row.unit:
            yield Violation("bottlenecks", row.limit, 0.0, f"in {row.unit}; the study has it in {unit}")
        if row.replanned_usd is not None and not 0.0 <= row.replanned_usd <= _most_saved(file):
            yield Violation("bottlenecks", row.limit, row.replanned_usd, "more is saved than is paid")
    for q, failures in file.drivers.items():
        if q not in p.pools:
            yield Violation("drivers", q, 1.0, "not a pool of the study")
        yield from each_once("drivers", {(f,) for f in p.failures if f != NORMAL}, Counter((f,) for f in failures))
    base = units_by_period(p, file.purchases, file.builds)
    several = len(p.periods) > 1
    may = {(b, t) for b in (*p.offers, *p.build_outs) for t in (p.periods if several else (None,))}
    stated = Counter((row.offer, row.when) for row in file.no_regret)
    yield from each_once("no_regret", may, stated)
    for counts in file.no_regret:
        if counts.base_units != base.get((counts.offer, counts.when or p.periods[0]), 0):
            yield Violation("no_regret", counts.offer, 1.0, "base units are not those of the plan")
    for b, t in sorted(base):
        if file.no_regret and not stated[b, t if several else None]:
            yield Violation("no_regret", f"{b} {t}", 1.0, "missing: the plan has units of it")


def _most_saved(file: PlanFile) -> float:
    """What a looser limit can save at most [USD]: all that is paid; what is left in the books comes on top."""
    return sum(abs(usd) for usd in file.costs_usd.values()) * (1 + TOLERANCE)
