"""Three sites at three prices."""

from studies import machine_type, model, offer, profile, site, study, workload

from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, NamedFailure, Tier


def three_sites(**parts):
    goals = (Goal(failure="flood", within_seconds=120.0), Goal(any="site", within_seconds=60.0))
    fields = {
        "sites": (site("a/x"), site("b/y", (50.0, 1.0)), site("c/z", (50.0, 2.0))),
        "machine_types": (machine_type("m"),),
        "pools": (
            Pool(site="a/x", machine_type="m"),
            Pool(site="b/y", machine_type="m"),
            Pool(site="c/z", machine_type="m"),
        ),
        "bought": [offer("a/x/m", 2), offer("b/y/m", 3), offer("c/z/m", 4)],
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t", outage_usd_per_request=0.01, survive=goals),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10.0},
        "failures": (NamedFailure(name="flood", lost={"site:a/x": 1.0, "site:b/y": 1.0}),),
    }
    return study(**{**fields, **parts})
