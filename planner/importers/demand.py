"""Request traces into demand by context class: rates, bursts, mean tokens.

A request without output failed, and is left out. A trace of a day and more says how demand moves over the hours of a
day.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from planner.importers.catalogue import context_classes
from planner.importers.source import Imported, unknown_shape
from planner.importers.traces import read_trace
from planner.study.places import Reading, printable_path
from planner.study.records.serving import ContextClass
from planner.study.records.study import Demand
from planner.units import SECONDS_PER_HOUR

SECONDS_PER_MINUTE = 60.0
PERCENTILES = (50, 90, 95, 99)
LEAST_REQUESTS = 100
"""Of a workload, for quantiles of its lengths to be written."""
LENGTHS_AT = (0, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 99.99, 100)
"""Percent of requests whose lengths are told: closer where few are far longer than others."""
DAY_SECONDS, BLOCK_SECONDS = 86_400.0, 14_400.0
"""A day, and the hours of it that a shape tells apart: six times four."""
BLOCKS = int(DAY_SECONDS / BLOCK_SECONDS)
FINER = (*range(100), 99.5, 99.9, 99.99, 100)
"""The same, where the mean that follows from those, straight between them, would be off by more than MEAN_WITHIN."""
MEAN_WITHIN = 0.05
NO_OUTPUT = "without output: a request that failed"


@dataclass(frozen=True)
class Statistics:
    """What a trace says of its requests.

    Parameters
    ----------
    requests : how many
    share : of all requests of the trace
    mean_requests_per_second : over the trace, first to last request
    mean_input_tokens, mean_output_tokens : of a request
    input_tokens_quantiles, output_tokens_quantiles : percent -> tokens that so many of a hundred do not exceed
    rate_percentiles : requests/s of the minute that so many percent of the minutes do not exceed
    minutes, empty_minutes : calendar minutes from the first to the last request; those of them without any
    burst_factor : busiest minute over the mean minute with requests in it
    burst_over_mean_rate : busiest minute over the mean rate, which counts the empty minutes as well
    """

    requests: int
    share: float
    mean_requests_per_second: float
    mean_input_tokens: float
    mean_output_tokens: float
    input_tokens_quantiles: dict[float, float]
    output_tokens_quantiles: dict[float, float]
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
    columns : `field=column,...` with fields of `traces.FIELDS`
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
    file, out = printable_path(path), Imported[Demand](unit="requests")
    _check(origins, scale, out)
    names = workloads or {c.name: c.name for c in context_classes()}
    known = ["*", *(c.name for c in context_classes())]
    for name in names:
        out.refer("--workload", ContextClass, "a context class, as in CLASS=NAME", name, known)
    out.raise_errors()
    trace = read_trace(path, columns, out)
    out.raise_errors()
    out.what, out.read = trace.what, len(trace.requests)
    failed = trace.requests["output_tokens"] == 0
    for place in trace.requests["place"][failed]:
        out.skip(NO_OUTPUT, where=place)
    requests = trace.requests[~failed]
    if requests.empty:
        return out
    out.more["all"] = asdict(statistics(requests, requests, file))
    span = requests["seconds"].min(), requests["seconds"].max()
    daily = span[1] - span[0] >= DAY_SECONDS
    for workload, group in requests.groupby(_workload_of_each(requests, names, out)):
        figures = statistics(group, requests, file)
        out.kept += figures.requests
        out.more.setdefault("workloads", {})[workload] = asdict(figures)
        out.notes.append(_workload_note(workload, figures, scale))
        if daily:
            factors, burst_factor = day_of(group, span)
            hours = {_hour_name(trace.time_of_day, block): round(factor, 3) for block, factor in factors.items()}
            out.more.setdefault("day", {})[workload] = {"factors": hours, "burst_factor": round(burst_factor, 2)}
            day = ", ".join(f"{name}: {factor:.2f}" for name, factor in hours.items())
            out.notes.append(
                f"{workload}, factors over the day: {day}; with them burst_factor at most {burst_factor:.2f}"
            )
        shape = workload if daily and shaped else None
        for origin, share in origins.items():
            rate = float(f"{figures.mean_requests_per_second * scale * share:.6g}")
            out.rows.append(Demand(workload=workload, origin=origin, requests_per_second=rate, shape=shape))
    covered = f"the trace covers {(span[1] - span[0]) / SECONDS_PER_HOUR:.1f} hours"
    if not daily:
        out.notes.append(f"{covered}: no shape of a day can be derived from it")
    elif not shaped:
        out.notes.append(f"{covered}: --shape writes hours and shapes for the study, and names them in the rows")
    return out


def _check(origins: dict[str, float], scale: float, reading: Reading) -> None:
    """Shares sum to 1, the scale is positive."""
    fix = "as in --origin london=0.6 --origin tokyo=0.4"
    if not origins:
        reading.error("--origin", "at least one origin with its share", "none", fix)
    elif any(not (math.isfinite(s) and s >= 0) for s in origins.values()) or abs(sum(origins.values()) - 1) > 1e-6:
        reading.error("--origin", "shares of at least 0 that sum to 1", f"{sum(origins.values()):g} in all", fix)
    if not (math.isfinite(scale) and scale > 0):
        reading.error("--scale", "a number above 0", f"{scale:g}", "1 is the trace as it is")


def _workload_of_each(requests: pd.DataFrame, names: dict[str, str], out: Imported[Demand]) -> pd.Series:
    """The workload of each request, by the shortest context class that holds it; none where it is left out."""
    classes = context_classes()
    bins = pd.cut(
        requests["input_tokens"] + requests["output_tokens"],
        [-1, *(c.most_tokens for c in classes)],
        labels=[c.name for c in classes],
    ).astype(object)
    out.skip(f"longer than any context class ({classes[-1].most_tokens} tokens)", int(bins.isna().sum()))
    workloads = bins.map({c.name: names.get("*", names.get(c.name)) for c in classes})
    for name, count in bins[workloads.isna()].value_counts().items():
        out.skip(f"of the class {name}, which no --workload names", int(count))
    return workloads


def statistics(group: pd.DataFrame, everything: pd.DataFrame, where: str) -> Statistics:
    """Rates, bursts and means of requests of a trace; time is that of everything in it.

    Parameters
    ----------
    group, everything : a row for each request: seconds since any moment, input_tokens, output_tokens

    Raises
    ------
    InputError
        when the requests take no time, so that there is no rate.

    Examples
    --------
    >>> trace = pd.DataFrame({"seconds": [0.0, 10.0, 20.0, 70.0, 120.0], "input_tokens": 100, "output_tokens": 10})
    >>> figures = statistics(trace, trace, "trace.csv")
    >>> figures.mean_requests_per_second, figures.minutes, round(figures.burst_factor, 2)
    (0.041666666666666664, 3, 1.8)
    """
    first, last = float(everything["seconds"].min()), float(everything["seconds"].max())
    if not last > first:
        got = f"{len(everything)} requests at one moment"
        raise unknown_shape(where, got, {"a trace": "requests over some time, so that there is a rate"})
    per_minute = _minutes(group["seconds"]).value_counts()
    minutes = int(last // SECONDS_PER_MINUTE) - int(first // SECONDS_PER_MINUTE) + 1
    empty = minutes - len(per_minute)
    rate = len(group) / (last - first)
    busiest = int(per_minute.max())
    percentiles = {f"p{p}": _percentile(sorted(per_minute), empty, p) / SECONDS_PER_MINUTE for p in PERCENTILES}
    return Statistics(
        requests=len(group),
        share=len(group) / len(everything),
        mean_requests_per_second=rate,
        mean_input_tokens=float(group["input_tokens"].mean()),
        mean_output_tokens=float(group["output_tokens"].mean()),
        input_tokens_quantiles=_quantiles(group["input_tokens"]),
        output_tokens_quantiles=_quantiles(group["output_tokens"]),
        rate_percentiles=percentiles,
        minutes=minutes,
        empty_minutes=empty,
        burst_factor=busiest / (len(group) / len(per_minute)),
        burst_over_mean_rate=busiest / SECONDS_PER_MINUTE / rate,
    )


def _quantiles(tokens: pd.Series) -> dict[float, float]:
    """Percent -> tokens that so many of a hundred requests do not exceed."""
    quantiles, mean_tokens = dict[float, float](), float(tokens.mean())
    for percents in (LENGTHS_AT, FINER):
        at = np.percentile(tokens, percents)
        quantiles = {percent: round(float(value), 1) for percent, value in zip(percents, at, strict=True)}
        between = float((np.diff(percents) * (at[1:] + at[:-1])).sum()) / 200.0
        if abs(between - mean_tokens) <= MEAN_WITHIN * mean_tokens:
            break
    return quantiles


def _minutes(seconds: pd.Series) -> pd.Series:
    """The calendar minute of each moment."""
    return (seconds // SECONDS_PER_MINUTE).astype(int)


def _percentile(counts: list[int], empty: int, percent: int) -> int:
    """Nearest rank among sorted counts and so many zeros before them."""
    rank = math.ceil(percent / 100 * (len(counts) + empty))
    return 0 if rank <= empty else counts[rank - empty - 1]


def day_of(group: pd.DataFrame, span: tuple[float, float]) -> tuple[dict[int, float], float]:
    """The day of requests of a trace, by blocks of four hours; of a block counts the time it was watched.

    Parameters
    ----------
    span : first and last moment of the trace [s], a day or more apart

    Returns
    -------
    By block of the day, from midnight: its rate over the mean rate of the trace. The most that a minute is over the
    mean of its block.

    Examples
    --------
    Two days, with a request each hour, and two each hour from 8 to 20:

    >>> hours = [h for h in range(49) for _ in range(2 if 8 <= h % 24 < 20 else 1)]
    >>> factors, burst_factor = day_of(pd.DataFrame({"seconds": [3600.0 * h for h in hours]}), (0.0, 172800.0))
    >>> [round(factor, 1) for factor in factors.values()]
    [0.7, 0.7, 1.3, 1.3, 1.3, 0.7]
    """
    first, last = span
    days, part_of_day = divmod(last - first, DAY_SECONDS)
    first_of_day = first % DAY_SECONDS
    begins = np.arange(2 * BLOCKS) * BLOCK_SECONDS
    of_part = np.minimum(first_of_day + part_of_day, begins + BLOCK_SECONDS) - np.maximum(first_of_day, begins)
    watched = days * BLOCK_SECONDS + np.maximum(0.0, of_part).reshape(2, BLOCKS).sum(axis=0)
    blocks = (group["seconds"] // BLOCK_SECONDS).astype(int) % BLOCKS
    per_minute = group.groupby([blocks.rename("block"), _minutes(group["seconds"]).rename("minute")]).size()
    rates = per_minute.groupby("block").sum().reindex(range(BLOCKS), fill_value=0) / watched
    bursts = per_minute.groupby("block").max() / SECONDS_PER_MINUTE / rates
    return dict(enumerate(rates / (len(group) / (last - first)))), max(1.0, float(bursts.max()))


def _hour_name(time_of_day: str, block: int) -> str:
    """The name of a block of the day: utc-00-to-04."""
    hours = int(BLOCK_SECONDS / SECONDS_PER_HOUR)
    return f"{time_of_day}-{block * hours:02d}-to-{(block + 1) * hours:02d}"


def _workload_note(workload: str, figures: Statistics, scale: float) -> str:
    """The fields of a workload as the study takes them, with what a burst factor would have to be."""
    burst = max(figures.burst_factor, figures.burst_over_mean_rate)
    scaled = f"; at {scale:g} times the rate bursts of independent users average out" if scale > 1 else ""
    empty = f" ({figures.empty_minutes} of {figures.minutes} minutes are empty)" if figures.empty_minutes else ""
    return (
        f"{workload}: mean_input_tokens: {figures.mean_input_tokens:.0f}, "
        f"mean_output_tokens: {figures.mean_output_tokens:.0f}, "
        f"busiest minute {figures.burst_factor:.2f} of the mean minute with requests, "
        f"{figures.burst_over_mean_rate:.2f} of the mean rate{empty}: "
        f"burst_factor at most {max(1.0, burst):.2f}{scaled}"
    )


def workloads_yaml(out: Imported[Demand], scale: float) -> str:
    """Fields of workloads as a study takes them: tokens, how they vary, and the burst factor of the trace.

    `burst_factor` is that of the busiest minute over the mean of the minutes that have requests, of the trace at its
    own rate; of a trace of a day and more with its shape, over the mean of its block of the day.
    """
    import yaml

    rows, few, longest = [], list[str](), list[tuple[str, float]]()
    for workload, figures in out.more.get("workloads", {}).items():
        day = out.more.get("day", {}).get(workload)
        row: dict[str, object] = {"name": workload}
        for field in ("mean_input_tokens", "mean_output_tokens"):
            row[field] = round(figures[field], 1)
        row["burst_factor"] = round(max(1.0, day["burst_factor"] if day else figures["burst_factor"]), 2)
        if figures["requests"] < LEAST_REQUESTS:
            few.append(workload)
        for field in ("input_tokens_quantiles", "output_tokens_quantiles") if workload not in few else ():
            row[field] = [{"percent": percent, "tokens": tokens} for percent, tokens in figures[field].items()]
        rows.append(row)
        longest.append((workload, figures["input_tokens_quantiles"][100]))
    scaled = f"; at {scale:g} times the rate bursts of users who have nothing to do with each other average out"
    head = (
        "# Put these fields into the workloads of the study, beside model, context_class and tier.\n"
        "# burst_factor: the busiest minute over the mean minute of the trace that has requests"
        + (" (of a day and more: of its block of four hours)" if out.more.get("day") else "")
        + (scaled if scale > 1 else "")
        + "\n# quantiles: of the trace, straight between them; inputs and outputs are taken to be independent\n"
        + "".join(
            f"# {name}: at most {most:,.0f} tokens of input: its context class must hold them\n"
            for name, most in longest
        )
        + (f"# of {', '.join(few)} fewer than {LEAST_REQUESTS} requests, too few for quantiles\n" if few else "")
    )
    text = yaml.safe_dump({"workloads": rows}, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return head + str(text)


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
