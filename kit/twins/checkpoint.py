"""The files of a twin as a Hugging Face checkpoint.

`model.safetensors` is written without the library, because its SHA-256 is pinned and another
release may order or pad the header differently. Format:
https://huggingface.co/docs/safetensors/index#format
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
    """Return all files but the weights, by name; raise `SpecError` for a bad config."""
    _require_room_for_tokens(dimensions(model.config).vocabulary)
    return {
        "config.json": _json(dict(model.config) | _token_ids()),
        "generation_config.json": _json(_generation_config(model)),
        "tokenizer_config.json": _json(_tokenizer_config(model)),
        "tokenizer.json": tokenizer,
        "chat_template.jinja": chat_template,
    }


def weight_chunks(model: Twin) -> Iterator[bytes]:
    """Yield `model.safetensors` in pieces, its header and each tensor, to save memory."""
    tensors = layout(model.config)
    yield _header(tensors)
    for bits in contents(tensors, model.seed):
        yield bits.tobytes()


def _header(tensors: tuple[Tensor, ...]) -> bytes:
    """Return the header: its length in eight bytes, and JSON padded to a multiple of eight."""
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
    """Return the server's sampling defaults: what the kit's plans send (see `kit.plan.plan`)."""
    return _token_ids() | {
        "eos_token_id": [SpecialToken.MESSAGE_END, SpecialToken.END_OF_TEXT, *_stops(model)],
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
    }


def _stops(model: Twin) -> range:
    """Return the ids of ordinary tokens that end a response."""
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
        "clean_up_tokenization_spaces": False,  # would change spaces in decoded text
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
