"""Cases that tamper with what `bundle.json` says of the run: status, engine, model files, host."""

from msgspec.structs import replace

from kit.bundle.document import EngineIdentity, Failure, Load, ModelFile, Runtime, Status
from tests.cases.case import edit, forged, group
from tests.cases.runs import OPENAI, PARTIAL, PCIE
from tests.edits.document import set_absent, set_document
from tests.factory import Draft

OTHER_SHA256 = "00" * 32


def other_file(name: str) -> ModelFile:
    """Return a model file with a digest that no model has."""
    return ModelFile(name=name, size_bytes=9, sha256=OTHER_SHA256)


def list_also(draft: Draft, name: str, *, first: bool = False) -> None:
    """List one more model file, at the end or at the beginning."""
    files = draft.document.engine.model_files or ()
    new = other_file(name)
    set_document(draft, "engine.model_files", (new, *files) if first else (*files, new))


def call_containers_a_process(draft: Draft) -> None:
    """Call an engine in containers a process of the host, with what such a run says of itself."""
    draft.host_facts = None
    engine = replace(draft.document.engine, build="cpu", lock_sha256=OTHER_SHA256, cores=(0,))
    draft.document = replace(draft.document, runtime=Runtime.PROCESS, engine=engine)


DOCUMENT = group(
    "The document: status, engine, model files, host",
    forged("A complete bundle has a failure", "protocol-status",
           edit(set_document, "failure", Failure(stage="measure", code="timed-out"))),
    forged("A partial bundle has no failure", "protocol-status",
           edit(set_document, "status", Status.PARTIAL)),
    forged("A run that stopped early is declared complete", "protocol-requests",
           edit(set_document, "status", Status.COMPLETE), edit(set_document, "failure", None),
           runs=(PARTIAL,)),
    forged("An engine in containers is declared a process: no host facts, no base image to check",
           "protocol-runtime",
           call_containers_a_process, runs=(PCIE,)),
    forged("The weights have another digest", "protocol-model-files",
           edit(set_document, "engine.model_files", (other_file("model.safetensors"),))),
    forged("A `config.json` is listed that the model does not have", "protocol-model-files",
           edit(list_also, "config.json")),
    forged("The weights are listed twice, first with another digest", "protocol-model-files",
           edit(list_also, "model.safetensors", first=True)),
    forged("Model files are missing, and not declared absent", "protocol-evidence",
           edit(set_document, "engine.model_files", None)),
    forged("Version, build and model files of the kit's own engine are missing",
           "protocol-evidence",
           edit(set_document, "engine", EngineIdentity()), edit(set_absent, "model_files")),
    forged("What an OpenAI endpoint cannot provide is not declared absent", "protocol-evidence",
           edit(set_document, "absent", {}), runs=(OPENAI,)),
    forged("The engine names another release", "topology-engine-version",
           edit(set_document, "engine.version", "0.16.0"), runs=(PCIE,)),
    forged("The engine names a fork of the release", "topology-engine-version",
           edit(set_document, "engine.version", "0.17.0+fastfork")),
    forged("The host id is a name", "schema-shape", edit(set_document, "host_id", "alice-laptop")),
    forged("The load average is negative", "schema-shape",
           edit(set_document, "host.load_before", Load(load_average=-1.0))),
)  # fmt: skip
