"""A canvas for SVG: marks by class only, names escaped, text measured so that it is cut where it does not fit."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

SIZE = 12.0
"""Size of all text [units of the drawing]."""
LINE = 16.0
"""From one line of text to the next [units]."""
BOLD = 1.09
"""How much wider bold text is."""
COLOURS = 8
"""Fills that style.css has: classes f0 to f7 of areas, k0 to k7 of lines."""
HATCHES = 7
"""Overlays that tell areas of one colour apart: none, and six patterns."""
WIDTHS = {
    **dict.fromkeys("ijl|'", 0.24),
    **dict.fromkeys("ft.,:;/[]!I ", 0.29),
    **dict.fromkeys("r()-", 0.34),
    **dict.fromkeys("ckvxyzsJ", 0.51),
    **dict.fromkeys("EFLPTZABKSVXY&", 0.67),
    **dict.fromkeys("CDGHNOQRUw+=<>~", 0.76),
    **dict.fromkeys("mM%", 0.88),
    **dict.fromkeys("W@…→", 1.01),
}
"""Width of characters in Arial and the fonts of its metrics [share of the size]; all others 0.56, of East Asia 1.02."""
BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str) -> str:
    """Text that may stand in XML: what it does not allow, and what turns the direction of text, is replaced."""
    safe = (c if c not in BIDI and unicodedata.category(c) not in ("Cc", "Cs", "Cn") else "\ufffd" for c in text)
    return "".join(safe)


def escaped(text: str) -> str:
    """Text as XML writes it, also within quotes.

    Examples
    --------
    >>> escaped('<b class="x">&')
    '&lt;b class=&quot;x&quot;&gt;&amp;'
    """
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def text_width(text: str) -> float:
    """Width of a text [units]."""
    width = 0.0
    for c in text:
        if c in WIDTHS:
            width += WIDTHS[c]
        elif unicodedata.combining(c):
            continue
        else:
            width += 1.02 if unicodedata.east_asian_width(c) in "WF" else 0.56
    return width * SIZE


def fitted(text: str, most: float, is_bold: bool = False) -> str:
    """A text, cut with … where it is wider than so many units; nothing where not even two letters fit.

    Examples
    --------
    >>> fitted("commitment", 200), fitted("commitment", 50), fitted("commitment", 8)
    ('commitment', 'commi…', '')
    """
    if is_bold:
        most = most / BOLD
    if text_width(text) <= most:
        return text
    while text and text_width(text + "…") > most:
        text = text[:-1]
    return text.rstrip() + "…" if len(text) > 1 else ""


def number(value: float) -> str:
    """A coordinate: a tenth of a unit is fine enough.

    Examples
    --------
    >>> number(12.0), number(0.25), number(-0.01)
    ('12', '0.2', '0')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def ticks(most: float, about: int = 4) -> list[float]:
    """Round values from 0 to the first one that is no less than `most`.

    Examples
    --------
    >>> ticks(45.4), ticks(0.9, 3)
    ([0.0, 20.0, 40.0, 60.0], [0.0, 0.5, 1.0])
    """
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** floor(log10(most / about))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * about >= most * (1 - 1e-9))
    values = [0.0]
    while values[-1] < most * (1 - 1e-9):
        values.append(round(step * len(values), 12))
    return values


def ticks_on_both_sides(least: float, most: float, about: int = 4) -> list[float]:
    """Round values of one step around 0, that leave neither the least nor the most out.

    Examples
    --------
    >>> ticks_on_both_sides(-25.0, 45.4), ticks_on_both_sides(0.0, 45.4)
    ([-40.0, -20.0, 0.0, 20.0, 40.0, 60.0], [0.0, 20.0, 40.0, 60.0])
    """
    step = ticks(max(most, -least), about)[1]
    below, above = (ceil(end / step - 1e-9) for end in (-least, most))
    return [round(step * n, 12) for n in range(-below, above + 1)]


def scale(domain: tuple[float, float], onto: tuple[float, float]) -> Callable[[float], float]:
    """A straight line from values to units."""
    (low, high), (start, end) = domain, onto
    per = (end - start) / (high - low) if high != low else 0.0
    return lambda value: start + (value - low) * per


def stacked(values: Iterable[float]) -> list[tuple[float, float]]:
    """Where each of several values lies in a stack, low and high; those below 0 the other way: no area is left out.

    Examples
    --------
    >>> stacked([3.0, -1.0, 2.0, -1.5])
    [(0.0, 3.0), (-1.0, 0.0), (3.0, 5.0), (-2.5, -1.0)]
    """
    above, below, places = 0.0, 0.0, []
    for value in values:
        places.append((above, above + value) if value >= 0 else (below + value, below))
        above, below = above + max(0.0, value), below + min(0.0, value)
    return places


