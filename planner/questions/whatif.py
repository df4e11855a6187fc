"""What-if: variants of a study, each planned like the study itself, and what they have in common."""

import itertools
import math
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Literal

from planner.errors import Finding, InputError, NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.decisions import gap_fraction
from planner.plan.explain import diagnose
from planner.plan.file import canonical, sealed
from planner.plan.plan import Case, make_plan
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import HOURLY
from planner.questions.bridge import Bridge, bare_costs, bare_key, bridge
from planner.questions.patches import Patch, patch_of, patched, read_patch
from planner.solve.search import Effort, Infeasible, Progress, is_proven
from planner.study.places import Place, Reading, quoted, sorted_findings
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.study.tables import read_yaml

MOST_VARIANTS = 64
ENDED_EARLY = "not planned: its process ended early, as for want of memory; try fewer --jobs"
INTERRUPTED = "not planned: interrupted"
AS_IT_IS = "as it is"
"""What a variant without changes is called: the study itself."""
BETWEEN = " + "
SAME_COST = 1e-9
"""Share by which costs may differ by arithmetic."""


@dataclass(frozen=True)
class Variant:
    """A study with changes.

    Parameters
    ----------
    patches : what is changed, in the order in which the difference in cost is attributed; the plan depends on none
    asked : False for a variant that is only planned to attribute the difference of another
    """

    patches: tuple[Patch, ...]
    asked: bool = True

    @property
    def name(self) -> str:
        """The names of its patches."""
        return BETWEEN.join(patch.name for patch in self.patches) or AS_IT_IS

    @property
    def key(self) -> tuple[str, ...]:
        """The same for variants that change the same."""
        changes = (change for patch in self.patches for change in patch.changes)
        return tuple(sorted(f"{change.action} {change.path} {canonical(change.value)}" for change in changes))

    def before_last(self) -> "Variant":
        """The variant without its last patch: what the last one is attributed against."""
        return Variant(self.patches[:-1], asked=False)


@dataclass(frozen=True)
class Answer:
    """A variant with its plan, or why it has none."""

    variant: Variant
    plan: PlanFile | None
    why_not: str = ""
    unsure: bool = False
    """whether the search failed: it is not known whether there is a plan"""

    @property
    def not_planned(self) -> bool:
        """Whether nobody tried: a person ended it, or its process did."""
        return self.plan is None and self.why_not in (INTERRUPTED, ENDED_EARLY)


# ------------------------------------------------------------------ what is asked
def read_axes(path: Path, reading: Reading) -> list[tuple[Patch, ...]]:
    """The axes of a matrix: `axes:` with lists of patches, or of names of files that hold one, by name of the axis."""
    document = read_yaml(path, reading)
    if document is None:
        return []
    data, place = document
    for name in data:
        if name != "axes":
            reading.error(place.at(name), "a known field", quoted(name), "the only field here is axes")
    axes = data.get("axes")
    if not isinstance(axes, dict) or not axes:
        fix = "write `axes:`, below it a name, and below that patches after `- `"
        reading.error(place.at("axes"), "axes with patches", quoted(axes), fix)
        return []
    return [_axis(name, items, place, path, reading) for name, items in axes.items()]


def _axis(name: str, items: object, place: Place, path: Path, reading: Reading) -> tuple[Patch, ...]:
    if not isinstance(items, list) or not items:
        reading.error(
            place.at("axes", name), "a list of patches", quoted(items), "write each after `- `, with its name"
        )
        return ()
    found = []
    for i, item in enumerate(items):
        if isinstance(item, str):
            patch = read_patch(path.parent / item, reading)
        else:
            patch = patch_of(item, place.within("axes", name, i), reading)
        found += [patch] if patch is not None else []
    for twice in sorted({a.name for a, b in itertools.combinations(found, 2) if a.name == b.name}):
        reading.error(place.at("axes", name), "each name once in an axis", quoted(twice), "rename one of them")
    return tuple(found)


