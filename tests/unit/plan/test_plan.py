"""The plan: in order, repeatable anywhere, and open about where it departs from the article."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from kit.errors import UsageError
from kit.format import canonical
from kit.plan.models import HubModel, Twin, parse_models
from kit.plan.options import Options
from kit.plan.plan import (
    CachePolicy,
    Choices,
    Connection,
    Dialect,
    Engine,
    Plan,
    ProtocolName,
    describe_engine,
    plan_endpoint,
    plan_engine,
)
from kit.plan.schedule import Phase, passes, request_seed, requests
from kit.plan.suite import Suite, parse_suite
from kit.plan.topology import Device, Transport, fill_variables, parse_topology

ROOT = Path(__file__).parents[3]
KIT, ARTICLE = ProtocolName.KIT, ProtocolName.ARTICLE
COLD = CachePolicy.COLD


def shipped_suite() -> Suite:
    folder = ROOT / "prompts" / "single"
    return parse_suite({path.name: path.read_bytes() for path in folder.iterdir()}, "single")


SUITE = shipped_suite()
MODELS = parse_models((ROOT / "docker" / "models.toml").read_bytes(), "models")
TWIN_MODEL = MODELS["moe-mini"]
assert isinstance(TWIN_MODEL, Twin)
GPU_ENGINE = Engine(
    device=Device.GPU,
    tensor_parallel_size=2,
    transport=Transport.NVLINK,
    command=("vllm", "serve", "/models/moe"),
    environment=(),
)
PROMPTS = ("impl", "debug", "test", "refactor", "design")
PINNED_SEED = 1142133849


def twin_plan(choices: Choices | None = None, topology: str = "cpu-tp1") -> Plan:
    path = ROOT / "compose" / f"{topology}.yaml"
    parsed = parse_topology(path.read_bytes(), topology)
    engine = describe_engine(parsed, fill_variables(parsed.services["moe-mini"], {}))
    return plan_engine(TWIN_MODEL, engine, parsed.id, SUITE, choices or Choices())


def endpoint_plan(
    choices: Choices | None = None, dialect: Dialect = Dialect.VLLM, max_tokens: int = 4096
) -> Plan:
    return plan_endpoint("m", SUITE, choices or Choices(), dialect, max_tokens)


def hub_plan(choices: Choices | None = None, model: str = "moe") -> Plan:
    return plan_engine(MODELS[model], GPU_ENGINE, "tp2-nvlink", SUITE, choices or Choices())


def steps(plan: Plan) -> list[tuple[Phase, int]]:
    return list(passes(plan))


# What is sent


def test_the_kits_own_protocol() -> None:
    plan = twin_plan()
    measured = [(Phase.MEASURED, number) for number in (1, 2, 3, 4, 5)]
    assert steps(plan) == [(Phase.WARMUP, 0), *measured, (Phase.STREAM, 1)]
    assert plan.connection is Connection.KEPT


def test_the_published_protocol() -> None:
    plan = twin_plan(Choices(protocol=ARTICLE))
    assert steps(plan) == [(Phase.WARMUP, 0), (Phase.MEASURED, 1)]
    assert plan.connection is Connection.PER_REQUEST
    assert plan.cache is CachePolicy.WARM


@pytest.mark.parametrize("protocol", ProtocolName)
def test_passes_may_be_chosen(protocol: ProtocolName) -> None:
    assert twin_plan(Choices(protocol=protocol, passes=3)).measured_passes == 3


def test_the_sampling_is_the_published_one() -> None:
    plan = endpoint_plan()
    assert msgspec.to_builtins(plan.sampling) == {
        "max_tokens": 4096,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
    }
    assert plan.published_max_tokens == 4096


def test_a_twin_spends_its_own_budget_beside_the_published_one() -> None:
    plan = twin_plan()
    assert (plan.sampling.max_tokens, plan.published_max_tokens) == (TWIN_MODEL.max_tokens, 4096)
    assert (plan.cell.model, plan.twin_of) == ("moe-mini", "moe")
    assert str(plan.cell) == "moe-mini x cpu-tp1 x single"


@pytest.mark.parametrize("model", ["moe", "dense", "moe-fp8"])
def test_a_model_of_the_hub_spends_the_published_budget_and_stands_for_itself(model: str) -> None:
    assert isinstance(MODELS[model], HubModel)
    plan = hub_plan(model=model)
    assert plan.sampling.max_tokens == plan.published_max_tokens == 4096
    assert (plan.cell.model, plan.twin_of) == (model, None)
    assert plan.dialect is Dialect.VLLM


def test_requests_go_pass_by_pass_in_the_suites_order() -> None:
    plan = twin_plan()
    sent = [(request.phase, request.pass_number, request.prompt_id) for request in requests(plan)]
    assert sent == [(*step, prompt) for step in steps(plan) for prompt in PROMPTS]
    texts = {prompt.id: prompt.text for prompt in SUITE.prompts}
    assert all(request.prompt == texts[request.prompt_id] for request in requests(plan))


def test_seeds_are_distinct_and_fit_in_31_bits() -> None:
    sent = list(requests(twin_plan(Choices(passes=1000))))
    assert len({request.seed for request in sent}) == len(sent) == 5 * 1002
    assert all(0 <= request.seed < 2**31 for request in sent)


def test_seeds_are_the_same_everywhere_and_always() -> None:
    """Pinned: a change makes bundles of before and after incomparable."""
    assert request_seed(20260306, Phase.MEASURED, 1, "impl") == PINNED_SEED
    first = next(iter(requests(twin_plan())))
    assert first.seed == request_seed(20260306, Phase.WARMUP, 0, "impl")


def test_models_and_topologies_get_the_same_seeds() -> None:
    seeds = [request.seed for request in requests(twin_plan())]
    assert [request.seed for request in requests(twin_plan(topology="cpu-tp2"))] == seeds
    assert [request.seed for request in requests(endpoint_plan())] == seeds


def test_a_warm_cache_has_no_salts_and_a_cold_one_only_different_ones() -> None:
    assert {request.cache_salt for request in requests(twin_plan())} == {None}
    salts = [request.cache_salt for request in requests(twin_plan(Choices(cache=COLD)))]
    assert all(salts)
    assert len(set(salts)) == len(salts) == 35


def test_a_cold_cache_is_not_promised_where_no_salt_can_be_sent() -> None:
    with pytest.raises(UsageError, match="--cache cold"):
        endpoint_plan(Choices(cache=COLD), Dialect.OPENAI)
    assert endpoint_plan(Choices(cache=COLD), Dialect.VLLM).cache is COLD


# What is kept of it


@pytest.mark.parametrize(
    "plan",
    [twin_plan(), twin_plan(Choices(protocol=ARTICLE, cache=COLD)), endpoint_plan(), hub_plan()],
)
def test_a_plan_reads_back_as_itself(plan: Plan) -> None:
    again = canonical.decode(canonical.encode(plan), Plan)
    assert again == plan
    assert again.digest() == plan.digest()
    assert list(requests(again)) == list(requests(plan))


def test_a_plan_made_from_whole_numbers_reads_back_too() -> None:
    plan = twin_plan(Choices(timeout_s=60))
    assert canonical.decode(canonical.encode(plan), Plan).digest() == plan.digest()


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value in a document that holds no other."""
    if not isinstance(value, dict | list):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for key, inner in items for leaf in leaves(inner, (*path, key))]


