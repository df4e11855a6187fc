"""Request traces into demand by context class: rates, bursts, mean tokens.

Shapes: the Azure LLM inference traces (CSV with TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake's (JSON lines with
timestamp, input_length, output_length; or a CSV of the same), BurstGPT, and any CSV whose columns are named. A request
without output failed, and is left out. A trace of a day and more says how demand moves over the hours of a day.
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
from planner.study.places import Reading, listed, near_miss, printable_path, quoted
from planner.study.records.serving import ContextClass
from planner.study.records.study import Demand
from planner.study.tables import read_list
from planner.units import MS_PER_SECOND

FIELDS = ("timestamp", "timestamp_s", "timestamp_ms", "input", "output")
"""What `--columns` can name: one timestamp (a date and time; seconds; milliseconds), input and output tokens."""
SECONDS_PER_MINUTE = 60.0
PERCENTILES = (50, 90, 95, 99)
DAY_SECONDS, BLOCK_SECONDS = 86_400.0, 14_400.0
"""A day, and the hours of it that a shape tells apart: six times four."""
MOST_SECONDS = 1e12
"""The largest number that is taken for a time [s]: thirty thousand years."""
SINCE_1970 = 1e8
"""Seconds from which on a number is a moment since 1970, in UTC: smaller ones count from a trace's own midnight."""
NO_OUTPUT = "without output: a request that failed"

SHAPES = {
    "Azure LLM inference trace": "CSV with TIMESTAMP,ContextTokens,GeneratedTokens",
    "Mooncake": "JSON lines with timestamp,input_length,output_length, or a CSV of these with timestamp_ms",
    "BurstGPT": "CSV with Timestamp,Request tokens,Response tokens",
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
    shaped: bool = False,
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
    shaped : whether the rows refer to a shape of their workload's name: the study must have it, see `shapes_yaml`

    Returns
    -------
    Imported
        rows in requests/s, statistics by workload under `more`, and
        under `day`, of a trace of a day and more, factors on the demand by workload and hours

    Raises
    ------
    InputError
        with every finding.
    """
    reading, where = Reading(), printable_path(path)
    _check(origins, scale, reading)
    classes = _classes()
    names = workloads or {c.name: c.name for c in classes}
    for name in names:
        if name != "*":
            known = [c.name for c in classes]
            reading.refer("--workload", ContextClass, "a context class, as in CLASS=NAME", name, known)
    stop_on_errors(reading)
    found, what, clock = _requests(load_text(path), where, columns, reading)
    stop_on_errors(reading)
    out: Imported[Demand] = Imported(what, "requests", read=len(found))
    for at, request in found:
        if not request.output_tokens:
            out.skip(NO_OUTPUT, where=at)
    requests = [request for _, request in found if request.output_tokens]
    if not requests:
        return out
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
    span = min(r.seconds for r in requests), max(r.seconds for r in requests)
    daily = span[1] - span[0] >= DAY_SECONDS
    for workload, group in sorted(groups.items()):
        told = statistics(group, requests, where)
        out.kept += told.requests
        out.more.setdefault("workloads", {})[workload] = asdict(told)
        out.notes.append(_workload_note(workload, told, scale))
        if daily:
            day = day_of(group, span)
            hours = {_hour_name(clock, block): round(factor, 3) for block, factor in enumerate(day.factors)}
            out.more.setdefault("day", {})[workload] = {"factors": hours, "burst_factor": round(day.burst_factor, 2)}
            out.notes.append(_day_note(workload, hours, day))
        shape = workload if daily and shaped else None
        for origin, share in origins.items():
            rate = float(f"{told.mean_requests_per_second * scale * share:.6g}")
            out.rows.append(Demand(workload=workload, origin=origin, requests_per_second=rate, shape=shape))
    covered = f"the trace covers {(span[1] - span[0]) / 3600:.1f} hours"
    if not daily:
        out.notes.append(f"{covered}: no shape of a day can be derived from it")
    elif not shaped:
        out.notes.append(f"{covered}: --shape writes hours and shapes for the study, and names them in the rows")
    return out


@dataclass(frozen=True)
class Day:
    """How requests move over a day.

    Parameters
    ----------
    factors : of each block of the day, from midnight: its rate over the mean rate of the trace
    burst_factor : the most that a minute is over the mean of its block
    """

    factors: tuple[float, ...]
    burst_factor: float


def day_of(group: list[Request], span: tuple[float, float]) -> Day:
    """The day of some of a trace's requests, by blocks of four hours; of a block counts the time it was watched.

    Parameters
    ----------
    span : first and last moment of the whole trace [s], a day or more apart

    Examples
    --------
    Two days, with a request each hour, and two each hour from 8 to 20:

    >>> trace = [Request(3600.0 * h, 100, 10) for h in range(49) for _ in range(2 if 8 <= h % 24 < 20 else 1)]
    >>> [round(factor, 1) for factor in day_of(trace, (0.0, 172800.0)).factors]
    [0.7, 0.7, 1.3, 1.3, 1.3, 0.7]
    """
    first, last = span
    blocks = int(DAY_SECONDS / BLOCK_SECONDS)
    whole, rest = divmod(last - first, DAY_SECONDS)
    watched = [whole * BLOCK_SECONDS] * blocks
    begin = first % DAY_SECONDS
    for n in range(2 * blocks):
        start, end = n * BLOCK_SECONDS, (n + 1) * BLOCK_SECONDS
        watched[n % blocks] += max(0.0, min(begin + rest, end) - max(begin, start))
    counts = [0] * blocks
    minutes: Counter[int] = Counter()
    for request in group:
        counts[int(request.seconds // BLOCK_SECONDS) % blocks] += 1
        minutes[int(request.seconds // SECONDS_PER_MINUTE)] += 1
    mean = len(group) / (last - first)
    rates = [count / seconds for count, seconds in zip(counts, watched, strict=True)]
    busiest = [0] * blocks
    for minute, count in minutes.items():
        block = int(minute * SECONDS_PER_MINUTE // BLOCK_SECONDS) % blocks
        busiest[block] = max(busiest[block], count)
    bursts = [most / SECONDS_PER_MINUTE / rate for most, rate in zip(busiest, rates, strict=True) if rate]
    return Day(tuple(rate / mean for rate in rates), max(1.0, *bursts))


def _hour_name(clock: str, block: int) -> str:
    """The name of a block of the day: utc-00-to-04."""
    hours = int(BLOCK_SECONDS / 3600)
    return f"{clock}-{block * hours:02d}-to-{(block + 1) * hours:02d}"


def _day_note(workload: str, hours: dict[str, float], day: Day) -> str:
    """The shape of a workload's day in one line."""
    factors = ", ".join(f"{name}: {factor:.2f}" for name, factor in hours.items())
    return f"{workload}, factors over the day: {factors}; with them burst_factor at most {day.burst_factor:.2f}"


def shapes_yaml(out: Imported[Demand]) -> str:
    """Hours and shapes of a trace of a day and more, as a study takes them."""
    import yaml

    days = out.more.get("day", {})
    names = list(next(iter(days.values()))["factors"]) if days else []
    data = {
        "horizon": {"hours": [{"name": name, "weight_fraction": 1 / len(names)} for name in names]},
        "shapes": [{"name": workload, "factors": day["factors"]} for workload, day in days.items()],
    }
    head = "# Put the hours under `horizon:` of the study, and the shapes beside it.\n"
    return head + str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120))


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
    from planner.study.read import data_folder

    reading = Reading()
    found = [row for row, _ in read_list(ContextClass, data_folder("models") / "context_classes.yaml", reading)]
    stop_on_errors(reading)
    return sorted(found, key=lambda c: c.most_tokens)


