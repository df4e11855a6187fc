"""Answers of the price APIs of AWS, Azure and Google: items into prices, or into reasons why not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.importers.source import (
    Imported,
    date_of,
    load_json,
    number,
    record,
    text_of,
    whole,
    within_length,
)
from planner.study.places import Reading, quoted, unquoted
from planner.study.records.inventory import MachineType, Price

HOURS_PER_YEAR = 8760.0
"""Hours over which providers spread what is paid for a term [h]: 365 days."""

TPU_WORDS = re.compile(r"\bTPU[- ]?(v?\d+[a-z]*|v5[- ]?lite(?:pod)?)\b", re.IGNORECASE)
CHIP_MACHINES = {
    "v6e": "ct6e-standard-8t",
    "v5p": "ct5p-hightpu-4t",
    "v5e": "v5litepod-8",
    "v5litepod": "v5litepod-8",
    "v5lite": "v5litepod-8",
    "7x": "tpu7x-standard-4t",
    "v7x": "tpu7x-standard-4t",
}


@dataclass
class PriceImport:
    """An import of prices under way: options, what ships, rows with their dates."""

    out: Imported[Price]
    reading: Reading
    as_of: str | None
    source: str | None
    machines: Mapping[str, MachineType]
    mapped: Mapping[str, tuple[str, float]]
    rows: list[tuple[Price, str]] = field(default_factory=list)

    def add(self, where: str, site: str, machine: str, offer: str, usd: float, dated: object, said: str) -> None:
        """A row, or the finding that its date is missing."""
        date = self.as_of or date_of(dated)
        if date is None:
            got = "no date" if dated is None else quoted(dated)
            self.reading.error(where, "the date of the price", got, "give --as-of, the day the list was fetched")
            return
        data = {
            "evidence": "published",
            "source": within_length(f"{self.source}; {said}" if self.source else said),
            "as_of": date,
            "site": site,
            "machine_type": machine,
            "offer": offer,
            "price_usd_per_machine_hour": round(usd, 6),
        }
        if (row := record(Price, data, where, self.reading)) is not None:
            self.rows.append((row, date))


# AWS


def read_aws(run: PriceImport, data: Any, where: str) -> None:
    """GetProducts: PriceList items are JSON inside strings (the bulk client gives them decoded)."""
    run.out.what = "AWS price list"
    for i, item in enumerate(data["PriceList"]):
        at = f"{where}: PriceList[{i}]"
        run.out.read += 1
        product = load_json(item, at) if isinstance(item, str) else item
        if not isinstance(product, dict) or not isinstance(product.get("product"), dict):
            run.reading.error(at, "a product", quoted(item), "save the answer as it came")
            continue
        _aws_product(run, product, at)


def _aws_reason(family: object, a: Mapping[str, Any]) -> str | None:
    """Why a product is not a machine that runs Linux on demand; None when it is."""
    if not isinstance(family, str) or not family.startswith("Compute Instance"):
        return f"not a machine: {unquoted(family) or 'no product family'}"
    wanted = {
        "marketoption": ("OnDemand", "sold otherwise (a capacity block lists 0.00; its price is asked per block)"),
        "operatingSystem": ("Linux", "another operating system than Linux"),
        "preInstalledSw": ("NA", "with software installed"),
        "licenseModel": ("No License required", "with a licence"),
        "tenancy": ("Shared", "dedicated tenancy"),
        "capacitystatus": ("Used", "a reservation's own meter, not the machine's"),
    }
    return next((reason for name, (value, reason) in wanted.items() if a.get(name) != value), None)


def _aws_product(run: PriceImport, product: Mapping[str, Any], at: str) -> None:
    """One product with its terms."""
    a = product["product"].get("attributes")
    a = a if isinstance(a, dict) else {}
    if reason := _aws_reason(product["product"].get("productFamily"), a):
        return run.out.skip(reason)
    machine, region = text_of(a, "instanceType", at, run.reading), text_of(a, "regionCode", at, run.reading)
    terms = product.get("terms")
    if machine is None or region is None or not isinstance(terms, dict):
        if not isinstance(terms, dict):
            run.reading.error(f"{at}: terms", "terms", quoted(terms), "save the answer whole, as it came")
        return None
    found = 0
    for kind, offers in sorted(terms.items()):
        for term in offers.values() if isinstance(offers, dict) else [None]:
            if not isinstance(term, dict) or not isinstance(term.get("priceDimensions"), dict):
                run.reading.error(f"{at}: terms.{unquoted(kind)}", "price dimensions", quoted(term), "save it whole")
                continue
            found += 1
            date = product.get("publicationDate") or term.get("effectiveDate")
            _aws_term(run, kind, term, (f"aws/{region}", machine), date, at)
    run.out.read += max(0, found - 1)
    if not found:
        run.out.skip("no price in it")
    return None


def _aws_term(
    run: PriceImport, kind: str, term: Mapping[str, Any], pool: tuple[str, str], date: object, at: str
) -> None:
    """One term: hourly, and for a reservation what is paid first spread over its hours."""
    upfront = hourly = 0.0
    for dimension in term["priceDimensions"].values():
        place = f"{at}: terms.{unquoted(kind)}"
        if not isinstance(dimension, dict) or not isinstance(dimension.get("pricePerUnit"), dict):
            return run.reading.error(place, "a price per unit", quoted(dimension), "save the answer whole")
        if "USD" not in dimension["pricePerUnit"]:
            return run.out.skip("not in USD")
        usd = number(dimension["pricePerUnit"]["USD"], f"{place}: USD", "a price", run.reading)
        if usd is None:
            return None
        if dimension.get("unit") == "Quantity":
            upfront += usd
        elif dimension.get("unit") in ("Hrs", "Hours"):
            hourly += usd
        else:
            return run.out.skip(f"priced per {unquoted(dimension.get('unit'))}, not per hour")
    if kind == "OnDemand":
        if hourly <= 0:
            return run.out.skip("0.00 USD: not a price")
        return run.add(at, *pool, "on_demand", hourly, date, "AWS price list, Linux, shared tenancy")
    attributes = term.get("termAttributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    years = {"1yr": 1, "3yr": 3}.get(str(attributes.get("LeaseContractLength")))
    if kind != "Reserved" or years is None:
        return run.out.skip(f"a term of an unknown kind: {unquoted(kind)}")
    if attributes.get("OfferingClass", "standard") != "standard":
        return run.out.skip("a convertible reservation")
    option = str(attributes.get("PurchaseOption"))
    names = {"No Upfront": "", "Partial Upfront": "_partial_upfront", "All Upfront": "_upfront"}
    if option not in names or upfront + hourly <= 0:
        return run.out.skip("a reservation without a known way to pay, or without a price")
    per_hour = upfront / (years * HOURS_PER_YEAR) + hourly
    hours = years * HOURS_PER_YEAR
    paid = f"{upfront:g} USD / {hours:g} h + {hourly:g} USD/h"
    said = f"AWS price list, reserved {years} year, {option.lower()}: {paid}"
    return run.add(at, *pool, f"commitment_{years}y{names[option]}", per_hour, date, said)


# Azure


def read_azure(run: PriceImport, data: Any, where: str) -> None:
    """Retail prices: items of meters; Spot and Low Priority are meters of their own."""
    run.out.what = "Azure retail prices"
    name = "Items" if isinstance(data, dict) and "Items" in data else "items"
    for i, item in enumerate(data[name] if isinstance(data, dict) else data):
        run.out.read += 1
        at = f"{where}: {f'{name}[{i}]' if isinstance(data, dict) else f'[{i}]'}"
        if isinstance(item, dict):
            _azure_item(run, item, at)
        else:
            run.reading.error(at, "an item", quoted(item), "save the answer as it came")


def _azure_item(run: PriceImport, item: Mapping[str, Any], at: str) -> None:
    words = [
        text_of(item, name, at, run.reading)
        for name in ("armSkuName", "armRegionName", "productName", "meterName", "type")
    ]
    usd = number(item.get("retailPrice"), f"{at}: retailPrice", "a price", run.reading)
    if None in words or usd is None:
        return None
    machine, region, product, meter, kind = (str(word) for word in words)
    meters = f"{meter} {item.get('skuName', '')}".lower()
    if item.get("currencyCode", "USD") != "USD":
        return run.out.skip("not in USD")
    if item.get("serviceName", "Virtual Machines") != "Virtual Machines" or not product.startswith("Virtual Machines"):
        return run.out.skip("not a virtual machine")
    if "windows" in product.lower():
        return run.out.skip("Windows: it shares the meter's name with Linux and differs in productName")
    if item.get("unitOfMeasure") != "1 Hour":
        return run.out.skip(f"priced per {unquoted(item.get('unitOfMeasure'))}, not per hour")
    if item.get("isPrimaryMeterRegion") is False:
        return run.out.skip("not the primary meter of its region")
    if item.get("tierMinimumUnits", 0) != 0:
        return run.out.skip("a price from a quantity upwards")
    if usd <= 0:
        return run.out.skip("0.00 USD: not a price")
    if item.get("savingsPlan"):
        run.out.notes.append(f"{machine} at {region}: savings plan prices in the item are not imported")
    pool, date = (f"azure/{region}", machine), item.get("effectiveStartDate")
    if kind == "Reservation":
        years = {"1 Year": 1, "3 Years": 3}.get(str(item.get("reservationTerm")))
        if years is None:
            return run.out.skip(f"a reservation for {unquoted(item.get('reservationTerm')) or 'no stated term'}")
        hours = years * HOURS_PER_YEAR
        said = f"Azure retail prices API, reservation of {years} year: {usd:g} USD for the whole term / {hours:g} h"
        return run.add(at, *pool, f"commitment_{years}y", usd / hours, date, said)
    if kind != "Consumption":
        return run.out.skip(f"a price of type {unquoted(kind)}")
    if "low priority" in meters:
        return run.out.skip("low priority: a meter of its own, not offered for virtual machines by the planner")
    offer = "spot" if "spot" in meters else "on_demand"
    return run.add(at, *pool, offer, usd, date, "Azure retail prices API, Linux meter")


# Google


def read_google(run: PriceImport, data: Any, where: str) -> None:
    """Billing SKUs: a price is units + nanos / 1e9, in tiers, of a part of a machine."""
    run.out.what = "Google billing SKUs"
    for i, sku in enumerate(data["skus"]):
        run.out.read += 1
        at = f"{where}: skus[{i}]"
        if isinstance(sku, dict):
            _google_sku(run, sku, at)
        else:
            run.reading.error(at, "a SKU", quoted(sku), "save the answer as it came")


def _google_machine(run: PriceImport, sku: str, description: str) -> tuple[str, float] | None:
    """The machine type that a SKU is the price of a part of, and how many parts it has."""
    if sku in run.mapped:
        return run.mapped[sku]
    found = TPU_WORDS.search(description)
    name = CHIP_MACHINES.get(re.sub(r"[- ]", "", found[1].lower())) if found else None
    return (name, float(run.machines[name].accelerators)) if name in run.machines and name is not None else None


def _google_sku(run: PriceImport, sku: Mapping[str, Any], at: str) -> None:
    description, id = text_of(sku, "description", at, run.reading), text_of(sku, "skuId", at, run.reading)
    category, infos, regions = sku.get("category"), sku.get("pricingInfo"), sku.get("serviceRegions")
    for name, value, kind in (
        ("category", category, dict),
        ("pricingInfo", infos, list),
        ("serviceRegions", regions, list),
    ):
        if not isinstance(value, kind):
            run.reading.error(
                f"{at}: {name}",
                f"the field with a {'list' if kind is list else 'mapping'}",
                quoted(value),
                "save the answer whole",
            )
    if (
        description is None
        or id is None
        or not (isinstance(category, dict) and isinstance(infos, list) and isinstance(regions, list))
    ):
        return None
    usage = str(category.get("usageType"))
    offer = {
        "OnDemand": "on_demand",
        "Preemptible": "spot",
        "Commit1Yr": "commitment_1y",
        "Commit3Yr": "commitment_3y",
    }.get(usage)
    if not infos or not regions:
        return run.out.skip("no price or no region in it")
    price = _google_price(run, infos[-1], f"{at}: pricingInfo")
    if price is None:
        return None
    if offer is None:
        return run.out.skip(f"usage of another kind: {unquoted(usage)}")
    machine = _google_machine(run, id, description)
    if machine is None:
        run.out.skip("the price of a part (CPU, RAM, chip), and which machine it is part of is not known: give --units")
        return run.out.notes.append(f"{id} {quoted(description)}: {price[0]:g} USD/h")
    if len(regions) > 1:
        run.out.read += len(regions) - 1
    for region in regions:
        if not isinstance(region, str) or not region:
            run.reading.error(f"{at}: serviceRegions", "names of regions", quoted(region), "save the answer whole")
            continue
        said = f"Google billing catalogue, SKU {id}: {price[0]:.9g} USD x {machine[1]:g}"
        run.add(at, f"google/{region}", machine[0], offer, price[0] * machine[1], price[1], said)
    return None


def _google_price(run: PriceImport, info: Any, at: str) -> tuple[float, object] | None:
    """USD per hour of one unit, and since when; None when skipped or broken."""
    expression = info.get("pricingExpression") if isinstance(info, dict) else None
    rates = expression.get("tieredRates") if isinstance(expression, dict) else None
    if not isinstance(expression, dict) or not isinstance(rates, list) or not rates:
        run.reading.error(f"{at}.pricingExpression", "tiered rates", quoted(expression), "save the answer whole")
        return None
    prices = []
    for i, rate in enumerate(rates):
        unit = rate.get("unitPrice") if isinstance(rate, dict) else None
        if not isinstance(unit, dict):
            run.reading.error(f"{at}.tieredRates[{i}]", "a unit price", quoted(rate), "save the answer whole")
            return None
        if unit.get("currencyCode", "USD") != "USD":
            run.out.skip("not in USD")
            return None
        units = whole(unit.get("units", "0"), f"{at}.tieredRates[{i}].units", "whole USD", run.reading)
        nanos = whole(unit.get("nanos", 0), f"{at}.tieredRates[{i}].nanos", "billionths of USD", run.reading)
        if units is None or nanos is None:
            return None
        if nanos >= 10**9:
            run.reading.error(
                f"{at}.tieredRates[{i}].nanos", "less than a billion", quoted(nanos), "save the answer whole"
            )
            return None
        prices.append(units + nanos / 1e9)
    if expression.get("usageUnit") != "h":
        run.out.skip(f"priced per {unquoted(expression.get('usageUnit'))}, not per hour")
        return None
    positive = sorted({price for price in prices if price > 0})
    if len(positive) != 1:
        run.out.skip("prices in several tiers of use" if positive else "0.00 USD: not a price")
        return None
    return positive[0], info.get("effectiveTime")
