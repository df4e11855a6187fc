"""Studies made in Python: random ones for oracles and properties, and bricks to build worked ones."""

import random
from datetime import date
from typing import Any

from planner.records.inventory import MachineType, Offer, Pool, Price, Site
from planner.records.serving import ContextClass, Model, ModelFacts, OperatingPoint, Profile, Qualification
from planner.records.study import (
    Claim,
    Demand,
    Goal,
    Holding,
    Horizon,
    NamedFailure,
    Origin,
    Policies,
    Study,
    Tier,
    Utilisation,
    Workload,
)

SOURCED: dict[str, Any] = {"evidence": "assumed", "source": "made up for a test", "as_of": "2026"}
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
        "utilisation": Utilisation(normal=1.0, in_failure=1.0),
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
        utilisation=Utilisation(normal=g.choice([1.0, 0.8]), in_failure=1.0),
    )
