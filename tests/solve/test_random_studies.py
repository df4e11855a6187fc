"""Random studies in which much goes wrong at once: each has a plan that holds, or none; never an internal error.

The suite takes a sample. Thousands, from the root of the repository:

    PYTHONPATH=.:tests/support python tests/solve/test_random_studies.py 3000     seeds 0 to 2999, as the sample
    PYTHONPATH=.:tests/support python tests/solve/test_random_studies.py 3000 6000  seeds 3000 to 5999
    PYTHONPATH=.:tests/support python tests/solve/test_random_studies.py oracle 1000  tiny, against brute force

Errors are printed with their seed as they come, then how many studies ended in what. Each has LONGEST_SECONDS of a
processor; those that take longer are counted apart.
"""

import math
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sharp import differs, sharp_study
from studies import beset_study

from planner.drill import drill_plan, drill_state_claims
from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.solve.search import Effort, Infeasible
from planner.study.records.study import Study

LONGEST_SECONDS = 10
MOST_PURCHASES = 300
"""That brute force tries for one study."""
SAMPLE = sorted({*range(24), 288, 305, 1062} - {14})
"""Of these 288 and 305 ended in a bound above the plan, 1062 in a bound below zero; 14 takes seconds."""
EFFORT = Effort(gap_fraction=0.05, most_nodes=50)


class TooLong(Exception):
    """A study took longer than one may."""


def outcome(study: Study, effort: Effort = EFFORT) -> str:
    """What becomes of a study: a plan that holds, or why there is none; anything else is an error."""
    try:
        plan = make_plan(study, effort)
    except Infeasible:
        return "infeasible"
    except NoPlan:
        return "stopped"
    assert audit(plan).passed, audit(plan).violations[:3]
    result = drill_plan(plan, study.failover)
    assert not result.broken, [row for row in result.rows if row.broken][:3]
    assert not drill_state_claims(plan), drill_state_claims(plan)[:3]
    return "plan"


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_random_study_has_a_plan_that_holds_or_none(seed: int) -> None:
    assert outcome(beset_study(seed)) in ("plan", "infeasible")


def _within(seconds: int, work: Callable[..., Any], *given: Any) -> Any:
    def stop(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return work(*given)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def beset(seed: int) -> str:
    """The outcome of a seed."""
    return outcome(beset_study(seed))


def against_brute_force(seed: int) -> str:
    """Whether a tiny study costs what brute force finds."""
    study = sharp_study(seed)
    if math.prod(int(b.most_units or 0) + 1 for b in study.offers) > MOST_PURCHASES:
        return "too large"
    difference = differs(study)
    assert difference is None, difference
    return "the same"


def many(of: Callable[[int], str], first: int, last: int) -> Counter[str]:
    """Outcomes of many seeds; errors are printed with their seed as they come."""
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        began = time.process_time()
        try:
            found = _within(LONGEST_SECONDS, of, seed)
        except TooLong:
            found = "too long"
        except Exception:
            found = "ERROR"
            print(f"seed {seed}:", traceback.format_exc().strip().splitlines()[-1], flush=True)
        counts[found] += 1
        if (seconds := time.process_time() - began) > LONGEST_SECONDS / 3:
            print(f"seed {seed}: {found} after {seconds:.0f} s", flush=True)
        if (seed + 1 - first) % 100 == 0:
            print(seed + 1 - first, dict(counts), flush=True)
    return counts


if __name__ == "__main__":
    oracle, numbers = "oracle" in sys.argv, [int(n) for n in sys.argv[1:] if n.isdigit()]
    print(many(against_brute_force if oracle else beset, *(numbers if len(numbers) > 1 else [0, *numbers])))
