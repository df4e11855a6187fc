"""The targets that there are; nothing is loaded for their names."""

from collections.abc import Mapping

TARGETS: Mapping[str, str] = {
    "terraform": "planner.emit.terraform",
    "kubernetes": "planner.emit.kubernetes",
    "owned": "planner.emit.owned",
    "litellm": "planner.emit.litellm",
    "envoy": "planner.emit.envoy",
}
"""Name: module with `files(plan, options) -> {relative path: text}`, pure, and OPTIONS, the settings that it takes."""
ABOUT: Mapping[str, str] = {
    "terraform": "reservations and groups of machines in clouds",
    "kubernetes": "replicas on their machines",
    "owned": "inventory and tickets of halls of our own",
    "litellm": "a gateway for each origin",
    "envoy": "a gateway for each origin",
}
"""What each makes, in a word."""
ALL = "all"
