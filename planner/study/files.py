"""The one place where files are opened, read, remembered as inputs, and written whole or not at all."""

import errno
import json
import math
import os
import re
import select
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from planner.errors import InputError, refusal
from planner.interruption import held

MOST_BYTES = 2**30
"""Of a file that is read: it is held in memory whole, several times over."""
MOST_PIPE_BYTES = 2**28
"""Of a pipe that is read."""
WRITER_SECONDS = 3.0
"""For which a pipe may have nobody who writes to it."""
SILENT_SECONDS = 60.0
"""For which whoever writes to a pipe may send nothing."""
_CHUNK = 2**20
_MOST_DIGITS = 300
"""Of a whole number: a float holds up to 308, Python converts up to 4300."""
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,4})")
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}

_inputs: ContextVar[set[Path] | None] = ContextVar("_inputs", default=None)


# ------------------------------------------------------------------ inputs
@contextmanager
def remembering() -> Iterator[None]:
    """Remember what is read within the block, so that `check_writable` refuses to write over it."""
    token = _inputs.set(set())
    try:
        yield
    finally:
        _inputs.reset(token)


def remember(paths: Iterable[Path]) -> None:
    """Count files among the inputs, as those that belong to a study though this command does not need them."""
    known = _inputs.get()
    if known is not None:
        known.update(paths)


def read_bytes(path: Path, pipes: bool = False) -> bytes:
    """What a regular file holds; with `pipes` also a pipe that ends, as in `planner review <(ssh host cat plan.json)`.

    Raises
    ------
    InputError
        when it is something else, as a device or a folder, has more than MOST_BYTES (MOST_PIPE_BYTES), or nothing
        comes out of the pipe
    OSError
        when it cannot be opened or read
    """
    from planner.study.places import printable_path  # with pydantic, which `planner --help` need not load

    remember([path])
    where, mode = printable_path(path), os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise refusal(where, "a file", "a folder", "name the file within it")
    if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
        expected = "a regular file or a pipe" if pipes else "a regular file"
        raise refusal(where, expected, "something else", "name a file")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe must not wait for a writer
    try:
        if stat.S_ISFIFO(os.fstat(handle).st_mode):
            chunks, most, fix = _from_pipe(handle, where), MOST_PIPE_BYTES, "save it to a file, and name that"
        else:
            chunks, most = iter(lambda: os.read(handle, _CHUNK), b""), MOST_BYTES
            fix = "split it, or leave out what is old"
        data = bytearray()
        for chunk in chunks:
            data += chunk
            if len(data) > most:
                raise refusal(where, f"at most {most // 2**20:,} MiB", "more", fix)
        return bytes(data)
    finally:
        os.close(handle)


def _from_pipe(handle: int, where: str) -> Iterator[bytes]:
    """What is written into a pipe until its writers close it."""
    waiting, fix = select.poll(), "save what should come to a file, and name that"
    expected = "a pipe that somebody writes to"
    waiting.register(handle, select.POLLIN)
    begun, opened = False, time.monotonic()
    while True:
        try:
            chunk = os.read(handle, _CHUNK)
        except BlockingIOError:  # there is a writer, who has not written yet
            begun = True
            if not waiting.poll(SILENT_SECONDS * 1000):
                raise refusal(where, expected, f"nothing for {SILENT_SECONDS:g} s", fix) from None
            continue
        if chunk:
            begun = True
            yield chunk
        elif begun or any(event & select.POLLHUP for _, event in waiting.poll(0)):
            return
        elif time.monotonic() - opened > WRITER_SECONDS:
            raise refusal(where, expected, "nobody who does", fix)
        else:
            time.sleep(0.02)


