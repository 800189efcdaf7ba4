"""Cases that tamper with what the host writes about a run's containers (`host.json`)."""

from msgspec.structs import replace

from kit.bundle.host_facts import BASE_LABEL, DeviceRequest
from tests.cases.case import edit, forged, group
from tests.cases.runs import CPU_IN_CONTAINERS, NVLINK, PCIE
from tests.catalog import BASE_IMAGE
from tests.edits.host_facts import (
    CLIENT,
    ENGINE,
    TELEMETRY,
    copy_device_requests,
    edit_containers,
    facts_in,
    set_container,
    set_device_request,
    set_host_facts,
)
from tests.factory import Draft

ONE_GPU = DeviceRequest(driver="nvidia", device_ids=("0",), capabilities=("gpu",))
OTHER_BASE = f"docker.io/library/python:3.12@sha256:{'0' * 64}"


def drop_host_facts(draft: Draft) -> None:
    """Remove the host facts."""
    draft.host_facts = None


def unlink_cards(draft: Draft) -> None:
    """Let the cards' links lead elsewhere than to each other."""
    matrix = facts_in(draft).topology_matrix
    assert matrix is not None
    set_host_facts(draft, topology_matrix=matrix.replace("NV4", "PHB"))


HOST_FACTS = group(
    "Host facts: containers, devices, images",
    forged("Host facts are missing, and not declared absent", "protocol-evidence",
           drop_host_facts, runs=(CPU_IN_CONTAINERS,)),
    forged("Host facts are of another host", "topology-containers",
           edit(set_host_facts, host_id="f" * 32), runs=(CPU_IN_CONTAINERS,)),
    forged("The engine's image is built on another base image", "protocol-base-image",
           edit(set_container, ENGINE, image_labels={BASE_LABEL: OTHER_BASE}),
           runs=(CPU_IN_CONTAINERS,)),
    forged("The engine's image is of another model", "topology-containers",
           edit(set_container, ENGINE,
                image_labels={BASE_LABEL: BASE_IMAGE, "llm-serving-kit.model": "moe-mini"}),
           runs=(PCIE,)),
    forged("The engine has one GPU of two", "topology-containers",
           edit(set_device_request, ENGINE, device_ids=("0",)), runs=(PCIE,)),
    forged("The engine may read its GPUs' state, and not compute on them", "topology-containers",
           edit(set_device_request, ENGINE, capabilities=("utility",)), runs=(PCIE,)),
    forged("The engine of a CPU topology has a GPU", "topology-containers",
           edit(set_container, ENGINE, device_requests=(ONE_GPU,)), runs=(CPU_IN_CONTAINERS,)),
    forged("The client container is missing", "topology-containers",
           edit(edit_containers, lambda containers: containers[1:]), runs=(CPU_IN_CONTAINERS,)),
    forged("The client may compute on the engine's GPUs", "topology-containers",
           edit(copy_device_requests, ENGINE, CLIENT), runs=(PCIE,)),
    forged("The client may read the GPUs' state", "topology-containers",
           edit(copy_device_requests, TELEMETRY, CLIENT), runs=(PCIE,)),
    forged("A container is running that the topology does not have", "topology-containers",
           edit(edit_containers,
                lambda containers: (*containers, replace(containers[CLIENT], service="miner"))),
           runs=(PCIE,)),
    forged("The telemetry container is missing", "topology-containers",
           edit(edit_containers, lambda containers: containers[:2]), runs=(PCIE,)),
    forged("Telemetry is of other GPUs than those of the engine", "topology-containers",
           edit(set_device_request, TELEMETRY, device_ids=("2", "3")), runs=(PCIE,)),
    forged("The telemetry container may compute on the GPUs", "topology-containers",
           edit(set_device_request, TELEMETRY, capabilities=("gpu",)), runs=(PCIE,)),
    forged("The cards' NVLink does not connect them to each other", "topology-nvlink",
           unlink_cards, runs=(NVLINK,)),
)  # fmt: skip
