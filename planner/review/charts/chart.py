"""A drawing with the section that it is drawn from, in two widths: for screens and paper, and for telephones."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planner.plan.in_hand import Plan
from planner.review.charts.svg import Canvas, colour
from planner.review.report import Section

WIDE, NARROW = 800, 340
"""Widths [units of the drawing]. A page shows the narrow drawing below 45 rem (style.css), so that text in it stays
above 10 px down to a window of 360 px; a wide one shrunk to that would have text of 5 px."""
STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Parameters
    ----------
    title : what it is of; plain text
    summary : a sentence that says what it shows, for those who do not see it; plain text
    svg : two `<svg>` elements, wide and narrow, of which `style.css` shows one; names in them are escaped
    section : the rows that it is drawn from
    """

    title: str
    summary: str
    svg: str
    section: Section


def provider_colours(plan: Plan) -> dict[str, int]:
    """Provider -> its colour, the same in every drawing of a plan."""
    return {name: colour(n) for n, name in enumerate(sorted({*plan.problem.provider_of.values()}))}


def drawn(name: str, title: str, summary: str, section: Section, draw: Callable[[Canvas], None]) -> Chart:
    """A chart: the same drawing in both widths.

    Parameters
    ----------
    name : what its ids begin with
    draw : puts the drawing on a canvas of the width that this has, and sets its height
    """
    parts = []
    for kind, width in (("wide", WIDE), ("narrow", NARROW)):
        canvas = Canvas(f"{name}-{kind}", kind, float(width))
        draw(canvas)
        parts.append(canvas.svg(title, summary))
    return Chart(title, summary, "\n".join(parts), section)


def style() -> str:
    """The style sheet that every drawing needs."""
    return STYLE.read_text(encoding="utf-8")
