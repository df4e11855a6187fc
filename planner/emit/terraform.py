"""Terraform and OpenTofu: modules that ship with the package, a root of slugs, and all data as literal strings.

Strings in `*.tfvars.json` are literal; strings in `*.tf.json` are templates. So whatever a person wrote goes into
`plan.auto.tfvars.json`, and the generated root holds slugs and provider aliases alone.
"""

import re
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from importlib.resources import files as packaged
from itertools import chain
from typing import Any

from planner.emit.fleet import Cell, Fleet, Lot, blocks_of, fleet_of, is_zone_id, node_labels, zone_of
from planner.emit.names import distinct
from planner.emit.taints import EXPECTED_TAINTS, Taint, taints_of
from planner.emit.text import sorted_json
from planner.emit.tickets import Progress, ticket_files
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile

CLOUDS = ("aws", "google", "azure")
PROVIDERS = {"aws": ("aws",), "google": ("google", "google-beta"), "azure": ("azurerm",)}
"""Terraform providers of a cloud's module."""
VERSIONS = {
    "aws": ">= 5.100, < 7.0",
    "google": ">= 6.50, < 8.0",
    "google-beta": ">= 6.50, < 8.0",
    "azurerm": ">= 4.55, < 6.0",
}
"""From the version whose schema the modules were written by, to all of the current major version (2026-11)."""
OPTED_IN = {
    "aws": ("purchase_capacity_blocks", "capacity_blocks_active"),
    "google": ("reservations_delivered",),
    "azure": (),
}
TPU = {
    "ct5lp": ("VM_FAMILY_CLOUD_TPU_LITE_POD_SLICE_CT5LP", "ct5lp"),
    "v5litepod": ("VM_FAMILY_CLOUD_TPU_LITE_POD_SLICE_CT5LP", "ct5lp"),
    "ct5p": ("VM_FAMILY_CLOUD_TPU_POD_SLICE_CT5P", "ct5p"),
    "ct6e": ("VM_FAMILY_CLOUD_TPU_LITE_POD_SLICE_CT6E", "ct6e"),
}
"""VM family and accelerator of an aggregate reservation (google-beta provider 6.50; Compute Engine API v1)."""
GKE_MACHINE = {"v5litepod-1": "ct5lp-hightpu-1t", "v5litepod-4": "ct5lp-hightpu-4t", "v5litepod-8": "ct5lp-hightpu-8t"}
"""Compute Engine's machine type of a TPU slice named by its chips (GKE documentation, plan TPUs, 2026)."""

OPTIONS: Mapping[str, str] = {"taints": ""}
Regions = Mapping[str, Mapping[str, list[Cell]]]
"""Cloud -> slug of a region -> its groups of machines; clouds without any are not in it."""


def files(
    plan: PlanFile | Plan, options: Mapping[str, str], progress: Progress = lambda done, of: None
) -> dict[str, str]:
    """The folder of one root module, its tests, and tickets for what no API does.

    Parameters
    ----------
    options : `taints`: of all nodes, in the form of the environment. `not_proven`: why the plan is not proven, for
        the header of the files
    progress : called with (failures replayed, failures in all) for the tickets

    Raises
    ------
    InputError
        when the taints are none
    """
    taints = taints_of(options.get("taints", ""))
    if taints is None:
        raise InputError([Finding("--set taints", EXPECTED_TAINTS, repr(options["taints"])[:80], "correct it")])
    fleet = fleet_of(plan)
    regions = {cloud: cells for cloud in CLOUDS if (cells := _regions(fleet, cloud))}
    header = _header(fleet, options)
    data, environment = {}, {}
    for cloud, cells_in in regions.items():
        data[cloud] = {name: _region(fleet, cloud, cells) for name, cells in cells_in.items()}
        environment[f"{cloud}_environment"] = _environment(cloud, data[cloud], taints)
    made = {
        "main.tf.json": sorted_json(_root(regions, header), indent=2),
        "variables.tf": root_variables(),
        "plan.auto.tfvars.json": sorted_json(data, indent=2),
        "plan.tftest.json": sorted_json(_tests(fleet, regions, header, environment), indent=2),
        "environment.example.json": sorted_json(environment, indent=2),
        **{f"modules/{cloud}/main.tf": _static(f"{cloud}/main.tf") for cloud in regions},
    }
    return {**made, **ticket_files(fleet, options, owned=False, progress=progress)}


