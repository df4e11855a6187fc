"""Small studies and plans for the drill, numbers that can be followed by hand.

A request takes 100 input tokens at 2,000 tokens/s and 50 output tokens at 1,000 tokens/s: 0.05 + 0.05 = 0.1 s, so a
replica serves 10 requests/s when it may be filled to the brim (utilisation 1, the default here). A replica takes one
machine unless a test says otherwise. Detection takes 10 s.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

from planner.study.records.inventory import MachineType, Offer, Pool, Price, RoundTrip, Site
from planner.study.records.plan import PlanFile, Proof, Purchase, Replicas, State, WithoutGoals
from planner.study.records.serving import ContextClass, Model, ModelFacts, OperatingPoint, Profile, Qualification
from planner.study.records.study import (
    Claim,
    Counted,
    Demand,
    Goal,
    Holding,
    Horizon,
    Origin,
    Policies,
    RunningReplicas,
    Study,
    Tier,
    Utilisation,
    Workload,
)

KNOWN: dict[str, Any] = {"evidence": "assumed", "source": "test", "as_of": "2025"}
START = date(2026, 1, 1)


def site(provider: str, name: str, region: str | None = None, at: tuple[float, float] = (0, 0), **more: Any) -> Site:
    where = {"city": name, "latitude": at[0], "longitude": at[1], "jurisdiction": "US"} | more
    return Site(provider=provider, region=region or f"{name}-region", site=name, **where, **KNOWN)


def machine(name: str = "m", accelerators: int = 8) -> MachineType:
    chip = {"accelerator": "chip", "accelerators": accelerators, "memory_gib_per_accelerator": 80.0}
    return MachineType(name=name, provider="any", **chip, **KNOWN)


def point(context_class: str = "short", **more: Any) -> OperatingPoint:
    values = {"prefill_tokens_per_second": 2000.0, "decode_tokens_per_second": 1000.0}
    values |= {"first_token_ms": 100.0, "per_token_ms": 10.0} | more
    return OperatingPoint(context_class=context_class, **values, **KNOWN)


def profile(name: str = "p", stack: str = "cuda", machine_type: str = "m", **more: Any) -> Profile:
    values = {"precision": "fp8", "accelerators_per_replica": 8, "weights_gib": 100.0, "context_limit_tokens": 8000}
    values |= {"concurrency_limit": 10, "load_seconds": 300.0, "classes": (point(),)} | more
    return Profile(name=name, stack=stack, machine_type=machine_type, **values)


def model(name: str = "llm", profiles: Iterable[Profile] = (), stacks: Iterable[str] = ("cuda",), **more: Any) -> Model:
    shape = {"parameters": 1e9, "active_parameters": 1e9, "layers": 2, "query_heads": 2, "kv_heads": 2}
    facts = ModelFacts(**shape, head_dimension=64, context_limit_tokens=8000, **KNOWN)
    good = tuple(Qualification(stack=stack, **KNOWN) for stack in stacks)
    return Model(model=name, facts=facts, qualifications=good, profiles=tuple(profiles) or (profile(),), **more)


def workload(name: str = "chat", **more: Any) -> Workload:
    values = {"model": "llm", "context_class": "short", "tier": "gold"}
    values |= {"mean_input_tokens": 100.0, "mean_output_tokens": 50.0} | more
    return Workload(name=name, **values)


def goal(kind: str | None = "site", within: float = 60.0, fraction: float = 1.0, **more: Any) -> Goal:
    return Goal(any=kind, within_seconds=within, serve_fraction=fraction, **more)


def study(**changes: Any) -> Study:
    """Sites aws/a and google/b with pools of machine m; chat from town wants 100 requests/s; any site may be lost."""
    values: dict[str, Any] = {
        "study": "test",
        "today": START,
        "horizon": Horizon(start=START, months=12.0),
        "utilisation": Utilisation(basis="fixed", normal=1.0, in_failure=1.0),
        "origins": (Origin(name="town", latitude=0.0, longitude=0.0),),
        "tiers": (Tier(name="gold", survive=(goal(),)),),
        "workloads": (workload(),),
        "demand": (Demand(workload="chat", origin="town", requests_per_second=100.0),),
        "machine_types": (machine(),),
        "sites": (site("aws", "a"), site("google", "b")),
        "round_trips": (),
        "offers": (),
        "prices": (),
        "context_classes": (ContextClass(name="short", most_tokens=4000), ContextClass(name="long", most_tokens=8000)),
        "models": (model(),),
    }
    values |= changes
    values.setdefault("pools", tuple(Pool(site=s.id, machine_type="m") for s in values["sites"]))
    return Study(**values)


def hold(**machines: int) -> tuple[Holding, ...]:
    """Holdings by site name: a is aws/a, b is google/b."""
    return tuple(Holding(pool=pool_of(name), machines=count) for name, count in machines.items())


def pool_of(name: str) -> str:
    return {"a": "aws/a/m", "b": "google/b/m"}.get(name, name)


def at(name: str, of: str = "llm/p") -> str:
    """Placement id of a profile at site a or b."""
    return f"{of}@{pool_of(name)}"


def lend(name: str, machines: int, seconds: float | None) -> Claim:
    return Claim(pool=pool_of(name), machines=machines, reclaim_seconds=seconds, lent_to="training")


def state(
    traffic: dict[tuple[str, str, str], float], failure: str = "normal", clock: float = 0.0, **more: Any
) -> State:
    """State with traffic by (workload, origin, placement) [requests/s]."""
    columns = {
        "workload": tuple(w for w, _, _ in traffic),
        "origin": tuple(o for _, o, _ in traffic),
        "placement": tuple(e for _, _, e in traffic),
        "requests_per_second": tuple(traffic.values()),
    }
    return State(hour="h", failure=failure, deadline_seconds=clock, **columns, **more)


def chat(**rates: float) -> dict[tuple[str, str, str], float]:
    """Traffic of chat from town by site name."""
    return {("chat", "town", at(name)): rate for name, rate in rates.items()}


def plan(
    of: Study,
    replicas: dict[str, int],
    traffic: dict[tuple[str, str, str], float],
    states: Iterable[State] = (),
    purchases: dict[str, int] | None = None,
) -> PlanFile:
    """Plan with replicas by placement and traffic of normal operation."""
    usd = {"cost_usd": 0.0, "bound_usd": 0.0}
    gap = {"gap_fraction": 0.0, "gap_asked_fraction": 0.0, "lp_bound_usd": 0.0}
    return PlanFile(
        planner_version="0",
        solver="none",
        study_sha256="none",
        digest_sha256="none",
        study=of,
        purchases=tuple(Purchase(offer=o, when="p", units=n) for o, n in (purchases or {}).items()),
        replicas=tuple(Replicas(placement=e, hour="h", replicas=n) for e, n in replicas.items()),
        states=(state(traffic), *states),
        costs_usd={},
        uncoverable=(),
        without_goals=WithoutGoals(purchases=(), costs_usd={}, **usd),
        proof=Proof(
            status="proven", failures_tested=0, binding_failures=(), dominated_failures=0, passes=0, **usd, **gap
        ),
    )


def running(name: str, replicas: float, weight: float, **more: Any) -> RunningReplicas:
    values = {"workload": "chat", "origin": "town", "pool": pool_of(name), "profile": "llm/p"} | more
    return RunningReplicas(replicas=replicas, weight=weight, **values)


def offer(name: str, kind: str, machines: int = 1, **more: Any) -> Offer:
    pool = pool_of(name).rpartition("/")
    values = {"site": pool[0], "machine_type": pool[2], "offer": kind, "kind": kind, "machines_per_unit": machines}
    return Offer(**(values | more), instrument="paper", **KNOWN)


def on_demand(**counted: Any) -> Study:
    """Site a holds 10 machines, b rents on demand of a market of 16; any provider may be lost."""
    price = Price(
        site="google/b", machine_type="m", offer="on_demand", price_usd_per_machine_hour=1.0,
        evidence="assumed", source="test", as_of="2025",
    )  # fmt: skip
    return study(
        holdings=hold(a=10),
        offers=(offer("b", "on_demand", most_units=16.0),),
        prices=(price,),
        policies=Policies(counted=(Counted(offers=("google/*",), **counted),)),
        tiers=(Tier(name="gold", survive=(goal("provider", 60.0, 0.4), goal("provider", 400.0))),),
    )


def trip(a: str, b: str, ms: float) -> RoundTrip:
    return RoundTrip(from_region=a, to_region=b, round_trip_ms=ms, **KNOWN)
