"""Which model was served, by the server's log. GPU lines come from the sources: none was seen."""

import dataclasses

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from kit.check.topology import model as model_checks
from kit.check.verify import verify
from kit.edge.files import checkout
from kit.plan.models import Twin
from tests.edits.logs import edit_server_log
from tests.factory import CATALOG, KNOWN, TWIN, Draft, Settings, change_plan, draft, outcomes_of

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
MOE = Settings(topology="tp2-nvlink", model="moe")


def outcomes(made: Draft) -> set[Outcome]:
    return outcomes_of(made, "topology-model")


def respelled(old: bytes, new: bytes, settings: Settings = MOE) -> Draft:
    made = draft(settings)
    edit_server_log(made, old, new)
    return made


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"model='<models>/moe'", b"model='/models/moe'", PASS),
        (b"<models>/moe'", b"<state>/models/moe/'", PASS),
        (b"model='<models>/moe'", b"model='<models>/dense'", FAIL),
        (b"tokenizer='<models>/moe'", b"tokenizer='<models>/dense'", FAIL),
        (b"'model_tag': '<models>/moe'", b"'model_tag': '<models>/moe-mini'", FAIL),
        (b"<models>/moe'", b"/models/<user>'", UNCHECKED),
        (b"Qwen3MoeForCausalLM", b"Qwen2ForCausalLM", FAIL),
        (b"Resolved architecture", b"Resolved something", UNCHECKED),
        (b"123,456 tokens", b"123,440 tokens", FAIL),  # the metrics tell of a block more
        (b"123,456 tokens", b"99,999,999 tokens", FAIL),
        (b"GPU KV cache size", b"KV cache", UNCHECKED),
    ],
)
def test_what_the_log_of_a_gpu_tells_of_the_model(
    old: bytes, new: bytes, expected: Outcome
) -> None:
    assert outcomes(draft(MOE)) == {PASS}
    assert outcomes(respelled(old, new)) == {expected}


def test_a_log_that_names_no_model_cannot_be_held() -> None:
    made = respelled(b"<models>/moe", b"")
    assert outcomes(made) == {UNCHECKED}
    made.server_log = None
    assert outcomes(made) == {UNCHECKED}


def test_without_telemetry_nobody_knows_what_a_card_holds() -> None:
    made = respelled(b"123,456 tokens", b"99,999,984 tokens")
    made.metrics = {
        name: text.replace(b'num_gpu_blocks="7716"', b'num_gpu_blocks="6249999"')
        for name, text in made.metrics.items()
    }
    assert outcomes(made) == {FAIL}
    made.telemetry = None
    assert outcomes(made) == {PASS}


@pytest.mark.parametrize("topology", ["cpu-tp1", "cpu-tp2"])
@pytest.mark.parametrize("model", ["moe-mini", "dense-mini"])
def test_the_cache_of_a_twin_is_its_space_in_whole_blocks(topology: str, model: str) -> None:
    """A GiB for each rank; both figures are those of real logs of one rank."""
    catalog = checkout.catalog()
    settings = Settings(topology=topology, model=model, suite="single", catalog=catalog)
    real = {"moe-mini": 699_040, "dense-mini": 262_144}[model]
    text = f"{real:,} tokens".encode()
    made = draft(settings)
    assert made.server_log is not None
    assert (text in made.server_log) == (topology == "cpu-tp1")
    known = dataclasses.replace(KNOWN, catalog=catalog)

    def found() -> set[Outcome]:
        verdict = verify("case", made.seal(), (), known).verdict
        return {one.outcome for one in verdict.findings if one.code == "topology-model"}

    assert found() == {PASS}
    told = made.server_log
    size = next(line for line in told.split(b"] ") if line.startswith(b"GPU KV cache size"))
    for other in (b"GPU KV cache size: 1,024 tokens\n", b"GPU KV cache size: 9,999,999 tokens\n"):
        made.server_log = told.replace(size, other + size)
        assert found() == {FAIL}


def test_every_engine_of_the_checkout_serves_the_folder_of_its_model() -> None:
    catalog = checkout.catalog()
    for (_, model), engine in catalog.engines.items():
        assert model_checks.folder_of(engine) == model
    for model, one in catalog.models.items():
        wanted = model_checks.CLASSES[one.config["model_type"]]
        assert not isinstance(one, Twin) or one.config["architectures"] == [wanted], model


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (("vllm", "serve", "/a/b", "--x"), "b"),
        (("vllm", "serve", "b/"), "b"),
        (("vllm", "serve", "--model=b"), None),
        (("vllm", "serve"), None),
        ((), None),
    ],
)
def test_the_folder_that_a_command_serves(command: tuple[str, ...], folder: str | None) -> None:
    engine = CATALOG.engines["cpu-tp1", TWIN.id]
    assert model_checks.folder_of(replace(engine, command=command)) == folder


@pytest.mark.parametrize(("share", "expected"), [("0.92", PASS), ("0.40", FAIL), ("x", PASS)])
def test_the_cache_fits_into_the_share_of_memory_that_was_planned(
    share: str, expected: Outcome
) -> None:
    """Of 24 GiB, 123,456 tokens take 5.65 on each of two cards, and the weights 8.42."""
    made = draft(MOE)
    engine = made.document.plan.engine
    assert engine is not None
    command = (one.replace("0.92", share) for one in engine.command)
    change_plan(made, engine=replace(engine, command=tuple(command)))
    assert outcomes(made) == {expected}
