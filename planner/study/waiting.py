"""How long requests wait for a server: G/G/c, first come first served, by formulas that are published.

A server is a slot of a replica, one of its requests in flight; `service_s` is how long a request keeps it. How a
gateway spreads requests over replicas decides how many servers count together (`servers_of`, `queues_of`). `ca2` and
`cs2` are squared coefficients of variation: of the times between arrivals, and of the times that requests take (0: all
the same; 1: exponential, and Poisson arrivals). All arguments may be arrays of numbers that broadcast.

- Exponential (cs2 = 1): Erlang's C, and `P(W > t) = C · exp(-c (1 - utilisation) t / service_s)`, exact.
- Fixed lengths (cs2 = 0): exact as well, from a table (benchmarks/fixed_lengths.py; Franx 2001).
- Between them: `W_p = (1 - cs2) W_p of fixed + cs2 W_p of exponential lengths` (Tijms, A First Course in Stochastic
  Models, 2003, chapter 9: percentiles interpolated as means are).
- More than exponential: `W_p = (1 + cs2) / 2 · W_p of exponential lengths`, as Allen and Cunneen scale the mean; on the
  safe side for long tails.
- Each request sent at once to the replica with the fewest (`queues` of them): it waits where all slots are busy, as in
  one queue, but for its own replica: `P(W > t) <= C · exp(-c / queues (1 - utilisation^queues) t / service_s)`, so the
  wait of one queue is stretched by `queues (1 - utilisation) / (1 - utilisation^queues)`. Our own: of queues as even
  as they can be, geometric in sum. Fewer wait than C says, so it is on the safe side.
- Arrivals in bursts: as many servers fewer as arrivals are burstier than Poisson's, `c (1 + s) / (ca2 + s)` instead of
  c with s = min(cs2, 1), each request alone (Hayward's approximation; Fredericks, Bell System Technical Journal 59,
  1980). Where nearly all wait, its mean is that of Allen and Cunneen up to cs2 = 1, and more above.

docs/waiting.md says how far each is from a simulator. Sources: Erlang 1917; Allen, Probability, Statistics and Queueing
Theory, 1990; Kimura, Management Science 32, 1986, and Queueing Systems 17, 1994; Whitt, Production and Operations
Management 2, 1993, for the means.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Spread = Literal["one-queue", "least-requests", "each"]
"""How requests are spread over replicas: from one queue before all of them; or at once, each replica with a queue of
its own, to the one with the fewest requests, or to each whatever the others have (at random, in turn)."""
SPREADS: Mapping[Spread, str] = {
    "one-queue": "a request goes to whichever replica of a placement has a free slot",
    "least-requests": "a request goes at once to the replica of a placement that has the fewest",
    "each": "a request goes to any replica of a placement, in turn or at random",
}
"""The same in words; the kindest first: what keeps to one of them keeps to those behind it."""
TABLE = Path(__file__).with_name("waits_of_fixed_lengths.csv")
LEAST_SPARE = 0.05
"""In (servers - load) / sqrt(load): no utilisation above it is answered with, and waits above it are scaled."""
MOST_SPARE = 1000.0
HALVINGS = 50
"""Of an interval in which a share is looked for: to within rounding."""
MOST_STEPS, CLOSE = 60, 1e-11
"""Of the search for a utilisation, and how far the logarithm of what is spare may be off; mostly ten steps do."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)
MOST_DEVIATIONS = 9.0
"""How far from its peak an integrand is looked at, in standard deviations."""


def servers_of(replicas: ArrayLike, concurrency: ArrayLike, spread: Spread) -> Array:
    """Slots that count together: of all replicas, or of each by itself, where nobody looks at the others."""
    slots = np.asarray(replicas, dtype=np.float64) * np.asarray(concurrency, dtype=np.float64)
    return np.broadcast_to(np.asarray(concurrency, dtype=np.float64), slots.shape) if spread == "each" else slots


def queues_of(replicas: ArrayLike, spread: Spread) -> Array:
    """Queues among which each request is sent to the shortest."""
    count = np.asarray(replicas, dtype=np.float64)
    return count if spread == "least-requests" else np.ones_like(count)


