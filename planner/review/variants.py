"""The report of whatif: the answer first, then what differs between the variants and where the money goes."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.questions.bridge import Bridge
from planner.questions.diff import offers_that_differ
from planner.questions.whatif import AS_IT_IS, Answer, Variant, bridges_of, in_common
from planner.review.bridges import ORDER_OF_STEPS, bridge_columns, bridge_data, not_known, not_told_apart
from planner.review.redundancy import ON_EQUAL_TERMS, beyond_usd, redundancy_data
from planner.review.report import Column, Report, Section, between, indented, percent, signed, usd
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

MOST_NAMES = 5


def review_variants(
    study: Study,
    answers: Sequence[Answer],
    files: Mapping[str, str] | None = None,
    all_rows: bool = False,
    bridges: Mapping[str, Bridge] | None = None,
) -> Report:
    """The comparison of a study with its variants: ANSWER, CHANGES, VARIANTS, BRIDGE, ORDERS, NO PLAN, NEXT."""
    bridges = bridges_of(answers) if bridges is None else bridges
    asked = [answer for answer in answers if answer.variant.asked]
    title = f"what-if on {study.study}: {len(asked) - 1} variant{'s' if len(asked) != 2 else ''}"
    written = {a.variant.name: files[a.variant.name] for a in answers if a.plan is not None} if files else {}
    sections = (
        _answer(asked),
        _changes(asked),
        _variants(asked, written, bridges),
        _bridges(asked, bridges),
        _by_change(answers),
        _in_common(asked),
        _no_plan(asked),
        _files(written),
        Section("NEXT", _next(written)),
    )
    made = tuple(section for section in sections if section is not None)
    unsure = tuple(f"{name}: {line}" for name, bridge in bridges.items() for line in not_known(bridge))
    return Report(title, all(a.plan is not None for a in asked), made, unsure=unsure, all_rows=all_rows)


def _answer(asked: Sequence[Answer]) -> Section:
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
            lines.append(f"{word}: {name}, {usd(plan.proof.cost_usd)} USD{_change(base, plan)}")
    not_planned = [answer.variant.name for answer in asked if answer.not_planned]
    without = [answer.variant.name for answer in asked if answer.plan is None and not answer.not_planned]
    proofs = [(plan.proof, name) for plan, name in planned]
    unproven = [name for proof, name in proofs if not is_proven(proof.gap_fraction, proof.gap_asked_fraction)]
    uncoverable = [name for plan, name in planned if plan.uncoverable]
    for what, names in (
        (f"NOT PLANNED, variants: {len(not_planned)} of {len(asked)}", not_planned),
        (f"NO PLAN, variants: {len(without)} of {len(asked)}", without),
        ("NOT PROVEN to the gap that was asked", unproven),
        ("with goals that nothing can cover in some failure", uncoverable),
    ):
        if names:
            lines.append(f"{what}: {', '.join(names[:MOST_NAMES])}")
    data = {
        "variants": len(asked) - 1,
        "without_plan": without,
        "not_planned": not_planned,
        "not_proven": unproven,
        "uncoverable": uncoverable,
    }
    return Section("ANSWER", tuple(lines), data=data)


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
    columns = (
        Column("change", lambda row: row[0]),
        Column("what", lambda row: row[1]),
        Column("why", lambda row: row[2]),
    )
    data = {name: {"why": p.why, "changes": [str(c) for c in p.changes]} for name, p in patches.items()}
    return Section("CHANGES", (), columns, rows, data=data, most=None)


@dataclass(frozen=True)
class VariantRow:
    """A variant with its plan, and its difference to the study as it is."""

    variant: str
    plan: PlanFile | None
    bridge: Bridge | None
    orders_that_differ: int | None
    why_not: str
    no_plan: str

    @property
    def best_plans_differ_by_usd(self) -> tuple[float, float] | None:
        """The least and the most that the best plans of both differ by."""
        return (self.bridge.least_usd, self.bridge.most_usd) if self.bridge is not None else None

    @property
    def difference_usd(self) -> float | None:
        """The cost beyond that of the study as it is."""
        return self.bridge.after_usd - self.bridge.before_usd if self.bridge is not None else None


def _variants(asked: Sequence[Answer], files: Mapping[str, str], bridges: Mapping[str, Bridge]) -> Section:
    base, rows, on_equal_terms = asked[0].plan, [], []
    for answer in asked:
        plan, name = answer.plan, answer.variant.name
        bridge, differ = bridges.get(name) if plan is not None else None, None
        if plan is not None:
            equal = beyond_usd(plan, plan.on_equal_terms)
            on_equal_terms.append(f"{name}: {'not known' if equal is None else usd(equal)}")
            if base is not None and bridge is not None:
                differ = len(offers_that_differ(base, plan))
        no_plan = "not planned" if answer.not_planned else "no plan"
        rows.append(VariantRow(name, plan, bridge, differ, answer.why_not, no_plan))
    columns = (
        Column("variant"),
        Column("USD", lambda row: usd(row.plan.proof.cost_usd) if row.plan is not None else row.no_plan),
        Column("difference", lambda row: signed(row.difference_usd) if row.difference_usd is not None else ""),
        Column("the best plans differ by", lambda row: between(row.best_plans_differ_by_usd)),
        Column("redundancy", lambda row: _redundancy(row.plan)),
        Column("orders that differ"),
        Column("gap", lambda row: percent(row.plan.proof.gap_fraction, 2) if row.plan is not None else ""),
    )
    after = (
        "every plan survives every failure of its own study as promised; differences are true to within both gaps",
        "redundancy: against the cheapest plan without survival goals, which may stand on spot",
        f"{ON_EQUAL_TERMS}: {'; '.join(on_equal_terms)}",
    )
    data = [_variant_data(row, files) for row in rows]
    return Section("VARIANTS", (), columns, rows, after, data, most=None)


def _redundancy(plan: PlanFile | None) -> str:
    extra = beyond_usd(plan, plan.without_goals) if plan is not None else None
    return "" if extra is None else usd(extra)


def _variant_data(row: VariantRow, files: Mapping[str, str]) -> dict[str, object]:
    if row.plan is None:
        return {"variant": row.variant, "plan": None, "why_not": row.why_not}
    proof = row.plan.proof
    return {
        "variant": row.variant,
        "cost_usd": proof.cost_usd,
        "bound_usd": proof.bound_usd,
        "gap_fraction": proof.gap_fraction,
        "status": proof.status,
        **redundancy_data(row.plan),
        "orders_that_differ": row.orders_that_differ,
        "difference_usd": row.difference_usd,
        "best_plans_differ_by_usd": row.best_plans_differ_by_usd,
        "uncoverable": len(row.plan.uncoverable),
        "study_sha256": row.plan.study_sha256,
        "plan_sha256": row.plan.digest_sha256,
        "file": files.get(row.variant),
    }


def _bridges(asked: Sequence[Answer], bridges: Mapping[str, Bridge]) -> Section | None:
    rows = [(a.variant.name, bridges[a.variant.name]) for a in asked if a.variant.name in bridges]
    after = tuple(f"{name}: {line}" for name, bridge in rows for line in not_told_apart(bridge))
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


def _no_plan(asked: Sequence[Answer]) -> Section | None:
    without = [answer for answer in asked if answer.plan is None and not answer.not_planned]
    lines = [line for answer in without for line in indented(answer.variant.name, answer.why_not)]
    data = [{"variant": answer.variant.name, "why_not": answer.why_not} for answer in without]
    return Section("NO PLAN", tuple(lines), data=data) if without else None


def _files(written: Mapping[str, str]) -> Section | None:
    columns = (Column("variant", lambda row: row[0]), Column("file", lambda row: row[1]))
    return Section("FILES", (), columns, list(written.items()), data=written, most=None) if written else None


def _next(written: Mapping[str, str]) -> tuple[str, ...]:
    files = list(written.values())
    if not files:
        return ("planner whatif STUDY ... --out DIR  keeps each plan, for review, diff and audit",)
    lines: tuple[str, ...] = (f"planner review DIR/{files[-1]}  one of them in full",)
    if len(files) > 1:
        lines += (f"planner diff DIR/{files[0]} DIR/{files[-1]}  what differs between two",)
    return lines