def variants_of(
    common: Sequence[Patch], axes: Sequence[tuple[Patch, ...]], most: int = MOST_VARIANTS, steps: bool = False
) -> tuple[Variant, ...]:
    """The product of the axes, each with the common patches; variants that change the same only once.

    Parameters
    ----------
    common : patches of every variant
    axes : one patch of each is in a variant; one that changes nothing stands for the study as it is
    most : variants that are planned at most
    steps : whether each variant's patches are also planned one after the other, to attribute its difference

    Raises
    ------
    InputError
        when there are more than `most`, or two that differ are called the same
    """
    wanted = [Variant(tuple(p for p in (*common, *cell) if p.changes)) for cell in itertools.product(*axes)]
    found = {variant.key: variant for variant in reversed(wanted) if variant.key}
    every = list(reversed(found.values()))
    if steps:
        for variant in list(every):
            while len(variant.patches) > 1:
                variant = variant.before_last()
                if variant.key not in found:
                    found[variant.key] = variant
                    every.append(variant)
    for name in sorted({a.name for a, b in itertools.combinations(every, 2) if a.name == b.name}):
        fix = "give each change a name of its own"
        raise InputError([Finding("whatif", "variants with different names", f"two called {quoted(name)}", fix)])
    if len(every) > most:
        sizes = " x ".join(str(len(axis)) for axis in axes)
        fix = "leave out levels of an axis, ask in several matrices, or raise --most"
        got = f"{len(every)} ({sizes} levels{' and the steps between' if steps else ''})"
        raise InputError([Finding("whatif", f"at most {most} variants to plan", got, fix)])
    return tuple(every)


def studies_of(study: Study, variants: Iterable[Variant]) -> tuple[list[Study], list[Finding]]:
    """The study of each variant, and the warnings.

    Raises
    ------
    InputError
        with every finding, when one of them is an error
    """
    found, findings = [], list[Finding]()
    told = set[tuple[str, ...]]()
    for variant in variants:
        made, more = patched(study, variant.patches, variant.name)
        for finding in more:
            # a warning is told for the first variant that has it, not for all of a matrix
            said = (finding.where.partition(": ")[2], finding.expected, finding.got, finding.level)
            if finding.level == "error" or said not in told:
                findings.append(finding)
            told.add(said)
        found += [made] if made is not None else []
    if any(finding.level == "error" for finding in findings):
        raise InputError(sorted_findings([finding for finding in findings if finding.level == "error"]))
    return found, sorted_findings(findings)


# ------------------------------------------------------------------ what is answered
def plan_variants(
    study: Study,
    variants: Sequence[Variant],
    effort: Effort = Effort(),
    case: Case = "base",
    base: PlanFile | None = None,
    progress: Progress = lambda stage, done, detail: None,
    done: Callable[[Answer], None] = lambda answer: None,
    jobs: int = 1,
) -> tuple[Answer, ...]:
    """Plan a study and its variants, each from the study's own plan: its failures as hints, its whole numbers as start.

    A variant's plan depends on the study and on what it changes, not on what else is asked with it.

    Parameters
    ----------
    study : as it is
    variants : in the order in which they are planned
    effort, case : of every plan, so that all are compared on equal terms
    base : the plan of the study as it is, where there is one: kept, unless less of a gap is asked for than it was
        planned with and has, and a cheaper one is found
    progress : called with (stage, fraction done, detail); the detail holds an estimate of what is left
    done : called with each answer, in order
    jobs : processes that plan variants at a time; the plans are the same with any number

    Returns
    -------
    The study as it is, then the variants; one without a plan says why.

    Raises
    ------
    InputError
        when patches are wrong: before anything is planned
    """
    studies, _ = studies_of(study, variants)
    began = time.monotonic()
    first = Variant(())
    told = _within(progress, first.name, 0, len(variants) + 1, began)
    if base is not None and _is_enough(base, effort):
        own = kept = Answer(first, base)
    else:
        own = _answer(first, study, effort, case, base, told)
        kept = own if base is None else Answer(first, the_better(base, own.plan))
    stopped = _is_stopped(own, effort)
    answers = [kept]
    done(kept)
    start = kept.plan
    asked = list(zip(variants, studies, strict=True))
    answering = _one_by_one if jobs == 1 else _side_by_side
    for answer in answering(asked, effort, case, start, progress, jobs, stopped):
        answers.append(answer)
        done(answer)
    return tuple(answers)


