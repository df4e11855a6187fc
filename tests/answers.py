"""What the examples come to, so that a release of a dependency cannot change an answer unseen.

`python tests/answers.py PLAN...` compares plans of examples with what is recorded here, and `--write` records them
anew. The LP bound does not depend on how a solver gets there: it must be the same number. Which plan
within the gap is found does: it must cost no less than the recorded bound, and no more than the gap allows.
"""

import json
import sys
from pathlib import Path

from planner.plan.file import read_plan
from planner.study.records.plan import PlanFile

RECORDED = Path(__file__).with_name("answers.json")
SAME = 1e-6
"""Relative difference that is the arithmetic of a solver."""


def answer(plan: PlanFile) -> dict[str, float]:
    """What is recorded of a plan [USD]."""
    found = {
        "lp_bound_usd": plan.proof.lp_bound_usd,
        "bound_usd": plan.proof.bound_usd,
        "cost_usd": plan.proof.cost_usd,
    }
    return {name: round(usd, 2) for name, usd in found.items()}


def changes(plan: PlanFile, recorded: dict[str, float]) -> list[str]:
    """What of a plan is not as it was, in a sentence each."""
    now, name, slack = answer(plan), plan.study.study, SAME * recorded["cost_usd"]
    found = []
    if abs(now["lp_bound_usd"] - recorded["lp_bound_usd"]) > slack:
        found.append(f"{name}: an LP bound of {now['lp_bound_usd']:,.2f} USD, was {recorded['lp_bound_usd']:,.2f}")
    if now["bound_usd"] > recorded["cost_usd"] + slack:
        found.append(f"{name}: a bound of {now['bound_usd']:,.2f} USD above the plan of {recorded['cost_usd']:,.2f}")
    if now["cost_usd"] < recorded["bound_usd"] - slack:
        found.append(f"{name}: a plan of {now['cost_usd']:,.2f} USD below the bound of {recorded['bound_usd']:,.2f}")
    if now["cost_usd"] * (1 - plan.proof.gap_asked_fraction) > recorded["cost_usd"] + slack:
        found.append(f"{name}: {now['cost_usd']:,.2f} USD, was {recorded['cost_usd']:,.2f}: more than the gap allows")
    return found


def main(words: list[str]) -> int:
    """Compare or record; 1 when an answer has changed."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.is_file() else {}
    plans = [read_plan(Path(word)) for word in words if word != "--write"]
    if "--write" in words:
        recorded |= {plan.study.study: answer(plan) for plan in plans}
        RECORDED.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    told = [line for plan in plans for line in changes(plan, recorded[plan.study.study])]
    print("\n".join(told or [f"{plan.study.study}: as recorded" for plan in plans]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
