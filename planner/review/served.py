"""Who is served: by tier and goal, and in each failure."""

from collections.abc import Iterable
from typing import Any

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, fullest_hour, states
from planner.problem.rules.costs import requests_usd_per_hour
from planner.problem.rules.formulas import due_fraction, replica_seconds_used, requests_offered, running, served
from planner.problem.rules.gateway_limits import whole_survivors
from planner.review.report import MOST_ROWS, Section, percent, short_failure, usd
from planner.study.dependencies import NORMAL, dependency_graph, expand
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal


def goal_text(goal: Goal) -> str:
    """A survival goal as people say it."""
    return f"{goal.lost_text}: {percent(goal.serve_fraction)} within {goal.within_seconds:g} s"


TOLD = 0.005
"""Smaller differences of shares are not told: they round to none."""
WORST_FLOW = "worst flow: workload and origin of the tier that fall shortest of what is due; goals hold for each alone"
ASSUMES = {
    "resolve": "the plan's own answer to each failure: weights chosen anew, no more loaded than goals need; planner "
    "drill answers each failure anew with all that can be loaded: what is not due may differ there",
    "rescale": "the plan's own answer to each failure: fixed weights over what is left, within LIMITS, nothing loaded: "
    "planner drill works them out again, in --mode resolve with weights chosen anew",
}
VERDICTS = ("holds", "but for the uncoverable", "BROKEN")


def _tier_served(p: Problem, x: Decisions, tier: str, s: State) -> float:
    """Served fraction of a tier in a state."""
    flows = [(w, o) for w, o in p.flows if p.tier_of[w] == tier]
    offered = sum(float(requests_offered(p, x, w, o, s)) for w, o in flows)
    return sum(float(served(p, x, w, o, s)) for w, o in flows) / offered if offered else 1.0


Worst = tuple[float, float, str, str]
"""(share that is short of what is due, share served, workload, origin) of a flow"""


def _worst_flow(p: Problem, x: Decisions, tier: str, some: Iterable[State]) -> Worst | None:
    """The flow of a tier that falls shortest of what is due in some states; where none does, the least served."""
    worst: Worst | None = None
    for s in some:
        for w, o in p.flows:
            offered = float(requests_offered(p, x, w, o, s)) if p.tier_of[w] == tier else 0.0
            if offered <= 0:
                continue
            share = min(1.0, float(served(p, x, w, o, s)) / offered)
            short = max(0.0, due_fraction(p, w, o, s) - share)
            here = (round(short, 6), round(share, 6), w, o)
            if worst is None or (here[0], -here[1]) > (worst[0], -worst[1]):
                worst = here
    return worst


def _flow_text(worst: Worst | None, of_tier: float) -> str:
    """The worst flow, where it is served less than its tier as a whole, or short."""
    if worst is None or (worst[0] <= 0 and worst[1] > of_tier - TOLD):
        return ""
    return f"{worst[2]} from {worst[3]} {percent(worst[1])}"


def _flow_data(worst: Worst | None) -> dict[str, Any] | None:
    if worst is None:
        return None
    short, share, w, o = worst
    return {"workload": w, "origin": o, "served_fraction": share, "short_fraction": short}


def _verdict(p: Problem, x: Decisions, tier: str, s: State, fraction: float) -> str:
    """Whether every workload and origin of a tier is served in a state as is due, and as was asked."""
    found = VERDICTS[0]
    for w, o in p.flows:
        if p.tier_of[w] == tier:
            due, wanted = due_fraction(p, w, o, s), float(requests_offered(p, x, w, o, s))
            if wanted > 0 and due - float(served(p, x, w, o, s)) / wanted > 1e-6:
                return VERDICTS[2]
            found = VERDICTS[1] if due < fraction else found
    return found


