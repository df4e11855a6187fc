"""All that is chosen, as one table: a row a decision, which the program, whole numbers, plan file and audit read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from planner.problem.algebra import Key, Linear, Sparse


@dataclass
class Decisions:
    """All that is chosen: variables of a program, or numbers of a plan. What is absent is zero."""

    started: Mapping[Key, Linear]
    """(b, t) units of offers that are not hourly, and modules of build-outs"""
    rented: Mapping[Key, Linear]
    """(b, h) units of hourly offers"""
    replicas: Mapping[Key, Linear]
    """(e, h)"""
    non_preemptible: Mapping[Key, Linear]
    """(e, h) replicas on machines that count in every failure, for pools of `with_spot`; elsewhere all are"""
    opened: Mapping[Key, Linear]
    """(q, h) 1 where a replica runs, for pools of `maybe_unused`"""
    traffic: Mapping[Key, Linear]
    """(w, o, e, s) requests/s"""
    shed: Mapping[Key, Linear]
    """(w, o, s) requests/s not served"""
    excess: Mapping[Key, Linear]
    """(w, o, s) requests/s short of the goal: zero in every plan, freed in tests"""
    offered: Mapping[Key, Linear]
    """(w, o, s) requests/s"""
    kept: Mapping[Key, Linear]
    """(e, s) replicas that ran before the failure and still run"""
    cold_started: Mapping[Key, Linear]
    """(e, s) replicas started since"""
    occupied: Mapping[Key, Linear]
    """(e, s) replicas that take up room"""
    passing: Mapping[Key, Linear]
    """(component, s) requests/s through a component with a limit"""
    taking: Mapping[Key, Linear]
    """(way, s) requests/s that take a way of a choice"""
    spared: Mapping[Key, Linear]
    """(e, s) 1 where a placement on which a partial loss falls keeps replicas"""
    outage: Mapping[Key, Linear]
    """(f,) USD that one occurrence of a priced failure costs beyond normal operation, any sign"""
    tail: Mapping[Key, Linear]
    """("of", g) the dearest outage of failures that are one; ("worst",) of all; ("threshold",), ("above", g):
    Rockafellar and Uryasev's variables [USD]"""
    shortfall: Mapping[Key, Linear]
    """(name, year) USD that a spend commitment is not used for, and that are paid"""
    machines: Mapping[Key, Linear]
    """(q, s) machines that are up and ours to use"""
    obtained: Mapping[Key, Linear]
    """(q, s) machines that are up and were obtained since the failure was detected, for pools of `may_obtain`"""
    drawn: Mapping[Key, Linear]
    """(limit, s) what machines that were obtained take of a limit"""
    reserve: Mapping[Key, Linear]
    """(w, o, e, h) requests/s that a gateway may send at most, to which its weights are proportional; rescaling only"""


def no_decisions() -> Decisions:
    """Nothing chosen: every decision zero."""
    return Decisions(*(Sparse() for _ in fields(Decisions)))
