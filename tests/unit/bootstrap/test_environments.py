"""An environment is complete, or does not exist."""

import os
from pathlib import Path

import pytest

from kit.bootstrap import environments
from kit.bootstrap.environments import KIT, make, site_packages, uv_environment
from kit.bootstrap.errors import SetupError
from kit.bootstrap.layout import Layout
from tests.unit.bootstrap.conftest import FakeTool


def test_what_was_made_is_current_until_its_lock_changes(layout: Layout) -> None:
    make(KIT, layout, FakeTool())

    assert KIT.is_current(layout)
    assert [path.name for path in layout.state.iterdir()] == ["venv"]
    layout.lock("kit").write_text("click==8.2\n")
    assert not KIT.is_current(layout)


def test_packages_are_installed_by_hash_from_the_lock_and_from_wheels_only(layout: Layout) -> None:
    uv = FakeTool()

    make(KIT, layout, uv)

    sync = uv.commands[1]
    assert sync[-1] == str(layout.lock("kit"))
    assert {"--require-hashes", "--no-build"} <= set(sync)


def test_a_failure_leaves_nothing_that_passes_for_whole_and_shows_the_reason(
    layout: Layout,
) -> None:
    with pytest.raises(SetupError) as caught:
        make(KIT, layout, FakeTool(failure="dns error"))

    assert not KIT.path(layout).exists()
    assert caught.value.output == "dns error"
    assert caught.value.next_step.startswith("python3 -m kit.bootstrap kit")


def test_remains_of_an_interrupted_set_up_are_replaced(layout: Layout) -> None:
    remains = layout.state / "venv.partial" / "junk"
    remains.mkdir(parents=True)

    make(KIT, layout, FakeTool())

    assert KIT.is_current(layout)
    assert not (KIT.path(layout) / "junk").exists()


def test_the_checkout_is_linked_by_a_relative_path_and_a_script(layout: Layout) -> None:
    make(KIT, layout, FakeTool())

    packages = site_packages(KIT.path(layout))
    linked = packages / (packages / "kit.pth").read_text().strip()
    assert linked.resolve() == layout.root.resolve()
    assert os.access(KIT.path(layout) / "bin" / "kit", os.X_OK)


def test_every_source_that_shapes_an_environment_exists() -> None:
    for environment in environments.ENVIRONMENTS.values():
        for name in environment.sources:
            assert (environments.HERE / name).is_file()


def test_uv_goes_by_the_certificates_of_the_system_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roots.pem").touch()
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    assert "UV_SYSTEM_CERTS" not in uv_environment()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    assert uv_environment()["UV_SYSTEM_CERTS"] == "1"
    monkeypatch.setenv("UV_SYSTEM_CERTS", "0")
    assert uv_environment()["UV_SYSTEM_CERTS"] == "0"
