"""A study in another order."""

import random
from collections.abc import Callable
from typing import Any

from planner.study.records.study import Study


def shuffled(study: Study, seed: int, called: Callable[[int], str] = "z{:02}".format) -> Study:
    """The study in another order, with other names of what names are free for: the same study."""
    data = study.model_dump(mode="json", by_alias=True)
    g = random.Random(seed)
    for value in data.values():
        if isinstance(value, list):
            g.shuffle(value)
    for model in data["models"]:
        g.shuffle(model["profiles"])
    for tier in data["tiers"]:
        g.shuffle(tier["survive"])
    names = [site["provider"] for site in data["sites"]] + [o["name"] for o in data["origins"]]
    names += [r["name"] for kind in ("workloads", "tiers", "machine_types", "failures") for r in data[kind]]
    names += [m["model"] for m in data["models"]] + [site["site"] for site in data["sites"]]
    names += [q["stack"] for m in data["models"] for q in m["qualifications"]]
    fresh = {name: called(i) for i, name in enumerate(g.sample(sorted(set(names)), len(set(names))))}
    kinds = {"site", "stack", "pool", "provider", "any", "normal"}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed(key) if ":" in key else key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        if isinstance(value, str) and value not in kinds:
            kind, colon, rest = value.rpartition(":")
            return kind + colon + "/".join(fresh.get(part, part) for part in rest.split("/"))
        return value

    return Study.model_validate({**renamed(data), "policies": data["policies"], "study": "renamed"})
