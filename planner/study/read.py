"""Files to a study: validated, every reference resolved, all findings at once."""

import csv
import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from planner.errors import Finding, InputError
from planner.study.checks.apart import check_apart
from planner.study.checks.fit import check_fit, check_fleet_fits, holds_in_memory, memory_told
from planner.study.checks.phases import check_phases
from planner.study.checks.plausible import check_plausible
from planner.study.checks.references import Parts, check_references
from planner.study.checks.request_limits import check_request_limits
from planner.study.checks.timing import check_timing
from planner.study.files import remember
from planner.study.latency import PROXY_KM, great_circle_km, origin_place
from planner.study.places import Place, R, Reading, Row, near_miss, read_record, shown, shown_path, unique
from planner.study.records.base import SCHEMA_VERSION, Name
from planner.study.records.inventory import MachineType, Offer, Pool, Price, RoundTrip, Site
from planner.study.records.renamed import STUDY, rename
from planner.study.records.serving import ContextClass, Model
from planner.study.records.study import (
    LEAST_REQUESTS_PER_SECOND,
    Claim,
    Component,
    Demand,
    Dependency,
    Holding,
    Horizon,
    NamedFailure,
    Origin,
    RequestCost,
    RunningReplicas,
    Study,
    StudyFile,
    Tier,
    Workload,
)
from planner.study.tables import read_csv, read_list, read_text, read_yaml

SMALLEST_DEMAND_FRACTION = 1e-6
"""Demand below this share of its workload's is dropped: it only blurs the numbers of the program."""


def read_study(path: Path) -> tuple[Study, list[Finding]]:
    """Read a study with all that it names.

    Parameters
    ----------
    path : study.yaml, or its folder

    Returns
    -------
    The study, and the findings that are warnings.

    Raises
    ------
    InputError
        with every finding, when one of them is an error.
    """
    reading = Reading()
    path = path / "study.yaml" if os.path.isdir(path) else path
    parts = _read_parts(path, reading)
    if parts is None:
        raise InputError(reading.findings)
    folder = path.parent
    remember(found for ending in ("*.yaml", "*.yml", "*.csv") for found in folder.glob(ending))
    for name, at in _folders(parts.file.inventories, "inventories", folder, parts.place, reading):
        _read_inventory(name, at, parts, reading)
    for name, at in _folders(parts.file.models, "models", folder, parts.place, reading):
        _read_models(name, at, parts, reading)
    table = _table(parts.file.demand, "demand", folder, parts.place, reading)
    parts.demand = read_csv(Demand, table, reading, _key(Demand)) if table is not None else []
    if parts.file.request_costs is not None:
        table = _table(parts.file.request_costs, "request_costs", folder, parts.place, reading)
        parts.request_costs = read_csv(RequestCost, table, reading, _key(RequestCost)) if table is not None else []
    check_references(parts, reading)
    check_fit(parts, reading)
    check_timing(parts, reading)
    check_phases(parts, reading)
    check_plausible(parts, reading)
    demand = _without_specks(parts.demand, reading)
    if any(finding.level == "error" for finding in reading.findings):
        raise InputError(sorted_findings(reading.findings))
    study = _resolved(parts, demand)
    check_apart(study, parts, reading)
    check_request_limits(study, parts, reading)
    if any(finding.level == "error" for finding in reading.findings):
        raise InputError(sorted_findings(reading.findings))
    return study, sorted_findings(reading.findings)


def sorted_findings(findings: list[Finding]) -> list[Finding]:
    """Errors first, otherwise as found; none twice."""
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.level != "error")


