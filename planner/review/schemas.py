"""JSON Schema of the files that people write, for editors: as strict as the reader, as far as JSON Schema can say it.

What only the reader knows: names that must lead somewhere, sums and comparisons of two fields, days that a month does
not have, `16.0` where a whole number is asked for, `.nan`, anchors and aliases. `planner check` says these.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from planner.emit import quotas
from planner.errors import InputError, refusal
from planner.questions.patches import PatchRecord
from planner.review.report_file import ReportFile
from planner.study.records import components, gate, inventory, outages, plan, policies, serving, study
from planner.study.records.base import Record

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENDING = ".schema.json"
DATE = {
    "type": "string",
    "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
    "patternErrorMessage": "a date: 2026-03-14",
}
TIME = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[-+]\d{2}:?\d{2})$",
    "patternErrorMessage": "a time in UTC: 2026-03-14T09:30Z",
}
FORMATS: Mapping[str, Schema] = {"date": DATE, "date-time": TIME}
"""Format -> how it is said instead: as the reader reads it, which needs no seconds."""

RECORDS: Mapping[str, type[Record]] = {
    "study": study.StudyFile,
    "change": PatchRecord,
    "policy": gate.GatePolicy,
    "model": serving.Model,
    "machine-type": inventory.MachineType,
    "context-class": serving.ContextClass,
    "outage": outages.Outage,
    "site": inventory.Site,
    "zone": inventory.Zone,
    "storage": inventory.StorageRate,
    "round-trip": inventory.RoundTrip,
    "pool": inventory.Pool,
    "offer": inventory.Offer,
    "price": inventory.Price,
    "demand": study.Demand,
    "request-cost": study.RequestCost,
    "fleet": study.RunningReplicas,
    "quota": quotas.QuotaToday,
    "plan": plan.PlanFile,
    "report": ReportFile,
}
"""Schema -> record of a file in YAML, of an element of one, or of a row of a CSV."""
LISTS: Mapping[str, str] = {
    "machine_types": "machine-type",
    "context_classes": "context-class",
    "outages": "outage",
}
"""Field of a file that holds one list -> schema of its elements; the schema of the file is called like the field."""
IN_YAML = ("study", "change", "matrix", "policy", "model", "machine-types", "context-classes", "outages")
"""Schemas of files that an editor checks: what stands beside a study, and what is committed in docs/schemas."""
WRITTEN_BY_PROGRAMS = ("plan", "report")


def schema_names() -> tuple[str, ...]:
    """Every schema that there is."""
    return (*IN_YAML, *(name for name in RECORDS if name not in IN_YAML))


def schema_files(in_yaml_only: bool = False) -> dict[str, str]:
    """File name -> text of the schema of every file that people write; or of those in YAML."""
    names = IN_YAML if in_yaml_only else [name for name in schema_names() if name not in WRITTEN_BY_PROGRAMS]
    return {name + ENDING: schema_text(name) for name in names}


def schema_text(name: str) -> str:
    """A schema as the text of a file."""
    return json.dumps(schema_of(name), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def schema_of(name: str) -> Schema:
    """The schema of a file, or of a record in it.

    Raises
    ------
    InputError
        when there is none of that name
    """
    if name in RECORDS:
        schema = _of_record(RECORDS[name])
    elif name == "matrix":
        schema = _of_matrix()
    elif (field := name.replace("-", "_")) in LISTS:
        schema = _of_list(field)
    else:
        raise unknown_schema(name)
    return {"$schema": DIALECT, **schema}


def unknown_schema(name: str) -> InputError:
    """What is said of a name that leads to no schema."""
    return refusal("show", "a schema", repr(name), f"write one of: {', '.join(schema_names())}")


# ------------------------------------------------------------------ files
def _of_record(record: type[Record]) -> Schema:
    """A record, and all records within it, with what their validators ask."""
    schema = record.model_json_schema()
    parts = {record.__name__: schema, **schema.get("$defs", {})}
    for cls, conditions in CONDITIONS.items():
        if cls.__name__ in parts:
            parts[cls.__name__]["allOf"] = list(conditions)
    return {**_tidy(schema), "title": record.__name__}


def _of_list(field: str) -> Schema:
    """A file that holds one list."""
    element = _of_record(RECORDS[LISTS[field]])
    inner = element.pop("$defs", {})
    return {
        **_object({field: {"type": "array", "items": {"$ref": "#/$defs/element"}}}, [field]),
        "description": f"a list under `{field}:`",
        "$defs": {**inner, "element": element},
    }


def _of_matrix() -> Schema:
    """Axes of changes: each written out, or the name of its file."""
    change = _of_record(PatchRecord)
    level = {"anyOf": [{"$ref": "#/$defs/change"}, {"type": "string", "description": "file of a change"}]}
    axes = {
        "type": "object",
        "minProperties": 1,
        "description": "name of an axis: its changes, one of which is in a variant; their product is planned",
        "additionalProperties": {"type": "array", "minItems": 1, "items": level},
    }
    return {**_object({"axes": axes}, ["axes"]), "$defs": {"change": change}}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


# ------------------------------------------------------------------ as the reader reads
def _tidy(node: Any) -> Any:
    """A schema without what only repeats (titles made of names, defaults that say nothing); formats as read."""
    if isinstance(node, list):
        return [_tidy(part) for part in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not _says_nothing(key, value)}
    if node.get("format") in FORMATS:
        del tidy["format"]
        tidy |= FORMATS[node["format"]]
    if node.get("type") == "number":  # no number of a file is infinite
        if "maximum" not in node and "exclusiveMaximum" not in node:
            tidy["maximum"] = sys.float_info.max
        if "minimum" not in node and "exclusiveMinimum" not in node:
            tidy["minimum"] = -sys.float_info.max
    return _in_one(tidy)


def _in_one(node: Schema) -> Schema:
    """Alternatives of plain values, as text or null, in one: editors offer what may stand only where nothing parts it.

    Words of a list, where any other text may stand as well, become examples: they are offered, and bind nobody.
    """
    alternatives = node.get("anyOf", [])
    if not alternatives or not all(isinstance(alternative.get("type"), str) for alternative in alternatives):
        return node
    one = {key: value for key, value in node.items() if key != "anyOf"}
    words = [word for alternative in alternatives for word in alternative.get("enum", ())]
    others = [alternative for alternative in alternatives if "enum" not in alternative]
    types = list(dict.fromkeys(alternative["type"] for alternative in alternatives))
    if words and all(alternative["type"] == "null" for alternative in others):
        return {**one, "enum": [*words, *(None for _ in others)]}
    for alternative in others:
        one |= {key: value for key, value in alternative.items() if key != "type"}
    if words:
        one["examples"] = words
    return {**one, "type": types}


def _says_nothing(key: str, value: Any) -> bool:
    """Whether an entry of a schema can be left out; where `title` is the name of a field, it is a schema."""
    if key == "title":
        return isinstance(value, str)
    return key == "default" and (value is None or value == [] or (isinstance(value, dict) and "type" not in value))


# ------------------------------------------------------------------ what validators of records ask
def _said(*names: str) -> Schema:
    """Fields that are there, and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


