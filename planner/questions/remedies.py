"""What would have helped in an outage, each replayed: how much is lost with it."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.questions.prevention import Remedy
from planner.questions.subjects import Subject
from planner.study.parts import BUILT_IN
from planner.study.records.study import Component, Needs, Study, kind_and_name

TIMES = 10
"""How many times the machines and replicas a replay has that asks whether machines would help at all."""
LEAST_SAVED = 0.01
"""Of the requests that are lost: what saves less helps nobody."""


@dataclass(frozen=True)
class Lost:
    """What an outage costs: requests and USD that are lost."""

    requests: float
    usd: float


@dataclass(frozen=True)
class Help:
    """What would have helped, and what is lost with it.

    Parameters
    ----------
    lost : by a replay; none: it cannot be replayed, so it is not confirmed
    how : what was replayed
    """

    text: str
    lost: Lost | None = None
    how: str = ""


Replay = Callable[[Subject, bool], Lost | None]
"""What is lost on another subject, and whether the outage is to be mapped on it anew; none: it takes nothing there."""


def confirmed(remedies: list[Remedy], subject: Subject, before: Lost, replay: Replay) -> list[Help]:
    """The remedies with which less is lost, as a replay says; last those that cannot be replayed."""
    helps = []
    with_more: Lost | None = None
    for remedy in remedies:
        if remedy.second is not None:
            lost = replay(subject.on(with_second(subject.study, remedy.second)), True) or Lost(0.0, 0.0)
            helps += _if_less(remedy, lost, before, "replayed with it")
        elif remedy.machines:
            with_more = with_more or replay(subject.enlarged(TIMES), False)
            assert with_more is not None
            helps += _if_less(remedy, with_more, before, f"replayed with {TIMES} times the machines and replicas")
    not_replayed = [Help(remedy.text) for remedy in remedies if remedy.second is None and not remedy.machines]
    return helps + not_replayed


def _if_less(remedy: Remedy, lost: Lost, before: Lost, how: str) -> list[Help]:
    """A remedy with which less is lost; else none."""
    if before.requests - lost.requests < LEAST_SAVED * before.requests:
        return []
    return [Help(remedy.text, lost, how)]


def with_second(study: Study, id: str) -> Study:
    """The study with a second component, on which nothing that is lost weighs, wherever one is needed: any of the two.

    It has no limit and needs nothing.
    """
    kind, name = kind_and_name(id)
    second = Component(name=_unused(study, f"second beside {name}"), kind="second" if kind in BUILT_IN else kind)

    def either(needs: Needs) -> Needs:
        if needs.any_of is not None:
            parts = needs.any_of
            beside = (second.id,) if id in parts else ()
            return Needs(any_of=(*(part if isinstance(part, str) else either(part) for part in parts), *beside))
        if needs.all_of is not None:
            return Needs(all_of=tuple(map(_or_second, needs.all_of)))
        return Needs(at_least=needs.at_least, of=tuple(map(_or_second, needs.of or ())))

    def _or_second(part: str | Needs) -> str | Needs:
        if isinstance(part, Needs):
            return either(part)
        return Needs(any_of=(id, second.id)) if part == id else part

    dependencies = tuple(row.model_copy(update={"needs": either(row.needs)}) for row in study.dependencies)
    return study.model_copy(update={"components": (*study.components, second), "dependencies": dependencies})


def _unused(study: Study, name: str) -> str:
    """A name that no component has."""
    known = {component.name for component in study.components}
    n, unused = 2, name[:180]
    while unused in known:
        unused, n = f"{name[:180]} ({n})", n + 1
    return unused