def extent(stacks: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """The lowest and the highest that any of several stacks reaches, 0 among them."""
    ends = [(0.0, 0.0), *(place for stack in stacks for place in stack)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def colour(n: int) -> int:
    """The colour of the n-th of several."""
    return n % COLOURS


@dataclass
class Canvas:
    """A drawing in progress: a width, marks in their order, and a height that is known when it is done.

    Parameters
    ----------
    name : what all its ids begin with
    kind : wide or narrow
    width, height : [units]
    """

    name: str
    kind: str
    width: float
    height: float = 0.0
    marks: list[str] = field(default_factory=list)
    hatches: set[int] = field(default_factory=set)
    clips: list[str] = field(default_factory=list)

    @property
    def is_narrow(self) -> bool:
        """Whether this is the drawing for narrow windows."""
        return self.kind == "narrow"

    def mark(self, tag: str, look: str, tip: str = "", **attributes: float | str) -> None:
        """An element of a class, with its attributes; `tip` is what it is of, in full, as its title."""
        inner = f"><title>{escaped(tip)}</title></{tag}>" if tip else "/>"
        self.marks.append(f'<{tag} class="{look}"{_written(attributes)}{inner}')

    def rect(self, x: float, y: float, width: float, height: float, look: str, tip: str = "", hatch: int = 0) -> None:
        """A rectangle, with a pattern over it where `hatch` is above 0."""
        if width <= 0 or height <= 0:
            return
        self.mark("rect", look, tip, x=x, y=y, width=width, height=height)
        if hatch:
            self.mark("rect", "hatched", "", x=x, y=y, width=width, height=height, fill=self.hatch(hatch))

    def hatch(self, n: int) -> str:
        """Paint of the n-th pattern, from 1 on."""
        self.hatches.add(n)
        return f"url(#{self.name}-hatch-{n})"

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str, tip: str = "") -> None:
        """A straight line."""
        self.mark("line", look, tip, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, d: str, look: str, tip: str = "", **attributes: float | str) -> None:
        """A path."""
        self.mark("path", look, tip, d=d, **attributes)

    def text(
        self, x: float, y: float, words: str, look: str = "", anchor: str = "start", most: float | None = None
    ) -> None:
        """A line of text whose baseline is at y, cut to `most` units; in full as its title where it is cut."""
        cut = words if most is None else fitted(words, most, "strong" in look)
        if not cut:
            return
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        of_class = f' class="{look}"' if look else ""
        tip = f"<title>{escaped(words)}</title>" if cut != words else ""
        self.marks.append(f'<text{of_class} x="{number(x)}" y="{number(y)}"{at}>{tip}{escaped(cut)}</text>')

    def clip(self, x: float, y: float, width: float, height: float) -> str:
        """Reference to a frame outside which nothing is drawn, for `clip_path`."""
        id = f"{self.name}-clip-{len(self.clips)}"
        frame = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        self.clips.append(f'<clipPath id="{id}"><rect {frame}/></clipPath>')
        return f"url(#{id})"

    def open(self, **attributes: str) -> None:
        """Begin a group."""
        self.marks.append(f"<g{_written(attributes)}>")

    def close(self) -> None:
        """End a group."""
        self.marks.append("</g>")

    def key(self, y: float, entries: Sequence[tuple[str, int, str]], x: float = 0.5, columns: int = 1) -> float:
        """What looks mean: (class, hatch, words) in columns; the y below it."""
        across = (self.width - x) / columns
        for n, (look, hatch, words) in enumerate(entries):
            at_x, at_y = x + across * (n % columns), y + LINE * (n // columns)
            self.rect(at_x, at_y, 12, 12, look, hatch=hatch)
            self.text(at_x + 17, at_y + 10.5, words, most=across - 23)
        return y + LINE * -(-len(entries) // columns)

    def svg(self, title: str, summary: str) -> str:
        """The drawing as an element that scales to the width that it is given."""
        patterns = "".join(_pattern(f"{self.name}-hatch-{n}", n) for n in sorted(self.hatches))
        defs = f"<defs>{patterns}{''.join(self.clips)}</defs>" if self.hatches or self.clips else ""
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart for-{self.kind}" role="img" '
            f'viewBox="0 0 {number(self.width)} {number(self.height)}" '
            f'aria-labelledby="{self.name}-title {self.name}-desc">',
            f'<title id="{self.name}-title">{escaped(title)}</title>',
            f'<desc id="{self.name}-desc">{escaped(summary)}</desc>{defs}',
            *self.marks,
            "</svg>",
        ]
        return "\n".join(lines)


def _written(attributes: Mapping[str, float | str]) -> str:
    """Attributes as XML; they are ours, never names of a study."""
    parts = []
    for name, value in attributes.items():
        parts.append(f' {name.replace("_", "-")}="{value if isinstance(value, str) else number(value)}"')
    return "".join(parts)


LINES_OF_HATCH = {
    1: "M0 6L6 0M-1 1L1 -1M5 7L7 5",
    2: "M0 0L6 6M-1 5L1 7M5 -1L7 1",
    3: "M3 0V6M0 3H6",
    4: "M0 3H6",
    5: "M3 0V6",
    6: "M2 3H4",
}


def _pattern(id: str, n: int) -> str:
    lines = LINES_OF_HATCH[(n - 1) % len(LINES_OF_HATCH) + 1]
    return (
        f'<pattern id="{id}" width="6" height="6" patternUnits="userSpaceOnUse"><path class="hatch" d="{lines}"/>'
        "</pattern>"
    )
