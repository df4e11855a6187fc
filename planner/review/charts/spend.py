"""Where the money goes: a bar for each period, or for each provider where there is one period."""

from collections.abc import Mapping, Sequence

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn, provider_colours
from planner.review.charts.money_text import short_usd
from planner.review.charts.svg import COLOURS, HATCHES, LINE, Canvas, extent, scale, stacked, text_width
from planner.review.report import percent, usd
from planner.review.spend import NO_PROVIDER, Spend, spend_section

BAR = 22.0
LABEL = 130.0
Look = tuple[str, int]
"""Class of the fill, and hatch over it"""


def spend(plan: Plan) -> Chart | None:
    """Stacked bars; None where nothing is paid."""
    section = spend_section(plan)
    if section is None:
        return None
    rows: Sequence[Spend] = section.rows
    total = sum(row.usd for row in rows)
    by_provider: dict[str, float] = {}
    for row in rows:
        by_provider[row.provider] = by_provider.get(row.provider, 0.0) + row.usd
    largest_first = sorted(by_provider, key=lambda name: (-by_provider[name], name))
    shares = ", ".join(
        f"{_said(name)} {usd(by_provider[name])} USD ({percent(by_provider[name] / total if total else 0.0)})"
        for name in largest_first
    )
    summary = f"{usd(total)} USD of cash over {plan.study.horizon.months:g} months, not discounted: {shares}."
    looks = _looks(rows, provider_colours(plan))
    title = "Where the money goes: provider, offer" + (", period" if len(plan.problem.periods) > 1 else "")
    periods = plan.problem.periods if len(plan.problem.periods) > 1 else ()
    return drawn("spend", title, summary, section, lambda canvas: _draw(canvas, rows, looks, periods, largest_first))


def _said(provider: str) -> str:
    return "for no provider" if provider == NO_PROVIDER else provider


def _looks(rows: Sequence[Spend], colours: Mapping[str, int]) -> dict[tuple[str, str], Look]:
    """(provider, offer) -> its look: the provider's colour, a hatch for each of its offers, the dearest plain."""
    total: dict[tuple[str, str], float] = {}
    for row in rows:
        total[row.provider, row.offer] = total.get((row.provider, row.offer), 0.0) + row.usd
    looks: dict[tuple[str, str], Look] = {}
    of_provider: dict[str, int] = {}
    for provider, offer in sorted(total, key=lambda key: (key[0], -total[key], key[1])):
        n = of_provider.get(provider, 0)
        of_provider[provider] = n + 1
        looks[provider, offer] = f"f{colours.get(provider, COLOURS - 1)}", n % HATCHES
    return looks


# ------------------------------------------------------------------ the drawing
def _draw(
    canvas: Canvas,
    rows: Sequence[Spend],
    looks: Mapping[tuple[str, str], Look],
    periods: Sequence[str],
    providers: Sequence[str],
) -> None:
    """A bar for each period, else for each provider; then what each look means, with its sum."""
    bars = [(name, [row for row in rows if row.period == name]) for name in periods]
    if not periods:
        bars = [(_said(name), [row for row in rows if row.provider == name]) for name in providers]
    order = list(looks)
    for _, of_bar in bars:
        of_bar.sort(key=lambda row: order.index((row.provider, row.offer)))
    places = [stacked(row.usd for row in of_bar) for _, of_bar in bars]
    least, most = extent(places)
    start = 0.5 if canvas.is_narrow else LABEL
    x_of = scale((least, most), (start, canvas.width - 70))
    y = 1.0
    for (name, of_bar), of_places in zip(bars, places, strict=True):
        if canvas.is_narrow:
            canvas.text(0, y + 12, name, "strong", most=canvas.width)
            y += LINE
        else:
            canvas.text(start - 8, y + 15, name, "strong", "end", start - 8)
        for row, (low, high) in zip(of_bar, of_places, strict=True):
            look, hatch = looks[row.provider, row.offer]
            x, width = x_of(low), x_of(high) - x_of(low)
            tip = f"{row.provider} {row.offer}, {row.period}: {usd(row.usd)} USD"
            canvas.rect(x, y, width, BAR, look, tip, hatch)
            words = row.offer if text_width(row.offer) <= width - 8 else short_usd(row.usd)
            if text_width(words) <= width - 8:
                canvas.text(x + 5, y + 15, words, f"on-{look}" if hatch else "")
        end, total = max((high for _, high in of_places), default=0.0), sum(row.usd for row in of_bar)
        canvas.text(x_of(end) + 6, y + 15, short_usd(total))
        y += BAR + 8
    entries = []
    for (provider, offer), (look, hatch) in looks.items():
        paid = sum(row.usd for row in rows if (row.provider, row.offer) == (provider, offer))
        entries.append((look, hatch, f"{_said(provider)} {offer}: {short_usd(paid)} USD"))
    canvas.height = canvas.key(y + 6, entries, columns=1 if canvas.is_narrow else 3) + 2
