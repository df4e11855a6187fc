"""What ships with the planner, for importers to look up: machine types, pools, models, context classes."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from planner.study.dependencies import profile_id
from planner.study.files import remember
from planner.study.places import Reading, read_record
from planner.study.read import KEYS, data_folder
from planner.study.records.base import Record
from planner.study.records.inventory import MachineType, Offer, Pool, Price, Site
from planner.study.records.serving import ContextClass, Model, Profile
from planner.study.tables import read_csv, read_list, read_yaml

R = TypeVar("R", bound=Record)


def records_of(cls: type[R], paths: Iterable[Path], reading: Reading) -> list[R]:
    """The records of some files of one kind, CSV or YAML with one list."""
    records: list[R] = []
    for path in paths:
        rows = read_csv(cls, path, reading, KEYS[cls]) if path.suffix == ".csv" else read_list(cls, path, reading)
        records += [row for row, _ in rows]
    return records


def _shipped(cls: type[R], folder: Path, pattern: str) -> list[R]:
    """The records of what ships, read once; each command that asks has read the files.

    Raises
    ------
    InputError
        when the files that ship are broken
    """
    paths = tuple(sorted(folder.glob(pattern)))
    remember(paths)
    return list(_read_once(cls, paths))


@cache
def _read_once(cls: type[R], paths: tuple[Path, ...]) -> tuple[R, ...]:
    reading = Reading()
    records = records_of(cls, paths, reading)
    reading.raise_errors()
    return tuple(records)


def machine_types() -> dict[str, MachineType]:
    """The machine types that ship, by name."""
    return {row.name: row for row in _shipped(MachineType, data_folder("inventories"), "machine_types.yaml")}


def pools() -> dict[str, Pool]:
    """The pools that ship, by id."""
    return {pool.id: pool for pool in _shipped(Pool, data_folder("inventories"), "*/pools.csv")}


def sites() -> dict[str, Site]:
    """The sites that ship, by id."""
    return {site.id: site for site in _shipped(Site, data_folder("inventories"), "sites.csv")}


def offers() -> dict[str, Offer]:
    """The offers that ship, by id."""
    return {offer.id: offer for offer in _shipped(Offer, data_folder("inventories"), "*/offers.csv")}


def prices() -> dict[str, Price]:
    """The prices that ship, by the id of their offer."""
    return {price.offer_id: price for price in _shipped(Price, data_folder("inventories"), "*/prices.csv")}


def context_classes() -> tuple[ContextClass, ...]:
    """The context classes that ship, the shortest first."""
    rows = _shipped(ContextClass, data_folder("models"), "context_classes.yaml")
    return tuple(sorted(rows, key=lambda row: row.most_tokens))


def read_models() -> dict[str, Model]:
    """The models that ship, by name."""
    paths = tuple(sorted(data_folder("models").glob("*.yaml")))
    remember(paths)
    return dict(_models_once(paths))


@cache
def _models_once(paths: tuple[Path, ...]) -> dict[str, Model]:
    reading, models = Reading(), {}
    for path in paths:
        document = read_yaml(path, reading) if path.name != "context_classes.yaml" else None
        model = read_record(Model, *document, reading) if document else None
        if model is not None:
            models[model.model] = model
    reading.raise_errors()
    return models


def profiles() -> dict[str, tuple[str, Profile]]:
    """The profiles that ship with their models, by `model/profile`."""
    by_id = {}
    for model in read_models().values():
        for profile in model.profiles:
            by_id[profile_id(model.model, profile.name)] = (model.model, profile)
    return by_id
