"""That profiles fit their machine, their model, the classes they admit, and memory."""

from itertools import pairwise

from planner.study.checks.components import component_places
from planner.study.memory import holds_in_memory, live_tokens_of, memory_needed_gib, memory_texts, usable_memory_gib
from planner.study.parts import Parts
from planner.study.places import Place, Reading, listed, near_miss, quoted, unique, unquoted
from planner.study.records.inventory import MachineType
from planner.study.records.serving import MEMORY_FRACTION, ContextClass, Model, Profile
from planner.study.records.study import Horizon, Workload, kind_and_name


def check_profiles(parts: Parts, reading: Reading) -> None:
    """Report profiles that do not fit, or that nothing can use."""
    _check_models(parts, reading)
    _check_named_placements(parts, reading)
    _check_packing(parts, reading)


def _check_models(parts: Parts, reading: Reading) -> None:
    """Profiles fit their machine, their model and the classes they admit."""
    for name, (model, place) in sorted(parts.models.items()):
        profiles = place.rows(model.profiles, "profiles")
        unique(profiles, lambda profile: profile.name, reading)
        full = model.facts.full_attention_layers
        if full is not None and full > model.facts.layers:
            where, most = place.at("facts", "full_attention_layers"), model.facts.layers
            reading.error(where, f"at most {most}, the layers there are", str(full), "correct one of the two")
        for profile, at in profiles:
            _check_profile(model, profile, at, parts, reading)
        last = parts.file.horizon.last_day
        for qualification, at in place.rows(model.qualifications, "qualifications"):
            if reading.any_broken(Horizon):
                break
            if name in parts.used_models and qualification.until and qualification.until < last:
                expected = f"a qualification that holds until {last}, the last day of the horizon"
                fix = "qualify the model for longer and correct the date; as it is nothing runs on that stack"
                got = f"one of {quoted(name)} on {quoted(qualification.stack)} until {qualification.until}"
                reading.warning(at.at("until"), expected, got, fix)


def _check_profile(model: Model, profile: Profile, place: Place, parts: Parts, reading: Reading) -> None:
    """One profile of a model."""
    classes = parts.context_classes
    for point, at in unique(place.rows(profile.classes, "classes"), lambda point: point.context_class, reading):
        name, limit = point.context_class, profile.context_limit_tokens
        if not reading.refer(at.at("context_class"), ContextClass, "a context class", name, classes):
            continue
        if (most := classes[name][0].most_tokens) > limit:
            expected = f"a class of at most {limit} tokens, the profile's context_limit_tokens"
            fix = "raise context_limit_tokens, or leave the class out"
            reading.error(at.at("context_class"), expected, f"{quoted(name)} with up to {most}", fix)
    if profile.context_limit_tokens > model.facts.context_limit_tokens:
        expected = f"at most {model.facts.context_limit_tokens} tokens, the model's context_limit_tokens"
        fix = "lower it to what the model was made for"
        reading.error(place.at("context_limit_tokens"), expected, str(profile.context_limit_tokens), fix)
    if profile.machine_type not in parts.machine_types:
        hint = near_miss(profile.machine_type, parts.machine_types, 0.9)
        if hint and not reading.any_broken(MachineType):
            fix = "correct it if it is a mistake; as it is, the profile is not used"
            where, got = place.at("machine_type"), quoted(profile.machine_type) + hint
            reading.warning(where, "a machine type of the inventory", got, fix)
        return
    machine = parts.machine_types[profile.machine_type][0]
    chips = profile.accelerators_per_replica
    if chips > machine.accelerators:
        expected = f"at most {machine.accelerators}, the accelerators of one {unquoted(machine.name)}"
        fix = "a replica cannot span machines: use a larger machine type, or fewer accelerators"
        reading.error(place.at("accelerators_per_replica"), expected, str(chips), fix)
    elif profile.machine_type in parts.considered_machine_types:
        _check_memory(model, profile, machine, place, parts, reading)


