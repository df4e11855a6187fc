"""Answers as rows of a file, each written when it is there: what a question that was ended goes on from.

A folder of plans holds rows.jsonl beside them: a JSON object a line, in the order in which the answers came; when all
are there, in that of the question. A row is of exactly what was asked (`digest_of`), or it is not taken.

Where the answer of a variant is the plan of another, which holds there and costs less, its own is kept beside it:
others start from that, so that no plan depends on what else the folder held when it was made.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from planner import __version__
from planner.errors import InputError, refusal
from planner.plan.file import canonical, digest, plan_text, read_plan, sha256
from planner.plan.plan import Case
from planner.questions.answer import Answer
from planner.questions.variants import Variant
from planner.solve.search import Effort
from planner.study.files import append_line, cut_half_line, remembering, write_atomically
from planner.study.places import quoted
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

ROWS = "rows.jsonl"
"""Name of the file beside the plans."""
AS_PLANNED = ".as-planned"
"""After the name of a plan's file: the plan made for the variant, where the answer is that of another."""
_HALF_WRITTEN = re.compile(r"\..+\.[0-9]+\.tmp")
"""What a kill may leave of a file that was being written."""


def digest_of(study: Study, effort: Effort, case: Case, start_sha256: str | None, own_sha256: str | None = None) -> str:
    """Digest of all that a plan depends on: study, effort, demand, the plans at hand, and the version.

    Parameters
    ----------
    start_sha256, own_sha256 : digests of what was asked for the plan that it starts from and for that of the study as
        it is, whichever plans these have by now; of a plan that is given its own
    """
    return sha256(
        {
            "study": study.model_dump(mode="json", by_alias=True),
            "effort": {name: value for name, value in vars(effort).items() if name != "jobs"},
            "case": case,
            "start": start_sha256,
            "compared": own_sha256,
            "version": __version__,
        }
    )


class NoRows:
    """Nothing is kept, and nothing was."""

    def expect(self, files: Mapping[str, str]) -> None:
        """Name of each variant -> name of its plan's file, before the first answer is kept."""

    def kept(self, variant: Variant, asked_sha256: str) -> Answer | None:
        """The answer that an earlier run kept."""
        return None

    def keep(self, answer: Answer) -> None:
        """Keep an answer, as soon as it is there."""

    def sort(self, planned: Iterable[Answer], answers: Iterable[Answer]) -> None:
        """Bring the rows into the order of the question: the same bytes whatever the order in which they came."""


