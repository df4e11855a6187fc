"""Request traces into demand by context class: rates, bursts, mean tokens.

Shapes: the Azure LLM inference traces (CSV with TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake's (JSON lines with
timestamp, input_length, output_length; or a CSV of the same), and any CSV whose columns are named.
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planner.importers.source import (
    Imported,
    columns_of,
    is_json,
    load_json_lines,
    load_table,
    load_text,
    number,
    stop_on_errors,
    unknown_shape,
    whole,
)
from planner.places import Reading, listed, near_miss, shown, shown_path
from planner.records.serving import ContextClass
from planner.records.study import Demand
from planner.tables import read_list
from planner.units import MS_PER_SECOND

FIELDS = ("timestamp", "timestamp_s", "timestamp_ms", "input", "output")
"""What `--columns` can name: one timestamp (a date and time; seconds; milliseconds), input and output tokens."""
SECONDS_PER_MINUTE = 60.0
PERCENTILES = (50, 90, 95, 99)

SHAPES = {
    "Azure LLM inference trace": "CSV with TIMESTAMP,ContextTokens,GeneratedTokens",
    "Mooncake": "JSON lines with timestamp,input_length,output_length, or a CSV of these with timestamp_ms",
    "any CSV": "with --columns timestamp=A,input=B,output=C (timestamp_s, timestamp_ms for numbers)",
}


@dataclass(frozen=True)
class Request:
    """One request: when it came [s since any moment], and its tokens."""

    seconds: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Statistics:
    """What a trace says of its requests.

    Parameters
    ----------
    requests : how many
    share : of all requests of the trace
    mean_requests_per_second : over the whole trace, first to last request
    mean_input_tokens, mean_output_tokens : of a request
    rate_percentiles : requests/s of the minute that so many percent of the minutes do not exceed
    minutes, empty_minutes : clock minutes from the first to the last request; those of them without any
    burst_factor : busiest minute over the mean minute with requests in it
    burst_over_mean_rate : busiest minute over the mean rate, which counts the empty minutes as well
    """

    requests: int
    share: float
    mean_requests_per_second: float
    mean_input_tokens: float
    mean_output_tokens: float
    rate_percentiles: dict[str, float]
    minutes: int
    empty_minutes: int
    burst_factor: float
    burst_over_mean_rate: float


def read_demand(
    path: Path,
    origins: dict[str, float],
    scale: float = 1.0,
    workloads: dict[str, str] | None = None,
    columns: str | None = None,
) -> Imported[Demand]:
    """A request trace as rows of demand.csv.

    Parameters
    ----------
    path : the trace
    origins : share of the requests by origin; they sum to 1
    scale : factor on the trace's rate
    workloads : workload by context class; under `*` what takes all classes together. A class that is not named is
        left out; none: each class is a workload of its name
    columns : `field=column,...` with fields of FIELDS

    Returns
    -------
    Imported
        rows in requests/s; statistics by workload under `more`

    Raises
    ------
    InputError
        with every finding.
    """
    reading, where = Reading(), shown_path(path)
    _check(origins, scale, reading)
    classes = _classes()
    names = workloads or {c.name: c.name for c in classes}
    for name in names:
        if name != "*":
            known = [c.name for c in classes]
            reading.refer("--workload", ContextClass, "a context class, as in CLASS=NAME", name, known)
    stop_on_errors(reading)
    requests, what = _requests(load_text(path), where, columns, reading)
    stop_on_errors(reading)
    out: Imported[Demand] = Imported(what, "requests", read=len(requests))
    out.more["all"] = asdict(statistics(requests, requests, where))
    groups: dict[str, list[Request]] = {}
    for request in requests:
        length = request.input_tokens + request.output_tokens
        fitting = next((c.name for c in classes if length <= c.most_tokens), None)
        workload = names.get("*", names.get(fitting) if fitting is not None else None)
        if fitting is None:
            out.skip(f"longer than any context class ({classes[-1].most_tokens} tokens)")
        elif workload is None:
            out.skip(f"of the class {fitting}, which no --workload names")
        else:
            groups.setdefault(workload, []).append(request)
    for workload, group in sorted(groups.items()):
        told = statistics(group, requests, where)
        out.kept += told.requests
        out.more.setdefault("workloads", {})[workload] = asdict(told)
        out.notes.append(_workload_note(workload, told, scale))
        for origin, share in origins.items():
            rate = float(f"{told.mean_requests_per_second * scale * share:.6g}")
            out.rows.append(Demand(workload=workload, origin=origin, requests_per_second=rate))
    hours = (max(r.seconds for r in requests) - min(r.seconds for r in requests)) / 3600
    if hours < 24:
        out.notes.append(f"the trace covers {hours:.1f} hours: no shape of a day can be derived from it")
    return out


def _workload_note(workload: str, told: Statistics, scale: float) -> str:
    """The fields of a workload as the study takes them, with what a burst factor would have to be."""
    burst = max(told.burst_factor, told.burst_over_mean_rate)
    scaled = f"; at {scale:g} times the rate bursts of independent users average out" if scale > 1 else ""
    empty = f" ({told.empty_minutes} of {told.minutes} minutes are empty)" if told.empty_minutes else ""
    return (
        f"{workload}: mean_input_tokens: {told.mean_input_tokens:.0f}, "
        f"mean_output_tokens: {told.mean_output_tokens:.0f}, "
        f"busiest minute {told.burst_factor:.2f} of the mean minute with requests, "
        f"{told.burst_over_mean_rate:.2f} of the mean rate{empty}: burst_factor at most {max(1.0, burst):.2f}{scaled}"
    )


def statistics(group: list[Request], everything: list[Request], where: str) -> Statistics:
    """Rates, bursts and means of some of a trace's requests; time is that of the whole trace.

    Raises
    ------
    InputError
        when the requests take no time, so that there is no rate.

    Examples
    --------
    >>> trace = [Request(float(s), 100, 10) for s in (0, 10, 20, 70, 120)]
    >>> told = statistics(trace, trace, "trace.csv")
    >>> told.mean_requests_per_second, told.minutes, round(told.burst_factor, 2)
    (0.041666666666666664, 3, 1.8)
    """
    first, last = min(r.seconds for r in everything), max(r.seconds for r in everything)
    if not last > first:
        got = f"{len(everything)} requests at one moment"
        raise unknown_shape(where, got, {"a trace": "requests over some time, so that there is a rate"})
    count = len(group)
    start, end = int(first // SECONDS_PER_MINUTE), int(last // SECONDS_PER_MINUTE)
    per_minute = Counter(int(r.seconds // SECONDS_PER_MINUTE) for r in group)
    minutes = end - start + 1
    sorted_counts = sorted(per_minute.values())
    rate = count / (last - first)
    busiest = max(per_minute.values())
    empty = minutes - len(sorted_counts)
    return Statistics(
        requests=count,
        share=count / len(everything),
        mean_requests_per_second=rate,
        mean_input_tokens=sum(r.input_tokens for r in group) / count,
        mean_output_tokens=sum(r.output_tokens for r in group) / count,
        rate_percentiles={f"p{p}": _percentile(sorted_counts, empty, p) / SECONDS_PER_MINUTE for p in PERCENTILES},
        minutes=minutes,
        empty_minutes=empty,
        burst_factor=busiest / (count / len(sorted_counts)),
        burst_over_mean_rate=busiest / SECONDS_PER_MINUTE / rate,
    )


def _percentile(counts: list[int], empty: int, percent: int) -> int:
    """Nearest rank among sorted counts and so many zeros before them."""
    rank = math.ceil(percent / 100 * (len(counts) + empty))
    return 0 if rank <= empty else counts[rank - empty - 1]


def _check(origins: dict[str, float], scale: float, reading: Reading) -> None:
    """Shares sum to 1, the scale is positive."""
    fix = "as in --origin london=0.6 --origin tokyo=0.4"
    if not origins:
        reading.error("--origin", "at least one origin with its share", "none", fix)
    elif any(not (math.isfinite(s) and s >= 0) for s in origins.values()) or abs(sum(origins.values()) - 1) > 1e-6:
        reading.error("--origin", "shares of at least 0 that sum to 1", f"{sum(origins.values()):g} in all", fix)
    if not (math.isfinite(scale) and scale > 0):
        reading.error("--scale", "a number above 0", f"{scale:g}", "1 is the trace as it is")


def _classes() -> list[ContextClass]:
    """The context classes that ship, the shortest first."""
    from planner.read import data_folder

    reading = Reading()
    found = [row for row, _ in read_list(ContextClass, data_folder("models") / "context_classes.yaml", reading)]
    stop_on_errors(reading)
    return sorted(found, key=lambda c: c.most_tokens)


def _requests(text: str, where: str, columns: str | None, reading: Reading) -> tuple[list[Request], str]:
    """The requests of a trace of any of the shapes, and which it is."""
    if is_json(text):
        return _mooncake(text, where, reading), "Mooncake trace"
    table = load_table(text, where, reading)
    given = columns_of(columns, FIELDS, table.header, where)
    shapes = {
        "Azure LLM inference trace": {"timestamp": "TIMESTAMP", "input": "ContextTokens", "output": "GeneratedTokens"},
        "Mooncake trace": {"timestamp_ms": "timestamp_ms", "input": "input_length", "output": "output_length"},
        "Mooncake trace (timestamp)": {"timestamp_ms": "timestamp", "input": "input_length", "output": "output_length"},
    }
    of, what = given, "trace by --columns"
    if not given:
        what = next((name for name, of in shapes.items() if set(of.values()) <= set(table.header)), "")
        of = shapes.get(what, {})
    clock = [name for name in FIELDS[:3] if name in of]
    if len(clock) != 1 or not {"input", "output"} <= of.keys():
        hint = near_miss("TIMESTAMP", table.header)
        raise unknown_shape(f"{where}:1", f"the columns {listed(table.header)}{hint}", SHAPES)
    found = []
    for line, row in table.rows:
        at = table.at(line, of[clock[0]])
        seconds = _seconds(clock[0], row[of[clock[0]]], at, reading)
        tokens = [whole(row[of[n]], table.at(line, of[n]), f"{n} tokens", reading) for n in ("input", "output")]
        if seconds is not None and tokens[0] is not None and tokens[1] is not None:
            found.append(Request(seconds, tokens[0], tokens[1]))
    return found, what


def _seconds(clock: str, cell: str, at: str, reading: Reading) -> float | None:
    """A timestamp in seconds."""
    if clock != "timestamp":
        figure = number(cell, at, "a time", reading, least=-math.inf)
        return figure / MS_PER_SECOND if figure is not None and clock == "timestamp_ms" else figure
    try:
        moment = datetime.fromisoformat(cell)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        fix = "for numbers write timestamp_s= or timestamp_ms= in --columns"
        reading.error(at, "a date and time: 2023-11-16 18:17:03.97", shown(cell), fix)
        return None


def _mooncake(text: str, where: str, reading: Reading) -> list[Request]:
    """JSON lines with timestamp [ms], input_length, output_length."""
    found = []
    for at, data in load_json_lines(text, where):
        if not isinstance(data, dict) or not {"timestamp", "input_length", "output_length"} <= data.keys():
            got = f"the fields {listed(data)}" if isinstance(data, dict) else shown(data)
            raise unknown_shape(at, got, SHAPES)
        seconds = number(data["timestamp"], f"{at}: timestamp", "a time [ms]", reading, least=-math.inf)
        tokens: list[Any] = [whole(data[n], f"{at}: {n}", "tokens", reading) for n in ("input_length", "output_length")]
        if seconds is not None and None not in tokens:
            found.append(Request(seconds / MS_PER_SECOND, tokens[0], tokens[1]))
    return found
