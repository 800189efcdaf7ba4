"""What the host tells of itself: an allow-list of facts that name nobody."""

import getpass
import hashlib
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

from kit.bootstrap.folder_lock import sole_user
from kit.bundle.document import Host, Load, ModelFile
from kit.edge.files import checkout, disk
from kit.parse import public_words

_PACKAGES = ("msgspec", "requests", "urllib3")
_SHORTEST_PRIVATE_NAME = 2
_HOST_ID = re.compile(r"[0-9a-f]{32}")

_NAMELESS = ("/", "root", "user", "localhost", "localdomain", "ip6-localhost", "ip6-loopback")


def host(load_before: Load | None, load_after: Load | None) -> Host:
    """Describe the machine, with how busy it was at both ends of the run."""
    return Host(
        system=platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        cpu_model=_field(Path("/proc/cpuinfo"), "model name"),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        governor=_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_before=load_before,
        load_after=load_after,
    )


def load() -> Load | None:
    """Return the one-minute load average and the share of CPU time stolen since boot."""
    try:
        average = os.getloadavg()[0]
    except OSError:
        return None
    return Load(load_average=round(average, 2), steal_ratio=_steal_ratio())


def packages() -> dict[str, str]:
    """Return the versions of the packages that a request goes through."""
    return {name: metadata.version(name) for name in _PACKAGES}


def has_nvidia_gpu() -> bool:
    """Tell whether a driver has bound an NVIDIA GPU."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def host_id(state: Path) -> str:
    """Return this installation's 128 random bits as hexadecimal, made on first use.

    Damaged ones are made anew. Several processes may ask at once: all get the same. Raises
    `MachineError` where they cannot be kept.
    """
    path = state / "host-id"
    try:
        if (known := _known_id(path)) is not None:
            return known
        state.mkdir(parents=True, exist_ok=True)
        with sole_user(state):
            return _known_id(path) or _new_id(path)
    except OSError as error:
        raise disk.cannot_write(path, error) from error


def model_files(folder: Path) -> tuple[ModelFile, ...]:
    """Return name, size and SHA-256 of every file of a model."""
    return tuple(
        ModelFile(name=path.name, size_bytes=path.stat().st_size, sha256=sha256(path))
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    )


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def private_names() -> dict[str, str]:
    """Return what names this host and its user, each with what stands for it in a bundle."""
    return {
        **private_places({"checkout": checkout.ROOT, "tmp": Path(tempfile.gettempdir())}),
        **private_words("home", *_homes()),
        **private_words("host", *_host_names()),
        **private_words("user", *_users()),
    }


def private_places(places: Mapping[str, Path]) -> dict[str, str]:
    """Return folders, with what stands for each: as written, and as they are behind links."""
    spelt = {name: (str(path.absolute()), str(path.resolve())) for name, path in places.items()}
    return {word: name for name, words in spelt.items() for word in private_words(name, *words)}


def private_words(stand_in: str, *words: str) -> dict[str, str]:
    """Return those words that may name somebody, each with what stands for it."""
    return {
        word: stand_in
        for word in words
        if len(word) >= _SHORTEST_PRIVATE_NAME
        and word.lower() not in _NAMELESS
        and not public_words.is_fixed(word)
        and not word.isdecimal()  # a counter's value would go with it
    }


def _known_id(path: Path) -> str | None:
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if _HOST_ID.fullmatch(text) else None


def _new_id(path: Path) -> str:
    """Write an id, whole or not at all."""
    made = secrets.token_hex(16)
    fresh = path.with_name(".host-id.new")
    fresh.write_text(made + "\n")
    fresh.replace(path)
    return made


def _homes() -> set[str]:
    try:
        home = Path.home()
    except RuntimeError:  # a container's user may have none
        return set()
    return {str(home), str(home.resolve())}


def _host_names() -> set[str]:
    """Return the host's names, and the domain that a full one ends in."""
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
    """Read the aggregate line of /proc/stat: the eighth figure is steal (proc(5))."""
    line = _line(Path("/proc/stat"))
    fields = [int(field) for field in line.split()[1:9]] if line else []
    total = sum(fields)
    return round(fields[7] / total, 6) if len(fields) == 8 and total else None


def _memory_bytes() -> int | None:
    text = _field(Path("/proc/meminfo"), "MemTotal")
    return int(text.split()[0]) * 1024 if text else None


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
