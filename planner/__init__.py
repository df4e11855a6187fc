"""Plans where AI model-serving workloads run: failover-ready, at the lowest cost, with a proof.

For programs: `read_study`, `read_plan`, `read_fleet`, `plan`, `audit`, `drill`, `explain`, `outages`, `simulate`,
`relaxations`, `alternatives`, `review`, `brief`, `gate`, `render`, `workbook`, `tables` and `program_text`
(planner/api.py, docs/python.md).
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from planner.api import (
        alternatives,
        audit,
        brief,
        drill,
        explain,
        gate,
        outages,
        plan,
        program_text,
        read_fleet,
        read_plan,
        read_study,
        relaxations,
        render,
        review,
        simulate,
        tables,
        workbook,
    )

__all__ = [
    "__version__",
    "alternatives",
    "audit",
    "brief",
    "drill",
    "explain",
    "gate",
    "outages",
    "plan",
    "program_text",
    "read_fleet",
    "read_plan",
    "read_study",
    "relaxations",
    "render",
    "review",
    "simulate",
    "tables",
    "workbook",
]
FOLDERS = ("drill", "plan", "review")
"""What is public and a folder, too: `planner.plan` holds modules, `planner.plan(study)` plans."""


class _Verb(ModuleType):
    """A folder that can be called: the function of its name in planner/api.py."""

    def __call__(self, *given: Any, **options: Any) -> Any:
        return getattr(import_module("planner.api"), self.__name__.removeprefix("planner."))(*given, **options)


class _Package(ModuleType):
    """The package: folders become callable when the import system puts them here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FOLDERS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """What is public, imported when it is first asked for: `planner --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'planner' has no attribute {name!r}")
    return import_module(f"planner.{name}") if name in FOLDERS else getattr(import_module("planner.api"), name)
