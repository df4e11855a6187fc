"""Drawings of a plan: what is drawn adds up to the rows and to the plan, in well-formed XML that is always the same."""

import re
import xml.etree.ElementTree as ET

import pytest
from helpers import write_study

from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.review.charts.chart import NARROW, WIDE
from planner.review.charts.every import CHARTS
from planner.solve.search import Effort
from planner.study.read import read_study

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    study, _ = read_study(write_study(tmp_path_factory.mktemp("study")))
    return Plan(make_plan(study, Effort()))


def drawings(chart):
    """Both drawings of a chart, parsed."""
    return [*ET.fromstring(f"<div>{chart.svg}</div>")]


@pytest.mark.parametrize("draw", CHARTS, ids=lambda draw: draw.__name__)
def test_each_is_an_accessible_image_that_scales(plan, draw):
    chart = draw(plan)
    wide, narrow = drawings(chart)
    for svg, width in ((wide, WIDE), (narrow, NARROW)):
        assert svg.get("role") == "img" and svg.get("width") is None and svg.get("viewBox").startswith(f"0 0 {width} ")
        title, description = svg.get("aria-labelledby").split()
        assert svg.find(f"{SVG}title[@id='{title}']").text == chart.title
        assert svg.find(f"{SVG}desc[@id='{description}']").text == chart.summary
    assert not re.search(r" style=|<script|<style|https?://(?!www\.w3\.org/2000/svg)", chart.svg)
    assert draw(Plan(plan.file)).svg == chart.svg, "the same plan, the same drawing byte for byte"
