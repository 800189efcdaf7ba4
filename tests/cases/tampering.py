"""Ways to tamper with a bundle, each with the code that must name it.

A forgery changes a draft, which is then sealed again: all hashes fit. A damage changes sealed
files. Each starts from a good bundle; `tests/cases/test_cases.py` collects them.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import EngineIdentity, Failure, Load, ModelFile, Runtime, Status
from kit.bundle.record import ErrorCode, FinishReason
from kit.check.codes import Code
from kit.format import canonical
from kit.plan.plan import (
    CachePolicy,
    Choices,
    Connection,
    Deviation,
    Dialect,
    ProtocolName,
    plan_engine,
)
from kit.plan.schedule import Phase, requests
from kit.plan.spec import Prompt
from tests.cases import cards as g
from tests.cases import engines as e
from tests.cases import logs as o
from tests.cases import physics as p
from tests.cases import server_times as s
from tests.cases import texts as x
from tests.cases import timings as c
from tests.cases import topologies as t
from tests.factory import (
    ENGINE,
    SUITE,
    TWIN,
    Draft,
    Settings,
    change_plan,
    change_record,
    draft,
    utc,
)

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One way to tamper: how, on what kind of run, and the code that it must be given."""

    name: str
    code: Code
    make: Callable[[], Files]


def _forgery(code: Code, change: Callable[[Draft], None], settings: Settings | None = None) -> Case:
    def make() -> Files:
        made = draft(settings)
        change(made)
        return made.seal()

    return Case(name=change.__name__, code=code, make=make)


def _damage(code: Code, change: Callable[[Files], None]) -> Case:
    def make() -> Files:
        files = draft().seal()
        change(files)
        return files

    return Case(name=change.__name__, code=code, make=make)


def _resealed(files: Files, name: str, data: bytes) -> None:
    """Replace one payload file, and every tag file that follows from it."""
    files[name] = data
    payload = {path: text for path, text in files.items() if path.startswith("data/")}
    files[bag.MANIFEST] = bag.manifest_of(payload)
    with suppress(msgspec.MsgspecError, RecursionError, ValueError):  # not of a broken document
        files[bag.BAG_INFO] = bag.bag_info(payload, files[bag.MANIFEST])
    tags = {path: files[path] for path in bag.TAG_FILES}
    files[bag.TAG_MANIFEST] = bag.manifest_of(tags)


# Records


def faster_by_ten(made: Draft) -> None:
    made.records = [
        replace(record, wall_s=round(record.wall_s / 10, 6), chunks=None)
        if record.phase is not Phase.STREAM
        else record
        for record in made.records
    ]


def times_shaved_by_two_percent(made: Draft) -> None:
    for position in range(3, 6):
        wall_s = made.records[position].wall_s
        change_record(made, position, wall_s=round(wall_s * 0.95, 6))


def a_slow_pass_stretched(made: Draft) -> None:
    change_record(made, 4, wall_s=made.records[4].wall_s + 0.5)
    for position in range(5, len(made.records)):
        change_record(made, position, sent_s=made.records[position].sent_s + 0.5)
    clock = made.document.clock
    made.document = replace(
        made.document, clock=replace(clock, end_s=clock.end_s + 0.5, end_utc=utc(clock.end_s + 0.5))
    )


def another_text_beside_the_same_ids(made: Draft) -> None:
    change_record(made, 4, text=(made.records[4].text or "").replace("1", "2", 1) + "!")


def other_ids_beside_the_same_text(made: Draft) -> None:
    first, *rest = made.records[4].token_ids or ()
    change_record(made, 4, token_ids=((first + 1) % 1000, *rest))


def an_id_that_no_text_belongs_to(made: Draft) -> None:
    change_record(made, 4, token_ids=(*(made.records[4].token_ids or ())[:-1], 5000))


def more_completion_tokens_than_ids(made: Draft) -> None:
    change_record(made, 4, completion_tokens=7)


def ids_and_tokens_shortened_together(made: Draft) -> None:
    record = made.records[4]
    change_record(
        made,
        4,
        completion_tokens=6,
        token_ids=(record.token_ids or ())[:6],
        finish_reason=FinishReason.STOP,
    )


def more_prompt_tokens_than_ids(made: Draft) -> None:
    change_record(made, 4, prompt_tokens=99)


def prompt_ids_and_tokens_shortened_together(made: Draft) -> None:
    for position, record in enumerate(made.records):
        ids = (record.prompt_token_ids or ())[:-1]
        change_record(made, position, prompt_token_ids=ids, prompt_tokens=len(ids))


def chunks_beyond_all_bounds(made: Draft) -> None:
    """Their sum has more digits than Python will spell."""
    huge = int("9" * 4300)
    wall_s = made.records[-1].wall_s
    change_record(made, -1, chunks=((wall_s / 2, huge), (wall_s, huge)))


def a_million_tokens_in_a_chunk(made: Draft) -> None:
    change_record(made, -1, chunks=((0.0001, 1), (0.0002, 999_999)))


def a_cold_run_sold_as_warm(made: Draft) -> None:
    choices = Choices(passes=3, cache=CachePolicy.WARM)
    plan = plan_engine(TWIN, ENGINE, "cpu-tp1", SUITE, choices)
    made.document = replace(made.document, plan=plan, plan_digest=plan.digest(), run_salt=None)


def a_cold_run_without_its_salt(made: Draft) -> None:
    made.document = replace(made.document, run_salt=None)


def cached_tokens_left_out(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, cached_tokens=None)


def another_config(made: Draft) -> None:
    files = made.document.engine.model_files or ()
    config = ModelFile(name="config.json", size_bytes=9, sha256="00" * 32)
    engine = replace(made.document.engine, model_files=(*files, config))
    made.document = replace(made.document, engine=engine)


def weights_listed_twice(made: Draft) -> None:
    files = made.document.engine.model_files or ()
    wrong = ModelFile(name=files[0].name, size_bytes=9, sha256="00" * 32)
    engine = replace(made.document.engine, model_files=(wrong, *files))
    made.document = replace(made.document, engine=engine)


def a_partial_run_without_its_witnesses(made: Draft) -> None:
    """Ten times as fast, and no counters left that would tell."""
    faster_by_ten(made)
    made.records = made.records[:-1]
    made.metrics = {}
    made.document = replace(
        made.document,
        status=Status.PARTIAL,
        failure=Failure(stage="measure", code="interrupted"),
        absent=made.document.absent | {"metrics": "lost"},
    )


def a_cold_plan_that_the_kit_refuses(made: Draft) -> None:
    change_plan(made, cache=CachePolicy.COLD)
    made.document = replace(made.document, run_salt="5a" * 16)


def chunks_lost(made: Draft) -> None:
    change_record(made, -1, chunks=(made.records[-1].chunks or ())[:-1])


