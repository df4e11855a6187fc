"""Formulas, rules and costs: generators of rows."""
