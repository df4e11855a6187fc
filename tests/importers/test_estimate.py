"""The estimator: its formula, its constants against measured rows, the profiles made with it, the page about it."""

import csv
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from planner.cli.estimating import errors_text, estimate, profile_of, refitted_text
from planner.errors import InputError
from planner.importers.catalogue import read_models
from planner.importers.estimate import (
    Serving,
    cache_gib,
    estimate_point,
    kind_of,
    most_that_fit,
    per_token_ms,
    shipped,
    terms,
    token_flops,
    weights_read_fraction,
)
from planner.importers.measured import (
    COLUMNS,
    Reason,
    memory_of_chips,
    rates_of_two,
    read_rows,
    usable_rows,
)
from planner.importers.refit import refit, solve
from planner.study.memory import MEMORY_FRACTION, memory_needed_gib
from planner.study.places import Reading
from planner.study.read import data_folder
from planner.study.records.inventory import MachineType
from planner.study.records.serving import ModelFacts
from planner.study.tables import read_list

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).parents[3] / "shared" / "data" / "throughput.csv"
MEASURED = ROOT / "models" / "evidence" / "measured.csv"
MODELS = read_models()
ESTIMATOR = shipped()
MACHINES = {m.name: m for m, _ in read_list(MachineType, data_folder("inventories") / "machine_types.yaml", Reading())}
needs_table = pytest.mark.skipif(not TABLE.exists(), reason="the table of measured rows is not beside the project")
NEW_MODELS = ("llama-3.1-405b", "qwen3-235b-a22b", "deepseek-r1")


def serving(model: str, chip: str, chips: int, precision: str, shape: tuple[float, float], at_once: int) -> Serving:
    facts = MODELS[model].facts
    weights = ESTIMATOR.weights_gib(facts, precision)
    return Serving(facts, ESTIMATOR.chip(chip), chips, precision, weights, *shape, at_once)


# the formula


def test_heads_are_replicated_where_there_are_more_ranks_than_heads():
    one = serving("llama-3.3-70b", "Trainium2", 2, "bf16", (1000, 100), 1)
    assert cache_gib(one, 1024) == pytest.approx(2 * 80 * 8 * 128 * 2 * 1024 / 2**30)
    more = replace(one, chips=8)  # 32 ranks, 8 heads: four times
    assert cache_gib(more, 1024) == pytest.approx(4 * cache_gib(one, 1024))


def test_every_rank_holds_the_latent():
    one = serving("deepseek-r1", "H200-SXM-141GB", 1, "fp8", (1000, 100), 1)
    assert cache_gib(one, 1000) == pytest.approx(61 * 576 * 2 * 1000 / 2**30)
    assert cache_gib(replace(one, chips=8), 1000) == pytest.approx(8 * cache_gib(one, 1000))


def test_windowed_layers_neither_read_nor_hold_more_than_their_window():
    facts = MODELS["gpt-oss-120b"].facts
    one = serving("gpt-oss-120b", "H200-SXM-141GB", 1, "mxfp4", (8192, 100), 1)
    assert cache_gib(one, 8192) == pytest.approx(2 * 8 * 64 * 2 * (18 * 8192 + 18 * 128) / 2**30)
    assert token_flops(facts, 8192) == 2 * facts.active_parameters + 4 * 64 * 64 * (18 * 4096 + 18 * 128)


def test_experts_read_grow_from_the_active_ones_to_all():
    facts = MODELS["deepseek-r1"].facts
    assert weights_read_fraction(facts, 1) == pytest.approx(facts.active_parameters / facts.parameters)
    read = [weights_read_fraction(facts, n) for n in (1, 2, 8, 64, 512)]
    assert read == sorted(read) and read[-1] == pytest.approx(1.0, abs=1e-3)
    assert weights_read_fraction(MODELS["llama-3.3-70b"].facts, 1) == 1.0


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("at_once", [1, 8, 64])
def test_time_per_request_is_that_of_its_tokens(model, at_once):
    case = serving(model, "B200-SXM-180GB", 8, "fp8", (1155, 211), at_once)
    point = estimate_point(case, ESTIMATOR.fit("B200-SXM-180GB", kind_of(case.facts)), ESTIMATOR)
    by_rates = 1155 / point.prefill_tokens_per_second + 211 / point.decode_tokens_per_second
    assert by_rates == pytest.approx(point.request_seconds)
    closed_loop = (point.first_token_ms + 210 * point.per_token_ms) / 1000 / at_once
    assert closed_loop >= point.request_seconds * (1 - 1e-9)