def with_another(document: object, path: tuple[str | int, ...]) -> object:
    """Return a copy in which one leaf is another of its kind."""
    copy = json.loads(json.dumps(document))
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    others = {"cpu": "gpu", "none": "shm", "kit": "article", "kept": "per-request"}
    others |= {"warm": "cold", "vllm": "openai"}
    match old:
        case bool():
            inner[path[-1]] = not old
        case str():
            inner[path[-1]] = others.get(old, old + "x")
        case float():
            inner[path[-1]] = old / 2
        case _:
            inner[path[-1]] = old + 1
    return copy


def test_the_digest_changes_with_every_field() -> None:
    options = Options(max_num_seqs=8)
    plan = replace(twin_plan(Choices(rehearsal=True)), options=options, duration_s=60.0)
    document = json.loads(canonical.encode(plan))
    assert set(document) == set(Plan.__struct_fields__)
    digests = {
        msgspec.convert(with_another(document, path), Plan, strict=True).digest()
        for path in leaves(document)
    }
    assert len(digests | {plan.digest()}) == len(leaves(document)) + 1


def test_a_plan_holds_no_path_of_this_machine() -> None:
    for topology in ("cpu-tp1", "cpu-tp2"):
        text = canonical.encode(twin_plan(topology=topology)).decode()
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text
        assert "${" not in text


