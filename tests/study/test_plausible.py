# ruff: noqa: E501 (tables of cases: one a line)
"""Mistakes that can be read and planned, and are told all the same: each with its place and cure."""

from pathlib import Path

import pytest
from helpers import FILES, write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.errors import Finding, InputError
from planner.study.read import read_fleet, read_study

ROOT = Path(__file__).parents[2]
QUOTA = "{name: trn, pools: ['alpha/*'], unit: vcpu, most: 1920}"
OFFERS, PRICES, SITES = "inventory/alpha/offers.csv", "inventory/alpha/prices.csv", "inventory/sites.csv"
BOTH = "name: tokyo\n    near: beta/far\n"
SURVIVE = "      - {any: provider, serve_fraction: 1.0, within_seconds: 300}\n"
HOLDING = "  - {pool: alpha/east-1/trn-16, machines: 4}\n"
CLAIM = "  - {pool: alpha/east-1/trn-16, machines: 1, reclaim_seconds: 120, lent_to: training}\n"


def findings_of(path: Path) -> list[Finding]:
    """Errors, or the warnings of a study that is read."""
    try:
        return read_study(path)[1]
    except InputError as error:
        return error.findings


# file, old, new; level, field, and what expected, got and fix contain
MISTAKES: dict[str, tuple[tuple[str, str, str], tuple[str, str, str, str, str]]] = {
    # thousands
    "a point for thousands": (("study.yaml", "input_tokens: 2000", "input_tokens: 2.048"), ("warning", "workloads[1].mean_input_tokens", "tokens", "2.048", "write 2048")),
    "thousands of output": (("study.yaml", "output_tokens: 200", "output_tokens: 1.5"), ("warning", "workloads[0].mean_output_tokens", "tokens", "1.5", "write 1500")),
    "in thousands": (("study.yaml", "input_tokens: 1000", "input_tokens: 1"), ("warning", "workloads[0].mean_input_tokens", "tokens", "1", "write 1000")),
    "quota in thousands": (("study.yaml", "most: 1920", "most: 1920.5"), ("warning", "policies.quotas[0].most", "a whole number of vcpu", "1920.5", "write 1920")),
    "a part of a unit": ((OFFERS, "yearly,commitment,12,14,50", "yearly,commitment,12,14,2.048"), ("warning", "most_units", "a whole number of units", "2.048", "write 2048 if thousands")),
    # low, base, high
    "high below base": (("demand.csv", "10,12", "10,9"), ("error", "high_requests_per_second", "at least 10 requests/s", "9", "low and high as well")),
    "low above base": (("demand.csv", FILES["demand.csv"], "workload,origin,requests_per_second,low_requests_per_second\nchat,london,10,12\nchat,tokyo,5,\nbatch,london,3,\n"), ("error", "low_requests_per_second", "at most 10 requests/s", "12", "correct")),
    "low growth above base": (("demand.csv", FILES["demand.csv"], "workload,origin,requests_per_second,growth_fraction_per_year,low_growth_fraction_per_year\nchat,london,10,0.2,0.4\nchat,tokyo,5,,\nbatch,london,3,,\n"), ("error", "low_growth_fraction_per_year", "at most 0.2", "0.4", "correct")),
    "low price above": (("inventory/alpha/prices.csv", FILES[PRICES], FILES[PRICES].replace("hour,evi", "hour,low_usd_per_machine_hour,evi").replace(",40,", ",40,41,").replace("25.5,", "25.5,,")), ("error", "low_usd_per_machine_hour", "at most 40 USD/h", "41", "correct")),
    "high price below": (("inventory/alpha/prices.csv", FILES[PRICES], FILES[PRICES].replace("hour,evi", "hour,high_usd_per_machine_hour,evi").replace(",40,", ",40,39,").replace("25.5,", "25.5,,")), ("error", "high_usd_per_machine_hour", "at least 40 USD/h", "39", "correct")),
    "high factor below 1": (("models/small.yaml", "per_token_ms: 20,", "per_token_ms: 20, high_factor: 0.8,"), ("error", "profiles[0].classes[0].high_factor", "at least 1", "0.8", "correct")),
    "high time per token": (("models/small.yaml", "per_token_ms: 20,", "per_token_ms: 20, per_token_ms_high: 2,"), ("error", "profiles[0].classes[0].per_token_ms_high", "at least 20 ms", "2", "high end")),
    "high first token": (("models/small.yaml", "first_token_ms: 300,", "first_token_ms: 300, first_token_ms_high: 30,"), ("error", "profiles[0].classes[0].first_token_ms_high", "at least 300 ms", "30", "high end")),
    # in failures
    "utilisation": (("study.yaml", "study: tiny", "study: tiny\nutilisation: {basis: fixed, normal: 0.95, in_failure: 0.85}"), ("warning", "utilisation.normal", "at most 0.85", "0.95", "exchange")),
    "shares without a basis": (("study.yaml", "study: tiny", "study: tiny\nutilisation: {in_failure: 0.9, normal: 0.8}"), ("warning", "utilisation.in_failure", "basis: waiting or fixed", "by waiting", "write basis: fixed")),
    "percentile of nothing": (("study.yaml", "name: bulk", "name: bulk\n    percentile: 99"), ("warning", "tiers[1].percentile", "first_token_ms", "none", "no effect")),
    "round trip in failure": (("study.yaml", "round_trip_ms: 400", "round_trip_ms: 400\n    round_trip_ms_in_failure: 300"), ("warning", "tiers[0].round_trip_ms_in_failure", "at least 400 ms", "300", "exchange")),
    "more in a failure": (("study.yaml", "name: gold", "name: gold\n    serve_fraction: 0.7"), ("warning", "tiers[0].survive[0].serve_fraction", "at most 0.7", "1", "raise")),
    "warmer in a failure": (("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, cached_fraction_in_failure: 0.5"), ("warning", "workloads[0].cached_fraction_in_failure", "at most 0", "0.5", "cold")),
    # quotas and policies that limit nothing
    "quota elsewhere": (("study.yaml", QUOTA, QUOTA), ("warning", "policies.quotas[0].pools[0]", "a pool of the study", "'beta/*'", "limits nothing")),
    "quota above all stock": (("study.yaml", QUOTA, QUOTA.replace("vcpu, most: 1920", "machines, most: 1920")), ("warning", "policies.quotas[0].most", "at most 154 machines", "1920", "its unit")),
    "quota twice": (("study.yaml", QUOTA, f"{QUOTA}\n    - {QUOTA}"), ("error", "policies.quotas[1].name", "of its own", "'trn' here and at", "rename")),
    "share twice": (("study.yaml", "shares:\n", "shares:\n    - {component: 'provider:alpha', most_fraction: 0.9}\n"), ("warning", "policies.shares[1].component", "each component once", "provider:alpha", "lower")),
    "counted elsewhere": (("study.yaml", "  quotas:", "  counted:\n    - {offers: ['beta/*'], running_fraction: 0.5}\n  quotas:"), ("warning", "policies.counted[0].offers[0]", "an offer of the study's pools", "'beta/*'", "changes nothing")),
    "quota of another year": (("study.yaml", "most: 1920", "most: 1920, until: 2026-01-31"), ("warning", "policies.quotas[0].until", "days between 2026-07-01 and 2027-06-30", "the start to 2026-01-31", "never holds")),
    "increase after the last period began": (("study.yaml", "most: 1920", "most: 1920, increases: [{most: 2880, lead_days: 400, chance_fraction: 0.5}]"), ("warning", "policies.quotas[0].increases[0].lead_days", "granted by 2026-07-01", "400: ", "leave the increase out")),
    "increase to the same limit": (("study.yaml", "most: 1920", "most: 1920, increases: [{most: 2880, lead_days: 1, chance_fraction: 0.5}, {most: 2880, lead_days: 9, chance_fraction: 0.9}]"), ("error", "policies.quotas[0]", "one increase to each limit, not several to 2880", "increase", "leave out all but")),
    "increase without a chance": (("study.yaml", "most: 1920", "most: 1920, increases: [{most: 2880, lead_days: 1, chance_fraction: 0}]"), ("error", "policies.quotas[0].increases[0].chance_fraction", "above 0", "0", "")),
    "increase below the limit": (("study.yaml", "most: 1920", "most: 1920, increases: [{most: 960, lead_days: 1, chance_fraction: 0.5}]"), ("error", "policies.quotas[0]", "more than 1920", "", "once it is granted")),
    "claim of another year": (("study.yaml", "lent_to: training", "lent_to: training, from_day: 2028-01-01"), ("warning", "claims[0].from_day", "days between 2026-07-01 and 2027-06-30", "2028-01-01 to the end", "never holds")),
    # the same twice
    "holding twice": (("study.yaml", HOLDING, HOLDING * 2), ("warning", "holdings[1]", "each once", "the same here and at", "sum")),
    "claim twice": (("study.yaml", CLAIM, CLAIM * 2), ("warning", "claims[1]", "each once", "the same here and at", "sum")),
    "goal twice": (("study.yaml", SURVIVE, SURVIVE * 2), ("warning", "tiers[0].survive[1]", "each goal once", "the same here and at", "remove")),
    "price line twice": (("study.yaml", "study: tiny", "study: tiny\nprice_book: [{offers: 'alpha/*', factor: 0.9}, {offers: 'alpha/*', factor: 0.9}]"), ("warning", "price_book[1]", "each line once", "the same here and at", "multiplied")),
    # nothing there
    "origin without demand": (("demand.csv", "chat,tokyo,5,\n", ""), ("warning", "origins[1].name", "rows of demand from tokyo", "none", "remove the origin")),
    "tier without workload": (("study.yaml", "tier: bulk", "tier: gold"), ("warning", "tiers[1].name", "a workload of tier bulk", "none", "goals hold for nothing")),
    "shape without rows": (("study.yaml", "study: tiny", "study: tiny\nshapes: [{name: day, factors: {mean-hour: 1}}]"), ("warning", "shapes[0].name", "the shape day", "none", "column")),
    "jurisdiction": (("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, jurisdictions: [gb, US]"), ("warning", "workloads[0].jurisdictions[0]", "jurisdiction of a site", "did you mean 'GB'", "GB, US")),
    "label": (("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, site_labels: [gren]"), ("warning", "workloads[0].site_labels[0]", "label", "did you mean 'green'", "eu, green")),
    "precision": (("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, precisions: [bf16, bf61]"), ("warning", "workloads[0].precisions[1]", "one of the precisions", "did you mean 'bf16'", "bf16")),
    "feature": (("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, features: [tools]"), ("warning", "workloads[0].features[0]", "one of the features", "'tools'", "those are")),
    "version of a stack": (("models/small.yaml", "    stack: cuda", "    stack: cuda@12.8"), ("warning", "profiles[1].stack", "qualified on: cuda", "'cuda@12.8'", "qualify it on cuda@12.8")),
    # when and where
    "begun": (("study.yaml", "start: 2026-07-01", "start: 2025-12-31"), ("warning", "horizon.start", "from 2026-01-01 on", "2025-12-31", "correct today or start")),
    "swapped": (("study.yaml", "    latitude: 35.68\n    longitude: 139.69", "    near: alpha/east\n    latitude: -0.1\n    longitude: 51.5"), ("warning", "origins[1].latitude", "near alpha/east", "latitude -0.1, longitude 51.5", "write latitude 51.5 and longitude -0.1")),
    "sign": (("study.yaml", "    latitude: 35.68\n    longitude: 139.69", "    near: beta/west\n    latitude: 40.7\n    longitude: 74"), ("warning", "origins[1].latitude", "near beta/west", "longitude 74", "write latitude 40.7 and longitude -74")),
    "far": (("study.yaml", "name: tokyo\n", BOTH), ("warning", "origins[1].latitude", "near beta/far", "km away", "a region that is nearer")),
    "half a place": (("study.yaml", "near: alpha/east\n", "near: alpha/east\n    latitude: 51.5\n"), ("warning", "origins[0].longitude", "or neither", "no longitude", "leave both out")),
    "swapped site of a region": ((SITES, "beta,far,far-1", "beta,west,west-2,Newark,-74.2,40.7,US,,assumed,made up,2026\nbeta,far,far-1"), ("warning", "latitude", "other sites of beta/west", "latitude -74.2", "write latitude 40.7 and longitude -74.2")),
}  # fmt: skip
NARROW = QUOTA.replace("alpha/*", "beta/*").replace("vcpu", "machines")


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_place_and_cure(case: str, tmp_path: Path) -> None:
    edit, (level, field, expected, got, fix) = MISTAKES[case]
    edits = [edit]
    if case in ("quota elsewhere", "counted elsewhere"):  # a study of one of the two pools
        edits = [("study.yaml", "demand: demand.csv", "demand: demand.csv\npools: ['alpha/*']")]
        edits += [("study.yaml", "'site:beta/west-1': 1.0, ", ""), ("study.yaml", f"{SURVIVE}", "")]
        edits.append(("study.yaml", QUOTA, NARROW) if case == "quota elsewhere" else edit)
    if case == "share twice":
        edits.append(("study.yaml", "most_fraction: 0.8", "most_fraction: 0.7"))
    if case == "quota above all stock":  # every offer of the pool has a limit
        edits.append((OFFERS, "on_demand,on_demand,0,0,,", "on_demand,on_demand,0,0,100,"))
    reported = findings_of(write_study(tmp_path, edits))
    hits = [f for f in reported if f.where.endswith(f": {field}")]
    assert len(hits) == 1, "\n".join(map(str, reported))
    assert hits[0].level == level and expected in hits[0].expected, str(hits[0])
    assert got in hits[0].got and fix in hits[0].fix, str(hits[0])
    others = [f for f in reported if f != hits[0]]
    assert not [f for f in others if f.level == "error"], "\n".join(map(str, others))
    assert str(hits[0]).count("\n") == 2


