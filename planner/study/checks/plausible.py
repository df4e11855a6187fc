"""What a study may say, and most likely does not mean: contradictions, what changes nothing, places elsewhere."""

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from planner.study.calendar import calendar, growth_of, requests_of, touches
from planner.study.checks.references import Parts
from planner.study.latency import PROXY_KM, great_circle_km, light_round_trip_ms
from planner.study.places import Place, R, Reading, Row, listed, near_miss, quoted, unquoted
from planner.study.records.inventory import MachineType, Offer, Pool, RoundTrip, Site
from planner.study.records.serving import Model
from planner.study.records.study import Claim, Demand, Origin, Quota, StudyFile, Workload, stack_and_version

FAR_FROM_ITS_REGION_KM = 2000.0
"""An origin this far from the region whose round trips it shares is most likely somewhere else."""
FEW_TOKENS = 10.0
"""A mean input below this is most likely a count of thousands: a prompt's own frame takes more."""
Point = tuple[float, float]


def check_plausible(parts: Parts, reading: Reading) -> None:
    """Report figures that contradict each other (errors), and what is allowed but most likely a mistake (warnings)."""
    _check_cases(parts, reading)
    _check_tokens(parts, reading)
    _check_counts(parts, reading)
    _check_days(parts, reading)
    _check_failures_harder(parts, reading)
    _check_used(parts, reading)
    _check_asked_of_sites(parts, reading)
    _check_asked_of_profiles(parts, reading)
    _check_qualified(parts, reading)
    _check_twice(parts, reading)
    _check_counted(parts, reading)
    _check_start(parts, reading)
    _check_origins(parts, reading)
    _check_sites(parts, reading)


# ------------------------------------------------------------------ figures
def _check_cases(parts: Parts, reading: Reading) -> None:
    """The low case is at most the base, the high case at least: of demand, growth, prices and speeds."""
    for row, place in parts.demand:
        requests = {case: requests_of(row, case) for case in ("low", "base", "high")}
        fields = ("low_requests_per_second", "requests_per_second", "high_requests_per_second")
        _check_order(tuple(requests.values()), fields, "requests/s", place, reading)
        growth = tuple(growth_of(row, case) for case in ("low", "base", "high"))
        fields = ("low_growth_fraction_per_year", "growth_fraction_per_year", "high_growth_fraction_per_year")
        _check_order(growth, fields, "growth a year", place, reading)
    for id, (price, place) in parts.prices.items():
        base = price.price_usd_per_machine_hour
        low, high = price.low_usd_per_machine_hour, price.high_usd_per_machine_hour
        prices = (base if low is None else low, base, base if high is None else high)
        if id in parts.offers:
            fields = ("low_usd_per_machine_hour", "price_usd_per_machine_hour", "high_usd_per_machine_hour")
            _check_order(prices, fields, "USD/h", place, reading)
    for model, place in parts.models.values():
        for i, profile in enumerate(model.profiles):
            for j, point in enumerate(profile.classes):
                at = place.within("profiles", i, "classes", j)
                factors = (point.low_factor, 1.0, point.high_factor)
                _check_order(factors, ("low_factor", "the rates", "high_factor"), "of the rates", at, reading)
                high_ms = point.first_token_ms_high
                if high_ms is not None and high_ms < point.first_token_ms:
                    expected = f"at least {point.first_token_ms:g} ms, first_token_ms"
                    fix = "correct one of the two: this is the high end of the estimate"
                    reading.error(at.at("first_token_ms_high"), expected, f"{high_ms:g}", fix)


def _check_order(
    values: tuple[float, ...], fields: tuple[str, str, str], unit: str, place: Place, reading: Reading
) -> None:
    """An error where low, base and high are not in this order; a case that is not given is as the base."""
    low, base, high = values
    fix = "correct one of the two; what is changed for the base case is changed for low and high as well"
    if low > base:
        reading.error(place.at(fields[0]), f"at most {base:g} {unit}, {fields[1]}", f"{low:g}", fix)
    if high < base:
        reading.error(place.at(fields[2]), f"at least {base:g} {unit}, {fields[1]}", f"{high:g}", fix)


