"""Parsing `readelf` and `nm`: the output of GNU binutils 2.40 for one of torch's libraries."""

from kit.bootstrap import elf
from kit.bootstrap.elf import Symbol

DYNAMIC = """
Dynamic section at offset 0x68c50 contains 33 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libc10.so]
 0x0000000000000001 (NEEDED)             Shared library: [libcudart.so.12]
 0x000000000000000e (SONAME)             Library soname: [libc10_cuda.so]
"""

VERSIONS = """
Version definition section '.gnu.version_d' contains 1 entry:
  0x0000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: libself.so
Version needs section '.gnu.version_r' contains 6 entries:
 Addr: 0x0000000000005fe0  Offset: 0x00005fe0  Link: 33 (.dynstr)
  000000: Version: 1  File: libcudart.so.12  Cnt: 1
  0x0010:   Name: libcudart.so.12  Flags: none  Version: 4
  0x0020: Version: 1  File: libc.so.6  Cnt: 2
  0x0030:   Name: GLIBC_2.14  Flags: none  Version: 14
  0x0040:   Name: GLIBC_2.2.5  Flags: none  Version: 3
"""

UNDEFINED = """\
                 w _ITM_deregisterTMCloneTable
                 U _Unwind_Resume@GCC_3.0
                 U cudaMalloc@libcudart.so.12
                 U ncclAllReduce
"""


def test_needed_libraries_without_the_soname_of_the_library_itself() -> None:
    assert elf.parse_needed(DYNAMIC) == {"libc10.so", "libcudart.so.12"}


def test_versions_belong_to_the_file_above_them() -> None:
    assert elf.parse_versions(VERSIONS) == {
        ("libcudart.so.12", "libcudart.so.12"),
        ("libc.so.6", "GLIBC_2.14"),
        ("libc.so.6", "GLIBC_2.2.5"),
    }


def test_undefined_symbols_with_and_without_a_version() -> None:
    assert elf.parse_undefined(UNDEFINED) == {
        Symbol(name="_ITM_deregisterTMCloneTable", version=None),
        Symbol(name="_Unwind_Resume", version="GCC_3.0"),
        Symbol(name="cudaMalloc", version="libcudart.so.12"),
        Symbol(name="ncclAllReduce", version=None),
    }


def test_a_library_that_asks_for_nothing() -> None:
    assert not elf.parse_needed("")
    assert not elf.parse_versions("")
    assert not elf.parse_undefined("")
