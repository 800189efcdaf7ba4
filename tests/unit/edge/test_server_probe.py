"""What a server says of itself, and odd answers to these questions."""

import pytest

from kit.edge import server_probe
from kit.errors import MachineError
from kit.plan.plan import Dialect
from tests.unit.edge.conftest import answering


def test_probes_of_a_vllm_server(stand_in: str) -> None:
    assert server_probe.dialect_of(stand_in) is Dialect.VLLM
    assert server_probe.engine_version(stand_in) == "0.17.0"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"version": 17, "data": {}}',
        b'{"version": "built by me@my-host /home/me", "data": [3, {"id": 3}]}',
        b'{"version": "' + b"1" * 100 + b'", "data": null}',
        b'["version"]',
        b"\xff\xfe",
        b"",
    ],
)
def test_odd_answers_to_probes_say_nothing(body: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as url:
        assert server_probe.engine_version(url) is None
        with pytest.raises(MachineError, match="does not list its models"):
            server_probe.served_models(url)


def test_an_error_page_is_no_version() -> None:
    body = b'{"version": "1"}'
    with answering(b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as url:
        assert server_probe.engine_version(url) is None
