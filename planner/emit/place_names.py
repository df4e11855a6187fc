"""Whether the name of a region is another's misspelt, or that of a region of which the plan has nothing.

Names of regions are close to one another on purpose: another number or another direction is another region.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from planner.emit.node_facts import plain_place

DIRECTIONS = re.compile("northeast|northwest|southeast|southwest|north|south|east|west|central")
APART = ("africa", "asia", "australia", "austria", "brazilus", "poland", "spain", "usdod", "usgov", "usiso", "usisob")
"""Words of regions that are close to those of others (AWS, Google and Azure, lists of regions, 2026)."""
LIKENESS = 0.8
_ZONE = re.compile(r"(?<=[0-9])-?[a-z]$|-[0-9]$")


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """The known region or zone that a name looks like, and is not; None: it may be one of its own.

    Examples
    --------
    >>> misspelt("us-eats-1", ["us-east-1"]), misspelt("us-east1", ["us-east-1"]), misspelt("estus2", ["eastus2"])
    ('us-east-1', 'us-east-1', 'eastus2')
    >>> [misspelt(name, ["us-east-1"]) for name in ("us-east-2", "us-west-1", "eu-west-1", "us-east-1a")]
    [None, None, None, None]
    """
    word = _ZONE.sub("", plain_place(name))
    for place in sorted(known):
        home = plain_place(place)
        if plain_place(name) == home or word == home:
            return None
        if _squeezed(word) == _squeezed(home):
            return place
    places = sorted(known)
    words = {_without_directions(_letters(place)) for place in places} | set(APART)
    if len(_without_directions(_letters(word))) <= 2 or _without_directions(_letters(word)) in words:
        return None
    likeness = {place: SequenceMatcher(None, _letters(word), _letters(place)).ratio() for place in places}
    best = max(places, key=lambda place: likeness[place], default=None)
    return best if best is not None and likeness[best] >= LIKENESS else None


def _squeezed(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _letters(text: str) -> str:
    return re.sub("[^a-z]", "", _ZONE.sub("", plain_place(text)))


def _without_directions(letters: str) -> str:
    return DIRECTIONS.sub("", letters)
