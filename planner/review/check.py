"""The report of a study before it is planned: findings, failures, edges, what cannot be covered, evidence."""

from collections import Counter
from dataclasses import dataclass

from planner.errors import Finding
from planner.plan.decisions import uncoverable
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem, fullest_hour
from planner.review.assumptions import guarantees_section
from planner.review.coverage import coverage_sections
from planner.review.figures import number
from planner.review.first_minutes import first_minutes_section
from planner.review.report import (
    AT_RISK,
    BROKEN,
    Column,
    Judged,
    Report,
    Section,
    first_of,
    frame_section,
    percent,
    short_failure,
)
from planner.review.served import goal_text
from planner.review.zones import zones_of_study_section
from planner.study.dependencies import NORMAL, Graph, dependency_graph, expand, placements
from planner.study.records.plan import Uncoverable
from planner.study.records.study import Study

MOST_NAMES = 6
EVIDENCE = ("measured", "published", "estimated", "assumed")


def check_study(study: Study, warnings: list[Finding], coverage: bool = False) -> Report:
    """What a study asks, as the planner understands it; good when it can be planned and all can be covered."""
    p, graph = build(study), dependency_graph(study)
    lost = uncoverable(study, p)
    orphans = list(workloads_without_edge(p).values())
    not_offered = tuple(f"{b}: {why}" for b, why in sorted(p.not_offered.items()))
    sections = [
        _findings([*warnings, *orphans], lost),
        _goals(study, p, graph),
        _edges(study, p),
        _evidence(study),
        first_minutes_section(study),
        Section("NOT OFFERED", not_offered or ("every offer may be bought",)),
    ]
    if (zones := zones_of_study_section(study)) is not None:
        sections.append(zones)
    if coverage:
        sections += [guarantees_section(study, p, graph), *coverage_sections(study)]
    return Report(f"check of study {study.study}", not lost and not orphans, tuple(sections))


def _findings(findings: list[Finding], lost: list[Uncoverable]) -> Section:
    """What is wrong or worth knowing, and what no capacity can cover."""
    lines = list[str]()
    for f in findings:
        line = f"{f.level}: {str(f).replace(chr(10), ' ')}"
        lines.append(Judged(line, BROKEN if f.level == "error" else AT_RISK))
    if lost:
        lines.append(Judged(f"CANNOT BE COVERED by any capacity: {len(lost)} cases", BROKEN))
    for u in lost:
        case = (
            f"  {u.workload} from {u.origin} when {short_failure(u.failure)} is lost: at most "
            f"{percent(u.coverable_fraction)}; missing: {u.missing}"
        )
        lines.append(Judged(case, BROKEN))
    return Section("FINDINGS", tuple(lines) or ("none",), data=[*(f.as_dict() for f in findings), *lost])


@dataclass(frozen=True)
class GoalAsked:
    """A survival goal and the failures that it expands to."""

    tier: str
    goal: str
    failures: tuple[str, ...]


def _goals(study: Study, p: Problem, graph: Graph) -> Section:
    """What each survival goal expands to."""
    rows = []
    for tier in study.tiers:
        for goal in tier.survive:
            rows.append(GoalAsked(tier.name, goal_text(goal), tuple(f.id for f in expand(goal, study, graph))))

    def lost(row: GoalAsked) -> str:
        return first_of([short_failure(f) for f in row.failures], MOST_NAMES) or "NOTHING: no such component"

    columns = (
        Column("tier"),
        Column("goal"),
        Column("failures", lambda row: len(row.failures)),
        Column("what is lost", lost),
    )
    return Section("GOALS", (f"{len([f for f in p.failures if f != NORMAL])} different failures",), columns, rows)


@dataclass(frozen=True)
class EdgesOf:
    """The placements that may serve a workload, for the origin with the fewest, and why others may not.

    Parameters
    ----------
    missing : reason -> (origin, placement) pairs for which it holds
    """

    workload: str
    requests_per_second: float
    fewest_in_normal_operation: int
    fewest_in_a_failure: int
    stacks: tuple[str, ...]
    missing: dict[str, int]


def _edges(study: Study, p: Problem) -> Section:
    """Placements that may serve each workload, and why the others may not."""
    rows = []
    for workload in study.workloads:
        flows = [(w, o) for w, o in p.flows if w == workload.name]
        in_failure = {e for flow in flows for e in p.edges_in_failure[flow]}
        reasons = Counter(why.partition(":")[0] for (w, _, _), why in p.why_not.items() if w == workload.name)
        rows.append(
            EdgesOf(
                workload.name,
                sum(p.demand_requests_per_second[w, o, fullest_hour(p)] for w, o in flows),
                min((len(p.edges[flow]) for flow in flows), default=0),
                min((len(p.edges_in_failure[flow]) for flow in flows), default=0),
                tuple(sorted({_stack(study, e) for e in in_failure})),
                dict(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))),
            )
        )
    columns = (
        Column("workload"),
        Column("requests/s", lambda row: number(row.requests_per_second, ",.1f")),
        Column("in normal operation", lambda row: row.fewest_in_normal_operation),
        Column("in a failure", lambda row: row.fewest_in_a_failure),
        Column("stacks", lambda row: ", ".join(row.stacks)),
        Column("missing because of", lambda row: ", ".join(f"{reason} {n}" for reason, n in row.missing.items())),
    )
    lines = ("placements that may serve a workload, for the origin with the fewest; why others may not",)
    return Section("EDGES", lines, columns, rows)


def _evidence(study: Study) -> Section:
    """Models by machine type: operating points by how they are known."""
    import pandas as pd

    points = [
        (model.model, profile.machine_type, point.evidence)
        for model in study.models
        for profile in model.profiles
        for point in profile.classes
    ]
    frame = pd.DataFrame(points, columns=["model", "machine_type", "evidence"])
    counts = pd.crosstab([frame["model"], frame["machine_type"]], frame["evidence"])
    table = counts.reindex(columns=list(EVIDENCE), fill_value=0).reset_index()
    return frame_section("EVIDENCE", ("operating points by how they are known",), table)


def _stack(study: Study, placement: str) -> str:
    m, profile, _ = placements(study)[placement]
    return study.models[m].profiles[profile].stack
