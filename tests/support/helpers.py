"""A tiny valid study as files, to be changed by tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

STUDY = """\
study: tiny
schema_version: 2
today: 2026-01-01
horizon: {start: 2026-07-01, months: 12}
detection_seconds: 10
inventories: [inventory]
models: [models]
demand: demand.csv
request_costs: request_costs.csv
origins:
  - name: london
    near: alpha/east
  - name: tokyo
    latitude: 35.68
    longitude: 139.69
tiers:
  - name: gold
    first_token_ms: 2000
    round_trip_ms: 400
    outage_usd_per_request: 0.01
    survive:
      - {any: provider, serve_fraction: 1.0, within_seconds: 300}
      - {any: power, within_seconds: 60, except: [spare]}
      - {failure: quake, serve_fraction: 0.5, within_seconds: 600}
  - name: bulk
workloads:
  - {name: chat, model: small, context_class: short, tier: gold, mean_input_tokens: 1000, mean_output_tokens: 200}
  - {name: batch, model: small, context_class: short, tier: bulk, mean_input_tokens: 2000, mean_output_tokens: 100}
holdings:
  - {pool: alpha/east-1/trn-16, machines: 4}
claims:
  - {pool: alpha/east-1/trn-16, machines: 1, reclaim_seconds: 120, lent_to: training}
components:
  - {name: grid, kind: power}
  - {name: spare, kind: power}
dependencies:
  - component: site:alpha/east-1
    needs: {any_of: ['power:grid', 'power:spare']}
failures:
  - name: quake
    lost: {'site:beta/west-1': 1.0, 'stack:neuron': 0.5}
    surge_factor: 1.2
policies:
  quotas:
    - {name: trn, pools: ['alpha/*'], unit: vcpu, most: 1920}
  shares:
    - {component: 'provider:alpha', most_fraction: 0.8}
"""

MACHINE_TYPES = """\
machine_types:
  - name: trn-16
    provider: alpha
    accelerator: Trainium
    accelerators: 16
    memory_gib_per_accelerator: 96
    quota_units: {vcpu: 192}
    evidence: assumed
    source: made up for a test
    as_of: "2026"
  - name: gpu-8
    provider: beta
    accelerator: GPU
    accelerators: 8
    memory_gib_per_accelerator: 80
    evidence: assumed
    source: made up for a test
    as_of: 2026-03-14
"""

MODEL = """\
model: small
facts:
  parameters: 8.0e+9
  active_parameters: 8.0e+9
  layers: 32
  query_heads: 32
  kv_heads: 8
  head_dimension: 128
  context_limit_tokens: 32768
  evidence: assumed
  source: made up for a test
  as_of: "2026"
qualifications:
  - {stack: neuron, evidence: assumed, source: made up for a test, as_of: "2026"}
  - {stack: cuda, until: 2028-01-01, evidence: assumed, source: made up for a test, as_of: "2026"}
profiles:
  - name: trn
    machine_type: trn-16
    stack: neuron
    precision: bf16
    accelerators_per_replica: 4
    weights_gib: 16
    context_limit_tokens: 8192
    concurrency_limit: 32
    load_seconds: 120
    classes:
      - {context_class: short, prefill_tokens_per_second: 20000, decode_tokens_per_second: 2000, first_token_ms: 300,
         per_token_ms: 20, evidence: assumed, source: made up for a test, as_of: "2026"}
  - name: gpu
    machine_type: gpu-8
    stack: cuda
    precision: bf16
    accelerators_per_replica: 1
    weights_gib: 16
    context_limit_tokens: 8192
    concurrency_limit: 64
    load_seconds: 60
    classes:
      - {context_class: short, prefill_tokens_per_second: 30000, decode_tokens_per_second: 3000, first_token_ms: 200,
         per_token_ms: 15, evidence: assumed, source: made up for a test, as_of: "2026"}
