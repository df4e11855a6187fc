"""Records of what is asked: the study file as people write it, and the study with every reference resolved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cached_property
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator

from planner.study.records.base import (
    SCHEMA_VERSION,
    Contradiction,
    Count,
    Fraction,
    Name,
    NotNegative,
    Positive,
    PositiveCount,
    Record,
    missing,
    unset,
)
from planner.study.records.buildout import BuildOut, Electricity, Money, SpendCommitment
from planner.study.records.components import Breaks as Breaks
from planner.study.records.components import Component as Component
from planner.study.records.components import ComponentKind as ComponentKind
from planner.study.records.components import Dependency as Dependency
from planner.study.records.components import Failover as Failover
from planner.study.records.components import NamedFailure as NamedFailure
from planner.study.records.components import Needs as Needs
from planner.study.records.components import kind_and_name as kind_and_name
from planner.study.records.components import stack_and_version as stack_and_version
from planner.study.records.inventory import (
    MachineType,
    Offer,
    Pool,
    Price,
    RoundTrip,
    Site,
    StorageRate,
    Zone,
    pools_of_zones,
)
from planner.study.records.policies import ColdStarts as ColdStarts
from planner.study.records.policies import Counted as Counted
from planner.study.records.policies import Policies as Policies
from planner.study.records.policies import Quota as Quota
from planner.study.records.policies import QuotaIncrease as QuotaIncrease
from planner.study.records.policies import Share as Share
from planner.study.records.policies import Utilisation as Utilisation
from planner.study.records.serving import ContextClass, Model
from planner.units import HOURS_PER_MONTH, after_months

R = TypeVar("R", bound=Record)
Objective = Literal["cost", "expected", "worst_case", "cvar"]


USUAL_PERCENTILE = 95.0
"""Of the requests of a tier, whose first token comes in time [%]."""
LEAST_REQUESTS_PER_SECOND = 1e-9
"""Least that a stream may ask for, where it asks for anything: less than one request in thirty years."""


class Period(Record):
    """An interval in which capacity is bought."""

    name: Name = Field(description="name, as in 2027-q1")
    months: Positive = Field(le=1200, description="length [months]")


class Hour(Record):
    """A representative hour of every period."""

    name: Name = Field(description="name, as in utc-00-to-04")
    weight_fraction: float = Field(gt=0, le=1, description="share of the period's hours that it stands for")


class Horizon(Record):
    """The time that is planned: periods of any length, each with the same representative hours."""

    start: date = Field(lt=date(3000, 1, 1), description="first day of the plan: what is bought must be there")
    months: Positive = Field(0.0, le=1200, description="length [months]; may be left out where periods say it")
    quarters: PositiveCount | None = Field(
        None, le=400, exclude_if=unset, description="so many periods of three months, instead of `periods`"
    )
    periods: tuple[Period, ...] = Field((), exclude_if=unset, description="in order; none: one period")
    hours: tuple[Hour, ...] = Field((), exclude_if=unset, description="weights add up to 1; none: one mean hour")

    @model_validator(mode="after")
    def _fits(self) -> Horizon:
        if "months" not in self.model_fields_set:
            length = 3.0 * (self.quarters or 0) + sum(period.months for period in self.periods)
            if length <= 0:
                raise Contradiction("the length of the horizon", "add months, quarters or periods")
            object.__setattr__(self, "months", length)  # the record is frozen once it is made
        if self.quarters is not None and self.periods:
            raise Contradiction("quarters or periods, not both", "leave one of the two out")
        length = sum(period.months for period in self.each_period)
        if abs(length - self.months) > 1e-6:
            expected = f"one length, but the periods add up to {length:g} months, the horizon is {self.months:g}"
            raise Contradiction(expected, "leave months out, or correct the lengths of the periods")
        for what, names in (("period", self.periods), ("hour", self.hours)):
            if len({one.name for one in names}) < len(names):
                raise Contradiction(
                    f"a name of its own for each {what} of the horizon", "rename one of those that are called the same"
                )
        weight = sum(hour.weight_fraction for hour in self.hours)
        if self.hours and abs(weight - 1) > 1e-6:
            expected = f"weights of the hours that add up to 1, not {weight:g}"
            raise Contradiction(expected, "correct weight_fraction: each is a share of the period's hours")
        return self

    @property
    def each_period(self) -> tuple[Period, ...]:
        """The periods, in order; one of the whole length where none is named."""
        if self.quarters is not None:
            return tuple(Period(name=f"quarter-{n + 1}", months=3.0) for n in range(self.quarters))
        return self.periods or (Period(name="period-1", months=self.months),)

    @property
    def each_hour(self) -> tuple[Hour, ...]:
        """The representative hours of a period; one mean hour where none is named."""
        return self.hours or (Hour(name="mean-hour", weight_fraction=1.0),)

    @property
    def last_day(self) -> date:
        """Last day of the horizon: what ends before does not count."""
        return after_months(self.start, self.months) - timedelta(days=1)


class Origin(Record):
    """Where requests enter: a city or gateway. The last mile of users is not in it."""

    name: Name = Field(description="name of the origin")
    near: Name | None = Field(None, description="`provider/region` whose measured round trips it shares")
    latitude: float | None = Field(None, ge=-90, le=90, description="degrees north, -90 to 90; the other is longitude")
    longitude: float | None = Field(None, ge=-180, le=180, description="degrees east")

    @model_validator(mode="after")
    def _placed(self) -> Origin:
        if self.near is None and (self.latitude is None or self.longitude is None):
            expected = "`near` (provider/region), or latitude and longitude"
            raise Contradiction(expected, "say where the origin is: name one of them")
        return self


class Goal(Record):
    """When X is lost, serve this fraction within this time."""

    any: ComponentKind | Name | None = Field(
        None,
        description="each of a kind: provider, region, zone, site, pool, stack, or a kind of the study's components",
    )
    of: PositiveCount = Field(1, description="how many of them are lost at the same time")
    except_: tuple[Name, ...] = Field((), alias="except", description="names of that kind that are left out")
    failure: Name | None = Field(None, description="a failure named in the study, instead of `any`")
    outage: Name | None = Field(
        None,
        exclude_if=missing,
        description="an outage that happened (docs/outages.md), instead of both; when read it becomes failures by name",
    )
    where: Name | None = Field(
        None, exclude_if=missing, description="with outage: provider or provider/region where it happens instead"
    )
    serve_fraction: Fraction = Field(1.0, description="share of the tier's demand to serve")
    within_seconds: Positive = Field(description="deadline, since the failure began [s]")
    in_maintenance: dict[Name, Fraction] = Field(
        default_factory=dict,
        description="component id: share that is out at the same time, for maintenance; adds to what is lost of it",
    )

    model_config = ConfigDict(**{**Record.model_config, "populate_by_name": True})

    @property
    def lost_text(self) -> str:
        """What is lost, as people say it."""
        several = f"{self.of} " if self.of > 1 else ""
        lost = f"any {several}{self.any}" if self.any else str(self.failure or self.outage)
        but = f" except {', '.join(self.except_)}" if self.except_ else ""
        return f"{lost}{but} lost{self.while_out}"

    @property
    def while_out(self) -> str:
        """What is out at the same time, with its share where not all of it, as in ids of failures; else empty."""
        shares = sorted(self.in_maintenance.items())
        out = ", ".join(name if share == 1 else f"{share!r} of {name}" for name, share in shares)
        return f" while {out} is out" if out else ""

    @model_validator(mode="after")
    def _one_of(self) -> Goal:
        if sum(lost is not None for lost in (self.any, self.failure, self.outage)) != 1:
            expected = "either `any` (a kind of component), `failure` (of the study) or `outage` (one that happened)"
            raise Contradiction(expected, "name one of them, and one only")
        if self.where is not None and self.outage is None:
            raise Contradiction(
                "where with `outage`, and with nothing else", "leave it out, or name the outage to move"
            )
        return self


class Tier(Record):
    """A class of service."""

    name: Name = Field(description="name of the tier")
    first_token_ms: Positive | None = Field(None, description="target, time to first token [ms]; none: no target")
    percentile: float = Field(
        USUAL_PERCENTILE,
        ge=50,
        lt=100,
        exclude_if=lambda value: value == USUAL_PERCENTILE,
        description="share of its requests whose first token comes in time, where utilisation is by waiting [%]",
    )
    per_token_ms: Positive | None = Field(None, description="target, time per output token [ms]; none: no target")
    round_trip_ms: Positive | None = Field(None, description="longest round trip [ms]; none: no limit")
    round_trip_ms_in_failure: Positive | None = Field(
        None, description="longest round trip in a failure [ms]; none: as in normal operation"
    )
    serve_fraction: Fraction = Field(1.0, description="share that is served in normal operation")
    outage_usd_per_request: NotNegative = Field(0.0, description="cost of a request that is not served [USD]")
    outage_usd_per_hour: NotNegative | None = Field(
        None,
        exclude_if=missing,
        description="cost of an hour in which none of the tier is served, at its mean demand, instead of "
        "outage_usd_per_request; a part in proportion [USD/h]",
    )
    survive: tuple[Goal, ...] = Field((), description="survival goals")
    retry_surge_fraction: float = Field(
        0.0, ge=0, le=100, exclude_if=unset, description="requests that clients send again in any failure [of demand]"
    )
    deferrable_hours: float = Field(
        0.0, ge=0, exclude_if=unset, description="how long work may wait [h]; from 24 on: served over a day's hours"
    )

    @model_validator(mode="after")
    def _costs_once(self) -> Tier:
        if self.outage_usd_per_hour is not None and self.outage_usd_per_request:
            expected = "outage_usd_per_request or outage_usd_per_hour, not both"
            raise Contradiction(expected, "leave one of the two out: they say the same cost")
        return self

    @model_validator(mode="after")
    def _waits_a_day(self) -> Tier:
        if 0 < self.deferrable_hours < 24:
            expected = "0 as deferrable_hours, or 24 and more: hours stand for shares of a day"
            raise Contradiction(expected, "write 24 if the work may wait for the night; else leave it out")
        return self


class Quantile(Record):
    """What so many of a hundred requests do not exceed."""

    percent: float = Field(ge=0, le=100, allow_inf_nan=False, description="of requests [percent]")
    tokens: NotNegative = Field(description="that so many do not exceed [tokens]")


class Workload(Record):
    """A stream of requests: model, context class, tier."""

    name: Name = Field(description="name of the workload")
    model: Name = Field(description="model that serves it")
    context_class: Name = Field(description="context class of its requests")
    tier: Name = Field(description="class of service")
    mean_input_tokens: Positive = Field(description="mean input of a request [tokens]")
    mean_output_tokens: Positive = Field(description="mean output of a request [tokens]")
    input_tokens_quantiles: tuple[Quantile, ...] = Field(
        (),
        exclude_if=unset,
        description="how inputs vary, from 0 to 100 percent, straight between: memory must hold the tail, waits and "
        "simulations go by it; none: all are as long as the mean",
    )
    output_tokens_quantiles: tuple[Quantile, ...] = Field(
        (),
        exclude_if=unset,
        description="how outputs vary, the same; none: memory holds the mean, and waits go by lengths_variation",
    )
    cached_fraction: Fraction = Field(0.0, description="share of input tokens found in the prefix cache")
    cached_fraction_in_failure: Fraction | None = Field(
        None, description="the same in failures, where caches are cold after a move; none: as cold_starts says"
    )
    burst_factor: float = Field(1.0, ge=1, description="peak over the mean of the hour; raises capacity only")
    precisions: tuple[Name, ...] = Field((), description="precisions that are allowed; none named: all")
    features: tuple[Name, ...] = Field((), description="features that the profile must have")
    jurisdictions: tuple[Name, ...] = Field((), description="where it may be served; none named: everywhere")
    site_labels: tuple[Name, ...] = Field((), description="labels that the site must have")


class Demand(Record):
    """Requests that are wanted, mean of the hour."""

    workload: Name = Field(description="name of the workload")
    origin: Name = Field(description="name of the origin")
    requests_per_second: NotNegative = Field(
        le=1e9, description="base case [requests/s]: 0, or at least 1e-9; at most 10,000,000 replicas of it"
    )
    low_requests_per_second: NotNegative | None = Field(None, le=1e9, description="low case [requests/s]; none: base")
    high_requests_per_second: NotNegative | None = Field(None, le=1e9, description="high case [requests/s]; none: base")
    period: Name | None = Field(None, exclude_if=unset, description="period it is for; none: those without a row")
    hour: Name | None = Field(None, exclude_if=unset, description="hour it is for; none: those without a row")
    shape: Name | None = Field(None, exclude_if=unset, description="shape of the study: factor by hour")
    growth_fraction_per_year: float = Field(
        0.0, gt=-1, le=1e4, exclude_if=unset, description="growth from the start to the middle of each period, base"
    )
    low_growth_fraction_per_year: float | None = Field(
        None, gt=-1, le=1e4, exclude_if=unset, description="the same, low case; none: base"
    )
    high_growth_fraction_per_year: float | None = Field(
        None, gt=-1, le=1e4, exclude_if=unset, description="the same, high case; none: base"
    )


class Shape(Record):
    """How demand moves over the representative hours, as by the local time of an origin."""

    name: Name = Field(description="name, for rows of demand to refer to")
    factors: dict[Name, NotNegative] = Field(description="hour: factor on the demand; hours that are not named: 1")


class PriceLine(Record):
    """A line of one's own price book, laid over the list."""

    offers: Name = Field(description="ids or patterns of offers, as in aws/*, */trn2.48xlarge:*, *:commitment-12")
    factor: Positive = Field(le=100, description="factor on the list price; of several lines that match all count")


