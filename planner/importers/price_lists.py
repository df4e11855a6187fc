"""Answers of the price APIs of AWS, Azure and Google: items into prices, or into reasons why not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.importers.source import SAVE_AGAIN, Imported, fields_of, within, within_length
from planner.study.files import parse_json
from planner.study.places import quoted, unquoted
from planner.study.records.inventory import MachineType, Price

HOURS_PER_YEAR = 8760.0
"""Hours over which providers spread what is paid for a term [h]: 365 days."""
NOT_USD, NO_PRICE = "not in USD", "0.00 USD: not a price"

AWS_ATTRIBUTES = {
    "marketoption": ("OnDemand", "sold otherwise (a capacity block lists 0.00; its price is asked per block)"),
    "operatingSystem": ("Linux", "another operating system than Linux"),
    "preInstalledSw": ("NA", "with software installed"),
    "licenseModel": ("No License required", "with a licence"),
    "tenancy": ("Shared", "dedicated tenancy"),
    "capacitystatus": ("Used", "a reservation's own meter, not the machine's"),
}
"""What a machine that runs Linux on demand has in its attributes, and what it is when it has not."""
AWS_OPTIONS = {"No Upfront": "", "Partial Upfront": "_partial_upfront", "All Upfront": "_upfront"}
GOOGLE_OFFERS = {"OnDemand": "on_demand", "Preemptible": "spot", "Commit1Yr": "commitment_1y",
                 "Commit3Yr": "commitment_3y"}  # fmt: skip
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
class PriceImport(Imported[Price]):
    """An import of prices: options, machine types that are known, parts of machines by SKU, prices with their dates."""

    as_of: str | None = None
    source: str | None = None
    machines: Mapping[str, MachineType] = field(default_factory=dict)
    mapped: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    dated: list[tuple[Price, str]] = field(default_factory=list)

    def add(
        self, where: str, site: str, machine: str, offer: str, usd: float, stated_date: object, origin: str
    ) -> None:
        """A price, or the finding that its date is missing."""
        date = self.date(self.as_of or stated_date, where, "price")
        if date is None:
            return None
        data = {
            "evidence": "published",
            "source": within_length(f"{self.source}; {origin}" if self.source else origin),
            "as_of": date,
            "site": site,
            "machine_type": machine,
            "offer": offer,
            "price_usd_per_machine_hour": round(usd, 6),
        }
        row = self.record(Price, data, where)
        if row is not None:
            self.dated.append((row, date))
        return None

    def items(self, items: list[Any], where: str, what: str) -> Iterator[tuple[dict[str, Any], str]]:
        """The items of an answer with their places, each counted; what is no object, nor one as text, is a finding."""
        for i, item in enumerate(items):
            self.read += 1
            at = f"{where}[{i}]"
            data = parse_json(item, at, SAVE_AGAIN) if isinstance(item, str) and item.startswith("{") else item
            if isinstance(data, dict):
                yield data, at
            else:
                self.error(at, what, quoted(item), "save the answer as it came")


# AWS


def read_aws(run: PriceImport, data: Any, where: str) -> None:
    """GetProducts: PriceList items are JSON inside strings (the bulk client gives them decoded)."""
    run.what = "AWS price list"
    for item, at in run.items(data["PriceList"], f"{where}: PriceList", "a product"):
        if isinstance(item.get("product"), dict):
            _aws_product(run, item, at)
        else:
            run.error(at, "a product", quoted(item), "save the answer as it came")


def _aws_reason(family: object, attributes: Mapping[str, Any]) -> str | None:
    """Why a product is not a machine that runs Linux on demand; None when it is."""
    if not isinstance(family, str) or not family.startswith("Compute Instance"):
        return f"not a machine: {unquoted(family) or 'no product family'}"
    for name, (value, reason) in AWS_ATTRIBUTES.items():
        if attributes.get(name) != value:
            return reason
    return None


def _aws_product(run: PriceImport, product: Mapping[str, Any], at: str) -> None:
    """One product with its terms."""
    attributes, terms = fields_of(product["product"].get("attributes")), product.get("terms")
    if reason := _aws_reason(product["product"].get("productFamily"), attributes):
        return run.skip(reason)
    machine, region = run.text(attributes, "instanceType", at), run.text(attributes, "regionCode", at)
    if not isinstance(terms, dict):
        return run.error(f"{at}: terms", "terms", quoted(terms), SAVE_AGAIN)
    if machine is None or region is None:
        return None
    count = 0
    for kind, offers in sorted(terms.items()):
        place = f"{at}: terms.{unquoted(kind)}"
        for term in offers.values() if isinstance(offers, dict) else [None]:
            if not isinstance(term, dict) or not isinstance(term.get("priceDimensions"), dict):
                run.error(place, "price dimensions", quoted(term), SAVE_AGAIN)
                continue
            count += 1
            date = product.get("publicationDate") or term.get("effectiveDate")
            _aws_term(run, kind, term, (f"aws/{region}", machine), date, place)
    run.read += max(0, count - 1)
    return None if count else run.skip("no price in it")


def _aws_term(
    run: PriceImport, kind: str, term: Mapping[str, Any], pool: tuple[str, str], date: object, at: str
) -> None:
    """One term: hourly, and for a reservation what is paid first spread over its hours."""
    upfront = hourly = 0.0
    for dimension in term["priceDimensions"].values():
        if not isinstance(within(dimension, "pricePerUnit"), dict):
            return run.error(at, "a price per unit", quoted(dimension), SAVE_AGAIN)
        if "USD" not in dimension["pricePerUnit"]:
            return run.skip(NOT_USD)
        usd = run.number(dimension["pricePerUnit"]["USD"], f"{at}: USD", "a price")
        if usd is None:
            return None
        if dimension.get("unit") == "Quantity":
            upfront += usd
        elif dimension.get("unit") in ("Hrs", "Hours"):
            hourly += usd
        else:
            return run.skip(f"priced per {unquoted(dimension.get('unit'))}, not per hour")
    if kind == "OnDemand":
        if hourly <= 0:
            return run.skip(NO_PRICE)
        return run.add(at, *pool, "on_demand", hourly, date, "AWS price list, Linux, shared tenancy")
    attributes = fields_of(term.get("termAttributes"))
    years = {"1yr": 1, "3yr": 3}.get(str(attributes.get("LeaseContractLength")))
    if kind != "Reserved" or years is None:
        return run.skip(f"a term of an unknown kind: {unquoted(kind)}")
    if attributes.get("OfferingClass", "standard") != "standard":
        return run.skip("a convertible reservation")
    option = str(attributes.get("PurchaseOption"))
    if option not in AWS_OPTIONS or upfront + hourly <= 0:
        return run.skip("a reservation without a known way to pay, or without a price")
    hours = years * HOURS_PER_YEAR
    paid = f"{upfront:g} USD / {hours:g} h + {hourly:g} USD/h"
    origin = f"AWS price list, reserved {years} year, {option.lower()}: {paid}"
    return run.add(at, *pool, f"commitment_{years}y{AWS_OPTIONS[option]}", upfront / hours + hourly, date, origin)


# Azure


def read_azure(run: PriceImport, data: Any, where: str) -> None:
    """Retail prices: items of meters; Spot and Low Priority are meters of their own."""
    run.what = "Azure retail prices"
    name = "Items" if isinstance(data, dict) and "Items" in data else "items"
    place = f"{where}: {name}" if isinstance(data, dict) else f"{where}: "
    for item, at in run.items(data[name] if isinstance(data, dict) else data, place, "an item"):
        _azure_item(run, item, at)


def _azure_reason(item: Mapping[str, Any], product: str) -> str | None:
    """Why an item is not a machine that runs Linux, priced per hour; None when it is."""
    if item.get("currencyCode", "USD") != "USD":
        return NOT_USD
    if item.get("serviceName", "Virtual Machines") != "Virtual Machines" or not product.startswith("Virtual Machines"):
        return "not a virtual machine"
    if "windows" in product.lower():
        return "Windows: it shares the meter's name with Linux and differs in productName"
    if item.get("unitOfMeasure") != "1 Hour":
        return f"priced per {unquoted(item.get('unitOfMeasure'))}, not per hour"
    if item.get("isPrimaryMeterRegion") is False:
        return "not the primary meter of its region"
    return "a price from a quantity upwards" if item.get("tierMinimumUnits", 0) != 0 else None


def _azure_item(run: PriceImport, item: Mapping[str, Any], at: str) -> None:
    """One meter: on demand, spot, or a reservation, whose price is for its term."""
    names = ("armSkuName", "armRegionName", "productName", "meterName", "type")
    texts = [run.text(item, name, at) for name in names]
    usd = run.number(item.get("retailPrice"), f"{at}: retailPrice", "a price")
    if None in texts or usd is None:
        return None
    machine, region, product, meter, kind = map(str, texts)
    if reason := _azure_reason(item, product) or (NO_PRICE if usd <= 0 else None):
        return run.skip(reason)
    if item.get("savingsPlan"):
        run.notes.append(f"{machine} at {region}: savings plan prices in the item are not imported")
    pool, date = (f"azure/{region}", machine), item.get("effectiveStartDate")
    if kind == "Reservation":
        term = item.get("reservationTerm")
        years = {"1 Year": 1, "3 Years": 3}.get(str(term))
        if years is None:
            return run.skip(f"a reservation for {unquoted(term) or 'no stated term'}")
        hours = years * HOURS_PER_YEAR
        origin = f"Azure retail prices API, reservation of {years} year: {usd:g} USD for the whole term / {hours:g} h"
        return run.add(at, *pool, f"commitment_{years}y", usd / hours, date, origin)
    if kind != "Consumption":
        return run.skip(f"a price of type {unquoted(kind)}")
    meters = f"{meter} {item.get('skuName', '')}".lower()
    if "low priority" in meters:
        return run.skip("low priority: a meter of its own, not offered for virtual machines by the planner")
    offer = "spot" if "spot" in meters else "on_demand"
    return run.add(at, *pool, offer, usd, date, "Azure retail prices API, Linux meter")


# Google


def read_google(run: PriceImport, data: Any, where: str) -> None:
    """Billing SKUs: a price is units + nanos / 1e9, in tiers, of a part of a machine."""
    run.what = "Google billing SKUs"
    for sku, at in run.items(data["skus"], f"{where}: skus", "a SKU"):
        _google_sku(run, sku, at)


def _google_machine(run: PriceImport, sku: str, description: str) -> tuple[str, float] | None:
    """The machine type that a SKU is the price of a part of, and how many parts it has."""
    if sku in run.mapped:
        return run.mapped[sku]
    chip = TPU_WORDS.search(description)
    machine = run.machines.get(CHIP_MACHINES.get(re.sub(r"[- ]", "", chip[1].lower()), "")) if chip else None
    return None if machine is None else (machine.name, float(machine.accelerators))


def _google_sku(run: PriceImport, sku: Mapping[str, Any], at: str) -> None:
    """One SKU: the price of a part of a machine, times the parts, in each of its regions."""
    description, id = run.text(sku, "description", at), run.text(sku, "skuId", at)
    kinds: dict[str, tuple[type, str]] = {
        "category": (dict, "mapping"), "pricingInfo": (list, "list"), "serviceRegions": (list, "list"),
    }  # fmt: skip
    broken = [name for name, (kind, _) in kinds.items() if not isinstance(sku.get(name), kind)]
    for name in broken:
        run.error(f"{at}: {name}", f"the field with a {kinds[name][1]}", quoted(sku.get(name)), SAVE_AGAIN)
    if description is None or id is None or broken:
        return None
    if not sku["pricingInfo"] or not sku["serviceRegions"]:
        return run.skip("no price or no region in it")
    usd = _google_price(run, sku["pricingInfo"][-1], f"{at}: pricingInfo")
    if usd is None:
        return None
    usage = str(sku["category"].get("usageType"))
    if usage not in GOOGLE_OFFERS:
        return run.skip(f"usage of another kind: {unquoted(usage)}")
    machine = _google_machine(run, id, description)
    if machine is None:
        run.skip("the price of a part (CPU, RAM, chip), and which machine it is part of is not known: give --units")
        return run.notes.append(f"{id} {quoted(description)}: {usd:g} USD/h")
    run.read += len(sku["serviceRegions"]) - 1
    for region in sku["serviceRegions"]:
        if not isinstance(region, str) or not region:
            run.error(f"{at}: serviceRegions", "names of regions", quoted(region), SAVE_AGAIN)
            continue
        origin = f"Google billing catalogue, SKU {id}: {usd:.9g} USD x {machine[1]:g}"
        date = sku["pricingInfo"][-1].get("effectiveTime")
        run.add(at, f"google/{region}", machine[0], GOOGLE_OFFERS[usage], usd * machine[1], date, origin)
    return None


def _google_price(run: PriceImport, info: Any, at: str) -> float | None:
    """USD per hour of one unit; None when skipped or broken."""
    expression, rates = within(info, "pricingExpression"), within(info, "pricingExpression.tieredRates")
    if not isinstance(rates, list) or not rates:
        run.error(f"{at}.pricingExpression", "tiered rates", quoted(expression), SAVE_AGAIN)
        return None
    prices = set()
    for i, rate in enumerate(rates):
        unit, place = within(rate, "unitPrice"), f"{at}.tieredRates[{i}]"
        if not isinstance(unit, dict):
            run.error(place, "a unit price", quoted(rate), SAVE_AGAIN)
            return None
        if unit.get("currencyCode", "USD") != "USD":
            run.skip(NOT_USD)
            return None
        units = run.count(unit.get("units", "0"), f"{place}.units", "whole USD")
        nanos = run.count(unit.get("nanos", 0), f"{place}.nanos", "billionths of USD")
        if units is None or nanos is None:
            return None
        if nanos >= 10**9:
            run.error(f"{place}.nanos", "less than a billion", quoted(nanos), SAVE_AGAIN)
            return None
        prices.add(units + nanos / 1e9)
    if expression.get("usageUnit") != "h":
        run.skip(f"priced per {unquoted(expression.get('usageUnit'))}, not per hour")
        return None
    positive = prices - {0.0}
    if len(positive) != 1:
        run.skip("prices in several tiers of use" if positive else NO_PRICE)
        return None
    return positive.pop()
