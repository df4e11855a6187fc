"""What carries a failure, or would: goals of the study that cover it, goals it could have, what no machine replaces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from planner.drill import DrillRow
from planner.study.dependencies import (
    Failure,
    Graph,
    availability,
    cannot_start,
    components_of,
    expand,
    failover_of,
    leaves,
)
from planner.study.parts import BUILT_IN
from planner.study.records.study import Goal, NamedFailure, Study, kind_and_name, stack_and_version

ALL_SERVED = 1.0 - 1e-6
KINDS = ("qualification", "stack_version", "pool", "site", "stack", "region", "provider", "control_plane")
"""Kinds of component that a goal may lose, the smallest first."""
NOTHING_LOST = "nothing that serves is lost, and nothing has to be started meanwhile"
ANOTHER = "what needs it has another that goes on"
NOT_COUNTED = "what is short stands on what counts in no failure, as spot, or finds caches cold"
NONE_KEPT = "no goal that covers it holds in it"
UNCOVERED = "no goal covers it"
HEADROOM = "no goal covers it: headroom that is there for others carries it"
NOT_NEEDED = "no goal covers it: what goes on does not stand on it"
NO_WEIGHTS = "planned with new weights, which cannot be pushed here"


@dataclass(frozen=True)
class Prevention:
    """Which goals cover a failure, and whether they hold when it is replayed.

    Parameters
    ----------
    because : goals that cover it and are kept; or that nothing which serves is lost
    not_kept : goals that cover it by what they lose, and are not kept, with the reason where it is known
    """

    because: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """What may serve what is not served in a failure.

    Parameters
    ----------
    second : component beside which there would be a second one; none: it is no such thing
    machines : whether more machines would serve it
    """

    text: str
    second: str | None = None
    machines: bool = False


@dataclass(frozen=True)
class Loss:
    """What a failure takes: what is available of all that serves or asks, and where no replica can be started.

    Parameters
    ----------
    values : placement, workload or origin -> available fraction
    targeted : whether what a pool loses in part may be all of one placement's machines
    rescaled : whether gateways get no new weights in it
    """

    values: Mapping[str, float]
    stuck: frozenset[str]
    surge_factor: float = 1.0
    targeted: bool = False
    rescaled: bool = False

    @property
    def size(self) -> float:
        """How much it takes: of all that serves or asks, in wholes."""
        return sum(1.0 - value for value in self.values.values())

    @property
    def is_nothing(self) -> bool:
        """Whether all that serves is available."""
        return all(value >= 1 for value in self.values.values())

    def covers(self, other: "Loss") -> bool:
        """Whether what survives this survives the other: of nothing less is lost, nothing starts that cannot there."""
        if self.surge_factor < other.surge_factor:
            return False
        for node, value in other.values.items():
            mine = self.values[node]
            in_proportion = mine <= value and (self.targeted or not other.targeted)
            if value < 1 and mine > 0 and not in_proportion:
                return False
            if node in other.stuck and node not in self.stuck and mine > 0:
                return False
        return True


class Carriers:
    """The goals of a study, and single components that goals could lose, with what each failure of them takes."""

    def __init__(self, study: Study, graph: Graph) -> None:
        self.study, self.graph = study, graph
        self.nodes = [node for kind in ("placement", "workload", "origin") for node in components_of(graph, kind)]

    def loss_of(self, failure: Failure, targeted: bool = False) -> Loss:
        """What a failure takes."""
        value = availability(self.graph, failure.lost)
        surge = failure.surge_factor * max(failure.surges.values(), default=1.0)
        stuck = frozenset(cannot_start(self.graph, value))
        rescaled = failover_of(failure, self.study, self.graph, value) == "rescale"
        return Loss({node: value[node] for node in self.nodes}, stuck, surge, targeted, rescaled)

    def loss_of_named(self, failure: NamedFailure) -> Loss:
        """What a failure by name takes, whether or not the study has it."""
        together = {**failure.lost, **failure.in_maintenance}
        lost = Failure(failure.name, together, failure.surge_factor, failure.surges, failover=failure.failover)
        return self.loss_of(lost, failure.worst_part)

    @cached_property
    def goals(self) -> list[tuple[str, Goal, list[Loss]]]:
        """(tier, goal, what each of its failures takes)."""
        named = {failure.name: failure for failure in self.study.failures}
        losses: dict[str, list[Loss]] = {}
        rows = []
        for tier in self.study.tiers:
            for goal in tier.survive:
                if goal.lost_text not in losses:
                    targeted = goal.failure is not None and named[goal.failure].worst_part
                    expanded = expand(goal, self.study, self.graph)
                    losses[goal.lost_text] = [self.loss_of(failure, targeted) for failure in expanded]
                rows.append((tier.name, goal, losses[goal.lost_text]))
        return rows

    @cached_property
    def single(self) -> list[tuple[str, Loss]]:
        """(kind, what the loss of one component takes): the study's own kinds first, then built-in ones by size."""
        own = dict.fromkeys(component.kind for component in self.study.components if component.kind not in BUILT_IN)
        losses = []
        for kind in (*own, *KINDS):
            for component in components_of(self.graph, kind):
                losses.append((kind, self.loss_of(Failure(component, {component: 1.0}))))
        return losses

    def covering(self, failure: NamedFailure) -> list[tuple[str, Goal]]:
        """(tier, goal) of goals which lose at least what the failure takes; whether they are kept, a replay says."""
        loss = self.loss_of_named(failure)
        return [(tier, goal) for tier, goal, losses in self.goals if any(one.covers(loss) for one in losses)]

    def prevention(self, failure: NamedFailure, rows: Sequence[DrillRow]) -> Prevention:
        """What carries a failure, by what each tier is served in it over time."""
        loss, short = self.loss_of_named(failure), self._short(rows)
        if loss.is_nothing:
            short = short or [row.tier for row in rows if row.served_fraction < ALL_SERVED]
            own = any(kind_and_name(component)[0] not in BUILT_IN for component in failure.lost)
            because = [ANOTHER if own else NOTHING_LOST]
            return Prevention((*because, *([NOT_COUNTED] if short else [])))
        kept: list[tuple[str, Goal]] = []
        not_kept: list[tuple[str, Goal]] = []
        for tier, goal in self.covering(failure):
            (kept if is_kept(tier, goal, rows) else not_kept).append((tier, goal))
        tiers = len({row.tier for row in rows})
        because = _in_words(kept) or [self._without_goal(loss, bool(not_kept), short, tiers)]
        served = {tier: max(goal.serve_fraction for t, goal in kept if t == tier) for tier, _ in kept}
        less = [(tier, goal) for tier, goal in not_kept if goal.serve_fraction > served.get(tier, 0.0)]
        weightless = [(t, goal) for t, goal in less if loss.rescaled and not self._without_weights(goal, loss)]
        others = [row for row in less if row not in weightless]
        reasons = [*(f"{text}: {NO_WEIGHTS}" for text in _in_words(weightless)), *_in_words(others)]
        return Prevention(tuple(because), tuple(reasons))

    def _without_weights(self, goal: Goal, loss: Loss) -> bool:
        """Whether a goal is held to the weights in force in a failure that takes at least as much."""
        losses = next(losses for _, known, losses in self.goals if known is goal)
        return any(one.rescaled for one in losses if one.covers(loss))

    def _without_goal(self, loss: Loss, not_kept: bool, short: Sequence[str], tiers: int) -> str:
        """What is said where no goal holds, with `short` of so many tiers not served in full."""
        if not_kept:
            return NONE_KEPT
        if any(loss.values[node] < 1 for node in self.nodes if kind_and_name(node)[0] == "placement"):
            return UNCOVERED if short else HEADROOM
        return NOT_NEEDED if len(short) < tiers else UNCOVERED

    def _short(self, rows: Sequence[DrillRow]) -> list[str]:
        """Tiers that are not served in full once all deadlines have passed."""
        return [tier for tier, row in self._worst_once_due(rows).items() if row.served_fraction < ALL_SERVED]

    def remedies(self, failure: NamedFailure, rows: Sequence[DrillRow]) -> list[Remedy]:
        """What may serve what is not served in a failure; whether it does, a replay says.

        Parameters
        ----------
        rows : what each tier is served over time, of which the worst counts once all deadlines have passed
        """
        short = self._short(rows)
        loss = self.loss_of_named(failure)
        if not short or loss.is_nothing:
            return []
        remedies = self._second(failure)
        worst = self._worst_once_due(rows)
        covered = {tier for tier, goal in self.covering(failure) if goal.serve_fraction >= ALL_SERVED}
        by_machines = [tier for tier in short if worst[tier].uncoverable_requests_per_second <= 0]
        if kept_not := [tier for tier in by_machines if tier in covered and self._plans_for(tier, failure, loss)]:
            text = f"what a plan buys for the goal that covers it, for {', '.join(kept_not)}"
            remedies.append(Remedy(text, machines=True))
        if others := [tier for tier in by_machines if tier not in kept_not]:
            remedies.append(Remedy(self._goal_for(others, loss), machines=True))
        if len(by_machines) < len(short) and not remedies:
            remedies += self._elsewhere(failure)
        return remedies

    def _plans_for(self, tier: str, failure: NamedFailure, loss: Loss) -> bool:
        """Whether a goal of a tier for all of it, when planned for, holds in the failure."""
        goals = [goal for t, goal in self.covering(failure) if t == tier and goal.serve_fraction >= ALL_SERVED]
        return not loss.rescaled or any(self._without_weights(goal, loss) for goal in goals)

    def _worst_once_due(self, rows: Sequence[DrillRow]) -> dict[str, DrillRow]:
        """Of each tier the worst row from the last deadline of the study on; where none is so late, the last one."""
        deadlines = [goal.within_seconds for tier in self.study.tiers for goal in tier.survive]
        latest = max((row.deadline_seconds for row in rows), default=0.0)
        since = min(max(deadlines, default=latest), latest)
        worst: dict[str, DrillRow] = {}
        for row in rows:
            known = worst.get(row.tier)
            if row.deadline_seconds >= since and (known is None or row.served_fraction < known.served_fraction):
                worst[row.tier] = row
        return worst

    def _goal_for(self, tiers: Sequence[str], loss: Loss) -> str:
        """The smallest goal that covers a failure, for tiers that are not served in full in it."""
        to = ", ".join(tiers)
        if loss.rescaled and self.study.failover == "resolve":
            return f"a goal for this outage, for {to}: others are planned with new weights, which cannot be pushed"
        covering = [(of_one.size, n, kind) for n, (kind, of_one) in enumerate(self.single) if of_one.covers(loss)]
        if not covering:
            return f"a goal for this outage, for {to}: no single component covers it"
        _, _, kind = min(covering)
        return f"a goal for any {kind}, with all to be served, for {to}"

    def _second(self, failure: NamedFailure) -> list[Remedy]:
        """A second one beside each of the study's own components that is lost, or beside what takes it with it."""
        own = [component.id for component in self.study.components if component.kind not in BUILT_IN]
        value = availability(self.graph, failure.lost)
        beside = [id for id in own if failure.lost.get(id)] or [id for id in own if value.get(id, 1.0) < 1.0]
        remedies = []
        for id in beside:
            kind, name = kind_and_name(id)
            apart = "" if id in failure.lost else f", which does not stand on {', '.join(sorted(failure.lost))}"
            text = f"a second {kind} beside {name}, with `needs: any_of` the two{apart}"
            remedies.append(Remedy(text, second=id))
        if not remedies:
            remedies = [
                Remedy(f"a second one beside {id}, with `needs: any_of` the two", second=id)
                for id in self._named_in_needs(value)
            ]
        return remedies

    def _named_in_needs(self, value: Mapping[str, float]) -> list[str]:
        """What dependencies of workloads and origins name, and is lost."""
        named: dict[str, None] = {}
        for dependency in self.study.dependencies:
            if kind_and_name(dependency.component)[0] in ("workload", "origin"):
                named |= dict.fromkeys(leaf for leaf in leaves(dependency.needs) if value.get(leaf, 1.0) < 1.0)
        return list(named)

    def _elsewhere(self, failure: NamedFailure) -> list[Remedy]:
        """Where no capacity of the study can serve: another stack, or somewhere else to run."""
        value = availability(self.graph, failure.lost)
        remedies = []
        for model in self.study.models:
            stacks = model.qualified_stacks(self.study.horizon.last_day)
            lives = [self._lives(model.model, stack, value) for stack in sorted(stacks)]
            if lives and max(lives) < 1:
                remedies.append(Remedy(f"a second stack qualified for {model.model}"))
        return remedies or [Remedy("machines for it at another place, or of another kind")]

    @staticmethod
    def _lives(model: str, stack: str, value: Mapping[str, float]) -> float:
        """How far a model may be served on a stack."""
        needs = (f"qualification:{model}/{stack}", f"stack_version:{stack}", f"stack:{stack_and_version(stack)[0]}")
        return min(value.get(component, 1.0) for component in needs)


def is_kept(tier: str, goal: Goal, rows: Iterable[DrillRow]) -> bool:
    """Whether a goal holds in what a tier is served over time: each of its flows, from the deadline on."""
    due = [row for row in rows if row.tier == tier and row.deadline_seconds >= goal.within_seconds]
    return all(row.worst_served_fraction >= goal.serve_fraction * ALL_SERVED for row in due)


def _in_words(covering: Iterable[tuple[str, Goal]]) -> list[str]:
    """The best covering goal of each tier, and the tiers that have it: all of it, then the soonest."""
    best: dict[str, Goal] = {}
    for tier, goal in covering:
        known = best.get(tier)
        if known is None or (-goal.serve_fraction, goal.within_seconds) < (-known.serve_fraction, known.within_seconds):
            best[tier] = goal
    tiers: dict[str, list[str]] = {}
    for tier, goal in best.items():
        text = f"goal {goal.lost_text}: {goal.serve_fraction:.0%} within {goal.within_seconds:g} s"
        tiers.setdefault(text, []).append(tier)
    return [f"{text} ({', '.join(names)})" for text, names in tiers.items()]
