"""Topologies: the devices and the server commands of an engine, read from `compose/*.yaml`.

The Compose files are the only source of these; nothing of them is repeated in code.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kit.plan.spec import Positive, bad, checked


class Device(Enum):
    """Kind of device that the engine runs on."""

    CPU = "cpu"
    GPU = "gpu"


class Transport(Enum):
    """Transport between ranks, which a topology declares and the logs must show."""

    NONE = "none"
    GLOO = "gloo"
    NVLINK = "p2p-nvlink"
    SHARED_MEMORY = "shm"
    SOCKET = "net-socket"


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthCheck:
    """Compose's healthcheck: ready when `test` exits 0, failed after `deadline_s`.

    `interval_s` is Compose's `start_interval`: the kit does not ask again once a server is ready.
    """

    test: tuple[str, ...]
    interval_s: float
    timeout_s: float
    deadline_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One engine as its Compose file starts it, with its `${NAME:-default}` variables.

    `gpus` are the ids of the reserved devices.
    """

    command: tuple[str, ...]
    gpus: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...]
    health: HealthCheck


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """Devices, the transport between them, and a service for each model.

    `default_models` are those that are measured where none is named.
    """

    id: str
    device: Device
    tensor_parallel_size: Positive
    transport: Transport
    services: Mapping[str, Service]
    default_models: tuple[str, ...] = ()


def parse_topology(data: bytes, name: str) -> Topology:
    """Read a file of `compose/`: its `x-topology` block and the service of each model named there.

    `base.yaml`, which these files extend, has nothing that a plan depends on.
    """
    import yaml  # noqa: PLC0415  # `kit --help` must not pay for it

    try:
        document = yaml.load(data, Loader=yaml.CSafeLoader)  # safe, and ten times as fast
        block = document["x-topology"]
        return checked(
            Topology(
                id=block["id"],
                device=Device(block["device"]),
                tensor_parallel_size=block["tensor_parallel_size"],
                transport=Transport(block["transport"]),
                services={key: _service(document["services"][key]) for key in block["models"]},
                default_models=tuple(block.get("default_models", block["models"])),
            )
        )
    except (
        yaml.YAMLError, KeyError, ValueError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise bad(name, error) from error


_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)"
    r"|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:?-)(?P<default>[^${}]*))?\}"
    r"|(?P<other>))"
)


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables as Compose does (Compose specification, "Interpolation").

    `$NAME`, `${NAME}`, `${NAME:-default}` (unset or empty), `${NAME-default}` (unset) and `$$` for
    a dollar sign; unset without a default is empty. Raises ValueError for any other dollar sign,
    including forms that Compose knows, such as `:?`, `:+` or a variable in a default.
    """

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["other"] is not None:
            raise ValueError(f"unsupported form of interpolation: {text!r}")
        setting = variables.get(match["name"] or match["bare"])
        if setting is None or (match["operator"] == ":-" and not setting):
            return match["default"] or ""
        return setting

    return _VARIABLE.sub(value, text)


def fill_variables(service: Service, variables: Mapping[str, str]) -> Service:
    """Return the service with every variable replaced."""
    return Service(
        command=tuple(interpolate(word, variables) for word in service.command),
        gpus=tuple(interpolate(word, variables) for word in service.gpus),
        environment=tuple(
            (name, interpolate(value, variables)) for name, value in service.environment
        ),
        health=HealthCheck(
            test=tuple(interpolate(word, variables) for word in service.health.test),
            interval_s=service.health.interval_s,
            timeout_s=service.health.timeout_s,
            deadline_s=service.health.deadline_s,
        ),
    )


def _service(body: Mapping[str, Any]) -> Service:
    environment = body.get("environment", {})
    return Service(
        command=_words(body["command"]),
        gpus=tuple(_gpus(body.get("deploy", {}))),
        environment=tuple((name, _word(value)) for name, value in sorted(environment.items())),
        health=_health(body["healthcheck"]),
    )


def _gpus(deploy: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reserved device ids, in the form that every version of Compose accepts."""
    reservations = deploy.get("resources", {}).get("reservations", {})
    for device in reservations.get("devices", ()):
        yield from _words(device["device_ids"])


def _health(body: Mapping[str, Any]) -> HealthCheck:
    kind, *test = _words(body["test"])
    if kind != "CMD" or not test:
        raise ValueError(f"healthcheck test must be of the form CMD, not {kind!r}")
    interval_s, start_period_s = _seconds(body["interval"]), _seconds(body["start_period"])
    start_interval_s = _seconds(body["start_interval"]) if "start_interval" in body else interval_s
    return HealthCheck(
        test=tuple(test),
        interval_s=start_interval_s,
        timeout_s=_seconds(body["timeout"]),
        deadline_s=start_period_s + interval_s * int(body["retries"]),
    )


def _words(value: object) -> tuple[str, ...]:
    """Read a command in Compose's list form; the string form would need a shell's rules."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"not a list of words: {value!r}")
    return tuple(_word(word) for word in value)


def _word(value: object) -> str:
    """Read a string or an integer; YAML changes the spelling of other scalars."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise TypeError(f"must be a quoted string: {value!r}")
    word = str(value)
    interpolate(word, {})  # so that a bad variable is reported with the file's name
    return word


def _seconds(text: str) -> float:
    """Read a Compose duration such as `1m30s` or `2s`."""
    match = re.fullmatch(r"(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?", text)
    if not text or match is None:
        raise ValueError(f"not a duration in minutes and seconds: {text!r}")
    return 60.0 * int(match["m"] or 0) + float(match["s"] or 0)
