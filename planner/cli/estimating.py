"""`planner import estimate`: an operating point where nobody measured one, and the constants from measured rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.console import answered, emit, progress, tell

if TYPE_CHECKING:
    from planner.importers.estimate import Chip, Estimator, Fit
    from planner.importers.refit import Refitted
    from planner.study.places import Reading
    from planner.study.records.inventory import MachineType
    from planner.study.records.serving import ModelFacts

Shapes = dict[str, tuple[float, float, float, float]]
"""By context class: input tokens, output tokens, targets of first token and per token [ms]."""

AS_OF = "2026-11"
MOST_CHIPS = 16
"""A replica spans a whole machine of up to so many chips, else half as many: no row was fitted to more."""

HEADER = (
    "# Constants of the estimator, as `planner import estimate --refit rows.csv` prints them; see docs/evidence.md.",
    "# Predicted over measured seconds per request and time to first token: quantiles 10 %, 50 %, 90 %; then the same",
    "# over what two measured rows say of lengths that were not measured.",
    "#",
)


def estimate(
    model: Annotated[
        str | None, typer.Argument(help="a model that ships, or a YAML file of yours with its `facts:`")
    ] = None,
    machine_type: Annotated[
        str | None, typer.Argument(help="a machine type of the inventory that ships, or of --machine-types")
    ] = None,
    machine_types: Annotated[
        Path | None, typer.Option(help="machine_types.yaml of your own, beside what ships; its accelerator is known")
    ] = None,
    input: Annotated[float, typer.Option(min=1, help="mean input tokens of a request")] = 1155,
    output: Annotated[float, typer.Option(min=1, help="mean output tokens of a request")] = 211,
    context_class: Annotated[str, typer.Option("--class", help="context class that is admitted")] = "short",
    precision: Annotated[str | None, typer.Option(help="of the weights; none: what the chip prefers")] = None,
    accelerators: Annotated[
        int | None, typer.Option(min=1, help="chips of one replica; none: what serves most per chip")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="requests in flight; none: the most that fit and meet the targets")
    ] = None,
    first_token_ms: Annotated[float, typer.Option(min=1, help="target that its high end must meet [ms]")] = 2000,
    per_token_ms: Annotated[float, typer.Option(min=0.1, help="target for the time per token [ms]")] = 60,
    refit: Annotated[Path | None, typer.Option(help="CSV of measured rows: print constants and errors")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")] = None,
) -> None:
    """Estimate a profile as YAML to paste below `profiles:`, or refit the estimator's constants.

    Every figure is labelled estimated and carries the formula; docs/evidence.md tells how far it misses.

    Examples: `planner import estimate llama-3.1-405b p5.48xlarge --input 1155 --output 211` ·
    `planner import estimate --refit rows.csv`
    """
    with answered():
        from planner.errors import refusal
        from planner.importers.estimate import shipped
        from planner.importers.refit import refit as fit_to

        if refit is not None:
            with progress(stage=f"fitting to {refit}"):
                made = fit_to(refit, shipped())
            tell(f"{made.used} rows used, {sum(made.excluded.values())} left out")
            emit(refitted_text(made), out)
            return
        if model is None or machine_type is None:
            fix = "planner import estimate MODEL MACHINE_TYPE, or --refit rows.csv"
            raise refusal("planner import estimate", "a model and a machine type, or --refit", "none", fix)
        profile = profile_of(
            *_looked_up(model, machine_type, context_class, machine_types),
            shapes={context_class: (input, output, first_token_ms, per_token_ms)},
            precision=precision,
            chips=accelerators,
            concurrency=concurrency,
        )
        emit(profile_text(profile), out)


def _looked_up(
    model: str, machine_type: str, context_class: str, machine_types: Path | None
) -> "tuple[ModelFacts, MachineType, int]":
    """Facts of a model, a machine type, and the longest request of the context class."""
    from planner.errors import InputError, refusal
    from planner.importers.catalogue import read_models
    from planner.study.places import Reading, sorted_findings
    from planner.study.read import data_folder
    from planner.study.records.inventory import MachineType
    from planner.study.records.serving import ContextClass, Model
    from planner.study.tables import read_list

    reading = Reading()
    facts = {name: known.facts for name, known in read_models().items()}
    if model.endswith(".yaml"):
        facts |= _facts_of(Path(model), model, reading)
    machines = read_list(MachineType, data_folder("inventories") / "machine_types.yaml", reading)
    machines += read_list(MachineType, machine_types, reading) if machine_types is not None else []
    by_name = {machine.name: machine for machine, _ in machines}
    classes = read_list(ContextClass, data_folder("models") / "context_classes.yaml", reading)
    longest = {each.name: each.most_tokens for each, _ in classes}
    reading.refer("planner import estimate: --class", ContextClass, "a context class", context_class, longest)
    reading.refer("planner import estimate: MODEL", Model, "a model that ships, or a YAML file", model, facts)
    reading.refer("planner import estimate: MACHINE_TYPE", MachineType, "a machine type", machine_type, by_name)
    if reading.findings:
        raise InputError(sorted_findings(reading.findings))
    if longest[context_class] > facts[model].context_limit_tokens:
        got = f"{facts[model].context_limit_tokens}, the context_limit_tokens of {model}"
        fix = "a shorter class: the model was not made for such requests"
        raise refusal("planner import estimate: --class", f"{longest[context_class]} tokens", got, fix)
    return facts[model], by_name[machine_type], longest[context_class]


def _facts_of(path: Path, name: str, reading: "Reading") -> "dict[str, ModelFacts]":
    """The facts in a file of the user's own; it may have no profiles yet."""
    from planner.study.places import read_record
    from planner.study.records.serving import Model, ModelFacts
    from planner.study.tables import read_yaml

    reading.broken.add((Model, name))
    document = read_yaml(path, reading)
    if document is None:
        return {}
    data, place = document
    if not isinstance(data.get("facts"), dict):
        reading.error(place.at("facts"), "the facts of a model", "none", "write `facts:` as in docs/files.md")
        return {}
    facts = read_record(ModelFacts, data["facts"], place.within("facts"), reading)
    return {} if facts is None else {name: facts}


