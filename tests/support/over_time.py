"""Random studies over two or three periods of two hours, with contracts that start, overlap and expire."""

import random
from datetime import date, timedelta

from studies import offer, random_study

from planner.study.records.inventory import Offer, Price
from planner.study.records.study import Claim, Demand, Holding, Horizon, Hour, Period, Shape, Study
from planner.units import DAYS_PER_MONTH

START = date(2027, 1, 1)
HOURS = (Hour(name="day", weight_fraction=0.7), Hour(name="night", weight_fraction=0.3))


def _day(months: float) -> date:
    return START + timedelta(days=round(months * DAYS_PER_MONTH))


def study_over_time(seed: int) -> Study:
    """A random study of `studies`, laid over time.

    Commitments end inside the horizon, blocks leave gaps, what is held comes and goes, what is lent is lent for a
    while; demand grows, has a shape, and rows for one period or hour; some tiers may wait.
    """
    g = random.Random(seed)
    base = random_study(seed, "tiny")
    lengths = g.choice([(1.0, 1.0), (1.0, 2.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0)])
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    names = [f"p{n + 1}" for n in range(len(lengths))]
    bought: list[tuple[Offer, Price]] = []
    for pool in base.pools:
        if g.random() < 0.8:
            most = float(g.choice([2, 3]))
            bought.append(
                offer(pool.id, g.randint(1, 5), "commitment", term_months=g.choice([1.0, 2.0]), most_units=most)
            )
        if g.random() < 0.5:
            whole = g.choice(lengths) * DAYS_PER_MONTH
            block = {"length_days": round(whole) + g.choice([-5, 1, 40]), "most_units": 2.0}
            bought.append(offer(pool.id, g.randint(1, 5), "capacity_block", **block))
    holdings = [
        Holding(pool=pool.id, machines=g.randint(1, 3), from_day=g.choice([None, _day(ends[0])]), until=until)
        for pool in base.pools
        if g.random() < 0.5
        for until in [g.choice([None, _day(ends[-2]) - timedelta(days=g.choice([1, 5])), _day(ends[-1])])]
    ]
    claims = [
        Claim(pool=row.pool, machines=1, reclaim_seconds=g.choice([20.0, 100.0, None]), lent_to="training", **days)
        for row in holdings
        if row.from_day is None and row.until is None and g.random() < 0.6
        for days in [g.choice([{}, {"from_day": _day(ends[0])}, {"until": _day(ends[0]) - timedelta(days=1)}])]
    ]
    demand: list[Demand] = []
    for row in base.demand:
        grows = {"growth_fraction_per_year": g.choice([0.0, 0.5, 3.0]), "shape": g.choice([None, "s", "t"])}
        demand.append(row.model_copy(update=grows))
        if g.random() < 0.3:
            own = {"period": g.choice(names), "requests_per_second": float(g.randint(0, 6))}
            demand.append(row.model_copy(update=own))
        if g.random() < 0.2:
            own = {"period": g.choice(names), "hour": "night", "requests_per_second": float(g.randint(1, 4))}
            demand.append(row.model_copy(update=own))
    tiers = tuple(
        tier.model_copy(update={"deferrable_hours": 24.0}) if tier.name == "iron" and g.random() < 0.5 else tier
        for tier in base.tiers
    )
    periods = tuple(Period(name=name, months=length) for name, length in zip(names, lengths, strict=True))
    return base.model_copy(
        update={
            "horizon": Horizon(start=START, periods=periods, hours=HOURS),
            "hours_per_month": 100.0,
            "offers": (*base.offers, *(b for b, _ in bought)),
            "prices": (*base.prices, *(price for _, price in bought)),
            "holdings": tuple(holdings),
            "claims": tuple(claims),
            "demand": tuple(demand),
            "tiers": tiers,
            "shapes": (
                Shape(name="s", factors={"day": 1.0, "night": 0.3}),
                Shape(name="t", factors={"day": 0.4, "night": 1.1}),
            ),
            "policies": base.policies.model_copy(update={"terms_beyond_horizon": True}),
        }
    )