def data_folder(name: Literal["inventories", "models", "examples"]) -> Path:
    """The folder that ships: inside the installed package, else beside it in a checkout.

    Raises
    ------
    InputError
        when neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data" / name, package.parent / name):
        if folder.is_dir():
            return folder
    fix = f"install the package again, or name a folder under `{name}:` in study.yaml"
    raise InputError([Finding(name, f"the {name} that ship with the planner", "no such folder", fix)])


def read_coverage() -> list[dict[str, str]]:
    """Rows of coverage.csv: regions where a machine type has a price meter and no price is known."""
    path = data_folder("inventories") / "coverage.csv"
    if not path.is_file():
        return []
    return list(csv.DictReader(read_text(path).splitlines()))


def read_fleet(path: Path, study: Study, warnings: list[Finding] | None = None) -> tuple[RunningReplicas, ...]:
    """Today's fleet from a CSV.

    Parameters
    ----------
    path : CSV with the fields of `RunningReplicas` as columns
    study : what its names refer to
    warnings : takes the findings that are warnings

    Raises
    ------
    InputError
        with every finding, when one of them is an error.
    """
    reading = Reading()
    rows = read_csv(RunningReplicas, path, reading, _key(RunningReplicas))
    workloads, origins = [w.name for w in study.workloads], [o.name for o in study.origins]
    pools = {pool.id: pool for pool in study.pools}
    profiles = {f"{model.model}/{profile.name}": profile for model in study.models for profile in model.profiles}
    count: dict[tuple[str, str], tuple[float, int]] = {}
    for row, place in rows:
        reading.refer(place.at("workload"), Workload, "a workload of the study", row.workload, workloads)
        reading.refer(place.at("origin"), Origin, "an origin of the study", row.origin, origins)
        known = reading.refer(place.at("pool"), Pool, "a pool of the study", row.pool, pools)
        what = "a profile (model/profile) of the study"
        known &= reading.refer(place.at("profile"), Model, what, row.profile, profiles)
        if known and profiles[row.profile].machine_type != pools[row.pool].machine_type:
            expected = f"a profile for {shown(pools[row.pool].machine_type, bare=True)}, the machines of the pool"
            fix = "name the profile made for that machine type, or correct the pool"
            reading.error(place.at("profile"), expected, f"one for {shown(profiles[row.profile].machine_type)}", fix)
        check_whole_replicas(row, place, reading)
        if row.profile in profiles and row.workload in workloads:
            _check_runs(row, place, study, reading)
        replicas, line = count.setdefault((row.pool, row.profile), (row.replicas, place.line()))
        if replicas != row.replicas:
            expected = f"{replicas:g} as on line {line}, where profile and pool are the same"
            fix = "give every row the replicas of the whole pool; the weight tells how they are shared"
            reading.error(place.at("replicas"), expected, f"{row.replicas:g}", fix)
    if not reading.findings:
        check_fleet_fits(rows, study, reading)
    if any(finding.level == "error" for finding in reading.findings):
        raise InputError(sorted_findings(reading.findings))
    if warnings is not None:
        warnings += sorted_findings(reading.findings)
    return tuple(row for row, _ in rows)


def _check_runs(row: RunningReplicas, place: Place, study: Study, reading: Reading) -> None:
    """The profile of a fleet's row holds the requests that it is said to serve."""
    workload = next(w for w in study.workloads if w.name == row.workload)
    model, profile = next((m, p) for m in study.models for p in m.profiles if f"{m.model}/{p.name}" == row.profile)
    machine = next(m for m in study.machine_types if m.name == profile.machine_type)
    if model.model == workload.model and not holds_in_memory(model.facts, profile, machine, workload):
        expected, got = memory_told(model.facts, profile, machine, workload)
        fix = "name the profile that runs, or correct the mean tokens of the workload or the concurrency_limit"
        reading.error(place.at("profile"), expected, got, fix)


def _ships(path: Path) -> bool:
    """Whether models come from the folder that ships, under whatever name a study gives for it."""
    try:
        return data_folder("models").resolve() in (path.resolve(), *path.resolve().parents)
    except (InputError, OSError):
        return False


def check_whole_replicas(row: RunningReplicas, place: Place, reading: Reading) -> None:
    """Nobody runs a part of a replica."""
    if not row.replicas.is_integer():
        fix = "count the replicas that run; how a stream is shared stands in weight"
        reading.error(place.at("replicas"), "a whole number of replicas", f"{row.replicas:g}", fix)


FOLDERS: dict[str, tuple[type[Any], ...]] = {
    "inventories": (MachineType, Site, RoundTrip, Pool, Offer, Price),
    "models": (ContextClass, Model),
}
"""What comes from the folders that a study names."""

RESOLVED = ("models", "pools", "demand", "request_costs")
"""Fields that in the study file are names or patterns, and in the study what they stand for."""

