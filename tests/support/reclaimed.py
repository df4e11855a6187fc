"""Machines that are lent, and come back."""

from typing import Any

from studies import machine_type, model, offer, profile, site, study, workload

from planner.study.records.inventory import Pool
from planner.study.records.study import Claim, Holding, NamedFailure, Study, Tier


def one_pool(**more: Any) -> Study:
    """10 requests/s, 0.001 USD for each that is not served; a machine serves 1/s and costs 1 USD in the one hour."""
    rate = more.pop("rate", 12.0)
    fields: dict[str, Any] = {
        "sites": (site("p/a"), site("r/b")),
        "machine_types": (machine_type("m"),),
        "pools": (Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="m")),
        "bought": [offer("p/a/m", 1, most_units=40.0), offer("r/b/m", 2, most_units=40.0)],
        "models": (model("m", [profile("m", "cuda", 1, load_seconds=9999.0)]),),
        "tiers": (Tier(name="t", outage_usd_per_request=0.001),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10},
        "failures": (NamedFailure(name="f", lost={"site:p/a": 1.0}, failures_per_year=rate, hours_to_repair=0.5),),
        "objective": "expected",
    }
    return study(**{**fields, **more})


def reclaimable(**more: Any) -> Study:
    """Ten machines at b come back at once and load for 300 s; a is lost for ten hours, once."""
    return one_pool(
        failures=(NamedFailure(name="f", lost={"site:p/a": 1.0}, failures_per_year=12.0, hours_to_repair=10.0),),
        models=(model("m", [profile("m", "cuda", 1, load_seconds=300.0)]),),
        bought=[offer("p/a/m", 1, most_units=40.0)],
        holdings=(Holding(pool="r/b/m", machines=10),),
        claims=(Claim(pool="r/b/m", machines=10, reclaim_seconds=0.0, lent_to="x"),),
        **more,
    )
