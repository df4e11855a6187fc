"""The report of a study before it is planned: findings, failures, edges, what cannot be covered, evidence."""

from collections import Counter

from planner.errors import Finding
from planner.explain import workloads_without_edge
from planner.plan import uncoverable
from planner.problem import build
from planner.records.study import Study
from planner.review.coverage import coverage_sections
from planner.review.report import Report, Section, percent, short_failure
from planner.review.rests import guarantees_section
from planner.review.served import goal_text
from planner.risk import NORMAL, dependency_graph, expand


def check_study(study: Study, warnings: list[Finding], coverage: bool = False) -> Report:
    """What a study asks, as the planner understands it; good when it can be planned and all can be covered."""
    p = build(study)
    graph = dependency_graph(study)
    lost = uncoverable(study, p)
    orphans = workloads_without_edge(p)
    found = [f"{f.level}: {str(f).replace(chr(10), ' ')}" for f in [*warnings, *orphans]]
    if lost:
        found.append(f"CANNOT BE COVERED by any capacity: {len(lost)} cases")
        found += [
            f"  {u.workload} from {u.origin} when {short_failure(u.failure)} is lost: at most "
            f"{percent(u.coverable_fraction)}; missing: {u.missing}"
            for u in lost
        ]
    goals = []
    for tier in study.tiers:
        for goal in tier.survive:
            names = [short_failure(f.id) for f in expand(goal, study, graph)]
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            goals.append((tier.name, goal_text(goal), len(names), shown or "NOTHING: no such component"))
    edges = []
    for w in study.workloads:
        flows = [(w_, o) for w_, o in p.flows if w_ == w.name]
        reasons: Counter[str] = Counter(
            reason.partition(":")[0] for (w_, _, _), reason in p.why_not.items() if w_ == w.name
        )
        least = min((len(p.edges[flow]) for flow in flows), default=0)
        reach = min((len(p.edges_in_failure[flow]) for flow in flows), default=0)
        stacks = sorted({_stack(study, e) for flow in flows for e in p.edges_in_failure[flow]})
        edges.append(
            (
                w.name,
                f"{sum(p.demand_requests_per_second[w_, o, p.hours[0]] for w_, o in flows):,.1f}",
                least,
                reach,
                ", ".join(stacks),
                ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))),
            )
        )
    evidence = Counter(
        (m.model, prof.machine_type, point.evidence)
        for m in study.models
        for prof in m.profiles
        for point in prof.classes
    )
    rows = [
        (
            model,
            machine,
            *(
                evidence.get((model, machine, kind), 0) or ""
                for kind in ("measured", "published", "estimated", "assumed")
            ),
        )
        for model, machine in sorted({key[:2] for key in evidence})
    ]
    sections: tuple[Section, ...] = (
        Section(
            "FINDINGS",
            tuple(found) or ("none",),
            data=[f.as_dict() for f in [*warnings, *orphans]] + [u.model_dump() for u in lost],
        ),
        Section(
            "GOALS",
            (f"{len([f for f in p.failures if f != NORMAL])} different failures",),
            ("tier", "goal", "failures", "what is lost"),
            tuple(goals),
        ),
        Section(
            "EDGES",
            ("placements that may serve a workload, for the origin with the fewest; why others may not",),
            ("workload", "requests/s", "in normal operation", "in a failure", "stacks", "missing because of"),
            tuple(edges),
        ),
        Section(
            "EVIDENCE",
            ("operating points by how they are known",),
            ("model", "machine type", "measured", "published", "estimated", "assumed"),
            tuple(rows),
        ),
        Section(
            "NOT OFFERED",
            tuple(f"{b}: {why}" for b, why in sorted(p.not_offered.items())) or ("every offer may be bought",),
        ),
    )
    if coverage:
        sections += (guarantees_section(study, p), *coverage_sections(study))
    return Report(f"check of study {study.study}", not lost and not orphans, sections)


def _stack(study: Study, placement: str) -> str:
    profile = placement.partition("@")[0]
    return next(q.stack for m in study.models for q in m.profiles if f"{m.model}/{q.name}" == profile)
