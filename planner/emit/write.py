"""A folder of emitted files: what would change, and the writing, all or nothing, never through a link.

What is replaced is kept beside it until everything new is there, and a journal says so: an error or a signal puts the
old files back, after a crash the next emission does.
"""

import difflib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import Finding, InputError
from planner.interruption import held

MANIFEST = "planner-emit.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
JOURNAL = "planner-emit.journal.json"
_TEMPORARY, _OLD = ".planner-emit.tmp", ".planner-emit.old"
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

    A file that somebody has replaced by another of the emission is a set in force at a gateway that reads it there:
    writing would end it, unasked.

    Raises
    ------
    InputError
        when a path leads out of the folder, a link is in the way, a file is there that no emission wrote, or a set is
        in force
    """
    for path in files:
        _check_path(path)
    root = out.resolve()
    if _read(root, JOURNAL) is not None:
        fix = "emit without --dry-run, which puts the old files back first"
        raise InputError([Finding(str(out), "a folder that is whole", "one in which an emission was cut off", fix)])
    before: dict[str, str] = _manifest(root).get("files", {})
    path_with = {digest: path for path, digest in sorted(before.items())}
    findings, made = [], []
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
                made.append(Change(path, kind, edited, "" if edited else _difference(path, text, "")))
        elif text is not None and path not in before and text != files[path]:
            expected, fix = (
                "no file, or one that an earlier `planner emit` wrote",
                "name another --out, or move it away",
            )
            findings.append(Finding(str(out / path), expected, "a file of somebody else", fix))
        elif text is not None and edited and text != files[path] and _sha256(text) in path_with:
            got = f"a copy of {path_with[_sha256(text)]}: a set is in force"
            fix = "return first, as RUNBOOK.md says, or name another --out"
            findings.append(Finding(str(out / path), "what the earlier emission wrote there", got, fix))
        else:
            kind = "new" if text is None else "same" if text == files[path] else "changed"
            made.append(Change(path, kind, edited, _difference(path, text or "", files[path])))
    if findings:
        raise InputError(findings)
    return tuple(made)


def write(out: Path, files: Mapping[str, str], about: Mapping[str, object]) -> tuple[Change, ...]:
    """Write the files and the manifest, and remove what an earlier emission wrote and this one does not.

    All temporary files are written first, then renamed; a file is never half there, and an error or a signal leaves
    what was there before. A file that equals what is there is left alone. What was edited since an earlier emission is
    kept when it is stale.

    Parameters
    ----------
    about : what the manifest says of the emission, beside the SHA-256 of every file

    Raises
    ------
    InputError
        as `changes`, and when the folder cannot be written
    """
    texts = {**files, MANIFEST: _manifest_text(files, about)}
    recover(out)
    made = changes(out, files)
    root = out.resolve()
    manifest, is_new = _read(root, MANIFEST), not root.exists()
    todo = [change.path for change in made if change.kind in ("new", "changed")]
    replaced = [change.path for change in made if change.kind in ("changed", "stale")]
    if manifest != texts[MANIFEST]:
        todo.append(MANIFEST)
        replaced += [] if manifest is None else [MANIFEST]
    journal = _Journal({path: _sha256(texts[path]) for path in todo}, tuple(replaced))
    complete = False
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_temporary(root, JOURNAL, json.dumps({"written": journal.written, "replaced": replaced}))
        _rename(root, JOURNAL)
        for path in todo:
            _write_temporary(root, path, texts[path])
        with held():
            for path in replaced:
                _keep_old(root, path, path in journal.written)
            for path in todo:
                _rename(root, path)
            _discard(root, JOURNAL)
            complete = True
    except OSError as error:
        raise _unwritable(out, error) from error
    except KeyboardInterrupt as interruption:
        interruption.add_note(f"{out} holds {'the new files, whole' if complete else 'what it held before'}")
        raise
    finally:
        with held():
            if complete:
                with suppress(OSError):
                    _forget_old(root, {*files, *replaced})
            else:
                _put_back(out, journal)
                if is_new:
                    with suppress(OSError):
                        root.rmdir()
    return made


@dataclass(frozen=True)
class _Journal:
    """An emission under way.

    Parameters
    ----------
    written : SHA-256 of each file that it writes
    replaced : files that were there before, and are replaced or removed
    """

    written: Mapping[str, str]
    replaced: tuple[str, ...]


def recover(out: Path) -> bool:
    """Put the old files back where an emission was cut off, as by a crash; whether there was anything to do.

    Raises
    ------
    InputError
        when what is there cannot be read or written
    """
    root = out.resolve()
    text = _read(root, JOURNAL)
    if text is None:
        return False
    try:
        data = json.loads(text)
        journal = _Journal({str(k): str(v) for k, v in data["written"].items()}, tuple(map(str, data["replaced"])))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _obstacle(root / JOURNAL, "something else than the journal of an emission") from None
    for path in (*journal.written, *journal.replaced):
        _check_path(path)
    _put_back(out, journal)
    return True


def _put_back(out: Path, journal: _Journal) -> None:
    """As it was before the emission, but for what somebody else has changed since."""
    root = out.resolve()
    try:
        for path in (*journal.written, JOURNAL):
            _discard(root, path, _TEMPORARY)
        for path in dict.fromkeys((*journal.replaced, *journal.written)):
            text = _read(root, path)
            if text is not None and _sha256(text) != journal.written.get(path):
                continue  # not touched yet, or edited since
            if path not in journal.replaced:
                _discard(root, path)
                _remove_empty_folders(root, path)
            elif _read(root, path, _OLD) is not None:
                _move(root, path, _OLD, "")
        _forget_old(root, journal.replaced)
        _discard(root, JOURNAL)
    except OSError as error:
        raise _unwritable(out, error, "not whole: emit again") from error


def _forget_old(root: Path, paths: Iterable[str]) -> None:
    """What was kept goes, and the folders that are empty then."""
    for path in paths:
        _discard(root, path, _OLD)
        _remove_empty_folders(root, path)


def _manifest_text(files: Mapping[str, str], about: Mapping[str, object]) -> str:
    data = {**about, "files": {path: _sha256(files[path]) for path in sorted(files)}}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _manifest(root: Path) -> dict[str, Any]:
    """What an earlier emission said of itself, `files` with the SHA-256 of each by its path; empty: none was here."""
    text = _read(root, MANIFEST) if root.is_dir() else None
    if text is None:
        return {}
    try:
        manifest = dict(json.loads(text))
        if not all(isinstance(value, str) for value in manifest["files"].values()):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fix = "remove it, or name another --out"
        finding = Finding(str(root / MANIFEST), "the manifest of an emission", "something else", fix)
        raise InputError([finding]) from None
    for path in manifest["files"]:
        _check_path(path)
    return manifest


def refuse_other_target(out: Path, target: str) -> None:
    """A folder holds the files of one target: those of another would be taken for stale, and removed.

    Raises
    ------
    InputError
        when an earlier emission of another target is there
    """
    manifest = _manifest(out.resolve())
    other = manifest.get("target", target)
    if other != target and manifest["files"]:
        fix = f"name another --out, or emit {other} there"
        raise InputError([Finding(str(out), f"a folder for {target}", f"the files of {other}", fix)])


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        fix = "this is no path that an emission makes; remove the manifest"
        raise InputError([Finding(f"path {path[:120]!r}", "letters, digits, . _ - within the folder", "others", fix)])


@contextmanager
def _folder(root: Path, path: str, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder of a file, no link on the way; closed when the work in it is done."""
    descriptor = os.open(root, _HERE)
    try:
        for part in path.split("/")[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            above, descriptor = descriptor, os.open(part, _HERE, dir_fd=descriptor)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


def _beside(path: str, ending: str) -> str:
    """The name under which a file is, or what is kept beside it."""
    name = path.rpartition("/")[2]
    return f".{name}{ending}" if ending else name


def _read(root: Path, path: str, ending: str = "") -> str | None:
    """The text of a file, or of what is kept beside it; none when it does not exist."""
    name, in_folder = _beside(path, ending), False
    try:
        with _folder(root, path) as folder:
            in_folder = True
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                raise _obstacle(root / path, "a link" if stat.S_ISLNK(info.st_mode) else "no ordinary file")
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(handle, encoding="utf-8", errors="surrogateescape", newline="") as file:
                return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        got = error.strerror or str(error) if in_folder else "a link or a file where a folder is expected"
        raise _obstacle(root / path, got) from error


def _write_temporary(root: Path, path: str, text: str) -> None:
    """Write beside the file, with the mode of the one that it will replace, if any."""
    name, temporary = _beside(path, ""), _beside(path, _TEMPORARY)
    with _folder(root, path, make=True) as folder:
        mode = None
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o666 if mode is None else mode, dir_fd=folder)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            if mode is not None:
                os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(handle)


