"""A tier that is served enough in all, and a flow of it that is not: by name, wherever the goal is said to break.

Chat wants 90 requests/s and runs at b, code wants 10 and runs at a. When a is lost and gateways only rescale, chat is
served whole and code not at all: 90 % of the tier, of which 80 % is due, and the goal is broken.
"""

import pytest
import studies
from drill_fixtures import at, goal, hold, plan, study, workload
from sections import table, titles

from planner.drill import drill_plan
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.questions.shortfalls import broken_goals
from planner.review.drill import review_drill
from planner.review.failures import failures_section
from planner.review.served import WorstFlow, served_section
from planner.study.records.inventory import Pool
from planner.study.records.study import Demand, Goal, Tier

DEMAND = (
    Demand(workload="chat", origin="town", requests_per_second=90.0),
    Demand(workload="code", origin="town", requests_per_second=10.0),
)


def two_flows(**parts):
    fields = {
        "workloads": (workload(), workload("code")),
        "demand": DEMAND,
        "tiers": (Tier(name="gold", survive=(goal(fraction=0.8),)),),
        "holdings": hold(a=10, b=10),
    }
    return study(**{**fields, **parts})


def planned(s):
    traffic = {("chat", "town", at("b")): 90.0, ("code", "town", at("a")): 10.0}
    return plan(s, {at("a"): 10, at("b"): 10}, traffic)


def test_the_worst_flow_is_named_where_the_tier_is_served_enough():
    result = drill_plan(planned(two_flows()), "rescale")
    row = next(r for r in result.rows if r.failure == "site:aws/a" and r.deadline_seconds == 60)
    assert (row.served_fraction, row.due_fraction, row.broken) == (pytest.approx(0.9), 0.8, True)
    assert (row.worst_workload, row.worst_origin, row.worst_served_fraction) == ("code", "town", 0.0)
    assert row.worst_due_fraction == 0.8
    section = review_drill(result, ()).sections[0]
    row = next(r for r in table(section) if r["lost"] == "site aws/a")
    assert (row["served"], row["worst flow"], row["verdict"]) == ("90 %", "code from town 0 %", "BROKEN")
    assert any("worst flow: workload and origin" in line for line in section.lines)


def test_a_broken_goal_names_it_too():
    s = two_flows(tiers=(Tier(name="gold", survive=(goal(fraction=0.8), goal(fraction=0.95))),))
    found = broken_goals(s, drill_plan(planned(s), "rescale"))
    assert [b.goal.serve_fraction for b in found] == [0.8, 0.95], (
        "90 % of the tier hide neither: code is served nothing"
    )
    assert {b.flow_served_fraction for b in found} == {0.0}


def test_no_flow_is_named_where_all_fare_alike():
    result = drill_plan(planned(two_flows()), "resolve")
    section = review_drill(result, ()).sections[0]
    assert not result.broken and "worst flow" not in titles(section)


@pytest.mark.parametrize(("mode", "said"), [("resolve", "chosen anew"), ("rescale", "no cold starts")])
def test_what_the_drill_and_the_review_assume_is_said(mode, said):
    lines = review_drill(drill_plan(planned(two_flows()), mode), ()).sections[0].lines
    assert any(line.startswith(f"{mode}:") and said in line for line in lines)
    assert any("the review shows the plan's own answer" in line and "due must hold in both" in line for line in lines)


def test_the_review_names_it_as_well():
    s = studies.study(
        sites=(studies.site("a/x"), studies.site("b/y", (50.0, 1.0))),
        machine_types=(studies.machine_type("m"),),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        bought=[studies.offer("a/x/m", 4), studies.offer("b/y/m", 4)],
        models=(studies.model("m", [studies.profile("m", "cuda", 5)]),),
        tiers=(Tier(name="t", survive=(Goal(any="site", serve_fraction=0.8, within_seconds=60.0),)),),
        workloads=(studies.workload("chat"), studies.workload("code")),
        demand={("chat", "o"): 9.0, ("code", "o"): 1.0},
    )
    made = make_plan(s)
    held = in_hand(made)
    x = held.decisions
    for key in list(x.traffic):
        w, _, _, state = key
        if state[1] == "site:a/x":  # code is served nothing then, and chat all that it wants
            x.traffic[key] = 0.0 if w == "code" else 9.0
    failures = failures_section(held)
    row = next(r for r in table(failures) if r["when lost"] == "site a/x")
    assert row["t"] == "90 % (0 %)"
    failure = next(r for r in failures.rows if r.failure == "site:a/x")
    assert failure.worst_flow["t"] == WorstFlow("code", "o", served_fraction=0.0, short_fraction=0.8)
    assert any("the plan's own answer" in line and "planner drill answers" in line for line in failures.lines)
    row = next(r for r in table(served_section(held)) if "any site" in r["goal"])
    assert (row["worst flow"], row["verdict"]) == ("code from o 0 %", "BROKEN")
