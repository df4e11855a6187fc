"""Studies made in Python: random ones for oracles and properties, and bricks to build worked ones."""

import random
from datetime import date
from typing import Any

from planner.study.records.inventory import MachineType, Offer, Pool, Price, Site
from planner.study.records.serving import ContextClass, Model, ModelFacts, OperatingPoint, Profile, Qualification
from planner.study.records.study import (
    Claim,
    Counted,
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Origin,
    Period,
    Policies,
    Quota,
    Study,
    Tier,
    Utilisation,
    Workload,
)

SOURCED: dict[str, Any] = {"evidence": "assumed", "source": "made up for a test", "as_of": "2026"}
HALVES = (("day", 0.5), ("night", 0.5))
THIRDS = (("morning", 0.25), ("noon", 0.5), ("night", 0.25))
PLACES = {"a": (50.0, 0.0), "b": (50.0, 20.0), "c": (40.0, -75.0), "d": (35.0, 135.0)}


def machine_type(name: str, provider: str = "any", accelerators: int = 8, **more: Any) -> MachineType:
    """A machine type with 8 chips of 1000 GiB."""
    return MachineType(
        name=name,
        provider=provider,
        accelerator=f"chip-of-{name}",
        accelerators=accelerators,
        memory_gib_per_accelerator=1000.0,
        **SOURCED,
        **more,
    )


def site(id: str, place: tuple[float, float] = (50.0, 0.0), **more: Any) -> Site:
    """A site `provider/site` that is its own region."""
    provider, _, name = id.partition("/")
    return Site(
        provider=provider,
        region=name,
        site=name,
        city=name,
        latitude=place[0],
        longitude=place[1],
        **SOURCED,
        **{"jurisdiction": "XX", **more},
    )


def offer(pool: str, price: float, kind: str = "on_demand", **more: Any) -> tuple[Offer, Price]:
    """An offer of a pool with its price in USD per machine and hour."""
    at, _, machine = pool.rpartition("/")
    name = more.pop("name", kind)
    return (
        Offer(site=at, machine_type=machine, offer=name, kind=kind, instrument=kind, **SOURCED, **more),
        Price(site=at, machine_type=machine, offer=name, price_usd_per_machine_hour=float(price), **SOURCED),
    )


def profile(machine: str, stack: str, rate: float, **more: Any) -> Profile:
    """A profile that serves `rate` requests/s per replica of one output token each (input is free)."""
    classes = more.pop("classes", ("short",))
    fields: dict[str, Any] = {
        "name": f"{machine}-{stack}",
        "machine_type": machine,
        "stack": stack,
        "precision": "fp8",
        "accelerators_per_replica": 8,
        "weights_gib": 100.0,
        "context_limit_tokens": 1000,
        "concurrency_limit": 1,
        "load_seconds": 0.0,
        "classes": tuple(
            OperatingPoint(
                context_class=c,
                prefill_tokens_per_second=1e12,
                decode_tokens_per_second=float(rate),
                first_token_ms=100.0,
                per_token_ms=10.0,
                **SOURCED,
            )
            for c in classes
        ),
    }
    return Profile(**{**fields, **more})


def model(name: str, profiles: list[Profile], **more: Any) -> Model:
    """A model whose stacks are all qualified."""
    facts = ModelFacts(
        parameters=1e9,
        active_parameters=1e9,
        layers=1,
        query_heads=8,
        kv_heads=8,
        head_dimension=8,
        context_limit_tokens=1000,
        **SOURCED,
    )
    stacks = sorted({p.stack for p in profiles})
    return Model(
        model=name,
        facts=facts,
        qualifications=tuple(Qualification(stack=s, **SOURCED) for s in stacks),
        profiles=tuple(profiles),
        **more,
    )


