"""The bag: what is refused, what a damaged one still says, and what is not a bundle at all."""

import pytest

from kit.bundle import bag
from kit.bundle.bag import Attachments
from kit.check.finding import Finding, Outcome, Verdict
from kit.check.refusal import Refusal
from kit.check.verify import verify
from kit.errors import ExitCode
from tests.factory import KNOWN, draft, judge


def _only(verdict: Verdict, code: str) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.code == code]


@pytest.mark.parametrize("files", [{}, {"README.md": b"hello"}, {"other/x": b""}])
def test_a_folder_that_is_no_bundle_gets_one_finding(files: dict[str, bytes]) -> None:
    verdict = judge(files)
    assert [finding.code for finding in verdict.findings] == ["integrity-bag"]
    assert verdict.exit_code is ExitCode.BUNDLE_INVALID
    assert verdict.id is None


def test_a_path_that_cannot_be_read_says_why() -> None:
    refusal = Refusal(name=".", reason="it is a link", code="integrity-bag")
    (finding,) = verify("case", {}, [refusal], KNOWN).verdict.findings
    assert finding.code == "integrity-bag"
    assert finding.observed == ".: it is a link"


def test_refused_entries_fail_one_by_one() -> None:
    refused = (
        Refusal(name="data/link", reason="a link"),
        Refusal(name="fifo", reason="not a regular file"),
    )
    verdict = verify("case", draft().seal(), refused, KNOWN).verdict
    found = _only(verdict, "integrity-entry")
    assert [(one.subject, one.observed) for one in found] == [
        (one.name, one.reason) for one in refused
    ]
    assert verdict.exit_code is ExitCode.BUNDLE_INVALID


def test_a_bag_of_links_only_is_a_damaged_bundle() -> None:
    verdict = verify("case", {}, [Refusal(name="bagit.txt", reason="a link")], KNOWN).verdict
    assert len(verdict.findings) > 1
    assert _only(verdict, "integrity-entry")[0].outcome is Outcome.FAIL


def test_the_id_is_that_of_the_manifest_and_follows_the_payload() -> None:
    files = draft().seal()
    assert judge(files).id == bag.identifier(files[bag.MANIFEST])
    changed = {**files, bag.RECORDS: b""}
    assert judge(changed).id != judge(files).id
    assert judge({**files, bag.MANIFEST: b""}).id == judge(files).id


def test_a_changed_file_is_named_with_both_digests() -> None:
    files = draft().seal()
    files[bag.SERVER_LOG] = bag.compress(b"another log")
    (finding,) = _only(judge(files), "integrity-digest")
    assert finding.subject == bag.SERVER_LOG
    assert finding.expected in files[bag.MANIFEST].decode()


def test_another_level_of_compression_is_no_fault() -> None:
    """The releases of zlib differ in what they write; all of them read it."""
    made = draft()
    payload = bag.payload(
        made.document, tuple(made.records), made.metrics, Attachments(server_log=made.server_log)
    )
    stored = bytes.fromhex("1f8b080000000000000301") + (5).to_bytes(2, "little")
    stored += (5 ^ 0xFFFF).to_bytes(2, "little") + b"hello" + bytes.fromhex("86a6103605000000")
    payload[bag.SERVER_LOG] = stored
    assert judge(bag.seal(payload)).exit_code is ExitCode.DONE


def test_small_files_that_inflate_hugely_share_one_budget() -> None:
    files = draft().seal()
    bomb = bag.compress(bytes(15 * 2**20))
    bombs = {f"data/metrics/measured-{number}-after.prom.gz": bomb for number in range(1, 40)}
    found = _only(judge({**files, **bombs}), "integrity-gzip")
    assert found[0].outcome is Outcome.FAIL
    assert "more than" in found[0].observed


def test_a_missing_manifest_leaves_every_file_unlisted() -> None:
    files = draft().seal()
    del files[bag.MANIFEST]
    verdict = judge(files)
    assert _only(verdict, "integrity-unlisted-file")[0].outcome is Outcome.FAIL
    assert bag.MANIFEST in [found.subject for found in _only(verdict, "integrity-missing-file")]
