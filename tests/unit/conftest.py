"""What tests of several packages share: a stand-in for a GPU's driver."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the stand-in for the driver's library, and return the folder that it is in.

    No GPU is behind it: see `tests/stand_in_nvml.c`.
    """
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parents[1] / "stand_in_nvml.c"
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    command = ["cc", *flags, "-o", folder / "libnvidia-ml.so.1", source, "-ldl"]
    subprocess.run(command, check=True)
    return folder
