"""What root makes in another user's checkout belongs to that user."""

import os
from collections.abc import Iterator
from pathlib import Path


def give_to_owner(root: Path, *folders: str) -> None:
    """Give what root owns below these folders of a checkout to the checkout's owner.

    So that `sudo make bench` leaves nothing behind that the same command without `sudo` cannot
    write. Does nothing for other users, and in a checkout that is root's own.
    """
    owner = root.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for folder in folders:
        for path in _below(root / folder):
            if path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _below(folder: Path) -> Iterator[Path]:
    for parent, names, files in os.walk(folder):
        yield Path(parent)
        yield from (Path(parent, name) for name in (*names, *files))
