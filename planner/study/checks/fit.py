"""What must fit: replicas in memory, classes in profiles, claims in holdings, holdings in quotas."""

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import pairwise

from planner.study.calendar import ALMOST, Span, calendar, through, touches
from planner.study.checks.references import Parts, component_places
from planner.study.dependencies import placement_id, profile_id
from planner.study.places import Place, Reading, Row, listed, near_miss, quoted, unique, unquoted
from planner.study.records.inventory import MachineType, Offer, Pool, Price
from planner.study.records.serving import MEMORY_FRACTION, ContextClass, Model, ModelFacts, Profile
from planner.study.records.study import Claim, Holding, RunningReplicas, Study, Workload
from planner.units import BYTES_PER_GIB

RENTED = ("on_demand", "spot", "capacity_block")
"""Kinds that nobody lists among the holdings."""


def check_fit(parts: Parts, reading: Reading) -> None:
    """Report what is more than there is room for."""
    _check_models(parts, reading)
    _check_named_placements(parts, reading)
    _check_packing(parts, reading)
    _check_holdings(parts, reading)
    _check_quotas(parts, reading)
    _check_power(parts, reading)


def memory_needed_gib(facts: ModelFacts, profile: Profile, live_tokens: float) -> float:
    """Device memory of one replica at its concurrency limit [GiB].

    `weights_gib + concurrency_limit * bytes_per_layer_token * layer_tokens / 2**30`, where

    - `bytes_per_layer_token = 2 * kv_heads * head_dimension * kv_bytes_per_value * max(1, ranks / kv_heads)`: key and
      value; heads are replicated where there are more ranks than heads. With a latent instead (MLA):
      `kv_latent_dimension * kv_bytes_per_value * ranks`, as every rank holds all of it.
    - `layer_tokens = full * live_tokens + (layers - full) * min(live_tokens, windowed_attention_tokens)`.

    Parameters
    ----------
    facts : of the model
    profile : whose memory is asked
    live_tokens : tokens of a request in the cache, mean over its time: input + output / 2

    Source
    ------
    The architecture itself; replication of heads as in vLLM and NxD Inference.

    Examples
    --------
    80 layers, 8 KV heads of 128, 2 bytes: 320 KiB a token; 64 requests of 1024 tokens: 20 GiB. On 16 ranks: 40 GiB.

    >>> facts = ModelFacts(parameters=70e9, active_parameters=70e9, layers=80, query_heads=64, kv_heads=8,
    ...     head_dimension=128, context_limit_tokens=131072, evidence="published", source="config.json", as_of="2024")
    >>> profile = Profile.model_construct(weights_gib=130.0, concurrency_limit=64, kv_bytes_per_value=2.0,
    ...     accelerators_per_replica=8, tensor_parallel_ranks=None)
    >>> memory_needed_gib(facts, profile, 1024)
    150.0
    >>> memory_needed_gib(facts, profile.model_copy(update={"tensor_parallel_ranks": 16}), 1024)
    170.0
    """
    ranks = profile.tensor_parallel_ranks or profile.accelerators_per_replica
    if facts.kv_latent_dimension is not None:
        values = float(facts.kv_latent_dimension * ranks)
    else:
        values = 2 * facts.kv_heads * facts.head_dimension * max(1.0, ranks / facts.kv_heads)
    full = facts.full_attention_layers if facts.full_attention_layers is not None else facts.layers
    layer_tokens = full * live_tokens + (facts.layers - full) * min(live_tokens, facts.windowed_attention_tokens)
    cache_bytes = profile.concurrency_limit * values * profile.kv_bytes_per_value * layer_tokens
    return profile.weights_gib + cache_bytes / BYTES_PER_GIB


def memory_room_gib(profile: Profile, machine: MachineType) -> float:
    """Device memory of one replica that weights and cache may fill [GiB]."""
    return MEMORY_FRACTION * profile.accelerators_per_replica * machine.memory_gib_per_accelerator


def holds_in_memory(facts: ModelFacts, profile: Profile, machine: MachineType, workload: Workload) -> bool:
    """Whether a replica holds as many requests of a workload, of mean length, as its concurrency limit says."""
    return memory_needed_gib(facts, profile, _live_tokens(workload)) <= memory_room_gib(profile, machine)


