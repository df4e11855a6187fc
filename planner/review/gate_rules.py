"""The rules of a gate, each held against a plan: a row with limit, value, verdict and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from planner.plan.audit import Audit
from planner.plan.in_hand import Plan
from planner.questions.margins import margins
from planner.questions.near_figures import MOST_DEMAND
from planner.questions.outages import OutagesAnswer, PlayedOutage, outages_on_plan
from planner.questions.planned import silent
from planner.review import gate_figures as figures
from planner.review.assumptions import EVIDENCE
from planner.review.gate_figures import Measured
from planner.review.gate_policy import Policy
from planner.review.report import percent, short_failure, usd
from planner.review.served import BREAKS, HOLDS, GoalServed, goal_served, served_section
from planner.solve.search import Progress, is_proven
from planner.study.dependencies import NORMAL
from planner.study.places import matches
from planner.study.records.gate import GateRule, OutageRule, SurviveRule
from planner.study.records.study import Goal

Unit = Literal["USD", "share", "days", "machines", "violations", "goals"]
PASSES, WARNS, FAILS, NOT_KNOWN = VERDICTS = ("passes", "warns", "FAILS", "NOT KNOWN")
"""From the best to the worst; what cannot be found out fails the gate, too, unless its rule only warns."""
SAME_FRACTION = 1e-6
"""By which a figure may miss its limit, as a plan may miss what it is held to: the arithmetic of solvers."""
MOST_DIGITS = 6
ALWAYS = GateRule()
"""Of what is checked whatever the policy says."""


@dataclass(frozen=True)
class GateRow:
    """A rule held against a plan.

    Parameters
    ----------
    rule : what is limited
    place : where the policy says so; empty of what is always checked
    least : whether the limit is one from below
    limit, value, unit : figures; None: there is none
    name : what the value is of, or what is wrong
    fix : what to do; empty where it passes
    """

    rule: str
    place: str
    severity: str
    least: bool
    limit: float | None
    value: float | None
    unit: Unit
    name: str
    verdict: str
    fix: str

    @property
    def passes(self) -> bool:
        """Whether the gate passes as far as this rule goes."""
        return self.verdict == PASSES or self.severity == "warn"


@dataclass(frozen=True)
class _Asked:
    """What a gate is asked: the plan, its base, the policy, and the day."""

    plan: Plan
    base: Plan | None
    policy: Policy
    today: date
    progress: Progress


def gate_rows(
    plan: Plan, policy: Policy, today: date, checked: Audit, base: Plan | None = None, progress: Progress = silent
) -> list[GateRow]:
    """Every rule of a policy held against a plan, in the order of the policy; first what is always checked.

    Parameters
    ----------
    today : from which ages of prices and dates of orders are counted
    checked : the audit of the plan
    base : the plan that it is to replace
    """
    asked = _Asked(plan, base, policy, today, progress)
    return [audit_row(checked), *(row for rows_of in ROWS for row in rows_of(asked))]


# ------------------------------------------------------------------ a row
def _row(
    rule: GateRule,
    title: str,
    place: str,
    limit: float,
    value: Measured | None,
    unit: Unit,
    fix: str,
    least: bool = False,
    good: bool | None = None,
) -> GateRow:
    """A row by its figures: no value is not known; `good`: whether it passes, where figures alone do not say."""
    if good is None and value is not None:
        allowed = SAME_FRACTION * max(1.0 if unit == "share" else 0.0, abs(limit))
        good = value.value >= limit - allowed if least else value.value <= limit + allowed
    if value is None:
        verdict = WARNS if rule.severity == "warn" else NOT_KNOWN
    elif good:
        verdict = PASSES
    else:
        verdict = WARNS if rule.severity == "warn" else FAILS
    number, name = (None, "") if value is None else (value.value, value.name)
    return GateRow(title, place, rule.severity, least, limit, number, unit, name, verdict, "" if good else fix)


def written(value: float, unit: Unit, digits: int = 1) -> str:
    """A figure as people read it."""
    if unit == "share":
        return percent(value, digits)
    return f"{usd(value)} USD" if unit == "USD" else f"{value:,g} {unit}"


def limit_text(row: GateRow) -> str:
    """The limit as people read it."""
    return "" if row.limit is None else f"at {'least' if row.least else 'most'} {written(row.limit, row.unit)}"


def value_text(row: GateRow) -> str:
    """The value as people read it, with as many digits as tell it from a limit that it misses."""
    if row.value is None:
        return ""
    digits = 1
    if row.limit is not None and row.verdict != PASSES:
        while digits < MOST_DIGITS and written(row.value, row.unit, digits) == written(row.limit, row.unit, digits):
            digits += 1
    return written(row.value, row.unit, digits)


# ------------------------------------------------------------------ always
def audit_row(checked: Audit) -> GateRow:
    """Whether the plan holds what it says, by its own numbers."""
    wrong = Measured(len(checked.violations), str(checked.violations[0]) if checked.violations else "")
    fix = "plan again: a plan file is not edited; planner audit PLAN says what does not hold"
    return _row(ALWAYS, "audit: rules that the plan breaks", "", 0, wrong, "violations", fix)


def _goals(asked: _Asked) -> Iterator[GateRow]:
    rule, rows = asked.policy.file.goals, served_section(asked.plan).rows
    broken = [row for row in rows if _is_short(row, rule.may_be_uncoverable)]
    name = f"{broken[0].tier}: {broken[0].goal}" if broken else ""
    fix = "planner review PLAN says what is short (CANNOT BE COVERED, SERVED); a weaker goal is a change of the study"
    place = asked.policy.place.at("goals")
    yield _row(rule, "goals that do not hold", place, 0, Measured(len(broken), name), "goals", fix)


def _is_short(row: GoalServed, may_be_uncoverable: bool) -> bool:
    return row.verdict == BREAKS or (row.verdict != HOLDS and not may_be_uncoverable)


def _proof(asked: _Asked) -> Iterator[GateRow]:
    rule, proof = asked.policy.file.proof, asked.plan.file.proof
    limit = proof.gap_asked_fraction if rule.most_gap_fraction is None else rule.most_gap_fraction
    is_within = is_proven(proof.gap_fraction, limit)
    good = is_within and (rule.may_be_unproven or is_proven(proof.gap_fraction, proof.gap_asked_fraction))
    name = "" if is_proven(proof.gap_fraction, proof.gap_asked_fraction) else "not proven to the gap that was asked"
    fix = f"planner plan STUDY --gap {limit:g}, with more --nodes or --rounds"
    place = asked.policy.place.at("proof")
    yield _row(rule, "gap to the best plan", place, limit, Measured(proof.gap_fraction, name), "share", fix, good=good)


# ------------------------------------------------------------------ what the policy limits
def _budget(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.budget):
        figure = figures.cost_usd if rule.of == "cost" else figures.capital_usd
        title = f"{rule.of} over the horizon" if rule.per == "horizon" else f"{rule.of} a {rule.per}"
        place = asked.policy.place.at("budget", n)
        limits = "policies.budget_usd" if rule.of == "cost" else "policies.capital_limits"
        fix = f"plan again with {limits} in the study, or raise the limit"
        yield _row(rule, title, place, rule.most_usd, figure(asked.plan, rule.per), "USD", fix)


def _concentration(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.concentration):
        value = figures.largest_share(asked.plan, rule)
        place = asked.policy.place.at("concentration", n)
        fix = "narrow pools or quotas there, and plan again"
        if rule.share_of == "requests" and len(asked.plan.problem.hours) == 1:
            share = f"{{component: '{rule.per}:{value.name}', most_fraction: {rule.most_fraction:g}}}"
            fix = f"add {share} to policies.shares of the study, and plan again"
        title = f"{rule.share_of} of one {rule.per}"
        if rule.names != ("*",):
            title += f" ({', '.join(rule.names)})"
        yield _row(rule, title, place, rule.most_fraction, value, "share", fix)


OF_WHAT = {"pool": "machines with replicas of those up", "placement": "of the full rate of its replicas"}
"""What the share of a pool or placement is of."""


def _utilisation(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.utilisation):
        value, place = figures.fullest(asked.plan, rule), asked.policy.place.at("utilisation", n)
        what = "most occupied pool" if rule.of == "pool" else "fullest placement"
        when = "normal operation" if rule.when == "normal" else "failures"
        title = f"{what} in {when}, {OF_WHAT[rule.of]}"
        field = "normal" if rule.when == "normal" else "in_failure"
        fix = f"plan again with utilisation.{field}: {rule.most_fraction:g} in the study"
        if rule.of == "pool":
            fix = "machines stand full: hold or buy more there, or plan again with --demand high"
        yield _row(rule, title, place, rule.most_fraction, value, "share", fix)


def _no_more(asked: _Asked) -> str:
    """What is known of the next figure: by waiting the drill may miss a way."""
    return "breaks at" if asked.plan.problem.waiting is None else "the drill finds no way at"


def _headroom(asked: _Asked) -> Iterator[GateRow]:
    rule = asked.policy.file.headroom
    if rule is None:
        return
    value = Measured(MOST_DEMAND - 1, "no goal breaks by then")
    for margin in margins(asked.plan, asked.progress, ("demand",)):
        where = "in normal operation" if margin.failure == NORMAL else f"when {short_failure(margin.failure)} is lost"
        value = Measured(margin.factor - 1, f"{_no_more(asked)} {percent(margin.breaks_at - 1, 2)} {where}")
    place = asked.policy.place.at("headroom")
    fix = f"planner whatif STUDY --set demand=x{1 + rule.least_growth_fraction:g}: what that headroom costs"
    title = "growth of demand that holds"
    yield _row(rule, title, place, rule.least_growth_fraction, value, "share", fix, least=True)


def _evidence(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.evidence):
        for i, tier in enumerate(rule.tiers):
            value, place = figures.well_known_share(asked.plan, rule, tier), asked.policy.place.at("evidence", n)
            title = f"{tier}: {rule.figure.replace('_', ' ')} {rule.weakest}"
            title += " or better" if rule.weakest != EVIDENCE[0] else ""
            title += ", in failures too" if rule.when == "failures" else ""
            fix = "measure what is assumed: planner review PLAN --all names the figures (KEY ASSUMPTIONS)"
            yield _row(
                rule,
                title,
                asked.policy.place.at("evidence", n, "tiers", i) if len(rule.tiers) > 1 else place,
                rule.least_fraction,
                value,
                "share",
                fix,
                least=True,
            )


def _prices(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.prices):
        value, place = figures.oldest_price_days(asked.plan, rule, asked.today), asked.policy.place.at("prices", n)
        fix = "planner import prices, and plan again: prices.csv with a new as_of"
        title = "age of prices of what is ordered"
        if rule.offers != ("*",):
            title += f" ({', '.join(rule.offers)})"
        yield _row(rule, title, place, rule.most_days, value, "days", fix)


def _survive(asked: _Asked) -> Iterator[GateRow]:
    for n, rule in enumerate(asked.policy.file.survive):
        goals = [goal for goal in asked.plan.study.tier_by_name[rule.tier].survive if _is_as_strong(goal, rule)]
        lost = f"failure {rule.failure}" if rule.failure else f"any {f'{rule.of} ' if rule.of > 1 else ''}{rule.any}"
        title, place = f"{rule.tier}: {lost} lost, served", asked.policy.place.at("survive", n)
        loss = f"failure: {rule.failure}" if rule.failure else f"any: {rule.any}, of: {rule.of}"
        goal_text = f"{{{loss}, serve_fraction: {rule.serve_fraction:g}, within_seconds: {rule.within_seconds:g}}}"
        value, good = Measured(0.0, "the study has no such goal"), False
        for served in [goal_served(asked.plan, rule.tier, goal) for goal in goals]:
            value = Measured(served.served_fraction_worst, served.goal)
            good = served.verdict == HOLDS
            if good:
                break
        fix = f"add {goal_text} to the goals of tier {rule.tier} in the study, and plan again"
        if goals:
            fix = "planner review PLAN says what is short (SERVED)"
        yield _row(rule, title, place, rule.serve_fraction, value, "share", fix, least=True, good=good)


def _is_as_strong(goal: Goal, rule: SurviveRule) -> bool:
    """Whether a goal of the study promises what a rule asks for, or more, when the very same is lost.

    A goal for more that are lost together is none for fewer: where there are not so many, it means nothing.
    """
    same = goal.failure == rule.failure if rule.failure is not None else (goal.any, goal.of) == (rule.any, rule.of)
    promised = goal.serve_fraction >= rule.serve_fraction and goal.within_seconds <= rule.within_seconds
    return same and promised and not goal.except_


def _outages(asked: _Asked) -> Iterator[GateRow]:
    rules = asked.policy.file.outages
    ids = [id for id in asked.policy.outages if any(matches(id, rule.outages) for rule in rules)]
    if not ids:
        return

    def done(outages: int, of: int) -> None:
        asked.progress("playing outages", outages / max(1, of), "")

    answer = outages_on_plan(asked.plan.file, [asked.policy.outages[id] for id in ids], progress=done)
    with_goals = tuple(tier.name for tier in asked.plan.study.tiers if tier.survive)
    for n, rule in enumerate(rules):
        for id in (id for id in ids if matches(id, rule.outages)):
            yield _outage(asked.policy.place.at("outages", n), rule, id, rule.tiers or with_goals, answer)


def _outage(place: str, rule: OutageRule, id: str, tiers: tuple[str, ...], answer: OutagesAnswer) -> GateRow:
    """An outage as it goes on the plan: the least that a tier is served, from the deadline on."""
    fix = f"add {{outage: {id}, within_seconds: {rule.within_seconds:g}}} to the goals of the tier, and plan again"
    value: Measured | None = None
    for here in answer.not_mapped:
        if here.outage.id == id:
            fix = f"{here.why}; {here.fix}"
    for here in answer.not_concerned:
        if here.outage.id == id:
            value = Measured(1.0, f"{id} does not concern this plan: {here.why}")
    for one in answer.played:
        if one.here.outage.id == id:
            least = (_served_from(one, tier, rule.within_seconds) for tier in tiers)
            value = figures.smallest(least, otherwise=1.0)
            value = Measured(value.value, f"{value.name} in {id}")
    if value is None:
        fix = f"{id}: {fix}"
    return _row(
        rule,
        f"served in an outage, from {rule.within_seconds:g} s on",
        place,
        rule.serve_fraction,
        value,
        "share",
        fix,
        least=True,
    )


def _served_from(one: PlayedOutage, tier: str, seconds: float) -> Measured:
    """The least share of a tier that is served from a time on: what is served then, and all that comes later."""
    over_time = sorted(one.served_fractions(tier))
    before = [share for at, share in over_time if at <= seconds][-1:]
    after = [share for at, share in over_time if at > seconds]
    return Measured(min([*before, *after], default=1.0), tier)


def _orders(asked: _Asked) -> Iterator[GateRow]:
    rule = asked.policy.file.orders
    if rule is None:
        return
    earliest = figures.days_to_order(asked.plan, asked.today)
    place = asked.policy.place.at("orders")
    fix = "order now, or plan again with a later horizon.start: planner delay says what that costs"
    value = Measured(rule.least_days, "nothing is to be ordered") if earliest is None else earliest
    yield _row(rule, "days until the earliest order", place, rule.least_days, value, "days", fix, least=True)


def _change(asked: _Asked) -> Iterator[GateRow]:
    base = asked.base
    for n, rule in enumerate(asked.policy.file.change if base is not None else ()):
        assert base is not None, "there are no rows without"
        place = asked.policy.place.at("change", n)
        fix = "AGAINST THE BASE PLAN says what changes; where it is meant, raise the limit"
        if rule.most_cost_growth_fraction is not None:
            value = figures.cost_growth(asked.plan, base)
            title = "cost a month, more than the base plan"
            yield _row(rule, title, place, rule.most_cost_growth_fraction, value, "share", fix)
        if rule.most_machines_removed is not None:
            value = figures.machines_removed(asked.plan, base)
            title = "machines removed from the base plan"
            yield _row(rule, title, place, rule.most_machines_removed, value, "machines", fix)


ROWS = (
    _goals,
    _proof,
    _budget,
    _concentration,
    _utilisation,
    _headroom,
    _evidence,
    _prices,
    _survive,
    _outages,
    _orders,
    _change,
)
"""What follows the audit, in the order of the policy's fields."""
