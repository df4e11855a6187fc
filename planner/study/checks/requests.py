"""That workloads, demand and costs name what there is, and that something can serve them."""

from itertools import pairwise

from planner.study.lengths import mean_powers
from planner.study.parts import Parts
from planner.study.places import Place, Reading, listed, quoted, unquoted
from planner.study.records.inventory import MachineType, Pool, Site
from planner.study.records.serving import ContextClass, Model
from planner.study.records.study import Demand, Origin, Tier, Workload

MEAN_WITHIN = 0.1
"""Share by which the mean of quantiles may differ from the one that is stated."""


def check_requests(parts: Parts, reading: Reading) -> None:
    """Report workloads that nothing can serve, and demand that leads nowhere."""
    _check_workloads(parts, reading)
    _check_demand(parts, reading)


def _check_workloads(parts: Parts, reading: Reading) -> None:
    """Origins are near a region that is known; workloads name a model that can serve them, a class, a tier."""
    regions = {site.region_id for site, _ in parts.sites.values()}
    regions |= {region for row, _ in parts.round_trips.values() for region in (row.from_region, row.to_region)}
    for origin, place in parts.origins:
        if origin.near is not None:
            reading.refer(place.at("near"), Site, "a region (provider/region) of the inventory", origin.near, regions)
    considered = parts.considered_machine_types
    for workload, place in parts.workloads:
        reading.refer(place.at("tier"), Tier, "a tier of the study", workload.tier, {t.name for t, _ in parts.tiers})
        name, classes = workload.context_class, parts.context_classes
        if reading.refer(place.at("context_class"), ContextClass, "a context class", name, classes):
            tokens, most = workload.mean_input_tokens + workload.mean_output_tokens, classes[name][0].most_tokens
            if tokens > most:
                expected = f"a class of at least {tokens:g} tokens, the mean of input plus output"
                fix = "name a class of longer requests, or correct the means"
                reading.error(place.at("context_class"), expected, f"{quoted(name)} with up to {most}", fix)
            _check_quantiles(workload, most, place, reading)
        if not reading.refer(place.at("model"), Model, "a model", workload.model, parts.models):
            reading.broken.add((Workload, workload.name))  # what it would run on is not known
            continue
        profiles = [p for p in parts.models[workload.model][0].profiles if p.machine_type in considered]
        if reading.any_broken(Pool, MachineType) or not considered:
            continue
        if not profiles:
            expected = f"a model with a profile on a machine type of the study: {listed(considered)}"
            fix = "add a profile to the model, or pools with the machine types that it has profiles for"
            reading.error(place.at("model"), expected, quoted(workload.model), fix)
            continue
        admitted = {point.context_class for profile in profiles for point in profile.classes}
        if name in classes and name not in admitted:
            expected = f"a class that a profile of {unquoted(workload.model)} in the study's pools admits"
            reading.error(place.at("context_class"), expected, quoted(name), f"write one of: {listed(admitted)}")


def _check_quantiles(workload: Workload, most_tokens: int, place: Place, reading: Reading) -> None:
    """Quantiles rise from 0 to 100 percent, have the mean that is stated, and fit in the context class."""
    for field, quantiles, mean_tokens in (
        ("input_tokens_quantiles", workload.input_tokens_quantiles, workload.mean_input_tokens),
        ("output_tokens_quantiles", workload.output_tokens_quantiles, workload.mean_output_tokens),
    ):
        if not quantiles:
            continue
        where, rises = (
            place.at(field),
            all(low.percent < high.percent and low.tokens <= high.tokens for low, high in pairwise(quantiles)),
        )
        ends = quantiles[0].percent, quantiles[-1].percent
        if not rises or ends != (0.0, 100.0):
            got = ", ".join(f"{q.percent:g}: {q.tokens:g}" for q in quantiles)
            expected = "quantiles from 0 to 100 percent, rising, tokens with them"
            reading.error(where, expected, got, "sort them, and begin at 0 and end at 100 percent")
            continue
        mean, _, _ = mean_powers(quantiles, mean_tokens)
        if abs(mean - mean_tokens) > MEAN_WITHIN * mean_tokens:
            expected = f"quantiles of mean {mean_tokens:g}, as is stated, within {MEAN_WITHIN:.0%}"
            fix = "correct the mean, or name more quantiles where lengths are far apart"
            reading.error(where, expected, f"{mean:.6g}, straight between them", fix)
        if quantiles[-1].tokens > most_tokens:
            expected = f"at most {most_tokens} tokens, the context class"
            fix = "name a class of longer requests, or make two workloads of it"
            reading.error(where, expected, f"{quantiles[-1].tokens:g}", fix)


def _check_demand(parts: Parts, reading: Reading) -> None:
    """Demand and costs name what the study has; there is some demand."""
    workloads = {workload.name for workload, _ in parts.workloads}
    origins = {origin.name for origin, _ in parts.origins}
    for row, place in parts.demand:
        reading.refer(place.at("workload"), Workload, "a workload of the study", row.workload, workloads)
        reading.refer(place.at("origin"), Origin, "an origin of the study", row.origin, origins)
    for cost, place in parts.request_costs:
        reading.refer(place.at("origin"), Origin, "an origin of the study", cost.origin, origins)
        reading.refer(place.at("site"), Site, "the id of a site (provider/site)", cost.site, parts.sites)
    if reading.any_broken(Demand):
        return
    if sum(row.requests_per_second for row, _ in parts.demand) <= 0:
        fix = "write at least one row with requests_per_second above 0"
        reading.error(parts.place.at("demand"), "some demand", "none: all rows add up to 0", fix)
        return
    asked = {row.workload for row, _ in parts.demand}
    for workload, place in parts.workloads:
        if workload.name not in asked:
            fix = f"add rows to {unquoted(parts.file.demand)}, or remove the workload"
            reading.warning(place.at("name"), "rows of demand", f"none for {quoted(workload.name)}", fix)
