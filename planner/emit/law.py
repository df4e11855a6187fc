"""Which reservation object exists for which machine: the instrument by which a lot of machines is secured.

The rules are read in order; the first that fits holds. They say what the provider's API knows, not what the plan wants:
a machine without a reservation object gets none, and what no API sells becomes a ticket for a person.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Instrument = Literal["immediate", "capacity_block", "future_reservation", "spot", "none", "by_hand"]
"""immediate: a reservation made now · capacity_block: paid upfront, opt-in · future_reservation: a draft · spot, none:
machines run without any reservation · by_hand: no API; a ticket."""


@dataclass(frozen=True)
class Rule:
    """Machines of a provider, bought in one of the ways, are secured by the instrument."""

    provider: str
    kinds: tuple[str, ...]
    machine_types: tuple[str, ...]
    instrument: Instrument
    why: str
    source: str
    as_of: str


PAYS = ("on_demand", "commitment")
EVERY = ("on_demand", "spot", "commitment", "capacity_block", "build_out")
TPU = ("ct5lp-*", "v5litepod-*", "ct5p-*", "ct6e-*", "tpu7x-*")
_EC2 = "AWS EC2 API reference, CreateCapacityReservation"
_BLOCKS = "AWS EC2 User Guide, Capacity Blocks for ML"
_AZURE = "MicrosoftDocs/azure-compute-docs, capacity-reservation-overview.md"
_TPU = "Google Cloud documentation, TPU consumption options and machine types"

LAW: tuple[Rule, ...] = (
    Rule("*", ("build_out",), ("*",), "by_hand", "a purchase order; no API sells it", "the offer", "2026"),
    Rule("*", ("held",), ("*",), "none", "held already: what secures it is in place", "the study's holdings", "2026"),
    Rule("aws", ("spot",), ("*",), "spot", "Spot Instances cannot be reserved", "AWS EC2 User Guide", "2026"),
    Rule(
        "aws",
        ("capacity_block",),
        ("p4d.*", "p5.*", "p5e.*", "p5en.*", "p6-*", "trn1.*", "trn2.*"),
        "capacity_block",
        "paid upfront; cannot be changed or cancelled; blocks of 1, 2, 4 to 64 instances for at most 182 days",
        _BLOCKS,
        "2025",
    ),
    Rule("aws", ("capacity_block",), ("*",), "by_hand", "no Capacity Blocks for this family", _BLOCKS, "2025"),
    Rule(
        "aws",
        PAYS,
        ("*",),
        "immediate",
        "made now or refused; on-demand rate, used or not; can be cancelled",
        _EC2,
        "2026",
    ),
    Rule("google", ("spot",), ("*",), "spot", "Spot VMs cannot be reserved", _TPU, "2026-08-26"),
    Rule(
        "google",
        ("commitment",),
        ("ct5lp-*", "v5litepod-*", "ct5p-*", "ct6e-*"),
        "future_reservation",
        "a future reservation with a commitment: a draft, submitted after the account team has agreed",
        _TPU,
        "2026-08-26",
    ),
    Rule(
        "google",
        ("commitment", "capacity_block"),
        TPU,
        "by_hand",
        "by the account team; google-beta 6.50 knows no VM family for it, or the mode cannot be cancelled",
        _TPU,
        "2026-08-26",
    ),
    Rule("google", ("on_demand",), TPU, "none", "on-demand TPU has no immediate reservation", _TPU, "2026-08-26"),
    Rule(
        "google",
        PAYS,
        ("g2-*", "a2-*", "a3-highgpu-*", "a3-megagpu-*"),
        "immediate",
        "made now or refused; billed, used or not",
        "google provider 6.50, google_compute_reservation",
        "2025",
    ),
    Rule("google", EVERY, ("*",), "by_hand", "not known to have an immediate reservation", _TPU, "2026-08-26"),
    Rule("azure", ("spot",), ("*",), "spot", "Spot VMs cannot be reserved", _AZURE, "2026-02-17"),
    Rule(
        "azure",
        PAYS,
        ("Standard_ND*", "Standard_NC*ads_H100_v5"),
        "none",
        "on-demand capacity reservations do not exist for this size",
        _AZURE,
        "2026-02-17",
    ),
    Rule(
        "azure",
        PAYS,
        (
            "Standard_NC*s_v3",
            "Standard_NC*as_T4_v3",
            "Standard_NC*ads_A100_v4",
            "Standard_NV*s_v3",
            "Standard_NV*ads_A10_v5",
            "Standard_NG*ads_V620_v1",
        ),
        "immediate",
        "made now or refused; pay-as-you-go rate, used or not",
        _AZURE,
        "2026-02-17",
    ),
    Rule("azure", PAYS, ("*",), "none", "not on the list of sizes that can be reserved", _AZURE, "2026-02-17"),
    Rule("*", EVERY, ("*",), "by_hand", "no module for this provider and offer", "this project", "2026"),
)


def rule_of(provider: str, kind: str, machine_type: str) -> Rule:
    """The rule that holds for machines of a type, bought in a way; kind `held`: nothing is bought.

    Examples
    --------
    >>> rule_of("azure", "on_demand", "Standard_ND96isr_H100_v5").instrument
    'none'
    >>> rule_of("aws", "commitment", "p5.48xlarge").instrument
    'immediate'
    """
    return next(
        rule
        for rule in LAW
        if rule.provider in ("*", provider)
        and kind in rule.kinds
        and any(fnmatchcase(machine_type, pattern) for pattern in rule.machine_types)
    )
