"""A plan of a study that is already planned, from other decisions: what its file says of the search it does not."""

from typing import Any

from planner.plan.decisions import (
    builds_of,
    chosen_of,
    costs_usd,
    gap_fraction,
    non_preemptible_of,
    on_offers_of,
    purchases_of,
    reserves_of,
    state_records,
)
from planner.plan.file import sealed
from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.decisions import Decisions
from planner.problem.failures import uncounted_at_most
from planner.problem.problem import Problem
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import rules_with_rows
from planner.solve.search import is_proven
from planner.study.records.plan import PlanFile, Replicas


def decided(p: Problem, x: Decisions) -> dict[str, Any]:
    """What a plan file says of decisions, by field."""
    return {
        "purchases": purchases_of(p, x),
        "builds": builds_of(p, x),
        "replicas": tuple(
            Replicas(
                placement=e,
                hour=h,
                replicas=int(n),
                non_preemptible=non_preemptible_of(p, x, e, h),
                on_offers=on_offers_of(p, x, e, h),
            )
            for (e, h), n in sorted(x.replicas.items())
            if n
        ),
        "states": tuple(state_records(p, x)),
        "reserves": reserves_of(p, x),
        "chosen": chosen_of(x),
        "costs_usd": costs_usd(p, x),
        "rules": rules_with_rows(full(p), as_vectors(p, x)),
    }


def with_decisions(plan: Plan, x: Decisions, binding: tuple[str, ...]) -> PlanFile:
    """The plan of the same study with other decisions, at a cost within a margin of it.

    Its bound is that of the plan: none of this study costs less. It is asked for the bound that the plan was asked for:
    where the plan is not proven to that, what costs as much or more is not, either.
    What the search of the plan says of bottlenecks, and of who pays for what, is left out: it is of that plan.

    Parameters
    ----------
    binding : failures that decide the other one
    """
    p, proof = plan.problem, plan.file.proof
    fields = decided(p, x)
    cost_usd = sum(fields["costs_usd"].values())
    bound_usd = min(proof.bound_usd, cost_usd)
    gap = gap_fraction(cost_usd, bound_usd)
    asked = gap_fraction(max(cost_usd, proof.cost_usd), proof.cost_usd * (1 - proof.gap_asked_fraction))
    own = {
        "status": "proven" if proof.status == "gap" and is_proven(gap, asked) else proof.status,
        "cost_usd": cost_usd,
        "bound_usd": bound_usd,
        "lp_bound_usd": min(proof.lp_bound_usd, cost_usd),
        "gap_fraction": gap,
        "gap_asked_fraction": asked,
        "binding_failures": binding,
    }
    equal = plan.file.on_equal_terms
    most = uncounted_at_most(p, fields["purchases"])
    if equal is not None and any(row.units > most.get((row.offer, row.when), row.units) for row in equal.purchases):
        equal = None
    more: dict[str, Any] = {"bottlenecks": (), "drivers": {}, "no_regret": (), "on_equal_terms": equal}
    return sealed(plan.file.model_copy(update={**fields, **more, "proof": proof.model_copy(update=own)}))
