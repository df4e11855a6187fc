"""What replicas find when they start: compiled code or none, and a storage that feeds all of a site at once.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town; a and b have 10 machines each, and b runs 4 replicas.
"""

import math
from pathlib import Path
from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, model, plan, profile, site, state, study, workload
from drilled import A, served, tier
from helpers import write_study

from planner.drill import drill_plan, drill_state_claims
from planner.drill.instance import build_instance
from planner.drill.simulated import simulated_states
from planner.errors import InputError, NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.review.assumptions import known_figures
from planner.review.check import check_study
from planner.solve.search import Effort
from planner.study.loading import storage_gib_per_second
from planner.study.read import read_study
from planner.study.records.inventory import StorageRate, Zone
from planner.study.records.policies import ColdStarts
from planner.study.records.study import NamedFailure, Study

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


FED = {"evidence": "published", "as_of": "2025", "source": "test"}


def fed(*rates: tuple[str, float], **changes: Any) -> Study:
    """The same study with rows of storage.csv."""
    rows = tuple(StorageRate(sites=sites, load_gib_per_second=rate, **FED) for sites, rate in rates)
    return moved_to_b(**changes).model_copy(update={"storage": rows})


@pytest.mark.parametrize(
    ("rates", "stated", "gib_per_second"),
    [
        ([], None, None),
        ([("*", 9.0), ("google/*", 2.0)], None, 2.0),  # the longest pattern that matches
        ([("google/b", 3.0), ("google/*", 2.0), ("aws/*", 4.0)], None, 3.0),
        ([("google/*", 2.0)], 5.0, 5.0),  # what the site says itself
        ([("aws/*", 2.0)], None, None),
    ],
)
def test_a_site_has_the_rate_of_the_inventory(rates: Any, stated: float | None, gib_per_second: float | None) -> None:
    s = fed(*rates, sites=(site("aws", "a"), site("google", "b", load_gib_per_second=stated)))
    assert storage_gib_per_second(s).get("google/b") == gib_per_second
    drilled = build_instance(s).feeds_gib_per_second[1]
    assert drilled == (math.inf if gib_per_second is None else gib_per_second)
    only = s.model_copy(update={"cold_starts": ColdStarts(storage_rates="stated")})
    assert storage_gib_per_second(only).get("google/b") == stated
    assert build_instance(only).feeds_gib_per_second[1] == (math.inf if stated is None else stated)


def test_rates_of_sites_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    rows = "sites,load_gib_per_second,evidence,source,as_of\n{}/*,20,published,a quota made up,2025\n"
    study_of = read_study(write_study(tmp_path / "good", files={"inventory/storage.csv": rows.format("beta")}))[0]
    assert storage_gib_per_second(study_of) == {"beta/west-1": 20.0}
    with pytest.raises(InputError, match="a site, or a pattern that matches sites") as caught:
        read_study(write_study(tmp_path / "bad", files={"inventory/storage.csv": rows.format("beto")}))
    assert "inventory/storage.csv:2" in caught.value.findings[0].where


def test_zones_share_the_rate_of_their_region() -> None:
    zones = tuple(
        Zone(provider="google", region="b", zone=zone, machine_type="m", **FED) for zone in ("b-1", "b-2", "b-3")
    )
    sites = (site("aws", "a"), *(site("google", zone.zone, region="b") for zone in zones))
    s = fed(("google/b", 6.0), ("google/*", 1.0), sites=sites).model_copy(update={"zones": zones})
    assert storage_gib_per_second(s) == dict.fromkeys((zone.site for zone in zones), 2.0)
    assert build_instance(s).feeds_gib_per_second.tolist() == [math.inf, 2.0, 2.0, 2.0]


def test_weights_are_read_before_the_engine_starts() -> None:
    # 100 GiB a replica at 2 GiB/s until 400 - 90 s: 300 s · 2 / 100 = 6 replicas; without the 90 s 7.8
    for engine_start_seconds, replicas in ((90.0, 6), (0.0, 7), (91.0, 5)):
        models = (model(profiles=[profile(engine_start_seconds=engine_start_seconds)]),)
        s = fed(("google/*", 2.0), models=models, tiers=(tier(goal(within=400.0, fraction=0.5)),))
        assert served(drill_plan(plan(s, {at("a"): 10}, chat(a=100))), A, 400.0) == pytest.approx(replicas / 10)
        (feed,) = full(build(s)).storage_feeds
        assert (feed.gib_per_second, feed.engine_start_seconds) == (2.0, engine_start_seconds)


def test_engines_that_start_longer_are_read_first() -> None:
    """Two profiles, 30 and 90 s of engine: 5 of one and 2 of the other are fed, 4 and 4 are not."""
    profiles = [profile("p", engine_start_seconds=30.0), profile("q", "rocm", engine_start_seconds=90.0)]
    s = fed(("google/*", 2.0), models=(model(profiles=profiles, stacks=("cuda", "rocm")),))
    made = {"short": "llm/p@google/b/m", "long": "llm/q@google/b/m"}
    for short, long, findings in ((5, 2, ()), (1, 6, ()), (0, 7, ("700, at most 600",)), (4, 4, ("800, at most 720",))):
        cold = {made["short"]: short, made["long"]: long}
        p = plan(s, {at("a"): 10}, chat(a=100), [state(chat(b=0.0), A, 400.0, cold_started=cold)])
        found = [text for text in drill_state_claims(p) if "GiB loaded" in text]
        assert found == [f"{A} at 400 s: GiB loaded: google/b has {text}" for text in findings]


