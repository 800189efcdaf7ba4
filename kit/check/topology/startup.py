"""What the server's log says of its start: release, device, kernels, all-reduce.

Lines that only a GPU writes follow the sources of vLLM 0.17.0; none was seen yet.
"""

from collections.abc import Iterator

from kit.bundle.bag import SERVER_LOG
from kit.check.check import Check, ForFigures, Problem, Seen, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import PINNED_VLLM, READABLE_SERVER_LOG, release_of
from kit.plan.topology import Device

_DEVICE_NAMES = {Device.CPU: "cpu", Device.GPU: "cuda"}
"""PyTorch's."""

MARLIN = {
    "moe": ("MarlinLinearKernel", "CompressedTensorsWNA16MarlinMoEMethod"),
    "dense": ("awq_marlin",),
}
"""The kernels of the two 4-bit models: compressed-tensors with group 32, and AWQ with group 128."""

OTHER_KERNELS = (
    "AllSparkLinearKernel",
    "BitBLASLinearKernel",
    "CompressedTensorsWNA16MoEMethod",
    "ConchLinearKernel",
    "CutlassW4A8LinearKernel",
    "ExllamaLinearKernel",
    "MacheteLinearKernel",
    "gptq_marlin",
)
"""What vLLM 0.17 has besides for 4-bit weights on CUDA
(vllm/model_executor/layers/quantization/kernels/mixed_precision)."""

NOT_4_BIT = ("moe-fp8",)


def _version(evidence: Evidence) -> Iterator[Problem]:
    log, answered = evidence.observed.server_log, evidence.document.engine.version
    logged = () if log is None else log.engine_versions
    if not logged:
        yield unchecked(SERVER_LOG, "the log does not contain vLLM's version", PINNED_VLLM)
    versions = [(SERVER_LOG, version) for version in logged]
    versions += [] if answered is None else [("/version", answered)]
    for subject, version in versions:
        if release_of(version) != PINNED_VLLM:
            yield fail(subject, f"vLLM {version}", f"vLLM {PINNED_VLLM}")
    if len(logged) > 1:
        yield fail(SERVER_LOG, f"{len(logged)} versions", "one engine, started once")
    elif logged and answered not in (None, *logged):
        yield fail("/version", f"vLLM {answered}", f"{logged[0]}, as in its log")


def _device(evidence: Evidence) -> Iterator[Problem]:
    """A rehearsal serves on CPU, whatever its topology."""
    is_rehearsal = evidence.document.plan.rehearsal
    expected = _DEVICE_NAMES[Device.CPU if is_rehearsal else evidence.engine.device]
    if not evidence.server_log.devices:
        yield unchecked(SERVER_LOG, "the log does not name a device", expected)
    for name in evidence.server_log.devices:
        if name != expected:
            problem = fail if name in _DEVICE_NAMES.values() else warn
            yield problem(SERVER_LOG, name, expected)


def _all_reduce(evidence: Evidence) -> Iterator[Problem]:
    """A single rank has nothing to reduce."""
    log, expected = evidence.server_log, "disabled, so that NCCL alone carries the traffic"
    for addresses in log.graph_registrations:
        yield fail(SERVER_LOG, f"{addresses} CUDA graph addresses registered", expected)
    if evidence.engine.tensor_parallel_size > 1 and False in log.custom_all_reduce_disabled:
        yield fail(SERVER_LOG, "custom all-reduce is not disabled", expected)
    if not log.custom_all_reduce_disabled or log.is_cut:
        yield unchecked(SERVER_LOG, "the log does not say whether it is disabled", expected)


def _kernels(evidence: Evidence) -> Iterator[Problem]:
    log, model = evidence.server_log, evidence.document.plan.cell.model
    if model in NOT_4_BIT:
        for line in (*log.kernels, *log.fallbacks):
            yield fail(SERVER_LOG, line, "no kernel for 4-bit weights: the model has none")
        return
    if model not in MARLIN:
        yield unchecked(SERVER_LOG, f"no kernels are known for model {model}", "Marlin kernels")
        return
    for line in log.fallbacks:
        yield fail(SERVER_LOG, line, "Marlin kernels for every layer")
    for kernel in log.kernels:
        if kernel not in MARLIN[model]:
            problem = fail if _is_known_kernel(kernel) else warn
            yield problem(SERVER_LOG, kernel, " and ".join(MARLIN[model]))
    for kernel in MARLIN[model]:
        if kernel not in log.kernels:
            yield unchecked(SERVER_LOG, "the log does not name it", kernel)
    if log.is_cut:
        yield unchecked(SERVER_LOG, "more lines than are read", "Marlin kernels")


def _is_known_kernel(name: str) -> bool:
    return name in OTHER_KERNELS or any(name in kernels for kernels in MARLIN.values())


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-engine-version",
        holds="the log and `/version` name the pinned release of vLLM",
        hint="measure again with the kit's own engine or image",
        look=_version,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-device",
        holds="the server's log names the device that the topology is of",
        hint="measure again on a machine with the devices that the topology needs",
        look=_device,
        needs=(READABLE_SERVER_LOG,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-all-reduce",
        holds="custom all-reduce is off: it uses NVLink whatever NCCL's variables say",
        hint="measure again with --disable-custom-all-reduce",
        look=_all_reduce,
        needs=(READABLE_SERVER_LOG,),
    ),
    Check(
        id="topology-kernels",
        holds="the kernels for 4-bit weights are Marlin, for linear layers and experts; FP8 has "
        "no such",
        hint="measure again on a GPU of compute capability 8.0 or newer, with the pinned model",
        look=_kernels,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(READABLE_SERVER_LOG,),
        seen=Seen.SOURCE,
    ),
)
