"""`kit verify --reference` and `kit audit` as a user meets them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from kit.check.finding import Verdict
from kit.check.verify import Verified
from kit.claims.eligible import EligibleBundle, load
from kit.claims.judge import judge
from kit.claims.noise import noise_of
from kit.claims.verdict import ClaimOutcome, Excluded, JudgedSet, as_document
from kit.edge.files import disk
from kit.format import canonical
from kit.report import verdict_text
from tests import six_cells
from tests.command_line import kit
from tests.factory import ROOT, Settings, draft, schemas
from tests.six_cells import Shape, eligible
from tests.unit.claims.audit.test_raw_files import swarm
from tests.unit.cli.test_cli import ENDPOINT

REFERENCES = six_cells.references()
NOISE = noise_of(REFERENCES.values(), REFERENCES["article-part-1"].author)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk.write_folder(tmp_path_factory.mktemp("good") / "bundle", draft(ENDPOINT).seal())


def judged(*bundles: EligibleBundle | Excluded) -> JudgedSet:
    return judge(REFERENCES["article-part-1"], NOISE, {}, bundles)[0]


def document(done: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401  # it is JSON
    return json.loads(done.stdout)


def passes(name: str, instance: Mapping[str, Any]) -> bool:
    return list(Draft202012Validator(schemas()[name]).iter_errors(instance)) == []


def test_a_bundle_that_says_nothing_of_the_claims_is_7(bundle: Path) -> None:
    done = kit("verify", str(bundle), "--reference", "article-part-1")
    assert done.returncode == 7
    assert "NOT JUDGED  article-part-1: 0 reproduced, 0 not-reproduced" in done.stdout
    assert "left out" in done.stdout
    assert "it measured an endpoint" in done.stdout


def test_the_verdict_as_json_passes_its_schema(bundle: Path) -> None:
    names = ("--reference", "article-part-1", "--reference", "article-part-2")
    done = kit("verify", "--format", "json", str(bundle), *names)
    verdict = document(done)
    assert passes("verdict", verdict)
    assert [judged_set["reference"] for judged_set in verdict["judged"]] == [
        "article-part-1",
        "article-part-2",
    ]
    assert (done.returncode, verdict["exit_code"]) == (7, 7)


def test_a_verdict_with_every_outcome_passes_its_schema() -> None:
    result = judged(*one_slow_cell(), of_nothing())
    assert {judgement.outcome for judgement in result.claims} == set(ClaimOutcome)
    verdict = json.loads(canonical.encode(as_document([], [result])))
    assert passes("verdict", verdict)
    assert verdict["exit_code"] == 1


def one_slow_cell() -> Sequence[EligibleBundle | Excluded]:
    shapes = [Shape(cell=cell, slower=0.1 * (cell == "moe@tp1")) for cell in six_cells.CELLS]
    return [eligible(shape) for shape in shapes]


def of_nothing() -> EligibleBundle | Excluded:
    return load(Verified(Verdict(path="\x1b[2Jx", id=None, status=None, findings=()), None))


def test_an_invalid_bundle_is_6_whatever_the_claims_say(bundle: Path, tmp_path: Path) -> None:
    done = kit("verify", str(bundle), str(tmp_path), "--reference", "article-part-1", "-q")
    assert (done.returncode, done.stdout) == (6, "")


def test_terminal_lines_begin_with_the_answer_and_escape_what_bundles_say() -> None:
    first, *rest = verdict_text.claim_lines(judged(*one_slow_cell(), of_nothing()))
    text = "\n".join(rest)
    assert first.startswith("DIFFERS  article-part-1: ")
    assert "not-reproduced  rate-moe-tp1  (Results, tables MoE and Dense)" in text
    assert "decided by" in text
    assert "miss the true value by chance" in text
    assert "\\x1b[2Jx" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--reference", "nobody"), 2, "valid: article-part-1"),
        (("--reference", "no/such.toml"), 2, "cannot read"),
        (("--reference", "article-part-1", "--set", "price=1"), 2, "names: gpu-price-usd"),
        (("--reference", "article-part-1", "--set", "gpu-price-usd=x"), 2, "NAME=NUMBER"),
        (("--set", "gpu-price-usd=1"), 2, "--set needs --reference"),
    ],
)
def test_wrong_usage_says_what_is_valid(
    bundle: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = kit("verify", str(bundle), *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reference_of_ones_own_is_read_from_a_file(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    table = msgspec.toml.decode((ROOT / "results/published/author-earlier-run.toml").read_bytes())
    path.write_bytes(msgspec.json.encode({**table, "id": "mine"}))
    assert "NOT JUDGED  mine" in kit("verify", str(bundle), "--reference", str(path)).stdout
    path.write_bytes(b"{}")
    for done in (kit("verify", str(bundle), "--reference", str(path)), kit("audit", str(path))):
        assert done.returncode == 3
        assert "schemas/reference.schema.json" in done.stderr


def test_a_price_can_be_set(bundle: Path) -> None:
    arguments = ("--reference", "article-part-1", "--set", "gpu-price-usd=650.50")
    assert kit("verify", str(bundle), *arguments).returncode == 7


def test_audit_ends_in_1_where_something_is_contradicted() -> None:
    done = kit("audit", "article-part-1")
    assert done.returncode == 1
    assert done.stdout.startswith("CONTRADICTED  article-part-1: ")
    assert "contradicted  audit-nvlink  nv3" in done.stdout


def test_the_readme_shows_what_audit_finds() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    block = page.partition("    $ kit audit article-part-1\n")[2].partition("      ...")[0]
    shown = [line.removeprefix("    ") for line in block.splitlines()]
    assert len(shown) > 10
    assert set(shown) <= set(kit("audit", "article-part-1").stdout.splitlines())


def test_audit_as_json_passes_its_schema() -> None:
    done = kit("audit", "article-part-3", "--json")
    assert passes("audit", document(done))
    assert (done.returncode, document(done)["exit_code"]) == (0, 0)


def test_audit_looks_at_data_files(tmp_path: Path) -> None:
    rows = [(5, 1, 1000, 10.0, 10.0)] * 4
    (tmp_path / "swarm-coder4-tp2-nvlink-c8.csv").write_bytes(swarm(*rows))
    (tmp_path / "notes.txt").write_bytes(b"anything")
    done = kit("audit", "article-part-3", "--raw", str(tmp_path))
    assert done.returncode == 1
    assert "never more than 4 in flight" in done.stdout
    assert "notes.txt: no reference says what it is about" in done.stdout


def test_audit_of_no_folder_and_of_links_says_so(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere")
    for folder in (tmp_path, tmp_path / "missing"):
        done = kit("audit", "article-part-1", "--raw", str(folder))
        assert done.returncode == 2
        assert "error: " in done.stderr


def test_a_twin_is_excluded_on_the_command_line(tmp_path: Path) -> None:
    path = disk.write_folder(tmp_path / "twin", draft(Settings()).seal())
    done = kit("verify", str(path), "--reference", "article-part-1", "--format", "json")
    assert document(done)["judged"][0]["bundles"] == []
