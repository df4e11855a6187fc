"""Serving benchmarks into a table of measured rows, and pairs of them into operating points.

Five shapes: the silicon table of AIConfigurator, a table with the columns of the measured rows themselves, results of
vLLM's `bench serve` (benchmark_serving), reports of GuideLLM, and summaries of AIPerf. A row counts when it is a closed
loop at a stated concurrency with the time to first token and the time per token: then, by Little's law, a request takes

    y = (ttft + (output - 1) * tpot) / concurrency      [seconds of a replica]

Input and output tokens per second of one row are two views of one loop, not two speeds: no rate is made of them. But
the requests per second that a source states must be those of its own times, or one of the two is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.importers.operating_points import MeasuredRow, Point, operating_points, replica_seconds
from planner.importers.source import (
    Imported,
    Table,
    csv_text,
    date_of,
    is_json,
    load_json_lines,
    load_table,
    load_text,
    number,
    record,
    stated_date,
    stop_on_errors,
    unknown_shape,
    whole,
    within_length,
)
from planner.study.places import Reading, listed, near_miss, printable_path, quoted, unquoted
from planner.study.tables import NUMBER

SHAPES = {
    "AIConfigurator": "CSV with model_path,system,backend,isl,osl,silicon_ttft_ms,silicon_tpot_ms",
    "measured rows": "CSV with model,accelerator,chips,engine,precision,input_len,output_len,concurrency,"
    "ttft_ms,tpot_ms",
    "vLLM bench serve": "JSON with model_id, max_concurrency, mean_ttft_ms, mean_tpot_ms, total_input_tokens",
    "GuideLLM": "JSON with benchmarks, each with metrics.time_to_first_token_ms",
    "AIPerf": "JSON with time_to_first_token, inter_token_latency, input_config: profile_export_aiperf.json",
}
ROW_COLUMNS = ("model", "accelerator", "chips", "engine", "precision", "input_len", "output_len", "concurrency",
               "ttft_ms", "tpot_ms")  # fmt: skip
SILICON_COLUMNS = ("model_path", "system", "backend", "precision", "mode", "isl", "osl", "tp_size", "silicon_ttft_ms",
                   "silicon_tpot_ms")  # fmt: skip
SYSTEMS = {
    "h100_sxm": "H100-SXM-80GB",
    "h200_sxm": "H200-SXM-141GB",
    "b200_sxm": "B200-SXM-180GB",
    "b300_sxm": "B300-SXM-288GB",
    "gb200": "GB200",
    "gb200_sxm": "GB200",
    "gb300": "GB300",
}
"""Accelerators by AIConfigurator's name of a system; another name is kept as it is."""
NOT_STATED = ("", "nan", "none", "null", "n/a")
MOST_APART = 0.25
"""Part by which the stated requests/s may differ from those of the times: filling, draining, means of ratios."""
MS_PER = {"ms": 1.0, "milliseconds": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in the units of time that AIPerf writes."""
SHARED_LENGTH = r"prefix\w*_(tokens|len|length)|shared_system(_prompt)?_length|user_context(_prompt)?_length"
"""Names under which benchmarks state how many tokens of a prompt others have as well."""
NO_TIMES = "no time to first token or per token"
ONE_TOKEN = "one token of output: no time per token, so that nothing is said of decoding"
FAILED = "requests failed: the times are of those that did not"
TOO_FEW = "fewer than two requests per slot: filling and draining decide its times"
SHARED = "a shared prefix, or conversations of several turns: a prefix cache does part of the work, not a capacity"
CONTRADICTED = "its own throughput is not that of its times: one of the two is wrong"


@dataclass
class _Import:
    """An import under way; `given` holds what the source may leave out."""

    out: Imported[MeasuredRow]
    reading: Reading
    given: Mapping[str, str | None]
    configs: dict[MeasuredRow, str]

    def add(self, where: str, data: dict[str, Any], config: str = "", stated: Sequence[object] = ()) -> None:
        """A row; what is missing is taken from the options. `stated` are the requests/s that the source itself says."""
        for name, value in self.given.items():
            if value is not None and (name in ("as_of", "source") or _blank(data.get(name))):
                data[name] = value
        if _blank(data.get("precision")):
            return self.out.skip("precision not stated: give --precision", where=where)
        if (date := date_of(data.get("as_of"))) is None:
            return self.out.skip("date not stated: give --as-of", where=where)
        for name in ("model", "accelerator", "chips", "engine"):
            if _blank(data.get(name)):
                return self.reading.error(f"{where}: {name}", "a value", "nothing", f"give --{name}")
        chips = whole(data["chips"], f"{where}: chips", "chips of the replica", self.reading, 1)
        made = (
            None
            if chips is None
            else record(
                MeasuredRow,
                data | {"as_of": date, "chips": chips, "source": within_length(str(data["source"]))},
                where,
                self.reading,
            )
        )
        if made is not None:
            if self._contradicted(where, made, stated):
                return self.out.skip(CONTRADICTED, where=where)
            self.out.rows.append(made)
            self.out.kept += 1
            self.configs[made] = config
        return None

    def _contradicted(self, where: str, row: MeasuredRow, stated: Sequence[object]) -> bool:
        """Whether a stated throughput is not that of the row's times; what is no number above 0 states nothing."""
        seconds = replica_seconds(row)
        derived = 1 / seconds if seconds > 1e-300 else math.inf
        for rate in stated:
            if (figure := _figure(rate)) is not None and abs(figure / derived - 1) > MOST_APART:
                self.out.notes.append(f"{where}: {figure:.3g} requests/s are stated, its times give {derived:.3g}")
                return True
        return False


def read_throughput(
    path: Path,
    accelerator: str | None = None,
    chips: int | None = None,
    precision: str | None = None,
    engine: str | None = None,
    model: str | None = None,
    as_of: str | None = None,
    source: str | None = None,
) -> tuple[Imported[MeasuredRow], list[Point]]:
    """Benchmark results as measured rows, and operating points where two shapes belong together.

    Parameters
    ----------
    path : the results
    accelerator, chips, precision, engine, model : where the source does not say; for vLLM and GuideLLM, which
        measure a server from outside, the first three are never in it
    as_of : date of the measurement, where the source has none (year, month or day); it counts before the source's
    source : what to write as the rows' source

    Returns
    -------
    Imported
        measured rows in ms and tokens, in the order of the source
    list of Point
        see `operating_points`

    Raises
    ------
    InputError
        with every finding.
    """
    text, where, reading = load_text(path), printable_path(path), Reading()
    given = {
        "accelerator": accelerator,
        "chips": None if chips is None else str(chips),
        "precision": precision,
        "engine": engine,
        "model": model,
        "as_of": stated_date(as_of),
        "source": source,
    }
    run = _Import(Imported("?", "results"), reading, given, {})
    if is_json(text):
        for at, data in load_json_lines(text, where):
            _json_shape(data, at)(run, data, at, path.name)
    else:
        table = load_table(text, where, reading)
        _table_shape(table)(run, table)
    stop_on_errors(reading)
    points = operating_points(run.out, run.configs)
    run.out.more["points"] = len(points)
    return run.out, points


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in NOT_STATED)


