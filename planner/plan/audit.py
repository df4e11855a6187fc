"""The audit: every rule, every state, every stated total, on the plan's own numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.plan.audit_names import misnamed
from planner.plan.audit_totals import compared_plans, wrong_totals
from planner.plan.decisions import without_element
from planner.plan.file import is_sealed, sha256
from planner.plan.in_hand import Plan, in_hand
from planner.plan.violations import TOLERANCE, Violation, text_of
from planner.problem.algebra import Rows, spread
from planner.problem.arrays import full
from planner.problem.problem import states
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve.search import Progress
from planner.study.records.plan import PlanFile

NOT_CHECKED: Mapping[str, str] = {
    "planner_version": "a name",
    "solver": "a name",
    "study.*": "taken as it is (checked: that it is the one that was planned); whoever changes it has another study",
    "proof.bound_usd": "proving it again means solving again (checked: between the LP bound and the cost)",
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
BESIDE_EDGES = {"traffic": "requests_go_where_they_may", "reserve": "limits_are_of_edges"}
"""Decision -> the rule that what is over no edge breaks."""


def not_checked(plan: PlanFile) -> dict[str, str]:
    """Fields of this plan file that the audit does not check, and why; all others are checked."""
    fields = dict(NOT_CHECKED)
    for name, _ in compared_plans(plan):
        fields |= {f"{name}.{f}": why for f, why in NOT_CHECKED_BESIDE.items()}
    return fields


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


def audit(plan: PlanFile | Plan, progress: Progress = lambda stage, done, detail: None) -> Audit:
    """Check a plan against every rule in every state, on its own numbers; nothing but the plan is needed.

    `progress` is called with (stage, fraction done, the state that is next).
    """
    plan = in_hand(plan)
    violations = list(_header(plan.file))
    digest_matches = not violations
    try:
        plan.problem  # noqa: B018 - built here: it may say that the file was changed by hand
    except InputError as error:
        broken = Violation("study", "", 0.0, error.findings[0].got)
        return Audit((*violations, broken), 0, 0, digest_matches)
    violations += misnamed(plan)
    try:
        rows, broken_rows = _rows(plan, progress)
        violations += [*broken_rows, *wrong_totals(plan)]
    except (ValueError, LookupError, ArithmeticError) as error:
        broken = Violation("study", "", 0.0, f"its parts do not fit each other: {error!r}")
        return Audit((*violations, broken), 0, 0, digest_matches)
    return Audit(tuple(violations), rows, len(_states(plan)), digest_matches)


def _states(plan: Plan) -> list[tuple[str, str, float]]:
    return [s for f in plan.problem.failures for s in states(plan.problem, f)]


def _rows(plan: Plan, progress: Progress) -> tuple[int, list[Violation]]:
    """How many rows all rules have in all states, and those that do not hold."""
    p, x, a, checked = plan.problem, plan.vectors, full(plan.problem), 0
    violations = []
    for name, why in BESIDE_EDGES.items():
        for key, value in without_element(p, plan.decisions, name).items():
            if value:
                violations.append(Violation(why, text_of(key), abs(value), "not an edge"))
    for rule in PURCHASE_RULES:
        checked += _check(rule.__name__, rule(a, x), violations)
    in_states = _states(plan)
    for n, s in enumerate(in_states):
        progress("checking the rules", n / len(in_states), s[1])
        for state_rule in STATE_RULES:
            checked += _check(state_rule.__name__, state_rule(a, x, s), violations)
    return checked, violations


def _check(name: str, blocks: Iterable[Rows], violations: list[Violation]) -> int:
    """How many rows of a rule there are; those that do not hold are added to the violations."""
    checked = 0
    for rows in blocks:
        checked += len(rows)
        short, scale = rows.shortfall(), rows.scale()
        for i in np.flatnonzero(short > TOLERANCE * scale).tolist():
            violations.append(Violation(name, text_of(rows.key(i)), float(short[i]), _sentence(rows, i)))
    return checked


def _sentence(rows: Rows, i: int) -> str:
    lhs, rhs = (float(spread(side, len(rows))[i]) for side in (rows.lhs, rows.rhs))
    return f"{lhs:,.6f} {rows.sense} {rhs:,.6f} does not hold"


def _header(plan: PlanFile) -> Iterator[Violation]:
    if not is_sealed(plan):
        yield Violation("digest", "", 0.0, "the file was changed after it was sealed")
    if plan.study_sha256 != sha256(plan.study.model_dump(mode="json", by_alias=True)):
        yield Violation("study digest", "", 0.0, "the study is not the one that was planned")
