"""A pool over time: one replica a machine, worked by hand."""

from datetime import date

from studies import machine_type, model, offer, profile, site, study, workload

from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Demand, Horizon, Hour, Study, Tier

EXACT = Effort(gap_fraction=0.0)


DAY = (Hour(name="day", weight_fraction=0.75), Hour(name="night", weight_fraction=0.25))


START = date(2027, 1, 1)


def small(horizon: Horizon, demand: list[Demand] | float = 10.0, bought=None, **more) -> Study:
    """One pool of one replica a machine at 5 requests/s; a month has 100 hours."""
    rows = [Demand(workload="w", origin="o", requests_per_second=demand)] if isinstance(demand, float) else demand
    fields = {
        "today": date(2026, 1, 1),
        "horizon": horizon,
        "hours_per_month": 100.0,
        "sites": (site("a/x"),),
        "machine_types": (machine_type("m", quota_units={"vcpu": 10.0}),),
        "pools": (Pool(site="a/x", machine_type="m"),),
        "bought": [offer("a/x/m", 2)] if bought is None else bought,
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 1},
    }
    return study(**{**fields, **more}).model_copy(update={"demand": tuple(rows)})


def planned(asked: Study) -> PlanFile:
    """The cheapest plan; it passes its audit."""
    plan = make_plan(asked, EXACT)
    assert [str(v) for v in audit(plan).violations] == []
    return plan


def bought(plan: PlanFile) -> dict[tuple[str, str], int]:
    """(offer, when) -> units."""
    return {(row.offer.rpartition(":")[2], row.when): row.units for row in plan.purchases}
