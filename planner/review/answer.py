"""The reports of plan, audit and drill: answers first, then what they rest on."""

from collections import defaultdict
from dataclasses import asdict
from typing import Any

from planner.audit import Audit, audit
from planner.costs import requests_usd_per_hour
from planner.drill import DrillResult, DrillRow
from planner.formulas import due_fraction, replica_seconds_used, requests_per_second, running, served
from planner.margins import margins
from planner.orders import Order, orders
from planner.plan import decisions_of, whole_survivors
from planner.problem import PERIOD, Decisions, Problem, State, build, states
from planner.records.plan import PlanFile
from planner.records.study import Goal
from planner.review.report import Report, Section, percent, short_failure, usd
from planner.risk import NORMAL, dependency_graph, expand

MOST_ROWS = 12
MOST_MARGINS = 6
NOT_A_PLAN = ("digest", "study digest", "study", "purchases", "replicas", "states")
"""Violations after which the rest of a review would tell tales."""
NOT_IN = (
    "one period and one mean hour: no growth, no day and night, no contracts that end inside the horizon",
    "requests are divisible and queues are not simulated: utilisation limits and burst_factor stand for them",
    "independent failures only as far as goals name them; no probabilities, no expected outage cost",
    "caches are as warm after a move as before; sessions that must be moved are not counted",
    "on-demand capacity that a failure would need anew is never counted; what runs on demand is taken to go on",
    "the last mile of users, egress and storage fees",
    "replicas of different sizes share machines by fractions: power-of-two parts always pack, others might not",
)


def review_plan(plan: PlanFile, all_rows: bool = False) -> Report:
    """The review of a plan: ANSWER, ORDER, SERVED, FAILURES, FLEET, BINDS, TRUST, NOT IN, NEXT."""
    p = build(plan.study, plan.demand_case)
    checked = audit(plan, p)
    x = decisions_of(plan, p)
    proven = plan.proof.gap_fraction <= plan.proof.gap_asked_fraction + 1e-9
    good = checked.passed and proven and not plan.uncoverable
    if any(v.rule in NOT_A_PLAN for v in checked.violations):
        return Report(f"study {plan.study.study}", False, (_answer(plan, p, checked, proven),), {})
    bought = orders(plan, p)
    sections = [
        _answer(plan, p, checked, proven),
        _order(plan, bought, all_rows),
        _served(plan, p, x),
        _failures(plan, p, x, all_rows),
        _fleet(plan, p, x),
        _binds(plan),
        _trust(plan, p, x),
        Section("NOT IN", NOT_IN + plan.study.assumptions),
        Section(
            "NEXT",
            (
                "planner audit plan.json            every rule on the plan's own numbers",
                "planner drill plan.json            an independent replay of every failure",
                "planner drill FLEET.csv --study .  the same failures on today's fleet",
                "planner show RULE                  the formula behind a name used here",
            ),
        ),
    ]
    return Report(f"study {plan.study.study}", good, tuple(sections), {"plan_sha256": plan.digest_sha256})


