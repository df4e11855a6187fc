"""`planner list`, by hand: speeds, prices of tokens, quotas, and what a filter leaves."""

import csv
import io
import json

import pytest
from helpers import write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.review.listing import LISTINGS, Asked, list_things, of_study, shipped
from planner.review.render import render
from planner.review.report_file import ReportFile
from planner.study.outages import read_outages
from planner.study.read import catalogue_of_outages, read_study


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def has(path):
    return of_study(read_study(path)[0])


def rows(what, has, *words, **asked):
    (section,) = list_things(what, has, Asked(words, **asked), "here").sections
    return section.rows


def test_speed_and_price_of_a_profile(has):
    gpu, trn = rows("profiles", has, "chat")
    assert (gpu.profile, trn.profile) == ("small/gpu", "small/trn"), "the cheapest first"
    assert trn.requests_per_second == pytest.approx(1 / (1000 / 20000 + 200 / 2000))
    assert trn.tokens_per_second == pytest.approx(1200 / 0.15)
    # a quarter of a machine at 25.5 USD/h, 0.15 s a request of 1,200 tokens
    assert trn.usd_per_million_tokens == pytest.approx(25.5 / 4 * 0.15 / 3600 / 1200 * 1e6)
    assert (trn.cheapest_offer, trn.cheapest_kind) == ("alpha/east-1/trn-16:yearly", "commitment")
    assert gpu.usd_per_million_tokens == pytest.approx(60 / 8 * 0.1 / 3600 / 1200 * 1e6)
    (trn,) = rows("profiles", has, "chat", "trn", kinds=("on_demand",))
    assert trn.usd_per_million_tokens == pytest.approx(40 / 4 * 0.15 / 3600 / 1200 * 1e6)
    assert (
        not rows("profiles", has, "chat", "spot") and rows("profiles", has, kinds=("spot",))[0].cheapest_offer is None
    )


def test_pools_offers_stacks_and_models(has):
    beta, alpha = sorted(rows("pools", has), key=lambda row: row.pool, reverse=True)
    assert (alpha.quota, alpha.quota_machines, alpha.offers) == (("1920 vcpu",), 10.0, ("on_demand", "yearly"))
    assert (alpha.least_usd_per_machine_hour, alpha.models) == (25.5, ("small",)) and beta.quota_machines is None
    yearly = rows("offers", has, "yearly")[0]
    assert (yearly.usd_per_machine_hour, yearly.term_months, yearly.most_machines) == (25.5, 12.0, 50.0)
    assert (yearly.currency, yearly.as_of, yearly.evidence) == ("USD", "2026", "assumed")
    assert [row.offer for row in rows("offers", has, kinds=("commitment",))] == ["alpha/east-1/trn-16:yearly"]
    cuda, neuron = rows("stacks", has)
    assert (cuda.stack, str(cuda.until), cuda.profiles) == ("cuda", "2028-01-01", 1) and neuron.machine_types == (
        "trn-16",
    )
    (model,) = rows("models", has)
    assert (model.providers, model.stacks, model.profiles) == (("alpha", "beta"), ("neuron", "cuda"), 2)


def test_a_filter_takes_words_patterns_providers_and_models(has):
    assert [row.pool for row in rows("pools", has, "TRN")] == ["alpha/east-1/trn-16"]
    assert [row.pool for row in rows("pools", has, "beta/*")] == ["beta/west-1/gpu-8"]
    assert not rows("pools", has, "trn", "beta"), "every word must fit"
    assert {row.provider for row in rows("profiles", has, providers=("alph*",))} == {"alpha"}
    assert not rows("profiles", has, models=("large",)) and len(rows("profiles", has, models=("small",))) == 4
    report = list_things("pools", has, Asked(("nowhere",)), "here")
    assert not report.good and "alpha/east-1/trn-16" in report.sections[0].lines[-1]


def test_what_ships_is_listed_with_evidence_in_full():
    has = shipped()
    for what in LISTINGS:
        listed = rows(what, has)
        ReportFile.model_validate(json.loads(render(list_things(what, has, Asked(), "that ship"), "json")))
        assert listed and all(row.source for row in listed if getattr(row, "evidence", None))
    assert {row.outage for row in rows("outages", None)} == set(read_outages([catalogue_of_outages()]))
    quick = rows("profiles", has, "h100", models=("llama-3.3-70b",), kinds=("on_demand",))
    assert [row.work for row in quick] == ["short", "short"] and quick[0].input_tokens == 1155


def test_the_command_in_every_format(path):
    def call(*words):
        return CliRunner().invoke(app, ["list", *map(str, words)])

    result = call("profiles", "chat", "--study", path, "--format", "csv")
    first = next(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 0 and first["source"] == "made up for a test" and float(first["req/s"]) == 10
    assert (
        json.loads(call("offers", "yearly", "--study", path, "--json").stdout)["sections"]["offers"][0]["kind"]
        == "commitment"
    )
    assert "machines" in call("pools", "--study", path).stdout and call("pools", "nowhere").exit_code == 1
    assert call("pools", "--kind", "spot").exit_code == 2 and call("offers", "--model", "x").exit_code == 2
