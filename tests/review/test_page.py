"""The page of a review: what it says is what the report says, as text; nothing from elsewhere; readable anywhere."""

import base64
import hashlib
import io
import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import openpyxl
import pytest
from emitting import two_sites
from helpers import write_study
from pages import LOW_CONTRAST, chromium, parsed
from studies import random_study
from typer.testing import CliRunner

from planner.api import workbook
from planner.cli.main import app
from planner.drill import by_number, solving
from planner.plan.file import plan_text, sealed
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.review import beside
from planner.review.answer import review_plan
from planner.review.beside import beside_sections
from planner.review.charts.chart import Chart
from planner.review.decision import deadlines, decision_figures
from planner.review.figures import Figure
from planner.review.heat_map import heat_rows
from planner.review.page.page import page
from planner.review.render import render
from planner.review.report import Column, Report, Section, Several, as_data, signed, usd
from planner.review.tables import one_section
from planner.solve import solve
from planner.solve.search import Effort
from planner.study.read import read_study
from planner.study.records.study import Study

CUT = """[...document.querySelectorAll('.scroll')].filter(e =>
  e.clientHeight && e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"""
"""Tables that are wider than the screen."""
STAYS = "Math.max(...[...document.querySelectorAll('table:not(.stacks) tbody th')].map(th => th.offsetWidth))"
"""Width of what stays in view while a table is moved; rows that stand below each other are not moved."""
HOSTILE = '<script>alert(1)</script>[red]"x"\'&amp;'
runner = CliRunner()


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    asked, _ = read_study(write_study(tmp_path_factory.mktemp("study")))
    return Plan(make_plan(asked, Effort()))


@pytest.fixture(scope="module")
def report(plan):
    return review_plan(plan, with_margins=False)


@pytest.fixture(scope="module")
def root(report):
    return parsed(page(report))


def tables(root):
    """Caption -> rows of texts, further rows with them."""
    by_caption = {}
    for table in root.every("table"):
        caption = table.every("caption")[0].text.removesuffix(", further rows")
        rows = [[cell.text for cell in row.every("th", "td")] for row in table.every("tbody")[0].every("tr")]
        by_caption.setdefault(caption, []).extend(rows)
    return by_caption


def normal(text):
    return text.strip().replace("\N{NO-BREAK SPACE}", " ")


# ------------------------------------------------------------------ what it says
def test_every_row_and_line_of_every_section_is_on_the_page_and_in_json_the_same(report, root):
    of_page, text = tables(root), root.text
    of_json = json.loads(render(report, "json"))["sections"]
    of_text = " ".join(render(replace(report, all_rows=True), "text").split())
    assert len(report.sections) > 15
    for section in report.sections:
        written = [[normal(c.written(row)) for c in section.columns if c.when] for row in section.rows]
        title = section.title.partition(" (")[0].capitalize() + "".join(section.title.partition(" (")[1:])
        if section.title != "DECISION":
            kept = sorted(of_page.get(title, []))
            assert kept == sorted(written), section.title
        for cell in (cell for row in written for cell in row):
            assert cell in text, section.title
            assert all(word in of_text for word in re.findall(r"\d[\d,.]*", cell)), (section.title, cell)
        for line in (*section.lines, *section.after):
            for one in line.lines if isinstance(line, Several) else (line,):
                assert normal(one) in text
        if section.data is None and section.columns:
            rows = json.loads(json.dumps([as_data(row) for row in section.rows], default=str))
            assert of_json[section.title.partition(" (")[0].lower()] == rows


def test_figures_of_the_workbook_are_those_of_the_page(report, root):
    pytest.importorskip("xlsxwriter")
    book, text = openpyxl.load_workbook(io.BytesIO(workbook(report)), data_only=True), root.text
    numbers = {}
    for sheet in book.worksheets[1:]:
        cells = [cell for row in sheet.iter_rows(values_only=True) for cell in row]
        numbers[sheet.title.lower()] = [n for n in cells if isinstance(n, int | float)]
    figures = 0
    for section in report.sections:
        for cell in (c.value(row) for row in section.rows for c in section.columns if c.when and not c.detail):
            if isinstance(cell, Figure) and isinstance(cell.value, int | float):
                figures += 1
                on_sheet = any(math.isclose(cell.value, n) for n in numbers[section.key[:31]])
                assert on_sheet and cell in text, (section.title, cell)
    assert figures > 100


