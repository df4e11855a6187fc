"""Serving benchmarks into a table of measured rows, and pairs of them into operating points.

Five shapes: the silicon table of AIConfigurator, a table with the columns of the measured rows themselves, results of
vLLM's `bench serve` (benchmark_serving), reports of GuideLLM, and summaries of AIPerf. A row counts when it is a closed
loop at a stated concurrency with the time to first token and the time per token: then, by Little's law, a request takes

    y = (ttft + (output - 1) * tpot) / concurrency      [seconds of a replica]

Input and output tokens per second of one row are two views of one loop, not two speeds: no rate is made of them. But
the requests per second that a source states must be those of its own times, or one of the two is wrong.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from planner.importers.benchmarks import Loops, aiperf, guidellm, vllm
from planner.importers.closed_loops import NO_TIMES, Loop, Stated, ThroughputImport, blank, not_capacity
from planner.importers.operating_points import MeasuredPoint, MeasuredRow, operating_points
from planner.importers.source import Imported, Source, Table, figure_of, load, stated_date, unknown_data, unknown_table

SHAPES = {
    "AIConfigurator": "CSV with model_path,system,backend,isl,osl,silicon_ttft_ms,silicon_tpot_ms",
    "measured rows": "CSV with model,accelerator,chips,engine,precision,input_len,output_len,concurrency,"
    "ttft_ms,tpot_ms",
    "vLLM bench serve": "JSON with model_id, max_concurrency, mean_ttft_ms, mean_tpot_ms, total_input_tokens",
    "GuideLLM": "JSON with benchmarks, each with metrics.time_to_first_token_ms",
    "AIPerf": "JSON with time_to_first_token, inter_token_latency, input_config: profile_export_aiperf.json",
}
SIZES = ("tp_size", "pp_size", "attention_dp_size")
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


def read_throughput(
    path: Path,
    accelerator: str | None = None,
    chips: int | None = None,
    precision: str | None = None,
    engine: str | None = None,
    model: str | None = None,
    as_of: str | None = None,
    source: str | None = None,
) -> tuple[Imported[MeasuredRow], list[MeasuredPoint]]:
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
    list of MeasuredPoint
        see `operating_points`

    Raises
    ------
    InputError
        with every finding.
    """
    given = {"accelerator": accelerator, "chips": None if chips is None else str(chips), "precision": precision,
             "engine": engine, "model": model, "as_of": stated_date(as_of), "source": source}  # fmt: skip
    run = ThroughputImport(unit="results", given=given)
    results = load(path, run, lines=True)
    if isinstance(results, Table):
        run.what, loop_of = _table_reader(results)
        for line, row in results.rows:
            run.take(results.at(line), loop_of(row, results.at(line), run))
    else:
        for at, data in results:
            run.what, loops_of = _json_reader(data, at)
            for place, stated in loops_of(data, at, path.name, run):
                run.take(place, stated)
    run.raise_errors()
    points = operating_points(run, run.splits)
    run.more["points"] = len(points)
    return run, points


def _table_reader(table: Table) -> tuple[str, Callable[[dict[str, str], str, Source], Stated]]:
    """The shape of a table, and what reads its rows."""
    if not table.lacks(SILICON_COLUMNS):
        return "AIConfigurator silicon table", _silicon
    if not table.lacks(ROW_COLUMNS):
        return "table of measured rows", _measured
    silicon = len(table.lacks(("silicon_ttft_ms", "isl"))) < 2
    raise unknown_table(table, SILICON_COLUMNS if silicon else ROW_COLUMNS, SHAPES)


def _json_reader(data: Any, at: str) -> tuple[str, Callable[[Mapping[str, Any], str, str, Source], Loops]]:
    """The shape of a result in JSON, and what reads it."""
    if isinstance(data, dict):
        if isinstance(data.get("benchmarks"), list):
            return "GuideLLM", guidellm
        if "aiperf_version" in data or {"time_to_first_token", "input_config"} <= data.keys():
            return "AIPerf", aiperf
        if {"mean_ttft_ms", "mean_tpot_ms"} & data.keys():
            return "vLLM bench serve", vllm
    raise unknown_data(at, data, SHAPES)


def _silicon(row: dict[str, str], where: str, source: Source) -> Stated:
    """A row of AIConfigurator's table of measurements (silicon_sample.csv)."""
    notes = row.get("silicon_data_source", "")
    if row["mode"] != "agg":
        return "prefill and decode on separate machines: no replica of one kind"
    if blank(row["silicon_ttft_ms"]) or blank(row["silicon_tpot_ms"]):
        return NO_TIMES
    if reason := not_capacity(notes + " " + row.get("id", "")):
        return reason
    cells = {name: value for name, value in row.items() if not blank(value)}
    sizes = [source.count(cells.get(name, "1"), f"{where}: {name}", "a count", 1) for name in SIZES]
    batch = source.count(cells.get("batch_size", "1"), f"{where}: batch_size", "a count", 1)
    tensor, pipeline, data_parallel = sizes
    if tensor is None or pipeline is None or data_parallel is None or batch is None:
        return None
    concurrency = re.search(r"silicon_concurrency=(\d+)", notes)
    measured = re.search(r"measured=(\S+?)(;|$)", notes)
    engine = [name for name in (row["backend"], row.get("backend_version", "")) if not blank(name)]
    return Loop(
        figures={
            "input_len": ("isl", cells.get("isl")),
            "output_len": ("osl", cells.get("osl")),
            "concurrency": ("concurrency", concurrency[1] if concurrency else batch * data_parallel),
            "ttft_ms": ("silicon_ttft_ms", cells["silicon_ttft_ms"]),
            "tpot_ms": ("silicon_tpot_ms", cells["silicon_tpot_ms"]),
        },
        about={
            "model": row["model_path"],
            "accelerator": SYSTEMS.get(row["system"], row["system"]),
            "chips": tensor * pipeline * data_parallel,
            "engine": " ".join(engine),
            "precision": row["precision"],
            "source": f"AIConfigurator silicon table, id={row.get('id') or where.rpartition(':')[2]}",
            "as_of": measured[1] if measured else None,
        },
        split="/".join(row.get(name, "") for name in (*SIZES, "moe_tp_size", "moe_ep_size")),
        means=False,
    )


def _measured(row: dict[str, str], where: str, source: Source) -> Stated:
    """A row whose columns are those of the rows, with what else there is (tput_kind, note, engine_version)."""
    if row.get("tput_kind") == "measured_max_load":
        return "all requests queued at once: an upper bound without a limit on latency"
    if blank(row["ttft_ms"]) or blank(row["tpot_ms"]):
        return NO_TIMES
    if blank(row["concurrency"]):
        return "concurrency not stated"
    if reason := not_capacity(row.get("note", "")):
        return reason
    engine = [name for name in (row["engine"], row.get("engine_version", "")) if not blank(name)]
    origin = row.get("source") or where
    split = re.search(r"_(cfg\d+|tp[\d_]+_?ep[a-z0-9]+(_0)?)", origin)  # as the id of a row says: cfg733, or tp4_ep1
    figures = ("input_len", "output_len", "concurrency", "ttft_ms", "tpot_ms")
    about = {name: row[name] for name in ("model", "accelerator", "chips", "precision")}
    return Loop(
        figures={name: (name, row[name]) for name in figures},
        about=about | {"engine": " ".join(engine), "source": origin, "as_of": row.get("as_of")},
        output_tokens_per_second=figure_of(row.get("output_tok_s")),
        split=split[1] if split else "",
        means=False,
    )
