"""The failures of a plan, replayed on what runs of it."""

from collections.abc import Callable, Mapping

from planner.drill import DrillResult
from planner.emit.actual import Actual
from planner.emit.fleet import Fleet, placed
from planner.questions.shortfalls import drilled
from planner.study.calendar import hour_id, spans
from planner.study.records.inventory import Offer
from planner.study.records.plan import Purchase, Replicas
from planner.study.records.serving import Model
from planner.study.records.study import Holding

NEVER_SECONDS = 1e12


def useful(fleet: Fleet, pool: str, machines: Mapping[str, int], on_spot: Mapping[str, int]) -> tuple[int, int]:
    """Machines of a pool that are as planned: steady ones, and of those on spot as many as the plan has there."""
    spot = min(on_spot.get(pool, 0), machines.get(pool, 0))
    return machines.get(pool, 0) - spot, min(spot, fleet.machines(pool, ("spot",)))


def missing(fleet: Fleet, pool: str, actual: Actual) -> tuple[int, int]:
    """Machines that a pool is short of: steady ones, and others. Steady ones stand in for spot, never the reverse."""
    if actual.machines is None:
        return 0, 0
    steady, spot = useful(fleet, pool, actual.machines, actual.on_spot)
    planned = fleet.machines(pool)
    short_steady = max(0, planned - fleet.machines(pool, ("spot",)) - steady)
    return short_steady, max(0, planned - steady - spot - short_steady)


def drill_actual(
    fleet: Fleet, actual: Actual, expired: set[str], progress: Callable[[int, int], None] | None = None
) -> DrillResult:
    """Replay the failures with the plan's routes and goals on the machines and replicas that run.

    A pool with fewer machines than planned keeps those that count in failures: of what is not known to be steady spot
    is missing first, then what was bought, then what is held. Spot in place of others serves until a failure comes.

    Parameters
    ----------
    expired : `model on stack` whose qualification has ended: it serves nothing
    progress : called with (failures done, failures in all)
    """
    plan = fleet.plan.file
    short = {q: missing(fleet, q, actual) for q in fleet.pools}
    steady, spot = ({q: both[i] for q, both in short.items()} for i in (0, 1))
    purchases, steady = _without(fleet, steady, spot)
    holdings: list[Holding] = []
    for held in plan.study.holdings:
        gone = min(held.machines, steady.get(held.pool, 0))
        steady[held.pool] = steady.get(held.pool, 0) - gone
        holdings.append(held.model_copy(update={"machines": held.machines - gone}))
    stack_of = {e: f"{model.model} on {profile.stack}" for e, (model, profile, _) in placed(plan.study).items()}
    replicas: list[Replicas] = []
    for row in plan.replicas:
        count = row.replicas if actual.replicas is None else min(row.replicas, actual.replicas.get(row.placement, 0))
        if stack_of[row.placement] in expired:
            count = 0
        non_preemptible = None if row.non_preemptible is None else min(row.non_preemptible, count)
        free, on_offers = count - (non_preemptible or 0), dict[str, int]()
        for offer, stand in row.on_offers.items():
            on_offers[offer] = min(stand, free)
            free -= on_offers[offer]
        changed_row = {"replicas": count, "non_preemptible": non_preemptible, "on_offers": on_offers}
        replicas.append(row.model_copy(update=changed_row))
    models = tuple(_without_expired(model, expired) for model in plan.study.models)
    offers, spot_purchases = _spot_instead(fleet, actual)
    parts = {"holdings": tuple(holdings), "models": models, "offers": (*plan.study.offers, *offers)}
    study = plan.study.model_copy(update=parts)
    changed = {"study": study, "purchases": (*purchases, *spot_purchases), "replicas": tuple(replicas)}
    return drilled(plan.model_copy(update=changed), progress)


def _without(
    fleet: Fleet, steady: Mapping[str, int], spot: Mapping[str, int]
) -> tuple[tuple[Purchase, ...], dict[str, int]]:
    """The plan's purchases without what is missing, and what of the steady machines that leaves still missing.

    Of what is rented by the hour no hour has more than runs; of contracts the first ones are missing.
    """
    short = {False: dict(steady), True: dict(spot)}
    purchases = list(fleet.plan.file.purchases)
    for lot in sorted(fleet.lots, key=lambda lot: (lot.kind != "spot", lot.id)):
        if lot.offer is None:
            continue
        of_kind, per_unit = short[lot.kind == "spot"], lot.offer.machines_per_unit
        gone = min(lot.units, -(-of_kind.get(lot.pool, 0) // per_unit))
        of_kind[lot.pool] = max(0, of_kind.get(lot.pool, 0) - gone * per_unit)
        remaining_units = lot.units - gone
        for i, row in enumerate(purchases):
            if row.offer != lot.offer.id:
                continue
            if lot.kind in ("spot", "on_demand"):
                units = min(row.units, remaining_units)
            else:
                units = row.units - min(row.units, gone)
                gone -= row.units - units
            purchases[i] = row.model_copy(update={"units": units})
    return tuple(purchases), short[False]


def _spot_instead(fleet: Fleet, actual: Actual) -> tuple[list[Offer], list[Purchase]]:
    """Spot beyond the plan, as many as steady machines are missing: an offer of its own, rented in every hour."""
    study = fleet.plan.study
    names = {offer.offer for offer in study.offers}
    name = next(name for name in (f"spot today{'.' * n}" for n in range(len(names) + 1)) if name not in names)
    hours = [hour_id(span.name, hour.name) for span in spans(study) for hour in study.horizon.each_hour]
    offers, purchases = [], []
    for q, pool in fleet.pools.items():
        beyond = actual.on_spot.get(q, 0) - fleet.machines(q, ("spot",))
        machines = min(beyond, missing(fleet, q, actual)[0])
        if machines > 0:
            offer = Offer(
                site=pool.site,
                machine_type=pool.machine_type,
                offer=name,
                kind="spot",
                instrument="spot",
                evidence="measured",
                source="what runs today",
                as_of=f"{study.today:%Y-%m-%d}",
            )
            offers.append(offer)
            purchases += [Purchase(offer=offer.id, when=hour, units=machines) for hour in hours]
    return offers, purchases


def _without_expired(model: Model, expired: set[str]) -> Model:
    """The model, expired stacks of which never finish loading: they stay what could serve, and serve nothing."""
    profiles = tuple(
        p.model_copy(update={"load_seconds": NEVER_SECONDS}) if f"{model.model} on {p.stack}" in expired else p
        for p in model.profiles
    )
    return model.model_copy(update={"profiles": profiles})
