"""Ways to tamper with what shows that a topology was real, each with the code that must name it.

As `tampering.py`, on bundles of GPU topologies. No GPU was seen: see `tests/gpu_evidence.py`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from kit.bundle.host_facts import BASE_LABEL, Container, DeviceRequest
from kit.bundle.telemetry import ClockReason
from kit.plan.topology import Transport
from tests.factory import BASE_IMAGE, Draft
from tests.gpu_evidence import NCCL_LOGS, access_log, telemetry_of, throughput_log


def respelled(made: Draft, old: bytes, new: bytes) -> None:
    """Change what the server's log says."""
    assert made.server_log is not None
    assert old in made.server_log
    made.server_log = made.server_log.replace(old, new)


def retold(made: Draft, **values: object) -> None:
    """Change a value in every reading of the telemetry."""
    clock = made.document.clock
    made.telemetry = telemetry_of(clock.start_utc, clock.end_s, **values)


def one_channel_over_another_transport(made: Draft) -> None:
    assert made.nccl_log is not None
    lines = NCCL_LOGS[Transport.NVLINK].splitlines(keepends=True)
    made.nccl_log += next(line for line in lines if b" via P2P/" in line)


def two_ranks_where_one_was_promised(made: Draft) -> None:
    made.nccl_log = NCCL_LOGS[Transport.NVLINK]


def more_ranks_than_the_topology_has(made: Draft) -> None:
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(b"1[1]", b"2[2]")


def ranks_over_shared_memory_on_cpu(made: Draft) -> None:
    respelled(made, b"backend=gloo", b"backend=mpi")


def another_number_of_ranks(made: Draft) -> None:
    respelled(made, b"world_size=2", b"world_size=1")


def an_nccl_variable_that_is_not_planned(made: Draft) -> None:
    line = b"node:4:4 [0] NCCL INFO NCCL_NTHREADS set by environment to 64.\n"
    made.nccl_log = (made.nccl_log or b"") + line


def an_nccl_variable_with_another_value(made: Draft) -> None:
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(
        b"DISABLE set by environment to 1", b"DISABLE set by environment to 0"
    )


def a_log_of_another_release(made: Draft) -> None:
    respelled(made, b"(v0.17.0)", b"(v0.18.1)")


def another_release_by_its_own_word(made: Draft) -> None:
    made.document = replace(made.document, engine=replace(made.document.engine, version="0.16.0"))


def a_fork_of_the_release(made: Draft) -> None:
    engine = replace(made.document.engine, version="0.17.0+fastfork")
    made.document = replace(made.document, engine=engine)


def a_log_that_tells_of_tokens_after_the_last_response(made: Draft) -> None:
    assert made.server_log is not None
    end = datetime(2026, 3, 6, 12, 0, tzinfo=UTC) + timedelta(seconds=made.document.clock.end_s)
    made.server_log += throughput_log([(end + timedelta(seconds=40), 99.9)])


def the_log_of_a_run_at_another_time(made: Draft) -> None:
    respelled(made, b" 12:00:", b" 15:07:")


def the_log_of_a_run_in_another_month(made: Draft) -> None:
    respelled(made, b"INFO 03-06 ", b"INFO 11-25 ")


def the_log_of_a_longer_run(made: Draft) -> None:
    assert made.server_log is not None
    made.server_log += access_log([datetime(2026, 3, 6, 12, 0, tzinfo=UTC)] * 9)


def a_response_without_a_line_in_the_log(made: Draft) -> None:
    assert made.server_log is not None
    *rest, _last = made.server_log.splitlines(keepends=True)
    made.server_log = b"".join(rest)


def a_cpu_in_place_of_the_gpus(made: Draft) -> None:
    respelled(made, b"device_config=cuda", b"device_config=cpu")


def a_flag_that_is_not_planned(made: Draft) -> None:
    respelled(made, b"non-default args: {", b"non-default args: {'enforce_eager': True, ")


def a_flag_left_out(made: Draft) -> None:
    respelled(made, b", 'gpu_memory_utilization': 0.92", b"")


