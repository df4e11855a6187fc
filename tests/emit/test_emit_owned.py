"""The inventory of halls: counts arrive, the schema holds, and nothing that a person wrote is expanded."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from emitting import HELD, POOLS, hostile_plan, planned

from planner.emit.owned import files

HALL = "owned/hall-1/gb200-nvl72"


class Read(yaml.SafeLoader):
    """Ansible's tag as a word that says so."""


Read.add_constructor("!unsafe", lambda loader, node: ("unsafe", loader.construct_scalar(node)))


def test_counts_arrive_in_every_format():
    made = files(planned(), {})
    (hall,) = json.loads(made["inventory.json"])["halls"]
    (rack,) = hall["racks"]
    bought, held = POOLS[HALL][4], HELD[HALL]
    assert rack["pool"] == HALL and rack["machines"] == bought + held
    assert {p["status"]: p["machines"] for p in rack["phases"]} == {"held": held, "to build": bought}
    assert [s["replicas"] for s in rack["serving"]] == [bought]
    hosts = [name for phase in rack["phases"] for name in phase["hosts"]]
    assert len(set(hosts)) == bought + held
    table = list(csv.DictReader(io.StringIO(made["netbox-devices.csv"])))
    assert [row["name"] for row in table] == hosts
    assert [row["status"] for row in table].count("planned") == bought
    inventory = yaml.load(made["ansible.yaml"], Loader=Read)
    (groups,) = inventory["all"]["children"]["planner_owned"]["children"].values()
    (pool,) = groups["children"].values()
    assert [h for phase in pool["children"].values() for h in phase["hosts"]] == hosts
    assert pool["vars"]["planner_pool"] == ("unsafe", HALL)
    (ticket,) = json.loads(made["tickets/tickets.json"])["tickets"]
    assert (ticket["offer"], ticket["machines"], ticket["reservation"]) == (f"{HALL}:build_out", bought, "by_hand")
    # 2026-03-01, 14 days of lead, 14 of slack
    assert ticket["by"] == "2026-02-01" == rack["phases"][1]["order_by"]


def test_the_inventory_fits_its_schema():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    made = files(planned(), {})
    schema = json.loads(made["inventory.schema.json"])
    check = jsonschema.Draft202012Validator(schema)
    data = json.loads(made["inventory.json"])
    check.validate(data)
    data["halls"][0]["racks"][0]["machines"] = "4"
    assert list(check.iter_errors(data))


def test_hostile_names_are_data():
    plan = hostile_plan("owned")
    made = files(plan, {})
    sites = {site.id: site for site in plan.study.sites}
    halls = json.loads(made["inventory.json"])["halls"]
    assert {h["site"]: h["city"] for h in halls} == {s.id: s.city for s in sites.values()}
    assert {r["pool"]: r["machines"] for h in halls for r in h["racks"]} == {
        h.pool: h.machines + sum(p.units for p in plan.purchases if p.offer.startswith(f"{h.pool}:"))
        for h in plan.study.holdings
    }
    inventory = yaml.load(made["ansible.yaml"], Loader=Read)
    groups = inventory["all"]["children"]["planner_owned"]["children"]
    assert sorted(g["vars"]["planner_city"][1] for g in groups.values()) == sorted(s.city for s in sites.values())

    def strings(data, path=()):
        if isinstance(data, dict):
            for key, value in data.items():
                yield from strings(value, (*path, key))
        elif isinstance(data, list):
            for value in data:
                yield from strings(value, path)
        elif isinstance(data, str):
            yield path, data

    for path, text in strings(inventory):  # what is not unsafe is a slug, a date or a fixed word
        assert all(c.isascii() and (c.isalnum() or c in "-_ ") for c in text), path
    cells = [cell for row in csv.reader(io.StringIO(made["netbox-devices.csv"])) for cell in row]
    assert all(cell[0].isalpha() and cell.replace("-", "").replace("_", "").isalnum() for cell in cells)
    (page,) = [text for path, text in made.items() if path.endswith(".md")]
    assert not any(c != "\n" and not c.isprintable() for c in page) and "<script>" not in page


def test_ansible_reads_it_and_expands_nothing(tmp_path):
    program = shutil.which("ansible-inventory", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("ansible-inventory is not installed")
    plan = hostile_plan("owned")
    marker = tmp_path / "ran"
    attack = "{{ lookup('pipe', 'touch " + str(marker) + "') }}"
    first = plan.study.sites[0].model_copy(update={"city": attack})
    plan = plan.model_copy(update={"study": plan.study.model_copy(update={"sites": (first, *plan.study.sites[1:])})})
    made = tmp_path / "ansible.yaml"
    made.write_text(files(plan, {})["ansible.yaml"], encoding="utf-8", newline="")
    done = subprocess.run(
        [program, "-i", str(made), "--list"], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    unsafe = {v.get("__ansible_unsafe") for h in hosts.values() for v in h.values() if isinstance(v, dict)}
    assert attack in unsafe
    assert not marker.exists()
