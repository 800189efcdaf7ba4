"""Specs: Compose's rules, what is refused, and the checkout's own files."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kit.edge.files.twin_files import small_files_of
from kit.errors import ExitCode, SpecError
from kit.plan.models import HubFile, HubModel, Twin, parse_models, parse_pin, render_pin
from kit.plan.spec import (
    Device,
    Suite,
    Topology,
    Transport,
    fill,
    interpolate,
    parse_suite,
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
MODEL = """\
[m]
twin_of = "moe"
seed = 1
max_tokens = 8
sha256 = "%s"
config = {vocab_size = 5}
""" % ("ab" * 32)
SUITE = {
    "suite.toml": b'id = "s"\nmode = "serial"\nprompts = ["b", "a"]\nsystem = "system.md"\n',
    "system.md": b"Be brief.\n",
    "a.md": b"A?\n",
    "b.md": "Süß?\n\n".encode(),
}


def topology(text: str = TOPOLOGY) -> Topology:
    return parse_topology(text.encode(), "compose/t.yaml")


def suite(files: Mapping[str, bytes]) -> Suite:
    return parse_suite(files, "prompts/s")


# Interpolation


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


# Topologies


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
    filled = fill(topology().services["m"], {"PORT": "9", "CORES": ""})
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
    with pytest.raises(SpecError):
        parse_models(b"\xff", "docker/models.toml")
    with pytest.raises(SpecError):
        suite({**SUITE, "a.md": b"\xff"})


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


# Models


def test_a_twin() -> None:
    twin = parse_models(MODEL.encode(), "m")["m"]
    assert isinstance(twin, Twin)
    assert (twin.id, twin.twin_of, twin.max_tokens) == ("m", "moe", 8)
    assert twin.config == {"vocab_size": 5}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[m]", "[m"),
        ("[m]", "x = 1\n[m]"),
        ("seed = 1", ""),
        ("seed = 1", 'seed = "1"'),
        ("seed = 1", "seed = 1\nspeed = 2"),
        ("seed = 1", 'id = "x"\nseed = 1'),
        ("max_tokens = 8", "max_tokens = 0"),
        ("max_tokens = 8", "max_tokens = 8.5"),
        ("max_tokens = 8", "max_tokens = true"),
        ("abab", "xyxy"),
        ("config = {vocab_size = 5}", "config = 5"),
        ("config = {vocab_size = 5}", f"config = {'[' * 50_000}"),
    ],
)
def test_one_thing_wrong_in_the_models(old: str, new: str) -> None:
    assert old in MODEL
    with pytest.raises(SpecError, match="cannot use m: "):
        parse_models(MODEL.replace(old, new).encode(), "m")


HUB_MODEL = f"""\
[m]
repository = "owner/Some-Model_1.5"
revision = "{"ab" * 20}"
licence = "Apache-2.0"
"""
PINNED = HubModel(
    id="m",
    repository="owner/Some-Model_1.5",
    revision="ab" * 20,
    licence="Apache-2.0",
    files=(
        HubFile(name="config.json", size_bytes=0, sha256="01" * 32),
        HubFile(name="a/model-00001-of-00002.safetensors", size_bytes=5 * 10**9, sha256="ef" * 32),
    ),
)


def hub_model(text: str = HUB_MODEL) -> HubModel:
    model = parse_models(text.encode(), "m")["m"]
    assert isinstance(model, HubModel)
    return model


def test_a_model_of_the_hub_is_not_pinned_by_its_revision_alone() -> None:
    model = hub_model()
    assert (model.repository, model.revision) == ("owner/Some-Model_1.5", "ab" * 20)
    assert (model.files, model.is_pinned) == ((), False)
    assert hub_model(HUB_MODEL.replace(f'revision = "{"ab" * 20}"', "")).revision is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("owner/", ""),
        ("owner/", "owner/x/"),
        ("owner/", "../"),
        ("owner/", "http://h/"),
        ("owner/", "owner/?"),
        ("abab", "ABAB"),
        ("abab", "ab"),
        (f'"{"ab" * 20}"', '"main"'),
        (f'{"ab" * 20}"', f'{"ab" * 20}\\n"'),
        ('licence = "Apache-2.0"', ""),
        ('licence = "Apache-2.0"', "licence = 2"),
        ("[m]", '[m]\ntwin_of = "moe"'),
        ("[m]", "[m]\nfiles = []"),
    ],
)
def test_one_thing_wrong_in_a_model_of_the_hub(old: str, new: str) -> None:
    assert old in HUB_MODEL
    with pytest.raises(SpecError, match="cannot use m: "):
        hub_model(HUB_MODEL.replace(old, new))


def test_a_pin_reads_back_as_itself_and_gives_a_revision_where_none_is_set() -> None:
    assert PINNED.is_pinned
    assert parse_pin(render_pin(PINNED), "p", hub_model()) == PINNED
    without = hub_model(HUB_MODEL.replace(f'revision = "{"ab" * 20}"', ""))
    assert parse_pin(render_pin(PINNED), "p", without) == PINNED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "{",
            "[",
        ),
        ("config.json", "../config.json"),
        ("config.json", "/config.json"),
        ("config.json", "a//config.json"),
        ("config.json", "a b"),
        ("config.json", ""),
        ("config.json", "a/model-00001-of-00002.safetensors"),
        ('"size_bytes": 0', '"size_bytes": -1'),
        ('"size_bytes": 0', '"size_bytes": 0.5'),
        ('"size_bytes": 0,', ""),
        ("0101", "01"),
        ('"sha256"', '"sha1"'),
        ("owner/", "other/"),
        ("abab", "cdcd"),
        ("5000000000", '"[' * 50_000),
    ],
)
def test_one_thing_wrong_in_a_pin(old: str, new: str) -> None:
    text = render_pin(PINNED).decode()
    assert old in text
    with pytest.raises(SpecError, match="cannot use p: ") as caught:
        parse_pin(text.replace(old, new, 1).encode(), "p", hub_model())
    assert "kit lock-models m" in caught.value.next_step


def test_a_pin_of_no_file_pins_nothing() -> None:
    with pytest.raises(SpecError):
        parse_pin(render_pin(replace(PINNED, files=())), "p", hub_model())


# Suites


def test_a_suite_keeps_its_order_and_drops_one_newline() -> None:
    found = suite(SUITE)
    assert (found.id, found.system) == ("s", "Be brief.")
    assert [(prompt.id, prompt.text) for prompt in found.prompts] == [("b", "Süß?\n"), ("a", "A?")]


@pytest.mark.parametrize("name", sorted(SUITE))
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(SpecError, match=f"key '{name}' is missing"):
        suite({other: data for other, data in SUITE.items() if other != name})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["b", "a"]', "[]"),
        ('["b", "a"]', '["a", "a"]'),
        ('["b", "a"]', '"ab"'),
        ('["b", "a"]', "[5]"),
        ('["b", "a"]', "[["),
        ('mode = "serial"', 'mode = "parallel"'),
        ('mode = "serial"', ""),
        ('id = "s"', "id = 5"),
        ('system = "system.md"', 'system = ["system.md"]'),
        ('system = "system.md"', 'system = "../system.md"'),
    ],
)
def test_one_thing_wrong_in_a_suite(old: str, new: str) -> None:
    text = SUITE["suite.toml"].decode()
    assert old in text
    with pytest.raises(SpecError, match="cannot use prompts/s: "):
        suite({**SUITE, "suite.toml": text.replace(old, new).encode()})


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
        cores = dict(fill(service, {}).environment)["VLLM_CPU_OMP_THREADS_BIND"]
        assert len(cores.split("|")) == shipped.tensor_parallel_size


def test_an_engine_that_serves_is_left_alone(shipped: Topology) -> None:
    text = COMPOSE[shipped.id].decode()
    assert "interval: 1m\n" in text
    assert all(service.health.interval_s == 2.0 for service in shipped.services.values())


def test_nothing_is_left_open_when_filled(shipped: Topology) -> None:
    for name, service in shipped.services.items():
        filled = fill(service, {"KIT_PORT": "4242", "KIT_MODELS": "/m"})
        texts = (*filled.command, *dict(filled.environment).values(), *filled.health.test)
        assert not any("$" in text for text in texts)
        assert f"/m/{name}" in filled.command
        assert "--port=4242" in filled.command
        assert ":4242/health" in filled.health.test[-1]


def test_every_file_of_a_twin_is_pinned() -> None:
    for twin in TWINS.values():
        made = {
            name: hashlib.sha256(data).hexdigest() for name, data in small_files_of(twin).items()
        }
        assert twin.files == made


def test_twins_stand_for_the_articles_two_models() -> None:
    assert {twin.id: twin.twin_of for twin in TWINS.values()} == {
        "moe-mini": "moe",
        "dense-mini": "dense",
        "moe-rehearsal": "moe",
        "dense-rehearsal": "dense",
    }
    assert {twin.twin_of for twin in TWINS.values()} <= set(MODELS)


def test_models_of_the_hub_say_where_they_are() -> None:
    hub_models = {key: model for key, model in MODELS.items() if isinstance(model, HubModel)}
    assert {key: model.repository for key, model in hub_models.items()} == {
        "moe": "cyankiwi/Qwen3-Coder-30B-A3B-Instruct-AWQ-4bit",
        "dense": "Qwen/Qwen2.5-Coder-32B-Instruct-AWQ",
        "moe-fp8": "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8",
    }
    assert all(model.licence == "Apache-2.0" for model in hub_models.values())


def test_every_pin_that_is_here_is_one_of_a_model() -> None:
    for path in (ROOT / "docker" / "models").glob("*.json"):
        model = MODELS[path.stem]
        assert isinstance(model, HubModel)
        assert parse_pin(path.read_bytes(), path.name, model).is_pinned
