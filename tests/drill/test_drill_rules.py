"""Rules of a plan that the drill can judge, and what it says of others."""

from drill_fixtures import at, plan, study

from planner.drill import drill_plan
from planner.drill.rules import RULES
from planner.problem.rules.register import RULES as REGISTERED


def test_the_drill_knows_every_rule_of_the_register() -> None:
    """A new rule gets a line in the table: where the drill judges it, or why there is nothing to judge."""
    names = {rule.__name__ for rule in REGISTERED}
    assert names - RULES.keys() == set(), "not in planner/drill/rules.py"
    assert RULES.keys() - names == set(), "in planner/drill/rules.py, but no rule"


def test_a_rule_that_is_not_known_is_not_judged() -> None:
    known = plan(study(), {at("a"): 1}, {})
    assert drill_plan(known).not_judged == ()
    asked = known.model_copy(update={"rules": ("demand_is_served", "at_most_so_many_models_in_a_pool")})
    assert drill_plan(asked).not_judged == ("at_most_so_many_models_in_a_pool",)
