"""The whole inventory planned with the goals of the example study: every pool that ships, six models, by stage.

Run as ``python benchmarks/full_inventory.py [--gap FRACTION] [--models 3|6] [--basis fixed|waiting]``; ends with 1
where the audit fails.

The study is examples/quickstart with `pools: ["*"]` and, for six models, three streams more (405B dense, the large
sparse one, the one with latent attention), each a share of the chat demand: all its origins, tiers, goals, holdings,
claims and quotas stay as they are.
"""

import argparse
import csv
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from planner.plan.audit import audit  # noqa: E402
from planner.plan.plan import make_plan  # noqa: E402
from planner.problem.build import build  # noqa: E402
from planner.solve.search import Effort  # noqa: E402
from planner.study.read import read_study  # noqa: E402
from planner.study.records.study import Study  # noqa: E402

MORE = (
    # stream, model, context class, mean input and output tokens as those of chat, share of the chat demand
    ("chat-large", "llama-3.1-405b", "short", 0.03),
    ("chat-sparse", "qwen3-235b-a22b", "short", 0.10),
    ("reason", "deepseek-r1", "short", 0.05),
)


def full_study(models: int, basis: str = "fixed") -> Study:
    """The example study over every pool that ships, replicas filled to fixed shares or by waiting."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples" / "quickstart", folder, dirs_exist_ok=True)
        here = Path(folder)
        data = yaml.safe_load((here / "study.yaml").read_text())
        data["pools"], data["utilisation"] = ["*"], {"basis": basis}
        rows = list(csv.DictReader((here / "demand.csv").open()))
        chat = next(w for w in data["workloads"] if w["name"] == "chat")
        for name, model, context_class, share in MORE if models == 6 else ():
            data["workloads"].append({**chat, "name": name, "model": model, "context_class": context_class})
            for row in [r for r in rows if r["workload"] == "chat"]:
                scaled = {k: f"{share * float(v):g}" for k, v in row.items() if k not in ("workload", "origin")}
                rows.append({"workload": name, "origin": row["origin"], **scaled})
        (here / "study.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        with (here / "demand.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return read_study(here)[0]


def main() -> int:
    """Plan, audit, print the stages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gap", type=float, default=0.01, help="gap at which the search ends [fraction]")
    parser.add_argument("--models", type=int, choices=(3, 6), default=6)
    parser.add_argument("--basis", choices=("fixed", "waiting"), default="fixed", help="how replicas are filled")
    parser.add_argument("--seconds", type=float, default=None, help="a clock for the search [s]")
    asked = parser.parse_args()
    began = last = time.perf_counter()
    stages: dict[str, float] = {}
    stage = "read"

    def progress(name: str, done: float | None, detail: str) -> None:
        nonlocal last, stage
        now = time.perf_counter()
        stages[stage] = stages.get(stage, 0.0) + now - last
        last, stage = now, name

    study = full_study(asked.models, asked.basis)
    progress("build and start", None, "")
    p = build(study)
    print(f"{len(p.pools)} pools, {len(study.models)} models, {len(p.placements)} placements, {len(p.flows)} flows")
    print(f"{len(p.failures) - 1} failures, {sum(map(len, p.edges_in_failure.values()))} edges in failures")
    plan = make_plan(study, Effort(gap_fraction=asked.gap, seconds=asked.seconds), progress=progress)
    progress("audit", None, "")
    checked = audit(plan)
    progress("end", None, "")
    for name, seconds in stages.items():
        print(f"  {seconds:7.1f} s  {name}")
    proof = plan.proof
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.perf_counter() - began:.1f} s in all, {memory:.1f} GiB")
    print(f"{proof.status}, cost {proof.cost_usd:,.0f} USD")
    print(f"gap {proof.gap_fraction:.2%} (relaxation {1 - proof.lp_bound_usd / proof.cost_usd:.2%} below the plan)")
    print(f"{len(proof.binding_failures)} failures entered; audit {'passed' if checked.passed else 'FAILED'}")
    return 0 if checked.passed else 1


if __name__ == "__main__":
    sys.exit(main())
