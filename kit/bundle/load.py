"""`load.jsonl`: how many requests the server said it was running, once a second over each pass.

Canonical JSON Lines. Times are seconds since the run's start. A value that a server does not report
is absent.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from kit.format import canonical
from kit.format.canonical import NotCanonical
from kit.format.fields import Seconds

LINE_LIMIT = 100_000
"""One sample a second for a day."""

Requests = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class LoadSample(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """What the server's `/metrics` said at one moment (vLLM's names in `kit.parse.vllm_metrics`).

    `preemptions` counts from the server's start; `kv_cache_ratio` is from 0 to 1.
    """

    t_s: Seconds
    running: Requests | None = None
    waiting: Requests | None = None
    preemptions: Requests | None = None
    kv_cache_ratio: Requests | None = None


def write(samples: Sequence[LoadSample]) -> bytes:
    """Return the file."""
    return canonical.encode_lines(samples)


def read(data: bytes) -> tuple[LoadSample, ...]:
    """Read a file; raise `NotCanonical` where it is not one that `write` returns."""
    lines = data.splitlines()
    if len(lines) > LINE_LIMIT:
        raise NotCanonical(f"more than {LINE_LIMIT} lines")
    try:
        samples = tuple(map(_LINE.decode, lines))
    except msgspec.MsgspecError as error:
        raise NotCanonical(str(error)) from error
    if write(samples) != data:
        raise NotCanonical("not as the kit writes it")
    return samples


_LINE = msgspec.json.Decoder(LoadSample)
