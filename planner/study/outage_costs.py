"""What a request that is not served costs: as a tier states it, by the request or by the hour in which all is down."""

from collections import defaultdict

from planner.study.calendar import demand_by_hour, hours_of
from planner.study.records.study import Study
from planner.units import SECONDS_PER_HOUR


def outage_usd_per_request(study: Study) -> dict[str, float]:
    """Tier -> cost of a request that is not served [USD].

    Formula
        outage_usd_per_request, or  outage_usd_per_hour / (3600 · mean requests/s of the tier)
    The mean is of the base case over the horizon: an hour of mean demand without the tier costs outage_usd_per_hour,
    a part of it, or of the hour, its share. A tier without demand costs nothing.
    """
    mean = _mean_requests_per_second(study) if any(tier.outage_usd_per_hour for tier in study.tiers) else {}
    usd = {}
    for tier in study.tiers:
        usd[tier.name] = tier.outage_usd_per_request
        if tier.outage_usd_per_hour is not None:
            requests_per_hour = SECONDS_PER_HOUR * mean.get(tier.name, 0.0)
            usd[tier.name] = tier.outage_usd_per_hour / requests_per_hour if requests_per_hour else 0.0
    return usd


def _mean_requests_per_second(study: Study) -> dict[str, float]:
    """Tier -> requests/s of the base case, mean of the horizon."""
    (_, hours_in), hours = hours_of(study)
    all_hours = sum(hours_in[h] for h in hours)
    mean: dict[str, float] = defaultdict(float)
    for (w, _, h), requests_per_second in demand_by_hour(study, "base").items():
        mean[study.workload_by_name[w].tier] += requests_per_second * hours_in[h] / all_hours
    return mean
