"""`planner init --from`: a study from what runs today, with everything that a fleet does not say assumed."""

import math
import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from planner.importers import new_study
from planner.importers.catalogue import context_classes, machine_types, pools, profiles
from planner.problem.build import build
from planner.problem.eligibility import replica_seconds_per_request
from planner.study.checks.fleet import check_integer_replicas
from planner.study.dependencies import placement_id
from planner.study.files import write_new_folder
from planner.study.latency import reaches
from planner.study.places import Reading, Row, near_miss, printable_path, quoted, read_record
from planner.study.read import KEYS, data_folder, read_fleet, read_study
from planner.study.records.base import SCHEMA_VERSION
from planner.study.records.inventory import Pool, Site
from planner.study.records.serving import Model, OperatingPoint
from planner.study.records.study import Origin, RunningReplicas, Study, Workload
from planner.study.tables import read_csv, read_yaml

Fleet = list[RunningReplicas]
Placement = tuple[str, str]
"""(pool, profile)"""


def start_from_fleet(
    folder: Path, fleet_path: Path, today: date | None = None, schemas: Mapping[str, str] = {}
) -> list[Path]:
    """Start a study from what runs today; returns the files written.

    Parameters
    ----------
    folder : new or empty; gets study.yaml, demand.csv and fleet.csv
    fleet_path : CSV with the fields of `RunningReplicas` as columns; pools and profiles are those that ship, an origin
        is called by a city of sites.csv, by `provider/region`, by a region, or as in an example
    today : day from which the study counts; none: today
    schemas : file name -> text, of those that editors check the files by

    The traffic is what the replicas can carry in time, each route by its weight: it is assumed, as the fleet does not
    say what it serves. Holdings are the machines that the replicas need.

    Raises
    ------
    InputError
        with every finding, when the fleet cannot be read or resolved, or the folder cannot be written
    """
    new_study.check_new(folder)
    reading = Reading()
    rows = read_csv(RunningReplicas, fleet_path, reading, KEYS[RunningReplicas])
    if not rows and not reading.findings:
        fix = "a row for each route: workload,origin,pool,profile,replicas,weight"
        reading.error(printable_path(fleet_path), "rows of a fleet", "none", fix)
    _check_fleet(rows, reading)
    reading.raise_errors()
    fleet = [row for row, _ in rows]
    workloads = _workloads(fleet)
    study = _study(folder.resolve().name or "fleet", fleet, workloads, today or date.today())
    files = {"study.yaml": new_study.study_text(study), "demand.csv": _demand(fleet, workloads, {})}
    with TemporaryDirectory() as temporary:
        draft = Path(temporary)

        def read_draft() -> Study:
            for name, text in files.items():
                (draft / name).write_text(text, encoding="utf-8")
            return read_study(draft)[0]

        _limit_round_trips(study, fleet, workloads, read_draft())  # known once the study can be read
        files["study.yaml"] = new_study.study_text(study)
        files["demand.csv"] = _demand(fleet, workloads, _filled(read_draft(), fleet))
        read_fleet(fleet_path, read_draft())
    contents = {name: text.encode() for name, text in files.items()}
    return write_new_folder(
        folder, {**contents, "fleet.csv": fleet_path.read_bytes(), **new_study.schemas_beside(schemas)}
    )


@cache
def _locations() -> dict[str, dict[str, Any]]:
    """Where an origin is, by every name it may be called by: a city, a region, an origin of an example."""
    inventory, locations = data_folder("inventories"), dict[str, dict[str, Any]]()
    for site, _ in reversed(read_csv(Site, inventory / "sites.csv", Reading(), KEYS[Site])):
        location = {"near": site.region_id, "latitude": site.latitude, "longitude": site.longitude}
        locations |= dict.fromkeys((_slug(site.city), site.region, site.region_id), location)
    for file in sorted(data_folder("examples").glob("*/study.yaml")):
        document = read_yaml(file, Reading())
        if document is None:
            continue
        data, place = document
        for i, item in enumerate(data.get("origins", ())):
            origin = read_record(Origin, item, place.within("origins", i), Reading())
            if origin is not None and origin.near in locations:
                locations[_slug(origin.name)] = origin.model_dump(exclude={"name"}, exclude_none=True)
    return locations


