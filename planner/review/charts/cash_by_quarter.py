"""Cash by quarter: a column for each, stacked by component of the cost."""

from collections.abc import Sequence

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn
from planner.review.charts.money_text import short_usd
from planner.review.charts.svg import HATCHES, Canvas, colour, extent, scale, stacked, text_width, ticks_on_both_sides
from planner.review.report import usd
from planner.review.spend import QuarterCash, quarters_section

HEIGHT = 190.0
TOP = 18.0
AXIS = 52.0


def cash_by_quarter(plan: Plan) -> Chart | None:
    """Stacked columns; None where nothing is paid."""
    section = quarters_section(plan)
    if section is None:
        return None
    rows: Sequence[QuarterCash] = section.rows
    dearest = max(rows, key=lambda row: row.usd)
    summary = (
        f"{usd(sum(row.usd for row in rows))} USD of cash from {rows[0].quarter} to {rows[-1].quarter}, not "
        f"discounted; most in {dearest.quarter}: {usd(dearest.usd)} USD."
    )
    return drawn("cash", "Cash by quarter", summary, section, lambda canvas: _draw(canvas, rows))


def _draw(canvas: Canvas, rows: Sequence[QuarterCash]) -> None:
    places = [stacked(row.by_component.values()) for row in rows]
    values = ticks_on_both_sides(*extent(places))
    y_of = scale((values[0], values[-1]), (TOP + HEIGHT, TOP))
    for value in values:
        canvas.line(AXIS, y_of(value), canvas.width, y_of(value), "grid")
        canvas.text(AXIS - 6, y_of(value) + 4, short_usd(value), "soft", "end")
    pitch = (canvas.width - AXIS) / len(rows)
    width = min(64.0, 0.7 * pitch)
    looks = {name: (f"f{colour(-1 - n)}", n % HATCHES) for n, name in enumerate(rows[0].by_component)}
    for n, row in enumerate(rows):
        middle = AXIS + (n + 0.5) * pitch
        for (name, value), (low, high) in zip(row.by_component.items(), places[n], strict=True):
            look, hatch = looks[name]
            y = y_of(high)
            tip = f"{row.quarter}, {name.replace('_', ' ')}: {usd(value)} USD"
            canvas.rect(middle - width / 2, y, width, y_of(low) - y, look, tip, hatch)
        if text_width(short_usd(row.usd)) <= pitch - 4:
            canvas.text(middle, y_of(max(high for _, high in places[n])) - 5, short_usd(row.usd), "", "middle")
        _quarter(canvas, rows, n, middle, pitch)
    canvas.line(AXIS, y_of(0.0), canvas.width, y_of(0.0), "axis")
    entries = [(*looks[name], f"{name.replace('_', ' ')}: {short_usd(_paid(rows, name))} USD") for name in looks]
    canvas.height = canvas.key(TOP + HEIGHT + 42, entries, columns=1 if canvas.is_narrow else 3) + 2


def _paid(rows: Sequence[QuarterCash], component: str) -> float:
    return sum(row.by_component[component] for row in rows)


def _quarter(canvas: Canvas, rows: Sequence[QuarterCash], n: int, middle: float, pitch: float) -> None:
    """The quarter below its column, the year below its first one; not each, where columns are narrow."""
    year, quarter = rows[n].quarter.split()
    if pitch >= 20 or n % 2 == 0:
        canvas.text(middle, TOP + HEIGHT + 15, quarter, "", "middle")
    if n == 0 or rows[n - 1].quarter.split()[0] != year:
        canvas.text(middle, TOP + HEIGHT + 30, year, "soft", "middle")
