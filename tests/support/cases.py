"""Published cases with known answers as studies: the ordinary records only, the planner knows nothing of them.

How facility location maps on: a facility is a pool of one machine at a site of its own, bought as a build-out of one
unit whose price for the one hour that is planned is the fixed cost; a replica fills the machine and serves the
facility's capacity; a customer is an origin, its demand requests/s; the cost of transport is the cost of a request.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies import SOURCED, machine_type, model, offer, profile, site, study, workload

from planner.study.records.inventory import Pool, RoundTrip
from planner.study.records.plan import PlanFile
from planner.study.records.serving import ContextClass, OperatingPoint
from planner.study.records.study import Goal, Holding, Origin, RequestCost, Study, Tier
from planner.units import SECONDS_PER_HOUR

FOLDER = Path(__file__).parents[3] / "shared" / "cases"
NOT_MAPPED = {
    "lands": "expected cost over several demands, capacity bought continuously",
    "zeng_zhao_2013": "worst cost over several demands, capacity bought continuously",
}
"""Cases whose objective the planner does not have yet."""
LIMIT_MS, NEAR_MS, FAR_MS = 100.0, 1.0, 1000.0
WITHIN_SECONDS, DETECTION_SECONDS, LOAD_SECONDS = 60.0, 10.0, 3600.0
"""What is not running when a failure begins does not help in time: capacity is not bought anew."""

Case = Mapping[str, Any]


def load(name: str) -> Case:
    """A case by its file name."""
    found: Case = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def facility_study(case: Case) -> Study:
    """The study of a facility-location case."""
    pools, demands, unit_cost = case["pools"], case["demands"], case["unit_cost"]
    everything = sum(d["amount"] for d in demands)
    capacities = [everything if q.get("capacity") is None else q["capacity"] for q in pools]
    machines = {capacity: f"serves-{capacity:g}" for capacity in capacities}
    provider = _providers(case)
    sites = [site(f"{provider[i]}/{q['id']}") for i, q in enumerate(pools)]
    there = [Pool(site=s.id, machine_type=machines[c]) for s, c in zip(sites, capacities, strict=True)]
    limited = any(cost is None for row in unit_cost for cost in row)
    origins = [Origin(name=d["id"], near=f"customer/{d['id']}", latitude=50.0, longitude=0.0) for d in demands]
    edges = [(i, j) for i in range(len(pools)) for j in range(len(demands))]
    bought = [
        offer(q.id, row["fixed_cost"], "build_out", most_units=1.0)
        for q, row in zip(there, pools, strict=True)
        if not row.get("must_open")
    ]
    return study(
        study=case["name"],
        detection_seconds=DETECTION_SECONDS,
        sites=tuple(sites),
        machine_types=tuple(machine_type(name, accelerators=1) for name in machines.values()),
        pools=tuple(there),
        bought=bought,
        holdings=tuple(
            Holding(pool=q.id, machines=1) for q, row in zip(there, pools, strict=True) if row.get("must_open")
        ),
        models=(
            model(
                "m",
                [
                    profile(name, "stack", capacity, accelerators_per_replica=1, load_seconds=LOAD_SECONDS)
                    for capacity, name in machines.items()
                ],
            ),
        ),
        origins=tuple(origins),
        round_trips=tuple(
            RoundTrip(
                from_region=origins[j].near or "",
                to_region=sites[i].region_id,
                round_trip_ms=FAR_MS if unit_cost[i][j] is None else NEAR_MS,
                **SOURCED,
            )
            for i, j in edges
            if limited
        ),
        tiers=(Tier(name="t", round_trip_ms=LIMIT_MS if limited else None, survive=_goals(case)),),
        workloads=(workload("w"),),
        demand={("w", d["id"]): d["amount"] for d in demands},
        request_costs=tuple(
            RequestCost(origin=origins[j].name, site=sites[i].id, usd_per_request=unit_cost[i][j] / SECONDS_PER_HOUR)
            for i, j in edges
            if unit_cost[i][j] is not None
        ),
    )


def machine_study(case: Case) -> Study:
    """The study of a case of whole machines by type, each demand with a throughput of its own: a context class each."""
    demands, pools = case["demands"], case["pools"]
    profiles = []
    for q, uses in zip(pools, case["use"], strict=True):
        points = tuple(
            OperatingPoint(
                context_class=d["id"],
                prefill_tokens_per_second=1e12,
                decode_tokens_per_second=1 / use,
                first_token_ms=100.0,
                per_token_ms=10.0,
                **SOURCED,
            )
            for d, use in zip(demands, uses, strict=True)
        )
        whole = profile(q["id"], "stack", 1.0, accelerators_per_replica=1)
        profiles.append(whole.model_copy(update={"classes": points}))
    return study(
        study=case["name"],
        sites=(site("any/site"),),
        machine_types=tuple(machine_type(q["id"], accelerators=1) for q in pools),
        pools=tuple(Pool(site="any/site", machine_type=q["id"]) for q in pools),
        bought=[offer(f"any/site/{q['id']}", q["unit_price"]) for q in pools],
        context_classes=tuple(ContextClass(name=d["id"], most_tokens=1000) for d in demands),
        models=(model("m", profiles),),
        tiers=(Tier(name="t"),),
        workloads=tuple(workload(d["id"], context_class=d["id"]) for d in demands),
        demand={(d["id"], "o"): d["amount"] for d in demands},
    )


def study_of(case: Case) -> Study:
    """The study of a case of either kind."""
    return machine_study(case) if "use" in case else facility_study(case)


def _providers(case: Case) -> list[str]:
    """Provider of each pool: the set of the case's failures that it is in, else one for all."""
    lost = case.get("failures", {}).get("list", ())
    return [next((f["id"] for f in lost if i in f["pools"]), "any") for i in range(len(case["pools"]))]


