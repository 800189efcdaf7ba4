"""Tier 2, integrity: the bag holds what its manifest says, and nothing that could do harm.

RFC 8493 (BagIt), narrowed: one payload layout, tag files with one spelling, no fetch.txt.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from kit.bundle import bag
from kit.bundle.document import Document
from kit.bundle.record import Moment
from kit.check.codes import Code
from kit.check.evidence import Counters, MetricsKey, Observed, observe, of_log
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings
from kit.check.refusal import Refusal
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase

T = TypeVar("T")

MANIFEST_LIMIT_BYTES = 2**20
METRICS_LIMIT_BYTES = 2 * 2**20
"""A vLLM server's exposition takes about 60 KiB."""

INFLATED_TOTAL_LIMIT_BYTES = 256 * 2**20
"""A bundle of small files that each inflate to the limit must not keep a verifier busy for long."""

_PHASES = tuple(phase.value for phase in Phase)

_MANIFEST_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[^\n]+)")
_REQUIRED = (bag.DOCUMENT, bag.RECORDS, *bag.TAG_FILES, bag.TAG_MANIFEST)
_FETCH = "fetch.txt"

_READERS = (
    Code.INTEGRITY_ENTRY,
    Code.INTEGRITY_ARCHIVE,
    Code.INTEGRITY_SIZE,
    Code.INTEGRITY_COUNT,
    Code.INTEGRITY_DEPTH,
)
"""What only a reader of folders and archives can see; names, both it and this tier can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bag:
    """What the bytes of a bag come to: each file hashed once and inflated once.

    `manifest` is what the manifest must be, `id` the bundle's id that follows from it.
    """

    digests: Mapping[str, str]
    manifest: bytes
    metrics: Mapping[MetricsKey, Counters]
    observed: Observed
    problems: tuple[Problem, ...]

    @property
    def id(self) -> str:
        return bag.identifier(self.manifest)


def is_bag(files: Mapping[str, bytes], refused: Sequence[Refusal]) -> bool:
    """Tell whether a folder is a bundle, however damaged, rather than something else."""
    names = [*files, *(one.name for one in refused)]
    return bag.BAGIT in names or any(name.startswith("data/") for name in names)


def not_a_bag(refused: Sequence[Refusal]) -> tuple[Finding, ...]:
    """Return what there is to say of what is no bundle at all, with its reader's reasons if any."""
    reasons = [f"{one.name}: {one.reason}" for one in refused]
    observed = next(iter(reasons), "neither bagit.txt nor data/ is there")
    problem = fail(BUNDLE, clip(observed), Code.INTEGRITY_BAG.holds)
    others = (code for code in _READERS if any(one.code is code for one in refused))
    return (
        *findings(Code.INTEGRITY_BAG, [problem]),
        *(finding for code in others for finding in findings(code, _refused(refused, code))),
    )


def check(
    files: Mapping[str, bytes],
    refused: Sequence[Refusal],
    opened: Bag,
    document: Document | None,
) -> Iterator[Finding]:
    """Yield the findings of this tier on a folder that is a bag."""
    text = files.get(bag.MANIFEST, b"")
    listed = _listed(text)
    yield from findings(Code.INTEGRITY_BAG, ())
    for code in _READERS:
        yield from findings(code, _refused(refused, code))
    names = [*_refused(refused, Code.INTEGRITY_NAME), *_unsafe([*files, *listed])]
    yield from findings(Code.INTEGRITY_NAME, names)
    yield from findings(Code.INTEGRITY_FETCH, _fetch(files))
    yield from findings(Code.INTEGRITY_UNKNOWN_FILE, _unknown(files))
    yield from findings(Code.INTEGRITY_MISSING_FILE, _missing(files, listed))
    yield from findings(Code.INTEGRITY_UNLISTED_FILE, _unlisted(opened.digests, listed))
    yield from findings(Code.INTEGRITY_DIGEST, _changed(opened.digests, listed))
    yield from findings(Code.INTEGRITY_MANIFEST, _spelling(text, listed))
    yield from findings(Code.INTEGRITY_TAG_FILE, _tag_files(files, opened.manifest))
    yield from findings(Code.INTEGRITY_GZIP, opened.problems)
    if document is not None:
        yield from findings(Code.INTEGRITY_PLAN_DIGEST, _plan_digest(document))


def open_bag(files: Mapping[str, bytes]) -> Bag:
    """Hash each payload file, and inflate each compressed one for what the checks need of it.

    What was inflated is dropped before the next file is.
    """
    digests = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name.startswith("data/")
    }
    inflated = _Inflated(files)
    named = filter(None, map(bag.METRICS.fullmatch, files))
    metrics = {
        (Phase(name["phase"]), int(name["number"]), Moment(name["moment"])): told
        for name in sorted(named, key=_in_time)
        if (told := inflated.read(name[0], METRICS_LIMIT_BYTES, vllm_metrics.read)) is not None
    }
    logs = [
        inflated.read(name, bag.INFLATED_LIMIT_BYTES, partial(of_log, name)) for name in bag.LOGS
    ]
    return Bag(
        digests=digests,
        manifest=bag.manifest_from(
            {name: digests[name] for name in digests if bag.is_plain_name(name)}
        ),
        metrics={key: told.totals for key, told in metrics.items()},
        observed=observe(filter(None, logs), metrics),
        problems=tuple(inflated.problems),
    )


