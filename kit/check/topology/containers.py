"""The containers, as the Docker engine created them: devices, images, and who serves."""

from collections.abc import Iterator, Sequence

from kit.bundle.bag import HOST_FACTS, TELEMETRY
from kit.bundle.document import Runtime
from kit.bundle.host_facts import Container, HostFacts
from kit.check.check import Check, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import HOST_FACTS_THERE, PINNED_VLLM

_DRIVER = "nvidia"
_COMPUTES, _LOOKS = "gpu", "utility"
"""Capabilities of a device request (NVIDIA Container Toolkit, driver capabilities)."""

_CLIENT, _TELEMETRY = "client-{}", "telemetry-{}"
"""Services beside a model's own in the files of `compose/`; the second on GPU topologies alone."""

_MODEL_LABEL, _VLLM_LABEL = "llm-serving-kit.model", "llm-serving-kit.vllm"
"""What an image contains (docker/model.Dockerfile, docker/server.Dockerfile)."""


def _containers(evidence: Evidence) -> Iterator[Problem]:
    facts, model = evidence.host_facts, evidence.document.plan.cell.model
    yield from _same_host(evidence, facts)
    yield from _services(evidence, facts, model)
    for container in facts.containers:
        if container.service == model:
            yield from _devices(evidence, container)
            yield from _labels(container, model)
        if container.image_digest is None:
            subject = f"image of {container.service}"
            expected = "a digest that others can pull it by"
            yield unchecked(subject, "built on this machine: it has no registry's digest", expected)
    yield from _telemetry_looks(evidence, facts, model)


def _same_host(evidence: Evidence, facts: HostFacts) -> Iterator[Problem]:
    document = evidence.document
    if facts.host_id != document.host_id:
        yield fail(HOST_FACTS, f"host {facts.host_id}", f"{document.host_id}, as in the bundle")
    if facts.model_files != document.engine.model_files:
        yield fail(HOST_FACTS, "other model files than the bundle's", "the same, of the same image")


def _services(evidence: Evidence, facts: HostFacts, model: str) -> Iterator[Problem]:
    """One container serves, one measures, and on GPUs one samples telemetry; there is no other."""
    beside = [_CLIENT, _TELEMETRY] if evidence.is_on_gpus else [_CLIENT]
    expected = (model, *(name.format(model) for name in beside))
    services = [container.service for container in facts.containers]
    for service in expected:
        if services.count(service) != 1:
            yield fail(HOST_FACTS, f"{services.count(service)} containers of {service}", "one")
    for service in dict.fromkeys(services):
        if service not in expected:
            yield fail(service, "a container that no topology has", ", ".join(expected))


def _devices(evidence: Evidence, container: Container) -> Iterator[Problem]:
    ranks = evidence.engine.tensor_parallel_size if evidence.is_on_gpus else 0
    requested = _requested(container)
    if len(set(requested)) != ranks or len(requested) != ranks:
        observed = f"{len(requested)} GPUs requested: {' '.join(requested) or 'none'}"
        yield fail(container.service, observed, f"{ranks}, one for each rank")
    for request in container.device_requests:
        if request.driver != _DRIVER:
            yield fail(container.service, f"devices of {request.driver}", _DRIVER)
        if _COMPUTES not in request.capabilities:
            observed = f"devices for {' '.join(request.capabilities) or 'nothing'}"
            yield fail(container.service, observed, f"capability `{_COMPUTES}`")


def serving_devices(facts: HostFacts, model: str) -> set[str]:
    """Return the ids of the GPUs that the containers of a model's engine requested."""
    serving = (container for container in facts.containers if container.service == model)
    return {id_ for container in serving for id_ in _requested(container)}


def _requested(container: Container) -> Sequence[str]:
    return [id_ for request in container.device_requests for id_ in request.device_ids]


def _labels(container: Container, model: str) -> Iterator[Problem]:
    """An image that names its model and its vLLM must name these; others need not."""
    for label, expected in ((_MODEL_LABEL, model), (_VLLM_LABEL, PINNED_VLLM)):
        value = container.image_labels.get(label, expected)
        if value != expected:
            yield fail(f"image of {container.service}", f"label {label}={value}", expected)


def _telemetry_looks(evidence: Evidence, facts: HostFacts, model: str) -> Iterator[Problem]:
    """Telemetry must sample the GPUs that serve, and no other container may compute on any."""
    serving = serving_devices(facts, model)
    for container in facts.containers:
        if container.service == _TELEMETRY.format(model):
            yield from _sampled(container, serving)
        elif container.service != model and container.device_requests:
            yield fail(container.service, "a device", "no device")
    if serving and len(evidence.gpus) > len(serving) and not evidence.document.plan.rehearsal:
        # WSL2 shows every card to every container.
        yield warn(TELEMETRY, f"{len(evidence.gpus)} GPUs", f"{len(serving)}, as requested")


def _sampled(container: Container, serving: set[str]) -> Iterator[Problem]:
    subject, requested = container.service, _requested(container)
    if set(requested) != serving:
        observed = f"samples GPUs {' '.join(requested) or 'none'}"
        yield fail(subject, observed, f"{' '.join(sorted(serving)) or 'none'}, which serve")
    for request in container.device_requests:
        if set(request.capabilities) != {_LOOKS} or request.driver != _DRIVER:
            observed = f"devices for {' '.join(request.capabilities) or 'nothing'}"
            yield fail(subject, observed, f"capability `{_LOOKS}`")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-containers",
        holds="the containers were created as the topology says: a GPU for each rank",
        hint="measure again with the unchanged Compose file",
        look=_containers,
        applies=lambda evidence: evidence.document.runtime is Runtime.DOCKER,
        needs=(HOST_FACTS_THERE,),
    ),
)