def _header(fleet: Fleet, options: Mapping[str, str]) -> list[str]:
    lines = [
        "Generated from a plan; do not edit. Data is in plan.auto.tfvars.json.",
        f"plan {fleet.digest}",
    ]
    return lines + (["NOT PROVEN, see NOT-PROVEN.md"] if options.get("not_proven") else [])


def _regions(fleet: Fleet, cloud: str) -> dict[str, list[Cell]]:
    """Cells by slug of the region; what a person must sell us first has no cell, but where its name is known."""
    regions: dict[str, list[Cell]] = {}
    for cell in fleet.cells(cloud):
        if cell.lot.rule.instrument != "by_hand" or cloud == "google":
            regions.setdefault(fleet.region_name[cell.lot.pool], []).append(cell)
    return dict(sorted(regions.items()))


def _region(fleet: Fleet, cloud: str, cells: list[Cell]) -> dict[str, Any]:
    short = short_names(cells) if cloud == "azure" else {}
    made = {}
    for cell in cells:
        data = _cell(fleet, cell)
        extra = {"aws": _aws, "google": _google}.get(cloud)
        data |= extra(fleet, cell) if extra else {"short_name": short[cell.name], "tags": _tags(fleet, cell)}
        made[cell.name] = data
    return {"region": fleet.site_of[cells[0].lot.pool].region, "cells": made}


def short_names(cells: Collection[Cell]) -> dict[str, str]:
    """Group of machines of a region on Azure -> name of its AKS node pool, 12 letters at most."""
    return distinct((cell.name for cell in cells), 12, short=True)


def _cell(fleet: Fleet, cell: Cell) -> dict[str, Any]:
    lot, site = cell.lot, fleet.site_of[cell.lot.pool]
    return {
        "pool": lot.pool,
        "offer": lot.id,
        "machine_type": fleet.pools[lot.pool].machine_type,
        "machines": cell.machines,
        "instrument": lot.rule.instrument,
        "spot": lot.kind == "spot",
        "held": lot.offer is None,
        "zone": zone_of(site),
        "labels": node_labels(fleet, lot),
    }


def _tags(fleet: Fleet, cell: Cell) -> dict[str, str]:
    return {"Name": cell.name, "managed-by": "capacity-planner", "plan": fleet.digest}


def _aws(fleet: Fleet, cell: Cell) -> dict[str, Any]:
    return {
        "neuron": fleet.pools[cell.lot.pool].machine_type.startswith(("trn", "inf")),
        "tags": _tags(fleet, cell),
        "window": _window(fleet, cell.lot) if cell.lot.rule.instrument == "capacity_block" else None,
    }


def _window(fleet: Fleet, lot: Lot) -> dict[str, Any]:
    """When the first Capacity Block of a lot may begin and end; the later ones are tickets."""
    first_order = min((o for o in fleet.plan.orders if o.offer == lot.id), key=lambda o: o.need)
    first = blocks_of(lot, first_order)[0]
    end = first.first_day + timedelta(days=first.days + 1)
    return {"hours": first.days * 24, "start": _midnight(first.first_day), "end": _midnight(end)}


def _google(fleet: Fleet, cell: Cell) -> dict[str, Any]:
    lot, machine = cell.lot, fleet.machine_of[cell.lot.pool]
    reserved = lot.rule.instrument in ("immediate", "future_reservation", "by_hand")
    draft = None
    if lot.rule.instrument == "future_reservation" and lot.offer:
        family, accelerator = TPU[machine.name.partition("-")[0]]
        horizon = fleet.plan.study.horizon
        years = 3 if lot.offer.term_months > 12 else 1
        draft = {
            "vm_family": family,
            "accelerator_type": accelerator,
            "accelerator_count": cell.machines * machine.accelerators,
            "commitment_plan": {1: "TWELVE_MONTH", 3: "THIRTY_SIX_MONTH"}[years],
            "start": _midnight(horizon.start),
            "end": _midnight(_years_after(horizon.start, years)),
        }
    return {
        "machine_type": GKE_MACHINE.get(machine.name, machine.name),
        "reservation": cell.name if reserved else None,
        "topology": None,
        "draft": draft,
    }


