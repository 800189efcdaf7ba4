"""Measures how fast `kit verify` judges bundles, and in how much memory.

    .kit/dev/bin/python -m benchmarks.verify_speed

It makes a corpus of bundles as large as the CPU default's, as a full GPU run's (4,096 tokens a
response, five measured passes, one to warm up and one streamed) and as one of eight agents (32
prompts in three passes and one to warm up), and judges each size as a user would: one command for
many, all checks, all cores. Memory is that of all its processes, shared pages counted once (PSS,
proc_pid_smaps_rollup(5)); of each different bundle 8 KB are kept, by which a copy of it is known.
Printed are the machine, bundles a second, what a bundle takes of a core, memory over the run, and
the seconds of one bundle from a shell. Other programs on the machine slow it down: its load average
is printed too.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.corpus import Size, bundles
from kit.edge import pool
from kit.edge.files import disk
from kit.edge.host import probes

POLL_S = 1.0
SHELL_ROUNDS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One command: its seconds, those of its cores, and its memory in the order of time."""

    wall_s: float
    cpu_s: float
    memory_bytes: Sequence[int]


def main() -> None:
    """Make the corpus, measure, and print."""
    options = _options()
    host = probes.host(None, None)
    print(f"{host.cpu_model}, {pool.cores()} cores, load average {os.getloadavg()[0]:.2f}")
    with TemporaryDirectory() as scratch:
        for size, distinct, repeats in (
            (Size.CPU, options.cpu, options.cpu_repeats),
            (Size.GPU, options.gpu, options.gpu_repeats),
            (Size.AGENTS, options.agents, options.agents_repeats),
        ):
            folder = Path(scratch, size.name)
            for number, files in enumerate(bundles(size, distinct)):
                disk.write_folder(folder / f"{number:05}", files)
            _many(size, folder, distinct, repeats)
            _one(size, next(folder.iterdir()))


def _many(size: Size, folder: Path, distinct: int, repeats: int) -> None:
    run = _verify([folder] * repeats)
    count = distinct * repeats
    mib = [value / 2**20 for value in run.memory_bytes]
    middle = mib[len(mib) // 2 :]
    print(
        f"{size.name:4} {count} bundles ({distinct} different ones) in {run.wall_s:.1f} s: "
        f"{count / run.wall_s:.0f} a second, {1000 * run.cpu_s / count:.1f} ms of a core each, "
        f"{max(mib):.0f} MiB at most, "
        f"{max(mib[: len(mib) // 2]):.0f} in the first half and {max(middle):.0f} in the second",
        flush=True,
    )


def _one(size: Size, path: Path) -> None:
    walls_s = sorted(_verify([path]).wall_s for _ in range(SHELL_ROUNDS))
    print(
        f"{size.name:4} one bundle from a shell: {walls_s[0]:.2f} s at best, "
        f"{walls_s[len(walls_s) // 2]:.2f} s in the median of {SHELL_ROUNDS}",
        flush=True,
    )


def _verify(paths: Sequence[Path]) -> Run:
    """Run `kit verify` on these; raise CalledProcessError unless all are valid."""
    command = [sys.executable, "-m", "kit", "verify", *map(str, paths)]
    memory = []
    start_s, start_cpu_s = time.perf_counter(), _cpu_s()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while (code := process.poll()) is None:
            memory.append(_memory_bytes(process.pid))
            try:
                process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                continue
    wall_s = time.perf_counter() - start_s
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Run(wall_s=wall_s, cpu_s=_cpu_s() - start_cpu_s, memory_bytes=memory or [0])


def _cpu_s() -> float:
    """Return the seconds of cores that all commands have taken so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _memory_bytes(process: int) -> int:
    """Return the proportional set size of a process and its children; 0 of one that has gone."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    own = sum(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))
    return own + sum(_memory_bytes(int(child)) for child in children)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cpu", type=int, default=200, help="different bundles of CPU size")
    parser.add_argument("--cpu-repeats", type=int, default=50, help="how often each is judged")
    parser.add_argument("--gpu", type=int, default=20, help="different bundles of GPU size")
    parser.add_argument("--gpu-repeats", type=int, default=20, help="how often each is judged")
    parser.add_argument("--agents", type=int, default=2, help="different ones of eight agents")
    parser.add_argument("--agents-repeats", type=int, default=5, help="how often each is judged")
    return parser.parse_args()


if __name__ == "__main__":
    main()