def _check_tokens(parts: Parts, reading: Reading) -> None:
    """Means of tokens, and counts, that look as if they were written in thousands."""
    for workload, place in parts.workloads:
        for field in ("mean_input_tokens", "mean_output_tokens"):
            tokens = getattr(workload, field)
            thousand = 1000 * tokens
            parted = tokens < 1000 and _is_whole(thousand) and not _is_whole(thousand / 10)
            small = tokens < FEW_TOKENS and (not _is_whole(tokens) or field == "mean_input_tokens")
            if parted or small:
                fix = f"write {thousand:g} if thousands were meant; nothing, if requests are this short"
                reading.warning(place.at(field), "tokens, with a point for decimals only", f"{tokens:g}", fix)


def _check_counts(parts: Parts, reading: Reading) -> None:
    """Limits on what comes whole are whole numbers: 4.608 of something are 4608, or 4."""
    considered = parts.considered_pools
    rows = [(offer.most_units, place.at("most_units"), "units") for offer, place in parts.offers.values()
            if offer.pool in considered]  # fmt: skip
    for i, quota in enumerate(parts.file.policies.quotas):
        rows.append((quota.most, parts.place.at("policies", "quotas", i, "most"), quota.unit))
    for most, where, unit in rows:
        if most is not None and not _is_whole(most):
            parted = most < 1000 and _is_whole(1000 * most)
            thousand = f"write {round(1000 * most)} if thousands were meant, else " if parted else "write "
            got = f"{most:g}"
            reading.warning(where, f"a whole number of {unquoted(unit)}", got, f"{thousand}{math.floor(most)}")


def _check_days(parts: Parts, reading: Reading) -> None:
    """Quotas and claims hold on some day of the horizon."""
    periods = calendar(parts.file.horizon)
    rows: list[tuple[Quota | Claim, Place]] = [*parts.claims]
    for i, quota in enumerate(parts.file.policies.quotas):
        rows.append((quota, parts.place.within("policies", "quotas", i)))
    for row, place in rows:
        backwards = row.from_day is not None and row.until is not None and row.until < row.from_day
        if not backwards and not any(touches(row.from_day, row.until, period) for period in periods):
            expected = f"days between {periods[0].first_day} and {periods[-1].last_day}, the horizon"
            got = f"{row.from_day or 'the start'} to {row.until or 'the end'}"
            field = "from_day" if row.from_day is not None else "until"
            reading.warning(place.at(field), expected, got, "correct the days, or remove it; as it is, it never holds")


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


def _check_failures_harder(parts: Parts, reading: Reading) -> None:
    """What is allowed in a failure is no less than what is allowed in normal operation."""
    filled = parts.file.utilisation
    if filled.normal > filled.in_failure:
        expected = f"at most {filled.in_failure:g}, the utilisation in failures"
        fix = "exchange the two: room is kept in normal operation, for failures"
        reading.warning(parts.place.at("utilisation", "normal"), expected, f"{filled.normal:g}", fix)
    for tier, place in parts.tiers:
        longer = tier.round_trip_ms_in_failure
        if tier.round_trip_ms is not None and longer is not None and longer < tier.round_trip_ms:
            expected = f"at least {tier.round_trip_ms:g} ms, the longest in normal operation"
            fix = "exchange the two, or leave it out: it is then as in normal operation"
            reading.warning(place.at("round_trip_ms_in_failure"), expected, f"{longer:g}", fix)
        for i, goal in enumerate(tier.survive):
            if goal.serve_fraction > tier.serve_fraction:
                expected = f"at most {tier.serve_fraction:g}, what the tier is served in normal operation"
                fix = "raise the tier's serve_fraction, or lower the goal's"
                where = place.at("survive", i, "serve_fraction")
                reading.warning(where, expected, f"{goal.serve_fraction:g}", fix)
    for workload, place in parts.workloads:
        cold = workload.cached_fraction_in_failure
        if cold is not None and cold > workload.cached_fraction:
            expected = f"at most {workload.cached_fraction:g}, cached_fraction"
            fix = "exchange the two: caches are cold after a move"
            reading.warning(place.at("cached_fraction_in_failure"), expected, f"{cold:g}", fix)


def _check_start(parts: Parts, reading: Reading) -> None:
    """The plan begins today or later, by the study's own `today`: no clock is read, so that it stays the same."""
    start, today = parts.file.horizon.start, parts.file.today
    if start < today and type(parts.file) is StudyFile:  # else a draft, whose days may be made up
        fix = "correct today or start; as it is, what is bought must be there on a day that is over"
        where = parts.place.at("horizon", "start")
        reading.warning(where, f"a day from {today} on, the study's today", f"{start}", fix)


