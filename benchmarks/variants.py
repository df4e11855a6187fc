"""What a matrix of 16 variants takes against 16 plans made alone, and against one.

Run as ``python benchmarks/variants.py [--gap 0.01] [--study FOLDER] [--quick] [--no-alone]``.

Four levels of demand and four of prices on the quickstart: the matrix as `planner whatif` plans it, each from the
study's own plan, its failures as hints and its whole numbers as start; then the same studies, each planned alone. Times
are seconds of the processor on one thread, so that what else the machine does counts little. Reading and checking the
variants is in the time of the matrix. Read the ratios: to one plan of the study as it is, and to 16 plans made alone.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from planner.plan.plan import make_plan  # noqa: E402
from planner.questions.patches import Change, Patch  # noqa: E402
from planner.questions.variants import studies_of, variants_of  # noqa: E402
from planner.questions.whatif import plan_variants  # noqa: E402
from planner.solve.search import Effort  # noqa: E402
from planner.study.read import read_study  # noqa: E402


def axis(path: str, factors: tuple[float, ...]) -> tuple[Patch, ...]:
    return tuple(
        Patch(f"{path} x{f:g}", "", (Change(path, "set", f"x{f:g}", "benchmark"),))
        if f != 1
        else Patch("as it is", "", ())
        for f in factors
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--gap", type=float, default=0.01)
    options.add_argument("--study", type=Path, default=ROOT / "examples" / "quickstart")
    options.add_argument("--quick", action="store_true", help="variants end at the first plan near the study's own")
    options.add_argument("--no-alone", action="store_true", help="only one plan alone and the matrix")
    asked = options.parse_args()
    effort = Effort(gap_fraction=asked.gap, quick=asked.quick)
    study, _ = read_study(asked.study)
    axes = [axis("demand", (0.9, 1.05, 1.1, 1.2)), axis("prices[google/*]", (0.8, 0.9, 1.0, 1.1))]
    variants = variants_of((), axes)

    began = time.process_time()
    base = make_plan(study, effort)
    one = time.process_time() - began
    print(
        f"gap {asked.gap:.1%}, {study.study}\n\n| plan | s | USD | gap | passes |\n| --- | --: | --: | --: | --: |",
        flush=True,
    )
    told = "| {} | {:.1f} | {:,.0f} | {:.2%} | {} |"
    print(told.format("as it is", one, base.proof.cost_usd, base.proof.gap_fraction, base.proof.passes), flush=True)
    marks = [time.process_time()]

    def done(answer):
        marks.append(time.process_time())
        if answer.plan is not None and answer.variant.patches:
            p = answer.plan.proof
            print(
                told.format(answer.variant.name, marks[-1] - marks[-2], p.cost_usd, p.gap_fraction, p.passes),
                flush=True,
            )

    plan_variants(study, variants, effort, base=base, done=done)
    matrix = time.process_time() - marks[0]
    print(f"\nmatrix of {len(variants)}: {matrix:.0f} s, {matrix / one:.1f} x one plan", flush=True)
    if not asked.no_alone:
        began = time.process_time()
        for made in studies_of(study, variants)[0]:
            make_plan(made, effort)
        alone = time.process_time() - began
        print(f"alone: {alone:.0f} s, {alone / one:.1f} x one plan; matrix over alone {matrix / alone:.2f}")


if __name__ == "__main__":
    main()
