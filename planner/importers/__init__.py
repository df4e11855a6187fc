"""Importers: what other programs write (price lists, latency tables, benchmarks, traces) into the planner's own files.

Each reads one file, recognises its shape by its fields, refuses an unknown shape with what was expected, and reports
what was read, what was skipped and why. Nothing is fetched: a source is a file.
"""
