"""Regions split into zones: pools, units, names and findings; a zone is lost with all that stands in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import FILES, write_study
from studies import machine_type, model, offer, profile, site, study, workload

from planner.drill import drill_plan, drill_state_claims
from planner.drill.graph import build_graph
from planner.drill.instance import build_instance
from planner.errors import Finding, InputError
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.questions.risk.exposure import exposure
from planner.review.check import check_study
from planner.review.drawing import drawing
from planner.review.zones import zones_of_study_section
from planner.solve.search import Effort
from planner.study.dependencies import availability, components_of, dependency_graph
from planner.study.places import matches
from planner.study.read import data_folder, read_fleet, read_study
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Study, Tier
from planner.study.zones import shares_of

ZONES = """\
provider,region,zone,machine_type,evidence,source,as_of
alpha,east,e-az1,trn-16,published,a list made up for a test,2026
alpha,east,e-az2,trn-16,published,a list made up for a test,2026
"""
REGIONS = {name: text.replace("/east-1", "/east").replace(",east-1,", ",east,") for name, text in FILES.items()}
HELD: list[dict[str, Any]] = [
    {"pool": "alpha/e-az1/trn-16", "machines": 3},
    {"pool": "alpha/e-az2/trn-16", "machines": 1},
]
LENT = {"pool": "alpha/e-az1/trn-16", "machines": 1, "reclaim_seconds": 120, "lent_to": "training"}
GRID = {"component": "site:alpha/e-az1", "needs": {"any_of": ["power:grid", "power:spare"]}}
NONE_OF_IT: dict[str, Any] = dict.fromkeys(("holdings", "claims", "dependencies", "components"), ())
SPLIT: dict[str, Any] = {"zones": ["alpha/*"], "holdings": HELD, "claims": [LENT], "dependencies": [GRID]}


def written(folder: Path, listing: str = ZONES, edits: Any = (), **fields: Any) -> Path:
    """The tiny study, whose site alpha/east is a region with two zones of which five units a year can be had."""
    files = REGIONS | {"inventory/zones.csv": listing}
    edits = [("inventory/alpha/offers.csv", ",50,savings", ",5,savings"), *edits]
    if not fields:
        return write_study(folder, edits, files)
    tiers = [{"name": "gold", "survive": [{"any": "zone", "within_seconds": 60}]}, {"name": "bulk"}]
    return write_study(folder, edits, files, **{"tiers": tiers, **SPLIT, **fields})


def wrong(path: Path) -> list[Finding]:
    with pytest.raises(InputError) as caught:
        read_study(path)
    return [finding for finding in caught.value.findings if finding.level == "error"]


def test_a_region_becomes_a_site_and_a_pool_for_each_zone_and_its_units_are_split(tmp_path: Path) -> None:
    read, warnings = read_study(written(tmp_path, failures=[]))
    assert [pool.id for pool in read.pools] == ["alpha/e-az1/trn-16", "alpha/e-az2/trn-16", "beta/west-1/gpu-8"]
    assert {pool.usable_fraction for pool in read.pools[:2]} == {0.99}
    zone = read.site_by_id["alpha/e-az2"]
    assert (zone.region_id, zone.city, zone.jurisdiction, zone.labels) == (
        "alpha/east",
        "London",
        "GB",
        ("green", "eu"),
    )
    units = {offer.id: offer.most_units for offer in read.offers}
    assert units["alpha/e-az1/trn-16:yearly"] == 3 and units["alpha/e-az2/trn-16:yearly"] == 2
    assert units["alpha/e-az1/trn-16:on_demand"] is None  # no limit is split
    yearly = read.offer_by_id["alpha/e-az2/trn-16:yearly"]
    assert (yearly.evidence, yearly.source) == (
        "assumed",
        "made up for a test; most_units split evenly over 2 zones: assumed",
    )
    assert read.price_by_offer[yearly.id].price_usd_per_machine_hour == 25.5
    assert [row.zone for row in read.zones] == ["e-az1", "e-az2"] and warnings == []
    section = zones_of_study_section(read)
    assert section is not None and section.rows[0].units["e-az1"] == {"yearly": 3.0}
    assert "ZONES" in [section.title for section in check_study(read, []).sections]


def test_shares_add_up_and_differ_by_one_at_most() -> None:
    for units in range(20):
        for count in range(1, 7):
            shares = shares_of(units, count)
            assert sum(shares) == units and max(shares) - min(shares) <= 1 and shares == sorted(shares, reverse=True)


def test_names_of_a_regions_pool_reach_its_zones(tmp_path: Path) -> None:
    policies = {
        "quotas": [{"name": "trn", "pools": ["alpha/east/trn-16"], "unit": "vcpu", "most": 1920}],
        "counted": [{"offers": ["alpha/east/*:yearly"], "running_fraction": 0.5}],
    }
    book = [{"offers": "alpha/east/trn-16:yearly", "factor": 0.5}, {"offers": "alpha/*:on_demand", "factor": 0.9}]
    edits = [("request_costs.csv", "london,beta/west-1", "london,alpha/east,0.0002\nlondon,beta/west-1")]
    more = {"policies": policies, "price_book": book, "failures": [], "pools": ["alpha/east/*", "beta/west-1/*"]}
    read, warnings = read_study(written(tmp_path, edits=edits, **more))
    zones = ["alpha/e-az1/trn-16", "alpha/e-az2/trn-16"]
    assert all(matches(id, read.policies.quotas[0].pools) for id in zones)
    assert all(matches(f"{id}:yearly", read.policies.counted[0].offers) for id in zones)
    factors = {f"{id}:{offer}": 1.0 for id in zones for offer in ("yearly", "on_demand")}
    for line in read.price_book:
        for id in factors:
            factors[id] *= line.factor if matches(id, [line.offers]) else 1.0
    assert list(factors.values()) == [0.5, 0.9, 0.5, 0.9]  # each line counts once
    costs = {cost.site: cost.usd_per_request for cost in read.request_costs}
    assert costs == {"alpha/e-az1": 0.0002, "alpha/e-az2": 0.0002, "beta/west-1": 0.0001} and warnings == []


def test_one_zone_can_be_considered_alone_with_its_share(tmp_path: Path) -> None:
    pools = ["alpha/e-az2/*", "beta/*"]
    read, _ = read_study(
        written(tmp_path, pools=pools, holdings=HELD[1:], claims=[], dependencies=[], components=[], failures=[])
    )
    assert [pool.id for pool in read.pools] == ["alpha/e-az2/trn-16", "beta/west-1/gpu-8"]
    assert read.offer_by_id["alpha/e-az2/trn-16:yearly"].most_units == 2


def test_a_site_with_limits_of_its_own_stays_one_and_spares_are_split(tmp_path: Path) -> None:
    with_spare = "fraction,spare_machines\nalpha/east,trn-16,1,1"
    spare = [("inventory/alpha/pools.csv", "fraction\nalpha/east,trn-16,0.99", with_spare)]
    read, _ = read_study(written(tmp_path / "a", edits=spare, failures=[]))
    assert [pool.spare_machines for pool in read.pools] == [0.5, 0.5, 0.0]
    path = written(tmp_path / "b", tiers=[{"name": "gold"}, {"name": "bulk"}], failures=[], **NONE_OF_IT)
    table = path.parent / "inventory" / "sites.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{header},load_gib_per_second", *(f"{row},50" for row in rows), ""]))
    read, warnings = read_study(path)
    assert [pool.id for pool in read.pools] == ["alpha/east/trn-16", "beta/west-1/gpu-8"]
    assert read.zones == () and warnings == []


def test_a_study_without_zones_does_not_see_the_list(tmp_path: Path) -> None:
    with_list, without_list = written(tmp_path / "a"), written(tmp_path / "b", ZONES.splitlines()[0] + "\n")
    text = read_study(with_list)[0].model_dump_json()
    assert text == read_study(without_list)[0].model_dump_json() and "zones" not in json.loads(text)


def test_machines_and_places_of_a_region_that_is_split_must_say_which_zone(tmp_path: Path) -> None:
    fields = {
        "holdings": [{"pool": "alpha/east/trn-16", "machines": 4}],
        "claims": [{**LENT, "pool": "alpha/east/trn-16"}],
        "failures": [{"name": "quake", "lost": {"site:alpha/east": 1.0, "pool:alpha/east/trn-16": 1.0}}],
        "dependencies": [],
        "components": [],
    }
    findings = wrong(written(tmp_path, **fields))
    assert [finding.where.rpartition(": ")[2] for finding in findings] == [
        "failures[0].lost.site:alpha/east",
        "failures[0].lost.pool:alpha/east/trn-16",
        "holdings[0].pool",
    ]
    assert "also at" in findings[2].got and "claims[0].pool" in findings[2].got
    assert "region:alpha/east, site:alpha/e-az1, site:alpha/e-az2" in findings[0].fix
    assert all("split into zones" in finding.fix for finding in findings)
    assert all("alpha/e-az1/trn-16, " in finding.fix for finding in findings[1:])


def test_the_rest_of_a_region_that_is_split_in_part_is_named_by_its_pools(tmp_path: Path) -> None:
    """A site by the region's name would be what is left of it only: what was said of all of it would be lost."""
    more = [("inventory/alpha/pools.csv", "alpha/east,", "alpha/east,gpu-8,1\nalpha/east,")]
    lost = {"name": "quake", "lost": {"site:alpha/east": 1.0}}
    (finding,) = wrong(written(tmp_path / "a", edits=more, failures=[lost]))
    assert finding.where.endswith("failures[0].lost.site:alpha/east") and "split into zones" in finding.fix
    assert "pool:alpha/east/gpu-8, region:alpha/east, site:alpha/e-az1" in finding.fix
    named = {"name": "quake", "lost": {"pool:alpha/east/gpu-8": 1.0}}
    read, _ = read_study(written(tmp_path / "b", edits=more, failures=[named]))
    assert {site.id for site in read.sites} >= {"alpha/east", "alpha/e-az1", "alpha/e-az2"}


