"""The benchmarks' corpus: bundles that the checkout's own data finds valid, of real sizes."""

import pytest

from benchmarks.corpus import Size, bundles
from kit.bundle import bag
from kit.bundle.record import Record
from kit.check.finding import Outcome
from kit.check.verify import known, verify
from kit.edge.files import checkout
from kit.errors import ExitCode
from kit.format import canonical


@pytest.mark.parametrize(("size", "tokens"), [(Size.CPU, 128), (Size.GPU, 4096)])
def test_bundles_of_the_corpus_are_valid_and_as_large_as_real_ones(size: Size, tokens: int) -> None:
    held_against = known(checkout.schemas(), checkout.catalog())
    one, other = bundles(size, 2)
    for files in (one, other):
        verdict = verify("case", files, (), held_against).verdict
        assert [found for found in verdict.findings if found.outcome is Outcome.FAIL] == []
        assert verdict.exit_code is ExitCode.DONE
    assert one[bag.RECORDS] != other[bag.RECORDS]
    records = canonical.decode_lines(one[bag.RECORDS], Record)
    assert {record.completion_tokens for record in records} == {tokens}
    assert len(records) == 7 * 5
    metrics = bag.inflate(one["data/metrics/measured-1-after.prom.gz"])
    assert 40_000 < len(metrics) < 60_000
