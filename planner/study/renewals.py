"""Contracts that are shorter than what they are used for: the chain of orders, and its dates."""

import math
from dataclasses import dataclass
from datetime import date, timedelta

from planner.study.records.inventory import Offer
from planner.study.records.study import Horizon

DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class Contract:
    """One contract of a chain.

    Parameters
    ----------
    first_day, last_day : of its use
    order_from : first day on which it can be ordered; None: at any time
    order_by : latest day, without slack: first_day − lead time
    """

    first_day: date
    last_day: date
    order_from: date | None
    order_by: date

    @property
    def days(self) -> int:
        """Its length [days]."""
        return (self.last_day - self.first_day).days + 1


def chain_of(offer: Offer, first_day: date, last_day: date) -> tuple[Contract, ...]:
    """The contracts that cover some days without a pause, each as long as is sold; the last one may end later.

    Empty where the offer states no longest contract: one lasts as long as is wanted.
    """
    if offer.most_days is None:
        return ()
    if offer.length_days is not None:
        last_day = first_day  # of a fixed length, and not renewed
    contracts, start = [], first_day
    while start <= last_day:
        days = sold_days(offer, (last_day - start).days + 1)
        ahead, lead = offer.order_days_ahead, timedelta(days=math.ceil(offer.lead_days))
        order_from = None if ahead is None else start - timedelta(days=math.floor(ahead))
        contracts.append(Contract(start, start + timedelta(days=days - 1), order_from, start - lead))
        start += timedelta(days=days)
    return tuple(contracts)


def chain_shares(chain: tuple[Contract, ...], last_day: date) -> tuple[float, ...]:
    """What each contract of a chain is of the days that they cover until a day; the last one may end later.

    Examples
    --------
    >>> first = Contract(date(2027, 1, 1), date(2027, 1, 21), None, date(2027, 1, 1))
    >>> chain_shares((first, Contract(date(2027, 1, 22), date(2027, 2, 4), None, date(2027, 1, 22))), date(2027, 1, 28))
    (0.75, 0.25)
    """
    days = [(min(one.last_day, last_day) - one.first_day).days + 1 for one in chain]
    return tuple(n / sum(days) for n in days)


def sold_days(offer: Offer, days: int) -> int:
    """Length of the contract that covers so many days, or as many of them as one can [days].

    Examples
    --------
    Of blocks that are sold by the day up to 14 days, by the week up to 182:

    >>> known = {"evidence": "assumed", "source": "-", "as_of": "2026"}
    >>> terms = {"most_days": 182.0, "weeks_after_days": 14.0, "instrument": "-"}
    >>> block = Offer(site="a/x", machine_type="m", offer="block", kind="capacity_block", **terms, **known)
    >>> [sold_days(block, days) for days in (1, 14, 15, 180, 365)]
    [1, 14, 21, 182, 182]
    """
    if offer.length_days is not None:
        return math.floor(offer.length_days)
    most = days if offer.most_days is None else math.floor(offer.most_days)
    if offer.weeks_after_days is None or days <= offer.weeks_after_days:
        return min(days, most)
    weeks = min(math.ceil(days / DAYS_PER_WEEK), most // DAYS_PER_WEEK)
    return max(DAYS_PER_WEEK * weeks, min(most, math.floor(offer.weeks_after_days)))


def is_renewed(horizon: Horizon, offer: Offer) -> bool:
    """Whether what is used through the horizon takes several contracts of an offer: each further one is a renewal."""
    days = (horizon.last_day - horizon.start).days + 1
    return offer.most_days is not None and offer.length_days is None and days > offer.most_days
