"""What it costs that something comes late, known now or known late.

*Known now*: the study with the longer clock is planned again, and everything may be chosen anew: the least that it can
cost. *Known late*: what was ordered by then stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from planner.errors import NoPlan, SolverError
from planner.plan.decisions import problem_of
from planner.plan.explain import Shortage, shortage
from planner.problem.build import build
from planner.problem.problem import Decisions, Problem
from planner.problem.rules.formulas import limit_there, limit_used, machines_held_or_bought
from planner.questions.bridge import purchased
from planner.questions.delay import DELIVERY, Delay, later_phases
from planner.questions.diff import goal_name
from planner.questions.whatif import Answer
from planner.solve.search import Effort, Infeasible, Progress
from planner.solve.solve import solve
from planner.study.calendar import ALMOST, Span, spans
from planner.study.dependencies import NORMAL, dependency_graph, expand
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.units import after_months

NORMAL_OPERATION = "normal operation"


@dataclass(frozen=True)
class BrokenWhileLate:
    """A survival goal that the plan as it stands cannot keep while machines are missing, or normal operation.

    Parameters
    ----------
    failures : in which it breaks, in order of their names
    requests_per_second : that are short in the worst of them, at the least; None: normal operation is short, too
    """

    period: str
    goal: str
    failures: tuple[str, ...]
    requests_per_second: float | None


@dataclass(frozen=True)
class KnownLate:
    """What a delay costs when it is known only from some day on, and what was to be there by then stays as it is.

    Parameters
    ----------
    usd : cost of the plan that is changed from that day on, less the cost as it is; None: no such plan
    unsure : why it is not known whether there is one; empty: it is known
    """

    known_on: date
    usd: float | None
    least_usd: float
    most_usd: float
    unsure: str = ""


@dataclass(frozen=True)
class DelayCost:
    """A delay with its answers.

    Parameters
    ----------
    delay_usd : cost of the re-plan less the cost as it is, both over the horizon; None: no plan
    least_usd, most_usd : between these lies what the best possible plans differ by
    broken : by the plan as it stands
    why_not : why there is no re-plan
    known_late : the same when it is known late, where that was asked
    """

    delay: Delay
    delay_usd: float | None
    least_usd: float
    most_usd: float
    broken: tuple[BrokenWhileLate, ...]
    why_not: str = ""
    known_late: KnownLate | None = None

    @property
    def usd_per_month(self) -> float | None:
        """Value of a month: bridging cost / months in which it is missing within the horizon [USD/month]."""
        if self.delay_usd is None or not self.delay.months_without:
            return None
        return self.delay_usd / self.delay.months_without


def costs_of_delays(
    asked: Sequence[Delay],
    answers: Sequence[Answer],
    progress: Progress,
    late: Callable[[PlanFile, Delay], KnownLate | None] = lambda plan, delay: None,
) -> tuple[DelayCost, ...]:
    """The answers to delays: what the re-plans cost beyond the plan, and what the plan breaks as it stands.

    A phase or an offer that the plan has nothing of may be late for nothing: the plan stays one.

    Parameters
    ----------
    answers : the study as it is, then the variants of those delays that the plan has something of
    late : what a delay costs that is known late, as `known_late`
    """
    plan = answers[0].plan
    if plan is None:
        return ()
    planned = {answer.variant.key: answer for answer in answers[1:]}
    p = problem_of(plan)
    x = purchased(p, plan)
    tested: dict[object, Shortage | None] = {}
    found = []
    for n, delay in enumerate(asked):
        if delay.ready is None:
            found.append(DelayCost(delay, 0.0, 0.0, 0.0, ()))
            continue
        progress("testing the plan as it stands", n / len(asked), delay.patch.name)
        broken = tuple(broken_while_late(plan, p, x, delay, tested))
        answer, known = planned[delay.variant.key], late(plan, delay)
        a, b = plan.proof, answer.plan.proof if answer.plan is not None else None
        if b is None:
            found.append(DelayCost(delay, None, 0.0, 0.0, broken, answer.why_not, known))
        else:
            # what is known late could be done as well by who knows now: where the search found it cheaper, it counts
            cost_usd = min(b.cost_usd, *([a.cost_usd + known.usd] if known and known.usd is not None else [b.cost_usd]))
            least, most = b.bound_usd - a.cost_usd, cost_usd - a.bound_usd
            found.append(
                DelayCost(delay, cost_usd - a.cost_usd, min(least, cost_usd - a.cost_usd), most, broken, "", known)
            )
    return tuple(found)


def known_late(
    plan: PlanFile, delay: Delay, known_on: date | None, effort: Effort, progress: Progress
) -> KnownLate | None:
    """What a delay costs when it is known only from a day on; None where nothing of it comes within the horizon.

    What had to be ordered before that day (for a phase: its longest part) is as in the plan, and nothing beside it. The
    late phase is built and paid all the same, and the machines for its site wait with it; all else may be chosen anew.

    Parameters
    ----------
    known_on : None: the day on which it should have been there
    """
    if delay.ready is None or delay.until is None:
        return None
    periods = {t.name: t for t in spans(plan.study)}
    ready, until = periods[delay.ready], periods[delay.until]
    day = known_on or ready.first_day
    study = _comes_late(plan, delay, until)
    p = build(study, plan.demand_case)
    x = purchased(p, plan)
    lead = {b.id: timedelta(days=b.lead_days) for b in study.offers}
    clock = {m.id: m.lead_months.longest for m in study.build_outs}
    waiting = {b for b in (*p.offers, *p.build_outs) if _waits(p, plan.study, b, delay)}
    ordered: dict[tuple[str, str], tuple[float, float]] = {}
    for b in (*p.offers, *p.build_outs):
        bought: Mapping[Any, Any] = x.rented if b in p.hourly else x.started
        for when in p.hours if b in p.hourly else p.periods:
            t = periods[p.period_of.get(when, when)]
            free = b in waiting and t.begins_months >= ready.begins_months
            asked = after_months(t.first_day, -clock[b]) if b in clock else t.first_day - lead[b]
            if asked < day and not free and (b in p.hourly or p.may_start(b, t.name)):
                ordered[b, when] = (float(bought[b, when]), float(bought[b, when]))
    if delay.lead_time == DELIVERY and delay.subject not in p.hourly:
        ordered[delay.subject, delay.until] = (float(x.started[delay.subject, delay.ready]), float("inf"))
    try:
        found = solve(replace(p, ordered=ordered), effort, None, progress, plan.proof.binding_failures)
    except Infeasible:
        return KnownLate(day, None, 0.0, 0.0)
    except (NoPlan, SolverError) as error:
        return KnownLate(day, None, 0.0, 0.0, str(error))
    a = plan.proof
    return KnownLate(day, found.cost_usd - a.cost_usd, found.bound_usd - a.cost_usd, found.cost_usd - a.bound_usd)


def _comes_late(plan: PlanFile, delay: Delay, until: Span) -> Study:
    """The study in which the late phase must be built, from the period on in which it is there; or so for an offer."""
    study = plan.study
    if delay.lead_time == DELIVERY:
        late = {"starts_from": until.first_day}
        offers = tuple(b.model_copy(update=late) if b.id == delay.subject else b for b in study.offers)
        return study.model_copy(update={"offers": offers})
    units = sum(row.units for row in plan.builds if row.build_out == delay.subject)
    there = tuple(t.name for t in spans(study) if t.begins_months >= until.begins_months)
    others = later_phases(study, delay.subject, delay.lead_time, delay.months)
    phases = tuple(
        m.model_copy(update={"ready_in": there, "least": units}) if m.id == delay.subject else others.get(m.id, m)
        for m in study.build_outs
    )
    return study.model_copy(update={"build_outs": phases})


def _waits(p: Problem, study: Study, b: str, delay: Delay) -> bool:
    """Whether something waits with what is late: itself, and all that is bought for the site of a late phase."""
    if b == delay.subject:
        return True
    site = p.site_of[p.pool_of[b]] if b in p.pool_of else next(m.site for m in study.build_outs if m.id == b)
    return delay.lead_time != DELIVERY and site == delay.site


# ------------------------------------------------------------------ what breaks until it is there
def broken_while_late(
    plan: PlanFile, p: Problem, x: Decisions, delay: Delay, tested: dict[object, Shortage | None]
) -> list[BrokenWhileLate]:
    """What breaks in each period in which something is missing, in the order of the periods and goals.

    Parameters
    ----------
    p, x : the plan's problem, and what it buys as decisions
    tested : answers of tests that were made already, by what was there
    """
    begins = {t.name: t.begins_months for t in spans(plan.study)}
    missing = [t for t in p.periods if _late_starts(p, x, delay, t, begins)]
    graph, goals = dependency_graph(plan.study), dict[tuple[str, str], tuple[str, ...]]()
    for tier in plan.study.tiers:
        for promise in tier.survive:
            ids = tuple(failure.id for failure in expand(promise, plan.study, graph) if failure.id in p.failures)
            goals[tier.name, goal_name(tier.name, promise)] = ids
    found = []
    for t in missing:
        short = {f: _short(p, x, delay, t, f, begins, tested) for f in p.failures}
        if (normal := short[NORMAL]) is not None:
            found.append(BrokenWhileLate(t, NORMAL_OPERATION, (), normal.requests_per_second))
        for (tier_name, name), ids in goals.items():
            broken = {f: one for f in ids if (one := _of_tier(p, tier_name, short[f])) is not None}
            if broken:
                worst = max(broken.values())
                found.append(BrokenWhileLate(t, name, tuple(sorted(broken)), worst if worst else None))
    return found


def _of_tier(p: Problem, tier: str, short: Shortage | None) -> float | None:
    """Requests/s of a tier that are short; 0 when nothing could be said; None when nothing is."""
    if short is None or not short.rows:
        return None if short is None else 0.0
    rows = [requests for w, _, _, requests in short.rows if p.tier_of[w] == tier]
    return sum(rows) if rows else None


def _short(
    p: Problem,
    x: Decisions,
    delay: Delay,
    t: str,
    f: str,
    begins: Mapping[str, float],
    tested: dict[object, Shortage | None],
) -> Shortage | None:
    """What a failure is short of in the worst hour of a period, with what is bought less what is late."""
    worst = None
    for h in (h for h in p.hours if p.period_of[h] == t):
        there = _there(p, x, delay, h, f, begins)
        key = (h, f, tuple(sorted(there.items())))
        if key not in tested:
            tested[key] = shortage(_in_one_hour(p, h, f, there), f)
        one = tested[key]
        if one is not None and (worst is None or one.requests_per_second > worst.requests_per_second):
            worst = one
    return worst


def _there(p: Problem, x: Decisions, delay: Delay, h: str, f: str, begins: Mapping[str, float]) -> dict[str, float]:
    """q -> machines held and bought, that count in a failure, less those that are late or have no power yet."""
    there = {q: float(machines_held_or_bought(p, x, q, h, f)) for q in p.pools}
    b, late = delay.subject, _late_starts(p, x, delay, p.period_of[h], begins)
    if delay.lead_time == DELIVERY:
        units = float(x.rented[b, h]) if b in p.hourly else sum(float(x.started[b, u]) for u in late)
        there[p.pool_of[b]] -= p.machines_per_unit[b] * p.counted[f].get(b, 1.0) * units
        return there
    for index, limit in enumerate(p.limits):
        if b in limit.modules:
            kw = float(limit_there(p, x, index, h)) - limit.modules[b] * sum(float(x.started[b, u]) for u in late)
            used = float(limit_used(p, x, index, h))
            share = min(1.0, max(0.0, kw) / used) if used > 0 else 1.0
            there |= {q: share * there[q] for q, power in limit.units_per_machine.items() if power}
    return there


def _late_starts(p: Problem, x: Decisions, delay: Delay, t: str, begins: Mapping[str, float]) -> list[str]:
    """The periods in which something started that should be there in a period, and is not: it comes months later."""
    b = delay.subject
    if b in p.hourly:
        rented = [u for u in p.periods if any(x.rented[b, h] for h in p.hours if p.period_of[h] == u)]
        starts = rented[:1] if t in rented else []
    else:
        starts = [u for u in p.starts.get((b, t), ()) if x.started[b, u]]
    return [u for u in starts if begins[t] < begins[u] + delay.months - ALMOST]


def _in_one_hour(p: Problem, h: str, f: str, there: Mapping[str, float]) -> Problem:
    """The problem of one hour in which some machines are there and nothing can be bought.

    Normal operation need not be served where that is asked apart, so that a failure is only called broken when no
    placement of replicas on these machines would do.
    """
    t = p.period_of[h]
    apart = f != NORMAL and bool(p.with_spot or p.deferrable)
    return replace(
        p,
        hours=(h,),
        periods=(t,),
        offers=(),
        offers_of=dict.fromkeys(p.pools, ()),
        hourly=frozenset(),
        held_machines={(q, t): n for q, n in there.items()},
        starts={},
        build_outs=(),
        least_units={},
        either_or=(),
        after={},
        limits=(),
        shares=(),
        spend_years=(),
        capital_caps=(),
        budget_usd=None,
        counted={g: {} for g in p.failures},
        obtainable={g: {} for g in p.failures},
        with_spot=frozenset(),
        maybe_unused={},
        spare_machines=dict.fromkeys(p.pools, 0.0),
        few_large_units=frozenset(),
        priced={},
        objective="cost",
        failover="resolve",
        deferrable=frozenset(),
        serve_fraction={w: 0.0 if apart or w in p.deferrable else fraction for w, fraction in p.serve_fraction.items()},
    )
