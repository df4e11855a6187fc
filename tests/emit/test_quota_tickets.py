"""An increase of a quota that a plan counts on is a ticket: by when, from what to what, its chance, what needs it."""

import json

from emitting import every_instrument, planned

from planner.emit.fleet import fleet_of
from planner.emit.quota_tickets import quota_tickets
from planner.emit.tickets import ticket_files
from planner.plan.file import sealed
from planner.plan.in_hand import in_hand
from planner.study.records.study import Policies, Quota, QuotaIncrease

POOL = "azure/eastus2/Standard_ND96isr_H100_v5"


def with_quota():
    """Six machines bought of a pool, and a quota of three that may be ten from the first day on."""
    increase = QuotaIncrease(most=10.0, lead_days=20.0, chance_fraction=0.7)
    quota = Quota(name="h100", pools=(POOL,), unit="machines", counts=("on_demand",), most=3.0, increases=(increase,))
    study = every_instrument(policies=Policies(quotas=(quota,)))
    return sealed(planned().model_copy(update={"study": study}))


def test_an_increase_that_the_plan_counts_on_is_a_ticket():
    fleet = fleet_of(in_hand(with_quota()))
    made = ticket_files(fleet, {"not_proven": "x"}, owned=False)
    (said,) = json.loads(made["tickets/tickets.json"])["quotas"]
    assert (said["from"], said["to"], said["used"], said["chance_fraction"]) == (3.0, 10.0, 6.0, 0.7)
    assert said["needed_by"] == [{"offer": f"{POOL}:on_demand", "pool": POOL, "machines": 6, "takes": 6.0}]
    page = made[f"tickets/{said['ticket']}.md"]
    assert "| from | 3 |" in page and f"| ask by | {said['by']}" in page and "70%" in page and "NOT-PROVEN.md" in page
    assert "quotas" not in json.loads(ticket_files(fleet, {}, owned=True)["tickets/tickets.json"])
    assert quota_tickets(in_hand(planned())) == []