class Rows(NoRows):
    """The rows of a folder of plans.

    Parameters
    ----------
    folder : new, empty, or of the same question, which was ended
    write : writes a text to a file, whole or not at all

    Raises
    ------
    InputError
        when the folder cannot be written, or holds something else
    """

    def __init__(self, folder: Path, write: Callable[[str, Path], None]) -> None:
        self.folder, self.path, self.write = folder, folder / ROWS, write
        self.files: Mapping[str, str] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        try:
            folder.mkdir(exist_ok=True)
            if not self.path.exists():
                if any(folder.iterdir()):
                    raise self._of_something_else("files in it")
                self.path.touch()
            self._read()
        except FileExistsError:
            raise self._of_something_else("a file") from None
        except OSError as error:
            got = error.strerror or str(error)
            raise refusal(str(folder), "a folder that can be written", got, "name another --out") from None

    def _of_something_else(self, got: str) -> InputError:
        fix = "name another --out, or remove what is in it"
        return refusal(str(self.folder), "a new or an empty folder, or one of this very question", got, fix)

    def _read(self) -> None:
        """Read what is there; a last line that is half written is cut off."""
        for n, line in enumerate(cut_half_line(self.path), 1):
            try:
                row = json.loads(line)
                self.rows[row["variant"]] = row
            except (ValueError, TypeError, KeyError):
                raise self._of_something_else(f"line {n} of {ROWS}, which is no row") from None

    def expect(self, files: Mapping[str, str]) -> None:
        """Name of each variant -> name of its plan's file, before the first answer is kept.

        Raises
        ------
        InputError
            when the folder holds plans or rows of another question
        """
        self.files = files
        names = {*files.values(), *(file + AS_PLANNED for file in files.values())}
        if others := sorted(self.rows.keys() - files.keys()):
            raise self._of_something_else(f"a row of {quoted(others[0])}")
        for path in sorted(self.folder.iterdir()):
            if _HALF_WRITTEN.fullmatch(path.name):
                path.unlink()
            elif path.name != ROWS and path.name not in names:
                raise self._of_something_else(quoted(path.name))

    def kept(self, variant: Variant, asked_sha256: str) -> Answer | None:
        """The answer that an earlier run kept, with the plan made for it; None where that is not as it was written.

        Raises
        ------
        InputError
            when it is of another study, effort or version
        """
        row = self.rows.get(variant.name)
        if row is None:
            return None
        if row.get("asked_sha256") != asked_sha256:
            raise self._of_something_else(f"{quoted(variant.name)} of another study, effort or version")
        plan = None
        if row.get("file") is not None:
            plan = self._as_planned(row)
            if plan is None:
                del self.rows[variant.name]
                return None
        return Answer(variant, plan, row["why_not"], row["unsure"], asked_sha256=asked_sha256)

    def _as_planned(self, row: Mapping[str, Any]) -> PlanFile | None:
        """The plan made for the variant of a row; None where neither of its files holds it as it was written."""
        file, planned_sha256 = str(row["file"]), row.get("as_planned_sha256", row.get("digest_sha256"))
        for name in (file + AS_PLANNED, file):
            with suppress(InputError), remembering():  # apart from the inputs: what does not fit is written anew
                plan = read_plan(self.folder / name)
                if digest(plan.model_dump(mode="json", by_alias=True)) == planned_sha256:
                    return plan
        return None

    def keep(self, answer: Answer) -> None:
        """Write the plan, then its row: a row that is there has its plan. What was cut short is no row."""
        row = self._row(answer)
        if row == self.rows.get(answer.variant.name):
            return
        if answer.plan is not None:
            self.write(plan_text(answer.plan), self.folder / self.files[answer.variant.name])
        if answer.is_final:
            self.rows[answer.variant.name] = row
            append_line(self.path, canonical(row))

    def _row(self, answer: Answer) -> dict[str, Any]:
        row: dict[str, Any] = {
            "variant": answer.variant.name,
            "asked_sha256": answer.asked_sha256,
            "why_not": answer.why_not,
            "unsure": answer.unsure,
        }
        if answer.plan is not None:
            proof = answer.plan.proof
            row |= {
                "file": self.files[answer.variant.name],
                "digest_sha256": answer.plan.digest_sha256,
                "cost_usd": proof.cost_usd,
                "bound_usd": proof.bound_usd,
                "gap_fraction": proof.gap_fraction,
                "status": proof.status,
            }
        return row

    def sort(self, planned: Iterable[Answer], answers: Iterable[Answer]) -> None:
        """Bring the rows into the order of the question: the same bytes whatever the order in which they came.

        A plan that is taken over from another variant is written last, and removed is what is not needed after that: at
        any time the plan that was made for a row is there, in one of its two files.

        Parameters
        ----------
        planned, answers : of the same variants, with the plan made for each, and with the cheapest that holds there
        """
        rows, beside = [], set[str]()
        for own, answer in zip(planned, answers, strict=True):
            name = answer.variant.name
            if name not in self.rows:
                continue
            row, file = self._row(answer), self.files[name]
            if not answer.is_final:  # not reached this time: its row and files stay
                rows.append(self.rows[name])
                beside.add(file)
                continue
            is_taken_over = row.get("digest_sha256") != self._row(own).get("digest_sha256")
            if is_taken_over and own.plan is not None:
                row["as_planned_sha256"] = own.plan.digest_sha256
                beside.add(file)
                self._write_anew(file + AS_PLANNED, own.plan)
            if answer.plan is not None and (is_taken_over or row != self.rows[name]):
                self._write_anew(file, answer.plan)
            self.rows[name] = row
            rows.append(row)
        text = "".join(f"{canonical(row)}\n" for row in rows)
        if self.path.read_text(encoding="utf-8") != text:
            write_atomically(self.path, text)
        for file in self.files.values():
            if file not in beside:
                (self.folder / (file + AS_PLANNED)).unlink(missing_ok=True)

    def _write_anew(self, name: str, plan: PlanFile) -> None:
        """Write a plan of our own once more, unless its file holds it already."""
        path, text = self.folder / name, plan_text(plan)
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
            write_atomically(path, text)