def test_a_fleet_names_zones(tmp_path: Path) -> None:
    read, _ = read_study(written(tmp_path, failures=[]))
    table = tmp_path / "fleet.csv"
    table.write_text("workload,origin,pool,profile,replicas,weight\nchat,london,alpha/east/trn-16,small/trn,1,1\n")
    with pytest.raises(InputError) as caught:
        read_fleet(table, read)
    assert "alpha/e-az1/trn-16, alpha/e-az2/trn-16" in caught.value.findings[0].fix


@pytest.mark.parametrize(
    ("listing", "fields", "where", "got"),
    [
        (ZONES, {"zones": ["gamma/*"]}, "zones[0]", "matches none"),
        (ZONES.replace("e-az2", "east"), {}, "zones.csv:3: zone", "'east'"),
        (ZONES.replace("e-az2", "n-az1"), {}, "zones.csv:3: region", "'alpha/n-az1' is in 'alpha/north'"),
        (ZONES.replace("e-az2", "n-az1"), {}, "zones.csv:3: machine_type", "'alpha/n-az1/trn-16' beside"),
        (
            ZONES,
            {"zones": [], **NONE_OF_IT},
            "any",
            "is a region",
        ),
    ],
)
def test_findings(tmp_path: Path, listing: str, fields: dict[str, Any], where: str, got: str) -> None:
    if "any" in where:
        fields = {**fields, "pools": ["alpha/east/*"]}
    north = "alpha,north,n-az1,London,51.5,-0.1,GB,,assumed,made up for a test,2026\nbeta,west,"
    edits = [("inventory/sites.csv", "beta,west,", north)]
    edits += [("inventory/alpha/pools.csv", "alpha/east,", "alpha/n-az1,trn-16,0.99\nalpha/east,")]
    path = written(tmp_path, listing, edits, failures=[], **fields)
    texts = [f"{finding.where} {finding.got}" for finding in wrong(path)]
    assert any(where in text and got in text for text in texts), texts


