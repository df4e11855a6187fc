"""Price lists into rows of prices.csv.

Four shapes, told apart by their fields: answers of the AWS price list (GetProducts), of the Azure retail prices API, of
the Google Cloud Billing catalogue, and the CSV of a SkyPilot catalogue. A list price is `published`; where it is
derived (a term's total over its hours, a chip's price times the chips of a machine) the formula is in `source`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from planner.importers.catalogue import machine_types, records_of
from planner.importers.price_lists import PriceImport, read_aws, read_azure, read_google
from planner.importers.skypilot import SHAPE, read_skypilot
from planner.importers.source import Source, Table, load, stated_date, unknown_data
from planner.study.places import printable_path, quoted
from planner.study.records.inventory import MachineType, Offer

SHAPES = {
    "AWS price list": "JSON with PriceList, products as JSON in strings",
    "Azure retail prices": "JSON with Items, or a list of them, each with armSkuName and retailPrice",
    "Google billing SKUs": "JSON with skus, each with pricingInfo",
} | SHAPE

NEXT_PAGE = ("NextToken", "NextPageLink", "nextPageToken")
"""Fields by which AWS, Azure and Google say that the answer goes on."""


def read_prices(
    path: Path,
    as_of: str | None = None,
    source: str | None = None,
    provider: str | None = None,
    units: tuple[str, ...] = (),
    inventory: Path | None = None,
) -> PriceImport:
    """A price list of any of the shapes as rows of prices.csv.

    Parameters
    ----------
    path : the list, as it was fetched
    as_of : date of the list, where it states none (year, month or day); it counts before dates in the list
    source : where the list is from; it comes before what the list says of itself
    provider : whose SkyPilot catalogue it is, where regions do not tell: aws, google or azure
    units : `SKU=machine-type:units` for Google SKUs: the price of one machine is that of so many units
    inventory : folder of an inventory; prices of offers that it does not have are left out, machine types are checked

    Returns
    -------
    PriceImport
        rows in USD per machine-hour, one per offer, in the order of their ids.

    Raises
    ------
    InputError
        with every finding: unknown shape, broken items, missing dates.
    """
    where = printable_path(path)
    machines, offers = _inventory(inventory)
    run = PriceImport(unit="prices", as_of=stated_date(as_of), source=source, machines=machines, mapped=_mapped(units))
    data = load(path, run)
    if isinstance(data, Table):
        read_skypilot(run, data, provider)
    else:
        _json_reader(data, where)(run, data, where)
        following = next((name for name in NEXT_PAGE if isinstance(data, dict) and data.get(name)), None)
        if following is not None:
            run.notes.append(f"one page of several: {following} names the next; import that too")
    run.raise_errors()
    run.keep_latest(run.dated, lambda row: row.offer_id, lambda row: row.price_usd_per_machine_hour)
    if offers is not None:
        run.rows = [row for row in run.rows if row.offer_id in offers]
        run.skip("no such offer in the inventory", run.kept - len(run.rows))
        run.kept = len(run.rows)
    return run


def _inventory(folder: Path | None) -> tuple[dict[str, MachineType], set[str] | None]:
    """Machine types by name, of the inventory or of what ships; ids of offers, when an inventory is named."""
    if folder is None:
        return machine_types(), None
    source, files = Source(), sorted(folder.glob("*/offers.csv"))
    machines = {row.name: row for row in records_of(MachineType, [folder / "machine_types.yaml"], source)}
    offers = {row.id for row in records_of(Offer, files, source)}
    if not files:
        fix = "name a folder with a folder per provider, each with an offers.csv"
        source.error(printable_path(folder), "an inventory", "no offers.csv in its folders", fix)
    source.raise_errors()
    return machines, offers


def _mapped(units: tuple[str, ...]) -> dict[str, tuple[str, float]]:
    """`SKU=machine-type:units` by SKU."""
    source, mapped = Source(), dict[str, tuple[str, float]]()
    for text in units:
        sku, _, machine_and_count = text.partition("=")
        machine, _, count = machine_and_count.rpartition(":")
        amount = source.number(count, f"--units {text}", "units of the SKU in one machine", above=True)
        if not sku or not machine:
            source.error("--units", "SKU=machine-type:units", quoted(text), "as in 38FA-6071-3D88=ct6e-standard-8t:8")
        elif amount is not None:
            mapped[sku] = (machine, amount)
    source.raise_errors()
    return mapped


def _json_reader(data: Any, where: str) -> Callable[[PriceImport, Any, str], None]:
    """The reader of a JSON answer, by its fields."""
    items = data
    if isinstance(data, dict):
        if isinstance(data.get("PriceList"), list):
            return read_aws
        if isinstance(data.get("skus"), list):
            return read_google
        items = data.get("Items", data.get("items"))
    if isinstance(items, list) and any(isinstance(x, dict) and {"armSkuName", "retailPrice"} & x.keys() for x in items):
        return read_azure
    raise unknown_data(where, data, SHAPES)
