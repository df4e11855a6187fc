"""`planner init`: a ready study in a new folder."""

import shutil
from pathlib import Path

from planner.errors import Finding, InputError
from planner.read import data_folder


def start_study(folder: Path, example: str) -> list[Path]:
    """Copy an example that ships with the project into a new folder; returns the files written.

    Raises
    ------
    InputError
        when there is no such example, the folder exists and is not empty, or it cannot be written
    """
    examples = data_folder("examples")
    known = sorted(path.parent.name for path in examples.glob("*/study.yaml"))
    if example not in known:
        raise InputError([Finding("--example", f"one of {', '.join(known)}", repr(example), "name one of these")])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            [Finding(str(folder), "a folder that is new or empty", "one that has files", "name another folder")]
        )
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sorted((examples / example).iterdir()):
            if source.suffix in (".yaml", ".csv"):
                shutil.copyfile(source, folder / source.name)
                written.append(folder / source.name)
    except OSError as error:
        raise InputError(
            [Finding(str(folder), "a folder that can be written", error.strerror or str(error), "name another folder")]
        ) from error
    return written