# ------------------------------------------------------------------ things that change nothing
def _check_used(parts: Parts, reading: Reading) -> None:
    """Origins have demand, tiers workloads, shapes rows; quotas limit a pool of the study."""
    table = unquoted(parts.file.demand)
    shapes = [(shape, parts.place.within("shapes", i)) for i, shape in enumerate(parts.file.shapes)]
    if not reading.any_broken(Demand):
        fix = f"add rows to {table}, or remove the origin"
        _unused(parts.origins, {row.origin for row, _ in parts.demand}, "rows of demand from", fix, reading)
        fix = f"name it in the column `shape` of {table}, or remove it"
        _unused(shapes, {row.shape for row, _ in parts.demand} - {None}, "rows of demand with the shape", fix, reading)
    if not reading.any_broken(Workload):
        fix = "name it as the tier of a workload, or remove it; as it is, its goals hold for nothing"
        _unused(parts.tiers, {workload.tier for workload, _ in parts.workloads}, "a workload of tier", fix, reading)
    if reading.any_broken(Pool):
        return
    for i, quota in enumerate(parts.file.policies.quotas):
        for j, pattern in enumerate(quota.pools):
            known = [id for id in parts.pools if fnmatchcase(id, pattern)]
            if known and not any(id in parts.considered_pools for id in known):
                where = parts.place.at("policies", "quotas", i, "pools", j)
                fix = "add the pool to `pools:` of the study, or take it out of the quota; as it is, it limits nothing"
                got = f"{quoted(pattern)}, of the inventory alone"
                reading.warning(where, "a pool of the study, or a pattern of them", got, fix)


def _unused(rows: Iterable[Row[Any]], used: set[Any], what: str, fix: str, reading: Reading) -> None:
    """A warning at each record whose name is not used; none where a name is misspelt, which is told where it stands."""
    named: list[tuple[str, Place]] = [(record.name, place) for record, place in rows]
    if used <= {name for name, _ in named}:
        for name, place in named:
            if name not in used:
                reading.warning(place.at("name"), f"{what} {unquoted(name)}", "none", fix)


def _check_counted(parts: Parts, reading: Reading) -> None:
    """What counts in failures is said of offers of the study's pools."""
    considered = parts.considered_pools
    ids = [id for id, (offer, _) in parts.offers.items() if offer.pool in considered]
    for i, counted in enumerate(parts.file.policies.counted):
        for j, pattern in enumerate(counted.offers):
            known = any(fnmatchcase(id, pattern) for id in parts.offers)
            if known and not any(fnmatchcase(id, pattern) for id in ids) and not reading.any_broken(Offer, Pool):
                where = parts.place.at("policies", "counted", i, "offers", j)
                fix = "add the pool to `pools:` of the study, or remove the line; as it is, it changes nothing"
                reading.warning(
                    where, "an offer of the study's pools, or a pattern of them", f"{quoted(pattern)}, of others", fix
                )


def _check_asked_of_sites(parts: Parts, reading: Reading) -> None:
    """Jurisdictions and labels that workloads name are those of sites."""
    if reading.any_broken(Site, Pool):
        return
    used = [parts.sites[pool.site][0] for pool in parts.considered_pools.values() if pool.site in parts.sites]
    here = {site.jurisdiction for site in used}
    codes = {site.jurisdiction for site, _ in parts.sites.values()}
    labels = {label for site in used for label in site.labels}
    for workload, place in parts.workloads:
        for i, code in enumerate(workload.jurisdictions):
            if code not in codes:
                got = quoted(code) + near_miss(code, codes)
                fix = f"write ISO 3166 codes as sites.csv does; those of the study's pools: {listed(here, 12)}"
                reading.warning(place.at("jurisdictions", i), "the jurisdiction of a site", got, fix)
        for i, label in enumerate(workload.site_labels):
            if label not in labels:
                got = quoted(label) + near_miss(label, labels)
                fix = f"write a label that sites.csv gives to a site of the study's pools: {listed(labels)}"
                reading.warning(place.at("site_labels", i), "the label of a site of the study's pools", got, fix)


