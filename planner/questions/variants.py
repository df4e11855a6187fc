"""Variants of a study: patches, and the product of axes of patches."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import Finding, InputError, refusal
from planner.plan.file import canonical
from planner.questions.patched import patched
from planner.questions.patches import Patch, patch_of, read_patch
from planner.study.places import Place, Reading, quoted, sorted_findings
from planner.study.records.study import Study
from planner.study.tables import read_yaml

MOST_VARIANTS = 64
AS_IT_IS = "as it is"
"""What a variant without changes is called: the study itself."""
BETWEEN = " + "


@dataclass(frozen=True)
class Variant:
    """A study with changes.

    Parameters
    ----------
    patches : what is changed, in the order in which the difference in cost is attributed; the plan depends on none
    asked : False for a variant that is only planned to attribute the difference of another
    """

    patches: tuple[Patch, ...]
    asked: bool = True

    @property
    def name(self) -> str:
        """The names of its patches."""
        return BETWEEN.join(patch.name for patch in self.patches) or AS_IT_IS

    @property
    def key(self) -> tuple[str, ...]:
        """The same for variants that change the same."""
        changes = (change for patch in self.patches for change in patch.changes)
        return tuple(sorted(f"{change.action} {change.path} {canonical(change.value)}" for change in changes))

    def before_last(self) -> "Variant":
        """The variant without its last patch: what the last one is attributed against."""
        return Variant(self.patches[:-1], asked=False)


def read_axes(path: Path, reading: Reading) -> list[tuple[Patch, ...]]:
    """The axes of a matrix: `axes:` with lists of patches, or of names of files that hold one, by name of the axis."""
    document = read_yaml(path, reading)
    if document is None:
        return []
    data, place = document
    for name in data:
        if name != "axes":
            reading.error(place.at(name), "a known field", quoted(name), "the only field here is axes")
    axes = data.get("axes")
    if not isinstance(axes, dict) or not axes:
        fix = "write `axes:`, below it a name, and below that patches after `- `"
        reading.error(place.at("axes"), "axes with patches", quoted(axes), fix)
        return []
    return [_axis(name, items, place, path, reading) for name, items in axes.items()]


def _axis(name: str, items: object, place: Place, path: Path, reading: Reading) -> tuple[Patch, ...]:
    if not isinstance(items, list) or not items:
        reading.error(
            place.at("axes", name), "a list of patches", quoted(items), "write each after `- `, with its name"
        )
        return ()
    patches = []
    for i, item in enumerate(items):
        if isinstance(item, str):
            patch = read_patch(path.parent / item, reading)
        else:
            patch = patch_of(item, place.within("axes", name, i), reading)
        if patch is not None:
            patches.append(patch)
    for twice in _twice(patches):
        reading.error(place.at("axes", name), "each name once in an axis", quoted(twice), "rename one of them")
    return tuple(patches)


def _twice(named: Iterable[Patch | Variant]) -> list[str]:
    """Names that stand more than once."""
    return sorted(name for name, n in Counter(one.name for one in named).items() if n > 1)


def variants_of(
    common: Sequence[Patch], axes: Sequence[tuple[Patch, ...]], most: int = MOST_VARIANTS, steps: bool = False
) -> tuple[Variant, ...]:
    """The product of the axes, each with the common patches; variants that change the same only once.

    Parameters
    ----------
    common : patches of every variant
    axes : one patch of each is in a variant; one that changes nothing stands for the study as it is
    most : variants that are planned at most
    steps : whether each variant's patches are also planned one after the other, to attribute its difference

    Raises
    ------
    InputError
        when there are more than `most`, or two that differ are called the same
    """
    wanted = [Variant(tuple(p for p in (*common, *cell) if p.changes)) for cell in itertools.product(*axes)]
    # of variants that change the same the first one stands, in the place of the last
    last_first = {variant.key: variant for variant in reversed(wanted) if variant.key}
    by_key = dict(reversed(last_first.items()))
    if steps:
        for variant in list(by_key.values()):
            while len(variant.patches) > 1:
                variant = variant.before_last()
                by_key.setdefault(variant.key, variant)
    every = tuple(by_key.values())
    for name in _twice(every):
        fix = "give each change a name of its own"
        raise refusal("whatif", "variants with different names", f"two called {quoted(name)}", fix)
    if len(every) > most:
        sizes = " x ".join(str(len(axis)) for axis in axes)
        fix = "leave out levels of an axis, ask in several matrices, or raise --most"
        got = f"{len(every)} ({sizes} levels{' and the steps between' if steps else ''})"
        raise refusal("whatif", f"at most {most} variants to plan", got, fix)
    return every


def studies_of(study: Study, variants: Iterable[Variant]) -> tuple[list[Study], list[Finding]]:
    """The study of each variant, and the warnings.

    Raises
    ------
    InputError
        with every finding, when one of them is an error
    """
    studies = []
    errors, warnings = list[Finding](), dict[tuple[str, str, str], Finding]()
    for variant in variants:
        changed, findings = patched(study, variant.patches, variant.name)
        for finding in findings:
            if finding.level == "error":
                errors.append(finding)
            else:  # one that several variants of a matrix have is that of the first
                key = (finding.where.partition(": ")[2], finding.expected, finding.got)
                warnings.setdefault(key, finding)
        if changed is not None:
            studies.append(changed)
    if errors:
        raise InputError(sorted_findings(errors))
    return studies, sorted_findings(list(warnings.values()))
