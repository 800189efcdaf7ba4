"""Which bundles may speak for a publication's claims, and where they depart from it.

A bundle testifies if it is valid and whole, its parts are known, and the model itself served: no
twin, no rehearsal, no server of somebody else's. With which others, `comparable` says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from kit.bundle.bag import Bundle
from kit.bundle.document import Document, Runtime, Status
from kit.bundle.record import Record
from kit.bundle.telemetry import Inventory
from kit.check.finding import Outcome, Verdict
from kit.check.verify import Verified
from kit.claims.formula import CellName
from kit.claims.reference import Reference
from kit.claims.verdict import Excluded
from kit.errors import ExitCode
from kit.parse.vllm_log import ServerLog
from kit.plan.topology import Device

AGENTS = {"single": 1}
"""Suites by the requests that they keep in flight; of any other no claim is judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EligibleBundle:
    """A bundle with the verdict on it, and what its server's log and its GPUs tell.

    Its records are without texts and token ids, which no claim is about and which take the room.
    """

    verdict: Verdict
    bundle: Bundle
    server_log: ServerLog | None
    inventory: Inventory | None

    @property
    def path(self) -> str:
        return self.verdict.path

    @property
    def document(self) -> Document:
        return self.bundle.document

    @property
    def cell(self) -> CellName | None:
        """The cell as claims name it; None for a suite that no claim is about."""
        cell = self.document.plan.cell
        agents = AGENTS.get(cell.suite)
        return None if agents is None else CellName(cell.model, cell.topology, agents)

    @property
    def gpus(self) -> tuple[str, ...]:
        """The kinds of GPU that the host's driver told of, each once."""
        gpus = () if self.inventory is None else self.inventory.gpus
        return tuple(sorted({gpu.name for gpu in gpus}))

    @property
    def driver(self) -> str | None:
        return None if self.inventory is None else self.inventory.driver_version

    def outcomes(self, code: str) -> tuple[Outcome, ...]:
        """Return the outcomes of all findings of a code."""
        return tuple(one.outcome for one in self.verdict.findings if one.code == code)


def load(verified: Verified) -> EligibleBundle | Verdict:
    """Keep of a verified bundle what claims are judged from; its verdict alone if it is invalid."""
    verdict, evidence = verified
    if evidence is None or verdict.exit_code is ExitCode.BUNDLE_INVALID:
        return verdict
    telemetry = evidence.observed.telemetry
    return EligibleBundle(
        verdict=verdict,
        bundle=Bundle(
            id=evidence.id,
            document=evidence.document,
            records=tuple(map(_lean, evidence.records)),
        ),
        server_log=evidence.observed.server_log,
        inventory=None if telemetry is None else telemetry.header.inventory,
    )


def _lean(record: Record) -> Record:
    return structs.replace(record, text=None, token_ids=None, prompt_token_ids=None)


SAME_HARDWARE: Mapping[
    str, tuple[Callable[[EligibleBundle], object], Callable[[Reference], object]]
] = {
    "GPUs": (lambda one: one.gpus, lambda said: (said.hardware.gpu,)),
}
"""What must agree with the publication before absolute numbers are: the kind of GPU."""

TOLD_APART: Mapping[
    str, tuple[Callable[[EligibleBundle], object], Callable[[Reference], object]]
] = {
    "driver": (lambda one: one.driver, lambda said: said.software.driver),
    "engine release": (
        lambda one: one.document.engine.version,
        lambda said: said.software.release,
    ),
    "measured passes": (
        lambda one: one.document.plan.measured_passes,
        lambda said: said.protocol.measured_passes,
    ),
}
"""What may differ from the publication, but is said."""


def excluded(one: EligibleBundle | Verdict) -> str | None:
    """Return why a bundle may not speak for claims; None where it may."""
    if isinstance(one, Verdict):
        failed = dict.fromkeys(f.code for f in one.findings if f.outcome is Outcome.FAIL)
        return f"it is invalid: {', '.join(failed)}" if failed else "it cannot be read"
    return next(_objections(one), None)


def _objections(one: EligibleBundle) -> Iterator[str]:
    plan = one.document.plan
    if plan.rehearsal or one.verdict.is_rehearsal:
        yield "a rehearsal is never a result"
    if plan.twin_of is not None:
        yield f"{plan.cell.model} is a twin, and never testifies for {plan.twin_of}"
    if one.document.runtime is Runtime.ENDPOINT or plan.engine is None:
        yield "nothing is known of the server that was measured"
    elif plan.engine.device is not Device.GPU or not one.gpus:
        yield "its GPUs are not known"
    if one.document.status is not Status.COMPLETE:
        yield "the run stopped short"
    if one.verdict.not_shown:
        yield "not shown to be what it says: " + ", ".join(one.verdict.not_shown)
    if one.cell is None:
        yield f"no claim is about suite {plan.cell.suite}"


def is_same_hardware(one: EligibleBundle, reference: Reference) -> bool:
    """Tell whether absolute numbers of a bundle may be held against the published ones."""
    return all(ours(one) == theirs(reference) for ours, theirs in SAME_HARDWARE.values())


def differences(one: EligibleBundle, reference: Reference) -> tuple[str, ...]:
    """Return where a bundle departs from the publication, as far as both tell."""
    found = []
    for name, (ours, theirs) in {**SAME_HARDWARE, **TOLD_APART}.items():
        mine, published = ours(one), theirs(reference)
        if published is not None and mine != published:
            found.append(f"{name}: {_text(mine)}, published {_text(published)}")
    return tuple(found)


def why_excluded(everyone: Sequence[EligibleBundle | Verdict]) -> tuple[Excluded, ...]:
    """Return the bundles that may not speak, each with its reason."""
    reasons = [(one.path, excluded(one)) for one in everyone]
    return tuple(Excluded(bundle=path, reason=why) for path, why in reasons if why is not None)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "not known")
