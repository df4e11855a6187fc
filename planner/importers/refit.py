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

from planner.errors import Finding, InputError
from planner.importers.estimate import Estimator, Fit, Terms, estimate_point, first_token_ms, terms
from planner.importers.measured import Measured, memory_of_chips, rates_of_two, read_models, read_rows, usable_rows
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


@dataclass(frozen=True)
class Errors:
    """Predicted over measured seconds per request of some rows: 10 %, 50 % and 90 % quantile."""

    fit: str
    accelerator: str
    model: str
    rows: int
    all_rows: tuple[float, float, float]
    held_out: tuple[float, float, float] | None
    first_token: tuple[float, float, float] | None


@dataclass(frozen=True)
class Elsewhere:
    """Predicted over what two measured rows say (`rates_of_two`), at lengths that no row has: 10 %, 50 %, 90 %."""

    fit: str
    pairs: int
    short: tuple[float, float, float]
    long: tuple[float, float, float]


@dataclass(frozen=True)
class Refitted:
    """Constants and what they are worth.

    Parameters
    ----------
    estimator : with the fitted constants
    used : rows
    left_out : rows by reason
    errors : by fit, by fit and chip, by fit, chip and model
    elsewhere : by fit, at `SHORT` and `LONG`
    """

    estimator: Estimator
    used: int
    left_out: dict[str, int]
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
    rows, left_out = usable_rows(read_rows(path), estimator, read_models(), memory_of_chips())
    if not rows:
        got = f"{sum(left_out.values())} rows left out: " + "; ".join(f"{n} {why}" for why, n in left_out.items() if n)
        raise InputError([Finding(printable_path(path), "rows that are a capacity", got, "see docs/evidence.md")])
    by_fit = {fit.name: [row for row in rows if row.fit == fit.name] for fit in estimator.fits}
    fitted = tuple(solve(fit, by_fit[fit.name], estimator) for fit in estimator.fits)
    fitted = tuple(_with_first_token_high(fit, by_fit[fit.name], estimator) for fit in fitted)
    made = estimator.model_copy(update={"fits": tuple(_taken_over(fit, fitted) for fit in fitted)})
    errors = [e for fit in made.fits if by_fit[fit.name] for e in _errors(fit, by_fit[fit.name], made)]
    elsewhere = [_elsewhere(fit, by_fit[fit.name], made) for fit in made.fits]
    return Refitted(made, len(rows), left_out, tuple(errors), tuple(e for e in elsewhere if e is not None))


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
        raise InputError([Finding(f"{fit.name}: like", "the name of a fit", got, "correct it in estimator.yaml")])
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
    for what in ("model", "engine"):
        groups = sorted({getattr(row, what) for row in rows})
        if len(groups) > 1:
            found = np.empty(len(rows))
            for group in groups:
                out = np.array([getattr(row, what) == group for row in rows])
                other = solve(fit, [row for row, o in zip(rows, out, strict=True) if not o], estimator)
                found[out] = ratios(other, [row for row, o in zip(rows, out, strict=True) if o], estimator)[0]
            return found
    return None


def _errors(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> list[Errors]:
    """Quantiles over the whole fit, by chip, and by chip and model, each where there are several."""
    (every, first), held = ratios(fit, rows, estimator), _held_out(fit, rows, estimator)
    models = {(row.accelerator, row.model) for row in rows}
    chips = {(accelerator, "all") for accelerator, _ in models}
    keys = chips | ({("all", "all")} if len(chips) > 1 else set()) | (models if len(models) > len(chips) else set())
    found = []
    for accelerator, model in sorted(keys, key=lambda key: (key[0] != "all", key[0], key[1] != "all", key[1])):
        of = np.array([accelerator in ("all", r.accelerator) and model in ("all", r.model) for r in rows])
        seen = first[of][~np.isnan(first[of])]
        out = quantiles(held[of]) if held is not None else None
        in_time = quantiles(seen) if len(seen) else None
        found.append(Errors(fit.name, accelerator, model, int(of.sum()), quantiles(every[of]), out, in_time))
    return found


def _elsewhere(fit: Fit, rows: Sequence[Measured], estimator: Estimator) -> Elsewhere | None:
    """Short requests and long ones against pairs of rows that differ in input length only, fourfold or more."""
    replicas: dict[tuple[Any, ...], list[Measured]] = {}
    for row in rows:
        at = row.serving
        key = (row.model, row.accelerator, row.engine, row.precision, at.chips, at.concurrency, at.output_tokens)
        replicas.setdefault(key, []).append(row)
    found = []
    for one, more, alike in ((a, b, same) for same in replicas.values() for a in same for b in same):
        lengths = [row.serving.input_tokens for row in alike]
        alone = lengths.count(one.serving.input_tokens) == lengths.count(more.serving.input_tokens) == 1
        if not alone or more.serving.input_tokens < 4 * one.serving.input_tokens or one.serving.output_tokens < 200:
            continue
        rates = rates_of_two(*((r.serving.input_tokens, r.serving.output_tokens, r.seconds) for r in (one, more)))
        if rates is not None:
            shapes = [replace(one.serving, input_tokens=i, output_tokens=o) for i, o in (SHORT, LONG)]
            seconds = [estimate_point(shape, fit, estimator).request_seconds for shape in shapes]
            found.append([s / (i / rates[0] + o / rates[1]) for s, (i, o) in zip(seconds, (SHORT, LONG), strict=True)])
    if not found:
        return None
    short, long = np.array(found).T
    return Elsewhere(fit.name, len(found), quantiles(short), quantiles(long))


def quantiles(values: Array) -> tuple[float, float, float]:
    """10 %, 50 % and 90 %, to two places."""
    low, middle, high = (round(float(q), 2) for q in np.quantile(values, [0.1, 0.5, 0.9]))
    return low, middle, high
