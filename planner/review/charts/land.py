"""Outlines of the land: Natural Earth 1:110m (public domain), coarsened for a drawing of 800 units.

land.json is made of land-110m.json of the npm package world-atlas 2.0.2, which packs Natural Earth 4.1.0:

    python -m planner.review.charts.land land-110m.json

Antarctica is left out; outlines that cross the antimeridian are cut in two there.
"""

import json
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("land.json")
SOURCE = "Natural Earth 1:110m land, public domain; npm world-atlas 2.0.2, land-110m.json"
AS_OF = "2026-11-30"
"""Day on which it was taken from the package."""
TENTHS = 10
"""Coordinates are whole tenths of a degree."""
COARSE_DEGREES = 0.25
"""No outline is farther than that from its source."""
LEAST_SQUARE_DEGREES = 0.6
SOUTH = -60.0
Ring = list[tuple[float, float]]


@cache
def outlines() -> tuple[tuple[tuple[float, float], ...], ...]:
    """Closed outlines, each a tuple of (longitude, latitude) in degrees."""
    rings = json.loads(FILE.read_text(encoding="utf-8"))["outlines"]
    return tuple(tuple(_degrees(ring)) for ring in rings)


def _degrees(steps: list[int]) -> Iterator[tuple[float, float]]:
    """Points of an outline that is written as its first point and the steps from one to the next."""
    x = y = 0
    for step_x, step_y in zip(steps[::2], steps[1::2], strict=True):
        x, y = x + step_x, y + step_y
        yield x / TENTHS, y / TENTHS


# ------------------------------------------------------------------ how land.json is made
def made_of(topology: dict[str, Any]) -> dict[str, Any]:
    """What land.json holds, of a TopoJSON file with one object `land`."""
    arcs = [_arc(arc, topology["transform"]) for arc in topology["arcs"]]
    outlines = []
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"]:
            for ring in polygon:
                points = _ring(ring, arcs)
                if max(y for _, y in points) < SOUTH:
                    continue
                for part in _cut_at_antimeridian(points):
                    if _square_degrees(part) >= LEAST_SQUARE_DEGREES:
                        outlines.append(_steps(_coarse(part)))
    return {"source": SOURCE, "as_of": AS_OF, "unit": "tenths of a degree, east and north", "outlines": outlines}


def _arc(arc: list[list[int]], transform: dict[str, list[float]]) -> Ring:
    (scale_x, scale_y), (shift_x, shift_y) = transform["scale"], transform["translate"]
    x, y, points = 0, 0, []
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        points.append((x * scale_x + shift_x, y * scale_y + shift_y))
    return points


def _ring(numbers: list[int], arcs: list[Ring]) -> Ring:
    """Arcs one after the other; a number below 0 is an arc backwards."""
    points: Ring = []
    for n in numbers:
        arc = arcs[n] if n >= 0 else arcs[~n][::-1]
        points += arc[1:] if points else arc
    return points


def _cut_at_antimeridian(points: Ring) -> Iterator[Ring]:
    """An outline as those parts of it that lie within -180 to 180 degrees."""
    unwrapped, turn = points[:1], 0.0
    for (x1, _), (x2, y2) in pairwise(points):
        turn += 360.0 * ((x1 - x2 > 180) - (x2 - x1 > 180))
        unwrapped.append((x2 + turn, y2))
    for shift in (-360.0, 0.0, 360.0):
        part = [(x + shift, y) for x, y in unwrapped]
        for side in (1, -1):
            part = _beside(part, side)
        if len(part) > 2:
            yield [*part, part[0]]


def _beside(points: Ring, side: int) -> Ring:
    """What lies west of 180 degrees (side 1), or east of -180 (side -1), cut straight (Sutherland, Hodgman 1974)."""
    kept: Ring = []
    for (x1, y1), (x2, y2) in zip(points[-1:] + points[:-1], points, strict=True):
        if (side * x1 <= 180) != (side * x2 <= 180):
            kept.append((side * 180.0, y1 + (y2 - y1) * (side * 180.0 - x1) / (x2 - x1)))
        if side * x2 <= 180:
            kept.append((x2, y2))
    return kept


def _square_degrees(points: Ring) -> float:
    area = 0.0
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
        area += x1 * y2 - x2 * y1
    return abs(area) / 2


def _coarse(points: Ring) -> Ring:
    """Fewer points, none of those left out farther than COARSE_DEGREES from the line (Douglas and Peucker, 1973)."""
    if len(points) < 3:
        return points
    (x1, y1), (x2, y2) = points[0], points[-1]
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    far, at = 0.0, 0
    for n, (x, y) in enumerate(points[1:-1], 1):
        if length:
            distance = abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length
        else:
            distance = ((x - x1) ** 2 + (y - y1) ** 2) ** 0.5
        if distance > far:
            far, at = distance, n
    if far <= COARSE_DEGREES:
        return [points[0], points[-1]]
    return _coarse(points[: at + 1])[:-1] + _coarse(points[at:])


def _steps(points: Ring) -> list[int]:
    steps, x, y = [], 0, 0
    for longitude, latitude in points:
        next_x, next_y = round(longitude * TENTHS), round(latitude * TENTHS)
        steps += [next_x - x, next_y - y]
        x, y = next_x, next_y
    return steps


if __name__ == "__main__":
    made = made_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    FILE.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")
