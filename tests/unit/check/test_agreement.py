"""Bundles that name other bytes for one file of a revision are neither of them believed."""

from msgspec.structs import replace

from kit.bundle.document import ModelFile
from kit.check.agreement import agreed, asserted
from kit.check.finding import Verdict
from kit.errors import ExitCode
from kit.plan.models import HubModel
from tests.factory import draft, judge

MODEL = HubModel(
    id="moe", repository="o/m", licence="MIT", revision="ab" * 20, sha256={"shipped": "00" * 32}
)
HONEST = judge(draft().seal())


def naming(**sha256: str) -> Verdict:
    """Return the verdict on a bundle that names these files, by the first digit of their hashes."""
    document = replace(
        draft().document,
        engine=replace(
            draft().document.engine,
            model_files=tuple(
                ModelFile(name=name, size_bytes=1, sha256=digit * 64)
                for name, digit in sha256.items()
            ),
        ),
    )
    return replace(HONEST, asserted=asserted(document, MODEL))


def codes(*verdicts: Verdict) -> list[ExitCode]:
    return [verdict.exit_code for verdict in agreed(verdicts)]


DONE, INVALID = ExitCode.DONE, ExitCode.BUNDLE_INVALID


def test_two_that_differ_both_fail_and_others_do_not() -> None:
    one, other, third = naming(config="1"), naming(config="2"), naming(tokenizer="3")
    assert codes(HONEST, one, HONEST, other, third) == [DONE, INVALID, DONE, INVALID, DONE]
    first, second = agreed([one, other])
    named = f"{MODEL.repository}@{MODEL.revision}/config"
    for verdict, digit in ((first, "1"), (second, "2")):
        finding = verdict.findings[-1]
        assert (finding.code, finding.subject) == ("protocol-same-files", named)
        assert finding.observed == f"SHA-256 {digit * 64}"


def test_two_that_agree_pass() -> None:
    assert codes(naming(config="1"), naming(config="1", tokenizer="2")) == [DONE, DONE]


def test_a_file_with_a_shipped_hash_is_another_checks_matter() -> None:
    assert naming(shipped="1").asserted == frozenset()


def test_a_bundle_that_asserts_nothing_waits_for_none() -> None:
    verdicts = agreed(iter([HONEST, naming(config="1")]))
    assert next(verdicts) is HONEST
