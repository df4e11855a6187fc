"""What a Kubernetes node is, by what its cloud and its kubelet say of it; our own labels are read elsewhere.

Labels: kubernetes/kubernetes well-known labels; kubernetes-sigs/karpenter pkg/apis/v1 (capacity-type spot, on-demand,
reserved); aws/karpenter-provider-aws (capacity-reservation-id); EKS managed node groups (capacityType SPOT, ON_DEMAND,
CAPACITY_BLOCK); GKE Spot VMs (gke-spot, gke-preemptible, gke-provisioning) and reservations (reservation-name); AKS
spot node pools (scalesetpriority) and availability zones, whose label is `eastus-1`. Read 2026-11.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from planner.emit.fleet import is_zone_id
from planner.emit.kubernetes import RESOURCES
from planner.emit.terraform import CLOUDS, GKE_MACHINE
from planner.study.records.inventory import MachineType, Site
from planner.study.records.study import Study, stack_and_version

TYPE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
ZONE_ID_LABELS = ("topology.k8s.aws/zone-id",)
"""Of nodes that the cloud controller manager of AWS has labelled: kubernetes/cloud-provider-aws, read 2026-11."""
ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
SPOT_LABELS: Mapping[str, tuple[str, ...]] = {
    "karpenter.sh/capacity-type": ("spot",),
    "eks.amazonaws.com/capacityType": ("spot",),
    "cloud.google.com/gke-spot": ("true",),
    "cloud.google.com/gke-preemptible": ("true",),
    "cloud.google.com/gke-provisioning": ("spot", "preemptible"),
    "kubernetes.azure.com/scalesetpriority": ("spot",),
}
"""Label -> its values, in small letters, on nodes that may be taken away."""
RESERVED_LABELS: Mapping[str, tuple[str, ...]] = {
    "karpenter.sh/capacity-type": ("reserved",),
    "eks.amazonaws.com/capacityType": ("capacity_block",),
}
RESERVATION_LABELS = ("karpenter.k8s.aws/capacity-reservation-id", "cloud.google.com/reservation-name")
"""Labels that only nodes in a reservation have."""
OURS_ON_SPOT = ("capacity-planner/counts-in-failures", "false")
"""What we ask for on spot nodes: read where the cloud says nothing."""
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_TIMES = {
    None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
Where = Literal["here", "elsewhere", "not said"]


@dataclass(frozen=True)
class NodeFacts:
    """A node by the words of others; None: they do not say.

    Parameters
    ----------
    accelerators : chips that pods can have, of the vendors that we know
    state : why nothing new starts on it; blank: something does
    keys : what tells it apart from other nodes
    """

    machine_type: str | None
    zone: str | None
    zone_id: str | None
    region: str | None
    accelerators: int | None
    on_spot: bool
    in_reservation: bool
    state: str
    keys: frozenset[str]

    def zone_at(self, site: Site) -> str | None:
        """The zone as the site's own name is written: its id, where that is one."""
        return self.zone_id if is_zone_id(site.site) and self.zone_id else self.zone

    @property
    def place(self) -> str:
        """Zone, else region, for people."""
        return self.zone or self.region or "a place that no label says"


def facts_of(node: Mapping[str, Any]) -> NodeFacts:
    """The facts of a node as the API server gives it."""
    labels = node["metadata"].get("labels") or {}
    known = [label for label in SPOT_LABELS if label in labels]
    on_spot = any(str(labels[label]).lower() in SPOT_LABELS[label] for label in known)
    if not known:
        on_spot = labels.get(OURS_ON_SPOT[0]) == OURS_ON_SPOT[1]
    in_reservation = any(str(labels.get(label, "")).lower() in values for label, values in RESERVED_LABELS.items())
    return NodeFacts(
        machine_type=_first(labels, TYPE_LABELS),
        zone=_zone(labels),
        zone_id=_first(labels, ZONE_ID_LABELS),
        region=_first(labels, REGION_LABELS),
        accelerators=_accelerators(node),
        on_spot=on_spot,
        in_reservation=in_reservation or any(labels.get(label) for label in RESERVATION_LABELS),
        state=_state(node),
        keys=keys_of(node, (node.get("spec") or {}).get("providerID")),
    )


def keys_of(item: Mapping[str, Any], provider_id: object = None) -> frozenset[str]:
    """What tells a node or a pod apart from others: its uid, and the machine that the cloud has for it."""
    uid = item["metadata"].get("uid")
    return frozenset(f"{item.get('kind')} {key}" for key in (uid, provider_id) if key)


