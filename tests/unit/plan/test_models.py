"""Models: what is refused in `docker/models.toml` and in pins, and the checkout's own."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from kit.edge.files.twin_files import small_files_of
from kit.errors import SpecError
from kit.plan.models import HubFile, HubModel, Twin, parse_models, parse_pin, render_pin

ROOT = Path(__file__).parents[3]
MODELS = parse_models((ROOT / "docker" / "models.toml").read_bytes(), "docker/models.toml")
TWINS = {key: model for key, model in MODELS.items() if isinstance(model, Twin)}

MODEL = """\
[m]
twin_of = "moe"
seed = 1
max_tokens = 8
sha256 = "%s"
config = {vocab_size = 5}
""" % ("ab" * 32)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(SpecError):
        parse_models(b"\xff", "docker/models.toml")


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


# The checkout's own files


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
