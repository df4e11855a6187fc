"""Failures replayed on a plan or on today's fleet, by arithmetic of its own.

This package shares no code with the optimiser on purpose: a wrong formula there would pass an audit by the same
formula. It starts from the study and from counts of replicas and machines, and asks of every failure whether the goals
hold.

Two ways to fail over: `resolve` asks whether any new weights and starts of replicas meet every goal, by one small
program per failure; `rescale` lets gateways renormalise their weights over what remains, and starts nothing.
"""

from planner.drill.claims import drill_state_claims
from planner.drill.moved import Move
from planner.drill.replay import Block, Which, broken_rows, drill_fleet, drill_plan
from planner.drill.replays import Replays
from planner.drill.result import DrillResult, DrillRow, Mode, OutageImpact
from planner.drill.without_purchases import broken_without

__all__ = [
    "Block",
    "DrillResult",
    "DrillRow",
    "Mode",
    "Move",
    "OutageImpact",
    "Replays",
    "Which",
    "broken_rows",
    "broken_without",
    "drill_fleet",
    "drill_plan",
    "drill_state_claims",
]
