"""All that was read for a study, each record with its place, before it is put together."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from planner.study.dependencies import placement_id, profile_id
from planner.study.places import Place, Row, matches
from planner.study.records.inventory import (
    MachineType,
    Offer,
    Pool,
    Price,
    RoundTrip,
    Site,
    StorageRate,
    Zone,
    offer_id,
    pools_of_zones,
)
from planner.study.records.serving import ContextClass, Model, Profile
from planner.study.records.study import (
    Claim,
    Component,
    Demand,
    Dependency,
    Holding,
    NamedFailure,
    Origin,
    RequestCost,
    StudyFile,
    Tier,
    Workload,
    stack_and_version,
)
from planner.study.renewals import is_renewed

SITE_IDS = "provider/site"
POOL_IDS = "provider/site/machine-type"
OFFER_IDS = "provider/site/machine-type:offer"
BUILT_IN = (
    "provider",
    "region",
    "zone",
    "site",
    "pool",
    "stack",
    "stack_version",
    "qualification",
    "control_plane",
    "renewal",
)


@dataclass
class Parts:
    """All that was read for a study, each record with its place; the inventory's and the models' by id.

    The tables of the inventory hold all of it; `considered_pools` are those that the study asks for. What is derived is
    made once: it is asked for after all is read.
    """

    file: StudyFile
    place: Place
    origins: list[Row[Origin]]
    tiers: list[Row[Tier]]
    workloads: list[Row[Workload]]
    holdings: list[Row[Holding]]
    claims: list[Row[Claim]]
    components: list[Row[Component]]
    dependencies: list[Row[Dependency]]
    failures: list[Row[NamedFailure]]
    machine_types: dict[str, Row[MachineType]] = field(default_factory=dict)
    sites: dict[str, Row[Site]] = field(default_factory=dict)
    zones: dict[str, Row[Zone]] = field(default_factory=dict)
    """once regions are split: those of which the pools are"""
    round_trips: dict[str, Row[RoundTrip]] = field(default_factory=dict)
    storage: dict[str, Row[StorageRate]] = field(default_factory=dict)
    pools: dict[str, Row[Pool]] = field(default_factory=dict)
    offers: dict[str, Row[Offer]] = field(default_factory=dict)
    prices: dict[str, Row[Price]] = field(default_factory=dict)
    context_classes: dict[str, Row[ContextClass]] = field(default_factory=dict)
    models: dict[str, Row[Model]] = field(default_factory=dict)
    shipped_profiles: set[str] = field(default_factory=set)
    """`model/profile` of those that the user did not write: where one does not fit, an edge is missing, no more"""
    demand: list[Row[Demand]] = field(default_factory=list)
    request_costs: list[Row[RequestCost]] = field(default_factory=list)

    @cached_property
    def considered_pools(self) -> dict[str, Pool]:
        """The pools whose id matches a pattern of the study, by id; of a region that is split, those of its zones."""
        ids = (id for id in sorted(self.pools) if id not in self.zone_pools and matches(id, self.file.pools))
        return {id: self.pools[id][0] for id in ids}

    @cached_property
    def zone_pools(self) -> dict[str, tuple[str, ...]]:
        """Pool of a region that is split -> the pools of its zones, sorted."""
        return pools_of_zones(zone for zone, _ in self.zones.values())

    @cached_property
    def zone_offers(self) -> dict[str, tuple[str, ...]]:
        """Offer of a region's pool that is split -> the offers of its zones."""
        region_pool = {of_zone: id for id, of_zones in self.zone_pools.items() for of_zone in of_zones}
        offers: dict[str, list[str]] = {}
        for id, (offer, _) in sorted(self.offers.items()):
            if offer.pool in region_pool:
                offers.setdefault(offer_id(region_pool[offer.pool], offer.offer), []).append(id)
        return {id: tuple(of_zones) for id, of_zones in offers.items()}

    def components_of_zones(self, kind: str, name: str) -> set[str]:
        """Components instead of a pool or a site that was split into zones: theirs, and the region of all of them.

        And the pools of the site whose zones no list names, where there are any: it is split in part.
        """
        if kind == "pool":
            return {f"pool:{of_zone}" for of_zone in self.zone_pools.get(name, ())}
        sites = {f"site:{zone.site}" for zone, _ in self.zones.values() if kind == "site" and zone.region_id == name}
        rest = {f"pool:{id}" for id, pool in self.considered_pools.items() if pool.site == name}
        return {*sites, f"region:{name}", *rest} if sites else set()

    @cached_property
    def pool_ids(self) -> set[str]:
        """Ids of pools that patterns may match: of the inventory, and of regions that are split."""
        return {*self.pools, *self.zone_pools}

    @cached_property
    def considered_pool_ids(self) -> set[str]:
        """Ids of the study's pools that patterns may match: those of regions that are split stand for their zones'."""
        return {*self.considered_pools, *self.zone_pools}

    @cached_property
    def offer_ids(self) -> set[str]:
        """Ids of offers that patterns may match: of the inventory, and of regions that are split."""
        return {*self.offers, *self.zone_offers}

    @cached_property
    def considered_offer_ids(self) -> set[str]:
        """Ids of offers of the study's pools that patterns may match."""
        return {*self.considered_offers, *self.zone_offers}

    @cached_property
    def considered_offers(self) -> dict[str, Row[Offer]]:
        """The offers of the pools that the study considers, by id."""
        return {id: row for id, row in self.offers.items() if row[0].pool in self.considered_pools}

    @cached_property
    def considered_machine_types(self) -> set[str]:
        """Names of the machine types of the pools that the study considers."""
        return {pool.machine_type for pool in self.considered_pools.values()}

    @property
    def used_models(self) -> dict[str, Row[Model]]:
        """The models of the study's workloads, by name."""
        names = sorted({workload.model for workload, _ in self.workloads})
        return {name: self.models[name] for name in names if name in self.models}

    def rows(self, *field: str) -> list[Row[Any]]:
        """The records of a list in the study file, each with its place: `build_outs`, or `policies`, `quotas`."""
        records: Any = self.file
        for name in field:
            records = getattr(records, name)
        return self.place.rows(records, *field)

    @cached_property
    def placements(self) -> dict[str, tuple[Model, Profile, str]]:
        """Placement -> its model, profile and the id of its pool: same machine type, and the stack qualified."""
        placements = {}
        for model, _ in self.used_models.values():
            qualified = model.qualified_stacks(self.file.horizon.last_day)
            for profile in (profile for profile in model.profiles if profile.stack in qualified):
                for id, pool in self.considered_pools.items():
                    if pool.machine_type == profile.machine_type:
                        placements[placement_id(profile_id(model.model, profile.name), id)] = (model, profile, id)
        return placements

    @property
    def component_kinds(self) -> set[str]:
        """Kinds of components: built in, and the study's own."""
        return {*BUILT_IN, *(component.kind for component, _ in self.components)}

    @cached_property
    def component_names(self) -> dict[str, set[str]]:
        """Names of the components by kind, as in the dependency graph: built in, and the study's own."""
        names: dict[str, set[str]] = {kind: set() for kind in (*BUILT_IN, "workload", "origin", "placement")}
        names["pool"] = set(self.considered_pools)
        for site in (self.sites[pool.site][0] for pool in self.considered_pools.values() if pool.site in self.sites):
            names["site"].add(site.id)
            names["region"].add(site.region_id)
            if site.is_zone:
                names["zone"].add(site.id)
            names["provider"].add(site.provider)
            names["control_plane"] |= {site.region_id, site.provider}
        names["renewal"] = {
            id for id, (offer, _) in self.considered_offers.items() if is_renewed(self.file.horizon, offer)
        }
        for model, profile, _ in self.placements.values():
            stack, version = stack_and_version(profile.stack)
            names["stack"].add(stack)
            names["stack_version"].update([profile.stack] if version else [])
            names["qualification"].add(f"{model.model}/{profile.stack}")
        names["placement"] = set(self.placements)
        names["workload"] = {workload.name for workload, _ in self.workloads}
        names["origin"] = {origin.name for origin, _ in self.origins}
        for component, _ in self.components:
            if component.kind not in BUILT_IN:
                names.setdefault(component.kind, set()).add(component.name)
        return names
