"""Makes good bundles of real sizes by the hundred, without an engine, for benchmarks of the kit.

    .kit/dev/bin/python -m benchmarks.corpus FOLDER --cpu 100 --gpu 20

They are what `tests/factory.py` makes, on the checkout's own suites, models and Compose files, so
that `kit verify` finds them valid; logs and metrics are padded to the sizes that real ones have.
"""

import argparse
import random
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path

from msgspec.structs import replace
from tokenizers import Tokenizer

from kit.bundle.document import EngineIdentity, ModelFile
from kit.check.arithmetic.text import TOKENIZER
from kit.check.evidence import Catalog
from kit.edge.files import checkout, disk
from kit.plan.models import WEIGHTS, Model, Twin
from tests.factory import Draft, Settings, draft

BUCKETS = 20
HISTOGRAMS = 25
"""With these an exposition has some 590 lines and 49 KB, as those of vLLM 0.17.0 on CPU have."""

SAMPLE_EVERY = 10
"""The factory samples ten times a second, the kit once."""

LOG_LINES = 80
"""Lines that a server writes besides those that the checks read; a real log has 130 in all."""


class Size(Enum):
    """What a bundle is as large as: the CPU default's, a full GPU run's, or that of eight agents.

    Model, topology, suite, agents, measured passes, and tokens of a response.
    """

    CPU = ("moe-mini", "cpu-tp1", "single", None, 5, None)
    GPU = ("moe", "tp2-nvlink", "single", None, 5, None)
    AGENTS = ("moe", "tp2-nvlink", "swarm", 8, 3, 4096)


def main() -> None:
    """Write the bundles that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a new folder for each bundle goes there")
    parser.add_argument("--cpu", type=int, default=0, help="how many of the CPU default's size")
    parser.add_argument("--gpu", type=int, default=0, help="how many of a full GPU run's size")
    parser.add_argument("--agents", type=int, default=0, help="how many of eight agents")
    options = parser.parse_args()
    counts = {Size.CPU: options.cpu, Size.GPU: options.gpu, Size.AGENTS: options.agents}
    for size, count in counts.items():
        for number, files in enumerate(bundles(size, count), start=1):
            disk.write_folder(options.folder / f"{size.name.lower()}-{number:05}", files)


def bundles(size: Size, count: int) -> Iterator[Mapping[str, bytes]]:
    """Yield the files of so many bundles, each with times and tokens of its own."""
    catalog = checkout.catalog()
    model, topology, suite, agents, passes, tokens = size.value
    for seed in range(count):
        settings = Settings(
            model=model,
            topology=topology,
            suite=suite,
            agents=agents,
            passes=passes,
            tokens=tokens,
            seed=seed,
            catalog=catalog,
            encode=_encode if isinstance(catalog.models[model], Twin) else None,
        )
        made = draft(settings)
        made.document = replace(
            made.document, engine=_identity(made.document.engine, catalog.models[model])
        )
        _pad(made, random.Random(seed))  # noqa: S311  # noise, not a secret
        _spell(made, catalog)
        yield made.seal()


def _encode(text: str) -> list[int]:
    """Return a text's ids by the twins' tokenizer; no other is at hand."""
    return list(_tokenizer().encode(text).ids)


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(checkout.ROOT / "kit" / "twins" / TOKENIZER))


def _identity(engine: EngineIdentity, model: Model) -> EngineIdentity:
    """Name the model's own files; of a model that is not pinned, the ones that the factory has."""
    if not isinstance(model, Twin):
        return engine
    files = {**model.files, WEIGHTS: model.sha256}
    listed = (ModelFile(name=name, size_bytes=1, sha256=digest) for name, digest in files.items())
    return replace(engine, model_files=tuple(listed))


def _spell(made: Draft, catalog: Catalog) -> None:
    """Make each text the one of its token ids, where the model's tokenizer is at hand."""
    files = {file.name: file.sha256 for file in made.document.engine.model_files or ()}
    tokenizer = catalog.tokenizers.get(files[TOKENIZER])
    if tokenizer is None:
        return
    texts = (tokenizer.bytes_of(record.token_ids or ()) or b"" for record in made.records)
    made.records = [
        replace(record, text=text.decode("utf-8", "replace"))
        for record, text in zip(made.records, texts, strict=True)
    ]


def _pad(made: Draft, noise: random.Random) -> None:
    padding = b""
    for name, text in made.metrics.items():
        if name.endswith("-after") or not padding:  # between passes nothing moves
            padding = _histograms(noise)
        made.metrics[name] = text + padding
    if made.telemetry is not None:
        samples = made.telemetry.samples
        made.telemetry = replace(
            made.telemetry,
            header=replace(made.telemetry.header, interval_s=1.0),
            samples=(*samples[::SAMPLE_EVERY], samples[-1]),
        )
    lines = (
        b"(APIServer pid=7) INFO 03-06 12:00:00 [launcher.py:47] Route: /v1/a_route_that_nobody"
        b"_asked_for/%d, Methods: GET, HEAD\n" % noise.randrange(1000)
        for _ in range(LOG_LINES)
    )
    made.server_log = b"".join(lines) + (made.server_log or b"")


def _histograms(noise: random.Random) -> bytes:
    lines = []
    for number in range(HISTOGRAMS):
        name = f"vllm:a_histogram_of_seconds_{number}"
        lines += [f"# HELP {name} Histogram of something in seconds.", f"# TYPE {name} histogram"]
        lines += [
            f'{name}_bucket{{engine="0",le="{le}.0",model_name="mini"}} {noise.randrange(100)}.0'
            for le in range(BUCKETS)
        ]
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    main()
