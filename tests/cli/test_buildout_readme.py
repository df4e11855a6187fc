"""examples/buildout: its README is real output, and what it tells can be read off the plans."""

import re
from datetime import date

import goldens
import pytest
from buildout import README, blocks, outputs, prepared

from planner.drill import drill_plan
from planner.importers.new_study import start_study
from planner.plan.audit import audit
from planner.plan.file import read_plan
from planner.plan.orders import phase_orders
from planner.problem.build import build
from planner.study.calendar import demand_by_hour
from planner.study.read import data_folder, read_study

FOLDER = data_folder("examples") / "buildout"
BLOCKS = blocks(README.read_text(encoding="utf-8"))
COLUMBUS, DALLAS = "owned/columbus", "owned/dallas"


def test_every_block_is_checked():
    text = README.read_text(encoding="utf-8")
    assert len(BLOCKS) == text.count("```sh") == text.count("```text") > 0
    assert {block.command.split()[1] for block in BLOCKS} >= {"plan", "review", "whatif", "diff"}


def test_the_readme_is_real_output(tmp_path, planner_command):
    """One test: the commands build on each other. Then what the README says of the plans that they wrote."""
    folder = prepared(tmp_path)
    for block, text in zip(BLOCKS, outputs(BLOCKS, folder, planner_command), strict=True):
        if not goldens.other_versions():
            assert text == block.text, f"{block.command}: python tests/buildout.py writes it anew"
    plan = read_plan(folder / "plan.json")
    assert {row.build_out: row.when for row in plan.builds} == {
        f"{COLUMBUS}:hall-1": "quarter-4",
        f"{DALLAS}:hall-1": "quarter-5",
    }
    assert audit(plan).passed and plan.proof.status == "proven"
    drilled = drill_plan(plan)
    assert drilled.findings == () and not [row for row in drilled.rows if row.broken]
    halls = [row for row in plan.no_regret if row.offer.endswith(":hall-1")]
    assert halls and all(
        min(row.low_units, row.base_units, row.high_units) == 1 for row in halls if row.when == "quarter-8"
    )
    assert 5 * rented(plan, "quarter-5") < min(rented(plan, "quarter-4"), rented(plan, "quarter-8"))
    by_year_end = {
        (o.build_out, o.part) for o in phase_orders(plan, build(plan.study)) if o.order_by <= date(2026, 12, 31)
    }
    assert by_year_end == {
        (f"{COLUMBUS}:hall-1", "power"),
        (f"{DALLAS}:hall-1", "power"),
        (f"{COLUMBUS}:hall-1", "equipment"),
    }
    late = read_plan(folder / "variants" / "01-columbus-half-a-year-late.json")
    assert {row.build_out: row.when for row in late.builds}[f"{COLUMBUS}:hall-1"] == "quarter-6"
    growth = read_plan(folder / "variants" / "02-faster-growth.json")
    assert {row.build_out.rpartition(":")[2] for row in growth.builds} == {"hall-1", "hall-2"}
    second = [o.order_by for o in phase_orders(growth, build(growth.study)) if o.build_out.endswith("hall-2")]
    assert date(2027, 3, 1) <= min(second) < date(2027, 4, 1)


def rented(plan, period):
    return sum(row.units for row in plan.purchases if row.offer.endswith(":on_demand") and row.when.startswith(period))


def test_what_the_readme_concludes_can_be_read_off_its_tables():
    """Of output that the test above compares."""
    shown = {block.command: block.text for block in BLOCKS}
    (doubts,) = (text for command, text in shown.items() if "doubts" in command)
    for site in (COLUMBUS, DALLAS):
        least, most, plans = re.search(rf"{site}/dgx-b200:purchase +(\d+) +(\d+) +(\d of \d)", doubts).groups()
        assert 0 < int(least) < int(most) and plans == "3 of 3"
    (slip,) = (text for command, text in shown.items() if "planner delay" in command)
    month = slip[slip.index("VALUE OF A MONTH") :]
    worth = {site: int(re.search(rf"{site} +\+([\d,]+)", month)[1].replace(",", "")) for site in (COLUMBUS, DALLAS)}
    assert worth[COLUMBUS] > worth[DALLAS] > 0 and "normal operation" in slip[slip.index("BROKEN") :]
    (sequence,) = (text for command, text in shown.items() if "planner sequence" in command)
    near, further = sequence[sequence.index("NEXT BEST") :].split("FURTHER")
    assert "hall-2 built" in near and "never" in further and "never" not in near
    (crossover,) = (text for command, text in shown.items() if "planner crossover" in command)
    owned = [float(share) for share in re.findall(r"purchase in hall-\d .*above +([\d.]+) %", crossover)]
    assert owned and all(24 <= share <= 28 for share in owned), "from a quarter of its hours on"


@pytest.fixture(scope="module")
def asked():
    return read_study(FOLDER)


def test_the_study_has_what_the_example_is_about(asked):
    study, warnings = asked
    assert warnings == []
    assert study.horizon.quarters == 8 and len(study.horizon.hours) == 2
    assert {m.site for m in study.build_outs} == {COLUMBUS, DALLAS} and len(study.build_outs) == 4
    assert all(h.until is not None and h.until < study.horizon.last_day for h in study.holdings)
    low, base, high = (sum(demand_by_hour(study, case).values()) for case in ("low", "base", "high"))
    assert low < base < high
    for m in study.build_outs:
        assert m.power_kw // 14.3 == 27, "machines in a hall, as the study's comment says"
    text = (FOLDER / "study.yaml").read_text(encoding="utf-8")
    assert re.search(r"planner plan examples/buildout --gap 0\.04", text), "the gap that .ci/run asks for"


def test_init_makes_it_ones_own(tmp_path):
    written = {path.relative_to(tmp_path / "mine").as_posix() for path in start_study(tmp_path / "mine", "buildout")}
    assert written >= {"study.yaml", "README.md", "late.yaml", "matrix.yaml", "inventory/owned/prices.csv"}
    study, _ = read_study(tmp_path / "mine")
    assert study == read_study(FOLDER)[0]
    assert "README.md" in {path.name for path in start_study(tmp_path / "other", "postmortem")}
