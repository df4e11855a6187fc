"""When traffic is moved: where new weights are chosen for a failure, they first have to be in force at the gateways."""

from planner.study.records.plan import PlanFile
from planner.study.records.study import Study


def study_as_pushed(study: Study) -> Study:
    """The study as a controller that pushes weights meets it: what is known is acted upon a push later.

    A replica that is started at once answers when it is loaded; requests come when the push after that is in force. So
    all that counts from detection, loads, machines that come back or are obtained, counts from the push on.
    """
    if not study.push_seconds:
        return study
    seconds = study.detection_seconds + study.push_seconds
    return study.model_copy(update={"detection_seconds": seconds, "push_seconds": 0.0})


def plan_as_pushed(plan: PlanFile) -> PlanFile:
    """The plan of that study, all else as it is."""
    study = study_as_pushed(plan.study)
    return plan if study is plan.study else plan.model_copy(update={"study": study})
