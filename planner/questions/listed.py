"""What there is, as rows: which model is served on what, where, how fast, at which price, and how that is known.

Speeds are those of one replica at its operating point, for a stated class of work; prices are list prices. A price of
tokens is a replica's part of the cheapest machine-hour in full use: an estimate of the least, no quote and no plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from planner.problem.eligibility import replica_seconds_per_request
from planner.study.dependencies import profile_id
from planner.study.places import matches
from planner.study.records.inventory import MachineType, Offer, Pool, Price, Site
from planner.study.records.outages import Outage
from planner.study.records.policies import Quota
from planner.study.records.serving import Model, OperatingPoint, Profile
from planner.study.records.study import Workload
from planner.units import SECONDS_PER_HOUR

TOKENS = 1e6


@dataclass(frozen=True)
class Catalogue:
    """What is listed of: what ships, or a study with what it needs of it.

    Parameters
    ----------
    work : the classes of work, each of a model, that speeds are stated for
    quotas : limits that the study states; what ships has none
    """

    models: Sequence[Model]
    machine_types: Mapping[str, MachineType]
    sites: Mapping[str, Site]
    pools: Sequence[Pool]
    offers: Sequence[Offer]
    prices: Mapping[str, Price]
    work: Sequence[Workload]
    quotas: Sequence[Quota] = ()


@dataclass(frozen=True)
class ModelListed:
    """A model with what may serve it."""

    model: str
    parameters: float
    active_parameters: float
    context_limit_tokens: int
    context_classes: tuple[str, ...]
    stacks: tuple[str, ...]
    providers: tuple[str, ...]
    profiles: int
    evidence: str
    source: str
    as_of: str


@dataclass(frozen=True)
class ProfileListed:
    """A profile at one context class: how fast, and what a million tokens cost where it is cheapest.

    Parameters
    ----------
    input_tokens, output_tokens : mean of a request of the class of work
    requests_per_second, tokens_per_second : of one replica, input and output together
    first_token_ms : the high end of an estimate, where one is given
    pools : where its machine type can be had
    usd_per_million_tokens : input and output, at `cheapest_offer`, in full use; None where nothing has a price
    """

    profile: str
    model: str
    machine_type: str
    provider: str
    accelerator: str
    stack: str
    precision: str
    context_class: str
    work: str
    input_tokens: float
    output_tokens: float
    concurrency: int
    requests_per_second: float
    tokens_per_second: float
    first_token_ms: float
    per_token_ms: float
    accelerators_per_replica: int
    load_seconds: float
    pools: int
    usd_per_million_tokens: float | None
    cheapest_offer: str | None
    cheapest_kind: str | None
    cheapest_usd_per_machine_hour: float | None
    price_evidence: str | None
    price_as_of: str | None
    evidence: str
    source: str
    as_of: str


@dataclass(frozen=True)
class PoolListed:
    """A pool: machines of one type at one site.

    Parameters
    ----------
    quota_machines : what the tightest quota of all that is held and bought allows there; None where the study has none
    models : that have a profile for the machine type
    """

    pool: str
    provider: str
    region: str
    city: str
    jurisdiction: str
    machine_type: str
    accelerators: int
    accelerator: str
    quota: tuple[str, ...]
    quota_machines: float | None
    offers: tuple[str, ...]
    least_usd_per_machine_hour: float | None
    models: tuple[str, ...]


@dataclass(frozen=True)
class OfferListed:
    """An offer with its price; None where no price can be stated."""

    offer: str
    provider: str
    machine_type: str
    accelerator: str
    kind: str
    term_months: float
    lead_days: float
    most_machines: float | None
    usd_per_machine_hour: float | None
    low_usd_per_machine_hour: float | None
    high_usd_per_machine_hour: float | None
    capital_usd_per_machine: float | None
    currency: str
    evidence: str | None
    source: str | None
    as_of: str | None
    instrument: str
    terms_evidence: str
    terms_as_of: str


@dataclass(frozen=True)
class StackListed:
    """A model on a stack: whether it is qualified, and the profiles that there are."""

    stack: str
    model: str
    qualified: bool
    until: date | None
    profiles: int
    machine_types: tuple[str, ...]
    providers: tuple[str, ...]
    evidence: str | None
    source: str | None
    as_of: str | None


@dataclass(frozen=True)
class OutageListed:
    """An outage that happened."""

    outage: str
    began: date
    hours: float | None
    title: str
    stopped: tuple[str, ...]
    providers: tuple[str, ...]
    lesson: str
    evidence_kind: str
    evidence: str
    source: str
    as_of: str


def models_listed(has: Catalogue) -> list[ModelListed]:
    """Every model."""
    rows = []
    for model in has.models:
        machines = [has.machine_types[profile.machine_type] for profile in model.profiles]
        facts = model.facts
        rows.append(
            ModelListed(
                model=model.model,
                parameters=facts.parameters,
                active_parameters=facts.active_parameters,
                context_limit_tokens=facts.context_limit_tokens,
                context_classes=_each(point.context_class for profile in model.profiles for point in profile.classes),
                stacks=_each(q.stack for q in model.qualifications),
                providers=tuple(sorted({machine.provider for machine in machines})),
                profiles=len(model.profiles),
                evidence=facts.evidence,
                source=facts.source,
                as_of=facts.as_of,
            )
        )
    return sorted(rows, key=lambda row: row.model)


def _each(names: Iterable[str]) -> tuple[str, ...]:
    """Names, each once, in the order in which they come."""
    return tuple(dict.fromkeys(names))


def profiles_listed(has: Catalogue, kinds: Sequence[str] = ()) -> list[ProfileListed]:
    """Every profile, for each class of work that it admits; the cheapest of the offers of some kinds, else of all."""
    cheapest = _cheapest_by_machine_type(has, kinds)
    pools_of: dict[str, int] = {}
    for pool in has.pools:
        pools_of[pool.machine_type] = pools_of.get(pool.machine_type, 0) + 1
    rows = []
    for model in has.models:
        for profile in model.profiles:
            machine, best = has.machine_types[profile.machine_type], cheapest.get(profile.machine_type)
            for point in profile.classes:
                for work in has.work:
                    if work.context_class == point.context_class and work.model == model.model:
                        pools = pools_of.get(machine.name, 0)
                        rows.append(_profile_listed(model, profile, point, work, machine, best, pools))
    return sorted(rows, key=lambda row: (row.model, row.work, _least_usd(row), row.profile))


def _least_usd(row: ProfileListed) -> float:
    return float("inf") if row.usd_per_million_tokens is None else row.usd_per_million_tokens


def _profile_listed(
    model: Model,
    profile: Profile,
    point: OperatingPoint,
    work: Workload,
    machine: MachineType,
    cheapest: tuple[Offer, Price] | None,
    pools: int,
) -> ProfileListed:
    seconds = replica_seconds_per_request(work, point)
    kind, price = (None, None) if cheapest is None else (cheapest[0].kind, cheapest[1])
    tokens = work.mean_input_tokens + work.mean_output_tokens
    first_ms = point.first_token_ms if point.first_token_ms_high is None else point.first_token_ms_high
    return ProfileListed(
        profile=profile_id(model.model, profile.name),
        model=model.model,
        machine_type=machine.name,
        provider=machine.provider,
        accelerator=machine.accelerator,
        stack=profile.stack,
        precision=profile.precision,
        context_class=point.context_class,
        work=work.name,
        input_tokens=work.mean_input_tokens,
        output_tokens=work.mean_output_tokens,
        concurrency=profile.concurrency_limit,
        requests_per_second=1.0 / seconds,
        tokens_per_second=tokens / seconds,
        first_token_ms=first_ms,
        per_token_ms=point.per_token_ms,
        accelerators_per_replica=profile.accelerators_per_replica,
        load_seconds=profile.load_seconds,
        pools=pools,
        usd_per_million_tokens=None if price is None else usd_per_million_tokens(price, machine, profile, work, point),
        cheapest_offer=None if price is None else price.offer_id,
        cheapest_kind=kind,
        cheapest_usd_per_machine_hour=None if price is None else price.price_usd_per_machine_hour,
        price_evidence=None if price is None else price.evidence,
        price_as_of=None if price is None else price.as_of,
        evidence=point.evidence,
        source=point.source,
        as_of=point.as_of,
    )


def usd_per_million_tokens(
    price: Price, machine: MachineType, profile: Profile, work: Workload, point: OperatingPoint
) -> float:
    """What a million tokens cost on a replica in full use, input and output counted alike.

    Formula
        price · accelerators of a replica / accelerators of a machine · seconds of a request / 3600 · 10^6 / its tokens
    Units
        USD per million tokens
    """
    usd_per_replica_hour = price.price_usd_per_machine_hour * profile.accelerators_per_replica / machine.accelerators
    usd_per_request = usd_per_replica_hour * replica_seconds_per_request(work, point) / SECONDS_PER_HOUR
    return usd_per_request * TOKENS / (work.mean_input_tokens + work.mean_output_tokens)


def _cheapest_by_machine_type(has: Catalogue, kinds: Sequence[str]) -> dict[str, tuple[Offer, Price]]:
    """Machine type -> the lowest price of a machine-hour; without machines that are bought, whose price is upkeep."""
    cheapest: dict[str, tuple[Offer, Price]] = {}
    for offer in sorted(has.offers, key=lambda offer: offer.id):
        price = has.prices.get(offer.id)
        if price is None or price.capital_usd_per_machine is not None or (kinds and offer.kind not in kinds):
            continue
        best = cheapest.get(offer.machine_type)
        if best is None or price.price_usd_per_machine_hour < best[1].price_usd_per_machine_hour:
            cheapest[offer.machine_type] = offer, price
    return cheapest


def pools_listed(has: Catalogue) -> list[PoolListed]:
    """Every pool."""
    offers_of: dict[str, list[Offer]] = {}
    for offer in has.offers:
        offers_of.setdefault(offer.pool, []).append(offer)
    models_of: dict[str, list[str]] = {}
    for model in has.models:
        for name in sorted({profile.machine_type for profile in model.profiles}):
            models_of.setdefault(name, []).append(model.model)
    rows = []
    for pool in has.pools:
        site, machine, offers = has.sites[pool.site], has.machine_types[pool.machine_type], offers_of.get(pool.id, [])
        priced = [has.prices[offer.id] for offer in offers if offer.id in has.prices]
        hourly = [price.price_usd_per_machine_hour for price in priced if price.capital_usd_per_machine is None]
        quotas = [quota for quota in has.quotas if matches(pool.id, quota.pools)]
        rows.append(
            PoolListed(
                pool=pool.id,
                provider=site.provider,
                region=site.region_id,
                city=site.city,
                jurisdiction=site.jurisdiction,
                machine_type=machine.name,
                accelerators=machine.accelerators,
                accelerator=machine.accelerator,
                quota=tuple(f"{quota.most:g} {quota.unit}" for quota in quotas),
                quota_machines=min((_machines(quota, machine) for quota in quotas if not quota.counts), default=None),
                offers=tuple(offer.offer for offer in offers),
                least_usd_per_machine_hour=min(hourly, default=None),
                models=tuple(sorted(models_of.get(machine.name, []))),
            )
        )
    return sorted(rows, key=lambda row: row.pool)


def _machines(quota: Quota, machine: MachineType) -> float:
    """Machines of a type that a quota allows: whole ones."""
    each = 1.0 if quota.unit == "machines" else machine.quota_units.get(quota.unit, 1.0)
    return float(quota.most // each)


def offers_listed(has: Catalogue) -> list[OfferListed]:
    """Every offer with its price."""
    rows = []
    for offer in has.offers:
        price, machine = has.prices.get(offer.id), has.machine_types[offer.machine_type]
        rows.append(
            OfferListed(
                offer=offer.id,
                provider=has.sites[offer.site].provider,
                machine_type=offer.machine_type,
                accelerator=machine.accelerator,
                kind=offer.kind,
                term_months=offer.term_months,
                lead_days=offer.lead_days,
                most_machines=None if offer.most_units is None else offer.most_units * offer.machines_per_unit,
                usd_per_machine_hour=None if price is None else price.price_usd_per_machine_hour,
                low_usd_per_machine_hour=None if price is None else price.low_usd_per_machine_hour,
                high_usd_per_machine_hour=None if price is None else price.high_usd_per_machine_hour,
                capital_usd_per_machine=None if price is None else price.capital_usd_per_machine,
                currency="USD",
                evidence=None if price is None else price.evidence,
                source=None if price is None else price.source,
                as_of=None if price is None else price.as_of,
                instrument=offer.instrument,
                terms_evidence=offer.evidence,
                terms_as_of=offer.as_of,
            )
        )
    return sorted(rows, key=lambda row: row.offer)


def stacks_listed(has: Catalogue) -> list[StackListed]:
    """Every stack with each model that is qualified on it, or has a profile for it without being qualified."""
    rows = []
    for model in has.models:
        qualified = {q.stack: q for q in model.qualifications}
        for stack in sorted(qualified.keys() | {profile.stack for profile in model.profiles}):
            q = qualified.get(stack)
            machines = sorted({profile.machine_type for profile in model.profiles if profile.stack == stack})
            rows.append(
                StackListed(
                    stack=stack,
                    model=model.model,
                    qualified=q is not None,
                    until=None if q is None else q.until,
                    profiles=sum(profile.stack == stack for profile in model.profiles),
                    machine_types=tuple(machines),
                    providers=tuple(sorted({has.machine_types[name].provider for name in machines})),
                    evidence=None if q is None else q.evidence,
                    source=None if q is None else q.source,
                    as_of=None if q is None else q.as_of,
                )
            )
    return sorted(rows, key=lambda row: (row.stack, row.model))


def outages_listed(outages: Iterable[Outage]) -> list[OutageListed]:
    """Every outage of a catalogue, the oldest first."""
    rows = []
    for outage in sorted(outages, key=lambda outage: outage.begin):
        providers = sorted({part.provider for part in outage.parts if part.provider is not None})
        rows.append(
            OutageListed(
                outage=outage.id,
                began=outage.begin.date(),
                hours=outage.hours,
                title=outage.title,
                stopped=_each(effect.replace("_", " ") for part in outage.parts for effect in part.effects),
                providers=tuple(providers),
                lesson=outage.lesson,
                evidence_kind=outage.evidence_kind,
                evidence=outage.evidence,
                source=outage.source,
                as_of=outage.as_of,
            )
        )
    return rows