def test_what_stays_one_site_is_said_and_so_is_a_goal_for_sites_alone(tmp_path: Path) -> None:
    tiers = [{"name": "gold", "survive": [{"any": "site", "within_seconds": 60}]}, {"name": "bulk"}]
    sites = [("inventory/sites.csv", "west,west-1", "west,west")]
    sites += [(f"inventory/beta/{name}.csv", "beta/west-1", "beta/west") for name in ("pools", "offers", "prices")]
    sites += [("request_costs.csv", "beta/west-1", "beta/west")]
    path = written(tmp_path, edits=sites, tiers=tiers, failures=[], zones=["*"])
    read, warnings = read_study(path)
    assert {site.is_zone for site in read.sites if site.provider == "alpha"} == {True, False}
    assert [(w.where.rpartition(": ")[2], w.got) for w in warnings] == [
        ("zones", "none for beta/west/gpu-8"),
        ("tiers[0].survive", "none"),
    ]


def test_the_quickstart_has_the_zones_that_its_page_says(tmp_path: Path) -> None:
    folder = shutil.copytree(data_folder("examples") / "quickstart", tmp_path / "quickstart")
    text = (folder / "study.yaml").read_text().replace("demand: demand.csv", "zones: ['*']\ndemand: demand.csv")
    text = text.replace("pool: aws/us-east-2/trn2", "pool: aws/use2-az1/trn2").replace("machines: 24", "machines: 8")
    (folder / "study.yaml").write_text(text.replace("pool: google/us-east5/ct6e", "pool: google/us-east5-a/ct6e"))
    read, warnings = read_study(folder)
    assert len(read.pools) == 32 and {site.is_zone for site in read.sites if site.provider == "azure"} == {False}
    assert "none for aws/ap-south-2/trn2.48xlarge, azure/eastus/" in warnings[0].got
    assert sum(offer.most_units or 0 for offer in read.offers if offer.pool.startswith("aws/use2-az")) == 48


