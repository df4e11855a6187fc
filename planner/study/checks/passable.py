"""What must hold of components that let only so many requests through: that what passes them can be counted."""

from planner.study.doors import MOST_WAYS, TooManyWays, limited_by_login, shared_in
from planner.study.parts import Parts
from planner.study.places import Reading, listed, unquoted
from planner.study.records.study import Study


def check_doors(study: Study, parts: Parts, reading: Reading) -> None:
    """Components with a limit are needed in ways whose requests can be counted."""
    where = {f"{c.kind}:{c.name}": place.at("most_requests_per_second") for c, place in parts.components}
    for component in sorted(limited_by_login(study)):
        fix = "leave the limit out, or let the dependency break serving: then all requests pass it"
        got = f"one, and {unquoted(component)} is what new logins need: how many of the requests are not said"
        reading.error(where[component], "no limit on requests", got, fix)
    try:
        shared = shared_in(study)
    except TooManyWays as found:
        fix = "name these components in fewer alternatives, or in all_of what every alternative needs"
        for component in found.components[:1]:
            got = f"{unquoted(component)} in more than {MOST_WAYS}, with {listed(found.components[1:], 4)}"
            reading.error(where[component], "few ways through alternatives that share components", got, fix)
        return
    for component in sorted(shared) if study.failover == "rescale" else ():
        got = f"{unquoted(component)} in several alternatives of the same requests, and nothing steers them"
        fix = "name it once: in all_of what every alternative needs; or choose failover: resolve"
        reading.error(where[component], "with failover: rescale, a component that requests meet once", got, fix)
