"""When there is no plan: the smallest sets of changes that restore one, each with what the plan costs then.

What does: the linear program over all failures, with each thing relaxed as far as it goes (`smallest_sets`). How far:
the least values with which it still does, one after the other. Then each set is planned in whole numbers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from planner.interruption import interrupted
from planner.plan.decisions import gap_fraction
from planner.plan.explain import diagnose
from planner.plan.plan import Case
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.questions.patched import patched
from planner.questions.planned import silent, solution_or_why_not
from planner.questions.relaxable import KINDS, Kind, Relaxable, patch_of_values, relaxables, written
from planner.questions.relaxed_study import NAME, Relaxed, RelaxedStudy, rough_effort
from planner.questions.restored import OfKind, Relaxations, Restored
from planner.questions.smallest_sets import MOST_IN_SET, SmallestSets, smallest_sets
from planner.solve.search import Effort, Progress
from planner.study.records.study import Study

ROUGH_GAP = 0.05
MOST_PRICED = 2
"""Sets of a kind that are planned, those first whose linear program is the cheapest."""
MOST_SETS, MOST_TESTS = 4, 100
"""Sets of a kind that are looked for, and linear programs that this may take."""
TIMES_RAISED, TIMES_LOWERED = 4, 3
"""How often values are raised, by four times as much each time, until whole numbers have a plan; then as far as they
go."""
LOOKING, PRICING = "looking for what restores a plan", "planning what restores one"
NO_WHOLE_NUMBERS = "no plan in whole numbers, as far as these go"
NOT_ALWAYS_LOOSER: tuple[Kind, ...] = ("latency", "policy")
"""By waiting, kinds that may also take a plan away: an edge more, and the queue of its placement is held to what that
leaves to wait."""


def relaxations(
    study: Study,
    case: Case = "base",
    progress: Progress = silent,
    kinds: Sequence[Kind] = tuple(KINDS),
    most_priced: int = MOST_PRICED,
    gap: float = ROUGH_GAP,
    is_priced: bool = True,
) -> Relaxations:
    """The smallest sets of changes that restore a plan, within each kind and, where no single change does, of several.

    Parameters
    ----------
    kinds : of changes that are looked at; see KINDS
    most_priced : sets of a kind that are planned
    gap : end of each plan [fraction]
    is_priced : whether they are planned at all: else costs are those of linear programs, which are bounds

    Raises
    ------
    SolverError
        when the solver gives neither a solution nor a proof of the study as it is
    InputError
        when no problem can be built of the study
    """
    p = build(study, case)
    things = [thing for thing in relaxables(study, p) if thing.kind in kinds]
    asking, answered, is_stopped = RelaxedStudy(study, case, progress), _Answered(), False
    progress(LOOKING, None, "")
    try:
        if _has_none(p, asking, answered, gap):
            _restore(things, asking, answered, most_priced, gap if is_priced else None)
    except KeyboardInterrupt:
        is_stopped = True
    kept = [row for row in answered.restored if row.why_not != NO_WHOLE_NUMBERS]
    return Relaxations(
        study,
        answered.has_plan,
        _compared(kept),
        tuple(answered.of_kinds),
        answered.restores,
        answered.why_not,
        is_stopped,
        asking.in_whole_numbers,
        not_in_whole_numbers=len(answered.restored) - len(kept),
        uncoverable=answered.uncoverable,
        unsure=tuple(asking.unsure),
        is_known=answered.is_known,
        is_proven_smallest=not _may_tighten(things, asking),
    )


@dataclass
class _Answered:
    """What is answered so far, as `Relaxations` say it: an interruption keeps it."""

    has_plan: bool = False
    is_known: bool = False
    restores: bool = True
    why_not: str = ""
    uncoverable: int = 0
    of_kinds: list[OfKind] = field(default_factory=list)
    restored: list[Restored] = field(default_factory=list)


def _has_none(p: Problem, asking: RelaxedStudy, answered: _Answered, gap: float) -> bool:
    """Whether the study has no plan as it is, for certain."""
    if not workloads_without_edge(p) and asking.lp_usd(()) is not None:
        solution, answered.why_not = solution_or_why_not(p, Effort(gap_fraction=gap), asking.progress)
        answered.has_plan, answered.is_known = solution is not None, not answered.why_not
        answered.uncoverable = len(asking.uncovered(())) if answered.has_plan else 0
        asking.in_whole_numbers, asking.lp_usd_of = answered.is_known and not answered.has_plan, {}
        return asking.in_whole_numbers
    answered.is_known = True
    return True


def _restore(
    things: list[Relaxable], asking: RelaxedStudy, answered: _Answered, most_priced: int, gap: float | None
) -> None:
    """Look for sets that restore a plan, and plan them to a gap; none: they are not planned."""
    things = [_as_far_as_it_restores(thing, asking) for thing in things]
    everything = _loosest(things)
    if asking.lp_usd(everything) is None and not asking.not_known and not _may_tighten(things, asking):
        answered.restores, answered.of_kinds = False, _none_of(things)
        answered.why_not = _why_not(asking, everything)
        return
    sets, restored, progress = list[list[Relaxable]](), answered.restored, asking.progress
    for kind in dict.fromkeys(thing.kind for thing in things):
        in_kind = [thing for thing in things if thing.kind == kind]
        of_kind, those = _of_kind(kind, in_kind, asking)
        answered.of_kinds.append(of_kind)
        sets += _cheapest(those, asking)[:most_priced]
    sets += _cheapest(_mixed(things, sets, asking), asking)[:most_priced]
    least, more_covered = list[Relaxed](), list[Relaxed]()
    for n, one in enumerate(list(sets)):
        progress(LOOKING, n / len(sets), "how far")
        least.append(_least(one, asking))
        restored.append(_restored(least[-1], asking))
        if to_cover := _to_cover(one, restored[-1], asking):
            sets.append(one)
            more_covered.append(to_cover)
    least += more_covered
    restored += [_restored(relaxed, asking, is_to_cover=True) for relaxed in more_covered]
    if gap is None:
        return
    cheapest_first = sorted(range(len(restored)), key=lambda n: (*_promises(restored[n]), restored[n].lp_usd, n))
    for ended, n in enumerate(cheapest_first):
        detail = f"{ended + 1} of {len(restored)}: {'; '.join(restored[n].changes)}"
        progress(PRICING, ended / len(restored), detail)
        priced = _priced(sets[n], least[n], asking, gap)
        restored[n] = replace(priced, is_to_cover=restored[n].is_to_cover)


def _may_tighten(things: Iterable[Relaxable], asking: RelaxedStudy) -> bool:
    """Whether one of these things, relaxed further, may take a plan away."""
    return asking.is_by_waiting and any(thing.kind in NOT_ALWAYS_LOOSER for thing in things)


def _as_far_as_it_restores(thing: Relaxable, asking: RelaxedStudy) -> Relaxable:
    """The thing; where its loosest values may tighten, without those above the last that restores a plan by itself."""
    if _may_tighten([thing], asking):
        asking.progress(LOOKING, None, thing.text)
        for n in range(thing.most, 0, -1):
            if asking.lp_usd(((thing, n),)) is not None:
                return replace(thing, values=thing.values[:n])
    return thing


def _loosest(things: Iterable[Relaxable]) -> Relaxed:
    return tuple((thing, thing.most) for thing in things)


def _none_of(things: Sequence[Relaxable]) -> list[OfKind]:
    """Kinds of which nothing restores a plan."""
    of_kind = {kind: [thing for thing in things if thing.kind == kind] for kind in KINDS}
    return [OfKind(kind, KINDS[kind], len(those), False, 0, True) for kind, those in of_kind.items() if those]


def _why_not(asking: RelaxedStudy, everything: Relaxed) -> str:
    """Why there is no plan with everything relaxed."""
    study, findings = patched(asking.study, (patch_of_values(everything, NAME),), NAME)
    if study is None:
        return "\n".join(str(finding) for finding in findings if finding.level == "error")
    return str(diagnose(study.model_copy(update={"study": asking.study.study}), asking.case, asking.progress))


def _of_kind(kind: Kind, things: list[Relaxable], asking: RelaxedStudy) -> tuple[OfKind, list[list[Relaxable]]]:
    """What one kind can do, and its smallest sets; all of them, where no answer was missing."""
    asking.progress(LOOKING, None, KINDS[kind])
    not_known, does, alone = asking.not_known, _does(things, asking), list[frozenset[int]]()
    if may_tighten := _may_tighten(things, asking):
        alone = [one for one in (frozenset({i}) for i in range(len(things))) if does(one)]
    smallest = SmallestSets([], True, 0)
    if restores := asking.lp_usd(_loosest(things)) is not None:
        smallest = smallest_sets(len(things), does, MOST_SETS, MOST_IN_SET, MOST_TESTS, alone)
    sets = [[things[i] for i in sorted(one)] for one in [*alone, *smallest.sets]]
    complete = smallest.complete and asking.not_known == not_known and not may_tighten
    return OfKind(kind, KINDS[kind], len(things), restores or bool(alone), len(sets), complete), sets


def _does(things: Sequence[Relaxable], asking: RelaxedStudy) -> Callable[[frozenset[int]], bool]:
    """Whether some of these things, relaxed as far as they go, restore a plan."""
    return lambda chosen: asking.lp_usd(_loosest(things[i] for i in sorted(chosen))) is not None


def _mixed(things: list[Relaxable], sets: list[list[Relaxable]], asking: RelaxedStudy) -> list[list[Relaxable]]:
    """Sets of several kinds that are no larger than the smallest of one kind; none where one change does by itself."""
    smallest = min((len(one) for one in sets), default=MOST_IN_SET)
    if smallest == 1:
        return []
    asking.progress(LOOKING, None, "of several kinds")
    known = [frozenset(things.index(thing) for thing in one) for one in sets]
    result = smallest_sets(len(things), _does(things, asking), MOST_SETS, smallest, MOST_TESTS, known)
    mixed = [[things[i] for i in sorted(one)] for one in result.sets]
    return [one for one in mixed if len({thing.kind for thing in one}) > 1]


def _cheapest(sets: list[list[Relaxable]], asking: RelaxedStudy) -> list[list[Relaxable]]:
    """Sets in the order of what the linear program costs with them, as far as they go; fewer changes first."""

    def order(one: list[Relaxable]) -> tuple[int, float]:
        usd = asking.lp_usd(_loosest(one))
        return len(one), float("inf") if usd is None else round(usd, 2)

    return sorted(sets, key=order)


# ------------------------------------------------------------------ how far, and for how much
def _least(things: list[Relaxable], asking: RelaxedStudy, most_uncovered: int | None = None) -> Relaxed:
    """The least values that still restore a plan: of the first with the others as far as they go, and so on.

    Of limits that go up together those stay as they are that need not.

    Parameters
    ----------
    most_uncovered : cases that no capacity can serve; none: however many
    """
    relaxed = dict(_loosest(things))

    def does(values: Relaxed) -> bool:
        if most_uncovered is not None and len(asking.uncovered(values)) > most_uncovered:
            return False
        return asking.lp_usd(values) is not None

    for thing in things:

        def restores(n: int, thing: Relaxable = thing) -> bool:
            return does(tuple({**relaxed, thing: n}.items()))

        if _may_tighten([thing], asking):
            relaxed[thing] = next((n for n in range(1, thing.most) if restores(n)), thing.most)
        else:
            relaxed[thing] = _first(restores, thing.most)
    for thing in things:
        n, needed = relaxed.pop(thing), thing
        for limit in thing.limits:
            fewer = replace(needed, limits=tuple(one for one in needed.limits if one != limit))
            if fewer.limits and does(tuple({**relaxed, fewer: n}.items())):
                needed = fewer
        relaxed[needed] = n
    return tuple(relaxed.items())


def _to_cover(things: list[Relaxable], least: Restored, asking: RelaxedStudy) -> Relaxed | None:
    """The least values that leave no more uncovered than the loosest; none: the least that restore a plan do, or what
    covers more asks for nothing."""
    most_uncovered = len(asking.uncovered(_loosest(things)))
    if most_uncovered >= len(least.uncoverable):
        return None
    relaxed = _least(things, asking, most_uncovered)
    return None if any(thing.drops(n) for thing, n in relaxed) else relaxed


def _first(restores: Callable[[int], bool], most: int) -> int:
    """The least number from 1 on that restores, where `most` does and what is above one that does, does too."""
    low, high = 0, 1
    while high < most and not restores(high):
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if restores(middle):
            high = middle
        else:
            low = middle
    return high


def _restored(relaxed: Relaxed, asking: RelaxedStudy, is_to_cover: bool = False) -> Restored:
    """A set with its values, not planned yet."""
    patch = patch_of_values(relaxed, NAME)
    kinds = tuple(kind for kind in KINDS if kind in {thing.kind for thing, _ in relaxed})
    usd = asking.lp_usd(relaxed)
    return Restored(
        kinds,
        tuple(thing.said(n) for thing, n in relaxed),
        tuple(written(change.path, change.value) for change in patch.changes),
        0.0 if usd is None else usd,
        drops=any(thing.drops(n) for thing, n in relaxed),
        uncoverable=asking.uncovered(relaxed),
        is_to_cover=is_to_cover,
    )


def _priced(things: list[Relaxable], least: Relaxed, asking: RelaxedStudy, gap: float) -> Restored:
    """The set as planned; where whole numbers have no plan, with its values raised until they have.

    They are raised by more and more steps; then fewer are tried, down to the last with which there was none.
    """
    reasons = list[str]()

    def planned(relaxed: Relaxed) -> Restored | None:
        p = asking.problem(relaxed)
        if p is None:
            return None
        solution, why_not = solution_or_why_not(p, rough_effort(gap), silent, asking.hints)
        if interrupted() and solution is None:
            raise KeyboardInterrupt
        reasons.append(why_not)
        if solution is None:
            return None
        reached, is_least = gap_fraction(solution.cost_usd, solution.bound_usd), relaxed == least
        row = _restored(relaxed, asking)
        return replace(row, cost_usd=solution.cost_usd, gap_fraction=reached, is_least=is_least)

    for relaxed in _within_its_cost(least, asking, gap):
        if (row := planned(relaxed)) is not None:
            return row
    none_with = -1
    for steps in (0, *(4**n for n in range(TIMES_RAISED))):
        if (row := planned(_raised(least, steps))) is not None:
            return _lowered(row, none_with, steps, lambda n: planned(_raised(least, n)))
        none_with = steps
    row = planned(_loosest(things))
    why_not = next((reason for reason in reasons if reason), NO_WHOLE_NUMBERS)
    return row if row is not None else replace(_restored(least, asking), why_not=why_not)


def _lowered(row: Restored, low: int, high: int, planned: Callable[[int], Restored | None]) -> Restored:
    """The set with its values raised by as few steps as a few more plans tell: by `low` there was none."""
    for _ in range(TIMES_LOWERED):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        fewer = planned(middle)
        if fewer is None:
            low = middle
        else:
            row, high = fewer, middle
    return row


def _within_its_cost(least: Relaxed, asking: RelaxedStudy, gap: float) -> list[Relaxed]:
    """The values with a budget that is what a plan costs without one; none where no budget is among them.

    A search for whole numbers within the least budget that parts of them need most often comes upon nothing.
    """
    budget = next((thing for thing, _ in least if thing.limits and thing.limits[0].of == "budget"), None)
    p = asking.problem(tuple({**dict(least), budget: budget.most}.items())) if budget is not None else None
    if p is None or budget is None:
        return []
    solution, _ = solution_or_why_not(p, rough_effort(gap), silent, asking.hints)
    if solution is None:
        return []
    limit, at_least = budget.limits[0], dict(least)[budget]
    steps = math.ceil(round((solution.cost_usd - limit.now) / limit.step, 6))
    return [tuple({**dict(least), budget: max(at_least, steps)}.items())]


def _raised(least: Relaxed, steps: int) -> Relaxed:
    """Values so many steps above the least, no further than they go."""
    return tuple((thing, min(thing.most, value + steps)) for thing, value in least)


def _promises(row: Restored) -> tuple[bool, int]:
    """What is asked for and can be had comes before what is cheaper."""
    return row.drops, len(row.uncoverable)


def _compared(restored: Iterable[Restored]) -> tuple[Restored, ...]:
    """The sets, those first that leave fewest cases uncovered, of these cheapest first, with what each costs beyond the
    first where it leaves the same; then those that drop something, or have no plan."""
    order = sorted(
        restored, key=lambda row: (row.cost_usd is None, *_promises(row), row.cost_usd or row.lp_usd, row.changes)
    )
    first = order[0] if order else None
    if first is None or first.cost_usd is None or first.drops:
        return tuple(order)
    least = first.cost_usd

    def against(row: Restored) -> Restored:
        if row.cost_usd is None or {*row.uncoverable} != {*first.uncoverable}:
            return row
        more = row.cost_usd - least
        return replace(row, more_usd=more, more_fraction=more / least if least else 0.0)

    return tuple(map(against, order))
