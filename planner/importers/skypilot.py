"""Catalogues of SkyPilot: machine types and accelerators by zone, on demand and spot."""

import math
import re
import statistics
from collections.abc import Mapping

from planner.importers.price_lists import PriceImport
from planner.importers.source import (
    load_table,
    number,
    refuse,
    stop_on_errors,
    unknown_shape,
)
from planner.study.places import listed, near_miss, quoted

MARK = "CSV with InstanceType,AcceleratorName,Price,SpotPrice,Region"
SKYPILOT = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region")
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


# SkyPilot


def read_skypilot(run: PriceImport, text: str, where: str, provider: str | None) -> None:
    """A catalogue: a row per zone, with the price on demand and on spot of a machine, or of accelerators alone."""
    run.out.what = "SkyPilot catalogue"
    table = load_table(text, where, run.reading)
    missing = [name for name in SKYPILOT if name not in table.header]
    if missing:
        hint = near_miss(missing[0], table.header)
        raise unknown_shape(f"{where}:1", f"a table without {listed(missing)}{hint}", {"SkyPilot catalogue": MARK})
    provider = _provider(table.header, [row for _, row in table.rows], provider, where)
    wrong: dict[str, str] = {}
    spots: dict[tuple[str, str], list[float]] = {}
    on_demand: dict[tuple[str, str], float] = {}
    source = "SkyPilot catalogue"
    for line, row in table.rows:
        run.out.read += 2  # a price on demand and one on spot
        machine = _skypilot_machine(run, row, provider)
        if machine is None:
            continue
        if (said := _count_differs(run, machine, row)) is not None:
            wrong[machine] = said
        site, at = f"{provider}/{row['Region']}", table.at(line)
        if not row["Region"]:
            run.reading.error(f"{at}: Region", "a region", "nothing (blank)", "save the catalogue whole")
            continue
        for column, offer in (("Price", "on demand"), ("SpotPrice", "spot")):
            if not row[column]:
                run.out.skip(f"no {offer} price")
                continue
            usd = number(row[column], f"{at}: {column}", "a price", run.reading)
            if usd is None:
                continue
            if usd in (PLACEHOLDER_USD, 0.0):
                run.out.skip(f"{usd:.2f} USD: a placeholder, not a price")
            elif column == "Price":
                on_demand[site, machine] = usd
                run.add(at, site, machine, "on_demand", usd, None if run.as_of else "", source)
            else:
                spots.setdefault((site, machine), []).append(usd)
    stop_on_errors(run.reading)
    _spots(run, spots, on_demand)
    run.out.notes += [text for _, text in sorted(wrong.items())]


def _spots(
    run: PriceImport, spots: Mapping[tuple[str, str], list[float]], on_demand: Mapping[tuple[str, str], float]
) -> None:
    """Spot prices: the median of the zones where it is below on demand."""
    for (site, machine), prices in sorted(spots.items()):
        whole_price = on_demand.get((site, machine))
        if whole_price is None:
            run.out.skip("spot without an on-demand price beside it: such requests were refused", len(prices))
            continue
        market = [price for price in prices if price < SPOT_IS_ON_DEMAND * whole_price]
        run.out.skip("spot as dear as on demand: no market", len(prices) - len(market))
        if not market:
            continue
        zones = f"median of {len(market)} zones below on demand" if len(market) > 1 else "one zone"
        run.add(
            machine, site, machine, "spot", statistics.median(market), None, f"SkyPilot catalogue; {zones}, a snapshot"
        )
        run.out.skip("merged into the median of the zones", len(market) - 1)


def _provider(header: tuple[str, ...], rows: list[dict[str, str]], provider: str | None, where: str) -> str:
    """Whose catalogue it is: by the names of its machine types."""
    if provider is not None:
        if provider not in ("aws", "azure", "google"):
            got = quoted(provider) + near_miss(provider, ("aws", "azure", "google"))
            raise refuse("--provider", "aws, azure or google: no other catalogue can be read", got, BY_HAND)
        return provider
    names = [row["InstanceType"] for row in rows if row["InstanceType"]]
    if names and all(name.startswith(("Standard_", "Basic_")) for name in names):
        return "azure"
    if any(row["AcceleratorName"].startswith("tpu-") for row in rows) or (
        names and all("." not in n and "_" not in n for n in names)
    ):
        return "google"
    if names and all(re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", name) for name in names):
        return "aws"
    got = f"machine types such as {listed(names, 3)}"
    fix = f"if it is a catalogue of one of these three, say which: --provider aws; else {BY_HAND}"
    raise refuse(where, "the machine types of AWS, Azure or Google", got, fix)


def _skypilot_machine(run: PriceImport, row: Mapping[str, str], provider: str) -> str | None:
    """The machine type of a row, else None with the reason counted for both of its prices."""
    name, accelerator = row["InstanceType"], row["AcceleratorName"]
    if name and not accelerator:
        what = "the host alone: its accelerators are rows of their own" if provider == "google" else "no accelerator"
        run.out.skip(what, 2)
        return None
    if name:
        return name
    if not accelerator:
        run.out.skip("neither a machine type nor an accelerator", 2)
        return None
    machine = GOOGLE_MACHINES.get(accelerator)
    lite = re.fullmatch(r"tpu-(v5litepod-\d+)", accelerator)
    if machine is None and lite is None:
        run.out.skip("accelerators for which no machine type is known", 2)
        return None
    return machine or (lite[1] if lite else None)


def _count_differs(run: PriceImport, machine: str, row: Mapping[str, str]) -> str | None:
    """A note when the catalogue's accelerators or their memory contradict the machine type; prices are per machine."""
    known = run.machines.get(machine)
    if known is None or not row["InstanceType"]:
        return None
    told = []
    count = row["AcceleratorCount"]
    try:
        if count and not math.isclose(float(count), known.accelerators):
            told.append(f"{count} accelerators, the machine type has {known.accelerators}")
        sizes = re.findall(r"'SizeInMiB': (\d+)", row.get("GpuInfo", ""))
        gib = float(sizes[0]) / 1024 if sizes else known.memory_gib_per_accelerator
        if abs(gib / known.memory_gib_per_accelerator - 1) > 0.15:
            told.append(f"{gib:g} GiB each, the machine type has {known.memory_gib_per_accelerator:g}")
    except (ValueError, OverflowError):
        told.append(f"{quoted(count)} accelerators")
    return f"{machine}: the catalogue says {' and '.join(told)}; the price is of the machine" if told else None
