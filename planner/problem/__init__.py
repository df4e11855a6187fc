"""A study as sets and numbers."""
