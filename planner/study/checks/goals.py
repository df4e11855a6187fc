"""That survival goals and failures name what can fail, and leave time for it."""

import itertools

from planner.study.checks.components import check_component
from planner.study.loading import cached_fraction_in_failure
from planner.study.parts import BUILT_IN, Parts
from planner.study.places import Place, Reading, quoted, unquoted
from planner.study.records.inventory import MachineType, Pool, Site
from planner.study.records.serving import Model
from planner.study.records.study import Component, Goal, NamedFailure, Tier
from planner.units import MONTHS_PER_YEAR


def check_goals(parts: Parts, reading: Reading) -> None:
    """Report goals that nothing can fail by, and failures in which nothing happens."""
    _check_goals(parts, reading)
    _check_failures(parts, reading)
    _check_failover(parts, reading)


def _check_failover(parts: Parts, reading: Reading) -> None:
    """Gateways that only rescale shed what they must, not what costs least."""
    if parts.file.failover == "rescale" and parts.file.objective != "cost":
        fix = "leave out objective, or choose failover: resolve"
        reading.error(parts.place.at("objective"), "cost, with failover: rescale", parts.file.objective, fix)
    for tier, place in parts.tiers:
        if parts.file.failover == "rescale" and tier.deferrable_hours:
            fix = "leave deferrable_hours out, or choose failover: resolve: fixed weights cannot wait for the night"
            reading.error(place.at("deferrable_hours"), "0, with failover: rescale", f"{tier.deferrable_hours:g}", fix)


def _check_goals(parts: Parts, reading: Reading) -> None:
    """Survival goals name what can fail, and leave time to detect it."""
    failures = {failure.name for failure, _ in parts.failures}
    kinds, names = parts.component_kinds, parts.component_names
    moved = parts.file.moved_seconds
    counted = "detection_seconds" if moved == parts.file.detection_seconds else "detection_seconds and push_seconds"
    for tier, place in parts.tiers:
        for goal, at in place.rows(tier.survive, "survive"):
            if goal.serve_fraction > 0 and goal.within_seconds <= moved:
                expected = f"more than {moved:g} s, the study's {counted}"
                fix = "no traffic is moved before a failure is detected: allow more time, or detect it sooner"
                if counted != "detection_seconds":
                    fix = "no traffic is moved before new weights are in force: allow more time, or push faster"
                reading.error(at.at("within_seconds"), expected, f"{goal.within_seconds:g}", fix)
            if goal.any is None and (goal.of != 1 or goal.except_):
                fix = "leave it out: one failure is meant"
                field, got = ("of", str(goal.of)) if goal.of != 1 else ("except", ", ".join(goal.except_))
                reading.error(at.at(field), "`of` and `except` with `any`, and with nothing else", quoted(got), fix)
            if goal.failure is not None:
                what = "a failure named in the study"
                reading.refer(at.at("failure"), NamedFailure, what, goal.failure, failures)
            elif goal.any in kinds:
                _check_goal(goal, at, names.get(goal.any, set()), reading)
            elif not reading.any_broken(Component):
                reading.refer(at.at("any"), Component, "a kind of component", goal.any or "", kinds)
            for id in goal.in_maintenance:
                check_component(id, parts, at.at("in_maintenance", id), reading)


def _check_goal(goal: Goal, at: Place, names: set[str], reading: Reading) -> None:
    """A goal by kind: what it leaves out exists, and something is left."""
    if goal.any == "zone" and not names and not reading.any_broken(Pool, Site):
        fix = "add `zones: [REGION, ...]` for regions whose zones are listed, or sites that are zones; else any: region"
        reading.error(at.at("any"), "a zone in the study", "none: every site is a region", fix)
        return
    if goal.any in BUILT_IN and (reading.any_broken(Pool, Site, MachineType, Model) or not names):
        return  # reported where the cause is
    if goal.any not in BUILT_IN and reading.any_broken(Component):
        return
    excluded = {name.removeprefix(f"{goal.any}:") for name in goal.except_}
    for j, name in enumerate(goal.except_):
        what = f"the name of a {unquoted(goal.any)}"
        reading.refer(at.at("except", j), Component, what, name.removeprefix(f"{goal.any}:"), names)
    if len(names - excluded) < goal.of:
        got = f"{len(names - excluded)} of kind {quoted(goal.any)}"
        expected = f"at least {goal.of} that can be lost together"
        reading.error(at.at("of"), expected, got, "lower `of`, or remove the goal")


def _check_repaired(f: NamedFailure, place: Place, reading: Reading) -> None:
    """Times at which parts work again differ enough to be told apart in the names of the stages."""
    weights = [] if f.hours_to_new_weights is None else [f.hours_to_new_weights]
    times = sorted({*f.repaired.values(), *weights})
    for first, second in itertools.pairwise(times):
        if f"{first:g}" == f"{second:g}":
            got = f"{first!r} and {second!r} h"
            reading.error(place.at("repaired"), "hours that differ in 6 digits, or are the same", got, "write one time")


def _check_failures(parts: Parts, reading: Reading) -> None:
    """A named failure takes something, and somebody asks for it: a goal, or what an outage costs."""
    asked = {goal.failure for tier, _ in parts.tiers for goal in tier.survive}
    caches = [(w, cached_fraction_in_failure(parts.file.cold_starts, w)) for w, _ in parts.workloads]
    cold = any(w.cached_fraction_in_failure is not None or in_failure < w.cached_fraction for w, in_failure in caches)
    rates = [(f.failures_per_year, f.hours_to_repair) for f, _ in parts.failures]
    rates += [(c.failures_per_year, c.hours_to_repair) for c, _ in parts.components]
    hours = sum((often or 0.0) * (lasts or 0.0) for often, lasts in rates)
    year = parts.file.hours_per_month * MONTHS_PER_YEAR
    if parts.file.objective in ("expected", "cvar") and hours > year:
        fix = "correct failures_per_year and hours_to_repair: this much is no failure but normal operation"
        expected = f"failures that take less than a year, {year:,.0f} h, together"
        reading.error(parts.place.at("failures"), expected, f"{hours:,.0f} h", fix)
    for f, place in parts.failures:
        _check_repaired(f, place, reading)
        taken = any(f.lost.values()) or any(f.in_maintenance.values())
        if not (taken or f.surges or f.surge_factor != 1 or cold):
            fix = "name what is lost, and its share; as it is, nothing happens in this failure"
            reading.warning(place.at("lost"), "a component with a share above 0, or a surge", "nothing lost", fix)
        if f.name not in asked and f.failures_per_year is None and not reading.any_broken(Tier):
            fix = "name it in a goal (`failure:`), or give its rate for `planner risk`; as it is, no plan is held to it"
            reading.warning(place.at("name"), "a goal for the failure", f"none for {quoted(f.name)}", fix)
