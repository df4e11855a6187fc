"""Tables of round trips between regions into rows of round_trips.csv.

A table has a row for each pair, or is a matrix: a row and a column for each region, as CSV or as JSON (CloudPing's
answer, or `{from: {to: ms}}`).
"""

from pathlib import Path
from typing import Any

from planner.errors import refusal
from planner.importers.source import (
    Imported,
    Table,
    columns_of,
    date_of,
    fields_of,
    load,
    stated_date,
    unknown_data,
    unknown_shape,
    within_length,
)
from planner.study.places import listed, near_miss, printable_path, quoted, unquoted
from planner.study.records.inventory import RoundTrip

FIELDS = ("from", "to", "ms", "from_provider", "to_provider", "source", "as_of")
"""What `--columns` can name. `from` and `to` hold `provider/region`, or regions of the providers named beside them."""
MS = ("rtt_p50_ms", "rtt_ms", "rtt_avg_ms")
"""Columns of the documented shape that hold the figure, the best first: a median is what the record asks for."""
PROVIDERS = {"gcp": "google", "google cloud": "google", "amazon": "aws", "microsoft": "azure"}

SHAPES = {
    "region to region": "CSV with src_cloud,src_region,dst_cloud,dst_region and rtt_ms, rtt_p50_ms or rtt_avg_ms",
    "round_trips.csv": "CSV with from_region,to_region,round_trip_ms",
    "matrix": "CSV with a row and a column for each region, figures in ms",
    "matrix as JSON": "{from: {to: ms}}, alone or under `data` beside `metadata` as CloudPing writes it",
    "any CSV": "with --columns from=A,to=B,ms=C",
}
MS_UNITS = (None, "ms", "milliseconds")
STATISTICS = {"p_50": "median", "latency": "mean"}
"""CloudPing's names of figures in words; others are told as they are."""
CELL = "row and column"
PAIR = (CELL, "from_region", "to_region", "round_trip_ms")
"""Columns of a matrix as a row for each pair."""


def read_round_trips(
    path: Path,
    columns: str | None = None,
    provider: str | None = None,
    as_of: str | None = None,
    source: str | None = None,
) -> Imported[RoundTrip]:
    """A table of round trips as rows of round_trips.csv.

    Parameters
    ----------
    path : a row for each pair of regions, or a matrix of them, CSV or JSON; figures in ms
    columns : `field=column,...` with fields of FIELDS, for a table of another shape
    provider : whose the regions are, where neither they nor a column says so
    as_of : date of the figures, where the table states none (year, month or day); it counts before the table's
    source : where the figures are from, where the table does not say

    Returns
    -------
    Imported
        rows in ms, one per direction of a pair, in the order of their regions.

    Raises
    ------
    InputError
        with every finding.
    """
    stated = stated_date(as_of)
    out = Imported[RoundTrip](what="round trips between regions", unit="pairs")
    table, statistic = load(path, out), ""
    if not isinstance(table, Table):
        table, statistic = _json_matrix(table, printable_path(path), out)
    elif not columns and _is_matrix(table):
        table = _pairs(table)
    of = _columns(table, columns)
    statistic = {"rtt_p50_ms": "median", "rtt_avg_ms": "mean"}.get(of["ms"], statistic)
    if table.header[0] == CELL:
        _check_options(table, provider, stated, source, out)
    dated: list[tuple[RoundTrip, str]] = []
    for line, row in table.rows:
        out.read += 1
        if row[of["ms"]] in ("", "-", "null"):
            out.skip("no figure")
            continue
        ms = out.number(row[of["ms"]], table.at(line, row.get(CELL, of["ms"])), "a round trip [ms]")
        start, end = (_region(row, of, end, provider, table.at(line, of[end]), out) for end in ("from", "to"))
        in_table = {name: row[of[name]] for name in ("as_of", "source") if name in of}
        date = out.date(stated or in_table.get("as_of"), table.at(line, of.get("as_of", "")), "figure")
        origin = source or in_table.get("source")
        if not origin:
            out.error(table.at(line, of.get("source", "")), "where the figure is from", "nothing", "give --source")
        if ms is None or start is None or end is None or date is None or not origin:
            continue
        data = {
            "evidence": "measured",
            "source": within_length(f"{origin}, {statistic}" if statistic else origin),
            "as_of": date,
            "from_region": start,
            "to_region": end,
            "round_trip_ms": ms,
        }
        record = out.record(RoundTrip, data, table.at(line))
        if record is not None:
            dated.append((record, date))
    out.raise_errors()
    out.keep_latest(dated, lambda r: f"{r.from_region} to {r.to_region}", lambda r: r.round_trip_ms)
    if statistic == "mean":
        out.notes.append("means, where the planner asks for medians: a mean is the longer of the two")
    elif statistic not in ("", "median"):
        out.notes.append(f"{statistic}, where the planner asks for medians: fetch the medians (p_50) if there are any")
    return out


