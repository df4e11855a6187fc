"""Drawings of a plan: what is drawn adds up to the rows and to the plan, in well-formed XML that is always the same."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from buildouts import HALL, START, hall, machines
from helpers import write_study
from studies import offer

from planner.plan.cash import NO_CASH
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.problem.problem import fullest_hour
from planner.questions.ladder import LadderStep, StepPlan
from planner.review.charts.cash_by_quarter import _draw as draw_quarters
from planner.review.charts.cash_by_quarter import cash_by_quarter
from planner.review.charts.chart import NARROW, WIDE, style
from planner.review.charts.every import CHARTS, charts_of
from planner.review.charts.land import _degrees as degrees
from planner.review.charts.land import made_of, outlines
from planner.review.charts.recovery import PANEL, recovery
from planner.review.charts.resilience import resilience
from planner.review.charts.sankey import BANDS_HEIGHT, MOST_PLACEMENTS, folded, sankey
from planner.review.charts.site_map import MOST_STROKE, site_map
from planner.review.charts.site_map import _draw as draw_map
from planner.review.charts.spend import _draw as draw_spend
from planner.review.charts.spend import spend
from planner.review.charts.svg import COLOURS, Canvas, text_width
from planner.review.charts.timeline import _draw as draw_deadlines
from planner.review.charts.timeline import timeline
from planner.review.charts.utilisation import utilisation
from planner.review.failures import failure_rows
from planner.review.fleet import pools_of
from planner.review.recovery import HOW, recovery_section, slices_of
from planner.review.routes import Route, SiteTraffic
from planner.review.spend import QuarterCash, Spend
from planner.review.steps import review_ladder
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL
from planner.study.read import read_study
from planner.study.records.buildout import Electricity, Money
from planner.study.records.plan import PlanFile
from planner.study.records.study import Demand, Horizon, Hour, RequestCost, Tier

SVG = "{http://www.w3.org/2000/svg}"
SOURCED = {"evidence": "estimated", "source": "made up for a test", "as_of": "2026"}
HOSTILE = """</title><script>alert("1")</script>[red]&amp;'"""
EACH = pytest.mark.parametrize("draw", CHARTS, ids=lambda draw: draw.__name__)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Two providers, two origins, goals, machines that are lent."""
    study, _ = read_study(write_study(tmp_path_factory.mktemp("study")))
    return Plan(make_plan(study, Effort()))


@pytest.fixture(scope="module")
def built():
    """A hall that is built, and machines beside it, over eight quarters: all kinds of payments."""
    bought, price = machines()
    upfront = offer("a/x/m", 60, "commitment", term_months=6.0, upfront_fraction=0.5)
    wanted = Demand(workload="w", origin="o", requests_per_second=12.5)
    study = hall(
        demand=[wanted, wanted.model_copy(update={"requests_per_second": 20.0, "period": "quarter-1"})],
        bought=[(bought, price.model_copy(update={"price_usd_per_machine_hour": 0.5})), offer("a/x/m", 100), upfront],
        electricity=(Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED),),
        request_costs=(RequestCost(origin="o", site=HALL, usd_per_request=0.0001),),
        money=Money(discount_fraction_per_year=0.1),
    )
    return Plan(make_plan(study, Effort()))


def drawings(chart):
    """Both drawings of a chart, parsed."""
    return [*ET.fromstring(f"<div>{chart.svg}</div>")]


def marks(svg, tag, look=r".*"):
    """Elements of a kind whose class is like that, but those that define patterns and frames."""
    return [
        one for one in svg.iter(f"{SVG}{tag}") if re.fullmatch(look, one.get("class", "")) and one not in hidden(svg)
    ]


def hidden(svg):
    defs = svg.find(f"{SVG}defs")
    return [] if defs is None else [*defs.iter()]


def lengths(elements, name):
    return [float(one.get(name)) for one in elements]


def tip(element):
    return element.find(f"{SVG}title").text


def texts(svg):
    return ["".join(one.itertext()) for one in marks(svg, "text")]


# ------------------------------------------------------------------ every drawing
@EACH
def test_each_is_an_accessible_image_that_scales(plan, draw):
    chart = draw(plan)
    wide, narrow = drawings(chart)
    for svg, width in ((wide, WIDE), (narrow, NARROW)):
        assert svg.get("role") == "img" and svg.get("width") is None and svg.get("viewBox").startswith(f"0 0 {width} ")
        title, description = svg.get("aria-labelledby").split()
        assert svg.find(f"{SVG}title[@id='{title}']").text == chart.title
        assert svg.find(f"{SVG}desc[@id='{description}']").text == chart.summary
    assert not re.search(r" style=|<script|<style|https?://(?!www\.w3\.org/2000/svg)", chart.svg)
    assert chart.section.rows and all(
        column.written(row) is not None for row in chart.section.rows for column in chart.section.columns
    )
    assert draw(Plan(plan.file)).svg == chart.svg, "the same plan, the same drawing byte for byte"


def test_ids_are_unique_on_a_page_and_each_reference_has_its_id(plan, built):
    for of in (plan, built):
        page = "".join(chart.svg for chart in charts_of(of))
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids)) and {*re.findall(r"url\(#([^)]+)\)", page)} <= {*ids}


@EACH
def test_nothing_leaves_the_drawing(built, plan, draw):
    for chart in filter(None, map(draw, (plan, built))):
        for svg in drawings(chart):
            _, _, width, height = map(float, svg.get("viewBox").split())
            for rect in marks(svg, "rect"):
                x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
                assert x >= 0 and y >= 0 and x + w <= width + 0.6 and y + h <= height + 0.6
            for one in marks(svg, "text"):
                words = "".join(part.text or "" for part in [one, *one]) if not len(one) else one[0].tail
                at = {"start": 0.0, "middle": 0.5, "end": 1.0}[one.get("text-anchor", "start")]
                begin = float(one.get("x")) - at * text_width(words)
                assert begin > -4 and begin + text_width(words) < width + 4, words


@EACH
def test_names_that_look_like_markup_stay_text(plan, draw):
    text = plan.text
    for name in ("london", "chat", "alpha", "beta", "small", "gold", "quake", "east-1"):
        text = re.sub(rf'(?<=["/:@ ]){name}(?=["/:@ ])', lambda match: f"{match[0]}{json_text(HOSTILE)}", text)
    chart = draw(Plan(PlanFile.model_validate_json(text)))
    wide, narrow = drawings(chart)
    assert not marks(wide, "script") and not [*wide.iter("script")] and "<script" not in chart.svg
    said = "".join(wide.itertext()) + "".join(narrow.itertext())
    assert draw is cash_by_quarter or draw is resilience or HOSTILE in said


def json_text(text):
    return text.replace('"', '\\"')


def test_what_xml_and_readers_cannot_take_is_replaced():
    canvas = Canvas("a", "wide", 100.0, 20.0)
    canvas.text(0, 10, "a\x00b\x1b\u202ec\ud800")
    (words,) = texts(ET.fromstring(canvas.svg("t", "s")))
    assert words == "a\ufffdb\ufffd\ufffdc\ufffd"


def test_a_plan_with_nothing_in_it_draws_nothing(plan):
    nothing = {"purchases": (), "builds": (), "replicas": (), "states": (), "costs_usd": {}}
    study = plan.study.model_copy(update={"holdings": (), "claims": ()})
    file = plan.file.model_copy(update={**nothing, "study": study})
    free = {"cost_usd": 0.0, "bound_usd": 0.0}
    file = file.model_copy(
        update={
            "without_goals": file.without_goals.model_copy(update=free),
            "on_equal_terms": None,
            "proof": file.proof.model_copy(update=free),
        }
    )
    assert [chart.title for chart in charts_of(Plan(file)) if "Recovery" not in chart.title] == []
    tiers = tuple(tier.model_copy(update={"survive": ()}) for tier in study.tiers)
    file = file.model_copy(update={"study": study.model_copy(update={"tiers": tiers})})
    assert charts_of(Plan(file)) == ()


# ------------------------------------------------------------------ colours
def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """Web Content Accessibility Guidelines 2.2, contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_outlines_have_contrast_in_light_and_dark():
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6});", part)) for part in style().split("prefers-color-scheme: dark")
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        fills = [colours[f"f{n}"] for n in range(COLOURS)]
        for ground in (colours["paper"], colours["land"], *fills):
            assert contrast(colours["ink"], ground) >= 4.5
        assert min(contrast(colours[name], colours["paper"]) for name in ("soft", "bad", "ink")) >= 4.5
        assert min(contrast(colours[f"s{n}"], colours["paper"]) for n in range(COLOURS)) >= 3


