"""Edits of a draft's logs. Each takes the draft first and changes it in place."""

from tests.factory import Draft


def edit_server_log(draft: Draft, old: bytes, new: bytes) -> None:
    """Replace every occurrence of some bytes, which the log must have."""
    assert draft.server_log is not None
    assert old in draft.server_log
    draft.server_log = draft.server_log.replace(old, new)


def edit_nccl_log(draft: Draft, old: bytes, new: bytes) -> None:
    """Replace every occurrence of some bytes, which the log must have."""
    assert draft.nccl_log is not None
    assert old in draft.nccl_log
    draft.nccl_log = draft.nccl_log.replace(old, new)


def append_server_log(draft: Draft, lines: bytes) -> None:
    """Add lines to the end of the log."""
    assert draft.server_log is not None
    draft.server_log += lines


def append_nccl_log(draft: Draft, lines: bytes) -> None:
    """Add lines to the end of the log, or begin one where the run has none."""
    draft.nccl_log = (draft.nccl_log or b"") + lines