def _years_after(day: date, years: int) -> date:
    """The same day years later; 29 February becomes 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _root(regions: Regions, header: list[str]) -> dict[str, Any]:
    """The root module: slugs, aliases and references, nothing that a person wrote."""
    providers = [name for cloud in regions for name in PROVIDERS[cloud]]
    modules = [(cloud, region) for cloud in regions for region in regions[cloud]]
    root: dict[str, Any] = {
        "//": header,
        "terraform": [
            {
                "required_version": ">= 1.7",
                "required_providers": [
                    {name: {"source": f"hashicorp/{name}", "version": VERSIONS[name]} for name in providers}
                ],
            }
        ],
        "output": {
            "machines": _merged("machines", modules),
            "reserved": _merged("reserved", modules),
            "drafted": _merged("drafted", [(c, r) for c, r in modules if c == "google"]),
            "referred": _merged("referred", modules),
            "reservation_ids": _merged("reservation_ids", modules),
        },
    }
    if modules:
        root["provider"] = {}
        for cloud in regions:
            root["provider"] |= _provider_blocks(cloud, list(regions[cloud]))
        root["module"] = {f"{c}-{r}": [_module(c, r)] for c, r in modules}
    return root


def _merged(name: str, modules: list[tuple[str, str]]) -> dict[str, str]:
    """An output of the root: that of its modules in one map."""
    parts = ["{}", *(f"module.{cloud}-{region}.{name}" for cloud, region in modules)]
    return {"value": f"${{merge({', '.join(parts)})}}"}


def _provider_blocks(cloud: str, regions: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Blocks of each provider of a cloud; regions are aliases."""
    if cloud == "aws":
        return {"aws": [{"alias": r, "region": f'${{var.aws["{r}"].region}}'} for r in regions]}
    if cloud == "azure":
        return {"azurerm": [{"features": [{}]}]}
    block = [
        {
            "alias": r,
            "project": f'${{var.google_environment["{r}"].project}}',
            "region": f'${{var.google["{r}"].region}}',
            "zone": f'${{var.google_environment["{r}"].zone}}',
        }
        for r in regions
    ]
    return {"google": block, "google-beta": block}


def _module(cloud: str, region: str) -> dict[str, Any]:
    module: dict[str, Any] = {
        "source": f"./modules/{cloud}",
        "cells": f'${{var.{cloud}["{region}"].cells}}',
        "environment": f'${{var.{cloud}_environment["{region}"]}}',
    }
    if cloud == "azure":
        return module | {"name": region, "region": f'${{var.azure["{region}"].region}}'}
    opted = {name: f"${{var.{name}}}" for name in OPTED_IN[cloud]}
    return module | opted | {"providers": {name: f"{name}.{region}" for name in PROVIDERS[cloud]}}


def _environment(cloud: str, regions: Mapping[str, Any], taints: Collection[Taint]) -> dict[str, Any]:
    """The form of what the plan cannot know, with values that nobody has."""
    tainted = [taint.of_cloud(cloud) for taint in taints]
    of_all: dict[str, Any] = {"reservation_ids": {}, "most_machines": {}, "taints": tainted}
    forms: dict[str, dict[str, Any]] = {
        "aws": {
            "cluster_name": "REPLACE",
            "node_role_arn": "arn:aws:iam::000000000000:role/REPLACE",
            "subnet_ids": ["subnet-REPLACE"],
            "availability_zone": "REPLACE",
            "subnet_ids_by_zone": {},
            "least_machines": {},
            **of_all,
        },
        "google": {"project": "replace", "cluster": "replace", "location": "replace", "zone": "replace", **of_all},
        "azure": {
            "kubernetes_cluster_id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/replace"
            "/providers/Microsoft.ContainerService/managedClusters/replace",
            "resource_group_name": "replace",
            "zones": [],
            **of_all,
        },
    }
    made = dict.fromkeys(regions, forms[cloud])
    for name, region in regions.items():
        zones = {cell["zone"] for cell in region["cells"].values() if cell["zone"] and is_zone_id(cell["zone"])}
        if cloud == "aws" and zones:
            made[name] = {**forms[cloud], "zone_names": dict.fromkeys(sorted(zones), "REPLACE")}
    return made


