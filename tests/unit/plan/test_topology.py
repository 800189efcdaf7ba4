"""Topologies: Compose's rules, what is refused, and the checkout's own files."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import ExitCode, SpecError
from kit.plan.models import Twin, parse_models
from kit.plan.topology import (
    Device,
    Topology,
    Transport,
    fill_variables,
    interpolate,
    parse_topology,
)

ROOT = Path(__file__).parents[3]
MODELS = parse_models((ROOT / "docker" / "models.toml").read_bytes(), "docker/models.toml")
TWINS = {key: model for key, model in MODELS.items() if isinstance(model, Twin)}
SERVED = tuple(name for name in TWINS if not name.endswith("-rehearsal"))
COMPOSE = {path.stem: path.read_bytes() for path in (ROOT / "compose").glob("cpu-*.yaml")}

TOPOLOGY = """\
x-topology: {id: t, device: cpu, tensor_parallel_size: 1, transport: none, models: [m]}
services:
  m:
    command: [vllm, serve, "--port=${PORT:-8000}", 7]
    environment: {B: "${CORES:-0|1}", A: 1}
    healthcheck:
      test: [CMD, curl, "http://127.0.0.1:${PORT:-8000}"]
      interval: 2s
      timeout: 1m30s
      retries: 3
      start_period: 10m
