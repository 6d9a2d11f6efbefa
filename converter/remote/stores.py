"""Objects of Google Cloud Storage and Azure, read by parts through the package `obstore`.

It is asked for one part at a time and retries nothing: that is done where parts are put together.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore

from converter._version import __version__
from converter.errors import DestinationError
from converter.jobs.events import tell
from converter.remote.objects import Entry, changed
from converter.remote.store_errors import FOREIGN, NOT_THERE, Service, has_changed, map_error

if TYPE_CHECKING:
    from obstore import BytesStream, ObjectMeta
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig

_CHUNK_BYTES = 1 << 18  # fits into the cache of a core
_LISTED = 1000  # names at a time
_WHOLE_REQUEST = timedelta(days=1)  # what bounds it is how long a read takes
NO_RETRIES: RetryConfig = {"max_retries": 0}


def client_options(timeout: float, endpoint: str | None) -> ClientConfig:
    """Return how requests are sent: `timeout` in seconds, and without encryption to an endpoint of plain HTTP alone."""
    wait = timedelta(seconds=timeout)
    return {
        "connect_timeout": wait,
        "read_timeout": wait,
        "timeout": _WHOLE_REQUEST,
        "allow_http": (endpoint or "").lower().startswith("http://"),
        "user_agent": f"aam-inbound-converter/{__version__}",
    }


class StoreObjects:
    """The objects of a bucket or container; `root` is its URL, and `connect` opens it, without any request."""

    def __init__(
        self, root: str, connect: Callable[[], GCSStore | AzureStore], service: Service, timeout: float
    ) -> None:
        self._root = root
        self._connect = connect
        self._service = service
        self._timeout = timeout
        self._lock = threading.Lock()
        self._opened: GCSStore | AzureStore | None = None

    def url(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._root}/{name}"

    def find(self, name: str) -> Entry | None:
        """Ask for its size and ETag. Where there is none, its bucket may be missing: `entries` tells."""
        with self._mapped_errors(name):
            store = self._store
            try:
                return _entry(obstore.head(store, name))
            except NOT_THERE:
                return None

    def entries(self, prefix: str) -> Sequence[Entry]:
        """List the folder that all names with this beginning are in, and those below."""
        with self._mapped_errors(prefix, "list"):
            pages = obstore.list(self._store, prefix.rpartition("/")[0] or None, chunk_size=_LISTED)
            return [_entry(each) for page in pages for each in page if each["path"].startswith(prefix)]

    def open(self, entry: Entry, start: int, stop: int | None) -> _Part:
        """Ask for a part of the object with the ETag that it had."""
        part = {"offset": start} if stop is None else (start, stop)
        options: Any = {"range": part}
        if entry.version:
            options["if_match"] = f'"{entry.version}"'
        with self._mapped_errors(entry.name):
            try:
                result = obstore.get(self._store, entry.name, options=options)
            except FOREIGN as error:
                if has_changed(error):
                    raise changed(self.url(entry.name)) from error
                raise
            if _entry(result.meta) != entry:  # not every server compares ETags
                raise changed(self.url(entry.name))
            return _Part(self, entry.name, result.stream(_CHUNK_BYTES))

    @property
    def _store(self) -> GCSStore | AzureStore:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
                tell("connect", f"Opened a client for '{self._root}'.")
            return self._opened

    def map_error(self, error: Exception, name: str, what: str = "read") -> DestinationError:
        """Map an error of obstore."""
        return map_error(error, what, self.url(name), self._timeout, self._service)

    @contextlib.contextmanager
    def _mapped_errors(self, name: str, what: str = "read") -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise self.map_error(error, name, what) from None  # its text has URLs, which may be signed


class _Part:
    """A part on its way."""

    def __init__(self, objects: StoreObjects, name: str, stream: BytesStream) -> None:
        self._objects = objects
        self._name = name
        self._chunks: Iterator[bytes] = iter(stream)
        self._chunk = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end."""
        if not self._chunk:
            try:
                self._chunk = memoryview(next(self._chunks, b""))
            except FOREIGN as error:
                raise self._objects.map_error(error, self._name) from None
        count = min(len(view), len(self._chunk))
        view[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def close(self) -> None:
        """End the answer, wherever it is."""
        self._chunks, self._chunk = iter(()), memoryview(b"")


def _entry(found: ObjectMeta) -> Entry:
    """Return an object; its ETag is without the quotes that headers have, and lists have not."""
    return Entry(found["path"], found["size"], (found["e_tag"] or "").strip('"'))
