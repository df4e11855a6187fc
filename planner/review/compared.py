"""The reports of whatif and diff: the answer first, then what differs and where the money goes."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from planner.plan.file import digest
from planner.questions.bridge import STEPS, Bridge
from planner.questions.diff import PARTS, Diff, Difference, offers_that_differ
from planner.questions.whatif import AS_IT_IS, Answer, Variant, bridges_of, in_common
from planner.review.redundancy import ON_EQUAL_TERMS, beyond_usd, redundancy_data
from planner.review.report import Cell, Report, Section, percent, usd
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

MOST_ROWS = 12
WHY_LINES = 4
ORDER_OF_STEPS = (
    "in this order, each step after the ones before it: prices (what the first plan buys, at the other's), then the "
    "change without survival goals: serving (moves to what is cheaper then, speeds, limits), demand, commitments "
    "(offers, holdings, claims, promises), slip (clocks, lead times, dates); redundancy is the rest: what the plans "
    "cost beyond the cheapest plans without goals, which may stand on spot"
)


def signed(value: float) -> str:
    """A difference in money, with its sign.

    Examples
    --------
    >>> signed(-1234.4), signed(-0.2), signed(7.0)
    ('-1,234', '0', '+7')
    """
    return f"{value:+,.0f}" if abs(value) >= 0.5 else "0"


# ------------------------------------------------------------------ whatif
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
    sections = [
        _answer(asked),
        _changes(asked),
        _variants(asked, written, bridges),
        *_bridges(asked, bridges),
        *_by_change(answers),
        *_in_common(asked, all_rows),
        *_no_plan(asked),
        *_files(written),
        Section("NEXT", _next(written)),
    ]
    unsure = [f"{name}: {line}" for name, found in bridges.items() for line in _not_known(found)]
    return Report(title, all(a.plan is not None for a in asked), tuple(sections), unsure=tuple(unsure))


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
    left = [answer.variant.name for answer in asked if answer.not_planned]
    if left:
        lines.append(f"NOT PLANNED, variants: {len(left)} of {len(asked)}: {', '.join(left[:5])}")
    without = [answer.variant.name for answer in asked if answer.plan is None and not answer.not_planned]
    if without:
        lines.append(f"NO PLAN, variants: {len(without)} of {len(asked)}: {', '.join(without[:5])}")
    proofs = [(plan.proof, name) for plan, name in planned]
    unproven = [name for proof, name in proofs if not is_proven(proof.gap_fraction, proof.gap_asked_fraction)]
    if unproven:
        lines.append(f"NOT PROVEN to the gap that was asked: {', '.join(unproven[:5])}")
    uncoverable = [name for plan, name in planned if plan.uncoverable]
    if uncoverable:
        lines.append(f"with goals that nothing can cover in some failure: {', '.join(uncoverable[:5])}")
    data = {
        "variants": len(asked) - 1,
        "without_plan": without,
        "not_planned": left,
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
    rows: list[tuple[Cell, ...]] = []
    for name, patch in patches.items():
        for n, change in enumerate(patch.changes):
            rows.append((name if n == 0 else "", str(change), patch.why if n == 0 else ""))
    data = {name: {"why": p.why, "changes": [str(c) for c in p.changes]} for name, p in patches.items()}
    return Section("CHANGES", (), ("change", "what", "why"), tuple(rows), data=data)


def _variants(asked: Sequence[Answer], files: Mapping[str, str], bridges: Mapping[str, Bridge]) -> Section:
    base = asked[0].plan
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    alike: list[str] = []
    for answer in asked:
        plan, name = answer.plan, answer.variant.name
        if plan is None:
            rows.append((name, "not planned" if answer.not_planned else "no plan", "", "", "", "", ""))
            data.append({"variant": name, "plan": None, "why_not": answer.why_not})
            continue
        proof, equal = plan.proof, beyond_usd(plan, plan.on_equal_terms)
        alike.append(f"{name}: {'not known' if equal is None else usd(equal)}")
        of = bridges.get(name)
        changed = len(offers_that_differ(base, plan)) if base is not None and of is not None else None
        rows.append(
            (
                name,
                usd(proof.cost_usd),
                signed(of.after_usd - of.before_usd) if of else "",
                f"{signed(of.least_usd)} to {signed(of.most_usd)}" if of else "",
                usd(plan.proof.cost_usd - plan.without_goals.cost_usd),
                changed,
                percent(proof.gap_fraction, 2),
            )
        )
        data.append(
            {
                "variant": name,
                "cost_usd": proof.cost_usd,
                "bound_usd": proof.bound_usd,
                "gap_fraction": proof.gap_fraction,
                "status": proof.status,
                **redundancy_data(plan),
                "orders_that_differ": changed,
                "difference_usd": of.after_usd - of.before_usd if of else None,
                "best_plans_differ_by_usd": [of.least_usd, of.most_usd] if of else None,
                "uncoverable": len(plan.uncoverable),
                "study_sha256": plan.study_sha256,
                "plan_sha256": plan.digest_sha256,
                "file": files.get(name),
            }
        )
    columns = ("variant", "USD", "difference", "the best plans differ by", "redundancy", "orders that differ", "gap")
    after = (
        "every plan survives every failure of its own study as promised; differences are true to within both gaps",
        "redundancy: against the cheapest plan without survival goals, which may stand on spot",
        f"{ON_EQUAL_TERMS}: {'; '.join(alike)}",
    )
    return Section("VARIANTS", (), columns, tuple(rows), after=after, data=data)


def _bridges(asked: Sequence[Answer], bridges: Mapping[str, Bridge]) -> list[Section]:
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    after: list[str] = []
    for answer in asked:
        if (found := bridges.get(answer.variant.name)) is not None:
            rows.append((answer.variant.name, *_bridge_cells(found)))
            data.append({"variant": answer.variant.name, **bridge_data(found)})
            after += [f"{answer.variant.name}: {line}" for line in _not_told_apart(found)]
    columns = ("variant", AS_IT_IS, *STEPS, "is")
    return [Section("BRIDGE", (ORDER_OF_STEPS,), columns, tuple(rows), after=tuple(after), data=data)] if rows else []


def _not_told_apart(found: Bridge) -> list[str]:
    apart = [step for step in found.together if step not in found.unsure]
    lines = [f"{', '.join(apart)} stands in the step after it: nothing between the two can be planned"] if apart else []
    return [*lines, *_not_known(found)]


def _not_known(found: Bridge) -> list[str]:
    return [f"{step} stands in the step after it: the search ended: {why}" for step, why in found.unsure.items()]


def _bridge_cells(found: Bridge) -> tuple[str, ...]:
    steps = (signed(step.total_usd) for step in found.steps)
    return (usd(found.before_usd), *steps, usd(found.after_usd))


def bridge_data(found: Bridge) -> dict[str, Any]:
    """A bridge as data: steps by cost component [USD over the horizon]."""
    return {
        "before_usd": found.before_usd,
        "after_usd": found.after_usd,
        "steps": [{"step": s.name, "usd": s.total_usd, "components_usd": dict(s.usd)} for s in found.steps],
        "not_told_apart": list(found.together),
        "unsure": dict(found.unsure),
        "best_plans_differ_by_usd": [found.least_usd, found.most_usd],
    }


def _by_change(answers: Sequence[Answer]) -> list[Section]:
    """Each variant's difference by its patches, one after the other, where those between were planned."""
    plans = {answer.variant.key: answer.plan for answer in answers}
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for answer in answers:
        chain = [Variant(answer.variant.patches[:n]) for n in range(len(answer.variant.patches) + 1)]
        if not answer.variant.asked or len(chain) < 3 or not all(variant.key in plans for variant in chain):
            continue
        found = [plans[variant.key] for variant in chain]
        if not any(found):
            continue
        costs = [plan.proof.cost_usd if plan is not None else None for plan in found]
        steps = [b - a if a is not None and b is not None else None for a, b in itertools.pairwise(costs)]
        names = [patch.name for patch in answer.variant.patches]
        told = ", ".join(
            f"{name} " + (signed(step) if step is not None else "no plan")
            for name, step in zip(names, steps, strict=True)
        )
        rows.append((answer.variant.name, told))
        by_change = [{"change": name, "usd": step} for name, step in zip(names, steps, strict=True)]
        data.append({"variant": answer.variant.name, "steps": by_change})
    line = "one change after the other, in the order of the axes, each planned; another order attributes differently"
    return [Section("BY CHANGE", (line,), ("variant", "USD"), tuple(rows), data=data)] if rows else []