def _requests(
    text: str, where: str, columns: str | None, reading: Reading
) -> tuple[list[tuple[str, Request]], str, str]:
    """The requests of a trace of any of the shapes with their places, which it is, and whose clock it has."""
    if is_json(text):
        found = _mooncake(text, where, reading)
        return found, "Mooncake trace", _clock("timestamp_ms", found)
    table = load_table(text, where, reading)
    given = columns_of(columns, FIELDS, table.header, where)
    shapes = {
        "Azure LLM inference trace": {"timestamp": "TIMESTAMP", "input": "ContextTokens", "output": "GeneratedTokens"},
        "Mooncake trace": {"timestamp_ms": "timestamp_ms", "input": "input_length", "output": "output_length"},
        "Mooncake trace (timestamp)": {"timestamp_ms": "timestamp", "input": "input_length", "output": "output_length"},
        "BurstGPT": {"timestamp_s": "Timestamp", "input": "Request tokens", "output": "Response tokens"},
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
            found.append((table.at(line), Request(seconds, tokens[0], tokens[1])))
    return found, what, _clock(clock[0], found)


def _clock(column: str, found: list[tuple[str, Request]]) -> str:
    """`utc` where a trace's times are moments; `hour` where it counts from a midnight of its own."""
    since_1970 = bool(found) and min(request.seconds for _, request in found) > SINCE_1970
    return "utc" if column == "timestamp" or since_1970 else "hour"


def _seconds(clock: str, cell: str, at: str, reading: Reading) -> float | None:
    """A timestamp in seconds."""
    if clock != "timestamp":
        return _moment(cell, at, reading, 1.0 if clock == "timestamp_s" else MS_PER_SECOND)
    try:
        moment = datetime.fromisoformat(cell)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        fix = "for numbers write timestamp_s= or timestamp_ms= in --columns"
        reading.error(at, "a date and time: 2023-11-16 18:17:03.97", quoted(cell), fix)
        return None


def _moment(value: object, at: str, reading: Reading, per_second: float) -> float | None:
    """A number as a time in seconds."""
    figure = number(value, at, "a time", reading, least=-math.inf)
    if figure is not None and abs(figure) / per_second > MOST_SECONDS:
        reading.error(at, f"a time up to {MOST_SECONDS:g} s", quoted(value), "correct it where it comes from")
        return None
    return None if figure is None else figure / per_second


def _mooncake(text: str, where: str, reading: Reading) -> list[tuple[str, Request]]:
    """JSON lines with timestamp [ms], input_length, output_length."""
    found = []
    for at, data in load_json_lines(text, where):
        if not isinstance(data, dict) or not {"timestamp", "input_length", "output_length"} <= data.keys():
            got = f"the fields {listed(data)}" if isinstance(data, dict) else quoted(data)
            raise unknown_shape(at, got, SHAPES)
        seconds = _moment(data["timestamp"], f"{at}: timestamp", reading, MS_PER_SECOND)
        tokens: list[Any] = [whole(data[n], f"{at}: {n}", "tokens", reading) for n in ("input_length", "output_length")]
        if seconds is not None and None not in tokens:
            found.append((at, Request(seconds, tokens[0], tokens[1])))
    return found
