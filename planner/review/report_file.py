"""What every command that answers with a report writes as JSON, as a record: documented, with a version."""

from typing import Any

from pydantic import ConfigDict, Field

from planner.study.records.base import Record

REPORT_SCHEMA_VERSION = 1
"""Of reports as JSON: raised when a key that there was is called otherwise, means something else, or is gone."""

SectionData = tuple[Any, ...] | dict[str, Any]


class ReportFile(Record):
    """A report as JSON (--json); a new key or section does not raise its version, one that changes or goes does."""

    model_config = ConfigDict(extra="allow")

    schema_version: int = Field(
        description=f"version of these keys, and of those of the sections: {REPORT_SCHEMA_VERSION}"
    )
    title: str = Field(description="what was asked about what")
    good: bool = Field(description="whether the exit code is 0")
    sections: dict[str, SectionData] = Field(
        description="by title in small letters: the rows of its table, every one, field by field, units in the names; "
        "of a section without a table its lines (`lines`, `rows` blank); of others what they hold, by name"
    )
