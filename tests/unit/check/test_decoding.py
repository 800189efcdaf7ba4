"""Types stand in for JSON Schema: what it refuses is refused, by the code that it would be given.

A type may be stricter: it does not take 1.0 for an integer. The two are held together over
thousands of mutations of good documents and records, each spelled canonically, so that nothing but
its content is wrong.
"""

import random
from typing import Any

import msgspec
import pytest

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.check import schema
from kit.check.decoding import LARGE_FIELDS, Validators
from kit.plan.plan import CachePolicy
from tests.factory import Settings, draft, schemas
from tests.mutations import changed

VALIDATORS = Validators(schemas())

SEED = 20260306
MUTATIONS = 2000


def _documents() -> list[dict[str, Any]]:
    kinds = (
        Settings(),
        Settings(runtime=Runtime.ENDPOINT),
        Settings(stop_after=2, cache=CachePolicy.COLD),
        Settings(topology="tp2-pcie", model="moe"),
    )
    return [msgspec.json.decode(draft(kind).seal()[bag.DOCUMENT]) for kind in kinds]


def _records() -> list[dict[str, Any]]:
    lines = draft(Settings(passes=1, stop_after=5)).seal()[bag.RECORDS].splitlines()
    return [msgspec.json.decode(line) for line in lines]


def _refused_by_schema(value: dict[str, Any], name: str) -> bool:
    validator = VALIDATORS.document if name == bag.DOCUMENT else VALIDATORS.record
    if name == bag.RECORDS:
        value = {key: inner for key, inner in value.items() if key not in LARGE_FIELDS}
    return next(iter(validator.iter_errors(value)), None) is not None


def _failed(name: str, text: bytes) -> set[str]:
    reading = schema.read({name: text}, VALIDATORS)
    return {code for code, problems in reading.problems.items() if problems}


@pytest.mark.parametrize("name", [bag.DOCUMENT, bag.RECORDS])
def test_what_the_schema_refuses_is_refused_with_its_code(name: str) -> None:
    noise = random.Random(SEED)
    good = _documents() if name == bag.DOCUMENT else _records()
    refused = 0
    for _ in range(MUTATIONS):
        value = changed(noise.choice(good), noise.randrange(2**16), noise.randrange(2**8))
        failed = _failed(name, msgspec.json.encode(value, order="sorted") + b"\n")
        if _refused_by_schema(value, name):
            refused += 1
            assert failed & {"schema-shape", "schema-version"}, value
    assert MUTATIONS // 3 < refused < MUTATIONS


@pytest.mark.parametrize("name", [bag.DOCUMENT, bag.RECORDS])
def test_good_ones_are_read_without_the_schema(name: str) -> None:
    good = _documents() if name == bag.DOCUMENT else _records()
    fresh = Validators({})  # would raise KeyError if it were asked
    for value in good:
        text = msgspec.json.encode(value, order="sorted") + b"\n"
        reading = schema.read({name: text}, fresh)
        assert not any(reading.problems.values())


def test_null_for_absent_is_told_as_the_schema_tells_it() -> None:
    """It decodes, and is spelled otherwise: so the schema is asked, and says which field."""
    record = {**_records()[0], "error": None}
    reading = schema.read({bag.RECORDS: msgspec.json.encode(record) + b"\n"}, VALIDATORS)
    told = [one.observed for problems in reading.problems.values() for one in problems]
    assert any("$.error" in observed for observed in told)