def memory_told(facts: ModelFacts, profile: Profile, machine: MachineType, workload: Workload) -> tuple[str, str]:
    """What a profile would have to hold and what it needs, for a finding: expected and got."""
    needed, room = memory_needed_gib(facts, profile, _live_tokens(workload)), memory_room_gib(profile, machine)
    requests = f"{profile.concurrency_limit} requests of {quoted(workload.name)}"
    return (
        f"a profile that holds {requests} in {room:.1f} GiB of a replica",
        f"{quoted(profile.name)}, which needs {needed:.1f} GiB for them",
    )


def _check_packing(parts: Parts, reading: Reading) -> None:
    """Replicas of different sizes share machines by fractions, which always packs when each size divides the next."""
    sizes: dict[str, dict[int, str]] = {}
    for name, (model, _) in sorted(parts.models.items()):
        for profile in model.profiles if name in parts.used_models else ():
            sizes.setdefault(profile.machine_type, {}).setdefault(
                profile.accelerators_per_replica, f"{name}/{profile.name}"
            )
    used = {pool.machine_type for pool in parts.considered_pools.values()}
    for machine_type in sorted(set(sizes) & used & set(parts.machine_types)):
        here = sorted(sizes[machine_type].items())
        for (small, a), (large, b) in pairwise(here):
            if large % small:
                machine = unquoted(machine_type)
                reading.warning(
                    parts.machine_types[machine_type][1].at("accelerators"),
                    f"sizes of replicas that divide each other, so that they fill {machine} whole",
                    f"{small} accelerators ({unquoted(a)}) beside {large} ({unquoted(b)})",
                    "they are planned by fractions of a machine: keep some machines spare, or align the sizes",
                )


def _check_models(parts: Parts, reading: Reading) -> None:
    """Profiles fit their machine, their model and the classes they admit."""
    for name, (model, place) in sorted(parts.models.items()):
        unique([(p, place.within("profiles", i)) for i, p in enumerate(model.profiles)], lambda p: p.name, reading)
        full = model.facts.full_attention_layers
        if full is not None and full > model.facts.layers:
            where, most = place.at("facts", "full_attention_layers"), model.facts.layers
            reading.error(where, f"at most {most}, the layers there are", str(full), "correct one of the two")
        for i, profile in enumerate(model.profiles):
            _check_profile(model, profile, place.within("profiles", i), parts, reading)
        last = parts.file.horizon.last_day
        for i, qualification in enumerate(model.qualifications):
            if name in parts.used_models and qualification.until and qualification.until < last:
                expected = f"a qualification that holds until {last}, the last day of the horizon"
                fix = "qualify the model for longer and correct the date; as it is nothing runs on that stack"
                got = f"one of {quoted(name)} on {quoted(qualification.stack)} until {qualification.until}"
                reading.warning(place.at("qualifications", i, "until"), expected, got, fix)