def _rename(root: Path, path: str) -> None:
    """Give a temporary file its name."""
    _move(root, path, _TEMPORARY, "")


def _move(root: Path, path: str, before: str, after: str) -> None:
    with _folder(root, path) as folder:
        os.replace(_beside(path, before), _beside(path, after), src_dir_fd=folder, dst_dir_fd=folder)


def _keep_old(root: Path, path: str, stays: bool) -> None:
    """Keep a file beside its name; one that `stays` has its name, too, until it is replaced."""
    _discard(root, path, _OLD)
    if stays:
        with _folder(root, path) as folder, suppress(OSError):
            os.link(_beside(path, ""), _beside(path, _OLD), src_dir_fd=folder, dst_dir_fd=folder)
            return
    _move(root, path, "", _OLD)  # also on a file system without links: for a moment nothing has the name


def _discard(root: Path, path: str, ending: str = "") -> None:
    """Remove a file, or what is kept beside it, where it exists."""
    with suppress(FileNotFoundError), _folder(root, path) as folder:
        os.unlink(_beside(path, ending), dir_fd=folder)


def _remove_empty_folders(root: Path, path: str) -> None:
    """Remove the folders of a file that are empty."""
    while path := path.rpartition("/")[0]:
        with suppress(FileNotFoundError), _folder(root, path) as above:
            try:
                os.rmdir(path.rpartition("/")[2], dir_fd=above)
            except FileNotFoundError:
                continue
            except OSError:
                return


def _difference(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"folder/{path}", f"plan/{path}", lineterm="", n=2)
    return "\n".join(lines)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _obstacle(path: Path, got: str) -> InputError:
    return InputError([Finding(str(path), "an ordinary file, or none", got, "remove it, or name another --out")])


def _unwritable(path: Path, error: OSError, state: str = "it holds what it held before") -> InputError:
    got = f"{error.strerror or str(error)}; {state}"
    return InputError([Finding(str(path), "a folder that can be written", got, "name another --out")])