def test_more_in_flight_is_slower_for_each_and_faster_for_all():
    fit = ESTIMATOR.fit("H100-SXM-80GB", "dense")
    points = [
        estimate_point(serving("llama-3.3-70b", "H100-SXM-80GB", 4, "fp8", (1155, 211), n), fit, ESTIMATOR)
        for n in (1, 2, 8, 32, 64)
    ]
    for one, more in pairwise(points):
        assert more.first_token_ms > one.first_token_ms and more.per_token_ms > one.per_token_ms
        assert more.request_seconds < one.request_seconds


def test_the_band_is_wide_for_long_prompts():
    fit = ESTIMATOR.fit("H100-SXM-80GB", "dense")
    near, far = (
        estimate_point(serving("llama-3.3-70b", "H100-SXM-80GB", 4, "fp8", shape, 8), fit, ESTIMATOR)
        for shape in ((1155, 211), (12035, 343))
    )
    assert (near.low_factor, near.high_factor) == (0.7, 1.3)
    assert (far.low_factor, far.high_factor) == (0.5, 2.0)


def test_two_rows_that_contradict_each_other_give_no_rates():
    assert rates_of_two((1000, 1000, 0.6), (8000, 1000, 0.5)) is None
    assert rates_of_two((1000, 1000, 0.1), (2000, 1000, 0.3)) is None


def test_every_chip_of_the_inventory_has_figures_and_both_fits():
    for machine in MACHINES.values():
        chip = ESTIMATOR.chip(machine.accelerator)
        assert chip.precisions and set(chip.precisions) <= set(chip.peak_tflops) & set(ESTIMATOR.bytes_per_parameter)
        for kind in ("dense", "sparse"):
            ESTIMATOR.fit(machine.accelerator, kind)
    with pytest.raises(InputError, match="did you mean 'H100-SXM-80GB'"):
        ESTIMATOR.chip("H100-SXM-80G")


# the fit


def synthetic(fit, noise=0.0):
    """Rows that the formula itself makes with the fit's constants."""
    rows = []
    for chips in (1, 2, 4, 8):
        for shape in ((1024, 128), (1024, 1024), (8192, 128)):
            for at_once in (4, 16, 64):
                case = serving("qwen3-32b", "B200-SXM-180GB", chips, "fp8", shape, at_once)
                at = (fit.prefill_fraction, fit.chips_exponent, fit.layer_us, ESTIMATOR.bandwidth_fraction)
                first, step = terms(case).times(*at)
                wobble = 1 + noise * (-1) ** len(rows)
                first_ms, step_ms = (1000 * at_once * float(first) * wobble, 1000 * float(step) * wobble)
                per_token = step_ms * shape[1] / (shape[1] - 1)
                rows.append(
                    {"model": "qwen3-32b", "accelerator": "B200-SXM-180GB", "chips": str(chips), "precision": "fp8"}
                    | {"input_len": str(shape[0]), "output_len": str(shape[1]), "concurrency": str(at_once)}
                    | {"ttft_ms": repr(first_ms), "tpot_ms": repr(per_token), "note": "", "source": ""}
                )
    return rows


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_constants_that_made_the_rows_are_found(noise):
    truth = ESTIMATOR.fit("B200-SXM-180GB", "dense").model_copy(
        update={"prefill_fraction": 0.4, "chips_exponent": 0.1, "layer_us": 40.0}
    )
    start = truth.model_copy(update={"prefill_fraction": 0.8, "chips_exponent": 0.3, "layer_us": 100.0})
    rows, excluded = usable_rows(synthetic(truth, noise), ESTIMATOR, MODELS, memory_of_chips())
    assert len(rows) + sum(excluded.values()) == 36 and len(rows) > 20
    fitted = solve(start, rows, ESTIMATOR)
    for name in truth.fitted:
        assert getattr(fitted, name) == pytest.approx(getattr(truth, name), rel=0.002 + 3 * noise)


