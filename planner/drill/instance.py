"""The study as arrays: flows, placements, pools, edges, and what a request takes of a replica."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.drill.latency import latency_ms
from planner.drill.lengths import states_lengths, tokens_in_flight, variation_of_seconds
from planner.drill.queues import Queues
from planner.drill.time_slices import time_slices_of
from planner.study.records.inventory import Site
from planner.study.records.serving import MEMORY_FRACTION, ContextClass, Model, ModelFacts, Profile
from planner.study.records.study import Study, Tier, Workload
from planner.units import BYTES_PER_GIB, MS_PER_SECOND, SECONDS_PER_HOUR, after_months

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

Latencies = Mapping[tuple[str, str], float]
"""(origin, site id) -> round trip [ms]"""
NO_LATENCIES: Latencies = {}

TOLERANCE = 1e-6
"""Shortfall that breaks a goal, as a fraction of the tier's demand; likewise what a plan may overstate by."""
ROUNDING = 1e-9
"""What a product may fall below a whole number by rounding."""


@dataclass(frozen=True)
class Instance:
    """The study as arrays: i counts (workload, origin) with demand, e placements, q pools."""

    study: Study
    placements: dict[str, int]
    made_of: tuple[tuple[Model, Profile], ...]
    """[e] what its name was made of; names are never parsed"""
    pool_of: Indices
    site_of: Indices
    """[e] number of the site in the study"""
    machines_per_replica: Numbers
    load_seconds: Numbers
    engine_start_seconds: Numbers
    """[e] the end of load_seconds, when weights are read already"""
    weights_gib: Numbers
    feeds_gib_per_second: Numbers
    """[site] what its storage gives to all that load there; infinite where nothing limits it"""
    rollout: Numbers
    flows: dict[tuple[str, str], int]
    tier_of: list[Tier]
    usd_per_request: Numbers
    """[i] what one costs that is not served"""
    demand: Numbers
    replica_seconds: Numbers
    replica_seconds_in_failure: Numbers
    """[i, e] per request, burst included [s]; in a failure caches may be cold"""
    fits: Flags
    """[i, e] an edge, but for the round trip"""
    normal: Flags
    in_failure: Flags
    """[i, e] an edge, with the round trip that holds in normal operation and in a failure"""
    queues: Queues | None
    """what requests wait in; none: replicas are filled to fixed shares"""

    def filled(self, in_failure: bool, replicas: Numbers) -> Numbers:
        """How far so many running replicas may be filled (0 to 1) [..., e]."""
        if self.queues is not None:
            return self.queues.most_filled(in_failure, replicas)
        share = self.study.utilisation.in_failure if in_failure else self.study.utilisation.normal
        return np.full(replicas.shape, share)

    @cached_property
    def flows_of_tier(self) -> list[tuple[Tier, Indices]]:
        """Tiers with demand, and the numbers of their flows."""
        numbers: dict[str, list[int]] = {}
        for i, tier in enumerate(self.tier_of):
            numbers.setdefault(tier.name, []).append(i)
        return [(tier, np.array(numbers[tier.name])) for tier in self.study.tiers if tier.name in numbers]

    @cached_property
    def workload_of(self) -> tuple[list[str], Indices]:
        """Workloads with demand, and of each flow the number of its workload [i]."""
        number: dict[str, int] = {}
        of_flow = [number.setdefault(w, len(number)) for w, _ in self.flows]
        return list(number), np.array(of_flow, dtype=np.int64)

    def at(self, wanted: Mapping[tuple[str, str], float]) -> "Instance":
        """The same study with other demand [requests/s]; flows that want nothing are left out."""
        asked = {flow: i for flow, i in self.flows.items() if wanted.get(flow, 0.0) > 0}
        demand = np.array([wanted[flow] for flow in asked], dtype=np.float64)
        return self.of_flows(np.array(list(asked.values()), dtype=np.int64), demand)

    def of_flows(self, rows: Indices, demand: Numbers) -> "Instance":
        """The same study with some of its flows [i], and their demand [requests/s]."""
        names = list(self.flows)
        return replace(
            self,
            flows={names[i]: n for n, i in enumerate(rows)},
            tier_of=[self.tier_of[i] for i in rows],
            usd_per_request=self.usd_per_request[rows],
            demand=demand,
            replica_seconds=self.replica_seconds[rows],
            replica_seconds_in_failure=self.replica_seconds_in_failure[rows],
            fits=self.fits[rows],
            normal=self.normal[rows],
            in_failure=self.in_failure[rows],
        )

    def of_placements(self, columns: Indices) -> "Instance":
        """The same study with some of its placements [e]."""
        names = list(self.placements)
        return replace(
            self,
            placements={names[e]: n for n, e in enumerate(columns.tolist())},
            made_of=tuple(self.made_of[e] for e in columns.tolist()),
            pool_of=self.pool_of[columns],
            site_of=self.site_of[columns],
            machines_per_replica=self.machines_per_replica[columns],
            load_seconds=self.load_seconds[columns],
            engine_start_seconds=self.engine_start_seconds[columns],
            weights_gib=self.weights_gib[columns],
            rollout=self.rollout[columns],
            replica_seconds=self.replica_seconds[:, columns],
            replica_seconds_in_failure=self.replica_seconds_in_failure[:, columns],
            fits=self.fits[:, columns],
            normal=self.normal[:, columns],
            in_failure=self.in_failure[:, columns],
            queues=None if self.queues is None else self.queues.of_placements(columns),
        )

    def by_pool(self, per_placement: Numbers) -> Numbers:
        """Sum of each pool's placements [q]."""
        return np.bincount(self.pool_of, weights=per_placement, minlength=len(self.study.pools)).astype(np.float64)

    def that_fit(self, replicas: Numbers, machines: Numbers) -> Numbers:
        """Replicas that fit [..., e] on machines [..., q]; where not all do, all of a pool give up the same share."""
        per_pool = np.zeros((len(self.placements), len(self.study.pools)))
        per_pool[np.arange(len(self.placements)), self.pool_of] = self.machines_per_replica
        need = replicas @ per_pool
        tight = need > machines + ROUNDING * np.maximum(need, 1.0)
        share = np.where(tight, machines / np.where(need > 0, need, 1.0), 1.0)[..., self.pool_of]
        return np.where(share < 1, np.floor(replicas * share + ROUNDING), replicas)


