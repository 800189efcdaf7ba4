"""References: what was published, its claims and its statements, as data that can be held against.

Pure: bytes of a file of `results/published/` in, frozen values or `SpecError` out. Figures keep the
digits that were printed (`kit.figure`). A cell is named by model, topology and requests in flight,
as `kit.formula` spells it; the topology is the one that the publication *names*, which need not be
what its ranks talked over.
"""

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from statistics import variance
from typing import Annotated, Any, TypeAlias

import msgspec

from kit import formula
from kit.errors import SpecError
from kit.figure import Printed, PrintedPositive, Range, exactly, printed
from kit.formula import BadFormula, CellName, Formula, Quantity

SCHEMA_VERSION = 1
"""Format history. 1: first version."""

LIMIT_BYTES = 2**20

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=100)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
CellKey = Annotated[str, msgspec.Meta(min_length=5, max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Share = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]

VOCABULARY: Mapping[str, tuple[int, int, int]] = {
    "rate": (1, 0, 1),
    "request-rate": (1, 0, 0),
    "ttft": (1, 0, 0),
    "kv-tokens": (1, 0, 0),
    "weights-gb": (1, 0, 0),
    "checkpoint-gb": (1, 0, 0),
    "not-passed": (32, 1, 1),
}
"""The quantities of a formula: how many cells at most, how many words at least and at most.

`rate`: completion tokens/s of a cell over all requests in flight, or of one prompt. `request-rate`:
of one request of several. `ttft`: seconds to the first token. `kv-tokens`: tokens that the server's
KV cache holds. `weights-gb`: GB (10^9 bytes) of weights on a GPU. `checkpoint-gb`: GB of the
model's weight files. `not-passed`: findings of a code that are no pass, over the cells' bundles.
"""


class Relation(Enum):
    """How a formula's value stands to the published figure."""

    EQUALS = "equals"
    AT_MOST = "at-most"
    AT_LEAST = "at-least"


class Hardware(Enum):
    """Where a claim can be judged: absolute numbers on the same GPUs only, ratios anywhere."""

    SAME = "same"
    ANY = "any"


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A piece of a reference."""


class HardwareText(_Part, frozen=True, kw_only=True):
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


class SoftwareText(_Part, frozen=True, kw_only=True):
    """The engine, its release, and what it ran on."""

    engine: Text
    release: Text | None = None
    os: Text | None = None
    cuda: Text | None = None
    driver: Text | None = None


class ProtocolText(_Part, frozen=True, kw_only=True):
    """How it was measured, as far as that was published."""

    prompts: Positive | None = None
    warmup_passes: Count | None = None
    measured_passes: Count | None = None
    max_tokens: Positive | None = None
    temperature: Printed | None = None
    headline: Text | None = None
    flags: tuple[Text, ...] = ()
    environment: dict[str, Text] = {}
    notes: tuple[Text, ...] = ()


class ModelText(_Part, frozen=True, kw_only=True):
    """A model by the name that was published, and its repository on the hub where known."""

    name: Text
    repository: Text | None = None


class CellFigures(_Part, frozen=True, kw_only=True):
    """What was published of one cell.

    `rate` and `prompts` are in tok/s, `seconds` are wall-clock seconds, `gpu_memory_mib` is in use
    on each GPU. `max_context` is the text of the table, `max_model_len` the server's flag.
    """

    rate: PrintedPositive | None = None
    request_rate: PrintedPositive | None = None
    prompts: dict[Id, PrintedPositive] = {}
    tokens: Positive | None = None
    seconds: PrintedPositive | None = None
    gpu_memory_mib: tuple[Count, ...] | None = None
    max_context: Text | None = None
    max_model_len: Positive | None = None
    environment: dict[str, Text] = {}


class Tables(_Part, frozen=True, kw_only=True):
    """With which tolerance every figure of the tables is a claim of its own, and why."""

    where: Text
    tolerance: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
    tolerance_reason: Text


class Repeat(_Part, frozen=True, kw_only=True):
    """Another run of the same cell by the same author: the only measure of noise there is."""

    rate: PrintedPositive
    where: Text


class Measure(_Part, frozen=True, kw_only=True):
    """A formula, and how its value stands to the published figure.

    `tolerance` widens what is accepted, in proportion. `cells_of` names the reference whose figures
    the published one was drawn from, if not its own.
    """

    formula: Annotated[str, msgspec.Meta(min_length=1, max_length=formula.LENGTH_LIMIT)]
    relation: Relation
    published: Printed
    unit: Text
    tolerance: Share = 0.0
    tolerance_reason: Text | None = None
    cells_of: Id | None = None

    def __post_init__(self) -> None:
        for quantity in formula.quantities(self.tree):
            _require_known(quantity)
        if (self.tolerance > 0) is not (self.tolerance_reason is not None):
            raise ValueError("a tolerance has a reason, and nothing else has")

    @property
    def tree(self) -> Formula:
        return formula.parse(self.formula)

    @property
    def figure(self) -> Range:
        """What the published figure may have been before it was rounded; a bound is exact."""
        if self.relation is Relation.EQUALS:
            return printed(self.published)
        return exactly(float(self.published))


class Claim(_Part, frozen=True, kw_only=True):
    """One claim; `measure` says what of it can be measured, and is absent where nothing can.

    `needs` are codes of findings that must have passed in every bundle that is used; what is no
    code is evidence that no bundle holds.
    """

    id: Id
    statement: Text
    where: Text
    measure: Measure | None = None
    hardware: Hardware
    needs: tuple[Id, ...] = ()

    def __post_init__(self) -> None:
        if self.measure is None and not self.needs:
            raise ValueError(f"claim {self.id}: neither a measure nor what it would need")


class _Statement(_Part, frozen=True, kw_only=True):
    """What was said and needs no measurement; held against public facts by `kit audit`."""

    id: Id
    statement: Text
    where: Text


class KvCache(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="kv-cache"):
    """So many GB of KV cache hold about so many tokens of context."""

    model: Id
    gb: Printed
    context_tokens: Positive


class Nvlink(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="nvlink"):
    """So many links have so many GB/s, both ways together."""

    links: Positive
    gb_s: Printed


class Thinking(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="thinking-mode"):
    """The model has, or has not, a mode in which it thinks before it answers."""

    model: Id
    has_mode: bool


class NativeContext(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="native-context"):
    """The model's context as it was trained, in Ki tokens; `configured` if less was used, why."""

    model: Id
    kib_tokens: Printed
    configured_kib_tokens: Printed | None = None
    configured_because: Text | None = None


class DiskSize(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="disk-size"):
    """The checkpoint takes so many GB."""

    model: Id
    gb: Printed


class SameFormat(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="same-format"):
    """The models are quantised in one way, of this name."""

    models: tuple[Id, Id]
    format: Id


Statement: TypeAlias = KvCache | Nvlink | Thinking | NativeContext | DiskSize | SameFormat


class RawFiles(_Part, frozen=True, kw_only=True):
    """Which cells the author's data files are about, by the files' own names.

    `swarms`: CSV files of requests, each of one model and topology. `tables`: JSON files of
    results, whose keys are given cell by cell.
    """

    swarms: dict[str, CellKey] = {}
    tables: dict[str, dict[str, CellKey]] = {}


class Reference(_Part, frozen=True, kw_only=True):
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
    parameters: dict[Id, Printed] = {}
    tables: Tables
    cells: dict[CellKey, CellFigures]
    repeats: dict[CellKey, tuple[Repeat, ...]] = {}
    claims: tuple[Claim, ...] = ()
    statements: tuple[Statement, ...] = ()
    raw: RawFiles = RawFiles()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, not {SCHEMA_VERSION}")
        rows = (table.values() for table in self.raw.tables.values())
        keys = [
            *self.cells,
            *self.repeats,
            *self.raw.swarms.values(),
            *(k for r in rows for k in r),
        ]
        for key in keys:
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
        table: Any = (
            msgspec.json.decode(data) if name.endswith(".json") else tomllib.loads(data.decode())
        )
        return msgspec.convert(table, Reference)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {' '.join(str(error).split())[:300]}",
            "it is not a reference as schemas/reference.schema.json describes it",
            f"git diff -- {name}",
        ) from error


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


def _require_known(quantity: Quantity) -> None:
    if quantity.name not in VOCABULARY:
        raise BadFormula(f"no quantity {quantity.name!r}; valid: {', '.join(VOCABULARY)}")
    most_cells, least, most = VOCABULARY[quantity.name]
    if len(quantity.cells) > most_cells or not least <= len(quantity.words) <= most:
        raise BadFormula(f"{quantity}: not so many cells or words")


def by_id(references: Sequence[Reference]) -> dict[str, Reference]:
    """Return references by their ids."""
    return {one.id: one for one in references}
