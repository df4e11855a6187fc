"""Which phases, in which order, when: the sequence that a plan chose, and the next best ones.

Each alternative is the plan with one thing forced to be otherwise (with pairs: two), and everything else chosen anew.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.questions.answer import Answer
from planner.questions.patches import Change, Patch
from planner.questions.variants import Variant
from planner.study.calendar import may_be_ready, spans
from planner.study.records.buildout import BuildOut
from planner.study.records.plan import Built, PlanFile
from planner.study.records.study import Study

WITHIN_FRACTION = 0.03


@dataclass(frozen=True)
class Alternative:
    """Another sequence, with what it costs beyond the one that the plan chose.

    Parameters
    ----------
    names : the changes that lead to it
    builds : what is built when
    cost_usd : over the horizon
    needs_usd : what it would have to save to be as cheap as the plan: its cost less the plan's [USD over the horizon]
    least_usd, most_usd : between these lies what the best possible plans of both differ by
    capital_usd : that its plan pays, as the cost counts it [USD]
    """

    names: tuple[str, ...]
    builds: tuple[Built, ...]
    cost_usd: float
    needs_usd: float
    least_usd: float
    most_usd: float
    gap_fraction: float
    capital_usd: float

    @property
    def share_of_capital(self) -> float | None:
        """needs_usd / capital_usd: what its capital would have to be cheaper by."""
        return self.needs_usd / self.capital_usd if self.capital_usd > 0 else None


@dataclass(frozen=True)
class Sequences:
    """The chosen sequence and its alternatives, cheapest first.

    Parameters
    ----------
    within_fraction : of the plan's cost; `further` are the alternatives beyond it
    without : changes that lead to no plan, and why
    not_asked : changes that the study does not allow, and why
    """

    plan: PlanFile
    within_fraction: float
    near: tuple[Alternative, ...]
    further: tuple[Alternative, ...]
    without: Mapping[str, str]
    not_asked: Mapping[str, str]

    @property
    def cheaper(self) -> tuple[Alternative, ...]:
        """Alternatives that cost less than the plan: it was not the best."""
        return tuple(a for a in self.near if a.needs_usd < 0)


def single_changes(plan: PlanFile) -> tuple[dict[str, tuple[Patch, ...]], dict[str, str]]:
    """Phase -> each change of it that the study allows; and those that it does not, with the reason.

    A phase that is built: never, a period earlier or later, a module fewer or more. One that is not: built, when is
    best.
    """
    study = plan.study
    changes, refused = dict[str, tuple[Patch, ...]](), dict[str, str]()
    for m in sorted(study.build_outs, key=lambda m: m.id):
        whens = [row.when for row in plan.builds if row.build_out == m.id]
        units = sum(row.units for row in plan.builds if row.build_out == m.id)
        ready = [t.name for t in spans(study) if may_be_ready(study.today, m, t)]
        patches: list[Patch] = []
        if not units:
            if ready and not m.never:
                patches.append(_patch(m, "built", {"least": 1}))
            else:
                why = "the study leaves it out" if m.never else "its lead times end after the horizon"
                refused[f"{m.id} built"] = why
        else:
            if not m.least:
                patches.append(_patch(m, "never", {"never": True}))
            for name, shift in (("a period earlier", -1), ("a period later", 1)):
                moved = _moved(study, whens, shift)
                if moved is not None and set(moved) <= set(ready):
                    patches.append(_patch(m, name, {"ready_in": moved, "least": units}))
                else:
                    refused[f"{m.id} {name}"] = _why_not(study, m, moved)
            if units > 1 and m.least < units:
                patches.append(_patch(m, "a module fewer", {"most": units - 1}))
            if units < m.most:
                patches.append(_patch(m, "a module more", {"least": units + 1}))
        changes[m.id] = tuple(patches)
    return changes, refused


def _patch(m: BuildOut, name: str, sets: Mapping[str, object]) -> Patch:
    called = f"{m.id} {name}"
    return Patch(called, "", tuple(Change(f"build_outs[{m.id}].{k}", "set", v, called) for k, v in sets.items()))


def _moved(study: Study, whens: Sequence[str], shift: int) -> list[str] | None:
    """Periods earlier or later; None outside of the horizon."""
    names = [t.name for t in spans(study)]
    places = [names.index(when) + shift for when in whens]
    return [names[n] for n in places] if min(places) >= 0 and max(places) < len(names) else None


def _why_not(study: Study, m: BuildOut, moved: list[str] | None) -> str:
    if moved is None:
        return "outside of the horizon"
    if m.ready_in and not set(moved) <= set(m.ready_in):
        return "its ready_in does not allow it"
    return f"its longest lead time is {m.lead_months.longest:g} months, and decide_by holds"


def sequence_variants(plan: PlanFile, pairs: bool = False) -> tuple[Variant, ...]:
    """The variants that are planned: each change by itself; with pairs, also of each two phases together.

    In pairs a phase that is not built may also be left out: it can be what takes the place of the other.
    """
    by_phase, _ = single_changes(plan)
    single = [Variant((patch,)) for patches in by_phase.values() for patch in patches]
    if not pairs:
        return tuple(single)
    built = {row.build_out for row in plan.builds}
    for m in plan.study.build_outs:
        if m.id not in built and not m.never and not m.least:
            by_phase[m.id] = (*by_phase[m.id], _patch(m, "never", {"never": True}))
    two = [
        Variant((a, b))
        for one, other in itertools.combinations(by_phase.values(), 2)
        for a in one
        for b in other
    ]  # fmt: skip
    return (*single, *two)


def sequences(answers: Sequence[Answer], within_fraction: float = WITHIN_FRACTION) -> Sequences | None:
    """The chosen sequence and the next best ones, from the plans of `sequence_variants`; None without a plan.

    Changes that lead to the same sequence are one alternative: the cheapest plan found for it.
    """
    plan = answers[0].plan
    if plan is None:
        return None
    by_builds: dict[tuple[tuple[str, str, int], ...], list[tuple[str, PlanFile]]] = {}
    without = {}
    for answer in answers[1:]:
        if answer.plan is None:
            without[answer.variant.name] = answer.why_not
        else:
            key = tuple((row.build_out, row.when, row.units) for row in answer.plan.builds)
            by_builds.setdefault(key, []).append((answer.variant.name, answer.plan))
    alternatives = []
    for rows in by_builds.values():
        best = min((plan for _, plan in rows), key=lambda other: other.proof.cost_usd)
        a, b = plan.proof, best.proof
        alternatives.append(
            Alternative(
                names=tuple(name for name, _ in rows),
                builds=best.builds,
                cost_usd=b.cost_usd,
                needs_usd=b.cost_usd - a.cost_usd,
                least_usd=b.bound_usd - a.cost_usd,
                most_usd=b.cost_usd - a.bound_usd,
                gap_fraction=b.gap_fraction,
                capital_usd=best.costs_usd.get("capital", 0.0),
            )
        )
    alternatives.sort(key=lambda alternative: (alternative.cost_usd, alternative.names))
    most = plan.proof.cost_usd + within_fraction * abs(plan.proof.cost_usd)
    return Sequences(
        plan=plan,
        within_fraction=within_fraction,
        near=tuple(a for a in alternatives if a.cost_usd <= most),
        further=tuple(a for a in alternatives if a.cost_usd > most),
        without=without,
        not_asked=single_changes(plan)[1],
    )
