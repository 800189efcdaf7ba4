"""The topology tier's look at the containers, as the host saw them before they started."""

from collections.abc import Iterator

from kit.bundle import HOST_FACTS, Runtime
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.containers import Container, HostFacts
from kit.plan import Engine
from kit.spec import Device

_DRIVER = "nvidia"
_CAPABILITY = "gpu"
_LOOKS = "utility"
"""To ask the driver, and to compute nothing (NVIDIA Container Toolkit, driver capabilities)."""

_CLIENT, _TELEMETRY = "client-{}", "telemetry-{}"
"""Services beside a model's own in the files of `compose/`."""


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
    yield from _others(facts, model)
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
    requested = [one for request in container.device_requests for one in request.device_ids]
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


def _others(facts: HostFacts, model: str) -> Iterator[Problem]:
    """Hold the containers beside the one that serves: a client, one that looks at the GPUs at most.

    Nothing else is started with them; and none of them computes.
    """
    services = [one.service for one in facts.containers]
    client = _CLIENT.format(model)
    if services.count(client) != 1:
        yield fail(HOST_FACTS, f"{services.count(client)} clients of {clip(model)}", "one")
    known = {model, client, _TELEMETRY.format(model)}
    for service in dict.fromkeys(services):
        if service not in known:
            yield fail(clip(service), "a container that no topology has", clip(sorted(known)))
    for container in facts.containers:
        for request in container.device_requests if container.service != model else ():
            if set(request.capabilities) != {_LOOKS}:
                observed = f"devices for {clip(' '.join(request.capabilities)) or 'nothing'}"
                yield fail(clip(container.service), observed, f"capability `{_LOOKS}` at most")


def _isolation(container: Container) -> Iterator[Problem]:
    subject = clip(container.service)
    if not container.read_only:
        yield fail(subject, "its root can be written", "a root that cannot be written")
    if container.capabilities_dropped != ("ALL",):
        yield fail(subject, "it has capabilities", "none")
    if not container.memory_bytes or not container.pids:
        yield fail(subject, "no limit on its memory or processes", "limits on both")
