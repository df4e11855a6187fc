"""The dependency graph as a drawing: a Mermaid flowchart or Graphviz DOT text, single points of failure marked.

Placements are drawn together by stack and place. A place is the provider, unless a region, site or pool inside it is
named in the study's dependencies or is a single point of failure: then that is drawn too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from planner.problem.problem import Problem
from planner.questions.risk.exposure import Exposure, Running
from planner.study.dependencies import dependency_graph, leaves
from planner.study.records.study import Needs, Study, kind_and_name

STACKS = ("stack_version", "stack")
CONTAINERS = ("pool", "site", "zone", "region", "provider")
SAFE = frozenset(" _-./,")
"""Beside letters and digits, what stands in a Mermaid label as it is; all else becomes a character entity."""
LEGEND = (
    "an arrow points to what is needed; red: single point of failure; yellow: part of a pair",
    "a region, site or pool is drawn where the study says what needs it, or it is a single point of failure",
)
SINGLE, PAIR, GATE, PLAIN = "single", "pair", "gate", "plain"


@dataclass
class _Picture:
    """Nodes (key -> label, look) and edges (from, to, label) in the order in which they were drawn."""

    nodes: dict[str, tuple[str, str]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)

    def arrow(self, start: str, end: str, label: str = "") -> None:
        self.edges[start, end, label] = None

    def gate(self, words: str) -> str:
        key = f"\0gate {len(self.nodes)}"  # no component id has a control character
        self.nodes[key] = (words, GATE)
        return key


def drawing(study: Study, p: Problem, x: Exposure, format: str, running: Running | None = None) -> str:
    """The dependency graph as text.

    Parameters
    ----------
    x : what is exposed; members of its cut sets are marked
    format : `mermaid` or `dot`
    running : what runs; none: every placement that meets the limits
    """
    picture = _picture(study, p, x, running)
    return {"mermaid": _mermaid, "dot": _dot}[format](picture)


# ------------------------------------------------------------------ what is drawn
def _picture(study: Study, p: Problem, x: Exposure, running: Running | None) -> _Picture:
    graph = dependency_graph(study)
    needs: dict[str, list[Needs]] = {c: graph.nodes[c]["needs"] for c in graph}
    special = {event for cut in x.innermost(1) for event in cut.members}
    for dependency in study.dependencies:
        special |= {dependency.component, *leaves(dependency.needs)}
    looks = {event: PAIR for cut in x.order(2) for event in cut.members}
    looks |= {event: SINGLE for cut in x.order(1) for event in cut.members}
    picture = _Picture()
    todo: list[str] = []

    def draw(component: str) -> str:
        if component not in picture.nodes:
            picture.nodes[component] = (component, looks.get(component, PLAIN))
            todo.append(component)
        return component

    def arrow(start: str, part: str | Needs, label: str = "") -> None:
        if isinstance(part, str):
            picture.arrow(start, draw(_drawn(part, needs, special)), label)
        elif part.all_of is not None:
            for inner in part.all_of:
                arrow(start, inner, label)
        else:
            many = part.any_of if part.any_of is not None else part.of or ()
            gate = picture.gate("any of" if part.any_of is not None else f"{part.at_least} of {len(many)}")
            picture.arrow(start, gate, label)
            for inner in many:
                arrow(gate, inner)

    gates: dict[tuple[tuple[str, ...], ...], str] = {}
    for w, placements in _placements(p, running).items():
        groups = dict.fromkeys(_kind_of_placement(f"placement:{e}", needs, special) for e in placements)
        start, shared = draw(f"workload:{w}"), tuple(groups)
        if len(groups) > 1:
            if shared not in gates:
                gates[shared] = picture.gate("any of")
            picture.arrow(start, gates[shared])
            start = gates[shared]
        for group in groups:
            picture.arrow(start, _drawn_group(group, picture, draw))
    depends = {dependency.component for dependency in study.dependencies}
    for c in (f"origin:{o}" for o in dict.fromkeys(o for _, o in p.flows)):
        if c in depends:
            draw(c)
    for component in todo:  # grows while it is worked off
        for part in needs[component]:
            arrow(component, part)
        for dependency in study.dependencies:
            if dependency.component == component and dependency.breaks != "serving":
                arrow(component, dependency.needs, _breaks(dependency.breaks, dependency.sessions_go_on_fraction))
    return picture


def _breaks(what: str, goes_on: float | None) -> str:
    return "to start replicas" if what == "starting" else f"for new logins; {goes_on or 0.0:.0%} goes on"


def _placements(p: Problem, running: Running | None) -> dict[str, list[str]]:
    """Workload -> placements that serve it from any origin, in a failure."""
    serving: dict[str, set[str]] = {}
    for w, o in p.flows:
        edges = p.edges_in_failure[w, o]
        serving.setdefault(w, set()).update(e for e in edges if running is None or e in running[w, o])
    return {w: sorted(names) for w, names in serving.items()}


def _drawn(component: str, needs: Mapping[str, list[Needs]], special: set[str]) -> str:
    """The component itself, or of a place the innermost container that is drawn."""
    kind = kind_and_name(component)[0]
    if component in special or kind not in CONTAINERS[:-1]:
        return component
    around = CONTAINERS[CONTAINERS.index(kind) + 1 :]  # what a place is in comes first of what it needs
    above = next(c for part in needs[component] for c in leaves(part) if kind_and_name(c)[0] in around)
    return _drawn(above, needs, special)


def _kind_of_placement(placement: str, needs: Mapping[str, list[Needs]], special: set[str]) -> tuple[str, ...]:
    """What is drawn of a placement's needs; itself first where the study names it."""
    below = [leaf for part in needs[placement] for leaf in leaves(part)]
    kinds = {kind_and_name(c)[0] for c in below}
    in_label = (*CONTAINERS, next((kind for kind in STACKS if kind in kinds), ""))  # a version stands for its stack
    drawn = {_drawn(c, needs, special) for c in below if kind_and_name(c)[0] in in_label or c in special}
    return (*((placement,) if placement in special else ()), *sorted(drawn))


