"""Asks a server that runs already what it is: its address, its kind, its models."""

import re
from typing import Any

import msgspec
import urllib3

from kit.edge.connection import Failed, HttpConnection
from kit.errors import MachineError, UsageError
from kit.plan.plan import Dialect

PROBE_TIMEOUT_S = 30.0

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


def base_url(url: str) -> str:
    """Return an endpoint's URL without a path; raise `UsageError` for what is not over HTTP."""
    try:
        parts = urllib3.util.parse_url(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.host) and parts.port != 0
    except urllib3.exceptions.LocationParseError:
        is_http = False
    if not is_http:
        raise UsageError(
            f"not an endpoint: {url!r}",
            "expected http://HOST:PORT or https://HOST",
            "kit bench --endpoint http://127.0.0.1:8000",
        )
    return url.rstrip("/").removesuffix("/v1")


def dialect_of(base_url: str) -> Dialect:
    """Return VLLM for a server that answers `/version`: it then knows vLLM's extensions."""
    return Dialect.VLLM if engine_version(base_url) else Dialect.OPENAI


def engine_version(base_url: str) -> str | None:
    """Return the version of a vLLM server; None where another server or another text answers."""
    version = _probe(base_url, "/version").get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def served_models(base_url: str) -> tuple[str, ...]:
    """Return the names of the server's models; raise `MachineError` where it lists none."""
    listing = _probe(base_url, "/v1/models").get("data")
    models = listing if isinstance(listing, list) else []
    names = [model.get("id") for model in models if isinstance(model, dict)]
    served = tuple(name for name in names if isinstance(name, str))
    if not served:
        raise MachineError(
            f"{base_url} does not list its models",
            "expected an OpenAI-compatible server that answers /v1/models",
            f"curl {base_url}/v1/models",
        )
    return served


def _probe(base_url: str, path: str) -> dict[str, Any]:
    connection = HttpConnection()
    try:
        answer = msgspec.json.decode(connection.get(base_url + path, PROBE_TIMEOUT_S))
    except (Failed, msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}
