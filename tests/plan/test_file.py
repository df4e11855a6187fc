"""Plan files from before replicas were filled by waiting: they are read as what they were."""

import json

import pytest
from failing import asked

from planner.plan.audit import audit
from planner.plan.file import digest, plan_text, read_plan, sha256
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.policies import Utilisation


@pytest.mark.parametrize(
    ("made", "written", "read"),
    [
        (Utilisation(basis="fixed"), ("normal", "in_failure"), Utilisation(basis="fixed")),
        (
            Utilisation(basis="waiting", spread="one-queue", normal=0.9),
            ("basis", "normal", "in_failure"),
            Utilisation(basis="waiting", spread="one-queue", normal=0.9),
        ),
    ],
)
@pytest.mark.parametrize("edited", [False, True])
def test_what_went_without_saying_is_said(tmp_path, made, written, read, edited):
    plan = make_plan(asked().model_copy(update={"utilisation": made}), Effort(gap_fraction=0.2))
    data = json.loads(plan_text(plan))
    data["study"]["utilisation"] = {name: data["study"]["utilisation"][name] for name in written}
    data["study_sha256"] = sha256(data["study"])
    data["digest_sha256"] = digest(data)
    if edited:
        data["study"]["utilisation"]["normal"] = 0.5
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    again = read_plan(path)
    assert again.study.utilisation == (read if not edited else read.model_copy(update={"normal": 0.5}))
    assert audit(again).passed is not edited, "an edited plan stays one"
