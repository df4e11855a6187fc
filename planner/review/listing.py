"""`planner list`: models, profiles, pools, offers, stacks and outages, of what ships or of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from planner.importers import catalogue
from planner.importers.new_study import LONG_MEAN_TOKENS, MEAN_TOKENS
from planner.questions.listed import (
    Catalogue,
    ModelListed,
    OfferListed,
    OutageListed,
    PoolListed,
    ProfileListed,
    StackListed,
    models_listed,
    offers_listed,
    outages_listed,
    pools_listed,
    profiles_listed,
    stacks_listed,
)
from planner.review.figures import Figure, day, number, usd
from planner.review.report import Cell, Column, Report, Section
from planner.study.outages import read_outages
from planner.study.places import listed
from planner.study.read import catalogue_of_outages
from planner.study.records.study import Study, Workload

SPEEDS = (
    "req/s, tokens/s: of one replica at its operating point, for requests of so many input + output tokens on average; "
    "first token: the high end, where it is estimated"
)
PRICE = (
    "USD/M tokens: input and output, of a replica in full use at the list price of the cheapest machine-hour (at: its "
    "kind; --kind: of these alone): an estimate of the least, no quote; machines that are bought have none"
)
A_PLAN = "where they run, and how many, is what `planner plan` finds out"


@dataclass(frozen=True)
class Asked:
    """What is listed.

    Parameters
    ----------
    words : each must be part of an id or name of a row, in whatever case, or match one with * ? [...]
    providers, models, kinds : of these alone, by name or pattern; none: all
    """

    words: Sequence[str] = ()
    providers: Sequence[str] = ()
    models: Sequence[str] = ()
    kinds: Sequence[str] = ()


def of_study(study: Study) -> Catalogue:
    """What a study plans with; speeds are those for its workloads."""
    return Catalogue(
        models=study.models,
        machine_types=study.machine_type_by_name,
        sites=study.site_by_id,
        pools=study.pools,
        offers=study.offers,
        prices=study.price_by_offer,
        work=study.workloads,
        quotas=study.policies.quotas,
    )


def shipped() -> Catalogue:
    """What ships with the planner; speeds are stated for a mean request of each context class."""
    models = list(catalogue.read_models().values())
    work = []
    for context_class in catalogue.context_classes():
        tokens = MEAN_TOKENS.get(context_class.name, LONG_MEAN_TOKENS)
        work += [_mean_request(model.model, context_class.name, *tokens) for model in models]
    return Catalogue(
        models=models,
        machine_types=catalogue.machine_types(),
        sites=catalogue.sites(),
        pools=list(catalogue.pools().values()),
        offers=list(catalogue.offers().values()),
        prices=catalogue.prices(),
        work=work,
    )


def _mean_request(model: str, context_class: str, input_tokens: float, output_tokens: float) -> Workload:
    return Workload(
        name=context_class,
        model=model,
        context_class=context_class,
        tier=context_class,
        mean_input_tokens=input_tokens,
        mean_output_tokens=output_tokens,
    )


@dataclass(frozen=True)
class Listing:
    """One kind of thing that can be listed.

    Parameters
    ----------
    rows : of a catalogue, with the offers of some kinds alone where these are named
    names : of a row: what words are compared with
    """

    rows: Callable[[Catalogue, Sequence[str]], Sequence[Any]]
    names: Callable[[Any], Sequence[str]]
    columns: tuple[Column, ...]
    lines: tuple[str, ...] = ()


def _known(row: Any) -> str:
    return "" if row.evidence is None else f"{row.evidence}, {row.as_of}"


def _listed(field: str) -> Callable[[Any], str]:
    return lambda row: ", ".join(getattr(row, field))


def _number(field: str, written: str) -> Callable[[Any], Cell]:
    def cell(row: Any) -> Cell:
        value = getattr(row, field)
        return None if value is None else number(value, written)

    return cell


def _usd(field: str) -> Callable[[Any], Cell]:
    def cell(row: Any) -> Cell:
        value = getattr(row, field)
        return None if value is None else usd(value)

    return cell


def _usd_3(field: str) -> Callable[[Any], Cell]:
    def cell(row: Any) -> Cell:
        value = getattr(row, field)
        return None if value is None else number(value, ",.3f", unit="USD")

    return cell


def _billions(field: str) -> Callable[[Any], Cell]:
    return lambda row: Figure(f"{getattr(row, field) / 1e9:,.1f} B", getattr(row, field))


EVIDENCE = (Column("evidence", detail=True), Column("as of", detail=True), Column("source", detail=True))
MODELS = (
    Column("model"),
    Column("parameters", _billions("parameters")),
    Column("active", _billions("active_parameters")),
    Column("context tokens", _number("context_limit_tokens", ",")),
    Column("classes", _listed("context_classes")),
    Column("stacks", _listed("stacks")),
    Column("providers", _listed("providers")),
    Column("profiles"),
    Column("known", _known),
    *EVIDENCE,
)
PROFILES = (
    Column("profile"),
    Column("work", lambda row: f"{row.work} {row.input_tokens:g} + {row.output_tokens:g}"),
    Column("in flight", lambda row: row.concurrency),
    Column("req/s", _number("requests_per_second", ",.2f")),
    Column("tokens/s", _number("tokens_per_second", ",.0f")),
    Column("first token ms", _number("first_token_ms", ",.0f")),
    Column("USD/M tokens", _usd_3("usd_per_million_tokens")),
    Column("at", lambda row: None if row.cheapest_kind is None else row.cheapest_kind.replace("_", " ")),
    Column("known", _known),
    Column("model", detail=True),
    Column("provider", detail=True),
    Column("machine type", detail=True),
    Column("accelerator", detail=True),
    Column("accelerators per replica", detail=True),
    Column("stack", detail=True),
    Column("precision", detail=True),
    Column("context class", detail=True),
    Column("input tokens", detail=True),
    Column("output tokens", detail=True),
    Column("token ms", _number("per_token_ms", ",.1f"), detail=True),
    Column("load s", _number("load_seconds", ",.0f"), detail=True),
    Column("pools", detail=True),
    Column("cheapest offer", detail=True),
    Column("USD/machine-hour", _usd("cheapest_usd_per_machine_hour"), detail=True),
    Column("price evidence", detail=True),
    Column("price as of", detail=True),
    *EVIDENCE,
)
POOLS = (
    Column("pool"),
    Column("accelerators", lambda row: Figure(f"{row.accelerators} {row.accelerator}", row.accelerators)),
    Column("quota", _listed("quota")),
    Column("machines", _number("quota_machines", ",.0f")),
    Column("least USD/h", _usd("least_usd_per_machine_hour")),
    Column("offers", lambda row: len(row.offers)),
    Column("models", lambda row: len(row.models)),
    Column("accelerator", detail=True),
    Column("machine type", detail=True),
    Column("provider", detail=True),
    Column("region", detail=True),
    Column("city", detail=True),
    Column("jurisdiction", detail=True),
    Column("offers by name", _listed("offers"), detail=True),
    Column("models by name", _listed("models"), detail=True),
)
OFFERS = (
    Column("offer"),
    Column("kind"),
    Column("months", _number("term_months", "g")),
    Column("lead days", _number("lead_days", "g")),
    Column("machines", _number("most_machines", ",.0f")),
    Column("USD/h", _usd("usd_per_machine_hour")),
    Column("known", _known),
    Column("low USD/h", _usd("low_usd_per_machine_hour"), detail=True),
    Column("high USD/h", _usd("high_usd_per_machine_hour"), detail=True),
    Column("capital USD", _usd("capital_usd_per_machine"), detail=True),
    Column("currency", detail=True),
    Column("provider", detail=True),
    Column("machine type", detail=True),
    Column("accelerator", detail=True),
    *EVIDENCE,
    Column("instrument", detail=True),
    Column("terms evidence", detail=True),
    Column("terms as of", detail=True),
)
STACKS = (
    Column("stack"),
    Column("model"),
    Column("qualified", lambda row: "yes" if row.qualified else "no"),
    Column("until", lambda row: None if row.until is None else day(row.until)),
    Column("profiles"),
    Column("machine types", _listed("machine_types")),
    Column("providers", _listed("providers")),
    Column("known", _known),
    *EVIDENCE,
)
OUTAGES = (
    Column("outage"),
    Column("hours", lambda row: "not known" if row.hours is None else number(row.hours, ",.2f")),
    Column("what happened", lambda row: row.title),
    Column("stopped", _listed("stopped")),
    Column("began", lambda row: day(row.began), detail=True),
    Column("providers", _listed("providers"), detail=True),
    Column("lesson", detail=True),
    Column("account", lambda row: row.evidence_kind, detail=True),
    *EVIDENCE,
)


def _model_names(row: ModelListed) -> Sequence[str]:
    return (row.model, *row.stacks, *row.providers, *row.context_classes)


def _profile_names(row: ProfileListed) -> Sequence[str]:
    return (
        row.profile,
        row.model,
        row.machine_type,
        row.accelerator,
        row.provider,
        row.stack,
        row.work,
        row.context_class,
    )


def _pool_names(row: PoolListed) -> Sequence[str]:
    return (row.pool, row.accelerator, row.region, row.city, row.jurisdiction)


def _offer_names(row: OfferListed) -> Sequence[str]:
    return (row.offer, row.accelerator, row.kind)


def _stack_names(row: StackListed) -> Sequence[str]:
    return (row.stack, row.model, *row.machine_types)


def _outage_names(row: OutageListed) -> Sequence[str]:
    return (row.outage, row.title, *row.stopped)


def _every_outage() -> list[OutageListed]:
    return outages_listed(read_outages([catalogue_of_outages()]).values())


LISTINGS: dict[str, Listing] = {
    "models": Listing(lambda has, kinds: models_listed(has), _model_names, MODELS),
    "profiles": Listing(profiles_listed, _profile_names, PROFILES, (SPEEDS, PRICE, A_PLAN)),
    "pools": Listing(
        lambda has, kinds: pools_listed(has),
        _pool_names,
        POOLS,
        ("machines: what the quota allows, which only a study states (--study); least USD/h: of the cheapest offer",),
    ),
    "offers": Listing(
        lambda has, kinds: [row for row in offers_listed(has) if not kinds or row.kind in kinds],
        _offer_names,
        OFFERS,
        ("USD/h: list price of one machine; machines: that can be had at most, as far as is known",),
    ),
    "stacks": Listing(
        lambda has, kinds: stacks_listed(has),
        _stack_names,
        STACKS,
        ("a row for each model on each: qualified, as no placement exists without; or with profiles alone",),
    ),
    "outages": Listing(
        lambda has, kinds: _every_outage(),
        _outage_names,
        OUTAGES,
        ("`planner drill PLAN --outage ID` plays one on a plan; sources and shares: docs/outages.md",),
    ),
}


def list_things(what: str, has: Catalogue | None, asked: Asked, of: str) -> Report:
    """What there is of a kind, of all that a filter leaves.

    Parameters
    ----------
    has : what is listed of; not needed for outages
    of : what that is, for people
    """
    listing = LISTINGS[what]
    every = listing.rows(has or Catalogue((), {}, {}, (), (), {}, ()), asked.kinds)
    rows = [row for row in every if _is_asked(row, listing.names(row), asked)]
    count = f"{len(rows):,} of {len(every):,}" if len(rows) < len(every) else f"{len(rows):,}"
    lines = (f"{count} {what}, {of}", *listing.lines)
    if not rows:
        lines += (f"there are, among others: {listed(sorted({listing.names(row)[0] for row in every}))}",)
    columns = listing.columns if rows else ()
    return Report(what, bool(rows), (Section(what.upper(), lines, columns, rows, most=None),))


def _is_asked(row: Any, names: Sequence[str], asked: Asked) -> bool:
    """Whether a row is left by every word, and by the providers and models that are named."""
    if not all(any(_is_like(name, word) for name in names) for word in asked.words):
        return False
    for field, wanted in (("provider", asked.providers), ("model", asked.models)):
        of_row = getattr(row, f"{field}s", None)
        values = tuple(of_row) if of_row is not None else (getattr(row, field, ""),)
        if wanted and not any(_is_named(value, pattern) for value in values for pattern in wanted):
            return False
    return True


def _is_like(name: str, word: str) -> bool:
    """Whether a word is part of a name, in whatever case, or a pattern matches all of it.

    Examples
    --------
    >>> _is_like("azure/eastus/Standard_ND96isr_H100_v5", "h100"), _is_like("google/us-east1", "google/*")
    (True, True)
    >>> _is_like("aws/us-east-1", "google/*")
    False
    """
    name, word = name.casefold(), word.casefold()
    return fnmatchcase(name, word) if set(word) & set("*?[") else word in name


def _is_named(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())