def a_request_dropped(made: Draft) -> None:
    del made.records[5]


def a_request_twice(made: Draft) -> None:
    made.records.insert(5, made.records[4])


def two_requests_swapped(made: Draft) -> None:
    records = made.records
    first, second = records[3], records[4]
    records[3] = replace(second, sent_s=first.sent_s, wall_s=first.wall_s)
    records[4] = replace(first, sent_s=second.sent_s, wall_s=second.wall_s)


def a_pass_called_another(made: Draft) -> None:
    for position in range(3):
        change_record(made, position, phase=Phase.MEASURED, pass_number=4)


def passes_swapped(made: Draft) -> None:
    for position, other in ((3, 2), (4, 2), (5, 2), (6, 1), (7, 1), (8, 1)):
        change_record(made, position, pass_number=other)


def warm_up_counted_as_measured(made: Draft) -> None:
    """The slow first measured pass is dropped, and the warm-up's records put in its place."""
    numbered = [replace(record, pass_number=1) for record in made.records[:3]]
    made.records[3:6] = [replace(record, phase=Phase.MEASURED) for record in numbered]


def another_seed(made: Draft) -> None:
    change_record(made, 4, seed=made.records[4].seed ^ 1)


def equal_seeds(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, seed=1)


def requests_that_overlap(made: Draft) -> None:
    change_record(made, 4, sent_s=made.records[4].sent_s - 0.1)


def sent_out_of_order(made: Draft) -> None:
    change_record(made, 4, sent_s=made.records[2].sent_s)


def complete_after_the_end(made: Draft) -> None:
    clock = replace(made.document.clock, end_s=made.records[-1].sent_s)
    made.document = replace(made.document, clock=clock)


def a_month_thirteen(made: Draft) -> None:
    clock = replace(made.document.clock, start_utc="2026-13-06T12:00:00.000000Z")
    made.document = replace(made.document, clock=clock)


def another_prompt_in_one_pass(made: Draft) -> None:
    ids = made.records[4].prompt_token_ids or ()
    change_record(made, 4, prompt_token_ids=(*ids[:-1], 3))


def an_error_in_a_complete_bundle(made: Draft) -> None:
    change_record(made, 4, error=ErrorCode.TIMED_OUT)


def an_empty_response(made: Draft) -> None:
    change_record(
        made, 4, completion_tokens=0, token_ids=(), text="", finish_reason=FinishReason.STOP
    )


def over_the_budget(made: Draft) -> None:
    ids = made.records[4].token_ids or ()
    change_record(made, 4, completion_tokens=9, token_ids=(*ids, 1))


def length_before_the_budget(made: Draft) -> None:
    ids = (made.records[4].token_ids or ())[:5]
    change_record(made, 4, completion_tokens=5, token_ids=ids)


def token_ids_stripped(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, token_ids=None, prompt_token_ids=None)
    absent = made.document.absent | {"token_ids": "not returned"}
    made.document = replace(made.document, absent=absent)


def a_negative_token_id(made: Draft) -> None:
    ids = made.records[4].token_ids or ()
    change_record(made, 4, token_ids=(*ids[:-1], -1))


def a_huge_token_id(made: Draft) -> None:
    ids = made.records[4].prompt_token_ids or ()
    change_record(made, 4, prompt_token_ids=(*ids[:-1], 2**70))


def chunks_out_of_order(made: Draft) -> None:
    change_record(made, -1, chunks=tuple(reversed(made.records[-1].chunks or ())))


def chunks_after_the_response(made: Draft) -> None:
    chunks = made.records[-1].chunks or ()
    change_record(made, -1, chunks=(*chunks[:-1], (99.0, 1)))


def no_usage(made: Draft) -> None:
    change_record(made, 4, completion_tokens=None)


def chunks_without_a_stream(made: Draft) -> None:
    change_record(made, 4, chunks=((0.1, 8),))


def a_negative_time(made: Draft) -> None:
    change_record(made, 0, sent_s=-1.0)


# Server


def a_server_counter_edited(made: Draft) -> None:
    text = made.metrics["measured-2-after"].decode()
    line = next(line for line in text.splitlines() if "generation_tokens_total{" in line)
    made.metrics["measured-2-after"] = text.replace(line, f"{line[:-4]}999.0").encode()


def tokens_that_took_no_step(made: Draft) -> None:
    """Tokens that were added to all that counts them, but for the steps that the engine took."""
    for name, text in made.metrics.items():
        if name not in ("warmup-0-before", "warmup-0-after", "measured-1-before"):
            found = re.search(rb"inter_token_latency_seconds_count\{.*\} (.*)\n", text)
            assert found is not None
            steps = b"%r" % (float(found[1]) - 1)
            made.metrics[name] = text[: found.start(1)] + steps + text[found.end(1) :]


def a_server_counter_removed(made: Draft) -> None:
    for name, text in made.metrics.items():
        lines = text.decode().splitlines(keepends=True)
        kept = [line for line in lines if "prompt_tokens_total" not in line]
        made.metrics[name] = "".join(kept).encode()


def tokens_between_passes(made: Draft) -> None:
    """Everything from the second pass on counts more: something ran before it."""
    for name, text in made.metrics.items():
        if not name.startswith(("warmup", "measured-1")):
            made.metrics[name] = text + b'vllm:generation_tokens_total{engine="1"} 5.0\n'


def cache_hits_in_a_cold_run(made: Draft) -> None:
    _add_hits(made, from_pass="measured-2-after")


def cached_tokens_in_a_cold_run(made: Draft) -> None:
    change_record(made, 4, cached_tokens=4)


def cache_hits_that_no_response_tells(made: Draft) -> None:
    _add_hits(made, from_pass="measured-2-after")


def metrics_of_a_pass_missing(made: Draft) -> None:
    del made.metrics["measured-2-before"], made.metrics["measured-2-after"]


def metrics_of_another_pass(made: Draft) -> None:
    made.metrics["measured-9-before"] = made.metrics["measured-1-before"]


def all_metrics_missing(made: Draft) -> None:
    made.metrics.clear()


def metrics_missing_and_named(made: Draft) -> None:
    made.metrics.clear()
    made.document = replace(made.document, absent=made.document.absent | {"metrics": "lost"})


def no_server_log(made: Draft) -> None:
    made.server_log = None


def _add_hits(made: Draft, from_pass: str) -> None:
    names = list(made.metrics)
    for name in names[names.index(from_pass) :]:
        made.metrics[name] += b'vllm:prefix_cache_hits_total{engine="1"} 8.0\n'


# Document and plan


def complete_with_a_failure(made: Draft) -> None:
    made.document = replace(made.document, failure=Failure(stage="measure", code="timed-out"))


def partial_without_a_failure(made: Draft) -> None:
    made.document = replace(made.document, status=Status.PARTIAL)