def _is(value: object, figure: float) -> bool:
    """Whether a cell or a value of JSON is this number."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return float(value) == figure
    return isinstance(value, int | float) and not isinstance(value, bool) and value == figure


def _table_shape(table: Table) -> Callable[[_Import, Table], None]:
    for columns, reader in ((SILICON_COLUMNS, _silicon), (ROW_COLUMNS, _measured)):
        if set(columns) <= set(table.header):
            return reader
    near = SILICON_COLUMNS if "silicon_ttft_ms" in table.header or "isl" in table.header else ROW_COLUMNS
    missing = [name for name in near if name not in table.header]
    got = f"a table without {listed(missing)}{near_miss(missing[0], table.header)}"
    raise unknown_shape(f"{table.file}:1", got, SHAPES)


def _json_shape(data: Any, at: str) -> Callable[[_Import, Any, str, str], None]:
    if isinstance(data, dict):
        if isinstance(data.get("benchmarks"), list):
            return _guidellm
        if "aiperf_version" in data or {"time_to_first_token", "input_config"} <= data.keys():
            return _aiperf
        if {"mean_ttft_ms", "mean_tpot_ms"} & data.keys():
            return _vllm
    got = f"the fields {listed(data)}" if isinstance(data, dict) else quoted(data)
    raise unknown_shape(at, got, SHAPES)


def _figures(run: _Import, where: str, cells: Mapping[str, object], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Lengths, concurrency and times of a row, strictly; None with findings, or when it is skipped."""
    before = len(run.reading.findings)
    values = {field: cells.get(name) for field, name in names.items()}
    if _is(values["output_len"], 1):
        run.out.skip(ONE_TOKEN, where=where)
        return None
    if any(_blank(values[name]) or _is(values[name], 0) for name in ("ttft_ms", "tpot_ms")):
        run.out.skip(NO_TIMES, where=where)
        return None
    data: dict[str, Any] = {}
    for field, name in names.items():
        at = f"{where}: {name}"
        if field in ("ttft_ms", "tpot_ms"):
            data[field] = number(cells.get(name), at, "a time [ms]", run.reading, above=True)
        else:
            data[field] = whole(cells.get(name), at, "a count", run.reading, 1)
    return data if len(run.reading.findings) == before else None


