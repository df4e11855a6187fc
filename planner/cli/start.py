"""The console script: signals end the process in order from its first moment, also while it is still being loaded."""

from planner.interruption import end_at_once


def run() -> None:
    """Run a command line; returns by `SystemExit`."""
    end_at_once()
    from planner.cli.main import run as run_command

    run_command()
