"""The only unit conversions of the project.

Every name in the project ends in its unit; where two units meet, the factor comes from here.
"""

import math
from calendar import monthrange
from datetime import date, timedelta
from typing import Final

SECONDS_PER_HOUR: Final = 3600.0
MS_PER_SECOND: Final = 1000.0
MONTHS_PER_YEAR: Final = 12.0
DAYS_PER_MONTH: Final = 365.25 / 12
HOURS_PER_DAY: Final = 24.0
HOURS_PER_MONTH: Final = 730.0
"""As clouds bill: 8,760 hours of a year in twelve parts; a study may say otherwise (`hours_per_month`)."""
BYTES_PER_GIB: Final = 2.0**30
BYTES_PER_GB: Final = 1.0e9
ROUNDING: Final = 1e-9
"""What a product of whole numbers and fractions may miss a whole number by."""


def outage_usd_per_hour(requests_per_second: float, usd_per_request: float) -> float:
    """What requests cost that are not served [USD/h].

    Examples
    --------
    >>> outage_usd_per_hour(2.0, 0.01)
    72.0
    """
    return requests_per_second * SECONDS_PER_HOUR * usd_per_request


def months_until(start: date, day: date) -> float:
    """How many months a day lies after another: `after_months` the other way round.

    Examples
    --------
    >>> months_until(date(2027, 1, 1), date(2027, 4, 1)), months_until(date(2027, 1, 1), date(2027, 7, 2))
    (3.0, 6.032258064516129)
    """
    full = MONTHS_PER_YEAR * (day.year - start.year) + day.month - start.month
    full -= after_months(start, full) > day
    this, following = after_months(start, full), after_months(start, full + 1)
    return full + (day - this).days / (following - this).days


def after_months(start: date, months: float) -> date:
    """The day so many months later (earlier, below zero): the same day of the month, or its last.

    A part of a month counts as that part of the days of the month it falls into.

    Examples
    --------
    >>> after_months(date(2027, 1, 1), 3), after_months(date(2027, 1, 31), 1), after_months(date(2028, 1, 1), -12)
    (datetime.date(2027, 4, 1), datetime.date(2027, 2, 28), datetime.date(2027, 1, 1))
    >>> after_months(date(2027, 1, 1), 1.5)
    datetime.date(2027, 2, 15)
    """
    full = math.floor(months + 1e-9)

    def day(n: int) -> date:
        years, month = divmod(start.month - 1 + n, 12)
        year = start.year + years
        return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))

    part = months - full
    return day(full) if part <= 1e-9 else day(full) + timedelta(days=round(part * (day(full + 1) - day(full)).days))
