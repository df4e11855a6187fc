"""`python -m planner`."""

from planner.cli.start import run

if __name__ == "__main__":
    run()
