"""Records of what can be had: machine types, sites, round trips, pools, offers, prices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from planner.study.records.base import (
    Contradiction,
    Fraction,
    Name,
    NotNegative,
    Positive,
    PositiveCount,
    Record,
    Sourced,
    unset,
)

OfferKind = Literal["on_demand", "spot", "commitment", "capacity_block", "build_out"]


def offer_id(pool: str, offer: str) -> str:
    """`pool:offer`. Ids are made, never parsed."""
    return f"{pool}:{offer}"


class MachineType(Sourced):
    """What one rents or owns, at the smallest fabric domain."""

    name: Name = Field(description="the name that emitted code needs, as in trn2.48xlarge")
    provider: Name = Field(description="who offers it; machines of our own: owned")
    accelerator: Name = Field(description="the chip")
    accelerators: PositiveCount = Field(description="chips in one machine")
    memory_gib_per_accelerator: Positive = Field(description="device memory of one chip [GiB]")
    power_kw: Positive | None = Field(None, description="highest draw of one machine [kW]; clouds publish none")
    quota_units: dict[Name, Positive] = Field(
        default_factory=dict, description="what one machine takes of the provider's quotas, by unit (vcpu, chips)"
    )


class Site(Sourced):
    """What stands and falls together: a zone (where unknown, the region), or a hall of our own."""

    provider: Name = Field(description="who runs it; halls of our own: owned")
    region: Name = Field(description="region, as the provider calls it")
    site: Name = Field(description="zone, region or hall; `provider/site` is its id")
    city: Name = Field(description="city, for people")
    latitude: float = Field(ge=-90, le=90, description="degrees north, -90 to 90; the other is longitude")
    longitude: float = Field(ge=-180, le=180, description="degrees east")
    jurisdiction: Name = Field(description="whose law holds there: ISO 3166 country code")
    labels: tuple[Name, ...] = Field((), description="free labels that workloads may ask for; in CSV split by ;")
    power_kw: Positive | None = Field(None, description="power for machines [kW]; none: no limit of ours")
    load_gib_per_second: Positive | None = Field(
        None,
        description="rate at which storage feeds weights to the whole site [GiB/s]; none: that of storage.csv, if any",
    )

    @property
    def id(self) -> str:
        """`provider/site`."""
        return f"{self.provider}/{self.site}"

    @property
    def region_id(self) -> str:
        """`provider/region`."""
        return f"{self.provider}/{self.region}"

    @property
    def is_zone(self) -> bool:
        """Whether it is a zone of its region: its name is not the region's."""
        return self.site != self.region


class Zone(Sourced):
    """That a provider's list names a machine type in a zone of a region; no promise that any is to be had there."""

    provider: Name = Field(description="who runs it")
    region: Name = Field(description="region, as the provider calls it")
    zone: Name = Field(description="zone: its id where names differ by account (use2-az1), else its name")
    machine_type: Name = Field(description="name of the machine type")

    @property
    def region_id(self) -> str:
        """`provider/region`."""
        return f"{self.provider}/{self.region}"

    @property
    def site(self) -> str:
        """Id of the zone as a site."""
        return f"{self.provider}/{self.zone}"

    @property
    def region_pool(self) -> str:
        """Id of the pool of the region, where that is one site."""
        return f"{self.region_id}/{self.machine_type}"

    @property
    def pool(self) -> str:
        """Id of the pool of the zone."""
        return f"{self.site}/{self.machine_type}"


def pools_of_zones(zones: Iterable[Zone]) -> dict[str, tuple[str, ...]]:
    """Pool of a region -> the pools of its zones, sorted."""
    pools: dict[str, list[str]] = {}
    for zone in zones:
        pools.setdefault(zone.region_pool, []).append(zone.pool)
    return {id: tuple(sorted(of_zones)) for id, of_zones in sorted(pools.items())}


class StorageRate(Sourced):
    """What storage feeds at sites that state no rate of their own, as object storage by its quotas."""

    sites: Name = Field(
        description="ids or a pattern of sites, as in azure/*; of several that match the longest counts; a region that "
        "is split into zones shares what it has evenly over them"
    )
    load_gib_per_second: Positive = Field(description="rate at which weights are fed to the whole site [GiB/s]")


class RoundTrip(Sourced):
    """A measured round trip between two regions; it holds in both directions unless both are given."""

    from_region: Name = Field(description="`provider/region`")
    to_region: Name = Field(description="`provider/region`")
    round_trip_ms: NotNegative = Field(description="median round trip [ms]")


