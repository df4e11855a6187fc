"""Sets of routes within each cluster: what a workload's HTTPRoute says from a moment of a failure on, and the runbook.

Weights of an HTTPRoute do not follow what lives (Gateway API v1): the share of a placement that is lost is answered
with errors until another set is applied. So there is one from detection on, which leaves out what is lost, and one for
each deadline with the plan's own weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.emit.capacity import surviving_replicas
from planner.emit.cascade import is_unseen
from planner.emit.fleet import Fleet
from planner.emit.kubernetes_options import PREFIX, Settings
from planner.emit.kubernetes_routes import workload_route
from planner.emit.moves import Moves, moves_of
from planner.emit.names import distinct, slug
from planner.emit.overrides import BASE, Override, deadline_id
from planner.emit.routing import NEGLIGIBLE_FRACTION, Subject
from planner.emit.runbook import listed_names, recognised, replica_table, when_due
from planner.emit.text import markdown_cell, quoted_yaml
from planner.problem.arrays import full
from planner.problem.problem import State, states
from planner.study.dependencies import NORMAL

Flows = Mapping[str, Mapping[str, float]]
"""Workload -> placement -> requests/s."""
ROW = (
    f"{{.metadata.name}} {{.metadata.annotations.{PREFIX}/set}} {{.metadata.generation}}"
    ' {.status.parents[*].conditions[*].observedGeneration} {.status.parents[*].conditions[*].status}{"\\n"}'
)
"""A row of `kubectl get`: name, set, generation, and for each condition the generation that was seen and its status."""


@dataclass(frozen=True)
class Cluster:
    """A cluster whose routes change.

    Parameters
    ----------
    folder : PROVIDER/REGION, as the manifests are sorted
    placements : those that it runs
    backend : what a route refers to for a placement
    """

    folder: str
    placements: frozenset[str]
    backend: Callable[[str], dict[str, Any]]

    @property
    def context(self) -> str:
        """Name that commands call it by."""
        return self.folder.replace("/", "-")


@dataclass(frozen=True)
class Step:
    """From a moment of a failure on: what each cluster sends where; clusters of which nothing changes are left out."""

    deadline_seconds: float
    flows: Mapping[str, Flows]
    """folder -> flows"""


def set_files(fleet: Fleet, of: Subject, clusters: list[Cluster], given: Settings, not_proven: str) -> dict[str, str]:
    """Routes by cluster, failure and deadline, those of normal operation, and the runbook: path -> text."""
    names = distinct(w.name for w in fleet.plan.study.workloads)
    steps_of = {f: _steps(of, clusters, f) for f in of.problem.failures if f != NORMAL}
    normal = {x.folder: _inside(_sent(of, (of.hour, NORMAL, 0.0)), x) for x in clusters}
    used = {x.folder: set(normal[x.folder]) for x in clusters}
    for step in (x for steps in steps_of.values() for x in steps):
        for folder, flows in step.flows.items():
            used[folder] |= set(flows)
    made: dict[str, str] = {}

    def write(cluster: Cluster, path: str, flows: Flows, set_id: str) -> None:
        routes = [
            workload_route(w, names[w], flows.get(w, {}), given, cluster.backend, set_id)
            for w in sorted(used[cluster.folder])
        ]
        head = (f"Set: {set_id}", *(["NOT PROVEN, see NOT-PROVEN.md"] if not_proven else []))
        made[f"{cluster.folder}/{path}/routes.yaml"] = quoted_yaml(
            {"apiVersion": "v1", "kind": "List", "items": routes}, head
        )

    for cluster in clusters:
        changes = [(f, step) for f, steps in steps_of.items() for step in steps if cluster.folder in step.flows]
        if changes:
            write(cluster, BASE, normal[cluster.folder], BASE)
        for f, step in changes:
            set_id = f"{slug(f)}/{deadline_id(step.deadline_seconds)}"
            write(cluster, f"overrides/{set_id}", step.flows[cluster.folder], set_id)
    return made | {"RUNBOOK.md": _runbook(of, clusters, steps_of, given, not_proven)}


# ------------------------------------------------------------------ what each step sends
def _sent(of: Subject, s: State) -> Flows:
    """Requests/s of a state over all origins, by workload and placement."""
    made: dict[str, dict[str, float]] = {}
    for (w, _), placements in of.sent.get(s, {}).items():
        sums = made.setdefault(w, {})
        for e, value in placements.items():
            sums[e] = sums.get(e, 0.0) + value
    return made


def _inside(flows: Flows, cluster: Cluster) -> Flows:
    """What of it the placements of a cluster get, but what is negligible beside the workload's largest there."""
    made = {}
    for w, sums in flows.items():
        inside = {e: value for e, value in sums.items() if e in cluster.placements}
        most = max(inside.values(), default=0.0)
        if kept := {e: value for e, value in inside.items() if value > NEGLIGIBLE_FRACTION * most}:
            made[w] = kept
    return made