class PriceStep(Record):
    """A price from a day on."""

    from_day: date = Field(description="first day; it holds for periods that begin then or later")
    factor: Positive = Field(le=100, description="factor on the list price")


class PricePath(Record):
    """How prices are expected to move: what starts, or is rented by the hour, in a period is paid at its price."""

    offers: Name = Field(description="ids or patterns of offers")
    steps: tuple[PriceStep, ...] = Field(min_length=1, description="the last step that has begun counts")


class RequestCost(Record):
    """What it costs to serve a request of an origin at a site, beside the machines."""

    origin: Name = Field(description="name of the origin")
    site: Name = Field(description="id of the site")
    usd_per_request: NotNegative = Field(description="cost of one request [USD]")


class Holding(Record):
    """Machines already owned or committed: used without paying again."""

    pool: Name = Field(description="id of the pool")
    machines: Count = Field(description="how many")
    until: date | None = Field(None, description="last day they are there; none: beyond the horizon")
    from_day: date | None = Field(None, exclude_if=unset, description="first day they are there; none: the start")


class Claim(Record):
    """Machines of ours lent to training or batch."""

    pool: Name = Field(description="id of the pool")
    machines: Count = Field(description="how many are lent")
    reclaim_seconds: NotNegative | None = Field(description="seconds to get them back in a failure; null: never")
    lent_to: Name = Field(description="who has them")
    from_day: date | None = Field(None, exclude_if=unset, description="first day; none: the start")
    until: date | None = Field(None, exclude_if=unset, description="last day; none: beyond the horizon")