# ------------------------------------------------------------------ sums
def served_requests(plan):
    return float(np.sum(plan.vectors.traffic[(fullest_hour(plan.problem), NORMAL, 0.0),]))


def test_the_map_has_every_request_and_every_site(plan):
    chart = site_map(plan)
    rows = chart.section.rows
    assert sum(row.requests_per_second for row in rows) == pytest.approx(served_requests(plan))
    machines_of = {row.site: row.machines for row in rows}
    assert sum(machines_of.values()) == sum(pool.machines for pool in pools_of(plan))
    for svg in drawings(chart):
        assert len(marks(svg, "circle")) == 2 * len(machines_of), "on the map and in the key"
        by_tip = {}
        for line in marks(svg, "path", r"k\d flow"):
            if line.find(f"{SVG}title") is not None:
                by_tip[tip(line)] = float(line.get("stroke-width"))
        most = max(row.requests_per_second for row in rows)
        flows = [row for row in rows if row.origin is not None]
        assert len(by_tip) == len(flows) > 2
        for row in flows:
            (width,) = [w for words, w in by_tip.items() if words.startswith(f"{row.origin} to {row.site}:")]
            assert width == pytest.approx(max(1.0, MOST_STROKE * row.requests_per_second / most), abs=0.06)


def test_what_crosses_the_antimeridian_is_drawn_to_both_edges():
    canvas = Canvas("a", "wide", 800.0)
    far = SiteTraffic("tokyo", (35.7, 139.7), "b/west", "Oregon", "b", (45.5, -122.7), 3, 9.0, 90.0)
    near = SiteTraffic("tokyo", (35.7, 139.7), "b/east", "Osaka", "b", (34.7, 135.5), 3, 1.0, 9.0)
    draw_map(canvas, [far, near], {"b": 0})
    lines = marks(ET.fromstring(canvas.svg("t", "s")), "path", "k0 flow")
    ends = [[float(n) for n in re.findall(r"-?[\d.]+", line.get("d"))] for line in lines]
    tokyo, oregon = 319.7 / 360 * 800, 57.3 / 360 * 800
    across = sorted((points[0], points[-2]) for points in ends)[:2] + sorted((p[0], p[-2]) for p in ends)[-1:]
    assert (pytest.approx(tokyo - 800, abs=12), pytest.approx(oregon, abs=12)) in across
    assert (pytest.approx(tokyo, abs=12), pytest.approx(oregon + 800, abs=12)) in [(p[0], p[-2]) for p in ends]
    assert len(lines) == 3


