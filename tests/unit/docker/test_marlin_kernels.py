"""The build's check of the Marlin kernels, on listings made up in cuobjdump's format."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kit.bootstrap.layout import checkout

HEADER = """
Fatbin elf code:
================
arch = sm_80
code version = [1,7]
host = linux
compile_size = 64bit

symbols:
"""
CONSTANT = "OBJECT        LOCAL   DEFAULT    -          _ZN52_INTERNAL_a_21_marlin_cu3std5beginE\n"
MARLIN = "FUNC          GLOBAL  DEFAULT    ENTRY      _ZN6marlin6MarlinILl{}ELi128ELb0EEEvPK4int4\n"
MOE = "FUNC          GLOBAL  DEFAULT    ENTRY      _ZN16marlin_moe_wna166MarlinILl{}ELi1EEEvPKi\n"
REPACK = (
    "FUNC          GLOBAL  DEFAULT    ENTRY      _ZN6marlin24awq_marlin_repack_kernelILi4EEEvPKj\n"
)
FALLBACK = (
    "FUNC          GLOBAL  DEFAULT    ENTRY      _ZN16marlin_moe_wna1613MarlinDefaultEPK4int4\n"
)
DEVICE = "FUNC          GLOBAL  DEFAULT    -          _ZN6marlin6MarlinILl{}ELi128ELb0EEEvPK4int4\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    source = checkout().root / "docker" / "marlin_kernels.py"
    spec = importlib.util.spec_from_file_location("marlin_kernels", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["marlin_kernels"] = module  # where dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def cuobjdump(directory: Path, *, dense: str, moe: str, status: int = 0) -> Path:
    """Write a program that answers like cuobjdump, for sm_80 alone; return its path."""
    (directory / "_C.abi3.so.txt").write_text(dense, encoding="utf-8")
    (directory / "_moe_C.abi3.so.txt").write_text(moe, encoding="utf-8")
    tool = directory / "cuobjdump"
    tool.write_text(
        "#!/bin/sh\n"
        f'[ "$1 $3" = "-arch -symbols" ] || exit 99\n'
        f'[ "$2" != sm_80 ] || cat "{directory}/$(basename "$4").txt"\n'
        f"exit {status}\n",
        encoding="utf-8",
    )
    tool.chmod(0o755)
    return tool


def run(script: ModuleType, tool: Path, *more: str) -> int:
    return int(script.main(["--cuobjdump", str(tool), "--vllm", "/vllm", *more]))


def rows(row: str, number: int) -> str:
    return "".join(row.format(index) for index in range(number))


def test_kernels_are_counted_and_what_is_beside_them_is_not(script: ModuleType) -> None:
    dense, moe = script.KERNELS
    listing = HEADER + CONSTANT + REPACK + rows(MARLIN, 3) + HEADER + rows(DEVICE, 2) + FALLBACK

    assert script.count(dense, listing) == 3
    assert script.count(moe, listing) == 0
    assert script.count(moe, HEADER + FALLBACK + rows(MOE, 2)) == 2
    assert script.count(dense, "") == 0


def test_one_kernel_in_two_files_of_a_library_is_one(script: ModuleType) -> None:
    assert script.count(script.KERNELS[0], (HEADER + rows(MARLIN, 3)) * 2) == 3


def test_both_kernels_pass_and_the_expected_count_is_beside_the_found(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = cuobjdump(tmp_path, dense=HEADER + rows(MARLIN, 717), moe=HEADER + rows(MOE, 5))

    assert run(script, tool) == 0

    printed = capsys.readouterr()
    assert printed.out == (
        "_C.abi3.so: 717 marlin::Marlin for sm_80 (0.17.0: 717)\n"
        "_moe_C.abi3.so: 5 marlin_moe_wna16::Marlin for sm_80 (0.17.0: 717)\n"
    )
    assert printed.err == ""


BOTH = "marlin::Marlin and no marlin_moe_wna16::Marlin"


@pytest.mark.parametrize(
    ("dense", "moe", "arch", "lacking"),
    [
        (HEADER + rows(MARLIN, 2), HEADER + FALLBACK, "sm_80", "marlin_moe_wna16::Marlin"),
        (HEADER + REPACK + CONSTANT, HEADER + rows(MOE, 2), "sm_80", "marlin::Marlin"),
        ("", "", "sm_80", BOTH),
        (HEADER + rows(MARLIN, 2), HEADER + rows(MOE, 2), "sm_86", BOTH),
    ],
    ids=["no experts", "no dense", "no device code", "another architecture"],
)
def test_a_library_without_its_kernels_fails_the_build(
    *,
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    dense: str,
    moe: str,
    arch: str,
    lacking: str,
) -> None:
    assert run(script, cuobjdump(tmp_path, dense=dense, moe=moe), "--arch", arch) == 1

    assert f"has no {lacking} for {arch}\n" in capsys.readouterr().err


def test_a_tool_that_cannot_answer_is_not_an_answer(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = HEADER + rows(MARLIN, 1) + rows(MOE, 1)

    assert run(script, cuobjdump(tmp_path, dense=good, moe=good, status=255)) == 4
    assert run(script, tmp_path / "none") == 4
    assert "none" in capsys.readouterr().err
