"""Settings of game days: which failures, how long, and what a plan cannot know of clouds; all checked at once."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from planner.emit.faults import EKS_GROUP
from planner.emit.fleet import Cell, Fleet
from planner.emit.options import chosen, integer
from planner.emit.terraform import short_names
from planner.errors import Finding, InputError
from planner.problem.problem import Problem
from planner.study.dependencies import NORMAL
from planner.study.places import listed, near_miss

OPTIONS: Mapping[str, str] = {
    "failures": "",
    "minutes": "30",
    "namespace": "serving",
    "gateway_namespace": "",
    "fis_role_arn": "",
    "stop_alarm_arn": "",
    "subnet_tag": "",
    "zones.": "",
    "node_group.": "",
    "scale_set.": "",
}
LEAST_MINUTES, MOST_MINUTES = 1, 720
"""FIS ends no experiment of more than 12 hours (AWS FIS quotas, 2026-11)."""
NOT_SET = "NOT-SET"
EXCLUDED = "none"
"""Value of `node_group` and `scale_set` that leaves a group out."""
MADE_BY_TERRAFORM = ("immediate", "spot", "none")
"""Instruments of which Terraform makes a group of nodes at once, by the group's own name."""
WHY_NOT: Mapping[str, str] = {
    "held": "held already: what runs it was not made by these files",
    "capacity_block": "a Capacity Block: Terraform makes its nodes only when its window has begun",
}
ORDERED = "ordered by hand: what runs it was not made by these files"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ARN = r"arn:aws(-[a-z]+)*"
_ROLE = re.compile(_ARN + r":iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}")
_ALARM = re.compile(_ARN + r":cloudwatch:[a-z]+(-[a-z]+)+-[0-9]+:[0-9]{12}:alarm:[!-~]([ -~]{0,253}[!-~])?")
_ZONE_ID = re.compile(r"[a-z]{2,6}[0-9]{1,2}-([a-z]+[0-9]+-)?az[0-9]{1,2}")
_NODE_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9 _.:/+@-]{1,128}=[A-Za-z0-9 _.:/+@-]{1,256}")
_SCALE_SET = re.compile(
    r"/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourceGroups/[\w.()-]{1,90}"
    r"/providers/Microsoft\.Compute/virtualMachineScaleSets/[\w.-]{1,64}",
    re.ASCII | re.IGNORECASE,
)
_EXAMPLES = {
    "zones.": "as in us-east-1a,us-east-1b, or their ids",
    "node_group.": f"the name of the EKS node group, key=value of a tag of its instances, or {EXCLUDED}",
    "scale_set.": "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/virtualMachineScaleSets/NAME,"
    f" or {EXCLUDED}",
}


@dataclass(frozen=True)
class Settings:
    """What the files are made with, and which of it is still to be filled in.

    Parameters
    ----------
    gateway_namespace : of the pods of gateways in the same clusters; empty: not known
    zones : region -> availability zones, with commas
    tags : group of nodes on AWS -> (key, value) of the tag that its instances and its Auto Scaling group have
    scale_sets : group of nodes on Azure -> resource id
    excluded : groups that are left out on purpose
    """

    minutes: int
    namespace: str
    gateway_namespace: str
    role_arn: str
    alarm_arn: str | None
    subnet_tag: tuple[str, str] | None
    zones: Mapping[str, str]
    tags: Mapping[str, tuple[str, str]]
    scale_sets: Mapping[str, str]
    excluded: frozenset[str]


def unaddressed(cell: Cell) -> str | None:
    """Why nobody can say by what the nodes of a group on AWS are known; none: Terraform makes them by its name."""
    if cell.lot.offer is None:
        return WHY_NOT["held"]
    instrument = cell.lot.rule.instrument
    return None if instrument in MADE_BY_TERRAFORM else WHY_NOT.get(instrument, ORDERED)


def read_options(p: Problem, fleet: Fleet, options: Mapping[str, str]) -> tuple[tuple[str, ...], Settings]:
    """The failures that were asked for, and the settings.

    Raises
    ------
    InputError
        for every option that does not fit
    """
    plain, of = _by_prefix(options)
    values = chosen(plain, {key: default for key, default in OPTIONS.items() if not key.endswith(".")})
    findings = _unfit_values(values)
    regions = {site.region for site in fleet.site_of.values() if site.provider == "aws"}
    findings += _unfit("zones.", of["zones."], regions, lambda region, text: _are_zones(region, text))
    groups = {cell.name for cell in fleet.cells("aws")}
    findings += _unfit("node_group.", of["node_group."], groups, lambda _, text: _is_group(text))
    sets, unknown = _by_group(fleet, of["scale_set."])
    findings += unknown
    findings += _unfit(
        "scale_set.", sets, set(sets), lambda _, text: text == EXCLUDED or bool(_SCALE_SET.fullmatch(text))
    )
    findings += _repeated("scale_set.", sets)
    failures, unknown = _failures(p, values["failures"])
    findings += unknown
    minutes = LEAST_MINUTES
    try:
        minutes = integer(values, "minutes", LEAST_MINUTES, MOST_MINUTES)
    except InputError as error:
        findings += error.findings
    if findings:
        raise InputError(findings)
    tag_key, _, tag_value = values["subnet_tag"].partition("=")
    named = {**{cell.name: cell.name for cell in fleet.cells("aws") if not unaddressed(cell)}, **of["node_group."]}
    settings = Settings(
        minutes=minutes,
        namespace=values["namespace"],
        gateway_namespace=values["gateway_namespace"],
        role_arn=values["fis_role_arn"] or f"arn:aws:iam::000000000000:role/{NOT_SET}",
        alarm_arn=values["stop_alarm_arn"] or None,
        subnet_tag=(tag_key, tag_value) if tag_key else None,
        zones=of["zones."],
        tags={group: _tag(text) for group, text in named.items() if text != EXCLUDED},
        scale_sets={group: text for group, text in sets.items() if text != EXCLUDED},
        excluded=frozenset(group for group, text in {**named, **sets}.items() if text == EXCLUDED),
    )
    return failures, settings


