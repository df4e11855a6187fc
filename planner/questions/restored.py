"""What restores a plan where there is none, as it is answered: sets of changes, what each kind does, and all of it."""

from dataclasses import dataclass

from planner.questions.relaxable import Kind
from planner.questions.relaxed_study import Uncovered
from planner.study.records.study import Study


@dataclass(frozen=True)
class Restored:
    """A set of changes that together restore a plan, while no part of it does.

    Parameters
    ----------
    kinds : of its changes
    changes : what changes, from what to what
    sets : the same, as `--set` takes it
    lp_usd : no plan with these changes costs less [USD over the horizon]
    cost_usd, gap_fraction : of the plan; none: none is known, see `why_not`
    more_usd, more_fraction : beyond the first plan, the cheapest of those that leave fewest cases uncovered and drop
        nothing; none where this one leaves others
    is_least : whether the linear program has no plan with a value that is tighter, the others as they are; else they
        were raised until whole numbers had one
    uncoverable : what no capacity can serve with these changes, so that the plan does not, though a goal asks for it
    is_to_cover : whether the values are the least that leave no more uncovered than the loosest do
    """

    kinds: tuple[Kind, ...]
    changes: tuple[str, ...]
    sets: tuple[str, ...]
    lp_usd: float
    cost_usd: float | None = None
    gap_fraction: float | None = None
    more_usd: float | None = None
    more_fraction: float | None = None
    is_least: bool = True
    drops: bool = False
    """whether something is not asked for at all then: a share of nothing"""
    why_not: str = ""
    uncoverable: Uncovered = ()
    is_to_cover: bool = False


@dataclass(frozen=True)
class OfKind:
    """What changes of one kind can do by themselves.

    Parameters
    ----------
    things : how many of the study can be relaxed
    restores : whether all of them together restore a plan
    sets : smallest sets that came up
    complete : whether these are all of them with up to `MOST_IN_SET` changes; of what does not restore one, whether
        that is known
    """

    kind: Kind
    means: str
    things: int
    restores: bool
    sets: int
    complete: bool


@dataclass(frozen=True)
class Relaxations:
    """What restores a plan.

    Parameters
    ----------
    has_plan : whether the study has one as it is: nothing was relaxed
    restored : those first that leave fewest cases uncovered, of these the cheapest
    of_kinds : of each kind that the study has something of
    restores : whether all changes together do
    why_not : where they do not, what stands in the way then
    is_stopped : whether it was interrupted: more may do
    in_whole_numbers : whether the linear program has a solution as it is: whole numbers alone do not
    """

    study: Study
    has_plan: bool
    restored: tuple[Restored, ...] = ()
    of_kinds: tuple[OfKind, ...] = ()
    restores: bool = True
    why_not: str = ""
    is_stopped: bool = False
    in_whole_numbers: bool = False
    not_in_whole_numbers: int = 0
    """sets with which the linear program has a solution, but whole numbers have none, as far as their changes go"""
    uncoverable: int = 0
    """cases that no capacity can serve, of a study that has a plan"""
    unsure: tuple[str, ...] = ()
    """what the solver could not find out: more may restore a plan"""
    is_known: bool = True
    """whether it is known that the study has no plan as it is"""
    is_proven_smallest: bool = True
    """whether a change that goes further restores what a shorter one does, so that no smaller set is missed: not by
    waiting, for what is in NOT_ALWAYS_LOOSER"""
