"""Edits of what the host writes about the containers of a draft's run.

Each takes the draft first and changes it in place.
"""

from collections.abc import Callable

from msgspec.structs import replace

from kit.bundle.host_facts import Container, HostFacts
from tests.factory import Draft

CLIENT, ENGINE, TELEMETRY = 0, 1, 2
"""Positions of the containers in `host.json`; only GPU topologies have the third."""

Containers = tuple[Container, ...]


def facts_in(draft: Draft) -> HostFacts:
    """Return the host facts of a draft that has some."""
    assert draft.host_facts is not None
    return draft.host_facts


def set_host_facts(draft: Draft, **fields: object) -> None:
    """Set fields of the host facts."""
    draft.host_facts = replace(facts_in(draft), **fields)


def edit_containers(draft: Draft, change: Callable[[Containers], Containers]) -> None:
    """Change the list of containers."""
    set_host_facts(draft, containers=change(facts_in(draft).containers))


def set_container(draft: Draft, position: int, **fields: object) -> None:
    """Set fields of one container."""
    containers = list(facts_in(draft).containers)
    containers[position] = replace(containers[position], **fields)
    set_host_facts(draft, containers=tuple(containers))


def set_device_request(draft: Draft, position: int, **fields: object) -> None:
    """Set fields of the one request for devices that a container has."""
    (request,) = facts_in(draft).containers[position].device_requests
    set_container(draft, position, device_requests=(replace(request, **fields),))


def copy_device_requests(draft: Draft, source: int, target: int) -> None:
    """Let one container request the devices of another."""
    requests = facts_in(draft).containers[source].device_requests
    set_container(draft, target, device_requests=requests)
