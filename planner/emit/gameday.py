"""Game days: for chosen failures what breaks them on purpose, and what must be seen then.

A failure's folder has a README with the order of work, what is expected by which second, and one file for each
service that breaks a part of it: AWS FIS and Azure Chaos Studio stop machines, Chaos Mesh fails or cuts off pods in any
cluster.
Expectations are shares of traffic, so that they hold at any hour; they are those of the plan, which the drill has
replayed before anything is emitted.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from planner.emit.faults import (
    FAULT_ACTIONS,
    PARTITION,
    POD_FAILURE,
    SHUT_DOWN,
    Group,
    aws_template,
    azure_experiment,
    chaos_mesh,
)
from planner.emit.fleet import Fleet, fleet_of, zone_of
from planner.emit.names import distinct, slug
from planner.emit.options import chosen, integer
from planner.emit.routing import Subject, peak_requests_per_second, subject
from planner.emit.text import json_text, markdown_cell, quoted_yaml
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction
from planner.study.dependencies import NORMAL
from planner.study.places import listed, near_miss
from planner.study.records.plan import PlanFile

OPTIONS: Mapping[str, str] = {
    "failures": "",
    "minutes": "30",
    "namespace": "serving",
    "fis_role_arn": "",
    "stop_alarm_arn": "",
    "subnet_tag": "",
    "zones.": "",
    "scale_set.": "",
}
LEAST_MINUTES, MOST_MINUTES = 1, 720
"""FIS ends no experiment of more than 12 hours (AWS FIS quotas, 2026-11)."""
NOT_SET = "NOT-SET"
CHAOS_URL = (
    "https://management.azure.com/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Chaos"
    "/experiments/NAME?api-version=2024-01-01"
)
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ARN = re.compile(r"arn:[!-~]{16,2000}")
_ZONES = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)*")
_SCALE_SET = re.compile(r"/subscriptions/[A-Za-z0-9._()/-]+")
ORDER_OF_WORK = (
    "Order of work: start the experiments; do what RUNBOOK.md of the gateway says for this failure (its set, replicas",
    "to start and to evict); look at each deadline; end the experiments; return as the runbook says. To start and end:",
    "",
    "- FIS, in its region: `aws fis start-experiment --experiment-template-id ID`, `aws fis stop-experiment --id ID`",
    "- Chaos Studio: `POST` to the experiment's URL with `/start`, `/cancel`",
    "- Chaos Mesh: applying the file starts it; `kubectl delete -f FILE` ends it",
    "",
)
NOT_PROVEN = "NOT PROVEN: audit, proof or drill of this plan fail; what is expected here may not hold"
TOLERANCE_POINTS = 2.0
"""What a share of traffic may miss what is expected by [percentage points]: a sample, whole weights, retries."""


@dataclass(frozen=True)
class Settings:
    """What the files are made with, and which of it is still to be filled in."""

    minutes: int
    namespace: str
    role_arn: str
    alarm_arn: str | None
    subnet_tag: tuple[str, str] | None
    zones: Mapping[str, str]
    scale_sets: Mapping[str, str]
    """cell -> resource id"""


@dataclass(frozen=True)
class Breaks:
    """What a failure takes: shares of groups of nodes and of placements, and what no service here can break."""

    groups: Mapping[tuple[str, str], tuple[Group, ...]]
    """(provider, region) -> groups of nodes"""
    lost_fraction: Mapping[tuple[str, str], Mapping[str, float]]
    """(provider, region) -> placement -> share of its replicas that is lost"""
    by_hand: tuple[str, ...]


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """A folder for each chosen failure.

    Parameters
    ----------
    options : `failures`: one id, or a JSON list of ids; none: all. `minutes`: how long it lasts. `namespace`: of the
        pods. `fis_role_arn`, `stop_alarm_arn`: role and alarm of FIS. `subnet_tag`: key=value of subnets to cut off.
        `zones.REGION`: availability zones, with commas. `scale_set.GROUP`: resource id of an AKS node pool's scale set

    Raises
    ------
    InputError
        for every option that does not fit
    """
    of = subject(plan)
    fleet = fleet_of(of.plan)
    wanted, settings = _read_options(of.problem, fleet, options)
    made: dict[str, str] = {}
    folders = distinct(wanted)
    index = []
    for f in wanted:
        parts, still_open = _failure_files(of, fleet, f, settings)
        made |= {f"{folders[f]}/{path}": text for path, text in parts.items()}
        index.append((f, folders[f], len(parts) - 2, still_open))
    made["README.md"] = _index(index, settings)
    if options.get("not_proven"):
        readmes = [path for path in made if path.endswith("README.md")]
        made |= {path: f"**{NOT_PROVEN}**\n\n{made[path]}" for path in readmes}
    return dict(sorted(made.items()))


# ------------------------------------------------------------------ options
def _read_options(p: Problem, fleet: Fleet, options: Mapping[str, str]) -> tuple[tuple[str, ...], Settings]:
    prefixes = [key for key in OPTIONS if key.endswith(".")]
    by_prefix: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes}
    plain = {}
    for key, value in options.items():
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is not None:
            by_prefix[prefix][key.removeprefix(prefix)] = value
        elif key != "not_proven":
            plain[key] = value
    values = chosen(plain, {key: default for key, default in OPTIONS.items() if key not in prefixes})
    findings = []
    key, equals, tagged = values["subnet_tag"].partition("=")
    if values["subnet_tag"] and not (key and equals and tagged):
        findings.append(Finding("--set subnet_tag", "key=value", repr(values["subnet_tag"])[:80], "as in tier=gpu"))
    for name in ("fis_role_arn", "stop_alarm_arn"):
        if values[name] and not _ARN.fullmatch(values[name]):
            findings.append(Finding(f"--set {name}", "an ARN", repr(values[name])[:80], "as in arn:aws:..."))
    if not _NAMESPACE.fullmatch(values["namespace"]):
        got = repr(values["namespace"])[:80]
        findings.append(Finding("--set namespace", "lower-case letters, digits and -", got, "change it"))
    regions = {site.region for site in fleet.site_of.values() if site.provider == "aws"}
    findings += _unfit("zones.", by_prefix["zones."], regions, _ZONES, "as in us-east-1a,us-east-1b")
    groups = {cell.name for cell in fleet.cells("azure")}
    findings += _unfit("scale_set.", by_prefix["scale_set."], groups, _SCALE_SET, "as in /subscriptions/...")
    failures, unknown = _failures(p, values["failures"])
    findings += unknown
    minutes = LEAST_MINUTES
    try:
        minutes = integer(values, "minutes", LEAST_MINUTES, MOST_MINUTES)
    except InputError as error:
        findings += error.findings
    if findings:
        raise InputError(findings)
    settings = Settings(
        minutes=minutes,
        namespace=values["namespace"],
        role_arn=values["fis_role_arn"] or f"arn:aws:iam::000000000000:role/{NOT_SET}",
        alarm_arn=values["stop_alarm_arn"] or None,
        subnet_tag=(key, tagged) if tagged else None,
        zones=by_prefix["zones."],
        scale_sets=by_prefix["scale_set."],
    )
    return failures, settings


def _unfit(
    prefix: str, given: Mapping[str, str], known: Collection[str], expected: re.Pattern[str], example: str
) -> list[Finding]:
    """Settings of what the plan does not have, and values that do not fit."""
    findings = []
    for name, value in given.items():
        where = f"--set {prefix}{name[:80]}"
        if name not in known:
            findings.append(Finding(where, f"one of {listed(known)}", f"{name[:80]!r}", "name one that the plan has"))
        elif not expected.fullmatch(value):
            findings.append(Finding(where, "a value of its kind", repr(value)[:80], example))
    return findings


def _failures(p: Problem, text: str) -> tuple[tuple[str, ...], list[Finding]]:
    """Ids of failures as they were asked for, in the order of the plan; and those that there are none of."""
    known = [f for f in p.failures if f != NORMAL]
    if not text:
        return tuple(known), []
    asked: Any = text
    if text.startswith("["):
        try:
            asked = json.loads(text)
        except json.JSONDecodeError as error:
            fix = 'as in ["site:aws/us-east-2"]'
            return (), [Finding("--set failures", "a JSON list of ids", str(error)[:80], fix)]
    names = [asked] if isinstance(asked, str) else asked
    findings = [
        Finding(
            "--set failures", "a failure of the plan", f"{str(name)[:80]!r}{near_miss(str(name), known)}", "name it"
        )
        for name in names
        if name not in known
    ]
    return tuple(f for f in known if f in names), findings


# ------------------------------------------------------------------ what a failure takes
def breaks(of: Subject, fleet: Fleet, f: str) -> Breaks:
    """What a failure takes of the plan's machines and replicas, by provider and region."""
    p, lost = of.problem, of.problem.lost[f]
    groups: dict[tuple[str, str], tuple[Group, ...]] = {}
    for provider in sorted({site.provider for site in fleet.site_of.values()}):
        for cell in fleet.cells(provider):
            share, site = 1 - lost.get(cell.lot.pool, 1.0), fleet.site_of[cell.lot.pool]
            if share > 0:
                where = provider, site.region
                groups[where] = (*groups.get(where, ()), Group(cell.name, share, zone_of(site)))
    fractions: dict[tuple[str, str], dict[str, float]] = {}
    for r in fleet.running:
        share = 1 - min(lost.get(r.placement, 1.0), lost.get(r.pool, 1.0))
        if share > 0:
            site = fleet.site_of[r.pool]
            fractions.setdefault((site.provider, site.region), {})[r.placement] = share
    return Breaks(groups, fractions, _by_hand(p, f))