"""

FILES: Mapping[str, str] = {
    "study.yaml": STUDY,
    "demand.csv": """\
workload,origin,requests_per_second,high_requests_per_second
chat,london,10,12
chat,tokyo,5,
batch,london,3,
""",
    "request_costs.csv": """\
origin,site,usd_per_request
london,beta/west-1,0.0001
""",
    "models/context_classes.yaml": "context_classes:\n  - {name: short, most_tokens: 4096}\n",
    "models/small.yaml": MODEL,
    "inventory/machine_types.yaml": MACHINE_TYPES,
    "inventory/sites.csv": """\
provider,region,site,city,latitude,longitude,jurisdiction,labels,evidence,source,as_of
alpha,east,east-1,London,51.5,-0.1,GB,green;eu,assumed,made up for a test,2026
beta,west,west-1,New York,40.7,-74.0,US,,assumed,made up for a test,2026
beta,far,far-1,Sydney,-33.9,151.2,AU,,assumed,made up for a test,2026
""",
    "inventory/round_trips.csv": """\
from_region,to_region,round_trip_ms,evidence,source,as_of
alpha/east,beta/west,75,assumed,made up for a test,2026
beta/far,alpha/east,250,assumed,made up for a test,2026
beta/far,beta/far,2,assumed,made up for a test,2026
""",
    "inventory/alpha/pools.csv": """\
site,machine_type,usable_fraction
alpha/east-1,trn-16,0.99
""",
    "inventory/alpha/offers.csv": """\
site,machine_type,offer,kind,term_months,lead_days,most_units,instrument,evidence,source,as_of
alpha/east-1,trn-16,on_demand,on_demand,0,0,,pay as you go,assumed,made up for a test,2026
alpha/east-1,trn-16,yearly,commitment,12,14,50,savings plan,assumed,made up for a test,2026
""",
    "inventory/alpha/prices.csv": """\
site,machine_type,offer,price_usd_per_machine_hour,evidence,source,as_of
alpha/east-1,trn-16,on_demand,40,assumed,made up for a test,2026
alpha/east-1,trn-16,yearly,25.5,assumed,made up for a test,2026
""",
    "inventory/beta/pools.csv": "site,machine_type\nbeta/west-1,gpu-8\n",
    "inventory/beta/offers.csv": """\
site,machine_type,offer,kind,instrument,evidence,source,as_of
beta/west-1,gpu-8,on_demand,on_demand,pay as you go,assumed,made up for a test,2026
""",
    "inventory/beta/prices.csv": """\
site,machine_type,offer,price_usd_per_machine_hour,evidence,source,as_of
beta/west-1,gpu-8,on_demand,60,assumed,made up for a test,2026
""",
}


def write_study(
    folder: Path,
    edits: Sequence[tuple[str, str, str]] = (),
    files: Mapping[str, str | bytes] | None = None,
    **fields: Any,
) -> Path:
    """Write the study and return the path of its study.yaml.

    Two providers with a site and a pool each, a model with a profile for each, two origins, tiers and workloads.

    Parameters
    ----------
    folder : where; it is created
    edits : (file, old, new): `old` must occur, its first occurrence is replaced
    files : further files, or other contents of the ones that exist, by path
    fields : other values of fields of study.yaml; None removes the field
    """
    texts: dict[str, str | bytes] = {**FILES, **(files or {})}
    if fields:
        data = _plain(yaml.safe_load(STUDY)) | _plain(fields)
        texts["study.yaml"] = yaml.safe_dump({k: v for k, v in data.items() if v is not None}, sort_keys=False)
    for name, old, new in edits:
        text = texts[name]
        assert isinstance(text, str) and old in text, f"{old!r} is not in {name}"
        texts[name] = text.replace(old, new, 1)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "study.yaml"


def _plain(data: Any) -> Any:
    """Data without the aliases that safe_dump writes for what occurs twice."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    return [_plain(value) for value in data] if isinstance(data, list | tuple) else data