def _silicon(run: _Import, table: Table) -> None:
    """AIConfigurator's table of measurements (silicon_sample.csv)."""
    run.out.what = "AIConfigurator silicon table"
    for line, row in table.rows:
        run.out.read += 1
        where = table.at(line)
        notes = row.get("silicon_data_source", "")
        if row["mode"] != "agg":
            run.out.skip("prefill and decode on separate machines: no replica of one kind")
            continue
        if _blank(row["silicon_ttft_ms"]) or _blank(row["silicon_tpot_ms"]):
            run.out.skip(NO_TIMES)
            continue
        if reason := _not_capacity(notes + " " + row.get("id", "")):
            run.out.skip(reason)
            continue
        cells: dict[str, object] = {name: value for name, value in row.items() if not _blank(value)}
        sizes = {n: whole(cells.get(n, "1"), f"{where}: {n}", "a count", run.reading, 1)
                 for n in ("tp_size", "pp_size", "attention_dp_size")}  # fmt: skip
        if None in sizes.values():
            continue
        tensor, pipeline, data_parallel = (int(x or 0) for x in sizes.values())
        stated = re.search(r"silicon_concurrency=(\d+)", notes)
        batch = whole(cells.get("batch_size", "1"), f"{where}: batch_size", "a count", run.reading, 1)
        cells["concurrency"] = stated[1] if stated else (batch or 1) * data_parallel
        measured = re.search(r"measured=(\S+?)(;|$)", notes)
        names = {"input_len": "isl", "output_len": "osl", "concurrency": "concurrency", "ttft_ms": "silicon_ttft_ms",
                 "tpot_ms": "silicon_tpot_ms"}  # fmt: skip
        data = _figures(run, where, cells, names)
        if data is None:
            continue
        data |= {
            "model": row["model_path"],
            "accelerator": SYSTEMS.get(row["system"], row["system"]),
            "chips": tensor * pipeline * data_parallel,
            "engine": " ".join(x for x in (row["backend"], row.get("backend_version", "")) if not _blank(x)),
            "precision": row["precision"],
            "source": f"AIConfigurator silicon table, id={row.get('id') or f'line {line}'}",
            "as_of": measured[1] if measured else None,
        }
        moe = "/".join(
            row.get(n, "") for n in ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
        )
        run.add(where, data, moe)


def _measured(run: _Import, table: Table) -> None:
    """A table whose columns are those of the rows, with what else there is (tput_kind, note, engine_version)."""
    run.out.what = "table of measured rows"
    names = {name: name for name in ("input_len", "output_len", "concurrency", "ttft_ms", "tpot_ms")}
    for line, row in table.rows:
        run.out.read += 1
        if row.get("tput_kind") == "measured_max_load":
            run.out.skip("all requests queued at once: an upper bound without a limit on latency")
        elif _blank(row["ttft_ms"]) or _blank(row["tpot_ms"]):
            run.out.skip(NO_TIMES)
        elif _blank(row["concurrency"]):
            run.out.skip("concurrency not stated")
        elif reason := _not_capacity(row.get("note", "")):
            run.out.skip(reason)
        elif (data := _figures(run, table.at(line), row, names)) is not None:
            text = {name: row[name] for name in ("model", "accelerator", "chips", "precision")}
            engine = " ".join(x for x in (row["engine"], row.get("engine_version", "")) if not _blank(x))
            source = row.get("source") or f"{table.file}:{line}"
            tokens = row.get("output_tok_s", "")
            stated = [float(tokens) / data["output_len"]] if NUMBER.fullmatch(tokens) else []
            run.add(
                table.at(line),
                data | text | {"engine": engine, "source": source, "as_of": row.get("as_of")},
                _config(source),
                stated,
            )


