"""Servers with names for files. A part grows under a partial name, is checked, and gets its name when all are whole.

1. Each part on its way has a connection of its own, so several can be sent at once.
2. Once sent, its size is compared; its content too, where the transport notices no damage and the server lets it read.
3. Publishing looks first and renames then, so that nothing is ever replaced.

FTP and SFTP give the connections, as `Files`. What a server refuses to tell is not held against it: credentials that
may only write are common. The check says what could not be seen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from isal import isal_zlib

from converter.destinations.base import Arrived
from converter.destinations.server import Address
from converter.errors import DestinationError, Finding, TransientError
from converter.spec.names import FileName

_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is not trusted: servers and firewalls close those."""

_PROBE = b"aam-inbound looks whether it can write here\n"


class Look(NamedTuple):
    """What a server tells about a file: whether it is there, and its size. None is what it does not tell."""

    there: bool | None
    size: int | None = None


class Upload(Protocol):
    """A file that is being sent."""

    def write(self, data: memoryview) -> None:
        """Send the next bytes."""
        ...

    def finish(self) -> None:
        """End the file; returns when the server has said that it has everything."""
        ...

    def abort(self) -> None:
        """Stop sending; the connection is not used again. Never raises."""
        ...


class Files(Protocol):
    """An open connection to a server, and the files in the folder of the URL.

    Used by one thread at a time. Methods raise `DestinationError` or `TransientError`; after any of those the
    connection is closed, and another one opened.
    """

    def upload(self, name: str) -> Upload:
        """Begin a file, in place of what has that name; missing folders are made."""
        ...

    def look(self, name: str) -> Look:
        """Say what the server tells about a file."""
        ...

    def names(self) -> list[str] | None:
        """Return the names in the folder; nothing where the server does not tell."""
        ...

    def crc32(self, name: str) -> int | None:
        """Read a file and return its checksum; nothing where the server does not let it be read."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str) -> bool:
        """Remove a file; false where the server says that it did not, for whatever reason."""
        ...

    def unmake_folders(self) -> None:
        """Remove the folders that this connection made, where that is allowed; then it can only be closed."""
        ...

    def close(self) -> None:
        """Close the connection. Never raises."""
        ...


class NamedDestination:
    """A folder on a server, reached by connections that `connect` opens.

    With `read_back`, the content of each part that was sent is compared too.
    """

    direct = False

    def __init__(
        self, address: Address, connect: Callable[[], Files], partial_suffix: str, *, read_back: bool = False
    ) -> None:
        self._address, self._connect, self._suffix, self._read_back = address, connect, partial_suffix, read_back
        self._lock = threading.Lock()
        self._files: Files | None = None
        self._used = 0.0

    def check(self, name: FileName) -> list[Finding]:
        """Log in, see that no part of this name is there, and write a file that is removed again."""
        findings: list[Finding] = []
        try:
            with self._control() as files:
                findings += self._taken(files, name)
                findings += self._probed(files, name.probe + self._suffix)
                files.unmake_folders()
                self._drop()
        except DestinationError as error:
            findings.append(Finding.of(error))
        return findings

    def _taken(self, files: Files, name: FileName) -> Iterator[Finding]:
        """Find files of this name, whole and partial; where they cannot be listed, those of the first part."""
        yield Finding("", f"The login at '{self._address.url}' works.")
        names = files.names()
        if names is None:
            first = str(name.part(1))
            looks = {each: files.look(each).there for each in (first, first + self._suffix)}
            names = [each for each, there in looks.items() if there]
            if None in looks.values():
                yield Finding(
                    "W-NAMES-UNSEEN",
                    f"'{self._address.url}' does not tell which files are there: a name that is taken is not noticed.",
                    "Use a timestamp that was never used, or let the user list the folder.",
                )
        for found in sorted(names):
            if name.has_part(found):
                yield Finding(
                    "E-NAME-TAKEN",
                    f"'{found}' is in '{self._address.url}' already, and nothing is ever overwritten.",
                    "Finish the run that began it with --resume, leave output.timestamp out, or use another one (N2).",
                )
            elif name.has_part(found.removesuffix(self._suffix)):
                yield Finding(
                    "E-NAME-IN-USE",
                    f"'{found}' is in '{self._address.url}': a run with this name is going on, or was killed.",
                    "If none is going on, finish it with --resume, remove the file, or use another timestamp.",
                )

    def _probed(self, files: Files, probe: str) -> Iterator[Finding]:
        """Write a file and remove it. Where nothing can be seen, it could stay for ever: there nothing is written."""
        if files.names() is None and files.look(probe).there is None:
            yield Finding(
                "W-WRITE-UNTRIED",
                f"Whether '{self._address.url}' can be written was not tried: the user may see nothing there.",
                "The first part will show it.",
            )
            return
        upload = files.upload(probe)
        upload.write(memoryview(_PROBE))
        upload.finish()
        size, readable = files.look(probe).size, not self._read_back or files.crc32(probe) is not None
        removed = files.remove(probe)
        yield Finding("", f"'{self._address.url}' can be written.")
        if not removed:
            yield Finding(
                "W-REMOVE-REFUSED",
                f"'{probe}' was written to '{self._address.url}' and cannot be removed: the user may not remove files.",
                "Remove it by hand, and '*" + self._suffix + "' after a run that was stopped.",
            )
        if size is None:
            yield Finding(
                "W-SIZES-UNSEEN",
                f"'{self._address.url}' does not tell the size of files: its word is taken that parts are whole.",
            )
        if not readable:
            yield Finding(
                "W-READ-REFUSED",
                f"'{self._address.url}' does not let files be read: damage on the way would not be noticed.",
                "Use ftps:// or sftp://, which notice it, or let the user read.",
            )

    def create(self, name: str) -> _NamedPart:
        """Begin a part under its partial name, on a connection of its own."""
        files = self._connect()
        try:
            return _NamedPart(self, files, name, name + self._suffix, read_back=self._read_back)
        except BaseException:
            files.close()
            raise

    def holds(self, part: Arrived) -> bool:
        """Compare the size under the partial name, or else under the final one; what is not told is trusted."""
        with self._control() as files:
            looks = (files.look(name) for name in (_partial_of(part), part.name))
            return any(look.there is not False and look.size in (None, part.bytes) for look in looks)

    def publish(self, part: Arrived) -> None:
        """Look whether the name is free, and rename the part."""
        partial = _partial_of(part)
        with self._control() as files:
            if self._is_published(files, part, partial):
                return
            try:
                files.rename(partial, part.name)
            except TransientError:
                raise
            except DestinationError:
                # The name may have been taken since it was looked for; or this part have got it.
                if not self._is_published(files, part, partial):
                    raise

    def _is_published(self, files: Files, part: Arrived, partial: str) -> bool:
        """Say whether a part has its name. Raises `DestinationError` where something else has."""
        waiting, final = files.look(partial), files.look(part.name)
        if not final.there:
            return False
        if final.size in (None, part.bytes):
            if not waiting.there:
                return True
            if files.crc32(part.name) == part.crc32:  # sent twice, by two runs
                files.remove(partial)
                return True
        raise DestinationError(
            "E-NAME-TAKEN",
            f"'{part.name}' is in '{self._address.url}' already, and is not the part that was sent.",
            "Nothing is ever overwritten: use another timestamp (N2).",
        )

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove the partial file, if the server lets it be removed; else it is overwritten by the next try."""
        with self._control() as files:
            files.remove(state.get("partial", name + self._suffix))

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove the partial files of this name, as far as they can be listed."""
        kept = {_partial_of(part) for part in keep}
        with self._control() as files:
            for found in files.names() or []:
                base = found.removesuffix(self._suffix)
                if base != found and found not in kept and (name.has_part(base) or base == name.probe):
                    files.remove(found)

    def url(self, name: str) -> str:
        """Return the URL of the part, without a password."""
        return f"{self._address.url}/{name}"

    def close(self) -> None:
        """Close the connection for all but sending."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def _control(self) -> Iterator[Files]:
        """Lend the connection for all but sending; after any error it is closed, and the next use opens another."""
        with self._lock:
            if time.monotonic() - self._used > _IDLE_SECONDS:
                self._drop()
            self._files = self._files or self._connect()
            try:
                yield self._files
            except BaseException:
                self._drop()
                raise
            self._used = time.monotonic()

    def _drop(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()


class _NamedPart:
    """One part, growing under its partial name."""

    def __init__(
        self, destination: NamedDestination, files: Files, name: str, partial: str, *, read_back: bool
    ) -> None:
        self.state: Mapping[str, Any] = {"partial": partial}
        self._destination, self._files, self._name, self._partial = destination, files, name, partial
        self._read_back = read_back
        self._written = self._crc32 = 0
        self._upload = files.upload(partial)

    def write(self, data: bytes | memoryview) -> None:
        """Send the next bytes."""
        if data:
            self._upload.write(memoryview(data))
            self._written += len(data)
            self._crc32 = isal_zlib.crc32(data, self._crc32)

    def finish(self) -> Arrived:
        """End the file and compare what the server has with what was sent."""
        self._upload.finish()
        size = self._files.look(self._partial).size
        if size is not None and size != self._written:
            raise TransientError(
                "E-PART-SIZE",
                f"'{self._destination.url(self._name)}' has {size:,} bytes, but {self._written:,} were sent.",
                "Is the disk of the server full? Nothing was published.",
            )
        if self._read_back and self._files.crc32(self._partial) not in (None, self._crc32):
            raise TransientError(
                "E-PART-CHANGED",
                f"'{self._destination.url(self._name)}' was changed on the way: it does not read as it was sent.",
                "Nothing was published. With ftps:// or sftp:// nobody in between can change anything.",
            )
        self._files.close()
        return Arrived(self._name, self._written, self._crc32, self.state)

    def abort(self) -> None:
        """Stop sending and remove the file, by another connection: this one may be broken."""
        self._upload.abort()
        self._files.close()
        with contextlib.suppress(DestinationError):
            self._destination.discard(self._name, self.state)


def _partial_of(part: Arrived) -> str:
    return str(part.state["partial"])
