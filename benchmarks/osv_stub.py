"""A service of OSV's API on loopback over any records, which can fail in the ways of the world; for tests and audit.py.

`POST /v1/query`, `POST /v1/querybatch` and `GET /v1/vulns/{id}`, as pip-audit, uv and others use them.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import Advisory, MalformedError, advisory_of
from pytest_artisan.audit.matching import Concern, concern
from pytest_artisan.audit.records import names_in

_TICK_S = 0.02
_HUGE = 40 << 20
_PIECE = b" " * (1 << 20)
_JSON = {"Content-Type": "application/json"}
Answer = dict[str, Any]


class Database:
    """Records by the packages that they name; one that can not be read concerns every version of those."""

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.by_id = {str(record.get("id")): record for record in records}
        self._by_name: dict[str, list[tuple[Advisory | None, Mapping[str, Any]]]] = {}
        for record in records:
            text = json.dumps(record).encode()
            try:
                advisory = advisory_of(text)
                names = advisory.packages
            except MalformedError:
                advisory, names = None, frozenset(names_in(text))
            for name in names:
                self._by_name.setdefault(name, []).append((advisory, record))

    def about(self, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        name, version = canonicalize_name(query["package"]["name"]), query.get("version")
        known = self._by_name.get(name, ())
        if version is None:
            return [r for _, r in known]
        return [r for a, r in known if a is None or concern(a, name, version) is not Concern.NOT_AFFECTED]


class Server(ThreadingHTTPServer):
    def __init__(self, database: Database, fault: str, page_size: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.database, self.fault, self.page_size = database, fault, page_size
        self.queries = list[Mapping[str, Any]]()
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def heard(self, query: Mapping[str, Any]) -> int:
        """Which query it is, from 1 on."""
        with self._lock:
            self.queries.append(query)
            return len(self.queries)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is what some faults are for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else headers and body go out apart, and the second waits for the first one's acknowledgement.
    wbufsize = -1

    @property
    def at(self) -> Server:
        return cast(Server, self.server)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/query":
            number = self.at.heard(asked)
            answer = _paged(self.at.database.about(asked), self.at.page_size, asked.get("page_token"))
            FAULTS[self.at.fault](self, answer, number)
        elif self.path == "/v1/querybatch":
            found = [self.at.database.about(query) for query in asked["queries"]]
            results = [{"vulns": [{k: r[k] for k in ("id", "modified")} for r in records]} for records in found]
            self.send(json.dumps({"results": results}).encode())
        else:
            self.send(b'{"code":5,"message":"Not found."}', 404)

    def do_GET(self) -> None:
        record = self.at.database.by_id.get(self.path.removeprefix("/v1/vulns/"))
        if record is None:
            self.send(b'{"code":5,"message":"Bug not found."}', 404)
        else:
            self.send(json.dumps(record).encode())

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.head(status, **{"Content-Length": str(len(body)), **headers})
        self.write(body)

    def head(self, status: int = 200, **headers: str) -> None:
        """The status and the headers; an underscore in a name is a hyphen."""
        self.send_response(status)
        for name, value in {**_JSON, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def write(self, body: bytes) -> None:
        self.wfile.write(body)
        self.wfile.flush()

    def wait(self) -> None:
        self.write(b"")
        self.at.stopping.wait()
        self.close_connection = True

    def reset(self) -> None:
        """End the connection as a machine that fails does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever looks for what it was asked finds it in `queries`."""


def _paged(records: Sequence[Mapping[str, Any]], size: int, token: str | None) -> Answer:
    first = int(token) if token and token.isdigit() else 0
    answer: Answer = {"vulns": records[first : first + size]} if records[first:] else {}
    return answer | ({"next_page_token": str(first + size)} if records[first + size :] else {})


# What each of them does with an answer that would be right; `number` counts the queries so far.
Fault = Callable[[_Handler, Answer, int], None]


def _right(handler: _Handler, answer: Answer, number: int) -> None:
    handler.send(json.dumps(answer).encode())


def _status(status: int, body: bytes = b"{}", **headers: str) -> Fault:
    return lambda handler, answer, number: handler.send(body, status, **headers)


def _instead(body: bytes, **headers: str) -> Fault:
    return _status(200, body, **headers)


def _first(fault: Fault, queries: int = 1) -> Fault:
    """A fault of the first queries alone."""
    return lambda handler, answer, number: (fault if number <= queries else _right)(handler, answer, number)


def _with_record(record: Answer) -> Fault:
    """Each answer has one record more."""
    return lambda handler, answer, number: _right(handler, {"vulns": [*answer.get("vulns", ()), record]}, number)


def _cut(handler: _Handler, answer: Answer, number: int) -> None:
    body = json.dumps({"vulns": [], **answer}).encode()
    handler.send(body[: len(body) // 2])


def _length(change: int) -> Fault:
    """The header Content-Length is wrong by so many bytes, and the connection ends behind what there is."""

    def answered(handler: _Handler, answer: Answer, number: int) -> None:
        body = json.dumps({"vulns": [], **answer}).encode()
        handler.head(Content_Length=str(len(body) + change))
        handler.write(body)
        handler.close_connection = True

    return answered


def _hang(handler: _Handler, answer: Answer, number: int) -> None:
    handler.wait()


def _hang_after_headers(handler: _Handler, answer: Answer, number: int) -> None:
    handler.head(Content_Length="1000")
    handler.wait()


def _drip(handler: _Handler, answer: Answer, number: int) -> None:
    """A space every moment: an answer that never ends, and never rests."""
    handler.head(Content_Length=str(_HUGE))
    while not handler.at.stopping.wait(_TICK_S):
        handler.write(b" ")


def _drip_of_headers(handler: _Handler, answer: Answer, number: int) -> None:
    handler.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.at.stopping.wait(_TICK_S):
        handler.write(b"x")


def _huge(handler: _Handler, answer: Answer, number: int) -> None:
    handler.head(Content_Length=str(_HUGE))
    for _ in range(_HUGE // len(_PIECE)):
        handler.write(_PIECE)


def _token_first(handler: _Handler, answer: Answer, number: int) -> None:
    """As OSV allows it: a page that has a token alone, where there was no time for more."""
    asked = handler.at.queries[number - 1]
    if "page_token" in asked:
        _right(handler, answer, number)
    else:
        _right(handler, {"next_page_token": "0"}, number)


def _endless(handler: _Handler, answer: Answer, number: int) -> None:
    _right(handler, {"next_page_token": str(number)}, number)


def _other_host(handler: _Handler, answer: Answer, number: int) -> None:
    handler.send(b"", 307, Location="http://user:hunter2@elsewhere.invalid/v1/query?key=hunter2")


def _same_host(handler: _Handler, answer: Answer, number: int) -> None:
    handler.send(b"", 307, Location=handler.at.url + handler.path)


def _reset(handler: _Handler, answer: Answer, number: int) -> None:
    handler.reset()


def _reset_after_headers(handler: _Handler, answer: Answer, number: int) -> None:
    handler.head(Content_Length="1000")
    handler.reset()


def _of(package: str, **changes: Any) -> Answer:
    part = {"package": {"ecosystem": "PyPI", "name": package}, "versions": ["1.0"]}
    return {"id": "PYSEC-BAD", "modified": "2026-11-23T00:00:00Z", "affected": [part], **changes}


_HTML = b"<!doctype html><title>Sign in</title>"
_ERROR = b'{"code": 13, "message": "internal error"}'
FAULTS: Mapping[str, Fault] = {
    "none": _right,
    "status 400": _status(400, b'{"code": 3, "message": "Invalid query."}'),
    "status 401": _status(401),
    "status 404": _status(404, _HTML),
    "status 429": _status(429),
    "status 429 for an hour": _status(429, Retry_After="3600"),
    "status 429 for a second": _first(_status(429, Retry_After="1")),
    "status 500": _status(500, b""),
    "status 503": _status(503, _HTML),
    "status 503 once": _first(_status(503)),
    "status 204": _status(204, b""),
    "HTML": _instead(_HTML, Content_Type="text/html"),
    "knows nothing": _instead(b"{}"),
    "no vulnerabilities": _instead(b'{"vulns": []}'),
    "empty": _instead(b""),
    "truncated": _cut,
    "length too long": _length(+10),
    "length too short": _length(-3),
    "hang": _hang,
    "hang after headers": _hang_after_headers,
    "slow drip": _drip,
    "slow drip of headers": _drip_of_headers,
    "token-only page": _token_first,
    "endless token": _endless,
    "same token": _instead(b'{"vulns": [], "next_page_token": "again"}'),
    "token that is a number": _instead(b'{"vulns": [], "next_page_token": 5}'),
    "redirect to another host": _other_host,
    "redirect to itself": _same_host,
    "malformed record": _with_record(_of("p", affected=5)),
    "record that is none": _with_record(cast(Answer, "PYSEC-BAD")),
    "record without an id": _with_record(_of("p", id="")),
    "another package": _with_record(_of("somebody-else")),
    "another ecosystem": _with_record(_of("p", affected=[{"package": {"ecosystem": "npm", "name": "p"}}])),
    "error": _instead(b'{"error": {"code": 500, "message": "internal error"}}'),
    "code": _instead(_ERROR),
    "error beside records": _instead(b'{"vulns": [], "error": "timed out"}'),
    "list": _instead(b"[]"),
    "null": _instead(b"null"),
    "number of vulnerabilities": _instead(b'{"vulns": 5}'),
    "null of vulnerabilities": _instead(b'{"vulns": null}'),
    "huge": _huge,
    "UTF-16": _instead('{"vulns": []}'.encode("utf-16")),
    "Latin-1": _instead('{"vulns": [{"id": "é", "modified": ""}]}'.encode("latin-1")),
    "nested": _instead(b'{"vulns": ' + b"[" * 100_000),
    "no gzip": _instead(b'{"vulns": []}', Content_Encoding="gzip"),
    "gzip twice": _instead(gzip.compress(gzip.compress(b'{"vulns": []}')), Content_Encoding="gzip, gzip"),
    "reset": _reset,
    "reset once": _first(_reset),
    "reset after headers": _reset_after_headers,
}


class Leaping:
    """A clock for those who ask it: time goes on by itself, and leaps where somebody would wait."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return time.monotonic() + self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


@contextmanager
def served(records: Sequence[Mapping[str, Any]], fault: str = "none", page_size: int = 1000) -> Iterator[Server]:
    """The server; its `url` has no path, and `queries` are all that it was asked. It ends with the block."""
    server = Server(Database(records), fault, page_size)
    thread = threading.Thread(target=server.serve_forever, args=(_TICK_S,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        with suppress(OSError):
            server.server_close()
        thread.join()


@contextmanager
def serving(records: Sequence[Mapping[str, Any]], fault: str = "none", page_size: int = 1000) -> Iterator[str]:
    """The address of such a server; for the fault "refused", one where nobody listens."""
    if fault == "refused":
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        return
    with served(records, fault, page_size) as server:
        yield server.url
