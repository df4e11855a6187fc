"""What carries a failure, or would: goals of the study that cover it, goals it could have, what no machine replaces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from planner.drill import DrillRow
from planner.study.dependencies import (
    Failure,
    Graph,
    availability,
    cannot_start,
    components_of,
    expand,
)
from planner.study.parts import BUILT_IN
from planner.study.records.study import Goal, NamedFailure, Study, kind_and_name

ALL_SERVED = 1.0 - 1e-6
KINDS = ("qualification", "stack_version", "pool", "site", "stack", "region", "provider", "control_plane")
"""Kinds of component that a goal may lose, the smallest first."""


@dataclass(frozen=True)
class Prevention:
    """Why a failure is survived, or how it would be.

    Parameters
    ----------
    because : what carries it: goals that cover it, or that nothing which serves is lost
    would : what would carry what is not served
    """

    because: tuple[str, ...] = ()
    would: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """What a failure takes: what is left of each component that serves or asks, and where no replica can be started."""

    value: Mapping[str, float]
    stuck: frozenset[str]
    surge_factor: float
    worst_part: bool

    def covers(self, other: "Loss") -> bool:
        """Whether what survives this survives the other: nothing is less lost here, nothing starts here that cannot."""
        if self.surge_factor < other.surge_factor:
            return False
        for node, value in other.value.items():
            mine = self.value[node]
            spread = mine <= value and not (other.worst_part and not self.worst_part)
            if value < 1 and mine > 0 and not spread:
                return False
            if node in other.stuck and node not in self.stuck and mine > 0:
                return False
        return True


def prevention(failure: NamedFailure, study: Study, graph: Graph, rows: Sequence[DrillRow]) -> Prevention:
    """What carries a failure of a study, or would.

    Parameters
    ----------
    rows : what each tier is served over time, of which the last counts
    """
    expanded = expand(Goal(failure=failure.name, within_seconds=1.0), study, graph)[0]
    loss = _loss(expanded, graph, failure.worst_part)
    if all(value >= 1 for value in loss.value.values()):
        return Prevention(("nothing that serves is lost, and nothing has to be started meanwhile",))
    last = {row.tier: row for row in rows}
    short = [tier for tier, row in last.items() if row.served_fraction < ALL_SERVED]
    covering = _covering(loss, failure, study, graph)
    because = [f"goal {name} of {', '.join(tiers)}" for name, tiers in covering.items()]
    if not because and len(short) < len(last):
        because = ["no goal covers it: headroom that is there for others carries it"]
    would: list[str] = []
    if short:
        missing = [tier for tier in short if last[tier].uncoverable_requests_per_second > 0]
        would += _beside(failure, study, graph) if missing else []
        would += _goal_for([tier for tier in short if tier not in missing], loss, failure, study, graph)
    return Prevention(tuple(because), tuple(dict.fromkeys(would)))


def _loss(failure: Failure, graph: Graph, worst_part: bool = False) -> Loss:
    value = availability(graph, failure.lost)
    stuck = cannot_start(graph, value)
    nodes = [node for kind in ("placement", "workload", "origin") for node in components_of(graph, kind)]
    surge = failure.surge_factor * max(failure.surges.values(), default=1.0)
    return Loss({node: value[node] for node in nodes}, frozenset(stuck), surge, worst_part)


def _covering(loss: Loss, failure: NamedFailure, study: Study, graph: Graph) -> dict[str, list[str]]:
    """Goals of the study under which all survives that survives the failure: goal in words -> its tiers."""
    covering: dict[str, list[str]] = {}
    verdicts: dict[tuple[object, ...], bool] = {}
    for tier in study.tiers:
        for goal in tier.survive:
            key = (goal.any, goal.of, goal.except_, goal.failure, tuple(sorted(goal.in_maintenance.items())))
            if key not in verdicts:
                worst_part = any(one.name == goal.failure and one.worst_part for one in study.failures)
                losses = (_loss(one, graph, worst_part) for one in expand(goal, study, graph))
                verdicts[key] = any(one.covers(loss) for one in losses)
            if verdicts[key] and not (failure.failover == "rescale" and study.failover == "resolve"):
                covering.setdefault(f"{goal.lost_text}: {goal.serve_fraction:.0%}", []).append(tier.name)
    return covering


def _goal_for(tiers: Sequence[str], loss: Loss, failure: NamedFailure, study: Study, graph: Graph) -> Iterable[str]:
    """The smallest goal that covers the failure, for tiers that are not served whole in it."""
    if not tiers:
        return []
    to = f"for {', '.join(tiers)}"
    if failure.failover == "rescale" and study.failover == "resolve":
        return [f"a goal for this outage itself {to}: others are planned with new weights, which it does not allow"]
    own = dict.fromkeys(component.kind for component in study.components if component.kind not in BUILT_IN)
    for kind in (*own, *KINDS):
        for component in components_of(graph, kind):
            if _loss(Failure(component, {component: 1.0}), graph).covers(loss):
                return [f"survive: any {kind}, {to}, with all that is to be served"]
    return [f"a goal for this outage itself {to}: no single component covers it"]


def _beside(failure: NamedFailure, study: Study, graph: Graph) -> list[str]:
    """What no machine replaces: a second one beside what is lost, or somewhere else to run."""
    advice: list[str] = []
    for component in failure.lost:
        kind, name = kind_and_name(component)
        if kind not in BUILT_IN and kind not in ("placement", "workload", "origin"):
            advice.append(f"a second {kind} beside {name}, with needs: any_of the two")
    if advice:
        return advice
    value = availability(graph, failure.lost)
    for model in study.models:
        stacks = {profile.stack for profile in model.profiles}
        mine = [node for node in components_of(graph, "qualification") if _of_model(node, model.model, stacks)]
        if mine and all(value[node] < 1 for node in mine):
            advice.append(f"a second stack qualified for {model.model}")
    return advice or ["machines for it at another place or of another kind"]


def _of_model(qualification: str, model: str, stacks: Iterable[str]) -> bool:
    return any(qualification == f"qualification:{model}/{stack}" for stack in stacks)