def erlang_c(servers: ArrayLike, utilisation: ArrayLike) -> Array:
    """Share of requests that wait at all, Poisson arrivals and exponential lengths (0 to 1).

    Erlang's C from his B, `C = 1 / (u + (1 - u) / B)`, and B as an integral (Jagerman, Bell System Technical Journal
    53, 1974), for any number of servers from 1 on, also between whole ones:
    `1/B = c ∫ exp(c (f(x) - f(u))) dx from u on, f(x) = ln x - x + 1`.

    Parameters
    ----------
    servers : c, from 1 on; exact to ten digits up to 100,000
    utilisation : u, load by servers, 0 to below 1

    Examples
    --------
    >>> erlang_c(1, 0.7).round(9).item(), erlang_c(2, 0.5).round(9).item()
    (0.7, 0.333333333)
    """
    c, u = np.broadcast_arrays(np.asarray(servers, dtype=np.float64), np.asarray(utilisation, dtype=np.float64))
    c, u = np.maximum(c, 1.0)[..., None], np.clip(u, 1e-300, 1.0)[..., None]
    # x = (1 + z / (3 sqrt c))^3 makes the integrand nearly normal in z (Wilson and Hilferty)
    width = 3.0 * np.sqrt(c)
    low = np.maximum(width * (np.cbrt(u) - 1.0), -MOST_DEVIATIONS)
    z = low + (MOST_DEVIATIONS - low) * (NODES + 1.0) / 2.0
    root = 1.0 + z / width
    above = c * (_peaked(root**3) - _peaked(u))
    with np.errstate(over="ignore"):
        integrand = np.exp(above) * root**2 / np.sqrt(c)
        one_by_b = c[..., 0] * (integrand * WEIGHTS).sum(axis=-1) * (MOST_DEVIATIONS - low[..., 0]) / 2.0
    use = u[..., 0]
    shares: Array = np.clip(1.0 / (use + (1.0 - use) * one_by_b), 0.0, 1.0)
    return shares


def _peaked(x: Array) -> Array:
    """`ln x - x + 1`: 0 at 1, below it elsewhere."""
    values: Array = np.log(x) - x + 1.0
    return values


def mean_wait_s(
    servers: ArrayLike, utilisation: ArrayLike, service_s: ArrayLike, ca2: ArrayLike = 1.0, cs2: ArrayLike = 1.0
) -> Array:
    """Mean wait of all requests [s].

    Formula (Allen and Cunneen, with Kimura's correction for lengths between fixed and exponential)
        exponential = C · service_s / (c (1 - u))
        fixed = exponential / 2 · (1 + min(0.24, (1 - u)(c - 1)(sqrt(4 + 5 c) - 2) / (16 c u)))
        W = (1 + cs2) / ((1 - cs2) / fixed + 2 cs2 / exponential)   up to cs2 = 1,   exponential (1 + cs2) / 2   above
    with `c (1 + s) / (ca2 + s)` servers instead of c, s = min(cs2, 1).

    Examples
    --------
    >>> mean_wait_s(1, 0.5, 10.0, cs2=0.0).round(6).item()
    5.0
    """
    c, u, service, cs2 = _broadcast(servers, utilisation, service_s, ca2, cs2)
    exponential = np.where(u > 0, erlang_c(c, u) / (np.maximum(1.0 - u, 1e-15) * c), 0.0)
    fixed = exponential / 2.0 * (1.0 + _of_many_servers(np.maximum(c, 1.0), u))
    within = np.clip(cs2, 0.0, 1.0)
    least = np.finfo(np.float64).tiny
    inverse = (1.0 - within) / np.maximum(fixed, least) + 2.0 * within / np.maximum(exponential, least)
    waits: Array = service * np.where(cs2 <= 1.0, (1.0 + within) / inverse, exponential * (1.0 + cs2) / 2.0)
    return waits


def _of_many_servers(c: Array, u: Array) -> Array:
    """How much more than half of the exponential wait is that of fixed lengths (Cosmetatos 1976; Whitt 1993)."""
    more: Array = np.minimum(
        0.24, (1.0 - u) * (c - 1.0) * (np.sqrt(4.0 + 5.0 * c) - 2.0) / (16.0 * c * np.maximum(u, 1e-12))
    )
    return more