def test_outlines_of_the_land_are_closed_and_cut_at_the_antimeridian():
    rings = outlines()
    assert len(rings) > 80 and all(ring[0] == ring[-1] for ring in rings)
    for ring in rings:
        steps = [abs(x2 - x1) for (x1, _), (x2, _) in pairwise(ring)]
        assert max(steps) < 60 and all(-180 <= x <= 180 and -60 <= y <= 90 for x, y in ring)


def test_an_outline_across_the_antimeridian_becomes_two():
    """A square from 170 degrees east to 170 west, 20 by 10 degrees, in whole degrees."""
    square = [[170, 0], [20, 0], [0, 10], [-20, 0], [0, -10]]
    wrapped = [[170, 0], [-340, 0], [0, 10], [340, 0], [0, -10]]
    objects = {"land": {"geometries": [{"arcs": [[[0]], [[1]]]}]}}
    land = made_of({"transform": {"scale": [1, 1], "translate": [0, 0]}, "arcs": [square, wrapped], "objects": objects})
    rings = [list(degrees(steps)) for steps in land["outlines"]]
    ends = [(min(x for x, _ in ring), max(x for x, _ in ring), ring[0] == ring[-1]) for ring in rings]
    assert sorted(ends) == [(-180.0, -170.0, True)] * 2 + [(170.0, 180.0, True)] * 2