def _check_profile(model: Model, profile: Profile, place: Place, parts: Parts, reading: Reading) -> None:
    """One profile of a model."""
    points = [(point, place.within("classes", i)) for i, point in enumerate(profile.classes)]
    classes = parts.context_classes
    for point, at in unique(points, lambda point: point.context_class, reading):
        name, limit = point.context_class, profile.context_limit_tokens
        if not reading.refer(at.at("context_class"), ContextClass, "a context class", name, classes):
            continue
        if (most := classes[name][0].most_tokens) > limit:
            expected = f"a class of at most {limit} tokens, the profile's context_limit_tokens"
            fix = "raise context_limit_tokens, or leave the class out"
            reading.error(at.at("context_class"), expected, f"{quoted(name)} with up to {most}", fix)
    if profile.context_limit_tokens > model.facts.context_limit_tokens:
        expected = f"at most {model.facts.context_limit_tokens} tokens, the model's context_limit_tokens"
        fix = "lower it to what the model was made for"
        reading.error(place.at("context_limit_tokens"), expected, str(profile.context_limit_tokens), fix)
    if profile.machine_type not in parts.machine_types:
        hint = near_miss(profile.machine_type, parts.machine_types, 0.9)
        if hint and not reading.any_broken(MachineType):
            fix = "correct it if it is a slip; as it is, the profile is not used"
            where, got = place.at("machine_type"), quoted(profile.machine_type) + hint
            reading.warning(where, "a machine type of the inventory", got, fix)
        return
    machine = parts.machine_types[profile.machine_type][0]
    chips = profile.accelerators_per_replica
    if chips > machine.accelerators:
        expected = f"at most {machine.accelerators}, the accelerators of one {unquoted(machine.name)}"
        fix = "a replica cannot span machines: use a larger machine type, or fewer accelerators"
        return reading.error(place.at("accelerators_per_replica"), expected, str(chips), fix)
    if profile.machine_type not in {pool.machine_type for pool in parts.considered_pools.values()}:
        return None
    if f"{model.model}/{profile.name}" in parts.shipped_profiles:
        return None  # an edge is missing, with the reason; who names the profile is told
    held, too_long = _by_memory(model, profile, machine, parts)
    if too_long:
        worst = max(too_long, key=_live_tokens)
        needed = memory_needed_gib(model.facts, profile, _live_tokens(worst))
        room = memory_room_gib(profile, machine)
        report = reading.warning if held else reading.error
        cache = needed - profile.weights_gib
        memory = machine.memory_gib_per_accelerator
        expected = f"at most {room:.1f} GiB, {MEMORY_FRACTION:g} of {chips} x {memory:g} GiB"
        got = f"{needed:.1f} GiB: weights {profile.weights_gib:.1f}, cache {cache:.1f} for {quoted(worst.name)}"
        limit = int((room - profile.weights_gib) / cache * profile.concurrency_limit) if cache > 0 else 0
        rest = f"; as it is, it serves only {listed(w.name for w in held)}" if held else ""
        report(place.at("concurrency_limit"), expected, got, f"{_less_memory(profile, limit)}{rest}")
    return None


def _by_memory(
    model: Model, profile: Profile, machine: MachineType, parts: Parts
) -> tuple[list[Workload], list[Workload]]:
    """The workloads that a profile admits: those whose requests its memory holds, and those whose it does not."""
    admitted = {point.context_class for point in profile.classes}
    served = [
        workload
        for workload, _ in parts.workloads
        if workload.model == model.model
        and workload.context_class in admitted
        and (not workload.precisions or profile.precision in workload.precisions)
        and set(workload.features) <= set(profile.features)
    ]
    held = [workload for workload in served if holds_in_memory(model.facts, profile, machine, workload)]
    return held, [workload for workload in served if workload not in held]


def _check_named_placements(parts: Parts, reading: Reading) -> None:
    """A placement that failures or dependencies name holds the requests of some workload."""
    placements: dict[str, tuple[Model, Profile]] = {}
    for model, _ in parts.used_models.values():
        for profile in model.profiles:
            for pool in parts.considered_pools.values():
                if pool.machine_type == profile.machine_type and pool.machine_type in parts.machine_types:
                    placements[f"placement:{placement_id(profile_id(model.model, profile.name), pool.id)}"] = (
                        model,
                        profile,
                    )
    for id, where in component_places(parts):
        if id not in placements:
            continue
        model, profile = placements[id]
        machine = parts.machine_types[profile.machine_type][0]
        held, too_long = _by_memory(model, profile, machine, parts)
        if too_long and not held:
            expected, got = memory_told(model.facts, profile, machine, max(too_long, key=_live_tokens))
            fix = "name a placement of another profile; as it is, nothing runs on this one"
            reading.error(where, expected, got, fix)


def _less_memory(profile: Profile, limit: int) -> str:
    """How to make a profile fit in memory, where so many requests in flight do: fewer of them make fewer tokens."""
    if limit < 1:
        return "use more accelerators per replica, and the rates measured on them"
    share = limit / profile.concurrency_limit
    rates = [f"{share * p.decode_tokens_per_second:.4g} ({unquoted(p.context_class)})" for p in profile.classes]
    return (
        f"lower concurrency_limit to {limit}, and decode_tokens_per_second with it, measured there or in proportion: "
        f"{', '.join(rates)}; or use more accelerators per replica"
    )


def _live_tokens(workload: Workload) -> float:
    """Tokens of a request in the cache, mean over its time."""
    return workload.mean_input_tokens + workload.mean_output_tokens / 2


