"""References: what was published, its claims and its statements, as data that can be held against.

Pure: bytes of a file of `results/published/` in, frozen values or `SpecError` out. Figures keep the
digits that were printed (`kit.claims.rounding`). A cell is named by model, topology and requests
in flight, as `kit.claims.formula` spells it; the topology is the one that the publication *names*,
which need not be what its ranks talked over.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from statistics import variance
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

KEY_PARTS_LIMIT = 16
"""Parts of a key of TOML, such as the two of `cells.rate`; no reference nests so deep.

`tomllib` takes time in proportion to their square, and a file of one key would take hours.
"""

_PART = rb"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(
    rb"(?<![A-Za-z0-9_\\-])%s(?:[ \t]*+\.[ \t]*+%s){%d}" % (_PART, _PART, KEY_PARTS_LIMIT)
)
"""What would be a key of too many parts, wherever it stands. Takes linear time on any text."""

CellKey = Annotated[str, msgspec.Meta(min_length=5, max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class HardwareText(Part, frozen=True, kw_only=True):
    """The machine; `gpu` is the name that the driver gives to the GPUs."""

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
    """The engine, its release, and what it ran on."""

    engine: Text
    release: Text | None = None
    os: Text | None = None
    cuda: Text | None = None
    driver: Text | None = None


class ProtocolText(Part, frozen=True, kw_only=True):
    """How it was measured, as far as that was published."""

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
    """A model by the name that was published, and its repository on the hub where known."""

    name: Text
    repository: Text | None = None


class CellFigures(Part, frozen=True, kw_only=True):
    """What was published of one cell.

    `rate` and `prompts` are in tok/s, `seconds` are wall-clock seconds, `gpu_memory_mib` is in use
    on each GPU. `max_context` is the text of the table, `max_model_len` the server's flag.
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
    """With which tolerance every figure of the tables is a claim of its own, and why."""

    where: Text
    tolerance: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
    tolerance_reason: Text


class Repeat(Part, frozen=True, kw_only=True):
    """Another run of the same cell by the same author: the only measure of noise there is."""

    rate: PrintedPositive
    where: Text


class RawFiles(Part, frozen=True, kw_only=True):
    """Which cells the author's data files are about, by the files' own names.

    `swarms`: CSV files of requests, each of one model and topology. `tables`: JSON files of
    results, whose keys are given cell by cell.
    """

    swarms: dict[str, CellKey] = msgspec.field(default_factory=dict)
    tables: dict[str, dict[str, CellKey]] = msgspec.field(default_factory=dict)


class Reference(Part, frozen=True, kw_only=True):
    """One publication. `measured` is the day as published; `source` where the data are."""

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
    cells: dict[CellKey, CellFigures]
    repeats: dict[CellKey, tuple[Repeat, ...]] = msgspec.field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    statements: tuple[Statement, ...] = ()
    raw: RawFiles = RawFiles()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, not {SCHEMA_VERSION}")
        tables = (table.values() for table in self.raw.tables.values())
        for key in chain(self.cells, self.repeats, self.raw.swarms.values(), *tables):
            formula.parse_cell(key)
        ids = [one.id for one in (*all_claims(self), *self.statements)]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims or statements have one id")
        for claim in self.claims:
            wanted = set(formula.parameters(claim.measure.tree)) if claim.measure else set()
            if unknown := wanted - set(self.parameters):
                raise ValueError(f"claim {claim.id}: no parameter {', '.join(sorted(unknown))}")

    def figures(self, cell: CellName) -> CellFigures | None:
        """Return what was published of a cell."""
        return self.cells.get(str(cell))


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """How far one pass of one start may be off: standard deviation in proportion, and its degrees.

    `cells` are those that were repeated; others borrow from them.
    """

    deviation: float
    degrees: int
    cells: tuple[CellName, ...]


def parse(data: bytes, name: str) -> Reference:
    """Read a reference, as TOML or, by its name, as JSON; raise `SpecError`."""
    try:
        if len(data) > LIMIT_BYTES:
            raise ValueError(f"more than {LIMIT_BYTES} bytes")
        table: Any = msgspec.json.decode(data) if name.endswith(".json") else _toml(data)
        return msgspec.convert(table, Reference)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {' '.join(str(error).split())[:300]}",
            "it is not a reference as schemas/reference.schema.json describes it",
            f"git diff -- {name}",
        ) from error


def _toml(data: bytes) -> dict[str, Any]:
    if _LONG_KEY.search(data):
        raise ValueError(f"a key of more than {KEY_PARTS_LIMIT} parts")
    return tomllib.loads(data.decode())


def all_claims(reference: Reference) -> tuple[Claim, ...]:
    """Return every figure of the tables as a claim, then those that are written out."""
    return (*_of_tables(reference), *reference.claims)


def noise_of(references: Iterable[Reference], author: str) -> Noise | None:
    """Pool an author's repeats: variance of the logarithms within cells, over all references."""
    rates: dict[CellName, list[float]] = {}
    for reference in references:
        for key, repeats in reference.repeats.items() if reference.author == author else ():
            logs = [math.log(float(one.rate)) for one in repeats]
            rates.setdefault(formula.parse_cell(key), []).extend(logs)
    repeated = {cell: logs for cell, logs in rates.items() if len(logs) > 1}
    degrees = sum(len(logs) - 1 for logs in repeated.values())
    if degrees == 0:
        return None
    squares = sum(variance(logs) * (len(logs) - 1) for logs in repeated.values())
    return Noise(
        deviation=math.sqrt(squares / degrees), degrees=degrees, cells=tuple(sorted(repeated))
    )


def _of_tables(reference: Reference) -> Iterator[Claim]:
    for key, figures in reference.cells.items():
        cell = formula.parse_cell(key)
        model = reference.models[cell.model].name if cell.model in reference.models else cell.model
        load = f", {cell.agents} requests in flight" if cell.agents > 1 else ""
        slug = f"{cell.model}-{cell.topology}" + (f"-x{cell.agents}" if cell.agents > 1 else "")
        said = f"{model} on {cell.topology}{load}"
        if figures.rate is not None:
            yield _row(reference, f"rate-{slug}", said, f"rate({cell})", figures.rate)
        if figures.request_rate is not None:
            name, text = f"request-rate-{slug}", f"{said}: each request"
            yield _row(reference, name, text, f"request-rate({cell})", figures.request_rate)
        for prompt, rate in figures.prompts.items():
            name, text = f"rate-{slug}-{prompt}", f"{said}: task {prompt}"
            yield _row(reference, name, text, f"rate({cell}, {prompt})", rate)


def _row(reference: Reference, id: str, said: str, text: str, published: str) -> Claim:
    return Claim(
        id=id,
        statement=f"{said}: {published} tok/s",
        where=reference.tables.where,
        measure=Measure(
            formula=text,
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
    return {one.id: one for one in references}
