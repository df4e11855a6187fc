"""A study's records by id: what the pieces of a problem are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.study.dependencies import placements
from planner.study.latency import Reach, reaches
from planner.study.records.inventory import MachineType, Pool, Site
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Study, Tier, Workload


@dataclass(frozen=True)
class Parts:
    """A study's records by id, and what follows from them at once: what the pieces of a problem are made of."""

    study: Study
    placements: tuple[str, ...]
    model: Mapping[str, Model]
    profile: Mapping[str, Profile]
    pool: Mapping[str, Pool]
    """e -> record"""
    pools: Mapping[str, Pool]
    sites: Mapping[str, Site]
    machine: Mapping[str, MachineType]
    tiers: Mapping[str, Tier]
    workloads: Mapping[str, Workload]
    most_tokens: Mapping[str, int]
    reach: Mapping[tuple[str, str], Reach]


def parts_of(study: Study) -> Parts:
    """The records of a study by id."""
    indices = placements(study)
    names = tuple(sorted(indices))
    return Parts(
        study=study,
        placements=names,
        model={e: study.models[indices[e][0]] for e in names},
        profile={e: study.models[indices[e][0]].profiles[indices[e][1]] for e in names},
        pool={e: study.pools[indices[e][2]] for e in names},
        pools={q.id: q for q in sorted(study.pools, key=lambda q: q.id)},
        sites={site.id: site for site in study.sites},
        machine={m.name: m for m in study.machine_types},
        tiers={tier.name: tier for tier in study.tiers},
        workloads={w.name: w for w in study.workloads},
        most_tokens={c.name: c.most_tokens for c in study.context_classes},
        reach=reaches(study),
    )
