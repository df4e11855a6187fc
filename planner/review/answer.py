"""The reports of plan and audit: the answer first, then section by section what it depends on."""

from collections.abc import Callable, Sequence
from functools import partial

from planner.plan.audit import Audit, audit
from planner.plan.in_hand import Plan, in_hand
from planner.review.assumptions import assumptions_section
from planner.review.bottlenecks import bottlenecks_section
from planner.review.changes import changes_section, held_today, in_failures_only
from planner.review.decision import deadlines_section, decision_section, uncoverable_section
from planner.review.failures import failures_section
from planner.review.first_minutes import first_minutes_lines
from planner.review.fleet import fleet_section, over_time_section
from planner.review.heat_map import heat_map_section
from planner.review.lead_times import lead_times_section
from planner.review.limits import limits_section, rescaling_lines
from planner.review.money import assets_section, money_section
from planner.review.orders import build_section, order_rows, order_section, price_ends_usd, quota_section
from planner.review.prices import prices_section, speeds_section
from planner.review.recovery import recovery_section, worst_recovery_section
from planner.review.redundancy import redundancy_data, redundancy_lines
from planner.review.report import (
    AT_RISK,
    BROKEN,
    HELD,
    Column,
    Drawing,
    Judged,
    Line,
    Report,
    Section,
    item_columns,
    no_drawings,
    percent,
    short_failure,
    usd,
)
from planner.review.resilience import resilience_section
from planner.review.routes import map_section, routes_section
from planner.review.served import HOLDS, goals_served, served_section
from planner.review.spend import quarters_section, spend_section
from planner.review.static import static_section
from planner.review.trust import Progress, silent, trust_section
from planner.review.utilisation import utilisation_section
from planner.review.waiting import waiting_section
from planner.review.weakest import weakest_section
from planner.review.wrong_answers import wrong_answers_section
from planner.review.zones import zones_section
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile

NOT_A_PLAN = ("digest", "study digest", "study", "purchases", "replicas", "states")
"""Violations after which the rest of a review would mislead."""
NOT_CHECKED = "fields that are not checked, or in part; all others are held to the rules, or worked out anew"
OUT_OF_SCOPE = (
    "the last mile of users, egress and storage fees",
    "replicas of different sizes share machines by fractions: power-of-two parts always pack, others might not",
)
NO_QUEUES = "requests are divisible and queues are not simulated: utilisation limits and burst_factor stand for them"
QUEUES_BY_FORMULA = (
    "requests are divisible and queues are reckoned by formulas, not simulated (planner drill PLAN --simulate does): "
    "requests come at random about burst_factor times their mean"
)
IN_STAGES = (
    "stages of a failure are settled: by when what has returned is loaded, what was evicted runs again, too, and "
    "storage feeds what returns as fast as its profiles say"
)
SAID = "AS THE FILE SAYS: the audit fails"
MOST_VIOLATIONS = 200
FIRST = 5
"""Cases that an answer names."""


# ------------------------------------------------------------------ the review of a plan
def review_plan(
    plan: PlanFile | Plan, all_rows: bool = False, progress: Progress = silent, with_margins: bool = True
) -> Report:
    """The review of a plan, from ANSWER to NEXT: what is asked first comes first.

    Parameters
    ----------
    with_margins : whether it is searched for how far figures may move, which takes longer than all else
    """
    held = in_hand(plan)
    return review_audited(held, audit(held, progress), all_rows, progress, with_margins)


def review_audited(
    plan: Plan, checked: Audit, all_rows: bool = False, progress: Progress = silent, with_margins: bool = True
) -> Report:
    """The review of a plan whose audit is at hand."""
    good = checked.passed and _is_proven(plan) and not plan.file.uncoverable
    sections = [_answer(plan, checked)]
    if not any(violation.rule in NOT_A_PLAN for violation in checked.violations):
        for section_of in SECTIONS:
            if section_of is trust_section:
                section: Section | None = trust_section(plan, progress, with_margins)
            elif section_of is static_section:
                section = static_section(plan, progress)
            else:
                section = section_of(plan)
            if section is not None:
                sections.append(section)
    data = {"plan_sha256": plan.file.digest_sha256} if len(sections) > 1 else {}
    drawings = partial(_drawings, plan) if data else no_drawings
    return Report(f"study {plan.study.study}", good, tuple(sections), data, all_rows=all_rows, drawings=drawings)


def _drawings(plan: Plan) -> Sequence[Drawing]:
    """The pictures of a page; what draws them is only loaded for one."""
    from planner.review.charts.every import charts_of

    return charts_of(plan)


def _is_proven(plan: Plan) -> bool:
    return is_proven(plan.file.proof.gap_fraction, plan.file.proof.gap_asked_fraction)


