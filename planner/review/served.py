"""Who is served: by tier and goal, and in each failure."""

from typing import Any

from planner.costs import requests_usd_per_hour
from planner.formulas import due_fraction, replica_seconds_used, requests_per_second, running, served
from planner.plan import whole_survivors
from planner.problem import Decisions, Problem, State, states
from planner.records.plan import PlanFile
from planner.records.study import Goal
from planner.review.report import MOST_ROWS, Section, percent, short_failure, usd
from planner.risk import NORMAL, dependency_graph, expand


def goal_text(goal: Goal) -> str:
    """A survival goal as people say it."""
    lost = f"any {goal.of if goal.of > 1 else ''} {goal.any}".replace("  ", " ") if goal.any else f"{goal.failure}"
    but = f" except {', '.join(goal.except_)}" if goal.except_ else ""
    return f"{lost}{but} lost: {percent(goal.serve_fraction)} within {goal.within_seconds:g} s"


def _tier_served(p: Problem, x: Decisions, tier: str, s: State) -> tuple[float, float]:
    """(served fraction of the tier, worst served fraction of one of its flows) in a state."""
    flows = [(w, o) for w, o in p.flows if p.tier_of[w] == tier]
    offered = [requests_per_second(p, w, o, s) for w, o in flows]
    got = [float(served(p, x, w, o, s)) for w, o in flows]
    return (
        sum(got) / sum(offered) if offered else 1.0,
        min((g / d for g, d in zip(got, offered, strict=True)), default=1.0),
    )


def served_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """Every goal with the worst of its failures."""
    graph = dependency_graph(plan.study)
    rows: list[tuple[Any, ...]] = []
    data: list[dict[str, Any]] = []
    for tier in plan.study.tiers:
        if not any(p.tier_of[w] == tier.name for w, _ in p.flows):
            continue
        whole, _ = _tier_served(p, x, tier.name, (p.hours[0], NORMAL, 0.0))
        rows.append(
            (tier.name, f"normal operation: {percent(tier.serve_fraction)}", 1, percent(whole), "", "", "holds")
        )
        for goal in tier.survive:
            worst, where, loads, verdict = 2.0, "", False, "holds"
            failures = expand(goal, plan.study, graph)
            for failure in failures:
                for s in states(p, failure.id):
                    if s[2] != goal.within_seconds:
                        continue
                    whole, _ = _tier_served(p, x, tier.name, s)
                    if whole < min(worst, 1 - 1e-9):
                        worst, where = whole, failure.id
                    loads = loads or any(x.loaded[e, s] for e in p.placements)
                    for w, o in p.flows:
                        if p.tier_of[w] == tier.name:
                            due = due_fraction(p, w, o, s)
                            short = due - float(served(p, x, w, o, s)) / requests_per_second(p, w, o, s)
                            if short > 1e-6:
                                verdict = "BROKEN"
                            elif due < goal.serve_fraction and verdict == "holds":
                                verdict = "but for the uncoverable"
            how = "hot and loaded" if loads else "hot"
            data.append(
                {
                    "tier": tier.name,
                    "goal": goal_text(goal),
                    "failures": len(failures),
                    "served_fraction_worst": min(worst, 1.0),
                    "when_lost": where or None,
                    "by_replicas": how,
                    "verdict": verdict,
                }
            )
            rows.append(
                (
                    tier.name,
                    goal_text(goal),
                    len(failures),
                    percent(min(worst, 1.0)),
                    short_failure(where),
                    how,
                    verdict,
                )
            )
    return Section(
        "SERVED",
        (),
        ("tier", "goal", "failures", "served, worst", "when lost", "by replicas", "verdict"),
        tuple(rows),
        data=data,
    )


def failures_section(plan: PlanFile, p: Problem, x: Decisions, all_rows: bool) -> Section:
    """Every failure: who is served at its last deadline, and what moves."""
    tiers = [t.name for t in plan.study.tiers if any(p.tier_of[w] == t.name for w, _ in p.flows)]
    rows, data = [], []
    normal: State = (p.hours[0], NORMAL, 0.0)
    for f in p.failures:
        if f == NORMAL:
            continue
        s = states(p, f)[-1]
        by_tier = [_tier_served(p, x, t, s)[0] for t in tiers]
        moved = sum(
            max(0.0, x.traffic[w, o, e, s] - x.traffic[w, o, e, normal])
            for w, o in p.flows
            for e in p.placements
            if (w, o, e, s) in x.traffic
        )
        loaded = sum(x.loaded[e, s] for e in p.placements)
        gone = sum(x.replicas[e, s[0]] for e in p.placements)
        hot = sum(x.kept[e, s] for e in p.placements)
        lost = sum(x.replicas[e, s[0]] - whole_survivors(p, x, e, s) for e in p.placements)
        fullest, at = _fullest(p, x, s)
        usd_h = float(requests_usd_per_hour(p, x, s))
        data.append(
            {
                "failure": f,
                "clock_seconds": s[2],
                "served_fraction": dict(zip(tiers, by_tier, strict=True)),
                "moved_requests_per_second": moved,
                "replicas_kept": hot,
                "replicas_lost": lost,
                "replicas_let_go": gone - lost - hot,
                "replicas_loaded": loaded,
                "fullest_placement": at,
                "fullest_fraction_of_limit": fullest,
                "requests_usd_per_hour": usd_h,
                "entered": f in plan.proof.failures_entered,
            }
        )
        row = [
            short_failure(f),
            f"{s[2]:g}",
            *(percent(v) for v in by_tier),
            f"{moved:,.0f}",
            int(lost),
            int(gone - lost - hot),
            int(loaded),
            percent(fullest),
            "decides" if f in plan.proof.failures_entered else "",
        ]
        if p.request_usd:
            row.append(usd(usd_h))
        rows.append((min(by_tier, default=1.0), -moved, tuple(row)))
    rows.sort(key=lambda r: (r[0], r[1], r[2]))
    kept = [r[2] for r in (rows if all_rows else rows[:MOST_ROWS])]
    columns = ["when lost", "at s", *tiers, "moved req/s", "lost", "let go", "loaded", "fullest", ""]
    if p.request_usd:
        columns.append("requests USD/h")
    lines = (
        "served by tier at the last deadline; replicas lost, let go for others, and loaded; the fullest placement, of "
        "its limit; decides: this failure entered the program",
    )
    return Section("FAILURES", lines, tuple(columns), tuple(kept), len(rows) - len(kept), data=data)


def _fullest(p: Problem, x: Decisions, s: State) -> tuple[float, str]:
    limit = p.utilisation_normal if s[1] == NORMAL else p.utilisation_in_failure
    found = [
        (float(replica_seconds_used(p, x, e, s)) / (limit * float(running(x, e, s))), e)
        for e in p.placements
        if running(x, e, s) > 0
    ]
    return max(found, default=(0.0, ""))
