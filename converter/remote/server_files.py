"""Files of an FTP or SFTP server as objects that can be read by parts, over a few connections that are kept.

`Session` is what a connection offers for that; it is used by one thread at a time.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from converter.remote.objects import Entry, changed
from converter.remote.server import Address

_CONNECTIONS = 4  # many servers allow few
Answer = TypeVar("Answer")


class Session(Protocol):
    """An open connection. Methods raise `DestinationError` or `TransientError`; then it is closed."""

    def find(self, path: str) -> Entry | None:
        """Return a file; None where there is none."""
        ...

    def listed(self, folder: str) -> tuple[Sequence[Entry], Sequence[str]]:
        """Return the files of a folder and the paths of the folders in it; nothing where there is none."""
        ...

    def read(self, path: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a part; closing it early leaves the connection usable, or raises."""
        ...

    def close(self) -> None:
        """Close the connection. Never raises."""
        ...


class ServerFiles:
    """The files of a server. Their names are paths as in its URL, without the slash in front."""

    def __init__(self, address: Address, connect: Callable[[], Session]) -> None:
        self._root = f"{address.url.partition('://')[0]}://{address.url.partition('://')[2].partition('/')[0]}"
        self._connect = connect
        self._idle: deque[Session] = deque()
        weakref.finalize(self, _close, self._idle)
        self._free = threading.BoundedSemaphore(_CONNECTIONS)

    def url(self, name: str) -> str:
        """Return the URL of a file, without a password."""
        return f"{self._root}/{name}"

    def find(self, name: str) -> Entry | None:
        """Ask for its size and time."""
        return self._ask(lambda session: session.find(name))

    def entries(self, prefix: str) -> Sequence[Entry]:
        """List the folder that all names with this beginning are in, and the folders below."""

        def walk(session: Session) -> list[Entry]:
            found: list[Entry] = []
            folders = [prefix[: prefix.rfind("/") + 1].removesuffix("/") or prefix[:1].strip("/") or ""]
            while folders:
                files, below = session.listed(folders.pop())
                found += [entry for entry in files if entry.name.startswith(prefix)]
                folders += [folder for folder in below if f"{folder}/".startswith(prefix) or prefix.startswith(folder)]
            return found

        return self._ask(walk)

    def open(self, entry: Entry, start: int, stop: int | None) -> _Content:
        """Begin to read a part, if the file is what it was."""
        session = self.take()
        try:
            now = session.find(entry.name)
            if now != entry:
                raise changed(self.url(entry.name))
            return _Content(self, session, session.read(entry.name, start, entry.size or 0 if stop is None else stop))
        except BaseException:
            self.give_back(session, usable=False)
            raise

    def _ask(self, question: Callable[[Session], Answer]) -> Answer:
        session = self.take()
        usable = False
        try:
            answer = question(session)
            usable = True
            return answer
        finally:
            self.give_back(session, usable=usable)

    def take(self) -> Session:
        """Return a connection that nobody uses."""
        self._free.acquire()
        try:
            return self._idle.pop() if self._idle else self._connect()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, session: Session, *, usable: bool) -> None:
        """Keep a connection for others, or close it."""
        if usable:
            self._idle.append(session)
        else:
            session.close()
        self._free.release()


def _close(sessions: Iterable[Session]) -> None:
    for session in sessions:
        session.close()


class _Content:
    """A part on its way."""

    def __init__(self, files: ServerFiles, session: Session, blocks: Iterator[bytes]) -> None:
        self._files = files
        self._session: Session | None = session
        self._blocks = blocks
        self._block = memoryview(b"")
        self._ended = False

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end."""
        if not self._block:
            self._block = memoryview(next(self._blocks, b""))
            self._ended = not self._block
        count = min(len(view), len(self._block))
        view[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        """Keep the connection if all was read, else close it."""
        if self._session is not None:
            if not self._ended:
                self._ended = self._is_at_end()
            self._files.give_back(self._session, usable=self._ended)
            self._session = None

    def _is_at_end(self) -> bool:
        try:
            return not self._block and next(self._blocks, None) is None
        except Exception:  # of any kind: the connection is closed
            return False
