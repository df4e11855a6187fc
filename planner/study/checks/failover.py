"""That failures in which gateways keep their weights are such as can be planned."""

from planner.study.calendar import demand_by_hour
from planner.study.dependencies import (
    Failure,
    Graph,
    availability,
    dependency_graph,
    expand,
    failover_in,
    rated,
    without_new_weights,
)
from planner.study.parts import Parts
from planner.study.places import Place, Reading, listed
from planner.study.records.study import Goal, Study


def check_failover(study: Study, parts: Parts, reading: Reading) -> None:
    """Report failures that ask for new weights where none are pushed, and what fixed weights cannot do.

    Of a study that says `failover: rescale` itself `check_goals` reports the latter.
    """
    pushing = any(dependency.breaks == "pushing" for dependency in study.dependencies)
    if not pushing and all(failure.failover != "rescale" for failure in study.failures):
        return
    graph = dependency_graph(study)
    flows = {(w, o) for w, o, _ in demand_by_hour(study, "base")}
    _check_named(study, graph, flows, parts, reading)
    if study.failover == "rescale":
        return
    failures = [f for tier in study.tiers for goal in tier.survive for f in expand(goal, study, graph)]
    failures += rated(study, graph) if study.objective != "cost" else []
    fixed = [f for f in failures if failover_in(f, study.failover, _weightless(graph, f, flows)) == "rescale"]
    if not fixed:
        return
    names = listed({f.id for f in fixed}, 3)
    if study.objective != "cost":
        fix = f"leave out objective, or leave no failure without new weights; here: {names}"
        expected = "cost, where gateways only rescale in a failure"
        reading.error(parts.place.at("objective"), expected, study.objective, fix)
    for tier, place in parts.tiers:
        if tier.deferrable_hours:
            fix = f"leave deferrable_hours out: fixed weights cannot wait for the night, and there are such in {names}"
            expected = "0, where gateways only rescale in a failure"
            reading.error(place.at("deferrable_hours"), expected, f"{tier.deferrable_hours:g}", fix)


def _check_named(study: Study, graph: Graph, flows: set[tuple[str, str]], parts: Parts, reading: Reading) -> None:
    """No failure says that it has new weights where they cannot be pushed."""
    for named, place in parts.failures:
        if named.failover == "resolve":
            for failure in expand(Goal(failure=named.name, within_seconds=1.0), study, graph)[:1]:
                _check_pushed(failure, graph, flows, place, reading)


def _check_pushed(failure: Failure, graph: Graph, flows: set[tuple[str, str]], place: Place, reading: Reading) -> None:
    if weightless := _weightless(graph, failure, flows):
        got = f"resolve, while {listed(weightless, 3)} get no new weights in it"
        fix = "leave failover out, or do not lose what pushing needs"
        reading.error(place.at("failover"), "rescale, where no weights can be pushed", got, fix)


def _weightless(graph: Graph, failure: Failure, flows: set[tuple[str, str]]) -> list[str]:
    return without_new_weights(graph, availability(graph, failure.lost), flows)