def _in_common(asked: Sequence[Answer], all_rows: bool) -> list[Section]:
    rows = in_common(asked)
    if not rows:
        return []
    shown = rows if all_rows else rows[:MOST_ROWS]
    cells = tuple((r["offer"], r["least"], r["most"], f"{r['in']} of {r['of']}") for r in shown)
    line = "units of each offer over all plans: what every plan buys can be signed whichever comes true"
    columns = ("offer", "least", "most", "bought in plans")
    return [Section("ORDERS", (line,), columns, cells, len(rows) - len(shown), data=rows)]


def _no_plan(asked: Sequence[Answer]) -> list[Section]:
    without = [answer for answer in asked if answer.plan is None and not answer.not_planned]
    lines: list[str] = []
    for answer in without:
        lines.append(f"{answer.variant.name}:")
        lines += [f"  {line.strip()}" for line in answer.why_not.splitlines()[:WHY_LINES]]
    data = [{"variant": answer.variant.name, "why_not": answer.why_not} for answer in without]
    return [Section("NO PLAN", tuple(lines), data=data)] if without else []


def _files(written: Mapping[str, str]) -> list[Section]:
    rows = tuple(written.items())
    return [Section("FILES", (), ("variant", "file"), rows, data=dict(written))] if rows else []


def _next(written: Mapping[str, str]) -> tuple[str, ...]:
    files = list(written.values())
    if not files:
        return ("planner whatif STUDY ... --out DIR  keeps each plan, for review, diff and audit",)
    lines: tuple[str, ...] = (f"planner review DIR/{files[-1]}  one of them in full",)
    if len(files) > 1:
        lines += (f"planner diff DIR/{files[0]} DIR/{files[-1]}  what differs between two",)
    return lines


