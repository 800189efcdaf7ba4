"""A twin's files: pinned bytes, readable by the libraries that engines use."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from kit.errors import SpecError
from kit.plan.models import Twin, parse_models
from kit.twins.checkpoint import small_files, weight_chunks
from kit.twins.vocabulary import SpecialToken
from kit.twins.weights import layout

REPOSITORY = Path(__file__).parents[3]
MODELS = {
    key: model
    for key, model in parse_models(
        REPOSITORY.joinpath("docker/models.toml").read_bytes(), "docker/models.toml"
    ).items()
    if isinstance(model, Twin)
}

COMMON: Mapping[str, Any] = {
    "vocab_size": 16384,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}
MOE = Twin(
    id="moe-nano",
    twin_of="moe",
    seed=11,
    max_tokens=8,
    sha256="9ffd460d2fb77d7ba4b5a61758ad9f708955d885c1dc90280d3c9cb7c44b9282",
    config={
        **COMMON,
        "model_type": "qwen3_moe",
        "architectures": ["Qwen3MoeForCausalLM"],
        "head_dim": 32,
        "moe_intermediate_size": 32,
        "num_experts": 8,
        "num_experts_per_tok": 2,
    },
)
DENSE = Twin(
    id="dense-nano",
    twin_of="dense",
    seed=12,
    max_tokens=8,
    sha256="aa4f67d3c4578ff84729e770ce4a2a45b9e93d11fb84e83bea5b468ba8b69634",
    config={
        **COMMON,
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "intermediate_size": 128,
    },
)


def sha256(model: Twin) -> str:
    digest = hashlib.sha256()
    for chunk in weight_chunks(model):
        digest.update(chunk)
    return digest.hexdigest()


def documents(model: Twin) -> dict[str, dict[str, Any]]:
    files = small_files(model, b"tokenizer", b"template")
    return {name: json.loads(data) for name, data in files.items() if name.endswith("config.json")}


@pytest.mark.parametrize("model", [MOE, DENSE, *MODELS.values()], ids=lambda model: model.id)
def test_weights_have_the_pinned_sha256(model: Twin) -> None:
    assert sha256(model) == model.sha256


def test_seed_changes_the_weights() -> None:
    assert sha256(replace(MOE, seed=MOE.seed + 1)) != MOE.sha256


@pytest.mark.parametrize("model", [MOE, DENSE], ids=lambda model: model.id)
def test_the_safetensors_library_reads_the_weights(model: Twin, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"".join(weight_chunks(model)))
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        assert {part.get_dtype() for part in slices.values()} == {"BF16"}
    assert shapes == {tensor.name: tensor.shape for tensor in layout(model.config)}


@pytest.mark.parametrize("model", [MOE, DENSE], ids=lambda model: model.id)
def test_header_is_padded_so_that_tensors_are_aligned(model: Twin) -> None:
    header = next(weight_chunks(model))
    assert len(header) % 8 == 0
    assert int.from_bytes(header[:8], "little") == len(header) - 8


def test_files_are_those_of_a_checkpoint() -> None:
    files = small_files(MOE, b"tokenizer", b"template")
    assert sorted(files) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert files["tokenizer.json"] == b"tokenizer"
    assert files["chat_template.jinja"] == b"template"


def test_config_is_the_models_with_its_token_ids() -> None:
    config = documents(MOE)["config.json"]
    assert {key: config[key] for key in MOE.config} == MOE.config
    assert config["eos_token_id"] == SpecialToken.MESSAGE_END


def test_generation_stops_at_either_end_token() -> None:
    generation = documents(MOE)["generation_config.json"]
    assert generation["eos_token_id"] == [16322, 16320]
    assert generation["temperature"] == 0.7


def test_tokenizer_config_names_tokens_that_exist() -> None:
    tokenizer = documents(DENSE)["tokenizer_config.json"]
    assert tokenizer["eos_token"] == "<|im_end|>"
    assert tokenizer["pad_token"] == "<|endoftext|>"
    assert tokenizer["model_max_length"] == 2048


def test_small_files_are_the_same_whatever_the_order_of_the_config() -> None:
    turned = replace(MOE, config=dict(reversed(list(MOE.config.items()))))
    assert small_files(turned, b"", b"") == small_files(MOE, b"", b"")


def test_a_vocabulary_smaller_than_the_tokenizer_is_refused() -> None:
    small = replace(MOE, config={**MOE.config, "vocab_size": 16328})
    with pytest.raises(SpecError, match="vocab_size = 16328"):
        small_files(small, b"", b"")
    assert small_files(replace(MOE, config={**MOE.config, "vocab_size": 16329}), b"", b"")
