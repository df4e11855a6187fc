"""What all records share: closed fields, numbers that are numbers, evidence."""

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 2
"""Of study files. Version 1 is still read: `renamed.STUDY` says which fields were called otherwise."""

Evidence = Literal["measured", "published", "estimated", "assumed"]

Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, strict=True)]
PositiveCount = Annotated[int, Field(ge=1, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=200, strict=True)]
Id = Annotated[str, Field(min_length=1, max_length=4000, strict=True)]
"""What is made of names: `model/profile@provider/site/machine-type`, a failure with all that is lost in it."""


class Contradiction(ValueError):
    """Fields of a record that do not go together: what should be, and how to mend it."""

    def __init__(self, message: str, fix: str) -> None:
        self.fix = fix
        super().__init__(message)


def _a_day(text: str) -> str:
    """A year, a month or a day that there is: 30 February is none."""
    if len(text) == len("2026-02-30"):
        date.fromisoformat(text)
    return text


class Record(BaseModel):
    """A frozen record with closed fields: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def unset(value: object) -> bool:
    """Whether a field says nothing: a later field that is not used leaves no trace in what is written."""
    return value is None or value == () or value == 0.0


def missing(value: object) -> bool:
    """As `unset`, where 0 says something."""
    return value is None


def nothing_said(value: object) -> bool:
    """As `unset`, of tables and flags."""
    return not value


class Sourced(Record):
    """A record whose figures come from somewhere."""

    evidence: Evidence = Field(description="how the figures are known")
    source: Name = Field(description="where the figures are from, or the formula they follow from")
    as_of: Annotated[
        str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$"), AfterValidator(_a_day)
    ] = Field(description="year, month or day the figures were true")
