"""Where the money goes between two plans: prices, serving, demand, commitments, delay and redundancy add up.

What lies between two studies is planned without survival goals where several kinds of things change at once: that is
quick, and it is what a step then means. Where only one kind changes, nothing has to be solved.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from planner.plan.decisions import costs_usd, with_shortfall
from planner.plan.file import canonical
from planner.plan.in_hand import Plan, in_hand
from planner.plan.plan import Case
from planner.problem.algebra import Sparse
from planner.problem.build import build
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.problem.rules.costs import COSTS
from planner.questions.paths import figures_of
from planner.questions.planned import solution_or_why_not
from planner.solve.search import Effort
from planner.study.records.inventory import Offer
from planner.study.records.plan import PlanFile, WithoutGoals
from planner.study.records.study import Study

PRICES, SERVING, DEMAND, COMMITMENTS, DELAY, REDUNDANCY = STEPS = (
    "prices",
    "serving",
    "demand",
    "commitments",
    "delay",
    "redundancy",
)
NOT_COMPARED = ("study", "assumptions", "schema_version")
"""Parts of a study that change no plan: its name, and what its reader must know."""
WHERE_FROM = (".evidence", ".source", ".as_of")
"""How a figure is known changes no plan either."""
PRICE_FIELDS = ("price_book", "price_paths", "electricity", "money")
BUILD_OUT_PRICES = ("shell_usd_per_mw", "power_usd_per_mw", "fit_out_usd_per_mw", "usd_per_mw_year")
CONTRACT_FIELDS = ("offers", "holdings", "claims", "spend_commitments")
CONTRACT_POLICIES = ("offers", "terms_beyond_horizon")
OFFER_DATES = ("lead_days", "starts_from", "starts_until")
BUILD_OUT_DATES = ("lead_months", "ready_in", "never", "decide_by")

Costs = tuple[Mapping[str, float] | None, str]
"""Cost by component [USD over the horizon]; none without a plan: and why it is not known whether there is one."""
CostsWithoutGoals = Callable[[Study, Case], Costs]
"""Costs of the cheapest plan without survival goals."""


@dataclass(frozen=True)
class BridgeStep:
    """A step of a cost bridge: the change of each cost component [USD over the horizon]."""

    name: str
    usd: Mapping[str, float]

    @property
    def total_usd(self) -> float:
        """All components together [USD over the horizon]."""
        return sum(self.usd.values())


@dataclass(frozen=True)
class Bridge:
    """From the cost of one plan to that of another in steps that add up.

    Parameters
    ----------
    least_usd, most_usd : between these lies the difference of the best possible plans, by the bounds of both
    together : steps that stand in the one after them, as no plan lies between
    unsure : step -> why it is not known whether one does, where the search failed
    """

    before_usd: float
    after_usd: float
    steps: tuple[BridgeStep, ...]
    least_usd: float
    most_usd: float
    together: tuple[str, ...] = ()
    unsure: Mapping[str, str] = field(default_factory=dict)

    @property
    def difference_usd(self) -> float:
        """What the second plan costs beyond the first [USD over the horizon]."""
        return self.after_usd - self.before_usd

    @property
    def within_gaps(self) -> bool:
        """Whether the best plans may differ the other way round, or not at all, where these two differ."""
        return self.difference_usd != 0.0 and self.least_usd <= 0.0 <= self.most_usd


def bridge(before: PlanFile | Plan, after: PlanFile | Plan, without_goals: CostsWithoutGoals | None = None) -> Bridge:
    """From one plan's cost to another's, step by step; the steps add up exactly.

    Formula
        prices       = what `before` buys, at the prices of `after`, less its cost       (offers and phases of both)
        serving      = cost without goals with all of `after` but its demand, contracts and dates, less that of `before`
        demand       = the same with the requests of `after`, less the step before
        commitments  = the same with its offers, holdings, claims and promises, less the step before
        delay        = the same with its lead times and dates, less the step before
        redundancy   = (cost − cost without goals) of `after` less that of `before`, at the prices of `after`
    Units
        USD over the horizon, by cost component

    Every step takes the ones before it as done: another order would attribute the product of two changes elsewhere.

    Parameters
    ----------
    before, after : the plans; they may be of different studies
    without_goals : plans a study without goals; none: each as precisely as `before` was asked for
    """
    hand = in_hand(before)
    before, after = hand.file, in_hand(after).file
    without_goals = without_goals or costs_without_goals(Effort(gap_fraction=before.proof.gap_asked_fraction))
    repriced = _repriced(before.study, after.study)
    change, change_without_goals = _revalued(hand, repriced)
    names = list(dict.fromkeys((*(cost.__name__ for cost in COSTS), *before.costs_usd, *after.costs_usd)))
    at = _sum(names, before.without_goals.costs_usd, change_without_goals)
    redundancy = _difference(names, _sum(names, before.costs_usd, change), at)
    steps = dict.fromkeys(STEPS, dict.fromkeys(names, 0.0))
    steps[PRICES] = _sum(names, change)
    changed = _changed(before, after, repriced)
    at_end = after.without_goals.costs_usd
    together, unsure = list[str](), dict[str, str]()
    for n, step in enumerate(changed):
        last = n == len(changed) - 1
        as_before = set(changed[n + 1 :])
        case = before.demand_case if DEMAND in as_before else after.demand_case
        between, why = (at_end, "") if last else without_goals(_between(after.study, before.study, as_before), case)
        if why:
            unsure[step] = why.partition("\n")[0]
        if between is None:
            together.append(step)
            continue
        steps[step] = _difference(names, between, at)
        at = _sum(names, between)
    steps[REDUNDANCY] = _difference(names, _difference(names, after.costs_usd, at_end), redundancy)
    a, b = before.proof, after.proof
    return Bridge(
        a.cost_usd,
        b.cost_usd,
        tuple(BridgeStep(name, usd) for name, usd in steps.items()),
        b.bound_usd - a.cost_usd,
        b.cost_usd - a.bound_usd,
        tuple(together),
        unsure,
    )


def _sum(names: Iterable[str], *parts: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def _difference(names: Iterable[str], a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) - b.get(name, 0.0) for name in names}


def asked(study: Study) -> dict[str, Any]:
    """What is asked, by path; what changes no plan left out."""
    return {
        path: v if isinstance(v, str | int | float | bool) else "" if v in (None, ()) else str(v)
        for path, v in figures_of(study).items()
        if re.split(r"[.\[]", path)[0] not in NOT_COMPARED and not path.endswith(WHERE_FROM)
    }


def costs_without_goals(effort: Effort, known: Mapping[str, Mapping[str, float]] | None = None) -> CostsWithoutGoals:
    """Plans studies without goals, each once.

    Parameters
    ----------
    effort : of each
    known : `key_without_goals` of a study -> its cost by component
    """
    by_key: dict[str, Costs] = {key: (costs, "") for key, costs in (known or {}).items()}

    def costs(study: Study, case: Case) -> Costs:
        key = key_without_goals(study, case)
        if key not in by_key:
            by_key[key] = _cost_without_goals(study, case, effort)
        return by_key[key]

    return costs


def key_without_goals(study: Study, case: Case) -> str:
    """The same for studies that ask the same but for survival goals."""
    return f"{case} {canonical(_without_survival(asked(_priced(study))))}"


def _cost_without_goals(study: Study, case: Case, effort: Effort) -> Costs:
    if not _fits(study):
        return None, ""
    p = replace(build(study, case, with_goals=False), rescaled=frozenset())
    if workloads_without_edge(p):
        return None, ""
    solution, why_not_known = solution_or_why_not(p, effort)
    return (costs_usd(p, solution.decisions) if solution is not None else None), why_not_known


def _fits(study: Study) -> bool:
    """Whether the parts of a study made of two name only what it has."""
    workloads, origins = {w.name for w in study.workloads}, {o.name for o in study.origins}
    periods = {None, *(t.name for t in study.horizon.each_period)}
    hours = {None, *(h.name for h in study.horizon.each_hour)}
    pools = {pool.id for pool in study.pools}
    rows = all(
        d.workload in workloads and d.origin in origins and d.period in periods and d.hour in hours
        for d in study.demand
    )
    shaped = {d.shape for d in study.demand} <= {None, *(shape.name for shape in study.shapes)}
    return rows and shaped and {row.pool for row in study.holdings} | {row.pool for row in study.claims} <= pools


# ------------------------------------------------------------------ studies between two
def _changed(before: PlanFile, after: PlanFile, repriced: Study) -> list[str]:
    """The kinds of things that change between two plans, in the order of their steps; serving where none does."""
    following = (DEMAND, COMMITMENTS, DELAY)
    at_end = asked(_priced(after.study))
    kinds = [step for step in following if asked(_between(after.study, before.study, {step})) != at_end]
    if before.demand_case != after.demand_case and DEMAND not in kinds:
        kinds.insert(0, DEMAND)
    moves = asked(_priced(before.study)) != asked(_priced(repriced))  # at other prices something else is the cheapest
    otherwise = _without_survival(asked(_between(after.study, before.study, set(following))))
    if moves or otherwise != _without_survival(asked(_priced(repriced))) or not kinds:
        kinds.insert(0, SERVING)
    return kinds


def _without_survival(figures: dict[str, Any]) -> dict[str, Any]:
    return {path: v for path, v in figures.items() if not re.match(r"tiers\[[^\]]*\]\.survive", path)}


def _between(after: Study, before: Study, as_before: Set[str]) -> Study:
    """The second study with what belongs to some steps still as in the first."""
    study = after
    if DEMAND in as_before:
        study = study.model_copy(update={"demand": before.demand, "shapes": before.shapes})
    if COMMITMENTS in as_before:
        kept = {name: getattr(before.policies, name) for name in CONTRACT_POLICIES}
        update = {name: getattr(before, name) for name in CONTRACT_FIELDS}
        pools = {pool.id for pool in after.pools}
        update["offers"] = tuple(b for b in _dated(before.offers, after.offers) if b.pool in pools)
        update["policies"] = after.policies.model_copy(update=kept)
        known = {price.offer_id for price in after.prices}
        update["prices"] = (*after.prices, *(price for price in before.prices if price.offer_id not in known))
        study = study.model_copy(update=update)
    if DELAY in as_before:
        offers = _dated(study.offers, before.offers)
        built = tuple(_of(m, before.build_out_by_id.get(m.id), BUILD_OUT_DATES) for m in study.build_outs)
        study = study.model_copy(update={"offers": offers, "build_outs": built, "today": before.today})
    return _priced(study)


def _of(record: Any, other: Any, names: tuple[str, ...]) -> Any:
    """A record with some fields of another."""
    return record if other is None else record.model_copy(update={name: getattr(other, name) for name in names})


def _dated(offers: tuple[Offer, ...], dates: tuple[Offer, ...]) -> tuple[Offer, ...]:
    """Offers with the lead times and windows of others."""
    by_id = {b.id: b for b in dates}
    return tuple(_of(b, by_id.get(b.id), OFFER_DATES) for b in offers)


def _priced(study: Study) -> Study:
    """The study with the prices of its own offers only, in one order."""
    ids = {b.id for b in study.offers}
    prices = sorted((price for price in study.prices if price.offer_id in ids), key=lambda price: price.offer_id)
    return study.model_copy(update={"prices": tuple(prices)})


def _repriced(before: Study, after: Study) -> Study:
    """The first study at the prices of the second: of offers and phases that both have, of electricity and of time."""
    prices, phases = after.price_by_offer, after.build_out_by_id
    update = {name: getattr(after, name) for name in PRICE_FIELDS}
    update["prices"] = tuple(prices.get(price.offer_id, price) for price in before.prices)
    update["build_outs"] = tuple(_of(m, phases.get(m.id), BUILD_OUT_PRICES) for m in before.build_outs)
    return before.model_copy(update=update)


def _revalued(plan: Plan, repriced: Study) -> tuple[dict[str, float], dict[str, float]]:
    """Change of each cost component when prices change and nothing else, of a plan and of that without goals [USD]."""
    if asked(_priced(repriced)) == asked(_priced(plan.study)):
        return {}, {}
    p = build(repriced, plan.file.demand_case)
    changes = []
    for bought in (plan.file, plan.file.without_goals):
        was = costs_usd(plan.problem, purchased(plan.problem, bought))
        now = costs_usd(p, purchased(p, bought))
        changes.append({name: now[name] - was[name] for name in now})
    return changes[0], changes[1]


def purchased(p: Problem, bought: PlanFile | WithoutGoals) -> Decisions:
    """What is bought and built as decisions, with what is then short of the sums promised."""
    x = no_decisions()
    rented = {(b.offer, b.when): float(b.units) for b in bought.purchases if b.offer in p.hourly}
    started = {(b.offer, b.when): float(b.units) for b in bought.purchases if b.offer not in p.hourly}
    x.rented = Sparse(rented)
    x.started = Sparse(started | {(m.build_out, m.when): float(m.units) for m in bought.builds})
    return with_shortfall(p, x)
