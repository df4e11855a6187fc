"""A policy from its file, every name in it resolved against the plan that it is to judge; all findings at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from planner.errors import InputError
from planner.plan.in_hand import Plan
from planner.review.gate_figures import names_of
from planner.study.outages import read_outages
from planner.study.parts import BUILT_IN
from planner.study.places import Place, Reading, listed, near_id, quoted, read_record
from planner.study.read import catalogue_of_outages
from planner.study.records.gate import GatePolicy
from planner.study.records.inventory import Offer
from planner.study.records.outages import Outage
from planner.study.records.study import Component, NamedFailure, Tier
from planner.study.tables import read_yaml


@dataclass(frozen=True)
class Policy:
    """A policy, with the place of each of its rules, and the outages that it names.

    Parameters
    ----------
    outages : id -> outage of the catalogue
    """

    file: GatePolicy
    place: Place
    outages: dict[str, Outage]


def read_policy(path: Path, plan: Plan | None, has_base: bool) -> Policy:
    """A policy for a plan.

    Parameters
    ----------
    plan : whose tiers, kinds, failures, offers and sites the policy may name; none: such names are not checked
    has_base : whether the gate has a base plan, which rules of `change` need

    Raises
    ------
    InputError
        with every finding: the file is none, or names what the plan does not know
    """
    reading = Reading()
    document = read_yaml(path, reading)
    file = read_record(GatePolicy, *document, reading) if document is not None else None
    if document is None or file is None:
        raise InputError(reading.findings)
    place = document[1]
    outages = read_outages([catalogue_of_outages()]) if file.outages else {}
    if plan is not None:
        _check_names(file, place, plan, reading)
    _check_outages(file, place, outages, reading)
    if file.change and not has_base:
        fix = "add --base PLAN, as the plan of the main branch, or leave `change` out"
        reading.error(place.at("change"), "--base with rules of `change`", "none", fix)
    reading.raise_errors()
    return Policy(file, place, outages)


def _check_names(file: GatePolicy, place: Place, plan: Plan, reading: Reading) -> None:
    """Tiers, kinds, failures, offers, and those whose shares are limited."""
    study = plan.study
    tiers = [tier.name for tier in study.tiers]

    def refer_tiers(names: Iterable[str], *loc: int | str) -> None:
        for n, name in enumerate(names):
            reading.refer(place.at(*loc, n), Tier, "a tier of the plan's study", name, tiers)

    for n, share in enumerate(file.concentration):
        known = names_of(plan, share.per)
        for i, name in enumerate(share.names):
            if not any(fnmatchcase(one, name) for one in known):
                got = quoted(name) + near_id(name, known)
                fix = f"write one of: {listed(known)}; * matches anything"
                reading.error(place.at("concentration", n, "names", i), f"a {share.per} of the plan", got, fix)
    for n, evidence in enumerate(file.evidence):
        refer_tiers(evidence.tiers, "evidence", n, "tiers")
    for n, outage in enumerate(file.outages):
        refer_tiers(outage.tiers, "outages", n, "tiers")
    for n, price in enumerate(file.prices):
        for i, name in enumerate(price.offers):
            at, ids = place.at("prices", n, "offers", i), [offer.id for offer in study.offers]
            reading.refer_pattern(at, Offer, "an offer of the plan's study", name, ids, "pool:offer")
    for n, goal in enumerate(file.survive):
        reading.refer(place.at("survive", n, "tier"), Tier, "a tier of the plan's study", goal.tier, tiers)
        if goal.failure is not None:
            failures = [failure.name for failure in study.failures]
            at = place.at("survive", n, "failure")
            reading.refer(at, NamedFailure, "a failure of the plan's study", goal.failure, failures)
        elif goal.any is not None:
            kinds = {*BUILT_IN, *(component.kind for component in study.components)}
            at = place.at("survive", n, "any")
            reading.refer(at, Component, "a kind of component of the plan's study", goal.any, kinds)


def _check_outages(file: GatePolicy, place: Place, outages: dict[str, Outage], reading: Reading) -> None:
    """Every outage that a rule names is in the catalogue."""
    for n, rule in enumerate(file.outages):
        for i, name in enumerate(rule.outages):
            if not any(fnmatchcase(id, name) for id in outages):
                got = quoted(name) + near_id(name, outages)
                fix = f"write one of: {listed(outages, 40)}"
                reading.error(place.at("outages", n, "outages", i), "an outage of the catalogue", got, fix)
