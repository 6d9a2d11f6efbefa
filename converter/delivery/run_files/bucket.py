"""The files of runs below a prefix on S3, for machines that leave nothing behind.

| object | what it is |
|---|---|
| `NAME` | a report, or the rejects |
| `NAME.partial` | one that is whole, and not published yet |
| `NAME.journal/00000001` … | the events of a journal, each written on condition that its number is free |
| `NAME.journal.lock` | the lease of a job |

Numbers of events grow from run to run, and a process that takes a journal over notes that with the next one. So one
that was paused meanwhile finds its own next number taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import orjson

from converter.delivery.atomic import PARTIAL
from converter.delivery.run_files.base import JOB_LOCK_SUFFIX, FileEntry
from converter.delivery.run_files.conditions import check_conditions
from converter.delivery.run_files.lease import Lease
from converter.delivery.run_files.patient import objects_below
from converter.delivery.threads import undisturbed
from converter.errors import DestinationError, Finding
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience

_IN_MEMORY = 1 << 20  # bytes
_READERS = 8

_Kind = Literal["begin", "line", "resume", "done", "removed"]


class BucketFiles:
    """A prefix of a bucket."""

    def __init__(self, url: str, s3: S3, patience: Patience, *, lease_seconds: float, spill_dir: str | None) -> None:
        self.objects, self._prefix = objects_below(url, s3, patience)
        self.holder = secrets.token_hex(8)
        self.spool = spill_dir
        self._seconds = lease_seconds
        self._lease: Lease | None = None

    def key(self, name: str) -> str:
        """Return the key of a file."""
        return self._prefix + name

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return self.objects.url(self.key(name))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        found = self.objects.read(self.key(name))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.url(name))
        return found.data

    def create(self, name: str, data: bytes, mode: int = 0o666) -> bool:
        """Write a file on condition that there is none; a run that has lost its lock does so, too."""
        del mode  # who may read it is a matter of the bucket
        return self.objects.write(self.key(name), data, absent=True) is not None

    def new(self, name: str, mode: int = 0o666) -> _BucketFile:
        """Return a file to be written."""
        del mode  # who may read it is a matter of the bucket
        return _BucketFile(self, name)

    def entries(self) -> list[FileEntry]:
        """Return the objects right below the prefix."""
        objects, _ = self.objects.entries(self._prefix)
        return [FileEntry(each.key.removeprefix(self._prefix), each.modified) for each in objects]

    def logs(self, suffix: str) -> list[str]:
        """Return the names of all logs with a suffix."""
        _, below = self.objects.entries(self._prefix)
        names = (each.removeprefix(self._prefix).removesuffix("/") for each in below)
        return [name for name in names if name.endswith(suffix)]

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.ensure()
        self.objects.remove([self.key(name)])

    def log(self, name: str) -> BucketLog:
        """Return a log, an object for each line."""
        return BucketLog(self, name)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lease of a job, and close all connections at the end."""
        lease = Lease(self.objects, self.key(name + JOB_LOCK_SUFFIX), self._seconds, self.holder)
        try:
            self._check_conditions()
            lease.acquire()
            self._lease = lease
            yield
        finally:
            lease.release()
            self.close()

    def confirm(self) -> None:
        """Renew the lease, if one is held."""
        if self._lease:
            self._lease.check()

    def ensure(self) -> None:
        """Raise `DestinationError` where the lease is known to be lost, or may be."""
        if self._lease:
            self._lease.check_soon()

    def collided(self) -> DestinationError:
        """Return the error that another run has written what this one was about to write."""
        assert self._lease is not None  # noqa: S101 - for the type checker: journals are written under a lock
        return self._lease.lost()

    def check(self) -> list[Finding]:
        """Return whether the bucket can be written, and keeps conditions."""
        try:
            self._check_conditions()
        except DestinationError as error:
            return [Finding.of(error)]
        return [Finding("", f"The report can be written to '{self.objects.url(self._prefix)}'.")]

    def _check_conditions(self) -> None:
        check_conditions(self.objects, self._prefix, "E-REPORT-CONDITIONS", "report.dir")

    def close(self) -> None:
        """Close all connections."""
        self.objects.close()


