"""Custom resources checked as an API server does: structure, unknown fields, defaults, then the rules in CEL.

The schemas are those of the custom resource definitions; nothing unknown passes, and a rule that the CEL library cannot
read is told, never passed over in silence.
"""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """(apiVersion, kind in lower case) -> schema, of definitions in YAML and of schemas in JSON; read once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".yaml":
            spec = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)["spec"]
            for version in spec["versions"]:
                key = f"{spec['group']}/{version['name']}", spec["names"]["kind"].lower()
                found[key] = version["schema"]["openAPIV3Schema"]
        elif path.suffix == ".json":
            group, kind, version = path.stem.rsplit("_", 2)
            found[f"{group}/{version}", kind.lower()] = json.loads(path.read_text(encoding="utf-8"))
    return found


def closed(schema: Any) -> Any:
    """The schema with every object closed to unknown fields, and OpenAPI's own words as JSON Schema's."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key in ("enum", "default", "required") else closed(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.pop("format", None)
    if "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = bool(made.get("x-kubernetes-preserve-unknown-fields"))
    if made.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def with_defaults(schema: dict[str, Any], data: Any) -> Any:
    if isinstance(data, list):
        return [with_defaults(schema.get("items", {}), item) for item in data]
    if not isinstance(data, dict):
        return data
    fields = schema.get("properties", {})
    missing = {k: copy.deepcopy(f["default"]) for k, f in fields.items() if k not in data and "default" in f}
    return {k: with_defaults(fields.get(k, {}), v) for k, v in {**data, **missing}.items()}


def broken_rules(schema: dict[str, Any], data: Any, where: str = "") -> Iterator[str]:
    """Rules in CEL that do not hold; those about the object before a change are left out."""
    import cel

    for rule in schema.get("x-kubernetes-validations") or ():
        if "oldSelf" in rule["rule"]:
            continue
        try:
            holds = cel.evaluate(rule["rule"], {"self": data})
        except Exception as error:
            yield f"{where}: cannot be read: {rule['rule'][:80]}: {str(error)[:80]}"
            continue
        if holds is not True:
            yield f"{where}: {rule.get('message') or rule['rule']}"
    if isinstance(data, dict):
        for key, value in data.items():
            if key in schema.get("properties", {}):
                yield from broken_rules(schema["properties"][key], value, f"{where}.{key}")
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from broken_rules(schema.get("items", {}), value, f"{where}[{i}]")


def problems(schemas: dict[tuple[str, str], dict[str, Any]], data: dict[str, Any]) -> list[str]:
    """Everything that an API server would refuse in a custom resource."""
    from jsonschema import Draft7Validator

    schema = schemas[data["apiVersion"], data["kind"].lower()]
    strict = closed(schema)
    strict["properties"] = {**strict["properties"], "metadata": {"type": "object"}}
    found = [
        f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in Draft7Validator(strict).iter_errors(data)
    ]
    return found or list(broken_rules(schema, with_defaults(schema, data)))
