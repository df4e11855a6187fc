"""Tables to take away: CSV and workbooks say the numbers of the page; sums agree, and no text is a formula."""

import copy
import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from datetime import date, datetime

import openpyxl
import pytest
from report_keys import PINNED, keys_of, plan_of_two_periods, reports_of
from typer.testing import CliRunner

from planner.cli.main import app
from planner.review.figures import Figure, day, million_usd, number, percent, signed, usd
from planner.review.render import render
from planner.review.report import Column, Report, Section, Several, between
from planner.review.report_file import REPORT_SCHEMA_VERSION, ReportFile
from planner.review.tables import csv_files, csv_of, report_tables, value_of, xlsx_bytes, zipped

NUMERAL = re.compile(r"[-+≤≥×]? ?\d[\d,]*(\.\d+)?( ?(%|M|s|h|B|points))?")


@dataclass(frozen=True)
class Bill:
    """What somebody is to pay."""

    payer: str
    usd: float
    share_fraction: float
    due: date
    late: bool = False


def due(bill):
    return Figure(f"{bill.due}{' LATE' if bill.late else ''}", bill.due, note="LATE" if bill.late else "")


HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", 'a "quoted", name', "{=1}")
ALL = Bill("all", 7001.75, 1.0, date(2027, 2, 1), True)
BILLS = (*(Bill(name, 1000.25, 0.8, date(2027, 1, 1)) for name in HOSTILE), ALL)
COLUMNS = (
    Column("payer"),
    Column("USD", lambda row: million_usd(row.usd)),
    Column("share", lambda row: percent(row.share_fraction)),
    Column("due", due),
    Column("", lambda row: "late" if row.late else None),
    Column("never", when=False),
)
BILL = Section("BILL (all of it)", ("to pay", Several(("a", "b"), "more", 1)), COLUMNS, BILLS, most=2, total=ALL)
REPORT = Report("=bill", True, (Section("ANSWER", ("=2+2",)), BILL), all_rows=False)


def read_back(report, formulas=True):
    return openpyxl.load_workbook(io.BytesIO(xlsx_bytes(report)), data_only=not formulas)


def summed(sheet, cell):
    """What a cell shows: of a formula, which can be a sum down a column alone, its sum."""
    if cell.data_type != "f":
        return cell.value
    column, first, last = re.fullmatch(r"=SUM\(([A-Z]+)(\d+):\1(\d+)\)", cell.value).groups()
    parts = [sheet[f"{column}{n}"].value for n in range(int(first), int(last) + 1)]
    return sum(part for part in parts if isinstance(part, int | float))


# ------------------------------------------------------------------ worked
def test_csv_has_every_row_with_numbers_as_numbers_and_no_formula():
    rows = list(csv.reader(io.StringIO(csv_of(REPORT))))
    assert rows[0] == ["payer", "USD", "share", "due", "due, note", "column 6"]
    assert [row[0] for row in rows[1:8]] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "\\t=1+1",
        'a "quoted", name',
        "{=1}",
    ]
    assert rows[1][1:] == ["1000.25", "0.8", "2027-01-01", "", ""]
    assert rows[8] == ["all", "7001.75", "1", "2027-02-01", "LATE", "late"]


def test_a_workbook_has_types_formats_a_frozen_header_and_sums_that_agree():
    book, cached = read_back(REPORT), read_back(REPORT, formulas=False)
    assert book.sheetnames == ["answer", "bill"]
    lines, sheet = book["answer"], book["bill"]
    assert [[cell.value for cell in row] for row in lines.iter_rows(min_row=2)] == [
        ["answer", "=bill"],
        ["answer", "=2+2"],
        ["bill", "to pay"],
        ["bill", "a"],
        ["bill", "b"],
    ]
    assert {cell.data_type for row in lines.iter_rows() for cell in row} == {"s"}
    assert sheet.freeze_panes == lines.freeze_panes == "A2"
    for n, name in enumerate(HOSTILE, 2):
        assert sheet.cell(n, 1).data_type == "s" and sheet.cell(n, 1).value == name.replace("\t", "\\t")
    assert sheet["B2"].value == 1000.25 and sheet["B2"].number_format == '#,##0 "USD"'
    assert sheet.column_dimensions["B"].width > len("1,000 USD"), "a number that does not fit is shown as ####"
    assert sheet["C2"].value == 0.8 and sheet["C2"].number_format == "0 %"
    assert sheet["D2"].value == datetime(2027, 1, 1) and sheet["D2"].number_format == "yyyy-mm-dd"
    assert sheet["B9"].value == "=SUM(B2:B8)" and summed(sheet, sheet["B9"]) == 7001.75 == cached["bill"]["B9"].value
    assert sheet["C9"].value == 1, "shares do not add up to the total that is stated: it stays a number"
    assert sheet["E9"].value == "LATE"


