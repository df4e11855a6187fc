"""Whether a study and a plan fit together by name, before anything is reckoned; values above what they may be."""

from collections.abc import Iterable, Sequence

from planner.drill.world import TOLERANCE, Numbers
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

BUILT_IN = ("provider", "region", "site", "pool", "stack", "stack_version", "qualification")

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
    found: list[Finding] = []
    fix = "the study inside a plan is not edited by hand: change the study and plan again"

    def refer(where: str, name: str, known: Iterable[str], kind: str) -> bool:
        if name not in (names := set(known)):
            found.append(Finding(f"study: {where}", f"one of its {len(names)} {kind}", repr(name), fix))
        return name in names

    def once(names: Sequence[str], kind: str) -> None:
        for name in sorted({name for name in names if names.count(name) > 1}):
            found.append(Finding(f"study: {kind}", "every name once", repr(name), fix))

    tiers, workloads = [t.name for t in study.tiers], [w.name for w in study.workloads]
    sites, machines = [s.id for s in study.sites], [m.name for m in study.machine_types]
    pools, origins = [p.id for p in study.pools], [o.name for o in study.origins]
    classes, failures = [c.name for c in study.context_classes], [f.name for f in study.failures]
    kinds = {*BUILT_IN, *(c.kind for c in study.components)}
    for names, kind in ((tiers, "tiers"), (workloads, "workloads"), (sites, "sites"), (pools, "pools")):
        once(names, kind)
    once(origins, "origins")
    once(failures, "failures")
    for pool in study.pools:
        refer(f"pools: {pool.id}: site", pool.site, sites, "sites")
        refer(f"pools: {pool.id}: machine_type", pool.machine_type, machines, "machine types")
    for w in study.workloads:
        refer(f"workloads: {w.name}: tier", w.tier, tiers, "tiers")
        refer(f"workloads: {w.name}: context_class", w.context_class, classes, "context classes")
        refer(f"workloads: {w.name}: model", w.model, [m.model for m in study.models], "models")
    for row in study.demand:
        refer("demand: workload", row.workload, workloads, "workloads")
        refer("demand: origin", row.origin, origins, "origins")
    for holding in study.holdings:
        refer("holdings: pool", holding.pool, pools, "pools")
    for claim in study.claims:
        refer("claims: pool", claim.pool, pools, "pools")
    for tier in study.tiers:
        for goal in tier.survive:
            if goal.failure is not None:
                refer(f"tiers: {tier.name}: survive: failure", goal.failure, failures, "failures")
            elif goal.any is not None:
                refer(f"tiers: {tier.name}: survive: any", goal.any, kinds, "kinds of component")
    accelerators = {m.name: m.accelerators for m in study.machine_types}
    for model in study.models:
        for profile in model.profiles:
            where = f"models: {model.model}: {profile.name}"
            most = accelerators.get(profile.machine_type)
            if most is not None and profile.accelerators_per_replica > most:
                got = f"{profile.accelerators_per_replica}"
                found.append(Finding(f"study: {where}: accelerators_per_replica", f"at most {most}", got, fix))
            if not profile.classes:
                found.append(Finding(f"study: {where}: classes", "at least one", "none", fix))
    if found:
        raise InputError(found)


def check_failures(study: Study, components: Iterable[str]) -> None:
    """What failures lose and what goals take out is a component of the graph.

    Raises
    ------
    InputError
        with a finding per name that leads nowhere
    """
    known, fix = set(components), "name a component of the study (kind:name)"
    named = [
        (f"failures: {f.name}: {what}", id)
        for f in study.failures
        for what, ids in (("lost", f.lost), ("in_maintenance", f.in_maintenance), ("surges", f.surges))
        for id in ids
    ]
    named += [
        (f"tiers: {t.name}: in_maintenance", id) for t in study.tiers for g in t.survive for id in g.in_maintenance
    ]
    found = [Finding(f"study: {where}", "a component that exists", id, fix) for where, id in named if id not in known]
    if found:
        raise InputError(found)


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
    fix = "make the plan again with `planner plan`"
    found = [
        Finding(f"plan: {where}", f"at most {MOST:,}", f"{n:.3g}" if n < 1e300 else "more", fix)
        for where, n in counts
        if n > MOST
    ]
    if found:
        raise InputError(found)


def names_in_plan(plan: PlanFile, failures: Iterable[str], placements: Iterable[str]) -> list[str]:
    """What a plan names beside its placements, that its study does not know."""
    study = plan.study
    known = {"failure": set(failures) | {"normal"}, "workload": {w.name for w in study.workloads}}
    known["origin"] = {o.name for o in study.origins}
    known["pool"] = {pool.id for pool in study.pools}
    known["offer"] = {offer.id for offer in study.offers}
    known["phase"] = {m.id for m in study.build_outs}
    asked = [("states", "failure", state.failure) for state in plan.states]
    for state in plan.states:
        asked += [("states", "workload", w) for w in (*state.workload, *state.shed)]
        asked += [("states", "origin", o) for o in (*state.origin, *(o for of in state.shed.values() for o in of))]
    for row in plan.uncoverable:
        asked += [("uncoverable", kind, getattr(row, kind)) for kind in ("failure", "workload", "origin")]
    asked += [("drivers", "pool", pool) for pool in plan.drivers]
    asked += [("drivers", "failure", f) for of in plan.drivers.values() for f in of]
    asked += [("binding_failures", "failure", f) for f in plan.proof.binding_failures]
    asked += [("no_regret", "phase" if row.offer in known["phase"] else "offer", row.offer) for row in plan.no_regret]
    for part in ("without_goals", "on_equal_terms"):
        if (other := getattr(plan, part)) is not None:
            asked += [(part, "offer", row.offer) for row in other.purchases]
            asked += [(part, "phase", row.build_out) for row in other.builds]
    asked += [("builds", "phase", row.build_out) for row in plan.builds]
    says = {"failure": "no goal of the study expands to this failure"}
    if study.objective != "cost":  # failures of known rate are planned without a goal, too
        known["failure"] |= {f"{c.kind}:{c.name}" for c in study.components}
        known["failure"] |= {f"failure:{f.name}" for f in study.failures}
        known["failure"] |= {f"failure:{f.name} on {e}" for f in study.failures if f.worst_part for e in placements}
    unknown = dict.fromkeys((part, kind, name) for part, kind, name in asked if name not in known[kind])
    return sorted(
        f"{name}: {says['failure']}" if kind == "failure" else f"{part}: {kind} {name}: no such {kind}"
        for part, kind, name in unknown
    )
