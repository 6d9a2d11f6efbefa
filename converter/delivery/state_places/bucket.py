"""A state below a prefix on S3, for machines that leave nothing behind.

| object | what it is |
|---|---|
| `state.json` | the record, which is replaced on condition that it is the one that the run had read |
| `state.json.partial` | the next record, after a line that says which one it replaces |
| `salt` | the salt, written on condition that there is none |
| `generation-N-HOLDER/` | the files that a process has written for generation N |
| `state.lock` | the lease of the state |

A process writes only below a prefix of its own, so that one that was paused, and has lost its lease meanwhile, changes
nothing that another one has written. A file that did not change stays where it is, and the record says where that is.

As files are never changed, one that a run has read need not be downloaded again as long as it has the lease (`copies`).
It is compared with its checksum in the record each time it is read.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Collection, Iterator
from functools import partial

import orjson

from converter.delivery.atomic import PARTIAL
from converter.delivery.run_files.conditions import check_conditions
from converter.delivery.run_files.lease import Lease, LeaseTexts
from converter.delivery.run_files.patient import objects_below
from converter.delivery.state_places.base import GENERATION, LOCK, RECORD, SALT, Prepared
from converter.delivery.state_places.copies import Copies
from converter.delivery.state_places.writes import Writes
from converter.errors import DestinationError, Finding
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.rows.delta.keyed import KEY_BYTES

_OF_STATE = LeaseTexts(
    "E-STATE-LOCKED",
    "The state is locked",
    "Wait until it is done; two runs with one state would not know of each other's changes.",
    "E-STATE-LOCKED",
    "Run the same command with --resume, once the other run is done.",
)


class StateBucket:
    """A prefix of a bucket. `spill_dir` is where copies of its files are, by default the folder of temporary files."""

    at_once = 8

    def __init__(
        self, url: str, s3: S3, patience: Patience, *, lease_seconds: float, spill_dir: str | None = None
    ) -> None:
        self.url = url
        self._objects, self._prefix = objects_below(url, s3, patience)
        self._holder = secrets.token_hex(8)
        self._seconds = lease_seconds
        self._lease: Lease | None = None
        self._spill_dir = spill_dir
        self._copies: Copies | None = None
        self._writes = Writes(self.at_once)

    def record(self) -> Prepared | None:
        """Return the record and its ETag."""
        found = self._objects.read(self._key(RECORD))
        return Prepared(found.data, found.etag) if found else None

    def salt(self) -> bytes:
        """Return the salt."""
        found = self._objects.read(self._key(SALT))
        return found.data if found else b""

    def new_salt(self, found: bytes) -> bytes:
        """Write a new salt on condition that there is none; else return that of another run."""
        self._ensure()
        salt = secrets.token_bytes(KEY_BYTES)
        self._objects.write(self._key(SALT), salt, absent=not found)
        return self.salt()

    def file(self, generation: str, name: str) -> bytes:
        """Return the content of an object, which is kept while the lease is held."""
        key = self._key(f"{generation}/{name}")
        copies = self._copies
        if copies and (copy := copies.get(key)) is not None:
            return copy
        found = self._objects.read(key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._objects.url(key))
        if copies:
            copies.keep(key, found.data)
        return found.data

    def open(self) -> None:
        """Do nothing: a prefix is there once an object is."""

    def begin(self, number: int, *, apart: bool = False) -> str:
        """Return a name that has this process in it."""
        del apart  # all are
        return f"{GENERATION}{number}-{self._holder}"

    def write(self, generation: str, name: str, content: io.BytesIO, crc32: int) -> None:
        """Begin to write an object, whose checksum the server compares."""
        key, size = self._key(f"{generation}/{name}"), content.getbuffer().nbytes
        self._writes.begin(size, partial(self._write, key, content, crc32))

    def settle(self) -> None:
        """Wait until all objects are written."""
        self._writes.settle()

    def stop_writing(self) -> None:
        """Wait until no object is being written."""
        self._writes.stop()

    def take_over(self, generation: str, name: str, by: str) -> str | None:
        """Leave an object where it is."""
        del name, by
        return generation

    def adopt(self, generation: str, name: str, by: str) -> str:
        """Leave an object where it is."""
        del name, by
        return generation

    def prepare(self, generation: str, record: Prepared) -> None:
        """Write the record under its partial name, after what it replaces."""
        del generation
        self._ensure()
        head = orjson.dumps({"replaces": record.version})
        self._objects.write(self._key(RECORD + PARTIAL), head + b"\n" + record.data)

    def prepared(self) -> Prepared | None:
        """Return what has the partial name."""
        found = self._objects.read(self._key(RECORD + PARTIAL))
        if found is None:
            return None
        head, _, data = found.data.partition(b"\n")
        return Prepared(data, orjson.loads(head)["replaces"])

    def publish(self, record: Prepared) -> bool:
        """Write the record on condition that it replaces the one that it should, then remove its partial name.

        Where an answer was lost, or the process before has died right after it, the record is there already.
        """
        is_there = self._replace(record)
        if is_there:
            self._objects.remove([self._key(RECORD + PARTIAL)])
        return is_there

    def give_up(self) -> None:
        """Remove what has the partial name."""
        self._ensure()
        self._objects.remove([self._key(RECORD + PARTIAL)])

    def remove_others(self, generation: str, kept: Collection[tuple[str, str]]) -> None:
        """Remove all objects of generations that are not kept."""
        self.confirm()  # what another run writes now is not to be removed
        _, below = self._objects.entries(self._key(GENERATION))
        for prefix in below:
            if (found := prefix.removeprefix(self._prefix).removesuffix("/")) == generation:
                continue
            objects, _ = self._objects.entries(prefix)
            keys = [each.key for each in objects if (found, each.key.removeprefix(prefix)) not in kept]
            self._objects.remove(keys)

    def remove_salt(self) -> None:
        """Do nothing: another run may have read the salt by now."""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lease of the state, and close all connections at the end."""
        lease = Lease(self._objects, self._key(LOCK), self._seconds, self._holder, _OF_STATE)
        try:
            self._check_conditions()
            lease.acquire()
            self._lease = lease
            with contextlib.closing(Copies(self._spill_dir)) as self._copies:
                yield
        finally:
            self._copies = None
            self._writes.stop()
            lease.release()
            self.close()

    def confirm(self) -> None:
        """Renew the lease, if one is held."""
        if self._lease:
            self._lease.check()

    def is_open(self) -> bool:
        """Return that no other user of this machine can: who may read it is a matter of the bucket."""
        return False

    def check(self) -> list[Finding]:
        """Return whether the bucket can be written, and keeps conditions."""
        try:
            self._check_conditions()
        except DestinationError as error:
            return [Finding.of(error)]
        return [Finding("", f"The state can be written to '{self.url}'.")]

    def close(self) -> None:
        """Close all connections."""
        self._objects.close()

    def _replace(self, record: Prepared) -> bool:
        """Write the record on its condition; return whether it is there then."""
        version = record.version
        key, unchanged = self._key(RECORD), version if version else None
        if self._objects.write(key, record.data, absent=not version, unchanged=unchanged) is not None:
            return True
        found = self._objects.read(key)
        return found is not None and found.data == record.data

    def _write(self, key: str, content: io.BytesIO, crc32: int) -> None:
        self._ensure()
        self._objects.write(key, content, crc32=crc32)

    def _check_conditions(self) -> None:
        check_conditions(self._objects, self._prefix, "E-STATE-CONDITIONS", "delta.state")

    def _ensure(self) -> None:
        """Raise `DestinationError` where the lease is known to be lost, or may be."""
        if self._lease:
            self._lease.check_soon()

    def _key(self, name: str) -> str:
        return self._prefix + name
