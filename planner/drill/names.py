"""Whether a study and a plan fit together by name, before anything is reckoned; values above what they may be."""

import itertools
from collections import Counter
from collections.abc import Iterable

from planner.drill.instance import TOLERANCE, Numbers
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

BUILT_IN = ("provider", "region", "site", "pool", "stack", "stack_version", "qualification")

FIX = "the study inside a plan is not edited by hand: change the study and plan again"
MOST = 1_000_000_000
"""Machines or replicas in one number."""


def above(what: str, items: Iterable[str], value: Numbers, most: Numbers) -> list[str]:
    """Findings where a value is above what it may be at most, by more than the tolerance."""
    return [
        f"{what}: {item} has {v:g}, at most {m:g}"
        for item, v, m in zip(items, value, most, strict=True)
        if v > m + TOLERANCE * max(1.0, abs(v), abs(m))
    ]


def check_study(study: Study) -> None:
    """What a study names exists, and its machines hold its replicas.

    Raises
    ------
    InputError
        with a finding per name that leads nowhere
    """
    findings: list[Finding] = []
    ids = {
        "tiers": [tier.name for tier in study.tiers],
        "workloads": [w.name for w in study.workloads],
        "sites": [site.id for site in study.sites],
        "pools": [pool.id for pool in study.pools],
        "origins": [origin.name for origin in study.origins],
        "failures": [failure.name for failure in study.failures],
        "machine types": [machine.name for machine in study.machine_types],
        "context classes": [c.name for c in study.context_classes],
        "models": [model.model for model in study.models],
        "kinds of component": [*BUILT_IN, *(c.kind for c in study.components)],
    }
    known = {kind: set(names) for kind, names in ids.items()}

    def add(where: str, expected: str, got: str) -> None:
        findings.append(Finding(f"study: {where}", expected, got, FIX))

    def refer(where: str, name: str, kind: str) -> None:
        if name not in known[kind]:
            add(where, f"one of its {len(known[kind])} {kind}", repr(name))

    for kind in ("tiers", "workloads", "sites", "pools", "origins", "failures"):
        for name in sorted(name for name, times in Counter(ids[kind]).items() if times > 1):
            add(kind, "every name once", repr(name))
    for pool in study.pools:
        refer(f"pools: {pool.id}: site", pool.site, "sites")
        refer(f"pools: {pool.id}: machine_type", pool.machine_type, "machine types")
    for w in study.workloads:
        refer(f"workloads: {w.name}: tier", w.tier, "tiers")
        refer(f"workloads: {w.name}: context_class", w.context_class, "context classes")
        refer(f"workloads: {w.name}: model", w.model, "models")
    for row in study.demand:
        refer("demand: workload", row.workload, "workloads")
        refer("demand: origin", row.origin, "origins")
    for holding in study.holdings:
        refer("holdings: pool", holding.pool, "pools")
    for claim in study.claims:
        refer("claims: pool", claim.pool, "pools")
    for tier in study.tiers:
        for goal in tier.survive:
            if goal.failure is not None:
                refer(f"tiers: {tier.name}: survive: failure", goal.failure, "failures")
            elif goal.any is not None:
                refer(f"tiers: {tier.name}: survive: any", goal.any, "kinds of component")
    accelerators = {m.name: m.accelerators for m in study.machine_types}
    for model in study.models:
        for profile in model.profiles:
            where, most = f"models: {model.model}: {profile.name}", accelerators.get(profile.machine_type)
            if most is not None and profile.accelerators_per_replica > most:
                add(f"{where}: accelerators_per_replica", f"at most {most}", f"{profile.accelerators_per_replica}")
            if not profile.classes:
                add(f"{where}: classes", "at least one", "none")
    if findings:
        raise InputError(findings)


