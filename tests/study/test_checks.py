"""The register of checks: one file per check, named as its entry."""

import importlib
import inspect
from pathlib import Path

import planner.study.checks as checks
from planner.study.checks.register import CHECKS
from planner.study.places import Reading
from planner.study.records.inventory import Pool

FOLDER = Path(checks.__file__).parent


def test_every_check_of_parts_is_in_the_register():
    entries = set()
    for path in FOLDER.glob("*.py"):
        module = importlib.import_module(f"planner.study.checks.{path.stem}")
        entry = getattr(module, f"check_{path.stem}", None)
        if entry is not None and list(inspect.signature(entry).parameters) == ["parts", "reading"]:
            entries.add(entry)
    assert entries == set(CHECKS)


def test_a_pattern_that_matches_nothing_is_reported_with_the_nearest_id_and_the_form_of_ids():
    reading = Reading()
    for pattern in ("aws/*", "aws/east/trn", "aws/east/trm"):
        reading.refer_pattern("study.yaml:1: pools", Pool, "a pool", pattern, ["aws/east/trn"], "site/machine-type")
    (finding,) = reading.findings
    assert finding.got == "'aws/east/trm', which matches none (did you mean 'aws/east/trn'?)"
    assert finding.fix == "ids are site/machine-type, * matches anything: aws/east/trn"
    quiet = Reading(broken={(Pool, "*")})
    quiet.refer_pattern("here", Pool, "a pool", "x", [], "site/machine-type")
    assert quiet.findings == []
