"""That it is known how many replicas storage feeds at most when a part of a failure works again."""

import math
from itertools import pairwise

from planner.study.dependencies import availability, dependency_graph, placements, stages_of
from planner.study.feeding import gib_returning
from planner.study.loading import storage_gib_per_second
from planner.study.parts import Parts
from planner.study.places import Reading, listed
from planner.study.records.study import Goal, Study


def check_feeding(study: Study, parts: Parts, reading: Reading) -> None:
    """Say where a stage is reckoned with as if storage fed any number of replicas at once."""
    if not storage_gib_per_second(study) or not any(failure.repaired for failure in study.failures):
        return
    graph, placed = dependency_graph(study), placements(study)
    for named, place in parts.failures:
        stages = stages_of(Goal(failure=named.name, within_seconds=1.0), study, graph)
        values = [availability(graph, stage.lost) for stage in stages]
        unbounded: set[str] = set()
        for before, after in pairwise(values):
            gib = gib_returning(study, placed, before, after)
            unbounded |= {site for site, read in gib.items() if math.isinf(read)}
        if unbounded:
            expected = "sites whose machines are bounded, by most_units of all that is offered there or by power_kw"
            got = f"{listed(unbounded)}, where storage may have to feed any number"
            fix = "state them; as it is, what returns there loads as if storage fed all of it at once"
            reading.warning(place.at("repaired"), expected, got, fix)
