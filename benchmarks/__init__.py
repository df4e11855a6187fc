"""Benchmarks: `python -m benchmarks` plans studies of several sizes, and has peers solve the same programs."""
