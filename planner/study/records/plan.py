"""Records of the answer: the plan file, self-contained, with its proof."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from planner.study.records.base import Count, Fraction, Id, NotNegative, Positive, Record, unset
from planner.study.records.study import Study

PLAN_SCHEMA_VERSION: Final = 2
"""Version 1 is still read: `renamed.PLAN` says which fields were called otherwise."""


class Purchase(Record):
    """Units bought of an offer."""

    offer: Id
    when: Id = Field(description="period in which it starts; for hourly offers the hour in which it is rented")
    units: int = Field(ge=0, description="whole units")


class Built(Record):
    """Modules of a phase that may be used from a period on."""

    build_out: Id = Field(description="id of the phase")
    when: Id = Field(description="period from whose start they may be used")
    units: int = Field(ge=0, description="whole modules")


class Replicas(Record):
    """Replicas that run in normal operation."""

    placement: Id = Field(description="`model/profile@pool`")
    hour: Id
    replicas: int = Field(ge=0)
    non_preemptible: int | None = Field(
        None, ge=0, description="of them on machines that count in every failure, never spot; none: all of them"
    )
    on_offers: dict[Id, Count] = Field(
        default_factory=dict,
        exclude_if=lambda value: not value,
        description="offer: of the others those on machines of it that count wherever more than the least of it does, "
        "as on a contract while another is not renewed",
    )


class State(Record):
    """What happens in one (hour, failure, deadline). Columns of equal length; rows that are zero are left out.

    Left out altogether: a state whose traffic and shed equal normal operation's and in which nothing loads.
    """

    hour: Id
    failure: Id
    deadline_seconds: float
    same_as_normal: bool = Field(False, description="everything as in normal operation; columns left out")
    workload: tuple[Id, ...] = Field((), description="of the traffic columns")
    origin: tuple[Id, ...] = ()
    placement: tuple[Id, ...] = ()
    requests_per_second: tuple[float, ...] = ()
    routed_via: tuple[Id, ...] = Field(
        (),
        exclude_if=unset,
        description="of choices between components, where some have limits: alternatives that are taken",
    )
    throughput_requests_per_second: tuple[float, ...] = Field(
        (), exclude_if=unset, description="requests that take each of these alternatives"
    )
    shed: dict[Id, dict[Id, float]] = Field(default_factory=dict, description="workload: origin: requests/s not served")
    kept: dict[Id, int] = Field(
        default_factory=dict, description="placement: replicas still running since before, where not all that survive"
    )
    cold_started: dict[Id, int] = Field(default_factory=dict, description="placement: replicas started since")
    occupied: dict[Id, int] = Field(
        default_factory=dict, description="placement: replicas that occupy machines, where more than run"
    )

    @model_validator(mode="after")
    def _columns_of_equal_length(self) -> Self:
        if len({len(c) for c in (self.workload, self.origin, self.placement, self.requests_per_second)}) > 1:
            raise ValueError("columns of equal length are expected")
        if len(self.routed_via) != len(self.throughput_requests_per_second):
            raise ValueError("columns of equal length are expected")
        return self


class Reserves(Record):
    """What gateways may send over an edge at most, also when they fail over: the limits that they must enforce.

    Their weights are proportional to it. Columns of equal length; edges without a weight are left out.
    """

    workload: tuple[Id, ...] = ()
    origin: tuple[Id, ...] = ()
    placement: tuple[Id, ...] = ()
    hour: tuple[Id, ...] = ()
    requests_per_second: tuple[NotNegative, ...] = ()

    @model_validator(mode="after")
    def _columns_of_equal_length(self) -> Self:
        columns = (self.workload, self.origin, self.placement, self.hour, self.requests_per_second)
        if len({len(c) for c in columns}) > 1:
            raise ValueError("columns of equal length are expected")
        return self


class Chosen(Record):
    """A decision of a rule that has no record of its own, where it is not zero."""

    decision: Id = Field(description="name in the table of decisions")
    of: tuple[Id, ...] = Field(description="ids that it is of, in the order of its index")
    hour: Id | None = Field(None, description="of decisions of states, as failure and deadline_seconds")
    failure: Id | None = None
    deadline_seconds: float | None = None
    value: float


class Uncoverable(Record):
    """A (failure, workload, origin) that no capacity helps, and the missing ingredient."""

    failure: Id
    workload: Id
    origin: Id
    coverable_fraction: float
    missing: Id


class Bottleneck(Record):
    """A limit that binds, and what one more machine's worth of it would save."""

    limit: Id
    unit: Id
    marginal_usd: NotNegative = Field(
        description="what the relaxation saves at most with `step` more, by unit [USD over the horizon per unit]; "
        "without a step: its dual alone"
    )
    step: Positive | None = Field(
        None, exclude_if=unset, description="a machine's worth of it, in its unit: so much more at once was asked about"
    )
    replanned_usd: NotNegative | None = Field(
        None, description="saving when planned again with `step` more, or one unit [USD]"
    )


