"""Figures: a number or a day as people read it, which keeps what it is, for spreadsheets and programs."""

from datetime import date


class Figure(str):
    """The text of a figure, as people read it, and the number or the day that it was written from.

    Parameters
    ----------
    text : what terminal, Markdown and page show
    value : the number itself, not rounded, a share as a fraction; or the day
    unit : `USD`, `%` (of a share), or none where the title of the column says it
    beside : what else the text says, by name: spreadsheets have a column for each

    Examples
    --------
    >>> price = Figure("6.99 M", 6_992_640.0, "USD")
    >>> f"{price} USD", price.value / 2
    ('6.99 M USD', 3496320.0)
    >>> Figure("100 to 250", 100.0, "USD", most=250.0).beside
    {'most': 250.0}
    """

    value: float | date
    unit: str
    beside: dict[str, float | str]

    def __new__(cls, text: str, value: float | date, unit: str = "", **beside: float | str) -> "Figure":
        """The text, with what it was written from; what is blank of `beside` is left out."""
        figure = super().__new__(cls, text)
        figure.value, figure.unit = value, unit
        figure.beside = {name.replace("_", " "): part for name, part in beside.items() if part != ""}
        return figure

    def __reduce__(self) -> tuple[object, ...]:
        """A copy keeps what the text was written from."""
        return Figure, (str(self), self.value, self.unit), vars(self)


def number(value: float, written: str, after: str = "", unit: str = "") -> Figure:
    """A number in the notation of `format`, with what stands after it.

    Examples
    --------
    >>> number(1234.56, ",.1f"), number(28.5, ",.1f", " B").value
    ('1,234.6', 28.5)
    """
    return Figure(f"{value:{written}}{after}", value, unit)


def day(value: date) -> Figure:
    """A day, as ISO 8601 writes it.

    Examples
    --------
    >>> day(date(2027, 1, 1))
    '2027-01-01'
    """
    return Figure(value.isoformat(), value)


def usd(value: float) -> Figure:
    """Money as people read it.

    Examples
    --------
    >>> usd(12_345_678.0), usd(3.5)
    ('12,345,678', '3.50')
    """
    return Figure(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}", value, "USD")


def million_usd(value: float) -> Figure:
    """Money in millions of US dollars; the figure itself is in US dollars.

    Examples
    --------
    >>> million_usd(6_992_640.0)
    '6.99 M'
    """
    return Figure(f"{value / 1e6:,.2f} M", value, "USD")


def signed(value: float) -> Figure:
    """A difference in money, with its sign.

    Examples
    --------
    >>> signed(-1234.4), signed(-0.2), signed(7.0)
    ('-1,234', '0', '+7')
    """
    return Figure(f"{value:+,.0f}" if abs(value) >= 0.5 else "0", value, "USD")


def percent(fraction: float, decimals: int = 0) -> Figure:
    """A fraction in percent, never rounded up to 100 when it is less.

    Examples
    --------
    >>> percent(0.9996), percent(1.0), percent(0.805, 1)
    ('99 %', '100 %', '80.5 %')
    """
    rounded = round(100 * fraction, decimals)
    if rounded >= 100 > 100 * fraction + 1e-6:
        rounded = 100 - 10.0**-decimals
    return Figure(f"{rounded:.{decimals}f} %", fraction, "%")
