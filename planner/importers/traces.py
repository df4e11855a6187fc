"""Request traces: when each request came, and its tokens.

Shapes: the Azure LLM inference traces (CSV with TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake's (JSON lines with
timestamp, input_length, output_length; or a CSV of the same), BurstGPT, and any CSV whose columns are named.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from planner.importers.source import Source, Table, columns_of, load, unknown_data, unknown_shape
from planner.study.places import listed, near_miss, quoted
from planner.units import MS_PER_SECOND

TIMES = ("timestamp", "timestamp_s", "timestamp_ms")
"""A date and time; seconds; milliseconds."""
FIELDS = (*TIMES, "input", "output")
"""What `--columns` can name: one timestamp, input and output tokens."""
MOST_SECONDS = 1e12
"""The largest number that is taken for a time [s]: thirty thousand years."""
SINCE_1970 = 1e8
"""Seconds from which on a number is a moment since 1970, in UTC: smaller ones count from a trace's own midnight."""

MOONCAKE = {"timestamp_ms": "timestamp", "input": "input_length", "output": "output_length"}
TABLES = {
    "Azure LLM inference trace": {"timestamp": "TIMESTAMP", "input": "ContextTokens", "output": "GeneratedTokens"},
    "Mooncake trace": MOONCAKE | {"timestamp_ms": "timestamp_ms"},
    "Mooncake trace (timestamp)": MOONCAKE,
    "BurstGPT": {"timestamp_s": "Timestamp", "input": "Request tokens", "output": "Response tokens"},
    **{f"trace with {time}": {time: time, "input": "input", "output": "output"} for time in TIMES},
}
"""Fields and their columns, by the shapes of tables that are known."""
SHAPES = {
    "Azure LLM inference trace": "CSV with TIMESTAMP,ContextTokens,GeneratedTokens",
    "Mooncake": "JSON lines with timestamp,input_length,output_length, or a CSV of these with timestamp_ms",
    "BurstGPT": "CSV with Timestamp,Request tokens,Response tokens",
    "any CSV": "with timestamp,input,output, or --columns timestamp=A,input=B,output=C (_s, _ms: numbers)",
}
Items = list[tuple[str, dict[str, Any]]]
"""Requests as they were written, with their places."""


@dataclass(frozen=True)
class Trace:
    """A trace.

    Parameters
    ----------
    what : its shape
    time_of_day : `utc` where its times are moments; `hour` where it counts from a midnight of its own
    requests : a row each, in the order of the source: place, seconds since any moment, input_tokens, output_tokens
    """

    what: str
    time_of_day: str
    requests: pd.DataFrame


def read_trace(path: Path, columns: str | None, source: Source) -> Trace:
    """The requests of a trace of any of the shapes; those that are broken are findings.

    Raises
    ------
    InputError
        when the shape is not known
    """
    data = load(path, source, lines=True)
    what, items, fields = _table(data, columns) if isinstance(data, Table) else _json(data)
    time = next(name for name in TIMES if name in fields)
    requests = []
    for place, item in items:
        at = {name: f"{place}: {column}" for name, column in fields.items()}
        seconds = _seconds(time, item[fields[time]], at[time], source)
        input_tokens = source.count(item[fields["input"]], at["input"], "input tokens")
        output_tokens = source.count(item[fields["output"]], at["output"], "output tokens")
        if None not in (seconds, input_tokens, output_tokens):
            requests.append((place, seconds, input_tokens, output_tokens))
    table = pd.DataFrame(requests, columns=["place", "seconds", "input_tokens", "output_tokens"])
    since_1970 = len(table) > 0 and table["seconds"].min() > SINCE_1970
    return Trace(what, "utc" if time == "timestamp" or since_1970 else "hour", table)


def _json(lines: list[tuple[str, Any]]) -> tuple[str, Items, dict[str, str]]:
    """JSON lines of Mooncake: the shape, the requests with their places, the names of the fields."""
    for at, data in lines:
        if not isinstance(data, dict) or not set(MOONCAKE.values()) <= data.keys():
            raise unknown_data(at, data, SHAPES)
    return "Mooncake trace", lines, MOONCAKE


def _table(table: Table, columns: str | None) -> tuple[str, Items, dict[str, str]]:
    """A table: the shape, the requests with their places, the columns."""
    what, fields = "trace by --columns", columns_of(columns, FIELDS, table)
    if not fields:
        what = next((name for name, known in TABLES.items() if not table.lacks(known.values())), "")
        fields = TABLES.get(what, {})
    if len(fields.keys() & set(TIMES)) != 1 or not {"input", "output"} <= fields.keys():
        got = f"the columns {listed(table.header)}{near_miss('TIMESTAMP', table.header)}"
        raise unknown_shape(f"{table.file}:1", got, SHAPES)
    return what, [(table.at(line), row) for line, row in table.rows], fields


def _seconds(time: str, value: Any, at: str, source: Source) -> float | None:
    """A timestamp in seconds since any moment; without a zone it is in UTC."""
    if time == "timestamp":
        try:
            instant = datetime.fromisoformat(value)
            return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            fix = "for numbers write timestamp_s= or timestamp_ms= in --columns"
            source.error(at, "a date and time: 2023-11-16 18:17:03.97", quoted(value), fix)
            return None
    figure = source.number(value, at, "a time", least=-math.inf)
    if figure is None:
        return None
    seconds = figure if time == "timestamp_s" else figure / MS_PER_SECOND
    if abs(seconds) > MOST_SECONDS:
        source.error(at, f"a time up to {MOST_SECONDS:g} s", quoted(value), "correct it where it comes from")
        return None
    return seconds