def _is(name: str, *values: Any) -> Schema:
    """A field that is there with one of these values."""
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def _only_with(names: Schema, needed: Schema) -> Schema:
    """What is asked for where something is said."""
    return {"if": names, "then": needed}


def _one_of(*names: str) -> Schema:
    """One of several fields, and one only."""
    return {"oneOf": [_said(name) for name in names]}


def _with(*values: str) -> Schema:
    """Effects with one of these among them."""
    return {"properties": {"effects": {"contains": {"enum": list(values)}}}}


def _parts(said: Schema) -> Schema:
    return {"properties": {"parts": {"items": said}}}


_FILLED = {"minItems": 1}
_WAITING_DEFAULTS = {name: {"const": policies.Utilisation.model_fields[name].default} for name in policies.BY_WAITING}
_WRONG = _with("wrong_answers")

CONDITIONS: Mapping[type[Record], tuple[Schema, ...]] = {
    study.Horizon: (
        {"anyOf": [{"required": ["months"]}, _said("quarters"), {"required": ["periods"]}]},
        _only_with(_said("quarters"), {"properties": {"periods": {"maxItems": 0}}}),
    ),
    study.Origin: ({"anyOf": [_said("near"), _said("latitude", "longitude")]},),
    study.Goal: (
        _one_of("any", "failure", "outage"),
        _only_with(_said("where"), _said("outage")),
    ),
    study.Tier: (
        _only_with(_said("outage_usd_per_hour"), {"properties": {"outage_usd_per_request": {"maximum": 0}}}),
        {"properties": {"deferrable_hours": {"anyOf": [{"maximum": 0}, {"minimum": 24}]}}},
    ),
    components.Needs: (
        _one_of("all_of", "any_of", "at_least"),
        _only_with(_said("at_least"), _said("of")),
        _only_with(_said("of"), _said("at_least")),
        {"properties": {"all_of": _FILLED, "any_of": _FILLED, "of": _FILLED}},
    ),
    components.Dependency: (
        _only_with(_is("breaks", "new_logins"), _said("sessions_go_on_fraction")),
        _only_with(_said("sessions_go_on_fraction"), _is("breaks", "new_logins")),
    ),
    components.NamedFailure: (
        _only_with(_said("hours_to_new_weights"), _is("failover", "rescale")),
        _only_with(_said("hours_to_find_out"), _is("answers_wrongly", True)),
    ),
    policies.Utilisation: (_only_with(_is("basis", "fixed"), {"properties": _WAITING_DEFAULTS}),),
    outages.LostPart: (
        _only_with(_is("kind", "control_plane", "provider", "region", "zone"), _said("provider")),
        _only_with(_is("kind", "region", "zone"), _said("region")),
        _only_with(_is("kind", "zone"), _said("zones", "zones_in_region")),
        _only_with(_is("kind", "machines"), {"required": ["accelerators"], "properties": {"accelerators": _FILLED}}),
        _only_with(_is("kind", "stack"), _said("stack")),
        _only_with(_is("kind", "qualification"), {"anyOf": [_said("stack"), _said("model")]}),
        _only_with(_is("kind", *outages.OF_MACHINES), _with("serving", "wrong_answers")),
        _only_with(_is("kind", "control_plane"), {"allOf": [_with("starting"), {"not": _with("serving")}]}),
    ),
    outages.Outage: ({"anyOf": [_parts(_WRONG), _parts({"not": _WRONG})]},),
    gate.SurviveRule: (_one_of("any", "failure"),),
    gate.ChangeRule: ({"anyOf": [_said("most_cost_growth_fraction"), _said("most_machines_removed")]},),
}
"""Record -> what its validators ask, as far as JSON Schema can say it; a test holds both to the same mistakes."""
