"""A folder of emitted files: what would change, and the writing, all or nothing, never through a link."""

import difflib
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from planner.errors import Finding, InputError

MANIFEST = "planner-emit.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TEMPORARY = ".planner-emit.tmp"
_HERE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Change:
    """One file of an emission against what is there.

    Parameters
    ----------
    path : relative to the folder
    kind : new, changed, same; stale: of an earlier emission and no more of this; kept: stale, but edited since
    edited : changed by somebody since the earlier emission wrote it
    difference : unified diff of the text, for what is new, changed or stale
    """

    path: str
    kind: str
    edited: bool
    difference: str


def changes(out: Path, files: Mapping[str, str]) -> tuple[Change, ...]:
    """What writing the files would change, sorted by path; nothing is written.

    Raises
    ------
    InputError
        when a path leads out of the folder, a link is in the way, or a file is there that no emission wrote
    """
    for path in files:
        _check_path(path)
    root = out.resolve()
    before = _manifest(root)
    findings, found = [], []
    for path in sorted({*files, *before} - {MANIFEST}):
        try:
            text = _read(root, path)
        except InputError as error:
            findings += error.findings
            continue
        edited = text is not None and path in before and _sha256(text) != before[path]
        if path not in files:
            if text is not None:
                kind = "kept" if edited else "stale"
                found.append(Change(path, kind, edited, "" if edited else _difference(path, text, "")))
            continue
        if text is not None and path not in before and text != files[path]:
            expected, fix = (
                "no file, or one that an earlier `planner emit` wrote",
                "name another --out, or move it away",
            )
            findings.append(Finding(str(out / path), expected, "a file of somebody else", fix))
            continue
        kind = "new" if text is None else "same" if text == files[path] else "changed"
        found.append(Change(path, kind, edited, _difference(path, text or "", files[path])))
    if findings:
        raise InputError(findings)
    return tuple(found)


def write(out: Path, files: Mapping[str, str], about: Mapping[str, object]) -> tuple[Change, ...]:
    """Write the files and the manifest, and remove what an earlier emission wrote and this one does not.

    All temporary files are written first, then renamed; a file is never half there. A file that equals what is there is
    left alone. What was edited since an earlier emission is kept when it is stale.

    Parameters
    ----------
    about : what the manifest says of the emission, beside the SHA-256 of every file

    Raises
    ------
    InputError
        as `changes`, and when the folder cannot be written
    """
    made = {**files, MANIFEST: _manifest_text(files, about)}
    found = changes(out, files)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    root = out.resolve()
    todo = [change.path for change in found if change.kind in ("new", "changed")]
    if _read(root, MANIFEST) != made[MANIFEST]:
        todo.append(MANIFEST)
    temporary: list[str] = []
    try:
        for path in todo:
            temporary.append(path)
            _write_temporary(root, path, made[path])
        for path in [path for path in todo if path != MANIFEST]:
            _rename(root, path)
            temporary.remove(path)
        for change in found:
            if change.kind == "stale":
                _remove(root, change.path)
        if MANIFEST in todo:  # last: until then the earlier one still names what has to be removed
            _rename(root, MANIFEST)
            temporary.remove(MANIFEST)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        for path in temporary:
            _remove_temporary(root, path)
    return found


def _manifest_text(files: Mapping[str, str], about: Mapping[str, object]) -> str:
    data = {**about, "files": {path: _sha256(files[path]) for path in sorted(files)}}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _manifest(root: Path) -> dict[str, str]:
    """Path: SHA-256 of what an earlier emission wrote here."""
    text = _read(root, MANIFEST) if root.is_dir() else None
    if text is None:
        return {}
    try:
        files = json.loads(text)["files"]
        if not all(isinstance(value, str) for value in files.values()):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fix = "remove it, or name another --out"
        raise InputError(
            [Finding(str(root / MANIFEST), "the manifest of an emission", "something else", fix)]
        ) from None
    for path in files:
        _check_path(path)
    return dict(files)


def refuse_other_target(out: Path, target: str) -> None:
    """A folder holds the files of one target: those of another would be taken for stale, and removed.

    Raises
    ------
    InputError
        when an earlier emission of another target is there
    """
    root = out.resolve()
    text = _read(root, MANIFEST) if root.is_dir() else None
    if text is None or not _manifest(root):
        return
    other = json.loads(text).get("target", target)
    if other != target:
        fix = f"name another --out, or emit {other} there"
        raise InputError([Finding(str(out), f"a folder for {target}", f"the files of {other}", fix)])


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        fix = "this is no path that an emission makes; remove the manifest"
        raise InputError([Finding(f"path {path[:120]!r}", "letters, digits, . _ - within the folder", "others", fix)])


def _folder(root: Path, path: str, make: bool = False) -> int:
    """A descriptor of the folder of a file, no link on the way."""
    here = os.open(root, _HERE)
    for part in path.split("/")[:-1]:
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=here)
            below = os.open(part, _HERE, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _read(root: Path, path: str) -> str | None:
    """The text of a file, none when it is not there."""
    name = path.rpartition("/")[2]
    try:
        folder = _folder(root, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _in_the_way(root / path, "a link or a file where a folder is expected") from error
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            raise _in_the_way(root / path, "a link" if stat.S_ISLNK(info.st_mode) else "no ordinary file")
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(handle, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unwritable(root / path, error) from error
    finally:
        os.close(folder)


def _write_temporary(root: Path, path: str, text: str) -> None:
    folder, name = _folder(root, path, make=True), f".{path.rpartition('/')[2]}{_TEMPORARY}"
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o644, dir_fd=folder)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    finally:
        os.close(folder)


def _rename(root: Path, path: str) -> None:
    folder, name = _folder(root, path), path.rpartition("/")[2]
    try:
        os.replace(f".{name}{_TEMPORARY}", name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _remove_temporary(root: Path, path: str) -> None:
    name = path.rpartition("/")[2]
    with suppress(OSError):
        folder = _folder(root, path)
        try:
            os.unlink(f".{name}{_TEMPORARY}", dir_fd=folder)
        finally:
            os.close(folder)


def _remove(root: Path, path: str) -> None:
    """Remove a file, and the folders that are empty then."""
    folder = _folder(root, path)
    try:
        os.unlink(path.rpartition("/")[2], dir_fd=folder)
    finally:
        os.close(folder)
    while path := path.rpartition("/")[0]:
        above = _folder(root, path)
        try:
            os.rmdir(path.rpartition("/")[2], dir_fd=above)
        except OSError:
            return
        finally:
            os.close(above)


def _difference(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"there/{path}", f"plan/{path}", lineterm="", n=2)
    return "\n".join(lines)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _in_the_way(path: Path, got: str) -> InputError:
    return InputError([Finding(str(path), "an ordinary file, or none", got, "remove it, or name another --out")])


def _unwritable(path: Path, error: OSError) -> InputError:
    got = error.strerror or str(error)
    return InputError([Finding(str(path), "a folder that can be written", got, "name another --out")])
