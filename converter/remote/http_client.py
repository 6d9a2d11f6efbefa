"""Requests by HTTP for a part of what a URL names. Its query may be a secret: no error has it."""

from __future__ import annotations

import contextlib
import functools
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import TypeAlias
from urllib.parse import urlsplit

import urllib3
from urllib3.util import Timeout

from converter.remote.tls import tls_context

FOREIGN: tuple[type[Exception], ...] = (urllib3.exceptions.HTTPError, HTTPException, OSError)
"""What requests raise."""
_CONNECTIONS = 64
Pool: TypeAlias = urllib3.HTTPConnectionPool | urllib3.PoolManager


class Requests:
    """Sends requests, over connections that are kept. Threads may share it."""

    def __init__(self, timeout: float, ca_file: str | None = None) -> None:
        self._timeout = Timeout(connect=timeout, read=timeout)
        self._ca_file = ca_file

    def get(self, url: str, headers: Mapping[str, str], start: int, stop: int | None) -> urllib3.BaseHTTPResponse:
        """Ask for the bytes from `start` up to `stop` or the end. Raises what is in `FOREIGN`."""
        end = "" if stop is None else str(stop - 1)
        asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={start}-{end}"}
        parts = urlsplit(url)
        server = f"{parts.scheme}://{parts.netloc}"
        pool, is_direct = self._pool(server)
        # A pool that gets the target alone does not parse the URL, which is long where it is signed.
        return pool.urlopen(
            "GET",
            url[len(server) :] if is_direct and parts.path else url,
            headers=asked,
            preload_content=False,
            redirect=False,
            retries=False,
            timeout=self._timeout,
        )

    @functools.cache  # noqa: B019 - it lives as long as the run
    def _pool(self, server: str) -> tuple[Pool, bool]:
        """Return the connections to a server, and whether they are to itself rather than to a proxy."""
        proxy = _proxy_of(server)
        manager = self._manager(proxy)
        return (manager.connection_from_url(server), True) if proxy is None else (manager, False)

    @functools.cache  # noqa: B019 - as above
    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        context = tls_context(self._ca_file, "http")
        if proxy is None:
            return urllib3.PoolManager(maxsize=_CONNECTIONS, ssl_context=context)
        return urllib3.ProxyManager(proxy, maxsize=_CONNECTIONS, ssl_context=context)


class Answer:
    """The bytes of an answer, as they are sent. Errors are those of `FOREIGN`."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        # urllib3 reads into memory of its own, and decodes what a part of an object cannot be decoded from.
        self._body: HTTPResponse = response._fp  # type: ignore[attr-defined]
        self._ended = False

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end."""
        count = self._body.readinto(view)
        self._ended = not count
        return count

    def close(self) -> None:
        """Keep the connection if the answer is read, else close it."""
        with contextlib.suppress(*FOREIGN):
            if self._ended or self._body.isclosed():
                self._response.release_conn()
            else:
                self._response.close()


def size_in(response: urllib3.BaseHTTPResponse) -> int | None:
    """Return how many bytes an object has in all, of which an answer has a part."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def begins_at(response: urllib3.BaseHTTPResponse, start: int) -> bool:
    """Return whether an answer has the bytes from `start`. Some servers send parts with the status 200."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for a URL."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    return None if not proxy or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]) else proxy
