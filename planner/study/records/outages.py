"""Records of outages that happened: what was lost, what that broke, for how long; the catalogue `outages.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from planner.study.records.base import (
    Contradiction,
    Evidence,
    Fraction,
    Name,
    NotNegative,
    Positive,
    PositiveCount,
    Record,
    Sourced,
)
from planner.units import SECONDS_PER_HOUR

LostKind = Literal[
    "control_plane",
    "provider",
    "region",
    "zone",
    "machines",
    "stack",
    "qualification",
    "routing",
    "ingress",
    "identity",
    "deployment",
    "database",
]
Effect = Literal["serving", "new_logins", "starting", "pushing", "wrong_answers"]
LongText = Annotated[str, Field(min_length=1, max_length=600, strict=True)]
OWN_KINDS = ("ingress", "identity", "deployment", "database")
"""What every company has of its own: an outage of somebody else's is played on yours, which a study must name."""
OF_A_REGION = ("region", "zone")
OF_MACHINES = ("provider", *OF_A_REGION, "machines", "stack", "qualification", "routing")
"""What serves: all that it has is taken, and nothing of it for what it could not start or push alone."""


class LostPart(Record):
    """One part of what was lost, by its kind, with the time until it worked again."""

    kind: LostKind = Field(
        description="what it was: a provider, a region, zones of a region (or halls of a zone); their control plane; "
        "machines of some accelerators; a stack; one model on a stack (qualification); the choice of servers for a "
        "context class (routing); an ingress, a login (identity), a system that rolls out (deployment), a database"
    )
    effects: tuple[Effect, ...] = Field(
        min_length=1,
        description="what stopped: serving, new logins, starting of replicas, pushing of weights; or wrong answers; of "
        "what serves, serving or wrong answers at least; of a control plane starting, and not serving",
    )
    provider: Name | None = Field(None, description="provider whose it was; none: said by nobody, or anybody's")
    region: Name | None = Field(None, description="region, as the provider calls it; none: all of the provider's")
    zones: PositiveCount | None = Field(None, description="zones that were lost")
    zones_in_region: PositiveCount | None = Field(None, description="zones that the region has")
    accelerators: tuple[Name, ...] = Field((), description="patterns of the accelerators of the machines (TPU*)")
    stack: Name | None = Field(None, description="stack, as profiles call it")
    model: Name | None = Field(None, description="the one model it was about; none: whichever is served there")
    share_fraction: Fraction | None = Field(
        1.0,
        gt=0,
        description="share that was lost (of the zones, for zones); none: not published, so it is not replayed",
    )
    hours_to_repair: Positive | None = Field(
        None, description="until it worked again, from the begin; of wrong answers from when they were found out [h]"
    )
    evidence: Evidence = Field(description="how its share and hours are known")
    note: LongText | None = Field(None, description="what is assumed or left out")

    @model_validator(mode="after")
    def _named(self) -> LostPart:
        needed: dict[str, tuple[str, ...]] = {
            "control_plane": ("provider",),
            "provider": ("provider",),
            "region": ("provider", "region"),
            "zone": ("provider", "region", "zones", "zones_in_region"),
            "machines": ("accelerators",),
            "stack": ("stack",),
        }
        absent = [name for name in needed.get(self.kind, ()) if not getattr(self, name)]
        if self.kind == "qualification" and self.stack is None and self.model is None:
            absent = ["stack", "model"]
        if absent:
            raise Contradiction(f"{' and '.join(absent)} with kind {self.kind}", "say what was lost, or choose another")
        if self.zones is not None and self.zones_in_region is not None and self.zones > self.zones_in_region:
            expected = f"at most {self.zones_in_region} zones, as many as the region has, not {self.zones}"
            raise Contradiction(expected, "correct zones or zones_in_region")
        return self

    @model_validator(mode="after")
    def _takes_what_it_says(self) -> LostPart:
        if self.kind in OF_MACHINES and not {"serving", "wrong_answers"} & set(self.effects):
            expected = f"serving or wrong_answers among the effects of kind {self.kind}, all of which is taken"
            raise Contradiction(expected, "add one of them; where only starting or pushing failed, kind: control_plane")
        if self.kind == "control_plane" and ("starting" not in self.effects or "serving" in self.effects):
            expected = (
                "starting, and not serving, among the effects of kind control_plane, without which what runs goes on"
            )
            raise Contradiction(expected, "correct effects, or name what serves in a part of its own")
        return self


class Outage(Sourced):
    """An outage that happened, as far as it is public."""

    id: Name = Field(description="what was lost and the day it began, in the form google-service-control-2025-06-12")
    title: Name = Field(description="what happened, in a line")
    begin: AwareDatetime = Field(description="when it began: 2025-06-12T17:51Z")
    end: AwareDatetime | None = Field(None, description="when all worked again; none: not published, or not yet")
    hours_to_find_out: NotNegative | None = Field(
        None, description="from the begin until the cause, or with wrong answers the fault, was found out [h]"
    )
    parts: tuple[LostPart, ...] = Field(min_length=1, description="what was lost, each with its own repair")
    lesson: LongText = Field(description="what it teaches a planner of capacity")
    evidence_kind: Name = Field(description="whose account it is: provider's post-mortem, press quoting a status page")
    note: LongText | None = Field(None, description="what is not known, corrected, or left out")

    @model_validator(mode="after")
    def _lasts(self) -> Outage:
        if self.end is not None and self.end <= self.begin:
            raise Contradiction("an end after the begin", "correct begin or end: both in UTC, as in 2025-06-12T17:51Z")
        return self

    @model_validator(mode="after")
    def _counts_from_one_time(self) -> Outage:
        if self.answers_wrongly and not all("wrong_answers" in part.effects for part in self.parts):
            expected = (
                "wrong_answers among the effects of all parts or of none: they count from when they were found out"
            )
            raise Contradiction(expected, "make two outages of it")
        return self

    @property
    def hours(self) -> float | None:
        """How long it lasted [h]; none: not known."""
        return None if self.end is None else (self.end - self.begin).total_seconds() / SECONDS_PER_HOUR

    @property
    def answers_wrongly(self) -> bool:
        """Whether a part of it answered, and wrongly."""
        return any("wrong_answers" in part.effects for part in self.parts)
