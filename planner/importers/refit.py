"""The estimator's constants from measured rows, and how far they miss.

Each fit minimises the sum of the soft-L1 loss, `2 (sqrt(1 + (r / 0.1)^2) - 1)`, of `r = log(predicted / measured
seconds per request)` over the rows of `measured`, by Levenberg-Marquardt from the constants that ship: the same
rows give the same constants. Where a chip was measured with one request in flight only, `r` is of the prompt and of
the step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from planner.errors import refusal
from planner.importers.catalogue import read_models
from planner.importers.estimate import Estimator, Fit, Terms, estimate_point, first_token_ms, terms
from planner.importers.measured import Measured, Reason, memory_of_chips, rates_of_two, read_rows, usable_rows
from planner.study.places import near_miss, printable_path, quoted
from planner.units import MS_PER_SECOND

FEW_ROWS = 20
SHORT, LONG = (1155.0, 211.0), (12035.0, 343.0)
"""Input and output tokens of the short and the long class in the models that ship."""
LOSS_SCALE = 0.1
MOST_STEPS = 200
BOUNDS = {"prefill_fraction": (1e-3, 0.6), "chips_exponent": (0.0, 0.6), "layer_us": (1.0, 1e3)}
"""Range of each constant. Beyond 0.6 of the peak rows of few prompts and many answers no longer tell e_p from t."""
Array = npt.NDArray[np.float64]
Quantiles = tuple[float, float, float]
"""10 %, 50 % and 90 %."""
REPLICA = ["model", "accelerator", "engine", "precision", "chips", "concurrency", "output_tokens"]


@dataclass(frozen=True)
class Errors:
    """Predicted over measured seconds per request of some rows: 10 %, 50 % and 90 % quantile."""

    fit: str
    accelerator: str
    model: str
    rows: int
    all_rows: Quantiles | None
    held_out: Quantiles | None
    first_token: Quantiles | None


@dataclass(frozen=True)
class Elsewhere:
    """Predicted over what two measured rows say (`rates_of_two`), at lengths that no row has: 10 %, 50 %, 90 %."""

    fit: str
    pairs: int
    short: Quantiles | None
    long: Quantiles | None


@dataclass(frozen=True)
class Refitted:
    """Constants and what they are worth.

    Parameters
    ----------
    estimator : with the fitted constants
    used : rows
    excluded : rows by reason
    errors : by fit, by fit and chip, by fit, chip and model
    elsewhere : by fit, at `SHORT` and `LONG`
    """

    estimator: Estimator
    used: int
    excluded: dict[Reason, int]
    errors: tuple[Errors, ...]
    elsewhere: tuple[Elsewhere, ...]


def refit(path: Path, estimator: Estimator) -> Refitted:
    """Fit the constants to a table of measured rows.

    Parameters
    ----------
    path : CSV with `COLUMNS`
    estimator : where to start, and everything that is not fitted

    Raises
    ------
    InputError
        when the table lacks a column or holds no usable row.
    """
    rows, excluded = usable_rows(read_rows(path), estimator, read_models(), memory_of_chips())
    if not rows:
        got = f"{sum(excluded.values())} rows left out: " + "; ".join(f"{n} {why}" for why, n in excluded.items() if n)
        raise refusal(printable_path(path), "rows that are a capacity", got, "see docs/evidence.md")
    by_fit = {fit.name: [row for row in rows if row.fit == fit.name] for fit in estimator.fits}
    fitted = tuple(solve(fit, by_fit[fit.name], estimator) for fit in estimator.fits)
    fitted = tuple(_with_first_token_high(fit, by_fit[fit.name], estimator) for fit in fitted)
    refitted = estimator.model_copy(update={"fits": tuple(_taken_over(fit, fitted) for fit in fitted)})
    errors: list[Errors] = []
    elsewhere: list[Elsewhere] = []
    for fit in refitted.fits:
        if by_fit[fit.name]:
            errors += _errors(fit, by_fit[fit.name], refitted)
            elsewhere += _elsewhere(fit, by_fit[fit.name], refitted)
    return Refitted(refitted, len(rows), excluded, tuple(errors), tuple(elsewhere))


def stacked(rows: Sequence[Measured]) -> Terms:
    """The terms of many rows as arrays."""
    each = [terms(row.serving) for row in rows]
    return Terms(**{f.name: np.array([getattr(t, f.name) for t in each], float) for f in fields(Terms)})


def solve(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> Fit:
    """The fit with its `fitted` constants at the least soft-L1 loss over the rows; unchanged without rows."""
    if not rows or not fit.fitted:
        return fit.model_copy(update={"rows": len(rows) if fit.fitted else 0})
    roofline = stacked(rows)
    seconds = np.array([row.seconds for row in rows])
    first_seen = np.array([row.first_ms for row in rows]) / MS_PER_SECOND
    step_seen = np.array([row.per_token_ms for row in rows]) / MS_PER_SECOND

    def misses(x: Array) -> Array:
        at = {"prefill_fraction": fit.prefill_fraction, "chips_exponent": fit.chips_exponent, "layer_us": fit.layer_us}
        at.update(zip(fit.fitted, (float(v) for v in x), strict=True))
        first, step = roofline.times(**at, bandwidth=estimator.bandwidth_fraction)
        if fit.single_stream:
            return np.concatenate([np.log(first / first_seen), np.log(step / step_seen)])
        return np.asarray(np.log(roofline.request_seconds(first, step) / seconds))

    start = np.array([getattr(fit, name) for name in fit.fitted], float)
    low, high = (np.array([BOUNDS[name][i] for name in fit.fitted]) for i in (0, 1))
    x = _least(misses, np.clip(start, low, high), low, high)
    update: dict[str, Any] = {name: _rounded(v) for name, v in zip(fit.fitted, x, strict=True)}
    return fit.model_copy(update={**update, "rows": len(rows)})


def _least(misses: Callable[[Array], Array], x: Array, low: Array, high: Array) -> Array:
    """Levenberg-Marquardt on the soft-L1 loss of `misses` within bounds, with relative steps."""

    def loss(r: Array) -> float:
        return float(np.sum(2 * (np.sqrt(1 + (r / LOSS_SCALE) ** 2) - 1)))

    r = misses(x)
    damping, value = 1e-2, loss(r)
    for _ in range(MOST_STEPS):
        size = np.maximum(np.abs(x), 1e-3) * 1e-6
        jacobian = np.stack([(misses(x + e) - r) / h for e, h in zip(np.diag(size), size, strict=True)], axis=1)
        weight = 1 / np.sqrt(1 + (r / LOSS_SCALE) ** 2)
        curvature = jacobian.T @ (jacobian * weight[:, None])
        slope = jacobian.T @ (weight * r)
        free = ~(((x <= low) & (slope > 0)) | ((x >= high) & (slope < 0)))
        if not free.any():
            break
        damped = curvature + damping * np.diag(np.diag(curvature) + 1e-12)
        change = np.zeros_like(x)
        change[free] = np.linalg.solve(damped[np.ix_(free, free)], slope[free])
        trial = np.clip(x - change, np.maximum(low, x / 3), np.minimum(high, 3 * x + 0.05))
        r_trial = misses(trial)
        better = loss(r_trial) < value
        if better and value - loss(r_trial) < 1e-10 * value:
            return trial
        if better:
            x, r, value, damping = trial, r_trial, loss(r_trial), max(damping / 3, 1e-9)
        else:
            damping *= 4
            if damping > 1e9:
                break
    return x


def _rounded(value: float) -> float:
    """Three digits: more than the data can tell."""
    return float(f"{value:.3g}") if value > 1e-4 else 0.0


def _taken_over(fit: Fit, fitted: Sequence[Fit]) -> Fit:
    """The fit with the constants of the one it is like."""
    if fit.like is None:
        return fit
    other = next((f for f in fitted if f.name == fit.like), None)
    if other is None:
        got = quoted(fit.like) + near_miss(fit.like, [f.name for f in fitted])
        raise refusal(f"{fit.name}: like", "the name of a fit", got, "correct it in estimator.yaml")
    update = {
        "prefill_fraction": _rounded(other.prefill_fraction * fit.prefill_factor),
        "chips_exponent": other.chips_exponent,
        "layer_us": other.layer_us,
    }
    return fit.model_copy(update=update)


def _with_first_token_high(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> Fit:
    """The fit with the factor on the first token that nine rows in ten stay below; as written with few rows."""
    timed = [row for row in rows if row.first_ms > 0]
    if not fit.fitted or len(timed) < FEW_ROWS:
        return fit
    least = float(np.quantile(ratios(fit, timed, estimator)[1], 0.1))
    return fit.model_copy(update={"first_token_high_factor": round(max(1.5, 1 / least), 1)})


def ratios(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> tuple[Array, Array]:
    """Predicted over measured: seconds per request, time to first token (not a number where none was measured)."""
    roofline = stacked(rows)
    first, step = roofline.times(fit.prefill_fraction, fit.chips_exponent, fit.layer_us, estimator.bandwidth_fraction)
    seconds = np.array([row.seconds for row in rows])
    first_seen = np.array([row.first_ms or np.nan for row in rows])
    return (
        np.asarray(roofline.request_seconds(first, step) / seconds),
        np.asarray(first_token_ms(first, roofline.concurrency, estimator) / first_seen),
    )


def _held_out(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> Array | None:
    """Ratios where each model (with one model: each engine) is predicted by a fit to the others."""
    if not fit.fitted:
        return ratios(fit, rows, estimator)[0]
    every = np.array(rows, object)
    for kind in ("model", "engine"):
        names = np.array([getattr(row, kind) for row in rows])
        if len(np.unique(names)) > 1:
            held_out = np.empty(len(rows))
            for name in np.unique(names):
                of_name = names == name
                others = solve(fit, list(every[~of_name]), estimator)
                held_out[of_name] = ratios(others, list(every[of_name]), estimator)[0]
            return held_out
    return None


def _errors(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> list[Errors]:
    """Quantiles over all rows of the fit, by chip, and by chip and model, each where there are several."""
    table = pd.DataFrame([(row.accelerator, row.model) for row in rows], columns=["accelerator", "model"])
    table["all_rows"], table["first_token"] = ratios(fit, rows, estimator)
    table["held_out"] = _held_out(fit, rows, estimator)
    groups = [("all", "all", table)] if table["accelerator"].nunique() > 1 else []
    several_models = table.groupby("accelerator")["model"].nunique().max() > 1
    for accelerator, of_chip in table.groupby("accelerator"):
        groups.append((str(accelerator), "all", of_chip))
        for model, of_model in of_chip.groupby("model") if several_models else ():
            groups.append((str(accelerator), str(model), of_model))
    errors = []
    for accelerator, model, part in groups:
        figures = (quantiles(part[name]) for name in ("all_rows", "held_out", "first_token"))
        errors.append(Errors(fit.name, accelerator, model, len(part), *figures))
    return errors


def _elsewhere(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> list[Elsewhere]:
    """Short requests and long ones against pairs of rows that differ in input length only, fourfold or more."""
    data = [(row.model, row.accelerator, row.engine, row.precision, *row.shape, row) for row in rows]
    table = pd.DataFrame(data, columns=[*REPLICA, "input_tokens", "row"])
    table = table[table["output_tokens"] >= 200].drop_duplicates([*REPLICA, "input_tokens"], keep=False)
    pairs = table.merge(table, on=REPLICA, suffixes=("", "_longer"))
    pairs = pairs[pairs["input_tokens_longer"] >= 4 * pairs["input_tokens"]]
    misses = []
    for one, longer in zip(pairs["row"], pairs["row_longer"], strict=True):
        rates = rates_of_two(*((r.serving.input_tokens, r.serving.output_tokens, r.seconds) for r in (one, longer)))
        if rates is not None:
            miss = []
            for tokens_in, tokens_out in (SHORT, LONG):
                serving = replace(one.serving, input_tokens=tokens_in, output_tokens=tokens_out)
                estimated = estimate_point(serving, fit, estimator).request_seconds
                miss.append(estimated / (tokens_in / rates[0] + tokens_out / rates[1]))
            misses.append(miss)
    if not misses:
        return []
    short, long = np.array(misses).T
    return [Elsewhere(fit.name, len(misses), quantiles(short), quantiles(long))]


def quantiles(values: Any) -> Quantiles | None:
    """10 %, 50 % and 90 % of what was measured, to two places; none where nothing was."""
    measured = pd.Series(values, dtype=float).dropna()
    if measured.empty:
        return None
    low, middle, high = (round(float(q), 2) for q in measured.quantile([0.1, 0.5, 0.9]))
    return low, middle, high
