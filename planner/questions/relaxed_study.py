"""A study with things relaxed: its problem, and whether that has a plan, by the linear program over all failures."""

from dataclasses import dataclass, field

from planner.errors import InputError, NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.decisions import uncoverable_flows
from planner.plan.plan import Case
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.questions.patched import patched
from planner.questions.planned import silent, solution_or_why_not
from planner.questions.relaxable import Relaxable, patch_of_values, with_limits
from planner.solve.enter_by_hours import goes_by_hours
from planner.solve.lp_bound import relax
from planner.solve.program import Impossible
from planner.solve.search import Effort, Progress, Search
from planner.solve.solve import fullest_hours
from planner.study.records.study import Study

ANY_GAP = 0.5
MOST_NODES = 100
"""Of each search for whole numbers: where the least values leave hardly any, it must not take minutes."""
NAME = "relaxed"


def rough_effort(gap: float) -> Effort:
    """How hard to look for whole numbers."""
    return Effort(gap_fraction=gap, most_nodes=MOST_NODES, rounds=1)


Relaxed = tuple[tuple[Relaxable, int], ...]
"""Things that are relaxed, each to its n-th value"""

Uncovered = tuple[tuple[str, str, str], ...]
"""Failures with a workload and an origin whose requests nothing can serve then, as far as is promised"""


@dataclass
class RelaxedStudy:
    """Asks for a plan of the study with things relaxed."""

    study: Study
    case: Case
    progress: Progress
    in_whole_numbers: bool = False
    """whether the linear program always has a solution, so that whole numbers are asked for"""
    hints: list[str] = field(default_factory=list)
    """failures in which a linear program had no solution: the next most often has none for them, either"""
    unsure: list[str] = field(default_factory=list)
    """what a solver could not find out: nothing is concluded from that"""
    not_known: int = 0
    """questions that were answered with none as it is not known: so often, as what was asked before counts again"""
    problems: dict[Relaxed, Problem | None] = field(default_factory=dict)
    lp_usd_of: dict[frozenset[tuple[str, object]], float | None] = field(default_factory=dict)
    unknown: set[frozenset[tuple[str, object]]] = field(default_factory=set)

    @property
    def is_by_waiting(self) -> bool:
        """Whether utilisation is by waiting."""
        return self.study.utilisation.basis == "waiting"

    def problem(self, relaxed: Relaxed) -> Problem | None:
        """The problem with things relaxed; none where it cannot be asked."""
        study, findings = patched(self.study, (patch_of_values(relaxed, NAME),), NAME) if relaxed else (self.study, [])
        if study is None or any(finding.level == "error" for finding in findings):
            return None
        try:
            return build(study, self.case)
        except InputError:
            return None

    def near(self, relaxed: Relaxed) -> Problem | None:
        """The same problem, with limits that go up in the problem, not in the study: faster, to be tried."""
        without_limits = tuple(each for each in relaxed if not each[0].limits)
        if without_limits not in self.problems:
            self.problems[without_limits] = self.problem(without_limits)
        p = self.problems[without_limits]
        return None if p is None else with_limits(p, relaxed)

    def uncovered(self, relaxed: Relaxed) -> Uncovered:
        """What no capacity can serve with things relaxed, though it is promised: failure, workload, origin."""
        p = self.near(relaxed)
        return () if p is None else tuple((f, w, o) for f, w, o, _ in uncoverable_flows(p))

    def lp_usd(self, relaxed: Relaxed) -> float | None:
        """What the linear program costs with things relaxed; none: it has no solution, or that is not known.

        Raises
        ------
        SolverError
            when it is not known of the study as it is
        """
        key = frozenset((change.path, repr(change.value)) for change in patch_of_values(relaxed, NAME).changes)
        if key not in self.lp_usd_of:
            try:
                self.lp_usd_of[key] = self._lp_usd(relaxed)
            except SolverError as error:
                if not relaxed:
                    raise
                self.lp_usd_of[key] = None
                self.unknown.add(key)
                if str(error) not in self.unsure:
                    self.unsure.append(str(error))
        self.not_known += key in self.unknown
        return self.lp_usd_of[key]

    def _lp_usd(self, relaxed: Relaxed) -> float | None:
        if interrupted():
            raise KeyboardInterrupt
        p = self.near(relaxed)
        if p is None or workloads_without_edge(p):
            return None
        search = None
        try:
            search = Search(p, Effort(), None, silent)
            for f in self.hints if not goes_by_hours(search) else ():
                for h in fullest_hours(p) if search.is_tested(f) and f not in search.dominated else ():
                    search.enter((f, h))
            usd = relax(search)
        except (NoPlan, Impossible):
            broke = search.binding if search is not None else []
            self.hints += [f for f in broke if f not in self.hints]
            return None
        if self.in_whole_numbers:
            solution, why_not = solution_or_why_not(p, rough_effort(ANY_GAP), silent, self.hints)
            if why_not:
                raise SolverError(why_not)
            return None if solution is None else usd
        return usd