def workload(name: str, tier: str = "t", model: str = "m", **more: Any) -> Workload:
    """A workload of requests with one output token and (in effect) no input."""
    fields: dict[str, Any] = {
        "context_class": "short",
        "mean_input_tokens": 1e-3,
        "mean_output_tokens": 1.0,
    }
    return Workload(name=name, model=model, tier=tier, **{**fields, **more})


def study(**parts: Any) -> Study:
    """A study of one hour, everything filled: tests give what matters to them."""
    fields: dict[str, Any] = {
        "study": "test",
        "today": date(2026, 1, 1),
        "horizon": Horizon(start=date(2026, 1, 1), months=1.0),
        "hours_per_month": 1.0,
        "detection_seconds": 10.0,
        "utilisation": Utilisation(basis="fixed", normal=1.0, in_failure=1.0),
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0),),
        "context_classes": (ContextClass(name="short", most_tokens=1000),),
        "round_trips": (),
    }
    bought = parts.pop("bought", None)
    if bought is not None:
        fields["offers"] = tuple(b for b, _ in bought)
        fields["prices"] = tuple(price for _, price in bought)
    demand = parts.pop("demand", None)
    if isinstance(demand, dict):
        demand = tuple(Demand(workload=w, origin=o, requests_per_second=float(v)) for (w, o), v in demand.items())
    return Study(**{**fields, "demand": demand, **parts})


def random_study(seed: int, size: str = "tiny") -> Study:
    """A random study: dead stacks, deadlines that bind, pool limits, surges, claims and partial losses occur.

    `tiny`: two or three pools, for brute force; `small`: about eight pools and three workloads.
    """
    g = random.Random(seed)
    tiny = size == "tiny"
    n_sites = g.randint(2, 3) if tiny else g.randint(4, 6)
    providers = ["aws", "google", "azure"][: 2 if tiny else 3]
    sites = [site(f"{providers[i % len(providers)]}/s{i}", PLACES["abcd"[i % 4]]) for i in range(n_sites)]
    stacks = ["cuda", "neuron", "xla"][: 2 if tiny else 3]
    types = [machine_type(f"m{i}") for i in range(2 if tiny else 3)]
    pools = [Pool(site=s.id, machine_type=g.choice(types).name) for s in sites]
    if not tiny:
        pools += [
            Pool(site=s.id, machine_type=t.name)
            for s in sites
            for t in types
            if g.random() < 0.3 and not any(p.site == s.id and p.machine_type == t.name for p in pools)
        ]
    used = sorted({p.machine_type for p in pools})
    models = []
    for m in range(1 if tiny else 2):
        profiles = []
        for i, t in enumerate(used):
            loads = g.choice([0.0, 40.0, 200.0])
            part = g.choice([8, 8, 4])
            profiles.append(
                profile(
                    t, stacks[i % len(stacks)], g.choice([3, 5, 8]), load_seconds=loads, accelerators_per_replica=part
                )
            )
        models.append(model(f"m{m}", profiles, rollout_surge_fraction=g.choice([0.0, 0.0, 0.2])))
    bought = []
    holdings, claims = [], []
    for q in pools:
        bought.append(offer(q.id, g.randint(3, 9), most_units=float(g.choice([2, 3, 4] if tiny else [4, 6, 20]))))
        if g.random() < 0.3:
            bought.append(offer(q.id, g.randint(1, 2), "spot", most_units=2.0))
        if g.random() < 0.4:
            n = g.randint(1, 2)
            holdings.append(Holding(pool=q.id, machines=n))
            if g.random() < 0.6:
                claims.append(
                    Claim(pool=q.id, machines=1, reclaim_seconds=g.choice([20.0, 100.0, None]), lent_to="training")
                )
    goals = [Goal(any=g.choice(["site", "provider", "pool"]), serve_fraction=1.0, within_seconds=60.0)]
    if g.random() < 0.6:
        goals.append(Goal(any="stack", serve_fraction=g.choice([0.5, 0.3]), within_seconds=300.0))
    failures = []
    if g.random() < 0.5:
        lost = {f"site:{g.choice(sites).id}": g.choice([0.5, 1.0])}
        failures.append(NamedFailure(name="surge", lost=lost, surge_factor=g.choice([1.0, 1.3])))
        goals.append(Goal(failure="surge", serve_fraction=g.choice([0.5, 1.0]), within_seconds=g.choice([60.0, 150.0])))
    late = [Goal(any="site", serve_fraction=g.choice([0.5, 1.0]), within_seconds=300.0)] if g.random() < 0.7 else []
    tiers = (
        Tier(name="gold", survive=tuple(goals), round_trip_ms=g.choice([None, 250.0])),
        Tier(name="iron", survive=tuple(late)),
    )
    n_workloads = g.randint(1, 2) if tiny else 4
    workloads = [
        workload(f"w{i}", tier="gold" if i % 2 == 0 else "iron", model=f"m{i % len(models)}")
        for i in range(n_workloads)
    ]
    origins = (Origin(name="o0", latitude=50.0, longitude=1.0), Origin(name="o1", latitude=40.0, longitude=-74.0))
    if tiny and n_workloads == 2:
        origins = origins[:1]
    if not tiny:
        origins += (Origin(name="o2", latitude=36.0, longitude=136.0),)
    return study(
        study=f"random-{seed}",
        sites=tuple(sites),
        machine_types=tuple(t for t in types if t.name in used),
        pools=tuple(pools),
        bought=bought,
        models=tuple(models),
        origins=origins,
        tiers=tiers,
        workloads=tuple(workloads),
        demand={(w.name, o.name): g.randint(1, 6 if tiny else 14) for w in workloads for o in origins},
        holdings=tuple(holdings),
        claims=tuple(claims),
        failures=tuple(failures),
        policies=Policies(),
        utilisation=Utilisation(basis="fixed", normal=g.choice([1.0, 0.8]), in_failure=1.0),
    )


