"""Drift reads what Terraform itself writes: the plan's own files applied, with providers that serve schemas only."""

import json
from datetime import date

import pytest
from emitting import HELD, POOLS, mirror, needs_terraform, planned, terraform, write_all

from planner.emit.actual import read_actual
from planner.emit.against_today import against_today
from planner.emit.drift import drift
from planner.emit.terraform import files
from planner.errors import InputError

DAY = date(2026, 6, 1)
SWITCHES = ("purchase_capacity_blocks", "capacity_blocks_active", "reservations_delivered")


@pytest.mark.terraform
def test_terraform_s_own_plan_is_refused_and_its_state_is_as_planned(tmp_path):
    needs_terraform()
    root = write_all(tmp_path / "root", files(planned(), {}))
    environment = json.loads((root / "environment.example.json").read_text(encoding="utf-8"))
    (root / "environment.auto.tfvars.json").write_text(json.dumps(environment), encoding="utf-8")
    switched = dict.fromkeys(SWITCHES, True)
    (root / "switches.auto.tfvars.json").write_text(json.dumps(switched), encoding="utf-8")
    providers = mirror(tmp_path / "mirror")
    for words in (
        ("init", "-input=false", f"-plugin-dir={providers}"),
        ("plan", "-input=false", "-out=p"),
        ("apply", "-input=false", "p"),
    ):
        done = terraform(root, *words)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]

    def shown(*words):
        path = tmp_path / f"shown{len(words)}.json"
        path.write_text(terraform(root, "show", "-json", *words).stdout, encoding="utf-8")
        return path

    with pytest.raises(InputError, match="a Terraform plan"):
        read_actual([shown("p")], planned())
    for path in (shown(), root / "terraform.tfstate"):
        actual = read_actual([path], planned())
        assert actual.machines == {q: n + HELD.get(q, 0) for q, (*_, n) in POOLS.items()}
        assert actual.strange == {} and actual.foreign == {}
        assert actual.on_spot == {"aws/eu-north-1/trn1.32xlarge": 2}
        assert drift(planned(), actual, DAY).differences == ()
        assert [step for step in against_today(planned(), actual).steps if step.what == "machines"] == []
