"""The cost of resilience step by step: each bar begins where the one before ends."""

from collections.abc import Sequence

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn
from planner.review.charts.money_text import short_usd
from planner.review.charts.svg import HATCHES, LINE, Canvas, scale, text_width, ticks
from planner.review.report import Section, percent, signed, usd
from planner.review.resilience import LADDER, ResilienceStep, differ_text, resilience_section

BAR = 24.0
NAME = 200.0
LOOKS = ("f7", "f5", "f6", "f4")
"""Not the colours of providers."""


def resilience(plan: Plan) -> Chart | None:
    """The steps that a plan holds, as a cascade; None where it costs nothing."""
    section = resilience_section(plan)
    more = f" {LADDER[0].upper()}{LADDER[1:]}."
    return cascade("resilience", "Cost of resilience, step by step", section, plan.study.horizon.months, more)


def cascade(name: str, title: str, section: Section, months: float, more: str = "") -> Chart | None:
    """Steps, each from where the one before ends; None where they cost nothing.

    Parameters
    ----------
    section : its rows are steps
    months : of the horizon that they are costs of
    more : a sentence at the end of the summary
    """
    rows: Sequence[ResilienceStep] = section.rows
    if max((row.cost_usd for row in rows), default=0.0) <= 0:
        return None
    first, last = rows[0].cost_usd, rows[-1].cost_usd
    adds = "; ".join(map(_adds_text, rows[1:]))
    share = f", {percent((last - first) / first)} more" if first > 0 else ""
    summary = (
        f"Without goals {usd(first)} USD over {months:g} months, with them {usd(last)} USD{share}"
        f"{f': {adds}' if adds else ''}.{more}"
    )
    return drawn(name, title, summary, section, lambda canvas: _draw(canvas, rows))


def _adds_text(row: ResilienceStep) -> str:
    differ = differ_text(row.adds_least_usd, row.adds_most_usd)
    return f"{signed(row.adds_usd)} USD for {row.what_for}{f' ({differ})' if differ else ''}"


def _draw(canvas: Canvas, rows: Sequence[ResilienceStep]) -> None:
    values = ticks(max(row.cost_usd for row in rows), 3 if canvas.is_narrow else 5)
    start, end = (0.5 if canvas.is_narrow else NAME), canvas.width - (30 if canvas.is_narrow else 40)
    x_of = scale((0.0, values[-1]), (start, end))
    y = 4.0
    pitch = BAR + (2 * LINE + 8 if canvas.is_narrow else 14)
    bottom = y + pitch * len(rows)
    for value in values:
        canvas.line(x_of(value), 0, x_of(value), bottom, "grid")
        canvas.text(x_of(value), bottom + 14, short_usd(value), "soft", "start" if value == 0 else "middle")
    before = 0.0
    for n, row in enumerate(rows):
        cost = f"{short_usd(row.cost_usd)} USD"
        adds = f"+{short_usd(row.adds_usd)} for {row.what_for}" if row.adds_usd >= 0 else short_usd(row.adds_usd)
        if canvas.is_narrow:
            canvas.text(1, y + 12, f"{row.step}: {cost}", "halo strong", most=canvas.width)
            y += LINE
        else:
            canvas.text(start - 8, y + 11, row.step, "strong", "end", start - 8)
            canvas.text(start - 8, y + 25, cost, "", "end", start - 8)
        if n:
            canvas.rect(x_of(0), y, x_of(before) - x_of(0), BAR, "spare", f"as the step before: {usd(before)} USD")
        begins = before if n else 0.0
        low, high = sorted((begins, row.cost_usd))
        tip = f"{row.step}: {usd(row.cost_usd)} USD, {signed(row.adds_usd)} for {row.what_for}"
        canvas.rect(x_of(low), y, x_of(high) - x_of(low), BAR, LOOKS[n % len(LOOKS)], tip, n % HATCHES)
        if n:
            _added(canvas, y, adds, (x_of(0), x_of(before)), (x_of(low), x_of(high)), f"on-{LOOKS[n % len(LOOKS)]}")
        y += pitch - (LINE if canvas.is_narrow else 0)
        before = row.cost_usd
    canvas.height = bottom + 20


def _added(
    canvas: Canvas, y: float, words: str, before: tuple[float, float], bar: tuple[float, float], on_bar: str
) -> None:
    """What a step adds, where it fits: below in a narrow drawing; else before its bar, in it, or behind it."""
    width = text_width(words) + 12
    if canvas.is_narrow:
        canvas.text(1, y + BAR + 13, words, "halo", most=canvas.width)
    elif width <= before[1] - before[0]:
        canvas.text(before[1] - 6, y + 16, words, "", "end")
    elif width <= bar[1] - bar[0]:
        canvas.text(bar[0] + 6, y + 16, words, on_bar)
    else:
        canvas.text(bar[1] + 6, y + 16, words, "halo", most=canvas.width - bar[1] - 6)
