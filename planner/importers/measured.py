"""Measured rows: which of a table are a capacity, and what two of them say.

The table is a CSV in the columns of `COLUMNS`; others are ignored. A row that is not a capacity is left out with one
`Reason`.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from planner.errors import refusal
from planner.importers.catalogue import machine_types
from planner.importers.estimate import Estimator, Serving, kind_of, most_that_fit, terms
from planner.importers.source import Source, figure_of, load_table, load_text
from planner.study.places import near_miss, printable_path
from planner.study.records.serving import Model
from planner.units import MS_PER_SECOND

COLUMNS = ("model", "accelerator", "chips", "precision", "input_len", "output_len", "concurrency", "ttft_ms", "tpot_ms")
"""What a table must have: lengths in tokens, requests in flight, times in ms. `output_tok_s` stands in for the times;
`engine`, `tput_kind` (measured_max_load: all requests queued at once), `source` and `note` are used where given."""


class Reason(StrEnum):
    """Why a row is left out."""

    MAXIMUM_LOAD = "maximum load: all requests queued at once, no latency"
    NO_NUMBER = "a number is missing"
    NO_MODEL = "no facts of the model here"
    NO_FIT = "no figures or fit of the chip for this kind of model"
    SPECULATION = "speculation"
    MEMORY = "more in flight than memory holds"
    TOO_FAST = "faster than the chip can: a prefix cache, or a mistake"
    SINGLE = "one request in flight: a speed, not a capacity"
    QUEUED = (
        "first token later than all prompts in flight take at 1/50 of the peak, plus 1 s: a queue outside, or a warm-up"
    )
    REPEATED = "the same measurement under another name"


SPECULATION = re.compile(r"(?<!no )speculative|\bmtp\b|eagle|prefix cach", re.IGNORECASE)
QUEUE_FACTOR, QUEUE_MS = 50.0, 1000.0


@dataclass(frozen=True)
class Measured:
    """A usable row.

    Parameters
    ----------
    model, accelerator, engine, precision : what was measured
    serving : replica and requests
    seconds : of the replica per request
    first_ms, per_token_ms : time to first token and per token; 0 where not given
    fit : name of the fit that it belongs to
    """

    model: str
    accelerator: str
    engine: str
    precision: str
    serving: Serving
    seconds: float
    first_ms: float
    per_token_ms: float
    fit: str

    @property
    def shape(self) -> tuple[float, ...]:
        """Chips, requests in flight, output and input tokens."""
        serving = self.serving
        return serving.chips, serving.concurrency, serving.output_tokens, serving.input_tokens


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, all text.

    Raises
    ------
    InputError
        when it cannot be read or lacks a column.
    """
    source = Source()
    table = load_table(load_text(path), printable_path(path), source)
    source.raise_errors()
    if missing := table.lacks(COLUMNS):
        names = ", ".join(COLUMNS)
        got, fix = (
            f"no {missing[0]}{near_miss(missing[0], table.header)}",
            f"name the columns {names}; others are ignored",
        )
        raise refusal(f"{table.file}:1", f"the columns {names}", got, fix)
    return [row for _, row in table.rows]


def memory_of_chips() -> dict[str, float]:
    """Device memory of each accelerator of the inventory that ships [GiB]."""
    return {machine.accelerator: machine.memory_gib_per_accelerator for machine in machine_types().values()}


def usable_rows(
    rows: Sequence[dict[str, str]], estimator: Estimator, models: dict[str, Model], memory_gib: dict[str, float]
) -> tuple[list[Measured], dict[Reason, int]]:
    """Rows that say something about capacity, and how many do not, by reason."""
    used: dict[tuple[object, ...], Measured] = {}
    excluded = Counter(dict.fromkeys(Reason, 0))
    for row in rows:
        measured = _measured(row, estimator, models, memory_gib)
        if isinstance(measured, Reason):
            excluded[measured] += 1
            continue
        figures = (measured.first_ms, measured.per_token_ms, measured.seconds)
        key = (measured.model, measured.accelerator, measured.precision, *measured.shape, *figures)
        if key in used:
            excluded[Reason.REPEATED] += 1
        else:
            used[key] = measured
    return list(used.values()), dict(excluded)


