"""Targets of `planner emit`, and the gate before them: an audit, a proof and a drill of the plan."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from planner.drill import drill_plan, drill_state_claims
from planner.emit.known import ALL, TARGETS
from planner.emit.kubernetes_options import HEALTH_PATH, endpoint_template
from planner.emit.spreading import PAGE, spread_page
from planner.errors import Finding, InputError
from planner.plan.audit import audit
from planner.plan.in_hand import Plan, in_hand
from planner.questions.shortfalls import broken_goals
from planner.study.places import listed, near_miss
from planner.study.records.plan import PlanFile, Proof

NOT_PROVEN = "NOT-PROVEN.md"
MOST_REASONS = 20
NOT_PROVEN_OPTION = "not_proven"
"""Option that every target is given where the plan is not proven: why."""


@dataclass(frozen=True)
class Gate:
    """What is said of a plan before it is emitted.

    Parameters
    ----------
    not_proven : why it should not be carried out: what the audit, the proof or the drill finds
    warnings : what the drill cannot judge; no reason by itself
    """

    not_proven: tuple[str, ...]
    warnings: tuple[str, ...]


def gate(plan: PlanFile | Plan, progress: Callable[[int, int], None] | None = None) -> Gate:
    """Audit, proof and drill of a plan.

    Parameters
    ----------
    progress : called with (failures replayed, failures in all)
    """
    plan = in_hand(plan)
    audited = _audited(plan)
    reasons, warnings = list(audited), []
    proof = plan.file.proof
    if proof.status != "proven":
        reasons.append(_proof_reason(proof))
    if audited:  # a plan that fails its audit may not even be replayed
        reasons.append("drill: not made, as the audit fails")
    else:
        drilled = drill_plan(plan.file, progress=progress)
        reasons += [f"drill: {goal.text} does not hold" for goal in broken_goals(plan.study, drilled)]
        reasons += [f"drill: {claim}" for claim in drill_state_claims(plan.file)]
        for rule in getattr(drilled, "not_judged", ()):
            warnings.append(f"rule {rule} of the plan is not known to the drill; its verdict does not cover it")
    more = len(reasons) - MOST_REASONS
    return Gate((*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])), tuple(warnings))


def _proof_reason(proof: Proof) -> str:
    return f"proof: {proof.status}, gap {proof.gap_fraction:.2%}, asked {proof.gap_asked_fraction:.2%}"


def what_is_not_proven(plan: PlanFile | Plan, not_proven: tuple[str, ...]) -> str:
    """What is so of a plan that is not proven, in a sentence: its cost alone, or what it is to survive."""
    why = "; ".join(not_proven)
    if not_proven == (_proof_reason(in_hand(plan).file.proof),):
        holds = "Its goals hold, as audit and drill say; its cost is not proven to the gap that was asked"
        return f"{holds}, so that a cheaper plan may exist: {why}"
    return f"This plan may not survive what it says: {why}"


def why_not_proven(plan: PlanFile | Plan) -> tuple[str, ...]:
    """Why a plan should not be carried out; empty: nothing."""
    return gate(plan).not_proven


def _audited(plan: Plan) -> tuple[str, ...]:
    try:
        return tuple(f"audit: {violation}" for violation in audit(plan).violations)
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:  # a study changed by hand
        return (f"audit: cannot be made: {type(error).__name__} {error}",)


def emitted(
    plan: PlanFile | Plan,
    target: str,
    options: Mapping[str, str],
    not_proven: tuple[str, ...] = (),
    progress: Callable[[str, float | None, str], None] = lambda stage, done, detail: None,
) -> dict[str, str]:
    """The files of a target, or of all targets each in a folder of its own.

    Where all are made and a domain is set, gateways address the placements under it, as the routes of `kubernetes` do.

    Parameters
    ----------
    progress : called with (stage, fraction done, target) before each target, and after each failure that one replays
    not_proven : `why_not_proven` of the plan; a file of that name says so, and every target may

    Raises
    ------
    InputError
        when there is no such target, or none that takes an option
    """
    if target not in (*TARGETS, ALL):
        meant = near_miss(target, (*TARGETS, ALL))
        raise InputError(
            [Finding("target", f"one of {', '.join((*TARGETS, ALL))}", f"{target!r}{meant}", "choose one")]
        )
    plan = in_hand(plan)
    modules = {name: import_module(TARGETS[name].module) for name in (TARGETS if target == ALL else (target,))}
    _check_options(options, {key for module in modules.values() for key in module.OPTIONS})
    if target == ALL and not {"endpoint", "endpoints"} & set(options):
        options = {**options, "endpoint": endpoint_template(options)}
        _check_health_path(options)
    made: dict[str, str] = {}
    for n, (name, module) in enumerate(modules.items()):
        progress("making files", n / len(modules), name)
        replays = {"progress": _within(progress, name, n, len(modules))} if TARGETS[name].replays else {}
        taken = {key: default for key, default in module.OPTIONS.items() if not key.endswith(".")}
        taken |= {key: value for key, value in options.items() if _takes(module.OPTIONS, key)}
        if not_proven:
            taken[NOT_PROVEN_OPTION] = what_is_not_proven(plan, not_proven)
        folder = f"{name}/" if target == ALL else ""
        for path, text in module.files(plan, taken, **replays).items():
            made[folder + path] = text
    if page := spread_page(plan, target, options):
        made[PAGE] = page
    if not_proven:
        lines = ["# This plan is not proven", "", *(f"    {json.dumps(reason)}" for reason in not_proven)]
        made[NOT_PROVEN] = "\n".join(lines) + "\n"
    return dict(sorted(made.items()))


def _within(
    progress: Callable[[str, float | None, str], None], name: str, n: int, targets: int
) -> Callable[[int, int], None]:
    """Progress of the failures that the n-th of some targets replays."""

    def advance(done: int, of: int) -> None:
        progress(
            "making files", (n + done / of) / targets, f"{name}: {done} of {of} failures while machines are missing"
        )

    return advance


def about(
    plan: PlanFile | Plan, target: str, options: Mapping[str, str], not_proven: tuple[str, ...]
) -> dict[str, Any]:
    """What the manifest of an emission says."""
    plan = in_hand(plan)
    return {
        "target": target,
        "plan_sha256": plan.file.digest_sha256,
        "study": plan.study.study,
        "options": dict(sorted(options.items())),
        "not_proven": list(not_proven),
    }


def _check_options(options: Mapping[str, str], known: Collection[str]) -> None:
    """Every setting is one that a target takes."""
    findings = [
        Finding(f"--set {key[:80]}", f"one of {listed(known)}", f"{key[:80]!r}{near_miss(key, known)}", "correct it")
        for key in options
        if not _takes(known, key)
    ]
    if findings:
        raise InputError(findings)


def _check_health_path(options: Mapping[str, str]) -> None:
    """Gateways that address placements under the domain ask for what its routes lead to: else all of them seem dead."""
    path = options.get("health_path", HEALTH_PATH)
    if options["endpoint"] and path != HEALTH_PATH:
        expected = f"{HEALTH_PATH}, which the routes under domain lead to"
        fix = "leave it out, or set endpoint, too, for routes of your own"
        raise InputError([Finding("--set health_path", expected, repr(path)[:80], fix)])


def _takes(known: Collection[str], key: str) -> bool:
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in known)
