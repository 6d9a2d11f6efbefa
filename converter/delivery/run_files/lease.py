"""A lock that machines share: an object that its holder renews while its run lives.

1. It is written only by condition: that there is none, or that it is the one that was read (its ETag).
2. A process that finds one that is held waits whether it is renewed. Then the job runs elsewhere; if it is not renewed
   for as long as it says, its holder is gone, and it is taken over.
3. A holder that was paused, or cut off, finds its condition not met once it comes back, and does nothing more.

No clocks of two machines are compared: a wait is measured by the clock of the one that waits, and an age by that of the
server alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from concurrent.futures import wait
from typing import Any, NamedTuple

import orjson

from converter.delivery.run_files.patient import PatientObjects
from converter.delivery.threads import run_in_thread
from converter.errors import DestinationError
from converter.jobs.events import tell
from converter.remote.s3_conditional import Stored

_RENEWALS = 3  # within the time of a lease
_LOOKS = 10
_LEAST_AGE = 2.0  # seconds: dates of servers are whole seconds
_RELEASE_SECONDS = 4.0


class LeaseTexts(NamedTuple):
    """What errors about a lease say: what is locked and what to do, with the codes of a lock that is held, or lost."""

    locked: str
    what: str
    wait: str
    lost: str
    after: str


OF_JOB = LeaseTexts(
    "E-LOCKED",
    "This job is locked",
    "Wait until it is done; two runs of one job would send everything twice.",
    "E-LOCK-LOST",
    "The other run finishes what this one has begun: look at its report.",
)


class _Record(NamedTuple):
    """What a lease says: its `holder`, a random text, empty where it is free; whose it is, and how long it lasts."""

    holder: str
    host: str
    process: int
    seconds: float
    renewed: int

    def to_json(self) -> bytes:
        return orjson.dumps(self._asdict())

    @classmethod
    def parse(cls, data: bytes, seconds: float) -> _Record:
        """Return what an object says; one that says nothing lasts for `seconds`."""
        try:
            facts: dict[str, Any] = orjson.loads(data)
            return cls(**facts)._replace(seconds=float(facts["seconds"]))
        except (ValueError, TypeError, KeyError):
            return cls("unknown", "unknown", 0, seconds, 0)


def now() -> float:
    """Return seconds of a clock that also counts while the machine is suspended, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """The lease at a key. `holder` is a text that no other process has. Threads may share it."""

    def __init__(
        self, objects: PatientObjects, key: str, seconds: float, holder: str, texts: LeaseTexts = OF_JOB
    ) -> None:
        self._objects, self._key, self._seconds, self._texts = objects, key, seconds, texts
        self._record = _Record(holder, socket.gethostname(), os.getpid(), seconds, 0)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._etag = ""
        self._confirmed = 0.0
        self._is_lost = False

    def acquire(self) -> None:
        """Take the lease, and renew it from now on. Raises `DestinationError` where another run renews it."""
        seen: tuple[str, float] | None = None
        while not self._take(self._objects.read(self._key), seen):
            found = self._objects.read(self._key)
            if found is None:
                continue
            record = _Record.parse(found.data, self._seconds)
            if seen is None:
                seen = found.etag, now()
                tell("lock", f"{self._of(record)}: it is taken over unless it is renewed in {record.seconds:g} s.")
            elif found.etag != seen[0] and record.holder:
                raise DestinationError(self._texts.locked, f"{self._of(record)}, which renews it.", self._texts.wait)
            time.sleep(min(record.seconds / _LOOKS, 1.0))
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def _take(self, found: Stored | None, seen: tuple[str, float] | None) -> bool:
        """Try to take the lease as it was found; `seen` is an ETag, and since when it is the same."""
        began = now()
        if found is None:
            return self._write(None, began)
        record = _Record.parse(found.data, self._seconds)
        if record.holder == self._record.holder:  # an answer was lost
            self._etag, self._confirmed = found.etag, began
            return True
        is_old = found.age > 2 * record.seconds + _LEAST_AGE
        is_unchanged = seen is not None and seen[0] == found.etag and began - seen[1] >= record.seconds
        return (not record.holder or is_old or is_unchanged) and self._write(found.etag, began)

    def check(self) -> None:
        """Renew the lease by condition; raise `DestinationError` where another run has taken it over.

        Of several threads that ask at once, one sends the request.
        """
        asked = now()
        with self._lock:
            if not self._is_lost and self._confirmed >= asked:
                return
            self._record = self._record._replace(renewed=self._record.renewed + 1)
            if self._is_lost or not self._write(self._etag, now()):
                self._is_lost = True
                raise self.lost()

    def check_soon(self) -> None:
        """Do what `check` does, unless the lease was renewed a short time ago."""
        if self._is_lost or now() - self._confirmed > self._seconds / 2:
            self.check()

    def release(self) -> None:
        """Free the lease, and wait for that a few seconds at most."""
        self._ended.set()

        def free() -> None:
            with self._lock, contextlib.suppress(DestinationError):  # else it ends by itself
                if self._etag and not self._is_lost:
                    self._record = self._record._replace(holder="")
                    self._write(self._etag, now())

        wait([run_in_thread(free)], _RELEASE_SECONDS)

    def lost(self) -> DestinationError:
        """Return the error that another run has the lease now."""
        return DestinationError(
            self._texts.lost,
            f"Another run has taken over the lock '{self._objects.url(self._key)}', since this one was paused or cut "
            f"off for longer than {self._seconds:g} s.",
            self._texts.after,
        )

    def _write(self, etag: str | None, began: float) -> bool:
        """Write the lease where it has an ETag still, or where there is none; return whether it is this one's now."""
        data = self._record.to_json()
        written = self._objects.write(self._key, data, absent=etag is None, unchanged=etag)
        if written is None:
            found = self._objects.read(self._key)
            if found is None or found.data != data:
                return False
            written = found.etag  # the request before has succeeded, and its answer was lost
        self._etag, self._confirmed = written, began
        return True

    def _keep(self) -> None:
        """Renew the lease until it is released or lost."""
        while not self._ended.wait(self._seconds / _RENEWALS):
            try:
                self.check()
            except DestinationError as error:
                if self._is_lost:
                    tell("lock", error.message)
                    return

    def _of(self, record: _Record) -> str:
        where = f"'{self._objects.url(self._key)}'"
        return f"{self._texts.what} by process {record.process} of {record.host} ({where})"
