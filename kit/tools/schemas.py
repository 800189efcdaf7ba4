"""`schemas/`: the JSON Schemas of what the kit stores and prints, generated from its types.

    python -m kit.tools.schemas

A test compares the files with the types. What only code checks, such as how large all records may
be together, is not in them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from kit.bundle import document, telemetry
from kit.bundle.record import Record
from kit.claims import reference, verdict
from kit.claims.audit import finding as audit

_SCHEMAS: dict[str, tuple[Any, int]] = {
    "audit": (audit.AuditDocument, audit.SCHEMA_VERSION),
    "bundle": (document.Document, document.SCHEMA_VERSION),
    "record": (Record, document.SCHEMA_VERSION),
    "reference": (reference.Reference, reference.SCHEMA_VERSION),
    "telemetry": (telemetry.Line, telemetry.SCHEMA_VERSION),
    "verdict": (verdict.VerdictDocument, verdict.VERDICT_SCHEMA_VERSION),
}
"""Name of a schema to the type that it describes and the version of the format."""

_NULL = {"type": "null"}


def files() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of `schemas/`."""
    for name, (described, version) in _SCHEMAS.items():
        head = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:llm-serving-repro-kit:schema:{name}:{version}",
        }
        text = msgspec.json.encode(head | schema(described))
        yield f"{name}.schema.json", msgspec.json.format(text, indent=2) + b"\n"


def schema(described: Any) -> dict[str, Any]:  # noqa: ANN401  # a type, or a union of types
    """Return the schema of a type, with the type's own fields at the top."""
    generated = msgspec.json.schema(described)
    definitions = generated.pop("$defs", {})
    if "$ref" in generated:
        generated = definitions.pop(generated["$ref"].rpartition("/")[2])
    adapted: dict[str, Any] = _adapted(generated | {"$defs": definitions})
    return adapted


def _adapted(value: Any) -> Any:  # noqa: ANN401  # any part of a JSON document
    r"""Return a schema with portable patterns, in which a field that may be absent is never null.

    `\Z` is Python's: ECMA-262 has only `$`, after which Python allows a line feed.
    """
    if isinstance(value, list):
        return [_adapted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("default", ...) is None:
        kinds = [kind for kind in value.get("anyOf", ()) if kind != _NULL]
        value = {key: part for key, part in value.items() if key not in ("anyOf", "default")}
        value |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if isinstance(pattern := value.get("pattern"), str):
        value = value | {"pattern": pattern.replace(r"\Z", r"$(?!\n)")}
    return {key: _adapted(part) for key, part in value.items()}


def main() -> None:
    """Write the files."""
    for name, content in files():
        (Path(__file__).parents[2] / "schemas" / name).write_bytes(content)


if __name__ == "__main__":
    main()