KEYS: dict[type[Any], Callable[[Any], str]] = {
    MachineType: lambda r: r.name,
    Site: lambda r: r.id,
    RoundTrip: lambda r: f"{r.from_region} to {r.to_region}",
    Pool: lambda r: r.id,
    Offer: lambda r: r.id,
    Price: lambda r: r.offer_id,
    ContextClass: lambda r: r.name,
    Model: lambda r: r.model,
    Demand: lambda r: " ".join([f"{r.workload} from {r.origin}", *(f"in {x}" for x in (r.period, r.hour) if x)]),
    RequestCost: lambda r: f"{r.origin} at {r.site}",
    RunningReplicas: lambda r: f"{r.workload} from {r.origin}, {r.profile} in {r.pool}",
}
"""What tells records of a kind apart."""


def _key(cls: type[R]) -> Callable[[R], str]:
    return KEYS[cls]


class _Draft(StudyFile):
    """A study file of which parts could not be read; only to find what else is wrong."""

    study: Name = "?"
    today: date = date(2000, 1, 1)
    horizon: Horizon = Horizon(start=date(2000, 1, 1), months=1)
    origins: tuple[Origin, ...] = ()
    tiers: tuple[Tier, ...] = ()
    workloads: tuple[Workload, ...] = ()
    demand: Name = ""


def _read_parts(path: Path, reading: Reading) -> Parts | None:
    """The study file and the records in it, those that can be read even where others cannot."""
    document = read_yaml(path, reading)
    if document is None:
        return None
    data, place = document
    place = _of_this_version(data, place, reading)
    file = read_record(StudyFile, data, place, reading) or _draft(data, reading)

    def rows(name: str, cls: type[R]) -> list[Row[R]]:
        items = data.get(name, [])
        if not isinstance(items, list) or (not items and StudyFile.model_fields[name].is_required()):
            reading.broken.add((cls, "*"))
            return []
        quiet = Reading(broken=reading.broken)
        found = ((read_record(cls, item, place.within(name, i), quiet), i) for i, item in enumerate(items))
        return [(record, place.within(name, i)) for record, i in found if record is not None]

    return Parts(
        file=file,
        place=place,
        origins=rows("origins", Origin),
        tiers=rows("tiers", Tier),
        workloads=rows("workloads", Workload),
        holdings=rows("holdings", Holding),
        claims=rows("claims", Claim),
        components=rows("components", Component),
        dependencies=rows("dependencies", Dependency),
        failures=rows("failures", NamedFailure),
    )


def _of_this_version(data: dict[str, Any], place: Place, reading: Reading) -> Place:
    """A study of the schema version before, as one of this: fields get their new names, each with a warning."""
    if data.get("schema_version") != SCHEMA_VERSION - 1:
        return place
    data["schema_version"] = SCHEMA_VERSION
    lines = dict(place.lines)
    for old, new in rename(data, STUDY):
        fix = f"write `{new[-1]}`, and schema_version: {SCHEMA_VERSION}; the old name is read for this version only"
        reading.warning(place.at(*old), f"`{new[-1]}`", f"`{old[-1]}`, as it was called in version 1", fix)
        lines |= {(*new, *loc[len(old) :]): line for loc, line in place.lines.items() if loc[: len(old)] == old}
    return Place(place.file, lines, place.prefix)


def _draft(data: dict[str, Any], reading: Reading) -> StudyFile:
    """What can be read of a study file, beside its lists of records."""
    kept: dict[str, Any] = {}
    for name, value in data.items():
        try:
            _Draft.model_validate_json(json.dumps({name: value}), strict=True)
            kept[name] = value
        except ValidationError:
            if name in FOLDERS:
                kept[name] = []
                reading.broken.update((cls, "*") for cls in FOLDERS[name])
    return _Draft.model_validate_json(json.dumps(kept), strict=True)


def _folders(
    names: tuple[str, ...],
    what: Literal["inventories", "models", "examples"],
    folder: Path,
    place: Place,
    reading: Reading,
) -> list[tuple[Path, str]]:
    """The folders (models: or files) that a study names, each with the place where it does."""
    found = []
    before = len(reading.findings)
    for i, name in enumerate(names):
        at = place.at(what, i)
        if name == "default":
            try:
                found.append((data_folder(what), at))
            except InputError as error:
                reading.findings.extend(error.findings)
            continue
        path = folder / name
        if os.path.isabs(name):
            reading.error(at, "a path relative to the study", shown(name), "write it relative to study.yaml")
        elif os.path.isdir(path) or (what == "models" and os.path.isfile(path)):
            found.append((path, at))
        else:
            siblings = [p.name for p in _children(folder, at, Reading())]
            fix = f"create {shown_path(path)}, or write `default` for the {what} that ship"
            reading.error(at, "a folder", f"{shown(name)}: no such folder{near_miss(name, siblings)}", fix)
    if len(reading.findings) > before:
        reading.broken.update((cls, "*") for cls in FOLDERS[what])
    return found


