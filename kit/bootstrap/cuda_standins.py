"""Builds stand-ins for the CUDA libraries that PyPI's torch links to, so that it loads.

PyPI has one torch for Linux on x86-64, and that is a CUDA build: its libraries need about fifteen
of NVIDIA's, 5 GB together, and do not load without them. vLLM's CPU backend calls none of these.
(PyTorch's own index has a build without CUDA, PyPI does not.)

A stand-in defines the symbols that torch's libraries need. Each function returns 100:
`cudaErrorNoDevice` in the CUDA runtime API (`driver_types.h`, enum `cudaError`) and
`CUDA_ERROR_NO_DEVICE` in the driver API (`cuda.h`, enum `CUresult`), as NVIDIA's libraries do on a
machine without a GPU. A function that must return a text returns the text of that error. Nothing is
taken from NVIDIA's files: libraries, symbols and versions are read from torch.

They are built into torch's directory even where the system has a CUDA library of that name: real
libraries and stand-ins in one process would contradict each other.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap.elf import Demands, Symbol, demands
from kit.bootstrap.tool import RunTool

NO_DEVICE = 100
NO_DEVICE_TEXT = "no CUDA-capable device is detected"

PREFIX_OF_LIBRARY: Mapping[str, str] = {
    "libcublas": "cublas",
    "libcublasLt": "cublasLt",
    "libcuda": "cu",
    "libcudart": "cuda",
    "libcudnn": "cudnn",
    "libcufft": "cufft",
    "libcufile": "cuFile",
    "libcupti": "cupti",
    "libcurand": "curand",
    "libcusolver": "cusolver",
    "libcusparse": "cusparse",
    "libcusparseLt": "cusparseLt",
    "libnccl": "nccl",
    "libnvJitLink": "nvJitLink",
    "libnvrtc": "nvrtc",
    "libnvshmem_host": "nvshmem",
}
"""NVIDIA's libraries, each with the prefix of its functions. Only these get a stand-in; another
missing library remains an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """One library to build."""

    soname: str
    symbols: frozenset[Symbol]
    versions: frozenset[str]
    """Versions to define, including those that no symbol carries."""


def build_standins(torch_lib: Path, run: RunTool) -> tuple[str, ...]:
    """Build stand-ins for the CUDA libraries that torch needs; return their names.

    Raises:
        ToolError: binutils or the compiler failed.
    """
    own = sorted(path for path in torch_lib.iterdir() if ".so" in path.name)
    standins = plan([demands(path, run) for path in own], {path.name for path in own})
    for standin in standins:
        _compile(standin, torch_lib, run)
    return tuple(standin.soname for standin in standins)


def plan(demanded: Iterable[Demands], present: Iterable[str]) -> tuple[StandIn, ...]:
    """Return the stand-ins for the demanded CUDA libraries that are not present."""
    demanded = tuple(demanded)
    needed = frozenset[str]().union(*(it.libraries for it in demanded)) - set(present)
    cuda = {soname for soname in needed if stem(soname) in PREFIX_OF_LIBRARY}
    versions = frozenset[tuple[str, str]]().union(*(it.versions for it in demanded))
    symbols = frozenset[Symbol]().union(*(it.symbols for it in demanded))
    return tuple(
        _standin(soname, frozenset(v for name, v in versions if name == soname), symbols)
        for soname in sorted(cuda)
    )


def _standin(soname: str, versions: frozenset[str], symbols: frozenset[Symbol]) -> StandIn:
    versioned = {it for it in symbols if it.version in versions}
    bare = {it for it in symbols if it.version is None and owner(it.name) == stem(soname)}
    # One definition serves both: an unversioned reference binds to a versioned definition.
    names = {it.name for it in versioned}
    return StandIn(
        soname=soname,
        symbols=frozenset(versioned | {it for it in bare if it.name not in names}),
        versions=versions,
    )


def stem(soname: str) -> str:
    """Return a library's name without `.so` and its version: `libnccl` of `libnccl.so.2`."""
    return soname.partition(".so")[0]


def owner(symbol: str) -> str | None:
    """Return the library of a function, by the longest matching prefix."""
    fitting = [
        (len(prefix), library)
        for library, prefix in PREFIX_OF_LIBRARY.items()
        if re.match(rf"{prefix}[A-Z_]", symbol)
    ]
    return max(fitting)[1] if fitting else None


def source(standin: StandIn) -> str:
    """Return the C source of a stand-in."""
    return "".join(_definition(name) for name in sorted({it.name for it in standin.symbols})) or (
        "extern int nothing_is_asked_of_this_library;\n"
    )


def _definition(name: str) -> str:
    # The driver API's namesakes (cuGetErrorString) return a code, and the text by pointer.
    if re.search(r"Get\w*(String|Name)$", name) and owner(name) != "libcuda":
        return f'const char *{name}(void) {{ return "{NO_DEVICE_TEXT}"; }}\n'
    return f"int {name}(void) {{ return {NO_DEVICE}; }}\n"


def version_script(standin: StandIn) -> str:
    """Return the linker script that gives each symbol its version; empty if none has one."""
    return "".join(
        f"{version} {{ global: {_names(standin, version)} }};\n"
        for version in sorted(standin.versions)
    )


def _names(standin: StandIn, version: str) -> str:
    names = sorted(it.name for it in standin.symbols if it.version == version)
    return " ".join(f"{name};" for name in names)


def _compile(standin: StandIn, directory: Path, run: RunTool) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        code, script = Path(temporary, "standin.c"), Path(temporary, "standin.map")
        code.write_text(source(standin), encoding="ascii")
        script.write_text(version_script(standin), encoding="ascii")
        # -fno-builtin: a symbol may have the name of a compiler's built-in function.
        compiler = ["g++", "-x", "c", "-shared", "-fPIC", "-fno-builtin", "-O1"]
        linker = [f"-Wl,-soname,{standin.soname}"]
        if standin.versions:
            linker.append(f"-Wl,--version-script={script}")
        run([*compiler, "-o", directory / standin.soname, code, *linker])
