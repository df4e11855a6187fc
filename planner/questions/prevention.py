"""What carries a failure, or would: goals of the study that cover it, goals it could have, what no machine replaces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from planner.drill import DrillRow
from planner.study.dependencies import Failure, Graph, availability, cannot_start, components_of, expand
from planner.study.parts import BUILT_IN
from planner.study.records.study import Goal, NamedFailure, Study, kind_and_name

ALL_SERVED = 1.0 - 1e-6
KINDS = ("qualification", "stack_version", "pool", "site", "stack", "region", "provider", "control_plane")
"""Kinds of component that a goal may lose, the smallest first."""
NOTHING_LOST = "nothing that serves is lost, and nothing has to be started meanwhile"
ANOTHER = "what needs it has another that goes on"
NOT_COUNTED = "what is short stands on what counts in no failure, as spot, or finds caches cold"
UNCOVERED = "no goal covers it"
HEADROOM = "no goal covers it: headroom that is there for others carries it"


@dataclass(frozen=True)
class Prevention:
    """Which goals cover a failure, and what else would help.

    Parameters
    ----------
    because : goals that cover it; or that nothing which serves is lost
    would : what would serve what is not served
    """

    because: tuple[str, ...] = ()
    would: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """What a failure takes: what is available of all that serves or asks, and where no replica can be started.

    Parameters
    ----------
    values : placement, workload or origin -> available fraction
    targeted : whether what a pool loses in part may be all of one placement's machines
    """

    values: Mapping[str, float]
    stuck: frozenset[str]
    surge_factor: float = 1.0
    targeted: bool = False

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
        return Loss({node: value[node] for node in self.nodes}, stuck, surge, targeted)

    def loss_of_named(self, failure: NamedFailure) -> Loss:
        """What a failure by name takes, whether or not the study has it."""
        lost = Failure(failure.name, {**failure.lost, **failure.in_maintenance}, failure.surge_factor, failure.surges)
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
        """(tier, goal) of goals under which all survives that survives the failure.

        Where no weights can be pushed in it, goals that are planned with new weights cover nothing of it.
        """
        if self._needs_own_goal(failure):
            return []
        loss = self.loss_of_named(failure)
        return [(tier, goal) for tier, goal, losses in self.goals if any(one.covers(loss) for one in losses)]

    def _needs_own_goal(self, failure: NamedFailure) -> bool:
        return failure.failover == "rescale" and self.study.failover == "resolve"

    def prevention(self, failure: NamedFailure, rows: Sequence[DrillRow]) -> Prevention:
        """What carries a failure, or would.

        Parameters
        ----------
        rows : what each tier is served over time, of which the worst counts once all deadlines have passed
        """
        loss = self.loss_of_named(failure)
        worst = self._worst_once_due(rows)
        short = [tier for tier, row in worst.items() if row.served_fraction < ALL_SERVED]
        if loss.is_nothing:
            own = any(kind_and_name(component)[0] not in BUILT_IN for component in failure.lost)
            because = [ANOTHER if own else NOTHING_LOST]
            return Prevention((*because, *([NOT_COUNTED] if short else [])))
        covering = self.covering(failure)
        because = _in_words(covering)
        if not because:
            because = [HEADROOM if len(short) < len(worst) else UNCOVERED]
        out_of_reach = [tier for tier in short if worst[tier].uncoverable_requests_per_second > 0]
        would = self._beside(failure) if out_of_reach else []
        in_full = {tier for tier, goal in covering if goal.serve_fraction >= ALL_SERVED}
        if kept_not := [tier for tier in short if tier in in_full and tier not in out_of_reach]:
            would.append(f"what a plan buys for the goal that covers it, for {', '.join(kept_not)}")
        would += self._goal_for([t for t in short if t not in out_of_reach and t not in in_full], failure, loss)
        return Prevention(tuple(because), tuple(would))

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

    def _goal_for(self, tiers: Sequence[str], failure: NamedFailure, loss: Loss) -> list[str]:
        """The smallest goal that covers the failure, for tiers that are not served whole in it."""
        if not tiers:
            return []
        to = ", ".join(tiers)
        if self._needs_own_goal(failure):
            return [f"a goal for this outage, for {to}: others are planned with new weights, which cannot be pushed"]
        covering = [(of_one.size, n, kind) for n, (kind, of_one) in enumerate(self.single) if of_one.covers(loss)]
        if not covering:
            return [f"a goal for this outage, for {to}: no single component covers it"]
        _, _, kind = min(covering)
        return [f"a goal for any {kind}, with all to be served, for {to}"]

    def _beside(self, failure: NamedFailure) -> list[str]:
        """What no machine replaces: a second one beside what is lost, or somewhere else to run."""
        advice: list[str] = []
        for component in failure.lost:
            kind, name = kind_and_name(component)
            if kind not in BUILT_IN and kind not in ("placement", "workload", "origin"):
                advice.append(f"a second {kind} beside {name}, with `needs: any_of` the two")
        if advice:
            return advice
        value = availability(self.graph, failure.lost)
        for model in self.study.models:
            stacks = sorted(model.qualified_stacks(self.study.horizon.last_day))
            mine = [f"qualification:{model.model}/{stack}" for stack in stacks]
            living = [value[node] for node in mine if node in value]
            if living and max(living) < 1:
                advice.append(f"a second stack qualified for {model.model}")
        return advice or ["machines for it at another place, or of another kind"]


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
