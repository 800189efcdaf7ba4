"""The command line: exit codes, standard output and standard error.

Servers are `tests/stand_in_engine.py`, which stands in for vLLM.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.bundle.document import Runtime
from kit.cli import failure
from kit.edge.engine import process
from kit.edge.files import disk, safe_read
from kit.errors import KitError
from tests.command_line import KIT, kit
from tests.factory import ROOT, Settings, change_record, draft
from tests.unit.edge.conftest import running

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server"), "--tokens-per-s=2000") as url:
        yield url


@pytest.fixture(scope="module")
def good_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk.write_folder(tmp_path_factory.mktemp("good") / "bundle", draft(ENDPOINT).seal())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "--topology", "tp9"), "valid: cpu-tp1, cpu-tp2"),
        (("plan", "--model", "gpt"), "valid: dense-mini, moe-mini"),
        (("plan", "--suite", "none"), "valid: single"),
        (("plan", "--protocol", "mine"), "valid: article, kit"),
        (("plan", "--cache", "hot"), "valid: cold, warm"),
        (("plan", "--runtime", "podman"), "valid: docker, process"),
        (("plan", "--topology", "../compose/cpu-tp1"), "valid: cpu-tp1, cpu-tp2"),
        (("bench", "--endpoint", "127.0.0.1:8000"), "expected http://HOST:PORT"),
        (("bench", "--max-tokens", "9"), "goes with --endpoint"),
        (("bench", "--passes", "0"), "0 is not in the range"),
        (("verify", "no/such/path"), "no such path"),
        (("report", "no/such/path"), "no such path"),
        (("verify",), "Missing argument"),
        (("guess",), "No such command"),
        (("plan", "--timeout", "nan"), "is not a valid integer range"),
        (("bench", "--endpoint", "http://[::1"), "expected http://HOST:PORT"),
        (("bench", "--endpoint", "http://h:99999999"), "expected http://HOST:PORT"),
        (("bench", "--endpoint", "http://h", "--port", "80"), "--port does not go with"),
        (("bench", "--endpoint", "http://h", "--topology", "cpu-tp1"), "does not go with"),
        (("bench", "--endpoint", "http://h", "--model", "a", "--model", "b"), "more than one"),
        (("bench", "--runtime", "docker", "--port", "80"), "--port does not go with"),
        (("verify", "a" * 300), "no such path"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_valid(arguments: tuple[str, ...], said: str) -> None:
    done = kit(*arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert re.search(r"^error: .+\n  why:  .+\n  next: .+$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_plan_prints_what_would_be_run_and_is_the_same_twice() -> None:
    text, *plans = (
        kit("plan", "--model", "moe-mini", *more) for more in ((), ("--json",), ("--json",))
    )

    assert text.returncode == 0
    assert "max_tokens  128 (published: 4096)" in text.stdout
    assert "no NVIDIA GPU here: taking the CPU default, cpu-tp1" in text.stderr
    assert plans[0].stdout == plans[1].stdout
    assert json.loads(plans[0].stdout)["cell"]["model"] == "moe-mini"


def test_bench_of_an_endpoint_gives_a_bundle_a_report_and_a_summary(
    endpoint: str, tmp_path: Path
) -> None:
    done = kit(
        "bench", "--endpoint", f"{endpoint}/v1", "--max-tokens", "8", "-o", str(tmp_path / "out")
    )

    assert done.returncode == 0, done.stderr
    path, page = map(Path, done.stdout.splitlines())
    assert path.parent == tmp_path / "out"
    assert page == tmp_path / "out-report" / "index.html"
    assert page.read_text().startswith("<!DOCTYPE html>")
    for said in ("measured pass 5", "VALID", "Mean of", "time to first token", "95 % interval"):
        assert said in done.stderr
    assert "\x1b" not in done.stderr


def test_quiet_prints_paths_only_and_json_is_json(endpoint: str, tmp_path: Path) -> None:
    options = ("bench", "--endpoint", endpoint, "--max-tokens", "8", "--protocol", "article", "-q")
    quiet = kit(*options, "-o", str(tmp_path / "one"))
    as_json = kit(*options, "--json", "-o", str(tmp_path / "two"))

    assert (quiet.returncode, quiet.stderr, len(quiet.stdout.splitlines())) == (0, "", 2)
    assert json.loads(as_json.stdout)["cells"][0]["protocol"] == "article"


def test_the_client_in_a_container_seals_what_the_host_told_it(
    endpoint: str, tmp_path: Path
) -> None:
    """`docker compose` alone tells nothing: the facts of the host are absent, and said to be."""
    for name in ("evidence", "telemetry"):
        (tmp_path / name).mkdir()
    (tmp_path / "host.json").write_text("null\n")
    done = kit(
        *("measure", "--topology", "cpu-tp1", "--model", "moe-mini", "--engine", endpoint),
        *("--passes", "1", "--host-facts", tmp_path / "host.json", "-o", tmp_path / "out"),
        *("--evidence", tmp_path / "evidence", "--telemetry", tmp_path / "telemetry"),
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert "the engine is ready" in done.stderr
    assert "measured pass 1" in done.stderr
    (path,) = (it for it in (tmp_path / "out").iterdir() if not it.name.startswith("."))
    document = json.loads((path / "data" / "bundle.json").read_text())
    assert document["runtime"] == "docker"
    assert "host_facts" in document["absent"]


def test_pooled_rate_is_the_one_that_the_docs_recompute(endpoint: str, tmp_path: Path) -> None:
    done = kit("bench", "--endpoint", endpoint, "--max-tokens", "8", "-o", str(tmp_path / "out"))
    path = done.stdout.splitlines()[0]
    page = (ROOT / "docs" / "measurement.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)

    assert script is not None
    line = subprocess.run(
        [sys.executable, "-c", script[1], path], capture_output=True, text=True, check=True
    ).stdout
    recomputed = re.fullmatch(r"(\d+) tokens / (\S+) s = (\S+) tok/s\n", line)
    assert recomputed is not None
    tokens, seconds, rate = recomputed.groups()
    assert f"{int(tokens):,} tokens in {seconds} s".replace(",", "") in done.stderr
    assert re.search(rf"\s{re.escape(rate)}\s", done.stderr)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("http-400", "http-4xx"),
        ("http-503", "http-5xx"),
        ("garbage", "not-json"),
        ("no-usage", "no-usage"),
        ("wrong-count", "token-count"),
        ("hangs", "timed-out"),
        ("dies-in-mid-run", "disconnected"),
    ],
)
def test_a_failed_run_is_5_and_keeps_what_was_recorded(
    behaviour: str, code: str, tmp_path: Path
) -> None:
    with running(tmp_path, "--behaviour", behaviour, "--after=7") as url:
        done = kit("bench", "--endpoint", url, "--max-tokens", "8", "--timeout", "1",
                   "-o", str(tmp_path / "out"))  # fmt: skip

    assert done.returncode == 5
    assert f"failed with {code}" in done.stderr
    assert re.search(r"next: kit verify \S+-partial$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.endswith("-partial")
    assert str(path) in done.stderr
    assert len((path / "data" / "records.jsonl").read_text().splitlines()) == 8
    assert kit("verify", str(path)).returncode == 7


def test_nobody_listens(tmp_path: Path) -> None:
    done = kit(
        "bench", "--endpoint", f"http://127.0.0.1:{process.free_port(None)}", "-o", str(tmp_path)
    )

    assert done.returncode == 4
    assert "does not list its models" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = kit("bench", "--model", "moe-mini", "--port", port, "-o", str(tmp_path))

    assert done.returncode == 4
    assert f"port {port} cannot be used" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_recorded(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path, "--tokens-per-s=40") as url:
        command = [*KIT, "bench", "--endpoint", url, "--max-tokens", "8", "-o", tmp_path / "out"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as bench:
            assert bench.stderr is not None
            for line in bench.stderr:
                if "warm-up" in line:
                    break
            bench.send_signal(number)
            rest = bench.stderr.read()

    assert bench.returncode == 130
    assert "Traceback" not in rest
    (path,) = (tmp_path / "out").iterdir()
    assert (
        json.loads((path / "data" / "bundle.json").read_text())["failure"]["code"] == "interrupted"
    )
    assert len((path / "data" / "records.jsonl").read_text().splitlines()) >= 5


def test_verify_good_changed_and_not_a_bundle(good_bundle: Path, tmp_path: Path) -> None:
    changed = disk.write_folder(tmp_path / "changed", safe_read.read_folder(good_bundle).files)
    log = changed / "data" / "records.jsonl"
    log.write_bytes(log.read_bytes().replace(b"1", b"2", 1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "link").symlink_to(good_bundle)

    assert kit("verify", str(good_bundle)).returncode == 0
    assert kit("verify", str(good_bundle), "-q").stdout == ""
    for bad in ("changed", "empty", "file", "link"):
        done = kit("verify", str(good_bundle), str(tmp_path / bad))
        assert done.returncode == 6, bad
        assert done.stdout.splitlines()[0].startswith("VALID")
        assert f"INVALID  {tmp_path / bad}" in done.stdout


def test_a_folder_of_bundles_stands_for_all_of_them(good_bundle: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        disk.write_folder(tmp_path / name, safe_read.read_folder(good_bundle).files)
    (tmp_path / "notes.txt").write_text("not a bundle")

    done = kit("verify", str(tmp_path))
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("VALID")] == [
        str(tmp_path / "one"),
        str(tmp_path / "two"),
    ]


def test_no_arguments_print_the_help() -> None:
    done = kit()
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: kit")


def test_an_output_folder_for_text_is_refused(good_bundle: Path, tmp_path: Path) -> None:
    done = kit("report", str(good_bundle), "--format", "csv", "-o", str(tmp_path))
    assert done.returncode == 2
    assert "--output does not go with --format csv" in done.stderr


@pytest.mark.parametrize(
    ("topology", "cards", "lack"),
    [
        ("tp2-nvlink", {"LINKS": "0"}, "an NVLink bridge between them whose links are up"),
        ("tp2-pcie", {"GPUS": "1"}, "2 GPUs of compute capability 8.0 and 17.3 GiB, found 1"),
        ("tp1", {"PROCESSES": "1"}, "GPU 0 for itself: other processes compute on it"),
        ("tp1", {"BROKEN": "1"}, "1 NVIDIA GPU with its driver"),
    ],
)
def test_cards_that_cannot_serve_are_refused_before_anything_starts(
    nvml_folder: Path, tmp_path: Path, topology: str, cards: dict[str, str], lack: str
) -> None:
    """The cards are those of a stand-in for NVML."""
    told = {f"STAND_IN_NVML_{name}": value for name, value in cards.items()}
    driver = {"LD_LIBRARY_PATH": str(nvml_folder)}
    words = ("--topology", topology, "--model", "moe", "-o", str(tmp_path / "r"))
    done = subprocess.run(
        [*KIT, "bench", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | driver | told,
    )
    assert done.returncode == 4, done.stderr
    assert lack in done.stderr
    assert "nothing was installed, built or downloaded" in done.stderr
    assert f"  next: make doctor TOPOLOGY={topology}" in done.stderr
    assert not (tmp_path / "r").exists()


def test_weights_of_this_host_are_of_models_of_the_hub(tmp_path: Path) -> None:
    done = kit("bench", "--weights", str(tmp_path), "--topology", "cpu-tp1")
    assert done.returncode == 2
    assert "WEIGHTS goes with models of the hub" in done.stderr


def test_a_rehearsal_is_of_a_gpu_topology() -> None:
    done = kit("bench", "--rehearsal", "--topology", "cpu-tp1")
    assert done.returncode == 2
    assert "cpu-tp1 cannot be rehearsed" in done.stderr


def test_verify_of_a_partial_bundle_is_7(tmp_path: Path) -> None:
    path = disk.write_folder(
        tmp_path / "partial", draft(Settings(runtime=Runtime.ENDPOINT, stop_after=4)).seal()
    )
    done = kit("verify", "--format", "json", str(path))

    assert done.returncode == 7
    document = json.loads(done.stdout)
    assert (document["exit_code"], document["bundles"][0]["status"]) == (7, "partial")
    expected = {"code", "tier", "outcome", "subject", "observed", "expected", "hint", "bundle"}
    assert {frozenset(finding) for finding in document["findings"]} == {frozenset(expected)}


def test_report_in_every_form(good_bundle: Path, tmp_path: Path) -> None:
    page = kit("report", str(good_bundle), "-o", str(tmp_path))

    assert page.stdout.strip() == str(tmp_path / "index.html")
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")
    assert "`some/model`" in kit("report", str(good_bundle), "--format", "markdown").stdout
    assert "some/model" in kit("report", str(good_bundle), "--format", "csv").stdout
    assert json.loads(kit("report", str(good_bundle), "--format", "json").stdout)["cells"]


def test_a_report_on_nothing_readable_is_6(tmp_path: Path) -> None:
    done = kit("report", str(tmp_path))

    assert done.returncode == 6
    assert "error: no bundle to report on in 1 path(s)" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(good_bundle: Path) -> None:
    with subprocess.Popen(
        [*KIT, "verify", "--format", "json", str(good_bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_output_that_cannot_be_written_is_4(good_bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*KIT, "verify", str(good_bundle)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_output_leaves_the_exit_code(good_bundle: Path) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *KIT, "verify", str(good_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_path_of_any_bytes(good_bundle: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/x\xff"
    shutil.copytree(os.fsencode(good_bundle), odd)
    done = subprocess.run(
        [*KIT, "verify", "--format", "json", odd], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["bundles"][0]["path"].endswith(r"x\xff")


def test_a_bug_does_not_pass_for_a_verdict() -> None:
    script = (
        "import sys, click; from kit.cli import run, commands\n"
        "@commands.command()\n"
        "def broken() -> int: raise ZeroDivisionError\n"
        "sys.exit(run(['broken']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    assert "error: this is a bug in the kit: ZeroDivisionError" in done.stderr


def test_figures_come_from_bundles_that_hold(good_bundle: Path, tmp_path: Path) -> None:
    faster = draft(Settings(runtime=Runtime.ENDPOINT, seed=2))
    for position, record in enumerate(faster.records):
        change_record(faster, position, wall_s=record.wall_s / 10)
    invalid = disk.write_folder(tmp_path / "faster", faster.seal())

    for form in ("json", "csv", "markdown"):
        alone = kit("report", str(good_bundle), "--format", form)
        both = kit("report", str(good_bundle), str(invalid), "--format", form)
        assert (both.stdout, both.returncode) == (alone.stdout, 6)
        assert "INVALID" in both.stderr
    page = kit("report", str(good_bundle), str(invalid), "-o", str(tmp_path / "report"))
    assert page.returncode == 6
    assert "arithmetic-time-witness" in (tmp_path / "report" / "index.html").read_text()


def test_help_names_the_exit_codes_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from kit.cli import run; run(['--help']); "
        "print(sorted({'pandas', 'matplotlib', 'numpy', 'requests', 'jsonschema', 'yaml', 'rich', "
        "'msgspec'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "6 a bundle is" in " ".join(done.stdout.split())
    assert done.stderr == "[]\n"


def test_an_archive_is_of_one_bundle_and_outside_of_it(good_bundle: Path, tmp_path: Path) -> None:
    disk.write_folder(tmp_path / "several" / "one", safe_read.read_folder(good_bundle).files)
    many = kit("pack", str(tmp_path / "several"), "-o", str(tmp_path / "x.tar.zst"))
    assert many.returncode == 2
    assert f"next: kit pack {tmp_path / 'several' / 'one'} -o" in many.stderr
    inside = kit("pack", str(good_bundle), "-o", str(good_bundle / "x.tar.zst"))
    assert inside.returncode == 2
    assert "is inside of the bundle" in inside.stderr
    absent = kit("pack", str(tmp_path / "absent"), "-o", str(tmp_path / "x.tar.zst"))
    assert absent.returncode == 2
    assert not (tmp_path / "x.tar.zst").exists()


def test_a_model_of_other_topologies_is_told_where_it_is() -> None:
    done = kit("plan", "--topology", "cpu-tp1", "--model", "moe")
    assert done.returncode == 2
    assert "cpu-tp1 does not serve moe" in done.stderr
    assert "next: kit plan --topology tp1 --model moe" in done.stderr


def test_an_error_shows_what_it_quotes_without_its_control_characters() -> None:
    error = KitError("a key \x1b[2J\u202e", "first line\nsecond \x9b", "ls")
    assert failure.render(error).split("\n") == [
        "error: a key \\x1b[2J\\u202e",
        "  why:  first line",
        "second \\x9b",
        "  next: ls",
    ]
