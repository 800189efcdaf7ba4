"""Fuzzes one parser, or all in turn, guided by the code that each input reaches (Atheris).

    .kit/dev/bin/python -m tests.fuzz.run TARGET --seconds 60 [--corpus FOLDER]

Exits with 0 if nothing was found. Otherwise it prints the traceback and writes the input to a file
in the working directory. An input that takes more than ten seconds or 2 GiB is a finding too, and
so is a parser that opens a file, starts a program or uses the network. What parsers import and
compile when first used is imported and compiled before the first input.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["kit"]):
    from tests.factory import KNOWN
    from tests.fuzz.targets import TARGETS, Target

ALL = "all"
HANG_S = 10
MEMORY_LIMIT_MIB = 2048
LONGEST_INPUT_BYTES = 32 * 2**10
EFFECTS = ("open", "os.", "shutil.", "socket.", "subprocess.", "tempfile.", "ctypes.")
"""Prefixes of the audit events (Python's "Audit events table") that no parser may raise."""


def main() -> int:
    """Fuzz until the time is up. With one target it never returns: libFuzzer ends the process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=[*TARGETS, ALL])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument(
        "--corpus", type=Path, help="a folder that keeps inputs which reached new code"
    )
    options = parser.parse_args()
    if options.target == ALL:
        return _all(options.seconds, options.corpus)
    if options.corpus is not None:
        options.corpus.mkdir(parents=True, exist_ok=True)
    fuzz(TARGETS[options.target], options.seconds, options.corpus)
    return 0


def fuzz(target: Target, seconds: int, corpus: Path | None) -> None:
    """Feed a target, starting from its seeds and from the corpus of earlier runs."""
    for validator in (KNOWN.validators.document, KNOWN.validators.record):
        list(validator.iter_errors({}))  # compile them before the watch begins
    with TemporaryDirectory() as seeds:
        for number, seed in enumerate(target.seeds()):
            Path(seeds, str(number)).write_bytes(seed)
        arguments = [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-timeout={HANG_S}",
            f"-rss_limit_mb={MEMORY_LIMIT_MIB}",
            f"-max_len={LONGEST_INPUT_BYTES}",
            "-seed=1",
            "-print_final_stats=1",
            *([] if corpus is None else [str(corpus)]),
            seeds,
        ]
        atheris.Setup(arguments, _watched(target.feed))
        atheris.Fuzz()


def _watched(target: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a target that fails as soon as it raises one of these audit events."""
    is_feeding = False

    def watch(event: str, details: tuple[object, ...]) -> None:
        nonlocal is_feeding
        if is_feeding and event.startswith(EFFECTS):
            is_feeding = False  # so that the traceback can be printed
            raise RuntimeError(f"a parser has an effect: {event} {details}")

    def feed(data: bytes) -> None:
        nonlocal is_feeding
        is_feeding = True
        try:
            target(data)
        finally:
            is_feeding = False

    sys.addaudithook(watch)
    return feed


def _all(seconds: int, corpus: Path | None) -> int:
    failed = []
    for name in TARGETS:
        print(f"== {name}", flush=True)
        kept = [] if corpus is None else ["--corpus", str(corpus / name)]
        command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(seconds), *kept]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"{len(TARGETS)} targets, findings in: {' '.join(failed) or 'none'}")
    return min(len(failed), 1)


if __name__ == "__main__":
    sys.exit(main())