def _children(folder: Path, at: str, reading: Reading) -> list[Path]:
    """What a folder holds, sorted."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        got = f"{shown_path(folder)}: {(error.strerror or str(error)).lower()}"
        reading.error(at, "a folder that can be read", got, "check its permissions")
        return []


def _table(name: str, what: str, folder: Path, place: Place, reading: Reading) -> Path | None:
    """The path of a table that the study names; None with a finding when it leads out of the study's folder."""
    if name and (os.path.isabs(name) or ".." in Path(name).parts):
        fix = "put the table beside study.yaml, or in a folder there"
        reading.error(place.at(what), "a path within the study's folder", shown(name), fix)
    if not name or os.path.isabs(name) or ".." in Path(name).parts:
        reading.broken.add((Demand if what == "demand" else RequestCost, "*"))
        return None
    return folder / name


def _read_inventory(folder: Path, at: str, parts: Parts, reading: Reading) -> None:
    """Add an inventory to the parts; what it holds counts instead of what came before under the same id."""
    providers = [path for path in _children(folder, at, reading) if os.path.isdir(path)]

    def rows(cls: type[R], name: str, folders: list[Path]) -> list[Row[R]]:
        files = [path / name for path in folders if os.path.lexists(path / name)]
        return [row for file in files for row in read_csv(cls, file, reading, KEYS[cls])]

    found = [
        _merge(
            parts.machine_types, MachineType, read_list(MachineType, folder / "machine_types.yaml", reading), reading
        ),
        _merge(parts.sites, Site, rows(Site, "sites.csv", [folder]), reading),
        _merge(parts.round_trips, RoundTrip, rows(RoundTrip, "round_trips.csv", [folder]), reading),
        _merge(parts.pools, Pool, rows(Pool, "pools.csv", providers), reading),
        _merge(parts.offers, Offer, rows(Offer, "offers.csv", providers), reading),
        _merge(parts.prices, Price, rows(Price, "prices.csv", providers), reading),
    ]
    if not any(found) and not reading.findings:
        fix = "it holds machine_types.yaml, sites.csv and a folder per provider with pools.csv, offers.csv, prices.csv"
        reading.error(at, "an inventory", f"nothing in {shown_path(folder)}", fix)


def _read_models(path: Path, at: str, parts: Parts, reading: Reading) -> None:
    """Add a folder of models, or one model, to the parts."""
    files = [path]
    shipped = _ships(path)
    if os.path.isdir(path):
        classes = path / "context_classes.yaml"
        _merge(parts.context_classes, ContextClass, read_list(ContextClass, classes, reading), reading)
        files = [f for f in _children(path, at, reading) if f.suffix == ".yaml" and f.name != classes.name]
        if not files and not classes.exists():
            fix = "it holds context_classes.yaml and a <model>.yaml for each model"
            reading.error(at, "models", f"nothing in {shown_path(path)}", fix)
    rows: list[Row[Model]] = []
    for file in files:
        document = read_yaml(file, reading)
        if document is None:
            reading.broken.add((Model, "*"))
        elif (model := read_record(Model, *document, reading)) is not None:
            rows.append((model, document[1]))
    _merge(parts.models, Model, rows, reading)
    for model, _ in rows:
        of_model = {f"{model.model}/{profile.name}" for profile in model.profiles}
        if shipped:
            parts.shipped_profiles |= of_model
        else:
            parts.shipped_profiles -= of_model


def _merge(into: dict[str, Row[R]], cls: type[R], rows: list[Row[R]], reading: Reading) -> int:
    """Add the rows of one folder; twice in the folder is an error, the same as in an earlier folder a warning."""
    replaced: dict[str, list[str]] = {}
    for record, place in unique(rows, KEYS[cls], reading):
        key = KEYS[cls](record)
        if key in into and into[key][0] != record:
            replaced.setdefault(place.file, []).append(f"{shown(key)} of {into[key][1].at()}")
        into[key] = (record, place)
    for file, names in replaced.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        fix = "nothing, if this is meant: what the later folder says counts"
        reading.warning(file, "each of them in one folder", f"a replacement for {names[0]}{more}", fix)
    return len(rows)


