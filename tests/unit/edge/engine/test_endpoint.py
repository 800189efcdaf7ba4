"""Which model of a server that runs already is measured, and under which name."""

import pytest

from kit.edge.engine import endpoint
from kit.edge.engine.endpoint import Endpoint
from kit.errors import UsageError
from tests.unit.edge.conftest import Serve


def test_the_only_model_is_found_and_a_path_is_not_published(serve: Serve) -> None:
    with serve("--model", "/home/alice/model") as url:
        server = endpoint.find(f"{url}/v1/", None, None)
    assert server == Endpoint(base_url=url, served_model="/home/alice/model", model="unnamed")
    assert server.private_words == {"/home/alice/model": "model"}


def test_names_that_are_given_are_taken_without_asking() -> None:
    server = endpoint.find("http://127.0.0.1:1", "owner/model", None)
    assert (server.served_model, server.model) == ("owner/model", "owner/model")
    assert server.private_words == {}
    assert endpoint.find("http://127.0.0.1:1", "owner/model", "moe").model == "moe"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://h", "http://", "http://[::1", "http://h:0", "http://h:99999"]
)
def test_what_is_not_over_http_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not an endpoint"):
        endpoint.find(url, "m", None)