def test_bands_are_as_high_as_their_requests(plan):
    chart = sankey(plan)
    rows = chart.section.rows
    total = sum(row.requests_per_second for row in rows)
    assert total == pytest.approx(served_requests(plan))
    for svg in drawings(chart):
        heights = {}
        for band in marks(svg, "path", r"f\d ribbon"):
            points = [float(n) for n in re.findall(r"-?[\d.]+", band.get("d"))]
            at_start, at_end = points[-1] - points[1], points[9] - points[7]
            assert at_start == pytest.approx(at_end, abs=0.03)
            heights[tip(band)] = at_start
        assert sum(heights.values()) == pytest.approx(2 * BANDS_HEIGHT, abs=0.5), "from origins, and to providers"
        for row in rows:
            begins = f"{row.origin} to {row.model}@{row.pool}:"
            (height,) = [value for words, value in heights.items() if words.startswith(begins)]
            assert height == pytest.approx(BANDS_HEIGHT * row.requests_per_second / total, abs=0.03)


def test_many_placements_are_folded_by_provider_and_none_is_lost():
    rows = [Route("o", "m", f"q{n}", "s", f"p{n % 2}", 100.0 - n) for n in range(MOST_PLACEMENTS + 5)]
    drawn_as = folded(rows)
    assert len(drawn_as) == len(rows) and [drawn_as["m", f"q{n}"] for n in (0, 18, 19)] == [
        ("m", "q0"),
        ("", "p0"),
        ("", "p1"),
    ]


def test_spend_is_all_cash_and_bars_are_as_long_as_their_sums(plan, built):
    for of in (plan, built):
        chart = spend(of)
        rows = chart.section.rows
        cash_usd = sum(flow.usd for flow in of.cash.flows if flow.component not in NO_CASH)
        assert sum(row.usd for row in rows) == pytest.approx(cash_usd) and cash_usd > 0
        for svg in drawings(chart):
            bars = [bar for bar in marks(svg, "rect", r"f\d") if bar.find(f"{SVG}title") is not None]
            assert len(bars) == sum(row.usd > 0 for row in rows)
            per_usd = sum(lengths(bars, "width")) / cash_usd
            for row in rows:
                (width,) = [
                    float(b.get("width"))
                    for b in bars
                    if tip(b).startswith(f"{row.provider} {row.offer}, {row.period}:")
                ]
                assert width == pytest.approx(row.usd * per_usd, abs=0.06)
    assert {row.offer for row in spend(built).section.rows} >= {"build-out", "energy", "requests", "on_demand"}


