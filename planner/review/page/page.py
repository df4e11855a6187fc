"""One self-contained page of HTML of a report: no script, nothing from elsewhere, every name as text."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import printable
from planner.review.charts.chart import style as style_of_charts
from planner.review.page.view import SectionView, section_view, sections_in, tied
from planner.review.report import Report

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'"
"""No script, no network, and no style but the one of the page, by its hash; `data:` is the blank icon."""
PARTS = (
    ("evidence", "Where it holds, and how that is known"),
    ("beside", "Two plans side by side"),
    ("section", "All that the report says"),
)


@cache
def _template() -> "Template":
    """The template, in which every value is escaped unless it is markup of our own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    ).get_template("page.html.j2")


@cache
def style() -> str:
    """The style sheet of pages, and of the pictures in them."""
    return (FOLDER / "page.css").read_text(encoding="utf-8") + style_of_charts()


def page(report: Report) -> str:
    """A report as a page; its pictures are made now.

    What is decided comes first; then pictures, each with the rows that it is drawn from; what holds where; another
    plan, where one stands beside; and every section with every row.
    """
    from markupsafe import Markup

    ids = (f"part-{n}" for n in count(1))
    answer = list(_views(report, "answer", ids))
    drawings = []
    for drawing in report.drawings():
        drawings.append(
            (tied(drawing.title), tied(drawing.summary), Markup(drawing.svg), section_view(drawing.section, next(ids)))
        )
    parts = []
    for part, title in PARTS:
        views = list(_views(report, part, ids))
        if views:
            parts.append((part, title if answer else "", views))
    css = style()
    values: dict[str, Any] = {
        "title": printable(report.title),
        "good": report.good,
        "policy": POLICY.format(base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()),
        "style": Markup(css),
        "decision": next((view for view in answer if view.title == "Decision"), None),
        "verdict": next((view for view in answer if view.title == "Answer"), None),
        "answer": [view for view in answer if view.title != "Decision"],
        "drawings": drawings,
        "parts": parts,
        "unsure": [printable(line) for line in report.unsure],
        "sealed": {key: value for key, value in report.data.items() if key.endswith("sha256")},
    }
    return _template().render(values)


def _views(report: Report, part: str, ids: Iterator[str]) -> Iterator[SectionView]:
    for section in sections_in(report, part):
        yield section_view(section, next(ids))