def queues_of(
    study: Study,
    tier_of: list[Tier],
    made: list[Profile],
    seconds: Numbers,
    variations: Numbers,
    away: Numbers,
    edges: Flags,
) -> Queues | None:
    """What requests wait in at each placement, of all that may ever be served there; none where shares are fixed.

    Parameters
    ----------
    seconds : of a replica that a request takes at the most, bursts left out [i, e]
    variations : squared, of the time that a request keeps a slot [i, e]
    away : round trips [i, e, ms]
    edges : of normal operation and of failures together [i, e]
    """
    if study.utilisation.basis == "fixed":
        return None
    slots = np.array([float(profile.concurrency_limit) for profile in made])
    met = np.where(edges, seconds * (1.0 + variations), 0.0).max(axis=0, initial=0.0) * slots
    wait_seconds = _most_wait_ms(tier_of, made, away) / MS_PER_SECOND
    waits: dict[float, Numbers] = {}
    for i, tier in enumerate(tier_of):
        row = waits.setdefault(tier.percentile, np.full(len(made), math.inf))
        np.minimum(row, np.where(edges[i], wait_seconds[i], math.inf), out=row)
    return Queues(study.utilisation, slots, met, waits)


def _variation(study: Study, w: Workload, profile: Profile) -> float:
    """Squared variation of the time that a request keeps a slot, 1 at the least; the larger, whatever is cached."""
    if not states_lengths(w):
        return study.utilisation.lengths_variation
    point = next(p for p in profile.classes if p.context_class == w.context_class)
    largest = 1.0
    for cached in (w.cached_fraction, cached_after_a_move(study, w)):
        reading = (1.0 - cached) / point.prefill_tokens_per_second
        writing, otherwise = 1.0 / point.decode_tokens_per_second, study.utilisation.lengths_variation
        largest = max(largest, variation_of_seconds(w, reading, writing, otherwise))
    return largest