class _Inflated:
    """The compressed files of a bag, which share one budget of bytes."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._left_bytes = INFLATED_TOTAL_LIMIT_BYTES
        self.problems: list[Problem] = []

    def read(self, name: str, limit_bytes: int, reader: Callable[[bytes], T]) -> T | None:
        """Return what `reader` makes of a file's text; None of no file, or none that is whole."""
        if name not in self._files:
            return None
        limit = min(self._left_bytes, limit_bytes)
        try:
            text = bag.inflate(self._files[name], limit)
        except ValueError as error:
            expected = f"one gzip member of at most {limit} bytes"
            self.problems.append(fail(name, clip(error), expected))
            self._spend(limit if isinstance(error, bag.Oversized) else 0)
            return None
        self._spend(len(text))
        return reader(text)

    def _spend(self, count: int) -> None:
        self._left_bytes = max(1, self._left_bytes - count)  # to zlib, 0 is no limit at all


def _in_time(name: re.Match[str]) -> tuple[int, int, bool]:
    """Return what to sort files of metrics by: they follow each other as they were read."""
    return _PHASES.index(name["phase"]), int(name["number"]), name["moment"] == Moment.AFTER.value


def _refused(refused: Sequence[Refusal], code: Code) -> Iterator[Problem]:
    for one in refused:
        if one.code is code:
            yield fail(clip(one.name), clip(one.reason), code.holds)


def _unsafe(names: Sequence[str]) -> Iterator[Problem]:
    for name in dict.fromkeys(names):
        if not bag.is_plain_name(name):
            yield fail(clip(name), "a name that is not a plain relative path", "a path in the bag")


def _fetch(files: Mapping[str, bytes]) -> Iterator[Problem]:
    if _FETCH in files:
        yield fail(_FETCH, "fetch.txt is there", "no file that names others to be downloaded")


def _unknown(files: Mapping[str, bytes]) -> Iterator[Problem]:
    known = {*bag.TAG_FILES, bag.TAG_MANIFEST, _FETCH}
    for name in files:
        if name not in known and not bag.is_payload_name(name):
            yield fail(clip(name), "an unknown file", "a file of the bundle's layout")


def _missing(files: Mapping[str, bytes], listed: Mapping[str, str]) -> Iterator[Problem]:
    for name in dict.fromkeys([*_REQUIRED, *listed]):
        if name not in files:
            reason = "listed in the manifest" if name in listed else "required by the format"
            yield fail(clip(name), "not there", f"a file that is {reason}")


def _unlisted(digests: Mapping[str, str], listed: Mapping[str, str]) -> Iterator[Problem]:
    for name in digests:
        if name not in listed:
            yield fail(clip(name), "not in the manifest", "a line for each payload file")


def _changed(digests: Mapping[str, str], listed: Mapping[str, str]) -> Iterator[Problem]:
    for name, digest in listed.items():
        if digests.get(name, digest) != digest:
            yield fail(clip(name), f"SHA-256 {digests[name]}", digest)


def _spelling(text: bytes, listed: Mapping[str, str]) -> Iterator[Problem]:
    """Hold the manifest against its re-serialisation; its digests are looked at elsewhere."""
    if text != bag.manifest_from(listed):
        yield fail(bag.MANIFEST, "another spelling", "sorted lines of `<digest>  <path>`")
    for name in listed:
        if not name.startswith("data/"):
            yield fail(bag.MANIFEST, f"lists {clip(name)}", "payload files only")


def _tag_files(files: Mapping[str, bytes], manifest: bytes) -> Iterator[Problem]:
    tags = {name: files[name] for name in bag.TAG_FILES if name in files}
    expected = {bag.BAGIT: bag.BAGIT_TEXT, bag.TAG_MANIFEST: bag.manifest_of(tags)}
    try:
        expected[bag.BAG_INFO] = bag.bag_info(files, manifest)
    except (KeyError, ValueError, msgspec.MsgspecError, RecursionError):
        # The document cannot be read, and the tiers that read it have said so.
        expected.pop(bag.BAG_INFO, None)
    for name, data in expected.items():
        if name in files and files[name] != data:
            yield fail(name, clip(_first_difference(files[name], data)), "what the payload implies")


def _first_difference(data: bytes, expected: bytes) -> str:
    """Quote the first line that is not as it should be."""
    lines, wanted = data.splitlines(), expected.splitlines()
    for line, other in zip(lines, wanted, strict=False):
        if line != other:
            return line.decode("utf-8", "backslashreplace")
    return f"{len(data)} bytes where {len(expected)} were expected"


def _plan_digest(document: Document) -> Iterator[Problem]:
    digest = document.plan.digest()
    if document.plan_digest != digest:
        yield fail(bag.DOCUMENT, clip(document.plan_digest), digest)


def _listed(manifest: bytes) -> dict[str, str]:
    """Return path to digest; lines that are not of the form are left out (the spelling tells)."""
    text = manifest[:MANIFEST_LIMIT_BYTES].decode("utf-8", "replace")
    lines = (_MANIFEST_LINE.fullmatch(line) for line in text.split("\n"))
    return {match["name"]: match["digest"] for match in lines if match}