def _tests(fleet: Fleet, regions: Regions, header: list[str], environment: dict[str, Any]) -> dict[str, Any]:
    """Tests of the plan's counts with mocked providers: as it comes, and with everything opted in."""
    cells = list(chain.from_iterable(cells for cloud in regions for cells in regions[cloud].values()))

    def machines(*instruments: str) -> dict[str, int]:
        return {cell.name: cell.machines for cell in cells if cell.lot.rule.instrument in instruments}

    chips = {}
    for cell in cells:
        if cell.lot.rule.instrument == "future_reservation":
            chips[cell.name] = cell.machines * fleet.machine_of[cell.lot.pool].accelerators
    mocks: dict[str, list[dict[str, Any]]] = {}
    for cloud in regions:
        for name in PROVIDERS[cloud]:
            mocks[name] = [{}] if cloud == "azure" else [{"alias": region} for region in regions[cloud]]
    opted = {name: True for cloud in regions for name in OPTED_IN[cloud]}
    held = {cell.name: cell.machines for cell in cells if cell.lot.offer is None}
    named = held.keys() | machines("immediate").keys()
    others = {name: n for name, n in machines("immediate", "spot", "none").items() if name not in held}
    return {
        "//": header,
        "mock_provider": mocks,
        "variables": environment,
        "run": {
            "what_the_plan_starts_at_once": {
                "command": "plan",
                "assert": [
                    *_equal("machines", machines("immediate", "spot", "none")),
                    *_equal("reserved", machines("immediate")),
                    *_equal("drafted", chips),
                ],
            },
            "what_the_plan_has_when_all_is_delivered": {
                "command": "plan",
                "variables": opted,
                "assert": [
                    *_equal("machines", {cell.name: cell.machines for cell in cells}),
                    *_equal("reserved", machines("immediate", "capacity_block")),
                ],
            },
            "nothing_is_made_for_what_is_held_on_named_reservations": {
                "command": "plan",
                "variables": _with_reservations(regions, environment, named),
                "assert": [
                    *_equal("referred", held),
                    *_equal("machines", others),
                    *_equal("reserved", {}),
                ],
            },
        },
    }


def _with_reservations(regions: Regions, environment: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The environment with the id of a reservation for each of some cells."""
    made: dict[str, Any] = {}
    for cloud, cells_in in regions.items():
        forms = environment[f"{cloud}_environment"]
        made[f"{cloud}_environment"] = {
            region: {
                **forms[region],
                "reservation_ids": {c.name: f"reservation-of-{c.name}" for c in cells if c.name in names},
            }
            for region, cells in cells_in.items()
        }
    return made


def _equal(output: str, counts: Mapping[str, int]) -> list[dict[str, str]]:
    names = f"${{length(output.{output}) == {len(counts)}}}"
    made = [{"condition": names, "error_message": f"{output}: the plan has {len(counts)} groups."}]
    for name, count in sorted(counts.items()):
        condition = f'${{try(output.{output}["{name}"], 0) == {count}}}'
        made.append({"condition": condition, "error_message": f"{output} of {name}: the plan has {count}."})
    return made


def root_variables() -> str:
    """The variables of the root module; what it hands on has the type that the cloud's module states."""
    text = _static("root/variables.tf.in")
    for cloud in CLOUDS:
        for name, indent in (("cells", "    "), ("environment", "  ")):
            block = _static(f"{cloud}/main.tf").partition(f'variable "{name}" {{\n  type = ')[2]
            of_module = re.split(r"\n  (description|validation)|\n}", block)[0]
            text = text.replace(f"@{cloud}.{name}@", of_module.replace("\n  ", f"\n{indent}"))
    return text


def _static(path: str) -> str:
    return packaged("planner.emit").joinpath("modules", path).read_text(encoding="utf-8")
