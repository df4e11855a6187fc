"""Files to a study: validated, every reference resolved, all findings at once."""

import csv
import difflib
import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from planner.errors import Finding, InputError, refusal
from planner.study.checks.failover import check_failover
from planner.study.checks.feeding import check_feeding
from planner.study.checks.fleet import check_fleet
from planner.study.checks.ids import check_ids
from planner.study.checks.register import check_parts
from planner.study.checks.request_limits import check_request_limits
from planner.study.files import remember
from planner.study.outage_goals import play_outages
from planner.study.parts import Parts
from planner.study.places import (
    Place,
    R,
    Reading,
    Row,
    near_miss,
    printable_path,
    quoted,
    read_record,
    read_records,
    records_in,
    sorted_findings,
    unique,
)
from planner.study.records.base import SCHEMA_VERSION, Name, Record
from planner.study.records.inventory import MachineType, Offer, Pool, Price, RoundTrip, Site, StorageRate, Zone
from planner.study.records.renamed import STUDY, rename
from planner.study.records.serving import ContextClass, Model
from planner.study.records.study import (
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
from planner.study.resolve import resolved, without_negligible_demand
from planner.study.tables import read_csv, read_list, read_text, read_yaml
from planner.study.zones import split_into_zones


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
    remember(file for ending in ("*.yaml", "*.yml", "*.csv") for file in folder.glob(ending))
    for inventory, at in _folders("inventories", folder, parts, reading):
        _read_inventory(inventory, at, parts, reading)
    for models, at in _folders("models", folder, parts, reading):
        _read_models(models, at, parts, reading)
    parts.demand = _read_table(Demand, "demand", folder, parts, reading)
    if parts.file.request_costs is not None:
        parts.request_costs = _read_table(RequestCost, "request_costs", folder, parts, reading)
    split_into_zones(parts, reading)
    if any(goal.outage for tier, _ in parts.tiers for goal in tier.survive):
        play_outages(parts, _catalogues(folder, parts), reading)
    check_parts(parts, reading)
    demand = without_negligible_demand(parts, reading)
    reading.raise_errors()
    study = resolved(parts, demand)
    check_ids(study, parts, reading)
    check_request_limits(study, parts, reading)
    check_failover(study, parts, reading)
    check_feeding(study, parts, reading)
    reading.raise_errors()
    return study, sorted_findings(reading.findings)


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
    raise refusal(name, f"the {name} that ship with the planner", "no such folder", fix)


def catalogue_of_outages() -> Path:
    """The catalogue of outages that ships.

    Raises
    ------
    InputError
        when it is not there
    """
    return data_folder("inventories") / "outages.yaml"


def _catalogues(folder: Path, parts: Parts) -> list[Path]:
    """The catalogue of outages that ships, and those in the inventories of a study, which count instead."""
    own = [folder / name for name in parts.file.inventories if name != "default"]
    return [catalogue_of_outages(), *(path / "outages.yaml" for path in own)]


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
    rows = read_csv(RunningReplicas, path, reading, KEYS[RunningReplicas])
    check_fleet(rows, study, reading)
    reading.raise_errors()
    if warnings is not None:
        warnings += sorted_findings(reading.findings)
    return tuple(row for row, _ in rows)


def _ships(path: Path) -> bool:
    """Whether models come from the folder that ships, under whatever name a study gives for it."""
    try:
        return data_folder("models").resolve() in (path.resolve(), *path.resolve().parents)
    except (InputError, OSError):
        return False


FOLDERS: dict[str, tuple[type[Any], ...]] = {
    "inventories": (MachineType, Site, Zone, StorageRate, RoundTrip, Pool, Offer, Price),
    "models": (ContextClass, Model),
}
"""What comes from the folders that a study names."""

KEYS: dict[type[Any], Callable[[Any], str]] = {
    MachineType: lambda r: r.name,
    Site: lambda r: r.id,
    Zone: lambda r: f"{r.region_id} {r.pool}",
    StorageRate: lambda r: r.sites,
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


def key_of(record: Record) -> str:
    """What tells a record apart from others of its kind."""
    return KEYS[type(record)](record)


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
        return read_records(cls, items, place.within(name), Reading(broken=reading.broken))

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
    if data.get("schema_version", SCHEMA_VERSION - 1) != SCHEMA_VERSION - 1:
        return place
    if "schema_version" in data:  # a file that does not say may be of either version
        data["schema_version"] = SCHEMA_VERSION
    lines = dict(place.lines)
    for old, new in rename(data, STUDY):
        fix = f"write `{new[-1]}`, and schema_version: {SCHEMA_VERSION}; the old name is read for this version only"
        reading.warning(place.at(*old), f"`{new[-1]}`", f"`{old[-1]}`, as it was called in version 1", fix)
        lines |= {(*new, *loc[len(old) :]): line for loc, line in place.lines.items() if loc[: len(old)] == old}
    return Place(place.file, lines, place.prefix)


READ_ONE_BY_ONE = (
    "origins",
    "tiers",
    "workloads",
    "holdings",
    "claims",
    "components",
    "dependencies",
    "failures",
)
"""Lists of a study file of which each record that can be read is known, where others cannot be."""


def _unread(name: str) -> set[type[Record]]:
    """What is not known where a field of a study file cannot be read, under its name or one that is nearly that."""
    fields = StudyFile.model_fields
    if name in READ_ONE_BY_ONE:
        return set()
    meant = [name] if name in fields else difflib.get_close_matches(name, fields, 1)
    return records_in(fields[meant[0]].annotation) if meant else set()


def _draft(data: dict[str, Any], reading: Reading) -> StudyFile:
    """What can be read of a study file, beside its lists of records."""
    kept: dict[str, Any] = {}
    missing = [name for name, info in StudyFile.model_fields.items() if info.is_required() and name not in data]
    reading.broken.update((cls, "*") for name in missing for cls in _unread(name))
    for name, value in data.items():
        try:
            _Draft.model_validate_json(json.dumps({name: value}), strict=True)
            kept[name] = value
        except ValidationError:
            if name in FOLDERS:
                kept[name] = []
                reading.broken.update((cls, "*") for cls in FOLDERS[name])
            reading.broken.update((cls, "*") for cls in _unread(name))
    return _Draft.model_validate_json(json.dumps(kept), strict=True)


def _folders(
    what: Literal["inventories", "models"], folder: Path, parts: Parts, reading: Reading
) -> list[tuple[Path, str]]:
    """The folders (models: or files) that a study names, each with the place where it does."""
    folders = []
    before = len(reading.findings)
    for i, name in enumerate(getattr(parts.file, what)):
        at = parts.place.at(what, i)
        if name == "default":
            try:
                folders.append((data_folder(what), at))
            except InputError as error:
                reading.findings.extend(error.findings)
            continue
        path = folder / name
        if os.path.isabs(name):
            reading.error(at, "a path relative to the study", quoted(name), "write it relative to study.yaml")
        elif os.path.isdir(path) or (what == "models" and os.path.isfile(path)):
            folders.append((path, at))
        else:
            siblings = [p.name for p in _children(folder, at, Reading())]
            fix = f"create {printable_path(path)}, or write `default` for the {what} that ship"
            reading.error(at, "a folder", f"{quoted(name)}: no such folder{near_miss(name, siblings)}", fix)
    if len(reading.findings) > before:
        reading.broken.update((cls, "*") for cls in FOLDERS[what])
    return folders


def _children(folder: Path, at: str, reading: Reading) -> list[Path]:
    """What a folder holds, sorted."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        got = f"{printable_path(folder)}: {(error.strerror or str(error)).lower()}"
        reading.error(at, "a folder that can be read", got, "check its permissions")
        return []


def _read_table(
    cls: type[R], what: Literal["demand", "request_costs"], folder: Path, parts: Parts, reading: Reading
) -> list[Row[R]]:
    """The rows of a table that the study names; none, with a finding, where its path leads out of the folder."""
    name: str = getattr(parts.file, what)
    outside = os.path.isabs(name) or ".." in Path(name).parts
    if outside:
        fix = "put the table beside study.yaml, or in a folder there"
        reading.error(parts.place.at(what), "a path within the study's folder", quoted(name), fix)
    if outside or not name:
        reading.broken.add((cls, "*"))
        return []
    return read_csv(cls, folder / name, reading, KEYS[cls])


def _read_inventory(folder: Path, at: str, parts: Parts, reading: Reading) -> None:
    """Add an inventory to the parts; what it holds counts instead of what came before under the same id."""
    providers = [path for path in _children(folder, at, reading) if os.path.isdir(path)]

    def rows(cls: type[R], name: str, folders: list[Path]) -> list[Row[R]]:
        files = [path / name for path in folders if os.path.lexists(path / name)]
        return [row for file in files for row in read_csv(cls, file, reading, KEYS[cls])]

    tables: list[int] = [
        _merge(parts.machine_types, read_list(MachineType, folder / "machine_types.yaml", reading), reading),
        _merge(parts.sites, rows(Site, "sites.csv", [folder]), reading),
        _merge(parts.zones, rows(Zone, "zones.csv", [folder]), reading),
        _merge(parts.storage, rows(StorageRate, "storage.csv", [folder]), reading),
        _merge(parts.round_trips, rows(RoundTrip, "round_trips.csv", [folder]), reading),
        _merge(parts.pools, rows(Pool, "pools.csv", providers), reading),
        _merge(parts.offers, rows(Offer, "offers.csv", providers), reading),
        _merge(parts.prices, rows(Price, "prices.csv", providers), reading),
    ]
    if not any(tables) and not reading.findings:
        fix = "it holds machine_types.yaml, sites.csv and a folder per provider with pools.csv, offers.csv, prices.csv"
        reading.error(at, "an inventory", f"nothing in {printable_path(folder)}", fix)


def _read_models(path: Path, at: str, parts: Parts, reading: Reading) -> None:
    """Add a folder of models, or one model, to the parts."""
    files = [path]
    shipped = _ships(path)
    if os.path.isdir(path):
        classes = path / "context_classes.yaml"
        _merge(parts.context_classes, read_list(ContextClass, classes, reading), reading)
        files = [f for f in _children(path, at, reading) if f.suffix == ".yaml" and f.name != classes.name]
        if not files and not classes.exists():
            fix = "it holds context_classes.yaml and a <model>.yaml for each model"
            reading.error(at, "models", f"nothing in {printable_path(path)}", fix)
    rows: list[Row[Model]] = []
    for file in files:
        document = read_yaml(file, reading)
        if document is None:
            reading.broken.add((Model, "*"))
        elif (model := read_record(Model, *document, reading)) is not None:
            rows.append((model, document[1]))
    _merge(parts.models, rows, reading)
    for model, _ in rows:
        of_model = {f"{model.model}/{profile.name}" for profile in model.profiles}
        parts.shipped_profiles -= of_model
        parts.shipped_profiles |= of_model if shipped else set()


def _merge(into: dict[str, Row[R]], rows: list[Row[R]], reading: Reading) -> int:
    """Add the rows of one folder; twice in the folder is an error, the same as in an earlier folder a warning."""
    replaced: dict[str, list[str]] = {}
    for record, place in unique(rows, key_of, reading):
        key = key_of(record)
        if key in into and into[key][0] != record:
            replaced.setdefault(place.file, []).append(f"{quoted(key)} of {into[key][1].at()}")
        into[key] = (record, place)
    for file, names in replaced.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        fix = "nothing, if this is meant: what the later folder says counts"
        reading.warning(file, "each of them in one folder", f"a replacement for {names[0]}{more}", fix)
    return len(rows)
