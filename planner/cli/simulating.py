"""`planner drill --simulate`: states of a plan request by request, how long they wait."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from planner.cli.console import EDITED, check_out, deliver, is_edited, plan_in, progress, tell
from planner.study.files import REPORT


class RoutingAsked(StrEnum):
    """How a gateway spreads requests over the replicas of a placement."""

    least_requests = "least-requests"
    two_at_random = "two-at-random"
    random = "random"
    round_robin = "round-robin"
    one_queue = "one-queue"


@dataclass(frozen=True)
class SimulationAsked:
    """What is simulated, and how."""

    requests: int | None
    seed: int | None
    variation: float | None
    routing: list[RoutingAsked]
    failure: list[str]

    @property
    def given(self) -> list[str]:
        """The options of a simulation that were given."""
        return ["--" + name for name, value in vars(self).items() if value is not None and value != []]


def drill_simulated(
    subject: Path,
    asked_for: SimulationAsked,
    hour: str | None,
    jobs: int,
    format: str,
    out: Path | None,
    all_rows: bool,
    quiet: bool,
) -> bool:
    """Simulate states of a plan and write the report.

    Raises
    ------
    InputError
        when the subject is no plan, or a failure or an hour is asked for that it does not have
    """
    from planner import api
    from planner.errors import refusal
    from planner.review.simulated import review_simulated

    if subject.suffix.lower() == ".csv":
        fix = "plan the study, and simulate the plan"
        raise refusal("--simulate", "a plan.json", f"{subject}, a fleet", fix)
    with progress(quiet, stage="reading the plan"):
        plan = plan_in(subject)
    check_out(out, kind=REPORT)
    if is_edited(plan):
        tell(f"{subject}: {EDITED}")
    names = {"requests": asked_for.requests, "seed": asked_for.seed, "variation": asked_for.variation}
    options: dict[str, Any] = {name: value for name, value in names.items() if value is not None}
    if asked_for.routing:
        options["routings"] = [routing.value for routing in asked_for.routing]
    with progress(quiet, stage="simulating") as advance:

        def done(queues: int, of: int) -> None:
            advance("simulating", queues / max(1, of), "")

        answer = api.simulate(plan, **options, failures=asked_for.failure, hour=hour, jobs=jobs, progress=done)
    report = review_simulated(answer, all_rows)
    deliver(report, format, out)
    return report.good
