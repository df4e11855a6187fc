"""What of a study can be relaxed, one thing at a time: where it stands, and its values, looser and looser."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from planner.problem.build import as_its_limits_say
from planner.problem.capacity import not_offered
from planner.problem.eligibility import slowest_first_token_ms
from planner.problem.problem import Limit, Problem
from planner.questions.patches import Change, Patch, json_text
from planner.questions.paths import addressed, path_of
from planner.study.latency import reaches
from planner.study.places import Loc, Reading
from planner.study.records.inventory import OfferKind, power_limit_name, sold_in_all_name
from planner.study.records.study import Study, Tier

Kind = Literal["capacity", "latency", "goal", "policy", "budget"]
KINDS: dict[Kind, str] = {
    "capacity": "more machines, quota, power or requests let through",
    "latency": "a longer round trip, or slower tokens",
    "goal": "a lower share to serve, or a later deadline",
    "policy": "a rule of the company dropped",
    "budget": "more money",
}
DOUBLINGS = 14
"""Of a step, up to which more of a limit is asked for: what is 16,384 steps away is taken for no limit."""
LATEST_SECONDS = 86_400.0
"""A deadline a day after a failure began is the latest that is asked for."""
STEP_FRACTION = 0.01
"""Of budgets, shares and request limits: what they are changed by."""
IN_ALL = "most_machines_in_all"
SOURCE = "relaxed: not qualified yet"


@dataclass(frozen=True)
class Limited:
    """A limit that can go up without an end: after n steps it is `now + step · n`.

    Parameters
    ----------
    text : what it is
    of, name : what it is called in the problem: most units of an offer or a build-out, a limit, what a component lets
        through, the budget, a limit on capital
    path : into the study
    """

    of: Literal["units", "limit", "through", "budget", "capital"]
    name: str
    text: str
    path: str
    now: float
    step: float
    unit: str
    resets: str = ""
    """path of a list that has to be empty then: increases that are no more than it"""


@dataclass(frozen=True)
class Relaxable:
    """One thing of a study that can be relaxed: to values in turn, or limits that go up together, step by step.

    Parameters
    ----------
    kind : see KINDS
    text : what it is, with what it is now
    paths : into the study, of all that changes with it
    values : for each path, tightest first
    limits : instead of these
    unit : of the first value; empty: none
    """

    kind: Kind
    text: str
    paths: tuple[str, ...] = ()
    values: tuple[tuple[Any, ...], ...] = field(default=(), hash=False)
    limits: tuple[Limited, ...] = ()
    unit: str = ""

    @property
    def most(self) -> int:
        """The number of its loosest value; of the tightest that changes anything it is 1."""
        return 2**DOUBLINGS if self.limits else len(self.values)

    def drops(self, n: int) -> bool:
        """Whether its n-th value asks for nothing: a share of a goal, or of normal operation."""
        return self.kind == "goal" and self.values[n - 1][0] == 0.0

    def said(self, n: int) -> str:
        """What it is, from what to what."""
        if self.limits:
            each = (f"{one.text} {spoken(one.now)} -> {spoken(after(one, n))} {one.unit}" for one in self.limits)
            return "; ".join(each)
        value = self.values[n - 1][0]
        dropped = " (dropped)" if self.drops(n) else ""
        return f"{self.text} -> {spoken(value)}{f' {self.unit}' if self.unit and value is not None else ''}{dropped}"


def after(limit: Limited, n: int, before: float | None = None) -> float | None:
    """A limit after n more steps, from what it is now or was before; none: a budget that goes as far as it does."""
    if limit.of == "budget" and n == 2**DOUBLINGS:
        return None
    value = float(f"{(limit.now if before is None else before) + limit.step * n:.12g}")
    return int(value) if value.is_integer() else value


def spoken(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.12g}"
    if isinstance(value, list):
        return ", ".join(part["stack"] if isinstance(part, dict) else str(part) for part in value)
    return str(value)


def written(path: str, value: Any) -> str:
    """A change as `--set` takes it."""
    return f"{path}={value if isinstance(value, str) else json_text(value)}"


def patch_of_values(relaxed: Iterable[tuple[Relaxable, int]], name: str) -> Patch:
    """The patch that relaxes several things, each to its n-th value; of a limit that two raise, both steps add up."""
    values: dict[str, Any] = {}
    for thing, n in relaxed:
        for limit in thing.limits:
            values[limit.path] = after(limit, n, values.get(limit.path))
            if limit.resets:
                values[limit.resets] = []
        for path, value in zip(thing.paths, thing.values[n - 1], strict=True) if thing.values else ():
            values[path] = _looser(values[path], value) if path in values else value
    return Patch(name, "", tuple(Change(path, "set", value, name) for path, value in values.items()))


def with_limits(p: Problem, relaxed: Iterable[tuple[Relaxable, int]]) -> Problem:
    """The problem with limits after their steps: the same as of the patched study, without reading that again."""
    most: dict[tuple[str, str], Any] = {}
    for thing, n in relaxed:
        for limit in thing.limits:
            key = (limit.of, limit.name)
            # what stands in several places of a study is one limit of the problem, and goes up once
            if not any(limit.name == one.name for one in thing.limits[: thing.limits.index(limit)]):
                most[key] = after(limit, n, most.get(key))
    units = {name: value for (of, name), value in most.items() if of == "units"}
    through = {name: value for (of, name), value in most.items() if of == "through"}
    limits = [
        replace(limit, most=most["limit", limit.name], granted={}) if ("limit", limit.name) in most else limit
        for limit in p.limits
    ]
    caps = [replace(cap, most_usd=most.get(("capital", cap.name), cap.most_usd)) for cap in p.capital_caps]
    raised = replace(
        p,
        most_units={**p.most_units, **units},
        most_requests_per_second={**p.most_requests_per_second, **through},
        limits=tuple(limits),
        capital_caps=tuple(caps),
        budget_usd=most.get(("budget", "budget"), p.budget_usd),
    )
    return as_its_limits_say(raised)


def _looser(one: Any, other: Any) -> Any:
    """Of two values of one thing the looser: the longer round trip, or all that either list names."""
    if isinstance(one, list):
        return [*one, *(item for item in other if item not in one)]
    return max(one, other)


# ------------------------------------------------------------------ what there is of each kind
def relaxables(study: Study, p: Problem) -> tuple[Relaxable, ...]:
    """All that can be relaxed in a study, in a fixed order.

    Not among them is what the study does not know, as what was left out when it was read: pools, other inventories.

    Parameters
    ----------
    p : its problem
    """
    paths = _Paths(study)
    return (
        *_pools(study, p, paths),
        *_modules(study, p, paths),
        *_let_through(study, paths),
        *_round_trips(study, paths),
        *_speeds(study, paths),
        *_goals(study, paths),
        *_policies(study, p, paths),
        *_budgets(study, paths),
    )


class _Paths:
    """Paths into a study that lead to one place each."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.known: dict[Loc, Any] = {}

    def __call__(self, *loc: int | str) -> str:
        """The path of a location: by names where these lead there and nowhere else, else by numbers."""
        path = path_of(self.study, loc, self.known)
        if [at for at, _ in addressed(self.study, path, "", Reading())] == [loc]:
            return path
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in loc).removeprefix(".")


