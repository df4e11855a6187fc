"""The answer, its file, and what checks it."""
