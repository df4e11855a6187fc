"""The program, HiGHS, and the search over failures."""