def _pools(study: Study, p: Problem, paths: _Paths) -> Iterator[Relaxable]:
    """More machines of each pool: the stock of its cheapest offer that counts in failures, and all that limits it.

    A step is a unit of the offer.
    """
    of_limits = {limit.name: (limit, _paths_of_limit(study, p, limit, paths)) for limit in p.limits}
    number = {b.id: i for i, b in enumerate(study.offers)}
    for q in p.pools:
        counting = [b for b in p.offers_of[q] if b in number and study.offers[number[b]].kind != "spot"]
        if not counting or not p.on_pool[q]:
            continue
        cheapest = min(counting, key=lambda b: (p.price_usd_per_machine_hour[b], b))
        each, most = float(p.machines_per_unit[cheapest]), p.most_units[cheapest]
        limits = []
        if math.isfinite(most):
            at = paths("offers", number[cheapest], "most_units")
            limits.append(Limited("units", cheapest, f"stock of {cheapest}", at, most, 1.0, "units"))
        for limit, limited in of_limits.values():
            units = limit.units_per_machine.get(q, 0.0)
            if units > 0 and cheapest not in limit.uncounted:
                limits += [replace(one, step=units * each) for one in limited]
        if limits:
            yield Relaxable("capacity", f"machines of {q}", limits=tuple(limits))


