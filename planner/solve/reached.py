"""How far a search for whole numbers has come: its plan, its bound, the gap between them, and what ends it by these."""

import math

from planner.solve.integer_program import LARGE_COLUMNS, IntegerProgram
from planner.solve.program import INFINITY
from planner.solve.search import Effort, Search, is_proven
from planner.solve.whole_tests import TestedPlan

SEARCH_GAP = 0.98
"""Share of the asked gap at which the search of everything ends: later failures still cost something."""
HURRIED_GAP = 0.1
"""Gap at which the first whole numbers are good enough where less than HURRIED_SECONDS are given for all."""
HURRIED_SECONDS = 60.0
PART_GAP = 0.25
"""Share of the asked gap at which the search of a part ends."""
FIRST_NODE_WORK = 250_000
"""Columns times nodes of the first search of everything in a small program: most often that is enough."""
CHEAPER = 1e-7
"""Saving that counts as one [fraction]."""


class Reached:
    """What a search for whole numbers has reached, and from when on that is enough.

    Parameters
    ----------
    best : the cheapest plan so far that passed every test; None: there is none
    """

    search: Search
    integers: IntegerProgram
    effort: Effort
    best: TestedPlan | None

    def gap(self, tested: TestedPlan) -> float:
        """How much cheaper the best possible plan might be [fraction]."""
        return max(0.0, tested.cost_usd - self.search.bound) / tested.cost_usd if tested.cost_usd > 0 else 0.0

    def _is_proven(self) -> bool:
        return self.best is not None and is_proven(self.gap(self.best), self.effort.gap_fraction)

    def _is_large(self) -> bool:
        return len(self.integers.lower) > LARGE_COLUMNS

    def _first_nodes(self) -> int:
        """Nodes of the first search of everything."""
        return min(self.search.most_nodes(), FIRST_NODE_WORK // len(self.integers.lower))

    def _best_usd(self) -> float:
        return INFINITY if self.best is None else self.best.cost_usd

    def _is_cheaper(self, usd: float) -> bool:
        """Whether a cost is below that of the best plan by more than arithmetic."""
        return self.best is None or usd < self.best.cost_usd - CHEAPER * abs(self.best.cost_usd)

    def _part_gap(self) -> float:
        return HURRIED_GAP if self._is_hurried() else PART_GAP * self.effort.gap_fraction

    def _is_hurried(self) -> bool:
        """Whether any plan is wanted first, as little time is given."""
        return self.best is None and self.effort.seconds is not None and self.effort.seconds < HURRIED_SECONDS

    def _good_enough_usd(self) -> float | None:
        """Cost at which an integer search may end [USD]; None: only when it has proven the best."""
        gap = self.effort.gap_fraction * SEARCH_GAP
        return self.search.bound / (1 - gap) if gap > 0 and math.isfinite(self.search.bound) else None

    def _cutoff_usd(self) -> float:
        """Cost below which a plan would be so much cheaper than the best that this is not proven yet [USD].

        Where there is none the best plan is proven. A search for that alone is several times as short as one for what
        is cheapest, as it leaves all that does not come to so much. A large program has none: nodes end its searches,
        and from the best plan they find cheaper ones.
        """
        return INFINITY if self.effort.gap_fraction <= 0 or self._is_large() else self._proving_usd()

    def _proving_usd(self) -> float:
        """Cost below which there must be no plan, so that the best is proven [USD]; with none infinity."""
        return INFINITY if self.best is None else self.best.cost_usd * (1 - self.effort.gap_fraction * SEARCH_GAP)

    def _is_good_enough(self, usd: float) -> bool:
        good_enough_usd = self._good_enough_usd()
        return good_enough_usd is not None and usd <= good_enough_usd

    def _progress_made(self) -> tuple[float, int, int]:
        """What changes when a plan got cheaper or the program grew."""
        return self._best_usd(), len(self.search.blocks), len(self.search.whole_blocks)

    def bounds_all(self) -> bool:
        """Whether the bound is one for all plans: in rounds by waiting it is of those by the numbers of the round."""
        return self.search.p.waiting is None

    def _say(self, label: str, bound_usd: float = -INFINITY) -> None:
        """Where plan and bound stand."""
        bound_usd = max(bound_usd, self.search.bound)
        if not self.bounds_all():
            detail = "no plan yet" if self.best is None else f"{spoken(self.best.cost_usd)}, its bound is to come"
        elif self.best is None:
            detail = f"at least {spoken(bound_usd)}"
        else:
            gap = max(0.0, 1 - bound_usd / self.best.cost_usd) if self.best.cost_usd > 0 else 0.0
            detail = f"{spoken(self.best.cost_usd)}, at least {spoken(bound_usd)}, gap {gap:.2%}"
        self.search.reached = detail
        self.search.progress("whole numbers", None, f"{detail}; {len(self.search.binding)} failures binding, {label}")


def spoken(usd: float) -> str:
    """An amount as it is said.

    Examples
    --------
    >>> spoken(44_912_345.0), spoken(1_234.5), spoken(12_345.0)
    ('44.912 M USD', '1,234 USD', '12,345 USD')
    """
    return f"{usd / 1e6:,.3f} M USD" if abs(usd) >= 1e6 else f"{usd:,.0f} USD"