@pytest.mark.parametrize(
    "edit",
    [
        ("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 1"),
        ("study.yaml", "mean_input_tokens: 1000", "mean_input_tokens: 1155.25"),
        ("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 27.53"),
        ("study.yaml", HOLDING, HOLDING + HOLDING.replace("4}", "4, until: 2028-01-01}")),
        ("study.yaml", "mean_output_tokens: 200", "mean_output_tokens: 200, jurisdictions: [GB, AU]"),
        ("study.yaml", "start: 2026-07-01", "start: 2026-01-01"),
        ("study.yaml", "study: tiny", "study: tiny\nutilisation: {basis: waiting, normal: 0.9, in_failure: 0.9}"),
        ("study.yaml", "near: alpha/east", "near: alpha/east\n    latitude: 55.9\n    longitude: -3.2"),
        ("demand.csv", "10,12", "10,10"),
    ],
)
def test_what_is_no_mistake_is_not_told(edit: tuple[str, str, str], tmp_path: Path) -> None:
    assert read_study(write_study(tmp_path, [edit]))[1] == []


def test_a_round_trip_faster_than_light_is_told_once_at_the_site_that_is_wrong(tmp_path: Path) -> None:
    """London with latitude and longitude exchanged lies 12,920 km from New York: 86 ms at the speed of light."""
    (only,) = findings_of(write_study(tmp_path, [("inventory/sites.csv", "51.5,-0.1", "-0.1,51.5")]))
    assert (
        only.where == f"{tmp_path / 'inventory/sites.csv'}:2: latitude"
        and "reaches from beta/west in 75 ms" in only.expected
    )
    assert "write latitude 51.5 and longitude -0.1" in only.fix


