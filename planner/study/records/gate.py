"""Records of a gate's policy: what a plan must keep to before it is merged; `policy.yaml` as people write it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from planner.study.records.base import (
    Contradiction,
    Count,
    Evidence,
    Fraction,
    Name,
    NotNegative,
    Positive,
    PositiveCount,
    Record,
)
from planner.study.records.components import ComponentKind

POLICY_SCHEMA_VERSION: Literal[1] = 1


class GateRule(Record):
    """A rule of the gate."""

    severity: Literal["fail", "warn"] = Field(
        "fail", description="fail: the gate fails with this rule; warn: it is said, and the gate passes all the same"
    )


class BudgetRule(GateRule):
    """Money at most."""

    of: Literal["cost", "capital"] = Field(
        "cost",
        description="cost: what the plan minimises, a mean where it is per month or quarter; capital: what is paid for "
        "what is bought, in the dearest month or quarter",
    )
    per: Literal["month", "quarter", "horizon"] = Field(description="time over which it is summed")
    most_usd: NotNegative = Field(description="at most [USD]")


class ConcentrationRule(GateRule):
    """Share of one provider, region, site, pool or stack at most."""

    share_of: Literal["requests", "cost", "accelerators"] = Field(
        description="requests: served in normal operation; cost: paid for what stands there; accelerators: held and "
        "bought; the largest share of all hours"
    )
    per: Literal["provider", "region", "site", "pool", "stack"] = Field(description="whose share it is")
    names: tuple[Name, ...] = Field(("*",), min_length=1, description="ids or patterns of those that are meant")
    most_fraction: Fraction = Field(description="share of all, at most")


class UtilisationRule(GateRule):
    """How full the fullest pool or placement may be."""

    of: Literal["pool", "placement"] = Field(
        description="pool: machines on which replicas stand, of those in service and obtained; placement: share of the "
        "rate of its replicas that is used"
    )
    when: Literal["normal", "failures"] = Field(description="in normal operation, or in any failure of the goals")
    most_fraction: Fraction = Field(description="share that is used, at most")


class HeadroomRule(GateRule):
    """Growth of demand that still holds, with the machines and replicas as planned."""

    least_growth_fraction: NotNegative = Field(
        le=9.0, description="all demand grows by this share, and every goal holds; drilled up to 9 (tenfold)"
    )


class EvidenceRule(GateRule):
    """How the figures behind a tier's requests must be known."""

    tiers: tuple[Name, ...] = Field(min_length=1, description="names of the tiers")
    figure: Literal["speed", "stack", "round_trip"] = Field(
        "speed", description="of a profile, that a model may be served on a stack, of an origin and a site"
    )
    weakest: Literal[Evidence, "proxy"] = Field(
        description="weakest evidence that counts; from the strongest: measured, published, proxy, estimated, assumed"
    )
    when: Literal["normal", "failures"] = Field("normal", description="in normal operation, or in any failure as well")
    least_fraction: Fraction = Field(1.0, description="share of the tier's requests on such figures, at least")


class PricesRule(GateRule):
    """Age of the prices of what is ordered."""

    offers: tuple[Name, ...] = Field(("*",), min_length=1, description="ids or patterns of the offers that are meant")
    most_days: NotNegative = Field(description="age at most, of a month or year from its first day [days]")


class GoalsRule(GateRule):
    """Every survival goal of the study holds."""

    may_be_uncoverable: bool = Field(False, description="whether a goal may lack what no capacity could cover")


class SurviveRule(GateRule):
    """A goal that the study must have for a tier, or a stronger one, and that holds."""

    tier: Name = Field(description="name of the tier")
    any: ComponentKind | Name | None = Field(None, description="each of a kind: provider, region, site, stack ...")
    of: PositiveCount = Field(1, description="how many of them are lost at the same time")
    failure: Name | None = Field(None, description="a failure named in the study, instead of `any`")
    serve_fraction: Fraction = Field(1.0, description="share of the tier's demand to serve, at least")
    within_seconds: Positive = Field(description="deadline, since the failure began, at most [s]")

    @model_validator(mode="after")
    def _one_of(self) -> SurviveRule:
        if (self.any is None) == (self.failure is None):
            raise Contradiction("either `any` (a kind of component) or `failure` (of the study)", "name one of them")
        return self


class OutageRule(GateRule):
    """Outages that happened, which the plan must stand."""

    outages: tuple[Name, ...] = Field(min_length=1, description="ids of the catalogue (docs/outages.md), or patterns")
    tiers: tuple[Name, ...] = Field((), description="names of the tiers that are meant; none named: those with goals")
    serve_fraction: Fraction = Field(1.0, description="share of each tier's demand to serve, at least")
    within_seconds: Positive = Field(description="from then on, since the outage began [s]")


class ProofRule(GateRule):
    """How good the plan must be known to be."""

    most_gap_fraction: Fraction | None = Field(None, description="gap at most; none: the one that was asked for")
    may_be_unproven: bool = Field(False, description="whether the search may have ended before the gap was reached")


class OrdersRule(GateRule):
    """Every order can still be placed in time."""

    least_days: NotNegative = Field(0.0, le=36500, description="days from today to the earliest order, at least [days]")


class ChangeRule(GateRule):
    """What may change against the base plan."""

    most_cost_growth_fraction: NotNegative | None = Field(None, description="growth of the cost a month, at most")
    most_machines_removed: Count | None = Field(
        None, description="machines of pools that have fewer than in the base plan, held and bought, at most"
    )

    @model_validator(mode="after")
    def _limits_something(self) -> ChangeRule:
        if self.most_cost_growth_fraction is None and self.most_machines_removed is None:
            expected = "most_cost_growth_fraction or most_machines_removed"
            raise Contradiction(expected, "write one of them, or leave the rule out")
        return self


class GatePolicy(Record):
    """policy.yaml: rules that `planner gate` holds a plan to. Audit, goals and proof are always among them."""

    policy: Name = Field(description="name of the policy")
    schema_version: Literal[1] = Field(POLICY_SCHEMA_VERSION, description="version of this format")
    budget: tuple[BudgetRule, ...] = Field((), description="money at most")
    concentration: tuple[ConcentrationRule, ...] = Field((), description="shares at most")
    utilisation: tuple[UtilisationRule, ...] = Field((), description="how full anything may be")
    headroom: HeadroomRule | None = Field(None, description="growth of demand that must still hold")
    evidence: tuple[EvidenceRule, ...] = Field((), description="how figures must be known")
    prices: tuple[PricesRule, ...] = Field((), description="how old prices may be")
    goals: GoalsRule = Field(GoalsRule(), description="that every survival goal holds")
    survive: tuple[SurviveRule, ...] = Field((), description="goals that the study must have")
    outages: tuple[OutageRule, ...] = Field((), description="outages that happened, to stand")
    proof: ProofRule = Field(ProofRule(), description="how good the plan must be known to be")
    orders: OrdersRule | None = Field(None, description="that orders can be placed in time")
    change: tuple[ChangeRule, ...] = Field((), description="against the base plan, which must be given then")