def beset_study(seed: int) -> Study:
    """A random study in which much may go wrong at once, so that whole numbers, clocks and limits meet.

    Beside what `random_study` has: several hours and periods, three deadlines, partial losses of anything (on all or
    on the worst placement), maintenance, surges of one workload or origin, spare and broken machines, replicas of
    several sizes, requests of several lengths, units of several machines, spot, commitments, what counts in part or can
    be obtained, quotas, power, storage rates, priced failures, and gateways that rescale.
    """
    g = random.Random(10_000_019 * seed + 1)
    size = "small" if g.random() < 0.15 else "tiny"
    study = random_study(seed, size)
    if size == "tiny" and g.random() < 0.2:
        study = study.model_copy(update={"objective": g.choice(["expected", "worst_case", "cvar"])})
    return _asked(_lost(_sold(_served(_timed(study, g), g), g), g), g)


def _timed(study: Study, g: random.Random) -> Study:
    """With one to three hours, and one or two periods."""
    several = [(), HALVES, THIRDS] if len(study.pools) < 4 and study.objective == "cost" else []
    hours = tuple(Hour(name=n, weight_fraction=w) for n, w in g.choice([(), *several]))
    periods = tuple(Period(name=n, months=0.5) for n in ("first", "then")) if g.random() < 0.2 else ()
    rows = tuple(
        row.model_copy(update={"hour": h.name, "requests_per_second": round(row.requests_per_second * part, 3)})
        for row in study.demand
        for h in hours
        for part in [g.choice([0.3, 0.6, 1.0])]
    )
    length = {"periods": periods} if periods else {"months": 1.0}
    horizon = Horizon(start=date(2026, 1, 1), hours=hours, **length)
    return study.model_copy(
        update={"horizon": horizon, "demand": rows or study.demand, "detection_seconds": g.choice([0.0, 5.0, 10.0])}
    )