def parse_json(text: str, where: str, fix: str) -> Any:
    """The data of a JSON text; NaN and infinity, which JSON does not know, and numbers that no float holds are refused.

    Raises
    ------
    InputError
        with the line where it is broken
    """

    def refused(word: str) -> Any:
        raise refusal(where, "JSON numbers", word, "leave the field out, or write null")

    def integer(digits: str) -> int:
        return int(digits) if len(digits) < _MOST_DIGITS else _too_large(where, fix)

    def real(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else _too_large(where, fix)

    try:
        return json.loads(text, parse_constant=refused, parse_int=integer, parse_float=real)
    except json.JSONDecodeError as error:
        got = f"{error.msg.lower()} in column {error.colno}"
        raise refusal(f"{where}:{error.lineno}", "JSON that is whole", got, fix) from None
    except RecursionError:
        raise refusal(where, "JSON of ordinary depth", "thousands of levels", fix) from None


def _too_large(where: str, fix: str) -> NoReturn:
    raise refusal(where, "JSON numbers of ordinary size", f"one of {_MOST_DIGITS} digits or more", fix)


# ------------------------------------------------------------------ outputs
PLAN, STUDY, TABLE, PROGRAM, REPORT = "a plan", "a study, or a part of one", "a table", "a program", "a report"
_BEGINS = {
    PLAN: re.compile(r'\s*\{.*"digest_sha256": *"', re.DOTALL),
    PROGRAM: re.compile(r"\\\*|\*SENSE:|(NAME|ROWS|Minimize|Maximize)\s", re.IGNORECASE),
    TABLE: re.compile(r"\ufeff?[a-z_0-9]+(,[a-z_0-9]+)+\r?(\n|$)"),
    STUDY: re.compile(r"\ufeff?([ \t]*(#.*)?\r?\n|---\s*\n)*[a-z_]+:(\s|$)"),
}
_HEAD_BYTES = 2**16


def kind_of(text: str) -> str:
    """What a text is by how it begins: a file of a kind is replaced by one of its kind only. A report is anything else.

    Examples
    --------
    >>> kind_of("pool,offer\\naws/a/b,spot\\n"), kind_of("# mine\\nstudy: mine\\n"), kind_of("ANSWER\\n")
    ('a table', 'a study, or a part of one', 'a report')
    """
    head = text[:_HEAD_BYTES]
    return next((kind for kind, begins in _BEGINS.items() if begins.match(head)), REPORT)


def _check_kind(path: Path, kind: str, fix: str) -> None:
    """Refuse to replace a file by one of another kind: a study by a review, a person's notes by a plan."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return  # who may write a file need not be one who may read it
    stands = kind_of(head)
    if head.strip() and stands != kind and (stands != REPORT or kind in (PLAN, PROGRAM)):
        got = stands if stands != REPORT else "a file of another kind"
        raise _refused(path, f"no file yet, or one that may be replaced by {kind}", got, f"{fix}, or remove this one")


def check_writable(path: Path, inputs: Iterable[Path] = (), option: str = "--out", kind: str | None = None) -> None:
    """Find out before a long solve whether a result can be written, and would not replace what is of another kind.

    A symbolic link stands for what it leads to. What was read is `inputs` and what was remembered (`remembering`), of
    whatever kind. `option` is the one that names the file: what is refused says to name another there.
    `kind` is that of the result, as `kind_of` its text; none: not known yet.

    Raises
    ------
    InputError
        when the folder is missing, or it or the file cannot be written, or the file is one of the inputs, or of another
        kind
    """
    if _descriptor(path) is not None:
        return
    fix = f"name another {option}"
    existing = _status(path, fix)
    if existing is not None:
        if stat.S_ISDIR(existing.st_mode):
            raise _refused(path, "a file to write", "a folder", "name a file, as in plan.json")
        known = (*inputs, *(_inputs.get() or ()))
        if stat.S_ISREG(existing.st_mode) and any(_same(source, existing) for source in known):
            raise _refused(path, "a file that is not an input", "the input", fix)
        if not os.access(path, os.W_OK):
            raise _refused(path, "a file that can be written", "one that is read-only", fix)
        if kind is not None and stat.S_ISREG(existing.st_mode):
            _check_kind(path, kind, fix)
        if not stat.S_ISREG(existing.st_mode):
            return
    folder = Path(os.path.realpath(path)).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        got = "a folder that cannot be written" if folder.is_dir() else "no such folder"
        raise _refused(path, "a folder that can be written", got, fix)


def write_atomically(path: Path, result: str | bytes, option: str = "--out") -> Path:
    """Write to a temporary name beside the target, then rename: never half a file. Returns where it was written.

    A new file has the mode that the umask leaves, one that is replaced keeps its mode. A symbolic link stays, and what
    it leads to is written. A device, a pipe or an open descriptor (/dev/stdout) is written to, never replaced.
    `option`: see `check_writable`.

    Raises
    ------
    InputError
        when the folder is missing or cannot be written, or the disk is full
    """
    data = result.encode("utf-8", "backslashreplace") if isinstance(result, str) else result
    fix = f"name another {option}"
    try:
        existing = _status(path, fix)
        if _descriptor(path) is not None or (existing is not None and not stat.S_ISREG(existing.st_mode)):
            if existing is not None and stat.S_ISDIR(existing.st_mode):
                raise _refused(path, "a file to write", "a folder", "name a file, as in plan.json")
            _write_into(path, data)
            return path
        target = Path(os.path.realpath(path))
        with held():
            _replace(target, data, existing)
        return target
    except OSError as error:
        what = "a folder" if error.errno in (errno.ENOENT, errno.ENOTDIR) else "a file"
        raise _refused(path, f"{what} that can be written", error.strerror or str(error), fix) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, on the disk before this returns; a signal waits until it is whole.

    Raises
    ------
    InputError
        when it cannot be written, or the disk is full
    """
    try:
        with held(), path.open("ab") as file:
            file.write(f"{line}\n".encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _refused(path, "a file that can be written", error.strerror or str(error)) from error


def cut_half_line(path: Path) -> list[bytes]:
    """The lines of a file that `append_line` wrote; a last one that a kill left half written is cut off."""
    data = path.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    if len(complete) < len(data):
        os.truncate(path, len(complete))
    return complete.splitlines()


def made_folder(folder: Path) -> Path:
    """A folder to write to, made where there is none.

    Raises
    ------
    InputError
        when it cannot be made, or is a file
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        got = "a file" if folder.exists() else error.strerror or str(error)
        raise _refused(folder, "a folder that can be written", got) from error
    return folder


def write_new_folder(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Fill a folder that is new or empty; when that fails or is interrupted, what was made is removed again.

    Raises
    ------
    InputError
        when it cannot be written
    """
    made: list[Path] = []
    folders: list[Path] = []
    try:
        for name, data in files.items():
            path = folder / name
            for above in reversed([above for above in (path.parent, *path.parent.parents) if not above.exists()]):
                folders.append(above)
                above.mkdir()
            made.append(path)
            _replace(path, data, None)
    except BaseException as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        for above in reversed(folders):
            with suppress(OSError):
                above.rmdir()
        if isinstance(error, OSError):
            got = error.strerror or str(error)
            raise _refused(folder, "a folder that can be written", got, "name another folder") from error
        raise
    return made


def _replace(target: Path, data: bytes, existing: os.stat_result | None) -> None:
    """Write beside the target, then rename; what is `existing` hands on its mode, and its owner as far as we may."""
    mode = None if existing is None else stat.S_IMODE(existing.st_mode)
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        handle = os.open(temporary, flags, 0o666 if mode is None else mode)
        with os.fdopen(handle, "wb") as file:
            if existing is not None and mode is not None:
                with suppress(PermissionError):
                    os.fchown(handle, existing.st_uid, existing.st_gid)
                os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_into(path: Path, data: bytes) -> None:
    """Write to what cannot be replaced: a descriptor that is open goes on where it stands."""
    descriptor = _descriptor(path)
    if descriptor is not None:
        import sys

        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        handle = os.dup(descriptor)
    else:
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path stands for, as /dev/stdout does."""
    text = os.path.abspath(path)
    match = _DESCRIPTOR.fullmatch(text)
    return int(match[1]) if match else _STREAMS.get(text)


def _status(path: Path, fix: str) -> os.stat_result | None:
    """What is there, through links; None: nothing.

    Raises
    ------
    InputError
        when that cannot be told, as of a link that leads to itself
    """
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _refused(path, "a file to write", getattr(error, "strerror", None) or str(error), fix) from None


def _same(source: Path, existing: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(source), existing)
    except (OSError, ValueError):
        return False


def _refused(path: Path, expected: str, got: str, fix: str = "name another --out") -> InputError:
    return refusal(str(path), expected, got.lower(), fix)