class _BucketFile:
    """A file on its way: in memory or a temporary file until it is finished, then an object with a partial name."""

    def __init__(self, files: BucketFiles, name: str) -> None:
        self._files, self._objects = files, files.objects
        self._key = files.key(name)
        self._partial = self._key + PARTIAL
        self._spool: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._is_published = False

    def open(self) -> None:
        """Open the temporary file."""
        self._spool = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=self._files.spool)  # noqa: SIM115 - see `discard`

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes to it."""
        assert self._spool is not None  # noqa: S101 - for the type checker: it is open
        try:
            self._spool.write(data)
        except OSError as error:
            raise DestinationError(
                "E-SPILL-WRITE",
                f"Cannot keep '{self._objects.url(self._key)}' in '{self._files.spool or tempfile.gettempdir()}' until "
                f"it is whole: {error.strerror or error}.",
                "Free some space there, or choose another folder with run.spill_dir.",
            ) from error

    def finish(self) -> None:
        """Write the object with the partial name."""
        assert self._spool is not None  # noqa: S101 - see `write`
        self._files.ensure()
        self._objects.write(self._partial, self._spool)  # type: ignore[arg-type] # it is a file
        self._spool.close()

    def write_whole(self, data: bytes) -> None:
        """Write the object with the partial name, and this content."""
        self._files.ensure()
        self._objects.write(self._partial, data)

    def is_prepared(self) -> bool:
        """Return whether there is an object with the partial name."""
        return self._objects.has(self._partial)

    def publish(self) -> None:
        """Give the object its name."""
        self._files.ensure()
        self._objects.rename(self._partial, self._key)
        self._is_published = True

    def discard(self) -> None:
        """Close the temporary file, and remove the object with the partial name."""
        if self._spool:
            self._spool.close()
        if not self._is_published:
            with contextlib.suppress(DestinationError):  # the first error is the one to report
                self._files.ensure()
                self._objects.remove([self._partial])


class _Event(NamedTuple):
    """An object of a log: its number, what it is, and its line."""

    number: int
    kind: _Kind
    line: bytes


class BucketLog:
    """A log of numbered objects. Each begins with a line of its own, which says what it is and who wrote it."""

    def __init__(self, files: BucketFiles, name: str) -> None:
        self.url = files.url(name)
        self._files, self._objects = files, files.objects
        self._prefix = files.key(name) + "/"
        self._lock = threading.Lock()
        self._last: int | None = None
        self._first = 0
        self._failure: DestinationError | None = None
        self._is_open = False

    def read(self) -> list[bytes]:
        """Return the lines of the last run."""
        numbers = self._numbers()
        with ThreadPoolExecutor(_READERS) as readers:
            events = [event for event in undisturbed(lambda: list(readers.map(self._event, numbers))) if event]
        begun = max((index for index, event in enumerate(events) if event.kind in ("begin", "removed")), default=None)
        found = events if begun is None else events[begun:]
        if not found or found[0].kind == "removed":
            return []
        self._first = found[0].number
        if found[-1].kind == "done":
            return [found[0].line, found[-1].line]
        if begun is None or [event.number for event in found] != list(range(self._first, found[-1].number + 1)):
            raise ValueError("events are missing")
        return [event.line for event in found if event.kind != "resume"]

    def begin(self, line: bytes) -> None:
        """Write the first line, then remove those of earlier runs."""
        older = self._numbers()
        self._is_open = True
        self._add("begin", line)
        self._first = self._last or 0
        with contextlib.suppress(DestinationError):  # they are not read any more
            self._remove(older)

    def resume(self) -> None:
        """Note that this process continues, so that another one that does not know it collides."""
        self._numbers()
        self._is_open = True
        self._add("resume", b"")

    def append(self, line: bytes, *, flush: bool = True) -> None:
        """Write a line."""
        del flush  # an object stays
        self._add("line", line)

    def end(self, line: bytes) -> None:
        """Write the last line."""
        self._add("done", line)

    def cut(self, first: bytes, last: bytes) -> None:
        """Remove all lines but the first and the last one."""
        del first, last  # they are there
        self.close()
        with contextlib.suppress(DestinationError):  # the longer log means the same
            self._remove(range(self._first + 1, self._last or 0))

    def remove(self) -> None:
        """Note that nothing is left, which keeps the numbers going, then remove all before it."""
        with contextlib.suppress(DestinationError):  # a log of a run that left nothing does no harm
            self._add("removed", b"")
            self._remove([number for number in self._numbers() if number != self._last])
        self.close()

    def close(self) -> None:
        """Write nothing more."""
        self._is_open = False

    def _add(self, kind: _Kind, line: bytes) -> None:
        """Write the next object, on condition that its number is free."""

        def add() -> None:
            with self._lock:
                if not self._is_open:  # the run has ended
                    return
                if self._failure:
                    raise self._failure
                try:
                    self._write(kind, line)
                except DestinationError as error:
                    self._failure = error
                    raise

        undisturbed(add)

    def _write(self, kind: _Kind, line: bytes) -> None:
        self._files.ensure()
        number = (self._last or 0) + 1
        key, data = self._key(number), orjson.dumps({"kind": kind, "by": self._files.holder}) + b"\n" + line
        if self._objects.write(key, data, absent=True) is None:
            found = self._objects.read(key)
            if found is None or found.data != data:  # else the request before has succeeded, and its answer was lost
                raise self._files.collided()
        self._last = number

    def _numbers(self) -> list[int]:
        """Return the numbers of all objects, in order."""
        objects, _ = self._objects.entries(self._prefix)
        names = (each.key.removeprefix(self._prefix) for each in objects)
        numbers = sorted(int(name) for name in names if name.isdecimal())
        self._last = max(self._last or 0, *numbers) if numbers else self._last or 0
        return numbers

    def _event(self, number: int) -> _Event | None:
        found = self._objects.read(self._key(number))
        if found is None:  # another run has removed it just now
            return None
        head, _, line = found.data.partition(b"\n")
        return _Event(number, orjson.loads(head)["kind"], line)

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:08}"

    def _remove(self, numbers: Sequence[int]) -> None:
        self._files.ensure()
        self._objects.remove([self._key(number) for number in numbers])
