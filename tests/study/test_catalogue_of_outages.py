"""Outages that happened: the catalogue, and what each is in a study.

The studies are those of `drill_fixtures`: sites aws/a and google/b, each a region of its own (a-region, b-region).
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from drill_fixtures import KNOWN, machine, model, profile, site, study, workload
from helpers import write_study
from pydantic import ValidationError

from planner.errors import InputError
from planner.study.footprint import footprint_of
from planner.study.outages import OutageHere, Where, chosen_outages, outage_here, read_outages
from planner.study.places import Reading
from planner.study.read import catalogue_of_outages, read_study
from planner.study.records.outages import LostPart, Outage
from planner.study.records.study import Component, Dependency, Needs, Study
from planner.study.tables import read_list

CATALOGUE = read_outages([catalogue_of_outages()])


def part(kind: str, *effects: str, **more: Any) -> LostPart:
    return LostPart(kind=kind, effects=effects or ("serving",), evidence="assumed", **more)


def outage(*parts: LostPart, **more: Any) -> Outage:
    said = {"title": "t", "lesson": "l", "evidence_kind": "test"} | KNOWN | more
    return Outage(id="o", begin=datetime(2026, 1, 1, tzinfo=UTC), parts=parts, **said)


def here(of: Outage, on: Study, where: Where | None = None) -> OutageHere:
    return outage_here(of, footprint_of(on), where)


def regions_as_sites(**changes: Any) -> Study:
    return study(sites=(site("aws", "a", "a"), site("google", "b", "b")), **changes)


ZONE = outage(part("zone", provider="aws", region="a", zones=1, zones_in_region=4, hours_to_repair=2.0))
LOGIN = Component(name="login", kind="identity")
SECOND = Component(name="second", kind="identity")


# ------------------------------------------------------------------ the catalogue
def test_the_catalogue_ships_sixteen_outages_each_with_its_source() -> None:
    assert len(CATALOGUE) == 16
    for each in CATALOGUE.values():
        assert each.source and each.as_of and each.lesson and each.evidence_kind
        for lost in each.parts:
            is_set_here = lost.evidence in ("assumed", "estimated") or lost.share_fraction is None
            assert lost.note or not is_set_here, each.id
            if each.hours is not None and lost.hours_to_repair is not None and not each.answers_wrongly:
                assert lost.hours_to_repair <= each.hours + 0.01, each.id


def test_a_catalogue_that_is_wrong_says_where(tmp_path: Path) -> None:
    text = catalogue_of_outages().read_text("utf-8")
    wrong = text.replace("zones: 2\n", "zones: 5\n", 1).replace("begin: 2025-06-12T17:51Z", "begin: in June", 1)
    path = tmp_path / "outages.yaml"
    path.write_text(wrong.replace("kind: identity", "kind: identiti", 1), "utf-8")
    with pytest.raises(InputError) as caught:
        read_outages([path])
    assert len(caught.value.findings) == 3
    texts = [str(finding) for finding in caught.value.findings]
    assert any("at most 3 zones" in text for text in texts)
    assert any("did you mean 'identity'" in text for text in texts)
    assert any("outages[5].begin" in text and "a time in UTC" in text for text in texts)


@pytest.mark.parametrize(
    ("kind", "effects", "expected"),
    [
        ("machines", ("starting",), "serving or wrong_answers"),
        ("control_plane", ("serving", "starting"), "not serving"),
        ("control_plane", ("pushing",), "starting"),
    ],
)
def test_effects_that_a_kind_does_not_have_are_refused(kind: str, effects: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        part(kind, *effects, provider="aws", accelerators=("ch*",))


def test_what_takes_nothing_or_counts_from_two_times_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        part("identity", share_fraction=0.0)
    with pytest.raises(ValidationError, match="of all parts or of none"):
        outage(part("stack", "wrong_answers", stack="cuda"), part("identity"))


def test_an_outage_is_named_by_its_id_whatever_it_holds() -> None:
    known = {id: ZONE.model_copy(update={"id": id}) for id in ("fire [east]", "fire e")}
    assert [one.id for one in chosen_outages(known, ["fire [east]"], "--outage")] == ["fire [east]", "fire e"]
    del known["fire e"]
    assert [one.id for one in chosen_outages(known, ["fire [east]"], "--outage")] == ["fire [east]"]


def test_a_stack_belongs_to_no_place() -> None:
    met = here(outage(part("stack", stack="cuda")), study(), Where("aws"))
    (failure,) = met.failures
    assert failure.lost == {"stack:cuda": 1.0} and failure.name == "o" and "it belongs to no place" in met.notes[0]


def test_a_later_catalogue_counts_instead(tmp_path: Path) -> None:
    path = tmp_path / "outages.yaml"
    text = catalogue_of_outages().read_text("utf-8")
    path.write_text(text[: text.index("- id: claude-context")].replace("3.97", "4.5"), "utf-8")
    both = read_outages([catalogue_of_outages(), path])
    assert len(both) == 16 and both["claude-login-2026-03-02"].parts[0].hours_to_repair == 4.5
    reading = Reading()
    assert read_list(Outage, path, reading) and not reading.findings


# ------------------------------------------------------------------ what an outage is here
def test_a_zone_is_its_share_of_a_site_that_is_the_region() -> None:
    (failure,) = here(ZONE, regions_as_sites()).failures
    assert failure.lost == {"site:aws/a": 0.25} and failure.worst_part and failure.hours_to_repair == 2.0


def test_a_share_of_zones_is_not_rounded() -> None:
    # of 96 replicas a sixth is 16: 0.166666667 of them would be one more
    sixth = outage(part("zone", provider="aws", region="a", zones=1, zones_in_region=6))
    (failure,) = here(sixth, regions_as_sites()).failures
    assert failure.lost["site:aws/a"] == 1 / 6


def test_where_sites_are_zones_each_is_lost_in_turn() -> None:
    zones = study(sites=(site("aws", "a1", "a"), site("aws", "a2", "a"), site("google", "b", "b")))
    met = here(ZONE, zones)
    assert [failure.lost for failure in met.failures] == [{"site:aws/a1": 1.0}, {"site:aws/a2": 1.0}]
    assert len({failure.name for failure in met.failures}) == 2 and not met.failures[0].worst_part


def test_of_a_region_that_is_split_in_part_each_zone_is_lost_with_a_share_of_the_rest() -> None:
    """Two zones, and machines of the region of which no list says where: a quarter of these, with each zone in turn."""
    sites = (site("aws", "a1", "a"), site("aws", "a2", "a"), site("aws", "a", "a"), site("google", "b", "b"))
    in_part = study(sites=sites)
    failures = here(ZONE, in_part).failures
    assert [f.lost for f in failures] == [{"site:aws/a": 0.25, f"site:aws/{zone}": 1.0} for zone in ("a1", "a2")]
    assert all(failure.worst_part for failure in failures)


def test_a_place_without_machines_does_not_concern_and_can_be_moved() -> None:
    elsewhere = outage(part("zone", provider="aws", region="c", zones=1, zones_in_region=4))
    met = here(elsewhere, regions_as_sites())
    assert met.verdict == "not concerned" and met.why == "no machine of this study at aws/c" and met.move_to == "aws/a"
    (failure,) = here(elsewhere, regions_as_sites(), Where("google", "google/b")).failures
    assert failure.lost == {"site:google/b": 0.25} and failure.name == "o at google/b"
    in_turn = here(elsewhere, regions_as_sites(), Where("google"))
    assert [failure.lost for failure in in_turn.failures] == [{"site:google/b": 0.25}]


def test_control_planes_come_back_region_by_region() -> None:
    planes = outage(
        part("control_plane", "starting", "pushing", provider="google", hours_to_repair=0.7),
        part("control_plane", "starting", "pushing", provider="google", region="slow", hours_to_repair=2.7),
    )
    sites = (site("google", "a", "quick"), site("google", "b", "slow"))
    (failure,) = here(planes, study(sites=sites)).failures
    assert failure.lost == {"control_plane:google": 1.0, "control_plane:google/slow": 1.0}
    assert failure.repaired == {"control_plane:google": 0.7} and failure.hours_to_repair == 2.7
    assert failure.failover == "rescale"


def test_weights_are_kept_no_longer_than_they_cannot_be_pushed() -> None:
    parts = (
        part("control_plane", "starting", "pushing", provider="google", hours_to_repair=0.7),
        part("zone", provider="google", region="b", zones=1, zones_in_region=4, hours_to_repair=9.0),
    )
    (failure,) = here(outage(*parts), regions_as_sites()).failures
    assert (failure.failover, failure.hours_to_new_weights, failure.hours_to_repair) == ("rescale", 0.7, 9.0)
    unknown = parts[0].model_copy(update={"hours_to_repair": None})
    (failure,) = here(outage(unknown, parts[1]), regions_as_sites()).failures
    assert failure.failover == "rescale" and failure.hours_to_new_weights is None


def test_a_login_is_ours_each_in_turn_and_what_they_share() -> None:
    of_theirs = outage(part("identity", "new_logins", hours_to_repair=4.0))
    unnamed = here(of_theirs, study())
    assert unnamed.verdict == "not mapped" and "`kind: identity`" in unnamed.fix
    shared = Dependency(component="identity:login", needs=Needs(all_of=("directory:one",)))
    other = Dependency(component="identity:second", needs=Needs(all_of=("directory:one",)))
    components = (LOGIN, SECOND, Component(name="one", kind="directory"))
    met = here(of_theirs, study(components=components, dependencies=(shared, other)))
    assert [list(failure.lost) for failure in met.failures] == [
        ["identity:login"],
        ["identity:second"],
        ["directory:one"],
    ]


def test_a_roll_out_breaks_what_stands_on_it_but_for_gateways_that_it_only_pushes_weights_to() -> None:
    roll_out = Component(name="one", kind="deployment")
    needs = Needs(any_of=("deployment:one", "identity:login"))
    dependencies = (
        Dependency(component="workload:chat", needs=Needs(all_of=("deployment:one",)), breaks="pushing"),
        Dependency(component="site:aws/a", needs=needs, breaks="starting"),
    )
    on = study(components=(roll_out, LOGIN), dependencies=dependencies)
    met = here(CATALOGUE["openai-telemetry-2024-12-11"], on)
    (failure,) = met.failures
    assert failure.lost == {"deployment:one": 1.0} and failure.failover == "rescale"
    assert "workload:chat serve on: the study says deployment:one only pushes their weights" in met.notes
    starting = Dependency(component="site:google/b", needs=Needs(all_of=("deployment:one",)), breaks="starting")
    serving = Dependency(component="workload:chat", needs=Needs(all_of=("deployment:one",)))
    for more, lost in ((starting, "site:google/b"), (serving, "workload:chat")):
        beside = on.model_copy(update={"dependencies": (*dependencies, more)})
        (failure,) = here(CATALOGUE["openai-telemetry-2024-12-11"], beside).failures
        assert failure.lost == {"deployment:one": 1.0, lost: 1.0}


def test_machines_of_a_family_at_one_provider_after_the_other() -> None:
    update = outage(part("machines", accelerators=("ch*",), share_fraction=0.3))
    met = here(update, study())
    assert [failure.lost for failure in met.failures] == [{"pool:aws/a/m": 0.3}, {"pool:google/b/m": 0.3}]
    none = here(outage(part("machines", accelerators=("TPU*",))), study())
    assert none.verdict == "not concerned" and none.move_to == "aws/a-region"
    (moved,) = here(outage(part("machines", accelerators=("TPU*",))), study(), Where("aws")).failures
    assert moved.lost == {"pool:aws/a/m": 1.0}


def test_a_model_of_theirs_is_none_of_ours_until_it_is_moved() -> None:
    engine = outage(part("qualification", provider="aws", model="gpt", hours_to_repair=20.0))
    met = here(engine, study())
    assert met.verdict == "not concerned" and "gpt is not served at aws" in met.why
    (moved,) = here(engine, study(), Where("aws")).failures
    assert moved.lost == {"placement:llm/p@aws/a/m": 1.0}


def test_wrong_answers_keep_how_long_nobody_knew() -> None:
    compiler = outage(part("qualification", "wrong_answers", stack="cuda", hours_to_repair=24.0), hours_to_find_out=9.0)
    (failure,) = here(compiler, study()).failures
    assert failure.answers_wrongly and failure.hours_to_find_out == 9.0 and failure.hours_to_repair == 24.0
    assert failure.lost == {"qualification:llm/cuda": 1.0}


def test_requests_can_err_only_between_servers_of_two_classes() -> None:
    routing = CATALOGUE["claude-context-routing-2025-08"]
    assert here(routing, study()).verdict == "not concerned"
    long = profile(
        "long", classes=(profile().classes[0], profile().classes[0].model_copy(update={"context_class": "long"}))
    )
    both = study(
        models=(model(profiles=(profile(), long)),),
        workloads=(workload(), workload("documents", context_class="long")),
        machine_types=(machine(),),
    )
    (failure,) = here(routing, both).failures
    assert failure.lost == {"placement:llm/p@aws/a/m": 0.008, "placement:llm/p@google/b/m": 0.008}


def test_a_share_that_nobody_published_is_not_replayed() -> None:
    some = outage(part("identity"), part("ingress", share_fraction=None, note="some of them"))
    met = here(some, study(components=(LOGIN, Component(name="door", kind="ingress"))))
    assert [failure.lost for failure in met.failures] == [{"identity:login": 1.0}]
    assert any("no share is published: some of them" in note for note in met.notes)


def test_every_outage_of_the_catalogue_is_one_of_three_things_on_an_example() -> None:
    of_study, _ = read_study(Path(__file__).resolve().parents[2] / "examples" / "postmortem")
    verdicts = {id: here(each, of_study).verdict for id, each in CATALOGUE.items()}
    assert list(verdicts.values()).count("played") == 11
    assert {id for id, verdict in verdicts.items() if verdict == "not mapped"} == {"openai-telemetry-2024-12-11"}
    in_part = {id for id, each in CATALOGUE.items() if verdicts[id] == "played" and here(each, of_study).why}
    assert in_part == {
        "aws-us-east-1-dynamodb-2025-10-20",  # database
        "azure-front-door-2025-10-29",  # ingress
        "cloudflare-2025-11-18",
    }


def test_a_region_that_loses_a_database_and_then_its_launches_has_parts_with_times_of_their_own() -> None:
    outage = CATALOGUE["aws-us-east-1-dynamodb-2025-10-20"]
    store = Component(name="sessions", kind="database")
    on = study(sites=(site("aws", "a", "us-east-1"), site("google", "b", "b")), components=(store,))
    (failure,) = here(outage, on).failures
    assert failure.lost == {"control_plane:aws/us-east-1": 1.0, "database:sessions": 1.0}
    assert failure.repaired == {"database:sessions": 2.87} and failure.hours_to_repair == 14.03
    elsewhere = here(outage, study(components=(store,)))
    assert elsewhere.verdict == "not concerned", "a database of a region where nothing runs here is none of ours"


# ------------------------------------------------------------------ as a goal
def with_goal(folder: Path, goal: str) -> Path:
    """The tiny study with one more goal."""
    path = write_study(folder)
    file = path / "study.yaml" if path.is_dir() else path
    text = file.read_text("utf-8")
    at = text.index("survive:") + len("survive:\n")
    indent = text[at:].index("-") * " "
    file.write_text(f"{text[:at]}{indent}- {goal}\n{text[at:]}", "utf-8")
    return path


def test_a_goal_for_an_outage_becomes_failures_of_the_study(tmp_path: Path) -> None:
    goal = "{outage: azure-west-us-2026-02-07, where: alpha, serve_fraction: 0.5, within_seconds: 600}"
    read, _ = read_study(with_goal(tmp_path, goal))
    (failure,) = [failure for failure in read.failures if failure.name.startswith("azure-west-us")]
    assert failure.lost == {"region:alpha/east": 1.0} and failure.hours_to_repair == 20.43
    (named,) = [goal for tier in read.tiers for goal in tier.survive if goal.failure == failure.name]
    assert named.serve_fraction == 0.5 and named.outage is None and named.where is None
    assert any("azure-west-us-2026-02-07" in text and "docs/outages.md" in text for text in read.assumptions)
    assert "outage" not in read.model_dump(by_alias=True)["tiers"][0]["survive"][0]


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("{outage: azure-west-us-2026-02-07, within_seconds: 600}", "no machine of this study at azure/westus"),
        ("{outage: azure-west-us-2026-02-07, where: alfa, within_seconds: 600}", "did you mean 'alpha'"),
        ("{outage: azure-west-us-2026-02-08, within_seconds: 600}", "did you mean 'azure-west-us-2026-02-07'"),
        ("{outage: west-us, where: alpha, within_seconds: 600}", "did you mean 'azure-west-us-2026-02-07'"),
        ("{outage: claude-login-2026-03-02, within_seconds: 600}", "`kind: identity`"),
        ("{any: site, where: alpha, within_seconds: 600}", "where with `outage`"),
        ("{any: site, outage: claude-login-2026-03-02, within_seconds: 600}", "either `any`"),
    ],
)
def test_a_goal_for_an_outage_that_cannot_be_says_why(goal: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_study(with_goal(tmp_path, goal))
    (finding,) = caught.value.findings
    assert expected in str(finding) and "study.yaml:" in finding.where
