"""Price lists into rows of prices.csv.

Four shapes, told apart by their fields: answers of the AWS price list (GetProducts), of the Azure retail prices API, of
the Google Cloud Billing catalogue, and the CSV of a SkyPilot catalogue. A list price is `published`; where it is
derived (a term's total over its hours, a chip's price times the chips of a machine) the formula is in `source`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from planner.importers.price_lists import PriceImport, read_aws, read_azure, read_google
from planner.importers.skypilot import MARK, read_skypilot
from planner.importers.source import (
    Imported,
    is_json,
    load_json,
    load_text,
    number,
    stated_date,
    stop_on_errors,
    unknown_shape,
    without_conflicts,
)
from planner.study.places import Reading, listed, printable_path, quoted
from planner.study.records.inventory import MachineType, Offer, Price
from planner.study.tables import read_csv, read_list

SHAPES = {
    "AWS price list": "JSON with PriceList, products as JSON in strings",
    "Azure retail prices": "JSON with Items, or a list of them, each with armSkuName and retailPrice",
    "Google billing SKUs": "JSON with skus, each with pricingInfo",
    "SkyPilot catalogue": MARK,
}

NEXT_PAGE = ("NextToken", "NextPageLink", "nextPageToken")
"""Fields by which AWS, Azure and Google say that the answer goes on."""


def read_prices(
    path: Path,
    as_of: str | None = None,
    source: str | None = None,
    provider: str | None = None,
    units: tuple[str, ...] = (),
    inventory: Path | None = None,
) -> Imported[Price]:
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
    Imported
        rows in USD per machine-hour, one per offer, in the order of their ids.

    Raises
    ------
    InputError
        with every finding: unknown shape, broken items, missing dates.
    """
    text, where, reading = load_text(path), printable_path(path), Reading()
    machines, offers = _inventory(inventory)
    run = PriceImport(Imported("?", "prices"), reading, stated_date(as_of), source, machines, _mapped(units))
    if is_json(text):
        data = load_json(text, where)
        _json_shape(data, where)(run, data, where)
        if isinstance(data, dict) and (more := next((page for page in NEXT_PAGE if data.get(page)), None)):
            run.out.notes.append(f"one page of several: {more} names the next; import that too")
    else:
        read_skypilot(run, text, where, provider)
    stop_on_errors(reading)
    run.out.rows = without_conflicts(
        run.rows, lambda row: row.offer_id, lambda row: row.price_usd_per_machine_hour, run.out
    )
    if offers is not None:
        known = [row for row in run.out.rows if row.offer_id in offers]
        run.out.skipped.update({"no such offer in the inventory": len(run.out.rows) - len(known)})
        run.out.skipped += type(run.out.skipped)()
        run.out.kept -= len(run.out.rows) - len(known)
        run.out.rows = known
    return run.out


def _inventory(folder: Path | None) -> tuple[dict[str, MachineType], set[str] | None]:
    """Machine types by name, of the inventory or of what ships; ids of offers, when an inventory is named."""
    from planner.study.read import KEYS, data_folder

    at = folder if folder is not None else data_folder("inventories")
    reading = Reading()
    machines = {row.name: row for row, _ in read_list(MachineType, at / "machine_types.yaml", reading)}
    if folder is None:
        return machines, None
    files = sorted(at.glob("*/offers.csv"))
    offers = {row.id for file in files for row, _ in read_csv(Offer, file, reading, KEYS[Offer])}
    if not files:
        fix = "name a folder with a folder per provider, each with an offers.csv"
        reading.error(printable_path(at), "an inventory", "no offers.csv in its folders", fix)
    stop_on_errors(reading)
    return machines, offers


def _mapped(units: tuple[str, ...]) -> dict[str, tuple[str, float]]:
    """`SKU=machine-type:units` by SKU."""
    reading, mapped = Reading(), {}
    for text in units:
        sku, _, rest = text.partition("=")
        machine, _, count = rest.rpartition(":")
        amount = number(count, f"--units {text}", "units of the SKU in one machine", reading, above=True)
        if not sku or not machine:
            reading.error("--units", "SKU=machine-type:units", quoted(text), "as in 38FA-6071-3D88=ct6e-standard-8t:8")
        elif amount is not None:
            mapped[sku] = (machine, amount)
    stop_on_errors(reading)
    return mapped


def _json_shape(data: Any, where: str) -> Callable[[PriceImport, Any, str], None]:
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
    got = (
        "a list" if isinstance(data, list) else f"the fields {listed(data)}" if isinstance(data, dict) else quoted(data)
    )
    raise unknown_shape(where, got, SHAPES)