def _goals(case: Case) -> tuple[Goal, ...]:
    failures = case.get("failures")
    if failures is None:
        return ()
    if failures["kind"] == "any_k_pools":
        return (Goal(any="pool", of=failures["k"], within_seconds=WITHIN_SECONDS),)
    return (Goal(any="provider", within_seconds=WITHIN_SECONDS),)


def opened(case: Case, plan: PlanFile) -> set[str]:
    """Ids of the pools that are there: bought, or open from the start."""
    bought = {p.offer.split("/")[1] for p in plan.purchases if p.units}
    return bought | {q["id"] for q in case["pools"] if q.get("must_open")}


def fixed_cost(case: Case, plan: PlanFile) -> float:
    """Fixed cost of the pools that are open, from the case's own table."""
    return float(sum(q["fixed_cost"] for q in case["pools"] if q["id"] in opened(case, plan)))


def served(plan: PlanFile, failure: str) -> dict[tuple[str, str], float]:
    """(pool, demand) -> what the plan sends at the last clock of a failure."""
    rows = {s.failure: s for s in plan.states}
    state = rows["normal"] if rows[failure].same_as_normal else rows[failure]
    sent: dict[tuple[str, str], float] = {}
    columns = zip(state.origin, state.placement, state.requests_per_second, strict=True)
    for origin, placement, value in columns:
        pool = placement.partition("@")[2].split("/")[1]
        sent[pool, origin] = sent.get((pool, origin), 0.0) + value
    return sent


def transport_cost(case: Case, plan: PlanFile, failure: str = "normal") -> float:
    """Cost of what the plan sends in a failure, from the case's own table."""
    row = {q["id"]: i for i, q in enumerate(case["pools"])}
    column = {d["id"]: j for j, d in enumerate(case["demands"])}
    sent = served(plan, failure)
    return float(sum(case["unit_cost"][row[q]][column[d]] * value for (q, d), value in sent.items()))


def lost_in(case: Case) -> dict[str, set[str]]:
    """Failure id -> pools that it takes, by the case's own words; normal operation takes none."""
    ids = [q["id"] for q in case["pools"]]
    study = facility_study(case)
    failures = case.get("failures", {"kind": "none"})
    found: dict[str, set[str]] = {"normal": set()}
    if failures["kind"] == "any_k_pools":
        named = dict(zip(ids, (f"pool:{q.id}" for q in study.pools), strict=True))
        for some in itertools.combinations(ids, failures["k"]):
            found[" + ".join(sorted(named[q] for q in some))] = set(some)
    for f in failures.get("list", ()):
        found[f"provider:{f['id']}"] = {ids[i] for i in f["pools"]}
    return found
