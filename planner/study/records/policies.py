"""Records of what a company allows: what may be bought, limits, and what counts of machines in a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from planner.study.records.base import Contradiction, Fraction, Name, NotNegative, Record, unset
from planner.study.records.buildout import CapitalLimit
from planner.study.records.components import ComponentKind
from planner.study.records.inventory import OfferKind

QuotaKind = Literal[OfferKind, "held"]


class QuotaIncrease(Record):
    """More of a quota, asked for today: from when it is granted the plan may count on it, whatever its chance."""

    most: NotNegative = Field(description="limit once it is granted, in the quota's unit")
    lead_days: NotNegative = Field(le=36500, description="days from asking until it is granted")
    chance_fraction: Fraction = Field(gt=0, description="chance that it is granted by then; printed, not reckoned with")


class Quota(Record):
    """A limit on machines held and bought together, in the provider's own unit."""

    name: Name = Field(description="name, for the review")
    pools: tuple[Name, ...] = Field(min_length=1, description="pool ids or patterns (google/*, */trn2.48xlarge)")
    unit: Name = Field("machines", description="machines, or a unit that the machine types state (vcpu, chips)")
    most: NotNegative = Field(description="limit, in that unit")
    counts: tuple[QuotaKind, ...] = Field(
        (),
        exclude_if=unset,
        description="kinds of offer that it counts, and `held` for holdings, as providers count on demand apart from "
        "spot; none named: all that is held and bought",
    )
    increases: tuple[QuotaIncrease, ...] = Field(
        (), exclude_if=unset, description="what can be asked for; where the plan uses it, asking is one of its orders"
    )
    from_day: date | None = Field(None, exclude_if=unset, description="first day it holds; none: the start")
    until: date | None = Field(None, exclude_if=unset, description="last day it holds; none: beyond the horizon")

    @model_validator(mode="after")
    def _more(self) -> Quota:
        if any(increase.most <= self.most for increase in self.increases):
            raise Contradiction(f"increases to more than {self.most:g}", "write the limit once it is granted, in all")
        limits = [increase.most for increase in self.increases]
        if twice := sorted({limit for limit in limits if limits.count(limit) > 1}):
            expected = f"one increase to each limit, not several to {twice[0]:g}"
            raise Contradiction(
                expected, "leave out all but the one that you would ask for, with its lead time and chance"
            )
        return self

    def takes(self, kind: QuotaKind) -> bool:
        """Whether machines had in this way count."""
        return not self.counts or kind in self.counts


class Share(Record):
    """A limit on the share of requests that a component serves, in normal operation only."""

    component: Name = Field(description="provider:NAME, region:ID, site:ID, pool:ID or stack:NAME")
    most_fraction: Fraction = Field(description="share of all requests")


class Counted(Record):
    """What counts of machines in a failure, beside what is held; the last entry that fits an offer holds.

    Without an entry: of what runs on demand all counts, nothing that would have to be obtained. Spot never counts.
    """

    offers: tuple[Name, ...] = Field(min_length=1, description="offer ids or patterns (aws/*:on_demand)")
    any: ComponentKind | Name | None = Field(
        None, description="in failures that lose a component of this kind; none: in every failure"
    )
    running_fraction: Fraction = Field(1.0, description="share of what runs that goes on")
    obtainable_fraction: Fraction = Field(
        0.0, description="share of what is left on the market (most_units) that can be obtained; hourly offers only"
    )
    obtain_seconds: NotNegative = Field(0.0, description="from detection until they are there [s]")


class Policies(Record):
    """What the company allows."""

    offers: tuple[OfferKind, ...] = Field(
        ("on_demand", "spot", "commitment", "capacity_block", "build_out"), description="kinds that may be bought"
    )
    terms_beyond_horizon: bool = Field(False, description="whether an offer may bind for longer than the horizon")
    budget_usd: NotNegative | None = Field(None, description="most that may be spent over the horizon [USD]")
    quotas: tuple[Quota, ...] = Field((), description="limits on machines")
    shares: tuple[Share, ...] = Field((), description="limits on shares of requests")
    counted: tuple[Counted, ...] = Field((), description="what counts of rented and committed machines in failures")
    capital_limits: tuple[CapitalLimit, ...] = Field(
        (), exclude_if=unset, description="limits on capital paid, by time"
    )


SHARES: Mapping[str, Mapping[str, float]] = {
    "waiting": {"normal": 1.0, "in_failure": 1.0},
    "fixed": {"normal": 0.85, "in_failure": 0.95},
}
"""Basis -> how far replicas are filled at most, unless a study says otherwise: fixed, as assumed."""

BY_WAITING = ("spread", "arrivals_variation", "lengths_variation")
"""Fields of utilisation that say how requests wait."""


class Utilisation(Record):
    """How far replicas may be filled."""

    basis: Literal["waiting", "fixed"] = Field(
        "waiting",
        description="waiting: as far as first tokens come in time, round trip and wait included, by how many replicas "
        "run and how requests are spread over them; fixed: to the shares below, whatever their number, as if no "
        "request waited",
    )
    normal: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of a replica's rate used in normal operation: at most; fixed: up to it, 0.85 unless said",
    )
    in_failure: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of a replica's rate used in a failure: at most; fixed: up to it, 0.95 unless said",
    )
    spread: Literal["one-queue", "least-requests", "each"] = Field(
        "least-requests",
        description="by waiting: one-queue, a request goes to whichever replica has a free slot; least-requests, at "
        "once to the replica with the fewest; each, to any, in turn or at random: each replica has a queue of its own",
    )
    arrivals_variation: float = Field(
        1.0,
        ge=1,
        le=100,
        exclude_if=lambda value: value == 1.0,
        description="by waiting: squared coefficient of variation of the times between requests, 1 (Poisson) or more",
    )
    lengths_variation: float = Field(
        1.0,
        ge=1,
        le=100,
        exclude_if=lambda value: value == 1.0,
        description="by waiting: squared coefficient of variation of the time that a request takes, 1 (exponential) or "
        "more; less is counted as 1, which is on the safe side",
    )

    @model_validator(mode="before")
    @classmethod
    def _fixed_shares(cls, said: Any) -> Any:
        """By waiting the shares are limits beside it, 1 where none is said; fixed, they are all there is."""
        if isinstance(said, dict) and said.get("basis") == "fixed":
            return {**SHARES["fixed"], **said}
        return said

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Utilisation:
        """What says how requests wait is of no effect where they are taken not to."""
        if self.basis == "fixed":
            for name in BY_WAITING:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise Contradiction(
                        f"{name} with basis: waiting",
                        f"leave basis: fixed out, or {name}; in a change: 'utilisation={{basis: fixed}}'",
                    )
        return self


class ColdStarts(Record):
    """What replicas find when they start, and requests that are moved to them."""

    compile_caches: Literal["warm", "cold"] = Field(
        "warm",
        description="warm: compiled code lies beside the weights; cold: each start compiles anew, compile_seconds of "
        "its profile longer",
    )
    storage_rates: Literal["inventory", "stated"] = Field(
        "inventory",
        description="of sites that state no load_gib_per_second: inventory: what storage.csv says of them; stated: no "
        "limit",
    )
    prefix_caches: Literal["cold", "warm"] = Field(
        "cold",
        description="in failures, of workloads that state no cached_fraction_in_failure: cold: all input is read, as "
        "another replica holds none of it; warm: cached_fraction of it is found, as in normal operation",
    )
