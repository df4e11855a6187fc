"""`planner init`: a ready study in a new folder, from an example or from what runs today."""

import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from planner.errors import Finding, InputError
from planner.problem.eligibility import replica_seconds_per_request
from planner.study.checks.fleet import check_integer_replicas
from planner.study.dependencies import profile_id
from planner.study.files import write_new_folder
from planner.study.latency import reaches
from planner.study.places import Reading, Row, near_miss, printable_path, quoted, read_record, sorted_findings
from planner.study.read import KEYS, data_folder, read_fleet, read_study
from planner.study.records.base import SCHEMA_VERSION
from planner.study.records.inventory import MachineType, Pool, Site
from planner.study.records.serving import ContextClass, Model, Profile
from planner.study.records.study import Origin, RunningReplicas, Study, Utilisation, Workload
from planner.study.tables import read_csv, read_list, read_yaml


def start_study(folder: Path, example: str) -> list[Path]:
    """Copy an example that ships with the project into a new folder, its README too; returns the files written.

    Raises
    ------
    InputError
        when there is no such example, the folder exists and is not empty, or it cannot be written
    """
    examples = data_folder("examples")
    known = sorted(path.parent.name for path in examples.glob("*/study.yaml"))
    if example not in known:
        raise InputError([Finding("--example", f"one of {', '.join(known)}", repr(example), "name one of these")])
    _check_new(folder)
    sources = [p for p in sorted((examples / example).rglob("*")) if p.suffix in (".yaml", ".csv", ".md")]
    return write_new_folder(folder, {str(p.relative_to(examples / example)): p.read_bytes() for p in sources})


GOALS: list[dict[str, Any]] = [
    {"any": "provider", "serve_fraction": 1.0, "within_seconds": 300},
    {"any": "site", "serve_fraction": 1.0, "within_seconds": 60},
    {"any": "stack", "serve_fraction": 0.8, "within_seconds": 300},
]
"""What a first study asks of every tier but batch."""
TARGETS = {"interactive": (2000.0, 60.0), "long-context": (10000.0, 80.0)}
"""Time to first token and per output token of the tiers [ms]; raised where today's fleet is slower."""
ROUND_TRIP_MS, ROUND_TRIP_IN_FAILURE_MS = 150.0, 250.0
MEAN_TOKENS = {"short": (1155.0, 211.0), "medium": (8192.0, 343.0)}
"""Mean input and output of a request [tokens]: Azure LLM inference trace 2023, conversation (CC-BY-4.0, Microsoft); of
medium ones the input for which their speeds are stated (assumed), so that every profile that ships holds them."""
LONG_MEAN_TOKENS = (12035.0, 343.0)
"""The same of longer classes: Mooncake conversation trace (Apache-2.0)."""
OUTAGE_USD_PER_REQUEST = {"interactive": 0.02, "long-context": 0.05, "batch": 0.001}

STUDY_HEAD = """\
# Started from what runs today (fleet.csv). What the fleet does not say is assumed, and said under `assumptions`:
# replace first demand.csv, then the workloads' mean tokens and context classes, then the tiers' targets and goals.
# `pools` decides what may be bought: all that ships, unless you narrow it.
"""


@dataclass(frozen=True)
class _Shipped:
    """What a fleet is resolved against."""

    machine_types: dict[str, MachineType]
    pools: dict[str, Pool]
    models: dict[str, Model]
    classes: list[ContextClass]
    places: dict[str, dict[str, Any]]


def start_from_fleet(folder: Path, fleet_path: Path, today: date | None = None) -> list[Path]:
    """Start a study from what runs today; returns the files written.

    Parameters
    ----------
    folder : new or empty; gets study.yaml, demand.csv and fleet.csv
    fleet_path : CSV with the fields of `RunningReplicas` as columns; pools and profiles are those that ship, an origin
        is called by a city of sites.csv, by `provider/region`, by a region, or as in an example
    today : day from which the study counts; none: today

    The traffic is what the replicas can carry at the normal utilisation, each route by its weight: it is assumed, as
    the fleet does not say what it serves. Holdings are the machines that the replicas need.

    Raises
    ------
    InputError
        with every finding, when the fleet cannot be read or resolved, or the folder cannot be written
    """
    _check_new(folder)
    reading = Reading()
    shipped = _shipped(reading)
    rows = read_csv(RunningReplicas, fleet_path, reading, KEYS[RunningReplicas])
    if not rows and not reading.findings:
        fix = "a row for each route: workload,origin,pool,profile,replicas,weight"
        reading.error(printable_path(fleet_path), "rows of a fleet", "none", fix)
    _check_fleet(rows, shipped, reading)
    if reading.findings:
        raise InputError(sorted_findings(reading.findings))
    fleet = [row for row, _ in rows]
    day = today or date.today()
    workloads = _workloads(fleet, shipped)
    study = _study(folder, fleet, workloads, shipped, day)
    files = {"study.yaml": "", "demand.csv": _demand(fleet, workloads, shipped, Utilisation().normal)}
    with TemporaryDirectory() as temporary:
        for limits in (False, True):  # round trips are known once the study can be read
            if limits:
                _limit_round_trips(study, fleet, workloads, read_study(Path(temporary))[0])
            files["study.yaml"] = STUDY_HEAD + _yaml(study)
            for name, text in files.items():
                (Path(temporary) / name).write_text(text, encoding="utf-8")
        made, _ = read_study(Path(temporary))
        read_fleet(fleet_path, made)
    whole = {name: text.encode() for name, text in files.items()}
    return write_new_folder(folder, {**whole, "fleet.csv": fleet_path.read_bytes()})


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            [Finding(str(folder), "a folder that is new or empty", "one that has files", "name another folder")]
        )


