"""What it costs when something comes late: a clock of a phase that is built, or the delivery of an offer.

Two answers. *Known now*: the study with the longer clock is planned again, and everything may be chosen anew: the least
that it can cost. *As it stands*: the plan buys what it buys, the late machines are missing, and each survival goal is
put to the test in each period until they are there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

from planner.bridge import purchased
from planner.build import build
from planner.diff import goal_name
from planner.errors import Finding, InputError, NoPlan, SolverError
from planner.explain import Shortage, shortage
from planner.formulas import limit_there, limit_used, machines_held_or_bought
from planner.patches import Change, Patch
from planner.periods import ALMOST, Span, may_be_ready, spans
from planner.plan import problem_of
from planner.problem import Decisions, Problem
from planner.records.plan import PlanFile
from planner.records.study import Study
from planner.risk import NORMAL, dependency_graph, expand
from planner.solve import Effort, Progress, solve
from planner.units import DAYS_PER_MONTH
from planner.whatif import Answer, Variant

CLOCKS = ("shell", "power", "equipment", "commissioning")
DELIVERY = "delivery"
NORMAL_OPERATION = "normal operation"


@dataclass(frozen=True)
class Slip:
    """Something that comes late.

    Parameters
    ----------
    subject : id of a phase or an offer
    clock : shell, power, equipment, commissioning; delivery of an offer
    ready : period from which the plan uses it; None: the plan has none of it
    until : first period from which it is there, when what was ordered in time comes so many months late; None: not
        within the horizon
    """

    subject: str
    site: str
    clock: str
    months: float
    ready: str | None
    until: str | None
    patch: Patch

    @property
    def variant(self) -> Variant:
        """The study with the longer clock."""
        return Variant((self.patch,))


@dataclass(frozen=True)
class Broken:
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
class Late:
    """What a slip costs when it is known only from some day on, and what was to be there by then stays as it is.

    Parameters
    ----------
    usd : cost of the plan that is changed from that day on, less the cost as it is; None: no such plan
    """

    known_on: date
    usd: float | None
    least_usd: float
    most_usd: float


@dataclass(frozen=True)
class Slipped:
    """A slip with its answers.

    Parameters
    ----------
    bridging_usd : cost of the re-plan less the cost as it is, both over the horizon; None: no plan
    least_usd, most_usd : between these lies what the best possible plans differ by
    broken : by the plan as it stands
    why_not : why there is no re-plan
    late : the same when it is known late, where that was asked
    """

    slip: Slip
    bridging_usd: float | None
    least_usd: float
    most_usd: float
    broken: tuple[Broken, ...]
    why_not: str = ""
    late: Late | None = None

    @property
    def usd_per_month(self) -> float | None:
        """Value of a month: bridging cost / months late [USD/month]."""
        return None if self.bridging_usd is None else self.bridging_usd / self.slip.months


# ------------------------------------------------------------------ what is asked
def slips(
    plan: PlanFile,
    what: Sequence[str] = ("*",),
    clocks: Sequence[str] = ("power",),
    periods: Sequence[int] = (1, 2),
    months: Sequence[float] = (),
) -> tuple[Slip, ...]:
    """The slips of a plan's phases and offers.

    Parameters
    ----------
    what : ids or patterns of phases, or of offers; `*` alone: every phase, or every offer that the plan buys ahead
        where there is no phase
    clocks : of phases
    periods : late by so many periods, counted from the one in which the plan has it
    months : late by so many months, instead

    Raises
    ------
    InputError
        when a pattern or a clock leads nowhere, or a delay is none
    """
    study = plan.study
    _check(study, what, clocks, months or periods)
    found = []
    for m in study.build_outs:
        if any(fnmatchcase(m.id, pattern) for pattern in what):
            first = _first(plan, m.id)
            earliest = next((t for t in spans(study) if may_be_ready(study, m, t)), spans(study)[0])
            for clock in clocks:
                for late in months or [_length(study, first or earliest, k) for k in periods]:
                    value = getattr(m.clocks_months, clock) + late
                    path = f"build_outs[{m.id}].clocks_months.{clock}"
                    found.append(_slip(study, m.id, m.site, clock, late, first, path, value))
    bought = {row.offer for row in plan.purchases}
    for b in study.offers:
        ahead = not study.build_outs and b.id in bought and b.lead_days > 0
        if any(fnmatchcase(b.id, pattern) and (pattern != "*" or ahead) for pattern in what):
            first = _first(plan, b.id)
            for late in months or [_length(study, first or spans(study)[0], k) for k in periods]:
                value = float(round(b.lead_days + late * DAYS_PER_MONTH))
                path = f"offers[{b.id}].lead_days"
                found.append(_slip(study, b.id, b.site, DELIVERY, late, first, path, value))
    return tuple(found)


def _check(study: Study, what: Sequence[str], clocks: Sequence[str], delays: Sequence[float]) -> None:
    ids = [*(m.id for m in study.build_outs), *(b.id for b in study.offers)]
    findings = [
        Finding("--what", "the id of a phase or an offer, or a pattern of them", pattern, "see `planner check --all`")
        for pattern in what
        if not any(fnmatchcase(id, pattern) for id in ids)
    ]
    findings += [
        Finding("--clock", f"one of {', '.join(CLOCKS)}", clock, "name a clock of the phases")
        for clock in clocks
        if clock not in CLOCKS
    ]
    findings += [
        Finding("--months" if isinstance(late, float) else "--periods", "a delay above 0", f"{late:g}", "write 1,2")
        for late in delays
        if late <= 0
    ]
    if findings:
        raise InputError(findings)


def _first(plan: PlanFile, subject: str) -> Span | None:
    """The first period in which a plan has a phase or an offer."""
    whens = {row.when.partition("/")[0] for row in plan.purchases if row.offer == subject}
    whens |= {row.when for row in plan.builds if row.build_out == subject}
    return next((t for t in spans(plan.study) if t.name in whens), None)


def _length(study: Study, start: Span, periods: int) -> float:
    """Months of so many periods from one on; beyond the horizon they are as long as the last."""
    following = [t.months for t in spans(study) if t.begins_months >= start.begins_months]
    return sum(following[:periods]) + following[-1] * max(0, periods - len(following))


def _slip(
    study: Study, subject: str, site: str, clock: str, months: float, first: Span | None, path: str, value: float
) -> Slip:
    name = f"{subject} {clock} +{months:g} months"
    patch = Patch(name, "", (Change(path, "set", value, f"slip of {subject}"),))
    there = None
    if first is not None:
        there = next((t for t in spans(study) if t.begins_months >= first.begins_months + months - ALMOST), None)
    return Slip(subject, site, clock, months, first.name if first else None, there.name if there else None, patch)


# ------------------------------------------------------------------ what is answered
def slipped(
    asked: Sequence[Slip],
    answers: Sequence[Answer],
    progress: Progress,
    late: Callable[[PlanFile, Slip], Late | None] = lambda plan, slip: None,
) -> tuple[Slipped, ...]:
    """The answers to slips: what the re-plans cost beyond the plan, and what the plan breaks as it stands.

    A phase or an offer that the plan has nothing of may be late for nothing: the plan stays one.

    Parameters
    ----------
    answers : the study as it is, then the variants of those slips that the plan has something of
    late : what a slip costs that is known late, as `known_late`
    """
    plan = answers[0].plan
    if plan is None:
        return ()
    planned = {answer.variant.key: answer for answer in answers[1:]}
    p = problem_of(plan)
    x = purchased(p, plan)
    tested: dict[object, Shortage | None] = {}
    found = []
    for n, slip in enumerate(asked):
        if slip.ready is None:
            found.append(Slipped(slip, 0.0, 0.0, 0.0, ()))
            continue
        progress("testing the plan as it stands", n / len(asked), slip.patch.name)
        broken = tuple(_broken(plan, p, x, slip, tested))
        answer, known = planned[slip.variant.key], late(plan, slip)
        a, b = plan.proof, answer.plan.proof if answer.plan is not None else None
        if b is None:
            found.append(Slipped(slip, None, 0.0, 0.0, broken, answer.why_not, known))
        else:
            least, most = b.bound_usd - a.cost_usd, b.cost_usd - a.bound_usd
            found.append(Slipped(slip, b.cost_usd - a.cost_usd, least, most, broken, "", known))
    return tuple(found)


def _broken(
    plan: PlanFile, p: Problem, x: Decisions, slip: Slip, tested: dict[object, Shortage | None]
) -> list[Broken]:
    """What breaks in each period in which something is missing."""
    begins = {t.name: t.begins_months for t in spans(plan.study)}
    missing = [t for t in p.periods if _late_starts(p, x, slip, t, begins)]
    graph, goals = dependency_graph(plan.study), dict[str, tuple[str, ...]]()
    for tier in plan.study.tiers:
        for promise in tier.survive:
            ids = tuple(failure.id for failure in expand(promise, plan.study, graph) if failure.id in p.failures)
            goals[goal_name(tier.name, promise)] = ids
    found = []
    for t in missing:
        short = {f: _short(p, x, slip, t, f, begins, tested) for f in p.failures}
        if (normal := short[NORMAL]) is not None:
            found.append(Broken(t, NORMAL_OPERATION, (), normal.requests_per_second))
        for name, ids in goals.items():
            broken = {f: one for f in ids if (one := _of_goal(p, name, short[f])) is not None}
            if broken:
                worst = max(broken.values())
                found.append(Broken(t, name, tuple(sorted(broken)), worst if worst else None))
    return found


def _of_goal(p: Problem, goal: str, short: Shortage | None) -> float | None:
    """Requests/s of the goal's tier that are short; 0 when nothing could be said; None when nothing is."""
    if short is None or not short.rows:
        return None if short is None else 0.0
    tier = goal.partition(":")[0]
    rows = [requests for w, _, _, requests in short.rows if p.tier_of[w] == tier]
    return sum(rows) if rows else None


