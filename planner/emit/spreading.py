"""What a plan counts on inside its placements, what the emitted files do there, and what to do where that is less.

A plan by waiting counts on requests being spread over the replicas of a placement (`utilisation: {spread: ...}`). What
each target does is in behaviour.py.
"""

from collections.abc import Mapping

from planner.drill.simulated_queue import Routing
from planner.emit.behaviour import (
    INFERENCE_EXTENSION,
    INFERENCE_EXTENSION_NOT_SET,
    INFERENCE_EXTENSION_OWN,
    INSIDE,
    Inside,
)
from planner.emit.known import ALL, TARGETS
from planner.emit.kubernetes_options import AS_IT_COMES, BY_REQUESTS
from planner.plan.in_hand import Plan
from planner.questions.simulated import OF_SPREAD
from planner.study.waiting import SPREADS, Spread

PAGE = "SPREAD.md"
NEARLY: Routing = "two-at-random"
"""What a balancer does that looks at the replicas, but not at all of them (Envoy, LEAST_REQUEST with its `choice_count`
of 2; Envoy Gateway's default, and it sends to pods themselves, 2026)."""


def counts_on(plan: Plan) -> Spread | None:
    """What a plan counts on inside a placement; none: on nothing, as utilisation is fixed, any replica will do, or no
    placement ever has two."""
    said = plan.study.utilisation
    if said.basis == "fixed" or said.spread == "each" or not _with_several_replicas(plan):
        return None
    return said.spread


def picker_of(plan: Plan, setting: str) -> str:
    """How the pickers of pools choose, `least-requests` or `own`: as set, else as the plan counts on.

    A plan of workloads with `cached_fraction` counts on prefix caches, which a picker by requests alone does not look
    at: there it is left as it comes.
    """
    if setting:
        return setting
    counts_on_caches = any(w.cached_fraction > 0 for w in plan.study.workloads)
    return BY_REQUESTS if counts_on(plan) is not None and not counts_on_caches else AS_IT_COMES


def falls_short(plan: Plan, target: str, options: Mapping[str, str]) -> dict[str, Inside]:
    """Target -> what it does inside a placement, of those emitted that may keep to less than the plan counts on."""
    counted = counts_on(plan)
    if counted is None:
        return {}
    kindest_first = list(SPREADS)
    behind: dict[str, Inside] = {}
    for name in TARGETS if target == ALL else (target,):
        inside = INSIDE.get(_as_set(plan, name, options))
        if inside is None:
            continue
        if inside.spread is None or kindest_first.index(inside.spread) > kindest_first.index(counted):
            behind[name] = inside
    return behind


def _as_set(plan: Plan, target: str, options: Mapping[str, str]) -> str:
    """Under which name it is known what a target does, by its settings."""
    if target != INFERENCE_EXTENSION:
        return target
    if not options.get("picker_image"):
        return INFERENCE_EXTENSION_NOT_SET
    return target if picker_of(plan, options.get("picker", "")) == BY_REQUESTS else INFERENCE_EXTENSION_OWN


# ------------------------------------------------------------------ in words
def spread_warnings(plan: Plan, target: str, options: Mapping[str, str]) -> list[str]:
    """What `planner emit` says of it: a line for targets that do the same, and two with what to do; empty: nothing."""
    behind = falls_short(plan, target, options)
    if not behind:
        return []
    targets_of: dict[str, list[str]] = {}
    for name, inside in behind.items():
        targets_of.setdefault(inside.how, []).append(name)
    said = [f"{', '.join(names)}: inside a placement {how}" for how, names in targets_of.items()]
    counted = f"the plan counts on {counts_on(plan)} there: with less, first tokens are late in normal operation, too"
    do = "emit inference-extension with picker_image, put a balancer that looks at the replicas behind each address, or"
    see = "to see it: planner drill PLAN --simulate --routing " + OF_SPREAD["each"]
    return [*said, counted, f"to fix, {do} plan with utilisation.spread=each ({PAGE}); {see}"]


def spread_head(plan: Plan) -> list[str]:
    """Head of a file that leads requests to a placement, beside what else has to be said of it; empty: nothing."""
    counted = counts_on(plan)
    return [] if counted is None else [f"Inside a placement the plan counts on {counted}: see {PAGE}."]


def spread_page(plan: Plan, target: str, options: Mapping[str, str]) -> str:
    """What the plan counts on, what the files do, what to do and how one sees what it does; empty: nothing to say."""
    counted = counts_on(plan)
    behind = falls_short(plan, target, options)
    if counted is None or not behind:
        return ""
    several, placements = len(_with_several_replicas(plan)), len(_replicas_at_most(plan))
    lines = [
        "# Inside a placement",
        "",
        f"The plan counts on `{counted}` (`utilisation: {{basis: waiting}}`): {SPREADS[counted]}.",
        f"{several} of its {placements} placements may have more than one replica. With less than that, first tokens",
        "come later than the plan says, in normal operation, too. What the files here do:",
        "",
        "| target | inside a placement | source | enough |",
        "| --- | --- | --- | --- |",
    ]
    for name in TARGETS if target == ALL else (target,):
        inside = INSIDE.get(_as_set(plan, name, options))
        if inside is not None:
            enough = "yes" if name not in behind else "no" if inside.spread else "if that is"
            lines.append(f"| {name} | {_cell(inside.how)} | {_cell(inside.source)} | {enough} |")
    lines += ["", "What to do: one of these, for every placement with more than one replica.", "", *_to_do(counted), ""]
    routings = (OF_SPREAD["each"], NEARLY, OF_SPREAD[counted])
    lines += [
        "What it comes to, with this plan:",
        "",
        f"    planner drill PLAN --simulate {' '.join(f'--routing {routing}' for routing in routings)}",
        "",
        "A balancer counts the requests that it has sent itself: of several beside each other each knows its own part.",
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text of our own in a cell, with its `names`."""
    return text.replace("|", "\\|")


def _to_do(counted: Spread) -> list[str]:
    """What makes good of it, a point each."""
    points = []
    if counted == "one-queue":
        points += [
            "- Nothing that is emitted holds a request back until a slot is free. Plan again with",
            "  `utilisation.spread=least-requests`, and then as below; or put a queue of your own behind each address.",
        ]
    return [
        *points,
        f"- `planner emit inference-extension` with `picker_image` and `picker={BY_REQUESTS}`, applied after target",
        "  kubernetes. Where gateways stand in front, set `domain` for both, and have the gateways ask for the names",
        "  under it: they then lead to pools with a picker. The name of a Service never does.",
        "- Behind each address a balancer of your own that sends a request to the replica with the fewest.",
        f"- Less, and often too little (`{NEARLY}`): names under `domain`, and a Gateway whose proxies send to pods,",
        "  to that of two at random which has fewer requests, as Envoy Gateway does where nothing else is set.",
        "- Plan for what is there: `planner whatif PLAN --set utilisation.spread=each` says what that costs.",
    ]


def _replicas_at_most(plan: Plan) -> dict[str, int]:
    """Most replicas of each placement at a time, or more: those of normal operation and what a failure starts."""
    normal: dict[str, int] = {}
    for row in plan.file.replicas:
        normal[row.placement] = max(row.replicas, normal.get(row.placement, 0))
    most = dict(normal)
    for state in plan.file.states:
        for placement, started in state.cold_started.items():
            most[placement] = max(most.get(placement, 0), normal.get(placement, 0) + started)
    return most


def _with_several_replicas(plan: Plan) -> list[str]:
    """Placements that may have more than one replica."""
    return [placement for placement, replicas in _replicas_at_most(plan).items() if replicas > 1]