def is_ready(item: Mapping[str, Any]) -> bool:
    """Whether a node or a pod says that it is."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def is_going(item: Mapping[str, Any]) -> bool:
    """Whether a node or a pod is being deleted: until that is done it may still say that it is ready."""
    return bool(item["metadata"].get("deletionTimestamp"))


def is_of(machine: MachineType, named: str) -> bool:
    """Whether a cloud's name for a machine type means one of the study; clouds do not agree with themselves on case.

    Examples
    --------
    >>> known = {"evidence": "assumed", "source": "-", "as_of": "2026"}
    >>> tpu = {"accelerator": "TPU v5e", "accelerators": 8, "memory_gib_per_accelerator": 16.0}
    >>> is_of(MachineType(name="v5litepod-8", provider="google", **tpu, **known), "ct5lp-hightpu-8t")
    True
    """
    return named.lower() in (machine.name.lower(), GKE_MACHINE.get(machine.name, machine.name).lower())


def of_other_vendors(study: Study) -> set[str]:
    """Machine types of stacks whose extended resource is not known: their accelerators are not judged."""
    names = set()
    for model in study.models:
        for profile in model.profiles:
            if stack_and_version(profile.stack)[0].partition("-")[0] not in RESOURCES:
                names.add(profile.machine_type)
    return names


def where_is(site: Site, zone: str | None, region: str | None) -> Where:
    """Whether what is in a zone and region, as a cloud writes them, is at a site; of other providers, when so named.

    A zone may be written with its region or without (`eastus-1`, `1`), in any case, with blanks (`East US`).

    Examples
    --------
    >>> from planner.study.records.inventory import Site
    >>> known = {"city": "-", "latitude": 0.0, "longitude": 0.0, "jurisdiction": "US"}
    >>> known |= {"evidence": "assumed", "source": "-", "as_of": "2026"}
    >>> virginia = Site(provider="azure", region="eastus", site="eastus-1", **known)
    >>> where_is(virginia, "1", "eastus"), where_is(virginia, "eastus-2", None), where_is(virginia, None, "East US")
    ('here', 'elsewhere', 'not said')
    """
    if site.provider not in CLOUDS:
        return "here" if {zone, region} & {site.site, site.region} else "not said"
    home, at = plain_place(site.site), plain_place(site.region)
    named = plain_place(zone) if zone else ""
    around = plain_place(region) if region else "" if is_zone_id(named) else _region_of(named)
    if around and around != at:
        return "elsewhere"
    if home == at:
        return "here" if around else "not said"
    if not named or is_zone_id(home) != is_zone_id(named):
        return "not said"  # which name of an account is which id of AWS stands in no file
    return "here" if _with_region(named, at) == _with_region(home, at) else "elsewhere"


def plain_place(text: str) -> str:
    """The name of a region or zone without what people and consoles add: `East US 2` is `eastus2`."""
    return text.replace(" ", "").lower()


def _with_region(zone: str, region: str) -> str:
    return zone if zone.startswith(region) else f"{region}-{zone}"


def _region_of(zone: str) -> str:
    """The region that a zone's name begins with (`us-east-1a`, `us-east5-a`, `eastus-1`); blank: it has none."""
    head, dash, tail = zone.rpartition("-")
    if dash and len(tail) == 1:  # of AWS a region itself, of others a zone
        return zone if tail.isdigit() and "-" in head else head
    return zone[:-1] if dash and tail[:-1].isdigit() and tail[-1].isalpha() else zone if dash else ""


def _first(labels: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(labels[name]) for name in names if labels.get(name)), None)


def _zone(labels: Mapping[str, Any]) -> str | None:
    """The zone; AKS writes a fault domain, `0`, on nodes that are in none."""
    zone = _first(labels, ZONE_LABELS)
    return None if zone == "0" else zone


def _accelerators(node: Mapping[str, Any]) -> int | None:
    allocatable = (node.get("status") or {}).get("allocatable")
    if allocatable is None:
        return None
    return max(_whole_quantity(str(allocatable.get(name, 0))) for name in RESOURCES.values())


def _whole_quantity(text: str) -> int:
    """A quantity of Kubernetes as a whole number: `8`, `8k`, `1Ki` (Kubernetes API, resource.Quantity).

    Raises
    ------
    ValueError
        when it is none

    Examples
    --------
    >>> _whole_quantity("8"), _whole_quantity("2k"), _whole_quantity("1Ki"), _whole_quantity("8000m")
    (8, 2000, 1024, 8)
    """
    if (match := _QUANTITY.fullmatch(text)) is None:
        raise ValueError(f"{text[:40]!r} accelerators allocatable, which is no quantity")
    number, unit = match.groups()
    return int(Decimal(number) * _TIMES[unit])


def _state(node: Mapping[str, Any]) -> str:
    if is_going(node):
        return "being deleted"
    if not is_ready(node):
        return "not ready"
    return "cordoned" if (node.get("spec") or {}).get("unschedulable") else ""
