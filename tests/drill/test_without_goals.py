"""A plan without survival goals may stand on spot: it promises nothing in a failure, nor does the drill ask for it."""

from datetime import date

import pytest
from one_pool import EXACT, small
from studies import offer

from planner.drill import drill_plan, drill_state_claims
from planner.emit.targets import gate
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.study.records.study import Horizon


@pytest.mark.parametrize("each", [None, (("site",), ())])
def test_a_plan_on_spot_holds(each):
    kinds = [offer("a/x/m", 1, "spot"), offer("a/x/m", 3)]
    plan = make_plan(small(Horizon(start=date(2027, 1, 1), months=1), bought=kinds), EXACT)
    assert [row.offer for row in plan.purchases] == ["a/x/m:spot"] and audit(plan).passed
    result = drill_plan(plan, which=each)
    assert result.findings == () and not result.broken and drill_state_claims(plan) == ()
    assert gate(plan).not_proven == ()
