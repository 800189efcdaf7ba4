"""The topology tier's look at the containers, as the host saw them before they started.

Device ids are the host's, and telemetry numbers the cards of its own container from 0: so ids are
held against ids, and telemetry's cards only counted.
"""

from collections.abc import Iterator, Sequence

from kit.bundle.bag import HOST_FACTS, TELEMETRY
from kit.bundle.document import Runtime
from kit.bundle.host_facts import Container, HostFacts
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked, warn
from kit.check.topology.settings import PINNED_VLLM
from kit.plan.plan import Engine
from kit.plan.spec import Device

_DRIVER = "nvidia"
_CAPABILITY = "gpu"
_LOOKS = "utility"
"""To ask the driver, and to compute nothing (NVIDIA Container Toolkit, driver capabilities)."""

_CLIENT, _TELEMETRY = "client-{}", "telemetry-{}"
"""Services beside a model's own in the files of `compose/`; the second on GPU topologies alone."""

_MODEL_LABEL, _VLLM_LABEL = "llm-serving-kit.model", "llm-serving-kit.vllm"
"""What an image says that it holds (docker/model.Dockerfile, docker/server.Dockerfile)."""


def check(evidence: Evidence, engine: Engine) -> Iterator[Finding]:
    """Yield what the host says of the containers; a process has none."""
    if evidence.document.runtime is Runtime.DOCKER:
        yield from findings(Code.TOPOLOGY_CONTAINERS, _containers(evidence, engine))


def _containers(evidence: Evidence, engine: Engine) -> Iterator[Problem]:
    facts, model = evidence.observed.host_facts, evidence.document.plan.cell.model
    if facts is None:
        yield unchecked(HOST_FACTS, "nobody looked from the host", Code.TOPOLOGY_CONTAINERS.holds)
        return
    yield from _same_host(evidence, facts)
    serving = [one for one in facts.containers if one.service == model]
    if len(serving) != 1:
        yield fail(HOST_FACTS, f"{len(serving)} containers of {clip(model)}", "one that serves it")
    for container in serving:
        yield from _devices(container, engine)
        yield from _labels(container, model)
    yield from _others(facts, engine, model)
    yield from _looking(evidence, facts, model)
    for container in facts.containers:
        if container.image_digest is None:
            subject = f"image of {clip(container.service)}"
            expected = "a digest that others can pull it by"
            yield unchecked(subject, "built on this machine: no registry's digest", expected)


def _same_host(evidence: Evidence, facts: HostFacts) -> Iterator[Problem]:
    document = evidence.document
    if facts.host_id != document.host_id:
        yield fail(HOST_FACTS, f"host {facts.host_id}", f"{document.host_id}, as in the bundle")
    if facts.model_files != document.engine.model_files:
        yield fail(HOST_FACTS, "other model files than the bundle's", "the same, of the same image")


def _devices(container: Container, engine: Engine) -> Iterator[Problem]:
    """Hold the GPUs that were asked for against the number of ranks."""
    wanted = engine.tensor_parallel_size if engine.device is Device.GPU else 0
    requested = _asked(container)
    drivers = {request.driver for request in container.device_requests}
    useless = [one for one in container.device_requests if _CAPABILITY not in one.capabilities]
    if len(set(requested)) != wanted or len(requested) != wanted:
        observed = f"{len(requested)} GPUs asked for: {clip(' '.join(requested)) or 'none'}"
        yield fail(clip(container.service), observed, f"{wanted}, one for each rank")
    for driver in drivers - {_DRIVER}:
        yield fail(clip(container.service), f"devices of {clip(driver)}", _DRIVER)
    for request in useless:
        observed = f"devices for {clip(' '.join(request.capabilities)) or 'nothing'}"
        yield fail(clip(container.service), observed, f"capability `{_CAPABILITY}`")


def _asked(container: Container) -> Sequence[str]:
    return [one for request in container.device_requests for one in request.device_ids]


def _labels(container: Container, model: str) -> Iterator[Problem]:
    """Hold what an image that names its model and its vLLM says; others' need not."""
    for label, wanted in ((_MODEL_LABEL, model), (_VLLM_LABEL, PINNED_VLLM)):
        told = container.image_labels.get(label, wanted)
        if told != wanted:
            subject = f"image of {clip(container.service)}"
            yield fail(subject, clip(f"label {label}={told}"), clip(wanted))


def _others(facts: HostFacts, engine: Engine, model: str) -> Iterator[Problem]:
    """Hold the containers beside the one that serves: a client, on GPUs one that looks at them.

    Nothing else is started with them.
    """
    on_gpu = engine.device is Device.GPU
    beside = [one.format(model) for one in ((_CLIENT, _TELEMETRY) if on_gpu else (_CLIENT,))]
    services = [one.service for one in facts.containers]
    for service in beside:
        if services.count(service) != 1:
            observed = f"{services.count(service)} containers of {clip(service)}"
            yield fail(HOST_FACTS, observed, "one")
    for service in dict.fromkeys(services):
        if service not in (model, *beside):
            expected = clip(", ".join((model, *beside)))
            yield fail(clip(service), "a container that no topology has", expected)


def _looking(evidence: Evidence, facts: HostFacts, model: str) -> Iterator[Problem]:
    """Hold who may look at GPUs: telemetry alone, at those that serve, and compute on none."""
    serving = {one for each in facts.containers if each.service == model for one in _asked(each)}
    for container in facts.containers:
        if container.service == model:
            continue
        subject, looks = clip(container.service), container.service == _TELEMETRY.format(model)
        for request in container.device_requests:
            if not looks or set(request.capabilities) != {_LOOKS} or request.driver != _DRIVER:
                observed = f"devices for {clip(' '.join(request.capabilities)) or 'nothing'}"
                yield fail(subject, observed, f"capability `{_LOOKS}`" if looks else "no device")
        asked = _asked(container)
        if looks and set(asked) != serving:
            observed = f"looks at GPUs {clip(' '.join(asked)) or 'none'}"
            yield fail(
                subject, observed, f"{clip(' '.join(sorted(serving))) or 'none'}, that serve"
            )
    told = evidence.observed.telemetry
    seen = 0 if told is None else len(told.header.inventory.gpus)
    if serving and seen > len(serving) and not evidence.document.plan.rehearsal:
        # WSL2 shows every card to every container.
        yield warn(TELEMETRY, f"{seen} GPUs", f"{len(serving)}, those that were asked for")