def _yaml(study: dict[str, Any]) -> str:
    """YAML as people write it: a record a line, a text a line."""
    texts = {"assumptions": study["assumptions"]}
    records = {name: value for name, value in study.items() if name not in texts}
    return "".join(
        yaml.safe_dump(part, sort_keys=False, default_flow_style=flow, width=1000, allow_unicode=True)
        for part, flow in ((records, None), (texts, False))
    )


def _shipped(reading: Reading) -> _Shipped:
    """Inventories, models and places that ship."""
    inventory, models, examples = data_folder("inventories"), data_folder("models"), data_folder("examples")
    found: dict[str, Model] = {}
    for file in sorted(models.glob("*.yaml")):
        document = read_yaml(file, reading) if file.name != "context_classes.yaml" else None
        model = read_record(Model, *document, reading) if document is not None else None
        if model is not None:
            found[model.model] = model
    places: dict[str, dict[str, Any]] = {}
    for site, _ in reversed(read_csv(Site, inventory / "sites.csv", reading, KEYS[Site])):
        place = {"near": site.region_id, "latitude": site.latitude, "longitude": site.longitude}
        places |= dict.fromkeys((_slug(site.city), site.region, site.region_id), place)
    for file in sorted(examples.glob("*/study.yaml")):
        document = read_yaml(file, Reading())
        for i, item in enumerate(document[0].get("origins", ()) if document is not None else ()):
            origin = read_record(Origin, item, document[1].within("origins", i), Reading()) if document else None
            if origin is not None and origin.near is not None and origin.near in places:
                places[_slug(origin.name)] = origin.model_dump(exclude={"name"}, exclude_none=True)
    pools = [row for f in sorted(inventory.glob("*/pools.csv")) for row in read_csv(Pool, f, reading, KEYS[Pool])]
    return _Shipped(
        machine_types={m.name: m for m, _ in read_list(MachineType, inventory / "machine_types.yaml", reading)},
        pools={pool.id: pool for pool, _ in pools},
        models=found,
        classes=sorted(
            (c for c, _ in read_list(ContextClass, models / "context_classes.yaml", reading)),
            key=lambda c: c.most_tokens,
        ),
        places=places,
    )


def _slug(name: str) -> str:
    """`New York` as people write it in a file: `new-york`."""
    return re.sub(r"[^a-z0-9/]+", "-", name.lower()).strip("-")


def _profiles(shipped: _Shipped) -> dict[str, Profile]:
    return {profile_id(m.model, p.name): p for m in shipped.models.values() for p in m.profiles}


def _models_of(shipped: _Shipped) -> dict[str, str]:
    """Id of a profile -> its model."""
    return {profile_id(m.model, p.name): m.model for m in shipped.models.values() for p in m.profiles}


def _check_fleet(rows: list[Row[RunningReplicas]], shipped: _Shipped, reading: Reading) -> None:
    """Pools, profiles and origins are known, fit each other, and each route has replicas behind it."""
    profiles, models_of = _profiles(shipped), _models_of(shipped)
    models: dict[str, tuple[str, str]] = {}
    replicas: dict[tuple[str, str], tuple[float, str]] = {}
    weights: dict[tuple[str, str], tuple[float, str]] = {}
    for row, place in rows:
        known = reading.refer(place.at("pool"), Pool, "a pool that ships", row.pool, shipped.pools)
        fix = None if _slug(row.profile) else "write model/profile"
        known &= reading.refer(
            place.at("profile"), Model, "a profile (model/profile) that ships", row.profile, profiles, fix
        )
        if _slug(row.origin) not in shipped.places and row.origin not in shipped.places:
            got = quoted(row.origin) + near_miss(_slug(row.origin), shipped.places)
            fix = "call the origin by the city or the region (provider/region) where its requests enter"
            reading.error(place.at("origin"), "a city of sites.csv, or a region", got, fix)
        if known and profiles[row.profile].machine_type != shipped.pools[row.pool].machine_type:
            machine = profiles[row.profile].machine_type
            fix = "name the profile made for that machine type, or correct the pool"
            reading.error(
                place.at("profile"), f"a profile for {shipped.pools[row.pool].machine_type}", f"one for {machine}", fix
            )
        check_integer_replicas(row, place, reading)
        if row.weight > 0 and row.replicas == 0:
            fix = "remove the row, or state the replicas of the pool"
            reading.error(place.at("replicas"), "replicas behind a route with a weight", "0", fix)
        count, at = replicas.setdefault((row.pool, row.profile), (row.replicas, place.at()))
        if count != row.replicas:
            fix = "give every row the replicas of the whole pool; the weight tells how they are shared"
            reading.error(place.at("replicas"), f"{count:g} as at {at}", f"{row.replicas:g}", fix)
        model = models_of.get(row.profile, row.profile)
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
    for workload in dict.fromkeys(row.workload for row, _ in rows) if not reading.findings else ():
        mine = [(row, place) for row, place in rows if row.workload == workload]
        if not _admitted([row for row, _ in mine], shipped):
            fix = "give the requests of each context class a workload of their own"
            got = f"none for {workload}"
            reading.error(mine[0][1].at("profile"), "a context class that all profiles of a workload admit", got, fix)


def _admitted(rows: list[RunningReplicas], shipped: _Shipped) -> list[str]:
    """Context classes that all profiles of some rows admit, the shortest first."""
    profiles = _profiles(shipped)
    each = [{p.context_class for p in profiles[row.profile].classes} for row in rows]
    return [c.name for c in shipped.classes if all(c.name in admitted for admitted in each)]


def _workloads(fleet: list[RunningReplicas], shipped: _Shipped) -> dict[str, Workload]:
    """Workloads by name: model of the profiles; the class its name says, else the longest that all of them admit."""
    made = {}
    for name in dict.fromkeys(row.workload for row in fleet):
        mine = [row for row in fleet if row.workload == name]
        classes = _admitted(mine, shipped)
        of = next((c for c in classes if c in name.lower()), classes[-1])
        batch = any(word in name.lower() for word in ("batch", "offline"))
        tier = "batch" if batch else "interactive" if of == shipped.classes[0].name else "long-context"
        tokens = MEAN_TOKENS.get(of, LONG_MEAN_TOKENS)
        made[name] = Workload(
            name=name,
            model=_models_of(shipped)[mine[0].profile],
            context_class=of,
            tier=tier,
            mean_input_tokens=tokens[0],
            mean_output_tokens=tokens[1],
        )
    return made


