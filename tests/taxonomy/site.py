"""A web site on loopback that behaves badly on request: the Census Bureau's site for tests."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote

Fault = int | Literal["drop", "ignore-range", "wrong-range", "no-version", "ok"]
"""What to do with a request instead of answering well: a status, or

drop: send half of the body, then cut the connection. ignore-range: send all of it. wrong-range:
send another range than the one asked for. no-version: drop, and name no version of the file.
"""


class Site:
    """Files by path. `faults` are used up in order; `ranges` records the Range of each request."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: list[Fault] = []
        self.ranges: list[str | None] = []
        self.etag = '"v1"'
        self.url = ""


@contextmanager
def serving(files: dict[str, bytes], faults: Sequence[Fault] = ()) -> Iterator[Site]:
    """Serve the files on a free loopback port until the block ends."""
    site = Site(files)
    site.faults = list(faults)
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.site
        site.ranges.append(self.headers["Range"])
        fault = site.faults.pop(0) if site.faults else "ok"
        body = site.files.get(unquote(self.path))
        if isinstance(fault, int):
            self._send(fault, b"", {})
        elif body is None:
            self._send(404, b"", {})
        else:
            self._send_file(body, fault)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def _send_file(self, body: bytes, fault: Fault) -> None:
        headers = {} if fault == "no-version" else {"ETag": self.site.etag}
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = self.headers["If-Range"] == self.site.etag
        status = 200
        if match is not None and same and fault != "ignore-range":
            start = int(match[1]) - (fault == "wrong-range")
            if start >= len(body):
                self._send(416, b"", {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[start:]
        self._send(status, body, headers, cut=fault in ("drop", "no-version"))

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut
