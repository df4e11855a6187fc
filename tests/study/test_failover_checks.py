"""Failures that cannot be planned as they are written: each with its place and cure."""

from pathlib import Path

import pytest
from helpers import write_study

from planner.errors import InputError
from planner.study.read import read_study

PUSHING = (
    "study.yaml",
    "dependencies:\n",
    "dependencies:\n  - {component: 'workload:chat', needs: {all_of: ['power:grid']}, breaks: pushing}\n",
)
DARK = (
    "study.yaml",
    "policies:\n",
    "  - {name: dark, lost: {'power:grid': 1.0}, failover: resolve}\npolicies:\n",
)
# edits; field, and what expected, got and fix contain
MISTAKES = {
    "new weights where none are pushed": (
        [PUSHING, DARK],
        ("failures[1].failover", "rescale, where no weights can be pushed", "workload:chat", "leave failover out"),
    ),
    "pushed to what sends nothing": (
        [(PUSHING[0], PUSHING[1], PUSHING[2].replace("workload:chat", "site:beta/west-1"))],
        ("dependencies[0].component", "a workload or an origin", "site:beta/west-1", "no weights can be pushed"),
    ),
    "priced": (
        [PUSHING, ("study.yaml", "study: tiny", "study: tiny\nobjective: worst_case")],
        ("objective", "cost, where gateways only rescale in a failure", "worst_case", "here: power:grid"),
    ),
    "work that waits": (
        [PUSHING, ("study.yaml", "name: bulk", "name: bulk\n    deferrable_hours: 24")],
        ("tiers[1].deferrable_hours", "0, where gateways only rescale", "24", "power:grid"),
    ),
    "several of one failure": (
        [("study.yaml", "except: [spare]}", "except: [spare]}\n      - {failure: quake, of: 2, within_seconds: 600}")],
        ("tiers[0].survive[2].of", "`of` and `except` with `any`", "2", "leave it out"),
    ),
    "a region that serves with its control plane only, which stands in it": (
        [
            (
                "study.yaml",
                "dependencies:\n",
                "dependencies:\n  - {component: 'region:beta/west', needs: {all_of: ['control_plane:beta/west']}}\n",
            )
        ],
        ("dependencies[0].needs", "without a circle", "control_plane:beta", "remove one"),
    ),
    "parts that return at nearly the same time": (
        [
            (
                "study.yaml",
                "    surge_factor: 1.2",
                "    surge_factor: 1.2\n    repaired: {'site:beta/west-1': 1.0, 'stack:neuron': 1.0000001}",
            )
        ],
        ("failures[0].repaired", "differ in 6 digits", "1.0000001", "write one time"),
    ),
    "weights that are pushed again and could be all along": (
        [("study.yaml", "    surge_factor: 1.2", "    surge_factor: 1.2\n    hours_to_new_weights: 1.0")],
        ("failures[0]", "hours_to_new_weights with `failover: rescale`", "", "add that"),
    ),
}


def test_where_nothing_bounds_what_storage_feeds_in_a_stage_it_is_said(tmp_path: Path) -> None:
    stage = ("study.yaml", "    surge_factor: 1.2", "    surge_factor: 1.2\n    repaired: {'site:beta/west-1': 1.0}")
    path = write_study(tmp_path, [stage])
    table = path.parent / "inventory" / "sites.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{header},load_gib_per_second", *(f"{row},50" for row in rows), ""]))
    (warning,) = [one for one in read_study(path)[1] if one.where.endswith("repaired")]
    assert "beta/west-1, where storage may have to feed any number" in warning.got and warning.level == "warning"


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_has_its_place_and_cure(case: str, tmp_path: Path) -> None:
    edits, (field, expected, got, fix) = MISTAKES[case]
    with pytest.raises(InputError) as caught:
        read_study(write_study(tmp_path, edits))
    (only,) = [f for f in caught.value.findings if f.level == "error"]
    assert only.where.endswith(f": {field}"), str(only)
    assert expected in only.expected and got in only.got and fix in only.fix, str(only)


def test_what_can_be_planned_is_read(tmp_path: Path) -> None:
    dark = (DARK[0], DARK[1], DARK[2].replace("resolve", "rescale"))
    stages = ("study.yaml", "surge_factor: 1.2", "surge_factor: 1.2\n    repaired: {'site:beta/west-1': 1.0}")
    study, _ = read_study(write_study(tmp_path, [PUSHING, dark, stages]))
    assert study.failures[1].failover == "rescale"
