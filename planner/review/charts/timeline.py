"""When what has to be ordered: a bar from the last day to order until it is needed, against today."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn
from planner.review.charts.svg import LINE, Canvas, number, scale, text_width
from planner.review.lead_times import BUILD, DELAYS, ORDER, QUOTA, Deadline, lead_times_section
from planner.units import after_months

MOST_ROWS = 40
"""Deadlines that are drawn, the earliest; the table has all."""
LOOKS = {ORDER: ("f5", 0), BUILD: ("f7", 1), QUOTA: ("f6", 2)}
"""Colours are the last ones: the first ones are providers' in all drawings."""
OF = {ORDER: "an order", BUILD: "a part to build", QUOTA: "a quota"}
BAR = 13.0
NAME = 300.0
DATE = 88.0
MOST_TICKS = {"wide": 9, "narrow": 5}
STEPS_MONTHS = (1, 3, 6, 12, 24, 60, 120)


def timeline(plan: Plan) -> Chart | None:
    """The bars; None where nothing is ordered."""
    section = lead_times_section(plan)
    if section is None:
        return None
    rows: Sequence[Deadline] = section.rows
    today, late = plan.study.today, sum(row.days_late > 0 for row in rows)
    first = rows[0]
    several = f"{len(rows)} deadlines until {rows[-1].order_by}, the first" if len(rows) > 1 else "One deadline,"
    summary = (
        f"{several} by {first.order_by}: {first.what}, needed {first.need}. On {today} "
        f"{late or 'none'} of {len(rows)} {'have' if late > 1 else 'has'} passed. {DELAYS[0].upper()}{DELAYS[1:]}."
    )
    title = "What to order, build and ask for, by when"
    return drawn("timeline", title, summary, section, lambda canvas: _draw(canvas, rows, today))


def _draw(canvas: Canvas, rows: Sequence[Deadline], today: date) -> None:
    kinds = dict.fromkeys(row.kind for row in rows)
    entries = [("spare", 0, "slack, from the day to order by")]
    entries += [(*LOOKS[kind], f"lead time of {OF[kind]}, until needed") for kind in LOOKS if kind in kinds]
    y = canvas.key(1, entries, columns=1 if canvas.is_narrow else len(entries)) + 22
    start = 5.0 if canvas.is_narrow else NAME
    first, last = min(today, *(row.order_by for row in rows)), max(row.need for row in rows)
    span = scale((first.toordinal(), last.toordinal()), (start, canvas.width - DATE))

    def x_of(day: date) -> float:
        return span(day.toordinal())

    pitch = BAR + (LINE + 6 if canvas.is_narrow else 7)
    drawn_rows = rows[:MOST_ROWS]
    bottom = y + pitch * len(drawn_rows)
    _calendar(canvas, y - 6, bottom, (first, last), x_of)
    canvas.line(x_of(today), y - 6, x_of(today), bottom, "due")
    for row in drawn_rows:
        if canvas.is_narrow:
            canvas.text(9, y + 10, row.what, "halo", most=canvas.width - 10)
            y += LINE
        else:
            canvas.text(start - 8, y + 11, row.what, "", "end", start - 8)
        _bar(canvas, y, row, today, x_of)
        y += pitch - (LINE if canvas.is_narrow else 0)
    at = min(max(x_of(today), start), canvas.width - 30)
    canvas.text(at, bottom + 14, "today", "strong", "start" if at < start + 30 else "middle")
    y = bottom + 20
    if len(rows) > MOST_ROWS:
        canvas.text(0, y + 12, f"and {len(rows) - MOST_ROWS} later ones: see the table", "soft")
        y += LINE + 4
    canvas.height = y


def _bar(canvas: Canvas, y: float, row: Deadline, today: date, x_of: Callable[[date], float]) -> None:
    """Slack and lead time of a deadline, its day at the end; what is late in red, with the days."""
    begin, end = x_of(row.order_by), x_of(row.need)
    in_time = x_of(row.order_by + timedelta(days=row.slack_days))
    look, hatch = LOOKS[row.kind]
    tip = f"{row.kind}: {row.what}, by {row.order_by}, needed {row.need}"
    canvas.rect(begin, y, in_time - begin, BAR, "spare", f"{row.slack_days} days of slack")
    canvas.rect(in_time, y, max(end - in_time, 1.0), BAR, look, f"{tip}: {row.lead_days} days of lead time", hatch)
    middle = y + BAR / 2
    canvas.path(f"M{number(begin - 4)} {number(y)}H{number(begin + 4)}L{number(begin)} {number(middle)}Z", "ink")
    words = f"by {row.order_by}"
    if row.days_late:
        canvas.line(begin, y + BAR + 1.5, x_of(today), y + BAR + 1.5, "late")
        words = f"LATE {row.days_late:,} days"
    canvas.text(end + 5, y + 11, words, "is-late" if row.days_late else "")


def _calendar(
    canvas: Canvas, top: float, bottom: float, ends: tuple[date, date], x_of: Callable[[date], float]
) -> None:
    """First days of months, as many as there is space for."""
    free_from = 0.0
    for day in _ticks(*ends, MOST_TICKS[canvas.kind]):
        words = f"{day:%Y-%m}"
        x = x_of(day)
        canvas.line(x, top, x, bottom, "grid")
        if x - text_width(words) / 2 >= free_from:
            canvas.text(x, top - 5, words, "soft", "middle")
            free_from = x + text_width(words) / 2 + 6


def _ticks(first: date, last: date, most: int) -> Iterator[date]:
    """First days of months between two days, a round number of months apart."""
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    step = next((n for n in STEPS_MONTHS if months / n <= most), STEPS_MONTHS[-1])
    day = date(first.year, (first.month - 1) // step * step + 1, 1) if step <= 12 else date(first.year, 1, 1)
    while day <= last:
        if day >= first:
            yield day
        day = after_months(day, step)
