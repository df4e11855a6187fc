"""Measured rows of serving benchmarks, and the rates that follow from two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from pydantic import Field

from planner.importers.catalogue import context_classes
from planner.importers.measured import rates_of_two
from planner.importers.source import Imported, within_length
from planner.study.records.base import Name, Positive, PositiveCount, Record
from planner.study.records.serving import OperatingPoint
from planner.units import MS_PER_SECOND

LOW_FACTOR, HIGH_FACTOR = 0.77, 1.13
"""p10 and p90 of measured over predicted time of a third shape, for 338 pairs of two."""
MEASURED_ON = ("model", "accelerator", "chips", "engine", "precision", "concurrency")
"""What a point is measured on; rows that differ in one of these are not compared."""


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
class MeasuredPoint:
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


def operating_points(out: Imported[MeasuredRow], splits: Sequence[str]) -> list[MeasuredPoint]:
    """Prefill and decode rates from two shapes of one configuration with the same output; evidence measured.

    Formula
        prefill = (input_2 - input_1) / (y_2 - y_1)
        decode = output / (y_1 - input_1 / prefill)
    Units
        tokens/s of one replica

    Parameters
    ----------
    out : rows; why pairs and single rows give no point is noted there
    splits : how the chips of each row were split, where known: rows of different splits are not compared

    Returns
    -------
    list of MeasuredPoint
        for each pair one per context class of its two shapes, with the times of that shape
    """
    data = [
        (*(getattr(row, name) for name in MEASURED_ON), row.output_len, split, row.input_len, row.as_of, row)
        for row, split in zip(out.rows, splits, strict=True)
    ]
    table = pd.DataFrame(data, columns=[*MEASURED_ON, "output_len", "split", "input_len", "as_of", "row"])
    table["seconds"] = [replica_seconds(row) for row in out.rows]
    replica = [*MEASURED_ON, "output_len", "split"]
    latest = table.sort_values(["as_of", "seconds"], kind="stable")  # the latest counts, then the slower
    latest = latest.drop_duplicates([*replica, "input_len"], keep="last")
    single = latest["concurrency"] == 1
    points: list[MeasuredPoint] = []
    negative = 0
    for _, shapes in latest[~single].sort_values("input_len").groupby(replica, sort=False):
        for short, long in pairwise(shapes["row"]):
            of_pair = _points_of_two(short, long)
            points += of_pair
            negative += not of_pair
    if single.any():
        out.notes.append(
            f"{single.sum()} rows are of one request at a time: a user's speed, not a capacity; no point from them"
        )
    if negative:
        out.notes.append(f"{negative} pairs give no positive rates, or belong to no context class: no point from them")
    out.notes.append("not checked: whether the memory of the chips holds so many requests (check does, in a profile)")
    return points


def _points_of_two(short: MeasuredRow, long: MeasuredRow) -> list[MeasuredPoint]:
    """The points of a pair; none when a rate is not positive."""
    rates = rates_of_two(*((row.input_len, row.output_len, replica_seconds(row)) for row in (short, long)))
    if rates is None:
        return []
    points: dict[str, MeasuredPoint] = {}
    for row in (short, long):
        tokens = row.input_len + row.output_len
        name = next((c.name for c in context_classes() if tokens <= c.most_tokens), None)
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
        points[name] = MeasuredPoint(**{field: getattr(row, field) for field in MEASURED_ON}, point=point)
    return list(points.values())


def _pair_source(short: MeasuredRow, long: MeasuredRow) -> str:
    """Both rows of a pair, within what a source may be long."""
    rows = [f"{r.input_len}+{r.output_len} tokens ({within_length(r.source, 80)})" for r in (short, long)]
    return within_length(f"two rows at {short.concurrency} in flight: {rows[0]}; {rows[1]}")


def points_yaml(points: list[MeasuredPoint]) -> str:
    """Operating points as YAML: what each was measured on, and the point as a profile's `classes` take it."""
    import yaml

    data = []
    for p in points:
        figures = p.point.model_dump(exclude_none=True)
        for name, value in figures.items():
            figures[name] = float(f"{value:.6g}") if isinstance(value, float) else value
        data.append({"measured_on": {name: getattr(p, name) for name in MEASURED_ON}, **figures})
    head = "# Put a point, without measured_on, under `classes:` of a profile of that concurrency_limit.\n"
    return head + str(yaml.safe_dump({"points": data}, sort_keys=False, allow_unicode=True, width=120))
