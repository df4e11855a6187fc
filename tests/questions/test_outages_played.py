"""Outages that happened, played on a plan and on a fleet, with numbers that can be followed by hand.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town. Sites aws/a and google/b are regions.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from drill_fixtures import KNOWN, at, chat, goal, hold, lend, model, offer, plan, running, site, study, workload
from drilled import tier
from typer.testing import CliRunner

from planner.cli.main import app
from planner.cli.outages import outage_ids
from planner.plan.file import plan_text, sealed
from planner.questions.outages import OutagesAnswer, PlayedOutage, outages_on_fleet, outages_on_plan, with_failures
from planner.questions.patched import patched
from planner.questions.patches import Patch, patch_of
from planner.review.outages import review_outages
from planner.study.places import Place, Reading
from planner.study.read import catalogue_of_outages
from planner.study.records.outages import LostPart, Outage
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Demand, Dependency, NamedFailure, Needs, Study, Workload

SITES = (site("aws", "a", "a"), site("google", "b", "b"))
LOGIN = Component(name="login", kind="identity")
SECOND = Component(name="second", kind="identity")


def outage(id: str, kind: str, hours: float | None = 1.0, **more: Any) -> Outage:
    effects = ("starting",) if kind == "control_plane" else ("serving",)
    lost = LostPart(kind=kind, effects=effects, evidence="assumed", hours_to_repair=hours, **more)
    said = {"title": "t", "lesson": "l", "evidence_kind": "test"} | KNOWN
    return Outage(id=id, begin=datetime(2026, 1, 1, tzinfo=UTC), parts=(lost,), **said)


HALF_OF_A = outage("half", "zone", provider="aws", region="a", zones=1, zones_in_region=2)
NAMED_HALF = NamedFailure(name="half", lost={"site:aws/a": 0.5}, worst_part=True, hours_to_repair=1.0)
OF_NOBODY = outage("nobody", "zone", provider="aws", region="c", zones=1, zones_in_region=2)
OF_LOGIN = outage("login", "identity")


def on_two_sites(**changes: Any) -> Study:
    tiers = (tier(goal(within=60.0), outage_usd_per_request=0.01),)
    return study(**{"sites": SITES, "holdings": hold(a=10, b=10), "tiers": tiers} | changes)


def a_plan(of: Study) -> PlanFile:
    """60 requests/s on 6 replicas at a, 40 on 4 at b; each site has 10 machines."""
    return plan(of, {at("a"): 6, at("b"): 4}, chat(a=60, b=40))


def only(answer: OutagesAnswer) -> PlayedOutage:
    (one,) = answer.played
    return one


def played(of: Study, outages: Iterable[Outage]) -> OutagesAnswer:
    return outages_on_plan(a_plan(of), outages)


def needs_login(*names: str) -> tuple[Dependency, ...]:
    needs = Needs(any_of=tuple(f"identity:{name}" for name in names))
    return (Dependency(component="workload:chat", needs=needs, breaks="new_logins", sessions_go_on_fraction=0.7),)


def test_half_of_a_site_is_lost_until_replicas_are_loaded() -> None:
    # a loses 5 of 10 machines, at worst 5 of the 6 that run a replica: 10 + 40 requests/s, until others are loaded at
    # 310 s; before it is detected each of a's routes works half the time: 30 + 40
    one = only(played(on_two_sites(), [HALF_OF_A, OF_NOBODY]))
    assert one.served_fractions("gold") == [(0.0, 0.7), (10.0, 0.5), (60.0, 0.5), (310.0, 1.0)]
    assert one.impact is not None and one.impact.until_seconds == 3600.0
    assert (one.impact.requests_lost, one.impact.usd_lost) == pytest.approx((15_300, 153.0)), "30 · 10 + 50 · 300"
    assert one.failure.name == "half" and one.here.verdict == "played"
    # the plan was made by hand and does not keep its goal; with 10 times the machines only what is lost until detection
    assert one.prevention.because == ("no goal that covers it holds in it",)
    assert one.prevention.not_kept == ("goal any site lost: 100% within 60 s (gold)",)
    (more,) = one.helps
    assert more.text == "what a plan buys for the goal that covers it, for gold"
    assert more.lost is not None and more.lost.requests == pytest.approx(300), "30 · 10"
    assert not one.broken_tiers, "no goal names it"


def test_without_a_goal_that_covers_it_the_smallest_that_would_is_named() -> None:
    tiers = (tier(goal("stack", within=400.0, fraction=0.0)),)
    few = on_two_sites(tiers=tiers, holdings=hold(a=6, b=4))
    one = only(played(few, [HALF_OF_A]))
    # a keeps 3 of 6, b has no machine more
    assert one.served_fractions("gold")[-1][1] == pytest.approx(0.7)
    (more,) = one.helps
    assert more.text == "a goal for any pool, with all to be served, for gold"
    assert more.lost is not None and more.lost.requests < one.impact.requests_lost / 10


def test_no_machine_replaces_a_login_and_another_does() -> None:
    alone = on_two_sites(components=(LOGIN,), dependencies=needs_login("login"))
    one = only(played(alone, [OF_LOGIN]))
    assert {share for _, share in one.served_fractions("gold")} == {0.7}
    (second,) = one.helps
    assert second.text == "a second identity beside login, with `needs: any_of` the two"
    assert second.lost is not None and second.lost.requests == 0 and one.impact.requests_lost == 30 * 3600
    both = on_two_sites(components=(LOGIN, SECOND), dependencies=needs_login("login", "second"))
    one = only(played(both, [OF_LOGIN]))
    assert one.others == 1 and one.impact is not None and one.impact.requests_lost == 0
    assert one.prevention.because == ("what needs it has another that goes on",)
    answer = played(on_two_sites(), [OF_LOGIN, OF_NOBODY])
    assert not answer.played and [one.outage.id for one in answer.not_mapped] == ["login"]
    assert [one.outage.id for one in answer.not_concerned] == ["nobody"]


def test_a_plan_without_machines_somewhere_is_not_concerned() -> None:
    answer = outages_on_plan(plan(on_two_sites(holdings=hold(b=10)), {at("b"): 10}, chat(b=100)), [HALF_OF_A])
    assert [one.why for one in answer.not_concerned] == ["no machine of this plan at aws/a"]


def test_what_is_served_when_machines_come_back_is_said() -> None:
    # 2 of b's machines are lent; they come back 120 s after detection
    lent = on_two_sites(claims=(lend("b", 2, 120.0),), holdings=hold(a=10, b=10))
    one = only(played(lent, [HALF_OF_A]))
    assert {130.0, 130.001} <= {seconds for seconds, _ in one.served_fractions("gold")}


def test_what_stands_on_spot_is_said_where_nothing_that_serves_is_lost() -> None:
    # 4 of a's 6 replicas stand on spot, which counts in no failure: 40 requests/s until b takes them over at 10 s
    spot = (offer("a", "spot"),)
    of = on_two_sites(holdings=hold(a=2, b=10), offers=spot, prices=())
    plane = outage("plane", "control_plane", provider="aws", region="a")
    on_spot = plan(of, {at("a"): 6, at("b"): 8}, chat(a=60, b=40), purchases={spot[0].id: 4})
    at_a, at_b = on_spot.replicas
    standing = (at_a.model_copy(update={"non_preemptible": 2}), at_b)
    one = only(outages_on_plan(on_spot.model_copy(update={"replicas": standing}), [plane]))
    assert one.impact is not None and one.impact.requests_lost == pytest.approx(400)
    nothing, but = one.prevention.because
    assert nothing.startswith("nothing that serves is lost") and but.startswith(
        "what is short stands on what counts in"
    )


def test_headroom_carries_what_no_tier_is_short_of() -> None:
    # 10 machines are left at b, and 5 at a: enough; without those that stand idle chat is short of 10 requests/s
    of_all = on_two_sites(tiers=(tier(outage_usd_per_request=0.01),))
    carried = "no goal covers it: headroom that is there for others carries it"
    assert only(played(of_all, [HALF_OF_A])).prevention.because == (carried,)
    mail = workload("mail", tier="silver")
    two = on_two_sites(
        holdings=hold(a=6, b=5),
        tiers=(tier(), tier(name="silver")),
        workloads=(workload(), mail),
        demand=(*of_all.demand, Demand(workload="mail", origin="town", requests_per_second=10.0)),
    )
    traffic = chat(a=60, b=40) | {("mail", "town", at("b")): 10.0}
    made = plan(two, {at("a"): 6, at("b"): 5}, traffic)
    one = only(outages_on_plan(made, [HALF_OF_A]))
    assert one.prevention.because == ("no goal covers it",), "mail is served, chat is not"


def test_a_fleet_keeps_its_weights() -> None:
    # 3 of 6 replicas at a: its 60 requests/s find 30, and what b has it uses already
    one = only(outages_on_fleet(on_two_sites(), [running("a", 6, 6), running("b", 4, 4)], [HALF_OF_A]))
    assert one.served_fractions("gold")[-1][1] == pytest.approx(0.7)
    assert one.impact is not None and one.impact.requests_lost == pytest.approx(30 * 3600)
    # its study has a goal that no plan was made for
    assert one.prevention.because == ("no goal that covers it holds in it",)
    assert one.prevention.not_kept == ("goal any site lost: 100% within 60 s (gold)",)
    # every machine of a and b has its replica, and those of b are sent what they carry: new weights do not help
    assert [help.text for help in one.helps] == ["what a plan buys for the goal that covers it, for gold"]
    assert one.helps[0].lost is not None and one.helps[0].lost.requests == pytest.approx(300), "30 · 10"


def test_new_weights_help_a_fleet_that_has_headroom() -> None:
    # b could take all of it: 30 requests/s are lost until that is known, and more machines save no more
    one = only(outages_on_fleet(on_two_sites(), [running("a", 6, 6), running("b", 10, 4)], [HALF_OF_A]))
    assert one.impact is not None and one.impact.requests_lost == pytest.approx(30 * 3600)
    (weights,) = one.helps
    assert weights.text.startswith("new weights for gateways") and weights.lost is not None
    assert weights.lost.requests == pytest.approx(300)


def test_goals_planned_with_new_weights_do_not_hold_where_none_can_be_pushed() -> None:
    # a keeps 1 of 6 replicas and is sent 60 requests/s all the same: 10 + 40, whatever could be started
    unreached = HALF_OF_A.model_copy(
        update={"parts": (HALF_OF_A.parts[0].model_copy(update={"effects": ("serving", "pushing")}),)}
    )
    loads = on_two_sites(tiers=(tier(goal(within=400.0)),))
    one = only(played(loads, [unreached]))
    assert one.served_fractions("gold")[-1][1] == pytest.approx(0.5)
    reason = "planned with new weights, which cannot be pushed here"
    assert one.prevention.not_kept == (f"goal any site lost: 100% within 400 s (gold): {reason}",)
    (own,) = one.helps
    assert own.text.startswith("a goal for this outage, for gold") and own.lost is not None
    assert own.lost.requests == pytest.approx(300), "until it is detected"
    # where all is sent to what is lost, no number of machines shows what other weights would do
    all_at_a = plan(loads, {at("a"): 10}, chat(a=100))
    lost = unreached.model_copy(update={"parts": (unreached.parts[0].model_copy(update={"zones": 2}),)})
    (own,) = only(outages_on_plan(all_at_a, [lost])).helps
    assert own.text.startswith("a goal for this outage, for gold") and own.lost is None
    # a goal for this very outage is held to the weights in force
    mine = NAMED_HALF.model_copy(update={"failover": "rescale"})
    promised = tier(goal(within=400.0), goal(None, failure="half", within=400.0, fraction=0.5))
    one = only(played(on_two_sites(failures=(mine,), tiers=(promised,)), [unreached]))
    assert one.prevention.because == ("goal half lost: 50% within 400 s (gold)",)


def test_no_machines_are_named_for_what_none_replaces() -> None:
    # batch needs no login; a second login helps the half of chat that has one, and not 10 times the machines
    batch = Workload(**{**workload().model_dump(), "name": "batch", "tier": "iron"})
    wanted = tuple(Demand(workload=w, origin="town", requests_per_second=50.0) for w in ("chat", "batch"))
    tiers = (tier(goal("identity")), tier(name="iron"))
    own = {"components": (LOGIN,), "dependencies": needs_login("login"), "workloads": (workload(), batch)}
    of = on_two_sites(tiers=tiers, demand=wanted, **own)
    one = only(outages_on_plan(plan(of, {at("a"): 10}, chat(a=50) | {("batch", "town", at("a")): 50.0}), [OF_LOGIN]))
    assert dict.fromkeys(row.tier for row in one.rows).keys() == {"gold", "iron"}
    assert one.prevention.because == ("no goal that covers it holds in it",)
    assert [help.text for help in one.helps] == ["a second identity beside login, with `needs: any_of` the two"]
    of = of.model_copy(update={"tiers": (tier(), tier(name="iron"))})
    one = only(outages_on_plan(plan(of, {at("a"): 10}, chat(a=50) | {("batch", "town", at("a")): 50.0}), [OF_LOGIN]))
    assert one.prevention.because == ("no goal covers it: what goes on does not stand on it",)


def helps_of(of: Study, lost: Outage) -> list[tuple[str, float | None]]:
    """What would have helped, and the requests that are lost then."""
    return [(help.text, None if help.lost is None else help.lost.requests) for help in only(played(of, [lost])).helps]


def test_what_stands_beside_what_is_lost_is_replayed() -> None:
    # a system that rolls out, and all that depends on it
    rolls_out = Component(name="ci", kind="deployment")
    needs = Needs(all_of=("deployment:ci",))
    of = on_two_sites(components=(rolls_out,), dependencies=(Dependency(component="workload:chat", needs=needs),))
    second = "a second deployment beside ci, with `needs: any_of` the two"
    assert helps_of(of, outage("rollout", "deployment")) == [(second, 0.0)]
    # a login that stands on the control plane of a region
    stands_on = Dependency(component="identity:login", needs=Needs(all_of=("control_plane:aws/a",)))
    of = on_two_sites(components=(LOGIN,), dependencies=(*needs_login("login"), stands_on))
    second = "a second identity beside login, with `needs: any_of` the two, which does not stand on control_plane:aws/a"
    assert helps_of(of, outage("plane", "control_plane", provider="aws", region="a")) == [(second, 0.0)]
    # requests that need a region itself: with a second way in what is lost there is still loaded elsewhere
    of = on_two_sites(dependencies=(Dependency(component="workload:chat", needs=Needs(all_of=("region:aws/a",))),))
    ((second, lost),) = helps_of(of, outage("all", "region", provider="aws", region="a"))
    assert second == "a second one beside region:aws/a, with `needs: any_of` the two"
    assert lost == pytest.approx(60 * 310)
    # another stack cannot be replayed
    assert helps_of(on_two_sites(), outage("stack", "stack", stack="cuda")) == [
        ("a second stack qualified for llm", None)
    ]


def test_what_is_noticed_late_is_lost_until_then() -> None:
    # 30 requests/s are lost at once, 50 from when it is noticed until replicas are loaded
    late = HALF_OF_A.model_copy(update={"hours_to_find_out": 0.1})
    one = only(played(on_two_sites(), [late]))
    assert one.noticed_late is not None
    assert one.noticed_late.requests == pytest.approx(30 * 360 + 50 * 300)
    assert one.noticed_late.usd == pytest.approx(0.01 * one.noticed_late.requests)
    first = review_outages(played(on_two_sites(), [late])).sections[0]
    assert any("no sooner than it was found out then" in str(line) for line in first.lines)
    at_once = HALF_OF_A.model_copy(update={"hours_to_find_out": 0.001})
    assert only(played(on_two_sites(), [at_once])).noticed_late is None, "detected after 10 s"


def test_goals_that_name_an_outage_judge_it() -> None:
    promised = tier(goal(None, failure="half", within=60.0, fraction=0.9))
    one = only(played(on_two_sites(failures=(NAMED_HALF,), tiers=(promised,)), [HALF_OF_A]))
    assert one.failure == NAMED_HALF and one.broken_tiers == ("gold",)


def test_what_comes_first_costs_most() -> None:
    all_of_a = outage("all", "region", provider="aws", region="a")
    answer = played(on_two_sites(), [HALF_OF_A, all_of_a])
    assert [one.here.outage.id for one in answer.played] == ["all", "half"]


def test_the_worst_of_what_may_have_answered_wrongly_counts_what_it_answered() -> None:
    # without b 40 requests/s are lost for an hour, without a 60 until b has loaded; but a answered more for 100 h
    lost = LostPart(
        kind="machines", accelerators=("*",), effects=("wrong_answers",), evidence="assumed", hours_to_repair=1.0
    )
    wrong = OF_LOGIN.model_copy(update={"id": "wrong", "parts": (lost,), "hours_to_find_out": 100.0})
    of = on_two_sites(holdings=hold(a=6, b=10))
    one = only(played(of, [wrong]))
    assert one.others == 1 and one.failure.lost == {"pool:aws/a/m": 1.0}
    assert one.impact is not None and one.impact.wrong_requests == pytest.approx(60 * 360_000)


def test_a_failure_of_the_study_keeps_its_name() -> None:
    other = NamedFailure(name="half", lost={"site:google/b": 1.0})
    changed, (called,) = with_failures(on_two_sites(failures=(other,)), [other.model_copy(update={"lost": {}})])
    assert called.name == "half (2)" and [failure.name for failure in changed.failures] == ["half", "half (2)"]


def change(id: str) -> Patch:
    """A goal for an outage, added to the tier."""
    reading = Reading()
    add = {"tiers[gold].survive": [{"outage": id, "within_seconds": 60}]}
    made = patch_of({"name": "v", "why": "w", "add": add}, Place("change"), reading)
    assert made is not None and not reading.findings
    return made


def test_a_change_may_ask_for_an_outage() -> None:
    of_study = on_two_sites(components=(LOGIN,), dependencies=needs_login("login"))
    asks, findings = patched(of_study, (change("claude-login-2026-03-02"),), "v")
    assert asks is not None and not [finding for finding in findings if finding.level == "error"]
    (failure,) = asks.failures
    assert failure.lost == {"identity:login": 1.0} and asks.tiers[0].survive[-1].failure == failure.name
    none, findings = patched(of_study, (change("openai-telemetry-2024-12-11"),), "v")
    assert none is None and "`kind: deployment`" in str(findings[0])
    # of an edge whose login is here and whose ingress is not named, a part is asked for, and that is said
    asks, findings = patched(of_study, (change("cloudflare-2025-11-18"),), "v")
    assert asks is not None and any(
        "a part is left out (the study names no ingress)" in text for text in asks.assumptions
    )
    (warning,) = findings
    assert warning.level == "warning" and "`kind: ingress`" in str(warning)


def test_of_what_falls_on_one_placement_later_the_dearest_counts() -> None:
    # all of b is lost for half an hour, half of it until 2 h: 4 of 8 machines, all of those of chat or of rare
    of_b = {"effects": ("serving",), "evidence": "assumed", "provider": "google", "region": "b"}
    parts = (
        LostPart(kind="region", hours_to_repair=0.5, **of_b),
        LostPart(kind="zone", zones=1, zones_in_region=2, hours_to_repair=2.0, **of_b),
    )
    rare = Workload(**{**workload().model_dump(), "name": "rare", "model": "other", "tier": "iron"})
    of = on_two_sites(
        tiers=(tier(outage_usd_per_request=1.0), tier(name="iron")),
        models=(model(), model("other")),
        workloads=(workload(), rare),
        demand=tuple(Demand(workload=w, origin="town", requests_per_second=40.0) for w in ("chat", "rare")),
    )
    fleet = [running("b", 4, 1), running("b", 4, 1, workload="rare", profile="other/p")]
    one = only(outages_on_fleet(of, fleet, [HALF_OF_A.model_copy(update={"parts": parts})]))
    # b counts again once it is loaded, after 2,100 s; until then nothing of chat is served, nor after that
    assert one.failure.worst_part and one.failure.repaired == {"region:google/b": 0.5}
    assert one.impact is not None and one.impact.usd_lost == pytest.approx(40 * 7200)
    assert one.served_fractions("gold")[-1][1] == 0.0 and one.served_fractions("iron")[-1][1] == 1.0


# ------------------------------------------------------------------ on the command line
@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outages") / "plan.json"
    path.write_text(plan_text(sealed(a_plan(on_two_sites(components=(LOGIN,), dependencies=needs_login("login"))))))
    return path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["drill", *map(str, arguments), "--quiet"])


def test_all_outages_in_one_report(plan_file: Path) -> None:
    result = call(plan_file, "--outages")
    assert result.exit_code == 0, result.output
    for title in ("OUTAGES", "OVER TIME", "WHAT PREVENTED IT", "DOES NOT CONCERN", "NOT MAPPED", "ASSUMED"):
        assert title in result.stdout
    data = json.loads(call(plan_file, "--outages", "--format", "json").stdout)["sections"]
    named = [row["outage"]["id"] for key in ("outages", "does not concern", "not mapped") for row in data[key]]
    assert len(named) == len(set(named)) == 16
    parts = {row["outage"]["id"]: row["not_mapped_in_part"] for row in data["outages"]}
    assert "`kind: ingress`" in parts["cloudflare-2025-11-18"]["fix"] and parts["claude-login-2026-03-02"] is None
    assert "cloudflare-2025-11-18 (in part)" in result.stdout
    login = next(row for row in data["outages"] if row["outage"]["id"] == "claude-login-2026-03-02")
    assert login["served"]["gold"][-1]["fraction"] == 0.7
    assert login["impact"]["requests_lost"] == pytest.approx(30 * 3.97 * 3600)


def test_one_outage_moved_to_a_place_of_ours(plan_file: Path) -> None:
    result = call(plan_file, "--outage", "azure-west-us-2026-02-07", "--where", "google/b", "--format", "json")
    (one,) = json.loads(result.stdout)["sections"]["outages"]
    assert one["failure"]["lost"] == {"region:google/b": 1.0}


def test_a_catalogue_of_ours_is_played_beside(plan_file: Path, tmp_path: Path) -> None:
    text = catalogue_of_outages().read_text("utf-8")
    ours = tmp_path / "ours.yaml"
    ours.write_text(text[: text.index("- id: claude-context")].replace("claude-login-2026-03-02", "our-login"), "utf-8")
    result = call(plan_file, "--outage", "our-login", "--catalogue", ours)
    assert result.exit_code == 0 and "our-login" in result.stdout
    absent = call(plan_file, "--outages", "--catalogue", tmp_path / "our.yaml")
    assert absent.exit_code == 2 and "did you mean 'ours.yaml'" in absent.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--outage", "azure-west-us-2026"], "did you mean 'azure-west-us-2026-02-07'"),
        (["--outage", "cloudflair"], "did you mean 'cloudflare-2025-11-18'"),
        (["--outage", "tpu"], "did you mean one of: tpu-output-corruption-2025-08-25, xla-tpu-topk-2025-08-25"),
        (["--outages", "--where", "gogle/b"], "did you mean 'google/b'"),
        (["--where", "google"], "add --outages"),
        (["--outages", "--mode", "rescale", "--each", "site"], "--each"),
    ],
)
def test_what_cannot_be_asked_is_said(plan_file: Path, arguments: list[str], expected: str) -> None:
    result = call(plan_file, *arguments)
    assert result.exit_code == 2 and expected in result.output


def test_a_plan_whose_goal_names_an_outage_was_edited(plan_file: Path, tmp_path: Path) -> None:
    data = json.loads(plan_file.read_text())
    data["study"]["tiers"][0]["survive"][0] = {"outage": "o", "within_seconds": 60.0}
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(data, indent=1))
    result = call(edited)
    assert result.exit_code == 2 and "study.tiers.0.survive.0.outage" in result.output


def test_the_shell_completes_ids() -> None:
    assert outage_ids("azure-front") == ["azure-front-door-2025-10-29"]
