"""Game days: for chosen failures what breaks them on purpose, and what must be seen then.

A failure's folder has a README with the order of work, what is expected by which second, and one file for each
service that breaks a part of it: AWS FIS and Azure Chaos Studio stop machines, Chaos Mesh fails or cuts off pods in any
cluster.
Expectations are shares of traffic, so that they hold at any hour; they are those of the plan, which the drill has
replayed before anything is emitted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.emit.faults import PARTITION, POD_FAILURE, Group, aws_template, azure_experiment, chaos_mesh
from planner.emit.fleet import Fleet, Running, fleet_of, zone_of
from planner.emit.gameday_options import NOT_SET, OPTIONS, Settings, aks_names, read_options, unaddressed
from planner.emit.gameday_text import TOLERANCE_POINTS, Page, how_long_silent, index_page, readme
from planner.emit.names import distinct, slug
from planner.emit.routing import Subject, peak_requests_per_second, subject
from planner.emit.text import json_text, markdown_cell, quoted_yaml
from planner.plan.in_hand import Plan
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction
from planner.study.records.plan import PlanFile

__all__ = ["OPTIONS", "breaks", "expected", "files"]
CHAOS_URL = (
    "https://management.azure.com/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Chaos"
    "/experiments/NAME?api-version=2024-01-01"
)


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
        `zones.REGION`: availability zones, with commas. `node_group.GROUP`: EKS node group or tag of what Terraform
        does not make. `scale_set.GROUP`: resource id of an AKS node pool's scale set. `gateway_namespace`: of the
        pods of gateways, from which alone pods are cut off

    Raises
    ------
    InputError
        for every option that does not fit
    """
    of = subject(plan)
    fleet = fleet_of(of.plan)
    wanted, settings = read_options(of.problem, fleet, options)
    made: dict[str, str] = {}
    folders = distinct(wanted)
    index = []
    for f in wanted:
        parts, still_open = _failure_files(of, fleet, f, settings)
        made |= {f"{folders[f]}/{path}": text for path, text in parts.items()}
        index.append((f, folders[f], len(parts) - 2, still_open))
    made["README.md"] = index_page(index, settings)
    if options.get("not_proven"):
        readmes = [path for path in made if path.endswith("README.md")]
        why = markdown_cell(options["not_proven"])
        made |= {path: f"**NOT PROVEN.** {why}\n\n{made[path]}" for path in readmes}
    return dict(sorted(made.items()))


# ------------------------------------------------------------------ what a failure takes
def breaks(of: Subject, fleet: Fleet, f: str) -> Breaks:
    """What a failure takes of the plan's machines and replicas, by provider and region."""
    p, lost = of.problem, of.problem.lost[f]
    ended = _not_renewed(p, fleet, f)
    groups: dict[tuple[str, str], tuple[Group, ...]] = {}
    for provider in sorted({site.provider for site in fleet.site_of.values()}):
        for cell in fleet.cells(provider):
            remains = lost.get(cell.lot.pool, 1.0) * (1 - ended.get(cell.lot.id, 0.0))
            share, site = 1 - remains, fleet.site_of[cell.lot.pool]
            if share > 0:
                where = provider, site.region
                groups[where] = (*groups.get(where, ()), Group(cell.name, share, zone_of(site)))
    fractions: dict[tuple[str, str], dict[str, float]] = {}
    for r in fleet.running:
        remains = min(lost.get(r.placement, 1.0), lost.get(r.pool, 1.0))
        share = 1 - remains * (1 - _ended_fraction(of, fleet, r, ended))
        if share > 0:
            site = fleet.site_of[r.pool]
            fractions.setdefault((site.provider, site.region), {})[r.placement] = share
    return Breaks(groups, fractions, _by_hand(p, f))


def _not_renewed(p: Problem, fleet: Fleet, f: str) -> dict[str, float]:
    """Lot -> share of its machines that goes with a contract which nobody renews."""
    lost = p.failures[f].lost
    shares = {lot.id: lost.get(f"renewal:{lot.offer.id}", 0.0) for lot in fleet.lots if lot.offer}
    return {lot: min(1.0, share) for lot, share in shares.items() if share > 0}