def _location(name: str) -> dict[str, Any] | None:
    """Where an origin of the fleet is; None when it is called by no name that is known."""
    return _locations().get(_slug(name)) or _locations().get(name)


def _slug(name: str) -> str:
    """`New York` as people write it in a file: `new-york`."""
    return re.sub(r"[^a-z0-9/]+", "-", name.lower()).strip("-")


def _check_fleet(rows: list[Row[RunningReplicas]], reading: Reading) -> None:
    """Pools, profiles and origins are known, fit each other, and each route has replicas behind it."""
    models: dict[str, tuple[str, str]] = {}
    replicas: dict[tuple[str, str], tuple[float, str]] = {}
    weights: dict[tuple[str, str], tuple[float, str]] = {}
    for row, place in rows:
        _check_names(row, place, reading)
        check_integer_replicas(row, place, reading)
        if row.weight > 0 and row.replicas == 0:
            fix = "remove the row, or state the replicas of the pool"
            reading.error(place.at("replicas"), "replicas behind a route with a weight", "0", fix)
        count, at = replicas.setdefault((row.pool, row.profile), (row.replicas, place.at()))
        if count != row.replicas:
            fix = "give every row the replicas of the whole pool; the weight tells how they are shared"
            reading.error(place.at("replicas"), f"{count:g} as at {at}", f"{row.replicas:g}", fix)
        model = profiles()[row.profile][0] if row.profile in profiles() else row.profile
        first, at = models.setdefault(row.workload, (model, place.at()))
        if first != model:
            fix = "give each model a workload of its own"
            reading.error(place.at("profile"), f"{first}, the model of {row.workload} at {at}", model, fix)
        weight, at = weights.setdefault((row.workload, row.origin), (0.0, place.at("weight")))
        weights[row.workload, row.origin] = (weight + row.weight, at)
    for (workload, origin), (weight, at) in weights.items():
        if weight == 0:
            got = f"none for {workload} from {origin}"
            reading.error(at, "a route with a weight above 0", got, "give a route a weight, or remove the rows")
    if reading.findings:
        return
    for workload in models:
        of_workload = [(row, place) for row, place in rows if row.workload == workload]
        if not _admitted([row for row, _ in of_workload]):
            fix = "give the requests of each context class a workload of their own"
            where, expected = of_workload[0][1].at("profile"), "a context class that all profiles of a workload admit"
            reading.error(where, expected, f"none for {workload}", fix)


def _check_names(row: RunningReplicas, place: Any, reading: Reading) -> None:
    """Pool, profile and origin of a row are known, and the profile is for the machines of the pool."""
    fix = None if _slug(row.profile) else "write model/profile"
    expected = "a profile (model/profile) that ships"
    pool_known = reading.refer(place.at("pool"), Pool, "a pool that ships", row.pool, pools())
    profile_known = reading.refer(place.at("profile"), Model, expected, row.profile, profiles(), fix)
    if _location(row.origin) is None:
        got = quoted(row.origin) + near_miss(_slug(row.origin), _locations())
        fix = "call the origin by the city or the region (provider/region) where its requests enter"
        reading.error(place.at("origin"), "a city of sites.csv, or a region", got, fix)
    if not (pool_known and profile_known):
        return
    machine, of_pool = profiles()[row.profile][1].machine_type, pools()[row.pool].machine_type
    if machine != of_pool:
        fix = "name the profile made for that machine type, or correct the pool"
        reading.error(place.at("profile"), f"a profile for {of_pool}", f"one for {machine}", fix)


def _points(row: RunningReplicas) -> dict[str, OperatingPoint]:
    """The operating points of what a row runs, by context class."""
    return {point.context_class: point for point in profiles()[row.profile][1].classes}


