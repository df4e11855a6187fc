"""Where a placement is reached: a Service each, and outside the cluster a host name each, health included."""

from typing import Any

from planner.emit.fleet import Fleet, Running
from planner.emit.kubernetes_options import API_PATH, HEALTH_PATH, NO_TIME_LIMIT, PORT, PREFIX, Settings
from planner.emit.kubernetes_workloads import answering_labels
from planner.emit.names import slug


def service(fleet: Fleet, r: Running, given: Settings) -> dict[str, Any]:
    """The Service of a placement: its name is the slug that gateways fill in for `{placement}`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": slug(r.placement),
            "namespace": given["namespace"],
            "annotations": {f"{PREFIX}/placement": r.placement},
        },
        "spec": {
            "selector": answering_labels(fleet, r),
            "ports": [{"name": "http", "port": PORT, "targetPort": PORT, "appProtocol": "http"}],
        },
    }


def service_backend(placement: str) -> dict[str, Any]:
    """The Service of a placement as a route refers to it."""
    return {"kind": "Service", "name": slug(placement), "port": PORT}


def placement_route(placement: str, given: Settings, backend: dict[str, Any] | None = None) -> dict[str, Any]:
    """The host name of a placement: what gateways of other clusters address and ask whether it is well.

    Parameters
    ----------
    backend : where requests are led; none: to the Service, which always answers whether the placement is well
    """
    requests = {"path": {"type": "PathPrefix", "value": API_PATH}}
    health = {"path": {"type": "Exact", "value": HEALTH_PATH}}
    service = service_backend(placement)
    rules = [_rule([requests, health], service)]
    if backend is not None:
        rules = [_rule([requests], backend), _rule([health], service)]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": slug(placement),
            "namespace": given["namespace"],
            "annotations": {f"{PREFIX}/placement": placement},
        },
        "spec": {
            "parentRefs": [{"name": given["gateway"]}],
            "hostnames": [f"{slug(placement)}.{given['domain']}"],
            "rules": rules,
        },
    }


def _rule(matches: list[dict[str, Any]], backend: dict[str, Any]) -> dict[str, Any]:
    return {"matches": matches, "backendRefs": [backend], **NO_TIME_LIMIT}
