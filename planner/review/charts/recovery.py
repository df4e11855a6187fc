"""The worst failure from its begin until it is repaired: who is served by what, tier by tier, and what is asked."""

from collections.abc import Callable, Sequence
from math import log1p

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn
from planner.review.charts.svg import LINE, Canvas, number, scale, text_width
from planner.review.recovery import COLD_START, LAUNCHED, RECLAIMED, REPAIRED, WARM, AskedSlice, worst_recovery_section
from planner.review.report import percent, short_failure
from planner.units import SECONDS_PER_HOUR

PANEL = 86.0
AXIS = 42.0
ABOVE = 34.0
"""Height of a tier's panel, width of its axis, space for its heading [units]."""
KNEE_SECONDS = 30.0
"""The axis of time is straight far below it and logarithmic far above."""
LOOKS = {
    WARM: ("f5", 0, "warm", "ran all along"),
    RECLAIMED: ("f7", 1, "reclaimed", "on machines back from others"),
    COLD_START: ("f6", 2, "cold starts", "loaded since, on machines that were there"),
    LAUNCHED: ("f4", 3, "launched", "loaded on machines obtained since"),
}


def recovery(plan: Plan) -> Chart | None:
    """Stacked steps; None where no goal names a failure."""
    section = worst_recovery_section(plan)
    if section is None:
        return None
    rows: Sequence[AskedSlice] = section.rows
    name = short_failure(rows[0].failure)
    said = []
    for tier in dict.fromkeys(row.tier for row in rows):
        of_tier = [row for row in rows if row.tier == tier]
        said.append(
            f"{tier} {', '.join(f'{percent(row.served_fraction)} at {time_text(row)}' for row in _merged(of_tier))}"
        )
    summary = f"Share of the demand that is served when {name} is lost: {'; '.join(said)}."
    title = f"Recovery when {name} is lost, the worst failure"
    return drawn("recovery", title, summary, section, lambda canvas: _draw(canvas, rows))


def time_text(row: AskedSlice) -> str:
    """When a slice begins, as people say it."""
    if row.event == REPAIRED:
        return f"repair, {_seconds_text(row.seconds)}"
    return _seconds_text(row.seconds)


def _seconds_text(seconds: float) -> str:
    """A time since a failure began.

    Examples
    --------
    >>> _seconds_text(0.0), _seconds_text(130.001), _seconds_text(300.0), _seconds_text(21600.0)
    ('0 s', '130 s', '5 min', '6 h')
    """
    if seconds >= SECONDS_PER_HOUR:
        return f"{seconds / SECONDS_PER_HOUR:.3g} h"
    if seconds >= 120 and round(seconds) % 60 == 0:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"


def _merged(rows: Sequence[AskedSlice]) -> list[AskedSlice]:
    """Without the slices that say the same as the one before."""
    kept: list[AskedSlice] = []
    for row in rows:
        if not kept or percent(kept[-1].served_fraction) != percent(row.served_fraction) or row.event == REPAIRED:
            kept.append(row)
    return kept


# ------------------------------------------------------------------ the drawing
def _draw(canvas: Canvas, rows: Sequence[AskedSlice]) -> None:
    last = max(row.seconds for row in rows)
    end = max(last * (1.25 if rows[-1].event == REPAIRED else 2.0), 60.0)
    along = scale((0.0, log1p(end / KNEE_SECONDS)), (AXIS, canvas.width - 1))

    def x_of(seconds: float) -> float:
        return along(log1p(seconds / KNEE_SECONDS))

    used = [name for name in LOOKS if any(getattr(row, name) > 0 for row in rows)]
    entries = [(look, hatch, f"{called}: {meaning}") for look, hatch, called, meaning in map(LOOKS.__getitem__, used)]
    if any(row.asked_fraction is not None for row in rows):
        entries.append(("due-key", 0, "dashed: what goals ask, from their deadline on"))
    y = canvas.key(1, entries, columns=1 if canvas.is_narrow else 2)
    for tier in dict.fromkeys(row.tier for row in rows):
        of_tier = [row for row in rows if row.tier == tier]
        y += ABOVE
        _heading(canvas, y - 10, tier, of_tier)
        _panel(canvas, y, of_tier, end, x_of)
        y += PANEL
    _times(canvas, y, rows, x_of)
    canvas.height = y + 22


def _heading(canvas: Canvas, y: float, tier: str, rows: Sequence[AskedSlice]) -> None:
    shares = " → ".join(percent(row.served_fraction) for row in _merged(rows))
    width = text_width(shares)
    canvas.text(AXIS, y, tier, "strong", most=canvas.width - AXIS - width - 12)
    canvas.text(canvas.width - 1, y, f"{shares}", "", "end")


def _panel(canvas: Canvas, top: float, rows: Sequence[AskedSlice], end: float, x_of: Callable[[float], float]) -> None:
    """A tier: each share from its second on until the next one, on top of each other."""
    y_of = scale((0.0, 1.0), (top + PANEL, top))
    for share in (0.0, 0.5, 1.0):
        canvas.line(AXIS, y_of(share), canvas.width - 1, y_of(share), "axis" if share == 0 else "grid")
        canvas.text(AXIS - 5, y_of(share) + 4, f"{share:.0%}", "soft", "end")
    until = [row.seconds for row in rows[1:]] + [end]
    for row, ends in zip(rows, until, strict=True):
        base, x, width = 0.0, x_of(row.seconds), x_of(ends) - x_of(row.seconds)
        for name, (look, hatch, called, _) in LOOKS.items():
            share = getattr(row, name)
            tip = f"{row.tier} from {time_text(row)} on: {percent(share)} {called}"
            canvas.rect(x, y_of(base + share), width, y_of(base) - y_of(base + share), f"{look} area", tip, hatch)
            base += share
            if share > 0 and width > 0:
                canvas.line(x, y_of(base), x + width, y_of(base), look.replace("f", "k"))
    asked: float | None = None
    for row, ends in zip(rows, until, strict=True):
        if row.asked_fraction is None:
            continue
        x, y = x_of(row.seconds), y_of(row.asked_fraction)
        if row.asked_fraction != asked:
            canvas.path(f"M{number(x)} {number(top + PANEL)}V{number(y)}H{number(x_of(ends))}", "due")
            words = f"≥ {percent(row.asked_fraction)} by {_seconds_text(row.seconds)}"
            width = text_width(words)
            at = x + 5 if x + 5 + width < canvas.width else x - 5 - width
            canvas.text(at, y + 15, words, "halo")
        else:
            canvas.path(f"M{number(x)} {number(y)}H{number(x_of(ends))}", "due")
        asked = row.asked_fraction


def _times(canvas: Canvas, y: float, rows: Sequence[AskedSlice], x_of: Callable[[float], float]) -> None:
    """The seconds at which something happens, where they do not touch."""
    free_from = 0.0
    for seconds in sorted({row.seconds for row in rows}):
        words, x = _seconds_text(seconds), x_of(seconds)
        start = x - text_width(words) / 2
        canvas.line(x, y, x, y + 4, "axis")
        if start >= free_from:
            canvas.text(x, y + LINE, words, "", "middle")
            free_from = start + text_width(words) + 6
