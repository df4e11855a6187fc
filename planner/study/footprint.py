"""Where a study serves, or a plan or a fleet of it: what an outage that happened elsewhere would meet here."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from planner.study.dependencies import placements
from planner.study.parts import Parts
from planner.study.records.inventory import Pool, Site
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Component, Dependency, Study, Workload


@dataclass(frozen=True)
class PoolHere:
    """Machines of one kind at one site."""

    id: str
    provider: str
    region: str
    site: str
    accelerator: str


@dataclass(frozen=True)
class PlacementHere:
    """A model that can be served on a pool.

    Parameters
    ----------
    region : `provider/region`
    stack : as the profile names it, with its version where one is named
    classes : context classes that its profile admits
    """

    id: str
    model: str
    stack: str
    pool: str
    provider: str
    region: str
    classes: frozenset[str]


@dataclass(frozen=True)
class Footprint:
    """What runs, or can run, and what it stands on.

    Parameters
    ----------
    subject : what it is of, as people say it: `this study`, `this plan`
    asked : model -> context classes that workloads ask of it
    most_tokens : context class -> its longest request
    """

    subject: str
    pools: tuple[PoolHere, ...]
    placements: tuple[PlacementHere, ...]
    components: tuple[Component, ...]
    dependencies: tuple[Dependency, ...]
    asked: Mapping[str, frozenset[str]]
    most_tokens: Mapping[str, int]

    @property
    def providers(self) -> list[str]:
        """Providers with a pool, sorted."""
        return sorted({pool.provider for pool in self.pools})

    def regions(self, provider: str | None = None) -> list[str]:
        """`provider/region` of each region with a pool, sorted; of one provider where it is named."""
        return sorted({pool.region for pool in self.pools if provider in (None, pool.provider)})


def footprint_of(study: Study, subject: str = "this study", pools: Collection[str] | None = None) -> Footprint:
    """The footprint of a study; of the pools in which something runs, where they are given by id."""
    used = [pool for pool in study.pools if pools is None or pool.id in pools]
    of_pool = {pool.id: _pool(pool, study.site_by_id[pool.site], _accelerator(pool, study)) for pool in used}
    rows = []
    for id, (m, p, q) in placements(study).items():
        if (pool := of_pool.get(study.pools[q].id)) is not None:
            rows.append(_placement(id, study.models[m], study.models[m].profiles[p], pool))
    return _footprint(
        subject,
        of_pool.values(),
        rows,
        study.components,
        study.dependencies,
        study.workloads,
        {one.name: one.most_tokens for one in study.context_classes},
    )


def footprint_of_parts(parts: Parts) -> Footprint:
    """The footprint of a study that is being read."""
    of_pool = {}
    for id, pool in parts.considered_pools.items():
        if pool.site in parts.sites and pool.machine_type in parts.machine_types:
            accelerator = parts.machine_types[pool.machine_type][0].accelerator
            of_pool[id] = _pool(pool, parts.sites[pool.site][0], accelerator)
    rows = []
    for id, (model, profile, at) in parts.placements.items():
        if at in of_pool:
            rows.append(_placement(id, model, profile, of_pool[at]))
    return _footprint(
        "this study",
        of_pool.values(),
        rows,
        tuple(row for row, _ in parts.components),
        tuple(row for row, _ in parts.dependencies),
        [row for row, _ in parts.workloads],
        {name: row.most_tokens for name, (row, _) in parts.context_classes.items()},
    )


def _accelerator(pool: Pool, study: Study) -> str:
    return study.machine_type_by_name[pool.machine_type].accelerator


def _pool(pool: Pool, site: Site, accelerator: str) -> PoolHere:
    return PoolHere(pool.id, site.provider, site.region_id, site.id, accelerator)


def _placement(id: str, model: Model, profile: Profile, pool: PoolHere) -> PlacementHere:
    classes = frozenset(point.context_class for point in profile.classes)
    return PlacementHere(id, model.model, profile.stack, pool.id, pool.provider, pool.region, classes)


def _footprint(
    subject: str,
    pools: Iterable[PoolHere],
    rows: Iterable[PlacementHere],
    components: tuple[Component, ...],
    dependencies: tuple[Dependency, ...],
    workloads: Iterable[Workload],
    most_tokens: Mapping[str, int],
) -> Footprint:
    asked: dict[str, set[str]] = {}
    for workload in workloads:
        asked.setdefault(workload.model, set()).add(workload.context_class)
    return Footprint(
        subject,
        tuple(sorted(pools, key=lambda pool: pool.id)),
        tuple(sorted(rows, key=lambda row: row.id)),
        components,
        dependencies,
        {model: frozenset(classes) for model, classes in asked.items()},
        most_tokens,
    )
