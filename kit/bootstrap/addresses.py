"""Properties of a URL: over HTTP, its server, and whether others can read what is sent."""

import ipaddress
from urllib.parse import urlsplit


def is_http(address: str) -> bool:
    """Return whether it is the URL of a server over HTTP."""
    try:
        parts = urlsplit(address)
        port_fits = parts.port != 0  # raises for one that is no number, or too large
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_fits


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: equal for two URLs of one server."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port


def is_private(address: str) -> bool:
    """Return whether it is encrypted or on loopback."""
    parts = urlsplit(address)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