def _check_memory(
    model: Model, profile: Profile, machine: MachineType, place: Place, parts: Parts, reading: Reading
) -> None:
    """The memory of a replica holds the requests of each workload that its profile admits."""
    if f"{model.model}/{profile.name}" in parts.shipped_profiles:
        return  # an edge is missing, with the reason; naming it is an error
    held, too_long = _by_memory(model, profile, machine, parts)
    if not too_long:
        return
    worst = max(too_long, key=lambda workload: live_tokens_of(workload, profile))
    needed = memory_needed_gib(model.facts, profile, live_tokens_of(worst, profile))
    usable = usable_memory_gib(profile, machine)
    cache = needed - profile.weights_gib
    of_chips = f"{profile.accelerators_per_replica} x {machine.memory_gib_per_accelerator:g} GiB"
    expected = f"at most {usable:.1f} GiB, {MEMORY_FRACTION:g} of {of_chips}"
    got = f"{needed:.1f} GiB: weights {profile.weights_gib:.1f}, cache {cache:.1f} for {quoted(worst.name)}"
    limit = int((usable - profile.weights_gib) / cache * profile.concurrency_limit) if cache > 0 else 0
    fix = _less_memory(profile, limit)
    if held:
        fix += f"; as it is, it serves only {listed(workload.name for workload in held)}"
        reading.warning(place.at("concurrency_limit"), expected, got, fix)
    else:
        reading.error(place.at("concurrency_limit"), expected, got, fix)


def _by_memory(
    model: Model, profile: Profile, machine: MachineType, parts: Parts
) -> tuple[list[Workload], list[Workload]]:
    """The workloads that a profile admits: those whose requests its memory holds, and those whose it does not."""
    admitted = {point.context_class for point in profile.classes}
    served = [
        workload
        for workload, _ in parts.workloads
        if workload.model == model.model
        and workload.context_class in admitted
        and (not workload.precisions or profile.precision in workload.precisions)
        and set(workload.features) <= set(profile.features)
    ]
    held = [workload for workload in served if holds_in_memory(model.facts, profile, machine, workload)]
    return held, [workload for workload in served if workload not in held]


def _less_memory(profile: Profile, limit: int) -> str:
    """How to make a profile fit in memory, where so many requests in flight do: fewer of them make fewer tokens."""
    if limit < 1:
        return "use more accelerators per replica, and the rates measured on them"
    share = limit / profile.concurrency_limit
    rates = [f"{share * p.decode_tokens_per_second:.4g} ({unquoted(p.context_class)})" for p in profile.classes]
    return (
        f"lower concurrency_limit to {limit}, and decode_tokens_per_second with it, measured there or in proportion: "
        f"{', '.join(rates)}; or use more accelerators per replica"
    )


def _check_named_placements(parts: Parts, reading: Reading) -> None:
    """A placement that failures or dependencies name holds the requests of some workload."""
    for id, where in component_places(parts):
        kind, name = kind_and_name(id)
        if kind != "placement" or name not in parts.placements:
            continue
        model, profile, _ = parts.placements[name]
        if profile.machine_type not in parts.machine_types:
            continue
        machine = parts.machine_types[profile.machine_type][0]
        held, too_long = _by_memory(model, profile, machine, parts)
        if too_long and not held:
            worst = max(too_long, key=lambda workload: live_tokens_of(workload, profile))
            expected, got = memory_texts(model.facts, profile, machine, worst)
            fix = "name a placement of another profile; as it is, nothing runs on this one"
            reading.error(where, expected, got, fix)


def _check_packing(parts: Parts, reading: Reading) -> None:
    """Replicas of different sizes share machines by fractions, which always packs when each size divides the next."""
    sizes: dict[str, dict[int, str]] = {}
    for name, (model, _) in sorted(parts.models.items()):
        for profile in model.profiles if name in parts.used_models else ():
            sizes.setdefault(profile.machine_type, {}).setdefault(
                profile.accelerators_per_replica, f"{name}/{profile.name}"
            )
    for machine_type in sorted(set(sizes) & parts.considered_machine_types & set(parts.machine_types)):
        for (small, a), (large, b) in pairwise(sorted(sizes[machine_type].items())):
            if large % small:
                machine = unquoted(machine_type)
                reading.warning(
                    parts.machine_types[machine_type][1].at("accelerators"),
                    f"sizes of replicas that divide each other, so that they fill {machine} whole",
                    f"{small} accelerators ({unquoted(a)}) beside {large} ({unquoted(b)})",
                    "they are planned by fractions of a machine: keep some machines spare, or align the sizes",
                )
