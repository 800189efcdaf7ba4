"""Reads facts of the host: an allow-list without anything that identifies a person."""

import getpass
import os
import platform
import pwd
import re
import secrets
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from kit.bundle.document import Host, Load, ModelFile
from kit.edge.files import checkout, disk
from kit.edge.files.folder_lock import exclusive
from kit.parse import public_words

_PACKAGES = ("msgspec", "requests", "urllib3")
_SHORTEST_PRIVATE_NAME = 2
_HOST_ID = re.compile(r"[0-9a-f]{32}")

_GENERIC_NAMES = ("/", "root", "user", "localhost", "localdomain", "ip6-localhost", "ip6-loopback")


def host(load_before: Load | None, load_after: Load | None) -> Host:
    """Return facts of the machine, with its load before and after the run."""
    return Host(
        system=platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        cpu_model=_field(Path("/proc/cpuinfo"), "model name"),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=memory_bytes(),
        governor=_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_before=load_before,
        load_after=load_after,
    )


def memory_bytes() -> int:
    """Return the machine's memory, whatever a container may use of it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_flags() -> frozenset[str]:
    """Return the feature flags of the first processor."""
    return frozenset((_field(Path("/proc/cpuinfo"), "flags") or "").split())


def load() -> Load | None:
    """Return the one-minute load average and the share of CPU time stolen since boot."""
    try:
        average = os.getloadavg()[0]
    except OSError:
        return None
    return Load(load_average=round(average, 2), steal_ratio=_steal_ratio())


def packages() -> dict[str, str]:
    """Return the versions of the packages that handle a request."""
    return {name: metadata.version(name) for name in _PACKAGES}


def has_nvidia_gpu() -> bool:
    """Return whether the NVIDIA driver has a GPU."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def host_id(state: Path) -> str:
    """Return this installation's 128 random bits as hexadecimal, created on first use.

    A damaged file is replaced; concurrent processes get the same value. Raises `MachineError` where
    it cannot be stored.
    """
    path = state / "host-id"
    try:
        if (stored := _stored_id(path)) is not None:
            return stored
        state.mkdir(parents=True, exist_ok=True)
        with exclusive(state):
            return _stored_id(path) or _new_id(path)
    except OSError as error:
        raise disk.cannot_write(path, error) from error


def model_files(folder: Path) -> tuple[ModelFile, ...]:
    """Return name, size and SHA-256 of every file of a model."""
    return tuple(
        ModelFile(name=path.name, size_bytes=path.stat().st_size, sha256=disk.sha256(path))
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    )


def private_names() -> dict[str, str]:
    """Return names and folders of this host and its user, each with its placeholder."""
    return {
        **private_places({"checkout": checkout.ROOT, "tmp": Path(tempfile.gettempdir())}),
        **private_words("home", *_homes()),
        **private_words("host", *_host_names()),
        **private_words("user", *_users()),
    }


def private_places(places: Mapping[str, Path]) -> dict[str, str]:
    """Return the paths of folders, as given and with links resolved, each with its placeholder."""
    paths = {name: (str(path.absolute()), str(path.resolve())) for name, path in places.items()}
    return {word: name for name, words in paths.items() for word in private_words(name, *words)}


def private_words(placeholder: str, *words: str) -> dict[str, str]:
    """Return those of the words that may identify a host or person, with their placeholder."""
    return {
        word: placeholder
        for word in words
        if len(word) >= _SHORTEST_PRIVATE_NAME
        and word.lower() not in _GENERIC_NAMES
        and not public_words.is_fixed(word)
        and not word.isdecimal()  # or counters of that value would be redacted
    }


def _stored_id(path: Path) -> str | None:
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if _HOST_ID.fullmatch(text) else None


def _new_id(path: Path) -> str:
    """Write a new id, complete or not at all."""
    new_id = secrets.token_hex(16)
    disk.overwrite(path, f"{new_id}\n".encode())
    return new_id


def _homes() -> set[str]:
    try:
        home = Path.home()
    except RuntimeError:  # a container's user may have none
        return set()
    return {str(home), str(home.resolve())}


def _host_names() -> set[str]:
    """Return the host's short and full names, and its domain."""
    names = {socket.gethostname(), socket.getfqdn()}
    parts = (name.partition(".") for name in names)
    return names.union(*((first, domain) for first, _, domain in parts))


def _users() -> set[str]:
    names = set()
    with suppress(KeyError, OSError):  # a container's user may have no name
        names.add(getpass.getuser())
    with suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    return names


def _steal_ratio() -> float | None:
    """Return the share of steal in /proc/stat: the eighth number of its first line (proc(5))."""
    line = _line(Path("/proc/stat"))
    fields = [int(field) for field in line.split()[1:9]] if line else []
    total = sum(fields)
    return round(fields[7] / total, 6) if len(fields) == 8 and total else None


def _field(path: Path, name: str) -> str | None:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None


def _line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return None