def test_columns_that_add_up_have_a_total_where_the_report_has_none():
    columns = (Column("payer"), Column("USD", lambda row: usd(row.usd), adds=True))
    sheet = read_back(Report("t", True, (Section("B", (), columns, BILLS[:3]),)))["b"]
    assert [cell.value for cell in sheet[5]] == ["total", "=SUM(B2:B4)"] and summed(sheet, sheet["B5"]) == 3000.75


def test_what_a_figure_says_beside_its_number_has_a_column_of_its_own():
    columns = (Column("payer"), Column("differ by", lambda row: between((row.usd, row.usd + 1))))
    (table,) = report_tables(Report("t", True, (Section("B", (), columns, BILLS[:1]),)))
    assert (
        table.titles == ("payer", "differ by [USD]", "differ by, most [USD]") and table.rows[0][1] == "+1,000 to +1,001"
    )
    assert [value_of(cell) for cell in table.rows[0]] == ["=1+1", 1000.25, 1001.25] and table.rows[0][2].unit == "USD"
    assert copy.deepcopy(table.rows[0][1]).beside == {"most": 1001.25}


def test_the_same_report_gives_the_same_bytes_and_an_archive_a_file_a_table():
    assert xlsx_bytes(REPORT) == xlsx_bytes(REPORT)
    archive = zipped(csv_files(REPORT))
    assert archive == zipped(csv_files(REPORT))
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.namelist() == ["lines.csv", "bill.csv"]
        assert files.read("lines.csv").decode().splitlines()[1:3] == ['"answer","\'=bill"', '"answer","\'=2+2"']


def test_names_that_sheets_and_files_cannot_have():
    sections = [Section(title, (), COLUMNS[:1], BILLS[:1]) for title in ("A/B [c]", "a b", "A/B", "ANSWER", "X" * 40)]
    report = Report("t", True, tuple(sections))
    assert read_back(report).sheetnames == ["answer", "a b  c", "a b", "a b 2", "answer 2", "x" * 31]
    assert list(csv_files(report)) == [
        "lines.csv",
        "a-b-c.csv",
        "a-b.csv",
        "a-b-2.csv",
        "answer.csv",
        f"{'x' * 40}.csv",
    ]


def test_figures_are_texts_that_know_their_number():
    values = [figure.value for figure in (usd(1234.5), signed(-0.2), percent(0.9996), number(3.14159, ".1f"))]
    assert values == [1234.5, -0.2, 0.9996, 3.14159]
    assert day(date(2027, 1, 1)) == "2027-01-01" and value_of(day(date(2027, 1, 1))) == date(2027, 1, 1)
    assert value_of(number(0.1 + 0.2, "g")) == 0.3 and value_of(float("inf")) == "inf" and value_of(None) is None


