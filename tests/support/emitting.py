"""What the tests of emitted files share: a plan of every instrument, hostile names, tools that read the files."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from studies import machine_type, model, offer, profile, site, study, workload

from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, Holding, Horizon, Study, Tier

SHARED = Path(__file__).parents[3] / "shared"
SCHEMAS = SHARED / "schemas" / "terraform"
VERSIONS = {"aws": "5.100.0", "google": "6.50.0", "google-beta": "6.50.0", "azurerm": "4.55.0"}

POOLS = {
    "aws/us-east-1/p5.48xlarge": (8, "cuda", "commitment", 12.0, 3),
    "aws/us-east-1/trn2.48xlarge": (16, "neuron", "capacity_block", 0.03, 22),
    "aws/eu-north-1/trn1.32xlarge": (16, "neuron", "spot", 0.0, 2),
    "google/us-east5-a/ct6e-standard-8t": (8, "xla-tpu", "commitment", 36.0, 5),
    "google/us-east5-a/tpu7x-standard-4t": (4, "xla-tpu", "commitment", 12.0, 2),
    "google/us-west1/v5litepod-8": (8, "xla-tpu", "on_demand", 0.0, 4),
    "google/us-west1/a3-highgpu-8g": (8, "cuda", "on_demand", 0.0, 1),
    "azure/eastus2/Standard_ND96isr_H100_v5": (8, "cuda", "on_demand", 0.0, 6),
    "azure/eastus2/Standard_NC96ads_A100_v4": (4, "cuda", "on_demand", 0.0, 2),
    "owned/hall-1/gb200-nvl72": (72, "cuda", "build_out", 0.0, 3),
}
"""Pool: chips, stack, how it is bought, term, machines: each instrument once."""
HELD = {"owned/hall-1/gb200-nvl72": 1, "azure/eastus2/Standard_ND96isr_H100_v5": 2}

HOSTILE = (
    "\"", "'", "\\", "\n", "\r\n", "\t", "\u0000", "\u001b[31m", "${", "%{", "$${", "${file(\"/etc/passwd\")}",
    "%{ for x in y }", "{{ lookup('pipe', 'id') }}", "{% raw %}", "os.environ/SECRET", "../", "../../etc/cron.d/x",
    "/abs", "C:\\x", "-", "--", "1e3", "0o14", "no", "y", "null", "~", "nan", ".inf", "2026-01-01", "<script>",
    "&amp;", "$(HOME)", "`id`", "#", ": ", "- x", "!unsafe", "!!python/object", "*a", "&a", "|", ">", "@", "=1+1",
    "+1", ";", "\u00e9", "\uff41\uff57\uff53", "\u0430ws", "\u00df", "\u65e5\u672c", "\U0001f642", "\u202e",
    "\u200b", "\ufeff", "\u2028", "chat", "Chat", "CHAT", "chat 70b", "chat-70b", "chat_70b", "chat.70b", "a" * 200,
)  # fmt: skip


def hostile_names(count: int = 520) -> list[str]:
    """Different names that a careless writer lets out of a string; the same ones every time."""
    found = dict.fromkeys([*HOSTILE, *(a + b for a in HOSTILE for b in ("x", "/x", '"}', "\n- x: y", " ${x}"))])
    found |= dict.fromkeys(f"{a[:90]}{b[:90]}" for a in HOSTILE for b in reversed(HOSTILE[:12]))
    return list(dict.fromkeys(name[:200] for name in found))[:count]


def every_instrument(**changes: Any) -> Study:
    """A study of one workload that every pool may serve, each pool with one offer that fits its kind."""
    types, profiles, bought = [], [], []
    for pool, (chips, stack, kind, term, _) in POOLS.items():
        name = pool.rpartition("/")[2]
        types.append(machine_type(name, accelerators=chips))
        profiles.append(profile(name, stack, 10, accelerators_per_replica=min(chips, 8), load_seconds=100.0))
        bought.append(offer(pool, 3, kind, term_months=term, lead_days=14.0, most_units=40.0))
    sites = dict.fromkeys(pool.rpartition("/")[0] for pool in POOLS)
    parts: dict[str, Any] = {
        "horizon": Horizon(start=date(2026, 3, 1), months=36.0),
        "sites": tuple(site(s).model_copy(update={"region": s.partition("/")[2].removesuffix("-a")}) for s in sites),
        "machine_types": tuple(types),
        "pools": tuple(Pool(site=q.rpartition("/")[0], machine_type=q.rpartition("/")[2]) for q in POOLS),
        "bought": bought,
        "models": (model("m", profiles),),
        "tiers": (Tier(name="t", outage_usd_per_request=0.01, survive=(Goal(any="site", within_seconds=60.0),)),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 100.0},
        "holdings": tuple(Holding(pool=q, machines=n) for q, n in HELD.items()),
    }
    return study(**{**parts, **changes})


@cache
def planned() -> PlanFile:
    """A plan of that study with the counts of POOLS bought and a replica on every machine, put there by hand.

    It is no optimal plan and says so: what is tested is whether its numbers arrive.
    """
    made = make_plan(every_instrument(), Effort(), no_regret=False)
    purchases = tuple(b.model_copy(update={"units": 0}) for b in made.purchases)
    when = {b.offer: b.when for b in purchases}
    period, hour = made.replicas[0].hour.partition("/")[0], made.replicas[0].hour
    counts, replicas = [], []
    for pool, (_, stack, kind, _, machines) in POOLS.items():
        name = f"{pool}:{kind}"
        at = hour if kind in ("on_demand", "spot") else period
        counts.append(
            made.purchases[0].model_copy(update={"offer": name, "units": machines, "when": when.get(name, at)})
        )
        run = {"placement": f"m/{pool.rpartition('/')[2]}-{stack}@{pool}", "hour": hour, "replicas": machines}
        replicas.append(made.replicas[0].model_copy(update=run | {"non_preemptible": 0 if kind == "spot" else None}))
    return sealed(made.model_copy(update={"purchases": tuple(counts), "replicas": tuple(replicas)}))


def two_sites(**changes: Any) -> PlanFile:
    """10 requests/s, 10 a replica: a machine at each site, so that either may be lost; 3 USD an hour and machine."""
    made = study(
        sites=(site("aws/a"), site("aws/b")),
        machine_types=(machine_type("m"),),
        pools=(Pool(site="aws/a", machine_type="m"), Pool(site="aws/b", machine_type="m", spare_machines=1.0)),
        bought=[offer("aws/a/m", 3), offer("aws/b/m", 3)],
        holdings=(Holding(pool="aws/b/m", machines=2),),
        models=(model("m", [profile("m", "cuda", 10)]),),
        tiers=(Tier(name="t", outage_usd_per_request=1.0, survive=(Goal(any="site", within_seconds=60.0),)),),
        workloads=(workload("w"),),
        demand={("w", "o"): 10.0},
        hours_per_month=730.0,
    )
    return make_plan(made.model_copy(update=changes), Effort(), no_regret=False)


def renamed(plan: PlanFile, names: dict[str, str]) -> PlanFile:
    """The plan with other words in every id, by plain replacement in its data."""

    def change(data: Any) -> Any:
        if isinstance(data, str):
            for old, new in names.items():
                data = data.replace(old, new)
            return data
        if isinstance(data, dict):
            return {change(k): change(v) for k, v in data.items()}
        return [change(v) for v in data] if isinstance(data, list) else data

    return PlanFile.model_validate(change(plan.model_dump(mode="json", by_alias=True)))


# Terraform

TERRAFORM = shutil.which("terraform")


def terraform_there() -> str | None:
    """Why terraform cannot be run here; none: it can."""
    if TERRAFORM is None:
        return "terraform is not installed"
    if not SCHEMAS.is_dir():
        return "no schemas of providers beside the project (shared/schemas/terraform)"
    missing = [name for name in ("tf", "msgpack") if find_spec(name) is None]
    return f"Python packages not installed: {', '.join(missing)}" if missing else None


def needs_terraform() -> None:
    if reason := terraform_there():
        pytest.skip(reason)


COMPUTED = {
    "google": ("google_container_node_pool", ("node_count", "initial_node_count")),
    "azurerm": ("azurerm_kubernetes_cluster_node_pool", ("node_count",)),
}
"""Provider -> a type, and attributes that keep what they are where nothing is said; the schemas at hand leave it out.