class NoRegret(Record):
    """Units of an order that the low, base and high demand plans have; in a period: that are there then."""

    offer: Id
    when: Id | None = Field(None, exclude_if=unset, description="period it is needed in, where there are several")
    low_units: Count
    base_units: Count
    high_units: Count


class Proof(Record):
    """How good the plan is known to be."""

    status: Literal["proven", "gap", "stopped"] = Field(
        description="proven: gap within what was asked; gap: effort ended first; "
        "stopped: a time limit or a person ended it"
    )
    cost_usd: float = Field(description="over the horizon")
    bound_usd: float = Field(description="no plan can cost less")
    gap_fraction: float = Field(description="(cost - bound) / cost")
    lp_bound_usd: float = Field(description="bound of the relaxation over all failures")
    failures_tested: int
    binding_failures: tuple[Id, ...] = Field(description="failures that decided something")
    dominated_failures: Count = Field(description="failures that harder ones imply: what survives those survives these")
    passes: Count
    gap_asked_fraction: Fraction = Field(description="gap that was asked for")


class WithoutGoals(Record):
    """The cheapest plan found without survival goals, which may stand on spot, that counts in no failure."""

    purchases: tuple[Purchase, ...]
    builds: tuple[Built, ...] = Field((), exclude_if=unset)
    costs_usd: dict[Id, float] = Field(description="by component; worth on the horizon's first day")
    cost_usd: NotNegative
    bound_usd: NotNegative


class OnEqualTerms(WithoutGoals):
    """The cheapest plan found without survival goals that buys of what counts in no failure no more than the plan.

    In normal operation it stands on machines that could be relied on, as the plan must: what the plan costs beyond it
    is redundancy alone, and never below zero (bounds apart).
    """


class ReSolved(WithoutGoals):
    """The cheapest plan found with the same goals and weights chosen anew for each failure."""


class PlanFile(Record):
    """plan.json."""

    schema_version: Literal[2] = PLAN_SCHEMA_VERSION
    planner_version: Id
    solver: Id
    demand_case: Literal["base", "low", "high"] = "base"
    study_sha256: Id
    digest_sha256: Id = Field(description="of everything else in this file, in canonical form")
    study: Study
    purchases: tuple[Purchase, ...]
    builds: tuple[Built, ...] = Field((), exclude_if=unset, description="phases that are built")
    replicas: tuple[Replicas, ...]
    states: tuple[State, ...]
    reserves: Reserves = Field(Reserves(), description="where gateways keep their weights: their limits, and weights")
    chosen: tuple[Chosen, ...] = Field(
        (), exclude_if=unset, description="decisions that have no record of their own, as rules may add"
    )
    costs_usd: dict[Id, float] = Field(description="by component; worth on the horizon's first day")
    uncoverable: tuple[Uncoverable, ...]
    bottlenecks: tuple[Bottleneck, ...] = ()
    no_regret: tuple[NoRegret, ...] = ()
    drivers: dict[Id, tuple[Id, ...]] = Field(
        default_factory=dict, description="pool: failures that pay for it in the relaxation, largest first"
    )
    without_goals: WithoutGoals
    on_equal_terms: OnEqualTerms | None = Field(
        None, exclude_if=unset, description="what redundancy is compared with; none in plans of earlier versions"
    )
    rules: tuple[Id, ...] = Field(
        (),
        exclude_if=unset,
        description="rules that ask anything of the plan (`planner show NAME`); none: not stated",
    )
    re_solved: ReSolved | None = Field(None, description="where gateways keep their weights: what it is compared with")
    proof: Proof