def a_flag_with_another_value(made: Draft) -> None:
    respelled(made, b"'max_num_seqs': 4", b"'max_num_seqs': 256")


def another_context_limit(made: Draft) -> None:
    respelled(made, b"Maximum concurrency for 32,768", b"Maximum concurrency for 8,192")


def custom_all_reduce_in_use(made: Draft) -> None:
    line = b"INFO 03-06 12:00:00 [custom_all_reduce.py:216] Registering 97 cuda graph addresses\n"
    made.server_log = (made.server_log or b"") + line


def custom_all_reduce_left_on(made: Draft) -> None:
    respelled(made, b"disable_custom_all_reduce=True", b"disable_custom_all_reduce=False")


def experts_without_marlin(made: Draft) -> None:
    respelled(made, b"CompressedTensorsWNA16MarlinMoEMethod", b"CompressedTensorsWNA16MoEMethod")


def attention_without_marlin(made: Draft) -> None:
    respelled(made, b"MarlinLinearKernel", b"ExllamaLinearKernel")


def a_layer_without_marlin(made: Draft) -> None:
    line = b"WARNING 03-06 12:00:00 [a.py:1] Layer 'x' is not supported by AWQMarlin. Falling\n"
    made.server_log = (made.server_log or b"") + line


def no_nvlink_link_up(made: Draft) -> None:
    assert made.telemetry is not None
    gpus = tuple(
        replace(gpu, nvlink_links_active=0) for gpu in made.telemetry.header.inventory.gpus
    )
    inventory = replace(made.telemetry.header.inventory, gpus=gpus)
    header = replace(made.telemetry.header, inventory=inventory)
    made.telemetry = replace(made.telemetry, header=header)


def counters_of_nvlink_that_stand_still(made: Draft) -> None:
    retold(made, nvlink_received_bytes=5, nvlink_sent_bytes=5)


def traffic_over_nvlink(made: Draft) -> None:
    assert made.telemetry is not None
    made.telemetry = replace(
        made.telemetry,
        samples=tuple(
            replace(
                one,
                gpus=tuple(
                    replace(gpu, nvlink_received_bytes=0, nvlink_sent_bytes=2**20 * number)
                    for gpu in one.gpus
                ),
            )
            for number, one in enumerate(made.telemetry.samples)
        ),
    )


def slowed_down_by_heat(made: Draft) -> None:
    retold(made, clock_reasons=(ClockReason.SW_POWER_CAP, ClockReason.SW_THERMAL_SLOWDOWN))


def slowed_down_by_the_board(made: Draft) -> None:
    retold(made, clock_reasons=(ClockReason.HW_SLOWDOWN, ClockReason.HW_POWER_BRAKE_SLOWDOWN))


def telemetry_without_an_end(made: Draft) -> None:
    assert made.telemetry is not None
    made.telemetry = replace(made.telemetry, end=None)


def telemetry_that_ends_early(made: Draft) -> None:
    assert made.telemetry is not None
    half = len(made.telemetry.samples) // 2
    made.telemetry = replace(made.telemetry, samples=made.telemetry.samples[:half])


def telemetry_that_begins_late(made: Draft) -> None:
    assert made.telemetry is not None
    made.telemetry = replace(made.telemetry, samples=made.telemetry.samples[20:])


def telemetry_of_another_run(made: Draft) -> None:
    made.telemetry = telemetry_of("2026-03-06T11:00:00.000000Z", made.document.clock.end_s)


def telemetry_of_one_gpu(made: Draft) -> None:
    assert made.telemetry is not None
    inventory = made.telemetry.header.inventory
    header = replace(made.telemetry.header, inventory=replace(inventory, gpus=inventory.gpus[:1]))
    made.telemetry = replace(made.telemetry, header=header)


def telemetry_out_of_order(made: Draft) -> None:
    assert made.telemetry is not None
    made.telemetry = replace(made.telemetry, samples=made.telemetry.samples[::-1])


def no_telemetry_and_not_a_word_about_it(made: Draft) -> None:
    made.telemetry = None


def no_nccl_log_and_not_a_word_about_it(made: Draft) -> None:
    made.nccl_log = None