def _most_wait_ms(tier_of: list[Tier], made: list[Profile], away: Numbers) -> Numbers:
    """What first-token targets leave beside round trip and prefill [i, e, ms]; infinite where there is none."""
    target = np.array([math.inf if tier.first_token_ms is None else tier.first_token_ms for tier in tier_of])
    prefill = np.array([_worst_first_token_ms(profile) for profile in made])
    with np.errstate(invalid="ignore"):
        wait_ms = target[:, None] - away - prefill
    return np.where(np.isfinite(target)[:, None], wait_ms, math.inf)


def _worst_first_token_ms(profile: Profile) -> float:
    return max(p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in profile.classes)


def named(records: Iterable[Any], name: str) -> Any:
    """The record of that name."""
    return next(record for record in records if record.name == name)


def cache_gib_per_request(facts: ModelFacts, profile: Profile, tokens: float) -> float:
    """Keys and values that a request of so many tokens takes on all chips of a replica together [GiB]."""
    ranks = profile.tensor_parallel_ranks or profile.accelerators_per_replica
    if facts.kv_latent_dimension is None:
        copies = max(facts.kv_heads, ranks)  # every rank has at least one head
        values = 2.0 * copies * facts.head_dimension
    else:
        values = float(facts.kv_latent_dimension) * ranks
    windowed = 0 if facts.full_attention_layers is None else facts.layers - facts.full_attention_layers
    token_layers = (facts.layers - windowed) * tokens + windowed * min(tokens, facts.windowed_attention_tokens)
    return token_layers * values * profile.kv_bytes_per_value / BYTES_PER_GIB


def in_memory(study: Study, w: Workload, model: Model, profile: Profile) -> bool:
    """Whether the chips of a replica hold its weights and all requests in flight, half of their output written.

    Where the study says how lengths vary: whether they do in 99 of 100 moments.
    """
    machine = named(study.machine_types, profile.machine_type)
    on_chips = MEMORY_FRACTION * machine.memory_gib_per_accelerator * profile.accelerators_per_replica
    tokens = w.mean_input_tokens + 0.5 * w.mean_output_tokens
    if states_lengths(w):
        point = next(p for p in profile.classes if p.context_class == w.context_class)
        reading = (1.0 - w.cached_fraction) / point.prefill_tokens_per_second
        writing = 1.0 / point.decode_tokens_per_second
        tokens = tokens_in_flight(w, reading, writing, profile.concurrency_limit)
    each = cache_gib_per_request(model.facts, profile, tokens)
    return bool(profile.weights_gib + profile.concurrency_limit * each <= on_chips * (1 + ROUNDING))


def misfit(study: Study, w: Workload, model: Model, profile: Profile, site: Site) -> str | None:
    """Why a profile at a site may not serve a workload, the round trip aside; none: it may."""
    if model.model != w.model:
        return "model"  # most pairs: nothing else is looked at
    tier: Tier = named(study.tiers, w.tier)
    longest: ContextClass = named(study.context_classes, w.context_class)
    first = _worst_first_token_ms(profile)
    each = max(p.per_token_ms if p.per_token_ms_high is None else p.per_token_ms_high for p in profile.classes)
    checks = (
        ("context class", any(p.context_class == w.context_class for p in profile.classes)),
        ("context limit", profile.context_limit_tokens >= longest.most_tokens),
        ("precision", not w.precisions or profile.precision in w.precisions),
        ("features", set(w.features) <= set(profile.features)),
        ("memory", in_memory(study, w, model, profile)),
        ("jurisdiction", not w.jurisdictions or site.jurisdiction in w.jurisdictions),
        ("site labels", set(w.site_labels) <= set(site.labels)),
        ("time to first token", tier.first_token_ms is None or first <= tier.first_token_ms),
        ("time per token", tier.per_token_ms is None or each <= tier.per_token_ms),
    )
    return next((reason for reason, holds in checks if not holds), None)


