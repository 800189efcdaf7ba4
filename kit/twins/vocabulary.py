"""The twins' vocabulary: its size, and its special tokens.

`kit.tools.train_tokenizer` made `tokenizer.json` with these ids.
"""

from enum import IntEnum

TEXT_TOKENS = 16_320
"""Ids below are ordinary tokens; special tokens follow.

An embedding of 16,384 rows leaves 64 rows for these. With a larger vocabulary the output layer
would dominate models of this size.
"""


class SpecialToken(IntEnum):
    """Ids of the special tokens, with the names and meaning of the Qwen family.

    vLLM's parsers of tool calls and reasoning look up the tags in the vocabulary at start-up.
    """

    END_OF_TEXT = 16_320
    MESSAGE_START = 16_321
    MESSAGE_END = 16_322
    TOOL_CALL_OPEN = 16_323
    TOOL_CALL_CLOSE = 16_324
    TOOL_RESPONSE_OPEN = 16_325
    TOOL_RESPONSE_CLOSE = 16_326
    THINK_OPEN = 16_327
    THINK_CLOSE = 16_328

    @property
    def text(self) -> str:
        """Return the token as written in a prompt."""
        return _TEXTS[self]

    @property
    def is_control(self) -> bool:
        """Return whether a server leaves the token out of its text."""
        return self <= SpecialToken.MESSAGE_END


_TEXTS = {
    SpecialToken.END_OF_TEXT: "<|endoftext|>",
    SpecialToken.MESSAGE_START: "<|im_start|>",
    SpecialToken.MESSAGE_END: "<|im_end|>",
    SpecialToken.TOOL_CALL_OPEN: "<tool_call>",
    SpecialToken.TOOL_CALL_CLOSE: "</tool_call>",
    SpecialToken.TOOL_RESPONSE_OPEN: "<tool_response>",
    SpecialToken.TOOL_RESPONSE_CLOSE: "</tool_response>",
    SpecialToken.THINK_OPEN: "<think>",
    SpecialToken.THINK_CLOSE: "</think>",
}