def test_the_decision_comes_first_with_the_figures_of_the_plan(plan, root):
    cards = [[part.text for part in card.every("dt", "dd")] for card in root.every("dl")[0].every("div")]
    rows = {row.what: row for row in decision_figures(plan)}
    assert [card[0] for card in cards] == list(rows)
    due = deadlines(plan)
    by_hour = sum(o.usd for o in plan.orders if o.offer in plan.problem.hourly)
    assert rows["committed in all"].figure == pytest.approx(
        sum(o.usd for o in plan.orders) + sum(o.usd for o in plan.phase_orders) - by_hour
    )
    assert due[-1].usd_so_far == pytest.approx(rows["committed in all"].figure + by_hour)
    assert due[0].order_by == min(d.order_by for d in due)
    assert sum(d.orders for d in due) == rows["to sign"].figure == len(plan.orders)
    cost = plan.file.proof.cost_usd
    assert rows["cost over the horizon"].figure == cost
    assert rows["cost a month"].figure == pytest.approx(cost / plan.study.horizon.months)
    held, of_goals = rows["goals held"].figure, sum(len(tier.survive) for tier in plan.study.tiers)
    assert held == of_goals and rows["goals held"].text == f"{of_goals:,} of {of_goals} goals"
    assert root.every("h2")[0].text == "The decision"
    assert root.text.index(f"{usd(cost)} USD") < root.text.index("Due by day")


def test_the_heat_map_is_what_failures_leave_of_each_workload(plan, root):
    rows = {row.failure: row for row in heat_rows(plan)}
    assert set(rows) == {f for f in plan.problem.failures if f != "normal"}
    state = next(s for s in plan.file.states if s.failure in rows and not s.same_as_normal)
    last = plan.problem.deadlines_seconds[state.failure][-1]
    state = next(s for s in plan.file.states if s.failure == state.failure and s.deadline_seconds == last)
    for w, share in rows[state.failure].served_fraction.items():
        served = sum(
            rate
            for name, rate in zip(state.workload, state.requests_per_second, strict=True)
            if name == w and not state.same_as_normal
        )
        shed = sum(state.shed.get(w, {}).values())
        assert share == pytest.approx(served / (served + shed), abs=1e-6)
    assert not any(row.short for row in rows.values()), "the plan holds"
    shades = [cell.attributes["class"] for cell in root.every("td") if "shade-" in cell.attributes.get("class", "")]
    assert len(shades) == len(rows) * len(plan.study.workloads)


def test_what_falls_short_is_said_in_words(plan):
    states = []
    for state in plan.file.states:
        rates = tuple(0.0 for _ in state.requests_per_second) if state.failure != "normal" else None
        states.append(state if rates is None else state.model_copy(update={"requests_per_second": rates}))
    broken = review_plan(sealed(plan.file.model_copy(update={"states": tuple(states)})), with_margins=False)
    root = parsed(page(broken))
    assert "SHORT of" in root.text and "Look first:" in root.text and "THE AUDIT FAILS" in root.text
    short = [cell for cell in root.every("td") if "shade-short" in cell.attributes.get("class", "")]
    assert short and all("SHORT" in cell.text and "broken" in cell.attributes["class"] for cell in short)


def test_what_no_capacity_covers_is_said_first_and_listed_case_by_case():
    held = Plan(make_plan(random_study(8), Effort(gap_fraction=0.2)))
    root = parsed(page(review_plan(held, with_margins=False)))
    cases = held.file.uncoverable
    assert cases and len(tables(root)["Cannot be covered"]) == len(cases)
    card = next(card for card in root.every("dl")[0].every("div") if card.every("dt")[0].text == "cannot be covered")
    assert "at-risk" in card.every("dd")[0].attributes["class"] and card.every("dd")[0].text == "1 case"
    assert root.every("p")[1].text.startswith("Look first: CANNOT BE COVERED")


