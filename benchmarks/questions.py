"""Questions about a plan that is there: what-ifs from it against cold ones, a matrix and a ladder against one plan."""

from benchmarks.measure import Measured, Timer
from benchmarks.whole_plans import Basis, study_named
from planner.plan.plan import make_plan
from planner.questions.ladder import climb, ladder_steps
from planner.questions.patches import Change, Patch
from planner.questions.variants import studies_of, variants_of
from planner.questions.whatif import plan_variants
from planner.solve.search import Effort
from planner.study.records.study import Goal, Study

QUESTIONS = ("one price", "10 % demand", "one more goal")
DEMANDS, PRICES = (0.9, 1.05, 1.1, 1.2), (0.8, 0.9, 1.0, 1.1)
"""Levels of a matrix of 16: factors on all demand, and on the prices of a provider."""


def changed(study: Study, question: str, offer: str) -> Study:
    """A study with the change of one of QUESTIONS; of prices that of an offer."""
    if question == "one more goal":
        first, *others = study.tiers
        goal = Goal(any="site", of=2, serve_fraction=0.5, within_seconds=300.0)
        more = first.model_copy(update={"survive": (*first.survive, goal)})
        return study.model_copy(update={"tiers": (more, *others)})
    path, factor = ("demand", 1.1) if question == "10 % demand" else (f"prices[{offer}]", 0.9)
    studies, _ = studies_of(study, variants_of((), [(patch(path, factor),)]))
    return studies[0]


def patch(path: str, factor: float) -> Patch:
    """A change of numbers by a factor."""
    return Patch(f"{path} x{factor:g}", "", (Change(path, "set", f"x{factor:g}", "benchmark"),))


def what_if(name: str, seed: int, basis: Basis, gap_fraction: float, question: str) -> Measured:
    """A changed study planned from the plan of the study as it is; `cold_seconds`: planned from nothing."""
    study, effort = study_named(name, seed, basis), Effort(gap_fraction=gap_fraction)
    base = make_plan(study, effort)
    largest = max(base.purchases, key=lambda purchase: purchase.units)
    asked = changed(study, question, largest.offer)
    timer = Timer()
    cold = make_plan(asked, effort)
    cold_seconds = timer.seconds()
    timer = Timer()
    warm = make_plan(asked, effort, start=base)
    facts = {
        "cold_seconds": cold_seconds,
        "cold_usd": cold.proof.cost_usd,
        "gap_fraction": warm.proof.gap_fraction,
    }
    return Measured(warm.proof.cost_usd, timer.seconds(), warm.proof.bound_usd, facts=facts)


def matrix(name: str, seed: int, basis: Basis, gap_fraction: float) -> Measured:
    """16 variants from the plan of the study as it is, in one process; `cold_seconds`: that plan."""
    study, effort, timer = study_named(name, seed, basis), Effort(gap_fraction=gap_fraction), Timer()
    base = make_plan(study, effort)
    cold_seconds = timer.seconds()
    axes = [tuple(patch("demand", d) for d in DEMANDS), tuple(patch("prices[google/*]", q) for q in PRICES)]
    timer = Timer()
    answers = plan_variants(study, variants_of((), axes), effort, base=base)
    worst = max(answer.plan.proof.gap_fraction if answer.plan else 1.0 for answer in answers)
    facts = {"cold_seconds": cold_seconds, "gap_fraction": worst, "plans": len(answers) - 1}
    return Measured(base.proof.cost_usd, timer.seconds(), base.proof.bound_usd, facts=facts)


def ladder(name: str, seed: int, basis: Basis, gap_fraction: float) -> Measured:
    """The ladder of a study, drilled; `cold_seconds`: one plan of it."""
    study, effort, timer = study_named(name, seed, basis), Effort(gap_fraction=gap_fraction), Timer()
    base = make_plan(study, effort)
    cold_seconds = timer.seconds()
    timer = Timer()
    steps = climb(study, ladder_steps(study), effort)
    planned = [step.plan.proof.gap_fraction for step in steps if step.plan is not None]
    facts = {"cold_seconds": cold_seconds, "gap_fraction": max(planned), "plans": len(planned)}
    return Measured(base.proof.cost_usd, timer.seconds(), base.proof.bound_usd, facts=facts)