def _drawn_group(group: tuple[str, ...], picture: _Picture, draw: Callable[[str], str]) -> str:
    if kind_and_name(group[0])[0] == "placement":
        return draw(group[0])
    key = "\0placements " + " ".join(group)
    if key not in picture.nodes:
        names = dict(map(kind_and_name, group))
        place = next((names[kind] for kind in CONTAINERS if kind in names), "")
        stack = next((names[kind] for kind in STACKS if kind in names), "")
        picture.nodes[key] = (f"{stack} at {place}", PLAIN)
        for c in group:
            picture.arrow(key, draw(c))
    return key


# ------------------------------------------------------------------ Mermaid and DOT
def _mermaid(picture: _Picture) -> str:
    def label(text: str) -> str:
        return "".join(c if c.isalnum() or c in SAFE else f"#{ord(c)};" for c in text)

    ids = {key: f"n{i}" for i, key in enumerate(picture.nodes)}
    lines = ["flowchart LR", *(f"  %% {line}" for line in LEGEND)]
    for key, (text, look) in picture.nodes.items():
        opened, closed = ("([", "])") if look == GATE else ("[", "]")
        mark = f":::{look}" if look in (SINGLE, PAIR) else ""
        lines.append(f'  {ids[key]}{opened}"{label(_said(text))}"{closed}{mark}')
    for start, end, said in picture.edges:
        arrow = f'-. "{label(said)}" .->' if said else "-->"
        lines.append(f"  {ids[start]} {arrow} {ids[end]}")
    lines.append("  classDef single fill:#f8d0d0,stroke:#a01010,stroke-width:3px,color:#000000")
    lines.append("  classDef pair fill:#fdf0c8,stroke:#a07010,color:#000000")
    return "\n".join(lines) + "\n"


def _dot(picture: _Picture) -> str:
    def label(text: str) -> str:
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        for character, instead in (("&", "&amp;"), ("\\", "\\\\"), ('"', '\\"')):
            text = text.replace(character, instead)
        return f'"{text}"'

    looks = {
        SINGLE: ' style="filled" fillcolor="#f8d0d0" color="#a01010" penwidth="3"',
        PAIR: ' style="filled" fillcolor="#fdf0c8" color="#a07010"',
        GATE: ' shape="ellipse"',
        PLAIN: "",
    }
    ids = {key: f"n{i}" for i, key in enumerate(picture.nodes)}
    lines = ["digraph needs {", *(f"  // {line}" for line in LEGEND), '  rankdir="LR"', '  node [shape="box"]']
    lines += [f"  {ids[key]} [label={label(_said(text))}{looks[look]}]" for key, (text, look) in picture.nodes.items()]
    for start, end, said in picture.edges:
        mark = f' [style="dashed" label={label(said)}]' if said else ""
        lines.append(f"  {ids[start]} -> {ids[end]}{mark}")
    return "\n".join([*lines, "}"]) + "\n"


def _said(text: str) -> str:
    return text.replace(":", " ", 1)
