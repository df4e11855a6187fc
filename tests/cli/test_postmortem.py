"""examples/postmortem: its README is real output, and what it tells can be read off the plan."""

import goldens
import pytest
from postmortem import README, blocks, prepared, run
from studies import machine_type, model, offer, profile, site, study, workload

from planner.drill import drill_plan
from planner.plan.audit import audit
from planner.plan.file import read_plan
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.questions.risk.exposure import exposure
from planner.solve.search import Effort, is_proven
from planner.study.read import data_folder, read_study
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Tier

FOLDER = data_folder("examples") / "postmortem"
BLOCKS = blocks(README.read_text(encoding="utf-8"))
LOGIN = "identity:login"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("postmortem"))


def planned_in(folder, planner_command):
    """The plan that later blocks read: each worker of a parallel run has its own folder."""
    path = folder / "plan.json"
    if not path.is_file():
        run(next(block for block in BLOCKS if "--out plan.json" in block.command), folder, planner_command)
    return path


@pytest.mark.parametrize("block", BLOCKS, ids=[block.command[8:40] for block in BLOCKS])
def test_the_readme_is_real_output(block, folder, planner_command):
    if why := goldens.other_versions():
        pytest.skip(why)
    if "plan.json" in block.command and "--out" not in block.command:
        planned_in(folder, planner_command)
    assert run(block, folder, planner_command) == block.text, "python tests/postmortem.py writes it anew"


def test_every_block_is_checked():
    text = README.read_text(encoding="utf-8")
    assert len(BLOCKS) == text.count("```sh") == text.count("```text") > 0
    verbs = {block.command.split()[1] for block in BLOCKS}
    assert verbs >= {"risk", "plan", "review", "drill", "ladder"}


@pytest.fixture(scope="module")
def studies():
    return read_study(FOLDER)[0], read_study(FOLDER / "study-login-alone.yaml")[0]


@pytest.fixture(scope="module")
def plan(folder, planner_command):
    return read_plan(planned_in(folder, planner_command))


def test_the_two_studies_differ_in_the_second_login_alone(studies):
    both, alone = studies
    assert [c.name for c in both.components] == ["login", "second-login"]
    assert [c.name for c in alone.components] == ["login"]
    same = {"study": "", "components": (), "dependencies": ()}
    assert both.model_copy(update=same) == alone.model_copy(update=same)
    for with_two, with_one in zip(both.dependencies, alone.dependencies, strict=True):
        assert with_two.model_copy(update={"needs": with_one.needs}) == with_one
    assert sum(row.requests_per_second for row in both.demand) == 2450


def test_login_is_the_single_point_of_failure_of_every_tier_until_there_is_a_second(studies):
    both, alone = studies
    found = exposure(alone, build(alone), None, None)
    assert {cut.tier: cut.members for cut in found.innermost(1)} == {tier.name: (LOGIN,) for tier in alone.tiers}
    promised = {(gap.workload, gap.origin) for gap in found.gaps if gap.promised}
    assert promised == set(build(alone).flows), "uncoverable, every flow of it"
    assert {gap.coverable_fraction for gap in found.gaps if gap.promised} == {0.7}
    found = exposure(both, build(both), None, None)
    assert found.innermost(1) == () and not found.gaps
    assert {cut.members for cut in found.innermost(2)} == {(LOGIN, "identity:second-login")}


def test_no_request_crosses_a_context_limit_in_any_state(plan):
    s = plan.study
    most_tokens = {c.name: c.most_tokens for c in s.context_classes}
    class_of = {w.name: w.context_class for w in s.workloads}
    profiles = {f"{m.model}/{p.name}": p for m in s.models for p in m.profiles}
    routed = {state.failure for state in plan.states if state.workload}
    assert len(routed) > 10
    crossed, used = [], {}
    for state in plan.states:
        for w, placement in zip(state.workload, state.placement, strict=True):
            at = profiles[placement.partition("@")[0]]
            admitted = {point.context_class for point in at.classes}
            used.setdefault(w, set()).add(at.context_limit_tokens)
            if at.context_limit_tokens < most_tokens[class_of[w]] or class_of[w] not in admitted:
                crossed.append((state.failure, w, placement))
    assert crossed == []
    assert used["documents"] == {131072} and used["code"] == {8192}, "long and short on different profiles"


def test_the_quarantine_is_survived_at_its_fraction(plan):
    lost = "failure:xla-tpu answers wrongly"
    s = plan.study
    wanted = {(d.workload, d.origin): 1.1 * d.requests_per_second for d in s.demand}
    (state,) = [state for state in plan.states if state.failure == lost and state.deadline_seconds == 300]
    quarantined = [e for e in state.placement if e.startswith("qwen3-32b/") and "ct6e-standard-8t" in e]
    assert quarantined == [], "nothing goes where answers are wrong"
    served = dict.fromkeys(wanted, 0.0)
    for w, o, rate in zip(state.workload, state.origin, state.requests_per_second, strict=True):
        served[w, o] += rate
    assert all(served[flow] >= 0.9 * rate - 1e-6 for flow, rate in wanted.items())
    normal = next(state for state in plan.states if state.failure == "normal")
    assert any(e.startswith("qwen3-32b/v6e") for e in normal.placement), "it was in use"
    rows = [row for row in drill_plan(plan).rows if row.failure == lost and row.deadline_seconds == 300]
    assert len(rows) == 2 and all(row.served_fraction >= 0.9 - 1e-6 and not row.broken for row in rows)


def test_the_plan_is_covered_proven_and_audited(plan):
    assert audit(plan).passed and not plan.uncoverable
    assert plan.proof.status == "proven" and is_proven(plan.proof.gap_fraction, 0.02)


def twins(fraction: float = 1.0) -> tuple[float, dict[str, int]]:
    """Two pools at one site for 1 USD each, one far away for 5: a plan that survives any pool, and any site.

    If what dies together need not be served, primary and backup at the cheap site would be the best plan.
    """
    goals = (Goal(any="pool", within_seconds=60.0), Goal(any="site", serve_fraction=fraction, within_seconds=60.0))
    s = study(
        sites=(site("a/near"), site("b/far", (50.0, 1.0))),
        machine_types=(machine_type("m"), machine_type("n")),
        pools=tuple(Pool(site=at, machine_type=m) for at, m in (("a/near", "m"), ("a/near", "n"), ("b/far", "m"))),
        bought=[offer("a/near/m", 1), offer("a/near/n", 1), offer("b/far/m", 5)],
        models=(model("m", [profile("m", "cuda", 5), profile("n", "cuda", 5)]),),
        tiers=(Tier(name="t", survive=goals if fraction else goals[:1]),),
        workloads=(workload("w"),),
        demand={("w", "o"): 10.0},
    )
    made = make_plan(s, Effort(gap_fraction=0.0, most_nodes=10_000))
    return made.proof.cost_usd, {b.offer.rpartition(":")[0]: b.units for b in made.purchases}


def test_primary_and_backup_do_not_die_together():
    """10 requests/s, 5 a machine. Any pool: 2 + 2 at the cheap site, 4 USD. Any site too: 2 there, 2 far away, 12 USD.

    Half of it when a site is lost: one in each pool, 1 + 1 + 5 = 7; any two of them serve 10.
    """
    cost, units = twins(fraction=0.0)
    assert cost == pytest.approx(4) and "b/far/m" not in units, "both die with the site when no goal forbids it"
    cost, units = twins()
    assert cost == pytest.approx(12) and units["b/far/m"] == 2
    cost, units = twins(fraction=0.5)
    assert cost == pytest.approx(7) and units["b/far/m"] == 1
