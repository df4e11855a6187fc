"""`check --coverage`: what the figures of a study are, how they are known, how old they are, and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from planner.review.report import Section
from planner.study.latency import reaches
from planner.study.read import read_coverage
from planner.study.records.base import Sourced
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


def _prices(study: Study) -> Section:
    """Prices by provider: how they are known, and their age."""
    rows = []
    provider_of = {site.id: site.provider for site in study.sites}
    of = {price.offer_id: provider_of.get(price.site, price.site) for price in study.prices}
    for provider in sorted(set(of.values())):
        mine = [price for price in study.prices if of[price.offer_id] == provider]
        by_evidence = Counter(price.evidence for price in mine)
        dates = sorted(price.as_of for price in mine)
        months = [(study.today.year - int(d[:4])) * 12 + study.today.month - int(d[5:7] or 1) for d in dates]
        known = ", ".join(f"{n} {evidence}" for evidence, n in sorted(by_evidence.items()))
        rows.append((provider, len(mine), known, dates[0], dates[-1], sum(age > OLD_MONTHS for age in months)))
    return Section(
        "PRICES",
        (f"old: more than {OLD_MONTHS} months before {study.today}; a year alone counts from January",),
        ("provider", "prices", "how known", "oldest", "newest", "old"),
        tuple(rows),
    )


def _round_trips(study: Study) -> Section:
    """Pairs of origin and site by how the round trip is known."""
    provider_of = {site.id: site.provider for site in study.sites}
    ways = Counter((provider_of[site], reach.evidence) for (_, site), reach in reaches(study).items())
    kinds = sorted({how for _, how in ways})
    providers = sorted({provider for provider, _ in ways})
    return Section(
        "ROUND TRIPS",
        ("pairs of origin and site, by how the round trip is known",),
        ("provider", *kinds),
        tuple((provider, *(ways[provider, how] or "" for how in kinds)) for provider in providers),
    )


def _no_price() -> Section:
    """What has a price meter and no price that can be stated."""
    missing = read_coverage()
    lacking = Counter((row["provider"], row["machine_type"], row["missing"]) for row in missing)
    return Section(
        "NO PRICE",
        ("machine types with a price meter in a region and no price: left out, not invented",),
        ("provider", "machine type", "what is missing", "regions"),
        tuple((*key, n) for key, n in sorted(lacking.items())),
        data=missing,
    )


def _models(study: Study) -> Section:
    """Public facts of the models: what the estimator and the check of memory reckon with."""
    rows = []
    for model in study.models:
        f = model.facts
        about = f"{f.evidence}, {f.as_of}"
        rows.append((model.model, *_size(f), _attention(f), _experts(f), f"{f.context_limit_tokens:,}", about))
    return Section(
        "MODELS",
        (),
        ("model", "parameters", "active", "layers", "attention", "experts", "context", "known"),
        tuple(rows),
        data=[{"model": model.model, **model.facts.model_dump()} for model in study.models],
    )


def _size(f: ModelFacts) -> tuple[str, str, str]:
    full = f"{f.layers}" if f.full_attention_layers is None else f"{f.layers}, {f.full_attention_layers} full"
    window = f", others {f.windowed_attention_tokens} tokens" if f.windowed_attention_tokens else ""
    return f"{f.parameters / 1e9:,.1f} B", f"{f.active_parameters / 1e9:,.1f} B", full + window


def _attention(f: ModelFacts) -> str:
    latent = f", latent {f.kv_latent_dimension}" if f.kv_latent_dimension is not None else ""
    return f"{f.query_heads} heads of {f.head_dimension}, {f.kv_heads} of keys{latent}"


def _experts(f: ModelFacts) -> str:
    return "" if f.experts is None else f"{f.experts_per_token} of {f.experts}"


def _machine_types(study: Study) -> Section:
    """What one machine of each type is."""
    return Section(
        "MACHINE TYPES",
        (),
        ("machine type", "provider", "accelerators", "GiB each", "kW", "quota", "known"),
        tuple(
            (
                m.name,
                m.provider,
                f"{m.accelerators} {m.accelerator}",
                f"{m.memory_gib_per_accelerator:,.1f}",
                f"{m.power_kw:g}" if m.power_kw is not None else "",
                ", ".join(f"{n:g} {unit}" for unit, n in sorted(m.quota_units.items())),
                f"{m.evidence}, {m.as_of}",
            )
            for m in study.machine_types
        ),
        data=[m.model_dump() for m in study.machine_types],
    )


def sourced(study: Study) -> Iterator[tuple[str, Sourced]]:
    """Every record of the study that has a source, with its kind."""
    for kind in ("machine_types", "sites", "round_trips", "offers", "prices", "build_outs", "electricity"):
        yield from ((kind.replace("_", " "), row) for row in getattr(study, kind))
    for model in study.models:
        yield "model facts", model.facts
        yield from (("qualifications", row) for row in model.qualifications)
        yield from (("speeds", point) for profile in model.profiles for point in profile.classes)


def _sources(study: Study) -> Section:
    """Every source, by what it is the source of."""
    dates: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for kind, row in sourced(study):
        dates[kind, row.evidence, row.source].append(row.as_of)
    found = [
        (kind, evidence, len(days), min(days), max(days), source) for (kind, evidence, source), days in dates.items()
    ]
    found.sort(key=lambda row: (row[0], -row[2], row))
    columns = ("of", "evidence", "figures", "oldest", "newest", "source")
    kinds = sorted({row[0] for row in found})
    kept = [row for kind in kinds for row in [row for row in found if row[0] == kind][:MOST_SOURCES]]
    return Section(
        "SOURCES",
        (f"of each kind the {MOST_SOURCES} sources of most figures; all {len(found)}: --format json",),
        columns,
        tuple(kept),
        data=[dict(zip(columns, source, strict=True)) for source in found],
    )
