"""The report of alternatives to a plan: what each has least of, and what it gives up for that, in one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import fullest_hour, states
from planner.problem.rules.formulas import machines_held_or_bought
from planner.questions.alternatives import Aim, Alternative, pools_in_use
from planner.review.figures import Figure, number
from planner.review.report import AT_RISK, Column, Judged, Report, Section, made, percent, signed, usd
from planner.review.served import tier_served_fraction, tiers_with_flows
from planner.review.traffic import requests_by, traffic_rows
from planner.study.dependencies import NORMAL

AT_HAND = "the plan at hand"
OUT_OF_SCOPE = (
    "at least: no plan within the margin has less, by the linear program or by the bound of the search; for pools, how "
    "many of those in use no plan can do without",
    "machine-hours bought: of all machines that are rented, committed or built, over the horizon; those held are had "
    "anyway, and count in none of the measures",
    "of plans that have as little of a measure the cheapest is looked for, to within 5 %; other plans may do as well",
)


@dataclass(frozen=True)
class Figures:
    """A plan to choose from, in figures.

    Parameters
    ----------
    measure : what is counted; before, value, at_least: of the plan at hand, of this one, of any within the margin
    more_usd, more_fraction : beyond the plan at hand
    worst_served_fraction : of a tier with survival goals in the failure that serves it least, at its last deadline
    machines : by provider, held and bought, in the hour of most requests
    free_machines : of these, on which no replica runs
    measured_fraction : of requests in normal operation, on profiles whose speed was measured
    is_stopped : whether a person ended its search
    file : in the folder that was named
    """

    alternative: str
    measure: str
    before: float
    value: float
    at_least: float
    cost_usd: float
    more_usd: float
    more_fraction: float
    worst_served_fraction: float
    machines: Mapping[str, float]
    free_machines: float
    pools: int
    measured_fraction: float
    is_same: bool
    is_stopped: bool
    why_not: str
    file: str


def review_alternatives(
    plan: Plan,
    results: Sequence[Alternative],
    within_fraction: float,
    files: Mapping[Aim, str] | None = None,
    not_looked_for: Sequence[Aim] = (),
) -> Report:
    """Alternatives to a plan: ANSWER, ALTERNATIVES, WHAT EACH GIVES UP, NEXT, OUT OF SCOPE.

    Parameters
    ----------
    files : aim -> file in which its plan is written
    not_looked_for : aims that were asked about, but for an interruption
    """
    rows = [_figures(plan, plan, AT_HAND, None, "")]
    for one in results:
        if one.plan is not None:
            other = plan if one.is_same else Plan(one.plan)
            rows.append(_figures(plan, other, one.aim.text, one, (files or {}).get(one.aim, "")))
    interrupted = _interrupted(results, not_looked_for)
    sections = made(
        _answer(plan, rows, within_fraction, interrupted),
        _measures(rows),
        _given_up(rows),
        Section("NEXT", _next(rows)) if files else None,
        Section("OUT OF SCOPE", OUT_OF_SCOPE),
    )
    unsure = tuple(f"{row.alternative}: {row.why_not}" for row in rows if row.why_not)
    unsure += tuple(interrupted)
    return Report(f"alternatives to the plan of {plan.study.study}", not unsure, sections, unsure=unsure)


def _figures(at_hand: Plan, plan: Plan, name: str, one: Alternative | None, file: str) -> Figures:
    p, x, h = plan.problem, plan.vectors, fullest_hour(plan.problem)
    bought = machines_held_or_bought(full(p), x, h)
    machines: dict[str, float] = {}
    for q, many in zip(p.pools, bought.tolist(), strict=True):
        if many:
            machines[p.provider_of[q]] = machines.get(p.provider_of[q], 0.0) + many
    running = {e: n for (e, hour), n in plan.decisions.replicas.items() if n and hour == h}
    used = sum(p.machines_per_replica[e] * n for e, n in running.items())
    by_speed = requests_by(traffic_rows(plan), lambda row: row.speed)
    requests = sum(by_speed.values())
    cost, before = plan.file.proof.cost_usd, at_hand.file.proof.cost_usd
    return Figures(
        alternative=name,
        measure=one.aim.unit if one is not None else "",
        before=one.before if one is not None else 0.0,
        value=one.value if one is not None else 0.0,
        at_least=one.at_least if one is not None else 0.0,
        cost_usd=cost,
        more_usd=cost - before,
        more_fraction=(cost - before) / before if before else 0.0,
        worst_served_fraction=_worst_served(plan),
        machines=dict(sorted(machines.items())),
        free_machines=round(float(bought.sum()) - used, 6),
        pools=len(pools_in_use(p, plan.decisions)),
        measured_fraction=by_speed.get("measured", 0.0) / requests if requests else 0.0,
        is_same=one is not None and one.is_same,
        is_stopped=one is not None and one.is_stopped,
        why_not=one.why_not if one is not None else "",
        file=file,
    )


def _worst_served(plan: Plan) -> float:
    """Share of a tier with survival goals in the state that serves it least, at the last deadline of its failure."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    held = {tier.name for tier in plan.study.tiers if tier.survive}
    worst = 1.0
    for f in p.failures:
        last = max(p.deadlines_seconds[f], default=0.0)
        for s in states(p, f) if f != NORMAL else ():
            for tier in tiers_with_flows(plan):
                if tier in held and s[2] == last:
                    worst = min(worst, tier_served_fraction(a.of(f), x, tier, s))
    return worst


