"""The model's files and the base image are the pinned ones, digest by digest."""

from collections import Counter
from collections.abc import Iterator, Sequence

from kit.bundle.bag import HOST_FACTS
from kit.bundle.document import ModelFile, Runtime
from kit.bundle.host_facts import BASE_LABEL
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked
from kit.check.evidence import Evidence, pinned_digests
from kit.check.needs import HOST_FACTS_THERE
from kit.plan.models import HubModel, Model


def _model_files(evidence: Evidence) -> Iterator[Problem]:
    document, model = evidence.document, evidence.model
    if document.plan.rehearsal:
        yield unchecked(BUNDLE, "a rehearsal serves a twin", "the digests of the model's files")
        return
    listed = document.engine.model_files or ()
    pinned = pinned_digests(model)
    if not listed or not pinned:
        yield unchecked(BUNDLE, _why_not_compared(model), "the digests of the model's files")
        return
    files = {file.name: file.sha256 for file in listed}
    for name, count in Counter(file.name for file in listed).items():
        if count > 1:
            yield fail(name, f"listed {count} times", "each file once")
    for name in dict.fromkeys([*pinned, *files]):
        if files.get(name) != pinned.get(name):
            observed = f"SHA-256 {files.get(name, 'not listed')}"
            yield fail(name, observed, pinned.get(name, "no such file"))
    yield from _sizes(listed, model)


def _sizes(listed: Sequence[ModelFile], model: Model | None) -> Iterator[Problem]:
    """Compare sizes, too, where they are pinned: the article quotes the size of a checkpoint."""
    if not isinstance(model, HubModel):
        return
    pinned = {file.name: file.size_bytes for file in model.files}
    for file in listed:
        wanted = pinned.get(file.name, file.size_bytes)
        if file.size_bytes != wanted:
            yield fail(file.name, f"{file.size_bytes} bytes", f"{wanted} bytes")


def _base_image(evidence: Evidence) -> Iterator[Problem]:
    facts, pinned = evidence.host_facts, evidence.catalog.base_image
    expected = pinned or "a base that is pinned"
    if pinned is None:
        yield unchecked(HOST_FACTS, "docker/images.toml has no digest of it yet", expected)
    for container in facts.containers:
        base = container.image_labels.get(BASE_LABEL)
        subject = f"image of {container.service}"
        if base is None:
            yield unchecked(subject, "its labels name no base", expected)
        elif pinned is not None and base != pinned:
            yield fail(subject, base, expected)


def _why_not_compared(model: Model | None) -> str:
    if model is None:
        return "the checkout does not have the model"
    return "no model files are listed" if pinned_digests(model) else "the model is not pinned yet"


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-model-files",
        holds="the engine was given the model's files and no others, each with its pinned SHA-256",
        hint="let the kit make the model again, then measure again",
        look=_model_files,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-base-image",
        holds="the images stand on the base that docker/images.toml pins by its digest",
        hint="build with make images, once the base is pinned where its registry can be reached",
        look=_base_image,
        applies=lambda evidence: evidence.document.runtime is Runtime.DOCKER,
        needs=(HOST_FACTS_THERE,),
        for_figures=ForFigures.CHECKED,
    ),
)