def test_an_endpoints_plan_claims_nothing_of_its_engine() -> None:
    plan = endpoint_plan()
    assert (plan.engine, plan.twin_of, plan.cell.topology) == (None, None, "endpoint")


# Deviations

PROMPT_TEXTS = "the kit's own prompts"
SAME_HOST = "client and server on one host"
TWIN = "the small twin moe-mini"
REPEATED = "repeated measured passes"
MORE = "3 measured passes in place of one"
SALTED = "each request has a cache_salt"
BUDGET = "64 tokens a request in place of 4096"
ADDED_FLAG = "--enable-prompt-tokens-details and --enable-auto-tool-choice added"
ADDED_FLAGS = "--enable-prompt-tokens-details and --block-size=32 added"
LEFT_OUT = "no --trust-remote-code, PYTORCH_CUDA_ALLOC_CONF unset"
FIELDS = "top_k and repetition_penalty not sent"


def deviations(plan: Plan) -> list[str]:
    return [deviation.what for deviation in plan.deviations]


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (Choices(), [REPEATED]),
        (Choices(passes=3), [REPEATED]),
        (Choices(protocol=ARTICLE), []),
        (Choices(protocol=ARTICLE, passes=1), []),
        (Choices(protocol=ARTICLE, passes=3), [MORE]),
        (Choices(cache=COLD), [REPEATED, SALTED]),
        (Choices(protocol=ARTICLE, cache=COLD), [SALTED]),
    ],
)
def test_deviations_of_a_twin(choices: Choices, expected: list[str]) -> None:
    found = deviations(twin_plan(choices))
    wanted = [PROMPT_TEXTS, SAME_HOST, ADDED_FLAGS, LEFT_OUT, TWIN, *expected]
    assert len(found) == len(wanted)
    assert all(what.startswith(start) for what, start in zip(found, wanted, strict=True))


def test_a_rehearsal_is_another_plan_and_says_so() -> None:
    real, rehearsal = (hub_plan(Choices(rehearsal=value)) for value in (False, True))
    assert real.digest() != rehearsal.digest()
    (more,) = set(deviations(rehearsal)) - set(deviations(real))
    assert more.startswith("a rehearsal: the CPU engine serves a small twin")


def test_deviations_of_a_model_of_the_hub_on_gpus() -> None:
    found = deviations(hub_plan(Choices(protocol=ARTICLE)))
    wanted = [PROMPT_TEXTS, SAME_HOST, ADDED_FLAG, LEFT_OUT]
    assert len(found) == len(wanted)
    assert all(what.startswith(start) for what, start in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("dialect", "max_tokens", "expected"),
    [
        (Dialect.VLLM, 4096, []),
        (Dialect.VLLM, 64, [BUDGET]),
        (Dialect.OPENAI, 4096, [FIELDS]),
        (Dialect.OPENAI, 64, [BUDGET, FIELDS]),
    ],
)
def test_deviations_of_an_endpoint(dialect: Dialect, max_tokens: int, expected: list[str]) -> None:
    plan = endpoint_plan(Choices(protocol=ARTICLE), dialect, max_tokens)
    first, *others = deviations(plan)
    assert first.startswith(PROMPT_TEXTS)
    assert others == expected


def test_every_deviation_has_its_reason_and_is_named_once() -> None:
    for protocol, cache in product(ProtocolName, CachePolicy):
        plan = twin_plan(Choices(protocol=protocol, cache=cache, passes=2))
        assert all(deviation.why for deviation in plan.deviations)
        assert len(set(deviations(plan))) == len(plan.deviations)
