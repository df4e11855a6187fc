"""Records of what can fail: components of a study's own, what needs what, and what is lost together."""

from __future__ import annotations

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
    missing,
    nothing_said,
    unset,
)

ComponentKind = Literal[
    "provider", "region", "zone", "site", "pool", "stack", "stack_version", "qualification", "control_plane", "renewal"
]
Breaks = Literal["serving", "new_logins", "starting", "pushing"]
Failover = Literal["resolve", "rescale"]


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
    hours_to_new_weights: Positive | None = Field(
        None,
        exclude_if=missing,
        description="with failover: rescale: hours until weights can be pushed again, where that is before the end; "
        "then gateways fail over as the study says [h]",
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
        longest = max([*self.repaired.values(), self.hours_to_new_weights or 0.0])
        if self.hours_to_repair is not None and longest > self.hours_to_repair:
            expected = f"parts that work again by the end of the failure, {self.hours_to_repair:g} h, not {longest:g} h"
            later = "hours_to_new_weights" if longest == self.hours_to_new_weights else "`repaired`"
            raise Contradiction(expected, f"raise hours_to_repair, when all of it works again, or lower {later}")
        if self.hours_to_new_weights is not None and self.failover != "rescale":
            raise Contradiction("hours_to_new_weights with `failover: rescale`", "add that, or leave it out")
        if self.hours_to_find_out is not None and not self.answers_wrongly:
            expected = "hours_to_find_out with `answers_wrongly: true`, and with nothing else"
            raise Contradiction(expected, "add answers_wrongly, or leave it out: the rest has detection_seconds")
        return self