def _study(
    folder: Path, fleet: list[RunningReplicas], workloads: dict[str, Workload], shipped: _Shipped, day: date
) -> dict[str, Any]:
    """The study file as plain data; round trips are limited later."""
    start = date(day.year + (day.month + 1) // 12, (day.month + 1) % 12 + 1, 1)
    assumptions = [
        "Demand is assumed: what the replicas of fleet.csv can carry at the normal utilisation, by weight of routes.",
        "Mean tokens are assumed. Short requests: Azure LLM inference trace 2023, conversation (CC-BY-4.0, Microsoft).",
        "Mean tokens of longer requests: Mooncake conversation trace (Apache-2.0), but medium input: 8192, assumed.",
        "The context class of a workload is what its name says, else the longest that all of its profiles admit.",
        "Tiers, targets, survival goals and the cost of an outage are a first proposal.",
        "Holdings are the machines that today's replicas need, and last beyond the horizon.",
        "Speeds, prices and stock are those that ship; evidence stands with each.",
    ]
    return {
        "study": folder.resolve().name or "fleet",
        "schema_version": SCHEMA_VERSION,
        "today": day,
        "horizon": {"start": start, "months": 12},
        "inventories": ["default"],
        "models": ["default"],
        "pools": ["*"],
        "demand": "demand.csv",
        "origins": [
            {"name": name, **(shipped.places.get(_slug(name)) or shipped.places[name])}
            for name in dict.fromkeys(row.origin for row in fleet)
        ],
        "tiers": [_tier(name, fleet, workloads, shipped) for name in dict.fromkeys(w.tier for w in workloads.values())],
        "workloads": [w.model_dump(exclude_defaults=True) for w in workloads.values()],
        "holdings": [{"pool": pool, "machines": n} for pool, n in sorted(_machines(fleet, shipped).items()) if n],
        "assumptions": assumptions,
    }


def _tier(name: str, fleet: list[RunningReplicas], workloads: dict[str, Workload], shipped: _Shipped) -> dict[str, Any]:
    """A tier whose targets today's fleet meets."""
    if name == "batch":
        return {"name": name, "outage_usd_per_request": OUTAGE_USD_PER_REQUEST[name]}
    profiles = _profiles(shipped)
    points = [p for row in fleet if workloads[row.workload].tier == name for p in profiles[row.profile].classes]
    first = max(p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in points)
    per = max(p.per_token_ms for p in points)
    return {
        "name": name,
        "first_token_ms": max(TARGETS[name][0], math.ceil(first / 100) * 100.0),
        "per_token_ms": max(TARGETS[name][1], math.ceil(per / 5) * 5.0),
        "outage_usd_per_request": OUTAGE_USD_PER_REQUEST[name],
        "survive": [dict(goal) for goal in GOALS],
    }


def _limit_round_trips(
    study: dict[str, Any], fleet: list[RunningReplicas], workloads: dict[str, Workload], read: Study
) -> None:
    """Give tiers with goals a limit on round trips, which today's routes keep."""
    known, pools = reaches(read), {pool.id: pool.site for pool in read.pools}
    for tier in study["tiers"]:
        routes = [known.get((r.origin, pools[r.pool])) for r in fleet if workloads[r.workload].tier == tier["name"]]
        if tier["name"] == "batch" or None in routes:
            continue
        longest = max(route.round_trip_ms for route in routes if route is not None)
        tier["round_trip_ms"] = max(ROUND_TRIP_MS, math.ceil(longest / 10) * 10.0)
        tier["round_trip_ms_in_failure"] = max(ROUND_TRIP_IN_FAILURE_MS, tier["round_trip_ms"])


def _machines(fleet: list[RunningReplicas], shipped: _Shipped) -> dict[str, int]:
    """Machines that the replicas need, by pool, whole."""
    profiles = _profiles(shipped)
    need: dict[str, float] = {}
    for pool, profile, replicas in sorted({(row.pool, row.profile, row.replicas) for row in fleet}):
        chips = shipped.machine_types[profiles[profile].machine_type].accelerators
        need[pool] = need.get(pool, 0.0) + replicas * profiles[profile].accelerators_per_replica / chips
    return {pool: math.ceil(n - 1e-9) for pool, n in need.items()}


def _demand(fleet: list[RunningReplicas], workloads: dict[str, Workload], shipped: _Shipped, utilisation: float) -> str:
    """What the replicas carry at a utilisation, as demand.csv [requests/s].

    Each route gets of a pool's replicas what is its share of the weights there; the demand of a stream is the least
    that its routes carry, each by its weight. What is left is filled up: all streams grow by the same factor until a
    pool is full, then those that do not touch it go on.
    """
    profiles = _profiles(shipped)
    total: dict[tuple[str, str], float] = {}
    for row in fleet:
        total[row.workload, row.origin] = total.get((row.workload, row.origin), 0.0) + row.weight
    load: dict[tuple[str, str], dict[tuple[str, str], float]] = {}  # stream: placement: replica-seconds a request
    room: dict[tuple[str, str], float] = {}
    for row in fleet:
        if row.weight == 0:
            continue
        workload = workloads[row.workload]
        point = next(p for p in profiles[row.profile].classes if p.context_class == workload.context_class)
        seconds = replica_seconds_per_request(workload, point) * row.weight / total[row.workload, row.origin]
        load.setdefault((row.workload, row.origin), {})[row.pool, row.profile] = seconds
        room[row.pool, row.profile] = row.replicas * utilisation
    sharing = {e: sum(e in placements for placements in load.values()) for e in room}
    rate = {i: min(room[e] / sharing[e] / s for e, s in placements.items()) for i, placements in load.items()}
    growing, base = set(rate), dict(rate)
    while growing:
        used = {e: sum(rate[i] * load[i].get(e, 0.0) for i in rate) for e in room}
        faster = {e: sum(base[i] * load[i].get(e, 0.0) for i in growing) for e in room}
        step = min((room[e] - used[e]) / faster[e] for e in room if faster[e] > 0)
        for i in growing:
            rate[i] += max(0.0, step) * base[i]
        full = {e for e in room if faster[e] > 0 and (room[e] - used[e]) / faster[e] <= step * (1 + 1e-9) + 1e-12}
        growing = {i for i in growing if not full & load[i].keys()}
    lines = ["workload,origin,requests_per_second"]
    lines += [f"{_cell(w)},{_cell(o)},{_rounded_down(rate[w, o]):.4g}" for w, o in rate]
    return "\n".join(lines) + "\n"


def _rounded_down(figure: float) -> float:
    """Three digits, never more than the figure."""
    digits = 2 - math.floor(math.log10(figure))
    return math.floor(figure * 10.0**digits) / 10.0**digits


def _cell(text: str) -> str:
    """A CSV cell."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\n]', text) else text
