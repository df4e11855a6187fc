"""What an Envoy configuration is made of wherever it stands: addresses, extensions, durations."""

import math
from typing import Any

from planner.units import MS_PER_SECOND

TYPE = "type.googleapis.com/envoy."
LOOPBACK = "127.0.0.1"


def address(host: str, port: int) -> dict[str, Any]:
    """Where a socket is."""
    return {"socket_address": {"address": host, "port_value": port}}


def typed(name: str, type_name: str, **config: Any) -> dict[str, Any]:
    """An extension of Envoy: its name, and its configuration with its type."""
    return {"name": name, "typed_config": {"@type": f"{TYPE}{type_name}", **config}}


def duration(seconds: float) -> str:
    """Seconds as Envoy reads them, rounded up to a millisecond."""
    return f"{math.ceil(round(seconds * MS_PER_SECOND, 6)) / MS_PER_SECOND:.10g}s"