def _admitted(rows: Fleet) -> list[str]:
    """Context classes that all profiles of these rows admit, the shortest first."""
    return [c.name for c in context_classes() if all(c.name in _points(row) for row in rows)]


def _workloads(fleet: Fleet) -> dict[str, Workload]:
    """Workloads by name: model of the profiles; the class its name says, else the longest that all of them admit."""
    workloads = {}
    for name in dict.fromkeys(row.workload for row in fleet):
        rows = [row for row in fleet if row.workload == name]
        classes = _admitted(rows)
        context_class = next((c for c in classes if c in name.lower()), classes[-1])
        tier = "interactive" if context_class == context_classes()[0].name else "long-context"
        if "batch" in name.lower() or "offline" in name.lower():
            tier = "batch"
        mean_input, mean_output = new_study.MEAN_TOKENS.get(context_class, new_study.LONG_MEAN_TOKENS)
        workloads[name] = Workload(
            name=name,
            model=profiles()[rows[0].profile][0],
            context_class=context_class,
            tier=tier,
            mean_input_tokens=mean_input,
            mean_output_tokens=mean_output,
        )
    return workloads


def _study(name: str, fleet: Fleet, workloads: dict[str, Workload], day: date) -> dict[str, Any]:
    """The study file as plain data; round trips are limited later."""
    tiers = dict.fromkeys(workload.tier for workload in workloads.values())
    return {
        "study": name,
        "schema_version": SCHEMA_VERSION,
        "today": day,
        "horizon": {"start": date(day.year + (day.month + 1) // 12, (day.month + 1) % 12 + 1, 1), "months": 12},
        "inventories": ["default"],
        "models": ["default"],
        "pools": ["*"],
        "demand": "demand.csv",
        "origins": [{"name": name, **(_location(name) or {})} for name in dict.fromkeys(row.origin for row in fleet)],
        "tiers": [_tier(tier, fleet, workloads) for tier in tiers],
        "workloads": [workload.model_dump(exclude_defaults=True) for workload in workloads.values()],
        "holdings": _holdings(fleet),
        "assumptions": list(new_study.ASSUMPTIONS),
    }


def _tier(name: str, fleet: Fleet, workloads: dict[str, Workload]) -> dict[str, Any]:
    """A tier whose targets today's fleet meets."""
    tier = {"name": name, **deepcopy(new_study.TIERS[name])}  # YAML would write what stands in two tiers as an alias
    if name != "batch":
        points = _points_of_tier(name, fleet, workloads)
        tier["first_token_ms"] = max(tier["first_token_ms"], math.ceil(_first_ms(points) / 100) * 100.0)
        per_ms = max(p.per_token_ms if p.per_token_ms_high is None else p.per_token_ms_high for p in points)
        tier["per_token_ms"] = max(tier["per_token_ms"], math.ceil(per_ms / 5) * 5.0)
    return tier


def _points_of_tier(name: str, fleet: Fleet, workloads: dict[str, Workload]) -> list[OperatingPoint]:
    return [p for row in fleet if workloads[row.workload].tier == name for p in _points(row).values()]


def _first_ms(points: list[OperatingPoint]) -> float:
    """The longest time to a first token, by high ends where known, when nothing waits."""
    return max(p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in points)


def _limit_round_trips(study: dict[str, Any], fleet: Fleet, workloads: dict[str, Workload], read: Study) -> None:
    """Give tiers with goals a limit on round trips, and a first token after them, which today's routes keep."""
    known, sites = reaches(read), {pool.id: pool.site for pool in read.pools}
    for tier in study["tiers"]:
        routes = [known.get((r.origin, sites[r.pool])) for r in fleet if workloads[r.workload].tier == tier["name"]]
        if tier["name"] == "batch" or None in routes:
            continue
        longest = max(route.round_trip_ms for route in routes if route is not None)
        tier["round_trip_ms"] = max(new_study.ROUND_TRIP_MS, math.ceil(longest / 10) * 10.0)
        tier["round_trip_ms_in_failure"] = max(new_study.ROUND_TRIP_IN_FAILURE_MS, tier["round_trip_ms"])
        first_ms = _first_ms(_points_of_tier(tier["name"], fleet, workloads)) + longest
        tier["first_token_ms"] = max(tier["first_token_ms"], math.ceil(first_ms / 100) * 100.0)


def _filled(study: Study, fleet: Fleet) -> dict[Placement, float]:
    """(pool, profile) -> how far so many replicas as run there may be filled, so that first tokens come in time."""
    waiting = build(study, with_goals=False).waiting
    assert waiting is not None, "a new study fills by waiting"
    filled = {}
    for row in fleet:
        e = placement_id(row.profile, row.pool)
        if e in waiting.queues:  # some route leads there
            filled[row.pool, row.profile] = float(waiting.largest(False, [e], [row.replicas])[0])
    return filled


def _holdings(fleet: Fleet) -> list[dict[str, Any]]:
    """Machines that the replicas need, by pool, whole."""
    need: dict[str, float] = {}
    for pool, profile_id, replicas in sorted({(row.pool, row.profile, row.replicas) for row in fleet}):
        profile = profiles()[profile_id][1]
        machines = replicas * profile.accelerators_per_replica / machine_types()[profile.machine_type].accelerators
        need[pool] = need.get(pool, 0.0) + machines
    return [{"pool": pool, "machines": math.ceil(n - 1e-9)} for pool, n in sorted(need.items()) if n > 1e-9]


def _demand(fleet: Fleet, workloads: dict[str, Workload], filled: Mapping[Placement, float]) -> str:
    """What the replicas carry when filled so far, or in full where nothing is said, as demand.csv [requests/s].

    Each route gets of a pool's replicas what is its share of the weights there; the demand of a stream is the least
    that its routes carry, each by its weight. What is left is filled up: all streams grow by the same factor until a
    pool is full, then those that do not touch it go on.
    """
    weights: dict[tuple[str, str], float] = {}
    for row in fleet:
        weights[row.workload, row.origin] = weights.get((row.workload, row.origin), 0.0) + row.weight
    seconds: dict[tuple[str, str], dict[Placement, float]] = {}  # stream: placement: replica-seconds a request
    replicas: dict[Placement, float] = {}
    for row in fleet:
        if row.weight > 0:
            workload, stream, placement = workloads[row.workload], (row.workload, row.origin), (row.pool, row.profile)
            of_one = replica_seconds_per_request(workload, _points(row)[workload.context_class])
            seconds.setdefault(stream, {})[placement] = of_one * row.weight / weights[stream]
            replicas[placement] = row.replicas
    load = np.array([[placements.get(e, 0.0) for e in replicas] for placements in seconds.values()])
    capacity = np.array([filled.get(e, 1.0) * count for e, count in replicas.items()])
    used_by = load > 0
    share = np.where(used_by, capacity / used_by.sum(axis=0) / np.where(used_by, load, 1.0), np.inf)
    base = share.min(axis=1)
    rates, growing = base.copy(), np.ones(len(base), bool)
    while growing.any():
        faster = (base * growing) @ load
        steps = np.where(faster > 0, (capacity - rates @ load) / np.where(faster > 0, faster, 1.0), np.inf)
        step = steps.min()
        rates += max(0.0, step) * base * growing
        growing &= ~used_by[:, steps <= step * (1 + 1e-9) + 1e-12].any(axis=1)
    table = pd.DataFrame(seconds.keys(), columns=["workload", "origin"])
    table["requests_per_second"] = [_rounded_down(rate) for rate in rates]
    return table.to_csv(index=False, float_format="%.4g", lineterminator="\n")


def _rounded_down(figure: float) -> float:
    """Three digits, never more than the figure."""
    digits = 2 - math.floor(math.log10(figure))
    return math.floor(figure * 10.0**digits) / 10.0**digits
