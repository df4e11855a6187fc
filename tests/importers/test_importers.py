"""Importers: what each shape gives, the traps in it, and that broken input is answered with findings."""

import csv
import io
import json
import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from planner.cli.importing import app
from planner.drill import DrillResult, drill_fleet
from planner.errors import InputError
from planner.importers.catalogue import read_models
from planner.importers.demand import read_demand, shapes_yaml
from planner.importers.from_fleet import start_from_fleet
from planner.importers.new_study import LONG_MEAN_TOKENS, MEAN_TOKENS
from planner.importers.operating_points import MeasuredRow, points_yaml, replica_seconds
from planner.importers.prices import read_prices
from planner.importers.round_trips import read_round_trips
from planner.importers.source import Imported, csv_text, date_of
from planner.importers.throughput import read_throughput
from planner.study.memory import memory_needed_gib, usable_memory_gib
from planner.study.places import Reading
from planner.study.read import read_fleet, read_study
from planner.study.records.inventory import MachineType, Price, RoundTrip
from planner.study.records.serving import OperatingPoint
from planner.study.records.study import Demand, Horizon, Hour, Shape
from planner.study.tables import read_list

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[3] / "shared" / "data"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of reference facts is not there")
runner = CliRunner()


# Excerpts, in the shapes of the originals


def aws_product(market="OnDemand", usd="55.04", system="Linux", licence="No License required", **more):
    attributes = {
        "instanceType": "p5.48xlarge", "regionCode": "us-east-1", "marketoption": market, "operatingSystem": system,
        "preInstalledSw": "NA", "licenseModel": licence, "tenancy": "Shared", "capacitystatus": "Used",
    } | more  # fmt: skip
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": usd}, "beginRange": "0", "endRange": "Inf"}
    term = {"priceDimensions": {"X.Y.Z": dimension}, "effectiveDate": "2026-09-01T00:00:00Z", "termAttributes": {}}
    product = {"productFamily": "Compute Instance", "attributes": attributes, "sku": "X"}
    return {"product": product, "terms": {"OnDemand": {"X.Y": term}}, "publicationDate": "2026-09-10T19:55:14Z"}


def aws(*products):
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in products]})


def azure_item(**more):
    return {
        "currencyCode": "USD", "retailPrice": 98.32, "armRegionName": "eastus", "unitOfMeasure": "1 Hour",
        "armSkuName": "Standard_ND96isr_H100_v5", "meterName": "ND96isrH100v5", "type": "Consumption",
        "productName": "Virtual Machines NDsr H100 v5 Series", "effectiveStartDate": "2026-09-16T00:00:00Z",
    } | more  # fmt: skip


def google_sku(rates, description="Tpu-v6e chip", usage="OnDemand", **more):
    tiers = [{"startUsageAmount": i, "unitPrice": {"currencyCode": "USD", "units": u, "nanos": n}}
             for i, (u, n) in enumerate(rates)]  # fmt: skip
    return {
        "skuId": "AAAA-BBBB-CCCC", "description": description, "category": {"usageType": usage},
        "serviceRegions": ["us-east5"],
        "pricingInfo": [{"pricingExpression": {"usageUnit": "h", "tieredRates": tiers},
                         "effectiveTime": "2026-09-20T22:56:00.158911Z"}],
    } | more  # fmt: skip


SKYPILOT_AWS = """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
p5.48xlarge,H100,8.0,192.0,2048.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}",55.04,18.0,us-east-1,use1-az2
p5.48xlarge,H100,8.0,192.0,2048.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}",55.04,20.0,us-east-1,use1-az3
p5.48xlarge,H100,8.0,192.0,2048.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}",55.04,55.04,us-east-1,use1-az4
trn2.48xlarge,Trainium2,16.0,192.0,2048.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 524288}}]}",,8.5964,us-east-2,use2-az3
"""
SKYPILOT_GOOGLE = """\
InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice
a3-highgpu-1g,26.0,234.0,,,,us-central1,us-central1-a,1.18251,0.64454
,,,tpu-v5p-8,1,tpu-v5p-8,us-east5,us-east5-a,16.8,5.2
,,,tpu-v6e-8,1,tpu-v6e-8,us-central1,us-central1-a,21.6,4.74132
,,,tpu-v6e-8,1,tpu-v6e-8,asia-east1,asia-east1-c,700.0,700.0
"""
SKYPILOT_AZURE = """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,Generation
Standard_ND96isr_H100_v5,H100,12,96.0,1900,H100,98.32,98.32,eastus,V2
Standard_ND96isr_MI300X_v5,MI300X,1,96.0,1850,MI300X,48.0,19.2,eastus2,V2
"""
LATENCY = """\
src_cloud,src_region,dst_cloud,dst_region,rtt_p50_ms,rtt_avg_ms,source,as_of
aws,af-south-1,aws,ap-east-1,247.41,249.58,cloudping,2024-04-19
aws,ap-northeast-1,gcp,asia-east1,38.1,39.0,someone,2022-02-14
"""
SILICON = """\
id,silicon_data_source,backend,backend_version,model_path,system,precision,mode,isl,osl,batch_size,tp_size,pp_size,\
attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms
a_c128,silicon_concurrency=128; measured=2026-04-17T00:00:00.000Z; x,vllm,0.19.0,MM/M2,h100_sxm,fp8,agg,8192,1024,128,\
4,1,1,4,1,972.3,33.44
b_c128,silicon_concurrency=128; measured=2026-04-21T00:00:00.000Z; x,vllm,0.19.0,MM/M2,h100_sxm,fp8,agg,1024,1024,128,\
4,1,1,4,1,205.6,17.79
c_c512,silicon_concurrency=512; measured=2026-04-21T00:00:00.000Z; x,vllm,0.19.0,MM/M2,b300_sxm,fp8,agg,1024,1024,128,\
4,1,4,1,16,727.8,31.7
d,measured=2026-04-21; x,vllm,0.19.0,MM/M2,b300_sxm,fp8,disagg,1024,1024,,,,,,,727.8,31.7
e_c8,silicon_concurrency=8; measured=2026-04-21; eagle3 draft,vllm,0.19.0,MM/M2,b300_sxm,fp8,agg,1024,1024,8,4,1,1,4,1,\
72.8,3.7
"""
MEASURED = """\
model,accelerator,chips,engine,engine_version,precision,input_len,output_len,concurrency,ttft_ms,tpot_ms,input_tok_s,\
output_tok_s,tput_kind,source,as_of,note
m,H100,8,vllm,nan,fp8,1024,1024,64,300,20,3150,3150,derived,bench,2026-03-14,
m,H100,8,vllm,nan,fp8,8192,1024,64,1500,30,16200,2025,derived,bench,2026-03-14,
m,H100,8,vllm,nan,fp8,1024,1024,1,60,8,120,120,derived,bench,2026-03-14,
m,H100,8,vllm,nan,fp8,8192,1024,1,200,9,800,100,derived,bench,2026-03-14,
m,H100,8,vllm,nan,fp8,20000,2000,,,,9000,900,measured_max_load,bench,2026-03-14,
m,H100,8,vllm,nan,nan,1024,1024,4,60,8,497,497,derived,bench,2026-03-14,
m,H100,8,vllm,nan,fp8,1024,1024,4,60,8,497,497,derived,bench,nan,
m,H100,8,vllm,nan,fp8,1024,1024,4,60,8,497,497,derived,bench,2026-03-14,speculative decoding
"""
VLLM = {
    "date": "20260314-101500", "endpoint_type": "vllm", "backend": "vllm", "label": None, "num_prompts": 640,
    "model_id": "meta-llama/Llama-3.1-70B", "tokenizer_id": "t", "request_rate": "inf", "burstiness": 1.0,
    "max_concurrency": 64, "duration": 60.0, "completed": 640, "total_input_tokens": 655360, "failed": 0,
    "total_output_tokens": 163840, "request_throughput": 10.67, "output_throughput": 2730.7, "mean_ttft_ms": 350.5,
    "median_ttft_ms": 300.0, "p99_ttft_ms": 2500.0, "mean_tpot_ms": 21.25, "median_tpot_ms": 21.0, "mean_itl_ms": 21.2,
}  # fmt: skip
AIPERF = {
    "schema_version": "1.0", "aiperf_version": "0.6.0", "request_throughput": {"unit": "requests/sec", "avg": 6.7},
    "request_count": {"unit": "requests", "avg": 320}, "start_time": "2026-03-14T10:15:00",
    "time_to_first_token": {"unit": "ms", "avg": 610.0, "p50": 600.0, "p99": 900.0},
    "inter_token_latency": {"unit": "ms", "avg": 20.5, "p50": 20.1, "p99": 25.0},
    "input_sequence_length": {"unit": "tokens", "avg": 2000.3},
    "output_sequence_length": {"unit": "tokens", "avg": 200},
    "input_config": {
        "endpoint": {"model_names": ["Qwen/Qwen3-32B"], "streaming": True},
        "input": {"prompt": {"prefix_prompt": {"pool_size": 0, "length": 0}}, "conversation": {"turn": {"mean": 1}}},
        "loadgen": {"concurrency": 32, "request_count": 320},
    },
    "was_cancelled": False, "error_summary": [],
}  # fmt: skip
HALF = {"max_concurrency": 32, "duration": 120.0, "request_throughput": 5.33, "output_throughput": 1365.3}
CHIP = {"accelerator": "H100-SXM-80GB", "chips": 8, "precision": "fp8"}