def served_section(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    """Every goal with the worst of its failures."""
    graph = dependency_graph(plan.study)
    rows: list[tuple[Any, ...]] = []
    data: list[dict[str, Any]] = []
    usually = states(p, NORMAL)
    for tier in plan.study.tiers:
        if not any(p.tier_of[w] == tier.name for w, _ in p.flows):
            continue
        usual = f"normal operation: {percent(tier.serve_fraction)}"
        verdicts = [_verdict(p, x, tier.name, s, tier.serve_fraction) for s in usually]
        least = min(_tier_served(p, x, tier.name, s) for s in usually)
        flow = _flow_text(_worst_flow(p, x, tier.name, usually), least)
        rows.append((tier.name, usual, 1, percent(least), flow, "", "", max(verdicts, key=VERDICTS.index)))
        for goal in tier.survive:
            found = _goal_served(p, x, tier.name, goal, [f.id for f in expand(goal, plan.study, graph)])
            worst = found.pop("worst")
            data.append(found | {"worst_flow": _flow_data(worst)})
            rows.append(
                (
                    tier.name,
                    found["goal"],
                    found["failures"],
                    percent(found["served_fraction_worst"]),
                    _flow_text(worst, found["served_fraction_worst"]),
                    short_failure(found["when_lost"] or ""),
                    found["by_replicas"],
                    found["verdict"],
                )
            )
    named = any(row[4] for row in rows)
    columns: tuple[str, ...] = ("tier", "goal", "failures", "served, worst", "worst flow", "when lost")
    columns += ("by replicas", "verdict")
    if not named:
        columns, rows = (*columns[:4], *columns[5:]), [(*row[:4], *row[5:]) for row in rows]
    return Section(
        "SERVED",
        (WORST_FLOW,) if named else (),
        columns,
        tuple(rows),
        data=data,
    )


def _goal_served(p: Problem, x: Decisions, tier: str, goal: Goal, failures: list[str]) -> dict[str, Any]:
    """A goal at its deadline, in the failure that serves the least."""
    at = [s for f in failures for s in states(p, f) if s[2] == goal.within_seconds]
    least, where = min(((_tier_served(p, x, tier, s), s[1]) for s in at), default=(1.0, ""), key=lambda r: r[0])
    all_served = least > 1 - 1e-9
    verdicts = [_verdict(p, x, tier, s, goal.serve_fraction) for s in at]
    return {
        "tier": tier,
        "goal": goal_text(goal),
        "failures": len(failures),
        "served_fraction_worst": 1.0 if all_served else least,
        "when_lost": None if all_served else where,
        "by_replicas": "hot and loaded" if any(x.cold_started[e, s] for s in at for e in p.placements) else "hot",
        "verdict": max(verdicts, key=VERDICTS.index, default=VERDICTS[0]),
        "worst": _worst_flow(p, x, tier, at),
    }


def failures_section(plan: PlanFile, p: Problem, x: Decisions, all_rows: bool) -> Section:
    """Every failure: who is served at its last deadline, and what moves."""
    tiers = [t.name for t in plan.study.tiers if any(p.tier_of[w] == t.name for w, _ in p.flows)]
    rows, data = [], []
    h = fullest_hour(p)
    normal: State = (h, NORMAL, 0.0)
    for f in p.failures:
        if f == NORMAL:
            continue
        s = (h, f, p.deadlines_seconds[f][-1])
        by_tier = [_tier_served(p, x, t, s) for t in tiers]
        worst = [_worst_flow(p, x, t, [s]) for t in tiers]
        moved = sum(
            max(0.0, x.traffic[w, o, e, s] - x.traffic[w, o, e, normal])
            for w, o in p.flows
            for e in p.placements
            if (w, o, e, s) in x.traffic
        )
        cold_started = sum(x.cold_started[e, s] for e in p.placements)
        gone = sum(x.replicas[e, s[0]] for e in p.placements)
        hot = sum(x.kept[e, s] for e in p.placements)
        lost = sum(x.replicas[e, s[0]] - whole_survivors(p, x, e, s) for e in p.placements)
        fullest, at = _fullest(p, x, s)
        usd_h = float(requests_usd_per_hour(p, x, s))
        data.append(
            {
                "failure": f,
                "deadline_seconds": s[2],
                "served_fraction": dict(zip(tiers, by_tier, strict=True)),
                "worst_flow": dict(zip(tiers, map(_flow_data, worst), strict=True)),
                "moved_requests_per_second": moved,
                "replicas_kept": hot,
                "replicas_lost": lost,
                "replicas_let_go": gone - lost - hot,
                "replicas_loaded": cold_started,
                "fullest_placement": at,
                "fullest_fraction_of_limit": fullest,
                "requests_usd_per_hour": usd_h,
                "entered": f in plan.proof.binding_failures,
            }
        )
        row = [
            short_failure(f),
            f"{s[2]:g}",
            *(_with_worst(p, t, v, flow, s) for t, v, flow in zip(tiers, by_tier, worst, strict=True)),
            f"{moved:,.0f}",
            int(lost),
            int(gone - lost - hot),
            int(cold_started),
            percent(fullest),
            "decides" if f in plan.proof.binding_failures else "",
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
        "served by tier at the last deadline, in brackets a tier's flow that is worst off; replicas lost, let go for "
        "others, and loaded; the fullest placement, of its limit; decides: this failure entered the program",
        ASSUMES[p.failover],
        *((f"in {h}, the hour of most requests, of {len(p.hours)}",) if len(p.hours) > 1 else ()),
    )
    return Section("FAILURES", lines, tuple(columns), tuple(kept), len(rows) - len(kept), data=data)


def _with_worst(p: Problem, tier: str, share: float, worst: Worst | None, s: State) -> str:
    """What a tier is served, and its worst flow where that is less and something is due to the tier."""
    due = any(p.tier_of[w] == tier and due_fraction(p, w, o, s) > 0 for w, o in p.flows)
    less = due and worst is not None and (worst[0] > 0 or worst[1] <= share - TOLD)
    return f"{percent(share)} ({percent(worst[1])})" if less and worst is not None else percent(share)


def _fullest(p: Problem, x: Decisions, s: State) -> tuple[float, str]:
    limit = p.utilisation_normal if s[1] == NORMAL else p.utilisation_in_failure
    found = [
        (float(replica_seconds_used(p, x, e, s)) / (limit * float(running(x, e, s))), e)
        for e in p.placements
        if running(x, e, s) > 0
    ]
    return max(found, default=(0.0, ""))
