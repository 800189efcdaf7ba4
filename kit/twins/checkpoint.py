"""Every file of a twin, as bytes: what an engine finds in a Hugging Face checkpoint directory.

Pure. `model.safetensors` is written here byte by byte, because its sha256 is pinned and a library
is free to order or pad its header in another way with its next release. The format is that of
https://huggingface.co/docs/safetensors/index#format.

Does not know where a twin is kept: that is `kit.edge.files.twin_files`.
"""

import json
import math
from collections.abc import Iterator, Mapping

from kit.errors import SpecError
from kit.plan.models import Twin
from kit.twins.vocabulary import TEXT_TOKENS, SpecialToken
from kit.twins.weights import Tensor, contents, dimensions, layout

_BYTES_PER_NUMBER = 2
"""bfloat16."""


def small_files(model: Twin, tokenizer: bytes, chat_template: bytes) -> Mapping[str, bytes]:
    """Return every file except the weights, by name. Raises `SpecError` for a bad config."""
    _require_room_for_tokens(dimensions(model.config).vocabulary)
    return {
        "config.json": _json(dict(model.config) | _token_ids()),
        "generation_config.json": _json(_generation_config(model)),
        "tokenizer_config.json": _json(_tokenizer_config(model)),
        "tokenizer.json": tokenizer,
        "chat_template.jinja": chat_template,
    }


def weight_chunks(model: Twin) -> Iterator[bytes]:
    """Yield `model.safetensors` piece by piece: its header, then one tensor at a time.

    The largest piece is the embedding, so that memory stays far below the size of the file.
    """
    tensors = layout(model.config)
    yield _header(tensors)
    for bits in contents(tensors, model.seed):
        yield bits.tobytes()


def _header(tensors: tuple[Tensor, ...]) -> bytes:
    """Return eight bytes of length, then JSON padded with spaces to a multiple of eight."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + math.prod(tensor.shape) * _BYTES_PER_NUMBER
        entries[tensor.name] = {
            "dtype": "BF16",
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    padded = text.ljust(-(-len(text) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded


def _token_ids() -> dict[str, int]:
    return {
        "bos_token_id": SpecialToken.END_OF_TEXT,
        "eos_token_id": SpecialToken.MESSAGE_END,
        "pad_token_id": SpecialToken.END_OF_TEXT,
    }


def _generation_config(model: Twin) -> dict[str, object]:
    """Return the sampling defaults, the same as the kit's plans send (see `kit.plan.plan`).

    An engine takes from here what a request leaves out.
    """
    return _token_ids() | {
        "eos_token_id": [SpecialToken.MESSAGE_END, SpecialToken.END_OF_TEXT, *_stops(model)],
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
    }


def _stops(model: Twin) -> range:
    """Return the ids of text at which a response of this twin ends too."""
    return range(0, TEXT_TOKENS if model.stop_every else 0, model.stop_every or 1)


def _tokenizer_config(model: Twin) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": SpecialToken.MESSAGE_END.text,
        "pad_token": SpecialToken.END_OF_TEXT.text,
        "unk_token": None,
        "model_max_length": model.config.get("max_position_embeddings"),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,  # else decoded text is not what was encoded
    }


def _json(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def _require_room_for_tokens(vocabulary: int) -> None:
    if vocabulary <= max(SpecialToken):
        raise SpecError(
            f"cannot make a twin with vocab_size = {vocabulary} in its config",
            f"expected at least {max(SpecialToken) + 1}, the size of the twins' tokenizer",
            "git diff -- docker/models.toml",
        )
