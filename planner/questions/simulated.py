"""States of a plan simulated request by request, over all processors: how long requests wait, by tier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from planner.drill.simulated import SimulatedState, simulated_states
from planner.drill.simulated_queue import Routing
from planner.drill.simulated_tiers import Sampling, SimulatedTier, TierOfQueue, simulated_queue, simulated_tiers
from planner.errors import refusal
from planner.questions.side_by_side import Lost, Workers, side_by_side
from planner.study.records.plan import PlanFile

ROUTINGS: tuple[Routing, ...] = ("least-requests", "random")
"""The best and the worst of what gateways do: a study does not say which of them its own do."""
OF_SPREAD: dict[str, Routing] = {"one-queue": "one-queue", "least-requests": "least-requests", "each": "random"}
"""What a plan by waiting reckons with, as the simulation calls it."""
Job = Callable[[], dict[str, TierOfQueue]]


@dataclass(frozen=True)
class Simulated:
    """How long requests of a plan wait, by state, tier and routing: estimates, with what they assume.

    Parameters
    ----------
    by_quantiles : workloads whose lengths vary as the study says
    judged : the routing by which the plan reckons with waits: those rows are held to `asked_fraction`; none: the plan
        promises nothing of waits
    asked_fraction : tier -> share of first tokens that come in time
    """

    study: str
    sampling: Sampling
    rows: tuple[SimulatedTier, ...]
    by_quantiles: tuple[str, ...] = ()
    judged: Routing | None = None
    asked_fraction: Mapping[str, float] = field(default_factory=dict)

    @property
    def late(self) -> tuple[SimulatedTier, ...]:
        """What the plan promises and does not keep: fewer in time than asked for, by more than chance may do."""
        return tuple(row for row in self.rows if row.routing == self.judged and self._is_late(row))

    def _is_late(self, row: SimulatedTier) -> bool:
        """At the high end of prefill, which a plan by waiting reckons with."""
        if row.within_high_fraction is None or row.error_fraction is None:
            return False
        return row.within_high_fraction + row.error_fraction < self.asked_fraction[row.tier]


def simulate(
    plan: PlanFile,
    sampling: Sampling,
    routings: Sequence[Routing] = ROUTINGS,
    failures: Sequence[str] = (),
    hour: str | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """Normal operation and failures of a plan, request by request; the same however many processes take part.

    Parameters
    ----------
    sampling : but for its routing
    routings : beside that by which the plan reckons with waits, where it does
    failures, hour : as `simulated_states`
    jobs : processes
    progress : called with (queues simulated, queues in all)

    Raises
    ------
    InputError
        as `simulated_states`; when a process ended early, as for want of memory
    """
    cases: list[tuple[SimulatedState, Sampling]] = []
    said = plan.study.utilisation
    promised = (OF_SPREAD[said.spread],) if said.basis == "waiting" else ()
    routings = tuple(dict.fromkeys((*promised, *routings)))
    for state in simulated_states(plan, failures, hour):
        cases += [(state, replace(sampling, routing=routing)) for routing in routings]
    jobs_of = [_jobs(state, one) for state, one in cases]
    answers = iter(_answers([job for of_case in jobs_of for job in of_case], jobs, progress))
    rows: list[SimulatedTier] = []
    for state, one in cases:
        rows += simulated_tiers(state, one.routing, [next(answers) for _ in state.queues])
    by_quantiles = [w.name for w in plan.study.workloads if w.input_tokens_quantiles or w.output_tokens_quantiles]
    return Simulated(
        plan.study.study,
        sampling,
        tuple(rows),
        tuple(by_quantiles),
        promised[0] if promised else None,
        {tier.name: tier.percentile / 100.0 for tier in plan.study.tiers},
    )


def _jobs(state: SimulatedState, sampling: Sampling) -> list[Job]:
    """A job for each queue of a state, with its part of the requests."""
    rate = sum(queue.requests_per_second for queue in state.queues)
    key = f"{state.hour}\n{state.failure}\n{state.deadline_seconds!r}"
    return [partial(simulated_queue, queue, queue.requests_per_second / rate, key, sampling) for queue in state.queues]


def _answers(
    work: Sequence[Job], jobs: int, progress: Callable[[int, int], None] | None
) -> list[dict[str, TierOfQueue]]:
    """The answers of jobs, in their order."""
    answers: dict[int, dict[str, TierOfQueue]] = {}
    for n, answer in side_by_side(work, Workers(jobs)):
        if isinstance(answer, Lost):
            raise refusal("drill --simulate", "processes that last", answer.why, "ask for fewer --requests or --jobs")
        answers[n] = answer
        if progress is not None:
            progress(len(answers), len(work))
    return [answers[n] for n in range(len(work))]
