"""Random studies with prices of outages."""

from studies import random_study

from planner.study.records.study import Component, RequestCost, Study


def priced(seed: int, objective: str, size: str = "small") -> Study:
    """A random study whose named failures and sites have rates, and whose requests cost."""
    s = random_study(seed, size)
    tiers = tuple(t.model_copy(update={"outage_usd_per_request": 1e-4}) for t in s.tiers)
    rated = tuple(
        Component(name=x.id, kind="site", failures_per_year=float(1 + i), hours_to_repair=0.2 * (1 + i % 3))
        for i, x in enumerate(s.sites)
        if any(q.site == x.id for q in s.pools)
    )
    failures = tuple(f.model_copy(update={"failures_per_year": 2.0, "hours_to_repair": 1.0}) for f in s.failures)
    usd = tuple(
        RequestCost(origin=o.name, site=x.id, usd_per_request=1e-6 * (1 + i + j))
        for i, o in enumerate(s.origins)
        for j, x in enumerate(s.sites)
    )
    update = {"tiers": tiers, "components": rated, "failures": failures, "request_costs": usd, "objective": objective}
    return s.model_copy(update={**update, "cvar_level": 0.7})
