"""What runs by a table that a person wrote: pool, machines, profile, replicas."""

import csv
import io
from pathlib import Path

from planner.emit.counts import Counts, not_counted
from planner.emit.fleet import Fleet
from planner.errors import Finding, InputError
from planner.study.places import near_miss

COLUMNS = {"pool", "machines", "profile", "replicas"}


def columns_of(text: str) -> list[str]:
    """The columns of a table."""
    return [name.strip() for name in csv.DictReader(io.StringIO(text)).fieldnames or ()]


def read_table(path: Path, text: str, fleet: Fleet, counts: Counts) -> None:
    """Count machines, the same in each row of a pool, and replicas; those of several tables add up.

    A table that is named twice counts once.

    Raises
    ------
    InputError
        with every row that names what the plan does not know, counts nothing, or contradicts another
    """
    if counts.is_repeated("tables", {f"table {path.resolve()}"}):
        return
    rows = csv.DictReader(io.StringIO(text))
    header = list(rows.fieldnames or ())
    if "pool" not in header or not set(header) <= COLUMNS:
        raise not_counted(f"{path}:1", "columns pool, machines, profile, replicas", ", ".join(map(str, header)))
    study = fleet.plan.study
    pools = {pool.id for pool in study.pools}
    profiles = {f"{m.model}/{p.name}": p for m in study.models for p in m.profiles}
    findings: list[Finding] = []
    machines: dict[str, int] = {}
    replicas: dict[str, dict[str, int]] = {}
    stated: dict[tuple[str, str], int] = {}
    place_of: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        where, pool, profile = f"{path}:{line}", row.get("pool") or "", row.get("profile") or ""
        if pool not in pools:
            got = f"{pool[:80]!r}{near_miss(pool, pools)}"
            findings.append(Finding(f"{where}: pool", "a pool of the plan", got, "correct it"))
            continue
        if profile and profile not in profiles:
            got = f"{profile[:80]!r}{near_miss(profile, profiles)}"
            findings.append(Finding(f"{where}: profile", "a profile of the plan", got, "correct it"))
            continue
        for column, key in (("machines", pool), ("replicas", f"{profile}@{pool}" if profile else "")):
            cell = (row.get(column) or "").strip()
            if not cell or not key:
                continue
            if not (cell.isascii() and cell.isdigit()) or len(cell) > 9:
                findings.append(Finding(f"{where}: {column}", "a whole number", repr(cell[:80]), "count them"))
                continue
            count = int(cell)
            if column == "machines":
                machines.setdefault(pool, count)
            else:
                replicas.setdefault(pool, {}).setdefault(profile, count)
                place_of.setdefault(pool, f"{where}: {column}")
            before = stated.setdefault((column, key), count)
            if before != count:
                expected = f"{before}, as in an earlier row of it"
                findings.append(Finding(f"{where}: {column}", expected, cell, "state it once"))
    chips = {machine.name: machine.accelerators for machine in study.machine_types}
    chips_in = {pool.id: chips[pool.machine_type] for pool in study.pools}
    for pool in sorted(machines.keys() & replicas.keys()):
        needed = sum(n * profiles[profile].accelerators_per_replica for profile, n in replicas[pool].items())
        if needed > machines[pool] * chips_in[pool]:
            expected = f"replicas that fit on {machines[pool]} machines of {chips_in[pool]} accelerators"
            got = f"{sum(replicas[pool].values())}, which take {needed} accelerators"
            fix = "count replicas and machines of the pool again"
            findings.append(Finding(place_of[pool], expected, got, fix))
    if findings:
        raise InputError(findings)
    for (column, key), count in stated.items():
        counts.add(column, key, count)
