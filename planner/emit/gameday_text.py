"""What a person reads of game days: order of work, what is still to be filled in, what passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.emit.faults import FAULT_ACTIONS, SHUT_DOWN, Group
from planner.emit.gameday_options import EXCLUDED, Settings
from planner.emit.kubernetes_workloads import BUSY_CHECK_SECONDS, BUSY_CHECKS, DEAD_CHECKS
from planner.emit.text import markdown_cell

UNREADY_SECONDS, RESTART_SECONDS = BUSY_CHECK_SECONDS * BUSY_CHECKS, BUSY_CHECK_SECONDS * DEAD_CHECKS
"""Until a pod that answers no check is off the lists, and until it is started anew [s]."""
ORDER_OF_WORK = (
    "Order of work: start the experiments; do what RUNBOOK.md of the gateway says for this failure (its set, replicas",
    "to start and to evict); look at each deadline; end the experiments; return as the runbook says. To start and end:",
    "",
    "- FIS, in its region: `aws fis start-experiment --experiment-template-id ID`, `aws fis stop-experiment --id ID`",
    "- Chaos Studio: `POST` to the experiment's URL with `/start`, `/cancel`",
    "- Chaos Mesh: applying the file starts it; `kubectl delete -f FILE` ends it",
    "",
)
TOLERANCE_POINTS = 2.0
"""What a share of traffic may miss what is expected by [percentage points]: a sample, whole weights, retries."""


@dataclass(frozen=True)
class Page:
    """What the page of a failure says.

    Parameters
    ----------
    commands : (file, service, command)
    still_open : settings that are to be filled in
    not_broken : groups of nodes that no file breaks, and why
    partly_lost : groups of nodes of which a part is lost
    by_hand : what no service here can break
    deadlines : what is expected by when, as in expected.json
    """

    failure: str
    commands: Sequence[tuple[str, str, str]]
    still_open: Sequence[str]
    not_broken: Mapping[str, str]
    partly_lost: Sequence[Group]
    by_hand: Sequence[str]
    deadlines: Sequence[Mapping[str, Any]]


def readme(page: Page, settings: Settings) -> str:
    """The page of one failure."""
    lines = [f"# Game day: {markdown_cell(page.failure)}", ""]
    if page.still_open:
        lines += [f"**Not set yet**: {', '.join(f'`--set {name}=`' for name in page.still_open)}.", ""]
    if page.not_broken:
        lines += ["**These groups of nodes no file stops**; their pods are failed or cut off as all others:", ""]
        lines += [f"- {group}: {why}" for group, why in page.not_broken.items()]
        lines += [
            "",
            f"`--set node_group.GROUP=` takes the name of the EKS node group that runs one, key=value of a tag of its "
            f"instances, or `{EXCLUDED}`: left out on purpose.",
            "",
        ]
    if not settings.alarm_arn and any(service == "AWS FIS" for _, service, _ in page.commands):
        lines += ["**No alarm ends the AWS experiment by itself**: `--set stop_alarm_arn=` names one.", ""]
    lines += [
        f"Each file breaks a part of the failure for {settings.minutes} minutes, by itself, and undoes it afterwards.",
        "Start those of one way together: machines (FIS, Chaos Studio), or pods that refuse connections, or pods that",
        "never answer. What never answers is found out last: that is the hardest of the three.",
        *how_long_silent(settings),
        "",
        "| file | service | command |",
        "| --- | --- | --- |",
        *(f"| {path} | {service} | `{command}` |" for path, service, command in page.commands),
        "",
    ]
    if not page.commands:
        lines += ["No machine and no replica of the plan is lost: nothing here can break it.", ""]
    if page.by_hand:
        lines += ["By hand, as no service here can:", "", *(f"- {markdown_cell(text)}" for text in page.by_hand), ""]
    if page.partly_lost:
        lines += ["Partly lost, so pods are failed at random instead of chosen machines:", ""]
        lines += [f"- {g.name}: {100 * g.lost_fraction:.0f} %" for g in page.partly_lost]
        lines += [""]
    lines += [
        *ORDER_OF_WORK,
        "It passes if by each deadline what is due is served. Where the failure's set is in force, traffic is also",
        f"where the plan puts it, within {TOLERANCE_POINTS:g} percentage points; gateways that fail over by themselves",
        "send it elsewhere.",
        "",
    ]
    for at in page.deadlines:
        lines += [
            f"## Within {at['within_seconds']:g} s",
            "",
            "| workload | due | planned |",
            "| --- | --: | --: |",
            *(
                f"| {markdown_cell(row['workload'])} | {100 * row['due_fraction']:.1f} % |"
                f" {100 * row['served_fraction']:.1f} % |"
                for row in at["workloads"]
            ),
            "",
            "| placement | in the files | share of all that is served |",
            "| --- | --- | --: |",
            *(
                f"| {markdown_cell(row['placement'])} | {row['id']} | {100 * row['share_fraction']:.1f} % |"
                for row in at["placements"]
            ),
            "",
        ]
    lines += ["Stop at once when less than what is due is served after the last deadline: end the experiments.", ""]
    return "\n".join(lines)


def how_long_silent(settings: Settings) -> list[str]:
    """How long pods that are cut off stay on the lists of endpoints."""
    if settings.gateway_namespace:
        return [
            f"Pods are cut off from those of namespace {settings.gateway_namespace} alone: the kubelet still reaches",
            "them, they stay ready, and gateways have to find out by themselves.",
        ]
    return [
        f"The kubelet does not reach them either: after about {UNREADY_SECONDS} s they are not ready and leave the",
        f"lists of endpoints, after {RESTART_SECONDS} s they are started anew. A gateway that addresses Services has",
        "only the seconds until then to find out; `--set gateway_namespace=` cuts them off from its pods alone.",
    ]


def index_page(index: Sequence[tuple[str, str, int, Sequence[str]]], settings: Settings) -> str:
    """The page of all game days: (failure, folder, files, what is not set yet) of each."""
    used = sorted(
        {f"{known.service}: {known.action} ({known.source}, {known.as_of})" for known in FAULT_ACTIONS.values()}
    )
    lines = [
        "# Game days",
        "",
        f"One folder a failure; each lasts {settings.minutes} minutes. Nothing is started by these files alone.",
        "",
        "| failure | folder | files | not set yet |",
        "| --- | --- | --: | --- |",
        *(
            f"| {markdown_cell(f)} | {folder} | {count} | {', '.join(f'`{name}`' for name in still_open)} |"
            for f, folder, count, still_open in index
        ),
        "",
        "Actions and their parameters are held to these sources; what a service's own schema says is checked by tests,",
        f"not here. `{SHUT_DOWN}` needs the scale set to be a target of Chaos Studio first.",
        "",
        *(f"- {line}" for line in used),
        "",
    ]
    return "\n".join(lines)