def _steps(of: Subject, clusters: list[Cluster], f: str) -> list[Step]:
    """What changes from detection on and from each deadline on, by cluster."""
    in_failure = [s for s in states(of.problem, f) if s[0] == of.hour]
    normal = _sent(of, (of.hour, NORMAL, 0.0))
    survive = surviving_replicas(full(of.problem), of.vectors, in_failure[0]).tolist()
    living = {e for e, n in zip(of.problem.placements, survive, strict=True) if n > 0}
    remaining = {w: {e: value for e, value in sums.items() if e in living} for w, sums in normal.items()}
    sequence = [(s[2], _sent(of, s)) for s in in_failure]
    if of.problem.detection_seconds < in_failure[0][2]:
        sequence.insert(0, (of.problem.detection_seconds, remaining))
    before = {x.folder: _inside(normal, x) for x in clusters}
    made = []
    for seconds, flows in sequence:
        changed = {}
        for cluster in clusters:
            then = _inside(flows, cluster)
            if not _is_same(then, before[cluster.folder]):
                changed[cluster.folder] = before[cluster.folder] = then
        made.append(Step(seconds, changed))
    return made


def _is_same(first: Flows, second: Flows) -> bool:
    """Whether each workload is shared out alike."""
    return set(first) == set(second) and all(_has_same_shares(first[w], second[w]) for w in first)


def _has_same_shares(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    totals = sum(first.values()), sum(second.values())
    shares = [abs(first.get(e, 0.0) / totals[0] - second.get(e, 0.0) / totals[1]) for e in {*first, *second}]
    return max(shares) <= NEGLIGIBLE_FRACTION


# ------------------------------------------------------------------ the runbook
def _runbook(
    of: Subject, clusters: list[Cluster], steps_of: Mapping[str, list[Step]], given: Settings, not_proven: str
) -> str:
    """Per failure, that in which the plan serves least first: the commands of each step."""
    get = f"kubectl --context CLUSTER --namespace {given['namespace']} get httproutes"
    lines = ["# What to do within the clusters in a failure", ""]
    if not_proven:
        lines += [f"**NOT PROVEN.** {markdown_cell(not_proven)}", ""]
    lines += [
        "Gateways in front share requests among placements and clusters by their own runbook. This one is about the",
        "routes within each cluster: their weights do not follow what lives, so what is lost takes its share of the",
        "requests that come through them until a set is applied.",
        "",
        "A set is all routes of the workloads in a cluster, so any may follow any, and applying one twice changes",
        "nothing. Commands run in this folder; contexts are called PROVIDER-REGION. Where the API server is lost with",
        "the cluster nothing can be applied there, and nothing need be. A workload without backends is answered with",
        "an error. Seconds count from the failure's begin.",
        "",
        "Name, set and generation of each route, then what its controller has seen and whether it took it:",
        "",
        f"    {get} -o jsonpath='{{range .items[*]}}{ROW}{{end}}'",
        "",
        "A set is in force when its name stands in the row of every workload, with no other generation and no False.",
        "No controller was run: count requests by placement.",
        "",
    ]
    served = {f: _served(of, f) for f in steps_of}
    with_sets = [f for f, steps in steps_of.items() if any(step.flows for step in steps)]
    for number, f in enumerate(sorted(with_sets, key=lambda f: (served[f], f)), 1):
        lines += _failure(of, clusters, number, f, steps_of[f])
    without = sorted(set(steps_of) - set(with_sets))
    if without:
        lines += [f"**Nothing to apply in**: {listed_names(without)}.", ""]
    return "\n".join(lines)


def _served(of: Subject, f: str) -> float:
    """Requests/s that the plan serves at the first deadline."""
    first = next(s for s in states(of.problem, f) if s[0] == of.hour)
    return sum(sum(sums.values()) for sums in _sent(of, first).values())


def _failure(of: Subject, clusters: list[Cluster], number: int, f: str, steps: list[Step]) -> list[str]:
    lines = [f"## {number}. {markdown_cell(f)}", "", f"**Recognise it.** {recognised(of, f)}", ""]
    moves = moves_of(of, f)
    taken = [x for x in steps if x.flows or moves.get(x.deadline_seconds, Moves()).rows]
    for n, step in enumerate(taken):
        until = taken[n + 1].deadline_seconds if n + 1 < len(taken) else None
        moved = moves.get(step.deadline_seconds, Moves())
        due = when_due(of, Override(f, step.deadline_seconds, ()), moved, until, bool(step.flows))
        lines += [f"**Step {n + 1}, {due}**", ""]
        path = f"overrides/{slug(f)}/{deadline_id(step.deadline_seconds)}/routes.yaml"
        apply = [_apply(x, path) for x in clusters if x.folder in step.flows]
        apply += [""] if apply else []
        lines += [*replica_table(moved), *apply] if moved.has_starts else [*apply, *replica_table(moved)]
    changed = {folder for step in steps for folder in step.flows}
    back = [_apply(x, f"{BASE}/routes.yaml") for x in clusters if x.folder in changed]
    when = "When what was lost answers again"
    if is_unseen(of, f):
        when = "Somebody decides it, no check does: when what was lost has been repaired"
    order = "start the replicas of normal operation, and when all answer" if any(x.rows for x in moves.values()) else ""
    return [*lines, f"**Return.** {when}{', ' if order else ''}{order}:", "", *back, ""]


def _apply(cluster: Cluster, path: str) -> str:
    return f"    kubectl --context {cluster.context} apply -f {cluster.folder}/{path}"