def test_cash_by_quarter_is_all_cash_and_columns_are_as_high(plan, built):
    for of in (plan, built):
        chart = cash_by_quarter(of)
        rows = chart.section.rows
        by_component = {}
        for flow in of.cash.flows:
            if flow.component not in NO_CASH:
                by_component[flow.component] = by_component.get(flow.component, 0.0) + flow.usd
        drawn_sums = {name: sum(row.by_component[name] for row in rows) for name in rows[0].by_component}
        assert drawn_sums == pytest.approx(by_component)
        for svg in drawings(chart):
            bars = [bar for bar in marks(svg, "rect", r"f\d") if bar.find(f"{SVG}title") is not None]
            per_usd = sum(lengths(bars, "height")) / sum(by_component.values())
            for row in rows:
                heights = [float(bar.get("height")) for bar in bars if tip(bar).startswith(f"{row.quarter},")]
                assert sum(heights) == pytest.approx(row.usd * per_usd, abs=0.3)


def test_what_comes_back_is_drawn_the_other_way_so_that_areas_are_the_sums():
    canvas = Canvas("c", "wide", WIDE)
    draw_quarters(
        canvas,
        [
            QuarterCash("2027 Q1", {"capital": 300.0, "energy": 100.0}, 400.0),
            QuarterCash("2027 Q2", {"capital": -200.0, "energy": 50.0}, -150.0),
        ],
    )
    svg = ET.fromstring(f"<svg xmlns='{SVG[1:-1]}'>{''.join(canvas.marks)}</svg>")
    bars = {tip(bar): bar for bar in marks(svg, "rect", r"f\d") if bar.find(f"{SVG}title") is not None}
    height = {name.partition(":")[0]: float(bar.get("height")) for name, bar in bars.items()}
    assert height["2027 Q2, capital"] == pytest.approx(height["2027 Q1, capital"] * 2 / 3, abs=0.06)
    (back,) = (bar for name, bar in bars.items() if name.startswith("2027 Q2, capital"))
    (axis,) = marks(svg, "line", "axis")
    assert float(back.get("y")) == pytest.approx(float(axis.get("y1")), abs=0.06), "below the axis"

    canvas = Canvas("c", "wide", WIDE)
    rows = [Spend("p", "on_demand", "all", 300.0), Spend("p", "credit", "all", -100.0)]
    looks = {("p", "on_demand"): ("f0", 0), ("p", "credit"): ("f0", 1)}
    draw_spend(canvas, rows, looks, (), ["p"])
    svg = ET.fromstring(f"<svg xmlns='{SVG[1:-1]}'>{''.join(canvas.marks)}</svg>")
    paid, back = (bar for bar in marks(svg, "rect", r"f\d") if bar.find(f"{SVG}title") is not None)
    assert float(back.get("width")) == pytest.approx(float(paid.get("width")) / 3, abs=0.06)
    assert float(back.get("x")) + float(back.get("width")) == pytest.approx(float(paid.get("x")), abs=0.06)


def test_what_runs_by_the_hour_is_paid_day_by_day(plan):
    """From July 2026 for 12 months of 365 days: 92 of them in the third quarter, 90 in the first of 2027."""
    rows = {row.quarter: row.by_component for row in cash_by_quarter(plan).section.rows}
    evenly = sum(flow.usd for flow in plan.cash.flows if flow.component == "hourly_machines")
    assert evenly > 0 and [*rows] == ["2026 Q3", "2026 Q4", "2027 Q1", "2027 Q2"]
    days = {"2026 Q3": 92, "2026 Q4": 92, "2027 Q1": 90, "2027 Q2": 91}
    for quarter, n in days.items():
        assert rows[quarter]["hourly_machines"] == pytest.approx(evenly * n / 365)


