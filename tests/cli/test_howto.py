"""The how-to pages, followed word for word in an empty folder: files are written, commands run, answers compared."""

import re
import subprocess

import goldens
import howto
import pytest

PAGES = [howto.ROOT / "docs" / "howto" / f"{stem}.md" for stem in howto.PAGES]


def blocks(text):
    """(kind, file or None, content) of every block; a file's name ends the sentence before it."""
    for found in howto.BLOCK.finditer(text):
        name = howto.NAME.search(text[: found.start()].rstrip())
        yield found[1], name[1] if name else None, found[2]


@pytest.fixture
def shell(tmp_path, planner_command):
    """Run commands in an empty folder, with `planner` and `python` those of the tests; gives what they print."""
    env = howto.programs_in(tmp_path, planner_command)
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(commands):
        done = subprocess.run(["bash", "-euc", commands], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    return folder, run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, shell):
    folder, run = shell
    said, found = "", list(blocks(page.read_text(encoding="utf-8")))
    kinds = [kind for kind, _, _ in found]
    assert set(kinds) == {"csv", "yaml", "sh", "text"} or page.stem == "bring-your-fleet"
    for kind, name, content in found:
        if kind == "sh":
            said += run(content)
        elif kind == "text":
            for line in () if goldens.other_versions() else content.splitlines():
                assert " ".join(line.split()) in " ".join(said.split()), f"{line}\nis not in\n{said}"
        else:
            assert name is not None, f"no file is named before\n{content}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
    assert (folder / "plan.json").is_file(), "a page ends in a plan"


def test_the_pages_are_those_that_were_asked_for():
    asked = [
        "add-a-machine-type",
        "add-a-model",
        "add-a-provider",
        "ask-what-if",
        "ask-why",
        "bring-your-fleet",
        "choose-among-plans",
        "gate-a-plan",
        "plan-a-build-out",
        "take-tables-away",
        "when-there-is-no-plan",
    ]
    assert [page.stem for page in PAGES] == asked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
