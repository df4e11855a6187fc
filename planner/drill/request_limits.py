"""Components that let only so many requests/s through: who passes them, and how gateways split over alternatives."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from planner.drill.instance import Indices, Instance, Numbers
from planner.drill.needs import Part, least_parts, leaves, parts_of
from planner.errors import Finding, InputError
from planner.study.records.study import Needs

ONE_LEVEL = "request limits at one level: any_of components, each with a limit of its own or none"
FIX = "plan the study again: `planner plan` names the place and the cure"


@dataclass(frozen=True)
class Passed:
    """What requests pass; all of it sorted, so that equal things are equal and programs are the same in every process.

    Parameters
    ----------
    always : components with a limit that they cannot avoid
    any_of : alternatives of which each request takes one, where some have a limit
    """

    always: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.always or self.any_of)


NOTHING = Passed()


def together(parts: Iterable[Passed]) -> Passed:
    """What requests pass that pass all of it; who cannot avoid a component takes it as an alternative, too."""
    always, any_of = set[str](), set[tuple[str, ...]]()
    for part in parts:
        always.update(part.always)
        any_of.update(part.any_of)
    return Passed(tuple(sorted(always)), tuple(sorted(names for names in any_of if always.isdisjoint(names))))


@dataclass(frozen=True)
class RequestLimits:
    """How requests pass components with a limit, in each of some failures.

    Parameters
    ----------
    components : components with a limit and alternatives to them -> number l
    most : requests/s that they let through: limit · available fraction; infinite where there is no limit [f, l]
    by_flow, by_placement : what the requests of a flow i, of a placement e pass; only those that pass something
    """

    components: Mapping[str, int]
    most: Numbers
    by_flow: Mapping[int, Passed]
    by_placement: Mapping[int, Passed]

    def one(self, f: int) -> "RequestLimits":
        """Those of one failure."""
        return replace(self, most=self.most[f : f + 1])

    def of_placements(self, columns: Indices) -> "RequestLimits":
        """Those of some placements [e]."""
        by_placement = self.by_placement
        mine = {n: by_placement[e] for n, e in enumerate(columns.tolist()) if e in by_placement}
        return replace(self, by_placement=mine)

    def groups(self, flow: Indices, placement: Indices) -> list[tuple[Passed, Indices]]:
        """Edges [k] whose requests pass the same; edges that pass nothing are left out."""
        if not self.by_flow and not self.by_placement:
            return []
        edges: dict[tuple[Passed, Passed], list[int]] = {}
        for k, (i, e) in enumerate(zip(flow.tolist(), placement.tolist(), strict=True)):
            key = self.by_flow.get(i, NOTHING), self.by_placement.get(e, NOTHING)
            edges.setdefault(key, []).append(k)
        return [(together(key), np.array(mine)) for key, mine in edges.items() if any(key)]

    def shares(self, passed: Passed) -> Numbers:
        """Share of requests that pass each component [f, l], where a gateway splits them by what alternatives pass.

        Alternatives without a limit come first.
        """
        shares = np.zeros_like(self.most)
        shares[:, [self.components[name] for name in passed.always]] = 1.0
        for names in passed.any_of:
            columns = [self.components[name] for name in names]
            most = self.most[:, columns]
            endless = np.isinf(most)
            weight = np.where(endless.any(axis=1, keepdims=True), endless, most)
            total = weight.sum(axis=1, keepdims=True)
            shares[:, columns] = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        return shares

    def cut(self, sent: Numbers, flow: Indices, placement: Indices) -> Numbers:
        """Requests/s on edges [f, k] that pass all limits; what has too much passes all of it equally less.

        What reaches a component is reckoned as if nothing were lost before it: never more gets through than it passes.
        """
        if not self.components:
            return sent
        groups = [(passed, edges, self.shares(passed)) for passed, edges in self.groups(flow, placement)]
        through = np.zeros_like(self.most)
        for _, edges, shares in groups:
            through += shares * sent[:, edges].sum(axis=1, keepdims=True)
        passes = np.divide(self.most, through, out=np.ones_like(self.most), where=through > self.most)
        passed_on = sent.copy()
        for passed, edges, shares in groups:
            parts = [passes[:, self.components[name]] for name in passed.always]
            for names in passed.any_of:
                columns = [self.components[name] for name in names]
                parts.append((shares * passes)[:, columns].sum(axis=1))
            passed_on[:, edges] *= np.min(parts, axis=0)[:, None]
        return passed_on


def request_limits_of(
    instance: Instance,
    passed: Mapping[str, Passed],
    limits: Mapping[str, float],
    value: Mapping[str, Numbers],
    count: int,
) -> RequestLimits:
    """How requests pass components with a limit, in so many failures that leave these available fractions."""
    by_flow, by_placement = passed_by_edge(instance, passed)
    alternatives = set[str]()
    for of in (*by_flow.values(), *by_placement.values()):
        alternatives.update(*of.any_of)
    names = sorted(alternatives | limits.keys())
    most = np.zeros((count, len(names)))
    for n, name in enumerate(names):
        most[:, n] = limits[name] * value[name] if name in limits else np.where(value[name] > 0, np.inf, 0.0)
    return RequestLimits({name: n for n, name in enumerate(names)}, most, by_flow, by_placement)


def passed_by_edge(instance: Instance, passed: Mapping[str, Passed]) -> tuple[dict[int, Passed], dict[int, Passed]]:
    """What the requests of each flow i, and of each placement e pass, where they pass something."""
    flows = {i: together([passed[f"workload:{w}"], passed[f"origin:{o}"]]) for (w, o), i in instance.flows.items()}
    placements = {e: passed[f"placement:{name}"] for name, e in instance.placements.items()}
    return {i: of for i, of in flows.items() if of}, {e: of for e, of in placements.items() if of}


def passed_by_component(
    order: Sequence[str],
    needs: Mapping[str, Sequence[Part]],
    logins: Mapping[str, Sequence[tuple[Needs, float]]],
    limits: Mapping[str, float],
) -> dict[str, Passed]:
    """Component -> what the requests pass that need it, itself among it.

    Raises
    ------
    InputError
        when a limit lies deeper than one level of alternatives, or behind what new logins need
    """
    passed: dict[str, Passed] = {}
    refused: list[str] = []

    def of(part: Part, of_component: str) -> Passed:
        if isinstance(part, str):
            return passed[part]
        inner = [of(one, of_component) for one in parts_of(part)]
        names = tuple(sorted(set(leaves(part))))
        if least_parts(part) >= len(inner):
            return together(inner)
        if not any(passed[name] for name in names):
            return NOTHING
        plain = least_parts(part) == 1 and all(isinstance(one, str) for one in parts_of(part))
        if not plain or not all(passed[name] in (NOTHING, Passed((name,))) for name in names):
            refused.append(f"limits deeper in what {of_component} needs")
        return Passed(any_of=(names,))

    for component in order:
        own = Passed((component,)) if component in limits else NOTHING
        passed[component] = together([own, *(of(part, component) for part in needs.get(component, ()))])
        for part, _ in logins.get(component, ()):
            if any(passed[name] for name in leaves(part)):
                refused.append(f"a limit behind what new logins of {component} need")
    _refuse(refused)
    return passed


def check_met_once(instance: Instance, passed: Mapping[str, Passed], limited: Collection[str]) -> None:
    """No requests meet a component with a limit in several needs that leave an alternative.

    Raises
    ------
    InputError
        when some do
    """
    by_flow, by_placement = passed_by_edge(instance, passed)
    edges = np.nonzero(instance.normal | instance.in_failure)
    limits = RequestLimits({}, np.zeros((0, 0)), by_flow, by_placement)
    refused = []
    for of, _ in limits.groups(*edges):
        times = Counter(name for name in chain.from_iterable(of.any_of) if name in limited)
        refused += [f"{name} in several any_of of the same requests" for name, n in sorted(times.items()) if n > 1]
    _refuse(refused)


def _refuse(got: Iterable[str]) -> None:
    if findings := [Finding("study: dependencies", ONE_LEVEL, one, FIX) for one in dict.fromkeys(got)]:
        raise InputError(findings)
