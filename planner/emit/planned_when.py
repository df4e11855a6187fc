"""Of which day what a plan has is meant: files and drift take the most of any period and hour, and say so."""

from datetime import date

from planner.emit.fleet import Fleet, lots_of
from planner.study.calendar import spans
from planner.study.records.study import Study


def most_of(study: Study) -> str:
    """What planned machines and replicas are the most of; blank: there is one period with one hour."""
    periods, hours = spans(study), study.horizon.each_hour
    parts = []
    if len(periods) > 1:
        parts.append(f"its {len(periods)} periods, {periods[0].name} to {periods[-1].name}")
    if len(hours) > 1:
        parts.append(f"the {len(hours)} hours of each period" if len(periods) > 1 else f"its {len(hours)} hours")
    return f"the most of any of {', and of '.join(parts)}, as in the emitted files" if parts else ""


def outside_horizon(study: Study, on: date) -> str:
    """How a day lies outside the horizon; blank: it does not."""
    periods = spans(study)
    first, last = periods[0].first_day, periods[-1].last_day
    if first <= on <= last:
        return ""
    side = "before" if on < first else "after"
    return f"{on} is {side} the horizon of the plan, {first} to {last}: it plans nothing for that day"


def differs_on(fleet: Fleet, on: date) -> dict[str, str]:
    """Pools that have fewer machines in the period of a day than in their fullest one, and how many, in words."""
    study = fleet.plan.study
    periods = spans(study)
    if len(periods) == 1 or outside_horizon(study, on):
        return {}
    period = next(t for t in periods if t.first_day <= on <= t.last_day)
    then = dict.fromkeys(fleet.pools, 0)
    for lot in lots_of(fleet.plan, (period,)):
        then[lot.pool] += lot.machines
    return {q: f"{n} planned in {period.name}" for q, n in then.items() if n < fleet.machines(q)}
