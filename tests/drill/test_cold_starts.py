"""What replicas find when they start: compiled code or none, and a storage that feeds all of a site at once.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town; a and b have 10 machines each, and b runs 4 replicas.
"""

from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, model, plan, profile, study
from drilled import A, served, tier

from planner.drill import drill_plan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.review.assumptions import known_figures
from planner.solve.search import Effort
from planner.study.records.policies import ColdStarts
from planner.study.records.study import Study

COLD = ColdStarts(compile_caches="cold")


def moved_to_b(within: float = 400.0, **changes: Any) -> Study:
    """A study in which all of a is served at b again within so many seconds."""
    return study(**{"holdings": hold(a=10, b=10), "tiers": (tier(goal(within=within)),), **changes})


def drilled_fraction(s: Study, elapsed: float = 400.0) -> float:
    """What the drill serves of chat when a is lost, of replicas that run as they do here."""
    return served(drill_plan(plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40))), A, elapsed)


def test_what_is_not_compiled_starts_later() -> None:
    # 300 s of load, 90 of it the engine; compiling 90.001 s more is 400.001 s after detection at 10 s
    for compile_seconds, fraction in ((90.0, 1.0), (90.001, 0.4)):
        changes = {"engine_start_seconds": 90.0, "compile_seconds": compile_seconds}
        s = moved_to_b(models=(model(profiles=[profile(**changes)]),))
        assert drilled_fraction(s) == pytest.approx(1.0), "compiled before: as if nothing was said"
        assert drilled_fraction(s.model_copy(update={"cold_starts": COLD})) == pytest.approx(fraction)


@pytest.mark.parametrize(
    ("caches", "load_seconds", "evidence"), [("warm", 300, "measured"), ("cold", 500, "published")]
)
def test_plans_reckon_with_what_must_compile_first(caches: str, load_seconds: float, evidence: str) -> None:
    known = {"load_evidence": "measured: here", "compile_evidence": "published: there"}
    s = moved_to_b(models=(model(profiles=[profile(compile_seconds=200.0, **known)]),))
    s = s.model_copy(update={"cold_starts": ColdStarts(compile_caches=caches)})
    assert set(build(s).load_seconds.values()) == {load_seconds}
    figure = known_figures(s).load["llm/p"]
    assert figure.evidence == evidence and figure.name == f"llm/p, {load_seconds} s"
    file = make_plan(s, Effort())
    assert audit(file).passed and not [row for row in drill_plan(file).rows if row.broken]


def test_an_engine_does_not_start_for_longer_than_it_loads() -> None:
    with pytest.raises(ValueError, match=r"engine_start_seconds of at most load_seconds \(300\), whose part it is"):
        profile(engine_start_seconds=301.0)
