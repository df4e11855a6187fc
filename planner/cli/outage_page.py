"""The generated page of outages that happened: all of the catalogue, and how an outage is played on a study."""

from planner.questions.listed import outages_listed
from planner.study.outages import read_outages
from planner.study.read import catalogue_of_outages
from planner.study.records.outages import LostPart, Outage

INTRODUCTION = """
`planner drill PLAN --outages` plays each on a plan, or on what runs today (`planner drill FLEET.csv --study STUDY
--outages`); `--outage ID` one of them; `--where azure/eastus` moves what belongs to a place there, `--where azure` to
each region of a provider in turn. As a goal, `survive: - {outage: ID, serve_fraction: 0.9, within_seconds: 600}`, with
`where:` to move it: when the study is read it becomes failures by name, and the plan carries them. Outages of your own,
in the same form ([files.md](files.md)): `--catalogue mine.yaml`; for goals `outages.yaml` in a folder of
`inventories:`.

What an outage takes of a study is decided by the kind of each part that was lost:

| what was lost | what it takes here |
| --- | --- |
"""
TAKES = (
    (
        "control plane of a region or provider",
        "the same `control_plane:`: what runs goes on, nothing is started or obtained there. Without a region: those "
        "of all the provider's regions",
    ),
    (
        "zones of a region, a hall",
        "where a site is the region: that share of it (1 of 6 zones is 17 %), which may be all of one placement's "
        "machines, each in turn; where sites are zones: each in turn",
    ),
    ("region, provider", "the same one, all of it"),
    (
        "machines of some accelerators",
        "the share of all such pools of a provider, each provider in turn; moved: of each kind of machine there, in "
        "turn",
    ),
    (
        "one model on a stack",
        "its qualification, or its placements at one provider; each of your models in turn where none is named, or "
        "where it is moved",
    ),
    (
        "routing by context class",
        "the share of the servers of the shorter class of a model that is served in several",
    ),
    (
        "ingress, login (`identity`), deployment system (`deployment`), `database`",
        "*your* component of that `kind`, each in turn, and what two of yours share; a deployment system takes all "
        "that depends on it, but for gateways that need it for new weights alone (`breaks: pushing`): these serve on. "
        "Where the study names none, it cannot be mapped. One of a provider's region: only where machines of yours are "
        "there",
    ),
)
REST = """
No part of it here: it does not concern you, and the report says why. Parts combine; the worst combination is written.
Each part comes back when it did. As long as one in which pushing was lost lasts, gateways renormalise the weights in
force. Wrong answers count from when they were found out; what was answered before is said apart. A part without a
published share is left out, and said. All parts count from the begin of the outage, also those that followed later.
Evidence: published (by whom, below), estimated (follows from what is published), assumed (set here, and said in the
note).

How long it took to find out, other than of wrong answers: requests move away once *your* gateways notice that something
does not answer (`detection_seconds`), for which nobody has to know the cause. What is lost until then counts in any
case. Beside it stands what would be lost if yours, too, noticed no sooner than it was found out then (*noticed as late
as then*): what alerts and health checks of your own are worth.

What prevented it: goals count that lose at least as much and that hold when the outage itself is replayed; a goal that
is planned with new weights and does not hold where none can be pushed is said as not kept. What would have helped is
replayed too, and named with the requests that are lost then; what no replay of this study can show is marked as not
confirmed. Machines are never named for what they do not replace.
"""


def outages_page(note: str) -> str:
    """Every outage of the catalogue that ships, and how outages are played."""
    by_id = read_outages([catalogue_of_outages()])
    rows = outages_listed(by_id.values())
    out = ["# Outages that happened", "", note, "", INTRODUCTION.strip()]
    out += [f"| {lost} | {takes} |" for lost, takes in TAKES]
    out += ["", REST.strip(), "", "## All of them", ""]
    out += ["| outage | hours | what happened | stopped |", "| --- | --- | --- | --- |"]
    for row in rows:
        link = f"[{row.outage}](#{row.outage})"
        out.append(f"| {link} | {_number(row.hours)} | {row.title} | {', '.join(row.stopped)} |")
    for row in rows:
        out += _outage(by_id[row.outage])
    return "\n".join(out).rstrip() + "\n"


def _outage(outage: Outage) -> list[str]:
    """The part of an outage."""
    end = "not published" if outage.end is None else f"{outage.end:%Y-%m-%d %H:%M}"
    heading = f"## {outage.begin:%Y-%m-%d}: {outage.title}"
    out = ["", f'<a id="{outage.id}"></a>', "", heading, "", f"`{outage.id}`", ""]
    out += [f"- from {outage.begin:%Y-%m-%d %H:%M} to {end} UTC; {outage.evidence_kind} ({outage.evidence})"]
    if outage.hours_to_find_out is not None:
        out.append(f"- found out after {outage.hours_to_find_out:g} h")
    out += [f"- lesson: {outage.lesson}", *([f"- {outage.note}"] if outage.note else [])]
    out += [f"- source: {outage.source}; as of {outage.as_of}", ""]
    out += ["| lost | share | hours until repaired | evidence | note |", "| --- | --- | --- | --- | --- |"]
    for part in outage.parts:
        share = "not published" if part.share_fraction is None else f"{part.share_fraction:.3g}"
        if part.zones is not None:
            share = f"{part.zones} of {part.zones_in_region} zones, {share} of them"
        cells = (_lost(part), share, _number(part.hours_to_repair), part.evidence, part.note or "")
        out.append(f"| {' | '.join(cells)} |")
    return out


def _lost(part: LostPart) -> str:
    """What a part was, by its kind and names."""
    place = "/".join(name for name in (part.provider, part.region) if name)
    names = [name for name in (place, *part.accelerators, part.model, part.stack) if name]
    return " of ".join(text for text in (part.kind.replace("_", " "), ", ".join(names)) if text)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")
