"""`check --coverage`: what the figures of a study are, how they are known, how old they are, and what is missing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.review.figures import Figure, number
from planner.review.report import Column, Section, frame_section
from planner.study.latency import reaches
from planner.study.read import read_coverage
from planner.study.records.base import Sourced
from planner.study.records.serving import ModelFacts
from planner.study.records.study import Study

if TYPE_CHECKING:
    import pandas as pd

OLD_MONTHS = 12
MOST_SOURCES = 4


def coverage_sections(study: Study) -> tuple[Section, ...]:
    """What a study reckons with, how each figure is known and how old it is, what has no price at all."""
    return (
        _models(study),
        _machine_types(study),
        _prices(study),
        _round_trips(study),
        _no_price(),
        _sources(study),
    )


def _prices(study: Study) -> Section:
    """Prices by provider: how they are known, and their age."""
    import pandas as pd

    provider_of = {site.id: site.provider for site in study.sites}
    rows = [(provider_of.get(price.site, price.site), price.evidence, price.as_of) for price in study.prices]
    prices = pd.DataFrame(rows, columns=["provider", "evidence", "as_of"])
    prices["old"] = [_age_months(study, as_of) > OLD_MONTHS for as_of in prices["as_of"]]
    by_provider = prices.groupby("provider")
    table = by_provider.agg(
        prices=("as_of", "size"),
        how_known=("evidence", _counts),
        oldest=("as_of", "min"),
        newest=("as_of", "max"),
        old=("old", "sum"),
    )
    lines = (f"old: more than {OLD_MONTHS} months before {study.today}; a year alone counts from January",)
    return frame_section("PRICES", lines, table.reset_index(), zero=0)


def _age_months(study: Study, as_of: str) -> int:
    return (study.today.year - int(as_of[:4])) * 12 + study.today.month - int(as_of[5:7] or 1)


def _counts(evidence: "pd.Series[str]") -> str:
    return ", ".join(f"{n} {kind}" for kind, n in evidence.value_counts().sort_index().items())


def _round_trips(study: Study) -> Section:
    """Pairs of origin and site by how the round trip is known."""
    import pandas as pd

    provider_of = {site.id: site.provider for site in study.sites}
    pairs = [(provider_of[site], reach.evidence) for (_, site), reach in reaches(study).items()]
    frame = pd.DataFrame(pairs, columns=["provider", "evidence"])
    table = pd.crosstab(frame["provider"], frame["evidence"]).reset_index()
    return frame_section("ROUND TRIPS", ("pairs of origin and site, by how the round trip is known",), table)


def _no_price() -> Section:
    """What is sold and has no price that can be stated."""
    import pandas as pd

    missing = pd.DataFrame(read_coverage()).rename(columns={"missing": "what_is_missing"})
    table = missing.groupby(["provider", "machine_type", "what_is_missing"]).size().reset_index(name="regions")
    lines = ("machine types that are sold and have no price that can be stated: left out, not invented",)
    return frame_section("NO PRICE", lines, table, read_coverage())


def _models(study: Study) -> Section:
    """Public facts of the models: what the estimator and the check of memory reckon with."""
    columns = (
        Column("model"),
        Column("parameters", lambda row: _billions(row.facts.parameters)),
        Column("active", lambda row: _billions(row.facts.active_parameters)),
        Column("layers", lambda row: _layers(row.facts)),
        Column("attention", lambda row: _attention(row.facts)),
        Column("experts", lambda row: _experts(row.facts)),
        Column("context", lambda row: number(row.facts.context_limit_tokens, ",")),
        Column("known", lambda row: f"{row.facts.evidence}, {row.facts.as_of}"),
    )
    facts = [{"model": model.model, **model.facts.model_dump()} for model in study.models]
    return Section("MODELS", (), columns, study.models, data=facts)


def _billions(parameters: float) -> Figure:
    return Figure(f"{parameters / 1e9:,.1f} B", parameters)


def _layers(f: ModelFacts) -> str:
    full = f"{f.layers}" if f.full_attention_layers is None else f"{f.layers}, {f.full_attention_layers} full"
    return full + (f", others {f.windowed_attention_tokens} tokens" if f.windowed_attention_tokens else "")


def _attention(f: ModelFacts) -> str:
    latent = f", latent {f.kv_latent_dimension}" if f.kv_latent_dimension is not None else ""
    return f"{f.query_heads} heads of {f.head_dimension}, {f.kv_heads} of keys{latent}"


def _experts(f: ModelFacts) -> str:
    return "" if f.experts is None else f"{f.experts_per_token} of {f.experts}"


def _machine_types(study: Study) -> Section:
    """What one machine of each type is."""
    columns = (
        Column("machine type", lambda m: m.name),
        Column("provider"),
        Column("accelerators", lambda m: f"{m.accelerators} {m.accelerator}"),
        Column("GiB each", lambda m: number(m.memory_gib_per_accelerator, ",.1f")),
        Column("kW", lambda m: number(m.power_kw, "g") if m.power_kw is not None else ""),
        Column("quota", lambda m: ", ".join(f"{n:g} {unit}" for unit, n in sorted(m.quota_units.items()))),
        Column("known", lambda m: f"{m.evidence}, {m.as_of}"),
    )
    return Section("MACHINE TYPES", (), columns, study.machine_types)


def sourced(study: Study) -> Iterator[tuple[str, Sourced]]:
    """Every record of the study that has a source, with its kind."""
    for kind in ("machine_types", "sites", "zones", "round_trips", "offers", "prices", "build_outs", "electricity"):
        yield from ((kind.replace("_", " "), row) for row in getattr(study, kind))
    for model in study.models:
        yield "model facts", model.facts
        yield from (("qualifications", row) for row in model.qualifications)
        yield from (("speeds", point) for profile in model.profiles for point in profile.classes)


def _sources(study: Study) -> Section:
    """Every source, by what it is the source of: those of most figures first."""
    import pandas as pd

    rows = [(kind, row.evidence, row.source, row.as_of) for kind, row in sourced(study)]
    figures = pd.DataFrame(rows, columns=["of", "evidence", "source", "as_of"]).groupby(["of", "evidence", "source"])
    table = figures.agg(figures=("as_of", "size"), oldest=("as_of", "min"), newest=("as_of", "max")).reset_index()
    table = table[["of", "evidence", "figures", "oldest", "newest", "source"]]
    table = table.sort_values(["of", "figures", "evidence", "oldest"], ascending=[True, False, True, True])
    lines = (f"of each kind the {MOST_SOURCES} sources of most figures; all {len(table)}: --format json",)
    return frame_section("SOURCES", lines, table.groupby("of").head(MOST_SOURCES), table.to_dict("records"))
