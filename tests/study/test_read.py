# ruff: noqa: E501 (tables of cases: one a line)
"""The reader: what is valid becomes a study, what is not becomes findings, all of them at once."""

import itertools
import os
import re
import shutil
from pathlib import Path

import pytest
from helpers import FILES, write_study
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli.main import app
from planner.drill.instance import build_instance, in_memory
from planner.errors import Finding, InputError
from planner.importers.catalogue import read_models
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.eligibility import WHY_NOT
from planner.solve.search import Effort
from planner.study.memory import holds_in_memory, memory_needed_gib
from planner.study.places import Reading
from planner.study.read import data_folder, read_fleet, read_study
from planner.study.records.inventory import MachineType
from planner.study.records.serving import ModelFacts, Profile
from planner.study.records.study import Study
from planner.study.tables import read_list

ROOT = Path(__file__).resolve().parents[2]
Edit = tuple[str, str, str]
MACHINES = {m.name: m for m, _ in read_list(MachineType, ROOT / "inventories" / "machine_types.yaml", Reading())}


def findings(path: Path) -> list[Finding]:
    """What is wrong with a study."""
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert len(caught.value.findings) == len(set(caught.value.findings))
    return caught.value.findings


def line_of(name: str, text: str, occurrence: int = 1) -> int:
    """The line of the tiny study's file on which a text stands."""
    lines = [i for i, line in enumerate(FILES[name].splitlines(), 1) if text in line]
    return lines[occurrence - 1]


def test_a_valid_study_is_read_without_findings(tmp_path: Path) -> None:
    study, warnings = read_study(write_study(tmp_path))
    assert warnings == []
    assert [pool.id for pool in study.pools] == ["alpha/east-1/trn-16", "beta/west-1/gpu-8"]
    assert [site.id for site in study.sites] == ["alpha/east-1", "beta/west-1"]
    assert [offer.offer for offer in study.offers] == ["on_demand", "yearly", "on_demand"]
    assert [price.price_usd_per_machine_hour for price in study.prices] == [40.0, 25.5, 60.0]
    assert study.offers[0].most_units is None and study.sites[0].labels == ("green", "eu")
    assert [profile.name for profile in study.models[0].profiles] == ["trn", "gpu"]
    assert [origin.name for origin in study.origins] == ["london", "tokyo"]
    assert study.demand[1].high_requests_per_second is None
    assert study.request_costs[0].usd_per_request == 0.0001
    assert study.tiers[0].survive[1].except_ == ("spare",)


def test_a_study_may_be_named_by_its_folder_and_survives_a_round_trip(tmp_path: Path) -> None:
    study, _ = read_study(write_study(tmp_path).parent)
    assert Study.model_validate_json(study.model_dump_json(by_alias=True)) == study


def test_byte_order_marks_carriage_returns_and_other_orders_of_rows_change_nothing(tmp_path: Path) -> None:
    plain, _ = read_study(write_study(tmp_path / "plain"))
    foreign = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in FILES.items()}
    assert read_study(write_study(tmp_path / "foreign", files=foreign))[0] == plain
    name = "inventory/alpha/offers.csv"
    header, *rows = FILES[name].splitlines(keepends=True)
    assert read_study(write_study(tmp_path / "turned", files={name: header + "".join(reversed(rows))}))[0] == plain


def test_only_what_the_considered_pools_need_is_kept(tmp_path: Path) -> None:
    narrow = {"pools": ["alpha/*"], "failures": [], "tiers": [{"name": "gold"}, {"name": "bulk"}]}
    study, _ = read_study(write_study(tmp_path, **narrow))
    assert [pool.id for pool in study.pools] == ["alpha/east-1/trn-16"]
    assert [machine.name for machine in study.machine_types] == ["trn-16"]
    assert {offer.pool for offer in study.offers} == {price.offer_id.partition(":")[0] for price in study.prices}
    assert [profile.name for profile in study.models[0].profiles] == ["trn"]
    assert study.request_costs == () and study.round_trips == ()
    edit = ("study.yaml", "near: alpha/east", "near: beta/far")
    study, _ = read_study(write_study(tmp_path, [edit]))
    assert [(row.from_region, row.to_region) for row in study.round_trips] == [("beta/far", "alpha/east")]
    assert [site.id for site in study.sites] == ["alpha/east-1", "beta/far-1", "beta/west-1"]


def test_round_trips_are_kept_that_can_stand_for_one_within_400_km(tmp_path: Path) -> None:
    sites, trips = FILES["inventory/sites.csv"], FILES["inventory/round_trips.csv"]
    rows = "beta,paris,paris-1,Paris,48.9,2.4,FR,,assumed,made up,2026\nbeta,oslo,oslo-1,Oslo,59.9,10.8,NO,,assumed,x,2026\n"
    near = "beta/paris,beta/west,70,assumed,made up,2026\nbeta/oslo,beta/west,90,assumed,made up,2026\n"
    files = {"inventory/sites.csv": sites + rows, "inventory/round_trips.csv": trips + near}
    study, _ = read_study(write_study(tmp_path, files=files))
    assert [row.from_region for row in study.round_trips] == ["alpha/east", "beta/paris"]
    assert [site.id for site in study.sites] == ["alpha/east-1", "beta/paris-1", "beta/west-1"]


def test_words_that_yaml_once_took_for_booleans_stay_text(tmp_path: Path) -> None:
    edits = [("study.yaml", "name: tokyo", "name: no"), ("demand.csv", "chat,tokyo", "chat,no")]
    edits += [("study.yaml", "name: bulk", "name: on"), ("study.yaml", "tier: bulk", "tier: on")]
    study, _ = read_study(write_study(tmp_path, edits))
    assert study.origins[1].name == "no" and study.tiers[1].name == "on"