def a_partial_run_called_complete(made: Draft) -> None:
    made.document = replace(made.document, status=Status.COMPLETE, failure=None)


def a_partial_run_with_a_hole(made: Draft) -> None:
    del made.records[1]


def a_plan_edited(made: Draft) -> None:
    made.document = replace(made.document, plan=replace(made.document.plan, timeout_s=1.0))


def a_prompt_changed(made: Draft) -> None:
    prompts = made.document.plan.prompts
    change_plan(made, prompts=(Prompt(id=prompts[0].id, text="Say yes."), *prompts[1:]))


def prompts_in_another_order(made: Draft) -> None:
    change_plan(made, prompts=tuple(reversed(made.document.plan.prompts)))


def a_prompt_twice(made: Draft) -> None:
    prompts = made.document.plan.prompts
    change_plan(made, prompts=(*prompts, prompts[0]))


def another_system_message(made: Draft) -> None:
    change_plan(made, system="Count to a thousand.")


def greedy_sampling(made: Draft) -> None:
    change_plan(made, sampling=replace(made.document.plan.sampling, temperature=0.0))


def another_budget(made: Draft) -> None:
    change_plan(made, sampling=replace(made.document.plan.sampling, max_tokens=64))


def another_published_budget(made: Draft) -> None:
    change_plan(made, published_max_tokens=8)


def a_twin_of_another_model(made: Draft) -> None:
    change_plan(made, twin_of="dense")


def other_weights(made: Draft) -> None:
    files = (ModelFile(name="model.safetensors", size_bytes=9, sha256="00" * 32),)
    identity = replace(made.document.engine, model_files=files)
    made.document = replace(made.document, engine=identity)


def weights_not_listed(made: Draft) -> None:
    identity = replace(made.document.engine, model_files=None)
    made.document = replace(made.document, engine=identity)


def article_with_kept_connection(made: Draft) -> None:
    change_plan(made, connection=Connection.KEPT)


def article_with_more_passes_than_it_says(made: Draft) -> None:
    change_plan(made, measured_passes=made.document.plan.measured_passes + 1)


def kit_without_warm_up(made: Draft) -> None:
    change_plan(made, warmup_passes=0)


def an_endpoint_with_an_engine(made: Draft) -> None:
    own = draft().document.plan
    change_plan(made, engine=own.engine)


def an_own_engine_without_one(made: Draft) -> None:
    change_plan(made, engine=None)


def an_endpoint_called_a_topology(made: Draft) -> None:
    change_plan(made, cell=replace(made.document.plan.cell, topology="tp2-nvlink"))


def absence_not_named(made: Draft) -> None:
    made.document = replace(made.document, absent={})


def a_host_id_that_names_somebody(made: Draft) -> None:
    made.document = replace(made.document, host_id="alice-laptop")


def a_load_that_is_negative(made: Draft) -> None:
    host = replace(made.document.host, load_before=Load(load_average=-1.0))
    made.document = replace(made.document, host=host)


def a_plan_without_end(made: Draft) -> None:
    change_plan(made, measured_passes=9999, prompts=made.document.plan.prompts * 1000)


def too_many_deviations(made: Draft) -> None:
    change_plan(made, deviations=(Deviation(what="a", why="b"),) * 101)


# Bytes


def a_file_changed(files: Files) -> None:
    files[bag.RECORDS] = files[bag.RECORDS].replace(b"warmup", b"warmuq", 1)


def a_payload_file_removed(files: Files) -> None:
    del files["data/metrics/measured-1-after.prom.gz"]


def the_document_removed(files: Files) -> None:
    del files[bag.DOCUMENT]


def a_tag_file_removed(files: Files) -> None:
    del files[bag.BAG_INFO]


def a_file_added(files: Files) -> None:
    files["data/metrics/stream-2-after.prom.gz"] = bag.compress(b"")


def an_unknown_file_added(files: Files) -> None:
    files["data/run.sh"] = b"#!/bin/sh\n"


def a_stray_file_beside_the_bag(files: Files) -> None:
    files[".DS_Store"] = b"x"


def a_fetch_file(files: Files) -> None:
    files["fetch.txt"] = b"http://example.org/x 1 data/x\n"


def a_name_that_climbs(files: Files) -> None:
    files["data/../../x"] = b"x"


def a_name_in_the_manifest_that_climbs(files: Files) -> None:
    files[bag.MANIFEST] += b"0" * 64 + b"  data/../../../etc/passwd\n"


def an_absolute_name(files: Files) -> None:
    files["/etc/passwd"] = b"x"


def a_name_with_a_backslash(files: Files) -> None:
    files["data\\x"] = b"x"


def a_name_with_an_escape(files: Files) -> None:
    files["data/\x1b[2J"] = b"x"


def a_manifest_in_another_order(files: Files) -> None:
    lines = files[bag.MANIFEST].splitlines(keepends=True)
    files[bag.MANIFEST] = b"".join(reversed(lines))


def a_manifest_with_a_line_twice(files: Files) -> None:
    lines = files[bag.MANIFEST].splitlines(keepends=True)
    files[bag.MANIFEST] = b"".join([lines[0], *lines])


def a_manifest_in_capitals(files: Files) -> None:
    files[bag.MANIFEST] = files[bag.MANIFEST].upper()


def another_bagit_version(files: Files) -> None:
    files[bag.BAGIT] = files[bag.BAGIT].replace(b"1.0", b"0.9")


def another_bagging_date(files: Files) -> None:
    files[bag.BAG_INFO] = files[bag.BAG_INFO].replace(b"2026", b"2025")


def another_tag_manifest(files: Files) -> None:
    files[bag.TAG_MANIFEST] = files[bag.TAG_MANIFEST].replace(b"  ", b" *")


def metrics_that_are_not_gzip(files: Files) -> None:
    _resealed(files, "data/metrics/warmup-0-before.prom.gz", b"plain text")


def two_gzip_members(files: Files) -> None:
    name = "data/metrics/warmup-0-before.prom.gz"
    _resealed(files, name, files[name] + bag.compress(b"more"))


def a_gzip_bomb(files: Files) -> None:
    bomb = bag.compress(bytes(17 * 2**20))
    _resealed(files, "data/metrics/warmup-0-before.prom.gz", bomb)


def a_log_cut_off(files: Files) -> None:
    _resealed(files, bag.SERVER_LOG, files[bag.SERVER_LOG][:-3])


# Spelling


def not_json(files: Files) -> None:
    _resealed(files, bag.DOCUMENT, b"{")


def json_of_another_kind(files: Files) -> None:
    _resealed(files, bag.DOCUMENT, b"[]\n")


def deeply_nested(files: Files) -> None:
    _resealed(files, bag.DOCUMENT, b"[" * 100_000 + b"]" * 100_000)


def a_newer_version(files: Files) -> None:
    _respelled(files, b'"schema_version":1', b'"schema_version":2')


