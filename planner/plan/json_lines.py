"""On which line of a JSON text a part of it stands."""

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]

BLANKS = re.compile(r"[ \t\n\r]*")


def line_of(text: str, loc: tuple[int | str, ...]) -> int:
    """The line on which a part of a JSON text begins, else that of the nearest thing around it.

    Parameters
    ----------
    text : valid JSON
    loc : names of fields and numbers of elements, from the outside in

    Examples
    --------
    >>> line_of('{\\n "a": [1,\\n  {"b": 2}]}', ("a", 1, "b")), line_of('{\\n "a": 1}', ("a", "x"))
    (3, 2)
    """
    at = _skip(text, 0)
    for part in loc:
        begins = _within(text, at, part)
        if begins is None:
            break
        at = begins
    return text.count("\n", 0, at) + 1


def _skip(text: str, at: int) -> int:
    blanks = BLANKS.match(text, at)
    return blanks.end() if blanks is not None else at


def _within(text: str, at: int, part: int | str) -> int | None:
    """Where the part of an object or a list that begins at `at` begins; None when it has none."""
    opened, n = text[at], 0
    if opened not in "{[":
        return None
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        name: int | str = n
        if opened == "{":
            name, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        if name == part:
            return at
        at = _skip(text, json.JSONDecoder().raw_decode(text, at)[1])
        at, n = _skip(text, at + 1) if text[at] == "," else at, n + 1
    return None
