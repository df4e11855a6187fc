"""Figures that contradict each other (errors), or most likely are mistakes (warnings)."""

import math

from planner.study.calendar import growth_of, requests_of
from planner.study.parts import Parts
from planner.study.places import Place, Reading, unquoted
from planner.study.records.study import USUAL_PERCENTILE

FEW_TOKENS = 10.0
"""A mean input below this is most likely a count of thousands: a prompt's own frame takes more."""


def check_figures(parts: Parts, reading: Reading) -> None:
    """Report figures that contradict each other, or look as if they were meant otherwise."""
    _check_cases(parts, reading)
    _check_tokens(parts, reading)
    _check_counts(parts, reading)
    _check_failures_harder(parts, reading)


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
        for profile, within in place.rows(model.profiles, "profiles"):
            for point, at in within.rows(profile.classes, "classes"):
                factors = (point.low_factor, 1.0, point.high_factor)
                _check_order(factors, ("low_factor", "the rates", "high_factor"), "of the rates", at, reading)
                for field, usual_ms, high_ms in (
                    ("first_token_ms", point.first_token_ms, point.first_token_ms_high),
                    ("per_token_ms", point.per_token_ms, point.per_token_ms_high),
                ):
                    if high_ms is not None and high_ms < usual_ms:
                        expected = f"at least {usual_ms:g} ms, {field}"
                        fix = "correct one of the two: this is the high end of the estimate"
                        reading.error(at.at(f"{field}_high"), expected, f"{high_ms:g}", fix)


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
            in_thousands = tokens < 1000 and _is_integer(thousand) and not _is_integer(thousand / 10)
            small = tokens < FEW_TOKENS and (not _is_integer(tokens) or field == "mean_input_tokens")
            if in_thousands or small:
                fix = f"write {thousand:g} if thousands were meant; nothing, if requests are this short"
                reading.warning(place.at(field), "tokens, with a point for decimals only", f"{tokens:g}", fix)


def _check_counts(parts: Parts, reading: Reading) -> None:
    """Limits on what comes whole are whole numbers: 4.608 of something are 4608, or 4."""
    rows = [(offer.most_units, place.at("most_units"), "units") for offer, place in parts.considered_offers.values()]
    rows += [(quota.most, place.at("most"), quota.unit) for quota, place in parts.rows("policies", "quotas")]
    for most, where, unit in rows:
        if most is not None and not _is_integer(most):
            in_thousands = most < 1000 and _is_integer(1000 * most)
            thousand = f"write {round(1000 * most)} if thousands were meant, else " if in_thousands else "write "
            got = f"{most:g}"
            reading.warning(where, f"a whole number of {unquoted(unit)}", got, f"{thousand}{math.floor(most)}")


def _is_integer(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


def _check_failures_harder(parts: Parts, reading: Reading) -> None:
    """What is allowed in a failure is no less than what is allowed in normal operation."""
    filled = parts.file.utilisation
    if filled.normal > filled.in_failure:
        expected = f"at most {filled.in_failure:g}, the utilisation in failures"
        fix = "exchange the two: headroom is kept in normal operation, for failures"
        reading.warning(parts.place.at("utilisation", "normal"), expected, f"{filled.normal:g}", fix)
    shares = sorted({"normal", "in_failure"} & filled.model_fields_set)
    if shares and "basis" not in filled.model_fields_set:
        expected = "basis: waiting or fixed beside a share"
        fix = (
            "write basis: fixed to fill replicas to these shares, or basis: waiting to have them as limits beside waits"
        )
        reading.warning(parts.place.at("utilisation", shares[0]), expected, "no basis: by waiting", fix)
    for tier, place in parts.tiers:
        if filled.basis == "waiting" and tier.first_token_ms is None and tier.percentile != USUAL_PERCENTILE:
            fix = "write first_token_ms, or leave percentile out: it has no effect"
            reading.warning(place.at("percentile"), "first_token_ms beside it", "none", fix)
        if filled.basis == "fixed" and tier.percentile != USUAL_PERCENTILE:
            fix = "leave utilisation.basis out, or this: it has no effect"
            reading.warning(place.at("percentile"), "utilisation by waiting", "basis: fixed", fix)
        longer = tier.round_trip_ms_in_failure
        if tier.round_trip_ms is not None and longer is not None and longer < tier.round_trip_ms:
            expected = f"at least {tier.round_trip_ms:g} ms, the longest in normal operation"
            fix = "exchange the two, or leave it out: it is then as in normal operation"
            reading.warning(place.at("round_trip_ms_in_failure"), expected, f"{longer:g}", fix)
        for goal, at in place.rows(tier.survive, "survive"):
            if goal.serve_fraction > tier.serve_fraction:
                expected = f"at most {tier.serve_fraction:g}, what the tier is served in normal operation"
                fix = "raise the tier's serve_fraction, or lower the goal's"
                where = at.at("serve_fraction")
                reading.warning(where, expected, f"{goal.serve_fraction:g}", fix)
    for workload, place in parts.workloads:
        cold = workload.cached_fraction_in_failure
        if cold is not None and cold > workload.cached_fraction:
            expected = f"at most {workload.cached_fraction:g}, cached_fraction"
            fix = "exchange the two: caches are cold after a move"
            reading.warning(place.at("cached_fraction_in_failure"), expected, f"{cold:g}", fix)
