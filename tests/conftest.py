"""Reports fold tables to the terminal: tests and goldens have one of 120 columns."""

import os

os.environ["COLUMNS"] = "120"