def _by_hand(p: Problem, f: str) -> tuple[str, ...]:
    failure, lines = p.failures[f], []
    kept_out = {w for (w, _), fraction in p.coverable[f].items() if fraction < 1}
    if kept_out:
        lines.append(f"requests of {', '.join(sorted(kept_out))} that no capacity can serve: close what they pass")
    if p.closed[f]:
        components = sorted({p.request_limits.component_of[id] for id in p.closed[f]})
        lines.append(f"components that are closed: {', '.join(components)}")
    if p.cannot_start[f]:
        lines.append(f"no replica commands in {len(p.cannot_start[f])} placements meanwhile: stop what commands them")
    if failure.surge_factor != 1:
        lines.append(f"all demand times {failure.surge_factor:g}: send it")
    lines += [f"demand of {what} times {factor:g}: send it" for what, factor in sorted(failure.surges.items())]
    return tuple(lines)


# ------------------------------------------------------------------ files of one failure
def _failure_files(of: Subject, fleet: Fleet, f: str, settings: Settings) -> tuple[dict[str, str], tuple[str, ...]]:
    """Files of a failure, and what in them has still to be filled in."""
    taken = breaks(of, fleet, f)
    made: dict[str, str] = {}
    still_open: set[str] = set()
    commands: list[tuple[str, str, str]] = []
    for (provider, region), groups in taken.groups.items():
        if provider == "aws":
            path = f"aws-fis-{slug(region)}.json"
            zones = settings.zones.get(region, NOT_SET)
            template = aws_template(
                f,
                groups,
                settings.minutes,
                zones,
                settings.role_arn,
                settings.alarm_arn,
                settings.subnet_tag,
                _is_region_lost(fleet, provider, region, groups),
            )
            made[path] = json_text(template)
            still_open |= {name for name in ("fis_role_arn",) if NOT_SET in settings.role_arn}
            still_open |= {f"zones.{region}" for group in groups if not group.zone and zones == NOT_SET}
            commands.append(
                (
                    path,
                    "AWS FIS",
                    f"aws fis create-experiment-template --region {slug(region)} --cli-input-json file://{path}",
                )
            )
        lost_in_full = tuple(group for group in groups if group.lost_fraction >= 1)
        if provider == "azure" and lost_in_full:
            path = f"azure-chaos-{slug(region)}.json"
            missing = {g.name: f"/subscriptions/{NOT_SET}" for g in lost_in_full if g.name not in settings.scale_sets}
            still_open |= {f"scale_set.{name}" for name in missing}
            body = azure_experiment(f, region, lost_in_full, settings.minutes, {**settings.scale_sets, **missing})
            made[path] = json_text(body)
            how = f"az rest --method put --url {CHAOS_URL} --body @{path}"
            commands.append((path, "Azure Chaos Studio", how))
    for (provider, region), fractions in taken.lost_fraction.items():
        for action, does in ((POD_FAILURE, "refuse"), (PARTITION, "never-answer")):
            path = f"chaos-mesh-{slug(provider)}-{slug(region)}-{does}.yaml"
            objects = chaos_mesh(f, action, settings.namespace, fractions, settings.minutes)
            made[path] = "---\n".join(quoted_yaml(one) for one in objects)
            commands.append((path, "Chaos Mesh", f"kubectl --context {slug(provider)}-{slug(region)} apply -f {path}"))
    made["expected.json"] = json_text(expected(of, f))
    made["README.md"] = _readme(of, f, taken, commands, still_open, settings)
    return made, tuple(sorted(still_open))