def _check_asked_of_profiles(parts: Parts, reading: Reading) -> None:
    """Precisions and features that workloads name are those of a profile of their model."""
    for workload, place in parts.workloads:
        if workload.model not in parts.models or reading.any_broken(Model, MachineType):
            continue
        profiles = parts.models[workload.model][0].profiles
        asked = (
            ("precisions", workload.precisions, {p.precision for p in profiles}),
            ("features", workload.features, {feature for p in profiles for feature in p.features}),
        )
        for field, names, known in asked:
            for i, name in enumerate(names):
                if name not in known:
                    what = f"one of the {field} that a profile of {unquoted(workload.model)} has"
                    fix = f"those are: {listed(known)}"
                    reading.warning(place.at(field, i), what, quoted(name) + near_miss(name, known), fix)


def _check_qualified(parts: Parts, reading: Reading) -> None:
    """A profile on a version of a stack is not qualified by the stack without it, nor by another version."""
    considered = {pool.machine_type for pool in parts.considered_pools.values()}
    for model, place in parts.used_models.values():
        stacks = {qualification.stack for qualification in model.qualifications}
        for i, profile in enumerate(model.profiles):
            if profile.stack in stacks or profile.machine_type not in considered:
                continue
            name = stack_and_version(profile.stack)[0]
            others = sorted(stack for stack in stacks if stack_and_version(stack)[0] == name)
            if others:
                expected = f"a stack that {unquoted(model.model)} is qualified on: {listed(others)}"
                fix = f"qualify it on {unquoted(profile.stack)} too, or correct it; else nothing runs there"
                reading.warning(place.at("profiles", i, "stack"), expected, quoted(profile.stack), fix)


def _check_twice(parts: Parts, reading: Reading) -> None:
    """What adds up, or is multiplied, is not written twice by mistake; names that limits go by are their own."""
    adds = "remove one if it is the same; if there are two, write one with the sum"
    _same(parts.holdings, "machines that are held, each once", adds, reading)
    _same(parts.claims, "machines that are lent, each once", adds, reading)
    for name, records, fix in (
        ("price_book", parts.file.price_book, "remove one: the factors of all lines that match are multiplied"),
        ("price_paths", parts.file.price_paths, "remove one: the factors of all paths that match are multiplied"),
    ):
        rows = [(record, parts.place.within(name, i)) for i, record in enumerate(records)]
        _same(rows, "each line once", fix, reading)
    dependencies = "remove one of them; as it is, it changes nothing"
    _same(parts.dependencies, "each dependency once", dependencies, reading)
    for tier, place in parts.tiers:
        goals = [(goal, place.within("survive", i)) for i, goal in enumerate(tier.survive)]
        _same(goals, "each goal once", "remove one of them; as it is, it changes nothing", reading)
    shares: dict[str, str] = {}
    for i, share in enumerate(parts.file.policies.shares):
        where = parts.place.at("policies", "shares", i, "component")
        if share.component in shares:
            got = f"{quoted(share.component)} here and at {shares[share.component]}"
            reading.warning(where, "each component once", got, "remove one: the lower limit holds")
        shares.setdefault(share.component, where)
    quotas: dict[str, str] = {}
    for i, quota in enumerate(parts.file.policies.quotas):
        where = parts.place.at("policies", "quotas", i, "name")
        if quota.name in quotas:
            got = f"{quoted(quota.name)} here and at {quotas[quota.name]}"
            reading.error(where, "a name of its own for each quota", got, "rename one, or remove it if it is the same")
        quotas.setdefault(quota.name, where)


def _same(rows: Iterable[Row[R]], expected: str, fix: str, reading: Reading) -> None:
    """A warning at each record that is the same as one before it."""
    first: list[Row[R]] = []
    for record, place in rows:
        before = next((at for other, at in first if other == record), None)
        if before is not None:
            reading.warning(place.at(), expected, f"the same here and at {before.at()}", fix)
        else:
            first.append((record, place))


