"""Taints of nodes: one setting for Terraform, whose groups have them, and for Kubernetes, whose pods tolerate them.

Written as kubectl writes them, `key=value:Effect` with commas between. The clouds' words for the effects differ.
"""

import re
from dataclasses import dataclass
from typing import Any

EFFECTS = {"NoSchedule": "NO_SCHEDULE", "PreferNoSchedule": "PREFER_NO_SCHEDULE", "NoExecute": "NO_EXECUTE"}
"""Kubernetes' word -> that of EKS and GKE (provider documentation of their node groups, 2026)."""
EXPECTED_TAINTS = "key=value:Effect with commas between, effects NoSchedule, PreferNoSchedule, NoExecute"
_TAINT = re.compile(
    r"(([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)"
    r"=([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?):(NoSchedule|PreferNoSchedule|NoExecute)"
)


@dataclass(frozen=True)
class Taint:
    """A taint in Kubernetes' words."""

    key: str
    value: str
    effect: str

    def toleration(self) -> dict[str, str]:
        """What of a pod tolerates it, and no other value."""
        return {"key": self.key, "operator": "Equal", "value": self.value, "effect": self.effect}

    def of_cloud(self, cloud: str) -> Any:
        """As the environment of a cloud's module takes it."""
        if cloud == "azure":
            return f"{self.key}={self.value}:{self.effect}"
        return {"key": self.key, "value": self.value, "effect": EFFECTS[self.effect]}


def taints_of(text: str) -> tuple[Taint, ...] | None:
    """Taints in a text; None when it has anything else, or one key and effect twice.

    Examples
    --------
    >>> taints_of("sku=gpu:NoSchedule")
    (Taint(key='sku', value='gpu', effect='NoSchedule'),)
    >>> taints_of(""), taints_of("sku")
    ((), None)
    """
    if not text:
        return ()
    matches = [_TAINT.fullmatch(part) for part in text.split(",")]
    taints = tuple(Taint(match[1], match[5], match[7]) for match in matches if match)
    apart = {(taint.key, taint.effect) for taint in taints}
    return taints if len(taints) == len(matches) == len(apart) else None
