"""What the server's log says of its start. GPU lines come from the sources: no GPU was seen."""

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from tests.edits.logs import edit_server_log
from tests.factory import Draft, Settings, draft, outcomes_of

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
PCIE = Settings(topology="tp2-pcie", model="moe")
DENSE = Settings(topology="tp2-pcie", model="dense")


def outcomes(made: Draft, name: str) -> set[Outcome]:
    return outcomes_of(made, f"topology-{name}")


def respelled(old: bytes, new: bytes, settings: Settings = PCIE) -> Draft:
    made = draft(settings)
    edit_server_log(made, old, new)
    return made


def test_a_rehearsal_is_served_by_a_cpu_and_says_so() -> None:
    cuda, cpu = b"device_config=cuda", b"device_config=cpu"
    rehearsal = Settings(topology="tp2-pcie", model="moe", rehearsal=True)
    assert outcomes(respelled(cuda, cpu), "device") == {FAIL}
    assert outcomes(respelled(cuda, cpu, rehearsal), "device") == {PASS}
    assert outcomes(draft(rehearsal), "device") == {FAIL}


def test_the_label_of_a_build_is_no_other_release() -> None:
    for version, expected in (
        ("0.17.0+cpu", PASS),
        ("0.17.0+cu128", PASS),
        ("0.17.0rc1", FAIL),
        ("0.17.0+fastfork", FAIL),
    ):
        made = respelled(b"(v0.17.0)", f"(v{version})".encode())
        engine = replace(made.document.engine, version=version)
        made.document = replace(made.document, engine=engine)
        assert outcomes(made, "engine-version") == {expected}, version


def test_a_server_tells_one_version_wherever_it_is_asked() -> None:
    assert outcomes(respelled(b"(v0.17.0)", b"(v0.17.0+cpu)"), "engine-version") == {FAIL}


def test_custom_all_reduce_is_off_only_where_the_log_says_so() -> None:
    silent = respelled(b"disable_custom_all_reduce=True, ", b"")
    assert outcomes(silent, "all-reduce") == {UNCHECKED}
    alone = Settings(topology="tp1", model="moe")
    left_on = respelled(b"reduce=True", b"reduce=False", alone)
    assert outcomes(left_on, "all-reduce") == {PASS}  # one rank has nothing to reduce


def test_a_model_of_8_bits_has_no_kernels_for_4() -> None:
    made = draft(Settings(topology="tp2-nvlink", model="moe-fp8"))
    four_bits = draft(Settings(topology="tp2-nvlink", model="moe")).server_log or b""
    lines = [line for line in four_bits.splitlines(keepends=True) if b"WNA16" in line]
    assert len(lines) == 2
    for line in lines:
        told = made.server_log
        made.server_log = (told or b"") + line
        assert outcomes(made, "kernels") == {FAIL}
        made.server_log = told
    made.server_log = None
    assert outcomes(made, "kernels") == {UNCHECKED}


@pytest.mark.parametrize(
    ("model", "expected"), [("moe-fp8", PASS), ("tiny", UNCHECKED), ("moe", PASS), ("dense", PASS)]
)
def test_kernels_are_asked_of_4_bit_models(model: str, expected: Outcome) -> None:
    assert outcomes(draft(Settings(topology="tp1", model=model)), "kernels") == {expected}


def test_a_kernel_that_the_log_does_not_name_is_not_assumed() -> None:
    assert outcomes(respelled(b"Using MarlinLinearKernel", b""), "kernels") == {UNCHECKED}
    assert outcomes(respelled(b"convertible", b"", DENSE), "kernels") == {UNCHECKED}