# ------------------------------------------------------------------ what is lost with a zone
def of_zones(*usd_per_hour: float, **more: Any) -> Study:
    """A region `a/r`, a zone for each price; 5 requests/s a machine, 10 asked; any zone survived within 60 s."""
    names = [f"r-{i}" for i in range(len(usd_per_hour))]
    fields: dict[str, Any] = {
        "sites": tuple(site(f"a/{name}").model_copy(update={"region": "r"}) for name in names),
        "machine_types": (machine_type("m"),),
        "pools": tuple(Pool(site=f"a/{name}", machine_type="m") for name in names),
        "bought": [offer(f"a/{name}/m", usd) for name, usd in zip(names, usd_per_hour, strict=True)],
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t", survive=(Goal(any="zone", within_seconds=60.0),)),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10.0},
    }
    return study(**{**fields, **more})


@pytest.mark.parametrize(
    ("usd_per_hour", "usd"),
    [
        ((2.0, 3.0), 10.0),  # either zone serves all 10: 2 machines in each, 2 x 2 + 2 x 3
        ((2.0, 2.0, 2.0), 6.0),  # any two of three serve all: 1 machine in each, 3 x 2
    ],
)
def test_a_plan_that_survives_any_zone(usd_per_hour: tuple[float, ...], usd: float) -> None:
    plan = make_plan(of_zones(*usd_per_hour), Effort(gap_fraction=0.0))
    assert plan.proof.cost_usd == pytest.approx(usd)
    assert {state.failure for state in plan.states} >= {"zone:a/r-0", "zone:a/r-1"}
    assert audit(plan).passed and not drill_plan(plan).broken and not drill_state_claims(plan)
    p = build(plan.study)
    assert 'cuda at a/r"' in drawing(plan.study, p, exposure(plan.study, p), "mermaid")
    fewer = tuple(row.model_copy(update={"units": row.units - (i == 0)}) for i, row in enumerate(plan.purchases))
    replicas = tuple(
        row.model_copy(update={"replicas": row.replicas - (i == 0)}) for i, row in enumerate(plan.replicas)
    )
    assert drill_plan(plan.model_copy(update={"purchases": fewer, "replicas": replicas})).broken


def test_a_zone_is_lost_with_its_pools_and_a_region_with_all_zones_in_both_opinions() -> None:
    asked = of_zones(2.0, 3.0)
    graph, drilled = dependency_graph(asked), build_graph(build_instance(asked))
    assert components_of(graph, "zone") == drilled.of_kind("zone") == ["zone:a/r-0", "zone:a/r-1"]
    for lost, lives in (("zone:a/r-0", (0.0, 1.0)), ("region:a/r", (0.0, 0.0)), ("site:a/r-1", (1.0, 0.0))):
        value = availability(graph, {lost: 1.0})
        again = drilled.values({lost: 1.0}, 1)
        assert tuple(value[f"pool:a/r-{i}/m"] for i in (0, 1)) == lives
        assert tuple(float(again[f"pool:a/r-{i}/m"][0]) for i in (0, 1)) == lives