def test_one_row_for_each_reason():
    good = {
        "model": "meta-llama/Llama-3.1-70B",
        "accelerator": "H100-SXM-80GB",
        "chips": "4",
        "precision": "fp8",
        "input_len": "1024",
        "output_len": "1024",
        "concurrency": "32",
        "ttft_ms": "500",
        "tpot_ms": "20",
        "note": "",
        "source": "no speculative decoding",
    }
    bad = [
        {"tput_kind": "measured_max_load"},
        {"chips": ""},
        {"model": "somebody/else"},
        {"precision": "fp4"},
        {"note": "fused speculative decoding"},
        {"concurrency": "4000"},
        {"ttft_ms": "1", "tpot_ms": "0.001"},
        {"concurrency": "1"},
        {"ttft_ms": "90000"},
        {},
    ]
    rows, excluded = usable_rows([good, *({**good, **b} for b in bad)], ESTIMATOR, MODELS, memory_of_chips())
    assert len(rows) == 1
    assert excluded == dict.fromkeys(Reason, 1)


@needs_table
def test_the_constants_that_ship_are_what_the_table_gives():
    made = refit(TABLE, ESTIMATOR)
    assert refitted_text(made) == (data_folder("models") / "evidence" / "estimator.yaml").read_text(encoding="utf-8")


PUBLISHED_FIT = {  # an earlier fit of the same formula to the same rows: p10, p50, p90 of predicted over measured
    ("hopper-dense", "H100-SXM-80GB"): (0.77, 0.98, 1.17),
    ("hopper-dense", "H200-SXM-141GB"): (1.04, 1.21, 1.42),
    ("hopper-sparse", "all"): (0.72, 1.03, 1.24),
    ("b200-dense", "B200-SXM-180GB"): (0.87, 1.01, 1.20),
    ("b200-sparse", "B200-SXM-180GB"): (0.73, 1.04, 1.35),
    ("mi300x-dense", "MI300X"): (0.80, 1.02, 1.28),
}


@needs_table
def test_errors_are_no_larger_than_of_the_earlier_fit():
    made = refit(TABLE, ESTIMATOR)
    of_all = {(e.fit, e.accelerator): e for e in made.errors if e.model == "all"}
    for key, (low, middle, high) in PUBLISHED_FIT.items():
        p10, p50, p90 = of_all[key].all_rows
        assert p90 / p10 <= high / low * 1.03, key  # figures are to two places
        assert abs(p50 - 1) <= max(abs(middle - 1), 0.03) + 0.005, key
    held_out: list[float] = [e.held_out[1] for e in made.errors if e.held_out and e.model != "all" and e.rows >= 40]
    assert min(held_out) >= 0.72 and max(held_out) <= 1.41
    for fit in made.estimator.fits:
        if fit.rows >= 20:
            of_fit = of_all.get((fit.name, "all")) or of_all[fit.name, fit.chips[0]]
            assert fit.low_factor <= of_fit.all_rows[0] + 0.005 and of_fit.all_rows[2] <= fit.high_factor + 0.005


# what ships


def page_tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_page_shows_the_constants_and_errors_that_ship():
    shipped_text = (data_folder("models") / "evidence" / "estimator.yaml").read_text(encoding="utf-8")
    stated = [line.removeprefix("# ") for line in shipped_text.splitlines() if line.startswith("# |")]
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in stated if line not in page] == []
    for fit in ESTIMATOR.fits:
        row = next(line for line in stated if line.startswith(f"| {fit.name} |"))
        constants = f"| {fit.prefill_fraction:g} | {fit.chips_exponent:g} | {fit.layer_us:g} |"
        assert constants in row


