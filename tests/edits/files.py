"""Edits of a sealed bundle's files. Each takes the files first and changes them in place."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from kit.bundle import bag

Files = dict[str, bytes]


def add_file(files: Files, name: str, data: bytes) -> None:
    """Add a file that no manifest lists."""
    files[name] = data


def remove_file(files: Files, name: str) -> None:
    """Remove a file; the manifests still list it."""
    del files[name]


def edit_file(files: Files, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file; its digest in the manifests stays."""
    changed = change(files[name])
    assert changed != files[name]
    files[name] = changed


def reseal(files: Files, name: str, data: bytes) -> None:
    """Replace a payload file, and every tag file that follows from it."""
    files[name] = data
    payload = {path: content for path, content in files.items() if path.startswith("data/")}
    files[bag.MANIFEST] = bag.manifest_of(payload)
    with suppress(msgspec.MsgspecError, RecursionError, ValueError):  # not of a broken document
        files[bag.BAG_INFO] = bag.bag_info(payload, files[bag.MANIFEST])
    files[bag.TAG_MANIFEST] = bag.manifest_of(_tag_files(files))


def reseal_changed(files: Files, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a payload file, and every tag file that follows from it."""
    reseal(files, name, change(files[name]))


def respell(files: Files, old: bytes, new: bytes, name: str = bag.DOCUMENT) -> None:
    """Replace the first occurrence of some bytes, and seal again."""
    assert old in files[name]
    reseal(files, name, files[name].replace(old, new, 1))


def reseal_metrics(files: Files, change: Callable[[bytes], bytes], name: str = "") -> None:
    """Change the metrics of one moment, or of all, and seal again."""
    for path in [path for path in files if path.endswith(f"{name}.prom.gz")]:
        reseal(files, path, bag.compress(change(bag.inflate(files[path]))))


def _tag_files(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return {path: files[path] for path in bag.TAG_FILES}