def _paths_of_limit(study: Study, p: Problem, limit: Limit, paths: _Paths) -> list[Limited]:
    """Where a limit of the problem stands in the study: a quota, the power of a site, or what is sold in all."""
    for i, quota in enumerate(study.policies.quotas):
        if quota.name == limit.name:
            now = max([quota.most, *limit.granted.values()])
            resets = paths("policies", "quotas", i, "increases") if quota.increases else ""
            at = paths("policies", "quotas", i, "most")
            return [Limited("limit", limit.name, f"quota {quota.name}", at, now, 1.0, quota.unit, resets)]
    for i, site in enumerate(study.sites):
        if power_limit_name(site.id) == limit.name:
            at = paths("sites", i, "power_kw")
            return [Limited("limit", limit.name, limit.name, at, limit.most, 1.0, "kW")]
    return [
        Limited("limit", limit.name, f"{limit.name} ({b.id})", paths("offers", i, IN_ALL), limit.most, 1.0, "machines")
        for i, b in enumerate(study.offers)
        if b.most_machines_in_all is not None
        and b.pool in p.provider_of
        and sold_in_all_name(p.provider_of[b.pool], b.kind) == limit.name
    ]


def _modules(study: Study, p: Problem, paths: _Paths) -> Iterator[Relaxable]:
    """Modules of build-outs."""
    for i, phase in enumerate(study.build_outs):
        if phase.id in p.build_outs:
            at, text = paths("build_outs", i, "most"), f"modules of {phase.id}"
            limit = Limited("units", phase.id, text, at, float(phase.most), 1.0, "modules")
            yield Relaxable("capacity", limit.text, limits=(limit,))