def test_plans_keep_to_what_storage_feeds() -> None:
    """A plan is held to the same: with half the rate more runs at b already, and what is planned is drilled."""
    models = (model(profiles=[profile(engine_start_seconds=90.0)]),)
    for rate, running in ((0.5, 9), (2.0, 4), (20.0, 0)):
        s = fed(("google/*", rate), models=models)
        file = make_plan(s, Effort())
        assert audit(file).passed and not [row for row in drill_plan(file).rows if row.broken]
        warm = sum(row.replicas for row in file.replicas if row.placement == at("b"))
        assert warm >= running


CACHES = [
    ({}, {}, 0.1),  # none of 100 tokens is found: 100 / 2000 + 50 / 1000 s
    ({}, {"prefix_caches": "warm"}, 0.06),  # 80 of them are, as before it could be said
    ({"cached_fraction_in_failure": 0.4}, {}, 0.08),  # what the workload says counts, whatever the study takes
    ({"cached_fraction_in_failure": 0.4}, {"prefix_caches": "warm"}, 0.08),
]


@pytest.mark.parametrize(("said", "taken", "seconds"), CACHES)
def test_what_is_moved_is_read_anew(said: dict[str, float], taken: dict[str, Any], seconds: float) -> None:
    """b's 6 replicas of 0.06 s serve all in normal operation; what they serve when a is lost hangs on the caches."""
    workloads = (workload(cached_fraction=0.8, **said),)
    s = study(holdings=hold(a=6, b=6), workloads=workloads, cold_starts=ColdStarts(**taken))
    p = build(s)
    assert list(p.replica_seconds.values()) == pytest.approx([0.06, 0.06])
    assert list(p.replica_seconds_in_failure.values()) == pytest.approx([seconds, seconds])
    of = plan(s, {at("a"): 6, at("b"): 6}, chat(a=60, b=40))
    result = drill_plan(of)
    assert served(result, "normal", 0.0) == 1.0
    assert served(result, A) == pytest.approx(min(1.0, 6 / seconds / 100))
    reading = {state.failure: state.queues[0].streams[0].reading_seconds for state in simulated_states(of)}
    assert reading[A] / reading["normal"] == pytest.approx((seconds - 0.05) / 0.01)
    line = f"hold {100 - 2000 * (seconds - 0.05):.0f} % of the input of chat"
    (lines,) = (one.lines for one in check_study(s, []).sections if one.title == "AFTER A MOVE")
    assert any(line in text for text in lines), lines


def test_plans_have_room_for_cold_caches() -> None:
    """When a is lost, b needs 10 machines with cold caches; 6 do with warm ones."""
    changes: dict[str, Any] = {"workloads": (workload(cached_fraction=0.8),)}
    with pytest.raises(NoPlan):
        make_plan(study(holdings=hold(a=10, b=9), **changes), Effort())
    for machines, caches in ((10, "cold"), (6, "warm")):
        changes["cold_starts"] = ColdStarts(prefix_caches=caches)
        file = make_plan(study(holdings=hold(a=10, b=machines), **changes), Effort())
        assert audit(file).passed and not [row for row in drill_plan(file).rows if row.broken]


def test_an_engine_does_not_start_for_longer_than_it_loads() -> None:
    with pytest.raises(ValueError, match=r"engine_start_seconds of at most load_seconds \(300\), whose part it is"):
        profile(engine_start_seconds=301.0)


@pytest.mark.parametrize(("lost", "surge"), [({A: 1.0}, 1.5), ({}, 1.2)])
def test_clients_send_again_what_was_not_answered(lost: dict[str, float], surge: float) -> None:
    """A quarter more in any failure in which something is lost, on top of the failure's own surge; not in normal."""
    named = NamedFailure(name="f", lost=lost, surge_factor=1.2)
    goals = goal(None, failure="f", fraction=0.5, within=400.0), goal(within=400.0, fraction=0.5)
    s = moved_to_b(failures=(named,), tiers=(tier(*goals, retry_surge_fraction=0.25),), holdings=hold(a=30, b=30))
    p = build(s)
    wanted = {f: full(p).requests((p.hours[0], f, 400.0)).sum() for f in p.failures if f != "normal"}
    assert wanted["failure:f"] == pytest.approx(100 * surge) and wanted[A] == pytest.approx(125.0)
    assert full(p).requests((p.hours[0], "normal", 0.0)).sum() == pytest.approx(100.0)
    # b has 4 machines: 40 of 125 requests/s
    few = plan(s.model_copy(update={"holdings": hold(a=30, b=4)}), {at("a"): 26, at("b"): 4}, chat(a=60, b=40))
    result = drill_plan(few)
    assert served(result, A, 400.0) == pytest.approx(40 / 125)
    file = make_plan(s, Effort())
    assert audit(file).passed and not [row for row in drill_plan(file).rows if row.broken]