Source: hashicorp/terraform-provider-google, resource_container_node_pool.go, and hashicorp/terraform-provider-azurerm,
kubernetes_cluster_node_pool_resource.go; read 2026-11-29.
"""


def schemas_of(name: str) -> str:
    """The schemas of a provider with what is computed, as JSON."""
    data = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    kind, attributes = COMPUTED.get(name, ("", ()))
    for attribute in attributes:
        (found,) = data["provider_schemas"].values()
        found["resource_schemas"][kind]["block"]["attributes"][attribute]["computed"] = True
    return json.dumps(data)


def mirror(folder: Path) -> Path:
    """A mirror of providers that serve schemas only."""
    for name, version in VERSIONS.items():
        place = folder / "registry.terraform.io" / "hashicorp" / name / version / "linux_amd64"
        place.mkdir(parents=True, exist_ok=True)
        program = place / f"terraform-provider-{name}_v{version}"
        here = Path(__file__).with_name("terraform_provider.py")
        schemas = place.with_name("schemas.json")
        schemas.write_text(schemas_of(name), encoding="utf-8")
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{here}" "{schemas}"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "TF_CLI_CONFIG_FILE"} | {"CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        [str(TERRAFORM), *arguments], cwd=folder, capture_output=True, text=True, env=env, timeout=300, check=False
    )


def write_all(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="")
    return folder


def parsed(text: str) -> Any:
    return json.loads(text)


def hostile_plan(provider: str = "aws") -> PlanFile:
    """A plan with each hostile name as a city, and as a site with its region, a machine type, a model or a profile."""
    made = planned()
    names = list(dict.fromkeys(name.replace("@", "(at)")[:70] for name in hostile_names(560)))
    sites, types, pools, models, holdings, replicas, bought = [], [], [], [], [], [], []
    for i, name in enumerate(names):
        place, kind, served, configured = (name if i % 4 == k else f"{word}{i}" for k, word in enumerate("stmp"))
        region = name if i % 4 == 0 else f"r{i % 4}"
        where = site(f"{provider}/s{i}").model_copy(update={"site": place, "region": region, "city": name})
        sites.append(where)
        types.append(machine_type(kind))
        pools.append(Pool(site=where.id, machine_type=kind))
        models.append(model(served, [profile(kind, "cuda", 10, name=configured)]))
        holdings.append(Holding(pool=pools[-1].id, machines=1 + i % 3))
        run = {"placement": f"{served}/{configured}@{pools[-1].id}", "replicas": 1 + i % 5, "non_preemptible": None}
        replicas.append(made.replicas[0].model_copy(update=run))
        if i == 0 and provider in ("aws", "owned"):
            there = {"site": where.id, "machine_type": kind}
            pair = offer("a/b", 3, "commitment", name=name)
            bought.append(tuple(record.model_copy(update=there) for record in pair))
    changes = {
        "study": names[0],
        "tiers": (Tier(name="t"),),
        "sites": tuple(sites),
        "machine_types": tuple(types),
        "pools": tuple(pools),
        "models": tuple(models),
        "holdings": tuple(holdings),
        "offers": tuple(b for b, _ in bought),
        "prices": tuple(p for _, p in bought),
        "workloads": tuple(workload(f"{n} w", model=m.model) for n, m in zip(names, models, strict=True)),
        "demand": made.study.demand[:1],
    }
    asked = made.study.model_copy(update=changes)
    asked = asked.model_copy(update={"demand": (asked.demand[0].model_copy(update={"workload": f"{names[0]} w"}),)})
    period = made.purchases[0].when.partition("/")[0]
    purchases = tuple(
        made.purchases[0].model_copy(update={"offer": b.id, "units": 1, "when": period}) for b, _ in bought
    )
    normal = next(s for s in made.states if s.failure == "normal")
    state = normal.model_copy(
        update={
            "workload": tuple(w.name for w in asked.workloads),
            "origin": ("o",) * len(names),
            "placement": tuple(r.placement for r in replicas),
            "requests_per_second": (1.0,) * len(names),
            "shed": {},
            "kept": {},
            "cold_started": {},
            "occupied": {},
        }
    )
    bare = made.without_goals.model_copy(update={"purchases": ()})
    parts = {"study": asked, "purchases": purchases, "replicas": tuple(replicas), "states": (state,)}
    explained = {"uncoverable": (), "no_regret": (), "drivers": {}, "without_goals": bare, "on_equal_terms": None}
    return made.model_copy(update={**parts, **explained})
