"""Two plans side by side: the decision that each asks for, and all in which they differ."""

from dataclasses import dataclass, replace

from planner.plan.in_hand import Plan
from planner.questions.diff import PARTS, differences_of
from planner.review.decision import DecisionFigure, decision_figures
from planner.review.diff import part_section
from planner.review.figures import Figure
from planner.review.report import Column, Section, signed

MOST_DIFFERENCES = 100
"""Differences of a part that are listed, the farthest apart."""
SHORT_DIGEST = 12
"""Characters of a digest that tell two plans apart."""
NOT_ASKED = "where the money goes between them, step by step, is not asked here: planner diff FIRST SECOND"


@dataclass(frozen=True)
class SideBySide:
    """A figure of the decision in both plans; None: only the other one has it."""

    what: str
    unit: str
    first: float | None
    second: float | None
    first_text: str
    second_text: str


def beside_sections(first: Plan, second: Plan, names: tuple[str, str] = ("", "")) -> tuple[Section, ...]:
    """SIDE BY SIDE, and a table for each part in which they differ.

    Parameters
    ----------
    names : of the files of both, where they are in files
    """
    different = differences_of(first, second)
    lines = [f"first: {called(first, names[0])}", f"second: {called(second, names[1])}", *_unlike(first, second)]
    counts = {part: sum(d.part == part for d in different) for part in PARTS}
    differ = ", ".join(f"{part} {n}" for part, n in counts.items() if n)
    lines.append(f"they differ in: {differ}" if differ else "they are the same")
    columns = (
        Column("what"),
        Column("first plan", lambda row: row.first_text),
        Column("second plan", lambda row: row.second_text),
        Column("second less first", _change),
    )
    rows = side_by_side(first, second)
    sections = [Section("SIDE BY SIDE", tuple(lines), columns, rows, (NOT_ASKED,), most=None, part="beside")]
    for part in PARTS:
        of_part = sorted((d for d in different if d.part == part), key=lambda d: (-d.apart_fraction, d.name))
        if of_part:
            section = part_section(part, of_part[:MOST_DIFFERENCES])
            if len(of_part) > MOST_DIFFERENCES:
                section = replace(section, after=(*section.after, _more(len(of_part) - MOST_DIFFERENCES)))
            sections.append(replace(section, title=f"DIFFERENCE IN {part.upper()}", part="beside"))
    return tuple(sections)


def called(plan: Plan, name: str) -> str:
    """A plan so that it is told from others: its file, its study, and how its digest begins."""
    file = f"{name}, " if name else ""
    return f"{file}plan of {plan.study.study}, digest {plan.file.digest_sha256[:SHORT_DIGEST]}"


def _unlike(first: Plan, second: Plan) -> list[str]:
    """Why figures of both are not to be compared as they stand."""
    a, b = first.study.horizon.months, second.study.horizon.months
    if a == b:
        return []
    return [
        f"the first is over {a:g} months, the second over {b:g}: costs, orders and what is committed are of as many, "
        "only the cost a month compares"
    ]


def _more(differences: int) -> str:
    """That further differences are not listed."""
    return f"and {differences:,} further differences, less far apart: planner diff FIRST SECOND --all"


def side_by_side(first: Plan, second: Plan) -> list[SideBySide]:
    """The figures of both decisions."""
    of_first, of_second = ({row.what: row for row in decision_figures(plan)} for plan in (first, second))
    rows = []
    for what in dict.fromkeys((*of_first, *of_second)):
        a, b = of_first.get(what), of_second.get(what)
        either = of_first[what] if what in of_first else of_second[what]
        rows.append(SideBySide(what, either.unit, _figure(a), _figure(b), _text(a), _text(b)))
    return rows


def _figure(row: DecisionFigure | None) -> float | None:
    return None if row is None else row.figure


def _text(row: DecisionFigure | None) -> str:
    return "not known" if row is None else row.text


def _change(row: SideBySide) -> str:
    if row.first is None or row.second is None:
        return ""
    change = row.second - row.first
    if row.unit == "fraction":
        return Figure(f"{100 * change:+.2f} points", change, "%")
    return Figure(f"{signed(change)}{' USD' if row.unit == 'USD' else ''}", change, "USD" if row.unit == "USD" else "")
