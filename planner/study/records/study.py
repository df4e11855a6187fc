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
    nothing_said,
    unset,
)
from planner.study.records.buildout import BuildOut, CapitalLimit, Electricity, Money, SpendCommitment
from planner.study.records.inventory import (
    MachineType,
    Offer,
    OfferKind,
    Pool,
    Price,
    RoundTrip,
    Site,
    Zone,
    pools_of_zones,
)
from planner.study.records.serving import ContextClass, Model
from planner.units import HOURS_PER_MONTH, after_months

R = TypeVar("R", bound=Record)
ComponentKind = Literal[
    "provider", "region", "zone", "site", "pool", "stack", "stack_version", "qualification", "control_plane"
]
Objective = Literal["cost", "expected", "worst_case", "cvar"]
Breaks = Literal["serving", "new_logins", "starting", "pushing"]
Failover = Literal["resolve", "rescale"]


LEAST_REQUESTS_PER_SECOND = 1e-9
"""Least that a stream may ask for, where it asks for anything: less than one request in thirty years."""


def stack_and_version(stack: str) -> tuple[str, str]:
    """The stack, and its version where one is named: `neuron@2.21` is version 2.21 of stack `neuron`.

    Examples
    --------
    >>> stack_and_version("neuron@2.21"), stack_and_version("cuda")
    (('neuron', '2.21'), ('cuda', ''))
    """
    name, _, version = stack.partition("@")
    return name, version


def kind_and_name(component: str) -> tuple[str, str]:
    """Kind and name of a component by its id `kind:name`, as people write it; a kind has no colon.

    Examples
    --------
    >>> kind_and_name("site:aws/us-east-2"), kind_and_name("power:grid: north")
    (('site', 'aws/us-east-2'), ('power', 'grid: north'))
    """
    kind, _, name = component.partition(":")
    return kind, name


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
        lost = f"any {several}{self.any}" if self.any else str(self.failure)
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
        if (self.any is None) == (self.failure is None):
            expected = "either `any` (a kind of component) or `failure` (a failure of the study)"
            raise Contradiction(expected, "name one of them, and one only")
        return self


class Tier(Record):
    """A class of service."""

    name: Name = Field(description="name of the tier")
    first_token_ms: Positive | None = Field(None, description="target, time to first token [ms]; none: no target")
    per_token_ms: Positive | None = Field(None, description="target, time per output token [ms]; none: no target")
    round_trip_ms: Positive | None = Field(None, description="longest round trip [ms]; none: no limit")
    round_trip_ms_in_failure: Positive | None = Field(
        None, description="longest round trip in a failure [ms]; none: as in normal operation"
    )
    serve_fraction: Fraction = Field(1.0, description="share that is served in normal operation")
    outage_usd_per_request: NotNegative = Field(0.0, description="cost of a request that is not served [USD]")
    survive: tuple[Goal, ...] = Field((), description="survival goals")
    deferrable_hours: float = Field(
        0.0, ge=0, exclude_if=unset, description="how long work may wait [h]; from 24 on: served over a day's hours"
    )

    @model_validator(mode="after")
    def _waits_a_day(self) -> Tier:
        if 0 < self.deferrable_hours < 24:
            expected = "0 as deferrable_hours, or 24 and more: hours stand for shares of a day"
            raise Contradiction(expected, "write 24 if the work may wait for the night; else leave it out")
        return self


