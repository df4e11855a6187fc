"""`check --coverage`: what the figures of a study are, how they are known, how old they are, and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from planner.review.report import Column, Section
from planner.study.latency import reaches
from planner.study.read import read_coverage
from planner.study.records.base import Sourced
from planner.study.records.inventory import Price
from planner.study.records.serving import ModelFacts
from planner.study.records.study import Study

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


@dataclass(frozen=True)
class PricesOf:
    """The prices of a provider: how many, by evidence, and their age."""

    provider: str
    prices: int
    evidence: dict[str, int]
    oldest: str
    newest: str
    old: int


def _prices(study: Study) -> Section:
    """Prices by provider: how they are known, and their age."""
    provider_of = {site.id: site.provider for site in study.sites}
    by_provider: dict[str, list[Price]] = defaultdict(list)
    for price in study.prices:
        by_provider[provider_of.get(price.site, price.site)].append(price)
    rows = []
    for provider, prices in sorted(by_provider.items()):
        dates = sorted(price.as_of for price in prices)
        months = [(study.today.year - int(d[:4])) * 12 + study.today.month - int(d[5:7] or 1) for d in dates]
        counts = Counter[str](price.evidence for price in prices)
        rows.append(
            PricesOf(
                provider,
                len(prices),
                dict(sorted(counts.items())),
                dates[0],
                dates[-1],
                sum(age > OLD_MONTHS for age in months),
            )
        )
    columns = (
        Column("provider"),
        Column("prices"),
        Column("how known", lambda row: ", ".join(f"{n} {evidence}" for evidence, n in row.evidence.items())),
        Column("oldest"),
        Column("newest"),
        Column("old"),
    )
    lines = (f"old: more than {OLD_MONTHS} months before {study.today}; a year alone counts from January",)
    return Section("PRICES", lines, columns, rows)


@dataclass(frozen=True)
class RoundTripsOf:
    """Pairs of an origin and a site of a provider, counted by how the round trip is known."""

    provider: str
    pairs: dict[str, int]


def _round_trips(study: Study) -> Section:
    """Pairs of origin and site by how the round trip is known."""
    provider_of = {site.id: site.provider for site in study.sites}
    pairs: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, site), reach in reaches(study).items():
        pairs[provider_of[site]][reach.evidence] += 1
    kinds = sorted({evidence for counts in pairs.values() for evidence in counts})
    rows = [RoundTripsOf(provider, dict(counts)) for provider, counts in sorted(pairs.items())]
    lines = ("pairs of origin and site, by how the round trip is known",)
    return Section("ROUND TRIPS", lines, (Column("provider"), *map(_pairs_column, kinds)), rows)


def _pairs_column(evidence: str) -> Column:
    return Column(evidence, lambda row: row.pairs.get(evidence))


def _no_price() -> Section:
    """What has a price meter and no price that can be stated."""
    missing = read_coverage()
    lacking = Counter((row["provider"], row["machine_type"], row["missing"]) for row in missing)
    columns = (
        Column("provider", lambda row: row[0][0]),
        Column("machine type", lambda row: row[0][1]),
        Column("what is missing", lambda row: row[0][2]),
        Column("regions", lambda row: row[1]),
    )
    lines = ("machine types with a price meter in a region and no price: left out, not invented",)
    return Section("NO PRICE", lines, columns, sorted(lacking.items()), data=missing)


def _models(study: Study) -> Section:
    """Public facts of the models: what the estimator and the check of memory reckon with."""
    columns = (
        Column("model"),
        Column("parameters", lambda row: f"{row.facts.parameters / 1e9:,.1f} B"),
        Column("active", lambda row: f"{row.facts.active_parameters / 1e9:,.1f} B"),
        Column("layers", lambda row: _layers(row.facts)),
        Column("attention", lambda row: _attention(row.facts)),
        Column("experts", lambda row: _experts(row.facts)),
        Column("context", lambda row: f"{row.facts.context_limit_tokens:,}"),
        Column("known", lambda row: f"{row.facts.evidence}, {row.facts.as_of}"),
    )
    facts = [{"model": model.model, **model.facts.model_dump()} for model in study.models]
    return Section("MODELS", (), columns, study.models, data=facts)


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
        Column("GiB each", lambda m: f"{m.memory_gib_per_accelerator:,.1f}"),
        Column("kW", lambda m: f"{m.power_kw:g}" if m.power_kw is not None else ""),
        Column("quota", lambda m: ", ".join(f"{n:g} {unit}" for unit, n in sorted(m.quota_units.items()))),
        Column("known", lambda m: f"{m.evidence}, {m.as_of}"),
    )
    return Section("MACHINE TYPES", (), columns, study.machine_types)


def sourced(study: Study) -> Iterator[tuple[str, Sourced]]:
    """Every record of the study that has a source, with its kind."""
    for kind in ("machine_types", "sites", "round_trips", "offers", "prices", "build_outs", "electricity"):
        yield from ((kind.replace("_", " "), row) for row in getattr(study, kind))
    for model in study.models:
        yield "model facts", model.facts
        yield from (("qualifications", row) for row in model.qualifications)
        yield from (("speeds", point) for profile in model.profiles for point in profile.classes)


@dataclass(frozen=True)
class SourceOf:
    """A source, what kind of figures are from it, how many and how old."""

    of: str
    evidence: str
    figures: int
    oldest: str
    newest: str
    source: str


def _sources(study: Study) -> Section:
    """Every source, by what it is the source of."""
    dates: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for kind, row in sourced(study):
        dates[kind, row.evidence, row.source].append(row.as_of)
    every = []
    for (kind, evidence, source), days in dates.items():
        every.append(SourceOf(kind, evidence, len(days), min(days), max(days), source))
    every.sort(key=lambda entry: (entry.of, -entry.figures, entry.evidence, entry.oldest, entry.newest, entry.source))
    rows, written = [], Counter[str]()
    for entry in every:
        written[entry.of] += 1
        if written[entry.of] <= MOST_SOURCES:
            rows.append(entry)
    columns = tuple(map(Column, ("of", "evidence", "figures", "oldest", "newest", "source")))
    lines = (f"of each kind the {MOST_SOURCES} sources of most figures; all {len(every)}: --format json",)
    return Section("SOURCES", lines, columns, rows, data=every)