def _served(study: Study, g: random.Random) -> Study:
    """With replicas of several sizes, second stacks, and requests of several lengths."""
    models = []
    for old in study.models:
        stacks = sorted({q.stack for q in old.qualifications})
        more = [
            profile(f.machine_type, g.choice([s for s in stacks if s != f.stack] or ["rocm"]), g.choice([2, 4, 6]))
            for f in old.profiles
            if g.random() < 0.3
        ]
        profiles = [
            f.model_copy(
                update={
                    "accelerators_per_replica": g.choice([1, 2, 3, 4, 8]),
                    "load_seconds": g.choice([0.0, 25.0, 45.0, 120.0, 290.0]),
                    "weights_gib": g.choice([20.0, 100.0]),
                }
            )
            for f in (*old.profiles, *more)
        ]
        models.append(model(old.model, profiles, rollout_surge_fraction=g.choice([0.0, 0.0, 0.2])))
    workloads = tuple(
        w.model_copy(
            update={
                "mean_output_tokens": g.choice([1.0, 1.0, 0.1, 2.5]),
                "burst_factor": g.choice([1.0, 1.25]),
                **({"cached_fraction": 0.4, "cached_fraction_in_failure": 0.1} if g.random() < 0.1 else {}),
            }
        )
        for w in study.workloads
    )
    sites = tuple(s.model_copy(update={"load_gib_per_second": g.choice([None, None, 2.0, 10.0])}) for s in study.sites)
    return study.model_copy(update={"models": tuple(models), "workloads": workloads, "sites": sites})


def _sold(study: Study, g: random.Random) -> Study:
    """With spot, commitments and blocks of machines, what counts in part, and what is owned, lent, spare or broken."""
    bought = []
    for q in study.pools:
        price, each = g.randint(3, 9), g.choice([1, 1, 1, 2, 4])
        size = {"machines_per_unit": each, "most_units": float(g.choice([2, 4, 8, 20]))}
        bought.append(offer(q.id, price, **size))
        if g.random() < 0.5:
            spot = {"machines_per_unit": g.choice([1, 2, 4]), "most_units": float(g.choice([2, 8]))}
            bought.append(offer(q.id, round(0.4 * price, 2), "spot", **spot))
        if g.random() < 0.4:
            bought.append(offer(q.id, round(0.7 * price, 2), "commitment", term_months=1.0, **size))
    pools = tuple(
        q.model_copy(
            update={"usable_fraction": g.choice([1.0, 1.0, 0.95, 0.75]), "spare_machines": g.choice([0.0, 0.0, 0.5, 1])}
        )
        for q in study.pools
    )
    holdings, claims = [], []
    for q in study.pools:
        if g.random() < 0.4:
            holdings.append(Holding(pool=q.id, machines=g.randint(1, 6)))
        if g.random() < 0.3:
            back = g.choice([0.0, 10.0, 20.0, 100.0, None])
            claims.append(Claim(pool=q.id, machines=g.randint(1, 2), reclaim_seconds=back, lent_to="training"))
    counted = tuple(
        Counted(
            offers=(g.choice(["*:on_demand", "*:commitment", f"{q.id}:*"]),),
            any=g.choice([None, "site", "provider"]),
            running_fraction=g.choice([1.0, 0.9, 0.5]),
            obtainable_fraction=g.choice([0.0, 0.5, 1.0]),
            obtain_seconds=g.choice([0.0, 20.0]),
        )
        for q in study.pools[:2]
        if g.random() < 0.2
    )
    quotas = ()
    if g.random() < 0.2:
        names = tuple(q.id for q in g.sample(study.pools, 2))
        quotas = (Quota(name="quota", pools=names, most=float(g.choice([3, 6, 12]))),)
    return study.model_copy(
        update={
            "offers": tuple(b for b, _ in bought),
            "prices": tuple(price for _, price in bought),
            "pools": pools,
            "holdings": tuple(holdings),
            "claims": tuple(claims),
            "policies": Policies(counted=counted, quotas=quotas),
        }
    )


