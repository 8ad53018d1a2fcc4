"""A loopback server that answers as the Hugging Face hub does for one repository."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves a folder as the files of a repository; a context manager.

    requests: every method and path asked for.
    """

    def __init__(self, repository: str, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

            def do_GET(self) -> None:
                hub._answer(self, body=True)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = handler.path.partition("?")[0]
        self.requests.append(f"{handler.command} {path}")
        status, content, headers = self._content(path)
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if body:
            handler.wfile.write(content)

    def _content(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        api = f"/api/models/{self.repository}"
        names = sorted(p.name for p in self.folder.iterdir())
        if path.startswith(f"{api}/tree/"):
            tree = [self._leaf(name) for name in names]
            return 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}
        if path == api or path.startswith(f"{api}/revision/"):
            info = {
                "id": self.repository,
                "sha": COMMIT,
                "siblings": [{"rfilename": name} for name in names],
            }
            return 200, json.dumps(info).encode(), {"Content-Type": "application/json"}
        prefix = f"/{self.repository}/resolve/{COMMIT}/"
        name = path.removeprefix(prefix)
        if path.startswith(prefix) and name in names:
            content = (self.folder / name).read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            return 200, content, headers
        return 404, b"", {"X-Error-Code": "RepoNotFound"}

    def _leaf(self, name: str) -> dict[str, object]:
        content = (self.folder / name).read_bytes()
        oid = hashlib.sha1(content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}
