"""What --profile and --explain-size add to a plan's review, or say on stderr where none is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.cli.console import tell
from planner.solve.stages import Watch

if TYPE_CHECKING:
    from planner.plan.in_hand import Plan
    from planner.review.report import Section


@dataclass(frozen=True)
class Effort:
    """What is asked about the effort of a plan.

    Parameters
    ----------
    watch : the time of its stages, where that is asked
    explain_size : whether the size of its program is asked
    """

    watch: Watch | None = None
    explain_size: bool = False

    def sections(self, plan: Plan) -> tuple[Section, ...]:
        """The sections that are asked for: time first, so that what the other takes is not in it."""
        if self.watch is None and not self.explain_size:
            return ()
        from planner.review.effort import profile_section, size_section

        sections = [profile_section(self.watch)] if self.watch is not None else []
        if self.explain_size:
            sections.append(size_section(plan))
        return tuple(sections)

    def tell(self, plan: Plan) -> None:
        """The same on stderr."""
        if sections := self.sections(plan):
            from planner.review.render import render
            from planner.review.report import Report

            tell(render(Report(f"study {plan.study.study}", True, sections), "text"))
