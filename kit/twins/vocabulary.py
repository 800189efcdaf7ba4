"""The token ids that both twins share: what the shipped tokenizer holds, and which ids mean more.

`kit.tools.train_tokenizer` made `tokenizer.json` to these numbers. Does not know the text of any
ordinary token.
"""

from enum import IntEnum

TEXT_TOKENS = 16_320
"""Ids from 0 up to here (exclusive) are pieces of text; the special ones follow.

A 16,384-row embedding leaves 64 rows for special tokens. A larger vocabulary would make the output
layer dominate models this small.
"""


class SpecialToken(IntEnum):
    """Ids of the tokens that mark structure; names and meaning are those of the Qwen family.

    The tags of tool calls and thoughts are here because parsers for Qwen models look them up by
    name in the vocabulary when a server starts.
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
        """Return the token as it stands in a prompt."""
        return _TEXTS[self]

    @property
    def is_control(self) -> bool:
        """Tell whether a server leaves the token out of the text it returns."""
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