def _answer(plan: PlanFile, p: Problem, checked: Audit, proven: bool) -> Section:
    proof, bare = plan.proof, plan.without_goals
    lines = []
    if plan.uncoverable:
        lines.append(f"CANNOT BE COVERED by any capacity, cases: {len(plan.uncoverable)}")
        for row in plan.uncoverable[:5]:
            lines.append(
                f"  {row.workload} from {row.origin} when {short_failure(row.failure)} is lost: at most "
                f"{percent(row.coverable_fraction)}; missing: {row.missing}"
            )
    goals = sum(len(tier.survive) for tier in plan.study.tiers)
    if checked.passed:
        but = " (all that can be covered)" if plan.uncoverable else ""
        lines.append(
            f"{goals} survival goals hold in all {proof.failures_tested} failures{but}: audited, "
            f"{checked.rows_checked:,} rows in {checked.states_checked} states"
        )
    else:
        lines.append(f"THE AUDIT FAILS: {len(checked.violations)} violations; this is not a plan. First ones:")
        lines += [f"  {violation}" for violation in checked.violations[:5]]
    hours = p.hours_in[PERIOD]
    per_hour = proof.cost_usd / hours if hours else 0.0
    extra = proof.cost_usd - bare.cost_usd
    share = f" (+{extra / bare.cost_usd:.0%})" if bare.cost_usd > 0 else ""
    lines += [
        f"cost {usd(proof.cost_usd)} USD over {plan.study.horizon.months:g} months, {usd(per_hour)} USD/h, "
        "at list prices; machines held already cost nothing here",
        f"gap {percent(proof.gap_fraction, 2)}: no plan costs less than "
        f"{usd(proof.bound_usd)} USD"
        + ("" if proven else f" (NOT PROVEN: {percent(proof.gap_asked_fraction, 2)} was asked)")
        + ("; a clock or a person ended the search: not reproducible" if proof.status == "stopped" else ""),
        f"without survival goals {usd(bare.cost_usd)} USD: redundancy costs {usd(extra)} USD{share}",
        *(f"  {name.replace('_', ' ')}: {usd(value)} USD" for name, value in plan.costs_usd.items() if value),
    ]
    data = {
        "audit_passed": checked.passed,
        "violations": [asdict(v) for v in checked.violations],
        "proof": plan.proof.model_dump(),
        "costs_usd": plan.costs_usd,
        "without_goals_usd": bare.cost_usd,
        "redundancy_usd": extra,
        "uncoverable": [row.model_dump() for row in plan.uncoverable],
        "goals": goals,
    }
    return Section("ANSWER", tuple(lines), data=data)


def _order(plan: PlanFile, bought: tuple[Order, ...], all_rows: bool) -> Section:
    rows = []
    for o in bought:
        for_goals = o.units - o.units_without_goals
        rows.append(
            (
                o.units,
                o.offer.rpartition(":")[2],
                o.pool,
                f"{o.by}{' LATE' if o.days_late else ''}",
                f"{o.usd / 1e6:,.2f} M",
                f"{for_goals} of {o.units}",
                short_failure(o.reasons[0]) if for_goals and o.reasons else "",
                *(() if o.firm_in is None else (f"{o.firm_in} of 3, ≥ {o.firm_units}",)),
            )
        )
    kept = rows if all_rows else rows[: 2 * MOST_ROWS]
    columns = ["units", "offer", "pool", "by", "USD", "for goals", "above all when lost"]
    if plan.firm:
        columns.append("firm")
    study = plan.study
    after = [
        f"by = need ({study.horizon.start}) − lead time − slack ({study.order_slack_days:g} days)"
        + ("; LATE: that day has passed, the slack is used up" if any(o.days_late for o in bought) else ""),
        "for goals: not bought without survival goals; above all when lost: what pays most for it in the relaxation",
    ]
    if plan.firm:
        after.append("firm: how many of the low, base and high demand plans buy as much, and the least of the three")
    else:
        after.append("how firm each order is in low and high demand: planner plan --firm")
    after += sorted({f"{o.offer.rpartition(':')[2]} of {o.pool.rpartition('/')[2]}: {o.instrument}" for o in bought})[
        :8
    ]
    return Section(
        "ORDER",
        () if rows else ("nothing: what is held is enough",),
        tuple(columns),
        tuple(kept),
        len(rows) - len(kept),
        tuple(after) if rows else (),
        [asdict(o) for o in bought],
    )


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


def _served(plan: PlanFile, p: Problem, x: Decisions) -> Section:
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


def _failures(plan: PlanFile, p: Problem, x: Decisions, all_rows: bool) -> Section:
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
        "served by tier at the last deadline; replicas lost, let go for others, and loaded; the fullest placement, of",
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


