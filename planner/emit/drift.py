"""Drift: what runs against what the plan says, and the survival goals that the difference breaks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from planner.emit.actual import Actual
from planner.emit.actual_nodes import POOL_LABEL, in_words
from planner.emit.fleet import Fleet, fleet_of
from planner.emit.monthly import NO_PRICE, spot_usd_per_month, usd_per_month
from planner.emit.planned_when import differs_on, most_of, outside_horizon
from planner.emit.quotas import QuotaUse, quota_uses
from planner.emit.replay import drill_actual, missing, useful
from planner.emit.reservation_use import ReservationUse, reservation_uses
from planner.plan.in_hand import Plan
from planner.questions.shortfalls import BrokenGoal, broken_goals
from planner.study.records.plan import PlanFile

STALE_MONTHS = 12


@dataclass(frozen=True)
class Difference:
    """One thing that is not as planned.

    Parameters
    ----------
    kind : missing machines, spares, replicas or reservation; machines, spot machines or replicas beyond the plan; nodes
        of another type, elsewhere, out of service or unlabelled; groups or reservations of another type; idle
        reservation; quota too small; unknown; expired qualification. Noted only: somebody else's, counted by our label
        alone, named more than once, quota of nothing planned, stale figure
    usd_per_month : paid and not used
    """

    kind: str
    subject: str
    planned: int | None
    actual: int | None
    usd_per_month: float = 0.0
    detail: str = ""
    note: bool = False


@dataclass(frozen=True)
class Drift:
    """All differences, and the goals that break on what runs.

    Parameters
    ----------
    compared : machines, reservations, replicas, quotas: those that some file counts; `not_compared`: the others
    planned_is : what planned counts are the most of; blank: one period with one hour
    outside_horizon : how the day lies outside the plan's horizon; blank: it does not
    """

    differences: tuple[Difference, ...]
    goals: tuple[BrokenGoal, ...]
    on: date
    compared: tuple[str, ...] = field(default=())
    not_compared: tuple[str, ...] = field(default=())
    reservations: tuple[ReservationUse, ...] = field(default=())
    quotas: tuple[QuotaUse, ...] = field(default=())
    planned_is: str = ""
    outside_horizon: str = ""

    @property
    def any(self) -> bool:
        """Whether something has to be done; what is only noted does not count."""
        return bool(self.goals) or any(not d.note for d in self.differences)


def drift(plan: PlanFile | Plan, actual: Actual, on: date, progress: Callable[[int, int], None] | None = None) -> Drift:
    """Compare what runs with a plan, and replay every failure on what is less than planned.

    Parameters
    ----------
    on : day on which qualifications and figures are judged; what is planned is the most of any period and hour
    progress : called with (failures replayed, failures in all)
    """
    fleet = fleet_of(plan)
    reservations = reservation_uses(fleet, actual)
    quotas, unplanned = quota_uses(actual.quotas or (), fleet, actual.machines, actual.on_spot)
    differences: list[Difference] = [Difference("unknown", what, None, None) for what in actual.strange]
    differences += unlabelled(fleet, actual.unlabelled)
    differences += _uncounted(fleet, actual)
    differences += _machines(fleet, actual, on)
    differences += _reservations(reservations)
    differences += _replicas(fleet, actual)
    differences += [_quota(use) for use in quotas if use.short]
    expired = list(_expired(fleet, on))
    differences += [*expired, *noted(actual, unplanned), *_stale(fleet, on)]
    less = bool(expired) or any(d.kind.startswith("missing") for d in differences)
    replayed = drill_actual(fleet, actual, {d.subject for d in expired}, progress) if less else None
    return Drift(
        differences=tuple(differences),
        goals=broken_goals(fleet.plan.study, replayed) if replayed else (),
        on=on,
        compared=tuple(what for what, counted in actual.compared.items() if counted),
        not_compared=tuple(what for what, counted in actual.compared.items() if not counted),
        reservations=reservations,
        quotas=tuple(quotas),
        planned_is=most_of(fleet.plan.study),
        outside_horizon=outside_horizon(fleet.plan.study, on),
    )


# ------------------------------------------------------------------ machines
def unlabelled(fleet: Fleet, nodes: Mapping[str, int]) -> Iterable[Difference]:
    """Nodes of a machine type that the study has, which nothing counts to a pool."""
    for where, count in sorted(nodes.items()):
        if where in fleet.pool_name:
            detail = f"not counted: label them {POOL_LABEL}={fleet.pool_name[where]} if they are the plan's"
            yield Difference("unlabelled nodes", where, fleet.machines(where), count, detail=detail)
        else:
            yield Difference("unlabelled nodes", where, 0, count, detail="not counted: the plan has none there")


def _uncounted(fleet: Fleet, actual: Actual) -> Iterable[Difference]:
    """Nodes, groups and reservations that have our label or key and are not what it says, or not in service."""
    reasons: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for thing in actual.uncounted:
        if thing.kind != "pods":
            reasons.setdefault((thing.kind, thing.subject), []).append((thing.why, thing.count))
    for (kind, pool), why in sorted(reasons.items()):
        count = sum(n for _, n in why)
        yield Difference(kind, pool, fleet.machines(pool), count, detail=f"not counted: {in_words(why)}")


def _machines(fleet: Fleet, actual: Actual, on: date) -> Iterable[Difference]:
    if actual.machines is None:
        return
    then = differs_on(fleet, on)
    for q, pool in fleet.pools.items():
        planned, planned_on_spot = fleet.machines(q), fleet.machines(q, ("spot",))
        steady, spot = useful(fleet, q, actual.machines, actual.on_spot)
        runs, beyond_on_spot = steady + spot, actual.on_spot.get(q, 0) - planned_on_spot
        if short := sum(missing(fleet, q, actual)):
            spare = int(min(pool.spare_machines, planned))
            kind = "missing spares" if short <= spare else "missing machines"
            details = [then[q]] if q in then else []
            details += [f"{beyond_on_spot} more run on spot, which counts in no failure"] if beyond_on_spot > 0 else []
            yield Difference(kind, q, planned, runs, detail="; ".join(details))
        if beyond_on_spot > 0:
            usd = beyond_on_spot * spot_usd_per_month(fleet, q)
            detail = "" if usd else NO_PRICE
            yield Difference("spot machines beyond the plan", q, planned_on_spot, actual.on_spot[q], usd, detail)
        if runs > planned:
            yield _beyond(fleet, q, planned, runs)
    for q in sorted(set(actual.machines) - set(fleet.pools)):
        if actual.machines[q]:
            yield _beyond(fleet, q, 0, actual.machines[q])


def _beyond(fleet: Fleet, pool: str, planned: int, runs: int) -> Difference:
    usd = (runs - planned) * usd_per_month(fleet, pool, beyond=True)
    return Difference("machines beyond the plan", pool, planned, runs, usd, "" if usd else NO_PRICE)


def _reservations(uses: Iterable[ReservationUse]) -> Iterable[Difference]:
    """Reservations that nothing runs in, and those that the plan has and that do not exist."""
    for use in uses:
        if use.reserved < use.wanted:
            yield Difference("missing reservation", use.pool, use.wanted, use.reserved)
        if use.idle:
            details = [] if use.inside is None else [f"{use.inside} machines run in it"]
            details += [] if use.idle_usd_per_month else [NO_PRICE]
            detail = "; ".join(details)
            yield Difference("idle reservation", use.pool, use.wanted, use.reserved, use.idle_usd_per_month, detail)


def _quota(use: QuotaUse) -> Difference:
    others = f", of which others take {use.others:g}" if use.others else ""
    detail = f"{use.in_failures:g} {use.unit} needed, {use.limit:g} granted{others}"
    return Difference("quota too small", use.subject, None, None, detail=detail)


# ------------------------------------------------------------------ replicas and figures
def planned_replicas(fleet: Fleet) -> dict[str, int]:
    """Replicas of the plan by placement, on spot or not; 0 where only failures start it."""
    planned: dict[str, int] = {}
    for r in fleet.running:
        planned[r.placement] = planned.get(r.placement, 0) + r.replicas
    return planned


def pods_in_words(actual: Actual, placement: str) -> str:
    """Pods of a placement that do not count, and why; blank: none."""
    reasons = [(pod.why, pod.count) for pod in actual.uncounted if (pod.kind, pod.subject) == ("pods", placement)]
    return f"pods: {in_words(reasons)}" if reasons else ""


def _replicas(fleet: Fleet, actual: Actual) -> Iterable[Difference]:
    if actual.replicas is None:
        return
    planned = planned_replicas(fleet)
    for e in sorted({*planned, *actual.replicas}):
        run, wanted = actual.replicas.get(e, 0), planned.get(e, 0)
        if run != wanted:
            kind = "missing replicas" if run < wanted else "replicas beyond the plan"
            yield Difference(kind, e, wanted, run, detail=pods_in_words(actual, e))


def _expired(fleet: Fleet, on: date) -> Iterable[Difference]:
    """Stacks that serve a model in the plan and whose qualification ended before the day."""
    used = {(r.model.model, r.profile.stack) for r in fleet.running}
    for model in fleet.plan.study.models:
        for q in model.qualifications:
            if (model.model, q.stack) in used and q.until is not None and q.until < on:
                subject = f"{model.model} on {q.stack}"
                yield Difference("expired qualification", subject, None, None, 0.0, f"until {q.until.isoformat()}")


def noted(actual: Actual, unplanned: Iterable[str]) -> Iterable[Difference]:
    """What the reader should know, and nobody has to mend."""
    for what, count in actual.foreign.items():
        yield Difference("somebody else's", what, None, count, note=True)
    for (what, pool), count in sorted(actual.unsaid.items()):
        detail = f"{what} not said by the list: counted as the label says"
        yield Difference("counted by our label alone", pool, None, count, detail=detail, note=True)
    for what, count in sorted(actual.repeated.items()):
        yield Difference("named more than once", what, None, count, detail="counted once", note=True)
    for what in unplanned:
        yield Difference("quota of nothing planned", what, None, None, note=True)


def _stale(fleet: Fleet, on: date) -> Iterable[Difference]:
    """Prices of what the plan buys and speeds of what it runs, older than twelve months; a year counts from January."""
    bought = {lot.offer.id for lot in fleet.lots if lot.offer}
    sources = [(f"price of {p.offer_id}", p.as_of) for p in fleet.plan.study.prices if p.offer_id in bought]
    for r in {(r.model.model, r.profile.name): r for r in fleet.running}.values():
        for point in r.profile.classes:
            sources.append((f"speed of {r.model.model}/{r.profile.name}, {point.context_class}", point.as_of))
    for what, as_of in sources:
        year, _, rest = as_of.partition("-")
        months = (on.year - int(year)) * 12 + on.month - int(rest[:2] or 1)
        if months > STALE_MONTHS:
            yield Difference("stale figure", what, None, None, 0.0, f"as of {as_of}", note=True)
