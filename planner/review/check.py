"""The report of a study before it is planned: findings, failures, edges, what cannot be covered, evidence."""

from collections import Counter

from planner.errors import Finding
from planner.plan.decisions import uncoverable
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem, fullest_hour
from planner.review.coverage import coverage_sections
from planner.review.report import Report, Section, percent, short_failure
from planner.review.rests import guarantees_section
from planner.review.served import goal_text
from planner.study.dependencies import NORMAL, dependency_graph, expand, placements
from planner.study.records.plan import Uncoverable
from planner.study.records.study import Study

MOST_NAMES = 6


def check_study(study: Study, warnings: list[Finding], coverage: bool = False) -> Report:
    """What a study asks, as the planner understands it; good when it can be planned and all can be covered."""
    p = build(study)
    lost = uncoverable(study, p)
    orphans = list(workloads_without_edge(p).values())
    sections = (
        _findings([*warnings, *orphans], lost),
        _goals(study, p),
        _edges(study, p),
        _evidence(study),
        Section(
            "NOT OFFERED",
            tuple(f"{b}: {why}" for b, why in sorted(p.not_offered.items())) or ("every offer may be bought",),
        ),
    )
    more = (guarantees_section(study, p), *coverage_sections(study)) if coverage else ()
    return Report(f"check of study {study.study}", not lost and not orphans, (*sections, *more))


def _findings(found: list[Finding], lost: list[Uncoverable]) -> Section:
    """What is wrong or worth knowing, and what no capacity can cover."""
    lines = [f"{f.level}: {str(f).replace(chr(10), ' ')}" for f in found]
    if lost:
        lines.append(f"CANNOT BE COVERED by any capacity: {len(lost)} cases")
        lines += [
            f"  {u.workload} from {u.origin} when {short_failure(u.failure)} is lost: at most "
            f"{percent(u.coverable_fraction)}; missing: {u.missing}"
            for u in lost
        ]
    data = [f.as_dict() for f in found] + [u.model_dump() for u in lost]
    return Section("FINDINGS", tuple(lines) or ("none",), data=data)


def _goals(study: Study, p: Problem) -> Section:
    """What each survival goal expands to."""
    graph = dependency_graph(study)
    rows = []
    for tier in study.tiers:
        for goal in tier.survive:
            names = [short_failure(f.id) for f in expand(goal, study, graph)]
            shown = ", ".join(names[:MOST_NAMES])
            shown += f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            rows.append((tier.name, goal_text(goal), len(names), shown or "NOTHING: no such component"))
    lines = (f"{len([f for f in p.failures if f != NORMAL])} different failures",)
    return Section("GOALS", lines, ("tier", "goal", "failures", "what is lost"), tuple(rows))


def _edges(study: Study, p: Problem) -> Section:
    """Placements that may serve each workload, and why the others may not."""
    rows = []
    for w in study.workloads:
        flows = [(w_, o) for w_, o in p.flows if w_ == w.name]
        reasons: Counter[str] = Counter(
            reason.partition(":")[0] for (w_, _, _), reason in p.why_not.items() if w_ == w.name
        )
        rows.append(
            (
                w.name,
                f"{sum(p.demand_requests_per_second[w_, o, fullest_hour(p)] for w_, o in flows):,.1f}",
                min((len(p.edges[flow]) for flow in flows), default=0),
                min((len(p.edges_in_failure[flow]) for flow in flows), default=0),
                ", ".join(sorted({_stack(study, e) for flow in flows for e in p.edges_in_failure[flow]})),
                ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))),
            )
        )
    return Section(
        "EDGES",
        ("placements that may serve a workload, for the origin with the fewest; why others may not",),
        ("workload", "requests/s", "in normal operation", "in a failure", "stacks", "missing because of"),
        tuple(rows),
    )


def _evidence(study: Study) -> Section:
    """Models by machine type: operating points by how they are known."""
    found: Counter[tuple[str, ...]] = Counter(
        (model.model, profile.machine_type, point.evidence)
        for model in study.models
        for profile in model.profiles
        for point in profile.classes
    )
    kinds = ("measured", "published", "estimated", "assumed")
    return Section(
        "EVIDENCE",
        ("operating points by how they are known",),
        ("model", "machine type", *kinds),
        tuple((*key, *(found[*key, kind] or "" for kind in kinds)) for key in sorted({key[:2] for key in found})),
    )


def _stack(study: Study, placement: str) -> str:
    m, profile, _ = placements(study)[placement]
    return study.models[m].profiles[profile].stack
