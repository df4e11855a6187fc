"""That what adds up, or is multiplied, is not written twice by mistake."""

from collections.abc import Iterable

from planner.study.parts import Parts
from planner.study.places import R, Reading, Row, quoted


def check_repeated(parts: Parts, reading: Reading) -> None:
    """What adds up, or is multiplied, is not written twice by mistake; names that limits go by are their own."""
    adds = "remove one if it is the same; if there are two, write one with the sum"
    _same(parts.holdings, "machines that are held, each once", adds, reading)
    _same(parts.claims, "machines that are lent, each once", adds, reading)
    for name, factors in (("price_book", "lines"), ("price_paths", "paths")):
        fix = f"remove one: the factors of all {factors} that match are multiplied"
        _same(parts.rows(name), "each line once", fix, reading)
    idle = "remove one of them; as it is, it changes nothing"
    _same(parts.dependencies, "each dependency once", idle, reading)
    for tier, place in parts.tiers:
        _same(place.rows(tier.survive, "survive"), "each goal once", idle, reading)
    first: dict[tuple[str, str], str] = {}
    for share, place in parts.rows("policies", "shares"):
        where = place.at("component")
        before = first.setdefault(("share", share.component), where)
        if before != where:
            got = f"{quoted(share.component)} here and at {before}"
            reading.warning(where, "each component once", got, "remove one: the lower limit holds")
    for quota, place in parts.rows("policies", "quotas"):
        where = place.at("name")
        before = first.setdefault(("quota", quota.name), where)
        if before != where:
            got = f"{quoted(quota.name)} here and at {before}"
            reading.error(where, "a name of its own for each quota", got, "rename one, or remove it if it is the same")


def _same(rows: Iterable[Row[R]], expected: str, fix: str, reading: Reading) -> None:
    """A warning at each record that is the same as one before it."""
    first: list[Row[R]] = []
    for record, place in rows:
        before = next((at for other, at in first if other == record), None)
        if before is not None:
            reading.warning(place.at(), expected, f"the same here and at {before.at()}", fix)
        else:
            first.append((record, place))
