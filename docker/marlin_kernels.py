"""Refuses a vLLM that has no Marlin kernels for a GPU architecture; runs while its image is built.

    python3 marlin_kernels.py --cuobjdump FILE --vllm DIRECTORY [--arch sm_80]

What is measured is 4-bit weights through Marlin. A wheel without its kernels for this GPU would
still serve, through slower ones, and the figures would be another engine's. sm_80 is what a GPU of
compute capability 8.0 or 8.6 runs: vLLM ships no sm_86, and the two are binary-compatible (CUDA C++
programming guide, "Binary compatibility").

Needs no GPU and imports no vLLM: NVIDIA's cuobjdump lists the symbols of the device code.
Exit codes: 0 the kernels are there, 1 they are not, 2 usage, 4 cuobjdump could not be asked.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What the wheel of vLLM 0.17.0 on PyPI holds for sm_80, in each of the two libraries.
EXPECTED = 717


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernel:
    """A kernel template: every set of its parameters is one kernel in the library."""

    name: str
    file: str
    """The library in vLLM's own directory."""
    mangled: str
    """How the names of its instances begin (Itanium C++ ABI)."""


KERNELS = (
    Kernel(name="marlin::Marlin", file="_C.abi3.so", mangled="_ZN6marlin6MarlinI"),
    Kernel(
        name="marlin_moe_wna16::Marlin",
        file="_moe_C.abi3.so",
        mangled="_ZN16marlin_moe_wna166MarlinI",
    ),
)


def count(kernel: Kernel, listing: str) -> int:
    """Return how many instances of a kernel the output of `cuobjdump -symbols` names.

    A line has kind, binding, visibility, section and name; a kernel is a FUNC in ENTRY, and the
    device functions and constants beside it are not.
    """
    rows = (line.split() for line in listing.splitlines())
    names = {row[-1] for row in rows if len(row) == 5 and (row[0], row[3]) == ("FUNC", "ENTRY")}
    return sum(name.startswith(kernel.mangled) for name in names)


def list_symbols(cuobjdump: Path, library: Path, arch: str) -> str:
    """Return what cuobjdump says of a library; nothing of an architecture that is not in it.

    Raises:
        OSError: cuobjdump cannot be started.
        subprocess.CalledProcessError: it cannot read the library.
    """
    command: list[str | Path] = [cuobjdump, "-arch", arch, "-symbols", library]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """Print the count of each kernel; return the exit code."""
    parser = argparse.ArgumentParser(prog="marlin_kernels.py", description=__doc__.split("\n")[0])
    parser.add_argument("--cuobjdump", type=Path, required=True, help="NVIDIA's tool")
    parser.add_argument("--vllm", type=Path, required=True, help="the installed package")
    parser.add_argument("--arch", default="sm_80", help="as cuobjdump names it (default: sm_80)")
    options = parser.parse_args(arguments)
    lacking: list[str] = []
    for kernel in KERNELS:
        library = options.vllm / kernel.file
        try:
            found = count(kernel, list_symbols(options.cuobjdump, library, options.arch))
        except (OSError, subprocess.CalledProcessError) as e:
            print(f"error: {library}: {e}", file=sys.stderr)
            return 4
        print(f"{library.name}: {found} {kernel.name} for {options.arch} (0.17.0: {EXPECTED})")
        lacking += [] if found else [kernel.name]
    if lacking:
        print(
            f"error: this vLLM has no {' and no '.join(lacking)} for {options.arch}\n"
            "likely: not the locked wheel, or an architecture that it was not built for\n"
            "next: grep -A2 ^vllm docker/server.lock",
            file=sys.stderr,
        )
    return int(bool(lacking))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
