"""Names that are words of everybody's evidence: to redact them would leave nothing to read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.bundle.record import FinishReason
from kit.bundle.redact import redact
from kit.edge.files import checkout
from kit.parse import nccl_log, public_words, vllm_log, vllm_metrics
from kit.plan.plan import Plan
from tests.factory import Draft, Settings, draft

LOGS = sorted((Path(__file__).parents[2] / "logs").glob("*.log"))
ON_CPU = draft(Settings(passes=1))
ON_GPU = [
    draft(Settings(passes=1, topology=topology, model=model, runtime=Runtime.DOCKER))
    for topology, model in (("tp2-pcie", "moe"), ("tp2-nvlink", "dense"))
]
PLAN = ON_CPU.document.plan

OF_NO_PLAN = {"tiny", "e000", "state"}
"""A class of these tests, a bus of NCCL's older logs, and what stands for a folder."""


def shipped_plans() -> Iterator[Plan]:
    for (topology, model), engine in checkout.catalog().engines.items():
        yield replace(PLAN, engine=engine, cell=replace(PLAN.cell, model=model, topology=topology))


MINI = next(one for one in shipped_plans() if one.cell.model == "moe-mini")
PLANS = [*shipped_plans(), *(one.document.plan for one in ON_GPU)]


def names_in(text: bytes) -> set[str]:
    """Return what a host or a user might be called of all that stands in a text, if whole."""
    found = re.findall(r"(?<![\w.-])[A-Za-z][\w.-]*(?<![.-])", text.decode())
    return {part for one in found for part in (one, *re.split("[.-]+", one)) if part[1:]}


def read(text: bytes) -> object:
    """Return all that is read of any evidence."""
    metrics = vllm_metrics.read(text)
    finished = [metrics.finished.get(reason.value) for reason in FinishReason]
    labels = (metrics.served_name, metrics.cache_config)
    counts = (metrics.totals, finished)
    return vllm_log.read(text), nccl_log.read(text), labels, counts


def evidence(one: Draft) -> list[bytes]:
    return [text for text in (one.server_log, one.nccl_log, *one.metrics.values()) if text]


@pytest.mark.parametrize(
    "texts",
    [*([path.read_bytes()] for path in LOGS), *map(evidence, (ON_CPU, *ON_GPU))],
    ids=[*(path.stem for path in LOGS), "cpu", "moe", "dense"],
)
def test_no_name_that_is_redacted_takes_anything_with_it(texts: list[bytes]) -> None:
    for text in texts:
        whole = read(text)
        for name in names_in(text) - OF_NO_PLAN:
            if public_words.is_fixed(name) or any(
                public_words.is_planned(name, one) for one in PLANS
            ):
                continue
            assert read(redact(text, {name: "host"})) == whole, name


@pytest.mark.parametrize("name", ["cuda", "CUDA", "gloo", "via", "using", "vllm", "non-default"])
def test_words_of_every_log_name_nobody(name: str) -> None:
    assert public_words.is_fixed(name)


@pytest.mark.parametrize("name", ["moe-mini", "MINI", "served-model-name", "max_num_seqs"])
def test_words_of_the_plan_name_nobody(name: str) -> None:
    assert public_words.is_planned(name, MINI)


@pytest.mark.parametrize("name", ["alice", "node7", "lab.example.org", "example", "cuda-box"])
def test_other_names_are_somebodys(name: str) -> None:
    assert not public_words.is_fixed(name)
    assert not public_words.is_planned(name, MINI)


def test_the_model_of_somebody_elses_server_is_as_the_user_named_it() -> None:
    plan = replace(PLAN, engine=None, cell=replace(PLAN.cell, model="alice"))
    assert not public_words.is_planned("alice", plan)