def last_day(study: Study) -> date:
    """What is held or qualified must last until this day to count."""
    return after_months(study.horizon.start, study.horizon.months) - timedelta(days=1)


def cached_after_a_move(study: Study, w: Workload) -> float:
    """Share of its input that a request finds in the caches of a replica in a failure; of another replica nothing."""
    if w.cached_fraction_in_failure is not None:
        return w.cached_fraction_in_failure
    return {"cold": 0.0, "warm": w.cached_fraction}[study.cold_starts.prefix_caches]


def _seconds(w: Workload, profile: Profile, cached_fraction: float) -> float:
    """What a request takes of a replica, burst included [s]."""
    point = next(p for p in profile.classes if p.context_class == w.context_class)
    reading = w.mean_input_tokens * (1.0 - cached_fraction) / point.prefill_tokens_per_second
    return (reading + w.mean_output_tokens / point.decode_tokens_per_second) * w.burst_factor


def outage_usd_of(study: Study) -> dict[str, float]:
    """Tier -> what a request that is not served costs [USD]; of an hour's cost the part of its mean hour's requests."""
    requests_per_hour, all_hours = defaultdict[str, float](float), 0.0
    tier_named = {w.name: w.tier for w in study.workloads}
    for one in time_slices_of(study):
        hours = (one.ends - one.begins) * one.weight
        all_hours += hours
        for (w, _), rate in one.wanted.items():
            requests_per_hour[tier_named[w]] += rate * SECONDS_PER_HOUR * hours
    usd = {}
    for tier in study.tiers:
        usd[tier.name] = tier.outage_usd_per_request
        if tier.outage_usd_per_hour is not None:
            of_mean_hour = requests_per_hour[tier.name] / all_hours
            usd[tier.name] = tier.outage_usd_per_hour / of_mean_hour if of_mean_hour else 0.0
    return usd


def feeds_gib_per_second(study: Study) -> Numbers:
    """What the storage of each site gives to all that load there, infinite where nothing limits it [site].

    A site's own rate first; else, unless the study looks at such rates only, that of the inventory for the longest
    pattern of its id. Zones of a region that the study splits have equal parts of what the region's id has.
    """
    zones_of: dict[str, list[str]] = {}
    for zone in study.zones:
        if zone.site not in zones_of.setdefault(zone.region_id, []):
            zones_of[zone.region_id].append(zone.site)
    by_length = sorted(study.storage, key=lambda row: (len(row.sites), row.sites))
    feeds = np.full(len(study.sites), math.inf)
    for n, site in enumerate(study.sites):
        if site.load_gib_per_second is not None:
            feeds[n] = site.load_gib_per_second
        elif study.cold_starts.storage_rates == "inventory":
            split = zones_of.get(site.region_id, [])
            id, parts = (site.region_id, len(split)) if site.id in split else (site.id, 1)
            for row in by_length:  # the last one that fits stays
                if fnmatchcase(id, row.sites):
                    feeds[n] = row.load_gib_per_second / parts
    return feeds


