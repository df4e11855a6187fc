"""The drill over time: power on every day, lead times and deadlines, by hand."""

from datetime import timedelta

import pytest
from buildouts import START, hall
from one_pool import EXACT, small
from studies import offer

from planner.drill import drill_plan
from planner.drill.time_slices import time_slices_of
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.study.records.plan import Built, PlanFile, Purchase
from planner.study.records.study import Holding, Horizon


def built(**more) -> PlanFile:
    """Cloud at 100 USD/h: one module of 20 kW, and a machine of 10 kW in it."""
    plan = make_plan(hall(cloud_usd_per_hour=100.0, **more), EXACT)
    assert plan.builds and audit(plan).passed and not drill_plan(plan).findings
    return plan


def test_a_module_does_not_run_before_its_longest_lead_time():
    # 12 months for the power: ordered on 1 January 2027 it is there on the first day of quarter 5
    plan = built()
    assert {row.when for row in plan.builds} == {"quarter-5"}
    early = plan.model_copy(
        update={"builds": tuple(row.model_copy(update={"when": "quarter-4"}) for row in plan.builds)}
    )
    (text,) = drill_plan(early).findings
    ready = START + timedelta(days=365)
    assert text.startswith(f"own/h:one in quarter-4: ordered on {START} it is there on {ready}, after ")
    lost = plan.model_copy(update={"builds": (Built(build_out="own/h:two", when="quarter-5", units=1),)})
    assert "builds: own/h:two: no such build-out" in drill_plan(lost).findings


def test_a_contract_does_not_run_before_its_lead_time():
    late = [offer("a/x/m", 1, "commitment", term_months=3.0, lead_days=100.0), offer("a/x/m", 2)]
    plan = make_plan(small(Horizon(start=START, quarters=2), 5.0, bought=late, today=START), EXACT)
    assert not drill_plan(plan).findings
    row = next(row for row in plan.purchases if row.offer.endswith(":on_demand") and row.when.startswith("quarter-1"))
    moved = Purchase(offer="a/x/m:commitment", when="quarter-1", units=row.units)
    early = plan.model_copy(update={"purchases": (moved, *(b for b in plan.purchases if b is not row))})
    assert any(text.startswith("a/x/m:commitment in quarter-1: ordered on") for text in drill_plan(early).findings)


def test_what_runs_on_a_day_draws_power():
    # a module of 20 kW holds 2 machines of 10 kW; a third that is held until the middle of quarter 6 draws in it,
    # though it counts for nothing there
    plan = built()
    slices = time_slices_of(plan.study)
    fifth, sixth = (next(m for m in slices if m.period == f"quarter-{n}") for n in (5, 6))
    held = Holding(pool="own/h/m", machines=2, from_day=fifth.first, until=sixth.first + timedelta(days=40))
    more = plan.model_copy(update={"study": plan.study.model_copy(update={"holdings": (held,)})})
    assert sixth.held(more.study) == {} and sixth.held_at_once(more.study) == {"own/h/m": 2}
    draws = [text for text in drill_plan(more).findings if "draw" in text]
    assert draws == [f"quarter-{n}/mean-hour: machines at own/h draw 30 kW, at most 20" for n in (5, 6)]


@pytest.mark.parametrize(
    ("days", "throughout", "on_a_day"),
    [
        (60.0, [False, False], [True, False]),
        (90.0, [True, False], [True, False]),  # January to March
        (150.0, [True, False], [True, True]),
    ],
)
def test_a_block_that_ends_inside_a_period_counts_for_none_of_it(days, throughout, on_a_day):
    block, price = offer("a/x/m", 1, "capacity_block", length_days=days)
    study = small(Horizon(start=START, quarters=2), 5.0, bought=[(block, price), offer("a/x/m", 9)])
    slices, row = time_slices_of(study), Purchase(offer=block.id, when="quarter-1", units=1)
    assert [m.has(block, row, slices) for m in slices] == throughout
    assert [m.has(block, row, slices, throughout=False) for m in slices] == on_a_day