def guidellm_benchmark(kind="concurrent", streams=32, ttft=120.5):
    def of(mean):
        return {"successful": {"mean": mean, "median": mean, "percentiles": {"p99": 2 * mean}}}

    return {
        "config": {"strategy": {"type_": kind, "streams": streams}}, "start_time": 1773482400.0,
        "metrics": {
            "request_totals": {"successful": 320, "errored": 0, "incomplete": 0, "total": 320},
            "prompt_token_count": of(1000.2), "output_token_count": of(255.7),
            "time_to_first_token_ms": of(ttft), "inter_token_latency_ms": of(14.5), "request_concurrency": of(31.2),
        },
    }  # fmt: skip


def guidellm(*benchmarks):
    return json.dumps({"metadata": {"version": 2}, "args": {"model": "qwen"}, "benchmarks": list(benchmarks)})


AZURE_TRACE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:16:51.2224670,9000,55
2023-11-16 18:17:46.6805900,800,12
"""
MOONCAKE = """\
{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 30000, "input_length": 12000, "output_length": 300, "hash_ids": [0]}
{"timestamp": 120000, "input_length": 200000, "output_length": 100, "hash_ids": [2]}
"""
BURSTGPT = """\
Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
11,,0.00,GPT-4,179,0,179,Conversation log
23,,7.98,ChatGPT,1064,399,1463,Conversation log
46,,4.08,ChatGPT,1384,204,1588,Conversation log
123,,5.18,GPT-4,242,261,501,Conversation log
"""
MATRIX = """\
region,us-east-1,us-west-2,eu-west-1
us-east-1,4.1,66.0,
us-west-2,65.1,3.9,128.0
"""
CLOUDPING = {
    "metadata": {"percentile": "p_50", "timeframe": "1D", "unit": "milliseconds"},
    "data": {"us-east-1": {"us-east-1": 4.1, "us-west-2": 66.0, "eu-west-1": None}, "us-west-2": {"us-east-1": 65.1}},
}
Read = Callable[[Path], Imported]


def throughput(path):
    return read_throughput(path, **CHIP, engine="vllm", as_of="2026-03")[0]


def demand(path):
    return read_demand(path, {"london": 1.0})


def matrix(path):
    return read_round_trips(path, provider="aws", as_of="2026-11", source="ours")


EXCERPTS: dict[str, tuple[str, Read]] = {
    "aws.json": (aws(aws_product(), aws_product("CapacityBlock", "0.0")), read_prices),
    "azure.json": (json.dumps({"Items": [azure_item(), azure_item(type="Reservation")]}), read_prices),
    "google.json": (json.dumps({"skus": [google_sku([("2", 700000000)])]}), read_prices),
    "sky_aws.csv": (SKYPILOT_AWS, lambda p: read_prices(p, "2026-11")),
    "sky_google.csv": (SKYPILOT_GOOGLE, lambda p: read_prices(p, "2026-11")),
    "sky_azure.csv": (SKYPILOT_AZURE, lambda p: read_prices(p, "2026-11")),
    "latency.csv": (LATENCY, read_round_trips),
    "matrix.csv": (MATRIX, matrix),
    "cloudping.json": (json.dumps(CLOUDPING), matrix),
    "silicon.csv": (SILICON, throughput),
    "measured.csv": (MEASURED, throughput),
    "vllm.json": (json.dumps(VLLM), throughput),
    "guidellm.json": (guidellm(guidellm_benchmark()), throughput),
    "aiperf.json": (json.dumps(AIPERF), throughput),
    "azure_trace.csv": (AZURE_TRACE, demand),
    "mooncake.jsonl": (MOONCAKE, demand),
    "burstgpt.csv": (BURSTGPT, demand),
}  # fmt: skip


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def prices_of(tmp_path, text, name="x.json", **options):
    imported = read_prices(written(tmp_path, name, text), **options)
    adds_up(imported)
    return {row.offer_id: row.price_usd_per_machine_hour for row in imported.rows}, imported


def adds_up(imported: Imported) -> None:
    """Everything read was used or is counted among what was skipped."""
    assert imported.read == imported.kept + sum(imported.skipped.values()), imported.as_text()
    assert all(n > 0 for n in imported.skipped.values())


def refused(read: Callable[[], object]) -> list:
    with pytest.raises(InputError) as caught:
        read()
    for finding in caught.value.findings:
        assert all((finding.where, finding.expected, finding.got, finding.fix)), finding
        assert "\n" not in finding.where + finding.expected + finding.got
    assert len(set(caught.value.findings)) == len(caught.value.findings)
    return caught.value.findings


# Prices


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


# Round trips


def test_round_trips_prefer_the_median_and_name_providers_as_the_inventory_does(tmp_path):
    imported = read_round_trips(written(tmp_path, "l.csv", LATENCY))
    adds_up(imported)
    assert [(r.from_region, r.to_region, r.round_trip_ms, r.as_of) for r in imported.rows] == [
        ("aws/af-south-1", "aws/ap-east-1", 247.41, "2024-04-19"),
        ("aws/ap-northeast-1", "google/asia-east1", 38.1, "2022-02-14"),
    ]
    assert imported.rows[0].source == "cloudping, median" and imported.rows[0].evidence == "measured"


def test_any_table_of_round_trips_by_columns(tmp_path):
    path = written(tmp_path, "p.csv", "a,b,ms\nx,y,12.5\nx,y,12.5\nx,z,\n")
    assert "--columns" in refused(lambda: read_round_trips(path))[0].expected
    imported = read_round_trips(path, "from=a,to=b,ms=ms", "aws", "2026-11", "own pings")
    adds_up(imported)
    assert [(r.from_region, r.to_region) for r in imported.rows] == [("aws/x", "aws/y")]
    assert dict(imported.skipped) == {"a repetition of the same figure": 1, "no figure": 1}
    assert len(refused(lambda: read_round_trips(path, "from=a,too=b,ms=msec"))) == 2


def test_a_matrix_of_round_trips_is_read_from_csv_and_json(tmp_path):
    given = {"provider": "aws", "as_of": "2026-11", "source": "cloudping.co"}
    imported = read_round_trips(written(tmp_path, "m.csv", MATRIX), **given)
    adds_up(imported)
    ms = {(row.from_region, row.to_region): row.round_trip_ms for row in imported.rows}
    assert ms["aws/us-east-1", "aws/us-west-2"] == 66.0 and ms["aws/us-west-2", "aws/us-east-1"] == 65.1
    assert len(ms) == 5 and imported.skipped == {"no figure": 1}
    for data in (CLOUDPING, CLOUDPING["data"]):
        again = read_round_trips(written(tmp_path, "c.json", json.dumps(data)), **given)
        adds_up(again)
        assert {(row.from_region, row.to_region): row.round_trip_ms for row in again.rows} == {
            ("aws/us-east-1", "aws/us-east-1"): 4.1,
            ("aws/us-east-1", "aws/us-west-2"): 66.0,
            ("aws/us-west-2", "aws/us-east-1"): 65.1,
        }
        assert {row.source for row in again.rows} == {"cloudping.co, median" if data is CLOUDPING else "cloudping.co"}
    dated = CLOUDPING | {"metadata": {"timestamp": "2026-10-02T08:00:00Z", "percentile": "p_50"}}
    path = written(tmp_path, "d.json", json.dumps(dated))
    assert {row.as_of for row in read_round_trips(path, provider="aws", source="x").rows} == {"2026-10-02"}
    worst = CLOUDPING | {"metadata": {"percentile": "p_90", "unit": "milliseconds"}}
    assert "p_90" in " ".join(read_round_trips(written(tmp_path, "w.json", json.dumps(worst)), **given).notes)


def test_what_a_matrix_does_not_say_is_asked_for_once(tmp_path):
    for name, text in (("m.csv", MATRIX), ("c.json", json.dumps(CLOUDPING))):
        path = written(tmp_path, name, text)
        fixes = [finding.fix.split(",")[0] for finding in refused(lambda path=path: read_round_trips(path))]
        assert fixes == ["give --provider", "give --as-of", "give --source"]
    seconds = CLOUDPING | {"metadata": {"unit": "seconds"}}
    assert refused(lambda: read_round_trips(written(tmp_path, "s.json", json.dumps(seconds))))[0].got == "'seconds'"
    for other in ({"a": 1}, [1], {"data": []}, {"data": {"a": 3}}, {"data": {}}):
        (finding,) = refused(lambda other=other: read_round_trips(written(tmp_path, "o.json", json.dumps(other))))
        assert "matrix as JSON" in finding.expected
    wrong = MATRIX.replace("128.0", "far")
    (finding,) = refused(
        lambda: read_round_trips(written(tmp_path, "x.csv", wrong), provider="aws", as_of="2026", source="us")
    )
    assert finding.where.endswith("x.csv:3: us-west-2 to eu-west-1")


@with_data
@pytest.mark.parametrize(("name", "pairs"), [("aws", 441), ("azure", 2862), ("gcp", 560), ("crosscloud", 768)])
def test_latency_tables_become_round_trips(name, pairs):
    imported = read_round_trips(DATA / f"latency_{name}.csv")
    adds_up(imported)
    assert len(imported.rows) == pairs
    regions = {region for row in imported.rows for region in (row.from_region, row.to_region)}
    assert {region.partition("/")[0] for region in regions} <= {"aws", "azure", "google"}


# Throughput


def test_silicon_rows_count_chips_and_leave_out_what_is_no_capacity(tmp_path):
    imported, points = read_throughput(written(tmp_path, "s.csv", SILICON))
    adds_up(imported)
    assert [(r.accelerator, r.chips, r.concurrency, r.as_of) for r in imported.rows] == [
        ("H100-SXM-80GB", 4, 128, "2026-04-17"),
        ("H100-SXM-80GB", 4, 128, "2026-04-21"),
        ("B300-SXM-288GB", 16, 512, "2026-04-21"),  # 4 ranks x 4 of data parallel attention
    ]
    assert len(imported.skipped) == 2 and len(points) == 2
    # by hand: y1 = (205.6 + 1023 x 17.79) / 128 ms, y2 = (972.3 + 1023 x 33.44) / 128 ms
    y1, y2 = (0.2056 + 1023 * 0.01779) / 128, (0.9723 + 1023 * 0.03344) / 128
    prefill = (8192 - 1024) / (y2 - y1)
    for made in points:
        assert made.point.prefill_tokens_per_second == pytest.approx(prefill)
        assert made.point.decode_tokens_per_second == pytest.approx(1024 / (y1 - 1024 / prefill))
    assert {p.point.context_class: p.point.first_token_ms for p in points} == {"short": 205.6, "medium": 972.3}


def test_measured_rows_that_are_no_capacity_are_left_out_with_the_reason(tmp_path):
    imported, points = read_throughput(written(tmp_path, "m.csv", MEASURED))
    adds_up(imported)
    assert imported.read == 8 and imported.kept == 4 and len(imported.skipped) == 4
    assert {p.concurrency for p in points} == {64}  # one request at a time is a user's speed, not a capacity
    assert any("one request at a time" in note for note in imported.notes)
    assert imported.rows[0].engine == "vllm"  # "nan" is not a version


def test_operating_points_are_records_that_a_profile_takes(tmp_path):
    imported, points = read_throughput(written(tmp_path, "m.csv", MEASURED))
    for item in yaml.safe_load(points_yaml(points))["points"]:
        measured_on = item.pop("measured_on")
        point = OperatingPoint.model_validate_json(json.dumps(item), strict=True)
        assert point.evidence == "measured" and point.as_of == "2026-03-14"
        for row in imported.rows:
            if row.concurrency == measured_on["concurrency"]:
                took = row.input_len / point.prefill_tokens_per_second + row.output_len / point.decode_tokens_per_second
                assert took == pytest.approx(replica_seconds(row), rel=1e-4)
    again = read_throughput(written(tmp_path, "again.csv", csv_text(MeasuredRow, imported.rows)))[0]
    assert again.rows == imported.rows


def test_vllm_needs_the_machine_and_a_closed_loop(tmp_path):
    path = written(tmp_path, "v.json", json.dumps(VLLM))
    imported, _ = read_throughput(path, **CHIP)
    row = imported.rows[0]
    assert (row.input_len, row.output_len, row.concurrency, row.ttft_ms, row.tpot_ms) == (1024, 256, 64, 350.5, 21.25)
    assert (row.model, row.engine, row.as_of) == ("meta-llama/Llama-3.1-70B", "vllm", "2026-03-14")
    assert any("--accelerator" in f.fix for f in refused(lambda: read_throughput(path, precision="fp8")))
    for change in ({"max_concurrency": None}, {"failed": 3}, {"request_rate": 2.0}, {"completed": 70}):
        changed = written(tmp_path, "w.json", json.dumps(VLLM | change))
        imported, _ = read_throughput(changed, **CHIP)
        adds_up(imported)
        assert not imported.rows, change
    lines = written(tmp_path, "l.json", json.dumps(VLLM) + "\n" + json.dumps(VLLM | HALF) + "\n")
    assert [r.concurrency for r in read_throughput(lines, **CHIP)[0].rows] == [64, 32]


def test_guidellm_counts_benchmarks_at_a_fixed_number_of_streams(tmp_path):
    text = guidellm(
        guidellm_benchmark(), guidellm_benchmark("throughput", None), guidellm_benchmark("synchronous", None)
    )
    imported, _ = read_throughput(written(tmp_path, "g.json", text), **CHIP, engine="vllm")
    adds_up(imported)
    assert [(r.concurrency, r.input_len, r.output_len, r.ttft_ms, r.tpot_ms) for r in imported.rows] == [
        (32, 1000, 256, 120.5, 14.5),
        (1, 1000, 256, 120.5, 14.5),
    ]
    assert imported.rows[0].model == "qwen" and imported.rows[0].as_of == "2026-03-14"
    old = guidellm_benchmark()
    old["args"], old["run_stats"] = old.pop("config"), {"start_time": old.pop("start_time")}
    old["worker"] = {"backend_model": "older"}
    path = written(tmp_path, "old.json", json.dumps({"benchmarks": [old]}))
    assert read_throughput(path, **CHIP, engine="vllm")[0].rows[0].model == "older"


def none_of(tmp_path, data, reason):
    """A benchmark that is left out whole, for one reason that is said with its place."""
    path = written(tmp_path, "none.json", json.dumps(data))
    imported, _ = read_throughput(path, **CHIP, engine="vllm", model="m", as_of="2026-03")
    adds_up(imported)
    assert not imported.rows, data
    assert [reason in said for said in imported.skipped] == [True], imported.as_text()
    assert "none.json" in imported.as_text()
    return imported


def test_aiperf_is_read_by_its_means_in_their_units(tmp_path):
    imported, _ = read_throughput(written(tmp_path, "a.json", json.dumps(AIPERF)), **CHIP, engine="trtllm")
    (row,) = imported.rows
    # 32 in flight, each 0.61 s + 199 x 0.0205 s
    assert 1 / replica_seconds(row) == pytest.approx(32 / (0.61 + 199 * 0.0205))
    assert (row.model, row.input_len, row.output_len, row.concurrency) == ("Qwen/Qwen3-32B", 2000, 200, 32)
    assert row.as_of == "2026-03-14"
    phases = [
        {"name": "warmup", "kind": "warmup", "type": "concurrency", "concurrency": 4},
        {"name": "profiling", "kind": "profiling", "type": "concurrency", "concurrency": 32},
    ]
    later = AIPERF | {"time_to_first_token": {"unit": "s", "avg": 0.61}}
    later["input_config"] = {"models": {"items": [{"name": "Qwen/Qwen3-32B"}]}, "phases": phases}
    again, _ = read_throughput(written(tmp_path, "b.json", json.dumps(later)), **CHIP, engine="trtllm")
    assert again.rows == [row.model_copy(update={"source": "AIPerf, b.json"})]
    unit = AIPERF | {"time_to_first_token": {"unit": "fortnights", "avg": 1}}
    assert "one of ms" in refused(lambda: throughput(written(tmp_path, "u.json", json.dumps(unit))))[0].expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"was_cancelled": True}, "cancelled"),
        ({"error_summary": [{"count": 3}]}, "requests failed"),
        ({"request_count": {"unit": "requests", "avg": 40}}, "two requests per slot"),
        ({"request_throughput": {"unit": "requests/sec", "avg": 2.0}}, "its own throughput"),
        ({"time_to_first_token": None}, "no time to first token"),
        ({"output_sequence_length": {"unit": "tokens", "avg": 1}}, "one token of output"),
        ({"input_config": {"loadgen": {"request_rate": 5}}}, "no single concurrency"),
        ({"input_config": {"loadgen": {"request_rate": 5, "concurrency": 32}}}, "a limited request rate"),
        ({"input_config": {"phases": [{"name": "profiling", "type": "poisson", "concurrency": 32}]}}, "a limited"),
        (
            {"input_config": {"loadgen": {"concurrency": 32}, "datasets": [{"prefix_prompts": {"length": 9}}]}},
            "a shared",
        ),
        ({"input_config": {"loadgen": {"concurrency": 32}, "shared_system_prompt_length": 900}}, "a shared"),
        ({"input_config": {"loadgen": {"concurrency": 32}, "conversation": {"turn": {"mean": 4}}}}, "a shared"),
    ],
)
def test_aiperf_runs_that_are_no_capacity_are_left_out_with_the_reason(tmp_path, change, reason):
    none_of(tmp_path, AIPERF | change, reason)


def test_prompts_with_a_shared_prefix_are_no_capacity(tmp_path):
    none = {"prefix_buckets": None, "prefix_tokens": 0, "turns": 1}
    for shared in (
        {"prefix_buckets": [{"bucket_weight": 100, "prefix_count": 1, "prefix_tokens": 4000}]},
        {"prefix_tokens": 4000},
        {"turns": 2},
    ):
        report = json.loads(guidellm(guidellm_benchmark()))
        report["config"] = {"spec": {"data": [none]}}
        assert throughput(written(tmp_path, "g.json", json.dumps(report))).rows
        report["config"]["spec"]["data"].append(shared)
        none_of(tmp_path, report, "a shared prefix")
        benchmark = guidellm_benchmark()
        benchmark["config"]["data"] = shared
        none_of(tmp_path, json.loads(guidellm(benchmark)), "a shared prefix")
    report = json.loads(guidellm(guidellm_benchmark()))
    report["args"]["data"] = ["prompt_tokens=32,output_tokens=8,prefix_tokens=4000"]
    none_of(tmp_path, report, "a shared prefix")
    none_of(tmp_path, VLLM | {"dataset_name": "prefix_repetition"}, "a shared prefix")
    none_of(tmp_path, VLLM | {"prefix_repetition_prefix_len": 4000}, "a shared prefix")
    few = guidellm_benchmark()
    few["metrics"]["request_totals"]["successful"] = 2
    none_of(tmp_path, json.loads(guidellm(few)), "two requests per slot")


def test_a_throughput_that_contradicts_the_times_is_left_out_and_both_are_said(tmp_path):
    # 64 in flight, each 0.3505 s + 255 x 0.02125 s: 11.1 requests/s
    for wrong in ({"request_throughput": 3.2}, {"duration": 200.0}, {"output_throughput": 25 * 256}):
        imported = none_of(tmp_path, VLLM | wrong, "its own throughput")
        assert any("requests/s are stated, its times give 11.1" in note for note in imported.notes)
    silent = {name: value for name, value in VLLM.items() if name not in ("request_throughput", "duration")}
    assert throughput(written(tmp_path, "s.json", json.dumps(silent | {"output_throughput": None}))).rows
    slow = guidellm_benchmark()
    slow["metrics"]["requests_per_second"] = {"successful": {"mean": 0.4}}
    none_of(tmp_path, json.loads(guidellm(slow)), "its own throughput")
    table = MEASURED.replace("300,20,3150,3150,derived", "300,20,600,600,measured")
    imported = throughput(written(tmp_path, "t.csv", table))
    adds_up(imported)
    assert imported.places["its own throughput is not that of its times: one of the two is wrong"] == [
        f"{tmp_path / 't.csv'}:2"
    ]


def test_one_row_without_time_per_token_does_not_refuse_the_others(tmp_path):
    one = VLLM | {"total_output_tokens": 640, "mean_tpot_ms": 0.0, "request_throughput": 150.0, "duration": 4.3}
    unmeasured = VLLM | {"mean_ttft_ms": 0.0}
    text = "\n".join(json.dumps(data) for data in (VLLM, one, unmeasured, VLLM | {"max_concurrency": None}))
    imported = throughput(written(tmp_path, "batch.jsonl", text))
    adds_up(imported)
    assert len(imported.rows) == 1
    assert [reason.split(":")[0] for reason, at in imported.places.items() if at[0].endswith("batch.jsonl:2")] == [
        "one token of output"
    ]
    assert "batch.jsonl:3" in imported.as_text() and "batch.jsonl:4" in imported.as_text()
    for name, old, new in (
        ("m.csv", MEASURED, MEASURED.replace("fp8,1024,1024,64,300,20", "fp8,1024,1,64,300,0")),
        ("s.csv", SILICON, SILICON.replace("8192,1024,128", "8192,1,128", 1)),
    ):
        before, after = throughput(written(tmp_path, name, old)), throughput(written(tmp_path, name, new))
        assert len(after.rows) == len(before.rows) - 1 and any("one token" in reason for reason in after.skipped)


@with_data
def test_ten_measured_rows_are_met_to_one_percent():
    imported, points = read_throughput(DATA / "throughput.csv")
    adds_up(imported)
    rows = {
        (r.model, r.accelerator, r.chips, r.engine, r.precision, r.concurrency, r.ttft_ms, r.tpot_ms): r
        for r in imported.rows
    }
    picked = random.Random(1).sample(points, 10)
    for p in picked:
        key = (p.model, p.accelerator, p.chips, p.engine, p.precision, p.concurrency)
        row = rows[*key, p.point.first_token_ms, p.point.per_token_ms]
        took = row.input_len / p.point.prefill_tokens_per_second + row.output_len / p.point.decode_tokens_per_second
        assert took == pytest.approx(
            (row.ttft_ms + (row.output_len - 1) * row.tpot_ms) / 1000 / row.concurrency, rel=0.01
        )


# Demand


def test_demand_by_class_origin_and_scale(tmp_path):
    imported = read_demand(
        written(tmp_path, "t.csv", AZURE_TRACE), {"london": 0.75, "tokyo": 0.25}, 120, {"short": "chat"}
    )
    adds_up(imported)
    # three short requests in 120 s, times 120: 3 requests/s
    assert [(r.workload, r.origin, r.requests_per_second) for r in imported.rows] == [
        ("chat", "london", 2.25),
        ("chat", "tokyo", 0.75),
    ]
    assert imported.more["workloads"]["chat"]["mean_input_tokens"] == pytest.approx((374 + 396 + 800) / 3)
    # minutes 18:15, 18:16, 18:17 hold 2, 0 and 1: busiest over the mean of those with requests 2 / 1.5
    figures = imported.more["workloads"]["chat"]
    assert figures["burst_factor"] == pytest.approx(4 / 3) and figures["empty_minutes"] == 1
    assert figures["burst_over_mean_rate"] == pytest.approx(2 / 60 / (3 / 120))


def test_mooncake_lines_are_in_milliseconds_and_what_no_class_holds_is_counted(tmp_path):
    imported = read_demand(written(tmp_path, "m.jsonl", MOONCAKE), {"x": 1.0})
    adds_up(imported)
    assert {r.workload: r.requests_per_second for r in imported.rows} == {
        "short": pytest.approx(1 / 120, rel=1e-5),
        "medium": pytest.approx(1 / 120, rel=1e-5),
    }
    assert sum(imported.skipped.values()) == 1


def test_requests_without_output_failed_and_are_counted_apart(tmp_path):
    path = written(tmp_path, "b.csv", BURSTGPT)
    imported = read_demand(path, {"x": 1.0}, workloads={"*": "chat"})
    adds_up(imported)
    assert imported.what == "BurstGPT" and imported.kept == 3
    # (399 + 204 + 261) / 3; with the one that failed it would be 216; 3 requests in 100 s
    assert imported.more["workloads"]["chat"]["mean_output_tokens"] == pytest.approx(288)
    assert imported.rows[0].requests_per_second == pytest.approx(0.03)
    assert f"skipped      1  without output: a request that failed ({path}:2)" in imported.as_text()
    lines = MOONCAKE + '{"timestamp": 60000, "input_length": 10, "output_length": 0}\n'
    failed = read_demand(written(tmp_path, "m.jsonl", lines), {"x": 1.0})
    adds_up(failed)
    assert failed.places["without output: a request that failed"] == [f"{tmp_path / 'm.jsonl'}:4"]
    nothing = read_demand(written(tmp_path, "n.csv", BURSTGPT.split("23,")[0]), {"x": 1.0})
    adds_up(nothing)
    assert not nothing.rows


def a_week(start="2024-05-10T00:00:00+00:00"):
    """A request every six minutes, and every three from 8 to 20 o'clock."""
    first = datetime.fromisoformat(start)
    minutes = [m for m in range(0, 7 * 24 * 60 + 1, 3) if m % 6 == 0 or 8 <= m / 60 % 24 < 20]
    rows = [f"{first + timedelta(minutes=m)},1000,200" for m in minutes]
    return "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n"


