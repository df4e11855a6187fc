"""The formula of waiting against the simulator, on placements drawn at random: `python -m benchmarks.waiting`.

For each placement the formula says the largest utilisation, up to 0.95, at which so many of a hundred requests wait no
longer than the target. There the simulator, which shares no formula with it, counts how many wait longer: within 10 %
of what the formula says, or fewer, is right. Where the target decides, the simulator then looks for the utilisation
that meets it by itself: what the formula gives away. `--requests 1000000` is the check in full (hours of processor
time).
"""

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from planner.drill.simulated_queue import Lengths, Routing, arrivals, waits
from planner.study.waiting import Spread, queues_of, servers_of, share_that_waits_longer, utilisation_that_meets

SLOTS = (6, 8, 16, 20, 24, 48, 64, 80, 128)
VARIATIONS = (0.0, 0.5, 1.0, 1.0, 1.5, 2.5)
ALONE = ("random", "round-robin")
"""Replicas have nothing to do with each other: one of them is simulated."""
NOT_STEADY_FRACTION = 0.1
ENOUGH = 0.003
"""How near an utilisation is looked for."""
WITHIN, LONGER = 1.1, 8
"""What the simulator may find above the formula; where it finds more, so many times the requests are simulated."""
MOST_UTILISATION = 0.95
"""As studies allow in failures; nearer to 1 a queue takes longer to become steady than demand stays the same."""


@dataclass(frozen=True)
class Placement:
    """Replicas that serve one kind of request, and how long it may wait.

    Parameters
    ----------
    service_s : how long a request keeps a slot; `reading_share` of it is the same for all
    variation : coefficient of variation of the rest: 0 fixed, 1 exponential, else lognormal
    bursts : squared coefficient of variation of the times between arrivals
    """

    replicas: int
    slots: int
    service_s: float
    reading_share: float
    variation: float
    bursts: float
    target_wait_s: float
    percentile: float
    routing: Routing
    number: int = 0

    @property
    def cs2(self) -> float:
        """Squared coefficient of variation of the time that a request takes."""
        return ((1.0 - self.reading_share) * self.variation) ** 2

    @property
    def spread(self) -> Spread:
        """How the formula is asked."""
        spread: Spread = "each" if self.routing in ALONE else "one-queue"
        return "least-requests" if self.routing == "least-requests" else spread

    @property
    def queue_slots(self) -> float:
        """Slots that count together, for the formula."""
        return float(servers_of(self.replicas, self.slots, self.spread))

    @property
    def utilisation(self) -> float:
        """The largest that meets the target, by the formula, and is allowed."""
        queues = queues_of(self.replicas, self.spread)
        of = (self.queue_slots, self.service_s, self.bursts, self.cs2, queues)
        return min(float(utilisation_that_meets(self.target_wait_s, self.percentile, *of)), MOST_UTILISATION)

    def share_longer(self, utilisation: float) -> float:
        """Share of requests that wait longer than the target, by the formula."""
        queues = queues_of(self.replicas, self.spread)
        of = (self.queue_slots, utilisation, self.service_s, self.bursts, self.cs2, queues)
        return float(share_that_waits_longer(self.target_wait_s, *of))


def drawn(n: int, routing: Routing, seed: int = 1, bursts: Sequence[float] = (1.0,)) -> list[Placement]:
    """Placements of all sizes: 1 to 300 replicas, 6 to 128 slots, requests of 1 to 40 s, waits of 0.1 to 8 s."""
    random = np.random.default_rng(seed)
    placements = []
    for number in range(n):
        placements.append(
            Placement(
                replicas=round(math.exp(random.uniform(0.0, math.log(300.0)))),
                slots=int(random.choice(SLOTS)),
                service_s=round(math.exp(random.uniform(0.0, math.log(40.0))), 2),
                reading_share=round(float(random.uniform(0.0, 0.7)), 2),
                variation=float(random.choice(VARIATIONS)),
                bursts=float(random.choice(bursts)),
                target_wait_s=round(math.exp(random.uniform(math.log(0.1), math.log(8.0))), 2),
                percentile=float(random.choice([95.0, 95.0, 99.0])),
                routing=routing,
                number=number,
            )
        )
    return placements


def simulated_share(of: Placement, utilisation: float, requests: int, seeds: Iterable[int]) -> list[float]:
    """Share of requests that wait longer than the target, simulated, by seed."""
    replicas = 1 if of.routing in ALONE else of.replicas
    rate = utilisation * replicas * of.slots / of.service_s
    shares = []
    for seed in seeds:
        random = np.random.default_rng([seed, of.number])
        at = arrivals(random, requests, rate, of.bursts)
        writing = (1.0 - of.reading_share) * Lengths(of.variation).drawn(random, requests)
        waited = waits(random, at, of.service_s * (of.reading_share + writing), replicas, of.slots, of.routing)
        counted = waited[round(NOT_STEADY_FRACTION * requests) :]
        shares.append(float((counted > of.target_wait_s).mean()))
    return shares