def test_what_no_capacity_covers_is_as_red_on_the_heat_map_as_what_is_short(tmp_path):
    """Nobody outlives both providers, of which a goal asks for half: not grey, and no goal that holds in full."""
    both = "survive:\n      - {any: provider, of: 2, serve_fraction: 0.5, within_seconds: 600}\n"
    study, _ = read_study(write_study(tmp_path, [("study.yaml", "survive:\n", both)]))
    held = Plan(make_plan(study, Effort(gap_fraction=0.1)))
    row = next(row for row in heat_rows(held) if row.uncoverable)
    assert row.uncoverable == ("chat",) and row.asked_fraction["chat"] == 0.5 and row.due_fraction["chat"] == 0.0
    root = parsed(page(review_plan(held, with_margins=False)))
    red = [cell for cell in root.every("td") if "shade-short" in cell.attributes.get("class", "")]
    assert [cell.text for cell in red] == ["0 % of 50 %, UNCOVERABLE"] and "broken" in red[0].attributes["class"]
    assert "3 of 4 survival goals hold in full, 1 but for what cannot be covered, in all" in " ".join(root.text.split())
    card = next(card for card in root.every("dl")[0].every("div") if card.every("dt")[0].text == "goals held")
    assert card.every("dd")[0].text == "3 of 4 goals"


def test_a_plan_that_is_none_has_no_pictures_and_no_decision(plan):
    edited = plan.file.model_copy(update={"digest_sha256": "0" * 64})
    root = parsed(page(review_plan(edited, with_margins=False)))
    assert "THE AUDIT FAILS" in root.text and not root.every("svg", "dl") and not root.every("table")