def _gap(fraction: float) -> str:
    """A gap as text: one that rounds to nothing by its size."""
    return f"{fraction:.0e} of the cost" if 0 < fraction < 5e-5 else percent(fraction, 2)


def _answer(plan: Plan, checked: Audit) -> Section:
    proof = plan.file.proof
    lines = verdict_lines(plan, checked)
    ends = price_ends_usd(plan)
    lines += [
        as_audited(_cost(plan), checked),
        *(f"  {name.replace('_', ' ')}: {usd(value)} USD" for name, value in plan.file.costs_usd.items() if value),
    ]
    if ends.with_range_usd:
        part = ends.with_range_usd / proof.cost_usd if proof.cost_usd > 0 else 0.0
        lines.append(
            f"  at the low and high ends of prices: {usd(proof.cost_usd + ends.low_usd)} to "
            f"{usd(proof.cost_usd + ends.high_usd)} USD; {percent(part)} of the cost has such ends"
        )
    lines += [proof_line(plan), *rescaling_lines(plan.file), *redundancy_lines(plan.file)]
    data = {
        "audit_passed": checked.passed,
        "rows_checked": checked.rows_checked,
        "states_checked": checked.states_checked,
        "violations": checked.violations,
        "proof": proof,
        "costs_usd": plan.file.costs_usd,
        **redundancy_data(plan.file),
        "re_solved_usd": plan.file.re_solved.cost_usd if plan.file.re_solved is not None else None,
        "uncoverable": plan.file.uncoverable,
        "goals": _goals(plan),
        "held_today": dict(zip(("machines", "pools"), held_today(plan), strict=True)),
        "in_failures_only": in_failures_only(plan),
        "today": plan.study.today,
        "months": plan.study.horizon.months,
        "cost_usd_per_month": cost_usd_per_month(plan),
        "cost_usd_per_hour": cost_usd_per_hour(plan),
        "price_ends": ends,
    }
    return Section("ANSWER", tuple(lines), data=data, part="answer")


def _goals(plan: Plan) -> int:
    return sum(len(tier.survive) for tier in plan.study.tiers)


def _goals_held(plan: Plan) -> str:
    """That goals hold; where no capacity can cover all that is asked, how many do in full."""
    if not plan.file.uncoverable:
        return f"{_goals(plan)} survival goals hold"
    goals = goals_served(plan)
    held = sum(row.verdict == HOLDS for row in goals)
    return f"{held} of {len(goals)} survival goals hold in full, {len(goals) - held} but for what cannot be covered,"


def verdict_lines(plan: Plan, checked: Audit, in_short: bool = False) -> list[Line]:
    """What no capacity can cover; then that every goal holds, or that the audit fails."""
    proof, uncoverable, lines = plan.file.proof, plan.file.uncoverable, list[Line]()
    if uncoverable:
        lines.append(Judged(f"CANNOT BE COVERED by any capacity, cases: {len(uncoverable)}", BROKEN))
        for row in uncoverable[:FIRST]:
            case = (
                f"  {row.workload} from {row.origin} when {short_failure(row.failure)} is lost: at most "
                f"{percent(row.coverable_fraction)}; missing: {row.missing}"
            )
            lines.append(Judged(case, BROKEN))
    if checked.passed:
        is_said = proof.dominated_failures and not in_short
        easier = f" ({proof.dominated_failures} of them dominated by harder ones)" if is_said else ""
        held = (
            f"{_goals_held(plan)} in all {proof.failures_tested} failures{easier}: audited, "
            f"{checked.rows_checked:,} rows in {checked.states_checked} states"
        )
        return [*lines, Judged(held, AT_RISK if uncoverable else HELD)]
    fails = f"THE AUDIT FAILS: {len(checked.violations)} violations; this is not a plan. First ones:"
    return [*lines, *(Judged(line, BROKEN) for line in (fails, *(f"  {v}" for v in checked.violations[:FIRST])))]


def as_audited(line: str, checked: Audit) -> Line:
    """A line of what a plan costs; where the audit fails, with that this is only what the file says."""
    return line if checked.passed else Judged(f"{line}; {SAID}", BROKEN)


def cost_usd_per_month(plan: Plan) -> float:
    """The cost of the plan, spread over the months of its horizon."""
    return plan.file.proof.cost_usd / plan.study.horizon.months


def cost_usd_per_hour(plan: Plan) -> float:
    """The cost of the plan, spread over the hours of its periods; none where these have none."""
    hours = sum(plan.problem.hours_in[t] for t in plan.problem.periods)
    return plan.file.proof.cost_usd / hours if hours else 0.0


