"""The records are the plan's requests: none missing, none added, in order, with their seeds."""

from collections import Counter
from collections.abc import Iterable, Iterator

from kit.bundle.document import Status
from kit.bundle.record import Record
from kit.check.check import Check, Problem, fail
from kit.check.evidence import Evidence, subject_of
from kit.plan.schedule import Phase, Request, requests

RequestKey = tuple[Phase, int, str]


def _requests(evidence: Evidence) -> Iterator[Problem]:
    """Compare the records with the plan: all of it, or its beginning if the run broke off."""
    done = [_record_key(record) for record in evidence.records]
    wanted = [_request_key(request) for request in requests(evidence.document.plan)]
    if evidence.document.status is Status.PARTIAL:
        wanted = wanted[: len(done)]
    if done == wanted:
        return
    missing, added = Counter(wanted) - Counter(done), Counter(done) - Counter(wanted)
    yield from _each(missing, "no record", "one record")
    yield from _each(added, "a record too many", "the plan's requests only")
    if not missing and not added:
        for position, (observed, expected) in enumerate(zip(done, wanted, strict=True), start=1):
            if observed != expected:
                yield fail(_name(observed), f"at position {position}", f"{_name(expected)} there")


def _each(keys: Iterable[RequestKey], observed: str, expected: str) -> Iterator[Problem]:
    for key in keys:
        yield fail(_name(key), observed, expected)


def _seeds(evidence: Evidence) -> Iterator[Problem]:
    planned = requests(evidence.document.plan)
    seeds = {_request_key(request): request.seed for request in planned}
    for record in evidence.records:
        expected = seeds.get(_record_key(record), record.seed)
        if record.seed != expected:
            yield fail(subject_of(record), f"seed {record.seed}", f"{expected}")


def _record_key(record: Record) -> RequestKey:
    return record.phase, record.pass_number, record.prompt_id


def _request_key(request: Request) -> RequestKey:
    return request.phase, request.pass_number, request.prompt_id


def _name(key: RequestKey) -> str:
    phase, number, prompt_id = key
    return f"{phase.value}-{number}/{prompt_id}"


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-requests",
        holds="the records are the plan's requests: none missing, none added, in order",
        hint="measure again: requests were dropped, repeated or swapped",
        look=_requests,
    ),
    Check(
        id="protocol-seed",
        holds="every request has the seed that the plan gives it",
        hint="measure again: a record was moved from one pass to another, or another seed was sent",
        look=_seeds,
    ),
)
