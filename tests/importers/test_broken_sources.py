"""Every importer answers broken input with findings."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from import_excerpts import DATA, EXCERPTS, Read, adds_up, demand, refused, throughput, with_data, written

from planner.errors import InputError
from planner.importers.prices import read_prices
from planner.importers.round_trips import read_round_trips


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(old, new, 1)


def numbers_to(word: bytes) -> Callable[[bytes], bytes]:
    """Every number in the second half becomes something else."""
    import re

    return lambda raw: raw[: len(raw) // 2] + re.sub(rb"\d+(\.\d+)?", word, raw[len(raw) // 2 :])


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "blank lines": lambda raw: b"\n \n",
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "cut near the end": lambda raw: raw[:-3],
    "only the first line": lambda raw: raw.split(b"\n")[0],
    "without the first line": lambda raw: raw.partition(b"\n")[2],
    "not UTF-8": lambda raw: raw[:40] + b"\xff\xfe" + raw[40:],
    "control character": lambda raw: raw[:40] + b"\x00" + raw[40:],
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "semicolons": lambda raw: raw.replace(b",", b";"),
    "tabs": lambda raw: raw.replace(b",", b"\t"),
    "an open quote": lambda raw: raw[:-20] + b'"' + raw[-20:],
    "NaN": numbers_to(b"NaN"),
    "negative": numbers_to(b"-5"),
    "infinite": numbers_to(b"1e999"),
    "thousands of digits": numbers_to(b"9" * 5000),
    "words for numbers": numbers_to(b'"many"'),
    "nulls": lambda raw: raw.replace(b"{", b"null,{", 3),
    "names in capitals": lambda raw: raw[:200].upper() + raw[200:],
    "a list in a list": lambda raw: b"[" * 5000 + raw + b"]" * 5000,
    "twice": lambda raw: raw + raw,
    "a web page": lambda raw: b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
}
MUST_BE_REFUSED = {"empty", "blank lines", "not UTF-8", "control character", "UTF-16", "semicolons", "tabs",
                   "a list in a list", "a web page"}  # fmt: skip


def answer(read: Read, path: Path) -> str:
    """`rows`, `none` or `refused`; anything else is an error of ours."""
    try:
        imported = read(path)
    except InputError:
        refused(lambda: read(path))
        return "refused"
    adds_up(imported)
    assert imported.as_text() and json.dumps(imported.as_dict())
    return "rows" if imported.rows else "none"


@pytest.mark.parametrize("name", EXCERPTS)
def test_broken_variants_of_excerpts_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    assert answer(read, written(tmp_path, name, text)) == "rows"
    for what, breaking in BROKEN.items():
        path = tmp_path / name
        path.write_bytes(breaking(text.encode()))
        outcome = answer(read, path)
        assert outcome == "refused" or what not in MUST_BE_REFUSED, what
    assert answer(read, tmp_path) == "refused" and answer(read, tmp_path / "absent") == "refused"


@with_data
@pytest.mark.parametrize("name", sorted(p.name for p in (*DATA.glob("samples/*"), *DATA.glob("traces/*"))))
def test_broken_variants_of_samples_and_traces_are_answered(name, tmp_path):
    folder = "samples" if (DATA / "samples" / name).exists() else "traces"
    raw = (DATA / folder / name).read_bytes()
    raw = b"\n".join(raw.split(b"\n")[:200]) if folder == "traces" else raw
    read: Read = demand if folder == "traces" else lambda p: read_prices(p, "2026-11")
    for what, breaking in BROKEN.items():
        path = tmp_path / name
        path.write_bytes(breaking(raw))
        outcome = answer(read, path)
        assert outcome == "refused" or what not in MUST_BE_REFUSED, what


@pytest.mark.parametrize("name", EXCERPTS)
def test_random_mutations_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    rng = random.Random(f"importers {name}")
    words = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"0",
        b"1e400",
        b'"',
        b",",
        b"\n",
        b"true",
        b"NaN",
        b"\xc3",
        b"'",
        b"\\",
    ]
    for _ in range(150):
        raw = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw) + 1)
            raw[at : at + rng.choice((0, 1, 5, 40))] = rng.choice(words)
        path = tmp_path / name
        path.write_bytes(bytes(raw))
        answer(read, path)


def shuffled(rng: random.Random, data: object) -> object:
    """JSON with one value somewhere replaced by one of another type."""
    if isinstance(data, dict) and data and rng.random() < 0.9:
        key = rng.choice(list(data))
        if rng.random() < 0.1:
            return {k: v for k, v in data.items() if k != key}
        return data | {key: shuffled(rng, data[key])}
    if isinstance(data, list) and data and rng.random() < 0.9:
        i = rng.randrange(len(data))
        return [*data[:i], shuffled(rng, data[i]), *data[i + 1 :]]
    if isinstance(data, str) and data.startswith("{"):
        return json.dumps(shuffled(rng, json.loads(data)))
    return rng.choice([None, True, 0, -1, 1.5, 10**400, "", "x", "-1", [], [1], {}, {"a": 1}, [None], "1" * 300])


@pytest.mark.parametrize("name", [name for name in EXCERPTS if name.endswith(".json")])
def test_values_of_other_types_anywhere_in_json_are_answered(name, tmp_path):
    text, read = EXCERPTS[name]
    rng = random.Random(f"types {name}")
    for _ in range(300):
        answer(read, written(tmp_path, name, json.dumps(shuffled(rng, json.loads(text)))))


def test_findings_of_a_large_broken_table_are_listed_up_to_a_limit(tmp_path):
    rows = "".join(f"aws,r{i},aws,s,many,x,2024\n" for i in range(300))
    path = written(tmp_path, "l.csv", "src_cloud,src_region,dst_cloud,dst_region,rtt_ms,source,as_of\n" + rows)
    imported = refused(lambda: read_round_trips(path))
    assert len(imported) == 101 and "200 more" in imported[-1].got


def test_what_belongs_to_another_importer_is_refused_with_what_was_expected(tmp_path):
    of = {"prices": read_prices, "round trips": read_round_trips, "throughput": throughput, "demand": demand}
    mine = {"aws.json": "prices", "sky_aws.csv": "prices", "latency.csv": "round trips", "silicon.csv": "throughput",
            "vllm.json": "throughput", "azure_trace.csv": "demand", "mooncake.jsonl": "demand"}  # fmt: skip
    for name, kind in mine.items():
        path = written(tmp_path, name, EXCERPTS[name][0])
        for other, read in of.items():
            if other != kind:
                assert len(refused(lambda read=read, path=path: read(path))) == 1, (name, other)
