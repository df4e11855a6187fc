"""Money in few letters, for drawings; tables have it in full."""


def short_usd(value: float) -> str:
    """Money in three figures or so.

    Examples
    --------
    >>> short_usd(32_803_939.9), short_usd(1_600_000.0), short_usd(75_210.9), short_usd(12.0), short_usd(-2.5e9)
    ('32.8 M', '1.60 M', '75.2 k', '12', '-2.50 G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            scaled = value / size
            decimals = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            return f"{scaled:,.{decimals}f} {unit}"
    return f"{value:,.0f}"