# ------------------------------------------------------------------ of a plan
@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return plan_of_two_periods(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def reports(plan):
    return reports_of(plan)


def assert_says_its_number(cell):
    """The text of a figure is its number, rounded: to the last digit, or to three that count."""
    if isinstance(cell, Figure) and not isinstance(cell.value, date):
        said = re.search(r"([-+]?\d[\d,]*)(?:\.(\d+))?(?:e[-+]?\d+)?( ?(?:%|M|B|h|points)\b| %)?", cell)
        unit = (said[3] or "").strip()
        scale = {"%": 0.01, "points": 0.01, "M": 1e6, "B": 1e9, "h": 3600.0 if cell.unit == "s" else 1.0}.get(unit, 1.0)
        number = float(said[0].removesuffix(said[3] or "").replace(",", "")) * scale
        last_digit = scale * 10.0 ** -len(said[2] or "")
        assert abs(number - cell.value) <= max(last_digit, 5e-3 * abs(cell.value)), f"{cell} is said of {cell.value}"


def test_page_csv_and_workbook_say_the_same_numbers(reports):
    """Each cell of each table of each report: the row's own value, the text of it, the CSV's and the workbook's."""
    for report in reports.values():
        book, files = read_back(report), csv_files(report)
        sheets = iter(book.worksheets[1:])
        for table, data in zip(report_tables(report), list(files.values())[1:], strict=True):
            sheet, rows = next(sheets), list(csv.reader(io.StringIO(data.decode())))
            for n, row in enumerate(table.rows):
                for i, cell in enumerate(row):
                    assert_says_its_number(cell)
                    value, of_csv, of_book = value_of(cell), rows[n + 1][i], sheet.cell(n + 2, i + 1)
                    if isinstance(value, int | float):
                        assert float(of_csv) == value and summed(sheet, of_book) == pytest.approx(value, rel=1e-12)
                    elif isinstance(value, date):
                        assert of_csv == value.isoformat() and of_book.value.date() == value
                    else:
                        assert of_csv.removeprefix("'") == (value or "").removeprefix("'") and of_book.value == value


def test_totals_of_a_review_are_the_sums_that_it_states(plan, reports):
    book = read_back(reports["review"])
    order = book["order"]
    usd_at = next(cell.column for cell in order[1] if cell.value == "USD")
    total = summed(order, order.cell(order.max_row, usd_at))
    assert order.cell(order.max_row, usd_at).data_type == "f"
    assert total == pytest.approx(sum(row.usd for row in section(reports["review"], "ORDER").rows))
    money = book["money"]
    assert [cell.data_type for cell in money[money.max_row]][1:].count("f") >= 2
    cash_at = next(cell.column for cell in money[1] if cell.value == "cash [USD]")
    stated = sum(sum(by_name.values()) for by_name in plan.cash.by_period.values())
    assert summed(money, money.cell(money.max_row, cash_at)) == pytest.approx(stated)


def section(report, title):
    return next(section for section in report.sections if section.title == title)


def test_what_is_a_number_is_one(reports):
    """A cell that reads as a number is one: `number(x, ",.1f")`, not f"{x:,.1f}" (planner/review/figures.py)."""
    for report in reports.values():
        for table in report_tables(report):
            for title, cells in zip(table.titles, zip(*table.rows, strict=True), strict=True):
                if title in ("layers", "oldest", "newest", "as of"):
                    continue  # of some models "80, 20 full"; dates of which the year alone is known
                texts = [cell for cell in cells if isinstance(cell, str) and not isinstance(cell, Figure)]
                assert not [text for text in texts if NUMERAL.fullmatch(text)], f"{table.key}: {title}"


# ------------------------------------------------------------------ JSON
def test_every_report_as_json_has_the_documented_form_and_no_key_that_there_was_is_gone(reports):
    pinned = json.loads(PINNED.read_text())
    assert pinned["schema_version"] == REPORT_SCHEMA_VERSION, "pin the keys of the new version"
    for name, report in reports.items():
        data = json.loads(render(report, "json"))
        assert ReportFile.model_validate(data).schema_version == REPORT_SCHEMA_VERSION
        keys = keys_of(data)
        for part, of_part in pinned["keys"][name].items():
            gone = set(of_part) - set(keys.get(part, ()))
            assert part in keys and not gone, f"{name}, {part}: {gone} is gone: raise REPORT_SCHEMA_VERSION, pin anew"


# ------------------------------------------------------------------ the command line
@pytest.fixture(scope="module")
def plan_path(plan, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_text(plan.text)
    return path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_tables_of_a_plan_are_written_where_they_are_asked_for(plan_path, tmp_path):
    def risk(*words):
        return call("risk", plan_path, *words)

    first = tmp_path / "risk.xlsx"
    assert risk("--format", "xlsx", "--out", first).exit_code in (0, 1)
    assert openpyxl.load_workbook(first).sheetnames[0] == "answer"
    assert risk("--format", "xlsx", "--out", first).exit_code in (0, 1), "a workbook replaces a workbook"
    for out in (tmp_path / "risk.zip", tmp_path / "risk"):
        assert risk("--format", "csv", "--out", out).exit_code in (0, 1)
    assert sorted(zipfile.ZipFile(tmp_path / "risk.zip").namelist()) == sorted(
        p.name for p in (tmp_path / "risk").iterdir()
    )
    refused = risk("--format", "csv", "--out", tmp_path / "risk")
    assert refused.exit_code == 2 and "a new folder" in refused.stderr
    one = risk("--format", "csv", "--section", "tiers")
    assert one.stdout == (tmp_path / "risk" / "tiers.csv").read_text() and not one.stderr
    several = risk("--format", "csv")
    assert several.stdout.startswith("# ") and "--section NAME" in several.stderr
    text = risk("--section", "TIERS").stdout.split("\n")
    assert "TIERS" in text and "ANSWER" not in text


def test_json_for_short_and_what_does_not_go_together(plan_path):
    assert call("risk", plan_path, "--json").stdout == call("risk", plan_path, "--format", "json").stdout
    both = call("risk", plan_path, "--json", "--format", "md")
    assert both.exit_code == 2 and json.loads(both.stdout)["findings"][0]["where"] == "--json"
    for name, begins in (("risk.xlsx", b"PK"), ("risk.json", b"{"), ("risk.md", b"# "), ("risk.txt", b"risk of")):
        assert call("risk", plan_path, "--out", plan_path.with_name(name)).exit_code in (0, 1)
        assert plan_path.with_name(name).read_bytes().startswith(begins), "by the ending of its name"
    ending = call("risk", plan_path, "--json", "--out", plan_path.with_name("other.xlsx"))
    assert ending.exit_code == 2 and json.loads(ending.stdout)["findings"][0]["fix"] == "add --format xlsx"
    unknown = call("risk", plan_path, "--section", "tirs")
    assert unknown.exit_code == 2 and "did you mean 'tiers'?" in unknown.stderr


def test_every_command_with_a_format_has_json_and_every_report_a_section():
    from typer.main import get_command

    def options(command):
        return {option for param in command.params for option in param.opts}

    group = get_command(app)
    imports = set(group.commands["import"].commands.values())
    reporting = {command for command in group.commands.values() if "--format" in options(command)}
    assert len(reporting) >= 13 and all({"--json", "--section"} <= options(command) for command in reporting)
    with_format = {command for command in imports if "--format" in options(command)}
    assert with_format and all("--json" in options(c) and "--section" not in options(c) for c in with_format)
