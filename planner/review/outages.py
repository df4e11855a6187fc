"""The report of outages that happened: what each would have taken here, what covers it, what does not concern."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.questions.outages import OutagesAnswer, PlayedOutage
from planner.questions.remedies import Help
from planner.review.drill import answered_wrongly, lost_without
from planner.review.figures import Figure, number
from planner.review.report import BROKEN, Column, Judged, Report, Section, Several, as_data, made, percent, usd
from planner.study.outages import OutageHere
from planner.study.records.study import NamedFailure, kind_and_name

MOST_NOTES = 12
LEAST_CHANGE = 5e-4
LINES = (
    "each is played on the worst of what it may have taken here, if not moved at its own place: somebody else's login "
    "or ingress is yours, each in turn",
    "served: at once, at its worst after it is detected, and at the end, before repair; requests and USD lost until "
    "repair, upper estimates; ≥: repair is not known, counted to the end of the drill",
)
NOTICED_LATE = (
    "noticed as late as then: what would be lost if it were noticed here no sooner than it was found out then, not "
    "after the study's detection_seconds"
)
WOULD_HELP = "would help: with it less is lost, as a replay says"
ONLY_THAT = "more machines everywhere show only that machines help: a plan with the goal says where, and how many"


def review_outages(answer: OutagesAnswer, all_rows: bool = False) -> Report:
    """The report: those played, worst first; served over time; what covers them; no concern; not mapped; assumed."""
    sections = made(
        _played(answer),
        _answered_wrongly(answer),
        _over_time(answer),
        _prevented(answer),
        _others("DOES NOT CONCERN", answer.not_concerned, "to play it all the same"),
        _not_mapped(answer),
        _assumed(answer),
    )
    return Report(f"outages that happened, on {answer.subject}", not answer.broken, sections, all_rows=all_rows)


def served_text(one: PlayedOutage, tier: str) -> str:
    """Share of a tier served at once, at its worst after detection, and at the end: `72 %, 75 %, 100 %`."""
    over_time = one.served_fractions(tier)
    if not over_time:
        return "nothing wanted"
    shares = [share for _, share in over_time]
    later = shares[1:] or shares
    three = (shares[0], min(later), later[-1])
    if max(three) - min(three) < LEAST_CHANGE:
        return Figure(percent(three[0]), three[0], "%", worst=three[1], at_the_end=three[2])
    text = ", ".join(percent(share) for share in three)
    return Figure(text, three[0], "%", worst=three[1], at_the_end=three[2])


def lost_text(failure: NamedFailure) -> str:
    """What a failure takes, as people say it: `site aws/us-east-1 17 %`; of many of a kind the first."""
    of_a_kind: dict[tuple[str, float], list[str]] = {}
    for component, share in failure.lost.items():
        kind, name = kind_and_name(component)
        of_a_kind.setdefault((kind.replace("_", " "), share), []).append(name)
    parts = []
    for (kind, share), names in of_a_kind.items():
        part = f"{kind} {names[0]}"
        if len(names) > 1:
            part = f"{len(names)} {kind}s, as {names[0]}"
        of_each = "" if share == 1 else f": {percent(share, 1 if share < 0.02 else 0)}"
        parts.append(f"{part}{of_each}")
    return "; ".join(parts)


def _called(here: OutageHere) -> str:
    """An outage by its id, and whether a part of it cannot be mapped."""
    return f"{here.outage.id} (in part)" if here.failures and here.why else here.outage.id


def _hours(one: PlayedOutage) -> str:
    hours = one.failure.hours_to_repair
    return "not known" if hours is None else number(hours, "g", " h", "h")


def _least(one: PlayedOutage, lost: Figure) -> Figure:
    """What is lost, with a sign where it is not known when all is repaired: it is counted to the end of the drill."""
    if one.failure.hours_to_repair is not None:
        return lost
    return Figure(f"≥ {lost}", lost.value, lost.unit, note="at least")


def _requests(one: PlayedOutage) -> str:
    return "" if one.impact is None else _least(one, number(one.impact.requests_lost, ",.0f"))


def _usd(one: PlayedOutage) -> str:
    return "" if one.impact is None else _least(one, usd(one.impact.usd_lost))


def _without_obtaining(one: PlayedOutage) -> str:
    return "" if one.impact is None else lost_without(one.impact)


def _noticed_late(one: PlayedOutage) -> str:
    """What is lost where it is noticed no sooner than it was found out then."""
    if one.noticed_late is None or one.impact is None or one.noticed_late.requests < one.impact.requests_lost + 0.5:
        return ""
    late = one.noticed_late
    return f"{one.here.outage.hours_to_find_out:g} h: {late.requests:,.0f} requests, {usd(late.usd)} USD"


def _played(answer: OutagesAnswer) -> Section:
    several = len(answer.played) + len(answer.not_concerned) + len(answer.not_mapped)
    verdict = (
        f"{len(answer.played)} of {several} take something here, {len(answer.not_concerned)} do not concern it, "
        f"{len(answer.not_mapped)} cannot be mapped until what they took is named"
    )
    if in_part := sum(bool(one.here.why) for one in answer.played):
        verdict += f"; of {in_part} a part is played, and another cannot be mapped (in part)"
    if answer.broken:
        broken = [one.here.outage.id for one in answer.played if one.broken_tiers]
        verdict += f"; goals BREAK in {', '.join(broken)}"

    def tier_column(tier: str) -> Column:
        return Column(f"{tier} served", lambda one: served_text(one, tier))

    columns = (
        Column("outage", lambda one: _called(one.here)),
        Column("repair", _hours),
        *map(tier_column, answer.tiers),
        Column("requests lost", _requests),
        Column("USD lost", _usd),
        Column("nothing obtained", _without_obtaining, when=any(map(_without_obtaining, answer.played))),
        Column("noticed as late as then", _noticed_late, when=any(map(_noticed_late, answer.played))),
    )
    data = [_data(one, answer.tiers) for one in answer.played]
    findings = Several(answer.findings, "findings more")
    late = (NOTICED_LATE,) if any(map(_noticed_late, answer.played)) else ()
    judged = Judged(verdict, BROKEN) if answer.broken else verdict
    return Section("OUTAGES", (judged, *LINES, *late, findings), columns, answer.played, data=data, most=None)


def _data(one: PlayedOutage, tiers: tuple[str, ...]) -> dict[str, Any]:
    """An outage that was played, for programs."""
    outage = one.here.outage
    return {
        "outage": as_data(outage),
        "failure": as_data(one.failure),
        "other_failures": one.others,
        "served": {tier: [{"at_seconds": s, "fraction": f} for s, f in one.served_fractions(tier)] for tier in tiers},
        "impact": None if one.impact is None else as_data(one.impact),
        **_prevention_data(one),
        "noticed_late": None if one.noticed_late is None else as_data(one.noticed_late),
        "broken_tiers": one.broken_tiers,
        "notes": one.here.notes,
        "not_mapped_in_part": {"why": one.here.why, "fix": one.here.fix} if one.here.why else None,
    }


def _answered_wrongly(answer: OutagesAnswer) -> Section | None:
    """What was answered wrongly before it was found out, apart from what is served and what is lost."""
    lines = tuple(answered_wrongly(one.impact) for one in answer.played if one.impact is not None)
    lines = tuple(line for line in lines if line)
    at_most = "at most: where no source gives the share, all of it is taken (ASSUMED)"
    return Section("ANSWERED WRONGLY", (at_most, *lines)) if lines else None


def _over_time(answer: OutagesAnswer) -> Section | None:
    """What each tier is served over time, of the outages in which that changes."""
    rows: list[Mapping[str, str]] = []
    for one in answer.played:
        rows += _steps(one, answer.tiers)
    if not rows:
        return None

    def column(name: str) -> Column:
        return Column(name, lambda row: row[name])

    columns = tuple(column(name) for name in ("outage", "after", *answer.tiers))
    line = "from when on what is served changes, since the begin, or since it was found out where answers were wrong"
    return Section("OVER TIME", (line,), columns, rows, data=None, most=20)


def _steps(one: PlayedOutage, tiers: tuple[str, ...]) -> list[dict[str, str]]:
    """The times at which what is served changes; none where all is served all along."""
    at: dict[float, dict[str, float]] = {}
    for tier in tiers:
        for seconds, share in one.served_fractions(tier):
            at.setdefault(seconds, {})[tier] = share
    steps: list[dict[str, str]] = []
    before: dict[str, float] = dict.fromkeys(tiers, 1.0)
    for seconds in sorted(at):
        now = before | at[seconds]
        if any(abs(now[tier] - before[tier]) >= LEAST_CHANGE for tier in tiers):
            if steps and steps[-1]["after"] == _after(seconds):
                steps.pop()
            shares = {tier: percent(now[tier]) for tier in tiers}
            steps.append({"outage": "" if steps else one.here.outage.id, "after": _after(seconds)} | shares)
            before = now
    return steps


def _after(seconds: float) -> Figure:
    return Figure(f"{seconds:,.0f} s" if seconds < 3600 else f"{seconds / 3600:.2f} h", seconds, "s")


def _prevention_data(one: PlayedOutage) -> dict[str, Any]:
    """What covers an outage, what does not although it should, and what would have helped, for programs."""
    return {
        "covered_by": one.prevention.because,
        "not_kept": one.prevention.not_kept,
        "would_help": [as_data(help) for help in one.helps],
    }


def _prevented(answer: OutagesAnswer) -> Section | None:
    """Which goals cover each outage and hold in it, which do not, and what would have helped."""
    if not answer.played:
        return None
    has_not_kept = any(one.prevention.not_kept for one in answer.played)
    columns = (
        Column("outage", lambda one: _called(one.here)),
        Column("takes here", _takes),
        Column("covered by", lambda one: "; ".join(one.prevention.because)),
        Column("NOT KEPT", lambda one: "; ".join(one.prevention.not_kept), when=has_not_kept),
        Column("would help", _would_help),
    )
    data = []
    for one in answer.played:
        data.append({"outage": one.here.outage.id, "takes": one.failure.lost, **_prevention_data(one)})
    lines = [
        "covered by: goals for failures that take at least as much, and that hold when this one is replayed; NOT KEPT: "
        "such goals that do not hold in it",
    ]
    if any(one.helps for one in answer.played):
        lines.append(WOULD_HELP)
    if any(help.how for one in answer.played for help in one.helps):
        lines.append(ONLY_THAT)
    return Section("WHAT PREVENTED IT", tuple(lines), columns, answer.played, data=data, most=None)


def _would_help(one: PlayedOutage) -> str:
    return "; ".join(_help(help) for help in one.helps)


def _help(help: Help) -> str:
    """What would have helped, with the requests that are lost then."""
    if help.lost is None:
        return f"{help.text} (not confirmed: no replay here can show it)"
    return f"{help.text}: {help.lost.requests:,.0f} requests lost{f' {help.how}' if help.how else ''}"


def _takes(one: PlayedOutage) -> str:
    more = f" (the worst of {one.others + 1})" if one.others else ""
    return f"{lost_text(one.failure)}{more}"


def _not_mapped(answer: OutagesAnswer) -> Section | None:
    """What cannot be mapped until it is named: outages, and parts of those that are played."""
    in_part = [one.here for one in answer.played if one.here.why]
    section = _others("NOT MAPPED", (*answer.not_mapped, *in_part), "what to name")
    if section is None:
        return None
    return replace(section, data=_others_data(answer.not_mapped))


def _others(title: str, rows: tuple[OutageHere, ...], how: str) -> Section | None:
    if not rows:
        return None
    columns = (
        Column("outage", _called),
        Column("why", lambda one: one.why),
        Column(how, lambda one: f"{one.fix}: --where {one.move_to}" if one.move_to else one.fix),
    )
    return Section(title, (), columns, rows, data=_others_data(rows), most=None)


def _others_data(rows: tuple[OutageHere, ...]) -> list[dict[str, Any]]:
    """Outages that are not played, for programs."""
    return [
        {"outage": as_data(one.outage), "why": one.why, "fix": one.fix, "move_to": one.move_to, "notes": one.notes}
        for one in rows
    ]


def _assumed(answer: OutagesAnswer) -> Section | None:
    lines = []
    for one in answer.played:
        lines += [f"{one.here.outage.id}: {note}" for note in one.here.notes]
    if not lines:
        return None
    source = "what each source says, and what is assumed of it: docs/outages.md"
    return Section("ASSUMED", (source, Several(tuple(lines), "notes more", MOST_NOTES)))