def _lost(study: Study, g: random.Random) -> Study:
    """With named failures: partial losses, on the worst part or on all, in maintenance, with surges."""
    sites = {s.id: s for s in study.sites}
    things = [f"pool:{q.id}" for q in study.pools] + [f"site:{s}" for s in sites]
    things += sorted({f"provider:{s.provider}" for s in study.sites})
    stacks = sorted({f"stack:{q.stack}" for m in study.models for q in m.qualifications})
    flows = [f"workload:{w.name}" for w in study.workloads] + [f"origin:{o.name}" for o in study.origins]
    shares = [0.3, 0.5, 0.1, 0.7]
    rated = {"failures_per_year": g.choice([0.5, 2.0]), "hours_to_repair": g.choice([1.0, 4.0])}
    failures = []
    for n in range(g.randint(1, 3)):
        some = g.sample(things + stacks, g.randint(1, 2))
        lost = {c: 1.0 if c in stacks or g.random() < 0.4 else g.choice(shares) for c in some}
        partial = [c for c, share in lost.items() if share < 1]
        failures.append(
            NamedFailure(
                name=f"trouble{n}",
                lost=lost,
                worst_part=bool(partial) and g.random() < 0.4,
                in_maintenance={g.choice(things): g.choice(shares)} if g.random() < 0.4 else {},
                surge_factor=g.choice([1.0, 1.0, 1.3, 0.8]),
                surges={g.choice(flows): g.choice([1.2, 0.5])} if g.random() < 0.3 else {},
                **(rated if study.objective != "cost" and g.random() < 0.7 else {}),
            )
        )
    return study.model_copy(update={"failures": tuple(failures)})


def _asked(study: Study, g: random.Random) -> Study:
    """With goals of three deadlines, of which each tier has some, some of them in maintenance."""
    things = [f"pool:{q.id}" for q in study.pools] + [f"site:{s.id}" for s in study.sites]
    deadlines = g.choice([(30.0, 60.0, 300.0), (20.0, 60.0, 150.0), (60.0, 100.0, 400.0)])
    tiers = []
    for tier in study.tiers:
        goals = []
        for _ in range(g.randint(1, 2)):
            what = {"any": g.choice(["site", "provider", "pool", "region", "stack"])}
            if g.random() < 0.3:
                what["in_maintenance"] = {g.choice(things): g.choice([0.3, 0.5, 0.2])}
            goals += _at_deadlines(what, deadlines, g)
        for failure in study.failures:
            if g.random() < 0.8:
                goals += _at_deadlines({"failure": failure.name}, deadlines, g)
        tiers.append(
            tier.model_copy(
                update={
                    "survive": tuple(goals),
                    "serve_fraction": g.choice([1.0, 1.0, 1.0, 0.9]),
                    "outage_usd_per_request": g.choice([0.0, 0.01, 1.0]),
                    "round_trip_ms": g.choice([None, None, 250.0, 120.0]),
                    "round_trip_ms_in_failure": g.choice([None, 300.0]),
                }
            )
        )
    failover = "rescale" if study.objective == "cost" and g.random() < 0.12 else "resolve"
    utilisation = Utilisation(basis="fixed", normal=g.choice([1.0, 0.85]), in_failure=g.choice([1.0, 1.0, 0.95]))
    return study.model_copy(update={"tiers": tuple(tiers), "failover": failover, "utilisation": utilisation})


def _at_deadlines(what: dict[str, Any], deadlines: tuple[float, ...], g: random.Random) -> list[Goal]:
    """The same loss at one to three deadlines, more due at later ones."""
    some = sorted(g.sample(deadlines, g.randint(1, 3)))
    parts = sorted(g.choice([0.1, 0.3, 0.5, 0.7, 0.8, 1.0]) for _ in some)
    return [Goal(serve_fraction=part, within_seconds=c, **what) for c, part in zip(some, parts, strict=True)]