def _broadcast(
    servers: ArrayLike, utilisation: ArrayLike, service_s: ArrayLike, ca2: ArrayLike, cs2: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    """Servers that count (below 1 where arrivals are in bursts), utilisation, service time and cs2, of one shape."""
    parts = [np.asarray(part, dtype=np.float64) for part in (servers, utilisation, service_s, ca2, cs2)]
    c, u, service, arrivals, lengths = np.broadcast_arrays(*parts)
    within = np.minimum(lengths, 1.0)
    return c * (1.0 + within) / np.maximum(arrivals + within, 1e-9), u, service, lengths


# ---------------------------------------------------------------------------------------------- percentiles
def wait_at_percentile_s(
    percentile: float,
    servers: ArrayLike,
    utilisation: ArrayLike,
    service_s: ArrayLike,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
    queues: ArrayLike = 1.0,
) -> Array:
    """What so many of a hundred requests wait at most [s]; 0 where no more than the others wait at all.

    Examples
    --------
    One server in two busy: one request in two waits, and `0.5 · exp(-t / 20) = 0.05` at 46 s.

    >>> wait_at_percentile_s(95, 1, 0.5, 10.0).round(3).item()
    46.052
    """
    return _wait_s(math.log1p(-percentile / 100.0), *_broadcast(servers, utilisation, service_s, ca2, cs2), queues)


def share_that_waits_longer(
    wait_s: ArrayLike,
    servers: ArrayLike,
    utilisation: ArrayLike,
    service_s: ArrayLike,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
    queues: ArrayLike = 1.0,
) -> Array:
    """Share of requests that wait longer (0 to 1): where `wait_at_percentile_s` is this wait.

    Examples
    --------
    >>> share_that_waits_longer(46.052, 1, 0.5, 10.0).round(4).item()
    0.05
    """
    of_queue = _broadcast(servers, utilisation, service_s, ca2, cs2)
    wait = np.asarray(wait_s, dtype=np.float64)
    low, high, _ = np.broadcast_arrays(np.full(wait.shape, -40.0), np.zeros(of_queue[0].shape), queues)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        longer = _wait_s(middle, *of_queue, queues) > wait
        low, high = np.where(longer, middle, low), np.where(longer, high, middle)
    shares: Array = np.exp(high)
    return shares


def _wait_s(log_share: float | Array, c: Array, u: Array, service: Array, cs2: Array, queues: ArrayLike) -> Array:
    """The wait that this share of requests exceeds [s]."""
    exponential, fixed = _exponential_wait(log_share, c, u), _fixed_wait(log_share, c, u)
    within = np.clip(cs2, 0.0, 1.0)
    between = (1.0 - within) * np.minimum(fixed, exponential) + within * exponential
    stretched = service * _stretch(np.asarray(queues, dtype=np.float64), u)
    waits: Array = stretched * np.where(cs2 <= 1.0, between, exponential * (1.0 + cs2) / 2.0)
    return waits


def _stretch(queues: Array, u: Array) -> Array:
    """How much longer than in one queue a request waits that is sent to the shortest of several: 1 of one queue."""
    within = np.clip(u, 1e-15, 1.0 - 1e-15)
    longer: Array = queues * (1.0 - within) / -np.expm1(queues * np.log(within))
    return longer


def _exponential_wait(log_share: float | Array, c: Array, u: Array) -> Array:
    """The same for exponential lengths, in units of the service time."""
    with np.errstate(divide="ignore"):
        above = np.log(erlang_c(c, u)) - log_share
    waits: Array = np.maximum(above, 0.0) / (c * np.maximum(1.0 - u, 1e-15))
    return waits


@dataclass(frozen=True)
class _FixedLengths:
    """The table of fixed lengths: logarithms of shares [servers, spare, wait], and what its axes are."""

    log_servers: Array
    spare: Array
    waits: Array
    log_shares: Array


@cache
def _fixed_lengths() -> _FixedLengths:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    waits = np.array([float(wait) for wait in lines[0].split(",")[2:]])
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    servers, spare = np.unique(rows[:, 0]), np.unique(rows[:, 1])
    return _FixedLengths(np.log(servers), spare, waits, rows[:, 2:].reshape(len(servers), len(spare), len(waits)))


def spare_of(servers: ArrayLike, utilisation: ArrayLike) -> Array:
    """Servers beyond the load, in square roots of the load: `(c - load) / sqrt(load)`."""
    u = np.maximum(np.asarray(utilisation, dtype=np.float64), 1e-15)
    values: Array = np.sqrt(np.asarray(servers, dtype=np.float64)) * (1.0 - u) / np.sqrt(u)
    return values


def _fixed_wait(log_share: float | Array, c: Array, u: Array) -> Array:
    """The same for fixed lengths; beyond the table as for exponential ones, which is on the safe side."""
    table = _fixed_lengths()
    c_least = np.maximum(c, 1.0)
    spare = spare_of(c_least, u)
    n, n_part = _place(table.log_servers, np.log(c_least))
    m, m_part = _place(table.spare, spare)
    rows = np.zeros((*n.shape, len(table.waits)))
    for more_servers, more_spare in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (n_part if more_servers else 1.0 - n_part) * (m_part if more_spare else 1.0 - m_part)
        rows += weight[..., None] * table.log_shares[n + more_servers, m + more_spare]
    looked_for = np.broadcast_to(np.asarray(log_share, dtype=np.float64), n.shape)[..., None]
    k = np.clip((rows > looked_for).sum(axis=-1) - 1, 0, len(table.waits) - 2)[..., None]
    before, after = np.take_along_axis(rows, k, -1), np.take_along_axis(rows, k + 1, -1)
    step = table.waits[k + 1] - table.waits[k]
    scaled = (table.waits[k] + step * (before - looked_for) / (before - after))[..., 0]
    scaled = np.where(rows[..., 0] > looked_for[..., 0], scaled, 0.0)
    waits = scaled / np.sqrt(c_least) * (c_least / c)
    waits = waits * np.maximum(LEAST_SPARE / np.maximum(spare, 1e-15), 1.0)
    as_exponential: Array = np.where(spare > table.spare[-1], _exponential_wait(log_share, c, u), waits)
    return as_exponential


def _place(axis: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """The place of values on an axis, and how far they are on to the next (0 to 1); held to its ends."""
    n = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, len(axis) - 2)
    part = np.clip((values - axis[n]) / (axis[n + 1] - axis[n]), 0.0, 1.0)
    return n, part


# ---------------------------------------------------------------------------------------------- utilisation
def utilisation_that_meets(
    target_wait_s: ArrayLike,
    percentile: float,
    servers: ArrayLike,
    service_s: ArrayLike,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
    queues: ArrayLike = 1.0,
) -> Array:
    """The largest utilisation at which so many of a hundred requests wait no longer than this (0 to below 1).

    `queues`: where each request is sent to the replica with the fewest, replicas; see `servers_of` and `queues_of`.

    It rises with the servers. It is never above that at which (servers - load) / sqrt(load) is 0.05, where waits grow
    without end; 0 where the target is below 0.

    Examples
    --------
    95 of 100 requests of 10 s are to wait no longer than 1 s, of 16 slots and of 1,600:

    >>> utilisation_that_meets(1.0, 95, [16, 1600], 10.0).round(3).tolist()
    [0.66, 0.986]
    """
    target, c, _, service, lengths, of = np.broadcast_arrays(
        np.asarray(target_wait_s, dtype=np.float64),
        *_broadcast(servers, 0.0, service_s, ca2, cs2),
        np.asarray(queues, dtype=np.float64),
    )
    log_share = math.log1p(-percentile / 100.0)

    def too_late(log_spare: Array) -> Array:
        u = _utilisation_of(c, np.exp(log_spare))
        return _too_late(log_share, target, c, u, service * _stretch(of, u), lengths)

    log_spare = _least_that_holds(too_late, np.full(c.shape, math.log(LEAST_SPARE)), math.log(MOST_SPARE))
    utilisation: Array = np.where(target >= 0.0, _utilisation_of(c, np.exp(log_spare)), 0.0)
    return utilisation


def _too_late(log_share: float, target: Array, c: Array, u: Array, seconds: Array, cs2: Array) -> Array:
    """Above 0 where the wait that this share of requests exceeds is longer than the target; smooth from `cs2` 1 on.

    It is what the wait is longer, times `c (1 - u) / seconds`, and goes on below 0 where no more than the share waits.
    """
    with np.errstate(divide="ignore"):
        above = np.log(erlang_c(c, u)) - log_share
    rate = c * np.maximum(1.0 - u, 1e-15)
    longer: Array = above * (1.0 + np.maximum(cs2, 1.0)) / 2.0 - target * rate / seconds
    if (cs2 < 1.0).any():
        waits = _wait_s(log_share, c, u, seconds, cs2, 1.0)
        longer = np.where(cs2 < 1.0, (waits - target) * rate / seconds, longer)
    return longer


def _least_that_holds(excess: Callable[[Array], Array], low: Array, most: float) -> Array:
    """From where on an excess is no more than 0, of one that falls: within `CLOSE`, on the side that holds.

    Source
        Chandrupatla, Advances in Engineering Software 28 (1997): inverse quadratic interpolation where it is safe,
        else halves
    """
    x, other = np.full(low.shape, most), low
    at_x, at_other = excess(x), excess(other)
    holds = at_other <= 0.0
    step, width = np.full(low.shape, 0.5), np.abs(other - x)
    for _ in range(MOST_STEPS):
        if not (unsure := width > CLOSE).any():
            break
        new = np.where(unsure, x + step * (other - x), x)  # one by one as all at once: what is close stays
        at_new = excess(new)
        same = ((at_new > 0.0) == (at_x > 0.0)) | ~unsure
        before, at_before = np.where(same, x, other), np.where(same, at_x, at_other)
        other, at_other = np.where(same, other, x), np.where(same, at_other, at_x)
        x, at_x, width = new, at_new, np.abs(other - new)
        step = _next_step((x, other, before), (at_x, at_other, at_before), CLOSE / 2.0 / np.maximum(width, CLOSE))
    least: Array = np.where(holds, low, np.where(at_x > 0.0, other, x))
    return least


def _next_step(points: tuple[Array, Array, Array], values: tuple[Array, Array, Array], least: Array) -> Array:
    """How far to go from the first point to the second (0 to 1), of which one is on either side, and an older third."""
    (x, other, before), (at_x, at_other, at_before) = points, values
    with np.errstate(all="ignore"):
        part, height = (x - other) / (before - other), (at_x - at_other) / (at_before - at_other)
        is_safe = (height**2 < part) & ((1.0 - height) ** 2 < 1.0 - part)
        step = at_x / (at_other - at_x) * at_before / (at_other - at_before)
        step += (before - x) / (other - x) * at_x / (at_before - at_x) * at_other / (at_before - at_other)
    steps: Array = np.clip(np.where(is_safe & np.isfinite(step), step, 0.5), least, 1.0 - least)
    return steps


def _utilisation_of(servers: Array, spare: Array) -> Array:
    """Load by servers, where so much is spare: what `spare_of` says the other way round."""
    c = np.maximum(servers, 1.0)
    root = (np.sqrt(spare * spare + 4.0 * c) - spare) / 2.0
    utilisation: Array = root * root / c
    return utilisation


def squared_variation(mean: ArrayLike, mean_of_squares: ArrayLike) -> Array:
    """Squared coefficient of variation: `mean_of_squares / mean² - 1`, of several kinds of request together as of one.

    Examples
    --------
    Half of the requests take 1 s, half 3 s, each exactly:

    >>> squared_variation(2.0, (1 + 9) / 2).item()
    0.25
    """
    squares = np.asarray(mean_of_squares, dtype=np.float64) / np.asarray(mean, dtype=np.float64) ** 2
    variation: Array = np.maximum(squares - 1.0, 0.0)
    return variation


def variation_of_quantiles(shares: ArrayLike, values: ArrayLike) -> tuple[float, float]:
    """Mean and squared coefficient of variation of a distribution that is known by quantiles, straight between them.

    Parameters
    ----------
    shares : from 0 to 1, rising: which share is at most its value
    values : as many, rising; the first is the least, the last the most

    Examples
    --------
    All values between 0 and 2 the same often: variance 1/3.

    >>> mean, cs2 = variation_of_quantiles([0, 1], [0, 2])
    >>> mean, round(cs2, 6)
    (1.0, 0.333333)
    """
    share, value = np.asarray(shares, dtype=np.float64), np.asarray(values, dtype=np.float64)
    weight, low, high = np.diff(share), value[:-1], value[1:]
    mean = float((weight * (low + high) / 2.0).sum())
    squares = float((weight * (low * low + low * high + high * high) / 3.0).sum())
    return mean, float(squared_variation(mean, squares))