def an_older_version(files: Files) -> None:
    _respelled(files, b'"schema_version":1', b'"schema_version":0')


def a_key_twice(files: Files) -> None:
    _respelled(files, b'"runtime":', b'"runtime":"process","runtime":')


def a_space(files: Files) -> None:
    _respelled(files, b'"runtime":', b'"runtime": ')


def a_null(files: Files) -> None:
    _respelled(files, b'"engine":{"build"', b'"engine":{"blob":null,"build"')


def an_unknown_field_in_a_prompt(files: Files) -> None:
    _respelled(files, b'{"id":"impl"', b'{"extra":1,"id":"impl"')


def another_spelling_of_a_number(files: Files) -> None:
    _respelled(files, b'"temperature":0.7', b'"temperature":0.70')


def not_a_number(files: Files) -> None:
    _respelled(files, b'"temperature":0.7', b'"temperature":NaN')


def a_large_number(files: Files) -> None:
    _respelled(files, b'"measured_passes":3', b'"measured_passes":' + b"9" * 50)


def a_huge_number(files: Files) -> None:
    _respelled(files, b'"measured_passes":3', b'"measured_passes":' + b"9" * 5000)


def a_huge_version(files: Files) -> None:
    _respelled(files, b'"schema_version":1', b'"schema_version":' + b"1" * 5000)


def a_huge_exponent(files: Files) -> None:
    _respelled(files, b'"temperature":0.7', b'"temperature":1e999')


def an_unknown_field_in_a_record(files: Files) -> None:
    _respelled(files, b'{"completion_tokens"', b'{"a":1,"completion_tokens"', bag.RECORDS)


def a_record_that_is_not_json(files: Files) -> None:
    _respelled(files, b'{"completion_tokens"', b'"completion_tokens"', bag.RECORDS)


def an_empty_line(files: Files) -> None:
    _resealed(files, bag.RECORDS, files[bag.RECORDS] + b"\n")


def no_last_newline(files: Files) -> None:
    _resealed(files, bag.RECORDS, files[bag.RECORDS][:-1])


def carriage_returns(files: Files) -> None:
    _resealed(files, bag.RECORDS, files[bag.RECORDS].replace(b"\n", b"\r\n"))


def a_float_among_token_ids(files: Files) -> None:
    _respelled(files, b'"prompt_token_ids":[5,', b'"prompt_token_ids":[5.5,', bag.RECORDS)


def a_text_that_is_a_number(files: Files) -> None:
    record = canonical.encode({"text": 1}).strip(b"{}\n")
    lines = files[bag.RECORDS].split(b"\n")
    start, end = lines[0].index(b'"text"'), lines[0].index(b',"token_ids"')
    lines[0] = lines[0][:start] + record + lines[0][end:]
    _resealed(files, bag.RECORDS, b"\n".join(lines))


def no_records_at_all(files: Files) -> None:
    _resealed(files, bag.RECORDS, b"")


def too_many_records(files: Files) -> None:
    _resealed(files, bag.RECORDS, b"\n" * 100_001)


def too_large_a_document(files: Files) -> None:
    _resealed(files, bag.DOCUMENT, files[bag.DOCUMENT] + b" " * (4 * 2**20))


def _respelled(files: Files, old: bytes, new: bytes, name: str = bag.DOCUMENT) -> None:
    assert old in files[name]
    _resealed(files, name, files[name].replace(old, new, 1))


def called_another_model(made: Draft) -> None:
    """A twin's run with the name of the model that it is shaped after."""
    cell = replace(made.document.plan.cell, model="moe")
    change_plan(made, cell=cell, twin_of=None, deviations=())


def called_another_topology(made: Draft) -> None:
    change_plan(made, cell=replace(made.document.plan.cell, topology="tp2-nvlink"))


def called_another_suite(made: Draft) -> None:
    change_plan(made, cell=replace(made.document.plan.cell, suite="article"))


def another_flag(made: Draft) -> None:
    engine = made.document.plan.engine
    assert engine is not None
    change_plan(made, engine=replace(engine, command=(*engine.command, "--enforce-eager")))


def deviations_left_out(made: Draft) -> None:
    change_plan(made, deviations=())


def another_plan_seed(made: Draft) -> None:
    change_plan(made, seed=1)
    for position, request in enumerate(requests(made.document.plan)):
        change_record(made, position, seed=request.seed)


def an_own_engine_of_another_dialect(made: Draft) -> None:
    change_plan(made, dialect=Dialect.OPENAI)


def nothing_told_of_the_own_engine(made: Draft) -> None:
    absent = made.document.absent | {"model_files": "lost"}
    made.document = replace(made.document, engine=EngineIdentity(), absent=absent)


def token_ids_said_to_be_absent(made: Draft) -> None:
    made.document = replace(made.document, absent=made.document.absent | {"token_ids": "lost"})


def no_texts(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, text=None)


def longer_than_its_timeout(made: Draft) -> None:
    change_plan(made, timeout_s=1.0)
    change_record(made, -1, wall_s=12.0)


def a_time_too_short_to_be_measured(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, wall_s=5e-324)


def eight_times_the_tokens_of_an_endpoint(made: Draft) -> None:
    """Tokens, ids and chunks agree; only the server's counter, that nobody else moved, does not."""
    for position, record in enumerate(made.records):
        ids = (record.token_ids or ()) * 8
        chunks = tuple((arrival_s, tokens * 8) for arrival_s, tokens in record.chunks or ())
        change_record(
            made,
            position,
            token_ids=ids,
            completion_tokens=len(ids),
            chunks=None if record.chunks is None else chunks,
            finish_reason=FinishReason.STOP,
        )
    change_plan(made, sampling=replace(made.document.plan.sampling, max_tokens=4096))


def digits_without_end(files: Files) -> None:
    """A value that took a regular expression quadratic time to refuse."""
    name = "data/metrics/measured-1-before.prom.gz"
    line = b"vllm:generation_tokens_total " + b"1" * 10**6 + b"x\n"
    _resealed(files, name, bag.compress(line + bag.inflate(files[name])))


def metrics_of_newlines(files: Files) -> None:
    for name in files:
        if name.endswith(".prom.gz"):
            _resealed(files, name, bag.compress(b"\n" * 2**21))


def metrics_of_one_line(files: Files) -> None:
    """A line that took time as the square of its length."""
    for name in files:
        if name.endswith(".prom.gz"):
            line = b"vllm:generation_tokens_total{" * 2**16
            _resealed(files, name, bag.compress(line + b"\n" + bag.inflate(files[name])))


def metrics_of_too_many_bytes(files: Files) -> None:
    name = "data/metrics/measured-1-before.prom.gz"
    _resealed(files, name, bag.compress(bag.inflate(files[name]).ljust(2**21 + 1, b"\n")))


