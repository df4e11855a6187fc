"""What an hour without a tier costs, as cost of a request."""

import pytest
from one_pool import START, small
from pydantic import ValidationError

from planner.drill.instance import outage_usd_of
from planner.problem.build import build
from planner.study.outage_costs import outage_usd_per_request
from planner.study.records.study import Demand, Horizon, Hour, Tier


def test_an_hour_without_a_tier_costs_what_it_says():
    """10 requests/s by day (3/4 of the time), 2 by night: 8 in the mean, 28,800 an hour; 144 USD/h are 0.005 each."""
    hours = (Hour(name="day", weight_fraction=0.75), Hour(name="night", weight_fraction=0.25))
    rows = [Demand(workload="w", origin="o", requests_per_second=n, hour=h) for h, n in (("day", 10.0), ("night", 2.0))]
    asked = small(Horizon(start=START, months=1, hours=hours), rows, tiers=(Tier(name="t", outage_usd_per_hour=144.0),))
    assert outage_usd_per_request(asked) == pytest.approx({"t": 0.005}, rel=1e-12)
    assert outage_usd_of(asked) == pytest.approx({"t": 0.005}, rel=1e-12)
    assert build(asked).outage_usd_per_request == pytest.approx({"w": 0.005}, rel=1e-12)
    nobody = asked.model_copy(update={"demand": ()})
    assert outage_usd_per_request(nobody) == outage_usd_of(nobody) == {"t": 0.0}
    with pytest.raises(ValidationError, match="not both"):
        Tier(name="t", outage_usd_per_hour=144.0, outage_usd_per_request=0.01)
