"""What needs what: available fractions of every component, for many failures at once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.drill.world import Numbers, World
from planner.errors import Finding, InputError
from planner.study.records.study import Needs, kind_and_name, stack_and_version

Part = Needs | str


@dataclass(frozen=True)
class Graph:
    """Needs of components: to serve, for new logins, to start replicas.

    Parameters
    ----------
    order : every component, each after all that it needs
    logins : component -> (needs, fraction of sessions that go on without them)
    limits : component -> most requests/s that it passes when whole
    """

    order: tuple[str, ...]
    needs: Mapping[str, Sequence[Part]]
    logins: Mapping[str, Sequence[tuple[Needs, float]]]
    starting: Mapping[str, Sequence[Needs]]
    limits: Mapping[str, float]
    hours_to_repair: Mapping[str, float]

    def of_kind(self, kind: str) -> list[str]:
        """Components of a kind, sorted."""
        return sorted(c for c in self.order if kind_and_name(c)[0] == kind)

    def below_machines(self) -> set[str]:
        """Components without which machines of some pool do not serve."""
        found, waiting = set[str](), [c for c in self.order if kind_and_name(c)[0] in ("pool", "placement")]
        while waiting:
            if (component := waiting.pop()) not in found:
                found.add(component)
                waiting += [leaf for part in self.needs.get(component, ()) for leaf in leaves(part)]
        return found

    def values(self, out: Mapping[str, Numbers], count: int) -> dict[str, Numbers]:
        """Available fraction of every component [f]: its own share, and never more than what it needs leaves.

        Parameters
        ----------
        out : component -> share that is lost or in maintenance [f]
        count : number of failures
        """
        value: dict[str, Numbers] = {}
        one = np.ones(count)
        for component in self.order:
            left = one - np.minimum(out[component], 1.0) if component in out else one
            for part in self.needs.get(component, ()):
                left = np.minimum(left, available(part, value, one))
            for part, goes_on in self.logins.get(component, ()):
                left = np.minimum(left, goes_on + (1.0 - goes_on) * available(part, value, one))
            value[component] = left
        return value

    def may_start(self, value: Mapping[str, Numbers], count: int) -> dict[str, Numbers]:
        """1 where replicas of what contains or needs a component may start, else 0 [f]."""
        one = np.ones(count)
        allowed: dict[str, Numbers] = {}
        if not self.starting:
            return defaultdict(lambda: one)
        for component in self.order:
            free = one
            for part in self.needs.get(component, ()):
                for leaf in leaves(part):
                    free = np.minimum(free, allowed[leaf])
            for need in self.starting.get(component, ()):
                free = np.where(available(need, value, one) < 1.0, 0.0, free)
            allowed[component] = free
        return allowed


def available(part: Part, value: Mapping[str, Numbers], one: Numbers) -> Numbers:
    """Available fraction [f]: all_of is the least, any_of the largest, at_least k the k-th largest."""
    if isinstance(part, str):
        return value[part]
    parts = [available(inner, value, one) for inner in part.all_of or part.any_of or part.of or ()]
    if not parts:
        return one if part.all_of is not None else 0.0 * one
    if part.all_of is not None:
        return np.min(parts, axis=0)  # type: ignore[no-any-return]
    if part.any_of is not None:
        return np.max(parts, axis=0)  # type: ignore[no-any-return]
    k = part.at_least or 1
    return np.sort(parts, axis=0)[-k] if k <= len(parts) else 0.0 * one


def leaves(part: Part) -> Iterable[str]:
    """Component ids that a need names, at any depth."""
    if isinstance(part, str):
        yield part
        return
    for inner in part.all_of or part.any_of or part.of or ():
        yield from leaves(inner)


def build_graph(world: World) -> Graph:
    """The dependency graph of a study.

    Raises
    ------
    InputError
        when a component needs itself, or needs what does not exist
    """
    study = world.study
    needs: dict[str, list[Part]] = defaultdict(list)
    logins: dict[str, list[tuple[Needs, float]]] = defaultdict(list)
    starting: dict[str, list[Needs]] = defaultdict(list)
    used = {pool.site for pool in study.pools}
    for pool in study.pools:
        needs[f"pool:{pool.id}"].append(f"site:{pool.site}")
    for site in study.sites:
        if site.id in used:
            needs[f"site:{site.id}"] = [f"region:{site.region_id}"]
            needs[f"region:{site.region_id}"] = [f"provider:{site.provider}"]
            needs[f"provider:{site.provider}"] = []
    for name, e in world.placements.items():
        model, stack, pool_id = world.made_of[e][0].model, world.made_of[e][1].stack, study.pools[world.pool_of[e]].id
        base, version = stack_and_version(stack)
        of_stack = f"stack_version:{stack}" if version else f"stack:{stack}"
        needs[f"placement:{name}"] += [f"pool:{pool_id}", of_stack, f"qualification:{model}/{stack}"]
        needs[f"qualification:{model}/{stack}"] = []
        needs[f"stack:{base}"] = []
        if version:
            needs[of_stack] = [f"stack:{base}"]
    for named in (*(f"workload:{w.name}" for w in study.workloads), *(f"origin:{o.name}" for o in study.origins)):
        needs.setdefault(named, [])
    for component in study.components:
        needs.setdefault(f"{component.kind}:{component.name}", [])
    known = set(needs)
    for dependency in study.dependencies:
        if dependency.breaks == "new_logins":
            logins[dependency.component].append((dependency.needs, dependency.sessions_go_on_fraction or 0.0))
        elif dependency.breaks == "starting":
            starting[dependency.component].append(dependency.needs)
        else:
            needs[dependency.component].append(dependency.needs)
    named_parts = {d.component for d in study.dependencies} | {x for d in study.dependencies for x in leaves(d.needs)}
    if unknown := sorted(named_parts - known):
        fix = "name a component of the study (kind:name)"
        raise InputError([Finding("dependencies", "a component that exists", name, fix) for name in unknown])

    def before(component: str) -> list[str]:
        parts = [*needs[component], *(need for need, _ in logins[component]), *starting[component]]
        return sorted({leaf for part in parts for leaf in leaves(part)})

    return Graph(
        order=_in_order(sorted(known), before),
        needs=dict(needs),
        logins={c: tuple(parts) for c, parts in logins.items() if parts},
        starting={c: tuple(parts) for c, parts in starting.items() if parts},
        limits={
            f"{c.kind}:{c.name}": c.most_requests_per_second
            for c in study.components
            if c.most_requests_per_second is not None
        },
        hours_to_repair={
            f"{c.kind}:{c.name}": c.hours_to_repair for c in study.components if c.hours_to_repair is not None
        },
    )


def _in_order(components: Sequence[str], before: Callable[[str], list[str]]) -> tuple[str, ...]:
    """Components, each after all that it needs; no recursion, chains may be long."""
    done: dict[str, bool] = {}
    order: list[str] = []
    for first in components:
        waiting = [first]
        while waiting:
            component = waiting[-1]
            if component not in done:
                done[component] = False
                for need in before(component):
                    if done.get(need) is False:
                        got = f"{need} that needs itself"
                        raise InputError([Finding("dependencies", "no cycle", got, "break the cycle")])
                    if need not in done:
                        waiting.append(need)
            else:
                waiting.pop()
                if not done[component]:
                    done[component] = True
                    order.append(component)
    return tuple(order)
