"""Catalogues of SkyPilot: machine types and accelerators by zone, on demand and spot."""

import math
import re
from collections.abc import Mapping

import pandas as pd

from planner.errors import refusal
from planner.importers.price_lists import PriceImport
from planner.importers.source import Table, figure_of, unknown_table
from planner.study.places import listed, near_miss, quoted, unquoted

SHAPE = {"SkyPilot catalogue": "CSV with InstanceType,AcceleratorName,Price,SpotPrice,Region"}
COLUMNS = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region")
PROVIDERS = ("aws", "azure", "google")
PLACEHOLDER_USD = 700.0
"""What a SkyPilot catalogue writes where it knows no price [USD/h]."""
SPOT_IS_ON_DEMAND = 0.98
"""A spot price from this share of the on-demand price upwards is no market: there is nothing to be had."""

BY_HAND = "write the prices of another provider into a prices.csv: docs/howto/add-a-provider.md"

GOOGLE_MACHINES = {
    **{f"tpu-v6e-{n}": f"ct6e-standard-{n}t" for n in (1, 4, 8)},
    **{f"tpu-v5p-{2 * n}": f"ct5p-hightpu-{n}t" for n in (1, 2, 4)},
}
"""Machine types by the catalogue's accelerator. A v5p slice is named by its cores, two a chip: v5p-8 has 4 chips."""


def read_skypilot(run: PriceImport, table: Table, provider: str | None) -> None:
    """A catalogue: a row per zone, with the price on demand and on spot of a machine, or of accelerators alone."""
    run.what = "SkyPilot catalogue"
    if table.lacks(COLUMNS):
        raise unknown_table(table, COLUMNS, SHAPE)
    provider = _provider(table, provider)
    contradictions: dict[str, str] = {}
    spots: list[tuple[str, str, float]] = []
    on_demand: dict[tuple[str, str], float] = {}
    for line, row in table.rows:
        run.read += 2  # a price on demand and one on spot
        machine = _skypilot_machine(run, row, provider)
        if machine is None:
            continue
        if (note := _count_differs(run, machine, row)) is not None:
            contradictions[machine] = note
        site, at = f"{provider}/{row['Region']}", table.at(line)
        if not row["Region"]:
            run.error(f"{at}: Region", "a region", "nothing (blank)", "save the catalogue whole")
            continue
        for column, offer in (("Price", "on demand"), ("SpotPrice", "spot")):
            if not row[column]:
                run.skip(f"no {offer} price")
                continue
            usd = run.number(row[column], f"{at}: {column}", "a price")
            if usd in (PLACEHOLDER_USD, 0.0):
                run.skip(f"{usd:.2f} USD: a placeholder, not a price")
            elif usd is not None and column == "Price":
                on_demand[site, machine] = usd
                run.add(at, site, machine, "on_demand", usd, None if run.as_of else "", "SkyPilot catalogue")
            elif usd is not None:
                spots.append((site, machine, usd))
    run.raise_errors()
    _add_spots(run, spots, on_demand)
    run.notes += [text for _, text in sorted(contradictions.items())]


def _add_spots(
    run: PriceImport, spots: list[tuple[str, str, float]], on_demand: Mapping[tuple[str, str], float]
) -> None:
    """Spot prices: the median of the zones where it is below on demand."""
    table = pd.DataFrame(spots, columns=["site", "machine", "usd"])
    table["on_demand"] = [on_demand.get((site, machine)) for site, machine, _ in spots]
    run.skip(
        "spot without an on-demand price beside it: such requests were refused", int(table["on_demand"].isna().sum())
    )
    table = table.dropna()
    market = table[table["usd"] < SPOT_IS_ON_DEMAND * table["on_demand"].astype(float)]
    run.skip("spot as dear as on demand: no market", len(table) - len(market))
    for pool, prices in market.groupby(["site", "machine"])["usd"]:
        site, machine = map(str, pool)
        zones = f"median of {len(prices)} zones below on demand" if len(prices) > 1 else "one zone"
        origin = f"SkyPilot catalogue; {zones}, a snapshot"
        run.add(machine, site, machine, "spot", float(prices.median()), None, origin)
        run.skip("merged into the median of the zones", len(prices) - 1)


def _provider(table: Table, provider: str | None) -> str:
    """Whose catalogue it is: by the names of its machine types."""
    if provider is not None:
        if provider not in PROVIDERS:
            expected = "aws, azure or google: no other catalogue can be read"
            raise refusal("--provider", expected, quoted(provider) + near_miss(provider, PROVIDERS), BY_HAND)
        return provider
    names = [row["InstanceType"] for _, row in table.rows if row["InstanceType"]]
    if names and all(name.startswith(("Standard_", "Basic_")) for name in names):
        return "azure"
    tpus = any(row["AcceleratorName"].startswith("tpu-") for _, row in table.rows)
    if tpus or (names and all("." not in name and "_" not in name for name in names)):
        return "google"
    if names and all(re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", name) for name in names):
        return "aws"
    got = f"machine types such as {listed(names, 3)}"
    fix = f"if it is a catalogue of one of these three, say which: --provider aws; else {BY_HAND}"
    raise refusal(table.file, "the machine types of AWS, Azure or Google", got, fix)


def _skypilot_machine(run: PriceImport, row: Mapping[str, str], provider: str) -> str | None:
    """The machine type of a row, else None with the reason counted for both of its prices."""
    name, accelerator = row["InstanceType"], row["AcceleratorName"]
    if name and accelerator:
        return name
    machine = GOOGLE_MACHINES.get(accelerator)
    if name:
        reason = "the host alone: its accelerators are rows of their own" if provider == "google" else "no accelerator"
    elif not accelerator:
        reason = "neither a machine type nor an accelerator"
    elif machine is not None:
        return machine
    elif re.fullmatch(r"tpu-v5litepod-\d+", accelerator):
        return accelerator.removeprefix("tpu-")
    else:
        reason = "accelerators for which no machine type is known"
    run.skip(reason, 2)
    return None


def _count_differs(run: PriceImport, machine: str, row: Mapping[str, str]) -> str | None:
    """A note when the catalogue's accelerators or their memory contradict the machine type; prices are per machine."""
    known = run.machines.get(machine)
    if known is None or not row["InstanceType"]:
        return None
    differences = []
    count = row["AcceleratorCount"]
    if count and not math.isclose(figure_of(count) or 0.0, known.accelerators):
        differences.append(f"{unquoted(count)} accelerators, the machine type has {known.accelerators}")
    sizes = re.findall(r"'SizeInMiB': (\d+)", row.get("GpuInfo", ""))
    gib = float(sizes[0]) / 1024 if sizes else known.memory_gib_per_accelerator
    if abs(gib / known.memory_gib_per_accelerator - 1) > 0.15:
        differences.append(f"{gib:g} GiB each, the machine type has {known.memory_gib_per_accelerator:g}")
    if not differences:
        return None
    return f"{machine}: the catalogue says {' and '.join(differences)}; the price is of the machine"