class Pool(Record):
    """Machines of one type at one site; id `site/machine-type`."""

    site: Name = Field(description="id of the site")
    machine_type: Name = Field(description="name of the machine type")
    usable_fraction: Fraction = Field(1.0, description="share of machines neither broken nor in maintenance")
    spare_machines: NotNegative = Field(0.0, description="machines kept free in normal operation")

    @property
    def id(self) -> str:
        """`site/machine-type`."""
        return f"{self.site}/{self.machine_type}"


class Offer(Sourced):
    """A purchase option of a pool: the terms; its price is a record of its own."""

    site: Name = Field(description="id of the site")
    machine_type: Name = Field(description="name of the machine type")
    offer: Name = Field(description="name of the offer within the pool")
    kind: OfferKind = Field(description="what is signed; spot never counts in a failure")
    term_months: NotNegative = Field(0.0, description="shortest time one is bound [months]; 0: none")
    lead_days: NotNegative = Field(0.0, le=36500, description="days from order to use")
    machines_per_unit: PositiveCount = Field(1, description="machines in one unit")
    most_units: NotNegative | None = Field(None, description="units that can be had at most; none: no limit known")
    instrument: Name = Field(description="the legal instrument, as the provider calls it")
    length_days: Positive | None = Field(
        None, ge=1, le=36500, exclude_if=unset, description="block of this fixed length, paid whole, not renewed [days]"
    )
    starts_from: date | None = Field(None, exclude_if=unset, description="first day on which it may start")
    starts_until: date | None = Field(None, exclude_if=unset, description="last day on which it may start")
    most_units_at_once: PositiveCount | None = Field(
        None,
        exclude_if=unset,
        description="sold as 1, 2, 4, ... up to so many units a block; none: any number",
    )
    most_days: Positive | None = Field(
        None,
        ge=1,
        le=36500,
        exclude_if=unset,
        description="longest that one contract lasts; longer use is a chain of renewals, which nobody assures [days]",
    )
    weeks_after_days: Positive | None = Field(
        None, ge=1, exclude_if=unset, description="sold by the day up to so many days, by the week beyond [days]"
    )
    order_days_ahead: Positive | None = Field(
        None, exclude_if=unset, description="longest time before its start at which it can be ordered [days]"
    )
    ended_minutes_early: NotNegative = Field(
        0.0, exclude_if=unset, description="machines are ended so long before a contract ends [min]"
    )
    most_machines_in_all: Positive | None = Field(
        None,
        exclude_if=unset,
        description="machines that one customer has at once of the provider's offers of this kind, at most",
    )
    upfront_fraction: Fraction = Field(
        0.0, exclude_if=unset, description="share of the price that is paid at the start, not hour by hour"
    )
    life_years: Positive | None = Field(
        None, le=100, exclude_if=unset, description="machines that are bought: years until they are retired"
    )

    @model_validator(mode="after")
    def _can_be_ordered(self) -> Offer:
        if self.order_days_ahead is not None and self.order_days_ahead < self.lead_days:
            expected = f"order_days_ahead of lead_days ({self.lead_days:g}) at least, not {self.order_days_ahead:g}"
            raise Contradiction(expected, "as it is, it can only be ordered when it is too late: correct one of them")
        return self

    @property
    def pool(self) -> str:
        """Id of the pool."""
        return f"{self.site}/{self.machine_type}"

    @property
    def id(self) -> str:
        """`pool:offer`."""
        return offer_id(self.pool, self.offer)


class Price(Sourced):
    """What an offer costs. Prices stand apart from terms: they change weekly and are imported."""

    site: Name = Field(description="id of the site")
    machine_type: Name = Field(description="name of the machine type")
    offer: Name = Field(description="name of the offer within the pool")
    price_usd_per_machine_hour: NotNegative = Field(description="list price of one machine [USD/h]")
    low_usd_per_machine_hour: NotNegative | None = Field(None, description="low end, where known [USD/h]")
    high_usd_per_machine_hour: NotNegative | None = Field(None, description="high end, where known [USD/h]")
    capital_usd_per_machine: NotNegative | None = Field(
        None,
        exclude_if=unset,
        description="machines that are bought: paid at the order; the hourly price is then upkeep",
    )

    @property
    def offer_id(self) -> str:
        """`pool:offer`."""
        return offer_id(f"{self.site}/{self.machine_type}", self.offer)


def power_limit_name(site: str) -> str:
    """What the limit on the power of a site is called."""
    return f"power of {site}"


def sold_in_all_name(provider: str, kind: str) -> str:
    """What the limit is called on what a provider sells one customer of a kind of offer."""
    return f"{kind} of {provider} in all"