def _config(source: str) -> str:
    """How chips were split, as far as the id of a row in its source says: cfg733, or tp4_ep1."""
    found = re.search(r"_(cfg\d+|tp[\d_]+_?ep[a-z0-9]+(_0)?)", source)
    return found[1] if found else ""


def _not_capacity(note: str) -> str | None:
    """Why a row is no capacity, from what is said about it."""
    text = note.lower()
    if re.search(r"\b(speculat|eagle|draft|mtp\b)", text):
        return "with speculation: not a capacity"
    if re.search(r"prefix.?cach|cache.?hit|shared.?prefix", text):
        return "with a prefix cache: not a capacity"
    return None


def _vllm(run: _Import, data: Mapping[str, Any], at: str, file: str) -> None:
    """A result of `vllm bench serve --save-result`. Means, because Little's law holds for means."""
    run.out.what = "vLLM bench serve"
    run.out.read += 1
    completed = whole(data.get("completed"), f"{at}: completed", "requests that were completed", run.reading)
    totals = [
        whole(data.get(n), f"{at}: {n}", "tokens", run.reading) for n in ("total_input_tokens", "total_output_tokens")
    ]
    if completed is None or None in totals:
        return None
    if data.get("max_concurrency") is None:
        why = "no max_concurrency: not a closed loop, so that no concurrency belongs to its times"
        return run.out.skip(why, where=at)
    failed = data.get("failed", 0)
    if completed == 0 or (isinstance(failed, int | float) and failed > 0):
        return run.out.skip(FAILED, where=at)
    if data.get("request_rate", "inf") not in ("inf", "Infinity"):
        return run.out.skip("a limited request rate: fewer in flight than max_concurrency says", where=at)
    if _shares_prompts(data):
        return run.out.skip(SHARED, where=at)
    cells: dict[str, object] = dict(data)
    cells["input_len"], cells["output_len"] = (max(1, round((t or 0) / completed)) for t in totals)
    if reason := _not_capacity(f"{data.get('label') or ''} {data.get('speculative_config') or ''}"):
        return run.out.skip(reason, where=at)
    names = {"input_len": "input_len", "output_len": "output_len", "concurrency": "max_concurrency",
             "ttft_ms": "mean_ttft_ms", "tpot_ms": "mean_tpot_ms"}  # fmt: skip
    figures = _figures(run, at, cells, names)
    if figures is None:
        return None
    if completed < 2 * figures["concurrency"]:
        return run.out.skip(TOO_FEW, where=at)
    day = str(data.get("date") or "")
    date = f"{day[:4]}-{day[4:6]}-{day[6:8]}" if re.match(r"\d{8}-\d{6}$", day) else day
    figures |= {name: data.get(name) for name in ("accelerator", "chips", "precision")}
    figures |= {
        "model": data.get("model_id"),
        "engine": data.get("backend") or data.get("endpoint_type"),
        "source": f"vLLM bench serve, {file}",
        "as_of": date,
    }
    stated = [data.get("request_throughput"), _quotient(completed, data.get("duration"))]
    return run.add(at, figures, stated=[*stated, _quotient(data.get("output_throughput"), figures["output_len"])])