class Workload(Record):
    """A stream of requests: model, context class, tier."""

    name: Name = Field(description="name of the workload")
    model: Name = Field(description="model that serves it")
    context_class: Name = Field(description="context class of its requests")
    tier: Name = Field(description="class of service")
    mean_input_tokens: Positive = Field(description="mean input of a request [tokens]")
    mean_output_tokens: Positive = Field(description="mean output of a request [tokens]")
    cached_fraction: Fraction = Field(0.0, description="share of input tokens found in the prefix cache")
    cached_fraction_in_failure: Fraction | None = Field(
        None, description="the same in failures, where caches are cold after a move; none: as in normal operation"
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


class Needs(Record):
    """What must live: all of, any of, or at least k of its parts, at any depth."""

    all_of: tuple[Name | Needs, ...] | None = Field(None, description="as available as the worst of them")
    any_of: tuple[Name | Needs, ...] | None = Field(None, description="as available as the best of them")
    at_least: PositiveCount | None = Field(None, description="how many of `of` must live")
    of: tuple[Name | Needs, ...] | None = Field(None, description="the parts that at_least counts")

    @model_validator(mode="after")
    def _one_of(self) -> Needs:
        if sum(part is not None for part in (self.all_of, self.any_of, self.at_least)) != 1 or (
            (self.at_least is None) != (self.of is None)
        ):
            raise Contradiction("one of: all_of, any_of, at_least with of", "write one of them, and one only")
        if () in (self.all_of, self.any_of, self.of):
            expected = "at least one part: an empty choice is dead for ever"
            raise Contradiction(expected, "name what is needed, or remove the dependency")
        return self


class Component(Record):
    """Anything of the study's own that can fail: power, a network, a login service."""

    name: Name = Field(description="name; `kind:name` is its id")
    kind: Name = Field("component", description="kind, as in power, network, identity; or a built-in one, to rate it")
    failures_per_year: NotNegative | None = Field(None, description="how often it fails [1/year]; none: not known")
    hours_to_repair: Positive | None = Field(None, description="mean time until it works again [h]; none: not known")
    most_requests_per_second: Positive | None = Field(
        None, description="requests that it lets through: a gateway, an ingress [requests/s]; none: no limit"
    )

    @property
    def id(self) -> str:
        """`kind:name`."""
        return f"{self.kind}:{self.name}"


class Dependency(Record):
    """That something needs something else."""

    component: Name = Field(description="id of what depends: site:aws/us-east-2, workload:chat, origin:london")
    needs: Needs = Field(description="what it needs")
    breaks: Breaks = Field(
        "serving",
        description="what stops without it: serving; new_logins; starting (of replicas; running ones live); pushing "
        "(of new weights to the gateways of a workload or an origin; those in force go on)",
    )
    sessions_go_on_fraction: Fraction | None = Field(
        None, description="with new_logins: share of requests of sessions that are logged in already, and go on"
    )

    @model_validator(mode="after")
    def _sessions(self) -> Dependency:
        if (self.breaks == "new_logins") != (self.sessions_go_on_fraction is not None):
            expected = "sessions_go_on_fraction with `breaks: new_logins`, and with nothing else"
            raise Contradiction(expected, "add the share of sessions that go on, or leave it out")
        return self


class NamedFailure(Record):
    """A set of components lost together."""

    name: Name = Field(description="name, for goals to refer to")
    lost: dict[Name, Fraction] = Field(description="component id: share that is lost")
    surge_factor: NotNegative = Field(1.0, description="factor on all demand while it lasts; 0: it vanishes")
    surges: dict[Name, NotNegative] = Field(
        default_factory=dict, description="workload:NAME or origin:NAME: further factor on its demand; 0: it vanishes"
    )
    in_maintenance: dict[Name, Fraction] = Field(
        default_factory=dict,
        description="component id: share that is out at the same time, for maintenance; adds to what is lost of it",
    )
    worst_part: bool = Field(
        False, description="what a pool loses in part may be all of one placement's machines, each in turn"
    )
    failures_per_year: NotNegative | None = Field(None, description="how often it happens [1/year]; none: not known")
    hours_to_repair: Positive | None = Field(None, description="how long it lasts [h]; none: not known")
    repaired: dict[Name, Positive] = Field(
        default_factory=dict,
        exclude_if=nothing_said,
        description="component id, of those lost: hours until it works again, where that is before the end [h]",
    )
    failover: Failover | None = Field(
        None,
        exclude_if=unset,
        description="how gateways fail over in it: rescale where no weights can be pushed; none: as the study says",
    )
    answers_wrongly: bool = Field(
        False,
        exclude_if=nothing_said,
        description="what is lost answers wrongly until that is found out; deadlines and repair count from then",
    )
    hours_to_find_out: NotNegative | None = Field(
        None, exclude_if=missing, description="with answers_wrongly: how long nobody notices [h]; none: not known"
    )

    @model_validator(mode="after")
    def _staged(self) -> NamedFailure:
        if unknown := sorted(self.repaired.keys() - self.lost.keys()):
            expected = f"components that are lost in it ({', '.join(sorted(self.lost))}), not {', '.join(unknown)}"
            raise Contradiction(expected, "add it to `lost`, or leave it out of `repaired`")
        longest = max(self.repaired.values(), default=0.0)
        if self.hours_to_repair is not None and longest > self.hours_to_repair:
            expected = f"parts that work again by the end of the failure, {self.hours_to_repair:g} h, not {longest:g} h"
            raise Contradiction(expected, "raise hours_to_repair, when all of it works again, or lower `repaired`")
        if self.hours_to_find_out is not None and not self.answers_wrongly:
            expected = "hours_to_find_out with `answers_wrongly: true`, and with nothing else"
            raise Contradiction(expected, "add answers_wrongly, or leave it out: the rest has detection_seconds")
        return self


class Quota(Record):
    """A limit on machines held and bought together, in the provider's own unit."""

    name: Name = Field(description="name, for the review")
    pools: tuple[Name, ...] = Field(min_length=1, description="pool ids or patterns (google/*, */trn2.48xlarge)")
    unit: Name = Field("machines", description="machines, or a unit that the machine types state (vcpu, chips)")
    most: NotNegative = Field(description="limit, in that unit")
    from_day: date | None = Field(None, exclude_if=unset, description="first day it holds; none: the start")
    until: date | None = Field(None, exclude_if=unset, description="last day it holds; none: beyond the horizon")


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


class Utilisation(Record):
    """How far replicas may be filled."""

    normal: float = Field(0.85, gt=0, le=1, description="share of a replica's rate used in normal operation")
    in_failure: float = Field(0.95, gt=0, le=1, description="share of a replica's rate used in a failure")


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
    detection_seconds: NotNegative = Field(10.0, description="from a failure's begin until traffic is moved [s]")
    order_slack_days: NotNegative = Field(14.0, le=36500, description="days of reserve in order dates")
    failover: Failover = Field(
        "resolve",
        description="resolve: new weights for each failure; rescale: gateways renormalise fixed ones over what is left",
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
