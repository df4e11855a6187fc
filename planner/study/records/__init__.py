"""Pydantic records: the schema of every file that people write or read."""
