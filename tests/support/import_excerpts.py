"""Sources in the shapes of the originals, and what tests of importers share."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.errors import InputError
from planner.importers.demand import read_demand
from planner.importers.prices import read_prices
from planner.importers.round_trips import read_round_trips
from planner.importers.source import Imported
from planner.importers.throughput import read_throughput

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[3] / "shared" / "data"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of reference facts is not there")
runner = CliRunner()


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
