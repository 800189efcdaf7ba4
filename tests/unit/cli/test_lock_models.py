"""`kit lock-models` and `kit model-dockerfile`, in a copy of the checkout; a stand-in hub."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factory import ROOT
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub

KIT = (sys.executable, "-c", "from kit.cli import main; main()")
FILES = {
    "config.json": b"{}\n",
    "model-00001-of-00002.safetensors": b"a" * 5000,
    "model-00002-of-00002.safetensors": b"b" * 4000,
}
MODELS = f"""\
# A comment that no program may lose.
[tiny]
repository = "{REPOSITORY}"
licence = "Apache-2.0"
"""


@pytest.fixture
def served() -> Iterator[StandInHub]:
    with StandInHub(FILES).serving() as serving:
        yield serving


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "kit", tmp_path / "kit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    (tmp_path / "docker" / "models.toml").write_text(MODELS)
    return tmp_path


def kit(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [*KIT, *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=inherited | environment,
    )


def lock(checkout: Path, served: StandInHub, *models: str) -> subprocess.CompletedProcess[str]:
    options = ("lock-models", "--from-mirror-for-tests", *models)
    return kit(checkout, *options, HF_ENDPOINT=served.endpoint, HF_TOKEN="hf_secret")


def test_a_model_is_pinned_and_then_has_a_dockerfile(checkout: Path, served: StandInHub) -> None:
    before = kit(checkout, "model-dockerfile", "tiny")
    assert (before.returncode, before.stdout) == (3, "")
    assert "next: kit lock-models tiny" in before.stderr

    done = lock(checkout, served)
    pin = checkout / "docker" / "models" / "tiny.json"
    assert (done.returncode, done.stdout) == (0, f"{pin}\n")
    assert f"tiny: 3 files, 0.00 GB, at {REVISION}" in done.stderr
    assert (checkout / "docker" / "models.toml").read_text() == MODELS
    assert {seen.authorization for seen in served.seen} == {"Bearer hf_secret"}

    after = kit(checkout, "model-dockerfile", "tiny")
    assert after.returncode == 0
    assert after.stdout.count("COPY --link --from=model") == 3


def test_locking_again_changes_nothing(checkout: Path, served: StandInHub) -> None:
    lock(checkout, served, "tiny")
    pin = checkout / "docker" / "models" / "tiny.json"
    first = pin.read_bytes()
    served.seen.clear()
    assert lock(checkout, served, "tiny").returncode == 0
    assert pin.read_bytes() == first
    # What was resolved once stays: it is asked for by its revision.
    assert served.seen[0].path == f"/api/models/{REPOSITORY}/revision/{REVISION}"


def test_other_files_of_the_same_commit_are_refused_and_the_pin_is_kept(
    checkout: Path, served: StandInHub
) -> None:
    lock(checkout, served)
    pin = checkout / "docker" / "models" / "tiny.json"
    first = pin.read_bytes()
    served.files = {**FILES, "config.json": b"[]\n"}
    done = lock(checkout, served)
    assert (done.returncode, done.stdout) == (3, "")
    assert pin.read_bytes() == first


def test_a_pin_of_another_revision_is_refused_until_locked_anew(
    checkout: Path, served: StandInHub
) -> None:
    lock(checkout, served)
    served.revision = "ab" * 20
    text = f'{MODELS}revision = "{served.revision}"\n'
    (checkout / "docker" / "models.toml").write_text(text)
    stale = kit(checkout, "model-dockerfile", "tiny")
    assert stale.returncode == 3
    assert "kit lock-models tiny" in stale.stderr
    assert lock(checkout, served).returncode == 0
    assert f'ARG REVISION="{served.revision}"' in kit(checkout, "model-dockerfile", "tiny").stdout


def test_a_fault_writes_nothing(checkout: Path, served: StandInHub) -> None:
    served.faults = [Fault.CORRUPT]
    done = lock(checkout, served)
    assert done.returncode == 3
    assert [path.name for path in (checkout / "docker" / "models").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("lock-models",), {"HF_ENDPOINT": "https://hub.example"}, "not the hub itself"),
        (("lock-models",), {"HF_ENDPOINT": "hub.example"}, "not the address of a hub"),
        (("lock-models",), {"HF_TOKEN": "a b"}, "HF_TOKEN is not a token"),
        (("lock-models", "gpt"), {}, "valid: tiny"),
        (("model-dockerfile", "moe-mini"), {}, "valid: tiny"),
        (("model-dockerfile",), {}, "Missing argument"),
    ],
)
def test_wrong_usage_is_2_and_asks_nobody(
    checkout: Path, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    done = kit(checkout, *arguments, **environment)
    assert done.returncode == 2
    assert said in done.stderr
