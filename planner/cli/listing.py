"""`planner list`: what there is to plan with."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.console import answered, deliver, study_in
from planner.cli.options import AsFormat, Format, Out


class What(StrEnum):
    """What can be listed."""

    models = "models"
    profiles = "profiles"
    pools = "pools"
    offers = "offers"
    stacks = "stacks"
    outages = "outages"


class Kind(StrEnum):
    """Kinds of offers."""

    on_demand = "on_demand"
    spot = "spot"
    commitment = "commitment"
    capacity_block = "capacity_block"
    build_out = "build_out"


def list_command(
    what: Annotated[What, typer.Argument(help="models, profiles, pools, offers, stacks or outages")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILTER]...", help="words of ids (h100), or patterns ('google/*'); all must fit"),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="a study, instead of what ships: study.yaml, or its folder")
    ] = None,
    provider: Annotated[list[str] | None, typer.Option(help="of this provider alone; may be repeated")] = None,
    model: Annotated[list[str] | None, typer.Option(help="of this model alone, or a pattern; may be repeated")] = None,
    kind: Annotated[
        list[Kind] | None, typer.Option(help="offers of this kind alone, also as the cheapest of profiles")
    ] = None,
    format: AsFormat = Format.text,
    out: Out = None,
) -> None:
    """List what serves which class of work where, how fast, at which price, and how that is known.

    From the inventories and models that ship; with --study from those of a study, for its workloads. In csv, xlsx and
    json with sources and all that does not fit on a page. Exit 1 when nothing fits.

    Examples: `planner list profiles h100 --model 'llama*'` · `planner list offers 'google/*' --kind spot`
    · `planner list pools --study mine` · `planner list offers --format csv --out offers.csv`
    """
    with answered(format):
        from planner.review.listing import Asked, list_things, of_study, shipped

        kinds = [each.value for each in kind or ()]
        _check_options(what, kinds, model or [])
        asked = Asked(words or (), provider or (), model or (), kinds)
        if what is What.outages:
            report = list_things(what.value, None, asked, "that happened to somebody")
        elif study is not None:
            read = study_in(study)
            report = list_things(what.value, of_study(read), asked, f"of study {read.study}")
        else:
            report = list_things(what.value, shipped(), asked, "that ship with the planner")
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


def _check_options(what: What, kinds: list[str], models: list[str]) -> None:
    """Refuse filters by what the rows do not have.

    Raises
    ------
    InputError
        for each of them
    """
    from planner.errors import Finding, InputError

    findings = []
    if kinds and what not in (What.offers, What.profiles):
        findings.append(Finding("--kind", "offers or profiles", what.value, "leave it out"))
    if models and what in (What.offers, What.outages):
        findings.append(Finding("--model", "models, profiles, pools or stacks", what.value, "leave it out"))
    if findings:
        raise InputError(findings)
