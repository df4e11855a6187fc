"""Tables of round trips between regions into rows of round_trips.csv.

A table has a row for each pair, or is a matrix: a row and a column for each region, as CSV or as JSON (CloudPing's
answer, or `{from: {to: ms}}`).
"""

from pathlib import Path
from typing import Any

from planner.importers.source import (
    Imported,
    Table,
    columns_of,
    date_of,
    is_json,
    load_json,
    load_table,
    load_text,
    number,
    record,
    refuse,
    stated_date,
    stop_on_errors,
    unknown_shape,
    within_length,
    without_conflicts,
)
from planner.study.places import Reading, listed, near_miss, printable_path, quoted, unquoted
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
    text, where, reading = load_text(path), printable_path(path), Reading()
    stated = stated_date(as_of)
    out: Imported[RoundTrip] = Imported("round trips between regions", "pairs")
    if is_json(text):
        table, statistic = _json_matrix(load_json(text, where), where, out)
    else:
        table, statistic = load_table(text, where, reading), ""
        if not columns and _is_matrix(table):
            table = _pairs(table)
    of = _columns(table, columns)
    if table.header[0] == CELL:
        _check_options(where, table, provider, stated, source, reading)
    rows: list[tuple[RoundTrip, str]] = []
    for line, row in table.rows:
        out.read += 1
        if not row[of["ms"]] or row[of["ms"]] in ("-", "null"):
            out.skip("no figure")
            continue
        ms = number(row[of["ms"]], table.at(line, row.get(CELL, of["ms"])), "a round trip [ms]", reading)
        ends = [_region(row, of, end, provider, table, line, reading) for end in ("from", "to")]
        dated = row[of["as_of"]] if "as_of" in of else None
        date = stated or date_of(dated)
        if date is None:
            got = quoted(dated) if dated is not None else "no column of dates"
            reading.error(table.at(line, of.get("as_of", "")), "the date of the figure", got, "give --as-of")
        said = source or (row[of["source"]] if "source" in of else "")
        if not said:
            reading.error(table.at(line, of.get("source", "")), "where the figure is from", "nothing", "give --source")
        if ms is None or None in ends or date is None or not said:
            continue
        kind = {"rtt_p50_ms": "median", "rtt_avg_ms": "mean"}.get(of["ms"], statistic)
        data = {
            "evidence": "measured",
            "source": within_length(f"{said}, {kind}" if kind else said),
            "as_of": date,
            "from_region": ends[0],
            "to_region": ends[1],
            "round_trip_ms": ms,
        }
        if (made := record(RoundTrip, data, table.at(line), reading)) is not None:
            rows.append((made, date))
    stop_on_errors(reading)
    out.rows = without_conflicts(rows, lambda r: f"{r.from_region} to {r.to_region}", lambda r: r.round_trip_ms, out)
    if of["ms"] == "rtt_avg_ms" or statistic == "mean":
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
    made = [(line, _pair(row[first], column, row[column])) for line, row in table.rows for column in table.header[1:]]
    return Table(table.file, (CELL, "from_region", "to_region", "round_trip_ms"), made)


def _pair(start: str, end: str, ms: str) -> dict[str, str]:
    """One cell of a matrix."""
    return {CELL: f"{start} to {end}", "from_region": start, "to_region": end, "round_trip_ms": ms}


