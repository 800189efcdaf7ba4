"""A small stand-in for the Hugging Face hub, on loopback. Only the standard library.

    python tests/stand_in_hub.py FOLDER

serves a folder as one repository. Paths, redirects and headers are the real hub's, by its
documentation and its public clients: `/api/models/...` describes a repository and lists its files;
`/{repository}/resolve/{revision}/{file}` sends a small file, or redirects to a cache on the same
host; for a large file it redirects to a storage on another port, with the file's SHA-256 as
`X-Linked-Etag`. `faults` is what it does wrong, if anything: one fault a request, so that it can
recover after some.
"""

import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORY = "stand-in/model"
REVISION = "5ca1ab1e" * 5
LARGE_BYTES = 1000
"""Larger files are in the storage (LFS); the real hub's limit is 10 MB."""


class Fault(Enum):
    """What is done wrong, with requests for files unless said otherwise."""

    CORRUPT = "corrupt"  # one bit of the body is flipped
    CORRUPT_LISTED = "corrupt-listed"  # the listing's digests are wrong
    OTHER_FILE = "other-file"  # of the same size, with its own digest
    CUT = "cut"  # the connection is reset in the middle
    CUT_CLEANLY = "cut-cleanly"  # closed before the end of Content-Length
    CUT_UNSEEN = "cut-unseen"  # closed, with no Content-Length
    NO_RANGES = "no-ranges"  # 200 and the whole file, whatever range is requested
    WRONG_RANGE = "wrong-range"  # 206 from another byte on, with the right Content-Range
    LYING_RANGE = "lying-range"  # 206 with the requested Content-Range and the file's beginning
    BAD_RANGE = "bad-range"  # 206 without a Content-Range
    REFUSES_RANGE = "refuses-range"  # 416
    HTTP_401 = "http-401"
    HTTP_404 = "http-404"
    HTTP_418 = "http-418"
    HTTP_429 = "http-429"
    HTTP_500 = "http-500"
    LARGER = "larger"  # headers have a size of one byte more
    SMALLER = "smaller"  # headers have a size of one byte less
    LINKED_SIZE = "linked-size"  # X-Linked-Size has one byte more
    LONGER_BODY = "longer-body"  # the body is longer than the file
    LISTED_SIZE = "listed-size"  # the listing has one byte more
    OTHER_COMMIT = "other-commit"  # X-Repo-Commit is another revision
    LOOPS = "loops"
    TO_A_FILE = "to-a-file"  # redirects to file:///etc/passwd
    TO_NOWHERE = "to-nowhere"  # redirects without a Location
    SMALL_FROM_CACHE = "small-from-cache"  # 307 to /api/resolve-cache, which is no fault
    NOT_HTTP = "not-http"
    SILENT = "silent"
    DRIPS = "drips"  # one byte every 20 ms
    GARBAGE = "garbage"  # the API answers in HTML
    PAGES = "pages"  # the listing has another page
    MOVED = "moved"  # the API names another revision


STATUSES = {
    Fault.HTTP_401: 401,
    Fault.HTTP_404: 404,
    Fault.HTTP_418: 418,
    Fault.HTTP_429: 429,
    Fault.HTTP_500: 500,
    Fault.REFUSES_RANGE: 416,
}


@dataclass
class Seen:
    """One request."""

    place: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class StandInHub:
    """The files to serve, the faults to have, and the requests so far."""

    files: Mapping[str, bytes]
    repository: str = REPOSITORY
    revision: str = REVISION
    licence: str = "apache-2.0"
    faults: list[Fault | None] = field(default_factory=list)
    """One for each request for a file; the last one stays. The API's hold for every request."""
    seen: list[Seen] = field(default_factory=list)
    endpoint: str = ""
    storage: str = ""

    @contextmanager
    def serving(self, *others: "StandInHub") -> Iterator["StandInHub"]:
        """Serve until the block ends, and other repositories at the same addresses."""
        hubs = (self, *others)
        with _server(hubs, "hub") as endpoint, _server(hubs, "storage") as storage:
            for hub in hubs:
                hub.endpoint, hub.storage = endpoint, storage
            yield self

    def has(self, path: str) -> bool:
        """Tell whether a path is of this repository, or of one of its files in the storage."""
        return f"/{self.repository}/" in f"{path}/" or any(
            path.endswith(sha256(data)) for data in self.files.values()
        )

    def next_fault(self) -> Fault | None:
        return self.faults.pop(0) if len(self.faults) > 1 else next(iter(self.faults), None)

    def listing(self) -> list[dict[str, Any]]:
        """Return the response of `/tree/`."""
        folders = {name.rpartition("/")[0] for name in self.files if "/" in name}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
            for name in sorted(folders)
        ]
        return entries + [self._entry(name, data) for name, data in self.files.items()]

    def _entry(self, name: str, data: bytes) -> dict[str, Any]:
        wrong = Fault.CORRUPT_LISTED in self.faults
        size = len(data) + (Fault.LISTED_SIZE in self.faults)
        entry: dict[str, Any] = {"type": "file", "path": name, "size": size}
        if is_large(data):
            digest = sha256(data + b"x" * wrong)
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize "
            whole = f"{pointer}{size}\n".encode()
            entry["oid"] = git_blob(whole)
            entry["lfs"] = {"oid": digest, "size": size, "pointerSize": len(whole)}
        else:
            entry["oid"] = git_blob(data + b"x" * wrong)
        return entry