def _check_holdings(parts: Parts, reading: Reading) -> None:
    """Holdings and claims are in pools of the study; no more is lent than is held."""
    last, considered = parts.file.horizon.last_day, parts.considered_pools
    rows: list[Row[Holding] | Row[Claim]] = [*parts.holdings, *parts.claims]
    for row, place in rows:
        fix = "it is in the inventory: add it to `pools:` of the study" if row.pool in parts.pools else None
        reading.refer(place.at("pool"), Pool, "a pool of the study", row.pool, considered, fix)
    periods = calendar(parts.file.horizon)
    for holding, place in parts.holdings:
        counted = any(through(holding.from_day, holding.until, period) for period in periods)
        if holding.until is not None and not counted and len(periods) == 1:
            expected = f"a holding that lasts until {last}, the last day of the horizon"
            fix = "nothing; the plan has one period, so that these machines are not counted"
            reading.warning(place.at("until"), expected, f"one until {holding.until}", fix)
        elif not counted:
            fix = "nothing; what is there for part of a period is counted for none of it"
            got = f"from {holding.from_day or periods[0].first_day} until {holding.until or last}"
            reading.warning(place.at(), "a holding that is there through a whole period", got, fix)
    for period in periods:
        held = _held(parts, period)
        lent: dict[str, int] = {}
        for claim, place in parts.claims:
            if not touches(claim.from_day, claim.until, period):
                continue
            lent[claim.pool] = lent.get(claim.pool, 0) + claim.machines
            most = held.get(claim.pool, 0)
            sure = claim.pool in considered and held.keys() <= considered.keys() and not reading.any_broken(Holding)
            if sure and lent[claim.pool] > most:
                when = "to the end" if len(periods) == 1 else f"through {unquoted(period.name)}"
                expected = f"at most {most} machines lent, as many as {unquoted(claim.pool)} holds {when}"
                fix = "add the holding, or lower the claim"
                reading.error(place.at("machines"), expected, str(lent[claim.pool]), fix)


def _held(parts: Parts, period: Span | None = None) -> dict[str, int]:
    """Machines held in each pool through a period; none named: the most that are held through any."""
    if period is None:
        found: dict[str, int] = {}
        for each in calendar(parts.file.horizon):
            found |= {id: max(n, found.get(id, 0)) for id, n in _held(parts, each).items()}
        return found
    held: dict[str, int] = {}
    for holding, _ in parts.holdings:
        if through(holding.from_day, holding.until, period):
            held[holding.pool] = held.get(holding.pool, 0) + holding.machines
    return held


def stock_machines(pool: str, holdings: Iterable[Holding], offers: Iterable[Offer]) -> float:
    """Machines of a pool that are held at any time, and that its offers have; infinite where one has no limit."""
    held = sum(holding.machines for holding in holdings if holding.pool == pool)
    here = [offer for offer in offers if offer.pool == pool]
    return held + sum(
        float("inf") if offer.most_units is None else offer.most_units * offer.machines_per_unit for offer in here
    )


def check_fleet_fits(rows: list[Row[RunningReplicas]], study: Study, reading: Reading) -> None:
    """The replicas that run have machines: those that are held, and what the pool's offers have."""
    chips = {machine.name: machine.accelerators for machine in study.machine_types}
    machine = {pool.id: pool.machine_type for pool in study.pools}
    profiles = {f"{model.model}/{profile.name}": profile for model in study.models for profile in model.profiles}
    replicas: dict[str, dict[str, float]] = {}
    first: dict[str, Place] = {}
    for row, place in rows:
        replicas.setdefault(row.pool, {})[row.profile] = row.replicas
        first.setdefault(row.pool, place)
    for pool, by_profile in replicas.items():
        taken = sum(n * profiles[name].accelerators_per_replica for name, n in by_profile.items())
        needed = taken / chips[machine[pool]]
        rented = [offer for offer in study.offers if offer.kind in RENTED]
        most = stock_machines(pool, study.holdings, study.offers)
        today = stock_machines(pool, study.holdings, rented)
        got = f"{sum(by_profile.values()):g}, which take {math.ceil(needed - ALMOST):,} machines"
        name = unquoted(pool)
        if needed > most + ALMOST:
            expected = f"replicas for at most {most:,g} machines, all that is held and offered in {name}"
            fix = "correct the replicas (those of the whole pool, in each row), or add the holding to the study"
            reading.error(first[pool].at("replicas"), expected, got, fix)
        elif needed > today + ALMOST:
            expected = f"replicas for at most {today:,g} machines, all that is held and rented in {name}"
            fix = "add what is committed already to the holdings of the study, or correct the replicas"
            reading.warning(first[pool].at("replicas"), expected, got, fix)