def _is_matrix(table: Table) -> bool:
    """Whether a table has a column for a region of each row."""
    rows = {row[table.header[0]] for _, row in table.rows} - {""}
    columns = set(table.header[1:])
    return bool(rows & columns) and (rows <= columns or columns <= rows)


def _pairs(table: Table) -> Table:
    """A matrix as a row for each pair, which keeps its line and says which cell it was."""
    first = table.header[0]
    pairs = []
    for line, row in table.rows:
        pairs += [(line, _pair(row[first], column, row[column])) for column in table.header[1:]]
    return Table(table.file, PAIR, pairs)


def _pair(start: str, end: str, ms: str) -> dict[str, str]:
    """One cell of a matrix."""
    return dict(zip(PAIR, (f"{start} to {end}", start, end, ms), strict=True))


def _json_matrix(data: Any, where: str, out: Imported[RoundTrip]) -> tuple[Table, str]:
    """A matrix as JSON as a row for each pair, and which figure it holds, as far as it says.

    Raises
    ------
    InputError
        when it is no matrix, or not in milliseconds.
    """
    about = fields_of(fields_of(data).get("metadata"))
    matrix = data["data"] if isinstance(data, dict) and "data" in data else data
    if not isinstance(matrix, dict) or not matrix or not all(isinstance(row, dict) for row in matrix.values()):
        raise unknown_data(where, data, SHAPES)
    if about.get("unit") not in MS_UNITS:
        raise refusal(f"{where}: metadata.unit", "milliseconds", quoted(about["unit"]), "fetch them in milliseconds")
    day = {} if date_of(about.get("timestamp")) is None else {"as_of": str(about["timestamp"])}
    rows = []
    for start, row in matrix.items():
        for end, ms in row.items():
            text = "" if ms is None else repr(ms) if isinstance(ms, int | float) else str(ms)
            rows.append((0, _pair(start, end, text) | day))
    if about.get("percentile") is not None:
        out.what = "round trips between regions, as CloudPing answers"
    percentile = str(about.get("percentile") or "")
    return Table(where, (*PAIR, *day), rows), STATISTICS.get(percentile, percentile)


def _check_options(
    table: Table, provider: str | None, as_of: str | None, source: str | None, out: Imported[RoundTrip]
) -> None:
    """What a matrix cannot say, each once rather than for every cell.

    Raises
    ------
    InputError
        when an option is missing.
    """
    plain = [row["from_region"] for _, row in table.rows if "/" not in row["from_region"]]
    if not provider and plain:
        fix = "give --provider, as in --provider aws"
        out.error(f"{table.file}: regions", "provider/region", quoted(plain[0]), fix)
    if not as_of and "as_of" not in table.header:
        out.error(table.file, "the date of the figures", "a matrix, which has none", "give --as-of")
    if not source:
        out.error(table.file, "where the figures are from", "a matrix, which does not say", "give --source")
    out.raise_errors()


def _columns(table: Table, spec: str | None) -> dict[str, str]:
    """Fields and their columns: as named, else of a documented shape."""
    header = set(table.header)
    columns: dict[str, str] = {name: name for name in ("source", "as_of") if name in header}
    figure = next((name for name in MS if name in header), None)
    if {"src_region", "dst_region"} <= header and figure is not None:
        columns |= {"from": "src_region", "to": "dst_region", "ms": figure}
        if {"src_cloud", "dst_cloud"} <= header:
            columns |= {"from_provider": "src_cloud", "to_provider": "dst_cloud"}
    elif {"from_region", "to_region", "round_trip_ms"} <= header:
        columns |= {"from": "from_region", "to": "to_region", "ms": "round_trip_ms"}
    columns |= columns_of(spec, FIELDS, table)
    missing = [name for name in ("from", "to", "ms") if name not in columns]
    if missing:
        hint = near_miss("src_region", table.header) if "from" in missing else ""
        got = f"the columns {listed(table.header)}, none for {' and '.join(missing)}{hint}"
        raise unknown_shape(f"{table.file}:1", got, SHAPES)
    return columns


def _region(
    row: dict[str, str], of: dict[str, str], end: str, provider: str | None, at: str, out: Imported[RoundTrip]
) -> str | None:
    """`provider/region` of one end; None with a finding."""
    name, column = row[of[end]], of.get(f"{end}_provider")
    stated = row[column].lower() if column is not None else provider
    stated = PROVIDERS.get(stated, stated) if stated is not None else None
    if stated and name and "/" not in name:
        name = f"{stated}/{name}"
    parts = [part.strip() for part in name.split("/")]
    if len(parts) == 2 and all(parts):
        return name
    fix = f"write provider/region, name a column with --columns {end}_provider=..., or give --provider"
    if stated:  # asked for no provider again: what is written is no region
        fix = f"write a region of {unquoted(stated)} without a slash, or provider/region with one"
    out.error(at, "provider/region", quoted(name), fix)
    return None
