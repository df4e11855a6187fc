"""Drift: what runs against what the plan says, and the survival goals that the difference breaks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from planner.drill import DrillResult
from planner.emit.actual import POOL_LABEL, Actual
from planner.emit.fleet import HELD, Fleet, fleet_of, placed
from planner.plan.in_hand import Plan
from planner.questions.shortfalls import BrokenGoal, broken_goals, drilled
from planner.study.records.plan import PlanFile, Purchase, Replicas
from planner.study.records.serving import Model
from planner.study.records.study import Holding

STALE_MONTHS = 12
NEVER_SECONDS = 1e12
NO_PRICE = "no price in the plan"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as planned.

    Parameters
    ----------
    kind : missing machines, spares, replicas or reservation, machines beyond the plan, replicas beyond the plan, idle
        reservation, unknown, unlabelled nodes, expired qualification; noted only: stale figure
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
    """All differences, and the goals that break on what runs."""

    differences: tuple[Difference, ...]
    goals: tuple[BrokenGoal, ...]
    on: date
    compared: tuple[str, ...] = field(default=())

    @property
    def any(self) -> bool:
        """Whether something has to be done; stale figures alone are only noted."""
        return bool(self.goals) or any(not d.note for d in self.differences)


def drift(plan: PlanFile | Plan, actual: Actual, on: date) -> Drift:
    """Compare what runs with a plan, and replay every failure on what is less than planned.

    Parameters
    ----------
    on : day on which qualifications and figures are judged
    """
    fleet = fleet_of(plan)
    differences: list[Difference] = [Difference("unknown", what, None, None) for what in actual.strange]
    differences += _unlabelled(fleet, actual.unlabelled)
    compared = []
    if actual.machines is not None:
        compared.append("machines")
        differences += _machines(fleet, actual.machines)
    if actual.reserved is not None:
        compared.append("reservations")
        differences += _reservations(fleet, actual.reserved, actual.machines)
    if actual.replicas is not None:
        compared.append("replicas")
        differences += _replicas(fleet, actual.replicas)
    differences += [*_expired(fleet, on), *_stale(fleet, on)]
    less = any(d.kind.startswith("missing") or d.kind == "expired qualification" for d in differences)
    goals = broken_goals(fleet.plan.study, drill_actual(fleet, actual, on)) if less else ()
    return Drift(tuple(differences), goals, on, tuple(compared))


def drill_actual(fleet: Fleet, actual: Actual, on: date) -> DrillResult:
    """Replay the failures with the plan's routes and goals on the machines and replicas that run.

    A pool with fewer machines than planned keeps those that count in failures: what is missing is taken from spot,
    then from what was bought, then from what is held. A stack whose qualification has expired serves nothing.
    """
    plan = fleet.plan.file
    expired = {d.subject for d in _expired(fleet, on)}
    less: dict[str, int] = {}
    if actual.machines is not None:
        less = {q: max(0, fleet.machines(q) - actual.machines.get(q, 0)) for q in fleet.pools}
    offers = {offer.id: offer for offer in plan.study.offers}
    purchases: list[Purchase] = []
    for bought in sorted(plan.purchases, key=lambda b: (offers[b.offer].kind != "spot", b.offer)):
        offer = offers[bought.offer]
        gone = min(bought.units, -(-less.get(offer.pool, 0) // offer.machines_per_unit))
        less[offer.pool] = max(0, less.get(offer.pool, 0) - gone * offer.machines_per_unit)
        purchases.append(bought.model_copy(update={"units": bought.units - gone}))
    holdings: list[Holding] = []
    for held in plan.study.holdings:
        gone = min(held.machines, less.get(held.pool, 0))
        less[held.pool] = less.get(held.pool, 0) - gone
        holdings.append(held.model_copy(update={"machines": held.machines - gone}))
    stack_of = {e: f"{model.model} on {profile.stack}" for e, (model, profile, _) in placed(plan.study).items()}
    replicas: list[Replicas] = []
    for row in plan.replicas:
        count = row.replicas if actual.replicas is None else min(row.replicas, actual.replicas.get(row.placement, 0))
        if stack_of[row.placement] in expired:
            count = 0
        non_preemptible = None if row.non_preemptible is None else min(row.non_preemptible, count)
        replicas.append(row.model_copy(update={"replicas": count, "non_preemptible": non_preemptible}))
    models = tuple(_without_expired(model, expired) for model in plan.study.models)
    study = plan.study.model_copy(update={"holdings": tuple(holdings), "models": models})
    changed = {"study": study, "purchases": tuple(purchases), "replicas": tuple(replicas)}
    return drilled(plan.model_copy(update=changed))


def _without_expired(model: Model, expired: set[str]) -> Model:
    """The model, expired stacks of which never finish loading: they stay what could serve, and serve nothing."""
    profiles = tuple(
        p.model_copy(update={"load_seconds": NEVER_SECONDS}) if f"{model.model} on {p.stack}" in expired else p
        for p in model.profiles
    )
    return model.model_copy(update={"profiles": profiles})


def _unlabelled(fleet: Fleet, nodes: Mapping[str, int]) -> Iterable[Difference]:
    """Nodes of a machine type that the study has, which nothing counts to a pool."""
    for where, count in sorted(nodes.items()):
        if where in fleet.pool_name:
            detail = f"not counted: label them {POOL_LABEL}={fleet.pool_name[where]} if they are the plan's"
            yield Difference("unlabelled nodes", where, fleet.machines(where), count, detail=detail)
        else:
            yield Difference("unlabelled nodes", where, 0, count, detail="not counted: the plan has none there")


def _machines(fleet: Fleet, actual: Mapping[str, int]) -> Iterable[Difference]:
    for q, pool in fleet.pools.items():
        planned, runs = fleet.machines(q), actual.get(q, 0)
        if runs < planned:
            spare = int(min(pool.spare_machines, planned))
            kind = "missing spares" if runs >= planned - spare else "missing machines"
            yield Difference(kind, q, planned, runs)
        if runs > planned:
            yield _beyond(fleet, q, planned, runs)
    for q in sorted(set(actual) - set(fleet.pools)):
        if actual[q]:
            yield _beyond(fleet, q, 0, actual[q])


def _beyond(fleet: Fleet, pool: str, planned: int, runs: int) -> Difference:
    usd = (runs - planned) * _usd_per_month(fleet, pool, beyond=True)
    return Difference("machines beyond the plan", pool, planned, runs, usd, "" if usd else NO_PRICE)


def _reservations(
    fleet: Fleet, reserved: Mapping[str, int], machines: Mapping[str, int] | None
) -> Iterable[Difference]:
    """Reservations that nothing runs in, and those that the plan has and that do not exist."""
    must: dict[str, int] = {}
    blocks: dict[str, int] = {}
    for lot in fleet.lots:
        for instrument, planned in (("immediate", must), ("capacity_block", blocks)):
            if lot.rule.instrument == instrument:
                planned[lot.pool] = planned.get(lot.pool, 0) + lot.machines
    for q in sorted({*must, *reserved}):
        exist, least = reserved.get(q, 0), must.get(q, 0)
        wanted = least + min(blocks.get(q, 0), max(exist - least, 0))
        if exist < wanted:
            yield Difference("missing reservation", q, wanted, exist)
        extra = idle = max(exist - wanted, 0)
        details = []
        if machines is not None:
            outside = fleet.machines(q, (HELD, "spot"))  # what is held or spot runs in no reservation
            inside = max(0, machines.get(q, 0) - outside)
            idle = max(exist - inside, extra)
            details.append(f"{inside} machines run in it")
        if idle:  # beyond what the plan committed to: at the rate on demand
            usd = (idle - extra) * _usd_per_month(fleet, q) + extra * _usd_per_month(fleet, q, beyond=True)
            details += [] if usd else [NO_PRICE]
            yield Difference("idle reservation", q, wanted, exist, usd, "; ".join(details))


def _replicas(fleet: Fleet, actual: Mapping[str, int]) -> Iterable[Difference]:
    planned: dict[str, int] = {}
    for r in fleet.running:
        planned[r.placement] = planned.get(r.placement, 0) + r.replicas
    for e in sorted({*planned, *actual}):
        run, wanted = actual.get(e, 0), planned.get(e, 0)
        if run != wanted:
            kind = "missing replicas" if run < wanted else "replicas beyond the plan"
            yield Difference(kind, e, wanted, run)


def _expired(fleet: Fleet, on: date) -> Iterable[Difference]:
    """Stacks that serve a model in the plan and whose qualification ended before the day."""
    used = {(r.model.model, r.profile.stack) for r in fleet.running}
    for model in fleet.plan.study.models:
        for q in model.qualifications:
            if (model.model, q.stack) in used and q.until is not None and q.until < on:
                subject = f"{model.model} on {q.stack}"
                yield Difference("expired qualification", subject, None, None, 0.0, f"until {q.until.isoformat()}")


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


def _usd_per_month(fleet: Fleet, pool: str, beyond: bool = False) -> float:
    """What one machine of a pool costs a month: at the highest price of what the plan buys there, else on demand.

    `beyond` what the plan bought no commitment covers: on demand, where that is offered. Nothing is known of machines
    that are held alone.
    """
    study = fleet.plan.study
    price = {p.offer_id: p.price_usd_per_machine_hour for p in study.prices}
    bought = [price[lot.offer.id] for lot in fleet.lots if lot.pool == pool and lot.offer and lot.offer.id in price]
    listed = [price[b.id] for b in study.offers if b.pool == pool and b.kind == "on_demand" and b.id in price]
    return max((listed or bought if beyond else bought or listed) or [0.0]) * study.hours_per_month
