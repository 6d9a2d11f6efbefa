"""What a URL of HTTP names, read by parts where the server can do that."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as SlowError

from converter.errors import DestinationError, TransientError
from converter.jobs.sections.servers import Http
from converter.remote.http_client import FOREIGN, Answer, Requests, begins_at, size_in
from converter.remote.objects import Entry, changed
from converter.remote.passwords import netrc_login
from converter.remote.server import Address, cannot, network_error

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_THERE = (404, 410)
_LATER = "Try again later, with the same command and --resume."


class WebFile:
    """The one object of a URL, whose name is the URL itself."""

    def __init__(self, url: str, settings: Http) -> None:
        self._timeout = settings.timeout
        self._requests = Requests(settings.timeout, settings.tls_ca_file)
        parts = urlsplit(url)
        login, _, place = parts.netloc.rpartition("@")
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        self._target = urlunsplit((parts.scheme, place, path, parts.query, ""))
        self._shown = urlunsplit((parts.scheme, place, parts.path, "", ""))
        self._headers = _login(login, parts.hostname or "", self._shown)
        self._address = Address(parts.scheme, parts.hostname or "", parts.port, None, None, "", self._shown)

    def url(self, name: str) -> str:
        """Return the URL without password and query."""
        del name
        return self._shown

    def find(self, name: str) -> Entry | None:
        """Ask for the first byte: what answers says the size, and whether it gives parts."""
        with self._mapped_errors():
            response = self._get(0, 1, {})
        with contextlib.closing(Answer(response)):
            if response.status in _NOT_THERE:
                return None
            if response.status == 416:
                return Entry(name, 0, _version_of(response))
            if response.status not in (200, 206):
                raise self._refused(response)
            if response.status == 206:
                return Entry(name, size_in(response), _version_of(response))
            length = response.headers.get("Content-Length", "")
            return Entry(name, int(length) if length.isdecimal() else None, _version_of(response), ranges=False)

    def entries(self, prefix: str) -> Sequence[Entry]:
        """Return the one object."""
        found = self.find(prefix)
        return [found] if found else []

    def open(self, entry: Entry, start: int, stop: int | None) -> _Mapped:
        """Ask for a part. A server that gives no parts is asked for all of it, with what is before the part."""
        headers = {"If-Match": entry.version} if entry.version.startswith('"') else {}
        with self._mapped_errors():
            response = self._get(start, stop, headers)
        if response.status in (200, 206) and _version_of(response) == entry.version:
            if begins_at(response, start) and size_in(response) == entry.size:
                return _Mapped(self, Answer(response))
            if not entry.ranges:
                answer = _Mapped(self, Answer(response))
                _skip(answer, start)
                return answer
        response.close()
        if response.status in (200, 206, 412, 416, *_NOT_THERE):
            raise changed(self._shown)
        raise self._refused(response)

    def _get(self, start: int, stop: int | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request, and follow redirects. Passwords go to no other host, and nothing goes from TLS to plain."""
        url, headers = self._target, {**headers, **self._headers}
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._requests.get(url, headers, start, stop)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            before, url = urlsplit(url), urljoin(url, response.headers.get("Location", ""))
            after = urlsplit(url)
            if after.scheme != "https" and (before.scheme, after.scheme) != ("http", "http"):
                raise self._cannot(f"the server redirects to {after.scheme or 'nothing'}://, which is not encrypted")
            if after.netloc != before.netloc:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
        raise self._cannot("the server redirects again and again")

    def _cannot(self, why: str) -> DestinationError:
        return cannot("E-SERVER-ANSWER", "read", self._address, why, "Open it in a browser, and give its last URL.")

    def _refused(self, response: urllib3.BaseHTTPResponse) -> DestinationError:
        status = response.status
        why = f"the server answers {status}"
        if status == 401:
            hint = "Put user and password into the URL (${PASSWORD}), or into ~/.netrc."
            return cannot("E-SERVER-LOGIN", "read", self._address, why, hint)
        if status == 403:
            hint = "Has the signature of the URL expired? May this user, or this machine, read it?"
            return cannot("E-SERVER-RIGHTS", "read", self._address, why, hint)
        kind = TransientError if status >= 500 or status in (408, 425, 429) else DestinationError
        return cannot("E-SERVER-ANSWER", "read", self._address, why, _LATER, kind)

    @contextlib.contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise self.map_error(error) from error

    def map_error(self, error: Exception) -> DestinationError:
        """Map an error of the network."""
        if isinstance(error, SSLError):
            why = "the certificate of the server is not trusted, or it is not an HTTPS server"
            hint = "Where it should be, set http.tls_ca_file to a file with its authority's certificate."
            return cannot("E-SERVER-CERTIFICATE", "read", self._address, why, hint)
        cause: Exception = error
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            cause = socket.gaierror(socket.EAI_NONAME, "unknown")
        elif isinstance(error, urllib3.exceptions.NewConnectionError):
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        elif isinstance(error, SlowError):
            cause = TimeoutError()
        elif isinstance(error, ProtocolError | HTTPException):
            cause = EOFError()
        return network_error("read", self._address, self._timeout, cause)


class _Mapped:
    """An answer whose errors are mapped."""

    def __init__(self, file: WebFile, answer: Answer) -> None:
        self._file = file
        self._answer = answer
        self.close = answer.close

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end."""
        try:
            return self._answer.readinto(view)
        except FOREIGN as error:
            raise self._file.map_error(error) from error


def _skip(answer: _Mapped, size: int) -> None:
    buffer = memoryview(bytearray(1 << 18))
    while size and (count := answer.readinto(buffer[:size])):
        size -= count


def _version_of(response: urllib3.BaseHTTPResponse) -> str:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or ""


def _login(login: str, host: str, label: str) -> dict[str, str]:
    """Return the header with user and password: from the URL, else from `~/.netrc`."""
    user, _, password = (unquote(part) for part in login.partition(":"))
    if not login:
        user, password = netrc_login(host, label) or ("", "")
    return {"Authorization": urllib3.make_headers(basic_auth=f"{user}:{password}")["authorization"]} if user else {}
