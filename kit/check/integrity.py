"""Tier 2, integrity: the bag holds what its manifest says, and nothing that could do harm.

RFC 8493 (BagIt), narrowed: one payload layout, tag files with one spelling, no fetch.txt.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from kit.bundle import bag, load, telemetry
from kit.bundle.record import Moment
from kit.bundle.telemetry import Telemetry
from kit.check.check import BUNDLE, Check, Problem, fail
from kit.check.observed import MetricsKey, Observed
from kit.check.refusal import Refusal, Refused
from kit.check.submission import OpenedBag, Submission
from kit.format.canonical import NotCanonical
from kit.parse import nccl_log, vllm_log, vllm_metrics
from kit.parse.vllm_metrics import Metrics
from kit.plan.schedule import Phase

T = TypeVar("T")

MANIFEST_LIMIT_BYTES = 2**20
METRICS_LIMIT_BYTES = 2 * 2**20
"""A vLLM server's exposition takes about 60 KiB."""

INFLATED_TOTAL_LIMIT_BYTES = 256 * 2**20
"""A bundle of small files that each inflate to the limit must not keep a verifier busy for long."""

_MANIFEST_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[^\n]+)")
_REQUIRED = (bag.DOCUMENT, bag.RECORDS, *bag.TAG_FILES, bag.TAG_MANIFEST)
_FETCH = "fetch.txt"


def is_bag(files: Mapping[str, bytes], refused: Sequence[Refusal]) -> bool:
    """Tell whether a folder is a bundle, however damaged, rather than something else."""
    names = [*files, *(refusal.name for refusal in refused)]
    return bag.BAGIT in names or any(name.startswith("data/") for name in names)


def open_bag(files: Mapping[str, bytes]) -> OpenedBag:
    """Hash each payload file, and inflate each compressed one for what the checks need of it.

    What was inflated is dropped before the next file is.
    """
    digests = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name.startswith("data/")
    }
    inflated = _Inflated(files)
    names = filter(None, map(bag.METRICS.fullmatch, sorted(files)))
    metrics = {
        (Phase(name["phase"]), int(name["number"]), Moment(name["moment"])): read
        for name in names
        if (read := inflated.read(name[0], METRICS_LIMIT_BYTES, vllm_metrics.read)) is not None
    }
    observed = _observed(inflated, metrics, has_server_log=bag.SERVER_LOG in files)
    return OpenedBag(
        listed=_listed(files.get(bag.MANIFEST, b"")),
        digests=digests,
        manifest=bag.manifest_from(
            {name: digests[name] for name in digests if bag.is_plain_name(name)}
        ),
        metrics={key: read.totals for key, read in metrics.items()},
        observed=observed,
        problems=tuple(inflated.problems),
    )


class _Inflated:
    """The compressed files of a bag, which share one budget of bytes."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._left_bytes = INFLATED_TOTAL_LIMIT_BYTES
        self.problems: list[Problem] = []

    def read(self, name: str, limit_bytes: int, reader: Callable[[bytes], T]) -> T | None:
        """Return what `reader` makes of a file's text; None if there is none to inflate."""
        if name not in self._files:
            return None
        limit = min(self._left_bytes, limit_bytes)
        try:
            text = bag.inflate(self._files[name], limit)
        except ValueError as error:
            expected = f"one gzip member of at most {limit} bytes"
            self.problems.append(fail(name, str(error), expected))
            self._spend(limit if isinstance(error, bag.Oversized) else 0)
            return None
        self._spend(len(text))
        return reader(text)

    def read_lines(self, name: str, reader: Callable[[bytes], T]) -> T | None:
        """Return what `reader` makes of a file of canonical lines; None where there are none."""
        try:
            return self.read(name, bag.INFLATED_LIMIT_BYTES, reader)
        except NotCanonical as error:
            self.problems.append(fail(name, str(error), "canonical lines"))
            return None

    def _spend(self, count: int) -> None:
        self._left_bytes = max(1, self._left_bytes - count)  # to zlib, 0 is no limit at all