def check_failures(study: Study, components: Iterable[str]) -> None:
    """What failures lose and what goals take out is a component of the graph.

    Raises
    ------
    InputError
        with a finding per name that leads nowhere
    """
    known, fix = set(components), "name a component of the study (kind:name)"
    named: list[tuple[str, str]] = []
    for f in study.failures:
        for what, ids in (("lost", f.lost), ("in_maintenance", f.in_maintenance), ("surges", f.surges)):
            named += [(f"failures: {f.name}: {what}", id) for id in ids]
    for tier in study.tiers:
        for goal in tier.survive:
            named += [(f"tiers: {tier.name}: in_maintenance", id) for id in goal.in_maintenance]
    unknown = [(where, id) for where, id in named if id not in known]
    if unknown:
        raise InputError([Finding(f"study: {where}", "a component that exists", id, fix) for where, id in unknown])


def check_counts(plan: PlanFile) -> None:
    """Counts in a plan are numbers that can be reckoned with.

    Raises
    ------
    InputError
        with a finding per count that no fleet has
    """
    counts = [(f"purchases: {row.offer}", row.units) for row in plan.purchases]
    counts += [(f"replicas: {row.placement}", max(row.replicas, row.non_preemptible or 0)) for row in plan.replicas]
    for state in plan.states:
        where = f"states: {state.failure} at {state.deadline_seconds:g} s"
        for column in (state.kept, state.cold_started, state.occupied):
            counts += [(f"{where}: {e}", abs(n)) for e, n in column.items()]
    findings = []
    for where, n in counts:
        if n > MOST:
            got = f"{n:.3g}" if n < 1e300 else "more"
            fix = "make the plan again with `planner plan`"
            findings.append(Finding(f"plan: {where}", f"at most {MOST:,}", got, fix))
    if findings:
        raise InputError(findings)


def names_in_plan(plan: PlanFile, failures: Iterable[str], placements: Iterable[str]) -> list[str]:
    """What a plan names beside its placements, that its study does not know."""
    study = plan.study
    phases = {phase.id for phase in study.build_outs}
    known = {
        "failure": {*failures, "normal"},
        "workload": {w.name for w in study.workloads},
        "origin": {origin.name for origin in study.origins},
        "pool": {pool.id for pool in study.pools},
        "offer": {offer.id for offer in study.offers},
        "phase": phases,
    }
    if study.objective != "cost":  # failures of known rate are planned without a goal, too
        known["failure"] |= {f"{c.kind}:{c.name}" for c in study.components}
        for f in study.failures:
            known["failure"] |= {f"failure:{f.name}", *(f"failure:{f.name} on {e}" for e in placements if f.worst_part)}
    asked: list[tuple[str, str, str]] = []

    def ask(part: str, kind: str, names: Iterable[str]) -> None:
        asked.extend((part, kind, name) for name in names)

    for state in plan.states:
        ask("states", "failure", [state.failure])
        ask("states", "workload", (*state.workload, *state.shed))
        ask("states", "origin", (*state.origin, *itertools.chain.from_iterable(state.shed.values())))
    for gap in plan.uncoverable:
        for kind in ("failure", "workload", "origin"):
            ask("uncoverable", kind, [getattr(gap, kind)])
    ask("drivers", "pool", plan.drivers)
    ask("drivers", "failure", itertools.chain.from_iterable(plan.drivers.values()))
    ask("binding_failures", "failure", plan.proof.binding_failures)
    for order in plan.no_regret:
        ask("no_regret", "phase" if order.offer in phases else "offer", [order.offer])
    for part in ("without_goals", "on_equal_terms"):
        if (other := getattr(plan, part)) is not None:
            ask(part, "offer", (row.offer for row in other.purchases))
            ask(part, "phase", (row.build_out for row in other.builds))
    ask("builds", "phase", (row.build_out for row in plan.builds))
    findings = []
    for part, kind, name in dict.fromkeys(asked):
        if name not in known[kind]:
            expands = "no goal of the study expands to this failure"
            findings.append(f"{name}: {expands}" if kind == "failure" else f"{part}: {kind} {name}: no such {kind}")
    return sorted(findings)
