"""Reports fold tables to the terminal: tests and goldens have one of 120 columns."""

import importlib.util
import os

os.environ["COLUMNS"] = "120"
collect_ignore = [] if importlib.util.find_spec("tf") else ["terraform_provider.py"]
"""Helpers that need packages of requirements-emit.txt are not looked into for doctests without them."""
