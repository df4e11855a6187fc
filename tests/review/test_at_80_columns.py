"""At any width a table is a table: no line is longer, no number or name is broken, cells are below their titles."""

import random
import re
from pathlib import Path

import pytest
from sections import titles

from planner.problem.build import build
from planner.questions.risk.exposure import exposure
from planner.review.check import check_study
from planner.review.layout import LONGEST_WORD, folded, laid_out, tied, width_of
from planner.review.render import render
from planner.review.report import Column, Report, Section
from planner.review.risks import review_risks
from planner.review.terminal import text
from planner.review.written import Table, Written, written_section
from planner.study.read import read_study

EXAMPLES = Path(__file__).parents[2] / "examples"
WORDS = (
    "azure/eastus2/Standard_ND96isr_MI300X_v5",
    "any provider lost: 100 % within 300 s",
    "31 llama-3.3-70b, 1 qwen3-32b",
    "6.68 M",
    "21 of 21",
    "× 0.9993",
    "80 % (75 %)",
    "holds",
    "what is not due may differ there, what is due must hold in both",
    "東京/データセンター",
    "  speed gpt-oss-120b/nd-mi300x-mxfp4-tp1-128k long",
    "",
)


def words_of(line):
    return [word for word in line.replace("\u00a0", " ").split(" ") if word]


def check_tables(report, columns):
    """That each section with rows has a table, no line is longer, and every word that people copy is in one piece."""
    lines = render(report, "text").splitlines()
    assert max(map(width_of, lines)) <= columns
    rules = [line for line in lines if line and set(line) == {"─"}]
    with_rows = [section for section in report.sections if written_section(section, report).table.rows]
    assert len(rules) == len(with_rows)
    written = {word for line in lines for word in words_of(line)}
    for section in with_rows:
        for row in written_section(section, report).table.rows:
            for cell in row:
                assert {word for word in words_of(cell.text) if width_of(word) <= LONGEST_WORD} <= written, cell


@pytest.fixture(scope="module")
def reports():
    """Reports of the quickstart that need no plan, with names as long as they are."""
    study, warnings = read_study(EXAMPLES / "quickstart")
    return check_study(study, warnings, True), review_risks(exposure(study, build(study)), "risk", False)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_section_is_a_table(reports, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for report in reports:
        check_tables(report, columns)


@pytest.mark.parametrize("seed", range(12))
def test_any_table_is_laid_out_at_any_width(seed, monkeypatch):
    drawn = random.Random(seed)
    columns, width = drawn.randint(1, 12), drawn.choice([60, 72, 80, 120])
    rows = [tuple(drawn.choice(WORDS) for _ in range(columns)) for _ in range(drawn.randint(1, 9))]
    names = [drawn.choice(["pool", "order by", "above all when lost", "long-context", ""]) for _ in range(columns)]
    section = Section("T", (), tuple(column(name, n) for n, name in enumerate(names)), rows)
    monkeypatch.setenv("COLUMNS", str(width))
    report = Report("t", True, (section,))
    check_tables(report, width)
    layout = laid_out(written_section(section, report).table, width)
    assert [i for group in layout.groups for i, _ in group] == list(range(len(layout.columns))), "in their order"


def column(name, place):
    return Column(name, lambda row: row[place])


def test_columns_stand_below_their_titles_also_on_the_second_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = ("azure/eastus2/Standard_ND96isr_MI300X_v5", "azure/westus3/Standard_ND96isr_MI300X_v5")
    rows = [(names[0], "2026-12-04", "6.68 M", "stack cuda"), (names[1], "2026-12-18", "7.57 M", "")]
    section = Section("T", (), tuple(map(column, ("pool", "order by", "USD", "when lost"), range(4))), rows)
    assert render(Report("t", True, (section,)), "text").splitlines()[3:] == [
        "pool                                        order by     USD",
        "    when lost",
        "─" * 60,
        f"{names[0]}  2026-12-04  6.68 M",
        "    stack cuda",
        f"{names[1]}  2026-12-18  7.57 M",
    ], "a row whose second line is blank has none"


def test_a_row_that_has_its_first_cell_only_takes_the_full_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    goal = "interactive: any provider lost: 100 % within 300 s"
    section = Section(
        "T", (), tuple(map(column, ("figure", "evidence"), range(2))), [(goal, ""), ("  speed", "assumed")]
    )
    lines = render(Report("t", True, (section,)), "text").splitlines()[3:]
    assert lines == ["figure   evidence", "─" * len(goal), goal, "  speed  assumed"]


def test_blank_columns_go_first_and_only_where_it_is_narrow(monkeypatch):
    section = Section("T", (), tuple(map(column, ("one", "lent", "two"), range(3))), [("a" * 30, "", "b" * 30)])
    for columns, expected in (("60", ["one"]), ("80", ["one", "lent", "two"])):
        monkeypatch.setenv("COLUMNS", columns)
        assert render(Report("t", True, (section,)), "text").splitlines()[3].split() == expected
    monkeypatch.setenv("COLUMNS", "64")
    assert render(Report("t", True, (section,)), "text").splitlines()[3].split() == ["one", "two"]


def test_what_belongs_together_stays_together():
    assert folded(tied("31 llama-3.3-70b, 1 qwen3-32b", False), 18) == ["31\u00a0llama-3.3-70b,", "1\u00a0qwen3-32b"]
    assert folded(tied("80 % (75 %)", True), 6) == ["80\u00a0%\u00a0", "(75\u00a0%)"], "only where it must be"
    assert folded("projects/shared-services/regions/us-central1", 24) == [
        "projects/shared-",
        "services/regions/us-",
        "central1",
    ]
    assert folded("  stack cuda on rocm", 14) == ["  stack cuda", "    on rocm"]


def test_numbers_are_right_aligned_and_words_are_not():
    rows = [[Written(cell) for cell in ("6.68 M", "7x us-central1", "21 of 21", "2026-12-04 LATE", "10 commitment_1y")]]
    table = Table(list("abcde"), rows)
    assert [table.is_number(n) for n in range(5)] == [True, False, True, True, False]
    with_words = [[Written(cell)] for cell in ("1,234", "no plan", "", "12")]
    assert Table(["USD"], with_words).is_number(0) and not Table(["USD"], with_words[:2]).is_number(0)


def test_a_table_is_as_wide_as_it_must_be_and_no_name_is_markup():
    section = Section("[bold]T[/bold]", (), (Column("a", lambda row: row),), ["[red]evil[/red]", "\x1b[31mred"])
    assert titles(section) == ["a"]
    for colour in (False, True):
        lines = re.sub("\x1b\\[[0-9;]*m", "", text(Report("[red]t[/red]", True, (section,)), colour)).splitlines()
        assert lines[0] == "[red]t[/red]" and lines[2] == "[bold]T[/bold]"
        assert lines[5:] == ["[red]evil[/red]", "\\x1b[31mred"]
