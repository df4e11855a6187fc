"""Targets of `planner emit`, and the gate before them: an audit, a proof and a drill of the plan."""

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from planner.drill import drill_plan, drill_state_claims
from planner.emit.known import ALL, TARGETS
from planner.errors import Finding, InputError
from planner.plan.audit import audit
from planner.questions.shortfalls import broken_goals
from planner.study.places import listed, near_miss
from planner.study.records.plan import PlanFile

NOT_PROVEN = "NOT-PROVEN.md"
MOST_REASONS = 20
NOT_PROVEN_OPTION = "not_proven"
Files = Callable[[PlanFile, Mapping[str, str]], dict[str, str]]


def why_not_proven(plan: PlanFile) -> tuple[str, ...]:
    """Why a plan should not be carried out: what the audit, the proof or the drill finds; empty: nothing."""
    audited = _audited(plan)
    reasons = list(audited)
    if plan.proof.status != "proven":
        reasons.append(f"proof: {plan.proof.status}, gap {plan.proof.gap_fraction:.2%}")
    if audited:  # a plan that fails its audit may not even be replayed
        reasons.append("drill: not made, as the audit fails")
    else:
        reasons += [f"drill: {goal.text} does not hold" for goal in broken_goals(plan.study, drill_plan(plan))]
        reasons += [f"drill: {claim}" for claim in drill_state_claims(plan)]
    more = len(reasons) - MOST_REASONS
    return (*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else []))


def _audited(plan: PlanFile) -> tuple[str, ...]:
    try:
        return tuple(f"audit: {violation}" for violation in audit(plan).violations)
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:  # a study changed by hand
        return (f"audit: cannot be made: {type(error).__name__} {error}",)


def emitted(
    plan: PlanFile,
    target: str,
    options: Mapping[str, str],
    not_proven: tuple[str, ...] = (),
    progress: Callable[[str, float | None, str], None] = lambda stage, done, detail: None,
) -> dict[str, str]:
    """The files of a target, or of all targets each in a folder of its own.

    Parameters
    ----------
    progress : called with (stage, fraction done, target) before each target
    not_proven : `why_not_proven` of the plan; a file of that name says so, and every target may

    Raises
    ------
    InputError
        when there is no such target
    """
    if target not in (*TARGETS, ALL):
        meant = near_miss(target, (*TARGETS, ALL))
        raise InputError(
            [Finding("target", f"one of {', '.join((*TARGETS, ALL))}", f"{target!r}{meant}", "choose one")]
        )
    _check_options(target, options)
    said = {NOT_PROVEN_OPTION: "; ".join(not_proven)} if not_proven else {}
    made: dict[str, str] = {}
    names = list(TARGETS) if target == ALL else [target]
    for n, name in enumerate(names):
        progress("making files", n / len(names), name)
        folder = f"{name}/" if target == ALL else ""
        made |= {f"{folder}{path}": text for path, text in _made(name, plan, options, said).items()}
    if not_proven:
        lines = ["# This plan is not proven", "", *(f"    {json.dumps(reason)}" for reason in not_proven)]
        made = {**made, NOT_PROVEN: "\n".join(lines) + "\n"}
    return dict(sorted(made.items()))


def about(plan: PlanFile, target: str, options: Mapping[str, str], not_proven: tuple[str, ...]) -> dict[str, Any]:
    """What the manifest of an emission says."""
    return {
        "target": target,
        "plan_sha256": plan.digest_sha256,
        "study": plan.study.study,
        "options": dict(sorted(options.items())),
        "not_proven": list(not_proven),
    }


def _check_options(target: str, options: Mapping[str, str]) -> None:
    """Every setting is one that a target takes."""
    names = TARGETS if target == ALL else [target]
    taken = [key for name in names for key in _module(name).OPTIONS if key != NOT_PROVEN_OPTION]
    findings = [
        Finding(f"--set {key[:80]}", f"one of {listed(taken)}", f"{key[:80]!r}{near_miss(key, taken)}", "correct it")
        for key in options
        if not _takes(taken, key)
    ]
    if findings:
        raise InputError(findings)


def _takes(taken: Iterable[str], key: str) -> bool:
    return any(key == known or (known.endswith(".") and key.startswith(known)) for known in taken)


def _made(target: str, plan: PlanFile, options: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """Files of one target, which is told only what it takes."""
    module = _module(target)
    found: Files = module.files
    return found(plan, {key: value for key, value in {**options, **said}.items() if _takes(module.OPTIONS, key)})


def _module(target: str) -> Any:
    return import_module(TARGETS[target])
