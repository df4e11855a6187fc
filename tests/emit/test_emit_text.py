"""YAML by the faster writer: letter for letter what the slower one writes, for every string."""

import pytest
import yaml
from emitting import hostile_names

from planner.emit import text


class Slow(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


@pytest.fixture(scope="module", autouse=True)
def as_text_does():
    for kind, tag in ((str, "tag:yaml.org,2002:str"), (text.Unsafe, "!unsafe")):
        Slow.add_representer(kind, lambda dumper, said, tag=tag: dumper.represent_scalar(tag, str(said), style='"'))


@pytest.mark.parametrize("ascii_only", [True, False])
def test_both_writers_write_the_same(ascii_only):
    if not hasattr(yaml, "CSafeDumper"):
        pytest.skip("this yaml has no libyaml: there is one writer")
    names = hostile_names()
    data = {
        "names": names,
        "keys": {name: [name, {"in": text.Unsafe(name)}] for name in names},
        "others": [[1, -2], {}, [], None, True, 1.5, 1e-7, 1e22],
    }
    slow = yaml.dump(data, Dumper=Slow, sort_keys=False, allow_unicode=not ascii_only, width=10**9)
    assert text.quoted_yaml(data, ascii_only=ascii_only) == slow