def _ended_fraction(of: Subject, fleet: Fleet, r: Running, ended: Mapping[str, float]) -> float:
    """Share of the machines under some replicas that goes with contracts.

    Where the plan says on which offers replicas stand, by that: what may stand on any goes, as the plan reckons. Else
    they stand on any lot of their kind.
    """
    rows = fleet.plan.file.replicas
    row = next((row for row in rows if (row.placement, row.hour) == (r.placement, of.hour)), None)
    if ended and row is not None and row.on_offers and not r.on_spot and r.replicas:
        go_on = row.non_preemptible or 0
        go_on += sum(n for offer, n in row.on_offers.items() if offer not in ended)
        return max(0.0, 1 - go_on / r.replicas)
    under = [lot for lot in fleet.lots if lot.pool == r.pool and (lot.kind == "spot") == r.on_spot]
    machines = sum(lot.machines for lot in under)
    return sum(ended.get(lot.id, 0.0) * lot.machines for lot in under) / machines if machines else 0.0


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
    not_broken: dict[str, str] = {}
    why_not = {cell.name: why for cell in fleet.cells("aws") if (why := unaddressed(cell))}
    pools = aks_names(fleet)
    for (provider, region), groups in taken.groups.items():
        excluded = [group.name for group in groups if group.name in settings.excluded]
        not_broken |= dict.fromkeys(excluded, "left out, as it was asked for")
        remaining = [group for group in groups if group.name not in settings.excluded]
        if provider == "aws":
            unknown = [group.name for group in remaining if group.name not in settings.tags]
            not_broken |= {name: why_not[name] for name in unknown}
            still_open |= {f"node_group.{name}" for name in unknown}
            known = [replace(g, tag=settings.tags[g.name]) for g in remaining if g.name in settings.tags]
            if known:
                path = f"aws-fis-{slug(region)}.json"
                is_region_lost = _is_region_lost(fleet, provider, region, groups)
                made[path] = json_text(_template(f, region, known, settings, is_region_lost))
                still_open |= {name for name in ("fis_role_arn",) if NOT_SET in settings.role_arn}
                has_no_zone = any(not group.zone for group in known) and region not in settings.zones
                still_open |= {f"zones.{region}"} if has_no_zone else set()
                how = f"aws fis create-experiment-template --region {slug(region)} --cli-input-json file://{path}"
                commands.append((path, "AWS FIS", how))
        lost_in_full = tuple(group for group in remaining if group.lost_fraction >= 1)
        if provider == "azure" and lost_in_full:
            path = f"azure-chaos-{slug(region)}.json"
            missing = {g.name: f"/subscriptions/{NOT_SET}" for g in lost_in_full if g.name not in settings.scale_sets}
            still_open |= {f"scale_set.{name}" for name in missing}
            body = azure_experiment(f, region, lost_in_full, settings.minutes, {**settings.scale_sets, **missing})
            made[path] = json_text(body)
            how = f"az rest --method put --url {CHAOS_URL} --body @{path}"
            of_pools = ", ".join(f"{pools[group.name]} ({group.name})" for group in lost_in_full)
            commands.append((path, f"Azure Chaos Studio, AKS pools {of_pools}", how))
    for (provider, region), fractions in taken.lost_fraction.items():
        for action, does in ((POD_FAILURE, "refuse"), (PARTITION, "never-answer")):
            path = f"chaos-mesh-{slug(provider)}-{slug(region)}-{does}.yaml"
            objects = chaos_mesh(f, action, settings.namespace, fractions, settings.minutes, settings.gateway_namespace)
            said = how_long_silent(settings) if action == PARTITION else []
            made[path] = "".join(f"# {line}\n" for line in said) + "---\n".join(quoted_yaml(one) for one in objects)
            commands.append((path, "Chaos Mesh", f"kubectl --context {slug(provider)}-{slug(region)} apply -f {path}"))
    expectation = expected(of, f)
    made["expected.json"] = json_text(expectation)
    page = Page(
        failure=f,
        commands=commands,
        still_open=sorted(still_open),
        not_broken=dict(sorted(not_broken.items())),
        partly_lost=[g for groups in taken.groups.values() for g in groups if g.lost_fraction < 1],
        by_hand=taken.by_hand,
        deadlines=expectation["deadlines"],
    )
    made["README.md"] = readme(page, settings)
    return made, tuple(sorted(still_open))


def _template(f: str, region: str, groups: Sequence[Group], settings: Settings, is_region_lost: bool) -> dict[str, Any]:
    """The template of FIS for one region."""
    return aws_template(
        f,
        groups,
        settings.minutes,
        settings.zones.get(region, NOT_SET),
        settings.role_arn,
        settings.alarm_arn,
        settings.subnet_tag,
        is_region_lost,
    )


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
