"""The plan file: self-contained JSON with digests."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from planner.errors import Finding, InputError, refusal
from planner.plan.json_lines import line_of
from planner.study.files import parse_json, read_bytes
from planner.study.places import printable_path, quoted
from planner.study.records.base import SCHEMA_VERSION
from planner.study.records.plan import (
    PLAN_SCHEMA_VERSION,
    PlanFile,
)
from planner.study.records.policies import Utilisation
from planner.study.records.renamed import PLAN, rename

MOST_FINDINGS = 100
"""Mistakes of one plan file that are named one by one."""


def canonical(data: Any) -> str:
    """JSON in one form: keys sorted, no blanks, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(data: Any) -> str:
    """Digest of the canonical form."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def digest(data: Mapping[str, Any]) -> str:
    """Digest of a plan's data, its own field left out."""
    return sha256({k: v for k, v in data.items() if k != "digest_sha256"})


def sealed(plan: PlanFile) -> PlanFile:
    """The plan with its digest."""
    return plan.model_copy(update={"digest_sha256": digest(plan.model_dump(mode="json", by_alias=True))})


def plan_text(plan: PlanFile) -> str:
    """The text of plan.json: the same plan, byte for byte."""
    return json.dumps(plan.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_plan(path: Path, warnings: list[Finding] | None = None) -> PlanFile:
    """Read plan.json. A plan of the schema version before is read as one of this; `warnings` gets what was renamed.

    Raises
    ------
    InputError
        when it is missing, truncated, of another schema version, or does not fit the schema; an edited plan is read,
        and the audit finds that its digest does not match
    """
    fix = "make the plan again with `planner plan`"
    where = printable_path(path)
    try:
        text = read_bytes(path, pipes=True).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(where, "UTF-8 text", f"other bytes at {error.start}", fix) from error
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise refusal(where, "a plan file", got, "name a plan.json") from error
    data = parse_json(text, where, fix)
    if not isinstance(data, dict):
        raise refusal(where, "a plan", f"a JSON {type(data).__name__}", fix)
    try:
        renamed = _of_this_version(data) if data.get("schema_version") == PLAN_SCHEMA_VERSION - 1 else ""
        _say_how_filled(data)
    except UnicodeEncodeError as error:
        raise refusal(where, "text in UTF-8", f"{error.object[error.start : error.end]!a}", fix) from None
    if renamed and warnings is not None:
        at = f"{where}:{line_of(text, ('schema_version',))}: schema_version"
        got = f"{PLAN_SCHEMA_VERSION - 1}, with fields that were renamed since: {renamed}"
        warnings.append(Finding(at, f"{PLAN_SCHEMA_VERSION}", got, f"{fix}; it is read all the same", "warning"))
    version = data.get("schema_version")
    if version != PLAN_SCHEMA_VERSION:
        at = f"{where}:{line_of(text, ('schema_version',))}: schema_version"
        raise refusal(at, f"{PLAN_SCHEMA_VERSION}", quoted(version), fix)
    try:
        plan = PlanFile.model_validate(data)
        _check_outages_are_played(plan, where, text, fix)
        return plan
    except ValidationError as error:
        findings = []
        for mistake in error.errors(include_url=False)[:MOST_FINDINGS]:
            name = ".".join(str(part) for part in mistake["loc"])
            at = f"{where}:{line_of(text, mistake['loc'])}: {name}"
            findings.append(Finding(at, mistake["msg"][:200], quoted(mistake["input"]), fix))
        if (more := error.error_count() - len(findings)) > 0:
            findings.append(Finding(where, "a plan", f"{more} more mistakes", fix))
        raise InputError(findings) from error


def _check_outages_are_played(plan: PlanFile, where: str, text: str, fix: str) -> None:
    """Goals of the study in a plan name failures that are written out, no outages to be looked up.

    Raises
    ------
    InputError
        when one names an outage
    """
    for t, tier in enumerate(plan.study.tiers):
        for g, goal in enumerate(tier.survive):
            if goal.outage is not None:
                loc = ("study", "tiers", t, "survive", g, "outage")
                at = f"{where}:{line_of(text, loc)}: {'.'.join(map(str, loc))}"
                raise refusal(at, "a failure by name, as an outage is written in a plan", quoted(goal.outage), fix)


def is_sealed(plan: PlanFile) -> bool:
    """Whether a plan is as it was when it was sealed: nobody changed its file since."""
    return plan.digest_sha256 == digest(plan.model_dump(mode="json", by_alias=True))


@contextmanager
def _sealed_as_before(data: dict[str, Any]) -> Iterator[None]:
    """Digests that were right before a change are right after it."""
    was_sealed = data.get("digest_sha256") == digest(data)
    had_its_study = data.get("study_sha256") == sha256(data.get("study"))
    yield
    if had_its_study:
        data["study_sha256"] = sha256(data["study"])
    if was_sealed:
        data["digest_sha256"] = digest(data)


def _say_how_filled(data: dict[str, Any]) -> None:
    """Plans from when fixed shares, and one queue by waiting, went without saying say them."""
    study = data.get("study")
    filled = study.setdefault("utilisation", {}) if isinstance(study, dict) else None
    if isinstance(filled, dict) and "spread" not in filled:
        with _sealed_as_before(data):
            filled.setdefault("basis", "fixed")
            filled["spread"] = Utilisation.model_fields["spread"].default if filled["basis"] == "fixed" else "one-queue"


def _of_this_version(data: dict[str, Any]) -> str:
    """Give data of a plan of the version before the new names; which they are."""
    study = data.get("study")
    with _sealed_as_before(data):
        new_names = {f"{old[-1]} is {new[-1]}" for old, new in rename(data, PLAN)}
        data["schema_version"] = PLAN_SCHEMA_VERSION
        if isinstance(study, dict) and study.get("schema_version") == SCHEMA_VERSION - 1:
            study["schema_version"] = SCHEMA_VERSION
    return ", ".join(sorted(new_names)) or "none of them in this plan"