def _is_region_lost(fleet: Fleet, provider: str, region: str, lost: Collection[Group]) -> bool:
    """Whether nothing remains of any group of nodes in a region."""
    groups = {cell.name for cell in fleet.cells(provider) if fleet.site_of[cell.lot.pool].region == region}
    return groups == {group.name for group in lost if group.lost_fraction >= 1}


def expected(of: Subject, f: str) -> dict[str, Any]:
    """What must be seen at each deadline of a failure, in shares, by the plan: the criteria of a game day.

    `served_fraction` and `due_fraction` are of what is offered of a workload; `share_fraction` is of all requests that
    are served. Shares of placements are those of the plan: they hold where the set of the failure is in force, not
    while gateways fail over by themselves.
    """
    return {
        "failure": f,
        "tolerance_percentage_points": TOLERANCE_POINTS,
        "shares_hold": "while the set of this failure is in force at every gateway (RUNBOOK.md); else only what is due",
        "deadlines": [_expected_in(of, s) for s in states(of.problem, f) if s[0] == of.hour],
    }


def _expected_in(of: Subject, s: State) -> dict[str, Any]:
    p, sent = of.problem, of.sent.get(s, {})
    by_placement: dict[str, float] = {}
    offered, due, served = ({w: 0.0 for w, _ in p.flows} for _ in range(3))
    for w, o in p.flows:
        peak = peak_requests_per_second(p, w, o, s)
        offered[w] += peak
        due[w] += due_fraction(p, w, o, s) * peak
        for e, rate in sent.get((w, o), {}).items():
            served[w] += rate * p.burst_factor[w]
            by_placement[e] = by_placement.get(e, 0.0) + rate * p.burst_factor[w]
    together = sum(by_placement.values())
    return {
        "within_seconds": s[2],
        "workloads": [
            {"workload": w, "due_fraction": due[w] / offered[w], "served_fraction": min(1.0, served[w] / offered[w])}
            for w in sorted(offered)
            if offered[w] > 0
        ],
        "placements": [
            {"placement": e, "id": slug(e), "share_fraction": rate / together}
            for e, rate in sorted(by_placement.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def _readme(
    of: Subject,
    f: str,
    taken: Breaks,
    commands: list[tuple[str, str, str]],
    still_open: set[str],
    settings: Settings,
) -> str:
    lines = [f"# Game day: {markdown_cell(f)}", ""]
    if still_open:
        lines += [f"**Not set yet**: {', '.join(f'`--set {name}=`' for name in sorted(still_open))}.", ""]
    if not settings.alarm_arn and any(service == "AWS FIS" for _, service, _ in commands):
        lines += ["**No alarm ends the AWS experiment by itself**: `--set stop_alarm_arn=` names one.", ""]
    lines += [
        f"Each file breaks a part of the failure for {settings.minutes} minutes, by itself, and undoes it afterwards.",
        "Start those of one way together: machines (FIS, Chaos Studio), or pods that refuse connections, or pods that",
        "never answer. What never answers is found out last: that is the hardest of the three.",
        "",
        "| file | service | command |",
        "| --- | --- | --- |",
        *(f"| {path} | {service} | `{command}` |" for path, service, command in commands),
        "",
    ]
    if not commands:
        lines += ["No machine and no replica of the plan is lost: nothing here can break it.", ""]
    if taken.by_hand:
        lines += ["By hand, as no service here can:", "", *(f"- {markdown_cell(text)}" for text in taken.by_hand), ""]
    halves = [g for groups in taken.groups.values() for g in groups if g.lost_fraction < 1]
    if halves:
        lines += ["Partly lost, so pods are failed at random instead of chosen machines:", ""]
        lines += [f"- {g.name}: {100 * g.lost_fraction:.0f} %" for g in halves]
        lines += [""]
    lines += [
        *ORDER_OF_WORK,
        "It passes if by each deadline what is due is served. Where the failure's set is in force, traffic is also",
        f"where the plan puts it, within {TOLERANCE_POINTS:g} percentage points; gateways that fail over by themselves",
        "send it elsewhere.",
        "",
    ]
    for at in expected(of, f)["deadlines"]:
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


def _index(index: list[tuple[str, str, int, tuple[str, ...]]], settings: Settings) -> str:
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
