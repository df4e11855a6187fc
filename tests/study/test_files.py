"""Files, streams and signals: no input is written over, nothing is half written, nothing waits without end."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import write_study
from typer.testing import CliRunner

from planner import interruption
from planner.cli.console import progress
from planner.cli.main import app
from planner.emit import write as writing
from planner.emit.write import MANIFEST, changes, recover, write
from planner.errors import Finding, InputError
from planner.plan.file import read_plan
from planner.review.render import render
from planner.review.report import Column, Report, Section
from planner.study import files
from planner.study.files import read_bytes, write_atomically, write_new_folder

ROOT = Path(__file__).parents[2]


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: object) -> str:
    result = call(*words)
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    assert "fix:" in result.stderr
    return str(result.stderr)


def shell(command: str, **more: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a line of bash; `planner` stands for the command."""
    started = f"planner() {{ '{sys.executable}' -m planner \"$@\"; }}; {command}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run(["bash", "-c", started], capture_output=True, timeout=60, env=environment, cwd=ROOT)
    out, stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in stderr and "internal error" not in stderr and "Exception ignored" not in stderr, stderr
    return done.returncode, out, stderr


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny study and its plan."""
    folder = tmp_path_factory.mktemp("files")
    study = write_study(folder / "study")
    assert call("plan", study, "--out", folder / "plan.json", "-q").exit_code == 0
    return folder


@pytest.fixture
def listening() -> Iterator[None]:
    """The signals of the command line, for a test."""
    before = {signum: signal.getsignal(signum) for signum in interruption.SIGNALS}
    interruption.listen()
    yield
    interruption._asked = False
    for signum, handler in before.items():
        signal.signal(signum, handler)


def listing(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ------------------------------------------------------------------ never over an input
INPUTS = ("study.yaml", "demand.csv", "request_costs.csv", "models/small.yaml", "models/context_classes.yaml",
          "inventory/machine_types.yaml", "inventory/sites.csv", "inventory/alpha/prices.csv")  # fmt: skip


@pytest.mark.parametrize("verb", ["plan", "check", "risk", "ladder"])
def test_no_input_of_a_study_is_written_over(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def solved(*_: object, **__: object) -> None:
        raise AssertionError("solved first")

    monkeypatch.setattr("planner.plan.plan.make_plan", solved)
    monkeypatch.setattr("planner.questions.ladder.climb", solved)
    study = write_study(tmp_path / "study").parent
    (study / "growth.yaml").write_text("name: growth\n")
    before = listing(study)
    for name in (*INPUTS, "growth.yaml"):
        assert "the input" in refused(verb, study, "--out", study / name)
    os.link(study / "inventory" / "sites.csv", tmp_path / "hard")
    (tmp_path / "soft").symlink_to(study / "models" / "small.yaml")
    for name in ("hard", "soft"):
        assert "the input" in refused(verb, study / "study.yaml", "--out", tmp_path / name)
    assert listing(study) == before


def test_no_input_of_any_other_command_is_written_over(planned: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study").parent
    fleet = study / "fleet.csv"
    fleet.write_text("workload,origin,pool,profile,replicas,weight\nchat,london,beta/west-1/gpu-8,small/gpu,8,1\n")
    plan = tmp_path / "plan.json"
    plan.write_bytes((planned / "plan.json").read_bytes())
    actual = tmp_path / "actual.csv"
    actual.write_text("pool,machines\nbeta/west-1/gpu-8,1\n")
    trace = tmp_path / "trace.jsonl"
    trace.write_text(
        "".join(json.dumps({"timestamp": n, "input_length": 9, "output_length": 9}) + "\n" for n in (0, 9))
    )
    machines = study / "inventory" / "machine_types.yaml"
    before = {**listing(study), **listing(tmp_path)}
    for words, out in [
        (("review", plan), plan),
        (("audit", plan), plan),
        (("drill", plan, "-q"), plan),
        (("drill", fleet, "--study", study, "-q"), machines),
        (("risk", fleet, "--study", study / "study.yaml"), machines),
        (("diff", plan, plan), plan),
        (("drift", plan, actual), actual),
        (("import", "demand", trace, "--origin", "london=1"), trace),
        (("import", "demand", trace, "--origin", "london=1"), ROOT / "models" / "context_classes.yaml"),
        (("import", "estimate", "llama-3.1-405b", "p5.48xlarge", "--machine-types", machines), machines),
    ]:
        assert "the input" in refused(*words, "--out", out), words
    assert {**listing(study), **listing(tmp_path)} == before


def test_two_results_of_a_command_need_two_files(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    head = "model,accelerator,chips,engine,precision,input_len,output_len,concurrency,ttft_ms,tpot_ms,as_of,source\n"
    line = "m,H100-SXM-80GB,8,vllm,fp8,{},200,8,{},20,2026,made up\n"
    rows.write_text(head + line.format(1000, 200) + line.format(8000, 900))
    out = tmp_path / "out"
    assert "just written" in refused("import", "throughput", rows, "--points", out, "--out", out)


# ------------------------------------------------------------------ writing
def test_a_file_has_the_mode_of_the_umask_or_of_what_it_replaces(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        new = tmp_path / "new.json"
        write_atomically(new, "one")
        assert stat.S_IMODE(new.stat().st_mode) == 0o640
        new.chmod(0o600)
        write_atomically(new, "two")
        assert stat.S_IMODE(new.stat().st_mode) == 0o600 and new.read_text() == "two"
        write(tmp_path / "out", {"a.txt": "one"}, {})
        assert stat.S_IMODE((tmp_path / "out" / "a.txt").stat().st_mode) == 0o640
        (tmp_path / "out" / "a.txt").chmod(0o604)
        write(tmp_path / "out", {"a.txt": "two"}, {})
        assert stat.S_IMODE((tmp_path / "out" / "a.txt").stat().st_mode) == 0o604
    finally:
        os.umask(before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.json", "out"]


def test_a_link_is_followed_and_that_is_said(planned: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "review.txt"
    link.symlink_to(tmp_path / "there" / "r.txt")
    result = call("review", planned / "plan.json", "--out", link)
    assert result.exit_code == 0 and f"a link to {tmp_path / 'there' / 'r.txt'}" in result.stderr
    assert link.is_symlink() and (tmp_path / "there" / "r.txt").read_text().startswith("study tiny")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "fix:" in refused("review", planned / "plan.json", "--out", loop)


def test_a_full_disk_leaves_what_was_there(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.txt"
    out.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "no space left" in refused("review", planned / "plan.json", "--out", out)
    assert listing(tmp_path) == {"r.txt": b"old"}
    monkeypatch.undo()
    assert "no space left" in refused("review", planned / "plan.json", "--out", "/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode), "a device is never replaced"


def test_a_new_folder_is_filled_or_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, made = files._replace, list[Path]()

    def third(path: Path, *more: Any) -> None:
        made.append(path)
        if len(made) == 3:
            raise KeyboardInterrupt
        original(path, *more)

    monkeypatch.setattr(files, "_replace", third)
    with pytest.raises(KeyboardInterrupt):
        write_new_folder(tmp_path / "a" / "b", {"x": b"1", "c/y": b"2", "c/z": b"3"})
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ an emission that is cut off
OLD = {"a.txt": "one\n", "b/c.txt": "two\n", "b/gone.txt": "three\n"}
NEW = {"a.txt": "ONE\n", "b/c.txt": "TWO\n", "new/d.txt": "four\n"}


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")], ids=["signal", "disk"])
def test_an_emission_that_is_cut_off_leaves_the_old_files(
    nth: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, OLD, {})
    (tmp_path / "mine.txt").write_text("mine")
    before, original, calls = listing(tmp_path), writing._rename, list[str]()

    def cut_off(root: Path, path: str) -> None:
        calls.append(path)
        if len(calls) == nth:
            raise error
        original(root, path)

    monkeypatch.setattr(writing, "_rename", cut_off)
    with pytest.raises(type(error) if isinstance(error, KeyboardInterrupt) else InputError) as caught:
        write(tmp_path, NEW, {})
    notes = getattr(caught.value, "__notes__", [str(caught.value)])
    assert "holds what it held before" in notes[0]
    assert listing(tmp_path) == before and not (tmp_path / "new").exists()


def test_a_signal_while_files_are_renamed_leaves_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: None
) -> None:
    write(tmp_path, OLD, {})
    original = writing._rename

    def signalled(root: Path, path: str) -> None:
        if path == "b/c.txt":
            os.kill(os.getpid(), signal.SIGTERM)
        original(root, path)

    monkeypatch.setattr(writing, "_rename", signalled)
    with pytest.raises(KeyboardInterrupt) as caught:
        write(tmp_path, NEW, {})
    assert "the new files, whole" in caught.value.__notes__[0]
    assert {p: t.decode() for p, t in listing(tmp_path).items() if p != MANIFEST} == NEW


def test_after_a_crash_the_next_emission_puts_the_old_files_back(tmp_path: Path) -> None:
    write(tmp_path, OLD, {})
    before = listing(tmp_path)
    crash = (
        "import os, sys; from pathlib import Path; from planner.emit import write as w\n"
        "keep, n = w._rename, []\n"
        "def dies(root, path):\n"
        "    n.append(path)\n"
        "    os._exit(9) if len(n) == 4 else keep(root, path)\n"
        f"w._rename = dies; w.write(Path(sys.argv[1]), {NEW!r}, {{}})"
    )
    done = subprocess.run([sys.executable, "-c", crash, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 9 and listing(tmp_path) != before
    with pytest.raises(InputError, match="cut off"):
        changes(tmp_path, NEW)
    assert recover(tmp_path) and listing(tmp_path) == before
    assert not recover(tmp_path)


# ------------------------------------------------------------------ signals
def test_sigterm_keeps_the_best_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: None) -> None:
    from planner.solve.search import Search

    original, calls = Search.broken_whole, list[bool]()

    def signalled(self: Any, purchases: Any, tried: Any) -> Any:
        calls.append(len(self.p.failures) > 1)
        if calls[-1] and sum(calls) == 1:  # the first whole plan of the search with goals
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, purchases, tried)

    monkeypatch.setattr(Search, "broken_whole", signalled)
    out = tmp_path / "plan.json"
    result = call("plan", write_study(tmp_path / "study"), "--out", out, "-q")
    assert result.exit_code in (0, 1) and "a time limit or a person ended the search" in result.stderr
    assert read_plan(out).proof.status == "stopped"
    assert call("audit", out).exit_code == 0, "it is a whole plan all the same"


def test_one_sigterm_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: None) -> None:
    """It comes in the solve without goals: the one with goals ends with its first whole plan, too."""
    from planner.solve.search import Search

    original, failures_of = Search.broken_whole, list[int]()

    def signalled(self: Any, purchases: Any, tried: Any) -> Any:
        failures_of.append(len(self.p.failures))
        if len(failures_of) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, purchases, tried)

    monkeypatch.setattr(Search, "broken_whole", signalled)
    out = tmp_path / "plan.json"
    call("plan", write_study(tmp_path / "study"), "--out", out, "-q", "--gap", "0")
    assert read_plan(out).proof.status == "stopped"


def test_sigterm_elsewhere_ends_with_143(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "planner", "review", str(pipe), "--out", str(tmp_path / "r.txt")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    with pipe.open("w"):  # opens when the command reads, which then waits
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 143 and stderr == "interrupted; nothing was written\n"
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_progress_says_what_an_end_before_its_time_keeps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("planner.cli.progress.FIRST_AFTER_SECONDS", -1.0)
    with progress(keeps="Ctrl-C or SIGTERM ends it with the best plan found so far") as report:
        report("whole numbers", 0.5, "")
        report("settling", None, "")
    assert capsys.readouterr().err.count("SIGTERM ends it with the best plan") == 1


# ------------------------------------------------------------------ streams
def test_a_stdout_that_is_full_or_closed_is_said(planned: Path) -> None:
    for where, said in ((">/dev/full", "no space left"), (">&-", "standard output is closed")):
        code, _, stderr = shell(f"planner audit '{planned}/plan.json' {where}")
        assert code == 2 and said in stderr and len(stderr.splitlines()) == 1, stderr
    code, _, stderr = shell("planner --help >/dev/full")
    assert code == 2 and "no space left" in stderr
    code, _, stderr = shell(f"planner plan '{planned}/study' -q >&-")
    assert code == 2 and "closed" in stderr


def test_a_reader_that_has_enough_changes_no_exit_code(planned: Path) -> None:
    code, _, stderr = shell(f"set -o pipefail; planner audit '{planned}/plan.json' | true")
    assert code == 0 and stderr == "standard output was closed by its reader: the rest was not written\n"


def test_a_closed_stderr_leaves_results_clean(planned: Path) -> None:
    for where in ("2>&-", "2>/dev/full"):
        code, out, _ = shell(f"planner drift '{planned}/plan.json' '{planned}/nothing.csv' {where}")
        assert code == 2 and out == "", "a message on stdout would break what reads it"
    assert shell(f"planner review '{planned}/plan.json' >&- 2>&- <&-")[0] == 2


def test_an_ascii_terminal_shows_all_there_is(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", study="caf\u00e9 \U0001f642")
    ascii = {"PYTHONIOENCODING": "ascii"}
    code, out, _ = shell(f"planner risk '{study}' -f json", **ascii)
    assert code in (0, 1) and out.isascii() and "caf\u00e9 \U0001f642" in json.loads(out)["title"]
    code, out, stderr = shell(f"planner check '{study}'", **ascii)
    assert code in (0, 1) and out.isascii() and r"caf\xe9" in out and "standard output is ascii" in stderr
    code, out, _ = shell("planner --help", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert code == 0 and "Usage" in out


# ------------------------------------------------------------------ inputs without end
def test_devices_and_pipes_end_in_one_line(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, pipe = planned / "plan.json", tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "WRITER_SECONDS", 0.05)
    for words in (
        ("review",),
        ("drift", plan),
        ("diff", plan),
        ("import", "prices"),
        ("init", tmp_path / "n", "--from"),
    ):
        for path in ("/dev/zero", pipe):
            assert "regular file" in (stderr := refused(*words, path)) or "nobody who does" in stderr, stderr
    assert not (tmp_path / "n").exists()


def test_a_pipe_that_ends_is_read(planned: Path, tmp_path: Path) -> None:
    code, out, _ = shell(f"planner audit <(sleep 0.3; cat '{planned}/plan.json')")
    assert code == 0 and "passed" in out
    code, _, stderr = shell("planner audit <(true)")
    assert code == 2 and "JSON" in stderr


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2**21)
    monkeypatch.setattr(files, "MOST_BYTES", 2**20)
    monkeypatch.setattr(files, "MOST_PIPE_BYTES", 2**20)
    with pytest.raises(InputError, match="at most 1 MiB"):
        read_bytes(tmp_path / "big")
    code = f"cat {tmp_path}/big"
    with subprocess.Popen(["bash", "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        with pytest.raises(InputError, match="at most 1 MiB"):
            read_bytes(Path(f"/proc/self/fd/{writer.stdout.fileno()}"), pipes=True)
        writer.kill()


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 400, "-" + "9" * 5000, "1e999", "NaN"])
def test_numbers_of_thousands_of_digits(number: str, planned: Path, tmp_path: Path) -> None:
    data = json.loads((planned / "plan.json").read_text())
    data["proof"]["passes"] = "HERE"
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(data).replace('"HERE"', number))
    for verb in ("review", "audit", "diff"):
        assert "JSON numbers" in refused(verb, *([plan] * (2 if verb == "diff" else 1)))
    state = tmp_path / "state.json"
    state.write_text('{"resources": [' + number + "]}")
    assert "JSON numbers" in refused("drift", planned / "plan.json", state)
    study = write_study(tmp_path / "study", edits=[("demand.csv", "london,10", f"london,{number}")])
    assert refused("check", study)


@pytest.mark.parametrize("text", ["[]", "[]\n[]\n", '{"timestamp": 1, "input_length": 1, "output_length": 1}\n[]\n'])
def test_an_empty_list_in_a_trace(text: str, tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text(text)
    assert "trace.jsonl" in refused("import", "demand", tmp_path / "trace.jsonl", "--origin", "london=1")


# ------------------------------------------------------------------ escapes
ESCAPES = "\x1b[31m", "\x9b31m", "\u202e", "\x07"


def test_headings_and_names_carry_no_escapes(planned: Path, tmp_path: Path) -> None:
    for n, escape in enumerate(ESCAPES):
        table = tmp_path / f"{n}.csv"
        table.write_text(f"po{escape}ol,machines\nx,1\n")
        as_json = call("drift", planned / "plan.json", table, "-f", "json").stdout
        messages = refused("drift", planned / "plan.json", table) + as_json.replace("\\u202e", "")
        (tmp_path / "state.json").write_text(json.dumps({f"fi{escape}eld": 1}))
        messages += refused("drift", planned / "plan.json", tmp_path / "state.json")
        data = {**json.loads((planned / "plan.json").read_text()), f"fi{escape}eld": 1}
        (tmp_path / "plan.json").write_text(json.dumps(data))
        messages += refused("review", tmp_path / "plan.json")
        messages += refused("review", tmp_path / f"no{escape}file.json")
        assert escape not in messages
        assert escape not in str(Finding(f"a{escape}", f"b{escape}", f"c{escape}", f"d{escape}"))
        section = Section(
            f"T{escape}",
            (f"l{escape}",),
            (Column(f"h{escape}", lambda row: row[0]), Column("b", lambda row: row[1])),
            [(f"c{escape}", 1)],
        )
        for format in ("text", "md"):
            assert escape not in render(Report(f"t{escape}", True, (section,)), format)
