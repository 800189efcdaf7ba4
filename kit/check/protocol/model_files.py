"""The model's files and the base image are the pinned ones, hash by hash."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kit.bundle.document import ModelFile, Runtime
from kit.bundle.host_facts import BASE_LABEL, HostFacts
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, pinned_digests
from kit.check.needs import HOST_FACTS_THERE
from kit.plan.models import HubModel, ListedBy, Twin


def _model_files(evidence: Evidence) -> Iterator[Problem]:
    document, model = evidence.document, evidence.model
    listed = document.engine.model_files or ()
    if document.plan.rehearsal:
        yield unchecked(BUNDLE, "a rehearsal serves a twin", "the hashes of the model's files")
    elif model is None:
        yield unchecked(BUNDLE, "the checkout does not have the model", "a model of the kit")
    elif not listed:
        yield unchecked(BUNDLE, "no model files are listed", "the hashes of the model's files")
    else:
        yield from _listed_twice(listed)
        match model:
            case Twin():
                yield from _differences(listed, pinned_digests(model))
            case HubModel():
                yield from _hub_files(listed, model, evidence.observed.host_facts)


def _hub_files(
    listed: Sequence[ModelFile], model: HubModel, facts: HostFacts | None
) -> Iterator[Problem]:
    """Hold the files to what is shipped; the rest is what the hub listed, as the host says."""
    shipped = model.shipped_sha256
    if model.files:
        yield from _differences(listed, shipped)
        yield from _sizes(listed, model)
        return
    yield from _differences([file for file in listed if file.name in shipped], shipped)
    source = None if facts is None else facts.model_source
    expected = f"{model.repository} at {model.revision}"
    if source is None:
        yield unchecked(BUNDLE, "nothing says where the model's files come from", expected)
    elif (source.repository, source.revision) != (model.repository, model.revision):
        yield fail(BUNDLE, f"{source.repository} at {source.revision}", expected)
    elif asserted := [file.name for file in listed if file.name not in shipped]:
        names = f"{len(asserted)} files without a shipped hash: {', '.join(asserted)}"
        if source.listed_by is ListedBy.HUB:
            yield warn(BUNDLE, f"{names}; the hub listed them, as this host says", expected)
        else:
            yield unchecked(BUNDLE, f"{names}; listed by {source.listed_by.value}", expected)


def _listed_twice(listed: Sequence[ModelFile]) -> Iterator[Problem]:
    for name, count in Counter(file.name for file in listed).items():
        if count > 1:
            yield fail(name, f"listed {count} times", "each file once")


def _differences(listed: Sequence[ModelFile], wanted: Mapping[str, str]) -> Iterator[Problem]:
    observed = {file.name: file.sha256 for file in listed}
    for name in dict.fromkeys([*wanted, *observed]):
        if observed.get(name) != wanted.get(name):
            sha256 = f"SHA-256 {observed.get(name, 'not listed')}"
            yield fail(name, sha256, wanted.get(name, "no such file"))


def _sizes(listed: Sequence[ModelFile], model: HubModel) -> Iterator[Problem]:
    """Compare sizes, too: the article quotes the size of a checkpoint."""
    pinned = {file.name: file.size_bytes for file in model.files}
    for file in listed:
        wanted = pinned.get(file.name, file.size_bytes)
        if file.size_bytes != wanted:
            yield fail(file.name, f"{file.size_bytes} bytes", f"{wanted} bytes")


def _base_image(evidence: Evidence) -> Iterator[Problem]:
    pinned = evidence.catalog.base_image or ""
    expected = pinned
    for container in evidence.host_facts.containers:
        base = container.image_labels.get(BASE_LABEL, "")
        digest, subject = base.rpartition("@")[2], f"image of {container.service}"
        if "@" not in base:
            observed = f"built on {base}, without a digest" if base else "its labels name no base"
            yield unchecked(subject, observed, expected)
        elif digest != pinned.rpartition("@")[2]:
            yield fail(subject, base, expected)


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-model-files",
        holds="the engine was given the model's files at the pinned revision; none contradicts a "
        "shipped SHA-256",
        hint="let the kit make the model again, then measure again",
        look=_model_files,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-base-image",
        holds="the images stand on the base that docker/images.toml pins by its digest",
        hint="build the images on the base of docker/images.toml",
        look=_base_image,
        applies=lambda evidence: evidence.document.runtime is Runtime.DOCKER,
        needs=(HOST_FACTS_THERE,),
        for_figures=ForFigures.CHECKED,
    ),
)