def build_instance(study: Study, case: str = "base", longer: Latencies = NO_LATENCIES) -> Instance:
    """The study as arrays, with the demand of a case (base, low or high) in its first hour; see `Instance.at`.

    `longer` are round trips that hold instead of the study's.
    """
    site_number = {site.id: s for s, site in enumerate(study.sites)}
    accelerators = {machine.name: machine.accelerators for machine in study.machine_types}
    made: list[tuple[str, Model, Profile, int, Site]] = []
    for model in study.models:
        good = {q.stack for q in model.qualifications if q.until is None or q.until >= last_day(study)}
        for profile, (q, pool) in itertools.product(model.profiles, enumerate(study.pools)):
            if profile.machine_type == pool.machine_type and profile.stack in good:
                name = f"{model.model}/{profile.name}@{pool.id}"
                made.append((name, model, profile, q, study.sites[site_number[pool.site]]))
    slices = time_slices_of(study, case)
    flows: list[tuple[str, str]] = []
    for one in slices:
        flows += [flow for flow, rate in one.wanted.items() if rate > 0]
    flows = list(dict.fromkeys(flows))
    workload_of = {w.name: w for w in study.workloads}
    tier_named = {tier.name: tier for tier in study.tiers}
    tier_of = [tier_named[workload_of[w].tier] for w, _ in flows]
    usd_of = outage_usd_of(study)
    latency = {**latency_ms(study, list({site.id: site for *_, site in made}.values())), **longer}

    asking = dict.fromkeys(w for w, _ in flows)
    row_of = {name: n for n, name in enumerate(asking)}
    by_workload = np.full((3, len(row_of), len(made)), math.nan)
    for name, n in row_of.items():
        w = workload_of[name]
        cold = cached_after_a_move(study, w)
        for e, (_, model, profile, _, site) in enumerate(made):
            if misfit(study, w, model, profile, site) is None:
                varies = _variation(study, w, profile)
                by_workload[:, n, e] = _seconds(w, profile, w.cached_fraction), _seconds(w, profile, cold), varies
    seconds, seconds_in_failure, variations = by_workload[:, np.array([row_of[w] for w, _ in flows], dtype=np.int64)]
    fits = ~np.isnan(seconds)
    away = np.array([[latency[o, site.id] for *_, site in made] for _, o in flows]).reshape(fits.shape)
    limit = [math.inf if tier.round_trip_ms is None else tier.round_trip_ms for tier in tier_of]
    relaxed = [tier.round_trip_ms_in_failure or normal for tier, normal in zip(tier_of, limit, strict=True)]
    reached = fits & np.isfinite(away)
    profiles = [profile for _, _, profile, _, _ in made]
    if study.utilisation.basis == "waiting":
        reached &= _most_wait_ms(tier_of, profiles, away) >= 0
    normal, in_failure = (reached & (away <= np.array(most)[:, None]) for most in (limit, relaxed))
    bursts = np.array([workload_of[w].burst_factor for w, _ in flows])[:, None]
    at_most = np.where(fits, np.fmax(seconds, seconds_in_failure), 0.0) / bursts
    per_machine = [accelerators[p.machine_type] // p.accelerators_per_replica for p in profiles]
    compiles = study.cold_starts.compile_caches == "cold"
    return Instance(
        study=study,
        placements={name: e for e, (name, *_) in enumerate(made)},
        made_of=tuple((model, profile) for _, model, profile, _, _ in made),
        pool_of=np.array([q for _, _, _, q, _ in made], dtype=np.int64),
        site_of=np.array([site_number[site.id] for *_, site in made], dtype=np.int64),
        machines_per_replica=1 / np.array(per_machine, dtype=np.float64),
        load_seconds=np.array([p.load_seconds + (p.compile_seconds if compiles else 0.0) for p in profiles]),
        engine_start_seconds=np.array(
            [p.engine_start_seconds + (p.compile_seconds if compiles else 0.0) for p in profiles]
        ),
        weights_gib=np.array([p.weights_gib for p in profiles]),
        feeds_gib_per_second=feeds_gib_per_second(study),
        rollout=np.array([model.rollout_surge_fraction for _, model, *_ in made]),
        flows={flow: i for i, flow in enumerate(flows)},
        tier_of=tier_of,
        usd_per_request=np.array([usd_of[tier.name] for tier in tier_of]),
        demand=np.array([slices[0].wanted.get(flow, 0.0) for flow in flows]),
        replica_seconds=np.where(fits, seconds, 0.0),
        replica_seconds_in_failure=np.where(fits, seconds_in_failure, 0.0),
        fits=fits,
        normal=normal,
        in_failure=in_failure,
        queues=queues_of(study, tier_of, profiles, at_most, variations, away, normal | in_failure),
    )
