"""One plan in hand: what its file says, and what follows from it, each built once, when it is first asked for."""

from dataclasses import dataclass
from functools import cached_property

from planner.plan.cash import Cash, cash
from planner.plan.decisions import decisions_of, problem_of, without_survival_goals
from planner.plan.file import plan_text
from planner.plan.orders import Order, PhaseOrder, QuotaOrder, orders, phase_orders, quota_orders
from planner.problem.decisions import Decisions, Vectors
from planner.problem.problem import Problem
from planner.problem.rules.index_sets import as_vectors
from planner.study.dependencies import Graph, dependency_graph
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan with its study, problem, dependency graph, decisions, orders and cash.

    Parameters
    ----------
    file : the record that plan.json holds

    Raises
    ------
    InputError
        by `problem` and all that needs it, when no problem can be built of the study inside, or the plan buys what that
        does not know: the file was changed by hand
    """

    file: PlanFile

    @property
    def study(self) -> Study:
        """The study that is inside the file."""
        return self.file.study

    @cached_property
    def problem(self) -> Problem:
        """The study as sets and numbers, in the plan's demand case."""
        return problem_of(self.file)

    @cached_property
    def problem_without_goals(self) -> Problem:
        """What its cheapest plan without survival goals is a plan of."""
        return without_survival_goals(self.study, self.file.demand_case)

    @cached_property
    def graph(self) -> Graph:
        """What needs what."""
        return dependency_graph(self.study)

    @cached_property
    def decisions(self) -> Decisions:
        """The plan's numbers, by the index of each decision."""
        return decisions_of(self.file, self.problem)

    @cached_property
    def vectors(self) -> Vectors:
        """The plan's numbers as vectors over every edge and flow."""
        return as_vectors(self.problem, self.decisions)

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """What to order, earliest first."""
        return orders(self.file, self.problem)

    @cached_property
    def phase_orders(self) -> tuple[PhaseOrder, ...]:
        """What to order for build-outs, part by part."""
        return phase_orders(self.file, self.problem)

    @cached_property
    def quota_orders(self) -> tuple[QuotaOrder, ...]:
        """Increases of quotas to ask for."""
        return quota_orders(self.file, self.problem, self.vectors)

    @cached_property
    def cash(self) -> Cash:
        """What is paid, and when."""
        return cash(self.file, self.problem, self.vectors)

    @property
    def text(self) -> str:
        """The text of plan.json: the same plan, byte for byte."""
        return plan_text(self.file)


def in_hand(plan: PlanFile | Plan) -> Plan:
    """A plan as one in hand, whichever it is."""
    return plan if isinstance(plan, Plan) else Plan(plan)