@needs_table
def test_the_page_shows_what_the_committed_constants_give():
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page_tables(errors_text(refit(TABLE, ESTIMATOR))) if line not in page] == []


def measured_rows() -> list[dict[str, str]]:
    with MEASURED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", measured_rows(), ids=lambda row: row["source"].split("id=")[-1])
def test_a_measured_profile_takes_the_time_that_was_measured(row):
    within_a_hundredth = []
    for profile in MODELS[row["model"]].profiles:
        if profile.machine_type not in row["machine_types"].split(";"):
            continue
        for point in profile.classes:
            named = row["source"].split("id=")[-1]
            rows = re.search(r"rows (\S+)\{(\S+), (\S+)\}", point.source)
            if not rows or named not in (rows[1] + rows[2], rows[1] + rows[3]):
                continue
            assert profile.concurrency_limit == int(row["concurrency"])
            i, o = float(row["input_len"]), float(row["output_len"])
            seconds = (float(row["ttft_ms"]) + (o - 1) * float(row["tpot_ms"])) / 1000 / float(row["concurrency"])
            by_rates = i / point.prefill_tokens_per_second + o / point.decode_tokens_per_second
            within_a_hundredth.append(abs(by_rates / seconds - 1) < 0.01)
    assert within_a_hundredth and all(within_a_hundredth)


PER_TOKEN_TOLERANCE = 0.005
"""What a stated time per token may miss that of the rates by: figures are stated to three or four digits."""
SHAPE = re.compile(r"([\d,]+) \+ (\d+)(?: tokens|;)")
"""Input and output of the requests for which a source states its times."""


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_stated_time_per_token_is_that_of_the_rates(name):
    """A request in flight takes first token + (output - 1) x per token: by the rates, in every profile that ships."""
    shapes: dict[str, set[tuple[float, float]]] = {}
    for profile in MODELS[name].profiles:
        for point in profile.classes:
            shape = SHAPE.search(point.source)
            assert shape, f"{profile.name}, {point.context_class}: {point.source} states no input + output"
            i, o = float(shape[1].replace(",", "")), float(shape[2])
            shapes.setdefault(point.context_class, set()).add((i, o))
            seconds = i / point.prefill_tokens_per_second + o / point.decode_tokens_per_second
            step_ms = profile.concurrency_limit / point.decode_tokens_per_second * 1000
            by_rates_ms = per_token_ms(seconds, profile.concurrency_limit, point.first_token_ms, o, step_ms)
            assert point.per_token_ms == pytest.approx(by_rates_ms, rel=PER_TOKEN_TOLERANCE), profile.name
    # one length of requests per class, or two figures of one model could not be compared
    assert all(len(of_class) == 1 for of_class in shapes.values()), shapes


@pytest.mark.parametrize("name", sorted(MODELS))
def test_weights_and_load_times_are_what_their_sources_say(name):
    """Parameters x bytes in GiB; at 1 GiB/s, and the start of an engine of that stack with that kind of model."""
    for profile in MODELS[name].profiles:
        weights = ESTIMATOR.weights_gib(MODELS[name].facts, profile.precision)
        assert profile.weights_gib == pytest.approx(weights, abs=0.06), profile.name
        start = ESTIMATOR.engine_start(profile.stack, kind_of(MODELS[name].facts))
        assert profile.load_seconds == pytest.approx(weights + start.start_seconds, abs=1.0), profile.name
        assert profile.load_evidence.endswith(f" + {start.start_seconds:g} s {start.start_evidence}"), profile.name
        stated = profile.engine_start_seconds, profile.compile_seconds, profile.compile_evidence
        assert stated == (start.start_seconds, start.compile_seconds, start.compile_evidence), profile.name