def _figure(value: object) -> float | None:
    """A number above 0 of JSON; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e300:
        return None
    return float(value)


def _quotient(above: object, below: object) -> float | None:
    """The quotient of two figures of a source; None where one of them is no number above 0."""
    first, second = _figure(above), _figure(below)
    return None if first is None or second is None else first / second


def _shares_prompts(config: object) -> bool:
    """Whether what a benchmark states of its prompts gives them a prefix in common, or several turns."""
    stack: list[tuple[str, bool, object]] = [("", False, config)]
    while stack:
        name, within_prefix, value = stack.pop()
        if isinstance(value, dict):
            within = within_prefix or name.startswith("prefix")
            stack += [(str(key), within, inner) for key, inner in value.items()]
            value = value.get("mean") if name in ("turn", "turns") else None
        elif isinstance(value, list):
            stack += [(name, within_prefix, inner) for inner in value]
        elif isinstance(value, str) and (
            re.search(rf"({SHARED_LENGTH})\W{{1,4}}[1-9]", value) or (name == "dataset_name" and "prefix" in value)
        ):
            return True
        if (figure := _figure(value)) is not None:
            length = re.fullmatch(SHARED_LENGTH, name) or (within_prefix and name == "length")
            if length or (name in ("turn", "turns") and figure > 1):
                return True
    return False


def _guidellm(run: _Import, report: Mapping[str, Any], at: str, file: str) -> None:
    """A report of GuideLLM: a benchmark per load, of which those at a fixed number of streams are closed loops."""
    run.out.what = "GuideLLM"
    for i, data in enumerate(report["benchmarks"]):
        run.out.read += 1
        where = f"{at}: benchmarks[{i}]"
        metrics = data.get("metrics") if isinstance(data, dict) else None
        if not isinstance(metrics, dict):
            run.reading.error(where, "a benchmark with metrics", quoted(data), "save the report whole")
            continue
        _guidellm_benchmark(run, report, data, metrics, where, file)


def _guidellm_benchmark(
    run: _Import, report: Mapping[str, Any], data: Mapping[str, Any], metrics: Mapping[str, Any], where: str, file: str
) -> None:
    strategy = _within(data, "config.strategy") or _within(data, "args.strategy") or _within(data, "scheduler.strategy")
    kind = strategy.get("type_", strategy.get("kind")) if isinstance(strategy, dict) else None
    if kind not in ("concurrent", "synchronous"):
        load = unquoted(kind) or "not stated"
        return run.out.skip(f"a load of type {load}: no closed loop at a fixed number of streams", where=where)
    if _shares_prompts([_without(report, "benchmarks"), _without(data, "metrics", "requests")]):
        return run.out.skip(SHARED, where=where)
    totals = _within(data, "metrics.request_totals") or _within(data, "run_stats.requests_made") or {}
    if isinstance(totals, dict) and totals.get("errored"):
        return run.out.skip(FAILED, where=where)
    means = {
        "input_len": "prompt_token_count",
        "output_len": "output_token_count",
        "ttft_ms": "time_to_first_token_ms",
        "tpot_ms": "inter_token_latency_ms",
    }
    cells: dict[str, object] = {name: _within(metrics, f"{name}.successful.mean") for name in means.values()}
    for name in ("prompt_token_count", "output_token_count"):
        mean = number(cells[name], f"{where}: {name}", "mean tokens", run.reading, above=True)
        cells[name] = None if mean is None else max(1, round(mean))
        if mean is None:
            return None
    streams = strategy.get("streams") if isinstance(strategy, dict) else None
    cells["streams"] = 1 if kind == "synchronous" else streams
    figures = _figures(run, where, cells, means | {"concurrency": "streams"})
    if figures is None:
        return None
    finished = totals.get("successful") if isinstance(totals, dict) else None
    if isinstance(finished, int) and finished < 2 * figures["concurrency"]:
        return run.out.skip(TOO_FEW, where=where)
    paths = ("config.backend.model", "args.model", "worker.backend_model", "benchmarker.backend.model")
    models = [_within(part, path) for part in (data, report) for path in paths]
    seconds = data.get("start_time") or _within(data, "run_stats.start_time")
    extras = data.get("extras") if isinstance(data.get("extras"), dict) else {}
    figures |= {name: extras.get(name) for name in ("accelerator", "chips", "precision", "engine")} if extras else {}
    figures |= {
        "model": next((m for m in models if isinstance(m, str) and m), None),
        "source": f"GuideLLM, {file}",
        "as_of": _day(seconds),
    }
    return run.add(where, figures, stated=[_within(metrics, "requests_per_second.successful.mean")])


def _without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The fields of an object but these."""
    return {name: value for name, value in data.items() if name not in names}