def profile_of(
    facts: "ModelFacts",
    machine: "MachineType",
    limit: int,
    shapes: Shapes,
    precision: str | None = None,
    chips: int | None = None,
    concurrency: int | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """An estimated profile as plain data, in the order of the record's fields.

    Chips and requests in flight that are not given are those that serve most of the last shape per chip, within memory
    (all requests at their full length) and the targets; where no configuration meets the targets, the fastest one.

    Raises
    ------
    InputError
        when chip or precision are unknown or the model does not fit.
    """
    from planner.errors import refusal
    from planner.importers.estimate import kind_of, shipped

    estimator = shipped()
    chip = estimator.chip(machine.accelerator)
    fit = estimator.fit(machine.accelerator, kind_of(facts))
    most = machine.accelerators if machine.accelerators <= MOST_CHIPS else MOST_CHIPS // 2
    counts = [chips] if chips else [n for n in (1, 2, 4, 8, 16) if n <= most]
    best: tuple[tuple[bool, float], Any] | None = None
    for kind in [precision] if precision else chip.precisions:
        for n in counts:
            for at_once in [concurrency] if concurrency else _steps():
                points = _points(facts, chip, fit, estimator, machine, n, kind, at_once, shapes)
                if points is None:
                    break
                meets = all(p.first_token_ms_high <= s[2] and p.per_token_ms <= s[3] for _, s, p in points)
                score = 1 / points[-1][2].request_seconds / n if meets else -points[-1][2].first_token_ms_high
                if best is None or (meets, score) > best[0]:
                    best = (meets, score), (kind, n, at_once, points)
        if best is not None and best[0][0]:
            break
    if best is None:
        tokens = max(s[0] + s[1] for s in shapes.values())
        expected = f"weights and {concurrency or 1} requests of {tokens:g} tokens within 0.9 of the memory"
        fix = "a machine type with more memory, a smaller precision, fewer requests in flight, or more accelerators"
        raise refusal(machine.name, expected, "more than it holds", fix)
    if not best[0][0]:
        tell(f"warning: {machine.name}: no configuration meets the targets; this is the quickest to answer")
    return _profile_data(facts, chip, fit, estimator, machine, limit, best[1], name)


def _steps() -> list[int]:
    """Requests in flight that are tried."""
    from planner.importers.estimate import MOST_IN_FLIGHT

    return [n for n in range(1, MOST_IN_FLIGHT + 1) if n <= 8 or (n <= 32 and n % 2 == 0) or n % 8 == 0]


def _points(
    facts: "ModelFacts",
    chip: "Chip",
    fit: "Fit",
    estimator: "Estimator",
    machine: "MachineType",
    n: int,
    precision: str,
    at_once: int,
    shapes: Shapes,
) -> list[Any] | None:
    """(context class, shape, point) for each shape; None when memory does not hold them."""
    from planner.importers.estimate import Serving, estimate_point, most_that_fit, peak_tflops

    peak_tflops(chip, precision)
    weights = estimator.weights_gib(facts, precision)
    points = []
    for context_class, shape in shapes.items():
        serving = Serving(facts, chip, n, precision, weights, shape[0], shape[1], at_once)
        if most_that_fit(serving, machine.memory_gib_per_accelerator) < at_once:
            return None
        points.append((context_class, shape, estimate_point(serving, fit, estimator)))
    return points


def _profile_data(
    facts: "ModelFacts",
    chip: "Chip",
    fit: "Fit",
    estimator: "Estimator",
    machine: "MachineType",
    limit: int,
    chosen: Any,
    name: str | None,
) -> dict[str, Any]:
    """The profile as it is written."""
    from planner.importers.estimate import peak_tflops

    precision, n, at_once, points = chosen
    weights = estimator.weights_gib(facts, precision)
    ranks = n * chip.ranks_per_chip
    start = estimator.engine_start(chip.stack, fit.kind)
    lost = f" x {n}^-{fit.chips_exponent:g}" if fit.chips_exponent and n > 1 else ""
    formula = (
        f"{peak_tflops(chip, precision):g} TFLOPS x {fit.prefill_fraction:g}{lost}, "
        f"{chip.bandwidth_gb_per_second:g} GB/s x {estimator.bandwidth_fraction:g}{lost}, {fit.layer_us:g} us a layer"
    )
    data: dict[str, Any] = {
        "name": name or f"{machine.name}-{precision}-tp{ranks}",
        "machine_type": machine.name,
        "stack": chip.stack,
        "precision": precision,
        "accelerators_per_replica": n,
    }
    if ranks != n:
        data["tensor_parallel_ranks"] = ranks
    data |= {
        "weights_gib": round(weights, 1),
        "context_limit_tokens": limit,
        "concurrency_limit": at_once,
        "load_seconds": float(round(weights / estimator.load_gib_per_second + start.start_seconds)),
        "load_evidence": f"estimated: weights at {estimator.load_gib_per_second:.1f} GiB/s ({estimator.load_evidence})"
        f" + {start.start_seconds:g} s {start.start_evidence}",
        "engine_start_seconds": start.start_seconds,
        "compile_seconds": start.compile_seconds,
        "compile_evidence": start.compile_evidence,
        "classes": [
            {
                "context_class": context_class,
                "prefill_tokens_per_second": float(round(point.prefill_tokens_per_second)),
                "decode_tokens_per_second": float(f"{point.decode_tokens_per_second:.4g}"),
                "first_token_ms": float(round(point.first_token_ms)),
                "first_token_ms_high": float(round(point.first_token_ms_high)),
                "per_token_ms": round(point.per_token_ms, 1),
                "low_factor": point.low_factor,
                "high_factor": point.high_factor,
                "evidence": "estimated",
                "source": f"estimator of docs/evidence.md at {shape[0]:g} + {shape[1]:g} tokens: {formula}; {fit.name}",
                "as_of": AS_OF,
            }
            for context_class, shape, point in points
        ],
    }
    return data


def profile_text(profile: dict[str, Any]) -> str:
    """A profile as YAML, an item of `profiles:`."""
    import yaml

    return str(yaml.safe_dump([profile], sort_keys=False, allow_unicode=True, width=400))


def refitted_text(made: "Refitted") -> str:
    """`models/evidence/estimator.yaml` with the constants; the errors are its opening comment."""
    import yaml

    lines = [f"# {line}".rstrip() for line in errors_text(made).splitlines()]
    data = made.estimator.model_dump(mode="json", exclude_defaults=True)
    for record in [*data["chips"], *data["engine_starts"], *data["fits"]]:
        for name in ("evidence", "source", "as_of"):
            record[name] = record.pop(name)
    body = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=400, default_flow_style=None)
    return "\n".join([*HEADER, *lines]) + "\n" + str(body)


