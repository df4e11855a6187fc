"""Records of what is built and paid over years: phases of sites of our own, electricity, money, spend commitments."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from planner.study.records.base import Count, Name, NotNegative, Positive, PositiveCount, Record, Sourced, unset

PARTS = ("shell", "power", "fit_out")
"""What a module's capital is made of; each has its lead time (fit_out: equipment) and its life."""


class LeadTimes(Record):
    """Months from the order of a part until it stands; they run side by side, the longest counts."""

    shell: NotNegative = Field(le=240, description="land, building and permits [months]")
    power: NotNegative = Field(le=240, description="grid connection and substation [months]")
    equipment: NotNegative = Field(le=240, description="cooling, switchgear, racks and network: the fit-out [months]")
    commissioning: NotNegative = Field(le=240, description="tests until the first request is served [months]")

    @property
    def longest(self) -> float:
        """The longest of them: when a module that is ordered stands [months]."""
        return max(self.shell, self.power, self.equipment, self.commissioning)


class Lives(Record):
    """Years after which an asset is worth nothing, by its class."""

    shell: Positive = Field(le=100, description="building [years]")
    power: Positive = Field(le=100, description="grid connection [years]")
    fit_out: Positive = Field(le=100, description="cooling, switchgear, racks [years]")


class BuildOut(Sourced):
    """A phase of a site of our own that can be built: modules of power and hall, in which machines can stand.

    Machines are bought apart, by offers of kind build_out at the site's pools.
    """

    site: Name = Field(description="id of the site")
    name: Name = Field(description="name of the phase; `site:name` is its id")
    power_mw: Positive = Field(le=1e6, description="power that machines of one module may draw: IT power [MW]")
    most: PositiveCount = Field(1, description="modules like it that can be built")
    lead_months: LeadTimes = Field(description="from order to use, part by part [months]")
    shell_usd_per_mw: NotNegative = Field(0.0, description="capital for the building [USD per MW of IT power]")
    power_usd_per_mw: NotNegative = Field(0.0, description="capital for the grid connection [USD per MW]")
    fit_out_usd_per_mw: NotNegative = Field(0.0, description="capital for cooling, switchgear, racks [USD per MW]")
    life_years: Lives = Field(description="by asset class; salvage follows from it")
    usd_per_mw_year: NotNegative = Field(0.0, description="staff, upkeep, land, once it stands [USD per MW and year]")
    after: tuple[Name, ...] = Field((), exclude_if=unset, description="ids of phases that must stand by then")
    either_or: Name | None = Field(None, exclude_if=unset, description="group of which one phase at most is built")
    ready_in: tuple[Name, ...] = Field(
        (), exclude_if=unset, description="periods from whose start it may be used; none named: any"
    )
    least: Count = Field(
        0, exclude_if=lambda value: value == 0, description="modules that are built at least: for a comparison"
    )
    never: bool = Field(False, exclude_if=lambda value: not value, description="not to be built: for a comparison")
    decide_by: date | None = Field(None, exclude_if=unset, description="last day on which its longest part is ordered")

    @property
    def id(self) -> str:
        """`site:name`."""
        return f"{self.site}:{self.name}"

    @property
    def power_kw(self) -> float:
        """IT power of one module [kW]."""
        return self.power_mw * 1000.0

    def usd_per_mw(self, part: str) -> float:
        """Capital of a part [USD per MW]."""
        return float(getattr(self, f"{part}_usd_per_mw"))

    def lead_time_months(self, part: str) -> float:
        """Months from the order of a part until it stands."""
        return float(getattr(self.lead_months, "equipment" if part == "fit_out" else part))


class TariffStep(Record):
    """A price of electricity from a day on."""

    from_day: date = Field(description="first day; it holds for periods that begin then or later")
    usd_per_kwh: NotNegative = Field(le=100, description="price [USD/kWh]")


class Electricity(Sourced):
    """What machines at a site of our own draw, and what that costs."""

    site: Name = Field(description="id of the site")
    usd_per_kwh: NotNegative = Field(le=100, description="price of electricity at the meter [USD/kWh]")
    pue: float = Field(1.0, ge=1, le=10, description="power at the meter over power of the machines")
    draw_fraction: float = Field(1.0, gt=0, le=1, description="mean draw over the highest draw of a machine")
    steps: tuple[TariffStep, ...] = Field((), exclude_if=unset, description="price path; the last step begun counts")


class Money(Record):
    """How sums of different years are compared."""

    discount_fraction_per_year: float = Field(
        0.0, gt=-0.5, le=1, description="rate at which later sums are worth less: costs are of the horizon's first day"
    )
    salvage: Literal["straight_line", "none"] = Field(
        "straight_line", description="what is left of bought assets when the horizon ends: book value, or nothing"
    )


class SpendCommitment(Record):
    """A sum promised to a provider for each year, used by what is bought of its offers; what is missing is paid."""

    name: Name = Field(description="name, for the review")
    offers: tuple[Name, ...] = Field(min_length=1, description="offer ids or patterns that count (aws/*)")
    usd_per_year: Positive = Field(description="promised for each year of the contract [USD]")
    from_day: date | None = Field(None, exclude_if=unset, description="first day; none: the start of the horizon")
    until: date | None = Field(None, exclude_if=unset, description="last day; none: beyond the horizon")


class CapitalLimit(Record):
    """A limit on the capital that is paid in some time."""

    name: Name = Field(description="name, for the review")
    most_usd: NotNegative = Field(description="capital paid at most, not discounted [USD]")
    from_day: date | None = Field(None, exclude_if=unset, description="first day; none: the start")
    until: date | None = Field(None, exclude_if=unset, description="last day; none: beyond the horizon")
