"""The whole way on the real vLLM engine, with a twin that is far too small to mean anything.

The engine is started from the shipped Compose file, as `make bench` starts it. These tests need
`.kit/engine`, which `make test` installs; without it they fail, they do not skip.
"""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle import bag
from kit.bundle.document import Document, EngineIdentity, Status
from kit.bundle.record import Record
from kit.check.finding import Outcome, Verdict
from kit.check.verify import known, verify
from kit.edge import session
from kit.edge.engine import process
from kit.edge.engine.process import ProcessEngine
from kit.edge.files import checkout, disk, safe_read, twin_files
from kit.edge.host import probes
from kit.edge.session import RunContext
from kit.format import canonical
from kit.parse.vllm_metrics import GENERATION_TOKENS, totals
from kit.plan import plan
from kit.plan.models import Twin
from kit.plan.plan import Choices, Plan
from kit.plan.schedule import Phase
from kit.plan.topology import fill_variables
from kit.twins.checkpoint import weight_chunks

pytestmark = pytest.mark.e2e

TOPOLOGY = "cpu-tp1"
UNPINNED = Twin(
    id="moe-mini",
    twin_of="moe",
    seed=1,
    max_tokens=16,
    sha256="0" * 64,
    config={
        "model_type": "qwen3_moe",
        "architectures": ["Qwen3MoeForCausalLM"],
        "vocab_size": 16384,
        "hidden_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 128,
        "moe_intermediate_size": 64,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "attention_bias": False,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
)


class Silent:
    """An observer that notes how the run ended."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ended: tuple[Path, Status] | None = None

    def starting(self, plan: Plan) -> None:
        assert plan.cell.model == UNPINNED.id

    def ready(self, seconds: float) -> None:
        assert seconds > 0

    def answered(self, pieces: int) -> None:
        """Only agents do."""

    def recorded(self, record: Record) -> None:
        self.records.append(record)

    def sealed(self, path: Path, status: Status) -> None:
        self.ended = (path, status)


@pytest.fixture(scope="module")
def twin() -> Twin:
    digest = hashlib.sha256(b"".join(weight_chunks(UNPINNED))).hexdigest()
    fields = {name: getattr(UNPINNED, name) for name in ("id", "twin_of", "seed", "max_tokens")}
    made = twin_files.small_files_of(UNPINNED)
    files = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    return Twin(**fields, sha256=digest, config=UNPINNED.config, files=files)


@pytest.fixture(scope="module")
def engine(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> ProcessEngine:
    folder = twin_files.ensure_twin(twin, tmp_path_factory.mktemp("models"))
    cores, port = process.cores(1), process.free_port(None)
    variables = process.variables(
        models=folder.parent,
        cache=checkout.STATE / "cache" / TOPOLOGY / "end-to-end",
        port=port,
        cores=cores,
    )
    return ProcessEngine(
        service=fill_variables(checkout.topology(TOPOLOGY).services[twin.id], variables),
        served_model=twin.id,
        environment=checkout.ENGINE,
        port=port,
        identity=EngineIdentity(
            build="the engine of the tests",
            lock_sha256=disk.sha256(checkout.ENGINE_LOCK),
            cores=cores,
            model_files=probes.model_files(folder),
        ),
        log=disk.new_log(tmp_path_factory.mktemp("log"), "engine"),
    )


@pytest.fixture(scope="module")
def running(engine: ProcessEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = disk.new_log(tmp_path_factory.mktemp("log"), "server")
    with process.serving(engine.service, engine.environment, log, engine.grace_s):
        yield f"http://127.0.0.1:{engine.port}"


def test_own_engine_gives_a_valid_bundle_and_leaves_nothing_running(
    engine: ProcessEngine, twin: Twin, tmp_path: Path
) -> None:
    topology, observer = checkout.topology(TOPOLOGY), Silent()
    described = plan.describe_engine(topology, fill_variables(topology.services[twin.id], {}))
    suite = checkout.suite("single")
    planned = plan.plan_engine(twin, described, TOPOLOGY, suite, Choices(passes=3))

    path = session.run(
        planned,
        engine,
        RunContext(results=tmp_path / "results", state=tmp_path / "state", observer=observer),
    )

    assert observer.ended == (path, Status.COMPLETE)
    verdict = _verdict(path, {twin.id: twin})
    assert _failures(verdict) == []
    assert verdict.exit_code == 0
    subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=path, check=True)
    document = canonical.decode(safe_read.read_folder(path).files[bag.DOCUMENT], Document)
    assert document.engine.version == "0.17.0"
    records = _records(path)
    phases = Counter(record.phase for record in records)
    assert phases == {Phase.WARMUP: 5, Phase.MEASURED: 15, Phase.STREAM: 5}
    assert {record.completion_tokens for record in records} == {twin.max_tokens}
    assert _processes_mentioning(str(tmp_path.parent)) == []


def test_server_counter_agrees_with_the_records_of_an_endpoint_run(
    running: str, tmp_path: Path
) -> None:
    path = _bench(running, tmp_path, "--passes", "3")

    files = safe_read.read_folder(path).files
    records = _records(path)
    before, after = (
        totals(bag.inflate(files[f"data/metrics/{name}.prom.gz"]), [GENERATION_TOKENS])
        for name in ("warmup-0-before", "stream-1-after")
    )
    counted = after[GENERATION_TOKENS] - before[GENERATION_TOKENS]
    assert counted == sum(record.completion_tokens or 0 for record in records)
    assert counted == 25 * 24


def test_equal_seeds_give_equal_tokens_and_passes_differ(running: str, tmp_path: Path) -> None:
    one = _records(_bench(running, tmp_path / "one"))
    other = _records(_bench(running, tmp_path / "other"))

    assert [record.token_ids for record in one] == [record.token_ids for record in other]
    by_prompt = {
        record.prompt_id: {r.token_ids for r in one if r.prompt_id == record.prompt_id}
        for record in one
    }
    assert all(len(responses) == 2 for responses in by_prompt.values())  # warm-up and pass 1


def test_cold_cache_really_is_cold(running: str, tmp_path: Path) -> None:
    path = _bench(running, tmp_path, "--cache", "cold")

    assert all(not record.cached_tokens for record in _records(path))


def _bench(url: str, folder: Path, *options: str) -> Path:
    """Run `kit bench` on the endpoint (the published protocol unless passes are asked for)."""
    protocol = () if "--passes" in options else ("--protocol", "article")
    command = [
        *(sys.executable, "-c", "from kit.cli import main; main()", "bench"),
        *("--endpoint", url, "--model", "tiny", "--served-model", "moe-mini"),
        *("--max-tokens", "24", "--output", str(folder / "out"), *protocol, *options),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    path, page = map(Path, done.stdout.splitlines())
    assert page.name == "index.html"
    assert page.exists()
    return path


def _records(path: Path) -> tuple[Record, ...]:
    return canonical.decode_lines(safe_read.read_folder(path).files[bag.RECORDS], Record)


def _verdict(path: Path, models: dict[str, Twin]) -> Verdict:
    folder = safe_read.read_folder(path)
    held_against = known(checkout.schemas(), replace(checkout.catalog(), models=models))
    return verify(str(path), folder.files, folder.refused, held_against).verdict


def _failures(verdict: Verdict) -> list[str]:
    return [
        json.dumps([finding.code, finding.subject, finding.observed, finding.expected])
        for finding in verdict.findings
        if finding.outcome is Outcome.FAIL
    ]


def _processes_mentioning(text: str) -> list[str]:
    """Return every process that has this text in its command line or environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told and "pytest" not in told.decode(errors="replace"):
            found.append(told.decode(errors="replace"))
    return found