def test_starts_of_engines_follow_from_public_runs():
    """Each figure from the row of engine_starts.csv that it is taken from; ROCm's warm start has none and says so."""
    with (data_folder("models") / "evidence" / "engine_starts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seconds = {(row["stack"], row["model"], row["caches"]): float(row["seconds"]) for row in rows}
    assert all(row["source"] and row["as_of"] <= "2026-11" for row in rows) and len(seconds) == len(rows)
    cold, warm = "Llama 70B fp8", "Qwen3 30B-A3B fp8"
    built_s = seconds["cuda", warm, "cold"] - seconds["cuda", warm, "kernels built before"]
    of = {(s.stack, s.kind): s for s in ESTIMATOR.engine_starts}
    dense, sparse = of["cuda", "dense"], of["cuda", "sparse"]
    assert dense.start_seconds + dense.compile_seconds == seconds["cuda", cold, "cold"]
    assert seconds["cuda", warm, "kernels built before"] - 9.5 < sparse.start_seconds == dense.start_seconds
    assert sparse.compile_seconds == built_s
    # a 32B starts sooner, a 70B of another run as late: the figures are on the safe side
    assert seconds["cuda", "Qwen3 32B", "warm"] < seconds["cuda", "a 70B model", "warm"] <= dense.start_seconds
    for kind in ("dense", "sparse"):
        rocm, tpu, neuron = of["rocm", kind], of["xla-tpu", kind], of["neuron", kind]
        assert rocm.start_seconds == of["cuda", kind].start_seconds and "no public figure" in rocm.start_evidence
        aiter_s = seconds["rocm", "models with AITER kernels", "cold"]
        assert rocm.compile_seconds == of["cuda", kind].compile_seconds + aiter_s
        assert tpu.start_seconds + tpu.compile_seconds == seconds["xla-tpu", "not stated", "cold"]
        assert neuron.start_seconds == pytest.approx(seconds["neuron", "Qwen3 8B", "warm"], abs=0.5)
        assert neuron.start_seconds + neuron.compile_seconds == seconds["neuron", "Llama 2 70B", "cold"]


KNOWN_STACKS = {  # how it is known that a model runs on a stack: what was found of public runs by 2026-11
    "deepseek-r1": {"neuron": "published", "xla-tpu": "assumed", "cuda": "measured", "rocm": "published"},
    "gpt-oss-120b": {"neuron": "published", "xla-tpu": "published", "cuda": "measured", "rocm": "published"},
    "llama-3.1-405b": {"neuron": "published", "xla-tpu": "assumed", "cuda": "published", "rocm": "published"},
    "llama-3.3-70b": {"neuron": "published", "xla-tpu": "published", "cuda": "measured", "rocm": "published"},
    "qwen3-235b-a22b": {"neuron": "published", "xla-tpu": "assumed", "cuda": "measured", "rocm": "published"},
    "qwen3-32b": {"neuron": "published", "xla-tpu": "published", "cuda": "measured", "rocm": "assumed"},
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_qualification_is_assumed_only_where_no_public_run_was_found(name):
    assert {q.stack: q.evidence for q in MODELS[name].qualifications} == KNOWN_STACKS[name]
    for q in MODELS[name].qualifications:
        assert (q.evidence == "assumed") == q.source.startswith("no public run of this model on "), q
        # a source that can be looked up: a page, a repository or a file of one, and a date
        assert q.evidence == "assumed" or re.search(r"[\w-]+\.[\w-]+/|[\w-]+/[\w-]+|aws-neuron-sdk", q.source), q
        assert "2024" <= q.as_of <= "2026-11-22"[: len(q.as_of)], q


def test_at_least_ten_measured_rows_are_behind_profiles():
    assert len(measured_rows()) >= 10
    assert read_rows(MEASURED) and set(COLUMNS) <= set(measured_rows()[0])


@needs_table
def test_measured_rows_are_those_of_the_table():
    table = {row["source"].split("id=")[-1]: row for row in read_rows(TABLE) if "id=" in row["source"]}
    for row in measured_rows():
        other = table[row["source"].split("id=")[-1]]
        for name in ("accelerator", "chips", "input_len", "output_len", "concurrency", "ttft_ms", "tpot_ms"):
            assert row[name] == other[name], row["source"]


def test_the_page_counts_what_ships():
    page = " ".join((ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").split())
    profiles = [p for m in MODELS.values() for p in m.profiles]
    points = [point for p in profiles for point in p.classes]
    measured = sum(point.evidence == "measured" for point in points)
    assert f"six models with {len(profiles)} profiles and {len(points)} operating points; {measured} points" in page
    assert f"The {len(measured_rows())} rows behind these" in page


def test_six_models_across_kinds():
    kinds = [(kind_of(m.facts), m.facts.kv_latent_dimension is not None) for m in MODELS.values()]
    assert sorted(kinds) == [("dense", False)] * 3 + [("sparse", False)] * 2 + [("sparse", True)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_profiles_fit_their_machine_with_every_request_at_full_length(name):
    model = MODELS[name]
    qualified = {q.stack for q in model.qualifications}
    assert {p.machine_type for p in model.profiles} <= set(MACHINES)
    for profile in model.profiles:
        machine = MACHINES[profile.machine_type]
        assert profile.stack in qualified
        assert profile.context_limit_tokens <= model.facts.context_limit_tokens
        tokens = 0.0
        for point in profile.classes:
            shape = re.search(r"at (\d+) \+ (\d+) tokens", point.source)
            tokens = max(tokens, float(shape[1]) + float(shape[2]) if shape else 1155 + 211)
        headroom_gib = MEMORY_FRACTION * profile.accelerators_per_replica * machine.memory_gib_per_accelerator
        assert memory_needed_gib(model.facts, profile, tokens) <= headroom_gib, profile.name


@pytest.mark.parametrize("name", NEW_MODELS)
def test_estimated_profiles_are_what_the_estimator_says(name):
    facts = MODELS[name].facts
    compared = 0
    for profile in MODELS[name].profiles:
        for point in profile.classes:
            if point.evidence == "measured":
                continue
            shape = re.search(r"at (\d+) \+ (\d+) tokens", point.source)
            assert shape, point.source
            made = profile_of(
                facts,
                MACHINES[profile.machine_type],
                profile.context_limit_tokens,
                {point.context_class: (float(shape[1]), float(shape[2]), 1e9, 1e9)},
                profile.precision,
                profile.accelerators_per_replica,
                profile.concurrency_limit,
            )
            for field, value in made["classes"][0].items():
                assert getattr(point, field) == value, (profile.name, field)
            compared += 1
    assert compared >= 15


# the command

app = typer.Typer()
app.command()(estimate)
runner = CliRunner()


def test_a_profile_to_paste(tmp_path):
    result = runner.invoke(app, ["llama-3.1-405b", "p5.48xlarge", "--input", "1155", "--output", "211"])
    assert result.exit_code == 0, result.output
    assert "evidence: estimated" in result.output and "1978 TFLOPS" in result.output
    from planner.study.records.serving import Profile
    from planner.study.tables import read_yaml

    path = tmp_path / "profile.yaml"
    path.write_text("profiles:\n" + result.stdout, encoding="utf-8")
    document = read_yaml(path, Reading())
    assert document is not None
    profile = Profile.model_validate_json(json.dumps(document[0]["profiles"][0]))
    assert profile.machine_type == "p5.48xlarge" and profile.classes[0].evidence == "estimated"


def test_a_refit_of_the_rows_that_ship():
    result = runner.invoke(app, ["--refit", str(MEASURED)])
    assert result.exit_code == 0, result.output
    assert "| fit | rows | e_p | g | t [us] |" in result.output and "bandwidth_fraction: 0.8" in result.output


def test_a_model_and_a_machine_type_of_ones_own(tmp_path):
    """The facts of a model that ships under another name and in a file of one's own give the same profile."""
    text = (ROOT / "models" / "llama-3.3-70b.yaml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text[: text.index("qualifications:")] + "profiles:\n", encoding="utf-8")
    machines = tmp_path / "machine_types.yaml"
    shipped = (ROOT / "inventories" / "machine_types.yaml").read_text(encoding="utf-8")
    machines.write_text(shipped.replace("name: p5.48xlarge", "name: box"), encoding="utf-8")
    theirs = runner.invoke(app, ["llama-3.3-70b", "p5.48xlarge"])
    ours = runner.invoke(app, [str(mine), "box", "--machine-types", str(machines)])
    assert theirs.exit_code == ours.exit_code == 0, ours.output
    assert ours.stdout == theirs.stdout.replace("p5.48xlarge", "box")
    mine.write_text("model: mine\n", encoding="utf-8")
    assert "the facts of a model" in runner.invoke(app, [str(mine), "p5.48xlarge"]).stderr
    assert "no such file" in runner.invoke(app, [str(tmp_path / "none.yaml"), "p5.48xlarge"]).stderr
    assert "a YAML file" in runner.invoke(app, ["mine", "p5.48xlarge"]).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a model and a machine type, or --refit"),
        (["llama-3.1-405", "p5.48xlarge"], "did you mean 'llama-3.1-405b'"),
        (["llama-3.1-405b", "p5.48xlarg"], "did you mean 'p5.48xlarge'"),
        (["llama-3.1-405b", "v5litepod-8"], "more than it holds"),
        (["llama-3.1-405b", "p5.48xlarge", "--precision", "fp5"], "a precision"),
        (["llama-3.1-405b", "p5.48xlarge", "--class", "huge"], "a context class"),
        (["qwen3-32b", "p5.48xlarge", "--class", "long"], "was not made for such requests"),
        (["--refit", "no-such.csv"], "no such file"),
        (["--refit", str(ROOT / "inventories" / "sites.csv")], "no model"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split()) + " " + " ".join(result.stderr.split())


def test_memory_limits_what_is_in_flight():
    facts: ModelFacts = MODELS["llama-3.3-70b"].facts
    weights = ESTIMATOR.weights_gib(facts, "fp8")
    case = Serving(facts, ESTIMATOR.chip("H100-SXM-80GB"), 2, "fp8", weights, 1000, 1000, 1)
    headroom_gib = 0.9 * 2 * 74.5 - weights
    assert most_that_fit(case, 74.5) == int(headroom_gib / (2000 * 320 / 2**20))
    assert most_that_fit(replace(case, chips=1, weights_gib=70.0), 74.5) == 0


# one page has the constants


def earlier_fit() -> list[tuple[float, float]]:
    """(share of the peak that prompts reach, us a layer) of the earlier fit, as docs/evidence.md has them."""
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    table = page.partition("### An earlier fit")[2].partition("## Errors")[0]
    cells = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    return [(float(row[1]), float(row[3])) for row in cells]


def test_profiles_of_the_earlier_fit_name_its_constants():
    known, compared = earlier_fit(), 0
    for model in MODELS.values():
        for point in (point for profile in model.profiles for point in profile.classes):
            if not point.source.startswith("estimator of inventories/README.md"):
                continue
            prefill = float(re.search(r"e_p ([\d.]+)", point.source)[1])
            layer_us = float(re.search(r"([\d.]+) us a layer", point.source)[1])
            share = 1.0 if kind_of(model.facts) == "dense" else 0.42
            of_fit = [e for e, us in known if us == layer_us and prefill == pytest.approx(e * share, rel=0.01)]
            assert of_fit, point.source
            compared += 1
    assert len(known) == 8 and compared > 20


def test_no_other_page_has_constants_of_the_estimator():
    pages = [ROOT / "inventories" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    with_table = [
        page.name for page in pages if re.search(r"^\|.*\| e_p |x e_p", page.read_text(encoding="utf-8"), re.M)
    ]
    assert with_table == ["evidence.md"]


def test_the_page_states_the_constants_of_the_formula():
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert f"e_d = {ESTIMATOR.bandwidth_fraction:.2f} is fixed" in page
    base, waiting = ESTIMATOR.first_token_base_ms / 1000, ESTIMATOR.first_token_waiting_fraction
    assert f"first token  = {base:g} s + first (1 + {waiting:g} N)" in page
    assert f"within {MEMORY_FRACTION:g} of it" in page
