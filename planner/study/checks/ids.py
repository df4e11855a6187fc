"""That ids tell apart what they are made of: names hold any sign, so two things might be called the same."""

from collections.abc import Iterator

from planner.study.calendar import hour_id
from planner.study.dependencies import dependency_graph, expand, placement_id, profile_id, rated
from planner.study.parts import Parts
from planner.study.places import Reading, quoted
from planner.study.records.study import Study

JOINTS = (" + ", " while ", " on ", " after ")
"""What joins names in the id of a failure."""


def check_ids(study: Study, parts: Parts, reading: Reading) -> None:
    """Every id is made of one thing only: what is looked up by it is then what was meant."""
    fix = "rename one of them: names may hold / @ and :, as long as what they are put together to differs"
    first: dict[tuple[str, str], tuple[str, ...]] = {}
    for what, id, made_of in _ids(study):
        other = first.setdefault((what, id), made_of)
        if other != made_of:
            got = f"{quoted(id)} of {' and '.join(map(quoted, other))}, and of {' and '.join(map(quoted, made_of))}"
            reading.error(parts.place.at(), f"another id for each {what}", got, fix)
    for id in _failures_of_one_id(study):
        reading.error(parts.place.at("failures"), "another id for each failure", f"{quoted(id)} for two", fix)


def _ids(study: Study) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(what it is of, id, what it is made of) for all that is put together of names."""
    for site in study.sites:
        yield "site", site.id, (site.provider, site.site)
        yield "region", site.region_id, (site.provider, site.region)
    for pool in study.pools:
        yield "pool", pool.id, (pool.site, pool.machine_type)
    for offer in study.offers:
        yield "offer or phase", offer.id, (offer.site, offer.machine_type, offer.offer)
    for phase in study.build_outs:
        yield "offer or phase", phase.id, (phase.site, phase.name)
    for period in study.horizon.each_period:
        yield "period or hour", period.name, (period.name,)
        for hour in study.horizon.each_hour:
            yield "period or hour", hour_id(period.name, hour.name), (period.name, hour.name)
    for model in study.models:
        for qualification in model.qualifications:
            yield "qualification", f"{model.model}/{qualification.stack}", (model.model, qualification.stack)
        for profile in model.profiles:
            id = profile_id(model.model, profile.name)
            yield "profile", id, (model.model, profile.name)
            for pool in study.pools:
                if pool.machine_type == profile.machine_type:
                    yield "placement", placement_id(id, pool.id), (id, pool.id)


def _failures_of_one_id(study: Study) -> list[str]:
    """Ids of failures that stand for two of different losses."""
    names = [*(c.name for c in study.components), *(f.name for f in study.failures), *(s.id for s in study.sites)]
    names += [*(m.name for m in study.machine_types), *(p.stack for m in study.models for p in m.profiles)]
    names += [*(s.region for s in study.sites), *(m.model for m in study.models)]
    if not any(joint in name for name in names for joint in JOINTS):
        return []
    graph, ambiguous = dependency_graph(study), set[str]()
    first: dict[str, tuple[object, ...]] = {}
    goals = (goal for tier in study.tiers for goal in tier.survive)
    for failure in (*(f for goal in goals for f in expand(goal, study, graph)), *rated(study, graph)):
        made_of = (dict(failure.lost), failure.surge_factor, dict(failure.surges), failure.targeted)
        if first.setdefault(failure.id, made_of) != made_of:
            ambiguous.add(failure.id)
    return sorted(ambiguous)