def _aiperf(run: _Import, data: Mapping[str, Any], at: str, file: str) -> None:
    """A summary of AIPerf (profile_export_aiperf.json): one run; means, each metric with its unit."""
    run.out.what = "AIPerf"
    run.out.read += 1
    config = data.get("input_config")
    loads = _aiperf_loads(config)
    if len(loads) != 1 or loads[0].get("concurrency") is None:
        return run.out.skip("no single concurrency stated: not a closed loop at a fixed number of requests", where=at)
    load = loads[0]
    if load.get("type", "concurrency") != "concurrency" or any(
        load.get(n) for n in ("request_rate", "user_centric_rate")
    ):
        return run.out.skip("a limited request rate: fewer in flight than the concurrency says", where=at)
    if data.get("was_cancelled"):
        return run.out.skip("the run was cancelled: the requests that were cut off are not in its means", where=at)
    if data.get("error_summary") or _within(data, "error_request_count.avg"):
        return run.out.skip(FAILED, where=at)
    if _shares_prompts(config):
        return run.out.skip(SHARED, where=at)
    cells: dict[str, object] = {"concurrency": load["concurrency"]}
    for name in ("input_sequence_length", "output_sequence_length"):
        mean = number(_within(data, f"{name}.avg"), f"{at}: {name}.avg", "mean tokens", run.reading, above=True)
        if mean is None:
            return None
        cells[name] = max(1, round(mean))
    for name in ("time_to_first_token", "inter_token_latency"):
        value, unit = _within(data, f"{name}.avg"), _within(data, f"{name}.unit")
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            if not isinstance(unit, str) or unit not in MS_PER:
                return run.reading.error(
                    f"{at}: {name}.unit", f"one of {', '.join(MS_PER)}", quoted(unit), "correct it"
                )
            value *= MS_PER[unit]
        cells[name] = value
    names = {"input_len": "input_sequence_length", "output_len": "output_sequence_length", "concurrency": "concurrency",
             "ttft_ms": "time_to_first_token", "tpot_ms": "inter_token_latency"}  # fmt: skip
    figures = _figures(run, at, cells, names)
    if figures is None:
        return None
    finished = _within(data, "request_count.avg")
    if isinstance(finished, int | float) and finished < 2 * figures["concurrency"]:
        return run.out.skip(TOO_FEW, where=at)
    models = _aiperf_models(config)
    figures |= dict.fromkeys(("accelerator", "chips", "precision", "engine"))
    figures |= {
        "model": models[0] if len(models) == 1 else None,
        "source": f"AIPerf, {file}",
        "as_of": date_of(data.get("start_time")),
    }
    return run.add(at, figures, stated=[_within(data, "request_throughput.avg")])


def _aiperf_loads(config: object) -> list[dict[str, Any]]:
    """The loads that were measured: `loadgen` of the first versions, phases but for the warm-up of the later ones."""
    phases = _within(config, "phases")
    if isinstance(phases, list):
        found = [phase for phase in phases if isinstance(phase, dict)]
        return [phase for phase in found if "warmup" not in (phase.get("kind"), phase.get("name"))]
    load = _within(config, "loadgen")
    return [load] if isinstance(load, dict) else []


def _aiperf_models(config: object) -> list[str]:
    """The models that were asked: `endpoint.model_names`, or `models` as names or with `items`."""
    stated = _within(config, "endpoint.model_names") or _within(config, "models.items") or _within(config, "models")
    names = [_within(item, "name") or item for item in stated] if isinstance(stated, list) else []
    return [name for name in names if isinstance(name, str) and name]


def _within(data: object, path: str) -> Any:
    """The value at a dotted path; None where it does not lead anywhere."""
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _day(seconds: object) -> str | None:
    """The day (UTC) of seconds since 1970."""
    from datetime import UTC, datetime

    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return date_of(seconds)
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def rows_csv(rows: list[MeasuredRow]) -> str:
    """Measured rows as CSV."""
    return csv_text(MeasuredRow, rows)
