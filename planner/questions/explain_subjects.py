"""What `planner explain` is asked about: names of pools, offers, workloads, origins, failures and hours of a plan."""

from collections.abc import Iterable
from dataclasses import dataclass

from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.problem.problem import fullest_hour
from planner.study.dependencies import NORMAL
from planner.study.places import listed, near_miss, quoted


@dataclass(frozen=True)
class Asked:
    """What is asked about, by ids that the plan knows.

    Parameters
    ----------
    pool : id; none: not asked about
    offer : of the pool, where an offer was named
    failure : id
    hour : the one that states are taken of: the fullest, unless one was named
    """

    pool: str | None
    offer: str | None
    workload: str | None
    origin: str | None
    failure: str | None
    hour: str


def asked_of(
    plan: Plan,
    pool: str | None = None,
    workload: str | None = None,
    origin: str | None = None,
    failure: str | None = None,
    hour: str | None = None,
) -> Asked:
    """Names as they are written, as ids of a plan.

    Raises
    ------
    InputError
        with all names that lead nowhere, and what may be meant
    """
    study, p, findings = plan.study, plan.problem, list[Finding]()
    offers = {b.id: b.pool for b in study.offers if b.pool in study.pool_by_id}
    if pool is not None and pool not in study.pool_by_id and pool not in offers:
        findings.append(
            _unknown("--pool", "a pool or an offer of the plan's study", pool, [*study.pool_by_id, *offers])
        )
    findings += _of_flow(plan, workload, origin)
    of_name = {f"failure:{named.name}": named.name for named in study.failures}
    by_name = {name: f for f, name in of_name.items() if f in p.failures}
    known = [f for f in p.failures if f != NORMAL]
    if failure is not None and failure not in known and failure not in by_name:
        findings.append(_unknown("--failure", "a failure of the plan's goals", failure, [*known, *by_name]))
    if hour is not None and hour not in p.hours:
        findings.append(_unknown("--hour", "an hour of the plan", hour, p.hours))
    if findings:
        raise InputError(findings)
    is_offer = pool is not None and pool not in study.pool_by_id
    return Asked(
        offers[pool] if is_offer and pool is not None else pool,
        pool if is_offer else None,
        workload,
        origin,
        by_name.get(failure, failure) if failure is not None and failure not in known else failure,
        hour or fullest_hour(p),
    )


def _of_flow(plan: Plan, workload: str | None, origin: str | None) -> list[Finding]:
    """What is wrong with a workload and an origin."""
    study, flows, findings = plan.study, plan.problem.flows, list[Finding]()
    if (workload is None) != (origin is None):
        given, other = ("--workload", "--origin") if origin is None else ("--origin", "--workload")
        findings.append(Finding(given, f"{other} with it", "none", f"add {other}"))
    known = workload is None or workload in study.workload_by_name
    if not known and workload is not None:
        findings.append(_unknown("--workload", "a workload of the plan's study", workload, study.workload_by_name))
    origins = [each.name for each in study.origins]
    if origin is not None and origin not in origins:
        findings.append(_unknown("--origin", "an origin of the plan's study", origin, origins))
    elif workload is not None and origin is not None and known and (workload, origin) not in flows:
        expected = f"an origin with demand of {quoted(workload)}"
        fix = f"one of: {listed(o for w, o in flows if w == workload)}"
        findings.append(Finding("--origin", expected, quoted(origin), fix))
    return findings


def _unknown(option: str, expected: str, got: str, known: Iterable[str]) -> Finding:
    every = list(known)
    return Finding(option, expected, f"{quoted(got)}{near_miss(got, every)}", f"one of: {listed(every)}")
