"""Unsupported processors, and too little disk space."""

from pathlib import Path

import pytest

from kit.bootstrap import hardware
from kit.bootstrap.errors import SetupError

CPUINFO = "processor\t: 0\nflags\t\t: fpu avx avx2\n\nprocessor\t: 1\nflags\t\t: fpu\n"


def test_flags_are_those_of_the_first_processor() -> None:
    assert hardware.cpu_flags(CPUINFO) == {"fpu", "avx", "avx2"}
    assert hardware.cpu_flags("Features : asimd\n") == frozenset()


def test_a_processor_with_avx2_will_do() -> None:
    hardware.require_cpu("x86_64", frozenset({"avx2"}))


@pytest.mark.parametrize(
    ("machine", "flags"), [("aarch64", frozenset({"avx2"})), ("x86_64", frozenset({"avx"}))]
)
def test_another_processor_will_not(machine: str, flags: frozenset[str]) -> None:
    with pytest.raises(SetupError, match=machine):
        hardware.require_cpu(machine, flags)


def test_a_full_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    hardware.require_space(tmp_path, 0)
    with pytest.raises(SetupError, match="not enough disk space"):
        hardware.require_space(tmp_path, 10**12)
