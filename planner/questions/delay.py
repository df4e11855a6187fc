"""What may come late: a lead time of a phase that is built, or the delivery of an offer.

What was decided holds: a phase with a date (`ready_in`) gets a later one, and one that must be built (`least`) still
must, as long as it can stand within the horizon. What comes after it moves with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from graphlib import TopologicalSorter

from planner.errors import Finding, InputError
from planner.questions.patches import Change, Patch
from planner.questions.variants import Variant
from planner.study.calendar import ALMOST, Span, hours_of, may_be_ready, spans
from planner.study.places import matches
from planner.study.records.buildout import BuildOut
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.units import after_months

LEAD_TIMES = ("shell", "power", "equipment", "commissioning")
DELIVERY = "delivery"


@dataclass(frozen=True)
class Delay:
    """Something that comes late.

    Parameters
    ----------
    subject : id of a phase or an offer
    lead_time : shell, power, equipment, commissioning; delivery of an offer
    ready : period from which the plan uses it; None: the plan has none of it
    until : first period from which it is there, when what was ordered in time comes so many months late; None: not
        within the horizon
    months_without : from `ready` until it is there, or to the end of the horizon: plans count whole periods
    """

    subject: str
    site: str
    lead_time: str
    months: float
    ready: str | None
    until: str | None
    months_without: float
    patch: Patch

    @property
    def variant(self) -> Variant:
        """The study with the longer lead time."""
        return Variant((self.patch,))


def delays_of(
    plan: PlanFile,
    what: Sequence[str] = ("*",),
    lead_times: Sequence[str] = ("power",),
    periods: Sequence[int] = (1, 2),
    months: Sequence[float] = (),
) -> tuple[Delay, ...]:
    """What of a plan's phases and offers may come late.

    Parameters
    ----------
    what : ids or patterns of phases, or of offers; `*` alone: every phase, or every offer that the plan buys ahead
        where there is no phase
    lead_times : of phases
    periods : late by so many periods, counted from the one in which the plan has it
    months : late by so many months, instead

    Raises
    ------
    InputError
        when a pattern or a lead time leads nowhere, or a delay is none
    """
    study = plan.study
    _check(study, what, lead_times, months or periods)
    delays = []
    for m in study.build_outs:
        if matches(m.id, what):
            first = _first(plan, m.id)
            earliest = next((t for t in spans(study) if may_be_ready(study.today, m, t)), spans(study)[0])
            for lead_time in lead_times:
                for late in months or [_length(study, first or earliest, n) for n in periods]:
                    sets = _later(study, m, lead_time, late)
                    delays.append(_delay(study, m.id, m.site, lead_time, late, first, sets))
    bought = {row.offer for row in plan.purchases}
    for b in study.offers:
        ahead = not study.build_outs and b.id in bought and b.lead_days > 0
        if matches(b.id, what if ahead else [pattern for pattern in what if pattern != "*"]):
            first = _first(plan, b.id)
            for late in months or [_length(study, first or spans(study)[0], n) for n in periods]:
                delivered = after_months(study.today + timedelta(days=b.lead_days), late)
                sets = {f"offers[{b.id}].lead_days": float((delivered - study.today).days)}
                delays.append(_delay(study, b.id, b.site, DELIVERY, late, first, sets))
    return tuple(delays)


def _check(study: Study, what: Sequence[str], lead_times: Sequence[str], delays: Sequence[float]) -> None:
    ids = [*(m.id for m in study.build_outs), *(b.id for b in study.offers)]
    findings = []
    for pattern in what:
        if not any(matches(id, [pattern]) for id in ids):
            expected = "the id of a phase or an offer, or a pattern of them"
            findings.append(Finding("--what", expected, pattern, "see `planner check --all`"))
    for lead_time in lead_times:
        if lead_time not in LEAD_TIMES:
            expected = f"one of {', '.join(LEAD_TIMES)}"
            findings.append(Finding("--lead-time", expected, lead_time, "name a lead time of the phases"))
    for late in delays:
        if late <= 0:
            option = "--months" if isinstance(late, float) else "--periods"
            findings.append(Finding(option, "a delay above 0", f"{late:g}", "write 1,2"))
    if findings:
        raise InputError(findings)


def _first(plan: PlanFile, subject: str) -> Span | None:
    """The first period in which a plan has a phase or an offer."""
    (period_of, _), _ = hours_of(plan.study)
    whens = {period_of.get(row.when, row.when) for row in plan.purchases if row.offer == subject}
    whens |= {row.when for row in plan.builds if row.build_out == subject}
    return next((t for t in spans(plan.study) if t.name in whens), None)


def _length(study: Study, start: Span, periods: int) -> float:
    """Months of so many periods from one on; beyond the horizon they are as long as the last."""
    following = [t.months for t in spans(study) if t.begins_months >= start.begins_months]
    return sum(following[:periods]) + following[-1] * max(0, periods - len(following))


def later_phases(study: Study, late: str, lead_time: str, months: float) -> dict[str, BuildOut]:
    """The phases that change when a lead time of one is months longer: its own date, and of what comes after it."""
    by_id = study.build_out_by_id
    lead_times = by_id[late].lead_months
    longer = lead_times.model_copy(update={lead_time: getattr(lead_times, lead_time) + months})
    changed: dict[str, BuildOut] = {}
    earliest: dict[str, float] = {}
    for id in TopologicalSorter({m.id: m.after for m in study.build_outs}).static_order():
        before = [earliest[other] for other in by_id[id].after if other in earliest]
        if id != late and not before:
            continue
        m = by_id[id].model_copy(update={"lead_months": longer}) if id == late else by_id[id]
        begins = _may_stand(study, m, before)
        if m.ready_in and (id == late or not begins):
            moved = _moved(study, m.ready_in, months)
            m = m.model_copy(update={"ready_in": moved} if moved else {"never": True})
            begins = _may_stand(study, m, before)
        if not begins and m.least:
            m = m.model_copy(update={"least": 0, "never": True})
        earliest[id] = min(begins, default=float("inf"))
        if m != by_id[id]:
            changed[id] = m
    return changed


def _later(study: Study, phase: BuildOut, lead_time: str, months: float) -> dict[str, object]:
    """What changes in a study when a lead time of a phase takes months longer: path -> value."""
    value = getattr(phase.lead_months, lead_time) + months
    sets: dict[str, object] = {f"build_outs[{phase.id}].lead_months.{lead_time}": value}
    for id, m in later_phases(study, phase.id, lead_time, months).items():
        for field in ("ready_in", "least", "never"):
            if (after := getattr(m, field)) != getattr(study.build_out_by_id[id], field):
                sets[f"build_outs[{id}].{field}"] = list(after) if field == "ready_in" else after
    return sets


def _may_stand(study: Study, m: BuildOut, earliest: Sequence[float]) -> list[float]:
    """Months at which a phase may be ready that stands no earlier than those before it."""
    ready = [t.begins_months for t in spans(study) if may_be_ready(study.today, m, t)]
    return [at for at in ready if all(at >= before - ALMOST for before in earliest)]


def _moved(study: Study, names: Sequence[str], months: float) -> tuple[str, ...]:
    """For each period the first that begins so many months later; none for one that moves past the horizon."""
    begins = {t.name: t.begins_months for t in spans(study)}
    moved = [next((t for t in begins if begins[t] >= begins[name] + months - ALMOST), None) for name in names]
    return tuple(dict.fromkeys(name for name in moved if name is not None))


def _delay(
    study: Study, subject: str, site: str, lead_time: str, months: float, first: Span | None, sets: Mapping[str, object]
) -> Delay:
    name = f"{subject} {lead_time} +{months:g} months"
    patch = Patch(name, "", tuple(Change(path, "set", value, f"delay of {subject}") for path, value in sets.items()))
    if first is None:
        return Delay(subject, site, lead_time, months, None, None, 0.0, patch)
    late = (t for t in spans(study) if t.begins_months >= first.begins_months + months - ALMOST)
    until = next(late, None)
    ends = until.begins_months if until is not None else study.horizon.months
    until_name = until.name if until is not None else None
    return Delay(subject, site, lead_time, months, first.name, until_name, ends - first.begins_months, patch)