def _observed(
    inflated: _Inflated, metrics: Mapping[MetricsKey, Metrics], *, has_server_log: bool
) -> Observed:
    limit = bag.INFLATED_LIMIT_BYTES
    sampled = inflated.read(bag.TELEMETRY, limit, _telemetry)
    return Observed(
        has_server_log=has_server_log,
        server_log=inflated.read(bag.SERVER_LOG, limit, vllm_log.read),
        nccl_log=inflated.read(bag.NCCL_LOG, limit, nccl_log.read),
        load=inflated.read_lines(bag.LOAD, load.read),
        telemetry=sampled if isinstance(sampled, Telemetry) else None,
        telemetry_fault=sampled if isinstance(sampled, str) else None,
        finished={key: read.finished for key, read in metrics.items()},
        served_names=_distinct(read.served_name for read in metrics.values()),
        cache_configs=_distinct(read.cache_config for read in metrics.values()),
    )


def _telemetry(text: bytes) -> Telemetry | str:
    """Return telemetry, or why it cannot be read."""
    try:
        return telemetry.read(text)
    except NotCanonical as error:
        return str(error)


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    """Return each value once, without empty ones."""
    return tuple(filter(None, dict.fromkeys(values)))


def _not_a_bag(submission: Submission) -> Iterator[Problem]:
    if not is_bag(submission.files, submission.refused):
        reasons = [f"{refusal.name}: {refusal.reason}" for refusal in submission.refused]
        observed = next(iter(reasons), "neither bagit.txt nor data/ is there")
        yield fail(BUNDLE, observed, "a folder or archive that holds a BagIt bag")


def _refused(code: Refused) -> Callable[[Submission], Iterator[Problem]]:
    """Return what yields the entries that a reader refused for one reason."""

    def look(submission: Submission) -> Iterator[Problem]:
        for refusal in submission.refused:
            if refusal.code == code:
                yield fail(refusal.name, refusal.reason, "an entry as the kit seals it")

    return look


def _names(submission: Submission) -> Iterator[Problem]:
    yield from _refused(Refused.NAME)(submission)
    for name in dict.fromkeys([*submission.files, *submission.opened.listed]):
        if not bag.is_plain_name(name):
            yield fail(name, "a name that is not a plain relative path", "a path in the bag")


def _fetch(submission: Submission) -> Iterator[Problem]:
    if _FETCH in submission.files:
        yield fail(_FETCH, "fetch.txt is there", "no file that names others to be downloaded")


def _unknown(submission: Submission) -> Iterator[Problem]:
    known = {*bag.TAG_FILES, bag.TAG_MANIFEST, _FETCH}
    for name in submission.files:
        if name not in known and not bag.is_payload_name(name):
            yield fail(name, "an unknown file", "a file of the bundle's layout")


def _missing(submission: Submission) -> Iterator[Problem]:
    listed = submission.opened.listed
    for name in dict.fromkeys([*_REQUIRED, *listed]):
        if name not in submission.files:
            reason = "listed in the manifest" if name in listed else "required by the format"
            yield fail(name, "not there", f"a file that is {reason}")


def _unlisted(submission: Submission) -> Iterator[Problem]:
    listed = submission.opened.listed
    for name in submission.opened.digests:
        if name not in listed:
            yield fail(name, "not in the manifest", "a line for each payload file")


def _changed(submission: Submission) -> Iterator[Problem]:
    digests = submission.opened.digests
    for name, digest in submission.opened.listed.items():
        if digests.get(name, digest) != digest:
            yield fail(name, f"SHA-256 {digests[name]}", digest)


def _spelling(submission: Submission) -> Iterator[Problem]:
    """Compare the manifest with its re-serialisation; `integrity-digest` looks at its digests."""
    listed = submission.opened.listed
    if submission.files.get(bag.MANIFEST, b"") != bag.manifest_from(listed):
        yield fail(bag.MANIFEST, "another spelling", "sorted lines of `<digest>  <path>`")
    for name in listed:
        if not name.startswith("data/"):
            yield fail(bag.MANIFEST, f"lists {name}", "payload files only")


def _tag_files(submission: Submission) -> Iterator[Problem]:
    files = submission.files
    tags = {name: files[name] for name in bag.TAG_FILES if name in files}
    expected = {bag.BAGIT: bag.BAGIT_TEXT, bag.TAG_MANIFEST: bag.manifest_of(tags)}
    # A document that cannot be read is the schema tier's to name.
    with suppress(KeyError, ValueError, msgspec.MsgspecError, RecursionError):
        expected[bag.BAG_INFO] = bag.bag_info(files, submission.opened.manifest)
    for name, data in expected.items():
        if name in files and files[name] != data:
            yield fail(name, _first_difference(files[name], data), "what the payload implies")


