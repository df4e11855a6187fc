"""Goals that name an outage become goals of failures: what the outage is in this study, written out."""

from collections.abc import Iterable
from pathlib import Path

from planner.errors import InputError
from planner.study.footprint import Footprint, footprint_of, footprint_of_parts
from planner.study.outages import OutageHere, outage_here, read_outages, where_of
from planner.study.parts import Parts
from planner.study.places import Place, Reading, Row, near_id, quoted
from planner.study.records.inventory import MachineType, Pool, Site
from planner.study.records.outages import Outage
from planner.study.records.serving import Model
from planner.study.records.study import Goal, NamedFailure, Study, Tier

MOST_NAME = 200
"""Characters of an assumption."""


class _Played:
    """The failures that goals of a study need, as they are gathered; findings go to a reading."""

    def __init__(
        self, here: Footprint, catalogue: dict[str, Outage], failures: Iterable[NamedFailure], reading: Reading
    ) -> None:
        self.here, self.catalogue, self.reading = here, catalogue, reading
        self.named = {failure.name: failure for failure in failures}
        self.failures: list[Row[NamedFailure]] = []
        self.assumptions: dict[str, None] = {}

    def tier(self, tier: Tier, place: Place) -> Tier:
        """A tier with goals of failures instead of those of outages; the first of several stands where it was."""
        goals, more = [], []
        for goal, at in place.rows(tier.survive, "survive"):
            instead = [goal] if goal.outage is None else self.goals(goal, at)
            goals += instead[:1]
            more += instead[1:]
        return tier.model_copy(update={"survive": (*goals, *more)})

    def goals(self, goal: Goal, at: Place) -> list[Goal]:
        """Goals of the failures that an outage is here, one for each; none, with a finding, where it is none."""
        assert goal.outage is not None
        what = "an outage of the catalogue (docs/outages.md)"
        known = self.reading.refer(at.at("outage"), Outage, what, goal.outage, self.catalogue, near=near_id)
        where = None if goal.where is None else where_of(goal.where, self.here, at.at("where"), self.reading)
        if not known or (goal.where is not None and where is None):
            return []
        met = outage_here(self.catalogue[goal.outage], self.here, where)
        if not met.failures:
            expected = "an outage that takes something here"
            fix = f"{met.fix}, `where: {met.move_to}`" if met.move_to else met.fix
            fix = fix or "remove the goal: there is nothing to survive"
            self.reading.error(at.at("outage"), expected, f"{quoted(goal.outage)}, of which {met.why}", fix)
        elif met.why:
            got = f"{quoted(goal.outage)}, of which a part is left out: {met.why}"
            self.reading.warning(at.at("outage"), "an outage of which all parts can be mapped", got, met.fix)
        goals = []
        for failure in met.failures:
            if self.named.setdefault(failure.name, failure) != failure:
                expected = f"no other failure that is called as the outage, {quoted(failure.name)}"
                self.reading.error(at.at("outage"), expected, "one under `failures`", "rename that one")
            elif failure.name not in {row.name for row, _ in self.failures}:
                self.failures.append((failure, at))
                self.assumptions |= dict.fromkeys(_assumptions(met))
            goals.append(goal.model_copy(update={"outage": None, "where": None, "failure": failure.name}))
        return goals


def play_outages(parts: Parts, catalogues: Iterable[Path], reading: Reading) -> None:
    """Put failures in place of the outages that goals of a study name; what cannot be mapped is reported."""
    try:
        catalogue = read_outages(path for path in catalogues if path.is_file())
    except InputError as error:
        reading.findings += error.findings
        return
    if reading.any_broken(Pool, Site, MachineType, Model):
        return  # reported where it stands: what an outage would take is not known
    played = _Played(footprint_of_parts(parts), catalogue, (row for row, _ in parts.failures), reading)
    parts.tiers = [(played.tier(tier, place), place) for tier, place in parts.tiers]
    parts.failures += played.failures
    changed = {
        "tiers": tuple(tier for tier, _ in parts.tiers),
        "failures": tuple(failure for failure, _ in parts.failures),
        "assumptions": (*parts.file.assumptions, *played.assumptions),
    }
    parts.file = parts.file.model_copy(update=changed)


def with_outages_played(study: Study, catalogue: Path, place: Place, reading: Reading) -> Study:
    """The study with failures in place of outages that a change names in its goals; what cannot be is reported."""
    if not any(goal.outage for tier in study.tiers for goal in tier.survive):
        return study
    played = _Played(footprint_of(study), read_outages([catalogue]), study.failures, reading)
    tiers = tuple(played.tier(tier, at) for tier, at in place.rows(study.tiers, "tiers"))
    failures = (*study.failures, *(failure for failure, _ in played.failures))
    assumptions = (*study.assumptions, *played.assumptions)
    return study.model_copy(update={"tiers": tiers, "failures": failures, "assumptions": assumptions})


def _assumptions(met: OutageHere) -> list[str]:
    """What the reader of a plan must know of an outage that it stands."""
    outage = met.outage
    in_part = f", of which a part is left out ({met.why})" if met.why else ""
    text = (
        f"Outage {outage.id}{in_part}: {outage.evidence_kind}, {outage.source}, {outage.as_of}; what is assumed of it: "
    )
    known = [part for part in outage.parts if part.evidence in ("assumed", "estimated")]
    text += "docs/outages.md" if known else "nothing"
    return [text if len(text) <= MOST_NAME else f"{text[: MOST_NAME - 3]}..."]
