"""What an editor shows of the files that people write: the YAML language server, asked as an editor asks it."""

import pytest
from language_server import LanguageServer, server_program
from mistakes import MISTAKES, ROOT

from planner.importers.new_study import start_study
from planner.review.schemas import schema_files

pytestmark = [
    pytest.mark.editor,
    pytest.mark.skipif(server_program() is None, reason="no yaml-language-server: npm install -g yaml-language-server"),
]
FILES = sorted(
    [*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("models/*.yaml"), *ROOT.glob("inventories/*.yaml")],
    key=lambda path: path.as_posix(),
)
STUDY = ROOT / "examples" / "quickstart" / "study.yaml"


@pytest.fixture(scope="module")
def server():
    running = LanguageServer(server_program(), ROOT)
    yield running
    running.close()


def head(name):
    return f"# yaml-language-server: $schema=../../docs/schemas/{name}.schema.json\n"


def test_nothing_is_wrong_with_what_ships(server):
    told = server.diagnostics(*((path, path.read_text(encoding="utf-8")) for path in FILES))
    assert len(FILES) >= 17
    assert {path.name: messages for path, messages in zip(FILES, told, strict=True) if messages} == {}


def test_without_its_schema_nothing_would_be_said(server):
    """That the file is checked at all: the same mistake under a line that leads to no schema says so, and no more."""
    text = STUDY.read_text(encoding="utf-8").replace("study: quickstart", "studyy: quickstart")
    lost = text.replace("docs/schemas/study", "docs/schemas/nowhere")
    by_schema, by_none = server.diagnostics((STUDY, text), (STUDY, lost))
    assert [line for line, _ in by_schema] == [15, 15]
    assert all("Unable to load schema" in message for _, message in by_none)


def test_a_new_folder_is_checked_by_the_schemas_beside_it(server, tmp_path):
    start_study(tmp_path / "mine", "quickstart", schema_files(in_yaml_only=True))
    study, policy = tmp_path / "mine" / "study.yaml", tmp_path / "mine" / "policy.yaml"
    texts = [path.read_text(encoding="utf-8") for path in (study, policy)]
    wrong = texts[1].replace("per: month", "per: moon")
    told = server.diagnostics((study, texts[0]), (policy, texts[1]), (policy, wrong))
    assert told[:2] == [[], []] and [line for line, _ in told[2]] == [6]


def test_mistakes_are_told_on_their_line(server):
    told = server.diagnostics(*((mistake.path, mistake.text) for mistake in MISTAKES))
    missed = [
        (mistake.file, mistake.new, mistake.line, messages)
        for mistake, messages in zip(MISTAKES, told, strict=True)
        if mistake.line not in [line for line, _ in messages]
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("schema", "text", "offered"),
    [
        ("study", "study: x\n|", {"tiers", "workloads", "detection_seconds", "policies"}),
        ("study", "study: x\ntiers:\n- name: t\n  surv|", {"survive", "first_token_ms"}),
        ("study", "study: x\nobjective: |", {"cost", "expected", "worst_case", "cvar"}),
        ("study", "study: x\nfailover: |", {"resolve", "rescale"}),
        ("study", "study: x\ntiers:\n- name: t\n  survive:\n  - {any: |", {"provider", "site", "stack"}),
        ("study", "study: x\npolicies:\n  offers: [|]", {"on_demand", "spot", "capacity_block"}),
        ("policy", "policy: x\n|", {"budget", "concentration", "headroom", "survive"}),
        ("policy", "policy: x\nbudget:\n- of: |", {"cost", "capital"}),
        ("policy", "policy: x\nconcentration:\n- share_of: requests\n  per: |", {"provider", "stack", "region"}),
        ("model", "model: x\nfacts:\n  evidence: |", {"measured", "published", "estimated", "assumed"}),
        ("outages", "outages:\n- id: x\n  parts:\n  - kind: |", {"provider", "region", "identity", "ingress"}),
        ("change", "name: x\n|", {"set", "add", "remove", "why"}),
    ],
)
def test_fields_and_words_are_offered(server, schema, text, offered):
    before, _, after = (head(schema) + text).partition("|")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    labels = server.completions(STUDY, before + after, line, column)
    assert offered <= set(labels)


def test_what_a_field_means_is_said_with_its_unit(server):
    labels = server.completions(STUDY, head("study") + "study: x\n", 3, 1)
    assert labels["detection_seconds"] == "from a failure's begin until it is known [s]"
