"""Utilisation and headroom by pool: two bars each, normal operation and the failure in which it is fullest."""

from collections.abc import Mapping, Sequence

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn, provider_colours
from planner.review.charts.svg import LINE, Canvas, text_width
from planner.review.report import percent, short_failure
from planner.review.utilisation import PoolLoad, PoolUse, utilisation_section

MOST_POOLS = 30
"""Pools that are drawn, the fullest; the table has all."""
BAR = 13.0
NAME = 250.0
SHARE = 52.0


def utilisation(plan: Plan) -> Chart | None:
    """The bars; None where there are no machines."""
    section = utilisation_section(plan)
    if section is None:
        return None
    rows: Sequence[PoolUse] = section.rows
    machines, busy = (sum(getattr(row.normal, name) for row in rows) for name in ("machines", "busy_machines"))
    share = percent(busy / machines if machines > 0 else 0.0)
    fullest = rows[0].worst or rows[0].normal
    summary = f"{busy:,.1f} of {machines:,.1f} machines are busy in normal operation, {share}"
    summary += (
        f"; the rest is kept for failures, and not all of it is room to grow: {rows[0].pool} is "
        f"{percent(fullest.busy_fraction)} busy when {short_failure(fullest.failure)} is lost, the fullest of all. How "
        "much more demand holds stands in the decision."
        if rows[0].worst is not None
        else "."
    )
    title = "Utilisation and headroom by pool: normal operation, and the failure in which it is fullest"
    colours = provider_colours(plan)
    return drawn("utilisation", title, summary, section, lambda canvas: _draw(canvas, rows, colours))


def _draw(canvas: Canvas, rows: Sequence[PoolUse], colours: Mapping[str, int]) -> None:
    entries = [
        ("f7", 0, "busy: filled by traffic, of what may be filled"),
        ("f7 light", 1, "headroom in replicas that run"),
        ("spare", 0, "machines without replicas"),
    ]
    y = canvas.key(1, entries, columns=1 if canvas.is_narrow else 3) + 8
    start, end = (0.5 if canvas.is_narrow else NAME), canvas.width - SHARE
    ends = start, end
    for row in rows[:MOST_POOLS]:
        if canvas.is_narrow:
            canvas.text(0, y + 11, row.pool, "strong", most=canvas.width)
            y += LINE
        else:
            canvas.text(start - 8, y + 11, row.pool, "strong", "end", start - 8)
        _bar(canvas, y, row.normal, f"f{colours[row.provider]}", ends, "normal", f"{row.normal.machines:,.1f} machines")
        y += BAR + 3
        if row.worst is not None:
            name = short_failure(row.worst.failure)
            if not canvas.is_narrow:
                canvas.text(start - 8, y + 11, f"lost: {name}", "soft", "end", start - 8)
            is_other = abs(row.worst.machines - row.normal.machines) >= 0.05
            words = f"{row.worst.machines:,.1f} machines" if is_other else ""
            _bar(canvas, y, row.worst, f"f{colours[row.provider]}", ends, f"lost: {name}", words)
            y += BAR + 3
            if canvas.is_narrow:
                canvas.text(0.5, y + 10, f"lower bar, lost: {name}", "soft", most=canvas.width)
                y += LINE - 2
        y += 8
    if len(rows) > MOST_POOLS:
        canvas.text(0, y + 12, f"and {len(rows) - MOST_POOLS} pools that are less full: see the table", "soft")
        y += LINE
    canvas.height = y


def _bar(
    canvas: Canvas, y: float, load: PoolLoad, look: str, ends: tuple[float, float], state: str, label: str
) -> None:
    """All machines of a pool in a state as one bar: busy, in replicas that run, without replicas."""
    start, end = ends
    per_machine = (end - start) / load.machines if load.machines > 0 else 0.0
    x = start
    for machines, fill, hatch, words in (
        (load.busy_machines, look, 0, "busy"),
        (load.running_machines - load.busy_machines, f"{look} light", 1, "headroom in replicas that run"),
        (load.machines - load.running_machines, "spare", 0, "without replicas"),
    ):
        width = machines * per_machine
        canvas.rect(x, y, width, BAR, fill, f"{state}: {machines:,.1f} of {load.machines:,.1f} machines {words}", hatch)
        x += max(0.0, width)
    canvas.text(end + 5, y + 11, percent(load.busy_fraction))
    if text_width(label) + 10 < load.busy_machines * per_machine:
        canvas.text(start + 5, y + 10.5, label)
