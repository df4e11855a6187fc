"""What must hold of components that let only so many requests through: that what passes them can be counted."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from planner.errors import Finding
from planner.study.dependencies import Graph, dependency_graph, leaves, placements
from planner.study.parts import Parts
from planner.study.places import Loc, Reading, unquoted
from planner.study.records.study import Needs, Study
from planner.study.request_limits import Passed, all_needed, components_with_limits, passed_by_component, together

ONE_LEVEL = "request limits at one level: any_of the names of components, each with a limit of its own or none"


def check_request_limits(study: Study, parts: Parts, reading: Reading) -> None:
    """What passes a component with a limit can be counted."""
    limit_at = {f"{c.kind}:{c.name}": place.at("most_requests_per_second") for c, place in parts.components}
    reading.findings += not_counted(study, None, lambda n, loc: parts.dependencies[n][1].at(*loc), limit_at.__getitem__)


def not_counted(
    study: Study,
    graph: Graph | None = None,
    place_of_need: Callable[[int, Loc], str] = lambda n, _: f"study: dependencies[{n}]",
    place_of_limit: Callable[[str], str] = lambda component: f"study: {unquoted(component)}",
) -> list[Finding]:
    """Needs through which requests pass limits in a way that is not counted.

    Parameters
    ----------
    graph : of its dependencies, where it is made already
    place_of_need : index of a dependency, and where in it -> place
    place_of_limit : component with a limit -> place
    """
    limits = components_with_limits(study)
    if not limits:
        return []
    passed = passed_by_component(dependency_graph(study) if graph is None else graph, limits)
    findings: list[Finding] = []
    at_logins: set[str] = set()
    for n, dependency in enumerate(study.dependencies):
        if dependency.breaks == "new_logins":
            at_logins.update(*(passed[leaf].components for leaf in leaves(dependency.needs)))
        for part, loc in all_needed(dependency.needs) if dependency.breaks == "serving" else ():
            if not isinstance(part, str):
                where = place_of_need(n, ("needs", *loc))
                findings += (Finding(where, ONE_LEVEL, got, fix) for got, fix in _of_alternatives(part, passed))
    for component in sorted(at_logins & limits.keys()):
        got = f"one, and {unquoted(component)} is what new logins need: how many of the requests are not said"
        fix = "leave the limit out, or let the dependency break serving: then all requests pass it"
        findings.append(Finding(place_of_limit(component), "no limit on requests", got, fix))
    for component in sorted(_shared(study, passed) & limits.keys()):
        got = f"{unquoted(component)} in several any_of of the same requests"
        fix = "name it in one any_of; or in all_of, if all of these requests pass it"
        findings.append(Finding(place_of_limit(component), "a component that requests meet once", got, fix))
    return findings


def _of_alternatives(need: Needs, passed: Mapping[str, Passed]) -> list[tuple[str, str]]:
    """What is not counted of a need that leaves a choice: what it got, and what to do about it."""
    names = sorted(set(leaves(need)))
    limited = [name for name in names if not passed[name].unlimited]
    if not limited:
        return []
    at_limit = f"where {unquoted(limited[0])} has a limit"
    if (need.at_least or 1) > 1:
        fix = "write any_of, with limits on what one of them lets through by itself; or leave the limits out"
        return [(f"at_least {need.at_least}, {at_limit}", fix)]
    if any(not isinstance(part, str) for part in need.any_of or need.of or ()):
        fix = "name components only: one that stands for what is inside, with what all of it lets through as its limit"
        return [(f"a need within a need, {at_limit}", fix)]
    deeper = [name for name in limited if passed[name].components != {name}]
    fix = "put the limit on the alternative itself, and leave it out below"
    return [(f"{unquoted(name)}, which needs a component with a limit", fix) for name in deeper]


def _shared(study: Study, passed: Mapping[str, Passed]) -> set[str]:
    """Components in several needs that leave a choice to the same requests; what no request passes is not looked at."""
    at_placements: dict[str, set[Passed]] = defaultdict(set)
    for e, (m, _, _) in placements(study).items():
        at_placements[study.models[m].model].add(passed[f"placement:{e}"])
    shared: set[str] = set()
    for w, o in itertools.product(study.workloads, study.origins):
        for at_placement in at_placements[w.model]:
            stream = together([passed[f"workload:{w.name}"], passed[f"origin:{o.name}"], at_placement])
            times = Counter(itertools.chain(*stream.any_of))
            shared.update(component for component, n in times.items() if n > 1)
    return shared
