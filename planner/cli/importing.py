"""`planner import KIND SOURCE`: what other programs write, into the planner's own files."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.console import answered, as_json, check_out, emit, progress, tell
from planner.cli.reporting import App

if TYPE_CHECKING:
    from planner.importers.source import Imported

app = App(
    name="import",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Turn price lists, latency tables, benchmarks and request traces into the planner's own files.\n\n"
    "A source is a file that was fetched before: nothing is downloaded. "
    "What was read, skipped and why is told on stderr.\n\n"
    "Example: `planner import prices answer.json --as-of 2026-11-20 --out prices.csv`",
)


class ReportFormat(StrEnum):
    """How the report of an import is written."""

    text = "text"
    json = "json"


Source = Annotated[Path, typer.Argument(help="file to import, as it was fetched")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")]
AsFormat = Annotated[
    ReportFormat, typer.Option("--format", "-f", help="of the report; json goes to stdout when --out is given")
]
AsOf = Annotated[str | None, typer.Option("--as-of", help="date of the figures: year, month or day")]
From = Annotated[str | None, typer.Option("--source", help="where the figures are from")]
Columns = Annotated[str | None, typer.Option("--columns", help="field=column,... for a table of another shape")]


def _finish(out: "Imported[Any]", text: str, path: Path | None, format: ReportFormat) -> None:
    """Write the rows, never over the source, and the report; exit 1 when nothing could be used."""
    if out.rows:
        emit(text, path)
    if format == ReportFormat.json and path is not None:
        emit(as_json(out.as_dict()), None)
    else:
        tell(as_json(out.as_dict()) if format == ReportFormat.json else out.as_text())
    if not out.rows:
        tell("nothing to import in it; nothing was written")
        raise SystemExit(1)


@app.command()
def prices(
    source: Source,
    out: Out = None,
    as_of: AsOf = None,
    where_from: From = None,
    provider: Annotated[str | None, typer.Option(help="of a SkyPilot catalogue: aws, azure or google")] = None,
    units: Annotated[
        list[str] | None, typer.Option(help="SKU=machine-type:units, for a Google SKU that is a part of a machine")
    ] = None,
    inventory: Annotated[Path | None, typer.Option(help="keep only prices of offers of this inventory")] = None,
    format: AsFormat = ReportFormat.text,
) -> None:
    """Price lists into prices.csv: AWS price list, Azure retail prices, Google billing SKUs, SkyPilot catalogue.

    The shape is recognised. Left out, and counted: Windows, capacity blocks at 0.00, placeholders, spot without a
    market. A reservation's price is for its whole term and is divided by its hours. Exit 1 when no price is left.

    Examples: `planner import prices answer.json --out prices.csv` ·
    `planner import prices vms.csv --as-of 2026-11 --inventory inventories --out prices.csv`
    """
    with answered(format):
        from planner.importers.prices import read_prices
        from planner.importers.source import csv_text
        from planner.study.records.inventory import Price

        with progress(stage=f"reading {source}"):
            imported = read_prices(source, as_of, where_from, provider, tuple(units or ()), inventory)
        _finish(imported, csv_text(Price, imported.rows), out, format)


@app.command("round-trips")
def round_trips(
    source: Source,
    out: Out = None,
    columns: Columns = None,
    provider: Annotated[str | None, typer.Option(help="whose the regions are, where the table does not say")] = None,
    as_of: AsOf = None,
    where_from: From = None,
    format: AsFormat = ReportFormat.text,
) -> None:
    """Latency tables into round_trips.csv.

    Known without --columns: src_cloud, src_region, dst_cloud, dst_region with rtt_p50_ms, rtt_ms or rtt_avg_ms; a
    matrix with a row and a column for each region; the same as JSON, {from: {to: ms}} or as CloudPing answers.

    Examples: `planner import round-trips latency.csv --out round_trips.csv` ·
    `planner import round-trips pings.csv --columns from=a,to=b,ms=p50 --provider aws --as-of 2026-11 --source ours` ·
    `planner import round-trips cloudping.json --provider aws --as-of 2026-11 --source cloudping.co`
    """
    with answered(format):
        from planner.importers.round_trips import read_round_trips
        from planner.importers.source import csv_text
        from planner.study.records.inventory import RoundTrip

        with progress(stage=f"reading {source}"):
            imported = read_round_trips(source, columns, provider, as_of, where_from)
        _finish(imported, csv_text(RoundTrip, imported.rows), out, format)


@app.command()
def throughput(
    source: Source,
    out: Out = None,
    points: Annotated[Path | None, typer.Option(help="YAML to write: operating points of pairs of shapes")] = None,
    accelerator: Annotated[str | None, typer.Option(help="the chip, where the source does not say")] = None,
    chips: Annotated[
        int | None, typer.Option(min=1, help="chips of the replica, where the source does not say")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="of the weights, where the source does not say")] = None,
    engine: Annotated[str | None, typer.Option(help="serving software, where the source does not say")] = None,
    model: Annotated[str | None, typer.Option(help="model, where the source does not say")] = None,
    as_of: AsOf = None,
    where_from: From = None,
    format: AsFormat = ReportFormat.text,
) -> None:
    """Benchmarks into a table of measured rows: AIConfigurator, vLLM bench serve, GuideLLM, AIPerf.

    Left out, and counted with their places: rows with a shared prefix, with one token of output, and those whose own
    throughput is not that of their times.
    Two shapes of one configuration at the same concurrency and output give prefill and decode rates (--points).

    Examples: `planner import throughput silicon.csv --out measured.csv --points points.yaml` ·
    `planner import throughput result.json --accelerator H100-SXM-80GB --chips 8 --precision fp8 --out measured.csv`
    """
    with answered(format):
        from planner.importers.operating_points import MeasuredRow, points_yaml
        from planner.importers.source import csv_text
        from planner.importers.throughput import read_throughput

        check_out(points, "--points")
        check_out(out)
        with progress(stage=f"reading {source}"):
            imported, made = read_throughput(source, accelerator, chips, precision, engine, model, as_of, where_from)
        if points is not None and made:
            emit(points_yaml(made), points, "--points")
        _finish(imported, csv_text(MeasuredRow, imported.rows), out, format)
        if points is not None and not made:
            tell("no two shapes of one configuration: no operating point was written")


@app.command()
def demand(
    source: Source,
    origin: Annotated[list[str], typer.Option(help="NAME=SHARE of the requests; shares sum to 1")],
    out: Out = None,
    scale: Annotated[float, typer.Option(help="factor on the trace's rate")] = 1.0,
    workload: Annotated[
        list[str] | None, typer.Option(help="CLASS=NAME, or NAME for all classes; default: named as the class")
    ] = None,
    columns: Columns = None,
    shape: Annotated[
        Path | None, typer.Option(help="YAML to write: hours and shapes, of a trace of a day and more")
    ] = None,
    workloads: Annotated[
        Path | None, typer.Option(help="YAML to write: tokens of each workload, how they vary, burst factor")
    ] = None,
    format: AsFormat = ReportFormat.text,
) -> None:
    """Request traces into demand.csv by context class, with rate percentiles and burst factor.

    Known without --columns: Azure LLM inference traces, Mooncake, BurstGPT. Others: timestamp (or timestamp_s,
    timestamp_ms), input, output. Requests without output failed: they are left out, and counted. A trace of a day and
    more gives factors over the hours of a day; with --shape the rows refer to them. --workloads writes what a study
    says of its workloads: mean tokens and quantiles, and the burst factor of the busiest minute.

    Examples: `planner import demand trace.csv --origin london=0.6 --origin tokyo=0.4 --workload chat --scale 100` ·
    `planner import demand log.csv --columns timestamp=time,input=prompt,output=completion --origin london=1`
    """
    with answered(format):
        from planner.importers.demand import read_demand, shapes_yaml, workloads_yaml
        from planner.importers.source import csv_text
        from planner.study.records.study import Demand

        for path, option in ((shape, "--shape"), (workloads, "--workloads")):
            if path is not None:
                check_out(path, option)
        with progress(stage=f"reading {source}"):
            imported = read_demand(
                source, _shares(origin), scale, _workloads(workload or []), columns, shape is not None
            )
        if shape is not None and "day" in imported.more:
            emit(shapes_yaml(imported), shape, "--shape")
        if workloads is not None and imported.rows:
            emit(workloads_yaml(imported, scale), workloads, "--workloads")
        _finish(imported, csv_text(Demand, imported.rows), out, format)
        if shape is not None and "day" not in imported.more:
            tell("less than a day: no shape was written")


def _shares(texts: list[str]) -> dict[str, float]:
    """`NAME=SHARE` by name."""
    from planner.importers.source import Source
    from planner.study.places import quoted

    source = Source()
    shares: dict[str, float] = {}
    for text in texts:
        name, _, share = text.rpartition("=")
        if not name or name in shares:
            got = quoted(text) if not name else f"{quoted(name)} twice"
            source.error("--origin", "NAME=SHARE, each name once", got, "as in --origin london=0.6")
        elif (value := source.number(share, f"--origin {name}", "a share")) is not None:
            shares[name] = value
    source.raise_errors()
    return shares


def _workloads(texts: list[str]) -> dict[str, str] | None:
    """`CLASS=NAME` by class; a NAME alone takes all classes."""
    from planner.errors import refusal

    if not texts:
        return None
    pairs = [text.partition("=") for text in texts]
    imported = {(first if equals else "*"): (name if equals else first) for first, equals, name in pairs}
    if len(imported) != len(texts) or ("*" in imported and len(imported) > 1) or not all(imported.values()):
        fix = "as in --workload chat, or --workload short=chat --workload long=documents"
        raise refusal("--workload", "one NAME, or CLASS=NAME for different classes", " ".join(texts), fix)
    return imported