"""
COMMAND = 'command: [vllm, serve, "--port=${PORT:-8000}", 7]'
BLOCK_KEYS = (
    "x-topology",
    "id",
    "device",
    "tensor_parallel_size",
    "transport",
    "models",
    "services",
)
SERVICE_KEYS = ("command", "healthcheck", "test", "interval", "timeout", "retries", "start_period")
KEYS = BLOCK_KEYS + SERVICE_KEYS
OTHER_FORMS = ("${A:?no}", "${A?no}", "${A:+b}", "${A+b}", "${A:-${B}}", "${A:-$B}")
REFUSED = ("$", "a$ b", "$1", "${", "${}", "${1}", "${A", "${A B}", "${A:b}", "$$$", *OTHER_FORMS)


def topology(text: str = TOPOLOGY) -> Topology:
    return parse_topology(text.encode(), "compose/t.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${SET}", "x"),
        ("$SET", "x"),
        ("$SET-$SET.", "x-x."),
        ("${SET:-d}", "x"),
        ("${SET-d}", "x"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET}", ""),
        ("$UNSET", ""),
        ("${UNSET:-d}", "d"),
        ("${UNSET-d}", "d"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b c|d/e}", "a:-b c|d/e"),
        ("${lower_1:-d}", "y"),
        ("a${SET}b${UNSET:-c}d", "axbcd"),
        ("$$", "$"),
        ("$$SET $${SET}", "$SET ${SET}"),
        ("$$$SET", "$x"),
        ("{SET} }", "{SET} }"),
        ("${DOLLAR}", "$SET"),
    ],
)
def test_interpolation(text: str, expected: str) -> None:
    variables = {"SET": "x", "EMPTY": "", "lower_1": "y", "DOLLAR": "$SET"}
    assert interpolate(text, variables) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_interpolation_that_compose_refuses_or_only_compose_knows(text: str) -> None:
    with pytest.raises(ValueError, match="interpolation"):
        interpolate(text, {"A": "x"})
    with pytest.raises(SpecError, match=r"compose/t\.yaml.*interpolation"):
        topology(TOPOLOGY.replace("serve", f"'{text}'"))


@given(st.text(max_size=20))
def test_a_doubled_dollar_sign_keeps_any_text_as_it_is(text: str) -> None:
    assert interpolate(text.replace("$", "$$"), {}) == text


def test_a_topology() -> None:
    found = topology()
    assert (found.id, found.device, found.tensor_parallel_size) == ("t", Device.CPU, 1)
    assert found.transport is Transport.NONE
    service = found.services["m"]
    assert service.command == ("vllm", "serve", "--port=${PORT:-8000}", "7")
    assert service.environment == (("A", "1"), ("B", "${CORES:-0|1}"))
    assert (service.health.interval_s, service.health.timeout_s) == (2.0, 90.0)
    assert service.health.deadline_s == 606.0


def test_every_text_of_a_service_is_filled() -> None:
    filled = fill_variables(topology().services["m"], {"PORT": "9", "CORES": ""})
    assert filled.command == ("vllm", "serve", "--port=9", "7")
    assert filled.environment == (("A", "1"), ("B", "0|1"))
    assert filled.health.test == ("curl", "http://127.0.0.1:9")
    assert filled.health.deadline_s == 606.0


def test_a_service_may_have_no_environment() -> None:
    lines = [line for line in TOPOLOGY.splitlines() if "environment" not in line]
    assert topology("\n".join(lines)).services["m"].environment == ()


@pytest.mark.parametrize(
    "text", ["", "5", "x", "- a", "[", "a: [", "\x00", "x-topology: 5", "[" * 50_000, "? [a]\n: b"]
)
def test_yaml_of_something_else(text: str) -> None:
    with pytest.raises(SpecError, match=r"cannot use compose/t\.yaml: "):
        topology(text)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(SpecError):
        parse_topology(b"\xff\xfe\xff", "compose/t.yaml")


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(SpecError, match=f"key '{key}' is missing"):
        topology(TOPOLOGY.replace(f"{key}:", f"not-{key}:", 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: t", "id: 5"),
        ("device: cpu", "device: tpu"),
        ("device: cpu", "device: [cpu]"),
        ("size: 1", "size: 0"),
        ("size: 1", "size: 2.5"),
        ("size: 1", "size: true"),
        ("size: 1", "size: two"),
        ("transport: none", "transport: null"),
        (COMMAND, "command: vllm serve"),
        (COMMAND, "command: []"),
        (COMMAND, "command: null"),
        ("serve", "yes"),
        ("serve", "null"),
        ("serve", "0.90"),
        ("serve", "[a]"),
        ("A: 1", "A: on"),
        ("A: 1", "A:"),
        ("A: 1", "A: 0.5"),
        ("A: 1", "5: 1"),
        ('{B: "${CORES:-0|1}", A: 1}', "[A=1]"),
        ("[CMD, curl", "[CMD-SHELL, curl"),
        ('[CMD, curl, "http://127.0.0.1:${PORT:-8000}"]', "curl"),
        ('[CMD, curl, "http://127.0.0.1:${PORT:-8000}"]', "[CMD]"),
        ('[CMD, curl, "http://127.0.0.1:${PORT:-8000}"]', "[]"),
        ("interval: 2s", "interval: 2"),
        ("interval: 2s", "interval: 2 s"),
        ("interval: 2s", "interval: -2s"),
        ("interval: 2s", "interval: ''"),
        ("interval: 2s", "interval: 500ms"),
        ("retries: 3", "retries: many"),
    ],
)
def test_one_thing_wrong_in_a_topology(old: str, new: str) -> None:
    assert old in TOPOLOGY
    with pytest.raises(SpecError, match=r"cannot use compose/t\.yaml: "):
        topology(TOPOLOGY.replace(old, new))


def test_an_error_has_three_parts_and_an_exit_code() -> None:
    with pytest.raises(SpecError) as caught:
        topology("5")
    error = caught.value
    assert error.exit_code is ExitCode.BAD_SPEC
    assert all((error.what, error.why))
    assert error.next_step == "git diff -- compose/t.yaml"


# The checkout's own files


@pytest.fixture(params=sorted(COMPOSE))
def shipped(request: pytest.FixtureRequest) -> Topology:
    return parse_topology(COMPOSE[request.param], f"compose/{request.param}.yaml")


def test_both_cpu_topologies_are_there() -> None:
    assert set(COMPOSE) == {"cpu-tp1", "cpu-tp2"}


@pytest.mark.parametrize("name", sorted(COMPOSE))
def test_a_file_is_named_for_its_topology(name: str) -> None:
    assert parse_topology(COMPOSE[name], name).id == name
    assert yaml.safe_load(COMPOSE[name])["name"] == name


def test_every_twin_is_a_service(shipped: Topology) -> None:
    assert set(shipped.services) == set(SERVED)


def test_the_command_says_the_size_that_the_topology_promises(shipped: Topology) -> None:
    for service in shipped.services.values():
        assert f"--tensor-parallel-size={shipped.tensor_parallel_size}" in service.command
    ranks = {"cpu-tp1": (1, Transport.NONE), "cpu-tp2": (2, Transport.GLOO)}
    assert (shipped.tensor_parallel_size, shipped.transport) == ranks[shipped.id]
    assert shipped.device is Device.CPU


def test_services_differ_only_in_the_models_name(shipped: Topology) -> None:
    unnamed = {
        tuple(word.replace(name, "NAME") for word in service.command)
        for name, service in shipped.services.items()
    }
    assert len(unnamed) == 1
    first, *others = shipped.services.values()
    assert all(other.environment == first.environment for other in others)
    assert all(other.health == first.health for other in others)


def test_topologies_differ_only_in_ranks_and_cores() -> None:
    one, two = (parse_topology(COMPOSE[name], name) for name in ("cpu-tp1", "cpu-tp2"))
    for name in SERVED:
        ours, theirs = one.services[name], two.services[name]
        assert set(ours.command) ^ set(theirs.command) == {
            "--tensor-parallel-size=1",
            "--tensor-parallel-size=2",
        }
        assert {key for key, _ in set(ours.environment) ^ set(theirs.environment)} == {
            "VLLM_CPU_OMP_THREADS_BIND"
        }


def test_a_rank_is_bound_to_each_named_core(shipped: Topology) -> None:
    for service in shipped.services.values():
        cores = dict(fill_variables(service, {}).environment)["VLLM_CPU_OMP_THREADS_BIND"]
        assert len(cores.split("|")) == shipped.tensor_parallel_size


def test_an_engine_that_serves_is_left_alone(shipped: Topology) -> None:
    text = COMPOSE[shipped.id].decode()
    assert "interval: 1m\n" in text
    assert all(service.health.interval_s == 2.0 for service in shipped.services.values())


def test_nothing_is_left_open_when_filled(shipped: Topology) -> None:
    for name, service in shipped.services.items():
        filled = fill_variables(service, {"KIT_PORT": "4242", "KIT_MODELS": "/m"})
        texts = (*filled.command, *dict(filled.environment).values(), *filled.health.test)
        assert not any("$" in text for text in texts)
        assert f"/m/{name}" in filled.command
        assert "--port=4242" in filled.command
        assert ":4242/health" in filled.health.test[-1]