def _json_matrix(data: Any, where: str, out: Imported[RoundTrip]) -> tuple[Table, str]:
    """A matrix as JSON as a row for each pair, and which figure it holds, as far as it says.

    Raises
    ------
    InputError
        when it is no matrix, or not in milliseconds.
    """
    about = data.get("metadata") if isinstance(data, dict) else None
    about = about if isinstance(about, dict) else {}
    matrix = data.get("data") if isinstance(data, dict) and "data" in data else data
    if not isinstance(matrix, dict) or not matrix or not all(isinstance(row, dict) for row in matrix.values()):
        got = f"the fields {listed(data)}" if isinstance(data, dict) else quoted(data)
        raise unknown_shape(where, got, SHAPES)
    if about.get("unit") not in MS_UNITS:
        raise refuse(f"{where}: metadata.unit", "milliseconds", quoted(about["unit"]), "fetch them in milliseconds")
    day = {} if date_of(about.get("timestamp")) is None else {"as_of": str(about["timestamp"])}
    rows = []
    for start, row in matrix.items():
        for end, ms in row.items():
            text = "" if ms is None else repr(ms) if isinstance(ms, int | float) else str(ms)
            rows.append((0, _pair(start, end, text) | day))
    if about.get("percentile") is not None:
        out.what = "round trips between regions, as CloudPing answers"
    said = str(about.get("percentile") or "")
    return Table(where, (CELL, "from_region", "to_region", "round_trip_ms", *day), rows), STATISTICS.get(said, said)


def _check_options(
    where: str, table: Table, provider: str | None, as_of: str | None, source: str | None, reading: Reading
) -> None:
    """What a matrix cannot say, each once rather than for every cell.

    Raises
    ------
    InputError
        when an option is missing.
    """
    if not provider and (bare := next((row for _, row in table.rows if "/" not in row["from_region"]), None)):
        fix = "give --provider, as in --provider aws"
        reading.error(f"{where}: regions", "provider/region", quoted(bare["from_region"]), fix)
    if not as_of and "as_of" not in table.header:
        reading.error(where, "the date of the figures", "a matrix, which has none", "give --as-of")
    if not source:
        reading.error(where, "where the figures are from", "a matrix, which does not say", "give --source")
    stop_on_errors(reading)


def _columns(table: Table, spec: str | None) -> dict[str, str]:
    """Fields and their columns: as told, else of a documented shape."""
    header = set(table.header)
    given = columns_of(spec, FIELDS, table.header, table.file)
    found: dict[str, str] = {name: name for name in ("source", "as_of") if name in header}
    figure = next((name for name in MS if name in header), None)
    if {"src_region", "dst_region"} <= header and figure is not None:
        found |= {"from": "src_region", "to": "dst_region", "ms": figure}
        if {"src_cloud", "dst_cloud"} <= header:
            found |= {"from_provider": "src_cloud", "to_provider": "dst_cloud"}
    elif {"from_region", "to_region", "round_trip_ms"} <= header:
        found |= {"from": "from_region", "to": "to_region", "ms": "round_trip_ms"}
    found |= given
    if not {"from", "to", "ms"} <= found.keys():
        missing = [name for name in ("from", "to", "ms") if name not in found]
        hint = near_miss("src_region", table.header) if "from" in missing else ""
        got = f"the columns {listed(table.header)}, none for {' and '.join(missing)}{hint}"
        raise unknown_shape(f"{table.file}:1", got, SHAPES)
    return found


def _region(
    row: dict[str, str], of: dict[str, str], end: str, provider: str | None, table: Table, line: int, reading: Reading
) -> str | None:
    """`provider/region` of one end; None with a finding."""
    name, column = row[of[end]], of.get(f"{end}_provider")
    stated = row[column].lower() if column is not None else provider
    stated = PROVIDERS.get(stated, stated) if stated is not None else None
    if stated and name and "/" not in name:
        name = f"{stated}/{name}"
    if not is_region_id(name):
        fix = f"write provider/region, name a column with --columns {end}_provider=..., or give --provider"
        if stated:  # asked for no provider again: what is written is no region
            fix = f"write a region of {unquoted(stated)} without a slash, or provider/region with one"
        reading.error(table.at(line, of[end]), "provider/region", quoted(name), fix)
        return None
    return name


def is_region_id(name: str) -> bool:
    """Whether a text is `provider/region`."""
    provider, slash, region = name.partition("/")
    return bool(provider.strip() and slash and region.strip()) and "/" not in region
