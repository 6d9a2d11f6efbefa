"""A server of HTTP with parts, ETags and redirects, which breaks connections and changes files on request."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

USER, PASSWORD = "reader", "a-password-that-no-message-may-hold"


@dataclass
class Served:
    """A file that is served.

    `cut_after`: connections break after so many bytes, as long as any are listed. `most_bytes`: parts have at most so
    many bytes, also where more were asked for, as servers may do.
    """

    content: bytes
    ranges: bool = True
    etag: bool = True
    login: bool = False
    status: int = 0
    location: str = ""
    cut_after: list[int] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    most_bytes: int = 1 << 62


class WebServer(ThreadingHTTPServer):
    """Files by their path. `asked` are the paths and ranges of requests, and `logins` what they prove who asks by."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str]] = []
        self.logins: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients close connections as they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, asked = self.path.partition("?")[0], self.headers.get("Range", "")
        self.server.asked.append((self.path, asked))
        self.server.logins.append(self.headers.get("Authorization", ""))
        served = self.server.files.get(path) or self.server.files.get(unquote(path))
        login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if served is None:
            return self._send(404)
        if served.failing:
            return self._send(served.failing.pop(0))
        if served.login and self.headers.get("Authorization") != login:
            return self._send(401)
        if served.status:
            return self._send(served.status, {"Location": served.location})
        content, etag = served.content, f'"{hashlib.sha256(served.content).hexdigest()[:16]}"'
        if served.etag and self.headers.get("If-Match", etag) != etag:
            return self._send(412)
        headers = {"ETag": etag, "Last-Modified": "Sun, 21 Apr 2013 12:00:00 GMT"} if served.etag else {}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if not (served.ranges and match):
            return self._send(200, headers, content, served)
        start, stop = int(match[1]), min(int(match[2] or len(content)) + 1, len(content))
        if start >= len(content):
            return self._send(416, {**headers, "Content-Range": f"bytes */{len(content)}"})
        stop = min(stop, start + served.most_bytes)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return self._send(206, headers, content[start:stop], served)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", served: Served | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if served and served.cut_after and len(body) > 1:
            self.wfile.write(body[: served.cut_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)


@contextlib.contextmanager
def web_server() -> Iterator[WebServer]:
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
