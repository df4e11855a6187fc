"""Typical mistakes in files that ship: what is written instead, once. Reader, JSON Schema and editor all say so."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDY, STAGED = "examples/quickstart/study.yaml", "examples/postmortem/study.yaml"
YEARS, POLICY = "examples/buildout/study.yaml", "examples/quickstart/policy.yaml"
CHANGE, MATRIX = "examples/buildout/hedge.yaml", "examples/buildout/matrix.yaml"
MODEL, MACHINES, OUTAGES = "models/qwen3-32b.yaml", "inventories/machine_types.yaml", "inventories/outages.yaml"


@dataclass(frozen=True)
class Mistake:
    """In a file `old`, where it stands first, is written as `new`: wrong on the line on which it begins."""

    file: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        return ROOT / self.file

    @property
    def text(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        assert self.old in text, f"{self.old} is not in {self.file}"
        return text.replace(self.old, self.new, 1)

    @property
    def line(self) -> int:
        """The line of the mistake, from 1 on."""
        text = self.path.read_text(encoding="utf-8")
        return text.count("\n", 0, text.index(self.old)) + 1


MISTAKES = (
    # a field that is called otherwise, once more, in the wrong place
    Mistake(STUDY, "demand: demand.csv", "demands: demand.csv\ndemand: demand.csv"),
    Mistake(STUDY, "round_trip_ms: 150", "roundtrip_ms: 150"),
    Mistake(STUDY, "holdings:", "holding: []\nholdings:"),
    Mistake(STUDY, "{any: provider, serve_fraction", "{any: provider, except_: [aws], serve_fraction"),
    # a number that is text, too large, below zero, with a unit, with separators, none
    Mistake(STUDY, "within_seconds: 300", "within_seconds: '300'"),
    Mistake(STUDY, "within_seconds: 300", "within_seconds: 300 s"),
    Mistake(STUDY, "within_seconds: 300", "within_seconds: 0"),
    Mistake(STUDY, "serve_fraction: 1.0", "serve_fraction: 100"),
    Mistake(STUDY, "serve_fraction: 1.0", "serve_fraction: 99 %"),
    Mistake(STUDY, "months: 12", "months: .inf"),
    Mistake(STUDY, "first_token_ms: 2000", "first_token_ms: 2,000"),
    Mistake(STUDY, "machines: 24", "machines: 24.5"),
    Mistake(STUDY, "machines: 24", "machines: -1"),
    Mistake(STUDY, "latitude: 40.7128", "latitude: 140.7"),
    Mistake(STUDY, "mean_input_tokens: 1155", "mean_input_tokens: ~"),
    # text that is a number, a list that is text, a mapping that is a list
    Mistake(STUDY, "study: quickstart", "study: 2027"),
    Mistake(STUDY, "models: [default]", "models: default"),
    Mistake(STUDY, "horizon: {start: 2027-01-01, months: 12}", "horizon: [2027-01-01, 12]"),
    Mistake(STUDY, "tier: interactive", "tier: yes, model: x, tier_: no"),
    # dates, versions, words of a list
    Mistake(STUDY, "today: 2026-11-22", "today: 22.11.2026"),
    Mistake(STUDY, "today: 2026-11-22", "today: 2026-13-22"),
    Mistake(STUDY, "schema_version: 2", "schema_version: 3"),
    Mistake(STUDY, "demand: demand.csv", "objective: cheapest\ndemand: demand.csv"),
    Mistake(STAGED, "offers: [on_demand, commitment", "offers: [ondemand, commitment"),
    Mistake(STAGED, "breaks: new_logins", "breaks: logins"),
    # fields that go together, or do not
    Mistake(STUDY, "{any: provider, serve_fraction", "{serve_fraction"),
    Mistake(STUDY, "{any: provider, serve_fraction", "{any: provider, failure: x, serve_fraction"),
    Mistake(STUDY, "{any: provider, serve_fraction", "{any: provider, where: aws, serve_fraction"),
    Mistake(STUDY, "near: google/us-east4, latitude: 40.7128, longitude: -74.006", "latitude: 40.7128"),
    Mistake(STUDY, "horizon: {start: 2027-01-01, months: 12}", "horizon: {start: 2027-01-01}"),
    Mistake(STAGED, "breaks: new_logins, sessions_go_on_fraction: 0.7", "breaks: new_logins"),
    Mistake(STAGED, 'any_of: ["identity:login", "identity:second-login"]', 'at_least: 1, any_of: ["identity:login"]'),
    Mistake(STAGED, 'any_of: ["identity:login", "identity:second-login"]', "any_of: []"),
    Mistake(STUDY, "demand: demand.csv", "utilisation: {basis: fixed, spread: each}\ndemand: demand.csv"),
    # the other files
    Mistake(POLICY, "most_usd: 4000000", "most_usd_per_month: 4000000"),
    Mistake(POLICY, "per: provider", "per: cloud"),
    Mistake(POLICY, "severity: warn", "severity: warning"),
    Mistake(POLICY, "{tier: interactive, any: provider, within", "{tier: interactive, within"),
    Mistake(POLICY, "proof: {", "change: [{severity: warn}]\nproof: {"),
    Mistake(CHANGE, "set: {", "sets: {"),
    Mistake(MATRIX, "- {name: as forecast}", "- {names: as forecast}"),
    Mistake(MODEL, "evidence: published", "evidence: rumoured"),
    Mistake(MODEL, 'as_of: "2025-04"', "as_of: 2025"),
    Mistake(MODEL, "layers: 64", "layers: many"),
    Mistake(MACHINES, "accelerators: 16", "accelerators: 0"),
    Mistake(MACHINES, "machine_types:", "machinetypes:"),
    Mistake(OUTAGES, "begin: 2026-03-02T11:49Z", "begin: 2026-03-02 11:49"),
    Mistake(OUTAGES, "kind: identity", "kind: login"),
    Mistake(OUTAGES, "kind: routing", "kind: zone"),
)