def test_steps_of_the_recovery_are_the_shares_of_its_slices(plan):
    chart = recovery(plan)
    rows = chart.section.rows
    every = {(row.failure, row.seconds, row.event, row.tier): row for row in recovery_section(plan).data}
    assert len({row.failure for row in rows}) == 1
    for row in rows:
        assert vars(every[row.failure, row.seconds, row.event, row.tier]).items() <= vars(row).items()
    asked = {row.tier for row in rows if row.asked_fraction is not None}
    at_last = {}
    for f, promised in plan.problem.promised.items():
        tiers = {tier for tier, share, _ in promised if share > 0}
        of_it = [row for row in every.values() if row.failure == f and row.tier in tiers and row.event == "deadline"]
        at_last |= {f: min(r.served_fraction for r in of_it if r.seconds == of_it[-1].seconds)} if of_it else {}
    assert at_last[rows[0].failure] <= min(at_last.values()) + 1e-6, "no failure leaves a tier with a goal less at last"
    assert rows[0].failure == failure_rows(plan)[0].failure
    for svg in drawings(chart):
        areas = marks(svg, "rect", r"f\d area")
        shares = [(row, name) for row in rows for name in HOW if getattr(row, name) > 0.001]
        assert sum(lengths(areas, "height")) == pytest.approx(PANEL * sum(getattr(row, n) for row, n in shares), abs=1)
        assert len(marks(svg, "path", "due")) >= len(asked) > 0


def test_work_that_waits_is_served_in_full_when_it_is_taken_up():
    """7 requests/s by day and 1 by night that may wait a day, on a machine for 5 that is there day and night."""
    hours = (Hour(name="day", weight_fraction=0.5), Hour(name="night", weight_fraction=0.5))
    wanted = Demand(workload="w", origin="o", requests_per_second=7.0, hour="day")
    study = hall(
        demand=[wanted, wanted.model_copy(update={"requests_per_second": 1.0, "hour": "night"})],
        horizon=Horizon(start=START, quarters=1, hours=hours),
        tiers=(Tier(name="t", deferrable_hours=24.0),),
        bought=[offer("a/x/m", 10.0, "commitment", term_months=3.0)],
    )
    waits = Plan(make_plan(study, Effort()))
    assert served_requests(waits) < 5.1
    for row in slices_of(waits.problem, waits.vectors, NORMAL):
        assert row.served_fraction == pytest.approx(1.0)


def test_bars_of_pools_are_their_machines(plan):
    chart = utilisation(plan)
    used = {pool.pool: pool.used_machines for pool in pools_of(plan)}
    for row in chart.section.rows:
        assert row.normal.running_machines == pytest.approx(used[row.pool])
        assert 0 < row.normal.busy_machines <= row.normal.running_machines + 1e-6 <= row.normal.machines + 1e-5
        assert row.headroom_machines == row.normal.machines - row.normal.busy_machines
        assert row.worst is None or row.worst.busy_machines <= row.worst.machines + 1e-6
    lent = next(row for row in chart.section.rows if row.pool == "alpha/east-1/trn-16")
    assert lent.worst is not None and lent.normal.failure == NORMAL
    for svg in drawings(chart):
        bars = [bar for bar in marks(svg, "rect", r"(f\d( light)?|spare)") if bar.find(f"{SVG}title") is not None]
        full = WIDE - 250 - 52 if svg is not None and svg.get("class").endswith("wide") else NARROW - 0.5 - 52
        by_y = {}
        for bar in bars:
            by_y[bar.get("y")] = by_y.get(bar.get("y"), 0.0) + float(bar.get("width"))
        assert len(by_y) == sum(1 + (row.worst is not None) for row in chart.section.rows)
        assert all(width == pytest.approx(full, abs=0.2) for width in by_y.values())


def test_steps_of_resilience_add_up_to_the_cost_of_the_plan(plan):
    chart = resilience(plan)
    rows = chart.section.rows
    assert rows[0].cost_usd + sum(row.adds_usd for row in rows) == pytest.approx(plan.file.proof.cost_usd)
    for svg in drawings(chart):
        bars = marks(svg, "rect", r"f\d")
        last, per_usd = bars[-1], float(bars[0].get("width")) / rows[0].cost_usd
        end = float(last.get("x")) + float(last.get("width")) - float(bars[0].get("x"))
        assert end == pytest.approx(plan.file.proof.cost_usd * per_usd, abs=0.2)
    assert "planner ladder" in chart.summary


