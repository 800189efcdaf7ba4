"""A model's files: all of them pinned, or some, and the rest as the hub listed them."""

import dataclasses

import pytest
from msgspec.structs import replace

from kit.bundle.document import ModelFile, Runtime
from kit.bundle.host_facts import ModelSource
from kit.check.evidence import Catalog
from kit.check.finding import Finding, Outcome
from kit.check.verify import Known, verify
from kit.plan import plan
from kit.plan.models import HubFile, HubModel, ListedBy
from kit.plan.plan import Choices
from tests.catalog import ENGINE, SUITE
from tests.factory import KNOWN, Settings, draft

PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)
HUB_FILES = (
    HubFile(name="config.json", size_bytes=2, sha256="01" * 32),
    HubFile(name="model-00001-of-00001.safetensors", size_bytes=9, sha256="02" * 32),
)
PINNED = HubModel(
    id="moe",
    repository="owner/model",
    licence="Apache-2.0",
    revision="ab" * 20,
    files=HUB_FILES,
)


PARTLY = dataclasses.replace(PINNED, files=(), sha256={HUB_FILES[1].name: HUB_FILES[1].sha256})
SOURCE = ModelSource(repository=PINNED.repository, revision=PINNED.revision, listed_by=ListedBy.HUB)


def of_a_model_of_the_hub(
    listed: dict[str, str],
    model: HubModel,
    sizes: dict[str, int] | None = None,
    source: ModelSource | None = None,
) -> dict[str, list[Finding]]:
    """Return what is found, by code, of a run of a model of the hub with these files.

    They have the sizes that are pinned, but for those that are given.
    """
    sizes_bytes = {file.name: file.size_bytes for file in HUB_FILES} | (sizes or {})
    made = draft(Settings(runtime=Runtime.DOCKER if source else Runtime.PROCESS))
    planned = plan.plan_engine(model, ENGINE, "cpu-tp1", SUITE, Choices(passes=3))
    identity = replace(
        made.document.engine,
        model_files=tuple(
            ModelFile(name=name, size_bytes=sizes_bytes.get(name, 1), sha256=digest)
            for name, digest in listed.items()
        ),
    )
    made.document = replace(
        made.document, plan=planned, plan_digest=planned.digest(), engine=identity
    )
    if made.host_facts is not None:
        made.host_facts = replace(
            made.host_facts, model_files=identity.model_files, model_source=source
        )
    catalog = Catalog(
        suites={SUITE.id: SUITE},
        models={"moe": model},
        engines={("cpu-tp1", "moe"): ENGINE},
        gpus={},
    )
    known = Known(validators=KNOWN.validators, catalog=catalog)
    found: dict[str, list[Finding]] = {}
    for finding in verify("case", made.seal(), (), known).verdict.findings:
        found.setdefault(finding.code.removeprefix("protocol-"), []).append(finding)
    return found


def test_a_pinned_model_of_the_hub_is_held_against_every_file() -> None:
    right = {file.name: file.sha256 for file in HUB_FILES}
    found = of_a_model_of_the_hub(right, PINNED)
    assert [one.outcome for code in ("plan", "model-files") for one in found[code]] == [PASS, PASS]
    changed = {**right, "config.json": "03" * 32, "more.safetensors": "04" * 32}
    found = of_a_model_of_the_hub(changed, PINNED)
    assert [(one.outcome, one.subject) for one in found["model-files"]] == [
        (FAIL, "config.json"),
        (FAIL, "more.safetensors"),
    ]
    del right["config.json"]
    (missing,) = of_a_model_of_the_hub(right, PINNED)["model-files"]
    assert (missing.outcome, missing.observed) == (FAIL, "SHA-256 not listed")


def test_a_file_of_a_pinned_model_has_its_pinned_size_too() -> None:
    """How large a checkpoint is, is one of the article's figures."""
    right = {file.name: file.sha256 for file in HUB_FILES}
    name = "model-00001-of-00001.safetensors"
    found = of_a_model_of_the_hub(right, PINNED, {name: 3})["model-files"]
    assert [(one.outcome, one.subject, one.observed, one.expected) for one in found] == [
        (FAIL, name, "3 bytes", "9 bytes")
    ]


ALL_FILES = {file.name: file.sha256 for file in HUB_FILES}


@pytest.mark.parametrize(
    ("source", "files", "outcome"),
    [
        (SOURCE, ALL_FILES, WARN),  # the hub's list is asserted
        (replace(SOURCE, listed_by=ListedBy.MIRROR), ALL_FILES, UNCHECKED),
        (replace(SOURCE, listed_by=ListedBy.NOBODY), ALL_FILES, UNCHECKED),
        (replace(SOURCE, listed_by=ListedBy.MIRROR), dict(PARTLY.sha256), PASS),
        (SOURCE, {**ALL_FILES, HUB_FILES[1].name: "03" * 32}, FAIL),
        (SOURCE, {"config.json": "01" * 32}, FAIL),  # weights whose hash is shipped are missing
        (replace(SOURCE, revision="cd" * 20), ALL_FILES, FAIL),
        (replace(SOURCE, repository="owner/other"), ALL_FILES, FAIL),
    ],
)
def test_of_a_model_whose_hashes_are_shipped_in_part_the_rest_is_asserted(
    source: ModelSource, files: dict[str, str], outcome: Outcome
) -> None:
    found = of_a_model_of_the_hub(files, PARTLY, source=source)["model-files"]
    assert {one.outcome for one in found} - {WARN} == {outcome} - {WARN}
    assert outcome is not WARN or {one.outcome for one in found} == {WARN}


def test_files_of_unknown_origin_cannot_be_checked() -> None:
    (one,) = of_a_model_of_the_hub(ALL_FILES, PARTLY)["model-files"]
    assert one.outcome is UNCHECKED
    assert one.observed == "nothing says where the model's files come from"
