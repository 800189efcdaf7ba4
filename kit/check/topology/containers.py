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
from kit.plan.topology import Device

_DRIVER = "nvidia"
_CAPABILITY = "gpu"
_LOOKS = "utility"
"""To ask the driver, and to compute nothing (NVIDIA Container Toolkit, driver capabilities)."""

_CLIENT, _TELEMETRY = "client-{}", "telemetry-{}"
"""Services beside a model's own in the files of `compose/`; the second on GPU topologies alone."""

_MODEL_LABEL, _VLLM_LABEL = "llm-serving-kit.model", "llm-serving-kit.vllm"
"""What an image says that it holds (docker/model.Dockerfile, docker/server.Dockerfile)."""

LEAST_MEMORY_BYTES = 2**29
"""In less no engine comes up: its two processes load PyTorch, each for itself."""

SWAP_RATIO = 2
"""A container has as much swap as memory, unless told (Docker: "Resource constraints")."""

_ALL = "ALL"
"""Capabilities, as the files of `compose/` drop them."""

_WEIGHTS = ".safetensors"


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
        yield from _memory(container, facts, engine)
        yield from _labels(container, model)
    yield from _others(facts, engine, model)
    yield from _looking(evidence, facts, model)
    yield from _images(facts)
    for container in facts.containers:
        yield from _isolation(container)
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


def _memory(container: Container, facts: HostFacts, engine: Engine) -> Iterator[Problem]:
    """Hold the engine's limit against what it must hold: on CPU, the weights of all ranks.

    On GPUs a file of weights is read piece by piece, and the kernel may drop each again.
    """
    sizes = (one.size_bytes for one in facts.model_files if one.name.endswith(_WEIGHTS))
    weights = sum(sizes) if engine.device is Device.CPU else 0
    least = max(LEAST_MEMORY_BYTES, weights // SWAP_RATIO)
    if 0 < container.memory_bytes < least:  # no limit at all is said elsewhere
        observed = f"a limit of {container.memory_bytes} bytes of memory"
        yield fail(clip(container.service), observed, f"{least} at least, to hold an engine")


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


def _images(facts: HostFacts) -> Iterator[Problem]:
    """Hold that one image is described as one, and that client and telemetry were given one name.

    Whose name that is, and which an engine's has, is left to whoever starts them.
    """
    known: dict[str, Container] = {}
    for one in facts.containers:
        first = known.setdefault(one.image_id, one)
        if (one.image_digest, one.image_labels) != (first.image_digest, first.image_labels):
            subject = f"image of {clip(one.service)}"
            yield fail(subject, "another digest or other labels", "those of the image of this id")
    heads = (_CLIENT.format(""), _TELEMETRY.format(""))
    ours = [one for one in facts.containers if one.service.startswith(heads)]
    for name in sorted({one.image for one in ours[1:]} - {one.image for one in ours[:1]}):
        yield fail(HOST_FACTS, f"image {clip(name)}", clip(f"{ours[0].image}, as its like has"))


def _isolation(container: Container) -> Iterator[Problem]:
    subject = clip(container.service)
    if not container.read_only:
        yield fail(subject, "its root can be written", "a root that cannot be written")
    if not container.capabilities_dropped:
        yield fail(subject, "it has capabilities", "none")
    elif container.capabilities_dropped != (_ALL,):
        # An engine may spell out what that is.
        dropped = clip(" ".join(container.capabilities_dropped))
        yield warn(subject, f"without the capabilities {dropped}", "with none")
    if not container.memory_bytes or not container.pids:
        # A kernel may have none, and then the engine leaves them out (`docker info`, warnings).
        yield warn(subject, "no limit on its memory or processes", "limits on both")
