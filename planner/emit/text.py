"""Text that every reader takes as it was meant: YAML whose strings are all quoted, JSON in one form."""

import json
from typing import Any

import yaml


class _Quoted(yaml.SafeDumper):
    """A dumper that quotes every string: `1e3`, `no` and `y` stay strings for every reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoted.add_representer(str, _string)


def quoted_yaml(data: Any, comments: tuple[str, ...] = ()) -> str:
    """Data as YAML with every string, keys too, in double quotes and ASCII; comments are of our own words only."""
    head = "".join(f"# {line}\n" for line in comments)
    return head + yaml.dump(data, Dumper=_Quoted, sort_keys=False, allow_unicode=False, width=10**9)


def yaml_data(text: str) -> Any:
    """What a YAML reader makes of a text, by the faster of the two readers where it is there."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def json_text(data: Any) -> str:
    """Data as indented JSON, keys in their order, ASCII only."""
    return json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