class RunningReplicas(Record):
    """One row of today's fleet."""

    workload: Name = Field(description="name of the workload")
    origin: Name = Field(description="name of the origin")
    pool: Name = Field(description="id of the pool")
    profile: Name = Field(description="`model/profile`")
    replicas: NotNegative = Field(description="replicas of the profile in the pool (the same in each of its rows)")
    weight: NotNegative = Field(description="weight of the route in the gateway")


class _StudyCommon(Record):
    study: Name = Field(description="name of the study")
    schema_version: Literal[2] = Field(SCHEMA_VERSION, description="version of this format")
    today: date = Field(lt=date(3000, 1, 1), description="day from which lead times count")
    horizon: Horizon = Field(description="time that is planned")
    hours_per_month: Positive = Field(HOURS_PER_MONTH, description="hours in a month [h]")
    detection_seconds: NotNegative = Field(10.0, description="from a failure's begin until it is known [s]")
    push_seconds: NotNegative = Field(
        0.0,
        exclude_if=unset,
        description="from then until new weights are in force at all gateways [s]; with failover: rescale none are",
    )
    order_slack_days: NotNegative = Field(14.0, le=36500, description="days of reserve in order dates")
    failover: Failover = Field(
        "resolve",
        description="resolve: new weights for each failure; rescale: gateways renormalise fixed ones over what is left",
    )
    cold_starts: ColdStarts = Field(
        ColdStarts(),
        exclude_if=lambda value: value == ColdStarts(),
        description="what replicas find when they start, and requests that are moved",
    )
    utilisation: Utilisation = Field(Utilisation(), description="how far replicas may be filled")
    origins: tuple[Origin, ...] = Field(min_length=1, description="where requests enter")
    tiers: tuple[Tier, ...] = Field(min_length=1, description="classes of service")
    workloads: tuple[Workload, ...] = Field(min_length=1, description="streams of requests")
    holdings: tuple[Holding, ...] = Field((), description="machines already owned or committed")
    claims: tuple[Claim, ...] = Field((), description="machines lent to others")
    components: tuple[Component, ...] = Field((), description="the study's own components")
    dependencies: tuple[Dependency, ...] = Field((), description="what needs what, beside the built-in graph")
    failures: tuple[NamedFailure, ...] = Field((), description="failures by name")
    policies: Policies = Field(Policies(), description="what the company allows")
    objective: Objective = Field(
        "cost",
        description="what is minimised: cost; expected, with what failures of known rate cost; worst_case, with the "
        "dearest one; cvar, with the mean of the dearest ones",
    )
    cvar_level: float = Field(0.95, ge=0, lt=1, description="with cvar: share of cases that is left out of the mean")
    shapes: tuple[Shape, ...] = Field((), exclude_if=unset, description="how demand moves over the hours")
    price_book: tuple[PriceLine, ...] = Field((), exclude_if=unset, description="one's own prices over the list")
    price_paths: tuple[PricePath, ...] = Field((), exclude_if=unset, description="how prices move by date")
    money: Money = Field(
        Money(), exclude_if=lambda value: value == Money(), description="how sums of different years are compared"
    )
    build_outs: tuple[BuildOut, ...] = Field(
        (), exclude_if=unset, description="phases of sites of our own that can be built"
    )
    electricity: tuple[Electricity, ...] = Field(
        (), exclude_if=unset, description="energy of machines at sites of our own, paid beside them"
    )
    spend_commitments: tuple[SpendCommitment, ...] = Field(
        (), exclude_if=unset, description="sums promised to providers"
    )
    assumptions: tuple[Name, ...] = Field((), description="what the reader of the plan must know; printed with it")

    @property
    def moved_seconds(self) -> float:
        """From a failure's begin until traffic is moved [s]: gateways that rescale need no push."""
        return self.detection_seconds + (self.push_seconds if self.failover == "resolve" else 0.0)


