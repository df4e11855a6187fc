"""The reports of plan, audit and drill: answers first, then what they rest on."""

from collections.abc import Callable
from dataclasses import asdict

from planner.plan.audit import Audit, audit
from planner.plan.cash import cash
from planner.plan.decisions import decisions_of, problem_of
from planner.plan.orders import Order, orders
from planner.problem.problem import Problem
from planner.review.clocks import clocks_section
from planner.review.fleet import fleet_section, over_time_section
from planner.review.limits import limits_section, rescaling_lines
from planner.review.ordered import beyond_horizon, bottlenecks_section, build_section, order_section, price_ends_usd
from planner.review.redundancy import redundancy_data, redundancy_lines
from planner.review.report import Report, Section, percent, short_failure, usd
from planner.review.rests import rests_section
from planner.review.served import failures_section, served_section
from planner.review.spending import spending_sections
from planner.review.static import static_section
from planner.review.trust import trust_section
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile

NOT_A_PLAN = ("digest", "study digest", "study", "purchases", "replicas", "states")
"""Violations after which the rest of a review would tell tales."""
NOT_CHECKED = "fields that are not checked, or in part; all others are held to the rules, or worked out anew"
NOT_IN = (
    "requests are divisible and queues are not simulated: utilisation limits and burst_factor stand for them",
    "the last mile of users, egress and storage fees",
    "replicas of different sizes share machines by fractions: power-of-two parts always pack, others might not",
)


def _not_in(plan: PlanFile) -> tuple[str, ...]:
    """What the plan leaves out, by what its study asks."""
    study, lines = plan.study, list(NOT_IN)
    if study.objective == "cost":
        lines.append("failures as far as goals name them; what an outage costs and how likely it is decide nothing")
    else:
        lines.append(
            "failures without failures_per_year and hours_to_repair cost nothing; several at once are not priced"
        )
    if any(w.cached_fraction and w.cached_fraction_in_failure is None for w in study.workloads):
        lines.append(
            "caches are as warm after a move as before (cached_fraction_in_failure); moved sessions are not counted"
        )
    if not study.policies.counted:
        lines.append("what runs on demand is taken to go on, what a failure would need anew is never counted")
    return tuple(lines)


def _gap(fraction: float) -> str:
    """A gap as text: one that rounds to nothing is told by its size."""
    return f"{fraction:.0e} of the cost" if 0 < fraction < 5e-5 else percent(fraction, 2)


def review_plan(
    plan: PlanFile,
    all_rows: bool = False,
    progress: Callable[[str, float | None, str], None] = lambda stage, done, detail: None,
) -> Report:
    """The review of a plan, from ANSWER to NEXT: what is asked first comes first."""
    p = problem_of(plan)
    checked = audit(plan)
    proven = is_proven(plan.proof.gap_fraction, plan.proof.gap_asked_fraction)
    good = checked.passed and proven and not plan.uncoverable
    if any(v.rule in NOT_A_PLAN for v in checked.violations):
        return Report(f"study {plan.study.study}", False, (_answer(plan, p, checked, proven),), {})
    x, bought = decisions_of(plan, p), orders(plan, p)
    paid = cash(plan, p, x)
    sections = [
        _answer(plan, p, checked, proven),
        order_section(plan, p, bought, all_rows),
        *build_section(plan, p),
        *spending_sections(plan, p, paid, all_rows),
        served_section(plan, p, x),
        failures_section(plan, p, x, all_rows),
        *clocks_section(p, x, all_rows),
        *limits_section(plan, p, x, all_rows),
        fleet_section(plan, p, x),
        *over_time_section(plan, p, x, all_rows),
        bottlenecks_section(plan),
        static_section(plan, all_rows),
        trust_section(plan, p, x, paid, progress),
        rests_section(plan.study, p, x, all_rows),
        Section("NOT IN", (*_beyond(plan, bought), _time(p), *_not_in(plan), *plan.study.assumptions)),
        Section(
            "NEXT",
            (
                "planner audit plan.json            every rule on the plan's own numbers",
                "planner drill plan.json            an independent replay of every failure",
                "planner drill FLEET.csv --study .  the same failures on today's fleet",
                "planner show RULE                  the formula behind a name used here",
            ),
        ),
    ]
    return Report(f"study {plan.study.study}", good, tuple(sections), {"plan_sha256": plan.digest_sha256})


def _time(p: Problem) -> str:
    """What the plan's periods and hours leave out."""
    if len(p.hours) == 1:
        return "one period and one mean hour: no growth, no day and night, no contracts that end inside the horizon"
    return (
        f"{len(p.periods)} periods and {len(p.hours)} representative hours: what is there for part of a period "
        "is no capacity in it, but takes its part of limits"
    )