def _first_difference(data: bytes, expected: bytes) -> str:
    """Quote the first line that is not as it should be."""
    for line, expected_line in zip(data.splitlines(), expected.splitlines(), strict=False):
        if line != expected_line:
            return line.decode("utf-8", "backslashreplace")
    return f"{len(data)} bytes where {len(expected)} were expected"


def _plan_digest(submission: Submission) -> Iterator[Problem]:
    document = submission.reading.document
    if document is not None and document.plan_digest != document.plan.digest():
        yield fail(bag.DOCUMENT, document.plan_digest, document.plan.digest())


def _listed(manifest: bytes) -> dict[str, str]:
    """Return path to digest; lines of another form are left out, and `_spelling` names them."""
    text = manifest[:MANIFEST_LIMIT_BYTES].decode("utf-8", "replace")
    lines = map(_MANIFEST_LINE.fullmatch, text.split("\n"))
    return {match["name"]: match["digest"] for match in lines if match}


FOR_ANY_FILES: tuple[Check[Submission], ...] = (
    Check(
        id="integrity-bag",
        holds="the folder or archive is a BagIt bag (RFC 8493)",
        hint="name the folder that holds bagit.txt and data/; make bench puts them into "
        "results/local",
        look=_not_a_bag,
    ),
    Check(
        id="integrity-archive",
        holds="where a bundle is an archive, it is one zstd frame or gzip member with a tar of "
        "one bag",
        hint="`kit pack BUNDLE -o FILE.tar.zst` makes one; else ask for the original",
        look=_refused(Refused.ARCHIVE),
    ),
    Check(
        id="integrity-size",
        holds="files, archives and what archives hold are within the format's limits in bytes",
        hint="nothing that the kit seals comes near these limits; do not unpack it",
        look=_refused(Refused.SIZE),
    ),
    Check(
        id="integrity-count",
        holds="there are no more files and folders than the format allows",
        hint="nothing that the kit seals comes near this limit; do not unpack it",
        look=_refused(Refused.COUNT),
    ),
    Check(
        id="integrity-depth",
        holds="folders are nested no deeper than the format allows",
        hint="a bundle's files are at most three levels deep: ask for the original",
        look=_refused(Refused.DEPTH),
    ),
    Check(
        id="integrity-entry",
        holds="every entry is a regular file, there once, that can be read; no links, no devices",
        hint="replace the entry by the file itself, from the original",
        look=_refused(Refused.ENTRY),
    ),
)
"""What may also be said of files that are no bag at all."""

CHECKS: tuple[Check[Submission], ...] = (
    *FOR_ANY_FILES,
    Check(
        id="integrity-name",
        holds="every file name is a plain relative path",
        hint="do not unpack or copy this bundle; its names try to leave the folder",
        look=_names,
    ),
    Check(
        id="integrity-fetch",
        holds="there is no `fetch.txt`: a bundle holds all of its evidence itself",
        hint="remove fetch.txt and put the files themselves into the bundle",
        look=_fetch,
    ),
    Check(
        id="integrity-unknown-file",
        holds="every file is one that the format knows",
        hint="remove the file, or ask for the original",
        look=_unknown,
    ),
    Check(
        id="integrity-missing-file",
        holds="every file that the manifest lists or the format requires is there",
        hint="ask for the whole bundle",
        look=_missing,
    ),
    Check(
        id="integrity-unlisted-file",
        holds="the manifest lists every payload file",
        hint="ask for the original: the file was added after sealing",
        look=_unlisted,
    ),
    Check(
        id="integrity-digest",
        holds="every payload file has the SHA-256 that the manifest gives",
        hint="ask for the original: the file was changed after sealing, or the copy is damaged",
        look=_changed,
    ),
    Check(
        id="integrity-manifest",
        holds="the manifest is spelled as `sha256sum` would, sorted, one line a file",
        hint="ask for the original: the manifest was edited",
        look=_spelling,
    ),
    Check(
        id="integrity-tag-file",
        holds="`bagit.txt`, `bag-info.txt` and the tag manifest follow from the payload",
        hint="ask for the original: a tag file was changed after sealing",
        look=_tag_files,
    ),
    Check(
        id="integrity-gzip",
        holds="every compressed file is one gzip member that inflates within the limits",
        hint="do not inflate the file with another tool before you know where it comes from",
        look=lambda submission: submission.opened.problems,
    ),
    Check(
        id="integrity-plan-digest",
        holds="`plan_digest` is the SHA-256 of the plan",
        hint="ask for the original: the plan was edited",
        look=_plan_digest,
        applies=lambda submission: submission.reading.document is not None,
    ),
)
