"""Stand-ins: planned from what torch's libraries need, and one is built and loaded."""

import ctypes
import subprocess
from pathlib import Path

import pytest

from kit.bootstrap import cuda_standins
from kit.bootstrap.cuda_standins import StandIn, owner, plan, source, version_script
from kit.bootstrap.elf import Demands, Symbol
from kit.bootstrap.tool import LoggedTool

CUDART = "libcudart.so.12"


def asking(
    *libraries: str,
    symbols: tuple[tuple[str, str | None], ...] = (),
    versions: tuple[tuple[str, str], ...] = (),
) -> Demands:
    return Demands(
        libraries=frozenset(libraries),
        versions=frozenset(versions),
        symbols=frozenset(Symbol(name=name, version=version) for name, version in symbols),
    )


def test_only_libraries_of_nvidia_that_are_absent_are_stood_in_for() -> None:
    demanded = asking("libc.so.6", "libnuma.so.1", "libtorch.so", CUDART, "libnccl.so.2")

    planned = plan([demanded], {"libtorch.so", "libnccl.so.2"})

    assert [standin.soname for standin in planned] == [CUDART]


def test_each_symbol_goes_to_the_library_that_owns_it() -> None:
    demanded = asking(
        CUDART,
        "libnccl.so.2",
        symbols=(("cudaMalloc", CUDART), ("ncclAllReduce", None), ("malloc", "GLIBC_2.2.5")),
        versions=((CUDART, CUDART), ("libc.so.6", "GLIBC_2.2.5")),
    )

    cudart, nccl = plan([demanded], ())

    assert cudart.symbols == {Symbol(name="cudaMalloc", version=CUDART)}
    assert nccl.symbols == {Symbol(name="ncclAllReduce", version=None)}
    assert nccl.versions == frozenset()


def test_a_symbol_asked_for_with_and_without_a_version_is_defined_once() -> None:
    demanded = asking(
        CUDART,
        symbols=(("cudaMalloc", CUDART), ("cudaMalloc", None)),
        versions=((CUDART, CUDART),),
    )

    (cudart,) = plan([demanded], ())

    assert source(cudart).count("cudaMalloc") == 1


@pytest.mark.parametrize(
    ("symbol", "library"),
    [
        ("cublasCreate_v2", "libcublas"),
        ("cublasLtMatmul", "libcublasLt"),
        ("cuFileRead", "libcufile"),
        ("cuLaunchKernel", "libcuda"),
        ("cudaMalloc", "libcudart"),
        ("cudnnCreate", "libcudnn"),
        ("cusparseLtInit", "libcusparseLt"),
        ("custom_allocator", None),
        ("malloc", None),
    ],
)
def test_the_longest_prefix_names_the_owner(symbol: str, library: str | None) -> None:
    assert owner(symbol) == library


def test_a_function_answers_no_device_and_a_text_is_a_text() -> None:
    names = ("cudaMalloc", "cudaGetErrorString", "cuGetErrorString")
    code = source(standin_of(*names))

    assert "int cudaMalloc(void) { return 100; }" in code
    assert 'const char *cudaGetErrorString(void) { return "no CUDA-capable device' in code
    assert "int cuGetErrorString(void) { return 100; }" in code  # gives its text by pointer


def test_versions_without_symbols_are_defined_too() -> None:
    standin = StandIn(soname="libx.so", symbols=frozenset(), versions=frozenset({"V1"}))

    assert version_script(standin) == "V1 { global:  };\n"


def standin_of(*names: str) -> StandIn:
    symbols = frozenset(Symbol(name=name, version=None) for name in names)
    return StandIn(soname="libx.so", symbols=symbols, versions=frozenset())


def test_a_library_loads_with_the_stand_in_for_a_cuda_library_that_is_gone(tmp_path: Path) -> None:
    build_library_that_needs_cudart(tmp_path)
    library = tmp_path / "libc10_cuda.so"
    with pytest.raises(OSError, match=CUDART):
        ctypes.CDLL(str(library))

    built = cuda_standins.build_standins(tmp_path, LoggedTool(log=tmp_path / "log"))

    assert built == (CUDART,)
    assert ctypes.CDLL(str(library)).count_devices() == 100


def build_library_that_needs_cudart(directory: Path) -> None:
    """Build a library that calls a versioned function of a CUDA runtime, and remove the runtime."""
    real, user, script = (directory / name for name in ("real.c", "user.c", "map"))
    real.write_text("int cudaGetDeviceCount(int *n) { *n = 8; return 0; }\n")
    user.write_text(
        "int cudaGetDeviceCount(int *);\n"
        "int count_devices(void) { int n; return cudaGetDeviceCount(&n); }\n"
    )
    script.write_text(f"{CUDART} {{ global: cudaGetDeviceCount; }};\n")
    runtime = directory / CUDART
    compile_library(runtime, real, f"-Wl,-soname,{CUDART}", f"-Wl,--version-script={script}")
    compile_library(directory / "libc10_cuda.so", user, runtime, "-Wl,-rpath,$ORIGIN")
    runtime.unlink()


def compile_library(output: Path, *arguments: Path | str) -> None:
    source_file, *rest = arguments
    compiler = ["g++", "-shared", "-fPIC", "-o", output, "-x", "c", source_file, "-x", "none"]
    subprocess.run([str(word) for word in (*compiler, *rest)], check=True)
