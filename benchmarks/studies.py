"""Studies of several sizes from the shipped inventories, each the same for the same seed.

Pools and cities are drawn from the inventories, those of the quickstart first; workloads from what the shipped models
serve. The demand grows with the pools, so that a study of any size is about as full as the quickstart.
"""

import csv
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.study.read import data_folder, read_study
from planner.study.records.study import Goal, NamedFailure, Study, Tier

POOLS_PER_LOAD, REQUESTS_PER_SECOND = 10, 2200.0
"""Requests/s of ordinary streams that a study has for each so many pools."""
FIRST_SERVED = 3
"""Of what is served the first are in every study: two small models, and one with a long context."""


@dataclass(frozen=True)
class Served:
    """A model with a context class.

    Parameters
    ----------
    share : requests beside those of an ordinary stream, as one asks for more work
    input_tokens, output_tokens : means of a request; each workload has 60 to 100 % of them
    tiers : whose latency it can meet
    """

    model: str
    context_class: str
    share: float
    input_tokens: int
    output_tokens: int
    tiers: tuple[str, ...] = ("interactive", "standard", "batch")


SERVED = (
    Served("llama-3.3-70b", "short", 1.0, 1155, 211),
    Served("qwen3-32b", "short", 1.0, 2048, 28),
    Served("gpt-oss-120b", "long", 0.15, 12035, 343, ("long-context",)),
    Served("gpt-oss-120b", "short", 1.0, 2048, 211),
    Served("gpt-oss-120b", "medium", 0.3, 9000, 300),
    Served("llama-3.1-405b", "short", 0.05, 1155, 211, ("standard", "batch")),
    Served("qwen3-235b-a22b", "short", 0.15, 1155, 211),
    Served("qwen3-235b-a22b", "medium", 0.06, 9000, 300),
    Served("deepseek-r1", "short", 0.08, 1155, 211, ("standard", "batch")),
)
TIER_WEIGHTS = {"interactive": 5, "standard": 3, "batch": 2, "long-context": 1}
PATIENT = "batch"
"""The tier without a latency target."""
STANDARD: dict[str, Any] = {
    "name": "standard",
    "first_token_ms": 6000,
    "per_token_ms": 100,
    "round_trip_ms": 250,
    "outage_usd_per_request": 0.01,
    "survive": [
        {"any": "site", "serve_fraction": 0.8, "within_seconds": 300},
        {"any": "provider", "serve_fraction": 0.6, "within_seconds": 300},
    ],
}
"""A tier beside those of the quickstart."""
PAIR_FRACTION, PAIR_SECONDS, PAIR_SECONDS_STANDARD = 0.9, 60.0, 300.0
"""What is served, and until when, when two sites are lost."""


@dataclass(frozen=True)
class Size:
    """How large a study is."""

    workloads: int
    origins: int
    pools: int
    failures: int


SIZES = {
    "tiny": Size(3, 3, 8, 8),
    "newcomer": Size(6, 9, 15, 23),
    "small": Size(10, 6, 20, 20),
    "medium": Size(30, 8, 40, 40),
    "large": Size(100, 12, 60, 40),
    "huge": Size(400, 40, 79, 100),
}


