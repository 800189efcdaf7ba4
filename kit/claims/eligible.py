"""Which bundles claims are judged from, and where they differ from the publication.

A bundle is eligible if it is valid, complete and reportable, and was measured on known GPUs with
the model itself: no twin, no rehearsal, no endpoint. `kit.claims.comparable` says which eligible
bundles may be compared with each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import structs

from kit.bundle.document import Document, Status
from kit.bundle.record import Record
from kit.bundle.telemetry import Inventory
from kit.check.evidence import Evidence
from kit.check.finding import Outcome, Verdict
from kit.check.verify import Verified
from kit.claims.formula import CellName
from kit.claims.reference import Reference
from kit.claims.verdict import Excluded
from kit.errors import ExitCode
from kit.parse.vllm_log import ServerLog
from kit.plan.plan import ProtocolName
from kit.plan.topology import Device


@dataclass(frozen=True, kw_only=True, slots=True)
class EligibleBundle:
    """What claims are judged from; `cell` is the cell as claims name it.

    The records have no texts and token ids, which no claim needs and which take most memory.
    """

    verdict: Verdict
    cell: CellName
    document: Document
    records: tuple[Record, ...]
    server_log: ServerLog | None
    inventory: Inventory | None

    @property
    def path(self) -> str:
        return self.verdict.path

    @property
    def gpus(self) -> tuple[str, ...]:
        """The kinds of GPU that the host's driver reports, each once."""
        return _gpus(self.inventory)

    @property
    def driver(self) -> str | None:
        return None if self.inventory is None else self.inventory.driver_version

    def outcomes(self, check: str) -> tuple[Outcome, ...]:
        """Return the outcomes of all findings of a check."""
        return tuple(finding.outcome for finding in self.verdict.findings if finding.code == check)


def load(verified: Verified) -> EligibleBundle | Excluded:
    """Return what claims are judged from, or why they are not judged from this bundle."""
    verdict, evidence = verified
    if evidence is None or verdict.exit_code is ExitCode.BUNDLE_INVALID:
        return Excluded(bundle=verdict.path, reason=_why_invalid(verdict))
    telemetry = evidence.observed.telemetry
    inventory = None if telemetry is None else telemetry.header.inventory
    reason = next(_objections(verdict, evidence, _gpus(inventory)), None)
    if reason is not None:
        return Excluded(bundle=verdict.path, reason=reason)
    cell = evidence.document.plan.cell
    return EligibleBundle(
        verdict=verdict,
        cell=CellName(cell.model, cell.topology, cell.agents or 1),
        document=evidence.document,
        records=tuple(map(_without_texts, evidence.records)),
        server_log=evidence.observed.server_log,
        inventory=inventory,
    )


def is_same_hardware(bundle: EligibleBundle, reference: Reference) -> bool:
    """Tell whether absolute numbers of a bundle may be compared with the published ones."""
    return bundle.gpus == (reference.hardware.gpu,)


def differences(bundle: EligibleBundle, reference: Reference) -> tuple[str, ...]:
    """Return where a bundle differs from what was published of machine, engine and protocol."""
    document = bundle.document
    pairs = {
        "GPUs": (", ".join(bundle.gpus), reference.hardware.gpu),
        "driver": (bundle.driver, reference.software.driver),
        "engine release": (document.engine.version, reference.software.release),
        "measured passes": (document.plan.measured_passes, reference.protocol.measured_passes),
    }
    return tuple(
        f"{name}: {ours or 'not known'}, published {theirs}"
        for name, (ours, theirs) in pairs.items()
        if theirs is not None and ours != theirs
    )


def _why_invalid(verdict: Verdict) -> str:
    failed = dict.fromkeys(
        finding.code for finding in verdict.findings if finding.outcome is Outcome.FAIL
    )
    return f"it is invalid: {', '.join(failed)}" if failed else "it cannot be read"


def _objections(verdict: Verdict, evidence: Evidence, gpus: tuple[str, ...]) -> Iterator[str]:
    plan = evidence.document.plan
    if verdict.is_rehearsal:
        yield "it is a rehearsal"
    if plan.twin_of is not None:
        yield f"{plan.cell.model} is a twin of {plan.twin_of}, not the model itself"
    if not evidence.is_own_engine or plan.engine is None:
        yield "it measured an endpoint, whose server is unknown"
    elif plan.engine.device is not Device.GPU or not gpus:
        yield "its GPUs are not known"
    if verdict.status is not Status.COMPLETE:
        yield "the run stopped early"
    if verdict.not_shown:
        yield "it is not reportable: " + ", ".join(verdict.not_shown)
    if plan.protocol is ProtocolName.ARTICLE and (plan.cell.agents or 1) > len(plan.prompts):
        yield f"{len(plan.prompts)} prompts never keep {plan.cell.agents} agents busy"


def _gpus(inventory: Inventory | None) -> tuple[str, ...]:
    gpus = () if inventory is None else inventory.gpus
    return tuple(sorted({gpu.name for gpu in gpus}))


def _without_texts(record: Record) -> Record:
    return structs.replace(record, text=None, token_ids=None, prompt_token_ids=None)
