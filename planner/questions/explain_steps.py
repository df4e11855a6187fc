"""What of a study can be moved by a step in the unit in which people decide on it: limits, latency, goals, demand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from planner.plan.in_hand import Plan
from planner.plan.plan import more_of
from planner.questions.explain_bound import binding_of, has_duals
from planner.solve.search import Search
from planner.study.dependencies import NORMAL, expand, stages_of
from planner.study.records.study import Goal, Study, Tier

Kind = Literal[
    "limit",
    "offer",
    "request limit",
    "storage",
    "build-out",
    "capital",
    "share",
    "latency",
    "goal",
    "demand",
    "utilisation",
]
LATENCY_STEP_MS = 10.0
POINT = 0.01
"""A point of a share, and a percent of demand."""
STORAGE_STEP_GIB_PER_SECOND = 1.0
REQUESTS_STEP = 100.0
CAPITAL_STEP_USD = 1e6
FIRST_LIMITS = 5
"""Limits that are asked about before anything else: those of the largest duals come first."""
MOST_WORKLOADS = 4
"""Workloads whose demand is asked about by itself, those that ask for most."""
Moved = Callable[[float], Study | None]
"""The study with so many units more headroom, below zero less; None: there is no such study."""


@dataclass(frozen=True)
class Step:
    """Something that may be moved.

    Parameters
    ----------
    kind : what it is
    what : its name, as people say it
    unit : of `size`
    size : so much headroom more is asked about: a larger limit, a longer round trip, less demand, a lower goal
    means : the step in words, as it is read in a table
    moved : see `Moved`
    """

    kind: Kind
    what: str
    unit: str
    size: float
    means: str
    moved: Moved


def steps_of(plan: Plan, search: Search) -> list[Step]:
    """What is asked about, in this order: the first limits that bind, latency, demand, goals, utilisation, the others.

    Limits that do not bind in the linear program of the bound are left out, as more of them saves nothing; where its
    duals are not known all of them are asked about.
    """
    study = plan.study
    limits = [
        *_limits(plan),
        *_components(study, search),
        *_shares(study, search),
        *_build_outs(study, search),
        *_capital(study, search),
        *_storage(study, search),
    ]
    others = [*_latency(study), _all_demand(study), *_goals(plan), *_utilisation(study), *_demand(study)]
    return [*limits[:FIRST_LIMITS], *others, *limits[FIRST_LIMITS:]]


def _is_binding(search: Search, rule: str) -> Callable[[str], bool]:
    """Whether a row of a rule binds, by the first id of its key."""
    if not has_duals(search):
        return lambda name: True
    return binding_of(search, rule).__contains__


def _limits(plan: Plan) -> Iterator[Step]:
    for row in plan.file.bottlenecks:
        is_offer = row.unit == "units"
        size = row.step or 1.0
        machine = "" if is_offer or row.step is None or row.unit == "machines" else ", a machine's worth"
        yield Step(
            "offer" if is_offer else "limit",
            row.limit,
            row.unit,
            size,
            f"{size:g} {'unit' if is_offer and size == 1 else row.unit} more{machine}",
            partial(_more_of, plan.study, row.limit),
        )


def _more_of(study: Study, name: str, more: float) -> Study | None:
    """More of a limit by its name; None where there is not so much to take away."""
    if more < 0 and any(quota.name == name and quota.most + more < 0 for quota in study.policies.quotas):
        return None
    if more < 0 and any(f"most_units of {b.id}" == name and (b.most_units or 0.0) + more < 0 for b in study.offers):
        return None
    moved = more_of(study, name, more)
    if any(site.power_kw is not None and site.power_kw < 0 for site in moved.sites):
        return None
    return None if any((b.most_machines_in_all or 1.0) <= 0 for b in moved.offers) else moved


def _components(study: Study, search: Search) -> Iterator[Step]:
    is_binding = _is_binding(search, "components_pass_what_they_can")
    for n, component in enumerate(study.components):
        if component.most_requests_per_second is not None and is_binding(component.id):

            def moved(more: float, n: int = n, most: float = component.most_requests_per_second) -> Study | None:
                if most + more <= 0:
                    return None
                return _with_item(study, "components", n, {"most_requests_per_second": most + more})

            size, what = REQUESTS_STEP, f"requests through {component.id}"
            yield Step("request limit", what, "requests/s", size, f"{size:g} requests/s more", moved)


def _storage(study: Study, search: Search) -> Iterator[Step]:
    is_binding = _is_binding(search, "storage_can_load_that_fast")
    for n, site in enumerate(study.sites):
        if site.load_gib_per_second is not None and is_binding(site.id):

            def moved(more: float, n: int = n, rate: float = site.load_gib_per_second) -> Study | None:
                return _with_item(study, "sites", n, {"load_gib_per_second": rate + more}) if rate + more > 0 else None

            size = STORAGE_STEP_GIB_PER_SECOND
            yield Step("storage", f"storage of {site.id}", "GiB/s", size, f"{size:g} GiB/s more", moved)


def _build_outs(study: Study, search: Search) -> Iterator[Step]:
    is_binding = _is_binding(search, "build_outs_have_limits")
    for n, phase in enumerate(study.build_outs):
        if not phase.never and is_binding(phase.id):

            def moved(more: float, n: int = n, most: int = phase.most) -> Study | None:
                return _with_item(study, "build_outs", n, {"most": most + int(more)}) if most + more >= 1 else None

            yield Step("build-out", f"modules of {phase.id}", "modules", 1.0, "1 module more", moved)


def _capital(study: Study, search: Search) -> Iterator[Step]:
    is_binding = _is_binding(search, "capital_has_limits")
    for n, limit in enumerate(study.policies.capital_limits):
        if is_binding(limit.name):

            def moved(more: float, n: int = n, most: float = limit.most_usd) -> Study | None:
                return _with_policy(study, "capital_limits", n, {"most_usd": most + more}) if most + more >= 0 else None

            size = CAPITAL_STEP_USD
            yield Step("capital", f"capital limit {limit.name}", "USD", size, "1,000,000 USD more", moved)


def _shares(study: Study, search: Search) -> Iterator[Step]:
    is_binding = _is_binding(search, "shares_hold")
    for n, share in enumerate(study.policies.shares):
        if is_binding(share.component):

            def moved(more: float, n: int = n, most: float = share.most_fraction) -> Study | None:
                if not 0 <= most + more <= 1:
                    return None
                return _with_policy(study, "shares", n, {"most_fraction": most + more})

            yield Step("share", f"share of {share.component}", "points", 1.0, "1 point more", _per(moved, POINT))


def _latency(study: Study) -> Iterator[Step]:
    for n, tier in enumerate(study.tiers):
        if tier.round_trip_ms is None:
            continue

        def moved(more: float, n: int = n, tier: Tier = tier) -> Study | None:
            assert tier.round_trip_ms is not None
            if tier.round_trip_ms + more <= 0:
                return None
            limits = {"round_trip_ms": tier.round_trip_ms + more}
            if tier.round_trip_ms_in_failure is not None:
                limits["round_trip_ms_in_failure"] = tier.round_trip_ms_in_failure + more
            return _with_item(study, "tiers", n, limits)

        size = LATENCY_STEP_MS
        yield Step("latency", f"round trip of tier {tier.name}", "ms", size, f"{size:g} ms longer", moved)


def _goals(plan: Plan) -> Iterator[Step]:
    """Goals of which a failure binds: those that size the plan."""
    study, binding = plan.study, set(plan.file.proof.binding_failures)
    for n, tier in enumerate(study.tiers):
        for k, goal in enumerate(tier.survive):
            if goal.serve_fraction > 0 and binding & _failures_of(plan, goal):

                def moved(more: float, n: int = n, k: int = k, tier: Tier = tier, goal: Goal = goal) -> Study | None:
                    share = goal.serve_fraction - more
                    if not 0 <= share <= 1:
                        return None
                    lower = goal.model_copy(update={"serve_fraction": share})
                    survive = (*tier.survive[:k], lower, *tier.survive[k + 1 :])
                    return _with_item(study, "tiers", n, {"survive": survive})

                what = f"goal of tier {tier.name}: {_goal_text(goal)}"
                yield Step("goal", what, "points", 1.0, "1 point lower", _per(moved, POINT))


def _goal_text(goal: Goal) -> str:
    share = f"{100 * goal.serve_fraction:g} % within {goal.within_seconds:g} s"
    return f"{goal.lost_text}: {share}"


def _failures_of(plan: Plan, goal: Goal) -> set[str]:
    stages = stages_of(goal, plan.study, plan.graph) if goal.failure is not None else []
    return {failure.id for failure in (*expand(goal, plan.study, plan.graph), *stages)} - {NORMAL}


def _all_demand(study: Study) -> Step:
    return Step("demand", "all demand", "percent", 1.0, "1 % less", _per(partial(with_demand, study, None), POINT))


def _demand(study: Study) -> Iterator[Step]:
    """Demand of workloads by themselves, where there are several."""
    asked: dict[str, float] = {}
    for row in study.demand:
        asked[row.workload] = asked.get(row.workload, 0.0) + row.requests_per_second
    largest = sorted(asked, key=lambda w: (-asked[w], w)) if len(asked) > 1 else []
    for w in largest[:MOST_WORKLOADS]:
        less = _per(partial(with_demand, study, w), POINT)
        yield Step("demand", f"demand of {w}", "percent", 1.0, "1 % less", less)


def with_demand(study: Study, workload: str | None, less_fraction: float) -> Study:
    """The study with a share less of the demand of a workload, or of all; of every case."""
    names = ("requests_per_second", "low_requests_per_second", "high_requests_per_second")
    rows = []
    for row in study.demand:
        if workload in (None, row.workload):
            rates = {name: getattr(row, name) for name in names}
            less = {name: rate * (1 - less_fraction) for name, rate in rates.items() if rate is not None}
            row = row.model_copy(update=less)
        rows.append(row)
    return study.model_copy(update={"demand": tuple(rows)})


def _utilisation(study: Study) -> Iterator[Step]:
    if study.utilisation.basis != "fixed":
        return
    for name, when in (("normal", "in normal operation"), ("in_failure", "in failures")):

        def moved(more: float, name: str = name) -> Study | None:
            share = getattr(study.utilisation, name) + more
            if not 0 < share <= 1:
                return None
            return study.model_copy(update={"utilisation": study.utilisation.model_copy(update={name: share})})

        yield Step("utilisation", f"utilisation {when}", "points", 1.0, "1 point more", _per(moved, POINT))


def _per(moved: Moved, fraction: float) -> Moved:
    """A move of a share, asked for in points or percent of it."""
    return lambda more: moved(fraction * more)


def _with_item(study: Study, field: str, n: int, update: Mapping[str, object]) -> Study:
    """The study with some fields of the n-th record of a list changed."""
    items = list(getattr(study, field))
    items[n] = items[n].model_copy(update=update)
    return study.model_copy(update={field: tuple(items)})


def _with_policy(study: Study, field: str, n: int, update: Mapping[str, object]) -> Study:
    items = list(getattr(study.policies, field))
    items[n] = items[n].model_copy(update=update)
    return study.model_copy(update={"policies": study.policies.model_copy(update={field: tuple(items)})})
