"""Which sets of components leave a flow (workload, origin) without a way: its fault tree, by what is left of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from planner.questions.risk.cut_sets import Cuts, Flow, Members, all_break, any_breaks, broken_needs, cut_sets
from planner.study.dependencies import dependency_graph
from planner.study.records.study import Needs, Study, kind_and_name
from planner.units import ROUNDING

Levels = tuple[tuple[float, Cuts], ...]
"""Of a flow: (at least this fraction of it is broken, by these sets), largest fraction first."""

NOT_EVENTS = ("workload", "origin", "placement")
"""Kinds that break through what they need, and are no cause of their own."""
STACKED = ("qualification", "stack", "stack_version")


class Ways:
    """Cut sets of the components of a study at every threshold that matters, computed when first asked for."""

    def __init__(self, study: Study) -> None:
        graph = dependency_graph(study)
        needs: dict[str, Sequence[Needs]] = {c: graph.nodes[c]["needs"] for c in graph}
        self.events = {c: {c: 1.0} for c in sorted(needs) if kind_and_name(c)[0] not in NOT_EVENTS}
        self.events |= _named_failures(study)
        self.at: Callable[[float], dict[str, Cuts]] = cache(lambda left: cut_sets(needs, self.events, left))
        self.all_dead: Callable[[frozenset[Cuts]], Cuts] = cache(all_break)
        self.logins: dict[str, list[tuple[Needs, float]]] = {
            c: [(need, goes_on) for need, goes_on in graph.nodes[c]["logins"] if goes_on < 1.0] for c in needs
        }
        self.stacks_of: dict[str, set[str]] = defaultdict(set)
        for c in graph:
            below = {kind: [n for n in graph.successors(c) if kind_and_name(n)[0] == kind] for kind in STACKED}
            for qualified in below["qualification"]:
                self.stacks_of[qualified] |= {*below["stack"], *below["stack_version"]}
        shares = {share for lost in self.events.values() for share in lost.values()}
        self.lefts = sorted({0.0} | {round(1.0 - share, 9) for share in shares if 0 < share < 1})

    def placement(self, e: str) -> Cuts:
        """Sets that leave nothing of a placement."""
        return self.at(0.0)[f"placement:{e}"]

    def takers(self, event: str) -> frozenset[str]:
        """Events whose loss takes this component with them; a stack takes what is qualified on it."""
        dead = self.at(0.0)
        above = {event, *self.stacks_of.get(event, ())} & dead.keys()
        return frozenset().union(*(dead[c].singles for c in above)) - {event}

    def levels(self, flow: Flow, edges: Iterable[str]) -> Levels:
        """Sets that break a flow, by the fraction of it that they break at least.

        Formula
            left = min(doors, 1 if any placement is alive else 0); a door through which new logins come has
            g + (1 − g) · left of what it needs, g = sessions_go_on_fraction
        """
        dead = self.all_dead(frozenset(map(self.placement, edges)))
        doors = (f"workload:{flow[0]}", f"origin:{flow[1]}")
        logins = [login for door in doors for login in self.logins[door]]
        lefts = {*self.lefts, *(round(g + (1 - g) * left, 9) for _, g in logins for left in self.lefts)}
        found: list[tuple[float, Cuts]] = []
        for left in sorted(lefts):
            parts = [dead, *(self.at(left)[door] for door in doors)]
            for needs, g in logins:
                if left > g - ROUNDING:
                    parts.append(broken_needs(needs, self.at(round(max(0.0, left - g) / (1 - g), 9))))
            cuts = any_breaks(parts)
            if cuts and not (found and found[-1][1] == cuts):
                found.append((1.0 - left, cuts))
        return tuple(found)


def _named_failures(study: Study) -> dict[str, dict[str, float]]:
    """Failures with a rate, as events of their own: what they lose, what is in maintenance included."""
    found = {}
    for named in study.failures:
        if named.failures_per_year is not None and named.hours_to_repair is not None:
            out = sorted({*named.lost, *named.in_maintenance})
            shares = {c: min(1.0, named.lost.get(c, 0.0) + named.in_maintenance.get(c, 0.0)) for c in out}
            found[f"failure:{named.name}"] = shares
    return found


def fractions(levels: Levels, order: int) -> dict[Members, float]:
    """Minimal cut set -> fraction of the flow that it breaks."""
    found: dict[Members, float] = {}
    for fraction, cuts in levels:
        for members in cuts.sets():
            if len(members) == order:
                found.setdefault(members, fraction)
    return found


def is_named_failure(event: str) -> bool:
    """Whether an event is a failure that the study names, not a component."""
    return kind_and_name(event)[0] == "failure"