COLD = Settings(cache=CachePolicy.COLD)
ARTICLE = Settings(protocol=ProtocolName.ARTICLE)
ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
PARTIAL = Settings(stop_after=5)
LONG = Settings(passes=30)

GPU_ONE = Settings(topology="tp1", model="moe")
NVLINK = Settings(topology="tp2-nvlink", model="moe")
PCIE = Settings(topology="tp2-pcie", model="moe")
FP8 = Settings(topology="tp2-nvlink", model="moe-fp8")
DENSE = Settings(topology="tp2-pcie", model="dense")
DENSE_ON_ONE = Settings(topology="tp1", model="dense")
COLD_ON_GPUS = Settings(topology="tp2-nvlink", model="moe", cache=CachePolicy.COLD)
CPU_TWO = Settings(topology="cpu-tp2")
IN_CONTAINERS = Settings(runtime=Runtime.DOCKER, topology="tp2-pcie", model="moe")
CPU_IN_CONTAINERS = Settings(runtime=Runtime.DOCKER)

CASES = (
    _forgery(Code.ARITHMETIC_TIME_WITNESS, faster_by_ten),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, times_shaved_by_two_percent),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, times_shaved_by_two_percent, ENDPOINT),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, a_slow_pass_stretched),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.a_clock_that_was_set_for_an_alibi),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_without_latency_sums),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_without_sums_over_http),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_in_one_of_the_servers_sums),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_in_all_of_the_servers_sums_but_one),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_in_all_sums_but_those_of_decoding),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_in_all_sums_but_those_by_handler),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.faster_in_all_sums_but_those_of_first_tokens),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.requests_over_http_not_counted),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.responses_shorter_by_a_clock_a_little_off),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, s.first_tokens_soon_by_a_clock_a_little_off),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, s.first_tokens_later_than_the_server_had_them),
    _forgery(Code.TOPOLOGY_ENGINE_VERSION, t.a_fork_of_the_release),
    _forgery(Code.ARITHMETIC_IDLE, s.measured_passes_that_begin_late),
    _forgery(Code.ARITHMETIC_IDLE, s.responses_shortened_where_they_stood, LONG),
    _forgery(Code.ARITHMETIC_IDLE, s.measured_passes_that_were_moved_together),
    _forgery(Code.ARITHMETIC_ENGINE_START, s.metrics_of_another_engine),
    _forgery(Code.ARITHMETIC_ENGINE_START, s.metrics_of_a_later_engine),
    _forgery(Code.ARITHMETIC_TIME_WITNESS, s.first_tokens_sooner_than_their_prefills),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, s.metrics_of_requests_with_another_budget),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, s.first_tokens_sooner_than_the_server_had_them),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, s.tokens_closer_together_than_the_server_made_them),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, s.a_stream_moved_together_by_a_quarter),
    _forgery(Code.ARITHMETIC_TEXT, another_text_beside_the_same_ids),
    _forgery(Code.ARITHMETIC_TEXT, other_ids_beside_the_same_text),
    _forgery(Code.ARITHMETIC_TEXT, an_id_that_no_text_belongs_to),
    _forgery(Code.ARITHMETIC_TEXT, x.another_question),
    _forgery(Code.ARITHMETIC_TEXT, x.the_prompt_of_another_request),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, x.a_twin_that_stops_by_itself),
    _forgery(Code.ARITHMETIC_COMPLETION_TOKENS, more_completion_tokens_than_ids),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, more_completion_tokens_than_ids),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, ids_and_tokens_shortened_together),
    _forgery(Code.ARITHMETIC_PROMPT_TOKENS, more_prompt_tokens_than_ids),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, prompt_ids_and_tokens_shortened_together),
    _forgery(Code.ARITHMETIC_CHUNKS, chunks_lost),
    _forgery(Code.PROTOCOL_REQUESTS, a_request_dropped),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, a_request_dropped),
    _forgery(Code.PROTOCOL_REQUESTS, a_request_dropped, OPENAI),
    _forgery(Code.PROTOCOL_REQUESTS, a_request_twice),
    _forgery(Code.PROTOCOL_REQUESTS, two_requests_swapped),
    _forgery(Code.PROTOCOL_REQUESTS, a_pass_called_another),
    _forgery(Code.PROTOCOL_SEED, passes_swapped),
    _forgery(Code.PROTOCOL_SEED, warm_up_counted_as_measured),
    _forgery(Code.PROTOCOL_SEED, another_seed),
    _forgery(Code.PROTOCOL_SEED, equal_seeds),
    _forgery(Code.ARITHMETIC_OVERLAP, requests_that_overlap),
    _forgery(Code.ARITHMETIC_OVERLAP, sent_out_of_order),
    _forgery(Code.ARITHMETIC_SPAN, complete_after_the_end),
    _forgery(Code.ARITHMETIC_CLOCK, a_month_thirteen),
    _forgery(Code.PROTOCOL_PROMPT_TOKEN_IDS, another_prompt_in_one_pass),
    _forgery(Code.PROTOCOL_STATUS, an_error_in_a_complete_bundle),
    _forgery(Code.PROTOCOL_OUTPUT_LENGTH, an_empty_response),
    _forgery(Code.PROTOCOL_OUTPUT_LENGTH, over_the_budget),
    _forgery(Code.PROTOCOL_OUTPUT_LENGTH, length_before_the_budget),
    _forgery(Code.PROTOCOL_EVIDENCE, token_ids_stripped),
    _forgery(Code.SCHEMA_ARRAYS, a_negative_token_id),
    _forgery(Code.SCHEMA_ARRAYS, a_huge_token_id),
    _forgery(Code.SCHEMA_ARRAYS, chunks_out_of_order),
    _forgery(Code.SCHEMA_ARRAYS, chunks_after_the_response),
    _forgery(Code.SCHEMA_ANSWER, no_usage),
    _forgery(Code.SCHEMA_ANSWER, chunks_without_a_stream),
    _forgery(Code.SCHEMA_SHAPE, a_negative_time),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, a_server_counter_edited),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, a_server_counter_removed),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, tokens_that_took_no_step),
    _forgery(Code.ARITHMETIC_COUNTER_GAP, tokens_between_passes),
    _forgery(Code.PROTOCOL_CACHE, cache_hits_in_a_cold_run, COLD),
    _forgery(Code.PROTOCOL_CACHE, a_cold_run_sold_as_warm, COLD),
    _forgery(Code.PROTOCOL_CACHE, a_cold_run_without_its_salt, COLD),
    _forgery(Code.PROTOCOL_CACHE, cached_tokens_left_out),
    _forgery(Code.PROTOCOL_CACHE, e.more_cached_than_was_asked),
    _forgery(Code.PROTOCOL_CACHE, e.whole_prompts_from_the_cache),
    _forgery(Code.PROTOCOL_CACHE, e.whole_prompts_from_the_cache, NVLINK),
    _forgery(Code.PROTOCOL_PLAN, a_cold_plan_that_the_kit_refuses, OPENAI),
    _forgery(Code.PROTOCOL_MODEL_FILES, another_config),
    _forgery(Code.PROTOCOL_MODEL_FILES, weights_listed_twice),
    _forgery(Code.PROTOCOL_METRICS_FILES, a_partial_run_without_its_witnesses),
    _forgery(Code.SCHEMA_ARRAYS, chunks_beyond_all_bounds),
    _forgery(Code.ARITHMETIC_CHUNKS, a_million_tokens_in_a_chunk, OPENAI),
    _forgery(Code.PROTOCOL_CACHE, cached_tokens_in_a_cold_run, COLD),
    _forgery(Code.PROTOCOL_CACHE, cache_hits_that_no_response_tells),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, e.a_response_that_ended_by_itself),
    _forgery(Code.TOPOLOGY_MODEL, e.metrics_of_another_model, NVLINK),
    _forgery(Code.TOPOLOGY_MODEL, e.metrics_of_another_cache, NVLINK),
    _forgery(Code.TOPOLOGY_ARGUMENTS, e.another_share_of_memory_by_the_metrics, GPU_ONE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, e.metrics_of_two_configurations),
    _forgery(Code.PROTOCOL_METRICS_FILES, metrics_of_a_pass_missing),
    _forgery(Code.PROTOCOL_METRICS_FILES, metrics_of_another_pass),
    _forgery(Code.PROTOCOL_EVIDENCE, all_metrics_missing),
    _forgery(Code.PROTOCOL_METRICS_FILES, metrics_missing_and_named),
    _forgery(Code.PROTOCOL_EVIDENCE, no_server_log),
    _forgery(Code.PROTOCOL_STATUS, complete_with_a_failure),
    _forgery(Code.PROTOCOL_STATUS, partial_without_a_failure),
    _forgery(Code.PROTOCOL_REQUESTS, a_partial_run_called_complete, PARTIAL),
    _forgery(Code.PROTOCOL_REQUESTS, a_partial_run_with_a_hole, PARTIAL),
    _forgery(Code.INTEGRITY_PLAN_DIGEST, a_plan_edited),
    _forgery(Code.PROTOCOL_PROMPTS, a_prompt_changed),
    _forgery(Code.PROTOCOL_PROMPTS, prompts_in_another_order),
    _forgery(Code.PROTOCOL_PROMPTS, a_prompt_twice),
    _forgery(Code.PROTOCOL_PROMPTS, another_system_message),
    _forgery(Code.PROTOCOL_SAMPLING, greedy_sampling),
    _forgery(Code.PROTOCOL_BUDGET, another_budget),
    _forgery(Code.PROTOCOL_BUDGET, another_published_budget, ENDPOINT),
    _forgery(Code.PROTOCOL_BUDGET, a_twin_of_another_model),
    _forgery(Code.PROTOCOL_MODEL_FILES, other_weights),
    _forgery(Code.PROTOCOL_EVIDENCE, weights_not_listed),
    _forgery(Code.PROTOCOL_DEFINITION, article_with_kept_connection, ARTICLE),
    _forgery(Code.PROTOCOL_REQUESTS, article_with_more_passes_than_it_says, ARTICLE),
    _forgery(Code.PROTOCOL_DEFINITION, kit_without_warm_up),
    _forgery(Code.PROTOCOL_RUNTIME, an_endpoint_with_an_engine, ENDPOINT),
    _forgery(Code.PROTOCOL_RUNTIME, an_own_engine_without_one),
    _forgery(Code.PROTOCOL_RUNTIME, an_endpoint_called_a_topology, ENDPOINT),
    _forgery(Code.PROTOCOL_RUNTIME, e.containers_called_a_process, IN_CONTAINERS),
    _forgery(Code.PROTOCOL_EVIDENCE, absence_not_named, OPENAI),
    _forgery(Code.SCHEMA_SHAPE, a_host_id_that_names_somebody),
    _forgery(Code.SCHEMA_SHAPE, a_load_that_is_negative),
    _forgery(Code.SCHEMA_LIMITS, a_plan_without_end),
    _forgery(Code.SCHEMA_SHAPE, too_many_deviations),
    _forgery(Code.PROTOCOL_PLAN, called_another_model),
    _forgery(Code.PROTOCOL_PLAN, called_another_topology),
    _forgery(Code.PROTOCOL_PLAN, called_another_suite),
    _forgery(Code.PROTOCOL_PLAN, another_flag),
    _forgery(Code.PROTOCOL_PLAN, deviations_left_out),
    _forgery(Code.PROTOCOL_PLAN, deviations_left_out, ENDPOINT),
    _forgery(Code.PROTOCOL_PLAN, another_plan_seed),
    _forgery(Code.PROTOCOL_PLAN, an_own_engine_of_another_dialect),
    _forgery(Code.PROTOCOL_EVIDENCE, nothing_told_of_the_own_engine),
    _forgery(Code.PROTOCOL_EVIDENCE, token_ids_said_to_be_absent),
    _forgery(Code.SCHEMA_ANSWER, no_texts),
    _forgery(Code.SCHEMA_ANSWER, no_texts, OPENAI),
    _forgery(Code.ARITHMETIC_SPAN, longer_than_its_timeout),
    _forgery(Code.SCHEMA_ANSWER, a_time_too_short_to_be_measured),
    _forgery(Code.ARITHMETIC_SERVER_COUNTER, eight_times_the_tokens_of_an_endpoint, ENDPOINT),
    _damage(Code.ARITHMETIC_SERVER_COUNTER, digits_without_end),
    _damage(Code.ARITHMETIC_SERVER_COUNTER, metrics_of_newlines),
    _damage(Code.ARITHMETIC_SERVER_COUNTER, metrics_of_one_line),
    _damage(Code.INTEGRITY_GZIP, metrics_of_too_many_bytes),
    _damage(Code.INTEGRITY_DIGEST, a_file_changed),
    _damage(Code.INTEGRITY_MISSING_FILE, a_payload_file_removed),
    _damage(Code.INTEGRITY_MISSING_FILE, the_document_removed),
    _damage(Code.INTEGRITY_MISSING_FILE, a_tag_file_removed),
    _damage(Code.INTEGRITY_UNLISTED_FILE, a_file_added),
    _damage(Code.INTEGRITY_UNKNOWN_FILE, an_unknown_file_added),
    _damage(Code.INTEGRITY_UNKNOWN_FILE, a_stray_file_beside_the_bag),
    _damage(Code.INTEGRITY_FETCH, a_fetch_file),
    _damage(Code.INTEGRITY_NAME, a_name_that_climbs),
    _damage(Code.INTEGRITY_NAME, a_name_in_the_manifest_that_climbs),
    _damage(Code.INTEGRITY_NAME, an_absolute_name),
    _damage(Code.INTEGRITY_NAME, a_name_with_a_backslash),
    _damage(Code.INTEGRITY_NAME, a_name_with_an_escape),
    _damage(Code.INTEGRITY_MANIFEST, a_manifest_in_another_order),
    _damage(Code.INTEGRITY_MANIFEST, a_manifest_with_a_line_twice),
    _damage(Code.INTEGRITY_MANIFEST, a_manifest_in_capitals),
    _damage(Code.INTEGRITY_TAG_FILE, another_bagit_version),
    _damage(Code.INTEGRITY_TAG_FILE, another_bagging_date),
    _damage(Code.INTEGRITY_TAG_FILE, another_tag_manifest),
    _damage(Code.INTEGRITY_GZIP, metrics_that_are_not_gzip),
    _damage(Code.INTEGRITY_GZIP, two_gzip_members),
    _damage(Code.INTEGRITY_GZIP, a_gzip_bomb),
    _damage(Code.INTEGRITY_GZIP, a_log_cut_off),
    _damage(Code.SCHEMA_JSON, not_json),
    _damage(Code.SCHEMA_SHAPE, json_of_another_kind),
    _damage(Code.SCHEMA_JSON, deeply_nested),
    _damage(Code.SCHEMA_VERSION, a_newer_version),
    _damage(Code.SCHEMA_VERSION, an_older_version),
    _damage(Code.SCHEMA_CANONICAL, a_key_twice),
    _damage(Code.SCHEMA_CANONICAL, a_space),
    _damage(Code.SCHEMA_SHAPE, a_null),
    _damage(Code.SCHEMA_SHAPE, an_unknown_field_in_a_prompt),
    _damage(Code.SCHEMA_CANONICAL, another_spelling_of_a_number),
    _damage(Code.SCHEMA_JSON, not_a_number),
    _damage(Code.SCHEMA_SHAPE, a_large_number),
    _damage(Code.SCHEMA_JSON, a_huge_number),
    _damage(Code.SCHEMA_JSON, a_huge_version),
    _damage(Code.SCHEMA_JSON, a_huge_exponent),
    _damage(Code.SCHEMA_SHAPE, an_unknown_field_in_a_record),
    _damage(Code.SCHEMA_JSON, a_record_that_is_not_json),
    _damage(Code.SCHEMA_JSON, an_empty_line),
    _damage(Code.SCHEMA_CANONICAL, no_last_newline),
    _damage(Code.SCHEMA_CANONICAL, carriage_returns),
    _damage(Code.SCHEMA_SHAPE, a_float_among_token_ids),
    _damage(Code.SCHEMA_SHAPE, a_text_that_is_a_number),
    _damage(Code.PROTOCOL_REQUESTS, no_records_at_all),
    _damage(Code.SCHEMA_LIMITS, too_many_records),
    _damage(Code.SCHEMA_LIMITS, too_large_a_document),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.one_channel_over_another_transport, PCIE),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.two_ranks_where_one_was_promised, GPU_ONE),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.two_ranks_where_one_was_promised),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.more_ranks_than_the_topology_has, PCIE),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.ranks_over_shared_memory_on_cpu, CPU_TWO),
    _forgery(Code.TOPOLOGY_TRANSPORT, t.another_number_of_ranks, CPU_TWO),
    _forgery(Code.TOPOLOGY_NCCL_ENVIRONMENT, t.an_nccl_variable_that_is_not_planned, NVLINK),
    _forgery(Code.TOPOLOGY_NCCL_ENVIRONMENT, t.an_nccl_variable_with_another_value, PCIE),
    _forgery(Code.TOPOLOGY_ENGINE_VERSION, t.a_log_of_another_release),
    _forgery(Code.TOPOLOGY_ENGINE_VERSION, t.another_release_by_its_own_word, PCIE),
    _forgery(Code.TOPOLOGY_LOG, t.the_log_of_a_longer_run),
    _forgery(Code.TOPOLOGY_LOG, t.a_response_without_a_line_in_the_log, CPU_IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_DEVICE, t.a_cpu_in_place_of_the_gpus, PCIE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, t.a_flag_that_is_not_planned),
    _forgery(Code.TOPOLOGY_ARGUMENTS, t.a_flag_left_out, PCIE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, t.a_flag_with_another_value, PCIE),
    _forgery(Code.TOPOLOGY_MODEL, o.another_model_by_the_log),
    _forgery(Code.TOPOLOGY_MODEL, o.another_tokenizer_by_the_log, GPU_ONE),
    _forgery(Code.TOPOLOGY_MODEL, o.another_architecture_by_the_log, PCIE),
    _forgery(Code.TOPOLOGY_MODEL, o.more_cache_than_a_card_holds, NVLINK),
    _forgery(Code.TOPOLOGY_MODEL, o.less_cache_than_one_request_takes, PCIE),
    _forgery(Code.TOPOLOGY_TRANSPORT, o.ranks_that_talk_over_gloo, NVLINK),
    _forgery(Code.TOPOLOGY_TRANSPORT, o.one_rank_of_two, PCIE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.a_cache_of_smaller_values, GPU_ONE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.no_cuda_graphs, PCIE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.tokens_guessed_ahead),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.weights_that_were_made_up, PCIE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.weights_that_were_quantized),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.weights_of_another_quantization, GPU_ONE),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.weights_that_are_not_quantized, FP8),
    _forgery(Code.TOPOLOGY_ARGUMENTS, o.more_engines_than_planned, NVLINK),
    _forgery(Code.TOPOLOGY_KERNELS, o.four_bits_sold_as_eight, NVLINK),
    _forgery(Code.TOPOLOGY_LOG, o.the_nccl_log_of_another_run, NVLINK),
    _forgery(Code.TOPOLOGY_LOG, o.the_nccl_log_of_one_rank_of_another_run, PCIE),
    _forgery(Code.TOPOLOGY_LOG, o.an_engine_that_was_started_again),
    _forgery(Code.TOPOLOGY_LOG, o.the_nccl_log_of_another_release, PCIE),
    _forgery(Code.TOPOLOGY_LOG, o.a_log_of_another_day_without_completions),
    _forgery(Code.TOPOLOGY_LOG, o.a_log_of_another_day_without_completions, CPU_IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTEXT_LIMIT, t.another_context_limit, PCIE),
    _forgery(Code.TOPOLOGY_ALL_REDUCE, t.custom_all_reduce_in_use, PCIE),
    _forgery(Code.TOPOLOGY_ALL_REDUCE, t.custom_all_reduce_left_on, NVLINK),
    _forgery(Code.TOPOLOGY_KERNELS, t.experts_without_marlin, PCIE),
    _forgery(Code.TOPOLOGY_KERNELS, t.attention_without_marlin, PCIE),
    _forgery(Code.TOPOLOGY_KERNELS, t.a_layer_without_marlin, DENSE),
    _forgery(Code.TOPOLOGY_NVLINK, t.no_nvlink_link_up, NVLINK),
    _forgery(Code.TOPOLOGY_NVLINK, t.counters_of_nvlink_that_stand_still, NVLINK),
    _forgery(Code.TOPOLOGY_NVLINK, t.traffic_over_nvlink, PCIE),
    _forgery(Code.TOPOLOGY_SLOWDOWN, t.slowed_down_by_heat, NVLINK),
    _forgery(Code.TOPOLOGY_SLOWDOWN, t.slowed_down_by_the_board, GPU_ONE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_without_an_end, PCIE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_that_ends_early, PCIE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_that_begins_late, PCIE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_of_another_run, PCIE),
    _forgery(Code.PHYSICS_ROOFLINE, g.an_idle_card_that_nobody_knows, NVLINK),
    _forgery(Code.TOPOLOGY_TELEMETRY, g.readings_of_cards_that_are_not_there, NVLINK),
    _forgery(Code.TOPOLOGY_TELEMETRY, g.readings_of_one_card_twice, NVLINK),
    _forgery(Code.TOPOLOGY_TELEMETRY, g.one_card_listed_twice, NVLINK),
    _forgery(Code.PHYSICS_MEMORY_CLOCK, g.memory_that_runs_at_any_speed, GPU_ONE),
    _forgery(Code.TOPOLOGY_NVLINK, g.cards_that_are_not_linked_to_each_other, NVLINK),
    _forgery(Code.PHYSICS_POWER, g.a_slower_card_under_a_faster_ones_name, PCIE),
    _forgery(Code.PHYSICS_ROOFLINE, g.as_fast_with_memory_that_crawls, GPU_ONE),
    _forgery(Code.TOPOLOGY_TELEMETRY, g.a_sample_from_after_the_end, PCIE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_of_one_gpu, PCIE),
    _forgery(Code.TOPOLOGY_TELEMETRY, t.telemetry_out_of_order, PCIE),
    _forgery(Code.PROTOCOL_EVIDENCE, t.no_telemetry_and_not_a_word_about_it, GPU_ONE),
    _forgery(Code.PROTOCOL_EVIDENCE, t.no_nccl_log_and_not_a_word_about_it, PCIE),
    _forgery(Code.PROTOCOL_BASE_IMAGE, t.images_on_another_base, CPU_IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.a_gpu_too_few, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.gpus_to_be_looked_at_alone, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.a_gpu_for_a_cpu_topology, CPU_IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.a_container_that_nobody_knows, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.no_client, CPU_IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.gpus_for_the_client, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.no_container_that_looks_at_the_gpus, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.telemetry_of_other_gpus_than_serve, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.telemetry_that_may_compute, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.a_look_at_the_gpus_for_the_client, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.an_image_of_another_model, IN_CONTAINERS),
    _forgery(Code.TOPOLOGY_CONTAINERS, t.facts_of_another_host, CPU_IN_CONTAINERS),
    _forgery(Code.PROTOCOL_EVIDENCE, t.no_facts_and_not_a_word, CPU_IN_CONTAINERS),
    _forgery(Code.PHYSICS_ROOFLINE, p.ten_times_as_fast, GPU_ONE),
    _forgery(Code.PHYSICS_ROOFLINE, p.ten_times_as_fast, NVLINK),
    _forgery(Code.PHYSICS_ROOFLINE, p.one_and_a_half_times_as_fast, DENSE_ON_ONE),
    _forgery(Code.PHYSICS_ROOFLINE, p.a_memory_clock_that_would_explain_it, GPU_ONE),
    _forgery(Code.PHYSICS_MEMORY_CLOCK, p.a_memory_clock_that_would_explain_it, GPU_ONE),
    _forgery(Code.PHYSICS_PREFILL, p.a_first_token_before_its_prompt, COLD_ON_GPUS),
    _forgery(Code.PHYSICS_STREAM, p.ten_times_as_fast, PCIE),
    _forgery(Code.PHYSICS_STREAM, p.chunks_five_times_as_fast, DENSE_ON_ONE),
    _forgery(Code.PHYSICS_STREAM, p.late_chunks_all_at_once, GPU_ONE),
    _forgery(Code.PHYSICS_POWER, p.telemetry_of_an_idle_machine, NVLINK),
    _forgery(Code.PHYSICS_POWER, p.one_gpu_of_two_at_work, PCIE),
    _forgery(Code.PHYSICS_POWER, p.too_little_power_for_the_tokens, DENSE_ON_ONE),
    _forgery(Code.PHYSICS_POWER, p.more_power_than_the_card_may_draw, GPU_ONE),
    _forgery(Code.ARITHMETIC_CLOCK, c.a_clock_that_jumps_by_hours),
    _forgery(Code.ARITHMETIC_CLOCK, c.a_clock_that_runs_backwards, ENDPOINT),
    _forgery(Code.ARITHMETIC_RESOLUTION, c.durations_in_milliseconds),
    _forgery(Code.ARITHMETIC_RESOLUTION, c.chunks_on_a_grid, ENDPOINT),
    _forgery(Code.ARITHMETIC_REPEATS, c.three_durations_for_all),
    _forgery(Code.ARITHMETIC_REPEATS, c.a_pass_copied_under_another_number, PCIE),
    _forgery(Code.ARITHMETIC_REPEATS, c.durations_copied_into_another_pass, OPENAI),
    _forgery(Code.ARITHMETIC_OVERLAP, c.one_pace_for_all),
    _forgery(Code.ARITHMETIC_STREAM_WITNESS, c.chunks_equally_far_apart, NVLINK),
    _forgery(Code.PROTOCOL_COPIES, c.a_pass_copied_under_another_number),
    _forgery(Code.PROTOCOL_COPIES, c.responses_copied_into_another_pass, CPU_TWO),
    _forgery(Code.PROTOCOL_COPIES, c.responses_copied_from_two_passes),
)


def page() -> str:
    """Return `tests/cases/README.md`: every kind of tampering, with the codes that name it."""
    kinds: dict[str, list[str]] = {}
    for case in CASES:
        codes = kinds.setdefault(case.name.replace("_", " "), [])
        codes += [] if f"`{case.code.id}`" in codes else [f"`{case.code.id}`"]
    rows = "".join(f"| {kind} | {' '.join(codes)} |\n" for kind, codes in kinds.items())
    return (
        f"# Tampering\n\n{len(kinds)} ways to tamper with a good bundle, hashes made right again "
        "where a forger would, and the code\nthat each must be given (`tampering.py`). This page "
        "is generated, and a test holds the two together.\n\n| What was done | What names it |\n"
        f"| --- | --- |\n{rows}"
    )