# ------------------------------------------------------------------ places on the globe
def _check_origins(parts: Parts, reading: Reading) -> None:
    """Origins lie where the region is that they are near; latitude and longitude come together."""
    places = _places(parts)
    for origin, place in parts.origins:
        if (origin.latitude is None) != (origin.longitude is None):
            missing = "latitude" if origin.latitude is None else "longitude"
            fix = f"add `{missing}`, or leave both out; as it is, the origin counts as where the region is"
            reading.warning(place.at(missing), "latitude and longitude, or neither", f"no {missing}", fix)
        here = _point(origin)
        if here is None or origin.near not in places:
            continue
        there = places[origin.near or ""]
        km = great_circle_km(here, there)
        better = _mistyped(here, there)
        if better is not None or km > FAR_FROM_ITS_REGION_KM:
            expected = f"a place near {unquoted(origin.near)}, whose round trips it shares"
            fix = "name a region that is nearer, or correct the coordinates" if better is None else _written(better)
            got = f"{_degrees(here)}, {km:,.0f} km away"
            reading.warning(place.at("latitude"), expected, got, fix)


def _check_sites(parts: Parts, reading: Reading) -> None:
    """Sites of a region lie together, and no round trip between regions is faster than light."""
    places = _places(parts)
    rows = {id: row for id, row in parts.sites.items() if row[0].evidence is not None}
    for site, place in rows.values():
        here, there = (site.latitude, site.longitude), places[site.region_id]
        if great_circle_km(here, there) > PROXY_KM:
            better = _mistyped(here, there)
            fix = "correct the coordinates, or the region" if better is None else _written(better)
            expected = f"a place within {PROXY_KM:g} km of the other sites of {unquoted(site.region_id)}"
            got = f"{_degrees(here)}, {great_circle_km(here, there):,.0f} km away"
            reading.warning(place.at("latitude"), expected, got, fix)
    faster = _faster_than_light(parts, places)
    while faster:
        regions = sorted(region for row, _ in faster for region in (row.from_region, row.to_region))
        worst = max(regions, key=regions.count)
        of_worst = [(row, at) for row, at in faster if worst in (row.from_region, row.to_region)]
        row, at = of_worst[0]
        other = row.from_region if row.to_region == worst else row.to_region
        expected = f"a place that light reaches from {unquoted(other)} in {row.round_trip_ms:g} ms ({at.at()})"
        km = great_circle_km(places[worst], places[other])
        got = f"{_degrees(places[worst])} for {unquoted(worst)}, {km:,.0f} km away"
        fix = "correct the coordinates of one of the two, or the round trip"
        for meant in _meant(places[worst]):
            still = _faster_than_light(parts, {**places, worst: meant})
            if not any(worst in (row.from_region, row.to_region) for row, _ in still):
                fix = _written(meant)
                break
        place = next(place for site, place in parts.sites.values() if site.region_id == worst)
        reading.warning(place.at("latitude"), expected, got, fix)
        faster = [row for row in faster if row not in of_worst]


def _faster_than_light(parts: Parts, places: Mapping[str, Point]) -> list[Row[RoundTrip]]:
    """Round trips shorter than light takes between their regions."""
    found = []
    for row, place in parts.round_trips.values():
        if row.from_region in places and row.to_region in places:
            km = great_circle_km(places[row.from_region], places[row.to_region])
            if row.round_trip_ms < light_round_trip_ms(km):
                found.append((row, place))
    return found


def _places(parts: Parts) -> dict[str, Point]:
    """Region -> where its first site is."""
    places: dict[str, Point] = {}
    for _, (site, _) in sorted(parts.sites.items()):
        places.setdefault(site.region_id, (site.latitude, site.longitude))
    return places


def _point(origin: Origin) -> Point | None:
    if origin.latitude is None or origin.longitude is None:
        return None
    return origin.latitude, origin.longitude


def _meant(point: Point) -> list[Point]:
    """What may have been meant: latitude and longitude exchanged, a sign lost."""
    latitude, longitude = point
    turned = [(longitude, latitude), (latitude, -longitude), (-latitude, longitude), (longitude, -latitude)]
    turned += [(-longitude, latitude), (-latitude, -longitude)]
    return [meant for meant in turned if abs(meant[0]) <= 90]


def _mistyped(here: Point, there: Point) -> Point | None:
    """What was most likely meant by a place that should be within 400 km of another, and is not; else None."""
    if great_circle_km(here, there) <= PROXY_KM:
        return None
    return next((point for point in _meant(here) if great_circle_km(point, there) <= PROXY_KM), None)


def _written(point: Point) -> str:
    return f"write latitude {point[0]:g} and longitude {point[1]:g}, if they were exchanged or a sign was lost"


def _degrees(point: Point) -> str:
    return f"latitude {point[0]:g}, longitude {point[1]:g}"
