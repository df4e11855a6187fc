"""What breaks while some purchases are missing: many sets of them asked of one plan."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from planner.drill.baseline import hours_of
from planner.drill.failover import mode_of_normal
from planner.drill.names import check_counts
from planner.drill.one_hour import CHUNK, broken_in, in_normal_operation
from planner.drill.pushes import plan_as_pushed
from planner.drill.remaining import Remaining, what_remains
from planner.drill.replay import fleets_of, prepare
from planner.drill.rescale import rescaled, routes_of, times_of_weights
from planner.drill.resolve import Programs
from planner.drill.result import DrillRow
from planner.drill.rows import tier_rows
from planner.drill.survivors import survivors_carry_all
from planner.drill.time_slices import TimeSlice
from planner.study.records.plan import PlanFile

PurchaseKey = tuple[str, str]
"""(offer, period or hour)"""


def broken_without(
    plan: PlanFile,
    sets: Sequence[Collection[PurchaseKey]],
    most_nodes: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[tuple[DrillRow, ...]]:
    """Rows that break a goal of a plan without each of some sets of its purchases, all others in time.

    Each failure is replayed as gateways fail over in it; re-solved as `drill_plan` does where it is only asked which
    goals are broken: no rows after the last deadline. Sets of which the same is missing in an hour are asked once.

    Parameters
    ----------
    most_nodes : of a search for whole replicas; 0: parts of replicas will do, so a failure with rows breaks for
        sure, and whole ones serve less in all than its rows say
    progress : called with (failures done, failures in all)

    Raises
    ------
    InputError, SolverError
        as `drill_plan`
    """
    check_counts(plan)
    plan = plan_as_pushed(plan) if plan.study.failover == "resolve" else plan
    instance, graph, failures = prepare(plan.study, plan.demand_case)
    slices, in_normal = hours_of(plan), mode_of_normal(plan.study.failover, failures)
    asked = [_missing_in(plan, one, slices, sets) for one in slices]
    done, of = 0, len(failures) * sum(len(set(of_hour)) for of_hour in asked)
    rows_of: list[list[DrillRow]] = [[] for _ in sets]
    for one, of_hour in zip(slices, asked, strict=True):
        name, programs = one.hour if len(slices) > 1 else "", Programs()
        rows: dict[frozenset[int], list[DrillRow]] = {}
        fleets = []
        for gone in dict.fromkeys(of_hour):
            in_time = tuple(row for n, row in enumerate(plan.purchases) if n not in gone)
            fleet = fleets_of(instance, failures, plan.model_copy(update={"purchases": in_time}), one, slices)
            rows[gone] = [row for row in in_normal_operation(fleet.normal, graph, in_normal) if row.broken]
            fleets.append(fleet.in_failure)
        for start in range(0, len(failures), CHUNK):
            chunk = failures[start : start + CHUNK]
            remaining = [what_remains(fleet, graph, chunk) for fleet in fleets]
            for f in range(len(chunk)):
                for alone, of_set in zip((every.one(f) for every in remaining), rows.values(), strict=True):
                    of_set += _broken_in(alone, programs, most_nodes)
                    done += 1
                    progress(done, of)
        for mine, all_rows in zip(of_hour, rows_of, strict=True):
            all_rows += [replace(row, hour=name) for row in rows[mine]]
    return [tuple(rows_of_set) for rows_of_set in rows_of]


def _missing_in(
    plan: PlanFile, one: TimeSlice, slices: Sequence[TimeSlice], sets: Sequence[Collection[PurchaseKey]]
) -> list[frozenset[int]]:
    """Of each set the numbers of the purchases that would run in an hour."""
    offers = {offer.id: offer for offer in plan.study.offers}
    runs = {}
    for n, row in enumerate(plan.purchases):
        offer = offers.get(row.offer)
        if offer is not None and one.has(offer, row, slices):
            runs[n] = (row.offer, row.when)
    return [frozenset(n for n, key in runs.items() if key in keys) for keys in sets]


def _broken_in(remaining: Remaining, programs: Programs, most_nodes: int) -> list[DrillRow]:
    """Rows that break in a failure."""
    deadlines = remaining.failures[0].deadlines
    if remaining.failures[0].mode == "rescale":
        return _broken_by_weights(remaining)
    if _fewer_carry_all(remaining, programs, deadlines[0]):
        return []
    return broken_in(remaining, programs, most_nodes)


def _broken_by_weights(remaining: Remaining) -> list[DrillRow]:
    """Rows that break in a failure in which gateways have the weights of normal operation."""
    failure, routes = remaining.failures[0], routes_of(remaining.fleet.base)
    rows = []
    for elapsed in times_of_weights(failure, remaining.instance.study.detection_seconds):
        served, served_by = rescaled(remaining, routes, elapsed)
        rows += tier_rows(remaining, elapsed, served[0], served_by[:, 0])
    return [row for row in rows if row.broken]


def _fewer_carry_all(remaining: Remaining, programs: Programs, elapsed: float) -> bool:
    """Whether the survivors for which there are machines carry everything: then nothing need start."""
    few = programs.merged(remaining) if remaining.coverable[0].any() else None
    made = None if few is None else programs.of_survivors(few)
    return few is not None and made is not None and survivors_carry_all(few.remaining, made, elapsed, fewer=True)