def test_a_week_long_trace_gives_the_shape_of_a_day(tmp_path):
    path = written(tmp_path, "week.csv", a_week())
    imported = read_demand(path, {"nyc": 1.0}, workloads={"*": "chat"}, shaped=True)
    # 20 an hour from 8 to 20, 10 in the other half: 15 in the mean
    night, noon = pytest.approx(2 / 3, abs=0.01), pytest.approx(4 / 3, abs=0.01)
    assert list(imported.more["day"]["chat"]["factors"].values()) == [night, night, noon, noon, noon, night]
    assert [row.shape for row in imported.rows] == ["chat"]
    assert any("utc-08-to-12: 1.33" in note for note in imported.notes)
    data = yaml.safe_load(shapes_yaml(imported))
    horizon = Horizon(
        start=date(2026, 3, 1), months=12.0, hours=tuple(Hour(**hour) for hour in data["horizon"]["hours"])
    )
    (shape,) = [Shape(**one) for one in data["shapes"]]
    assert set(shape.factors) == {hour.name for hour in horizon.hours}
    mean = sum(hour.weight_fraction * shape.factors[hour.name] for hour in horizon.hours)
    assert mean == pytest.approx(1.0, abs=0.01)
    plain = read_demand(path, {"nyc": 1.0}, workloads={"*": "chat"})
    assert [row.shape for row in plain.rows] == [None] and any("--shape" in note for note in plain.notes)
    # two hours west the same requests come two hours later
    west = read_demand(written(tmp_path, "west.csv", a_week("2024-05-10T00:00:00-02:00")), {"nyc": 1.0})
    factors = list(west.more["day"]["short"]["factors"].values())
    assert factors == [night, night, pytest.approx(1.0, abs=0.01), noon, noon, pytest.approx(1.0, abs=0.01)]
    numbers = "Timestamp,Request tokens,Response tokens\n" + "\n".join(f"{3600 * h},10,10" for h in range(30)) + "\n"
    own = read_demand(written(tmp_path, "own.csv", numbers), {"nyc": 1.0})
    assert "hour-00-to-04" in own.more["day"]["short"]["factors"]
    assert "day" not in read_demand(written(tmp_path, "short.csv", AZURE_TRACE), {"nyc": 1.0}, shaped=True).more
    far = numbers + "1e300,10,10\n"
    assert "a time up to" in refused(lambda: read_demand(written(tmp_path, "far.csv", far), {"x": 1.0}))[0].expected