def _short(
    p: Problem,
    x: Decisions,
    slip: Slip,
    t: str,
    f: str,
    begins: Mapping[str, float],
    tested: dict[object, Shortage | None],
) -> Shortage | None:
    """What a failure is short of in the worst hour of a period, with what is bought less what is late."""
    worst = None
    for h in (h for h in p.hours if p.period_of[h] == t):
        there = _there(p, x, slip, h, f, begins)
        key = (h, f, tuple(sorted(there.items())))
        if key not in tested:
            tested[key] = shortage(_in_one_hour(p, h, f, there), f)
        one = tested[key]
        if one is not None and (worst is None or one.requests_per_second > worst.requests_per_second):
            worst = one
    return worst


def _there(p: Problem, x: Decisions, slip: Slip, h: str, f: str, begins: Mapping[str, float]) -> dict[str, float]:
    """q -> machines held and bought, that count in a failure, less those that are late or have no power yet."""
    there = {q: float(machines_held_or_bought(p, x, q, h, f)) for q in p.pools}
    b, late = slip.subject, _late_starts(p, x, slip, p.period_of[h], begins)
    if slip.clock == DELIVERY:
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


def _late_starts(p: Problem, x: Decisions, slip: Slip, t: str, begins: Mapping[str, float]) -> list[str]:
    """The periods in which something started that should be there in a period, and is not: it comes months later."""
    b = slip.subject
    if b in p.hourly:
        rented = [u for u in p.periods if any(x.rented[b, h] for h in p.hours if p.period_of[h] == u)]
        starts = rented[:1] if t in rented else []
    else:
        starts = [u for u in p.starts.get((b, t), ()) if x.started[b, u]]
    return [u for u in starts if begins[t] < begins[u] + slip.months - ALMOST]


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


