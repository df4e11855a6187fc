"""Price lists: what each shape gives, and the traps in it."""

import json

from import_excerpts import (
    DATA,
    ROOT,
    SKYPILOT_AWS,
    SKYPILOT_AZURE,
    SKYPILOT_GOOGLE,
    adds_up,
    aws,
    aws_product,
    azure_item,
    google_sku,
    prices_of,
    refused,
    with_data,
    written,
)

from planner.importers.prices import read_prices
from planner.importers.source import date_of


def test_aws_takes_linux_on_demand_and_neither_blocks_at_zero_nor_windows_nor_licences(tmp_path):
    others = [aws_product("CapacityBlock", "0.0000000000"), aws_product(system="Windows"), aws_product(usd="0.0"),
              aws_product(licence="Bring your own license"), aws_product(tenancy="Dedicated"),
              aws_product(preInstalledSw="SQL Std"), aws_product(capacitystatus="Allocated")]  # fmt: skip
    rows, imported = prices_of(tmp_path, aws(aws_product(), *others))
    assert rows == {"aws/us-east-1/p5.48xlarge:on_demand": 55.04}
    assert imported.rows[0].as_of == "2026-09-10" and imported.rows[0].evidence == "published"
    assert sum(imported.skipped.values()) == 7 and any("capacity block" in reason for reason in imported.skipped)


def test_aws_reservation_spreads_what_is_paid_first_over_the_hours_of_the_term(tmp_path):
    product = aws_product()
    dimensions = {
        "a": {"unit": "Quantity", "pricePerUnit": {"USD": "87600"}},
        "b": {"unit": "Hrs", "pricePerUnit": {"USD": "3"}},
    }
    attributes = {"LeaseContractLength": "1yr", "PurchaseOption": "Partial Upfront", "OfferingClass": "standard"}
    product["terms"]["Reserved"] = {"r": {"priceDimensions": dimensions, "termAttributes": attributes}}
    rows, _ = prices_of(tmp_path, aws(product))
    assert rows["aws/us-east-1/p5.48xlarge:commitment_1y_partial_upfront"] == 13.0  # 87600 / 8760 + 3


def test_azure_tells_windows_spot_low_priority_and_reservations_apart(tmp_path):
    items = [
        azure_item(),
        azure_item(productName="Virtual Machines NDsr H100 v5 Series Windows", retailPrice=102.736),
        azure_item(meterName="ND96isrH100v5 Spot", retailPrice=18.169536),
        azure_item(meterName="ND96isrH100v5 Low Priority", retailPrice=19.664),
        azure_item(type="Reservation", reservationTerm="1 Year", retailPrice=2377.0),
        azure_item(type="Reservation", reservationTerm="3 Years", retailPrice=4594.0),
        azure_item(currencyCode="EUR"),
        azure_item(type="DevTestConsumption"),
    ]
    rows, imported = prices_of(tmp_path, json.dumps({"Items": items}))
    pool = "azure/eastus/Standard_ND96isr_H100_v5"
    assert rows == {
        f"{pool}:on_demand": 98.32,
        f"{pool}:spot": 18.169536,
        f"{pool}:commitment_1y": 0.271347,  # 2377 USD for the whole year / 8760 h, although the unit says 1 Hour
        f"{pool}:commitment_3y": 0.17481,  # 4594 / 26280
    }
    assert {row.as_of for row in imported.rows} == {"2026-09-16"}


def test_two_prices_of_the_same_meter_and_date_are_not_guessed_between(tmp_path):
    rows, imported = prices_of(tmp_path, json.dumps([azure_item(), azure_item(retailPrice=99.0)]))
    assert rows == {} and any("98.32, 99" in note for note in imported.notes)
    older = azure_item(retailPrice=99.0, effectiveStartDate="2025-01-01T00:00:00Z")
    assert list(prices_of(tmp_path, json.dumps([azure_item(), older]))[0].values()) == [98.32]