def _cost(plan: Plan) -> str:
    cost_usd = plan.file.proof.cost_usd
    prices = "your" if plan.study.price_book else "list"
    return (
        f"cost {usd(cost_usd)} USD over {plan.study.horizon.months:g} months, "
        f"{usd(cost_usd_per_hour(plan))} USD/h, at {prices} prices; machines held already cost nothing here"
    )


def proof_line(plan: Plan) -> Line:
    """How far the cost is from the least possible, and whether that is as near as was asked."""
    proof = plan.file.proof
    line = f"gap {_gap(proof.gap_fraction)}: no plan costs less than {usd(proof.bound_usd)} USD"
    if not _is_proven(plan):
        line += f" (NOT PROVEN: {percent(proof.gap_asked_fraction, 2)} was asked)"
    if proof.status == "stopped":
        line += "; a time limit or a person ended the search: not reproducible"
    return line if _is_proven(plan) and proof.status != "stopped" else Judged(line, AT_RISK)


def _out_of_scope(plan: Plan) -> Section:
    """What the plan leaves out, by what its study asks."""
    study, p, lines = plan.study, plan.problem, []
    bound = [row for row in order_rows(plan) if row.bound_until is not None]
    if bound:
        beyond = usd(sum(row.beyond_horizon_usd for row in bound))
        last = max(row.bound_until for row in bound if row.bound_until is not None)
        lines.append(f"{beyond} USD that orders bind beyond the horizon, the last until {last}: see ORDER")
    if len(p.hours) == 1:
        lines.append(
            "one period and one mean hour: no growth, no day and night, no contracts that end inside the horizon"
        )
    else:
        lines.append(
            f"{len(p.periods)} periods and {len(p.hours)} representative hours: what is there for part of a period "
            "is no capacity in it, but takes its part of limits"
        )
    lines += (NO_QUEUES if plan.problem.waiting is None else QUEUES_BY_FORMULA, *OUT_OF_SCOPE)
    if study.objective == "cost":
        lines.append("failures as far as goals name them; what an outage costs and how likely it is decide nothing")
    else:
        lines.append(
            "failures without failures_per_year and hours_to_repair cost nothing; several at once are not priced"
        )
    lines += first_minutes_lines(study)
    if any(failure.outage is not None for failure in p.failures.values()):
        lines.append(IN_STAGES)
    if not study.policies.counted:
        lines.append("what runs on demand is taken to go on, what a failure would need anew is never counted")
    return Section("OUT OF SCOPE", (*lines, *study.assumptions))


def _next(plan: Plan) -> Section:
    return Section(
        "NEXT",
        (
            "planner audit plan.json            every rule on the plan's own numbers",
            "planner drill plan.json            an independent replay of every failure",
            "planner drill FLEET.csv --study .  the same failures on today's fleet",
            "planner show RULE                  the formula behind a name used here",
        ),
    )


SECTIONS: tuple[Callable[[Plan], Section | None], ...] = (
    decision_section,
    deadlines_section,
    uncoverable_section,
    changes_section,
    weakest_section,
    map_section,
    spend_section,
    quarters_section,
    routes_section,
    worst_recovery_section,
    utilisation_section,
    resilience_section,
    lead_times_section,
    heat_map_section,
    prices_section,
    speeds_section,
    order_section,
    quota_section,
    build_section,
    money_section,
    assets_section,
    served_section,
    failures_section,
    recovery_section,
    wrong_answers_section,
    limits_section,
    waiting_section,
    fleet_section,
    zones_section,
    over_time_section,
    bottlenecks_section,
    static_section,
    trust_section,
    assumptions_section,
    _out_of_scope,
    _next,
)
"""What follows the answer, in order: each a function of the plan to its section, or to None where there is none."""


# ------------------------------------------------------------------ the audit
def review_audit(result: Audit, not_checked: dict[str, str]) -> Report:
    """The report of an audit, and what it leaves out: field of the plan file -> why."""
    verdict = "passed" if result.passed else f"FAILED, {len(result.violations)} violations"
    counted = f"{result.rows_checked:,} rows in {result.states_checked} states checked: {verdict}"
    lines = (Judged(counted, HELD if result.passed else BROKEN),)
    columns = (Column("rule"), Column("where", lambda v: v.key), Column("what does not hold", lambda v: v.detail))
    fields = item_columns("field", "why")
    checked = {"passed": result.passed, "violations": result.violations}
    sections = (
        Section("AUDIT", lines, columns, result.violations, data=checked, most=MOST_VIOLATIONS),
        Section("NOT CHECKED", (NOT_CHECKED,), fields, tuple(not_checked.items()), data=not_checked, most=None),
    )
    return Report("audit", result.passed, sections, all_rows=False, all_by="--format json")