# file, old, new, line (0: of the text that is replaced), field, and what expected, got and fix contain
BAD: dict[str, tuple[str, str, str, int, str, str, str, str]] = {
    # YAML
    "no boolean": ("study.yaml", "name: london", "name: true", 0, "origins[0].name", "text", "true", "quotes"),
    "1e3 as name": ("study.yaml", "name: london", "name: 1e3", 0, "origins[0].name", "text", "1000.0", "quotes"),
    "number in quotes": ("study.yaml", "months: 12", "months: '12'", 0, "horizon.months", "a number", "'12'", "no quotes"),
    "months nan": ("study.yaml", "months: 12", "months: .nan", 0, "horizon.months", "finite", "NaN", "length"),
    "months inf": ("study.yaml", "months: 12", "months: .inf", 0, "horizon.months", "finite", "Infinity", "length"),
    "months zero": ("study.yaml", "months: 12", "months: 0", 0, "horizon.months", "above 0", "0", "length"),
    "months null": ("study.yaml", "months: 12", "months: ~", 0, "horizon.months", "a number", "blank", "length"),
    "months list": ("study.yaml", "months: 12", "months: [1]", 0, "horizon.months", "a number", "[1]", "length"),
    "huge months": ("study.yaml", "months: 12", f"months: {'9' * 5000}", 0, "horizon.months", "finite", "Inf", "length"),
    "no date": ("study.yaml", "start: 2026-07-01", "start: 2026-02-30", 0, "horizon.start", "a date", "2026-02-30", "day"),
    "date as number": ("study.yaml", "today: 2026-01-01", "today: 20260101", 0, "today", "a date", "20260101", "day"),
    "fraction": ("study.yaml", "serve_fraction: 1.0", "serve_fraction: 1.1", 0, "tiers[0].survive[0].serve_fraction", "at most 1", "1.1", "share"),
    "negative": ("study.yaml", "months: 12", "months: -1", 0, "horizon.months", "above 0", "-1", "length"),
    "whole number": ("study.yaml", "machines: 4", "machines: 4.5", 0, "holdings[0].machines", "whole", "4.5", "how many"),
    "unknown field": ("study.yaml", "round_trip_ms: 400", "round_trip: 400", 0, "tiers[0].round_trip", "known field", "did you mean 'round_trip_ms'", "first_token_ms"),
    "unknown field of the study": ("study.yaml", "claims:", "claim:", 0, "claim", "known field", "did you mean 'claims'", "holdings"),
    "missing field": ("study.yaml", ", tier: gold", "", 0, "workloads[0].tier", "a value", "nothing", "add `tier`: class of service"),
    "missing section": ("study.yaml", "today: 2026-01-01\n", "", 1, "today", "a value", "nothing", "add `today`"),
    "literal": ("study.yaml", "quotas:", "offers: [spott]\n  quotas:", 0, "policies.offers[0]", "'spot'", "did you mean 'spot'", "kinds"),
    "record as text": ("study.yaml", "{start: 2026-07-01, months: 12}", "soon", 0, "horizon", "fields", "'soon'", "planned"),
    "list as text": ("study.yaml", "[inventory]", "inventory", 0, "inventories", "a list", "'inventory'", "folders"),
    "two ways to say a goal": ("study.yaml", "failure: quake", "failure: quake, any: site", 0, "tiers[0].survive[2]", "either", "{", "one"),
    "no place": ("study.yaml", "    latitude: 35.68\n", "", line_of("study.yaml", "name: tokyo"), "origins[1]", "latitude", "{", ""),
    "latitude": ("study.yaml", "35.68", "135.68", 0, "origins[1].latitude", "at most 90", "135.68", "degrees"),
    "bad needs": ("study.yaml", "{any_of: ['power:grid', 'power:spare']}", "{any_of: [{}]}", 0, "dependencies[0].needs.any_of[0]", "one of", "{}", ""),
    "two lengths": ("study.yaml", "months: 12}", "months: 12, quarters: 3}", 0, "horizon", "the periods add up to 9 months, the horizon is 12", "{", "leave months out"),
    "weights of hours": ("study.yaml", "months: 12}", "months: 12, hours: [{name: day, weight_fraction: 0.5}]}", 0, "horizon", "add up to 1, not 0.5", "{", "correct weight_fraction"),
    "no day to wait": ("study.yaml", "name: bulk", "name: bulk\n    deferrable_hours: 3", 0, "tiers[1]", "0 as deferrable_hours", "{", "write 24"),
    "schema version": ("study.yaml", "schema_version: 2", "schema_version: 3", 0, "schema_version", "one of 2", "3", "version"),
    "tab": ("study.yaml", "    near: alpha", "\tnear: alpha", 0, "", "YAML", "", "spaces"),
    "broken": ("study.yaml", "months: 12}", "months: 12", line_of("study.yaml", "detection"), "", "YAML", "", "quotes"),
    "duplicate key": ("study.yaml", "  - name: bulk", "  - name: bulk\n    name: bulk", 26, "tiers[1].name", "once", "lines 25 and 26", "remove"),
    "alias": ("study.yaml", "study: tiny", "study: &a tiny\nassumptions: [*a, *a]", 2, "", "written out", "*a", "repeat"),
    "tag": ("study.yaml", "study: tiny", "study: !!python/name:os.system x", 1, "", "plain", "python/name", "quotes"),
    "two documents": ("study.yaml", "study: tiny", "study: tiny\n---\nstudy: x", 3, "", "one document", "another", "own"),
    "list as key": ("study.yaml", "study: tiny", "study: tiny\n? [a, b]\n: 1", 2, "", "name of a field", "list", "value"),
    "deep": ("study.yaml", "study: tiny", "study: " + "[" * 50_000 + "]" * 50_000, 1, "", "levels", "more", "nest"),
    "control character": ("study.yaml", "study: tiny", "study: \x07", 1, "", "text", "\\x07", "remove"),
    # names
    "newline in a name": ("study.yaml", "study: tiny", 'study: "a\\nb"', 1, "study", "one line", "'a\\nb'", "remove"),
    "right to left": ("study.yaml", "study: tiny", 'study: "a\\u202eb"', 1, "study", "control", "u202e", "remove"),
    "blanks": ("study.yaml", "study: tiny", "study: ' tiny '", 1, "study", "without blanks", "' tiny '", "'tiny'"),
    "long name": ("study.yaml", "study: tiny", f"study: {'x' * 300}", 1, "study", "at most 200", "xxx...", "name"),
    "empty name": ("study.yaml", "study: tiny", "study: ''", 1, "study", "text", "blank", "name"),
    "kind with colon": ("study.yaml", "name: grid, kind: power", "name: grid, kind: 'a:b'", 0, "components[0].kind", "':'", "a:b", "power"),
    "built-in kind": ("study.yaml", "{name: grid, kind: power}", "{name: x, kind: site}", 0, "components[0].name", "component", "site:x", "alpha"),
    "origin twice": ("study.yaml", "name: tokyo", "name: london", 0, "origins[1]", "once", "study.yaml:11", "remove"),
    # references within the study
    "tier": ("study.yaml", "tier: gold", "tier: golt", 0, "workloads[0].tier", "a tier", "did you mean 'gold'", "bulk, gold"),
    "model": ("study.yaml", "model: small", "model: smal", 0, "workloads[0].model", "a model", "did you mean 'small'", "small"),
    "class": ("study.yaml", "context_class: short", "context_class: shrt", 0, "workloads[0].context_class", "class", "'short'", "short"),
    "class too short": ("study.yaml", "mean_input_tokens: 1000", "mean_input_tokens: 5000", 0, "workloads[0].context_class", "5200", "4096", "longer"),
    "near": ("study.yaml", "near: alpha/east", "near: alpha/eest", 0, "origins[0].near", "region", "'alpha/east'", "beta/far"),
    "kind of goal": ("study.yaml", "any: power", "any: powr", 0, "tiers[0].survive[1].any", "kind", "'power'", "region"),
    "except": ("study.yaml", "[spare]", "[spar]", 0, "tiers[0].survive[1].except[0]", "name of a power", "'spare'", "grid"),
    "more than there are": ("study.yaml", "any: provider", "any: provider, of: 3", 0, "tiers[0].survive[0].of", "at least 3", "2", "lower"),
    "failure of goal": ("study.yaml", "failure: quake", "failure: quak", 0, "tiers[0].survive[2].failure", "failure", "'quake'", "quake"),
    "deadline": ("study.yaml", "within_seconds: 60,", "within_seconds: 10,", 0, "tiers[0].survive[1].within_seconds", "more than 10 s", "10", "sooner"),
    "lost": ("study.yaml", "'site:beta/west-1': 1.0", "'site:beta/west': 1.0", 0, "failures[0].lost.site:beta/west", "component", "'site:beta/west-1'", "site:alpha/east-1"),
    "lost stack": ("study.yaml", "'stack:neuron': 0.5", "neuron: 0.5", 0, "failures[0].lost.neuron", "kind:name", "'stack:neuron'", "stack"),
    "dependency": ("study.yaml", "component: site:alpha/east-1", "component: site:alpha/east", 0, "dependencies[0].component", "component", "'site:alpha/east-1'", "site"),
    "needs": ("study.yaml", "'power:grid'", "'power:gridd'", 0, "dependencies[0].needs.any_of[0]", "component", "'power:grid'", "power:grid"),
    "circle": ("study.yaml", "['power:grid', 'power:spare']", "['pool:alpha/east-1/trn-16']", 0, "dependencies[0].needs", "circle", "needs site:alpha/east-1", "remove"),
    "needs itself": ("study.yaml", "'power:spare'", "'site:alpha/east-1'", 0, "dependencies[0].needs", "circle", "needs site:alpha", "remove"),
    "at least": ("study.yaml", "{any_of: ['power:grid', 'power:spare']}", "{all_of: [{at_least: 3, of: ['power:grid', 'power:spare']}]}", 0, "dependencies[0].needs.all_of[0].at_least", "at most 2", "3", "lower"),
    "end of time": ("study.yaml", "months: 12", "months: 1e300", 0, "horizon.months", "at most 1200", "1e+300", "length"),
    "share": ("study.yaml", "component: 'provider:alpha'", "component: 'provider:alfa'", 0, "policies.shares[0].component", "component", "'provider:alpha'", "provider:beta"),
    "pools": ("study.yaml", "demand: demand.csv", "demand: demand.csv\npools: ['alpha/east-1/trn-17', 'beta/*', 'alpha/*']", 9, "pools[0]", "pool", "did you mean 'alpha/east-1/trn-16'", "ids are"),
    "holding": ("study.yaml", "alpha/east-1/trn-16, machines: 4", "alpha/east-1/trn-1, machines: 4", 0, "holdings[0].pool", "pool", "'alpha/east-1/trn-16'", "write"),
    "claim": ("study.yaml", "alpha/east-1/trn-16, machines: 1,", "alpha/trn-16, machines: 1,", 0, "claims[0].pool", "pool", "'alpha/trn-16'", "write"),
    "claim above holding": ("study.yaml", "machines: 1,", "machines: 5,", 0, "claims[0].machines", "at most 4", "5", "lower"),
    "quota of nothing": ("study.yaml", "['alpha/*']", "['alpha/*', 'gamma/*']", 0, "policies.quotas[0].pools[1]", "pattern", "gamma", "ids are"),
    "quota unit": ("study.yaml", "unit: vcpu", "unit: vcpus", 0, "policies.quotas[0].unit", "quota_units", "'vcpu'", "machines, vcpu"),
    "holding above quota": ("study.yaml", "most: 1920", "most: 700", 0, "policies.quotas[0].most", "at least 768 vcpu", "700", "raise"),
    # folders and files that the study names
    "inventory": ("study.yaml", "[inventory]", "[inventry]", 0, "inventories[0]", "folder", "did you mean 'inventory'", "default"),
    "absolute": ("study.yaml", "[inventory]", "[inventory, /etc]", 0, "inventories[1]", "relative", "/etc", "relative"),
    "models": ("study.yaml", "[models]", "[modls]", 0, "models[0]", "folder", "did you mean 'models'", "default"),
    "demand elsewhere": ("study.yaml", "demand: demand.csv", "demand: ../demand.csv", 0, "demand", "within", "../demand.csv", "beside"),
    "costs elsewhere": ("study.yaml", "costs: request_costs", "costs: /request_costs", 0, "request_costs", "within", "/req", "beside"),
    # models
    "model list": ("models/small.yaml", "model: small\n", "- model: small\n- x: 1\n", 3, "", "YAML", "", "indent"),
    "model field": ("models/small.yaml", "kv_heads: 8", "kvheads: 8", 0, "facts.kvheads", "known", "'kv_heads'", "layers"),
    "until": ("models/small.yaml", "until: 2028-01-01", "until: soon", 0, "qualifications[1].until", "date", "'soon'", "last day"),
    "as_of": ("models/small.yaml", 'as_of: "2026"', "as_of: 2026", 0, "facts.as_of", "text", "2026", "quotes"),
    "as_of no month": ("models/small.yaml", 'as_of: "2026"', 'as_of: "2026-13"', 0, "facts.as_of", "2026-03", "2026-13", "year"),
    "as_of no day": ("models/small.yaml", 'as_of: "2026"', 'as_of: "2026-02-30"', 0, "facts.as_of", "month", "2026-02-30", ""),
    "as_of text": ("models/small.yaml", 'as_of: "2026"', "as_of: last year", 0, "facts.as_of", "2026-03", "last year", "year"),
    "class of a profile": ("models/small.yaml", "context_class: short", "context_class: long", 0, "profiles[0].classes[0].context_class", "class", "long", "short"),
    "class longer than the profile": ("models/small.yaml", "context_limit_tokens: 8192", "context_limit_tokens: 2048", line_of("models/small.yaml", "context_class"), "profiles[0].classes[0].context_class", "at most 2048", "4096", "raise"),
    "profile longer than the model": ("models/small.yaml", "context_limit_tokens: 8192", "context_limit_tokens: 65536", 0, "profiles[0].context_limit_tokens", "32768", "65536", "lower"),
    "spans machines": ("models/small.yaml", "accelerators_per_replica: 4", "accelerators_per_replica: 32", 0, "profiles[0].accelerators_per_replica", "at most 16", "32", "span"),
    "memory": ("models/small.yaml", "concurrency_limit: 64", "concurrency_limit: 512", 0, "profiles[1].concurrency_limit", "at most 72.0 GiB", "weights 16.0, cache 128.1 for 'batch'", "lower concurrency_limit to 223"),
    "profile twice": ("models/small.yaml", "name: gpu", "name: trn", 0, "profiles[1]", "once", "here and at", "remove"),
    "layers": ("models/small.yaml", "layers: 32", "layers: 32\n  full_attention_layers: 40", 6, "facts.full_attention_layers", "at most 32", "40", "correct"),
    "no profile": ("models/small.yaml", "profiles:", "profiles: []\nprofile:", 16, "profiles", "at least 1", "none", "serving"),
    "classes file": ("models/context_classes.yaml", "context_classes:", "classes:", 1, "classes", "known field", "did you mean 'context_classes'", "context_classes"),
    # inventory
    "machine types as text": ("inventory/machine_types.yaml", FILES["inventory/machine_types.yaml"], "machine_types: 5\n", 1, "machine_types", "a list", "5", "- "),
    "machine type twice": ("inventory/machine_types.yaml", "name: gpu-8", "name: trn-16", 0, "machine_types[1]", "once", ":2", "remove"),
    "machine type of a pool": ("inventory/beta/pools.csv", "gpu-8", "gpu-9", 0, "machine_type", "machine type", "did you mean 'gpu-8'", "trn-16"),
    "site of a pool": ("inventory/beta/pools.csv", "beta/west-1", "beta/west1", 0, "site", "site", "did you mean 'beta/west-1'", "alpha/east-1"),
    "pool of an offer": ("inventory/beta/offers.csv", "gpu-8,", "gpu8,", 0, "site", "pool", "did you mean 'beta/west-1/gpu-8'", "pools.csv"),
    "blank price": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,", 0, "price_usd_per_machine_hour", "a value", "a blank price", "list price"),
    "negative price": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,-25.5", 0, "price_usd_per_machine_hour", "at least 0", "-25.5", "list price"),
    "decimal comma": ("inventory/alpha/prices.csv", "yearly,25.5", 'yearly,"25,5"', 0, "price_usd_per_machine_hour", "a number", "'25,5'", "25.5"),
    "ragged by a decimal comma": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,25,5", 0, "", "7 cells", "8:", "decimal point"),
    "thousands": ("inventory/alpha/prices.csv", "yearly,25.5", 'yearly,"1,025.5"', 0, "price_usd_per_machine_hour", "a number", "1,025.5", "1025.5"),
    "thousands or decimals": ("inventory/alpha/prices.csv", "yearly,25.5", 'yearly,"1,025"', 0, "price_usd_per_machine_hour", "a number", "1,025", "or without the separator as 1025"),
    "currency": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,$25.5", 0, "price_usd_per_machine_hour", "a number", "$25.5", "currency"),
    "nan": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,NaN", 0, "price_usd_per_machine_hour", "finite", "NaN", "list price"),
    "inf": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,-inf", 0, "price_usd_per_machine_hour", "finite", "-Inf", "list price"),
    "overflow": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,1e999", 0, "price_usd_per_machine_hour", "finite", "Inf", "list price"),
    "underscore": ("inventory/alpha/prices.csv", "yearly,25.5", "yearly,1_000", 0, "price_usd_per_machine_hour", "a number", "1_000", "1000"),
    "offer kind": ("inventory/beta/offers.csv", "on_demand,on_demand", "on_demand,ondemand", 0, "kind", "one of", "did you mean 'on_demand'", "signed"),
    "price twice": ("inventory/alpha/prices.csv", "yearly,25.5", "on_demand,25.5", 0, "", "once", "prices.csv:2", "remove"),
    "short row": ("inventory/alpha/prices.csv", ",40,assumed,made up for a test,2026", ",40", 0, "", "7 cells", "4:", "one cell per column"),
    "coordinates": ("inventory/sites.csv", "51.5", "91.5", 0, "latitude", "at most 90", "91.5", "degrees"),
    # CSV as such
    "missing column": ("demand.csv", ",requests_per_second,", ",rps,", 1, "requests_per_second", "the column", "no such", "add `requests_per_second`"),
    "extra column": ("demand.csv", "high_requests_per_second", "hi_requests_per_second", 1, "hi_requests_per_second", "known column", "did you mean 'high_requests_per_second'", "workload,origin"),
    "column twice": ("demand.csv", "high_requests_per_second", "requests_per_second", 1, "", "once", "2 times", "remove"),
    "semicolons": ("demand.csv", FILES["demand.csv"], FILES["demand.csv"].replace(",", ";"), 1, "", "commas", ";", "commas"),
    "empty": ("demand.csv", FILES["demand.csv"], "", 1, "", "header", "empty", "workload,origin,requests_per_second"),
    "open quote": ("demand.csv", "batch,london", 'batch,"london', 4, "", "CSV", "unexpected end", "close"),
    "row twice": ("demand.csv", "batch,london", "chat,london", 0, "", "once", "'chat from london' here and at", "remove"),
    "workload of demand": ("demand.csv", "chat,tokyo", "chatt,tokyo", 0, "workload", "workload", "did you mean 'chat'", "batch, chat"),
    "origin of demand": ("demand.csv", "chat,tokyo", "chat,tokio", 0, "origin", "origin", "did you mean 'tokyo'", "london, tokyo"),
    "blank demand": ("demand.csv", "batch,london,3", "batch,london,", 0, "requests_per_second", "a value", "blank", "base case"),
    "site of costs": ("request_costs.csv", "beta/west-1", "beta/west-2", 0, "site", "site", "did you mean 'beta/west-1'", "alpha"),
    "origin of costs": ("request_costs.csv", "london", "londn", 0, "origin", "origin", "did you mean 'london'", "tokyo"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_every_bad_input_is_one_finding_with_place_expectation_and_cure(case: str, tmp_path: Path) -> None:
    file, old, new, line, field, expected, got, fix = BAD[case]
    reported = findings(write_study(tmp_path, [(file, old, new)]))
    line = line or FILES[file][: FILES[file].index(old)].count("\n") + 1
    where = f"{tmp_path / file}:{line}" + (f": {field}" if field else "")
    hits = [f for f in reported if f.where == where]
    errors = [f for f in reported if f.level == "error"]
    assert len(hits) == 1, f"not at {where}:\n" + "\n".join(map(str, reported))
    assert expected in hits[0].expected and got in hits[0].got and fix in hits[0].fix, str(hits[0])
    assert errors == hits or case in CASCADES, "\n".join(map(str, reported))
    assert all(str(f).count("\n") == 2 and str(f).isascii() for f in reported)


CASCADES = {
    *("missing column", "no profile", "model field"),
    *("at sign", "kind with colon", "built-in kind", "origin twice", "machine type twice", "price twice", "row twice"),
    *("machine type of a pool", "site of a pool", "pool of an offer"),
}
"""Cases that are two mistakes: a misspelt field is also missing, a renamed thing is referred to by its old name."""


# file, old, new; the file and line of the finding, its field, and what expected and got contain; level
ELSEWHERE: dict[str, tuple[Edit, str, int, str, str, str, str]] = {
    "no price": (
        ("inventory/alpha/prices.csv", FILES["inventory/alpha/prices.csv"].splitlines(keepends=True)[2], ""),
        *("inventory/alpha/offers.csv", 3, "offer", "a price", "none for 'alpha/east-1/trn-16:yearly'", "error"),
    ),
    "only a header": (
        ("demand.csv", FILES["demand.csv"], FILES["demand.csv"].splitlines()[0] + "\n"),
        *("study.yaml", 8, "demand", "some demand", "add up to 0", "error"),
    ),
    "no machines with the unit": (
        ("study.yaml", "['alpha/*']", "['alpha/*', 'beta/*']"),
        *("study.yaml", line_of("study.yaml", "unit: vcpu"), "policies.quotas[0].unit", "unit", "gpu-8", "warning"),
    ),
    "no demand": (
        ("demand.csv", "batch,london,3,\n", ""),
        *("study.yaml", line_of("study.yaml", "name: batch"), "workloads[1].name", "rows", "none for 'batch'", "warning"),
    ),
    "speck": (
        ("demand.csv", "chat,tokyo,5", "chat,tokyo,1e-6"),
        *("demand.csv", 3, "requests_per_second", "1.2e-05", "1e-06", "warning"),
    ),
    "price without offer": (
        ("inventory/alpha/offers.csv", FILES["inventory/alpha/offers.csv"].splitlines(keepends=True)[2], ""),
        *("inventory/alpha/prices.csv", 3, "offer", "terms", "trn-16:yearly", "warning"),
    ),
    "pool without offer": (
        ("inventory/beta/offers.csv", FILES["inventory/beta/offers.csv"].splitlines(keepends=True)[1], ""),
        *("inventory/beta/pools.csv", 2, "", "an offer or a holding", "beta/west-1/gpu-8", "warning"),
    ),
    "expired": (
        ("models/small.yaml", "until: 2028-01-01", "until: 2026-06-30"),
        *("models/small.yaml", 15, "qualifications[1].until", "2027-06-30", "2026-06-30", "warning"),
    ),
    "holding that ends": (
        ("study.yaml", "machines: 4}", "machines: 4, until: 2027-01-01}\n  - {pool: alpha/east-1/trn-16, machines: 1}"),
        *("study.yaml", line_of("study.yaml", "machines: 4"), "holdings[0].until", "2027-06-30", "2027-01-01", "warning"),
    ),
    "slip in a machine type": (
        ("models/small.yaml", "  - name: gpu\n    machine_type: gpu-8", "  - name: gpu\n    machine_type: trn-166"),
        *("models/small.yaml", line_of("models/small.yaml", "gpu-8"), "profiles[1].machine_type", "machine type", "'trn-16'", "warning"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_finding_stands_where_it_is_put_right(case: str, tmp_path: Path) -> None:
    edit, file, line, field, expected, got, level = ELSEWHERE[case]
    path = write_study(tmp_path, [edit])
    reported = read_study(path)[1] if level == "warning" else findings(path)
    where = f"{tmp_path / file}:{line}" + (f": {field}" if field else "")
    hits = [f for f in reported if f.where == where]
    assert len(hits) == 1, f"not at {where}:\n" + "\n".join(map(str, reported))
    assert expected in hits[0].expected and got in hits[0].got and hits[0].level == level, str(hits[0])


def test_all_findings_of_all_files_come_at_once(tmp_path: Path) -> None:
    edits = [
        ("study.yaml", "months: 12", "months: 0"),
        ("study.yaml", "round_trip_ms", "roundtrip_ms"),
        ("study.yaml", "tier: bulk", "tier: bulky"),
        ("demand.csv", "chat,tokyo", "chat,tokio"),
        ("models/small.yaml", "weights_gib: 16", "weights_gib: .nan"),
        ("inventory/alpha/prices.csv", "25.5", "25;5"),
        ("inventory/sites.csv", "40.7", "north"),
        ("inventory/machine_types.yaml", "accelerators: 8", "accelerators: 0"),
        ("request_costs.csv", "0.0001", "-1"),
    ]
    reported = findings(write_study(tmp_path, edits))
    assert {Path(f.where.partition(":")[0]).relative_to(tmp_path).as_posix() for f in reported} == {
        file for file, _, _ in edits
    }
    assert len(reported) == len(edits), "\n".join(map(str, reported))


def test_errors_come_before_warnings_and_both_are_raised(tmp_path: Path) -> None:
    edits = [("demand.csv", "batch,london,3,\n", ""), ("study.yaml", "most: 1920", "most: 1")]
    assert [f.level for f in findings(write_study(tmp_path, edits))] == ["error", "warning"]


def test_what_points_to_a_broken_thing_is_not_reported_as_well(tmp_path: Path) -> None:
    edits = [("study.yaml", "- name: gold\n", "- name: gold\n    nonsense: 1\n")]
    assert [f.where.rpartition(" ")[2] for f in findings(write_study(tmp_path, edits))] == ["tiers[0].nonsense"]
    files = {"models/small.yaml": "model: [", "inventory/alpha/pools.csv": "a,b\n"}
    reported = findings(write_study(tmp_path, files=files))
    assert {Path(f.where.split(":")[0]).name for f in reported} == {"small.yaml", "pools.csv"}, "\n".join(
        map(str, reported)
    )


def test_hostile_text_is_data_and_shown_on_one_line(tmp_path: Path) -> None:
    names = [
        "'; DROP TABLE x; --",
        "../../etc/passwd",
        "${HOME}",
        "[red]x[/red]",
        "<script>",
        "=1+1",
        "{{x}}",
        "a\u00e9\u4e16",
    ]
    origins = [{"name": name, "latitude": 1.0, "longitude": 2.0} for name in ["london", "tokyo", *names]]
    study, _ = read_study(write_study(tmp_path, origins=origins))
    assert [origin.name for origin in study.origins][2:] == names
    hostile = 'a"b\\n\\e[31m' + "x" * 300
    edits = [("study.yaml", "tier: gold", f'tier: "{hostile[4:]}"'), ("study.yaml", "lost: {", 'lost: {"x\\ny": 1.0, ')]
    for finding in findings(write_study(tmp_path, edits)):
        assert str(finding).count("\n") == 2 and str(finding).replace("\n", "").isprintable()
        assert max(len(finding.where), len(finding.got)) < 300


def test_fixed_weights_cannot_wait_for_the_night(tmp_path: Path) -> None:
    edits = [("study.yaml", "study: tiny", "study: tiny\nfailover: rescale")]
    edits.append(("study.yaml", "  - name: bulk", "  - name: bulk\n    deferrable_hours: 24"))
    (only,) = findings(write_study(tmp_path, edits))
    assert (only.where.rpartition(" ")[2], only.expected) == ("tiers[1].deferrable_hours", "0, with failover: rescale")


def test_ids_made_of_long_names_are_planned(tmp_path: Path) -> None:
    edits = [("study.yaml", f"{field}: quake", f"{field}: {'q' * 195}") for field in ("failure", "name")]
    study, _ = read_study(write_study(tmp_path, edits))
    plan = make_plan(study, Effort(gap_fraction=0.5))
    assert max(len(state.failure) for state in plan.states) > 200


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (only,) = findings(tmp_path)
    assert only.where.endswith("study.yaml") and only.got == "no such file"
    path = write_study(tmp_path / "a")
    assert "did you mean 'study.yaml'" in findings(path.with_name("studi.yaml"))[0].got
    path.with_name("demand.csv").unlink()
    os.mkfifo(path.with_name("demand.csv"))
    path.with_name("request_costs.csv").unlink()
    path.with_name("request_costs.csv").mkdir()
    reported = findings(path)
    assert [(f.expected, f.got) for f in reported] == [("a regular file", "something else"), ("a file", "a folder")]
    path = write_study(tmp_path / "b")
    opened = os.open

    def denied(path: Path, *more: int) -> int:
        if str(path).endswith("demand.csv"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    monkeypatch.setattr(os, "open", denied)
    (only,) = findings(path)
    assert only.got == "permission denied" and only.where.endswith("demand.csv")
    monkeypatch.undo()

    def closed(self: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    assert {f.where.rpartition(" ")[2] for f in findings(path)} >= {"inventories[0]", "models[0]"}


@pytest.mark.parametrize("path", ["x\0y", "x" * 5000, "a/" * 3000, "/dev/null", "."])
def test_no_path_ends_in_a_traceback(path: str) -> None:
    assert findings(Path(path))


@pytest.mark.parametrize("name", FILES)
def test_bytes_that_are_not_utf8_are_found_on_their_line(name: str, tmp_path: Path) -> None:
    lines = FILES[name].encode().splitlines(keepends=True)
    lines[1] = b"# caf\xe9\n" + lines[1]
    (only,) = findings(write_study(tmp_path, files={name: b"".join(lines)}))
    assert only.where == f"{tmp_path / name}:2" and only.got == "the byte 0xe9" and "UTF-8" in only.fix


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "[]", "- a\n- b\n", "5", "text", "true", "\ufeff"])
def test_a_study_that_is_no_mapping(text: str, tmp_path: Path) -> None:
    (only,) = findings(write_study(tmp_path, files={"study.yaml": text}))
    assert only.where == f"{tmp_path / 'study.yaml'}:1" and only.expected == "fields (name: value)"


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 30))
    (only,) = findings(write_study(tmp_path, files={"study.yaml": "l0: &l0 [x]\n" + levels}))
    assert only.where.endswith("study.yaml:2") and "alias" in only.got


def test_a_later_folder_counts_and_says_so(tmp_path: Path) -> None:
    rows = FILES["inventory/alpha/prices.csv"].replace(",25.5,", ",20,").splitlines(keepends=True)
    files = {"mine/alpha/prices.csv": rows[0] + rows[2]}
    study, warnings = read_study(write_study(tmp_path, files=files, inventories=["inventory", "mine"]))
    assert [price.price_usd_per_machine_hour for price in study.prices] == [40.0, 20.0, 60.0]
    assert len(warnings) == 1 and "a replacement for 'alpha/east-1/trn-16:yearly'" in warnings[0].got


def test_the_same_in_two_folders_of_an_inventory_is_an_error(tmp_path: Path) -> None:
    files = {"inventory/beta/prices.csv": FILES["inventory/alpha/prices.csv"]}
    reported = findings(write_study(tmp_path, files=files))
    assert sum("here and at" in f.got for f in reported) == 2


def test_an_empty_folder_is_no_inventory_and_no_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    reported = findings(write_study(tmp_path, inventories=["inventory", "empty"], models=["models", "empty"]))
    assert [f.where.rpartition(" ")[2] for f in reported] == ["inventories[1]", "models[1]"]


def test_a_model_may_be_named_by_its_file(tmp_path: Path) -> None:
    files = {"big.yaml": FILES["models/small.yaml"].replace("model: small", "model: big")}
    study, _ = read_study(write_study(tmp_path, files=files, models=["models", "big.yaml"]))
    assert [model.model for model in study.models] == ["small"]


FLEET = "workload,origin,pool,profile,replicas,weight\n"


def test_todays_fleet(tmp_path: Path) -> None:
    study, _ = read_study(write_study(tmp_path))
    path = tmp_path / "fleet.csv"
    path.write_text(
        FLEET + "chat,london,alpha/east-1/trn-16,small/trn,3,1\nchat,tokyo,alpha/east-1/trn-16,small/trn,3,2\n"
    )
    assert [row.weight for row in read_fleet(path, study)] == [1.0, 2.0]
    path.write_text(
        FLEET
        + "chat,london,alpha/east-1/trn-16,small/trn,3,1\nchat,tokyo,alpha/east-1/trn-16,small/trn,4,1\n"
        + "chatt,londn,alpha/east-1/trn-1,small/trm,3,1\nchat,london,beta/west-1/gpu-8,small/gpu,-1,\n"
    )
    with pytest.raises(InputError) as caught:
        read_fleet(path, study)
    assert [f.where.removeprefix(f"{path}:") for f in caught.value.findings] == [
        *("5: weight", "3: replicas", "4: workload", "4: origin", "4: pool", "4: profile")
    ]
    with pytest.raises(InputError):
        read_fleet(tmp_path / "none.csv", study)


def test_memory_of_a_replica_by_hand() -> None:
    facts = ModelFacts(
        parameters=1e9, active_parameters=1e9, layers=4, query_heads=8, kv_heads=2, head_dimension=64,
        context_limit_tokens=4096, evidence="assumed", source="test", as_of="2026",
    )  # fmt: skip
    profile = Profile.model_construct(
        weights_gib=1.0,
        concurrency_limit=1024,
        kv_bytes_per_value=2.0,
        accelerators_per_replica=2,
        tensor_parallel_ranks=None,
    )
    # key and value x 2 heads x 64 x 2 bytes = 512 bytes a layer and token; x 4 layers x 512 tokens x 1024 requests = 1 GiB
    assert memory_needed_gib(facts, profile, 512) == 2.0
    assert memory_needed_gib(facts, profile.model_copy(update={"tensor_parallel_ranks": 8}), 512) == 5.0
    windowed = facts.model_copy(update={"full_attention_layers": 2, "windowed_attention_tokens": 128})
    assert memory_needed_gib(windowed, profile, 512) == 1.0 + (2 * 512 + 2 * 128) / (4 * 512)
    latent = facts.model_copy(update={"kv_latent_dimension": 128})
    assert memory_needed_gib(latent, profile, 512) == 2.0  # 128 x 2 bytes x 2 ranks = 512 bytes


def long_outputs(folder: Path, *edits: tuple[str, str]) -> Path:
    """The quickstart with requests three times as long, which several profiles that ship do not hold."""
    shutil.copytree(ROOT / "examples" / "quickstart", folder)
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    longer = ("mean_input_tokens: 12035, mean_output_tokens: 343", "mean_input_tokens: 35000, mean_output_tokens: 1000")
    for old, new in (longer, *edits):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_shipped_profile_that_does_not_fit_is_a_missing_edge(tmp_path: Path) -> None:
    study, warnings = read_study(long_outputs(tmp_path / "study"))
    assert warnings == []
    p = build(study)
    missing = {e.partition("@")[0] for (w, _, e), why in p.why_not.items() if w == "long" and why == WHY_NOT["memory"]}
    assert "gpt-oss-120b/p5-mxfp4-tp2-128k" in missing and "gpt-oss-120b/trn1-bf16-tp32-128k" not in missing
    served = {e.partition("@")[0] for (w, _), edges in p.edges.items() if w == "long" for e in edges}
    assert served and not served & missing
    # the others are as they were
    assert {w for (w, _, _), why in p.why_not.items() if why == WHY_NOT["memory"]} == {"long"}
    report = CliRunner().invoke(app, ["check", str(tmp_path / "study")])
    assert report.exit_code == 0 and re.search(r"long .*memory \d+", report.stdout), report.stdout
    # the drill finds the same by its own arithmetic
    instance = build_instance(study)
    for (w, o), i in instance.flows.items():
        for e, n in instance.placements.items():
            assert instance.in_failure[i, n] == (e in p.edges_in_failure[w, o]), (w, o, e)


def test_memory_by_two_ways_that_share_no_code(tmp_path: Path) -> None:
    study, _ = read_study(ROOT / "examples" / "quickstart")
    seen = set()
    study = study.model_copy(
        update={"models": tuple(read_models().values()), "machine_types": tuple(MACHINES.values())}
    )
    for model in study.models:
        for profile, times in itertools.product(model.profiles, (1, 4, 16, 64)):
            w = study.workloads[0].model_copy(update={"mean_input_tokens": 500.0 * times, "mean_output_tokens": 100.0})
            ours = holds_in_memory(model.facts, profile, MACHINES[profile.machine_type], w)
            assert in_memory(study, w, model, profile) == ours, (model.model, profile.name, times)
            seen.add(ours)
    assert seen == {False, True}


def test_naming_a_profile_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    folder = long_outputs(tmp_path / "study")
    fleet = folder / "fleet_today.csv"
    row = "long,new-york,aws/us-east-1/p5.48xlarge,gpt-oss-120b/p5-mxfp4-tp2-128k,2,1\n"
    fleet.write_text(FLEET + row, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_fleet(fleet, read_study(folder)[0])
    (reported,) = caught.value.findings
    assert reported.where == f"{fleet}:2: profile" and "64 requests of 'long' in 134.1 GiB" in reported.expected
    assert "139.1 GiB" in reported.got and "concurrency_limit" in reported.fix
    # a failure that names it
    id = "placement:gpt-oss-120b/p5-mxfp4-tp2-128k@aws/us-east-1/p5.48xlarge"
    failures = f"failures:\n- {{name: one, failures_per_year: 1, lost: {{'{id}': 1.0}}}}\n\nassumptions:"
    named = long_outputs(tmp_path / "named", ("assumptions:", failures))
    (reported,) = [f for f in findings(named / "study.yaml") if f.level == "error"]
    assert reported.where.endswith(f"failures[0].lost.{id}") and "139.1 GiB" in reported.got


def test_ones_own_profile_that_fits_some_requests_is_said_and_serves_those(tmp_path: Path) -> None:
    """64 in flight fit for both workloads, 300 for chat only, 512 for neither."""
    edit = ("models/small.yaml", "concurrency_limit: 64", "concurrency_limit: 300")
    study, reported = read_study(write_study(tmp_path, [edit]))
    (said,) = [f for f in reported if "concurrency_limit" in f.where]
    assert said.level == "warning" and "for 'batch'" in said.got and "serves only chat" in said.fix
    why_not = build(study).why_not
    assert {w for (w, _, e), why in why_not.items() if why == WHY_NOT["memory"] and "/gpu@" in e} == {"batch"}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    start=st.floats(0, 1),
    length=st.integers(0, 60),
    new=st.one_of(
        st.binary(max_size=20), st.sampled_from([b"", b"[", b"{", b"}", b": ", b",", b'"', b"-", b"\n", b"nan"])
    ),
)
def test_whatever_is_written_the_reader_answers_with_findings(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: float, length: int, new: bytes
) -> None:
    folder = tmp_path_factory.mktemp("study")
    raw = FILES[name].encode()
    at = int(start * len(raw))
    try:
        read_study(write_study(folder, files={name: raw[:at] + new + raw[at + length :]}))
    except InputError as error:
        assert error.findings
    finally:
        shutil.rmtree(folder)


def test_the_reader_finds_the_data_that_ships() -> None:
    assert (data_folder("inventories") / "machine_types.yaml").is_file()
    assert (data_folder("models") / "context_classes.yaml").is_file()


def test_the_quickstart_is_valid() -> None:
    folder = ROOT / "examples" / "quickstart"
    study, warnings = read_study(folder)
    assert study.pools and not warnings
    assert read_fleet(folder / "fleet_today.csv", study)


def test_a_component_that_nothing_needs_is_a_finding(tmp_path: Path) -> None:
    """Its loss and its limit would change nothing: what is missing is the dependency."""
    grid = "- {name: grid, kind: power}"
    idle = "  - {name: north, kind: gateway, most_requests_per_second: 10}\n  - {name: mains, kind: power}"
    _, warnings = read_study(write_study(tmp_path, [("study.yaml", grid, f"{grid}\n{idle}")]))
    got = [(w.expected, w.got, w.level) for w in warnings if "something that needs" in w.expected]
    assert got == [(f"something that needs {id}", "nothing", "warning") for id in ("gateway:north", "power:mains")]
