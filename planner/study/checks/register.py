"""Everything that is checked of the parts of a study before they are put together."""

from planner.study.checks.components import check_components
from planner.study.checks.coordinates import check_coordinates
from planner.study.checks.figures import check_figures
from planner.study.checks.goals import check_goals
from planner.study.checks.holdings import check_holdings
from planner.study.checks.inventory import check_inventory
from planner.study.checks.names import check_names
from planner.study.checks.phases import check_phases
from planner.study.checks.profiles import check_profiles
from planner.study.checks.quotas import check_quotas
from planner.study.checks.repeated import check_repeated
from planner.study.checks.requests import check_requests
from planner.study.checks.timing import check_timing
from planner.study.checks.unused import check_unused
from planner.study.parts import Parts
from planner.study.places import Reading

CHECKS = (
    check_names,
    check_inventory,
    check_requests,
    check_goals,
    check_components,
    check_profiles,
    check_holdings,
    check_quotas,
    check_timing,
    check_phases,
    check_figures,
    check_unused,
    check_repeated,
    check_coordinates,
)
"""In the order in which their findings are printed."""


def check_parts(parts: Parts, reading: Reading) -> None:
    """Report all that is wrong with the parts of a study (errors), or most likely is not meant (warnings)."""
    for check in CHECKS:
        check(parts, reading)
