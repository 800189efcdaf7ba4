"""References: a publication's figures, claims and statements, as data.

A file of `results/published/` is read into frozen values, or `SpecError` is raised. Figures keep
the digits that were printed (`kit.claims.rounding`). A cell is named by model, topology and
requests in flight, as in `kit.claims.formula`; the topology is the one that the publication
*names*, which need not be the transport that its ranks used.
"""

import tomllib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any

import msgspec

from kit.claims import formula
from kit.claims.claim import Claim, Hardware, Id, Measure, Part, Positive, Relation, Text
from kit.claims.formula import CellName
from kit.claims.rounding import Printed, PrintedPositive
from kit.claims.statement import Statement
from kit.errors import SpecError

SCHEMA_VERSION = 1
"""Format history. 1: first version."""

LIMIT_BYTES = 2**20

DOTS_LIMIT = 200
"""Dots in a line of TOML. `tomllib` takes time quadratic in the parts of a dotted key: hours for a
file that is one key."""

CellKey = Annotated[str, msgspec.Meta(min_length=5, max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class HardwareText(Part, frozen=True, kw_only=True):
    """The machine; `gpu` is the name that the driver reports."""

    gpu: Text
    gpu_count: Positive
    gpu_memory_gb: Positive | None = None
    interconnect: Text | None = None
    pcie: Text | None = None
    cpu: Text | None = None
    memory: Text | None = None
    storage: Text | None = None
    cooling: Text | None = None
    power: Text | None = None


class SoftwareText(Part, frozen=True, kw_only=True):
    """The engine, its release, and the software below it."""

    engine: Text
    release: Text | None = None
    os: Text | None = None
    cuda: Text | None = None
    driver: Text | None = None


class ProtocolText(Part, frozen=True, kw_only=True):
    """The measurement protocol, as far as it was published."""

    prompts: Positive | None = None
    warmup_passes: Count | None = None
    measured_passes: Count | None = None
    max_tokens: Positive | None = None
    temperature: Printed | None = None
    headline: Text | None = None
    flags: tuple[Text, ...] = ()
    environment: dict[str, Text] = msgspec.field(default_factory=dict)
    notes: tuple[Text, ...] = ()


class ModelText(Part, frozen=True, kw_only=True):
    """A model's published name, and its repository on the hub where known."""

    name: Text
    repository: Text | None = None


class PublishedFigures(Part, frozen=True, kw_only=True):
    """The published figures of one cell.

    `rate`, `request_rate` and `prompts` are in tok/s; `seconds` is wall-clock time;
    `gpu_memory_mib` is the memory in use on each GPU. `max_context` is the text of the table,
    `max_model_len` the server's flag.
    """

    rate: PrintedPositive | None = None
    request_rate: PrintedPositive | None = None
    prompts: dict[Id, PrintedPositive] = msgspec.field(default_factory=dict)
    tokens: Positive | None = None
    seconds: PrintedPositive | None = None
    gpu_memory_mib: tuple[Count, ...] | None = None
    max_context: Text | None = None
    max_model_len: Positive | None = None
    environment: dict[str, Text] = msgspec.field(default_factory=dict)


class Tables(Part, frozen=True, kw_only=True):
    """The tolerance of the claims that the figures of the tables make, and its reason."""

    where: Text
    tolerance: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
    tolerance_reason: Text


class Repeat(Part, frozen=True, kw_only=True):
    """Another run of the same cell by the same author, from which its noise is estimated."""

    rate: PrintedPositive
    where: Text


class Recommendation(Part, frozen=True, kw_only=True):
    """What a publication tells its readers to build, and the claims that this rests on."""

    text: Text
    where: Text
    claims: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1)]


class RawFiles(Part, frozen=True, kw_only=True):
    """The cells of the author's data files, by file name.

    `swarms`: CSV files of requests, each of one model and topology. `tables`: JSON files of
    results, each with the cell of every key.
    """

    swarms: dict[str, CellKey] = msgspec.field(default_factory=dict)
    tables: dict[str, dict[str, CellKey]] = msgspec.field(default_factory=dict)


