"""The report of whatif: the answer first, then what differs between the variants and where the money goes."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.questions.answer import Answer
from planner.questions.bridge import Bridge
from planner.questions.diff import offers_that_differ
from planner.questions.variants import AS_IT_IS, Variant
from planner.questions.whatif import bridges_of, in_common
from planner.review.bridges import ORDER_OF_STEPS, bridge_columns, bridge_data, not_known, stand_together
from planner.review.figures import Figure
from planner.review.redundancy import ON_EQUAL_TERMS, beyond_usd, redundancy_data
from planner.review.report import (
    AT_RISK,
    Column,
    Judged,
    Line,
    Report,
    Section,
    between,
    item_columns,
    made,
    no_plan_section,
    percent,
    signed,
    usd,
)
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

MOST_NAMES = 5
SAME_COST = 1e-6
"""Relative difference of costs that is the arithmetic of a solver."""


def review_variants(
    study: Study,
    answers: Sequence[Answer],
    files: Mapping[str, str] | None = None,
    all_rows: bool = False,
    bridges: Mapping[str, Bridge] | None = None,
    gap_asked_fraction: float | None = None,
) -> Report:
    """The comparison of a study with its variants: ANSWER, CHANGES, VARIANTS, BRIDGE, ORDERS, NO PLAN, NEXT.

    `gap_asked_fraction`: see `not_proven`.
    """
    bridges = bridges_of(answers) if bridges is None else bridges
    asked = [answer for answer in answers if answer.variant.asked]
    title = f"what-if on {study.study}: {len(asked) - 1} variant{'s' if len(asked) != 2 else ''}"
    written = {a.variant.name: files[a.variant.name] for a in answers if a.plan is not None} if files else {}
    why_not = {a.variant.name: a.why_not for a in asked if a.plan is None and not a.not_planned}
    sections = made(
        _answer(asked, gap_asked_fraction),
        _changes(asked),
        _variants(asked, written, bridges),
        _bridges(asked, bridges),
        _by_change(answers),
        _in_common(asked),
        no_plan_section(why_not, [{"variant": name, "why_not": why} for name, why in why_not.items()]),
        _files(written),
        Section("NEXT", _next(written)),
    )
    unsure = tuple(f"{name}: {line}" for name, bridge in bridges.items() for line in not_known(bridge))
    return Report(title, all(a.plan is not None for a in asked), sections, unsure=unsure, all_rows=all_rows)


def not_proven(answers: Sequence[Answer], gap_asked_fraction: float | None = None) -> dict[str, str]:
    """Variants whose plan is not proven to a gap, and how far each is, in words.

    Parameters
    ----------
    gap_asked_fraction : what this question asked for, also of a plan that was made before, with another gap or cut
        short; none: each plan is held to what was asked when it was made
    """
    unproven = {}
    for answer in answers:
        if answer.plan is None:
            continue
        proof = answer.plan.proof
        asked_fraction = proof.gap_asked_fraction if gap_asked_fraction is None else gap_asked_fraction
        if not is_proven(proof.gap_fraction, asked_fraction):
            ended = ", its search was ended" if proof.status == "stopped" else ""
            gap = f"{percent(proof.gap_fraction, 2)}, {percent(asked_fraction, 2)} was asked"
            unproven[answer.variant.name] = f"{answer.variant.name} (gap {gap}{ended})"
    return unproven


def _answer(asked: Sequence[Answer], gap_asked_fraction: float | None) -> Section:
    planned = [(answer.plan, answer.variant.name) for answer in asked if answer.plan is not None]
    base = asked[0].plan
    lines = []
    if base is not None:
        cost = f"{usd(base.proof.cost_usd)} USD over {base.study.horizon.months:g} months"
        lines.append(f"{AS_IT_IS}: {cost}, at the study's prices; gap {percent(base.proof.gap_fraction, 2)}")
    else:
        lines.append(f"{AS_IT_IS}: {'NOT PLANNED' if asked[0].not_planned else 'NO PLAN'}")
    for word, pick in (("cheapest", min), ("dearest", max)):
        if len(planned) > 1:
            plan, name = pick(planned, key=lambda pair: (pair[0].proof.cost_usd, pair[1]))
            known = f"{word}: {name}, {usd(plan.proof.cost_usd)} USD{_change(base, plan)}"
            lines.append(known + _within_the_gaps(plan, word == "cheapest", planned))
    not_planned = [answer.variant.name for answer in asked if answer.not_planned]
    without = [answer.variant.name for answer in asked if answer.plan is None and not answer.not_planned]
    unproven = not_proven(asked, gap_asked_fraction)
    uncoverable = [name for plan, name in planned if plan.uncoverable]
    for what, names in (
        (f"NOT PLANNED, variants: {len(not_planned)} of {len(asked)}", not_planned),
        (f"NO PLAN, variants: {len(without)} of {len(asked)}", without),
        ("NOT PROVEN to the gap that was asked", list(unproven.values())),
        ("with goals that nothing can cover in some failure", uncoverable),
    ):
        if names:
            lines.append(f"{what}: {', '.join(names[:MOST_NAMES])}")
    data = {
        "variants": len(asked) - 1,
        "without_plan": without,
        "not_planned": not_planned,
        "not_proven": list(unproven),
        "uncoverable": uncoverable,
    }
    return Section("ANSWER", tuple(lines), data=data)


def _within_the_gaps(plan: PlanFile, cheapest: bool, planned: Sequence[tuple[PlanFile, str]]) -> str:
    """Other variants that may be cheaper than the cheapest, or dearer than the dearest, as far as is proven."""
    names = []
    for other, name in planned:
        of_cheaper, of_dearer = (other.proof, plan.proof) if cheapest else (plan.proof, other.proof)
        differ = abs(other.proof.cost_usd - plan.proof.cost_usd) > SAME_COST * plan.proof.cost_usd
        if differ and of_cheaper.bound_usd < of_dearer.cost_usd:
            names.append(name)
    return f"; within the gaps it may be: {', '.join(names[:MOST_NAMES])}" if names else ""


def _change(base: PlanFile | None, plan: PlanFile) -> str:
    if base is None or base is plan or base.proof.cost_usd <= 0:
        return ""
    return f" ({plan.proof.cost_usd / base.proof.cost_usd - 1:+.1%})"


def _changes(asked: Sequence[Answer]) -> Section:
    patches = {patch.name: patch for answer in asked for patch in answer.variant.patches}
    rows = []
    for name, patch in patches.items():
        for n, change in enumerate(patch.changes):
            rows.append((name, str(change), patch.why) if n == 0 else ("", str(change), ""))
    columns = item_columns("change", "what", "why")
    data = {name: {"why": p.why, "changes": [str(c) for c in p.changes]} for name, p in patches.items()}
    return Section("CHANGES", (), columns, rows, data=data, most=None)


def _variants(asked: Sequence[Answer], files: Mapping[str, str], bridges: Mapping[str, Bridge]) -> Section:
    """A row for each variant: its plan, and its difference to the study as it is."""
    base, on_equal_terms = asked[0].plan, []
    for answer in asked:
        if answer.plan is not None:
            equal = beyond_usd(answer.plan, answer.plan.on_equal_terms)
            on_equal_terms.append(f"{answer.variant.name}: {'not known' if equal is None else usd(equal)}")

    def orders_that_differ(answer: Answer) -> int | None:
        if base is None or answer.plan is None or answer.variant.name not in bridges:
            return None
        return len(offers_that_differ(base, answer.plan))

    def of_bridge(answer: Answer, cell: Callable[[Bridge], str]) -> str:
        bridge = bridges.get(answer.variant.name)
        return "" if bridge is None or answer.plan is None else cell(bridge)

    columns = (
        Column("variant", lambda a: a.variant.name),
        _plan_column(
            "USD", lambda plan: usd(plan.proof.cost_usd), lambda a: "not planned" if a.not_planned else "no plan"
        ),
        Column("difference", lambda a: of_bridge(a, _difference)),
        Column("the best plans differ by", lambda a: of_bridge(a, lambda b: between((b.least_usd, b.most_usd)))),
        _plan_column("redundancy", lambda plan: usd(plan.proof.cost_usd - plan.without_goals.cost_usd)),
        Column("orders that differ", orders_that_differ),
        _plan_column("gap", lambda plan: percent(plan.proof.gap_fraction, 2)),
    )
    after: tuple[Line, ...] = (
        _survives(asked),
        "redundancy: against the cheapest plan without survival goals, which may stand on spot",
        f"{ON_EQUAL_TERMS}: {'; '.join(on_equal_terms)}",
    )
    data = []
    for answer in asked:
        own: dict[str, Any] = {"variant": answer.variant.name}
        if answer.plan is None:
            data.append({**own, "plan": None, "why_not": answer.why_not})
        else:
            more = {"orders_that_differ": orders_that_differ(answer), "file": files.get(answer.variant.name)}
            data.append({**own, **_plan_data(answer.plan, bridges.get(answer.variant.name)), **more})
    return Section("VARIANTS", (), columns, asked, after, data, most=None)


def _survives(asked: Sequence[Answer]) -> str:
    """What every plan survives; where nothing can cover a failure, of which variants, and how many cases."""
    uncoverable = [
        (a.variant.name, len(a.plan.uncoverable)) for a in asked if a.plan is not None and a.plan.uncoverable
    ]
    if not uncoverable:
        return (
            "every plan survives every failure of its own study as promised; differences are true to within both gaps"
        )
    cases = ", ".join(f"{name} {many}" for name, many in uncoverable)
    return Judged(
        "every plan survives every failure of its own study as far as that can be covered; cases that CANNOT BE "
        f"COVERED by any capacity: {cases}; what leaves them out costs less for that; differences are "
        "true to within both gaps",
        AT_RISK,
    )


def _difference(bridge: Bridge) -> str:
    """What a variant costs beyond the study as it is; said where the best plans may differ otherwise."""
    note = "within the gaps" if bridge.within_gaps else ""
    text = signed(bridge.difference_usd)
    return Figure(f"{text}, {note}" if note else text, bridge.difference_usd, "USD", note=note)


def _plan_column(
    title: str, cell: Callable[[PlanFile], str], without: Callable[[Answer], str] = lambda answer: ""
) -> Column:
    return Column(title, lambda answer: without(answer) if answer.plan is None else cell(answer.plan))


def _plan_data(plan: PlanFile, bridge: Bridge | None) -> dict[str, Any]:
    return {
        "cost_usd": plan.proof.cost_usd,
        "bound_usd": plan.proof.bound_usd,
        "gap_fraction": plan.proof.gap_fraction,
        "status": plan.proof.status,
        **redundancy_data(plan),
        "difference_usd": bridge.difference_usd if bridge is not None else None,
        "within_gaps": bridge.within_gaps if bridge is not None else None,
        "best_plans_differ_by_usd": (bridge.least_usd, bridge.most_usd) if bridge is not None else None,
        "uncoverable": len(plan.uncoverable),
        "study_sha256": plan.study_sha256,
        "plan_sha256": plan.digest_sha256,
    }


def _bridges(asked: Sequence[Answer], bridges: Mapping[str, Bridge]) -> Section | None:
    rows = [(a.variant.name, bridges[a.variant.name]) for a in asked if a.variant.name in bridges]
    after = tuple(f"{name}: {line}" for name, bridge in rows for line in stand_together(bridge))
    columns = (Column("variant", lambda row: row[0]), *bridge_columns(AS_IT_IS))
    data = [{"variant": name, **bridge_data(bridge)} for name, bridge in rows]
    return Section("BRIDGE", (ORDER_OF_STEPS,), columns, rows, after, data, most=None) if rows else None


def _by_change(answers: Sequence[Answer]) -> Section | None:
    """Each variant's difference by its patches, one after the other, where those between were planned."""
    plans, rows = {answer.variant.key: answer.plan for answer in answers}, []
    for answer in answers:
        patches = answer.variant.patches
        chain = [Variant(patches[:n]) for n in range(len(patches) + 1)]
        if not answer.variant.asked or len(chain) < 3 or not all(variant.key in plans for variant in chain):
            continue
        of_chain = [plans[variant.key] for variant in chain]
        if not any(of_chain):
            continue
        costs = [plan.proof.cost_usd if plan is not None else None for plan in of_chain]
        steps = []
        for patch, (before, after) in zip(patches, itertools.pairwise(costs), strict=True):
            cost_usd = after - before if after is not None and before is not None else None
            steps.append({"change": patch.name, "usd": cost_usd})
        rows.append({"variant": answer.variant.name, "steps": steps})
    line = "one change after the other, in the order of the axes, each planned; another order attributes differently"
    columns = (Column("variant", lambda row: row["variant"]), Column("USD", lambda row: _steps_text(row["steps"])))
    return Section("BY CHANGE", (line,), columns, rows, most=None) if rows else None


def _steps_text(steps: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{s['change']} {'no plan' if s['usd'] is None else signed(s['usd'])}" for s in steps)


def _in_common(asked: Sequence[Answer]) -> Section | None:
    columns = (
        Column("offer", lambda row: row["offer"]),
        Column("least", lambda row: row["least"]),
        Column("most", lambda row: row["most"]),
        Column("bought in plans", lambda row: f"{row['in']} of {row['of']}"),
    )
    line = "units of each offer over all plans: what every plan buys can be signed whichever comes true"
    rows = in_common(asked)
    return Section("ORDERS", (line,), columns, rows) if rows else None


def _files(written: Mapping[str, str]) -> Section | None:
    columns = item_columns("variant", "file")
    return Section("FILES", (), columns, list(written.items()), data=written, most=None) if written else None


def _next(written: Mapping[str, str]) -> tuple[str, ...]:
    files = list(written.values())
    if not files:
        return ("planner whatif STUDY ... --out DIR  keeps each plan, for review, diff and audit",)
    lines: tuple[str, ...] = (f"planner review DIR/{files[-1]}  one of them in full",)
    if len(files) > 1:
        lines += (f"planner diff DIR/{files[0]} DIR/{files[-1]}  what differs between two",)
    return lines