def test_the_command_writes_the_shape(tmp_path):
    path, out, shape = written(tmp_path, "week.csv", a_week()), tmp_path / "demand.csv", tmp_path / "shape.yaml"
    arguments = ["demand", str(path), "--origin", "nyc=1", "--workload", "chat", "-o", str(out), "--shape", str(shape)]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0 and yaml.safe_load(shape.read_text())["shapes"][0]["name"] == "chat"
    shape.unlink()
    short = written(tmp_path, "short.csv", AZURE_TRACE)
    done = runner.invoke(app, ["demand", str(short), "--origin", "nyc=1", "-o", str(out), "--shape", str(shape)])
    assert done.exit_code == 0 and not shape.exists() and "no shape was written" in done.output


def test_demand_by_columns_and_what_is_refused(tmp_path):
    path = written(tmp_path, "c.csv", "when,p,c\n0,10,1\n60,20,2\n")
    imported = read_demand(path, {"x": 1.0}, 1.0, {"*": "all"}, "timestamp_s=when,input=p,output=c")
    assert [r.workload for r in imported.rows] == ["all"] and imported.rows[0].requests_per_second == pytest.approx(
        2 / 60, rel=1e-5
    )
    assert "--columns" in refused(lambda: read_demand(path, {"x": 1.0}))[0].expected
    assert "sum to 1" in refused(lambda: read_demand(path, {"x": 0.7}))[0].expected
    assert refused(lambda: read_demand(path, {"x": 1.0}, 0.0)) and refused(lambda: read_demand(path, {}))
    assert "did you mean" in refused(lambda: read_demand(path, {"x": 1.0}, 1.0, {"shrt": "chat"}))[0].got
    still = written(tmp_path, "s.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n")
    assert "rate" in refused(lambda: read_demand(still, {"x": 1.0}))[0].expected