@dataclass(frozen=True)
class Checked:
    """A placement, with the utilisation by the formula, and what the simulator says of it.

    Parameters
    ----------
    formula_share, simulated_share : of requests that wait longer there
    error_share : standard error of the second
    simulated_utilisation : at which the simulator finds that just the target is met; none: more is not allowed
    """

    placement: Placement
    utilisation: float
    formula_share: float
    simulated_share: float
    error_share: float
    simulated_utilisation: float | None

    @property
    def holds(self) -> bool:
        """Whether the formula is within 10 % of the simulator, or on the safe side; chance apart (two errors)."""
        return self.simulated_share <= WITHIN * self.formula_share + 2.0 * self.error_share

    @property
    def excess(self) -> float | None:
        """How much more capacity the formula asks for than the simulator (0.05: 5 %); below 0: how much less."""
        return None if self.simulated_utilisation is None else self.simulated_utilisation / self.utilisation - 1.0


def checked(of: Placement, requests: int, seeds: int, search: bool = True) -> Checked:
    """Simulate at the utilisation of the formula, longer where more wait than it says; look for the simulator's own.

    Parameters
    ----------
    search : whether the simulator's own utilisation is looked for
    """
    utilisation = of.utilisation
    allowed, formula_share = 1.0 - of.percentile / 100.0, of.share_longer(utilisation)
    shares = simulated_share(of, utilisation, requests, range(seeds))
    if np.mean(shares) > WITHIN * formula_share:
        shares = simulated_share(of, utilisation, LONGER * requests, range(1000, 1000 + seeds))
    error = float(np.std(shares, ddof=1) / math.sqrt(seeds)) if seeds > 1 else 0.0
    if utilisation >= MOST_UTILISATION or not search:
        return Checked(of, utilisation, formula_share, float(np.mean(shares)), error, None)
    low, high = (utilisation, 0.99) if np.mean(shares) <= allowed else (0.5 * utilisation, utilisation)
    while high - low > ENOUGH * utilisation:
        middle = (low + high) / 2.0
        longer = float(np.mean(simulated_share(of, middle, requests, range(100, 100 + max(1, seeds // 4)))))
        low, high = (middle, high) if longer <= allowed else (low, middle)
    return Checked(of, utilisation, formula_share, float(np.mean(shares)), error, (low + high) / 2.0)


def all_checked(placements: Sequence[Placement], requests: int, seeds: int, jobs: int, search: bool) -> list[Checked]:
    """All of them, side by side."""
    return list(Parallel(jobs)(delayed(checked)(of, requests, seeds, search) for of in placements))


def table(rows: Sequence[Checked], title: str, group: Callable[[Checked], str]) -> list[str]:
    """A table in Markdown: by group how many hold, how far the share is off, and what that costs."""
    lines = [
        f"| {title} | placements | hold | target decides | simulated by formula: median, most | "
        "more capacity: median, 95th, most |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(map(group, sorted(rows, key=_size))):
        mine = [row for row in rows if group(row) == name]
        decided = [row for row in mine if row.simulated_utilisation is not None]
        cells = [name, f"{len(mine)}", f"{sum(row.holds for row in mine)}", f"{len(decided)}", "", ""]
        if decided:
            ratio = np.array([row.simulated_share / row.formula_share for row in decided])
            excess = 100.0 * np.array([row.excess for row in decided])
            cells[4] = f"{np.median(ratio):.2f}, {ratio.max():.2f}"
            cells[5] = f"{np.median(excess):.1f} %, {np.percentile(excess, 95):.1f} %, {excess.max():.1f} %"
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _size(row: Checked) -> tuple[float, float]:
    return row.placement.queue_slots, row.placement.variation


def size_of(row: Checked) -> str:
    """By the slots of a queue."""
    slots = row.placement.queue_slots
    edges = ((16, "up to 16"), (64, "17 to 64"), (256, "65 to 256"), (1024, "257 to 1,024"), (4096, "1,025 to 4,096"))
    return next((name for most, name in edges if slots <= most), "more than 4,096")


def lengths_of(row: Checked) -> str:
    """By how lengths vary."""
    cs2 = row.placement.cs2
    edges = ((0.01, "0 (fixed)"), (0.5, "to 0.5"), (1.0, "to 1"), (2.0, "to 2"))
    return next((name for most, name in edges if cs2 <= most), "above 2")


def main() -> None:
    """Check, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--placements", type=int, default=200)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only-check", action="store_true", help="do not look for the simulator's own utilisation")
    parser.add_argument("--routing", nargs="*", default=["one-queue", "random", "least-requests"])
    parser.add_argument("--bursts", nargs="*", type=float, default=[1.0])
    asked = parser.parse_args()
    for routing in asked.routing:
        placements = drawn(asked.placements, routing, bursts=asked.bursts)
        rows = all_checked(placements, asked.requests, asked.seeds, asked.jobs, not asked.only_check)
        above = sum(row.simulated_share > WITHIN * row.formula_share for row in rows)
        print(
            f"\n{routing}: {sum(row.holds for row in rows)} of {len(rows)} hold, {above} of them above by chance alone"
        )
        print("\n".join([*table(rows, "slots", size_of), "", *table(rows, "cs2", lengths_of)]), flush=True)
        for row in (row for row in rows if not row.holds):
            print(f"  {row}")


if __name__ == "__main__":
    main()
