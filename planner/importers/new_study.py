"""What a new study is: a folder of its own, an example that ships or first proposals, in YAML as people write it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from planner.errors import refusal
from planner.study.files import write_new_folder
from planner.study.read import data_folder

GOALS: list[dict[str, Any]] = [
    {"any": "provider", "serve_fraction": 1.0, "within_seconds": 300},
    {"any": "site", "serve_fraction": 1.0, "within_seconds": 60},
    {"any": "stack", "serve_fraction": 0.8, "within_seconds": 300},
]
"""What a first study asks of every tier but batch."""
TIERS: dict[str, dict[str, Any]] = {
    "interactive": {"first_token_ms": 2000.0, "per_token_ms": 60.0, "outage_usd_per_request": 0.02, "survive": GOALS},
    "long-context": {"first_token_ms": 10000.0, "per_token_ms": 80.0, "outage_usd_per_request": 0.05, "survive": GOALS},
    "batch": {"outage_usd_per_request": 0.001},
}
"""Tiers of a first study by name; their targets are raised where today's fleet is slower."""
ROUND_TRIP_MS, ROUND_TRIP_IN_FAILURE_MS = 150.0, 250.0
MEAN_TOKENS = {"short": (1155.0, 211.0), "medium": (8192.0, 343.0)}
"""Mean input and output of a request [tokens]: Azure LLM inference trace 2023, conversation (CC-BY-4.0, Microsoft); of
medium ones the input for which their speeds are stated (assumed), so that every profile that ships holds them."""
LONG_MEAN_TOKENS = (12035.0, 343.0)
"""The same of longer classes: Mooncake conversation trace (Apache-2.0)."""
ASSUMPTIONS = (
    "Demand is assumed: what the replicas of fleet.csv can carry in time, by weight of routes.",
    "Mean tokens are assumed. Short requests: Azure LLM inference trace 2023, conversation (CC-BY-4.0, Microsoft).",
    "Mean tokens of longer requests: Mooncake conversation trace (Apache-2.0), but medium input: 8192, assumed.",
    "The context class of a workload is what its name says, else the longest that all of its profiles admit.",
    "Tiers, targets, survival goals and the cost of an outage are a first proposal.",
    "Holdings are the machines that today's replicas need, and last beyond the horizon.",
    "Speeds, prices and stock are those that ship; evidence stands with each.",
)
SCHEMA_LINE = re.compile(rb"^# yaml-language-server: \$schema=\S*?([\w-]+\.schema\.json)$", re.M)
"""By which an editor knows the schema of a file; its path is relative to the file."""
SCHEMAS = "schemas"
"""Folder beside a new study, for the schemas that its files name."""
STUDY_HEAD = f"""\
# yaml-language-server: $schema={SCHEMAS}/study.schema.json
# Started from what runs today (fleet.csv). What the fleet does not say is assumed, and said under `assumptions`:
# replace first demand.csv, then the workloads' mean tokens and context classes, then the tiers' targets and goals.
# `pools` decides what may be bought: all that ships, unless you narrow it.
"""


def start_study(folder: Path, example: str, schemas: Mapping[str, str] = {}) -> list[Path]:
    """Copy an example that ships with the project into a new folder, its README too; returns the files written.

    `schemas`: file name -> text, of those that editors check the files by; they come into a folder beside them.

    Raises
    ------
    InputError
        when there is no such example, the folder exists and is not empty, or it cannot be written
    """
    examples = data_folder("examples")
    known = sorted(path.parent.name for path in examples.glob("*/study.yaml"))
    if example not in known:
        raise refusal("--example", f"one of {', '.join(known)}", repr(example), "name one of these")
    check_new(folder)
    sources = [path for path in sorted((examples / example).rglob("*")) if path.suffix in (".yaml", ".csv", ".md")]
    texts = {}
    for path in sources:
        within = path.relative_to(examples / example)
        texts[str(within)] = _naming_schemas_beside(path.read_bytes(), len(within.parts) - 1)
    return write_new_folder(folder, {**texts, **schemas_beside(schemas)})


def schemas_beside(schemas: Mapping[str, str]) -> dict[str, bytes]:
    """Schemas as files of a new folder."""
    return {f"{SCHEMAS}/{name}": text.encode() for name, text in schemas.items()}


def _naming_schemas_beside(text: bytes, depth: int) -> bytes:
    """A file whose schema is that in the folder beside the study; `depth`: folders between them."""
    return SCHEMA_LINE.sub(b"# yaml-language-server: $schema=" + b"../" * depth + SCHEMAS.encode() + rb"/\1", text)


def check_new(folder: Path) -> None:
    """Refuse a folder that has files, or is a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        expected, got = "a folder that is new or empty", "one that has files"
        raise refusal(str(folder), expected, got, "name another folder")


def study_text(study: dict[str, Any]) -> str:
    """A study as YAML that people write: a record a line, a text a line."""
    records = {name: value for name, value in study.items() if name != "assumptions"}
    text = STUDY_HEAD
    for part, flow in ((records, None), ({"assumptions": study["assumptions"]}, False)):
        text += yaml.safe_dump(part, sort_keys=False, default_flow_style=flow, width=1000, allow_unicode=True)
    return text