@with_data
@pytest.mark.parametrize(
    ("name", "rate", "tokens_in", "tokens_out", "burst"),
    [
        ("AzureLLMInferenceTrace_conv.csv", 5.53, 1155, 211, 1.56),
        ("AzureLLMInferenceTrace_code.csv", 2.57, 2048, 28, 2.99),
        ("mooncake_synthetic_trace.csv", 3.91, 15325, 149, None),
    ],
)
def test_statistics_of_the_traces(name, rate, tokens_in, tokens_out, burst):
    imported = read_demand(DATA / "traces" / name, {"london": 1.0})
    adds_up(imported)
    figures = imported.more["all"]
    assert round(figures["mean_requests_per_second"], 2) == rate
    assert (round(figures["mean_input_tokens"]), round(figures["mean_output_tokens"])) == (tokens_in, tokens_out)
    if burst is not None:
        assert round(figures["burst_factor"], 2) == burst
    # 13 of the 58 minutes of the code trace are empty: over the mean rate, which counts them, its bursts are 3.80
    if "code" in name:
        assert figures["empty_minutes"] == 13 and round(figures["burst_over_mean_rate"], 2) == 3.80
    percentiles = list(figures["rate_percentiles"].values())
    assert percentiles == sorted(percentiles)


# Bad input


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(old, new, 1)


