"""A map of the sites with the origins that they serve in normal operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, hypot, sin

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart, drawn, provider_colours
from planner.review.charts.land import outlines
from planner.review.charts.svg import BOLD, LINE, Canvas, number, text_width
from planner.review.report import percent
from planner.review.routes import Place, SiteTraffic, map_section, rate_text

NORTH, SOUTH = 80.0, -58.0
PADDING_DEGREES = 14.0
LEAST_DEGREES = 40.0
RADIUS = 8.5
MOST_STROKE = 8.0
WIDTH_OVER_HEIGHT = {"wide": 2.2, "narrow": 1.5}
GOLDEN_ANGLE = 2.399963
STEPS_APART = 80
MOST_SIGNS = 45
"""Sites that get a number and a line in the key, those with most requests; the others are dots, and in the table."""
DOT = 2.5


@dataclass
class Marker:
    """A site or an origin: its place on the drawing, and where its marker is put beside others [units].

    Parameters
    ----------
    sign : number or letters; none: a site that is a dot
    """

    name: str
    sign: str
    is_origin: bool
    colour: int
    true_x: float
    true_y: float
    x: float
    y: float


Markers = dict[tuple[str, str], Marker]
"""("site" or "origin", name) -> marker"""


@dataclass(frozen=True)
class Window:
    """The part of the map that is drawn [degrees], onto a width [units]."""

    west: float
    east: float
    south: float
    north: float
    width: float

    @property
    def per_degree(self) -> float:
        """Units of a degree, both east and north."""
        return self.width / (self.east - self.west)

    @property
    def height(self) -> float:
        """Of the drawing [units]."""
        return (self.north - self.south) * self.per_degree

    def at(self, longitude: float, latitude: float) -> tuple[float, float]:
        """Where a place is drawn."""
        return (longitude - self.west) * self.per_degree, (self.north - latitude) * self.per_degree


def site_map(plan: Plan) -> Chart | None:
    """The map; None where no site has machines or traffic."""
    section = map_section(plan)
    if section is None:
        return None
    rows: Sequence[SiteTraffic] = section.rows
    total = sum(row.requests_per_second for row in rows)
    sites, origins = len({row.site for row in rows}), len({row.origin for row in rows if row.origin is not None})
    idle = len({row.site for row in rows if row.origin is None})
    summary = (
        f"{origins} origins send {rate_text(total)} requests/s to {sites - idle} sites in normal operation"
        + (f"; {idle} more sites have machines for failures only" if idle else "")
        + f". Most goes to {_fullest(rows, total)}."
    )
    title = "Sites, and the origins that they serve in normal operation"
    return drawn("site-map", title, summary, section, lambda canvas: _draw(canvas, rows, provider_colours(plan)))


def _fullest(rows: Sequence[SiteTraffic], total: float) -> str:
    at: dict[str, float] = {}
    for row in rows:
        at[row.site] = at.get(row.site, 0.0) + row.requests_per_second
    site = max(at, key=lambda name: (at[name], name))
    city = next(row.city for row in rows if row.site == site)
    return f"{site} ({city}): {percent(at[site] / total if total else 0.0)}"


# ------------------------------------------------------------------ the drawing
def _draw(canvas: Canvas, rows: Sequence[SiteTraffic], colours: Mapping[str, int]) -> None:
    window = _window(rows, canvas.width, WIDTH_OVER_HEIGHT[canvas.kind])
    markers = _markers(rows, window, colours)
    signed = {key: marker for key, marker in markers.items() if marker.sign}
    _move_apart(list(signed.values()), window)
    canvas.open(clip_path=canvas.clip(0, 0, window.width, window.height))
    canvas.path(_land(window), "land")
    _flows(canvas, rows, markers, window)
    for key, marker in markers.items():
        if not marker.sign:
            canvas.mark("circle", f"f{marker.colour}", key[1], cx=marker.x, cy=marker.y, r=DOT)
    for marker in signed.values():
        if hypot(marker.x - marker.true_x, marker.y - marker.true_y) > 3:
            canvas.line(marker.true_x, marker.true_y, marker.x, marker.y, "leader")
    for key, marker in signed.items():
        _sign(canvas, marker, marker.x, marker.y, key[1])
    if not canvas.is_narrow:
        _names(canvas, signed, rows, window)
    canvas.close()
    canvas.rect(0.5, 0.5, window.width - 1, window.height - 1, "frame")
    canvas.height = _key(canvas, rows, markers, window.height + 14)


def _window(rows: Sequence[SiteTraffic], width: float, width_over_height: float) -> Window:
    """What shows all sites and origins with some space around, in a shape of that ratio; the whole earth at most."""
    places = [row.site_place for row in rows] + [row.origin_place for row in rows if row.origin_place is not None]
    north = min(NORTH, max(latitude for latitude, _ in places) + PADDING_DEGREES)
    south = max(SOUTH, min(latitude for latitude, _ in places) - PADDING_DEGREES)
    west = max(-180.0, min(longitude for _, longitude in places) - PADDING_DEGREES)
    east = min(180.0, max(longitude for _, longitude in places) + PADDING_DEGREES)
    if any(_is_across(row) for row in rows):
        west, east = -180.0, 180.0
    across = max(east - west, LEAST_DEGREES, (north - south) * width_over_height)
    up = max(north - south, across / width_over_height)
    west, east = _widened(west, east, min(across, 360.0), -180.0, 180.0)
    south, north = _widened(south, north, min(up, NORTH - SOUTH), SOUTH, NORTH)
    return Window(west, east, south, north, width)


def _widened(low: float, high: float, length: float, least: float, most: float) -> tuple[float, float]:
    """An interval of that length around another, moved so that it lies within bounds."""
    middle = (low + high) / 2
    low = min(max(least, middle - length / 2), most - length)
    return low, low + length


def _is_across(row: SiteTraffic) -> bool:
    """Whether the shorter line from an origin to its site crosses the antimeridian."""
    return row.origin_place is not None and abs(row.origin_place[1] - row.site_place[1]) > 180


def _land(window: Window) -> str:
    """The outlines that reach into the window, in steps of tenths of a unit, which takes a third of the characters."""
    parts = []
    for ring in outlines():
        longitudes, latitudes = [x for x, _ in ring], [y for _, y in ring]
        if max(longitudes) < window.west or min(longitudes) > window.east:
            continue
        if max(latitudes) < window.south or min(latitudes) > window.north:
            continue
        steps: list[str] = []
        at = (0, 0)
        for longitude, latitude in ring:
            x, y = window.at(longitude, latitude)
            point = round(x * 10), round(y * 10)
            if point != at or not steps:
                steps.append(f"{number((point[0] - at[0]) / 10)} {number((point[1] - at[1]) / 10)}")
            at = point
        parts.append(f"M{steps[0]}l{' '.join(steps[1:])}z" if len(steps) > 1 else "")
    return "".join(parts)


def _markers(rows: Sequence[SiteTraffic], window: Window, colours: Mapping[str, int]) -> Markers:
    """Sites by numbers, origins by letters."""
    markers: Markers = {}

    def put(kind: str, name: str, place: Place, sign: str, n: int) -> None:
        x, y = window.at(place[1], place[0])
        markers[kind, name] = Marker(name, sign, kind == "origin", n, x, y, x, y)

    signed = _with_signs(rows)
    for row in rows:
        if ("site", row.site) not in markers:
            put("site", row.site, row.site_place, signed.get(row.site, ""), colours[row.provider])
    origins = {row.origin: row.origin_place for row in rows if row.origin is not None}
    for n, name in enumerate(sorted(origins)):
        if (place := origins[name]) is not None:
            put("origin", name, place, _letters(n), 0)
    return markers


def _with_signs(rows: Sequence[SiteTraffic]) -> dict[str, str]:
    """Site -> its number: of those with the most requests, then machines."""
    served: dict[str, tuple[float, int]] = {}
    for row in rows:
        requests, _ = served.get(row.site, (0.0, 0))
        served[row.site] = requests + row.requests_per_second, row.machines
    largest = sorted(served, key=lambda site: (-served[site][0], -served[site][1], site))[:MOST_SIGNS]
    return {site: f"{n}" for n, site in enumerate((site for site in served if site in largest), 1)}


def _letters(n: int) -> str:
    """A, B, ... Z, AA, AB, ...

    Examples
    --------
    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    return (_letters(n // 26 - 1) if n >= 26 else "") + chr(ord("A") + n % 26)


def _move_apart(markers: list[Marker], window: Window) -> None:
    """Markers that lie over each other are pushed apart, step by step, and stay within the frame."""
    least = 2 * RADIUS + 1
    for _ in range(STEPS_APART):
        is_moved = False
        for i, one in enumerate(markers):
            for j in range(i):
                other = markers[j]
                dx, dy = one.x - other.x, one.y - other.y
                if abs(dx) >= least or abs(dy) >= least or (distance := hypot(dx, dy)) >= least:
                    continue
                if distance < 0.5:
                    dx, dy, distance = cos(GOLDEN_ANGLE * i), sin(GOLDEN_ANGLE * i), 1.0
                push = (least - hypot(one.x - other.x, one.y - other.y)) / 2 + 0.05
                one.x, one.y = one.x + dx / distance * push, one.y + dy / distance * push
                other.x, other.y = other.x - dx / distance * push, other.y - dy / distance * push
                is_moved = True
        for marker in markers:
            marker.x = min(max(marker.x, RADIUS + 1), window.width - RADIUS - 1)
            marker.y = min(max(marker.y, RADIUS + 1), window.height - RADIUS - 1)
        if not is_moved:
            return


def _flows(canvas: Canvas, rows: Sequence[SiteTraffic], markers: Markers, window: Window) -> None:
    """A line from each origin to each of its sites, as wide as its requests; the largest at the bottom."""
    most = max((row.requests_per_second for row in rows), default=0.0)
    around = 360.0 * window.per_degree
    for row in sorted(rows, key=lambda row: (-row.requests_per_second, row.site, row.origin or "")):
        origin, site = markers.get(("origin", row.origin or "")), markers["site", row.site]
        if origin is None or not most:
            continue
        stroke = max(1.0, MOST_STROKE * row.requests_per_second / most)
        tip = f"{row.origin} to {row.site}: {rate_text(row.requests_per_second)} requests/s"
        shift = 0.0
        if _is_across(row):  # drawn twice, each half beyond one edge of the map
            shift = around if site.x < origin.x else -around
        look = f"k{site.colour} flow"
        for by_x in (0.0, -shift) if shift else (0.0,):
            d = _arc((origin.x + by_x, origin.y), (site.x + shift + by_x, site.y))
            canvas.path(d, look, tip if by_x == 0.0 else "", stroke_width=stroke)


def _arc(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    bend_x, bend_y = (x1 + x2) / 2 + 0.12 * (y2 - y1), (y1 + y2) / 2 - 0.12 * abs(x2 - x1)
    return f"M{number(x1)} {number(y1)}Q{number(bend_x)} {number(bend_y)} {number(x2)} {number(y2)}"


def _sign(canvas: Canvas, marker: Marker, x: float, y: float, tip: str) -> None:
    """A circle with a number for a site, a square with a letter for an origin."""
    if marker.is_origin:
        canvas.mark("rect", "ink", tip, x=x - 7.5, y=y - 7.5, width=15.0, height=15.0)
        canvas.text(x, y + 4.2, marker.sign, "on-ink", "middle")
    else:
        canvas.mark("circle", f"f{marker.colour}", tip, cx=x, cy=y, r=RADIUS)
        canvas.text(x, y + 4.2, marker.sign, "sign", "middle")


def _names(canvas: Canvas, markers: Markers, rows: Sequence[SiteTraffic], window: Window) -> None:
    """Origins and cities beside their markers, where that is free: origins first."""
    city_of = {row.site: row.city for row in rows}
    taken = [(m.x - RADIUS, m.y - RADIUS, m.x + RADIUS, m.y + RADIUS) for m in markers.values()]
    for (kind, name), m in sorted(markers.items(), key=lambda item: item[0][0]):
        words = name if kind == "origin" else city_of[name]
        width, beside = text_width(words) * (BOLD if kind == "origin" else 1.0), RADIUS + 3
        for x, y, anchor, shift in (
            (m.x + beside, m.y, "start", 0.0),
            (m.x - beside, m.y, "end", width),
            (m.x, m.y - 16, "middle", width / 2),
            (m.x, m.y + 16, "middle", width / 2),
        ):
            box = (x - shift, y - 7, x - shift + width, y + 6)
            inside = box[0] >= 2 and box[1] >= 2 and box[2] <= window.width - 2 and box[3] <= window.height - 2
            if inside and not any(_overlap(box, other) for other in taken):
                canvas.text(x, y + 4.2, words, "halo strong" if kind == "origin" else "halo", anchor)
                taken.append(box)
                break


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _key(canvas: Canvas, rows: Sequence[SiteTraffic], markers: Markers, y: float) -> float:
    """Every origin and site with its sign; the y below."""
    entries: list[tuple[Marker | None, str, str]] = []
    for name in sorted({row.origin for row in rows if row.origin is not None}):
        sent = sum(row.requests_per_second for row in rows if row.origin == name)
        entries.append((markers.get(("origin", name)), name, f"{rate_text(sent)} requests/s"))
    by_site: dict[str, list[SiteTraffic]] = {}
    for row in rows:
        by_site.setdefault(row.site, []).append(row)
    for site, of_site in by_site.items():
        if not markers["site", site].sign:
            continue
        served = sum(row.requests_per_second for row in of_site)
        words = f"{rate_text(served)} requests/s" if served else "for failures only"
        machines = f"{of_site[0].machines:,} machine{'s' if of_site[0].machines != 1 else ''}"
        entries.append((markers["site", site], f"{site}, {of_site[0].city}", f"{machines}, {words}"))
    if len(by_site) > MOST_SIGNS:
        entries.append((None, f"dots: {len(by_site) - MOST_SIGNS} sites more, in the table", ""))
    columns, pitch = 1 if canvas.is_narrow else 2, LINE + 4
    per_column, across = ceil(len(entries) / columns), canvas.width / columns
    for n, (marker, name, words) in enumerate(entries):
        x, at_y = across * (n // per_column) + 1, y + pitch * (n % per_column)
        if marker is not None:
            _sign(canvas, marker, x + 9, at_y, "")
        end = x + across - 14
        canvas.text(end, at_y + 4.2, words, "soft", "end")
        canvas.text(x + 23, at_y + 4.2, name, most=across - 42 - text_width(words))
    return y + pitch * per_column - 6
