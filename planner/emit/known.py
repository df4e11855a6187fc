"""The targets that can be emitted; nothing is loaded for their names."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A module with `files(plan, options) -> {relative path: text}`, pure, and `OPTIONS`: setting -> its default.

    A setting whose name ends in a dot is the beginning of several.

    Parameters
    ----------
    replays : whether it replays failures: `files` takes `progress`, too, called with (failures replayed, in all)
    """

    module: str
    about: str
    replays: bool = False


TARGETS: Mapping[str, Target] = {
    "terraform": Target("planner.emit.terraform", "reservations and groups of machines in clouds", True),
    "kubernetes": Target("planner.emit.kubernetes", "replicas on their machines, Services and routes"),
    "inference-extension": Target("planner.emit.inference_extension", "pools and endpoint pickers of each placement"),
    "owned": Target("planner.emit.owned", "inventory and tickets of halls of our own", True),
    "litellm": Target("planner.emit.litellm", "a gateway for each origin"),
    "envoy": Target("planner.emit.envoy", "a gateway for each origin"),
    "envoy-ai-gateway": Target("planner.emit.envoy_ai_gateway", "a gateway for each origin"),
    "gameday": Target("planner.emit.gameday", "what breaks a failure on purpose, and what must be seen then"),
}
ALL = "all"
