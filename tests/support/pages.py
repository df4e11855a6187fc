"""A page as a test reads it: its elements, its text, and a browser to look at it."""

import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}


@dataclass
class Element:
    """An element: its attributes, children, and the text in it."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def every(self, *tags: str) -> list["Element"]:
        """Those below it, in order, of these tags; none: all."""
        below = []
        for child in self.children:
            below += [child] if not tags or child.tag in tags else []
            below += child.every(*tags)
        return below

    @property
    def text(self) -> str:
        """All text in it, numbers and units apart by a plain blank."""
        return "".join(self.texts).replace("\N{NO-BREAK SPACE}", " ")


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Element("", {})
        self.unclosed: list[str] = []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f"</{tag}> ends <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        element = self.at
        while element is not None:
            element.texts.append(data)
            element = element.parent


def parsed(page: str) -> Element:
    """A page as elements; every one that is begun must be ended, in order."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.at is parser.root, f"<{parser.at.tag}> is not ended"
    return parser.root


def chromium() -> str | None:
    """The browser of this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


LOW_CONTRAST = """() => {
  for (const closed of document.querySelectorAll('details')) closed.open = true;
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const opaque = text => { const c = channels(text); return c.length === 3 || c[3] === 1; };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (opaque(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const low = [];
  let count = 0;
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim());
    if (!own.length || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), drawn = element.closest('svg');
    const ink = drawn ? style.fill : style.color;
    if (!ink.startsWith('rgb')) continue;
    const paper = drawn && style.stroke.startsWith('rgb') ? style.stroke : behind(drawn ? drawn : element);
    if (drawn && !style.stroke.startsWith('rgb')) continue;
    const [a, b] = [light(channels(ink)), light(channels(paper))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    count += 1;
    if (ratio < 4.5) low.push(`${element.outerHTML.slice(0, 99)}: ${ratio.toFixed(2)}`);
  }
  return [count, low];
}"""
"""In a browser: how many texts were looked at, and those whose colour is too near to what is behind them (below 4.5:1).

Text in a drawing is measured against its outline, where it has one; all else of a drawing in test_charts.py.
"""
