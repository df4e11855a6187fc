"""Results of vLLM's `bench serve`, GuideLLM and AIPerf as closed loops. Means, because Little's law holds for means."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from planner.importers.closed_loops import FAILED, Loop, Stated, not_capacity, positive, quotient
from planner.importers.source import Source, date_of, fields_of, within
from planner.study.places import quoted, unquoted

MS_PER = {"ms": 1.0, "milliseconds": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in the units of time that AIPerf writes."""
OF_SERVER = ("accelerator", "chips", "precision")
"""What a benchmark that measures from outside does not know, unless somebody wrote it into its result."""

Loops = Iterator[tuple[str, Stated]]


def vllm(data: Mapping[str, Any], at: str, file: str, source: Source) -> Loops:
    """A result of `vllm bench serve --save-result`."""
    yield at, _vllm(data, at, file, source)


def _vllm(data: Mapping[str, Any], at: str, file: str, source: Source) -> Stated:
    completed = source.count(data.get("completed"), f"{at}: completed", "requests that were completed")
    totals = [
        source.count(data.get(name), f"{at}: {name}", "tokens")
        for name in ("total_input_tokens", "total_output_tokens")
    ]
    if completed is None or totals[0] is None or totals[1] is None:
        return None
    if data.get("max_concurrency") is None:
        return "no max_concurrency: not a closed loop, so that no concurrency belongs to its times"
    if completed == 0 or positive(data.get("failed")) is not None:
        return FAILED
    if data.get("request_rate", "inf") not in ("inf", "Infinity"):
        return "a limited request rate: fewer in flight than max_concurrency says"
    if reason := not_capacity(f"{data.get('label') or ''} {data.get('speculative_config') or ''}"):
        return reason
    day = str(data.get("date") or "")
    return Loop(
        figures={
            "input_len": ("input_len", max(1, totals[0] / completed)),
            "output_len": ("output_len", max(1, totals[1] / completed)),
            "concurrency": ("max_concurrency", data["max_concurrency"]),
            "ttft_ms": ("mean_ttft_ms", data.get("mean_ttft_ms")),
            "tpot_ms": ("mean_tpot_ms", data.get("mean_tpot_ms")),
        },
        about={name: data.get(name) for name in OF_SERVER}
        | {
            "model": data.get("model_id"),
            "engine": data.get("backend") or data.get("endpoint_type"),
            "source": f"vLLM bench serve, {file}",
            "as_of": f"{day[:4]}-{day[4:6]}-{day[6:8]}" if re.match(r"\d{8}-\d{6}$", day) else day,
        },
        requests_per_second=(data.get("request_throughput"), quotient(completed, data.get("duration"))),
        output_tokens_per_second=data.get("output_throughput"),
        config=data,
        finished=completed,
    )


def guidellm(data: Mapping[str, Any], at: str, file: str, source: Source) -> Loops:
    """A report of GuideLLM: a benchmark per load, of which those at a fixed number of streams are closed loops."""
    report = {name: value for name, value in data.items() if name != "benchmarks"}
    for i, benchmark in enumerate(data["benchmarks"]):
        where = f"{at}: benchmarks[{i}]"
        if isinstance(within(benchmark, "metrics"), dict):
            yield where, _guidellm(report, benchmark, file)
        else:
            source.error(where, "a benchmark with metrics", quoted(benchmark), "save the report whole")
            yield where, None