def _measured(
    row: dict[str, str], estimator: Estimator, models: dict[str, Model], memory_gib: dict[str, float]
) -> Measured | Reason:
    """The row, or the reason why it is left out."""
    if row.get("tput_kind") == "measured_max_load":
        return Reason.MAXIMUM_LOAD
    number = {name: _number(row.get(name, "")) for name in (*COLUMNS[2:], "output_tok_s") if name != "precision"}
    timed = number["ttft_ms"] > 0 and number["tpot_ms"] > 0
    given = min(number[name] for name in ("chips", "input_len", "output_len", "concurrency")) >= 1
    if not given or not (timed or number["output_tok_s"] > 0):
        return Reason.NO_NUMBER
    alias = next((a for a in estimator.measured_as if a.name == row["model"]), None)
    model = models.get(alias.model if alias else row["model"])
    if model is None:
        return Reason.NO_MODEL
    precision = alias.precisions.get(row["precision"], row["precision"]) if alias else row["precision"]
    kind, accelerator = kind_of(model.facts), row["accelerator"]
    fit = next((f for f in estimator.fits if accelerator in f.chips and f.kind == kind), None)
    chip = next((c for c in estimator.chips if c.name == accelerator), None)
    known = set(estimator.bytes_per_parameter) & set(chip.peak_tflops) if chip else set()
    if fit is None or chip is None or precision not in known:
        return Reason.NO_FIT
    if SPECULATION.search(f"{row.get('note', '')} {row.get('source', '')}"):
        return Reason.SPECULATION
    serving = Serving(
        facts=model.facts,
        chip=chip,
        chips=int(number["chips"]),
        precision=precision,
        weights_gib=estimator.weights_gib(model.facts, precision),
        input_tokens=number["input_len"],
        output_tokens=number["output_len"],
        concurrency=int(number["concurrency"]),
    )
    if serving.concurrency > most_that_fit(serving, memory_gib.get(accelerator, 0.0)):
        return Reason.MEMORY
    if timed:
        request_ms = number["ttft_ms"] + (number["output_len"] - 1) * number["tpot_ms"]
        seconds = request_ms / MS_PER_SECOND / serving.concurrency
    else:
        seconds = number["output_len"] / number["output_tok_s"]
    roofline = terms(serving)
    if seconds < roofline.request_seconds(*roofline.times(1.0, 0.0, 0.0, 1.0)):
        return Reason.TOO_FAST
    if serving.concurrency == 1 and not (timed and fit.single_stream):
        return Reason.SINGLE
    prompts_ms = serving.concurrency * roofline.prompt_seconds * MS_PER_SECOND
    if timed and number["ttft_ms"] > QUEUE_MS + QUEUE_FACTOR * prompts_ms:
        return Reason.QUEUED
    return Measured(
        model=model.model,
        accelerator=accelerator,
        engine=row.get("engine", ""),
        precision=precision,
        serving=serving,
        seconds=seconds,
        first_ms=number["ttft_ms"] if timed else 0.0,
        per_token_ms=number["tpot_ms"] if timed else 0.0,
        fit=fit.name,
    )


def _number(text: str) -> float:
    """A number, or 0 where there is none."""
    figure = figure_of(text)
    return figure if figure is not None and math.isfinite(figure) else 0.0


def rates_of_two(short: tuple[float, float, float], long: tuple[float, float, float]) -> tuple[float, float] | None:
    """Prefill and decode rates from two measured rows: same replica, same requests in flight, two input lengths.

    `prefill = difference of input / difference of seconds`, `decode = output / (seconds - input / prefill)` of the
    shorter one; none when the rows contradict each other (a rate below 0).

    Parameters
    ----------
    short, long : (input tokens, output tokens, seconds of the replica per request), the same output tokens

    Examples
    --------
    7000 more input tokens take 0.35 s more: 20,000 tokens/s; of 0.25 s the prompt is 0.05, 1000 tokens take 0.2 s.

    >>> rates_of_two((1000, 1000, 0.25), (8000, 1000, 0.6))
    (20000.0, 5000.0)
    """
    if long[2] <= short[2]:
        return None
    prefill = (long[0] - short[0]) / (long[2] - short[2])
    decoding_seconds = short[2] - short[0] / prefill
    return (round(prefill, 6), round(short[1] / decoding_seconds, 6)) if decoding_seconds > 0 else None