def _let_through(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """Requests that components let through."""
    for i, component in enumerate(study.components):
        if (most := component.most_requests_per_second) is not None:
            at = paths("components", i, "most_requests_per_second")
            id, step = component.id, STEP_FRACTION * most
            limit = Limited("through", id, f"through {id}", at, most, step, "requests/s")
            yield Relaxable("capacity", limit.text, limits=(limit,))


def _round_trips(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """Longest round trips of tiers: in failures alone, and always."""
    known = sorted({math.ceil(round(reach.round_trip_ms, 6)) for reach in reaches(study).values()})
    for i, tier in enumerate(study.tiers):
        limit = tier.round_trip_ms
        if limit is None:
            continue
        failing = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        in_failure = paths("tiers", i, "round_trip_ms_in_failure")
        longer = tuple((ms,) for ms in known if ms > failing)
        if longer and tier.survive:
            text = f"round trip of {tier.name} in failures, {failing:g}"
            yield Relaxable("latency", text, (in_failure,), longer, unit="ms")
        at, text = paths("tiers", i, "round_trip_ms"), f"round trip of {tier.name}, {limit:g}"
        values = [ms for ms in known if ms > limit]
        if not values:
            continue
        if tier.round_trip_ms_in_failure is None:
            yield Relaxable("latency", text, (at,), tuple((ms,) for ms in values), unit="ms")
        else:
            pairs = tuple((ms, max(ms, failing)) for ms in values)
            yield Relaxable("latency", text, (at, in_failure), pairs, unit="ms")


def _speeds(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """Targets of tokens, up to the slowest profile of the models of their workloads."""
    by_waiting = study.utilisation.basis == "waiting"
    for i, tier in enumerate(study.tiers):
        models = {w.model for w in study.workloads if w.tier == tier.name}
        profiles = [profile for model in study.models if model.model in models for profile in model.profiles]
        first = {math.ceil(slowest_first_token_ms(profile)) for profile in profiles}
        each = {math.ceil(max(point.per_token_ms for point in profile.classes)) for profile in profiles}
        for name, said, slowest in (("first_token_ms", "first token", first), ("per_token_ms", "token", each)):
            target = getattr(tier, name)
            if target is None:
                continue
            values = [(ms,) for ms in sorted(slowest) if ms > target]
            if by_waiting and name == "first_token_ms":
                values = sorted({*values, *((math.ceil(target * 1.25**n),) for n in range(1, 13))}) + [(None,)]
            if values:
                text, at = f"{said} of {tier.name}, {target:g}", (paths("tiers", i, name),)
                yield Relaxable("latency", text, at, tuple(values), unit="ms")


def _goals(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """Shares and deadlines of goals, and what is served in normal operation."""
    deadlines = _deadlines(study)
    for i, tier in enumerate(study.tiers):
        for n, goal in enumerate(tier.survive):
            said = f"{tier.name}, {goal.lost_text}"
            at = paths("tiers", i, "survive", n, "serve_fraction")
            shares = _shares_below(goal.serve_fraction)
            yield Relaxable("goal", f"share of {said}, {goal.serve_fraction:g}", (at,), shares)
            later = tuple((seconds,) for seconds in deadlines if seconds > goal.within_seconds)
            if later:
                text = f"deadline of {said}, {goal.within_seconds:g}"
                at = paths("tiers", i, "survive", n, "within_seconds")
                yield Relaxable("goal", text, (at,), later, unit="s")
        yield _served(tier, paths("tiers", i, "serve_fraction"))


def _served(tier: Tier, path: str) -> Relaxable:
    text = f"share of {tier.name} in normal operation, {tier.serve_fraction:g}"
    return Relaxable("goal", text, (path,), _shares_below(tier.serve_fraction))


def _shares_below(fraction: float) -> tuple[tuple[float], ...]:
    """Shares below one, in steps of 1 %, down to nothing."""
    percent = range(math.ceil(round(fraction * 100, 6)) - 1, -1, -1)
    return tuple((round(n * STEP_FRACTION, 2),) for n in percent)


def _deadlines(study: Study) -> list[float]:
    """Seconds since a failure began at which replicas, or machines, may be there; a day at last."""
    moved = study.moved_seconds
    machines = {0.0, *(claim.reclaim_seconds for claim in study.claims if claim.reclaim_seconds is not None)}
    machines |= {entry.obtain_seconds for entry in study.policies.counted}
    loading = {0.0, *(profile.load_seconds for model in study.models for profile in model.profiles)}
    pushes = {0.0, study.push_seconds}
    each = {float(math.ceil(moved + at + load + push)) for at in machines for load in loading for push in pushes}
    return sorted({*each, 2 * max(each), LATEST_SECONDS})


def _policies(study: Study, p: Problem, paths: _Paths) -> Iterator[Relaxable]:
    """What workloads insist on, which offers may be bought, shares of components, headroom, fixed weights, stacks."""
    for i, workload in enumerate(study.workloads):
        for name in ("jurisdictions", "site_labels", "precisions", "features"):
            if asked := getattr(workload, name):
                text = f"{name.replace('_', ' ')} of {workload.name}, {', '.join(asked)}"
                yield Relaxable("policy", text, (paths("workloads", i, name),), (([],),))
    refused = [b for b in study.offers if b.kind not in study.policies.offers]
    for kind in sorted({b.kind for b in refused} & {*get_args(OfferKind)}):
        text, at = f"offers of kind {kind}, not bought", paths("policies", "offers")
        yield Relaxable("policy", text, (at,), (([*study.policies.offers, kind],),))
    with_terms = _with_terms(study)
    if any(not_offered(with_terms, b) is None for b in study.offers if b.id in p.not_offered):
        text, at = "terms beyond the horizon, no", paths("policies", "terms_beyond_horizon")
        yield Relaxable("policy", text, (at,), ((True,),))
    for i, share in enumerate(study.policies.shares):
        text, at = (
            f"share of {share.component}, {share.most_fraction:g}",
            paths("policies", "shares", i, "most_fraction"),
        )
        yield Relaxable("policy", text, (at,), _shares_above(share.most_fraction))
    for name, said in (("normal", "in normal operation"), ("in_failure", "in failures")):
        if (filled := getattr(study.utilisation, name)) < 1:
            text, at = f"utilisation {said}, {filled:g}", paths("utilisation", name)
            yield Relaxable("policy", text, (at,), _shares_above(filled))
    for i, pool in enumerate(study.pools):
        if pool.spare_machines > 0:
            text, at = f"spare machines of {pool.id}, {pool.spare_machines:g}", paths("pools", i, "spare_machines")
            yield Relaxable("policy", text, (at,), ((0,),))
    if study.failover == "rescale":
        yield Relaxable("policy", "failover, rescale", (paths("failover"),), (("resolve",),))
    yield from _qualifications(study, paths)


def _with_terms(study: Study) -> Study:
    policies = study.policies.model_copy(update={"terms_beyond_horizon": True})
    return study.model_copy(update={"policies": policies})


def _shares_above(fraction: float) -> tuple[tuple[float], ...]:
    """Shares above one, in steps of 1 %, up to all."""
    return tuple((round(n * STEP_FRACTION, 2),) for n in range(math.floor(round(fraction * 100, 6)) + 1, 101))


def _qualifications(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """Stacks that a model has a profile for, on machines of the study, but may not be served on."""
    machines = {pool.machine_type for pool in study.pools}
    used = {w.model for w in study.workloads}
    for i, model in enumerate(study.models):
        qualified = model.qualified_stacks(study.horizon.last_day)
        profiles = [one for one in model.profiles if one.machine_type in machines and one.stack not in qualified]
        for stack in sorted({one.stack for one in profiles}) if model.model in used else ():
            text = f"qualification of {model.model} on {stack}, none"
            ended = [n for n, one in enumerate(model.qualifications) if one.stack == stack]
            if ended:
                until = paths("models", i, "qualifications", ended[-1], "until")
                yield Relaxable("policy", text + " to the end", (until,), ((None,),))
                continue
            rows = [one.model_dump(mode="json", exclude_none=True) for one in model.qualifications]
            added = {"stack": stack, "evidence": "assumed", "source": SOURCE, "as_of": study.today.isoformat()}
            yield Relaxable("policy", text, (paths("models", i, "qualifications"),), (([*rows, added],),))


def _budgets(study: Study, paths: _Paths) -> Iterator[Relaxable]:
    """The budget, and limits on capital."""
    if (most := study.policies.budget_usd) is not None:
        at, step = paths("policies", "budget_usd"), STEP_FRACTION * most or 1.0
        limit = Limited("budget", "budget", "budget", at, most, step, "USD")
        yield Relaxable("budget", limit.text, limits=(limit,))
    for i, cap in enumerate(study.policies.capital_limits):
        at, step = paths("policies", "capital_limits", i, "most_usd"), STEP_FRACTION * cap.most_usd or 1.0
        limit = Limited("capital", cap.name, f"capital limit {cap.name}", at, cap.most_usd, step, "USD")
        yield Relaxable("budget", limit.text, limits=(limit,))