def _without_specks(rows: list[Row[Demand]], reading: Reading) -> tuple[Demand, ...]:
    """The demand without what is below a millionth of its workload's; such rows above 0 are reported."""

    def most(row: Demand) -> float:
        return max(row.requests_per_second, row.low_requests_per_second or 0.0, row.high_requests_per_second or 0.0)

    total: dict[str, float] = {}
    for row, _ in rows:
        total[row.workload] = total.get(row.workload, 0.0) + most(row)
    kept = []
    for row, place in rows:
        least = SMALLEST_DEMAND_FRACTION * total[row.workload]
        if most(row) >= least and most(row) > 0:
            kept.append(row)
            if most(row) < LEAST_REQUESTS_PER_SECOND:
                expected = f"0, or {LEAST_REQUESTS_PER_SECOND:g} to 1e+09 requests/s"
                fix = "write requests per second; 0 where nothing is wanted"
                reading.error(place.at("requests_per_second"), expected, f"{most(row):g}", fix)
        elif most(row) > 0:
            fix = "nothing; the row is left out of the plan"
            expected = f"at least {least:.3g} requests/s, a millionth of the workload's"
            reading.warning(place.at("requests_per_second"), expected, f"{most(row):.3g}", fix)
    return tuple(kept)


def _resolved(parts: Parts, demand: tuple[Demand, ...]) -> Study:
    """The study with what it needs of inventory and models, in the order of ids."""
    pools = parts.considered_pools
    machine_types = {pool.machine_type for pool in pools.values()}
    sites = {id: row for id, (row, _) in sorted(parts.sites.items())}
    round_trips = _near_round_trips(parts, {sites[pool.site].region_id for pool in pools.values()})
    regions = {region for row in round_trips for region in (row.from_region, row.to_region)}
    regions |= {origin.near for origin in parts.file.origins if origin.near is not None}
    used = {pool.site for pool in pools.values()}
    offers = {id: row for id, (row, _) in sorted(parts.offers.items()) if row.pool in pools}
    models = []
    for model, _ in parts.used_models.values():
        profiles = tuple(profile for profile in model.profiles if profile.machine_type in machine_types)
        models.append(model.model_copy(update={"profiles": profiles}))
    as_written = (Study.model_fields.keys() & StudyFile.model_fields.keys()) - {*RESOLVED}
    return Study(
        **{name: getattr(parts.file, name) for name in as_written},
        machine_types=tuple(parts.machine_types[name][0] for name in sorted(machine_types)),
        sites=tuple(site for id, site in sites.items() if id in used or site.region_id in regions),
        round_trips=round_trips,
        pools=tuple(pools.values()),
        offers=tuple(offers.values()),
        prices=tuple(row for id, (row, _) in sorted(parts.prices.items()) if id in offers),
        context_classes=tuple(row for _, (row, _) in sorted(parts.context_classes.items())),
        models=tuple(models),
        demand=demand,
        request_costs=tuple(row for row, _ in parts.request_costs if row.site in used),
    )


def _near_round_trips(parts: Parts, pool_regions: set[str]) -> tuple[RoundTrip, ...]:
    """Round trips between the neighbourhood of an origin and that of a pool: those that measure it or stand for it."""
    places: dict[str, tuple[float, float]] = {}
    for _, (site, _) in sorted(parts.sites.items()):
        places.setdefault(site.region_id, (site.latitude, site.longitude))

    def around(point: tuple[float, float] | None) -> set[str]:
        return {r for r, other in places.items() if point is not None and great_circle_km(point, other) <= PROXY_KM}

    origins = {origin.near for origin in parts.file.origins if origin.near is not None}
    for point in {origin_place(origin, places) for origin in parts.file.origins}:
        origins |= around(point)
    ends = pool_regions.union(*(around(places[region]) for region in pool_regions))
    return tuple(
        row
        for _, (row, _) in sorted(parts.round_trips.items())
        if (row.from_region in origins and row.to_region in ends)
        or (row.to_region in origins and row.from_region in ends)
    )