def _interrupted(results: Sequence[Alternative], not_looked_for: Sequence[Aim]) -> list[str]:
    """What an interruption left undone."""
    halves = [one.aim.text for one in results if one.is_stopped]
    lines = [f"INTERRUPTED, {name}: its search was ended, less may be had" for name in halves]
    if not_looked_for:
        names = ", ".join(aim.text for aim in not_looked_for)
        lines.append(f"INTERRUPTED, alternatives that were not looked for: {len(not_looked_for)}: {names}")
    return lines


def _answer(plan: Plan, rows: Sequence[Figures], within_fraction: float, interrupted: Sequence[str]) -> Section:
    most = plan.file.proof.cost_usd * (1 + within_fraction)
    lines = [
        f"the plan at hand costs {usd(plan.file.proof.cost_usd)} USD; each alternative at most "
        f"{percent(within_fraction, 1)} more, {usd(most)} USD, survives the same failures and passes the audit"
    ]
    for row in rows[1:]:
        if row.is_same:
            lines.append(f"{row.alternative}: the plan at hand has as little as was come upon, {_many(row.value)}")
        else:
            less = percent((row.before - row.value) / row.before)
            lines.append(
                f"{row.alternative}: {_many(row.before)} -> {_many(row.value)} {row.measure}, {less} less, "
                f"for {row.more_fraction:+.1%} of cost"
            )
    return Section("ANSWER", (*lines, *(Judged(line, AT_RISK) for line in interrupted)))


def _many(value: float) -> str:
    return f"{value:,.0f}"


def _measures(rows: Sequence[Figures]) -> Section:
    columns = (
        Column("alternative"),
        Column("counted", lambda row: row.measure),
        Column("at hand", lambda row: number(row.before, ",.0f")),
        Column("here", lambda row: number(row.value, ",.0f")),
        Column("at least", lambda row: number(row.at_least, ",.0f")),
        Column("search", lambda row: "interrupted" if row.is_stopped else "", when=any(r.is_stopped for r in rows)),
        Column("USD", lambda row: usd(row.cost_usd)),
        Column("more", lambda row: Figure(f"{row.more_fraction:+.1%}", row.more_fraction, "%")),
    )
    return Section("ALTERNATIVES", (), columns, rows[1:], most=None)


def _given_up(rows: Sequence[Figures]) -> Section:
    columns = (
        Column("alternative"),
        Column("more USD", lambda row: signed(row.more_usd) if row.alternative != AT_HAND else None),
        Column("worst served", lambda row: percent(row.worst_served_fraction, 1)),
        Column("machines", lambda row: ", ".join(f"{name} {many:,.0f}" for name, many in row.machines.items())),
        Column("free", lambda row: number(row.free_machines, ",.0f")),
        Column("pools"),
        Column("measured", lambda row: percent(row.measured_fraction)),
        Column("file", when=any(row.file for row in rows)),
    )
    after = (
        "worst served: of a tier with survival goals, in the failure that serves it least, at its last deadline",
        "machines: held and bought, in the hour of most requests; free: those on which no replica runs then",
        "measured: share of requests on profiles whose speed was measured",
    )
    return Section("WHAT EACH GIVES UP", (), columns, rows, after, most=None)


def _next(rows: Sequence[Figures]) -> tuple[str, ...]:
    named = [row for row in rows if row.file]
    return tuple(f"planner diff PLAN {row.file}  what {row.alternative} changes" for row in named[:2])
