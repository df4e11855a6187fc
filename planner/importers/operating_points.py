"""Measured rows of serving benchmarks, and the rates that follow from two of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from pydantic import Field

from planner.importers.catalogue import context_classes
from planner.importers.measured import rates_of_two
from planner.importers.source import Imported, within_length
from planner.study.records.base import Name, Positive, PositiveCount, Record
from planner.study.records.serving import OperatingPoint
from planner.units import MS_PER_SECOND

LOW_FACTOR, HIGH_FACTOR = 0.77, 1.13
"""p10 and p90 of measured over predicted time of a third shape, for 338 pairs of two."""


class MeasuredRow(Record):
    """One measured point of a closed loop: so many requests in flight, all of one length."""

    model: Name = Field(description="model, as the benchmark calls it")
    accelerator: Name = Field(description="the chip")
    chips: PositiveCount = Field(description="chips of the replica that was measured")
    engine: Name = Field(description="serving software, with its version where stated")
    precision: Name = Field(description="of the weights")
    input_len: PositiveCount = Field(description="input of a request [tokens]")
    output_len: PositiveCount = Field(description="output of a request [tokens]")
    concurrency: PositiveCount = Field(description="requests in flight")
    ttft_ms: Positive = Field(description="time to first token [ms]")
    tpot_ms: Positive = Field(description="time per output token after the first [ms]")
    source: Name = Field(description="where the row is from")
    as_of: Name = Field(description="year, month or day it was measured")


@dataclass(frozen=True)
class Point:
    """An operating point and what it was measured on."""

    model: str
    accelerator: str
    chips: int
    engine: str
    precision: str
    concurrency: int
    point: OperatingPoint


def replica_seconds(row: MeasuredRow) -> float:
    """Seconds of a replica that one request of the row takes, by Little's law.

    Formula
        (ttft + (output - 1) * tpot) / concurrency
    Units
        s

    Examples
    --------
    >>> replica_seconds(MeasuredRow(model="m", accelerator="a", chips=8, engine="e", precision="fp8", input_len=1024,
    ...     output_len=101, concurrency=4, ttft_ms=400, tpot_ms=10, source="s", as_of="2026"))
    0.35
    """
    return (row.ttft_ms + (row.output_len - 1) * row.tpot_ms) / row.concurrency / MS_PER_SECOND


def operating_points(out: Imported[MeasuredRow], configs: Mapping[MeasuredRow, str] | None = None) -> list[Point]:
    """Prefill and decode rates from two shapes of one configuration with the same output; evidence measured.

    Formula
        prefill = (input_2 - input_1) / (y_2 - y_1)
        decode = output / (y_1 - input_1 / prefill)
    Units
        tokens/s of one replica

    Parameters
    ----------
    out : rows; why pairs and single rows give no point is noted there
    configs : how chips were split, where known: rows of different splits are not compared

    Returns
    -------
    list of Point
        for each pair one per context class of its two shapes, with the times of that shape
    """
    groups: dict[tuple[object, ...], dict[int, MeasuredRow]] = {}
    for row in sorted(out.rows, key=lambda r: (r.as_of, replica_seconds(r))):  # the latest counts, then the slower
        split = (configs or {}).get(row, "")
        key = (row.model, row.accelerator, row.chips, row.engine, row.precision, row.concurrency, split, row.output_len)
        groups.setdefault(key, {})[row.input_len] = row
    points: list[Point] = []
    negative = single = 0
    for shapes in groups.values():
        rows = [shapes[n] for n in sorted(shapes)]
        if rows[0].concurrency == 1:
            single += len(rows)
            continue
        for short, long in pairwise(rows):
            made = _split(short, long)
            points += made
            negative += not made
    if single:
        out.notes.append(
            f"{single} rows are of one request at a time: a user's speed, not a capacity; no point from them"
        )
    if negative:
        out.notes.append(f"{negative} pairs give no positive rates, or belong to no context class: no point from them")
    out.notes.append("not checked: whether the memory of the chips holds so many requests (check does, in a profile)")
    return points


def _split(short: MeasuredRow, long: MeasuredRow) -> list[Point]:
    """The points of a pair; none when a rate is not positive."""
    first, second = ((row.input_len, row.output_len, replica_seconds(row)) for row in (short, long))
    rates = rates_of_two(first, second)
    if rates is None:
        return []
    made: dict[str, Point] = {}
    for row in (short, long):
        name = next((c.name for c in context_classes() if row.input_len + row.output_len <= c.most_tokens), None)
        if name is None:
            continue
        point = OperatingPoint(
            context_class=name,
            prefill_tokens_per_second=rates[0],
            decode_tokens_per_second=rates[1],
            first_token_ms=row.ttft_ms,
            per_token_ms=row.tpot_ms,
            low_factor=LOW_FACTOR,
            high_factor=HIGH_FACTOR,
            evidence="measured",
            source=_pair_source(short, long),
            as_of=min(short.as_of, long.as_of),
        )
        made[name] = Point(row.model, row.accelerator, row.chips, row.engine, row.precision, row.concurrency, point)
    return list(made.values())


def _pair_source(short: MeasuredRow, long: MeasuredRow) -> str:
    """Both rows of a pair, within what a source may be long."""
    rows = [f"{r.input_len}+{r.output_len} tokens ({within_length(r.source, 80)})" for r in (short, long)]
    return within_length(f"two rows at {short.concurrency} in flight: {rows[0]}; {rows[1]}")


def points_yaml(points: list[Point]) -> str:
    """Operating points as YAML: what each was measured on, and the point as a profile's `classes` take it."""
    import yaml

    data = [
        {
            "measured_on": {
                "model": p.model,
                "accelerator": p.accelerator,
                "chips": p.chips,
                "engine": p.engine,
                "precision": p.precision,
                "concurrency": p.concurrency,
            },
            **{
                name: float(f"{value:.6g}") if isinstance(value, float) else value
                for name, value in p.point.model_dump(exclude_none=True).items()
            },
        }
        for p in points
    ]
    head = "# Put a point, without measured_on, under `classes:` of a profile of that concurrency_limit.\n"
    return head + str(yaml.safe_dump({"points": data}, sort_keys=False, allow_unicode=True, width=120))