def _sibling(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file as `/revision/...?blobs=true` describes it."""
    large = entry.get("lfs")
    lfs = large and {"size": large["size"], "sha256": large["oid"], "pointerSize": 134}
    sibling = {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
    return {**sibling, "lfs": lfs} if lfs else sibling


def is_large(data: bytes) -> bool:
    """Tell whether a file is in the storage."""
    return len(data) > LARGE_BYTES


@lru_cache(maxsize=64)
def sha256(data: bytes) -> str:
    """Return the SHA-256 of a file, its name in the storage."""
    return hashlib.sha256(data).hexdigest()


def git_blob(data: bytes) -> str:
    """Return the id of a file's git object."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def _server(hubs: Sequence[StandInHub], place: str) -> Iterator[str]:
    handler = type("Bound", (_Handler,), {"hubs": hubs, "place": place})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Print nothing: clients disconnect because of the faults."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hubs: Sequence[StandInHub]
    place: str

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub = next((hub for hub in self.hubs if hub.has(path)), self.hubs[0])
        self.hub.seen.append(
            Seen(self.place, self.path, self.headers["Range"], self.headers["Authorization"])
        )
        self.close_connection = True
        api = f"/api/models/{self.hub.repository}"
        resolved = re.fullmatch(rf"/{self.hub.repository}/resolve/(\w+)/(.+)", path)
        if self.place == "storage":
            self._stored(path.removeprefix("/"))
        elif path.startswith("/api/resolve-cache/"):
            name = unquote(path.partition(f"/{self.hub.revision}/")[2])
            self._send_file(self.hub.files[name], None)
        elif path == api or path.startswith(f"{api}/"):
            self._api(path.removeprefix(api))
        elif resolved:
            self._resolve(resolved[1], unquote(resolved[2]))
        else:
            self._status(404)

    do_HEAD = do_GET  # noqa: N815  # as http.server names them

    # The API

    def _api(self, rest: str) -> None:
        hub = self.hub
        statuses = [STATUSES[fault] for fault in hub.faults if fault in STATUSES]
        if statuses:
            hub.faults.pop(0)
            self._status(statuses[0])
        elif Fault.GARBAGE in hub.faults:
            self._send(200, b"<html>", {"Content-Type": "text/html"})
        elif rest in ("", f"/revision/{hub.revision}"):
            sha = "0" * 40 if Fault.MOVED in hub.faults else hub.revision
            card = {"license": hub.licence}
            siblings = [_sibling(entry) for entry in hub.listing() if entry["type"] == "file"]
            document = {"id": hub.repository, "sha": sha, "cardData": card, "siblings": siblings}
            self._json(document)
        elif rest == f"/tree/{hub.revision}":
            more = {"Link": f'<{hub.endpoint}{self.path}&cursor=x>; rel="next"'}
            self._json(hub.listing(), more if Fault.PAGES in hub.faults else {})
        else:
            gone = rest.startswith("/revision/")
            self._send(404, b"no", {"X-Error-Code": "RevisionNotFound"} if gone else {})

    def _json(self, document: object, headers: Mapping[str, str] = {}) -> None:
        self._send(200, json.dumps(document).encode(), headers)

    # Files

    def _resolve(self, revision: str, name: str) -> None:
        data = self.hub.files.get(name)
        fault = self.hub.next_fault()
        if data is None or revision not in (self.hub.revision, "main"):
            self._status(404)
        elif fault in STATUSES and not (fault is Fault.REFUSES_RANGE and not self._first_byte()):
            self._status(STATUSES[fault])
        elif fault in (Fault.LOOPS, Fault.TO_A_FILE, Fault.TO_NOWHERE):
            self._send(302, b"", _places(self.path)[fault])
        elif is_large(data):
            self._redirect_to_storage(data, fault)
        elif fault is Fault.SMALL_FROM_CACHE:
            cached = f"/api/resolve-cache/models/{self.hub.repository}/{self.hub.revision}/{name}"
            self._send(307, b"", {"Location": cached, **self._commit(fault)})
        else:
            self._send_file(data, fault)

    def _redirect_to_storage(self, data: bytes, fault: Fault | None) -> None:
        digest = sha256(other(data) if fault is Fault.OTHER_FILE else data)
        headers = {
            "Location": f"{self.hub.storage}/{fault.name if fault else '-'}/"
            f"{sha256(data)}?X-Amz-Signature=s",
            "X-Linked-Size": str(len(data) + (fault is Fault.LINKED_SIZE)),
            "X-Linked-ETag": f'"{digest}"',
            "Accept-Ranges": "bytes",
            **self._commit(fault),
        }
        self._send(302, b"Found. Redirecting", headers)

    def _stored(self, path: str) -> None:
        name, _, digest = path.partition("/")
        fault = None if name == "-" else Fault[name]
        data = next(data for data in self.hub.files.values() if sha256(data) == digest)
        self._send_file(data, fault)

    def _commit(self, fault: Fault | None) -> dict[str, str]:
        commit = "0" * 40 if fault is Fault.OTHER_COMMIT else self.hub.revision
        return {"X-Repo-Commit": commit}

    def _first_byte(self) -> int:
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        return int(requested[1]) if requested else 0

    def _send_file(self, data: bytes, fault: Fault | None) -> None:
        whole = {Fault.CORRUPT: corrupted, Fault.OTHER_FILE: other}.get(fault, bytes)(data)
        start = 0 if fault is Fault.NO_RANGES else min(self._first_byte(), len(data))
        if start and fault is Fault.WRONG_RANGE:
            start -= 1
        body = whole[:-start] if start and fault is Fault.LYING_RANGE else whole[start:]
        total = len(data) + {Fault.LARGER: 1, Fault.SMALLER: -1}.get(fault, 0)
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{git_blob(data)}"', **self._commit(fault)}
        if start and fault is not Fault.BAD_RANGE:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        self._send_body(206 if start else 200, body, headers, fault)

    def _send_body(
        self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None
    ) -> None:
        match fault:
            case Fault.NOT_HTTP:
                self.wfile.write(b"220 ready\r\n")
            case Fault.SILENT:
                time.sleep(3)
            case Fault.DRIPS:
                self._send(status, body, headers, sent=0)
                for position in range(len(body)):
                    self.wfile.write(body[position : position + 1])
                    time.sleep(0.02)
            case Fault.CUT | Fault.CUT_CLEANLY:
                self._send(status, body, headers, sent=len(body) // 2)
                if fault is Fault.CUT:
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
            case Fault.CUT_UNSEEN:
                self._send(status, body[: len(body) // 2], {**headers, "Content-Length": ""})
            case Fault.LONGER_BODY:
                self._send(status, body + b"more", {**headers, "Content-Length": ""})
            case Fault.LARGER | Fault.SMALLER:
                more = 1 if fault is Fault.LARGER else -1
                self._send(status, body, {**headers, "Content-Length": str(len(body) + more)})
            case _:
                self._send(status, body, headers)

    def _status(self, status: int) -> None:
        self._send(status, b"no", {"Retry-After": "7"} if status == 429 else {})

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
        self.wfile.flush()


def _places(path: str) -> Mapping[Fault, Mapping[str, str]]:
    return {
        Fault.LOOPS: {"Location": path},
        Fault.TO_A_FILE: {"Location": "file:///etc/passwd"},
        Fault.TO_NOWHERE: {},
    }


def corrupted(data: bytes) -> bytes:
    """Return the data with one bit flipped in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :] if data else data


def other(data: bytes) -> bytes:
    """Return other data of the same size."""
    return bytes(len(data))


def main() -> None:
    """Serve a folder until interrupted."""
    root = Path(sys.argv[1])
    files = {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    with StandInHub(files).serving() as hub:
        print(f"HF_ENDPOINT={hub.endpoint}  {hub.repository}  {hub.revision}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