class StudyFile(_StudyCommon):
    """study.yaml as people write it. Paths are relative to the file; `default` is what ships with the project."""

    inventories: tuple[Name, ...] = Field(("default",), description="folders of inventories")
    models: tuple[Name, ...] = Field(("default",), description="folders or files of models")
    pools: tuple[Name, ...] = Field(("*",), description="pool ids or patterns that are considered")
    zones: tuple[Name, ...] = Field(
        (),
        exclude_if=unset,
        description="regions (`provider/region`) or patterns of them of which each zone is a site of its own, where "
        "zones.csv names the zones of the machine type; the region's stock is split evenly; none: a region is one site",
    )
    demand: Name = Field(description="CSV of demand")
    request_costs: Name | None = Field(None, description="CSV of costs by origin and site")


def _by_key(records: Callable[[Study], tuple[R, ...]], key: Callable[[R], str]) -> cached_property[dict[str, R]]:
    """Records of a study by what they are referred to, made once for each study."""
    return cached_property(lambda study: {key(record): record for record in records(study)})


class Study(_StudyCommon):
    """The study with every reference resolved: all that the planner knows, and all that a plan carries with it."""

    machine_types: tuple[MachineType, ...]
    sites: tuple[Site, ...]
    round_trips: tuple[RoundTrip, ...]
    pools: tuple[Pool, ...]
    zones: tuple[Zone, ...] = Field((), exclude_if=unset)
    storage: tuple[StorageRate, ...] = Field((), exclude_if=unset)
    offers: tuple[Offer, ...]
    prices: tuple[Price, ...]
    context_classes: tuple[ContextClass, ...]
    models: tuple[Model, ...]
    demand: tuple[Demand, ...]
    request_costs: tuple[RequestCost, ...] = ()

    # Not fields: made when they are first asked for, neither written nor compared.
    machine_type_by_name: ClassVar = _by_key(lambda study: study.machine_types, lambda machine: machine.name)
    site_by_id: ClassVar = _by_key(lambda study: study.sites, lambda site: site.id)
    pool_by_id: ClassVar = _by_key(lambda study: study.pools, lambda pool: pool.id)
    zone_pools: ClassVar = cached_property(lambda study: pools_of_zones(study.zones))
    offer_by_id: ClassVar = _by_key(lambda study: study.offers, lambda offer: offer.id)
    price_by_offer: ClassVar = _by_key(lambda study: study.prices, lambda price: price.offer_id)
    workload_by_name: ClassVar = _by_key(lambda study: study.workloads, lambda workload: workload.name)
    tier_by_name: ClassVar = _by_key(lambda study: study.tiers, lambda tier: tier.name)
    build_out_by_id: ClassVar = _by_key(lambda study: study.build_outs, lambda phase: phase.id)

    def __copy__(self) -> Self:
        """A copy, also for `model_copy(update=...)`: without the records by id, which may change."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied
