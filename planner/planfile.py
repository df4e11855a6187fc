"""The plan file: self-contained JSON with digests, written whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from planner.errors import Finding, InputError
from planner.json_lines import line_of
from planner.records.plan import (
    PLAN_SCHEMA_VERSION,
    PlanFile,
)

MOST_FINDINGS = 100
"""Mistakes of one plan file that are told one by one."""


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


def write_atomically(path: Path, text: str) -> None:
    """Write to a temporary name beside the target, then rename: never half a file.

    Raises
    ------
    InputError
        when the folder is missing or cannot be written
    """
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise InputError([Finding(str(path), "a file to write", "a folder", "name a file, as in plan.json")])
        with path.open("w", encoding="utf-8") as stream:  # a device or a pipe is written to, never replaced
            stream.write(text)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a folder that can be written", error.strerror or str(error), "name another --out")]
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a file that can be written", error.strerror or str(error), "name another --out")]
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Find out before a long solve whether the result can be written, and would not replace what was read.

    Raises
    ------
    InputError
        when the folder is missing or cannot be written, or the file is one of the inputs
    """
    if any(path.exists() and source.exists() and path.samefile(source) for source in inputs):
        raise InputError([Finding(str(path), "a file that is not an input", "the input", "name another --out")])
    if path.is_dir():
        raise InputError([Finding(str(path), "a file to write", "a folder", "name a file, as in plan.json")])
    if not os.access(path.parent, os.W_OK | os.X_OK):
        got = "a folder that cannot be written" if path.parent.is_dir() else "no such folder"
        raise InputError([Finding(str(path), "a folder that can be written", got, "name another --out")])


def read_plan(path: Path) -> PlanFile:
    """Read plan.json.

    Raises
    ------
    InputError
        when it is missing, truncated, of another schema version, or does not fit the schema; an edited plan is read,
        and the audit finds that its digest does not match
    """
    fix = "make the plan again with `planner plan`"
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a plan file", error.strerror or str(error), "name a plan.json")]
        ) from error
    except UnicodeDecodeError as error:
        raise InputError([Finding(str(path), "UTF-8 text", f"other bytes at {error.start}", fix)]) from error
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
        raise InputError([Finding(where, "a whole JSON file", f"{error}", fix)]) from error
    if not isinstance(data, dict):
        raise InputError([Finding(str(path), "a plan", f"a JSON {type(data).__name__}", fix)])
    version = data.get("schema_version")
    if version != PLAN_SCHEMA_VERSION:
        where = f"{path}:{line_of(text, ('schema_version',))}: schema_version"
        raise InputError([Finding(where, f"{PLAN_SCHEMA_VERSION}", f"{version!r}", fix)])
    try:
        return PlanFile.model_validate(data)
    except ValidationError as error:
        findings = []
        for found in error.errors(include_url=False)[:MOST_FINDINGS]:
            name = ".".join(str(part) for part in found["loc"])
            where = f"{path}:{line_of(text, found['loc'])}: {name}"
            findings.append(Finding(where, found["msg"][:200], repr(found["input"])[:80], fix))
        if (more := error.error_count() - len(findings)) > 0:
            findings.append(Finding(str(path), "a plan", f"{more} more mistakes", fix))
        raise InputError(findings) from error