def _by_prefix(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Settings by their names, and those of several by their beginnings."""
    of: dict[str, dict[str, str]] = {prefix: {} for prefix in OPTIONS if prefix.endswith(".")}
    plain = {}
    for key, value in options.items():
        prefix = next((prefix for prefix in of if key.startswith(prefix)), None)
        if prefix is not None:
            of[prefix][key.removeprefix(prefix)] = value
        elif key != "not_proven":
            plain[key] = value
    return plain, of


def _unfit_values(values: Mapping[str, str]) -> list[Finding]:
    """Settings without a beginning, but failures and minutes."""
    findings = []
    key, equals, tagged = values["subnet_tag"].partition("=")
    if values["subnet_tag"] and not (key and equals and tagged):
        findings.append(Finding("--set subnet_tag", "key=value", repr(values["subnet_tag"])[:80], "as in tier=gpu"))
    arns = {
        "fis_role_arn": (_ROLE, "the ARN of a role", "as in arn:aws:iam::123456789012:role/fis"),
        "stop_alarm_arn": (
            _ALARM,
            "the ARN of a CloudWatch alarm",
            "as in arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors",
        ),
    }
    for name, (pattern, expected, example) in arns.items():
        if values[name] and not pattern.fullmatch(values[name]):
            findings.append(Finding(f"--set {name}", expected, repr(values[name])[:120], example))
    for name in ("namespace", "gateway_namespace"):
        if values[name] != OPTIONS[name] and not _NAMESPACE.fullmatch(values[name]):
            got = repr(values[name])[:80]
            findings.append(Finding(f"--set {name}", "lower-case letters, digits and -", got, "change it"))
    return findings


def _are_zones(region: str, text: str) -> bool:
    """Whether a text lists availability zones of a region, by name or by id, each once."""
    zones = text.split(",")
    names = re.compile(re.escape(region) + r"(-[a-z]+-[0-9]+)?[a-z]")
    return len(set(zones)) == len(zones) and all(names.fullmatch(z) or _ZONE_ID.fullmatch(z) for z in zones)


def _is_group(text: str) -> bool:
    return bool(_NODE_GROUP.fullmatch(text) or _TAG.fullmatch(text))


def _tag(text: str) -> tuple[str, str]:
    """The tag that nodes are known by: that of EKS for the name of a group, else as it is written."""
    key, equals, value = text.partition("=")
    return (key, value) if equals else (EKS_GROUP, text)


def _by_group(fleet: Fleet, given: Mapping[str, str]) -> tuple[dict[str, str], list[Finding]]:
    """Scale sets by the group's name; it may be called by the short name of its AKS pool, where no other has that."""
    groups = {cell.name for cell in fleet.cells("azure")}
    of_short: dict[str, list[str]] = {}
    for group, short in aks_names(fleet).items():
        of_short.setdefault(short, []).append(group)
    sets, findings = {}, []
    for name, text in given.items():
        meant = [name] if name in groups else of_short.get(name, [])
        if len(meant) == 1:
            sets[meant[0]] = text
        else:
            got = (
                f"{name[:80]!r}{near_miss(name, groups)}" if not meant else f"{name[:80]!r}, which {listed(meant)} have"
            )
            expected = f"one of {listed(groups)}"
            findings.append(Finding(f"--set scale_set.{name[:80]}", expected, got, "name one that the plan has"))
    return sets, findings


def aks_names(fleet: Fleet) -> dict[str, str]:
    """Group of nodes on Azure -> name of its AKS node pool, as Terraform makes it."""
    by_region: dict[str, list[Cell]] = {}
    for cell in fleet.cells("azure"):
        by_region.setdefault(fleet.region_name[cell.lot.pool], []).append(cell)
    return {group: short for cells in by_region.values() for group, short in short_names(cells).items()}


def _repeated(prefix: str, given: Mapping[str, str]) -> list[Finding]:
    """One resource for two groups: the second group would not be broken."""
    first: dict[str, str] = {}
    findings = []
    for group, text in given.items():
        other = first.setdefault(text.lower(), group)
        if other != group and text != EXCLUDED:
            findings.append(
                Finding(f"--set {prefix}{group}", "a resource of its own", f"that of {other}", "correct it")
            )
    return findings


def _unfit(
    prefix: str, given: Mapping[str, str], known: Collection[str], fits: Callable[[str, str], bool]
) -> list[Finding]:
    """Settings of what the plan does not have, and values that do not fit."""
    findings = []
    for name, value in given.items():
        where = f"--set {prefix}{name[:80]}"
        if name not in known:
            got = f"{name[:80]!r}{near_miss(name, known)}"
            findings.append(Finding(where, f"one of {listed(known)}", got, "name one that the plan has"))
        elif not fits(name, value):
            findings.append(Finding(where, _EXAMPLES[prefix], repr(value)[:160], "correct it"))
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
