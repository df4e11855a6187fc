"""What may come late: a clock of a phase that is built, or the delivery of an offer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from planner.errors import Finding, InputError
from planner.patches import Change, Patch
from planner.periods import ALMOST, Span, hours_of, may_be_ready, spans
from planner.records.plan import PlanFile
from planner.records.study import Study
from planner.units import after_months
from planner.whatif import Variant

CLOCKS = ("shell", "power", "equipment", "commissioning")
DELIVERY = "delivery"


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
    missing_months : from `ready` until it is there, or to the end of the horizon: plans count whole periods
    """

    subject: str
    site: str
    clock: str
    months: float
    ready: str | None
    until: str | None
    missing_months: float
    patch: Patch

    @property
    def variant(self) -> Variant:
        """The study with the longer clock."""
        return Variant((self.patch,))


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
            earliest = next((t for t in spans(study) if may_be_ready(study.today, m, t)), spans(study)[0])
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
                there = after_months(study.today + timedelta(days=b.lead_days), late)
                value = float((there - study.today).days)
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
    (period_of, _), _ = hours_of(plan.study)
    whens = {period_of.get(row.when, row.when) for row in plan.purchases if row.offer == subject}
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
    if first is None:
        return Slip(subject, site, clock, months, None, None, 0.0, patch)
    missing = (there.begins_months if there else study.horizon.months) - first.begins_months
    return Slip(subject, site, clock, months, first.name, there.name if there else None, missing, patch)