def _fleet(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    h = p.hours[0]
    units = {b.offer: b.units for b in plan.purchases}
    rows: list[tuple[Any, ...]] = []
    s: State = (h, NORMAL, 0.0)
    for q in p.pools:
        held = int(p.held_machines[q, p.period_of[h]])
        bought = {b: units[b] * p.machines_per_unit[b] for b in p.offers_of[q] if b in units}
        if not held and not bought:
            continue
        used = sum(p.machines_per_replica[e] * x.replicas[e, h] for e in p.on_pool[q])
        hourly = sum(n * p.price_usd_per_machine_hour[b] for b, n in bought.items())
        lent = int(sum(n for n, _ in p.claims[q]))
        what = " + ".join(f"{n} {b.rpartition(':')[2]}" for b, n in bought.items())
        by_model: dict[str, float] = defaultdict(float)
        for e in p.on_pool[q]:
            by_model[e.partition("/")[0]] += x.replicas[e, h]
        serves = ", ".join(f"{int(n)} {model}" for model, n in sorted(by_model.items()) if n)
        rows.append((q, held, lent or None, what, f"{used:,.1f}", usd(hourly), serves))
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    data = [
        {
            "pool": q,
            "held_machines": int(p.held_machines[q, p.period_of[h]]),
            "lent_machines": int(sum(n for n, _ in p.claims[q])),
            "ordered_machines": {b: units[b] * p.machines_per_unit[b] for b in p.offers_of[q] if b in units},
            "replicas": {e: int(x.replicas[e, h]) for e in p.on_pool[q] if x.replicas[e, h]},
        }
        for q in p.pools
    ]
    all_served = sum(x.traffic[w, o, e, s] for w, o in p.flows for e in p.edges[w, o])
    for row in rows:
        totals[row[0].partition("/")[0]][0] += row[1]
    for b, n in units.items():
        provider = p.pool_of[b].partition("/")[0]
        totals[provider][1] += n * p.machines_per_unit[b]
    for w, o in p.flows:
        for e in p.edges[w, o]:
            totals[p.pool_of[e].partition("/")[0]][2] += x.traffic[w, o, e, s]
    lines = tuple(
        f"{provider}: {held:.0f} held, {new:.0f} ordered, "
        f"{percent(share / all_served if all_served else 0.0)} of requests in normal operation"
        for provider, (held, new, share) in sorted(totals.items())
    )
    return Section(
        "FLEET",
        lines,
        ("pool", "held", "lent", "ordered", "used", "USD/h", "replicas"),
        tuple(rows),
        data=data,
    )


def _binds(plan: PlanFile) -> Section:
    gap_usd = plan.proof.cost_usd - plan.proof.bound_usd
    rows = tuple(
        (
            b.limit,
            b.unit,
            usd(b.marginal_usd),
            usd(b.replanned_usd) if b.replanned_usd is not None else "not planned again",
        )
        for b in plan.binds[:MOST_ROWS]
    )
    lines = () if rows else ("no quota, stock or power limit binds",)
    after = (
        "saving of one more unit over the horizon in the relaxation (replicas divisible): a direction, not a quote",
        f"planned again (planner plan --value-limits N): true to within the gap, {usd(gap_usd)} USD here",
    )
    return Section(
        "BINDS",
        lines,
        ("limit", "unit", "USD per unit, relaxation", "planned again"),
        rows,
        max(0, len(plan.binds) - MOST_ROWS),
        after if rows else (),
        [b.model_dump() for b in plan.binds],
    )


def _trust(plan: PlanFile, p: Problem, x: Decisions) -> Section:
    s: State = (p.hours[0], NORMAL, 0.0)
    study = plan.study
    known: dict[tuple[str, str], str] = {}
    lowest: dict[str, float] = {}
    classes = {w.name: w.context_class for w in study.workloads}
    for model in study.models:
        for prof in model.profiles:
            for point in prof.classes:
                name = f"{model.model}/{prof.name}"
                known[name, point.context_class] = point.evidence
                lowest[name] = min(point.low_factor, lowest.get(name, 1.0))
    by_rate: dict[str, float] = defaultdict(float)
    by_trip: dict[str, float] = defaultdict(float)
    for w, o in p.flows:
        for e in p.edges[w, o]:
            value = x.traffic[w, o, e, s]
            if value:
                by_rate[known[e.partition("@")[0], classes[w]]] += value
                by_trip[p.round_trip_ms[o, p.site_of[p.pool_of[e]]].how.partition(" ")[0]] += value
    price_of = {price.offer_id: price for price in study.prices}
    by_price: dict[str, float] = defaultdict(float)
    for b in plan.purchases:
        by_price[price_of[b.offer].evidence] += (
            b.units * p.machines_per_unit[b.offer] * p.price_usd_per_machine_hour[b.offer]
        )
    dates = sorted(price_of[b.offer].as_of for b in plan.purchases)

    def shares(found: dict[str, float]) -> str:
        whole = sum(found.values())
        return (
            ", ".join(f"{percent(v / whole)} {name}" for name, v in sorted(found.items(), key=lambda r: -r[1]))
            if whole
            else "none"
        )

    lines = [
        f"speed: {shares(by_rate)} (share of requests in normal operation)",
        f"round trips: {shares(by_trip)} (share of requests)",
        f"prices: {shares(by_price)} (share of USD/h ordered)"
        + (f", as of {dates[0]}{f' to {dates[-1]}' if dates[-1] != dates[0] else ''}" if dates else ""),
        "demand: as the study states it; its assumptions stand under NOT IN",
    ]
    found = margins(p, x)
    rows = []
    for m in found[:MOST_MARGINS]:
        evidence = " and ".join(sorted({e for (name, _), e in known.items() if name == m.figure})) or "of the study"
        low = f"× {lowest[m.figure]:.2f}" if m.figure in lowest else ""
        rows.append(
            (m.figure, evidence, low, f"× {m.factor:.3f}", f"{short_failure(m.failure)} at {m.clock_seconds:g} s")
        )
    return Section(
        "TRUST",
        tuple(lines),
        ("figure", "evidence", "its low end", "holds to", "then breaks first when lost"),
        tuple(rows),
        after=(
            "holds to: factor on demand, or on the speed of a profile in all its pools, where the first goal breaks,",
            "replicas as planned and filled completely. A plan at the lowest cost has little to spare: for slack, plan",
            "with --demand high, a lower utilisation.in_failure, or higher goals",
        ),
        data={
            "speed_share": dict(by_rate),
            "round_trip_share": dict(by_trip),
            "price_share": dict(by_price),
            "margins": [asdict(m) for m in found],
        },
    )


def review_audit(result: Audit, cannot: tuple[str, ...]) -> Report:
    """The report of an audit."""
    verdict = "passed" if result.passed else f"FAILED, {len(result.violations)} violations"
    lines = (f"{result.rows_checked:,} rows in {result.states_checked} states checked: {verdict}",)
    rows = tuple((v.rule, v.key, v.detail) for v in result.violations)
    return Report(
        "audit",
        result.passed,
        (
            Section(
                "AUDIT",
                lines,
                ("rule", "where", "what does not hold"),
                rows[:200],
                max(0, len(rows) - 200),
                data={"passed": result.passed, "violations": [asdict(v) for v in result.violations]},
            ),
            Section("NOT CHECKED", cannot),
        ),
    )


def review_drill(result: DrillResult, claims: tuple[str, ...], all_rows: bool = False) -> Report:
    """The report of a drill, worst first."""

    def uncovered(row: DrillRow) -> bool:
        return row.due_fraction > 0 and row.uncoverable_requests_per_second > 0

    rows = [
        (
            short_failure(r.failure),
            f"{r.clock_seconds:g}",
            r.tier,
            percent(r.due_fraction),
            percent(r.served_fraction),
            f"{r.short_requests_per_second:,.1f}",
            f"{r.uncoverable_requests_per_second:,.1f}" if r.uncoverable_requests_per_second else "",
            "BROKEN" if r.broken else "uncoverable" if uncovered(r) else "holds",
        )
        for r in result.rows
    ]
    broken = sum(r.broken for r in result.rows)
    lost = sum(uncovered(r) for r in result.rows)
    failures = {r.failure for r in result.rows if r.broken}
    verdict = (
        f"goals BREAK, in {len(failures)} failures (a tier falls short {broken} times)"
        if broken
        else "every goal holds, but for what no capacity can cover"
        if lost
        else "every goal holds"
    )
    lines = [
        f"{len({r.failure for r in result.rows} - {NORMAL})} failures and normal operation replayed in {result.mode},"
        f" on {result.subject}: {verdict}",
        *result.findings,
        *claims,
    ]
    kept = rows if all_rows else rows[: 2 * MOST_ROWS]
    good = not broken and not claims and not lost
    return Report(
        "drill",
        good,
        (
            Section(
                "DRILL",
                tuple(lines),
                ("lost", "at s", "tier", "due", "served", "short req/s", "uncoverable req/s", "verdict"),
                tuple(kept),
                len(rows) - len(kept),
                data={**result.as_dict(), "claims_that_do_not_hold": claims},
            ),
        ),
    )