# ------------------------------------------------------------------ diff
def review_diff(found: Diff, all_rows: bool = False) -> Report:
    """The comparison of two plans: ANSWER, BRIDGE, then a table for each part that differs."""
    sections = [_same(found), _bridge(found)]
    for part in PARTS:
        rows = sorted((d for d in found.differences if d.part == part), key=lambda d: (-d.apart_fraction, d.name))
        if rows:
            sections.append(_part(part, rows, all_rows))
    title = f"{found.before.study.study} against {found.after.study.study}"
    digests = {"before_sha256": found.before.digest_sha256, "after_sha256": found.after.digest_sha256}
    return Report(title, found.same, tuple(sections), digests, tuple(_not_known(found.bridge)))


def _same(found: Diff) -> Section:
    counts = {part: sum(d.part == part for d in found.differences) for part in PARTS}
    told = ", ".join(f"{part} {n}" for part, n in counts.items() if n)
    lines = [f"DIFFERENT: {told}" if told else "the same"]
    if found.within:
        lines.append(f"within the tolerance, and not listed: {found.within}")
    if found.ignored:
        lines.append(f"ignored, and not listed: {found.ignored}")
    for which, plan in (("first", found.before), ("second", found.after)):
        if plan.digest_sha256 != digest(plan.model_dump(mode="json", by_alias=True)):
            lines.append(f"THE {which.upper()} PLAN was changed after it was sealed: what it says was not planned")
    if found.before.study_sha256 == found.after.study_sha256:
        lines.append("both are plans of the same study")
    data = {"same": found.same, "within": found.within, "ignored": found.ignored, "differences": counts}
    return Section("ANSWER", tuple(lines), data=data)


def _bridge(found: Diff) -> Section:
    step = found.bridge
    rows: list[tuple[Cell, ...]] = [("first plan", "", usd(step.before_usd))]
    for s in step.steps:
        parts = ", ".join(f"{name.replace('_', ' ')} {signed(v)}" for name, v in s.usd.items() if abs(v) >= 0.5)
        rows.append((s.name, parts, signed(s.total_usd)))
    rows.append(("second plan", "", usd(step.after_usd)))
    between = f"{signed(step.least_usd)} to {signed(step.most_usd)} USD"
    after = f"by the bounds of both, the best possible plans differ by {between}"
    columns = ("step", "of which", "USD")
    told = (after, *_not_told_apart(step))
    return Section("BRIDGE", (ORDER_OF_STEPS,), columns, tuple(rows), after=told, data=bridge_data(step))


def _part(part: str, rows: list[Difference], all_rows: bool) -> Section:
    shown = rows if all_rows else rows[:MOST_ROWS]
    cells = tuple((_named(d, part), _cell(d.before, d), _cell(d.after, d), _delta(d)) for d in shown)
    data = [
        {"name": d.name, "before": d.before, "after": d.after, "by_fraction": d.apart_fraction, "unit": d.unit}
        for d in rows
    ]
    what = {"study": "what is asked", "traffic": "workload from origin at pool"}.get(part, part)
    columns = (what, "first plan", "second plan", "change")
    return Section(part.upper(), (), columns, cells, len(rows) - len(shown), data=data)


def _named(d: Difference, part: str) -> str:
    return f"{d.name} [{d.unit}]" if d.unit and part == "costs" else d.name


def _cell(value: object, d: Difference) -> Cell:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if d.part == "traffic" or d.name.endswith("least served"):
            return percent(float(value), 1)
        return usd(float(value)) if d.unit == "USD" else f"{value:,.10g}"
    return str(value) or "(none)"


def _delta(d: Difference) -> str:
    if d.before is None:
        return "only in the second"
    if d.after is None:
        return "only in the first"
    if isinstance(d.before, str) or isinstance(d.after, str):
        return ""
    change = float(d.after) - float(d.before)
    if d.part == "traffic" or d.name.endswith("least served"):
        return f"{100 * change:+.1f} points"
    return f"{change:+,.0f}" if d.unit in ("USD", "machines", "modules") else f"{change:+,.6g}"