def test_nothing_is_planned_or_drilled_for_a_page(plan, monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("a page plans and drills nothing again")

    for module, name in ((solving, "run_highs"), (by_number, "run"), (solve, "_solve")):
        monkeypatch.setattr(module, name, refuse)
    report = review_plan(Plan(plan.file), with_margins=False)
    text = page(replace(report, sections=(*report.sections, *beside_sections(plan, plan))))
    assert "first to break: not asked here" in text and "they are the same" in text
    assert page(review_plan(Plan(plan.file), with_margins=False)) == page(report), "byte for byte"


def test_two_plans_stand_side_by_side(plan, root):
    more = [row.model_copy(update={"requests_per_second": 3 * row.requests_per_second}) for row in plan.study.demand]
    other = Plan(make_plan(plan.study.model_copy(update={"demand": tuple(more)}), Effort()))
    report = review_plan(plan, with_margins=False)
    sections = beside_sections(plan, other)
    after = tables(parsed(page(replace(report, sections=(*report.sections, *sections)))))
    row = next(cells for cells in after["Side by side"] if cells[0] == "cost over the horizon")
    first, second = plan.file.proof.cost_usd, other.file.proof.cost_usd
    assert row == [row[0], f"{usd(first)} USD", f"{usd(second)} USD", f"{signed(second - first)} USD"]
    assert "Difference in study" in after and "Difference in goals" in after


def test_two_plans_are_told_apart_and_what_does_not_compare_is_said(plan, tmp_path, monkeypatch):
    """The second has every figure of the first but its months: so much is another that not all of it is listed."""
    horizon = plan.study.horizon.model_copy(update={"months": 2 * plan.study.horizon.months})
    file = plan.file.model_copy(update={"study": plan.study.model_copy(update={"horizon": horizon})})
    paths = [tmp_path / "now.json", tmp_path / "then.json"]
    for path, one in zip(paths, (plan.file, sealed(file)), strict=True):
        path.write_text(plan_text(one), encoding="utf-8")
    monkeypatch.setattr(beside, "MOST_DIFFERENCES", 2)
    done = runner.invoke(app, ["review", *map(str, paths), "--no-margins", "--all", "--format", "md"])
    title = done.stdout.splitlines()[0]
    assert "now.json, beside " in title and "then.json, plan of " in title
    digests = {line.rpartition("digest ")[2] for line in done.stdout.splitlines() if "digest " in line and ": " in line}
    assert len(digests) >= 2 and "only the cost a month compares" in " ".join(done.stdout.split())
    assert "further differences, less far apart" in done.stdout


def test_a_page_of_one_section_has_its_pictures_alone(plan):
    report = review_plan(plan, with_margins=False)
    assert not list(one_section(report, "order").drawings())
    (drawing,) = one_section(report, "utilisation by pool").drawings()
    assert drawing.section.title == "UTILISATION BY POOL"


# ------------------------------------------------------------------ how it is made
def test_nothing_comes_from_elsewhere_and_the_policy_is_strict(report, root):
    text = page(report)
    meta = {m.attributes.get("http-equiv"): m.attributes.get("content", "") for m in root.every("meta")}
    policy = dict(part.strip().split(" ", 1) for part in meta["Content-Security-Policy"].split(";"))
    style = re.search("<style>(.*?)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["default-src"] == "'none'" and policy["style-src"] == f"'sha256-{digest}'"
    assert "script-src" not in policy and "url(" not in style and "@import" not in style
    for element in root.every():
        assert element.tag not in ("script", "iframe", "object", "embed", "img", "form", "base")
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name != "style", (element.tag, name)
            if name in ("href", "src", "xlink:href", "action"):
                assert value.startswith(("#", "data:,")), value
    assert len(text.encode()) < 1e6


def test_landmarks_headings_and_tables_are_for_everyone(root):
    for tag in ("main", "header", "footer", "h1"):
        assert len(root.every(tag)) == 1
    assert root.every("html")[0].attributes["lang"] == "en" and root.every("title")[0].text
    skip = root.every("a")[0]
    ids = [element.attributes["id"] for element in root.every() if "id" in element.attributes]
    assert skip.attributes["class"] == "skip" and len(set(ids)) == len(ids)
    for element in root.every():
        for target in element.attributes.get("aria-labelledby", "").split():
            assert target in ids
        if element.tag == "a":
            assert element.attributes["href"].removeprefix("#") in ids
    levels = [int(h.tag[1]) for h in root.every("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    for table in root.every("table"):
        assert table.every("caption")[0].text
        assert {th.attributes["scope"] for th in table.every("thead")[0].every("th")} == {"col"}
        assert all(th.text for th in table.every("thead")[0].every("th"))
        for row in table.every("tbody")[0].every("tr"):
            assert [th.attributes["scope"] for th in row.every("th")] == ["row"]
    for svg in root.every("svg"):
        assert svg.attributes["role"] == "img" and svg.every("title") and svg.every("desc")


def test_pictures_stand_with_their_sentence_and_the_rows_they_are_drawn_from():
    rows = Section("DRAWN", (), (Column("pool"), Column("USD", lambda row: row[1])), [("a", 1.5)])
    rows = replace(rows, columns=(Column("pool", lambda row: row[0]), rows.columns[1]))
    chart = Chart("A picture", f"It shows {HOSTILE}.", '<svg role="img"><title>t</title></svg>', rows)
    root = parsed(page(Report("r", True, (), drawings=lambda: (chart,))))
    figure = root.every("figure")[0]
    assert figure.every("svg") and figure.every("figcaption")[0].text == chart.summary
    assert tables(root)["Drawn"] == [["a", "1.5"]]


def renamed(data, names):
    """Data with other names of things, wherever they stand: alone, or after their kind."""
    if isinstance(data, dict):
        return {renamed(key, names): renamed(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(part, names) for part in data]
    kind, colon, name = str(data).partition(":")
    if isinstance(data, str) and colon and name in names:
        return f"{kind}:{names[name]}"
    return names.get(data, data) if isinstance(data, str) else data


def test_names_stay_text(plan):
    old = ("chat", "gold", "london", "quake", "small", "yearly")
    names = {name: f"{HOSTILE} {name} {i}" for i, name in enumerate(old)}
    data = renamed(plan.study.model_dump(mode="json", by_alias=True), names) | {"study": HOSTILE}
    text = page(review_plan(make_plan(Study.model_validate(data), Effort()), with_margins=False))
    root = parsed(text)
    assert not root.every("script") and "<script" not in text and root.every("h1")[0].text == f"study {HOSTILE}"
    cells = " ".join(cell.text for cell in root.every("td", "th"))
    assert [name for name in names.values() if name not in cells] in ([], [names["yearly"]])
    whole = parsed(page(review_plan(plan, with_margins=False)))
    tags = [element.tag for element in root.every() if element.tag != "text"]
    assert {*tags} == {element.tag for element in whole.every() if element.tag != "text"}


def test_any_report_has_a_page():
    section = Section("ROWS", ("  a part of it",), (Column("n", lambda n: n),), list(range(30)))
    root = parsed(page(Report("drill", True, (section,))))
    assert len(tables(root)["Rows"]) == 30 and root.every("summary")[0].text == "18 more rows"
    assert [h.tag for h in root.every("h1", "h2", "h3")] == ["h1", "h2"]
    assert not root.every("dl") and root.every("li")[-1].attributes["class"] == "part"


# ------------------------------------------------------------------ the command
def call(*words):
    return runner.invoke(app, [str(word) for word in words])


def test_the_name_of_the_file_makes_it_a_page(plan, tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(plan.file))
    out = tmp_path / "review.html"
    done = call("review", tmp_path / "plan.json", tmp_path / "plan.json", "-o", out, "-q")
    assert done.exit_code == 0 and out.read_text().startswith("<!DOCTYPE html>") and "Side by side" in out.read_text()
    printed = call("review", tmp_path / "plan.json", "--format", "html", "-q").stdout
    assert printed == page(review_plan(plan, with_margins=False)) + "\n"
    for more in (("a.json", "b.json"), ("state.csv",)):
        refused = call("review", tmp_path / "plan.json", *more)
        assert refused.exit_code == 2 and "or two plans" in refused.output


def test_with_files_of_what_runs_the_page_says_what_changes_against_them_too(tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(two_sites()))
    (tmp_path / "runs.csv").write_text("pool,machines\naws/b/m,4\n")
    out = tmp_path / "review.html"
    assert (
        call("review", tmp_path / "plan.json", "--against-today", tmp_path / "runs.csv", "-o", out, "-q").exit_code == 1
    )
    root = parsed(out.read_text())
    assert "Plan: 1 to add, 0 to change, 1 to remove." in root.text and "The decision" in root.text
    assert tables(root)["Machines"][0][:3] == ["+ add", "aws/a/m", "on_demand"]


# ------------------------------------------------------------------ in a browser
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = chromium()
    if program is None:
        pytest.skip("chromium is not on this machine")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(report, plan, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "review.html"
    out.write_text(page(replace(report, sections=(*report.sections, *beside_sections(plan, plan)))), encoding="utf-8")
    return out.as_uri()


@pytest.mark.page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium_it_fits_is_readable_and_asks_for_nothing(browser, address, scheme):
    said, asked = [], []
    looked = browser.new_page(color_scheme=scheme)
    looked.on("console", lambda message: said.append(message.text))
    looked.on("pageerror", lambda error: said.append(str(error)))
    looked.on("request", lambda request: asked.append(request.url))
    looked.goto(address)
    for width in (360, 1024, 1920):
        looked.set_viewport_size({"width": width, "height": 900})
        count, low = looked.evaluate(LOW_CONTRAST)
        assert count > 100 and low == [], f"{width} px, {scheme}"
        stays = looked.evaluate(STAYS)
        assert width > 360 or stays < 0.6 * width, "what names a row stays in view, and leaves room for the others"
        wide = looked.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} px wide in a window of {width} px"
    assert said == [] and [url for url in asked if not url.startswith("data:")] == [address]
    looked.close()


@pytest.mark.page
def test_a_row_with_long_words_is_read_on_a_narrow_screen(browser, tmp_path):
    texts = ("2026-12-04", *(f"20,450,83{n}" for n in range(4)), "21 capacity_block of aws/ap-south-2/trn2; " * 4)
    columns = tuple(Column(f"what is due {n}", lambda row, n=n: row[n]) for n in range(len(texts)))
    path = tmp_path / "page.html"
    path.write_text(page(Report("drill", True, (Section("ROWS", (), columns, [texts]),))), encoding="utf-8")
    looked = browser.new_page(viewport={"width": 360, "height": 900})
    looked.goto(path.as_uri())
    assert looked.evaluate(CUT) == []
    looked.close()


@pytest.mark.page
def test_it_prints_with_what_is_folded(browser, address):
    printed = browser.new_page(color_scheme="dark")
    printed.goto(address)
    printed.emulate_media(media="print")
    hidden = "[...document.querySelectorAll('details table')].filter(t => !t.getBoundingClientRect().height).length"
    assert printed.evaluate(hidden) == 0
    assert printed.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert printed.pdf(format="A4")[:5] == b"%PDF-"
    printed.keyboard.press("Tab")
    printed.close()