def _guidellm(report: Mapping[str, Any], data: Mapping[str, Any], file: str) -> Stated:
    strategies = (within(data, f"{part}.strategy") for part in ("config", "args", "scheduler"))
    strategy = fields_of(next((strategy for strategy in strategies if strategy), None))
    kind = strategy.get("type_", strategy.get("kind"))
    if kind not in ("concurrent", "synchronous"):
        load = unquoted(kind) or "not stated"
        return f"a load of type {load}: no closed loop at a fixed number of streams"
    totals = fields_of(within(data, "metrics.request_totals") or within(data, "run_stats.requests_made"))
    if totals.get("errored"):
        return FAILED
    metrics = {
        "input_len": "prompt_token_count",
        "output_len": "output_token_count",
        "ttft_ms": "time_to_first_token_ms",
        "tpot_ms": "inter_token_latency_ms",
    }
    figures = {field: (name, within(data, f"metrics.{name}.successful.mean")) for field, name in metrics.items()}
    paths = ("config.backend.model", "args.model", "worker.backend_model", "benchmarker.backend.model")
    models = [within(part, path) for part in (data, report) for path in paths]
    return Loop(
        figures=figures | {"concurrency": ("streams", 1 if kind == "synchronous" else strategy.get("streams"))},
        about={name: within(data, f"extras.{name}") for name in (*OF_SERVER, "engine")}
        | {
            "model": next((model for model in models if isinstance(model, str) and model), None),
            "source": f"GuideLLM, {file}",
            "as_of": _day(data.get("start_time") or within(data, "run_stats.start_time")),
        },
        requests_per_second=(within(data, "metrics.requests_per_second.successful.mean"),),
        config=[report, {name: value for name, value in data.items() if name not in ("metrics", "requests")}],
        finished=totals.get("successful"),
    )


def _day(seconds: object) -> str | None:
    """The day (UTC) of seconds since 1970, or of a date in words."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return date_of(seconds)
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def aiperf(data: Mapping[str, Any], at: str, file: str, source: Source) -> Loops:
    """A summary of AIPerf (profile_export_aiperf.json): one run; each metric has its unit."""
    yield at, _aiperf(data, at, file, source)


def _aiperf(data: Mapping[str, Any], at: str, file: str, source: Source) -> Stated:
    config = data.get("input_config")
    loads = _aiperf_loads(config)
    if len(loads) != 1 or loads[0].get("concurrency") is None:
        return "no single concurrency stated: not a closed loop at a fixed number of requests"
    limited = loads[0].get("request_rate") or loads[0].get("user_centric_rate")
    if limited or loads[0].get("type", "concurrency") != "concurrency":
        return "a limited request rate: fewer in flight than the concurrency says"
    if data.get("was_cancelled"):
        return "the run was cancelled: the requests that were cut off are not in its means"
    if data.get("error_summary") or within(data, "error_request_count.avg"):
        return FAILED
    figures: dict[str, tuple[str, object]] = {"concurrency": ("concurrency", loads[0]["concurrency"])}
    for field, name in (("input_len", "input_sequence_length"), ("output_len", "output_sequence_length")):
        figures[field] = (f"{name}.avg", within(data, f"{name}.avg"))
    for field, name in (("ttft_ms", "time_to_first_token"), ("tpot_ms", "inter_token_latency")):
        value, unit = within(data, f"{name}.avg"), within(data, f"{name}.unit")
        if positive(value) is not None:
            if not isinstance(unit, str) or unit not in MS_PER:
                source.error(f"{at}: {name}.unit", f"one of {', '.join(MS_PER)}", quoted(unit), "correct it")
                return None
            value *= MS_PER[unit]
        figures[field] = (name, value)
    models = _aiperf_models(config)
    return Loop(
        figures=figures,
        about={
            "model": models[0] if len(models) == 1 else None,
            "source": f"AIPerf, {file}",
            "as_of": date_of(data.get("start_time")),
        },
        requests_per_second=(within(data, "request_throughput.avg"),),
        config=config,
        finished=within(data, "request_count.avg"),
    )


def _aiperf_loads(config: object) -> list[dict[str, Any]]:
    """The loads that were measured: `loadgen` of the first versions, phases but for the warm-up of the later ones."""
    phases = within(config, "phases")
    if not isinstance(phases, list):
        load = within(config, "loadgen")
        return [load] if isinstance(load, dict) else []
    loads = [phase for phase in phases if isinstance(phase, dict)]
    return [load for load in loads if "warmup" not in (load.get("kind"), load.get("name"))]


def _aiperf_models(config: object) -> list[str]:
    """The models that were asked: `endpoint.model_names`, or `models` as names or with `items`."""
    stated = within(config, "endpoint.model_names") or within(config, "models.items") or within(config, "models")
    names = [within(item, "name") or item for item in stated] if isinstance(stated, list) else []
    return [name for name in names if isinstance(name, str) and name]