def numbers_to(word: bytes) -> Callable[[bytes], bytes]:
    """Every number in the second half becomes something else."""
    import re

    return lambda raw: raw[: len(raw) // 2] + re.sub(rb"\d+(\.\d+)?", word, raw[len(raw) // 2 :])


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "blank lines": lambda raw: b"\n \n",
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "cut near the end": lambda raw: raw[:-3],
    "only the first line": lambda raw: raw.split(b"\n")[0],
    "without the first line": lambda raw: raw.partition(b"\n")[2],
    "not UTF-8": lambda raw: raw[:40] + b"\xff\xfe" + raw[40:],
    "control character": lambda raw: raw[:40] + b"\x00" + raw[40:],
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "semicolons": lambda raw: raw.replace(b",", b";"),
    "tabs": lambda raw: raw.replace(b",", b"\t"),
    "an open quote": lambda raw: raw[:-20] + b'"' + raw[-20:],
    "NaN": numbers_to(b"NaN"),
    "negative": numbers_to(b"-5"),
    "infinite": numbers_to(b"1e999"),
    "thousands of digits": numbers_to(b"9" * 5000),
    "words for numbers": numbers_to(b'"many"'),
    "nulls": lambda raw: raw.replace(b"{", b"null,{", 3),
    "names in capitals": lambda raw: raw[:200].upper() + raw[200:],
    "a list in a list": lambda raw: b"[" * 5000 + raw + b"]" * 5000,
    "twice": lambda raw: raw + raw,
    "a web page": lambda raw: b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
}
MUST_BE_REFUSED = {"empty", "blank lines", "not UTF-8", "control character", "UTF-16", "semicolons", "tabs",
                   "a list in a list", "a web page"}  # fmt: skip


def answer(read: Read, path: Path) -> str:
    """`rows`, `none` or `refused`; anything else is an error of ours."""
    try:
        imported = read(path)
    except InputError:
        refused(lambda: read(path))
        return "refused"
    adds_up(imported)
    assert imported.as_text() and json.dumps(imported.as_dict())
    return "rows" if imported.rows else "none"


@pytest.mark.parametrize("name", EXCERPTS)
def test_broken_variants_of_excerpts_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    assert answer(read, written(tmp_path, name, text)) == "rows"
    for what, breaking in BROKEN.items():
        path = tmp_path / name
        path.write_bytes(breaking(text.encode()))
        outcome = answer(read, path)
        assert outcome == "refused" or what not in MUST_BE_REFUSED, what
    assert answer(read, tmp_path) == "refused" and answer(read, tmp_path / "absent") == "refused"


@with_data
@pytest.mark.parametrize("name", sorted(p.name for p in (*DATA.glob("samples/*"), *DATA.glob("traces/*"))))
def test_broken_variants_of_samples_and_traces_are_answered(name, tmp_path):
    folder = "samples" if (DATA / "samples" / name).exists() else "traces"
    raw = (DATA / folder / name).read_bytes()
    raw = b"\n".join(raw.split(b"\n")[:200]) if folder == "traces" else raw
    read: Read = demand if folder == "traces" else lambda p: read_prices(p, "2026-11")
    for what, breaking in BROKEN.items():
        path = tmp_path / name
        path.write_bytes(breaking(raw))
        outcome = answer(read, path)
        assert outcome == "refused" or what not in MUST_BE_REFUSED, what


@pytest.mark.parametrize("name", EXCERPTS)
def test_random_mutations_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    rng = random.Random(f"importers {name}")
    words = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"0",
        b"1e400",
        b'"',
        b",",
        b"\n",
        b"true",
        b"NaN",
        b"\xc3",
        b"'",
        b"\\",
    ]
    for _ in range(150):
        raw = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw) + 1)
            raw[at : at + rng.choice((0, 1, 5, 40))] = rng.choice(words)
        path = tmp_path / name
        path.write_bytes(bytes(raw))
        answer(read, path)


