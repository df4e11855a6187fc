"""The answer for one variant of a study: its plan, or why it has none."""

from dataclasses import dataclass

from planner.questions.variants import Variant
from planner.study.records.plan import PlanFile

NOT_PLANNED = "not planned: "
"""How it begins when nobody tried to the end, so that another run may."""


@dataclass(frozen=True)
class Answer:
    """A variant with its plan, or why it has none."""

    variant: Variant
    plan: PlanFile | None
    why_not: str = ""
    unsure: bool = False
    """whether the search failed: it is not known whether there is a plan"""
    is_stopped: bool = False
    """whether a person ended the search"""
    asked_sha256: str = ""
    """digest of what was asked: study, effort, demand, the plan it started from, and the version"""

    @property
    def not_planned(self) -> bool:
        """Whether nobody tried: a person ended it, or its process did."""
        return self.plan is None and self.why_not.startswith(NOT_PLANNED)

    @property
    def is_final(self) -> bool:
        """Whether another run would answer the same."""
        return not self.is_stopped and not self.not_planned
