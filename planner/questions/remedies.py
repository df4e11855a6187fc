"""What would have helped in an outage, each replayed: how much is lost with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.questions.prevention import Remedy
from planner.questions.subjects import Subject
from planner.study.parts import BUILT_IN
from planner.study.records.study import Component, Needs, Study, kind_and_name

TIMES = 10
"""How many times the machines and replicas a replay has that asks whether machines would help at all."""
LEAST_SAVED = 0.01
"""Of the requests that are lost: what saves less helps nobody."""

NEW_WEIGHTS = "new weights for gateways in failures, and replicas started where machines are free"


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
    how : what was replayed, where it is more than the text says
    """

    text: str
    lost: Lost | None = None
    how: str = ""


Replay = Callable[[Subject, bool], Lost | None]
"""What is lost on another subject, and whether the outage is to be mapped on it anew; none: it takes nothing there."""


def confirmed(remedies: Sequence[Remedy], subject: Subject, before: Lost, replay: Replay, can_push: bool) -> list[Help]:
    """The remedies with which less is lost, as a replay says; last those that cannot be replayed.

    Parameters
    ----------
    can_push : whether gateways could be given new weights
    """
    helps = []
    for remedy in remedies:
        if remedy.second is not None:
            lost = replay(subject.on(with_second(subject.study, remedy.second)), True) or Lost(0.0, 0.0)
            helps += _if_less(Help(remedy.text, lost), before, before)
    reweighted = subject.reweighted() if can_push and remedies else None
    by_weights = None if reweighted is None else replay(reweighted, False)
    helps += _if_less(Help(NEW_WEIGHTS, by_weights), before, before)
    if machines := [remedy.text for remedy in remedies if remedy.machines]:
        with_more = replay((reweighted or subject).enlarged(TIMES), False)
        how = f"with {TIMES} times the machines and replicas{'' if reweighted is None else ', and new weights'}"
        less = _if_less(Help("; ".join(machines), with_more, how), by_weights or before, before)
        helps += less
        if not less and not can_push:  # weights that are spread otherwise may carry it: a plan would say
            helps.append(Help("; ".join(machines)))
    return helps + [Help(remedy.text) for remedy in remedies if remedy.second is None and not remedy.machines]


def _if_less(help: Help, otherwise: Lost, before: Lost) -> list[Help]:
    """What saves a part of what is lost, against what is lost otherwise; else none."""
    if help.lost is None or otherwise.requests - help.lost.requests < LEAST_SAVED * before.requests:
        return []
    return [help]


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