def _beyond(plan: PlanFile, bought: tuple[Order, ...]) -> tuple[str, ...]:
    """What is bound to be paid and is in no cost of the plan."""
    bound = beyond_horizon(plan.study, bought)
    last = max((until for _, until, _ in bound), default=None)
    whole = sum(value for _, _, value in bound)
    return (f"{usd(whole)} USD that orders bind beyond the horizon, the last until {last}: see ORDER",) if bound else ()


def _answer(plan: PlanFile, p: Problem, checked: Audit, proven: bool) -> Section:
    proof = plan.proof
    lines = []
    if plan.uncoverable:
        lines.append(f"CANNOT BE COVERED by any capacity, cases: {len(plan.uncoverable)}")
        for row in plan.uncoverable[:5]:
            lines.append(
                f"  {row.workload} from {row.origin} when {short_failure(row.failure)} is lost: at most "
                f"{percent(row.coverable_fraction)}; missing: {row.missing}"
            )
    goals = sum(len(tier.survive) for tier in plan.study.tiers)
    if checked.passed:
        but = " (all that can be covered)" if plan.uncoverable else ""
        implied = f" ({proof.dominated_failures} of them implied by harder ones)" if proof.dominated_failures else ""
        lines.append(
            f"{goals} survival goals hold in all {proof.failures_tested} failures{implied}{but}: audited, "
            f"{checked.rows_checked:,} rows in {checked.states_checked} states"
        )
    else:
        lines.append(f"THE AUDIT FAILS: {len(checked.violations)} violations; this is not a plan. First ones:")
        lines += [f"  {violation}" for violation in checked.violations[:5]]
    hours = sum(p.hours_in[t] for t in p.periods)
    prices = "your" if plan.study.price_book else "list"
    per_hour = proof.cost_usd / hours if hours else 0.0
    lines += [
        f"cost {usd(proof.cost_usd)} USD over {plan.study.horizon.months:g} months, {usd(per_hour)} USD/h, "
        f"at {prices} prices; machines held already cost nothing here",
        f"gap {_gap(proof.gap_fraction)}: no plan costs less than "
        f"{usd(proof.bound_usd)} USD"
        + ("" if proven else f" (NOT PROVEN: {percent(proof.gap_asked_fraction, 2)} was asked)")
        + ("; a clock or a person ended the search: not reproducible" if proof.status == "stopped" else ""),
        *rescaling_lines(plan),
        *redundancy_lines(plan),
        *(f"  {name.replace('_', ' ')}: {usd(value)} USD" for name, value in plan.costs_usd.items() if value),
    ]
    ends = price_ends_usd(plan, p, orders(plan, p))
    if ends.with_range_usd:
        part = ends.with_range_usd / proof.cost_usd if proof.cost_usd > 0 else 0.0
        lines.append(
            f"  at the low and high ends of prices: {usd(proof.cost_usd + ends.low_usd)} to "
            f"{usd(proof.cost_usd + ends.high_usd)} USD; {percent(part)} of the cost has such ends"
        )
    data = {
        "audit_passed": checked.passed,
        "violations": [asdict(v) for v in checked.violations],
        "proof": plan.proof.model_dump(),
        "costs_usd": plan.costs_usd,
        **redundancy_data(plan),
        "re_solved_usd": plan.re_solved.cost_usd if plan.re_solved is not None else None,
        "uncoverable": [row.model_dump() for row in plan.uncoverable],
        "goals": goals,
        "price_ends": asdict(ends),
    }
    return Section("ANSWER", tuple(lines), data=data)


def review_audit(result: Audit, not_checked: dict[str, str]) -> Report:
    """The report of an audit, and what it leaves out: field of the plan file -> why."""
    verdict = "passed" if result.passed else f"FAILED, {len(result.violations)} violations"
    lines = (f"{result.rows_checked:,} rows in {result.states_checked} states checked: {verdict}",)
    rows = tuple((v.rule, v.key, v.detail) for v in result.violations)
    return Report(
        "audit",
        result.passed,
        (
            Section(
                "AUDIT",
                lines,
                ("rule", "where", "what does not hold"),
                rows[:200],
                max(0, len(rows) - 200),
                data={"passed": result.passed, "violations": [asdict(v) for v in result.violations]},
            ),
            Section("NOT CHECKED", (NOT_CHECKED,), ("field", "why"), tuple(not_checked.items()), data=not_checked),
        ),
    )