# ------------------------------------------------------------------ known late
def known_late(plan: PlanFile, slip: Slip, known_on: date | None, effort: Effort, progress: Progress) -> Late | None:
    """What a slip costs when it is known only from a day on; None where nothing of it comes within the horizon.

    What had to be ordered before that day (for a phase: its longest part) is as in the plan, and nothing beside it. The
    late phase is built and paid all the same, and the machines for its site wait with it; all else may be chosen anew.

    Parameters
    ----------
    known_on : None: the day on which it should have been there
    """
    if slip.ready is None or slip.until is None:
        return None
    periods = {t.name: t for t in spans(plan.study)}
    ready, until = periods[slip.ready], periods[slip.until]
    day = known_on or ready.first_day
    study = _comes_late(plan, slip, until)
    p = build(study, plan.demand_case)
    x = purchased(p, plan)
    lead = {b.id: timedelta(days=b.lead_days) for b in study.offers}
    lead |= {m.id: timedelta(days=round(m.clocks_months.longest * DAYS_PER_MONTH)) for m in study.build_outs}
    waiting = {b for b in (*p.offers, *p.build_outs) if _waits(p, plan.study, b, slip)}
    ordered: dict[tuple[str, str], tuple[float, float]] = {}
    for b in (*p.offers, *p.build_outs):
        bought: Mapping[Any, Any] = x.rented if b in p.hourly else x.started
        for when in p.hours if b in p.hourly else p.periods:
            t = periods[p.period_of.get(when, when)]
            free = b in waiting and t.begins_months >= ready.begins_months
            if t.first_day - lead[b] < day and not free and (b in p.hourly or p.may_start(b, t.name)):
                ordered[b, when] = (float(bought[b, when]), float(bought[b, when]))
    if slip.clock == DELIVERY and slip.subject not in p.hourly:
        ordered[slip.subject, slip.until] = (float(x.started[slip.subject, slip.ready]), float("inf"))
    try:
        found = solve(replace(p, ordered=ordered), effort, None, progress, plan.proof.failures_entered)
    except (NoPlan, SolverError):
        return Late(day, None, 0.0, 0.0)
    a = plan.proof
    return Late(day, found.cost_usd - a.cost_usd, found.bound_usd - a.cost_usd, found.cost_usd - a.bound_usd)


def _comes_late(plan: PlanFile, slip: Slip, until: Span) -> Study:
    """The study in which the late phase must be built, from the period on in which it is there; or so for an offer."""
    study = plan.study
    if slip.clock == DELIVERY:
        late = {"starts_from": until.first_day}
        offers = tuple(b.model_copy(update=late) if b.id == slip.subject else b for b in study.offers)
        return study.model_copy(update={"offers": offers})
    units = sum(row.units for row in plan.builds if row.build_out == slip.subject)
    there = tuple(t.name for t in spans(study) if t.begins_months >= until.begins_months)
    phases = tuple(
        m.model_copy(update={"ready_in": there, "least": units}) if m.id == slip.subject else m
        for m in study.build_outs
    )
    return study.model_copy(update={"build_outs": phases})


def _waits(p: Problem, study: Study, b: str, slip: Slip) -> bool:
    """Whether something waits with what is late: itself, and all that is bought for the site of a late phase."""
    if b == slip.subject:
        return True
    site = p.site_of[p.pool_of[b]] if b in p.pool_of else next(m.site for m in study.build_outs if m.id == b)
    return slip.clock != DELIVERY and site == slip.site