def _is_enough(base: PlanFile, effort: Effort) -> bool:
    """Whether planning again with this effort could do no better than a plan that is there: it was asked for as much.

    A clock or a person that ended it is no reason: what is asked about is this plan.
    """
    proof = base.proof
    return is_proven(proof.gap_fraction, effort.gap_fraction) or proof.gap_asked_fraction <= effort.gap_fraction


def the_better(given: PlanFile, found: PlanFile | None) -> PlanFile:
    """The plan that was given, unless a cheaper one of the same study was found; with the better bound of the two."""
    if found is None:
        return given
    a, b = given.proof, found.proof
    bound_usd = min(max(a.bound_usd, b.bound_usd), a.cost_usd, b.cost_usd)
    kept, gap_asked = (found if b.cost_usd < a.cost_usd * (1 - SAME_COST) else given), b.gap_asked_fraction
    gap = gap_fraction(kept.proof.cost_usd, bound_usd)
    proven: Literal["proven", "gap"] = "proven" if is_proven(gap, gap_asked) else "gap"
    status = kept.proof.status if kept.proof.status == "stopped" else proven
    more = {"bound_usd": bound_usd, "gap_fraction": gap, "gap_asked_fraction": gap_asked, "status": status}
    proof = kept.proof.model_copy(update=more)
    return kept if proof == kept.proof else sealed(kept.model_copy(update={"proof": proof}))


Asked = Sequence[tuple[Variant, Study]]


def _is_stopped(answer: Answer, effort: Effort) -> bool:
    """Whether a person ended the search for it."""
    by_person = effort.seconds is None and answer.plan is not None and answer.plan.proof.status == "stopped"
    return interrupted() or by_person or INTERRUPTED in answer.why_not


def _one_by_one(
    asked: Asked, effort: Effort, case: Case, start: PlanFile | None, progress: Progress, jobs: int, stopped: bool
) -> Iterator[Answer]:
    """The answers, each when it is there; after an interruption the rest says so."""
    began = time.monotonic()
    for n, (variant, study) in enumerate(asked):
        if stopped:
            yield Answer(variant, None, INTERRUPTED)
            continue
        answer = _answer(variant, study, effort, case, start, _within(progress, variant.name, n, len(asked), began))
        stopped = _is_stopped(answer, effort)
        yield answer


def _side_by_side(
    asked: Asked, effort: Effort, case: Case, start: PlanFile | None, progress: Progress, jobs: int, stopped: bool
) -> Iterator[Answer]:
    """The same answers from several processes at a time, in the order of the variants."""
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_interruptions_to_the_parent) as pool:
        futures = [pool.submit(_answer, variant, study, effort, case, start) for variant, study in asked]
        for future, (variant, _) in zip(futures, asked, strict=True):
            if stopped:
                future.cancel()
            try:
                while not future.done():
                    _within(progress, variant.name, sum(f.done() for f in futures), len(asked), began)("", None, "")
                    wait([future], timeout=1.0)
                answer = future.result()
                stopped = stopped or _is_stopped(answer, effort)
            except (KeyboardInterrupt, CancelledError):
                stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for child in active_children():
                    child.terminate()
                answer = Answer(variant, None, INTERRUPTED)
            except BrokenExecutor:
                answer = Answer(variant, None, INTERRUPTED if stopped else ENDED_EARLY)
            yield answer