def test_what_goals_cost_is_said_within_the_gaps_of_both_plans(plan):
    # 100 USD without goals, at least 90; 130 with them, at least 120: the best differ by 120 - 100 to 130 - 90
    without = plan.file.without_goals.model_copy(update={"cost_usd": 100.0, "bound_usd": 90.0})
    proof = plan.file.proof.model_copy(update={"cost_usd": 130.0, "bound_usd": 120.0})
    fields = {"without_goals": without, "proof": proof, "on_equal_terms": None}
    chart = resilience(Plan(plan.file.model_copy(update=fields)))
    last = chart.section.rows[-1]
    assert (last.adds_usd, last.adds_least_usd, last.adds_most_usd) == (30.0, 20.0, 40.0)
    for text in (chart.section.lines[0], chart.summary):
        assert "the best plans differ by +20 to +40 USD" in text
    proven = {**fields, "without_goals": without.model_copy(update={"bound_usd": 100.0})}
    proven["proof"] = proof.model_copy(update={"bound_usd": 130.0})
    assert "differ" not in resilience(Plan(plan.file.model_copy(update=proven))).summary


def test_deadlines_are_all_orders_and_late_ones_say_so(built):
    chart = timeline(built)
    rows = chart.section.rows
    orders = [*built.orders, *built.phase_orders, *built.quota_orders]
    assert sorted(row.order_by for row in rows) == sorted(order.order_by for order in orders)
    assert sum(row.usd for row in rows) == pytest.approx(sum(getattr(order, "usd", 0.0) for order in orders))
    for svg in drawings(chart):
        bars = [bar for bar in marks(svg, "rect", r"f\d") if bar.find(f"{SVG}title") is not None]
        long = [
            (row.lead_days, float(bar.get("width"))) for row, bar in zip(rows, bars, strict=True) if row.lead_days > 30
        ]
        per_day = [width / days for days, width in long]
        assert max(per_day) - min(per_day) < 0.01
    offers = {offer.id: offer for offer in built.study.offers}
    for order in built.orders:
        (row,) = [r for r in rows if (r.kind, r.usd, r.period) == ("order", order.usd, order.period)]
        assert row.lead_days == offers[order.offer].lead_days and row.slack_days == built.study.order_slack_days
    canvas, late = Canvas("a", "narrow", 340.0), [replace(row, days_late=9) for row in rows[:2]]
    draw_deadlines(canvas, [*late, *rows[2:]], rows[0].order_by + timedelta(days=9))
    svg = ET.fromstring(canvas.svg("t", "s"))
    assert texts(svg).count("LATE 9 days") == 2
    assert len(marks(svg, "line", "late")) == 2 + sum(row.days_late > 0 for row in rows[2:])


def test_a_ladder_is_drawn_step_by_step_without_those_that_have_no_plan(plan):
    def step(name, cost_usd, adds_usd, own=True):
        proof = plan.file.proof.model_copy(update={"cost_usd": cost_usd})
        planned = None if cost_usd is None else plan.file.model_copy(update={"proof": proof})
        return StepPlan(LadderStep(name, {}, own), planned, cost_usd or 0.0, adds_usd)

    ladder = [
        step("none", 100.0, 0.0),
        step("site", 130.0, 30.0),
        step("site:2", None, 0.0),
        step("stack", 150.0, 20.0, False),
    ]
    (chart,) = review_ladder(plan.study, ladder).drawings()
    assert [row.what_for for row in chart.section.rows] == ["no goal", "any site", "any stack, assumed"]
    for svg in drawings(chart):
        bars = marks(svg, "rect", r"f\d")
        per_usd = float(bars[0].get("width")) / 100.0
        assert lengths(bars[1:], "width") == pytest.approx([30 * per_usd, 20 * per_usd], abs=0.11)
    assert review_ladder(plan.study, [step("none", None, 0.0)]).drawings() == ()
