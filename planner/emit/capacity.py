"""The capacity that a placement has in a failure."""

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State
from planner.problem.rules.formulas import running as running_in
from planner.problem.rules.gateway_limits import whole_survivors
from planner.study.dependencies import NORMAL


def capacity_replica_seconds(p: Problem, replicas: float) -> float:
    """Work that replicas take in a failure [replica-seconds/s]: `utilisation in failure · replicas`."""
    return p.utilisation_in_failure * replicas


def surviving_replicas(p: Problem, x: Decisions, e: str, s: State) -> float:
    """Undivided replicas that run on when none is started and none is evicted [replicas]."""
    return float(x.replicas[e, s[0]]) if s[1] == NORMAL else float(whole_survivors(p, x, e, s))


def planned_replicas(p: Problem, x: Decisions, e: str, s: State) -> float:
    """Replicas that the plan runs in a state: kept and cold-started [replicas]."""
    return float(running_in(x, e, s))