def _leave_interruptions_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(
    variant: Variant,
    study: Study,
    effort: Effort,
    case: Case,
    start: PlanFile | None,
    progress: Progress = lambda stage, done, detail: None,
) -> Answer:
    """The answer for one variant, planned from the plan of the study as it is, where there is one."""
    hints = start.proof.binding_failures if start is not None else ()
    if findings := list(workloads_without_edge(build(study, case, with_goals=False)).values()):
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        return Answer(variant, None, f"{findings[0].where}: {findings[0].got}{more}")
    try:
        return Answer(variant, make_plan(study, effort, progress=progress, case=case, hints=hints, start=start))
    except KeyboardInterrupt:
        return Answer(variant, None, INTERRUPTED)
    except Infeasible:
        pass
    except (NoPlan, SolverError) as error:
        return Answer(variant, None, str(error), unsure=True)
    try:
        return Answer(variant, None, str(diagnose(study, case, progress)))
    except KeyboardInterrupt:
        return Answer(variant, None, f"no plan exists; the search for the reason was {INTERRUPTED}")


def _within(progress: Progress, name: str, n: int, of: int, began: float) -> Progress:
    """Progress of one plan within all of them, with an estimate of what is left once one is done."""

    def told(stage: str, done: float | None, detail: str) -> None:
        left = f", about {(time.monotonic() - began) / n * (of - n):,.0f} s left" if n else ""
        progress("planning variants", n / of, f"{n + 1} of {of}: {name}" + (f": {stage}" if stage else "") + left)

    return told


def file_names(answers: Iterable[Answer]) -> dict[str, str]:
    """Name of the variant -> name of its plan's file: letters, digits and dashes, none twice.

    Examples
    --------
    `demand[*,london] = x1.2` as the third variant: `03-demand-london-x1.2.json`; the study as it is: `00-as-it-is.json`
    """
    answers = list(answers)
    digits = max(2, math.ceil(math.log10(len(answers) + 1)))
    found = {}
    for n, answer in enumerate(answers):
        slug = re.sub(r"[^a-z0-9.]+", "-", answer.variant.name.lower()).strip("-.")[:80].rstrip("-.")
        found[answer.variant.name] = f"{n:0{digits}}-{slug}.json" if slug else f"{n:0{digits}}.json"
    return found


def bridges_of(answers: Sequence[Answer]) -> dict[str, Bridge]:
    """Name of the variant -> from the plan of the study as it is to its plan; none where one of the two is missing.

    What lies between is planned without survival goals, each once, unless it is one of the variants itself.
    """
    base, plans = answers[0].plan, {a.variant.name: a.plan for a in answers[1:] if a.plan is not None}
    if base is None:
        return {}
    known = {bare_key(plan.study, plan.demand_case): plan.without_goals.costs_usd for plan in (base, *plans.values())}
    bare = bare_costs(Effort(gap_fraction=base.proof.gap_asked_fraction), known)
    return {name: bridge(base, plan, bare) for name, plan in plans.items()}


def units_bought(plan: PlanFile) -> dict[str, int]:
    """Units of each offer: of all periods together, and of the hour with most of those rented by the hour."""
    hourly = {offer.id for offer in plan.study.offers if offer.kind in HOURLY}
    units: dict[str, int] = {}
    for b in plan.purchases:
        before = units.get(b.offer, 0)
        units[b.offer] = max(before, b.units) if b.offer in hourly else before + b.units
    return units


def in_common(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Offers with the units of each plan: what all of them buy can be signed whichever variant comes true.

    Returns
    -------
    By offer, those in most plans first: least and most units, in how many plans it is bought, of how many.
    """
    plans = [units_bought(answer.plan) for answer in answers if answer.plan is not None and answer.variant.asked]
    rows = []
    for offer in sorted({offer for units in plans for offer in units}):
        units = [found.get(offer, 0) for found in plans]
        rows.append(
            {"offer": offer, "least": min(units), "most": max(units), "in": sum(u > 0 for u in units), "of": len(plans)}
        )
    return sorted(rows, key=lambda row: (-row["in"], -row["least"], row["offer"]))
