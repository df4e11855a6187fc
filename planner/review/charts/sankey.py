"""Origin, model at a pool, provider: where requests go in normal operation, as bands as high as their requests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn, provider_colours
from planner.review.charts.svg import COLOURS, LINE, Canvas, number
from planner.review.report import percent
from planner.review.routes import Route, rate_text, routes_section

MOST_PLACEMENTS = 18
"""Models at pools that are drawn apart; the smallest of a provider beyond that are one band."""
BANDS_HEIGHT = 280.0
GAP = 6.0
BAR = 10.0
Key = tuple[str, str]


@dataclass
class Node:
    """An origin, a model at a pool, or a provider: what goes through it, and where its bar stands.

    Parameters
    ----------
    lines : what is written beside it
    drawn_in, drawn_out : height of the bands that are drawn already, on either side [units]
    """

    lines: tuple[str, str]
    colour: int | None
    requests_per_second: float = 0.0
    y: float = 0.0
    height: float = 0.0
    drawn_in: float = 0.0
    drawn_out: float = 0.0
    between: str = " · "

    @property
    def name(self) -> str:
        """What it is."""
        return self.lines[0] if self.between == " · " else self.words

    @property
    def words(self) -> str:
        """What is written beside it, in one line."""
        return self.between.join(self.lines)


Columns = tuple[dict[str, Node], dict[Key, Node], dict[str, Node]]
"""Origins, (model, pool), providers"""


def sankey(plan: Plan) -> Chart | None:
    """The bands; None where nothing is served in normal operation."""
    section = routes_section(plan)
    if section is None:
        return None
    rows: Sequence[Route] = section.rows
    total = sum(row.requests_per_second for row in rows)
    by_provider = _sums((row.provider, row.requests_per_second) for row in rows)
    shares = ", ".join(
        f"{provider} {percent(requests / total)}"
        for provider, requests in sorted(by_provider.items(), key=lambda item: (-item[1], item[0]))
    )
    origins, pools = len({row.origin for row in rows}), len({(row.model, row.pool) for row in rows})
    summary = (
        f"{rate_text(total)} requests/s from {origins} origins go to {pools} combinations of model and pool in normal "
        f"operation; by provider: {shares}."
    )
    title = "Origin, model at a pool, provider: requests in normal operation"
    return drawn("sankey", title, summary, section, lambda canvas: _draw(canvas, rows, provider_colours(plan)))


def _sums(parts: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in parts:
        sums[name] = sums.get(name, 0.0) + value
    return sums


def folded(rows: Sequence[Route]) -> dict[Key, Key]:
    """(model, pool) -> the one that it is drawn as: itself, or ("", provider) for the smallest of a provider."""
    through: dict[Key, float] = {}
    provider_of: dict[Key, str] = {}
    for row in rows:
        through[row.model, row.pool] = through.get((row.model, row.pool), 0.0) + row.requests_per_second
        provider_of[row.model, row.pool] = row.provider
    largest_first = sorted(through, key=lambda key: (-through[key], key))
    small = largest_first[MOST_PLACEMENTS:]
    return {key: ("", provider_of[key]) if key in small else key for key in largest_first}


# ------------------------------------------------------------------ the drawing
def _draw(canvas: Canvas, rows: Sequence[Route], colours: Mapping[str, int]) -> None:
    drawn_as = folded(rows)
    total = sum(row.requests_per_second for row in rows)
    per_request = BANDS_HEIGHT / total
    origins, placements, providers = _nodes(rows, drawn_as, colours)
    pitch = 2 * LINE if canvas.is_narrow else LINE + 2
    for column in (origins, placements, providers):
        for node in column.values():
            node.height = node.requests_per_second * per_request
    tall = max(_stacked(column, pitch) for column in (origins, placements, providers))
    for column in (origins, placements, providers):
        _spread(column, pitch, tall)
    middle, end = (0.30 if canvas.is_narrow else 0.28) * canvas.width, canvas.width - BAR
    _bands(canvas, rows, drawn_as, (origins, placements, providers), (0.0, middle, end), per_request)
    for column, x in ((origins, 0.0), (placements, middle), (providers, end)):
        for node in column.values():
            look = "ink" if node.colour is None else f"f{node.colour}"
            tip = f"{node.words}: {rate_text(node.requests_per_second)} requests/s" if column is placements else ""
            canvas.rect(x, node.y, BAR, max(node.height, 1.0), look, tip)
    after = BAR + 5
    for node in origins.values():
        _label(canvas, node, after, "start", middle - after - 4, is_apart=canvas.is_narrow)
    for node in placements.values():
        most = end - middle - after - (74 if canvas.is_narrow else 170)
        _label(canvas, node, middle + after, "start", most, is_apart=canvas.is_narrow)
    for node in providers.values():
        _label(canvas, node, end - 5, "end", 70 if canvas.is_narrow else 160, is_apart=canvas.is_narrow)
    canvas.height = tall + 4


def _nodes(rows: Sequence[Route], drawn_as: Mapping[Key, Key], colours: Mapping[str, int]) -> Columns:
    """The three columns: origins and providers the largest first, placements by provider."""
    by_origin = _sums((row.origin, row.requests_per_second) for row in rows)
    by_provider = _sums((row.provider, row.requests_per_second) for row in rows)
    order = sorted(by_provider, key=lambda name: (-by_provider[name], name))
    origins = {
        name: Node((name, rate_text(by_origin[name])), None, by_origin[name])
        for name in sorted(by_origin, key=lambda name: (-by_origin[name], name))
    }
    providers = {name: Node((name, rate_text(by_provider[name])), colours[name], by_provider[name]) for name in order}
    through: dict[Key, float] = {}
    provider_of: dict[Key, str] = {}
    for row in rows:
        key = drawn_as[row.model, row.pool]
        through[key] = through.get(key, 0.0) + row.requests_per_second
        provider_of[key] = row.provider
    placements = {}
    for key in sorted(through, key=lambda key: (order.index(provider_of[key]), -through[key], key)):
        model, pool = key
        if not model:
            model, pool = f"{sum(of == key for of in drawn_as.values())} more", f"at {provider_of[key]}"
        placements[key] = Node((model, pool), colours[provider_of[key]], through[key], between="@" if key[0] else " ")
    return origins, placements, providers


def _stacked(column: Mapping[Any, Node], pitch: float) -> float:
    """Height of a column whose labels do not touch [units]."""
    return sum(max(node.height + GAP, pitch) for node in column.values())


def _spread(column: Mapping[Any, Node], pitch: float, tall: float) -> None:
    """Bars of a column over the height of the drawing, each with space for its label."""
    spare = (tall - _stacked(column, pitch)) / len(column)
    y = 0.0
    for node in column.values():
        slot = max(node.height + GAP, pitch) + spare
        node.y = y + (slot - node.height) / 2
        y += slot


def _bands(
    canvas: Canvas,
    rows: Sequence[Route],
    drawn_as: Mapping[Key, Key],
    columns: Columns,
    at: tuple[float, float, float],
    per_request: float,
) -> None:
    """Bands from origins to placements and from these to providers, in the order in which the bars stand."""
    origins, placements, providers = columns
    between: dict[tuple[str, Key], float] = {}
    onward: dict[tuple[Key, str], float] = {}
    for row in rows:
        key = drawn_as[row.model, row.pool]
        between[row.origin, key] = between.get((row.origin, key), 0.0) + row.requests_per_second
        onward[key, row.provider] = onward.get((key, row.provider), 0.0) + row.requests_per_second
    for origin, start in origins.items():
        for key, end in placements.items():
            if (origin, key) in between:
                _band(canvas, start, end, (at[0] + BAR, at[1]), between[origin, key], per_request)
    for key, start in placements.items():
        for provider, end in providers.items():
            if (key, provider) in onward:
                _band(canvas, start, end, (at[1] + BAR, at[2]), onward[key, provider], per_request)


def _band(canvas: Canvas, start: Node, end: Node, at: tuple[float, float], requests: float, per_request: float) -> None:
    """A band between two bars, as high as its requests at both ends."""
    height, (x1, x2) = requests * per_request, at
    y1, y2 = start.y + start.drawn_out, end.y + end.drawn_in
    start.drawn_out, end.drawn_in = start.drawn_out + height, end.drawn_in + height
    half = number((x1 + x2) / 2)
    onto = f"M{number(x1)} {y1:.2f}C{half} {y1:.2f} {half} {y2:.2f} {number(x2)} {y2:.2f}"
    y1, y2 = y1 + height, y2 + height
    back = f"L{number(x2)} {y2:.2f}C{half} {y2:.2f} {half} {y1:.2f} {number(x1)} {y1:.2f}Z"
    look = f"f{end.colour if end.colour is not None else COLOURS - 1} ribbon"
    canvas.path(onto + back, look, f"{start.name} to {end.name}: {rate_text(requests)} requests/s")


def _label(canvas: Canvas, node: Node, x: float, anchor: str, most: float, is_apart: bool) -> None:
    """What a bar is, beside it: in two lines where there is little width."""
    middle = node.y + node.height / 2
    if is_apart:
        canvas.text(x, middle - 3, node.lines[0], "halo", anchor, most)
        canvas.text(x, middle + 11, node.lines[1], "halo", anchor, most)
    else:
        canvas.text(x, middle + 4, node.words, "halo", anchor, most)
