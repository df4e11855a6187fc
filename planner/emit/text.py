"""Text that every reader takes as it was meant: YAML whose strings are all quoted, JSON, cells of Markdown tables."""

import json
import re
from typing import Any

import yaml

_MARKDOWN = re.compile(r"[\\|*_`\[\]#!~<>&]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


class Unsafe(str):
    """Text of a person, which Ansible must not expand."""


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The faster of the two writers where the system has it; both write the same."""


class _Quoted(_Dumper):  # type: ignore[misc]
    """A dumper that quotes every string: `1e3`, `no` and `y` stay strings for every reader."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written out."""
        return True


_Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
_Quoted.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def quoted_yaml(data: Any, comments: tuple[str, ...] = (), ascii_only: bool = True) -> str:
    """Data as YAML with every string, keys too, in double quotes; comments are of our own words only."""
    head = "".join(f"# {line}\n" for line in comments)
    return head + yaml.dump(data, Dumper=_Quoted, sort_keys=False, allow_unicode=not ascii_only, width=10**9)


def yaml_data(text: str) -> Any:
    """What a YAML reader makes of a text, by the faster of the two readers where the system has it."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def json_text(data: Any) -> str:
    """Data as indented JSON, keys in their order, ASCII only."""
    return json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def sorted_json(data: Any, indent: int = 1) -> str:
    """Data as indented JSON, keys sorted."""
    return json.dumps(data, indent=indent, sort_keys=True, ensure_ascii=False) + "\n"


def markdown_cell(text: str) -> str:
    """Text of a person as Markdown that shows it in one cell and does nothing else.

    Examples
    --------
    >>> markdown_cell("ND_v5 | <b>")
    'ND\\\\_v5 \\\\| &lt;b&gt;'
    """
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return _MARKDOWN.sub(lambda match: _ENTITIES.get(match[0], "\\" + match[0]), printable)


def percent(fraction: float) -> str:
    """A share for people, in percent with one decimal."""
    return f"{100 * fraction:.1f} %"
