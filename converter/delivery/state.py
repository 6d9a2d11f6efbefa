"""The state of changes-only runs: what was last sent for each user (`delta.state`).

- `state.json`: whose state it is, the run that wrote it, and its files with their sizes and checksums;
- `salt`: the key of the hashes that stand for IDs and lines;
- `generation-N/`: the files, in Parquet (`converter.rows.delta.past`), which are never changed.

A run writes the next generation beside the one that it compares with. That becomes the state when `state.json` is
replaced, at once, after the parts are published; then the old one is removed. Where all of that is, and how it is kept
apart from other runs, is a matter of the place (`state_places`).
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from isal import isal_zlib

from converter.delivery.state_places import RECORD, Prepared, StatePlace
from converter.delivery.state_record import StateFile, StateRecord, damaged, salt_id
from converter.errors import DestinationError, StateError
from converter.rows.delta.keyed import KEY_BYTES
from converter.rows.delta.past import SCHEMA, PastUsers, file_schema


class State:
    """The state at a place, as it is now; empty where there is none yet (`record` is None).

    `version` tells its record from those that replace it (`Prepared`).
    """

    def __init__(self, place: StatePlace, record: StateRecord | None, salt: bytes, version: str = "") -> None:
        self.place = place
        self.record = record
        self.salt = salt
        self.version = version
        self._files = {(each.set, each.number): each for each in record.files} if record else {}

    @classmethod
    def read(cls, place: StatePlace) -> State:
        """Read the record of the state at a place. Raises `StateError` where it cannot be used, `DestinationError`."""
        try:
            found = place.record()
            record = StateRecord.parse(found.data, place.url) if found else None
            salt = place.salt()
        except OSError as error:
            raise StateError(
                "E-STATE-READ", f"The state '{place.url}' cannot be read: {error.strerror or error}."
            ) from error
        if record and (len(salt) != KEY_BYTES or salt_id(salt) != record.salt):
            raise damaged(place.url, "its salt is not the one that it was written with")
        return cls(place, record, salt, found.version if found else "")

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of one file. Raises `StateError` where it is damaged, at once or when all is loaded."""
        record, file = self.record, self._files.get((set_, number))
        if record is None or file is None:
            return PastUsers(pl.DataFrame(schema=file_schema(traits=True, ids=True)))
        schema = file_schema(traits=record.traits, ids=record.ids)
        others = [name for name in schema.names() if name not in SCHEMA]
        return PastUsers(self._columns(record, file, SCHEMA.names()), lambda: self._columns(record, file, others))

    def file(self, set_: int, number: int, schema: pl.Schema) -> tuple[str, StateFile] | None:
        """Return where a file is that has these columns, and what the record says of it; None where there is none.

        The former is the name of its generation.
        """
        record, file = self.record, self._files.get((set_, number))
        if record is None or file is None or file_schema(traits=record.traits, ids=record.ids) != schema:
            return None
        return file.at or record.place, file

    def _columns(self, record: StateRecord, file: StateFile, names: Sequence[str]) -> pl.DataFrame:
        """Return some columns of a file."""
        try:
            data = self.place.file(file.at or record.place, file.name)
        except OSError as error:
            raise self._damaged(f"'{file.name}' cannot be read: {error.strerror or error}") from error
        if (len(data), isal_zlib.crc32(data)) != (file.bytes, file.crc32):
            raise self._damaged(f"'{file.name}' is not as it was written")
        if pl.read_parquet_schema(io.BytesIO(data)) != file_schema(traits=record.traits, ids=record.ids):
            raise self._damaged(f"'{file.name}' has other columns than it should have")
        if not names:
            return pl.DataFrame()
        frame = pl.read_parquet(io.BytesIO(data), columns=list(names))
        if frame.height != file.users:
            raise self._damaged(f"'{file.name}' has other rows than it should have")
        return frame

    def _damaged(self, why: str) -> StateError:
        return damaged(self.place.url, why)