def _check_power(parts: Parts, reading: Reading) -> None:
    """What is held at a site fits its power."""
    drawn: dict[str, float] = {}
    for id, machines in _held(parts).items():
        pool = parts.considered_pools.get(id)
        if pool is not None and pool.machine_type in parts.machine_types:
            kw = parts.machine_types[pool.machine_type][0].power_kw or 0.0
            drawn[pool.site] = drawn.get(pool.site, 0.0) + machines * kw
    for id, kw in drawn.items():
        site, place = parts.sites.get(id, (None, None))
        if site is not None and place is not None and site.power_kw is not None and kw > site.power_kw * (1 + 1e-9):
            got = f"{site.power_kw:g} kW, while the machines held at {unquoted(id)} draw {kw:g} kW"
            reading.error(place.at("power_kw"), "at least what is held there draws", got, "correct one of the two")


def _check_quotas(parts: Parts, reading: Reading) -> None:
    """Quotas limit some pool, in a unit that its machine type states, and leave room for what is held."""
    for i, quota in enumerate(parts.file.policies.quotas):
        place = parts.place.within("policies", "quotas", i)
        for j, pattern in enumerate(quota.pools):
            if not any(fnmatchcase(id, pattern) for id in parts.pools) and not reading.any_broken(Pool):
                got = f"{quoted(pattern)}, which matches none{near_miss(pattern, parts.pools)}"
                fix = f"ids are provider/site/machine-type, * matches anything: {listed(parts.pools, 4)}"
                reading.error(place.at("pools", j), "a pool, or a pattern that matches pools", got, fix)
        limited = {
            id: parts.machine_types[pool.machine_type][0]
            for id, pool in parts.considered_pools.items()
            if pool.machine_type in parts.machine_types and any(fnmatchcase(id, pattern) for pattern in quota.pools)
        }
        factor = {id: {"machines": 1.0, **m.quota_units}.get(quota.unit, 0.0) for id, m in limited.items()}
        without = sorted({limited[id].name for id in limited if factor[id] == 0})
        if without:
            units = {"machines", *(unit for machine in limited.values() for unit in machine.quota_units)}
            got = f"{quoted(quota.unit)}, which {listed(without)} state no number of{near_miss(quota.unit, units)}"
            fix = f"write one of: {listed(units)}; or state quota_units of these machine types: they count 0"
            report = reading.error if len(without) == len({m.name for m in limited.values()}) else reading.warning
            report(place.at("unit"), "machines, or a unit of the machine types' quota_units", got, fix)
        holds = [t for t in calendar(parts.file.horizon) if touches(quota.from_day, quota.until, t)]
        each = [sum(_held(parts, t).get(id, 0) * factor[id] for id in limited) for t in holds]
        used = max(each, default=0.0)
        if used > quota.most:
            expected = f"at least {used:g} {unquoted(quota.unit)}, what is held in these pools"
            fix = "raise the quota to what was granted, or correct the holdings"
            reading.error(place.at("most"), expected, f"{quota.most:g}", fix)
        offers, holdings = [offer for offer, _ in parts.offers.values()], [holding for holding, _ in parts.holdings]
        stock = sum(stock_machines(id, holdings, offers) * factor[id] for id in limited if factor[id])
        if limited and not without and quota.most > stock and not reading.any_broken(Offer, Price, Holding):
            unit = unquoted(quota.unit)
            expected = f"at most {stock:g} {unit}, all that is held and offered in these pools"
            fix = f"correct the number or its unit: it counts in {unit}; as it is, it limits nothing"
            reading.warning(place.at("most"), expected, f"{quota.most:g}", fix)
