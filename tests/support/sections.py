"""The tables of a report, as people read them."""


def table(section):
    """Every row of a section: title of a column -> its cell."""
    return [{c.title: c.written(row) for c in section.columns if c.when} for row in section.rows]


def titles(section):
    return [c.title for c in section.columns if c.when]