class NextState:
    """The state that a run makes, an artifact of it: the next generation. Threads may share it.

    `run` is its name. Without `begin`, it is what an earlier process of the run has prepared.
    """

    def __init__(self, place: StatePlace, run: str) -> None:
        self.name = RECORD
        self._place = place
        self._run = run
        self._record: StateRecord | None = None
        self._made: list[StateFile] = []
        self._state = State(place, None, b"")
        self._next = ""
        self._own: Prepared | None = None
        self._lock = threading.Lock()
        self.at_once = place.at_once

    def begin(self, state: State) -> bytes:
        """Make the generation after that of a state, and remove what runs that died have left.

        Returns the salt, which is new where the state has none. Raises `DestinationError`.
        """
        self._state = state
        try:
            self._place.open()
            self._place.give_up()
            self._remove_others(state.record)
            self._next = self._place.begin(self._number)
            salt = state.salt
            if len(salt) != KEY_BYTES:  # of a state there is one
                salt = self._place.new_salt(salt)
        except OSError as error:
            raise self._error(error) from error
        return salt

    def begin_apart(self, state: State) -> None:
        """Make files of the generation after that of a state for another process, which has begun it (`adopt`).

        Raises `OSError` or `DestinationError`.
        """
        self._state = state
        self._next = self._place.begin(self._number, apart=True)

    def adopt(self, files: Sequence[StateFile]) -> None:
        """Take over files that another process has made apart. Raises `DestinationError`."""
        try:
            for file in files:
                self._add(file, self._place.adopt(file.at, file.name, self._next))
        except OSError as error:
            raise self._error(error) from error

    def made_apart(self) -> Sequence[StateFile]:
        """Return the files that were made apart, once all of them are written. Raises `DestinationError`."""
        self._place.settle()
        return list(self._made)

    @property
    def _number(self) -> int:
        """The number of the generation."""
        return 1 + (self._state.record.generation if self._state.record else 0)

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of one file of the state before. Raises `StateError` where it is damaged."""
        return self._state.load(set_, number)

    def store(self, set_: int, number: int, users: pl.DataFrame) -> None:
        """Begin to write one file (`past`); none is written without users. Raises `DestinationError`."""
        if not users.height:
            return
        content = io.BytesIO()
        has_texts = len(users.columns) > len(SCHEMA)  # hashes cannot be compressed
        users.write_parquet(content, compression="lz4" if has_texts else "uncompressed", statistics=False)
        with content.getbuffer() as data:
            file = StateFile(set_, number, users.height, len(data), isal_zlib.crc32(data))
        try:
            self._place.write(self._next, file.name, content, file.crc32)
        except OSError as error:
            raise self._error(error) from error
        self._add(file, self._next)

    def keep(self, set_: int, number: int, schema: pl.Schema) -> bool:
        """Take over a file of the state before where it has these columns, without writing it again.

        Returns whether that was done; not every place can do it.
        """
        if not (found := self._state.file(set_, number, schema)):
            return False
        generation, file = found
        if (at := self._place.take_over(generation, file.name, self._next)) is None:
            return False
        self._add(file, at)
        return True

    def _add(self, file: StateFile, at: str) -> None:
        """Note a file of the next state."""
        with self._lock:
            self._made.append(replace(file, at=at))

    def describe(self, **facts: Any) -> None:
        """Say what the record has beside the generation and the files, once all of them are stored."""
        users = sum(file.users for file in self._made)
        record = StateRecord(generation=self._number, run=self._run, users=users, files=[], **facts)
        files = sorted(self._made, key=lambda file: (file.set, file.number))
        for file in files:
            record.files.append(replace(file, at="") if file.at == record.place else file)
        self._record = record

    def prepare(self) -> None:
        """Write the record, invisible, unless another run has replaced the one that users were compared with."""
        assert self._record is not None  # noqa: S101 - for the type checker: it was described
        own = Prepared(self._record.to_json(), self._state.version)
        try:
            self._place.settle()
            self._place.confirm()
            current = self._place.record()
            if (current.version if current else "") != own.version:
                raise self._changed()
            self._place.prepare(self._next, own)
        except OSError as error:
            raise self._error(error) from error
        self._own = own

    def publish(self) -> None:
        """Let the new generation be the state, and remove the old one. Where that is done already, nothing is.

        Raises `DestinationError`, also where another run has replaced the state since.
        """
        try:
            self._place.confirm()
            prepared = self._own or self._prepared()
            if prepared and not self._place.publish(prepared):
                self._place.give_up()  # so that the run can be finished
                raise self._changed()
            self._own = None
            if current := self._current():
                self._remove_others(current)
        except OSError as error:
            raise self._error(error) from error

    def discard(self) -> None:
        """Remove the new generation, unless it is the state."""
        self._place.stop_writing()
        with contextlib.suppress(OSError, StateError, DestinationError):  # the first error is the one to report
            self._own = None
            self._place.give_up()
            current = self._current()
            self._remove_others(current)
            if current is None:  # nothing was made with this salt
                self._place.remove_salt()

    def _prepared(self) -> Prepared | None:
        """Return the record that an earlier process of this run has prepared."""
        found = self._place.prepared()
        return found if found and StateRecord.parse(found.data, self._place.url).run == self._run else None

    def _current(self) -> StateRecord | None:
        """Return the record of the state as it is now."""
        found = self._place.record()
        return StateRecord.parse(found.data, self._place.url) if found else None

    def _remove_others(self, record: StateRecord | None) -> None:
        """Remove all files but those of a record."""
        self._place.remove_others(record.place if record else "", record.kept if record else set())

    def _error(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-STATE-WRITE",
            f"Cannot write the state '{self._place.url}': {error.strerror or error}.",
            "Free some space there, or choose another folder with delta.state.",
        )

    def _changed(self) -> DestinationError:
        return DestinationError(
            "E-STATE-CHANGED",
            f"Another run has replaced the state '{self._place.url}' since this one has read it.",
            "The state is as the other run has left it: what this one sends is compared with that the next time.",
        )
