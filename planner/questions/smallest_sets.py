"""The smallest sets of things that together bring something about, smallest first, of which none holds another.

By hitting sets (Reiter, Artificial Intelligence 32, 1987; MaxHS: Davies and Bacchus, CP 2011): where a set does not do,
it is enlarged while it still does not; of what is outside then, every set that does has one. The smallest set that has
one of each such core is tried next.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MOST_IN_SET = 4


@dataclass
class SmallestSets:
    """Sets of items, by their positions, in the order in which they came up: smallest first.

    Parameters
    ----------
    sets : none of which holds another
    complete : whether these are all that have no more items than `most_in_set`
    tests : questions asked, each counted once
    """

    sets: list[frozenset[int]]
    complete: bool
    tests: int
    is_smallest: bool = True
    """whether none is smaller than the first of them; else it is one of which no part does"""


def smallest_sets(
    many: int,
    does: Callable[[frozenset[int]], bool],
    most_sets: int,
    most_in_set: int = MOST_IN_SET,
    most_tests: int = 1_000_000,
    known: Sequence[frozenset[int]] = (),
) -> SmallestSets:
    """The smallest sets of items 0 ... many - 1 for which `does` is true.

    Parameters
    ----------
    many : how many items there are
    does : of a set of items; what is added to a set for which it is true leaves it true
    most_sets, most_in_set, most_tests : after which it ends
    known : sets that are not asked for, nor any that holds one of them

    Examples
    --------
    >>> smallest_sets(4, lambda chosen: 0 in chosen or {1, 3} <= chosen, 9).sets
    [frozenset({0}), frozenset({1, 3})]
    """
    answers: dict[frozenset[int], bool] = {}

    def test(chosen: frozenset[int]) -> bool:
        if chosen not in answers:
            answers[chosen] = does(chosen)
        return answers[chosen]

    every = frozenset(range(many))
    sets, cores = list[frozenset[int]](), list[frozenset[int]]()
    while len(sets) < most_sets and len(answers) < most_tests:
        candidate = _next(cores, [*known, *sets], most_in_set)
        if candidate is None:
            return SmallestSets(sets, True, len(answers))
        if test(candidate):
            sets.append(candidate)
        else:
            enlarged = _enlarged(candidate, sorted(every - candidate), test)
            if enlarged == every:  # all of them together do not do
                return SmallestSets(sets, True, len(answers))
            cores.append(every - enlarged)
    if not sets and not known and test(every):
        return SmallestSets([_reduced(sorted(every), test)], False, len(answers), is_smallest=False)
    return SmallestSets(sets, False, len(answers))


def _reduced(items: list[int], test: Callable[[frozenset[int]], bool]) -> frozenset[int]:
    """Of a set that does, one of which no part does: halves that are not needed go first."""
    needed, open_items = list[int](), items
    while open_items and not test(frozenset(needed)):
        # the shortest run from the front that does, with what is needed already: its last item is needed
        low, high = 0, len(open_items)
        while high - low > 1:
            middle = (low + high) // 2
            if test(frozenset([*needed, *open_items[:middle]])):
                high = middle
            else:
                low = middle
        needed.append(open_items[high - 1])
        open_items = open_items[: high - 1]
    return frozenset(needed)


def _enlarged(base: frozenset[int], others: list[int], test: Callable[[frozenset[int]], bool]) -> frozenset[int]:
    """A set that does not do, with as many of the others as leave it so; halves of them are tried at once."""
    if not others:
        return base
    if not test(base.union(others)):
        return base.union(others)
    if len(others) == 1:
        return base
    middle = len(others) // 2
    return _enlarged(_enlarged(base, others[:middle], test), others[middle:], test)


def _next(cores: list[frozenset[int]], sets: list[frozenset[int]], most: int) -> frozenset[int] | None:
    """The smallest set that has an item of every core and holds none of the sets; none: there is none so small."""
    for size in range(most + 1):
        for chosen in _hitting(frozenset(), cores, size):
            if not any(one <= chosen for one in sets):
                return chosen
    return None


def _hitting(chosen: frozenset[int], cores: list[frozenset[int]], size: int) -> Iterator[frozenset[int]]:
    """Sets of at most so many items, grown from the chosen ones, that have an item of every core."""
    open_core = next((core for core in cores if not core & chosen), None)
    if open_core is None:
        yield chosen
    elif len(chosen) < size:
        for item in sorted(open_core):
            yield from _hitting(chosen | {item}, cores, size)