class Reference(Part, frozen=True, kw_only=True):
    """One publication. `measured` is the published date; `source` is where its data are."""

    schema_version: int
    id: Id
    title: Text
    author: Text
    measured: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")] | None = None
    source: Text
    notes: tuple[Text, ...] = ()
    hardware: HardwareText
    software: SoftwareText
    protocol: ProtocolText
    models: dict[Id, ModelText]
    parameters: dict[Id, Printed] = msgspec.field(default_factory=dict)
    tables: Tables
    cells: dict[CellKey, PublishedFigures]
    repeats: dict[CellKey, tuple[Repeat, ...]] = msgspec.field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    statements: tuple[Statement, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    raw: RawFiles = RawFiles()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, not {SCHEMA_VERSION}")
        tables = (table.values() for table in self.raw.tables.values())
        for key in chain(self.cells, self.repeats, self.raw.swarms.values(), *tables):
            formula.parse_cell(key)
        ids = [item.id for item in (*all_claims(self), *self.statements)]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims or statements have one id")
        known = {claim.id for claim in all_claims(self)}
        for advice in self.recommendations:
            if unknown := set(advice.claims) - known:
                raise ValueError(f"recommendation without claims: {', '.join(sorted(unknown))}")
        for claim in self.claims:
            used = set(formula.parameters(claim.measure.tree)) if claim.measure else set()
            if unknown := used - set(self.parameters):
                raise ValueError(f"claim {claim.id}: no parameter {', '.join(sorted(unknown))}")

    def figures(self, cell: CellName) -> PublishedFigures | None:
        """Return the published figures of a cell."""
        return self.cells.get(str(cell))


def parse(data: bytes, name: str) -> Reference:
    """Read a reference from TOML, or from JSON if `name` ends so; raise `SpecError`."""
    try:
        if len(data) > LIMIT_BYTES:
            raise ValueError(f"more than {LIMIT_BYTES} bytes")
        table: Any = msgspec.json.decode(data) if name.endswith(".json") else _toml(data)
        return msgspec.convert(table, Reference)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {' '.join(str(error).split())[:300]}",
            "expected a reference as schemas/reference.schema.json describes it",
            f"git diff -- {name}",
        ) from error


def _toml(data: bytes) -> dict[str, Any]:
    if any(line.count(b".") > DOTS_LIMIT for line in data.splitlines()):
        raise ValueError(f"more than {DOTS_LIMIT} dots in a line")
    return tomllib.loads(data.decode())


def all_claims(reference: Reference) -> tuple[Claim, ...]:
    """Return one claim for each figure of the tables, then those that are written out."""
    return (*_of_tables(reference), *reference.claims)


def _of_tables(reference: Reference) -> Iterator[Claim]:
    for key, figures in reference.cells.items():
        cell = formula.parse_cell(key)
        slug = f"{cell.model}-{cell.topology}" + (f"-x{cell.agents}" if cell.agents > 1 else "")
        label = _label(reference, cell)
        if figures.rate is not None:
            yield _row(reference, f"rate-{slug}", label, f"rate({cell})", figures.rate)
        if figures.request_rate is not None:
            id, text = f"request-rate-{slug}", f"{label}: each request"
            yield _row(reference, id, text, f"request-rate({cell})", figures.request_rate)
        for prompt, rate in figures.prompts.items():
            id, text = f"rate-{slug}-{prompt}", f"{label}: task {prompt}"
            yield _row(reference, id, text, f"rate({cell}, {prompt})", rate)


def _label(reference: Reference, cell: CellName) -> str:
    model = reference.models[cell.model].name if cell.model in reference.models else cell.model
    load = f", {cell.agents} requests in flight" if cell.agents > 1 else ""
    return f"{model} on {cell.topology}{load}"


def _row(reference: Reference, id: str, label: str, formula_text: str, published: str) -> Claim:
    return Claim(
        id=id,
        statement=f"{label}: {published} tok/s",
        where=reference.tables.where,
        measure=Measure(
            formula=formula_text,
            relation=Relation.EQUALS,
            published=published,
            unit="tok/s",
            tolerance=reference.tables.tolerance,
            tolerance_reason=reference.tables.tolerance_reason,
        ),
        hardware=Hardware.SAME,
    )


def by_id(references: Sequence[Reference]) -> dict[str, Reference]:
    """Return references by their ids."""
    return {reference.id: reference for reference in references}
