"""A plan whose study has one figure moved: what the drill reads from a study, where a margin moves arrays."""

from planner.problem.rules.formulas import is_normal
from planner.questions.near_figures import Kind, route
from planner.study.dependencies import profile_id
from planner.study.latency import reaches
from planner.study.records.plan import PlanFile


def moved(plan: PlanFile, kind: Kind, figure: str, factor: float) -> tuple[PlanFile, dict[tuple[str, str], float]]:
    """The plan with one figure of its study times a factor, and the round trip that holds instead of the study's [ms].

    All else is as planned. With more demand, normal operation is sent where it was sent, in the same shares.
    """
    if kind == "round trip":
        key = next(key for key in reaches(plan.study) if route(*key) == figure)
        return plan, {key: reaches(plan.study)[key].round_trip_ms * factor}
    if kind == "demand":
        return _with_more_demand(plan, factor), {}
    models = []
    for model in plan.study.models:
        profiles = []
        for profile in model.profiles:
            if profile_id(model.model, profile.name) == figure and kind == "speed":
                slower = tuple(
                    c.model_copy(
                        update={
                            "prefill_tokens_per_second": c.prefill_tokens_per_second * factor,
                            "decode_tokens_per_second": c.decode_tokens_per_second * factor,
                        }
                    )
                    for c in profile.classes
                )
                profile = profile.model_copy(update={"classes": slower})
            elif profile_id(model.model, profile.name) == figure:
                longer = {
                    "load_seconds": profile.load_seconds * factor,
                    "compile_seconds": profile.compile_seconds * factor,
                }
                profile = profile.model_copy(update=longer)
            profiles.append(profile)
        models.append(model.model_copy(update={"profiles": tuple(profiles)}))
    return plan.model_copy(update={"study": plan.study.model_copy(update={"models": tuple(models)})}), {}


def _with_more_demand(plan: PlanFile, factor: float) -> PlanFile:
    rates = ("requests_per_second", "low_requests_per_second", "high_requests_per_second")
    demand = []
    for row in plan.study.demand:
        values = {name: getattr(row, name) for name in rates}
        demand.append(row.model_copy(update={n: v if v is None else v * factor for n, v in values.items()}))
    states_ = []
    for state in plan.states:
        if is_normal((state.hour, state.failure, state.deadline_seconds)):
            sent = tuple(v * factor for v in state.requests_per_second)
            shed = {w: {o: v * factor for o, v in of.items()} for w, of in state.shed.items()}
            state = state.model_copy(update={"requests_per_second": sent, "shed": shed})
        states_.append(state)
    study = plan.study.model_copy(update={"demand": tuple(demand)})
    return plan.model_copy(update={"study": study, "states": tuple(states_)})
