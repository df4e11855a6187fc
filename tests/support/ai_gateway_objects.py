"""Objects of Envoy AI Gateway as they were written, and routes by hand."""

import yaml

from planner.emit.names import slug
from planner.emit.routing import Entry, Route

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ENDPOINT = {"endpoint": "https://{placement}.example.com/v1"}


def objects(text):
    return yaml.load(text, Loader=LOADER)["items"]


def of_gateway(listed, origin):
    """All objects of a gateway: those that stay, and its routes."""
    return [o for name in ("gateway", "routes") for o in objects(listed[f"origins/{origin}/{name}.yaml"])]


def of_kind(items, kind):
    return {o["metadata"]["name"]: o for o in items if o["kind"] == kind}


def entry(name, share, limit, beyond=False):
    return Entry(name, slug(name), round(10_000 * share) or 1, share, limit, beyond)


def route(*levels, peak=100.0):
    return Route("w", "o", "w", peak, levels)
