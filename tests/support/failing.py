"""Studies with failures of their own, and what is bought for them."""

from typing import Any

from studies import machine_type, model, offer, profile, site, study, workload

from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Dependency, Goal, Needs, Origin, Study, Tier

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)


def asked(**parts: Any) -> Study:
    """10 requests/s; a replica serves 1/s on one machine; pools a and b at 1 and 2 USD; no goal unless given."""
    fields: dict[str, Any] = {
        "sites": (site("p/a"), site("r/b")),
        "machine_types": (machine_type("m"),),
        "pools": (Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="m")),
        "bought": [offer("p/a/m", 1, most_units=40.0), offer("r/b/m", 2, most_units=40.0)],
        "models": (model("m", [profile("m", "cuda", 1)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10},
    }
    return study(**{**fields, **parts})


def goal(failure: str = "f", fraction: float = 1.0, within: float = 60.0, **more: Any) -> tuple[Tier, ...]:
    return (Tier(name="t", survive=(Goal(failure=failure, serve_fraction=fraction, within_seconds=within, **more),)),)


def bought(s: Study) -> dict[str, int]:
    """Machines by pool of the cheapest plan; it passes its audit."""
    plan = make_plan(s, EXACT)
    assert audit(plan).passed, audit(plan).violations[:3]
    return units(plan)


def units(plan: PlanFile) -> dict[str, int]:
    machines: dict[str, int] = {}
    for row in plan.purchases:
        site_id = row.offer.split("/m:")[0]
        machines[site_id] = machines.get(site_id, 0) + row.units
    return machines


def gateways(**more: Any) -> dict[str, Any]:
    """Two origins of 5 requests/s; o goes through gateway g1, b through g1 or g2; both pools stand."""
    return {
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0), Origin(name="b", latitude=50.0, longitude=1.0)),
        "demand": {("w", "o"): 5, ("w", "b"): 5},
        "components": (
            Component(name="g1", kind="gateway", most_requests_per_second=more.pop("g1", 6.0)),
            Component(name="g2", kind="gateway", most_requests_per_second=more.pop("g2", 4.0)),
        ),
        "dependencies": (
            Dependency(component="origin:o", needs=Needs(all_of=("gateway:g1",))),
            Dependency(component="origin:b", needs=Needs(any_of=("gateway:g1", "gateway:g2"))),
        ),
        **more,
    }