def generated(size: Size, name: str = "generated", seed: int = 1) -> Study:
    """A study of a size; with the same seed, more failures or workloads are added to the same cities and pools.

    Replicas are filled to fixed shares: what peers know is linear.
    """
    quickstart = yaml.safe_load((data_folder("examples") / "quickstart" / "study.yaml").read_text("utf-8"))
    pools = _pools(size.pools, quickstart["pools"], random.Random(f"{seed} pools"))
    origins = _origins(size.origins, quickstart["origins"], random.Random(f"{seed} cities"))
    workloads, rows = _demand(size, [o["name"] for o in origins], random.Random(f"{seed} demand"))
    tiers = [*quickstart["tiers"], STANDARD]
    data = {
        "study": name,
        "schema_version": quickstart["schema_version"],
        "today": quickstart["today"],
        "horizon": quickstart["horizon"],
        "inventories": ["default"],
        "models": ["default"],
        "pools": pools,
        "demand": "demand.csv",
        "utilisation": {"basis": "fixed"},
        "origins": origins,
        "tiers": [tier for tier in tiers if tier["name"] in {PATIENT, *(w["tier"] for w in workloads)}],
        "workloads": workloads,
        "holdings": [row for row in quickstart["holdings"] if row["pool"] in pools],
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        with (Path(folder) / "demand.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("workload", "origin", "requests_per_second"))
            writer.writerows(rows)
        study, _ = read_study(Path(folder))
    return with_failures(servable(study), size.failures, random.Random(f"{seed} failures"))


def _pools(count: int, first: Iterable[str], chance: random.Random) -> list[str]:
    """Ids of pools, some first, then others that ship by chance; in order."""
    inventories = data_folder("inventories")
    shipped = []
    for path in sorted(inventories.glob("*/pools.csv")):
        with path.open(encoding="utf-8") as file:
            shipped += [f"{row['site']}/{row['machine_type']}" for row in csv.DictReader(file)]
    first = list(first)
    others = [q for q in shipped if q not in first]
    chance.shuffle(others)
    if count < len(first):
        chance.shuffle(first)
    return sorted([*first, *others][:count])


def _origins(count: int, first: Iterable[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Cities that requests come from, some first, then those of other regions with measured round trips by chance."""
    inventories = data_folder("inventories")
    with (inventories / "round_trips.csv").open(encoding="utf-8") as file:
        measured = {row["from_region"] for row in csv.DictReader(file)}
    origins = list(first)[:count]
    taken = {origin["name"] for origin in origins}
    with (inventories / "sites.csv").open(encoding="utf-8") as file:
        sites = [row for row in csv.DictReader(file) if f"{row['provider']}/{row['region']}" in measured]
    sites = [row for row in sites if row["jurisdiction"] != "CN"]
    chance.shuffle(sites)
    for row in sites:
        words = "".join(sign if sign.isalnum() else " " for sign in row["city"].lower()).split()
        name = "-".join(words)
        if len(origins) < count and name.isascii() and name not in taken:
            taken.add(name)
            near = f"{row['provider']}/{row['region']}"
            place = {"latitude": float(row["latitude"]), "longitude": float(row["longitude"])}
            origins.append({"name": name, "near": near, **place})
    return origins


def _demand(
    size: Size, origins: list[str], chance: random.Random
) -> tuple[list[dict[str, Any]], list[tuple[str, str, float]]]:
    """Workloads, and rows of the demand (workload, origin, requests/s)."""
    workloads, rows = [], []
    ordinary = REQUESTS_PER_SECOND * max(1.0, size.pools / POOLS_PER_LOAD) / (size.workloads * len(origins))
    for n in range(size.workloads):
        served = SERVED[n] if n < FIRST_SERVED else chance.choice(SERVED)
        weights = [TIER_WEIGHTS[tier] for tier in served.tiers]
        tier = served.tiers[0] if n < FIRST_SERVED else chance.choices(served.tiers, weights)[0]
        workloads.append(
            {
                "name": f"w{n}",
                "model": served.model,
                "context_class": served.context_class,
                "tier": tier,
                "mean_input_tokens": round(served.input_tokens * chance.uniform(0.6, 1.0)),
                "mean_output_tokens": round(served.output_tokens * chance.uniform(0.6, 1.0)),
                "burst_factor": 1.0,
            }
        )
        for o in origins:
            rows.append((f"w{n}", o, round(ordinary * served.share * chance.uniform(0.5, 1.5), 4)))
    return workloads, rows


def servable(study: Study) -> Study:
    """A study in which every stream has a placement that may serve it.

    A workload with a stream that nothing near enough serves is patient, and where that is not enough a small model.
    """
    small = SERVED[FIRST_SERVED - 2]
    model = {"model": small.model, "context_class": small.context_class}
    tokens = {"mean_input_tokens": small.input_tokens, "mean_output_tokens": small.output_tokens}
    for change in ({"tier": PATIENT}, {"tier": PATIENT, **model, **tokens}):
        without = {w for w, _ in workloads_without_edge(build(study, with_goals=False))}
        changed = (w.model_copy(update=change) if w.name in without else w for w in study.workloads)
        study = study.model_copy(update={"workloads": tuple(changed)})
    return study


def with_failures(study: Study, count: int, chance: random.Random) -> Study:
    """A study that survives so many failures: fewer sites than there are, or pairs of sites beside them.

    Raises
    ------
    ValueError
        when there are fewer sites than failures to leave out, or too few pairs of them
    """
    sites = sorted({q.site for q in study.pools})
    providers = {site.partition("/")[0] for site in sites}
    machine_types = {q.machine_type for q in study.pools}
    serving = {w.model for w in study.workloads}
    stacks = {
        profile.stack
        for model in study.models
        for profile in model.profiles
        if model.model in serving and profile.machine_type in machine_types
    }
    singles = len(sites) + len(providers) + len(stacks)
    if count <= singles:
        spared = chance.sample(sites, len(sites))[: singles - count]
        return study.model_copy(update={"tiers": tuple(_sparing(tier, spared) for tier in study.tiers)})
    pairs = [(one, other) for i, one in enumerate(sites) for other in sites[i + 1 :]]
    if count - singles > len(pairs):
        raise ValueError(f"{count} failures of {len(sites)} sites: there are {singles + len(pairs)}")
    lost = chance.sample(pairs, len(pairs))[: count - singles]
    named = tuple(
        NamedFailure(name=f"pair-{n}", lost={f"site:{one}": 1.0, f"site:{other}": 1.0})
        for n, (one, other) in enumerate(lost)
    )
    tiers = tuple(_surviving(tier, named) for tier in study.tiers)
    return study.model_copy(update={"tiers": tiers, "failures": named})


def _sparing(tier: Tier, sites: list[str]) -> Tier:
    """A tier whose goals leave some sites out."""
    goals = [g.model_copy(update={"except_": tuple(sites)}) if g.any == "site" else g for g in tier.survive]
    return tier.model_copy(update={"survive": tuple(goals)})


def _surviving(tier: Tier, named: tuple[NamedFailure, ...]) -> Tier:
    """A tier with goals for further failures, where it has any."""
    if not tier.survive:
        return tier
    seconds = PAIR_SECONDS_STANDARD if tier.name == "standard" else PAIR_SECONDS
    goals = [Goal(failure=f.name, serve_fraction=PAIR_FRACTION, within_seconds=seconds) for f in named]
    return tier.model_copy(update={"survive": (*tier.survive, *goals)})