def _serving(made: Draft, **changes: object) -> None:
    """Change what the host says of the engine's container."""
    _containers(made, lambda told: (told[0], replace(told[1], **changes), *told[2:]))


def images_on_another_base(made: Draft) -> None:
    _serving(made, image_labels={BASE_LABEL: "docker.io/library/python:3.12"})


def a_gpu_too_few(made: Draft) -> None:
    assert made.host_facts is not None
    (request,) = made.host_facts.containers[1].device_requests
    _serving(made, device_requests=(replace(request, device_ids=request.device_ids[:1]),))


def gpus_to_be_looked_at_alone(made: Draft) -> None:
    assert made.host_facts is not None
    (request,) = made.host_facts.containers[1].device_requests
    _serving(made, device_requests=(replace(request, capabilities=("utility",)),))


def a_gpu_for_a_cpu_topology(made: Draft) -> None:
    request = DeviceRequest(driver="nvidia", device_ids=("0",), capabilities=("gpu",))
    _serving(made, device_requests=(request,))


def a_container_that_nobody_knows(made: Draft) -> None:
    _containers(made, lambda told: (*told, replace(told[0], service="miner")))


def no_client(made: Draft) -> None:
    _containers(made, lambda told: told[1:])


def gpus_for_the_client(made: Draft) -> None:
    _containers(
        made, lambda told: (replace(told[0], device_requests=told[1].device_requests), *told[1:])
    )


def no_container_that_looks_at_the_gpus(made: Draft) -> None:
    _containers(made, lambda told: told[:2])


def telemetry_of_other_gpus_than_serve(made: Draft) -> None:
    """Two idle ones, beside those that compute."""
    (request,) = _last(made).device_requests
    _looking(made, device_requests=(replace(request, device_ids=("2", "3")),))


def telemetry_that_may_compute(made: Draft) -> None:
    (request,) = _last(made).device_requests
    _looking(made, device_requests=(replace(request, capabilities=("gpu",)),))


def a_look_at_the_gpus_for_the_client(made: Draft) -> None:
    looks = _last(made).device_requests
    _containers(made, lambda told: (replace(told[0], device_requests=looks), *told[1:]))


def telemetry_by_another_image(made: Draft) -> None:
    _looking(made, image="kit/sampler-of-my-own:1", image_id="sha256:" + "99" * 32)


def one_image_under_two_digests(made: Draft) -> None:
    _looking(made, image_digest="sha256:" + "77" * 32)


def an_image_of_another_model(made: Draft) -> None:
    _serving(made, image_labels={BASE_LABEL: BASE_IMAGE, "llm-serving-kit.model": "moe-mini"})


def less_memory_than_an_engine_takes(made: Draft) -> None:
    _serving(made, memory_bytes=2**20)


def less_memory_than_the_weights_take(made: Draft) -> None:
    """On a CPU, where they must stay in it; pinned files have no such size, which is said too."""
    assert made.host_facts is not None
    weights, *rest = made.host_facts.model_files
    files = (replace(weights, size_bytes=20 * 2**30), *rest)
    made.host_facts = replace(made.host_facts, model_files=files)
    made.document = replace(made.document, engine=replace(made.document.engine, model_files=files))


def _looking(made: Draft, **changes: object) -> None:
    """Change what the host says of the container that looks at the GPUs."""
    _containers(made, lambda told: (*told[:2], replace(told[2], **changes)))


def _last(made: Draft) -> Container:
    assert made.host_facts is not None
    return made.host_facts.containers[-1]


def _containers(
    made: Draft, change: Callable[[tuple[Container, ...]], tuple[Container, ...]]
) -> None:
    assert made.host_facts is not None
    changed = change(made.host_facts.containers)
    made.host_facts = replace(made.host_facts, containers=changed)


def a_root_that_can_be_written(made: Draft) -> None:
    _serving(made, read_only=False)


def facts_of_another_host(made: Draft) -> None:
    assert made.host_facts is not None
    made.host_facts = replace(made.host_facts, host_id="f" * 32)


def no_facts_and_not_a_word(made: Draft) -> None:
    made.host_facts = None
