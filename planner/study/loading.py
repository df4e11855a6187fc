"""How long a cold start takes, and what feeds it."""

from planner.study.records.serving import Profile
from planner.study.records.study import Study


def load_seconds(study: Study, profile: Profile) -> float:
    """From start to ready with the machine there [s]: longer where nothing is compiled before."""
    return profile.load_seconds + _compile_seconds(study, profile)


def _compile_seconds(study: Study, profile: Profile) -> float:
    """What a start compiles for, beyond load_seconds [s]."""
    return profile.compile_seconds if study.cold_starts.compile_caches == "cold" else 0.0