def test_google_prices_are_units_and_nanos_in_tiers(tmp_path):
    free_first = google_sku([("0", 0), ("2", 700000000)])
    rows, _ = prices_of(tmp_path, json.dumps({"skus": [free_first]}))
    assert rows == {"google/us-east5/ct6e-standard-8t:on_demand": 21.6}  # (2 + 0.7) x 8 chips
    part = google_sku([("0", 23059300)], "Commitment v1: A2 Cpu in APAC for 1 Year", "Commit1Yr")
    rows, imported = prices_of(tmp_path, json.dumps({"skus": [part]}))
    assert rows == {} and "0.0230593" in imported.notes[0]
    rows, _ = prices_of(tmp_path, json.dumps({"skus": [part]}), units=("AAAA-BBBB-CCCC=a2-x:100",))
    assert rows == {"google/us-east5/a2-x:commitment_1y": 2.30593}
    assert prices_of(tmp_path, json.dumps({"skus": [google_sku([("1", 0), ("2", 0)])]}))[0] == {}


def test_skypilot_placeholders_zones_and_wrong_counts(tmp_path):
    rows, imported = prices_of(tmp_path, SKYPILOT_AWS, "a.csv", as_of="2026-11")
    assert rows == {"aws/us-east-1/p5.48xlarge:on_demand": 55.04, "aws/us-east-1/p5.48xlarge:spot": 19.0}
    assert any("512 GiB" in note and "96" in note for note in imported.notes)  # trn2's memory
    rows, _ = prices_of(tmp_path, SKYPILOT_GOOGLE, "g.csv", as_of="2026-11")
    assert rows == {
        "google/us-central1/ct6e-standard-8t:on_demand": 21.6,
        "google/us-central1/ct6e-standard-8t:spot": 4.74132,
        "google/us-east5/ct5p-hightpu-4t:on_demand": 16.8,  # v5p-8 counts cores: 4 chips x 4.20
        "google/us-east5/ct5p-hightpu-4t:spot": 5.2,
    }
    rows, imported = prices_of(tmp_path, SKYPILOT_AZURE, "z.csv", as_of="2026-11")
    assert rows["azure/eastus/Standard_ND96isr_H100_v5:on_demand"] == 98.32
    assert "azure/eastus/Standard_ND96isr_H100_v5:spot" not in rows  # as dear as on demand
    assert [note.split(":")[0] for note in imported.notes] == ["Standard_ND96isr_H100_v5", "Standard_ND96isr_MI300X_v5"]


def test_prices_need_a_date_and_keep_to_the_inventory(tmp_path):
    path = written(tmp_path, "a.csv", SKYPILOT_AWS)
    assert any("--as-of" in finding.fix for finding in refused(lambda: read_prices(path)))
    assert "year, month or day" in refused(lambda: read_prices(path, "last week"))[0].expected
    imported = read_prices(path, "2026-11", inventory=ROOT / "inventories")
    adds_up(imported)
    assert {row.offer_id for row in imported.rows} <= {f"aws/us-east-1/p5.48xlarge:{o}" for o in ("on_demand", "spot")}


@with_data
def test_every_price_sample_is_answered():
    kept = {}
    for path in sorted((DATA / "samples").iterdir()):
        imported = read_prices(path, "2026-11")
        adds_up(imported)
        kept[path.name] = len(imported.rows)
    assert kept == {
        "aws_pricing_get_products.json": 0,  # storage
        "aws_pricing_get_products_accelerators.json": 7,  # without the capacity block
        "azure_retail_prices.json": 3,
        "azure_retail_prices_gpu_items.json": 2,  # without Windows
        "gcp_billing_catalog_sku.json": 0,  # CPU
        "skypilot_catalog_v5_azure_vms_sample.csv": 8,
        "skypilot_catalog_v9_aws_vms_sample.csv": 14,
        "skypilot_catalog_v9_gcp_vms_sample.csv": 9,
    }


def test_dates_are_those_of_a_calendar():
    assert [date_of(x) for x in ("2026", "2026-03", "2026-03-14T00:00:00Z", "2025 (v9)")] == [
        "2026",
        "2026-03",
        "2026-03-14",
        "2025",
    ]
    assert [date_of(x) for x in ("2026-13", "2026-02-30", "nan", "", None, "2025/2026", 2026)] == [None] * 7