def errors_text(made: "Refitted") -> str:
    """The tables of docs/evidence.md: constants, errors, rows left out."""

    def three(values: tuple[float, float, float] | None) -> str:
        return "-" if values is None else " / ".join(f"{v:.2f}" for v in values)

    lines = [
        "| fit | rows | e_p | g | t [us] | rates x | first token x |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.name} | {f.rows or '-'} | {f.prefill_fraction:g} | {f.chips_exponent:g} | {f.layer_us:g} "
        f"| {f.low_factor:g} to {f.high_factor:g} | {f.first_token_high_factor:g} |"
        for f in made.estimator.fits
    ]
    lines += [
        "",
        "| fit | chip | model | rows | all rows | held out | first token |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {e.fit} | {e.accelerator} | {e.model} | {e.rows} | {three(e.all_rows)} | {three(e.held_out)} "
        f"| {three(e.first_token)} |"
        for e in made.errors
    ]
    lines += ["", "| fit | pairs of rows | 1155 + 211 tokens | 12035 + 343 tokens |", "|---|---|---|---|"]
    lines += [f"| {e.fit} | {e.pairs} | {three(e.short)} | {three(e.long)} |" for e in made.elsewhere]
    lines += ["", f"| rows | {made.used + sum(made.excluded.values())} |", "|---|---|", f"| used | {made.used} |"]
    return "\n".join([*lines, *(f"| {why} | {n} |" for why, n in made.excluded.items())])
