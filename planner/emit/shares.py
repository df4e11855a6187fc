"""Whole numbers in the place of shares, where a target takes integers."""

from collections.abc import Sequence


def largest_remainder(shares: Sequence[float], whole: int) -> list[int]:
    """Integers that add up to `whole` in proportion to the shares; the error of each is below one.

    Examples
    --------
    >>> largest_remainder([2.0, 1.0, 1.0], 10)
    [5, 3, 2]
    """
    total = sum(shares)
    exact = [whole * share / total for share in shares]
    found = [int(value) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (-(exact[i] - found[i]), i))
    for i in order[: whole - sum(found)]:
        found[i] += 1
    return found