@pytest.mark.parametrize("study", sorted(p.relative_to(ROOT) for p in ROOT.glob("examples/*/study*.yaml")), ids=str)
def test_what_ships_has_no_such_mistake(study: Path) -> None:
    assert read_study(ROOT / study)[1] == []


FLEET = "workload,origin,pool,profile,replicas,weight\n"


def fleet_findings(tmp_path: Path, row: str, edits: list[tuple[str, str, str]]) -> list[Finding]:
    study, _ = read_study(write_study(tmp_path / "study", edits))
    (tmp_path / "fleet.csv").write_text(f"{FLEET}{row}\n")
    warnings: list[Finding] = []
    try:
        read_fleet(tmp_path / "fleet.csv", study, warnings)
    except InputError as error:
        return error.findings
    return warnings


def test_a_fleet_has_no_more_replicas_than_its_machines_hold(tmp_path: Path) -> None:
    """4 machines of 16 chips are held, 50 can be committed, 10 rented; a replica takes 4 chips."""
    limited = [(OFFERS, "on_demand,on_demand,0,0,,", "on_demand,on_demand,0,0,10,")]
    row = "chat,london,alpha/east-1/trn-16,small/trn,{},1"
    assert fleet_findings(tmp_path, row.format(56), limited) == []
    (only,) = fleet_findings(tmp_path, row.format(57), limited)
    assert (only.level, only.got) == ("warning", "57, which take 15 machines")
    assert "at most 14 machines" in only.expected and "holdings" in only.fix
    (only,) = fleet_findings(tmp_path, row.format(257), limited)
    assert (only.level, only.got) == ("error", "257, which take 65 machines")
    assert only.where == f"{tmp_path / 'fleet.csv'}:2: replicas" and "at most 64 machines" in only.expected
    assert fleet_findings(tmp_path, row.format(257), []) == [], "what is rented has no limit"


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ("chat,london,alpha/east-1/trn-16,small/trn,2.5,1", "replicas", "a whole number of replicas"),
        ("chat,london,alpha/east-1/trn-16,small/gpu,2,1", "profile", "a profile for trn-16"),
    ],
)
def test_a_fleet_has_whole_replicas_of_profiles_for_its_machines(
    row: str, field: str, expected: str, tmp_path: Path
) -> None:
    (only,) = fleet_findings(tmp_path, row, [])
    assert only.level == "error" and only.where.endswith(f":2: {field}") and expected in only.expected


@pytest.mark.parametrize("command", ["drill", "risk"])
def test_commands_on_a_fleet_refuse_what_no_machines_hold(command: str, tmp_path: Path) -> None:
    limited = [(OFFERS, "on_demand,on_demand,0,0,,", "on_demand,on_demand,0,0,10,")]
    path = write_study(tmp_path / "study", limited)
    for replicas, code in ((57, (0, 1)), (257, (2,))):
        (tmp_path / "fleet.csv").write_text(f"{FLEET}chat,london,alpha/east-1/trn-16,small/trn,{replicas},1\n")
        result = CliRunner().invoke(app, [command, str(tmp_path / "fleet.csv"), "--study", str(path)])
        assert result.exit_code in code, result.output
        assert f"got {replicas}, which take" in result.stderr
