"""Cost of delay: what it costs that something comes late, known now or known late, and what breaks until it is there.

*Known now*: the study with the longer lead time is planned again, and everything may be chosen anew: the least that it
can cost. *Known late*: what was ordered by then stays as it is. *As the plan stands*: nothing else is bought, and each
survival goal is put to the test in each period until the late machines are there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from planner.plan.explain import Shortage, shortage
from planner.plan.in_hand import Plan, in_hand
from planner.problem.arrays import things_of
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.problem.rules.formulas import limit_capacity, limit_used, machines_held_or_bought
from planner.problem.rules.index_sets import as_vectors
from planner.questions.answer import Answer
from planner.questions.bridge import purchased
from planner.questions.delay import DELIVERY, Delay, later_phases
from planner.questions.diff import goal_name
from planner.questions.planned import solution_or_why_not
from planner.solve.search import Effort, Progress
from planner.study.calendar import ALMOST, Span, spans
from planner.study.dependencies import NORMAL, expand
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
    least_usd, most_usd : between these lies what the best possible plans differ by
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
        """Value of a month: cost of delay / months without it within the horizon [USD/month]."""
        if self.delay_usd is None or not self.delay.months_without:
            return None
        return self.delay_usd / self.delay.months_without


def costs_of_delays(
    delays: Sequence[Delay],
    answers: Sequence[Answer],
    progress: Progress,
    when_known_late: Callable[[PlanFile, Delay], KnownLate | None] = lambda plan, delay: None,
) -> tuple[DelayCost, ...]:
    """What delays cost: what the re-plans cost beyond the plan, and what the plan breaks as it stands.

    A phase or an offer that the plan has nothing of may be late for nothing: the plan stays one.

    Parameters
    ----------
    answers : the study as it is, then the variants of those delays that the plan has something of
    when_known_late : what a delay costs that is known late, as `known_late`
    """
    if answers[0].plan is None:
        return ()
    plan = in_hand(answers[0].plan)
    replanned = {answer.variant.key: answer for answer in answers[1:]}
    meanwhile = _Meanwhile(plan)
    costs = []
    for n, delay in enumerate(delays):
        if delay.ready is None:
            costs.append(DelayCost(delay, 0.0, 0.0, 0.0, ()))
            continue
        progress("testing the plan as it stands", n / len(delays), delay.patch.name)
        broken = tuple(meanwhile.broken_while_late(delay))
        late = when_known_late(plan.file, delay)
        costs.append(_cost(plan.file, delay, replanned[delay.variant.key], broken, late))
    return tuple(costs)


def _cost(
    plan: PlanFile, delay: Delay, answer: Answer, broken: tuple[BrokenWhileLate, ...], late: KnownLate | None
) -> DelayCost:
    if answer.plan is None:
        return DelayCost(delay, None, 0.0, 0.0, broken, answer.why_not, late)
    before, after = plan.proof, answer.plan.proof
    delay_usd = after.cost_usd - before.cost_usd
    if late is not None and late.usd is not None:
        # what is known late could be done as well by who knows now: where the search found it cheaper, it counts
        delay_usd = min(delay_usd, late.usd)
    least_usd = min(after.bound_usd - before.cost_usd, delay_usd)
    most_usd = before.cost_usd + delay_usd - before.bound_usd
    return DelayCost(delay, delay_usd, least_usd, most_usd, broken, "", late)


# ------------------------------------------------------------------ known late
def known_late(
    plan: PlanFile | Plan, delay: Delay, known_on: date | None, effort: Effort, progress: Progress
) -> KnownLate | None:
    """What a delay costs when it is known only from a day on; None where nothing of it comes within the horizon.

    What had to be ordered before that day (for a phase: its longest part) is as in the plan, and nothing beside it. The
    late phase is built and paid all the same, and the machines for its site wait with it; all else may be chosen anew.

    Parameters
    ----------
    known_on : None: the day on which it should have been there
    """
    file = in_hand(plan).file
    if delay.ready is None or delay.until is None:
        return None
    periods = {t.name: t for t in spans(file.study)}
    ready = periods[delay.ready]
    day = known_on or ready.first_day
    p = build(_comes_late(file, delay, periods[delay.until]), file.demand_case)
    ordered = _ordered_before(p, file, delay, ready, day)
    hints = file.proof.binding_failures
    changed, why_not_known = solution_or_why_not(replace(p, ordered=ordered), effort, progress, hints)
    if changed is None:
        return KnownLate(day, None, 0.0, 0.0, why_not_known)
    a = file.proof
    return KnownLate(day, changed.cost_usd - a.cost_usd, changed.bound_usd - a.cost_usd, changed.cost_usd - a.bound_usd)


def _comes_late(plan: PlanFile, delay: Delay, until: Span) -> Study:
    """The study in which the late phase must be built, from the period on in which it is there; or so for an offer."""
    study = plan.study
    if delay.lead_time == DELIVERY:
        late = {"starts_from": until.first_day}
        offers = tuple(b.model_copy(update=late) if b.id == delay.subject else b for b in study.offers)
        return study.model_copy(update={"offers": offers})
    units = sum(row.units for row in plan.builds if row.build_out == delay.subject)
    ready_in = tuple(t.name for t in spans(study) if t.begins_months >= until.begins_months)
    others = later_phases(study, delay.subject, delay.lead_time, delay.months)
    phases = []
    for m in study.build_outs:
        if m.id == delay.subject:
            phases.append(m.model_copy(update={"ready_in": ready_in, "least": units}))
        else:
            phases.append(others.get(m.id, m))
    return study.model_copy(update={"build_outs": tuple(phases)})


def _ordered_before(
    p: Problem, plan: PlanFile, delay: Delay, ready: Span, day: date
) -> dict[tuple[str, str], tuple[float, float]]:
    """(offer or phase, period or hour) -> least and most units, where they had to be ordered before a day."""
    study = plan.study
    x = purchased(p, plan)
    periods = {t.name: t for t in spans(study)}
    lead = {b.id: timedelta(days=b.lead_days) for b in study.offers}
    longest = {m.id: m.lead_months.longest for m in study.build_outs}
    ordered: dict[tuple[str, str], tuple[float, float]] = {}
    for b in (*p.offers, *p.build_outs):
        bought: Mapping[Any, Any] = x.rented if b in p.hourly else x.started
        waits = _waits(p, study, b, delay)
        for when in p.hours if b in p.hourly else p.periods:
            t = periods[p.period_of.get(when, when)]
            is_free = waits and t.begins_months >= ready.begins_months
            order_by = after_months(t.first_day, -longest[b]) if b in longest else t.first_day - lead[b]
            if order_by < day and not is_free and (b in p.hourly or p.may_start(b, t.name)):
                ordered[b, when] = (float(bought[b, when]), float(bought[b, when]))
    if delay.lead_time == DELIVERY and delay.subject not in p.hourly:
        assert delay.until is not None, "known_late has looked"
        ordered[delay.subject, delay.until] = (float(x.started[delay.subject, delay.ready]), float("inf"))
    return ordered


def _waits(p: Problem, study: Study, b: str, delay: Delay) -> bool:
    """Whether something waits with what is late: itself, and all that is bought for the site of a late phase."""
    if b == delay.subject:
        return True
    site = p.site_of[p.pool_of[b]] if b in p.pool_of else next(m.site for m in study.build_outs if m.id == b)
    return delay.lead_time != DELIVERY and site == delay.site


# ------------------------------------------------------------------ what breaks until it is there
class _Meanwhile:
    """A plan as it stands, tested in each period in which something is missing.

    tested : answers of tests that were made already, by hour, failure and machines
    """

    def __init__(self, plan: Plan) -> None:
        self.p, self.x = plan.problem, purchased(plan.problem, plan.file)
        self.vectors = as_vectors(self.p, self.x)
        self.begins = {t.name: t.begins_months for t in spans(plan.study)}
        self.tested: dict[object, Shortage | None] = {}
        self.goals: dict[tuple[str, str], tuple[str, ...]] = {}
        for tier in plan.study.tiers:
            for goal in tier.survive:
                ids = (failure.id for failure in expand(goal, plan.study, plan.graph))
                self.goals[tier.name, goal_name(tier.name, goal)] = tuple(f for f in ids if f in self.p.failures)

    def broken_while_late(self, delay: Delay) -> list[BrokenWhileLate]:
        """What breaks in each period in which something is missing, in the order of the periods and goals."""
        rows = []
        for t in (t for t in self.p.periods if self._late_starts(delay, t)):
            short = {f: self._short(delay, t, f) for f in self.p.failures}
            if (normal := short[NORMAL]) is not None:
                rows.append(BrokenWhileLate(t, NORMAL_OPERATION, (), normal.requests_per_second))
            for (tier, goal), ids in self.goals.items():
                of_tier = {f: _short_of_tier(self.p, tier, short[f]) for f in ids}
                broken = {f: requests for f, requests in of_tier.items() if requests is not None}
                if broken:
                    rows.append(BrokenWhileLate(t, goal, tuple(sorted(broken)), max(broken.values()) or None))
        return rows

    def _late_starts(self, delay: Delay, t: str) -> list[str]:
        """The periods in which what should be there in a period was to start, and is not: it comes months later."""
        p, x, b = self.p, self.x, delay.subject
        if b in p.hourly:
            rented = [u for u in p.periods if any(x.rented[b, h] for h in p.hours if p.period_of[h] == u)]
            begun = rented[:1] if t in rented else []
        else:
            begun = [u for u in p.vintages.get((b, t), ()) if x.started[b, u]]
        return [u for u in begun if self.begins[t] < self.begins[u] + delay.months - ALMOST]

    def _short(self, delay: Delay, t: str, f: str) -> Shortage | None:
        """What a failure is short of in the worst hour of a period, with what is bought less what is late."""
        worst = None
        for h in (h for h in self.p.hours if self.p.period_of[h] == t):
            machines = self._machines(delay, h, f)
            key = (h, f, tuple(sorted(machines.items())))
            if key not in self.tested:
                self.tested[key] = shortage(_in_one_hour(self.p, h, f, machines), f)
            short = self.tested[key]
            if short is not None and (worst is None or short.requests_per_second > worst.requests_per_second):
                worst = short
        return worst

    def _machines(self, delay: Delay, h: str, f: str) -> dict[str, float]:
        """q -> machines held and bought, that count in a failure, less those that are late or have no power yet."""
        p, x, b, a = self.p, self.x, delay.subject, things_of(self.p)
        machines = dict(zip(p.pools, machines_held_or_bought(a, self.vectors, h, f).tolist(), strict=True))
        late = sum(float(x.started[b, u]) for u in self._late_starts(delay, p.period_of[h]))
        if delay.lead_time == DELIVERY:
            units = float(x.rented[b, h]) if b in p.hourly else late
            machines[p.pool_of[b]] -= p.machines_per_unit[b] * p.counted[f].get(b, 1.0) * units
            return machines
        capacity, used_of = limit_capacity(a, self.vectors, h), limit_used(a, self.vectors, h)
        for index, limit in enumerate(p.limits):
            if b in limit.modules:
                kw, used = float(capacity[index]) - limit.modules[b] * late, float(used_of[index])
                share = min(1.0, max(0.0, kw) / used) if used > 0 else 1.0
                for q, power in limit.units_per_machine.items():
                    if power:
                        machines[q] *= share
        return machines


def _short_of_tier(p: Problem, tier: str, short: Shortage | None) -> float | None:
    """Requests/s of a tier that are short; 0 when nothing could be said; None when nothing is."""
    if short is None or not short.rows:
        return None if short is None else 0.0
    rows = [requests for w, _, _, requests in short.rows if p.tier_of[w] == tier]
    return sum(rows) if rows else None


def _in_one_hour(p: Problem, h: str, f: str, machines: Mapping[str, float]) -> Problem:
    """The problem of one hour with these machines, in which nothing can be bought.

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
        held_machines={(q, t): n for q, n in machines.items()},
        vintages={},
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
        rescaled=frozenset(),
        deferrable=frozenset(),
        serve_fraction={w: 0.0 if apart or w in p.deferrable else fraction for w, fraction in p.serve_fraction.items()},
    )
