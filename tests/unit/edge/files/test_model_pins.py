"""Pinning: the hub's listing is pinned unchanged, or refused."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from kit.bootstrap.hub import HUB, Hub
from kit.edge.files import model_pins
from kit.errors import ExitCode, KitError, MachineError, SpecError, UsageError
from kit.plan.models import HubFile, HubModel, parse_pin, render_pin
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub

FILES: Mapping[str, bytes] = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "LICENSE": b"Apache License\n",
    "config.json": b"{}\n",
    "empty.txt": b"",
    "model-00001-of-00002.safetensors": b"a" * 5000,
    "model-00002-of-00002.safetensors": b"b" * 4000,
    "modeling_custom.py": b"import os\n",
    "pytorch_model.bin": b"c" * 5000,
    "sub/.hidden/x.json": b"{}",
    "sub/tokenizer.json": b"t" * 3000,
}
LEFT_OUT = {".gitattributes", "modeling_custom.py", "pytorch_model.bin", "sub/.hidden/x.json"}
MODEL = HubModel(id="tiny", repository=REPOSITORY, licence="Apache-2.0", revision=REVISION)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandInHub]:
    with StandInHub(FILES).serving() as serving:
        yield serving


@pytest.fixture
def served(stand_in: StandInHub) -> StandInHub:
    stand_in.faults, stand_in.seen = [], []
    stand_in.files, stand_in.licence = FILES, "apache-2.0"
    return stand_in


def lock(served: StandInHub, model: HubModel = MODEL) -> HubModel:
    return model_pins.lock(model, Hub(endpoint=served.endpoint, pause=lambda seconds: None))


def test_every_file_is_pinned_but_what_could_run_and_gits_own(served: StandInHub) -> None:
    locked = lock(served)
    assert locked.files == tuple(
        HubFile(name=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(FILES.items())
        if name not in LEFT_OUT
    )
    assert locked.is_pinned
    assert parse_pin(render_pin(locked), "p", MODEL) == locked


def test_large_files_are_not_downloaded(served: StandInHub) -> None:
    lock(served)
    assert {seen.place for seen in served.seen} == {"hub"}
    downloaded = {seen.path.rpartition("/")[2] for seen in served.seen if "/resolve/" in seen.path}
    assert downloaded == {"LICENSE", "config.json", "empty.txt"}


def test_small_files_may_come_from_a_cache(served: StandInHub) -> None:
    pinned = lock(served)
    served.faults = [Fault.SMALL_FROM_CACHE]
    assert lock(served) == pinned


def test_a_revision_that_is_not_set_is_the_newest_one(served: StandInHub) -> None:
    assert lock(served, replace(MODEL, revision=None)) == lock(served)


@pytest.mark.parametrize(
    ("fault", "exit_code", "said"),
    [
        (Fault.CORRUPT, ExitCode.BAD_SPEC, "git's SHA-1"),
        (Fault.CORRUPT_LISTED, ExitCode.BAD_SPEC, "git's SHA-1"),
        (Fault.LISTED_SIZE, ExitCode.BAD_SPEC, "bytes"),
        (Fault.SMALLER, ExitCode.BAD_SPEC, "bytes"),
        (Fault.MOVED, ExitCode.BAD_SPEC, "revision"),
        (Fault.GARBAGE, ExitCode.BAD_SPEC, "cannot read"),
        (Fault.PAGES, ExitCode.BAD_SPEC, "more than one page"),
        (Fault.CUT, ExitCode.MACHINE_LACKS, "cannot download"),
        (Fault.LARGER, ExitCode.MACHINE_LACKS, "cannot download"),
        (Fault.NOT_HTTP, ExitCode.MACHINE_LACKS, "cannot download"),
        (Fault.LOOPS, ExitCode.MACHINE_LACKS, "redirections"),
        (Fault.TO_A_FILE, ExitCode.MACHINE_LACKS, "file:///etc/passwd"),
    ],
)
def test_a_hub_that_is_at_fault_pins_nothing(
    served: StandInHub, fault: Fault, exit_code: ExitCode, said: str
) -> None:
    served.faults = [fault]
    with pytest.raises(KitError, match=said) as caught:
        lock(served)
    assert caught.value.exit_code is exit_code
    assert all((caught.value.why, caught.value.next_step))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.HTTP_401, MachineError), (Fault.HTTP_404, SpecError), (Fault.HTTP_418, MachineError)],
)
def test_a_hub_that_refuses(served: StandInHub, fault: Fault, kind: type[KitError]) -> None:
    served.faults = [fault]
    with pytest.raises(kind):
        lock(served)


@pytest.mark.parametrize("fault", [Fault.HTTP_429, Fault.HTTP_500])
def test_a_hub_that_is_busy_is_asked_again(served: StandInHub, fault: Fault) -> None:
    pinned = lock(served)
    served.faults = [fault, fault]
    assert lock(served) == pinned


def test_a_repository_that_is_not_there(served: StandInHub) -> None:
    with pytest.raises(SpecError, match="the hub has no"):
        lock(served, replace(MODEL, repository="stand-in/other"))
    with pytest.raises(SpecError, match="the hub has no"):
        lock(served, replace(MODEL, revision="0" * 40))


def test_another_licence_is_refused(served: StandInHub) -> None:
    served.licence = "other"
    with pytest.raises(SpecError, match=r"licence is other, not Apache-2\.0"):
        lock(served)


def test_a_repository_without_weights_is_refused(served: StandInHub) -> None:
    served.files = {"config.json": b"{}"}
    with pytest.raises(SpecError, match=r"no \.safetensors file"):
        lock(served)


@pytest.mark.parametrize("name", ["a b.json", "../a.json", "ä.json", "a;b", "$(a)"])
def test_a_name_that_would_need_quoting_is_refused(served: StandInHub, name: str) -> None:
    served.files = {**FILES, name: b"x" * 3000}
    if name.startswith("."):  # hidden: not wanted in the first place
        assert name not in {file.name for file in lock(served).files}
        return
    with pytest.raises(SpecError, match="cannot read"):
        lock(served)


def test_a_commit_that_has_changed_is_refused(served: StandInHub) -> None:
    pinned = lock(served)
    model_pins.require_same(MODEL, pinned)
    model_pins.require_same(pinned, pinned)
    model_pins.require_same(replace(pinned, revision="0" * 40, files=pinned.files[1:]), pinned)
    served.files = {**FILES, "config.json": b"[]\n"}
    with pytest.raises(SpecError, match=r"other files of tiny at .*: config\.json$"):
        model_pins.require_same(pinned, lock(served))


@pytest.mark.parametrize(
    "endpoint", ["https://hub.example", "http://huggingface.co", "https://huggingface.co.example"]
)
def test_a_mirrors_word_is_never_taken(endpoint: str) -> None:
    with pytest.raises(UsageError, match="not the hub itself"):
        model_pins.require_the_hub_itself(Hub(endpoint=endpoint))
    model_pins.require_the_hub_itself(Hub())
    model_pins.require_the_hub_itself(Hub(endpoint=f"{HUB}/"))
