"""What is not planned because something else is, exactly: a smaller problem, whose plans are plans of all of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.solve.dominated_placements import dominated_placements, without_placements
from planner.solve.priced_failures import same_priced, with_each_failure, with_rates_added


@dataclass(frozen=True)
class Reduced:
    """A problem without what is dominated or the same.

    Parameters
    ----------
    asked : the problem as it was asked, which a plan is audited and drilled by
    p : the problem that is solved
    placements : dominated placement -> one that does all that it does
    failures : priced failure -> the one that it differs from in nothing
    """

    asked: Problem
    p: Problem
    placements: Mapping[str, str]
    failures: Mapping[str, str]

    def taken_apart(self, x: Decisions) -> Decisions:
        """The decisions of a plan of `p` as those of a plan of `asked`: dominated placements have nothing."""
        return with_each_failure(self.asked, self.failures, x)


def reduced(p: Problem, similar: Decisions | None = None) -> Reduced:
    """The problem without what is dominated or the same.

    Parameters
    ----------
    similar : a plan at hand: the placements in which it runs replicas stay
    """
    stay = () if similar is None else [e for (e, _), replicas in similar.replicas.items() if replicas]
    # by waiting two placements are no sum of one: each has a queue of its own
    placements = dominated_placements(p, stay) if p.waiting is None else {}
    failures = same_priced(p)
    return Reduced(p, with_rates_added(without_placements(p, placements), failures), placements, failures)
