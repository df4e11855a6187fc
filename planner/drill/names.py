"""Whether a study and a plan fit together by name, before anything is reckoned; values above what they may be."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from planner.drill.instance import TOLERANCE, Numbers
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

BUILT_IN = (
    "provider",
    "region",
    "zone",
    "site",
    "pool",
    "stack",
    "stack_version",
    "qualification",
    "control_plane",
    "renewal",
)
COMPONENT = "name a component of the study (kind:name)"
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


def _names_of(study: Study) -> dict[str, Sequence[str]]:
    """What a study defines, by kind."""
    return {
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


def check_study(study: Study) -> None:
    """What a study names exists, and its machines hold its replicas.

    Raises
    ------
    InputError
        with a finding per name that leads nowhere
    """
    names = _names_of(study)
    findings: list[Finding] = []
    for kind in ("tiers", "workloads", "sites", "pools", "origins", "failures"):
        for name in sorted(name for name, times in Counter(names[kind]).items() if times > 1):
            findings.append(Finding(f"study: {kind}", "every name once", repr(name), FIX))
    named: list[tuple[str, str, str]] = []
    for pool in study.pools:
        named.append((f"pools: {pool.id}: site", pool.site, "sites"))
        named.append((f"pools: {pool.id}: machine_type", pool.machine_type, "machine types"))
    for w in study.workloads:
        named.append((f"workloads: {w.name}: tier", w.tier, "tiers"))
        named.append((f"workloads: {w.name}: context_class", w.context_class, "context classes"))
        named.append((f"workloads: {w.name}: model", w.model, "models"))
    for row in study.demand:
        named += [("demand: workload", row.workload, "workloads"), ("demand: origin", row.origin, "origins")]
    named += [("holdings: pool", holding.pool, "pools") for holding in study.holdings]
    named += [("claims: pool", claim.pool, "pools") for claim in study.claims]
    for tier in study.tiers:
        for goal in tier.survive:
            if goal.failure is not None:
                named.append((f"tiers: {tier.name}: survive: failure", goal.failure, "failures"))
            elif goal.any is not None:
                named.append((f"tiers: {tier.name}: survive: any", goal.any, "kinds of component"))
    known = {kind: set(ids) for kind, ids in names.items()}
    for where, name, kind in named:
        if name not in known[kind]:
            findings.append(Finding(f"study: {where}", f"one of its {len(known[kind])} {kind}", repr(name), FIX))
    accelerators = {m.name: m.accelerators for m in study.machine_types}
    for model in study.models:
        for profile in model.profiles:
            where, most = f"study: models: {model.model}: {profile.name}", accelerators.get(profile.machine_type)
            needs = profile.accelerators_per_replica
            if most is not None and needs > most:
                findings.append(Finding(f"{where}: accelerators_per_replica", f"at most {most}", f"{needs}", FIX))
            if not profile.classes:
                findings.append(Finding(f"{where}: classes", "at least one", "none", FIX))
    if findings:
        raise InputError(findings)


def check_failures(study: Study, components: Iterable[str]) -> None:
    """What failures lose and what goals take out is a component of the graph.

    Raises
    ------
    InputError
        with a finding per name that leads nowhere
    """
    named: list[tuple[str, str]] = []
    for f in study.failures:
        for what, ids in (("lost", f.lost), ("in_maintenance", f.in_maintenance), ("surges", f.surges)):
            named += [(f"study: failures: {f.name}: {what}", id) for id in ids]
    for tier in study.tiers:
        for goal in tier.survive:
            named += [(f"study: tiers: {tier.name}: in_maintenance", id) for id in goal.in_maintenance]
    known = set(components)
    if unknown := [(where, id) for where, id in named if id not in known]:
        raise InputError([Finding(where, "a component that exists", id, COMPONENT) for where, id in unknown])


def check_counts(plan: PlanFile) -> None:
    """Counts in a plan are numbers that can be reckoned with.

    Raises
    ------
    InputError
        with a finding per count that no fleet has
    """
    counts = [(f"purchases: {row.offer}", row.units) for row in plan.purchases]
    counts += [(f"replicas: {row.placement}", max(row.replicas, row.non_preemptible or 0)) for row in plan.replicas]
    counts += [(f"replicas: {row.placement} on {b}", n) for row in plan.replicas for b, n in row.on_offers.items()]
    for state in plan.states:
        where = f"states: {state.failure} at {state.deadline_seconds:g} s"
        for column in (state.kept, state.cold_started, state.occupied):
            counts += [(f"{where}: {e}", abs(n)) for e, n in column.items()]
    fix, findings = "make the plan again with `planner plan`", []
    for where, n in counts:
        if n > MOST:
            got = f"{n:.3g}" if n < 1e300 else "more"
            findings.append(Finding(f"plan: {where}", f"at most {MOST:,}", got, fix))
    if findings:
        raise InputError(findings)


def names_in_plan(plan: PlanFile, failures: Iterable[str], placements: Iterable[str]) -> list[str]:
    """What a plan names beside its placements, that its study does not know."""
    study = plan.study
    names = _names_of(study)
    phases = [phase.id for phase in study.build_outs]
    known: dict[str, set[str]] = {
        "failure": {*failures, "normal"},
        "workload": set(names["workloads"]),
        "origin": set(names["origins"]),
        "pool": set(names["pools"]),
        "offer": {offer.id for offer in study.offers},
        "phase": set(phases),
    }
    if study.objective != "cost":  # failures of known rate are planned without a goal, too
        known["failure"] |= {f"{c.kind}:{c.name}" for c in study.components}
        for f in study.failures:
            known["failure"] |= {f"failure:{f.name}", *(f"failure:{f.name} on {e}" for e in placements if f.worst_part)}
    asked = [*_names_in_states(plan)]
    asked.append(("drivers", {"pool": plan.drivers, "failure": chain.from_iterable(plan.drivers.values())}))
    asked.append(("binding_failures", {"failure": plan.proof.binding_failures}))
    for order in plan.no_regret:
        asked.append(("no_regret", {"phase" if order.offer in phases else "offer": [order.offer]}))
    for part in ("without_goals", "on_equal_terms"):
        if (other := getattr(plan, part)) is not None:
            offers = [row.offer for row in other.purchases]
            asked.append((part, {"offer": offers, "phase": [row.build_out for row in other.builds]}))
    asked.append(("builds", {"phase": [row.build_out for row in plan.builds]}))
    findings = set()
    for part, by_kind in asked:
        for kind, ids in by_kind.items():
            for name in set(ids) - known[kind]:
                no_goal = f"{name}: no goal of the study expands to this failure"
                findings.add(no_goal if kind == "failure" else f"{part}: {kind} {name}: no such {kind}")
    return sorted(findings)


def _names_in_states(plan: PlanFile) -> Iterable[tuple[str, Mapping[str, Iterable[str]]]]:
    """Part of the plan, and by kind what its states and gaps name."""
    for state in plan.states:
        origins = chain(state.origin, chain.from_iterable(state.shed.values()))
        yield "states", {"failure": [state.failure], "workload": [*state.workload, *state.shed], "origin": origins}
    for gap in plan.uncoverable:
        yield "uncoverable", {"failure": [gap.failure], "workload": [gap.workload], "origin": [gap.origin]}