def shuffled(rng: random.Random, data: object) -> object:
    """JSON with one value somewhere replaced by one of another type."""
    if isinstance(data, dict) and data and rng.random() < 0.9:
        key = rng.choice(list(data))
        if rng.random() < 0.1:
            return {k: v for k, v in data.items() if k != key}
        return data | {key: shuffled(rng, data[key])}
    if isinstance(data, list) and data and rng.random() < 0.9:
        i = rng.randrange(len(data))
        return [*data[:i], shuffled(rng, data[i]), *data[i + 1 :]]
    if isinstance(data, str) and data.startswith("{"):
        return json.dumps(shuffled(rng, json.loads(data)))
    return rng.choice([None, True, 0, -1, 1.5, 10**400, "", "x", "-1", [], [1], {}, {"a": 1}, [None], "1" * 300])


@pytest.mark.parametrize("name", [name for name in EXCERPTS if name.endswith(".json")])
def test_values_of_other_types_anywhere_in_json_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    rng = random.Random(f"types {name}")
    for _ in range(300):
        answer(read, written(tmp_path, name, json.dumps(shuffled(rng, json.loads(text)))))


def test_findings_of_a_large_broken_table_are_listed_up_to_a_limit(tmp_path):
    rows = "".join(f"aws,r{i},aws,s,many,x,2024\n" for i in range(300))
    path = written(tmp_path, "l.csv", "src_cloud,src_region,dst_cloud,dst_region,rtt_ms,source,as_of\n" + rows)
    imported = refused(lambda: read_round_trips(path))
    assert len(imported) == 101 and "200 more" in imported[-1].got


def test_what_belongs_to_another_importer_is_refused_with_what_was_expected(tmp_path):
    of = {"prices": read_prices, "round trips": read_round_trips, "throughput": throughput, "demand": demand}
    mine = {"aws.json": "prices", "sky_aws.csv": "prices", "latency.csv": "round trips", "silicon.csv": "throughput",
            "vllm.json": "throughput", "azure_trace.csv": "demand", "mooncake.jsonl": "demand"}  # fmt: skip
    for name, kind in mine.items():
        path = written(tmp_path, name, EXCERPTS[name][0])
        for other, read in of.items():
            if other != kind:
                assert len(refused(lambda read=read, path=path: read(path))) == 1, (name, other)


# The command line


def test_commands_write_rows_and_report(tmp_path):
    source, out = (
        written(tmp_path, "z.json", json.dumps([azure_item(), azure_item(currencyCode="EUR")])),
        tmp_path / "p.csv",
    )
    result = runner.invoke(app, ["prices", str(source), "--out", str(out)])
    assert result.exit_code == 0 and "2 prices read, 1 used" in result.stderr and "not in USD" in result.stderr
    with out.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == list(Price.model_fields) and row["price_usd_per_machine_hour"] == "98.32"
    result = runner.invoke(app, ["prices", str(source), "--out", str(out), "--format", "json"])
    assert json.loads(result.stdout)["skipped"] == {"not in USD": 1}
    result = runner.invoke(app, ["prices", str(written(tmp_path, "n.json", "{}"))])
    assert result.exit_code == 2 and "expected one of" in result.stderr
    nothing = written(tmp_path, "e.json", json.dumps([azure_item(currencyCode="EUR")]))
    absent = tmp_path / "absent.csv"
    assert runner.invoke(app, ["prices", str(nothing), "--out", str(absent)]).exit_code == 1 and not absent.exists()


def test_the_source_is_never_written_over(tmp_path):
    text = aws(aws_product())
    path = written(tmp_path, "answer.json", text)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for out in (path, link):
        result = runner.invoke(app, ["prices", str(path), "--out", str(out)])
        assert result.exit_code == 2 and "the input" in result.stderr
        assert path.read_text() == text
    rows = written(tmp_path, "rows.csv", "model,accelerator\n")
    assert runner.invoke(app, ["estimate", "--refit", str(rows), "--out", str(rows)]).exit_code == 2
    assert rows.read_text() == "model,accelerator\n"


@pytest.mark.parametrize("field", ["NextToken", "NextPageLink", "nextPageToken"])
def test_one_page_of_several_is_said(field, tmp_path):
    every = json.loads(aws(aws_product()))
    assert not read_prices(written(tmp_path, "a.json", json.dumps(every | {field: None}))).notes
    assert read_prices(written(tmp_path, "a.json", json.dumps(every | {field: "x"}))).notes == [
        f"one page of several: {field} names the next; import that too"
    ]


def test_commands_of_the_other_importers(tmp_path):
    latency = written(tmp_path, "l.csv", LATENCY)
    result = runner.invoke(app, ["round-trips", str(latency)])
    assert (result.exit_code == 0 and result.stdout.startswith("from_region,")) or "from_region" in result.stdout
    silicon, points = written(tmp_path, "s.csv", SILICON), tmp_path / "points.yaml"
    result = runner.invoke(app, ["throughput", str(silicon), "--points", str(points), "--out", str(tmp_path / "m.csv")])
    assert result.exit_code == 0 and len(yaml.safe_load(points.read_text())["points"]) == 2
    trace, rows = written(tmp_path, "t.csv", AZURE_TRACE), tmp_path / "d.csv"
    words = [
        "demand",
        str(trace),
        "--origin",
        "london=0.6",
        "--origin",
        "tokyo=0.4",
        "--workload",
        "chat",
        "--out",
        str(rows),
    ]
    result = runner.invoke(app, words)
    assert result.exit_code == 0 and "mean_input_tokens" in result.stderr
    assert next(csv.reader(io.StringIO(rows.read_text()))) == list(Demand.model_fields)
    for bad in (
        ["--origin", "london"],
        ["--origin", "london=x"],
        ["--origin", "a=1", "--workload", "a=b", "--workload", "c"],
    ):
        assert runner.invoke(app, ["demand", str(trace), *bad]).exit_code == 2, bad


def test_rows_are_read_back_as_the_records_they_are(tmp_path):
    from planner.study.places import Reading
    from planner.study.read import KEYS
    from planner.study.tables import read_csv

    for name, cls in (("azure.json", Price), ("latency.csv", RoundTrip)):
        text, read = EXCERPTS[name]
        rows = read(written(tmp_path, name, text)).rows
        reading = Reading()
        back = read_csv(cls, written(tmp_path, "back.csv", csv_text(cls, rows)), reading, KEYS[cls])
        assert [row for row, _ in back] == rows and reading.findings == []


# Bring your fleet


FLEET = """\
workload,origin,pool,profile,replicas,weight
chat,london,aws/us-east-2/trn2.48xlarge,llama-3.3-70b/trn2-bf16-tp32,10,30
chat,london,google/us-east5/ct6e-standard-8t,llama-3.3-70b/v6e-bf16-tp8,7,70
chat,New York,google/us-east5/ct6e-standard-8t,llama-3.3-70b/v6e-bf16-tp8,7,100
nightly-batch,aws/us-east-1,google/us-east5/ct6e-standard-8t,qwen3-32b/v6e-bf16-tp8,3,1
"""
DAY = date(2026, 11, 22)


