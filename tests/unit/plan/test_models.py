"""Models: what is refused in `docker/models.toml` and in pins, and the checkout's own."""

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kit.edge.files.twin_files import small_files_of
from kit.errors import SpecError
from kit.plan.models import (
    FileList,
    HubFile,
    HubModel,
    ListedBy,
    Twin,
    parse_file_list,
    parse_models,
    render_file_list,
)

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
LISTED = FileList(
    repository="owner/Some-Model_1.5",
    revision="ab" * 20,
    listed_by=ListedBy.HUB,
    files=(
        HubFile(name="config.json", size_bytes=0, sha256="01" * 32),
        HubFile(name="a/model-00001-of-00002.safetensors", size_bytes=5 * 10**9, sha256="ef" * 32),
    ),
)


def hub_model(text: str = HUB_MODEL) -> HubModel:
    model = parse_models(text.encode(), "m")["m"]
    assert isinstance(model, HubModel)
    return model


def test_a_model_of_the_hub_may_ship_some_hashes() -> None:
    model = hub_model(f'{HUB_MODEL}sha256 = {{"config.json" = "{"01" * 32}"}}\n')
    assert (model.repository, model.revision) == ("owner/Some-Model_1.5", "ab" * 20)
    assert (model.files, model.shipped_sha256) == ((), {"config.json": "01" * 32})


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
        (f'revision = "{"ab" * 20}"', ""),
        ("[m]", '[m]\nsha256 = {"config.json" = "01"}'),
        ("[m]", f'[m]\nsha256 = {{"../x" = "{"01" * 32}"}}'),
        ('licence = "Apache-2.0"', "licence = 2"),
        ("[m]", '[m]\ntwin_of = "moe"'),
        ("[m]", "[m]\nfiles = []"),
    ],
)
def test_one_thing_wrong_in_a_model_of_the_hub(old: str, new: str) -> None:
    assert old in HUB_MODEL
    with pytest.raises(SpecError, match="cannot use m: "):
        hub_model(HUB_MODEL.replace(old, new))


def test_a_list_reads_back_as_itself() -> None:
    assert parse_file_list(render_file_list(LISTED), "p", hub_model()) == LISTED
    assert LISTED.size_bytes == 5 * 10**9


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
def test_one_thing_wrong_in_a_list(old: str, new: str) -> None:
    text = render_file_list(LISTED).decode()
    assert old in text
    with pytest.raises(SpecError, match="cannot use p: ") as caught:
        parse_file_list(text.replace(old, new, 1).encode(), "p", hub_model())
    assert caught.value.next_step.startswith("rm p")


def test_a_list_must_agree_with_every_shipped_hash() -> None:
    model = replace(hub_model(), sha256={"config.json": "02" * 32})
    with pytest.raises(SpecError, match=f"config.json is {'01' * 32}, not {'02' * 32}"):
        parse_file_list(render_file_list(LISTED), "p", model)
    model = replace(hub_model(), sha256={"tokenizer.json": "02" * 32})
    with pytest.raises(SpecError, match=r"tokenizer.json is not listed"):
        parse_file_list(render_file_list(LISTED), "p", model)


def test_a_list_without_weights_is_none() -> None:
    for files in ((), LISTED.files[:1]):
        listed = msgspec.structs.replace(LISTED, files=files)
        with pytest.raises(SpecError):
            parse_file_list(render_file_list(listed), "p", hub_model())


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


def test_every_list_that_is_here_is_one_of_a_model() -> None:
    for path in (ROOT / "docker" / "models").glob("*.json"):
        model = MODELS[path.stem]
        assert isinstance(model, HubModel)
        assert parse_file_list(path.read_bytes(), path.name, model).listed_by is ListedBy.KIT
