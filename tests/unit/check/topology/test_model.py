"""Which model was served, by the server's log. GPU lines come from the sources: none was seen."""

import dataclasses
import re

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from kit.check.topology import memory
from kit.check.topology import model as model_checks
from kit.check.verify import verify
from kit.edge.files import checkout
from kit.plan.models import Twin
from tests.edits.logs import edit_server_log
from tests.edits.telemetry import each_sample
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
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b" 3.77x", b" 3051.76x")
    made.server_log = made.server_log.replace(b"memory: 5.65 GiB", b"memory: 4577.64 GiB")
    made.metrics = {
        name: text.replace(b'num_gpu_blocks="7716"', b'num_gpu_blocks="6249999"')
        for name, text in made.metrics.items()
    }
    assert outcomes(made) == {FAIL}
    made.telemetry = None
    assert outcomes(made) == {PASS}


@pytest.mark.parametrize(
    ("used_gib", "expected"),
    [
        ((22.1, 22.1), PASS),
        ((14.0, 14.0), PASS),  # 8.42 of weights and 5.65 of cache, as the log rounds them
        ((13.0, 13.0), FAIL),
        ((22.1, 8.5), FAIL),
        ((1.0, 1.0), FAIL),
        ((1.0, None), PASS),  # a card that does not tell may hold them
        ((None, None), PASS),
    ],
)
def test_cards_hold_weights_and_cache(
    used_gib: tuple[float | None, float | None], expected: Outcome
) -> None:
    made = draft(MOE)
    used = [None if gib is None else int(gib * 2**30) for gib in used_gib]
    each_sample(
        made,
        lambda one: replace(
            one,
            gpus=tuple(replace(gpu, memory_used_bytes=used[gpu.index]) for gpu in one.gpus),
        ),
    )
    assert outcomes(made) == {expected}


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
        verdict = verify("case", made.seal(), (), known)
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
        assert model_checks._served(engine) == model
    for model, one in catalog.models.items():
        wanted = model_checks._CLASSES[one.config["model_type"]]
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
    assert model_checks._served(replace(engine, command=command)) == folder


@pytest.mark.parametrize(
    ("gib", "expected"),
    [("8.42", PASS), ("7.3", PASS), ("7.0", FAIL), ("13", PASS), ("16.85", FAIL), ("1", FAIL)],
)
def test_as_many_weights_are_loaded_as_the_model_has(gib: str, expected: Outcome) -> None:
    made = draft(MOE)
    assert made.server_log is not None
    took = b"Model loading took "
    made.server_log = re.sub(took + rb"[0-9.]*", took + gib.encode(), made.server_log)
    assert outcomes(made) == {expected}


@pytest.mark.parametrize(
    "line", [b"Model loading took", b"Available KV cache", b"Maximum concurrency for"]
)
def test_a_line_that_every_log_has_is_missed(line: bytes) -> None:
    assert outcomes(respelled(line, b"Nothing")) == {UNCHECKED}


@pytest.mark.parametrize(
    ("told", "expected"),
    [(b" 3.77x", PASS), (b" 3.76x", FAIL), (b" 3.78x", FAIL), (b" 8.00x", FAIL)],
)
def test_the_longest_requests_that_fit_are_those_of_the_cache(
    told: bytes, expected: Outcome
) -> None:
    assert outcomes(respelled(b" 3.77x", told)) == {expected}


@pytest.mark.parametrize(
    ("times", "tokens", "limit", "expected"),
    [
        (170.66, 699_040, 4096, True),  # of real logs
        (64.0, 262_144, 4096, True),
        (170.67, 699_040, 4096, False),
        (1000.0, 128_000, 100, True),  # a block of 128 for a request of 100
        (1280.0, 128_000, 100, True),  # and smaller ones
        (500.0, 128_000, 100, False),
        (1.0, 16, 0, False),
    ],
)
def test_requests_take_whole_blocks(times: float, tokens: int, limit: int, expected: bool) -> None:
    assert memory._fits(times, tokens, limit) == expected


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


@pytest.mark.parametrize(
    ("topology", "room", "expected"),
    [
        ("tp2-nvlink", b"5.65", PASS),
        ("tp2-nvlink", b"9.1", PASS),  # the other rank has less
        ("tp2-nvlink", b"5.6", FAIL),
        ("tp1", b"4.5", PASS),
        ("tp1", b"4.51", PASS),  # not a whole block more
        ("tp1", b"4.6", FAIL),
        ("tp1", b"4.4", FAIL),
    ],
)
def test_the_cache_takes_the_room_that_there_is(
    topology: str, room: bytes, expected: Outcome
) -> None:
    made = draft(Settings(topology=topology, model="moe"))
    assert made.server_log is not None
    words = b"Available KV cache memory: "
    made.server_log = re.sub(words + rb"[0-9.]*", words + room, made.server_log)
    assert outcomes(made) == {expected}