def normal_operation_is_served(result: DrillResult) -> None:
    """Every route is eligible, and what is assumed to be asked is carried."""
    assert result.findings == ()
    normal = [row for row in result.rows if row.failure == "normal"]
    assert normal and all(row.served_fraction > 1 - 1e-9 and not row.broken for row in normal)


def test_a_fleet_becomes_a_study_that_is_read_and_drilled(tmp_path):
    folder = tmp_path / "mine"
    files = start_from_fleet(folder, written(tmp_path, "fleet.csv", FLEET), DAY)
    assert sorted(path.name for path in files) == ["demand.csv", "fleet.csv", "study.yaml"]
    study, _ = read_study(folder)
    fleet = read_fleet(folder / "fleet.csv", study)
    # 10 replicas of half a machine; 7 + 3 of a machine each
    held = {h.pool: h.machines for h in study.holdings}
    trn2 = next(
        p for m in study.models for p in m.profiles if p.name == "trn2-bf16-tp32" and m.model == "llama-3.3-70b"
    )
    assert held["google/us-east5/ct6e-standard-8t"] == 10
    assert held["aws/us-east-2/trn2.48xlarge"] == -(-10 * trn2.accelerators_per_replica // 16)
    tiers = {t.name: t for t in study.tiers}
    assert {w.name: w.tier for w in study.workloads} == {"chat": "interactive", "nightly-batch": "batch"}
    assert len(tiers["interactive"].survive) == 3 and not tiers["batch"].survive
    assert any("Demand is assumed" in text for text in study.assumptions)
    normal_operation_is_served(drill_fleet(study, fleet))
    assert start_from_fleet(tmp_path / "again", folder / "fleet.csv", DAY)
    assert (tmp_path / "again" / "demand.csv").read_text() == (folder / "demand.csv").read_text()


def test_the_traffic_of_a_fleet_fills_it_and_no_more(tmp_path):
    start_from_fleet(tmp_path / "mine", written(tmp_path, "fleet.csv", FLEET), DAY)
    study, _ = read_study(tmp_path / "mine")
    fleet = read_fleet(tmp_path / "mine" / "fleet.csv", study)
    rate = {(d.workload, d.origin): d.requests_per_second for d in study.demand}
    used: dict[tuple[str, str], float] = {}
    for row in fleet:
        total = sum(r.weight for r in fleet if (r.workload, r.origin) == (row.workload, row.origin))
        model, _, name = row.profile.partition("/")
        profile = next(p for m in study.models if m.model == model for p in m.profiles if p.name == name)
        workload = next(w for w in study.workloads if w.name == row.workload)
        point = next(p for p in profile.classes if p.context_class == workload.context_class)
        seconds = workload.mean_input_tokens / point.prefill_tokens_per_second
        seconds += workload.mean_output_tokens / point.decode_tokens_per_second
        key = row.pool, row.profile
        used[key] = used.get(key, 0.0) + seconds * rate[row.workload, row.origin] * row.weight / total / row.replicas
    assert all(share <= study.utilisation.normal for share in used.values())
    assert max(used.values()) > 0.97 * study.utilisation.normal
    assert used["google/us-east5/ct6e-standard-8t", "llama-3.3-70b/v6e-bf16-tp8"] > 0.97 * study.utilisation.normal


def test_the_quickstart_fleet_starts_a_study_whose_normal_operation_is_served(tmp_path):
    start_from_fleet(tmp_path / "mine", ROOT / "examples" / "quickstart" / "fleet_today.csv", DAY)
    study, _ = read_study(tmp_path / "mine")
    assert len(study.workloads) == 4 and len(study.demand) == 24
    by_class = {w.name: w.context_class for w in study.workloads}
    assert by_class == {"chat": "short", "code": "short", "long": "long", "batch": "short"}
    normal_operation_is_served(drill_fleet(study, read_fleet(tmp_path / "mine" / "fleet.csv", study)))


def test_a_profile_that_does_not_fit_ends_no_start(tmp_path):
    """12,035 tokens of input were too many for this fleet's own profile, and for others of its model."""
    row = "reason,london,aws/us-east-2/p5en.48xlarge,deepseek-r1/p5en-fp8-tp8-32k,4,1\n"
    fleet = written(tmp_path, "fleet.csv", FLEET.splitlines(keepends=True)[0] + row)
    start_from_fleet(tmp_path / "mine", fleet, DAY)
    study, _ = read_study(tmp_path / "mine")
    assert [w.context_class for w in study.workloads] == ["medium"]
    normal_operation_is_served(drill_fleet(study, read_fleet(tmp_path / "mine" / "fleet.csv", study)))


def test_every_profile_that_ships_holds_what_a_start_assumes():
    machines = {m.name: m for m, _ in read_list(MachineType, ROOT / "inventories" / "machine_types.yaml", Reading())}
    for model in read_models().values():
        for profile in model.profiles:
            for point in profile.classes:
                tokens = MEAN_TOKENS.get(point.context_class, LONG_MEAN_TOKENS)
                needed = memory_needed_gib(model.facts, profile, tokens[0] + tokens[1] / 2)
                assert needed <= usable_memory_gib(profile, machines[profile.machine_type]), (profile.name, tokens)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("london", "atlantis", "a city of sites.csv"),
        ("aws/us-east-2/trn2.48xlarge", "aws/us-east-2/trn2.48xlarg", "a pool that ships"),
        ("llama-3.3-70b/trn2-bf16-tp32", "llama-3.3-70b/trn2", "a profile (model/profile) that ships"),
        ("llama-3.3-70b/trn2-bf16-tp32", "llama-3.3-70b/v6e-bf16-tp8", "a profile for trn2.48xlarge"),
        ("v6e-bf16-tp8,7,100", "v6e-bf16-tp8,8,100", "7 as at"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,0,1", "replicas behind a route"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,3,0", "a route with a weight above 0"),
        ("v6e-bf16-tp8,3,1", "v6e-bf16-tp8,three,1", "a number"),
        ("nightly-batch,", "chat,", "llama-3.3-70b, the model of chat"),
        ("weight", "share", "a known column"),
        (FLEET, "", "a header and rows"),
        (FLEET.partition("\n")[2], "", "rows of a fleet"),
    ],
)
def test_a_wrong_fleet_is_answered_with_findings_and_nothing_is_written(old, new, expected, tmp_path):
    path = written(tmp_path, "fleet.csv", FLEET.replace(old, new, 1))
    imported = refused(lambda: start_from_fleet(tmp_path / "mine", path, DAY))
    assert any(expected in finding.expected for finding in imported), imported
    assert not (tmp_path / "mine").exists()


def test_random_mutations_of_a_fleet_are_answered(tmp_path):
    rng = random.Random("fleet")
    path = tmp_path / "fleet.csv"
    for i in range(60):
        raw = bytearray(FLEET.encode())
        at = rng.randrange(len(raw))
        raw[at : at + rng.choice((0, 1, 3))] = rng.choice([b"", b"0", b"-", b",", b"\n", b'"', b"x", b"1e9", b"\xff"])
        path.write_bytes(bytes(raw))
        try:
            start_from_fleet(tmp_path / f"study{i}", path, DAY)
        except InputError as error:
            assert error.findings


def test_a_folder_with_files_is_not_touched(tmp_path):
    path = written(tmp_path, "fleet.csv", FLEET)
    assert "new or empty" in refused(lambda: start_from_fleet(tmp_path, path, DAY))[0].expected
