"""The state of changes-only runs, in a folder: what was last sent for each user (`delta.state`).

- `state.json`: whose state it is, the run that wrote it, and its files with their sizes and checksums;
- `salt`: the key of the hashes that stand for IDs and lines;
- `generation-N/`: the files, in Parquet (`converter.rows.delta.past`), which are never changed.

A run writes the next generation beside the one that it compares with. That becomes the state when `state.json` is
replaced, at once, after the parts are published; then the old one is removed. Folders have the mode 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from isal import isal_zlib

from converter.delivery.atomic import AtomicFile, make_folder, sync_folder
from converter.errors import DestinationError, StateError
from converter.rows.delta.keyed import KEY_BYTES
from converter.rows.delta.past import SCHEMA, PastUsers, file_schema

VERSION = 2
NAME = "state.json"
_SALT = "salt"
_GENERATION = "generation-"
_PRIVATE_FOLDER, _PRIVATE = 0o700, 0o600
_NEW = (
    "Restore it from a copy, or name another folder in delta.state: then a run sends all users, and begins a new state."
)


@dataclass(frozen=True)
class StateFile:
    """A file of a state: the set of files and the range of hashes that it is for, and its size."""

    set: int
    number: int
    users: int
    bytes: int
    crc32: int

    @property
    def name(self) -> str:
        """Its name in the folder of its generation."""
        return f"{self.set}-{self.number:02}.parquet"


@dataclass(frozen=True)
class StateRecord:
    """What `state.json` says.

    `kind`, `sources` (each with `dpid` and `target`) and `mode` are those of the files that were sent; `lines` is the
    digest of what decided on their lines. `run` wrote the state on a `day` (UTC, as in ISO 8601). `counts` says what
    became of users then. The state has the `traits` of users, and their `ids`, where the job asks for it; `salt` tells
    its salt from others.
    """

    generation: int
    run: str
    day: str
    kind: str
    sources: list[dict[str, int | None]]
    mode: str
    lines: str
    salt: str
    traits: bool
    ids: bool
    users: int
    counts: Mapping[str, int]
    files: list[StateFile] = field(default_factory=list)

    def to_json(self) -> bytes:
        """Return the record as a JSON document."""
        return orjson.dumps(
            {"version": VERSION, **asdict(self)}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )


class State:
    """The state in a folder, as it is now; empty where there is none yet (`record` is None)."""

    def __init__(self, folder: Path, record: StateRecord | None, salt: bytes) -> None:
        self.folder = folder
        self.record = record
        self.salt = salt
        self._files = {(each.set, each.number): each for each in record.files} if record else {}

    @classmethod
    def read(cls, folder: Path) -> State:
        """Read the record of the state in a folder. Raises `StateError` where it cannot be used."""
        path = folder / NAME
        try:
            record = _record(path)
            salt = (folder / _SALT).read_bytes() if record or (folder / _SALT).exists() else b""
        except OSError as error:
            raise StateError(
                "E-STATE-READ", f"The state '{folder}' cannot be read: {error.strerror or error}."
            ) from error
        if record and (len(salt) != KEY_BYTES or salt_id(salt) != record.salt):
            raise _damaged(folder, "its salt is not the one that it was written with")
        return cls(folder, record, salt)

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of one file. Raises `StateError` where it is damaged, at once or when all is loaded."""
        record, file = self.record, self._files.get((set_, number))
        if record is None or file is None:
            return PastUsers(pl.DataFrame(schema=file_schema(traits=True, ids=True)))
        schema = file_schema(traits=record.traits, ids=record.ids)
        others = [name for name in schema.names() if name not in SCHEMA]
        return PastUsers(self._columns(record, file, SCHEMA.names()), lambda: self._columns(record, file, others))

    def file(self, set_: int, number: int, schema: pl.Schema) -> tuple[Path, StateFile] | None:
        """Return where a file is that has these columns, and what the record says of it; None where there is none."""
        record, file = self.record, self._files.get((set_, number))
        if record is None or file is None or file_schema(traits=record.traits, ids=record.ids) != schema:
            return None
        return self._path(record, file), file

    def _path(self, record: StateRecord, file: StateFile) -> Path:
        return self.folder / f"{_GENERATION}{record.generation}" / file.name

    def _columns(self, record: StateRecord, file: StateFile, names: Sequence[str]) -> pl.DataFrame:
        """Return some columns of a file."""
        try:
            data = self._path(record, file).read_bytes()
        except OSError as error:
            raise _damaged(self.folder, f"'{file.name}' cannot be read: {error.strerror or error}") from error
        if (len(data), isal_zlib.crc32(data)) != (file.bytes, file.crc32):
            raise _damaged(self.folder, f"'{file.name}' is not as it was written")
        if pl.read_parquet_schema(io.BytesIO(data)) != file_schema(traits=record.traits, ids=record.ids):
            raise _damaged(self.folder, f"'{file.name}' has other columns than it should have")
        if not names:
            return pl.DataFrame()
        frame = pl.read_parquet(io.BytesIO(data), columns=list(names))
        if frame.height != file.users:
            raise _damaged(self.folder, f"'{file.name}' has other rows than it should have")
        return frame


class NextState:
    """The state that a run makes, an artifact of it: the next generation. Threads may share it.

    `run` is its name. Without `begin`, it is what an earlier process of the run has prepared.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.name = NAME
        self._path = folder / NAME
        self._folder = folder
        self._run = run
        self._file = AtomicFile(self._path, mode=_PRIVATE)
        self._record: StateRecord | None = None
        self._made: list[StateFile] = []
        self._state = State(folder, None, b"")
        self._next = folder
        self._lock = threading.Lock()

    def begin(self, state: State) -> bytes:
        """Make the folder of the generation after that of a state, and remove what runs that died have left.

        Returns the salt, which is new where the state has none. Raises `DestinationError`.
        """
        generation = state.record.generation if state.record else 0
        self._state = state
        self._next = self._folder / f"{_GENERATION}{generation + 1}"
        try:
            make_state_folder(self._folder)
            self._file.discard()
            self._remove_others(generation)
            self._next.mkdir(_PRIVATE_FOLDER)
            salt = state.salt
            if len(salt) != KEY_BYTES:  # of a state there is one
                salt = secrets.token_bytes(KEY_BYTES)
                file = AtomicFile(self._folder / _SALT, mode=_PRIVATE)
                file.write_whole(salt)
                file.publish()
        except OSError as error:
            raise self._error(error) from error
        return salt

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of one file of the state before. Raises `StateError` where it is damaged."""
        return self._state.load(set_, number)

    def store(self, set_: int, number: int, users: pl.DataFrame) -> None:
        """Write one file (`past`), flushed to the disk; none is written without users. Raises `DestinationError`."""
        if not users.height:
            return
        buffer = io.BytesIO()
        has_texts = len(users.columns) > len(SCHEMA)  # hashes cannot be compressed
        users.write_parquet(buffer, compression="lz4" if has_texts else "uncompressed", statistics=False)
        data = buffer.getbuffer()
        file = StateFile(set_, number, users.height, len(data), isal_zlib.crc32(data))
        try:
            descriptor = os.open(self._next / file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise self._error(error) from error
        with self._lock:
            self._made.append(file)

    def keep(self, set_: int, number: int, schema: pl.Schema) -> bool:
        """Take over a file of the state before where it has these columns: it gets a second name.

        Returns whether that was done; not every file system can do it.
        """
        if not (found := self._state.file(set_, number, schema)):
            return False
        path, file = found
        try:
            os.link(path, self._next / file.name)
        except OSError:
            return False
        with self._lock:
            self._made.append(file)
        return True

    def describe(self, **facts: Any) -> None:
        """Say what the record has beside the generation and the files, once all of them are stored."""
        files = sorted(self._made, key=lambda file: (file.set, file.number))
        generation = int(self._next.name.removeprefix(_GENERATION))
        users = sum(file.users for file in files)
        self._record = StateRecord(generation=generation, run=self._run, users=users, files=files, **facts)

    def prepare(self) -> None:
        """Write the record under its partial name."""
        assert self._record is not None  # noqa: S101 - for the type checker: it was described
        try:
            sync_folder(self._next)
            self._file.write_whole(self._record.to_json())
            sync_folder(self._folder)
        except OSError as error:
            raise self._error(error) from error

    def publish(self) -> None:
        """Let the new generation be the state, and remove the old one. Where that is done already, nothing is."""
        try:
            prepared = _record(self._file.partial)
            if prepared and prepared.run == self._run:
                self._file.publish()
            if current := _record(self._path):
                self._remove_others(current.generation)
        except OSError as error:
            raise self._error(error) from error

    def discard(self) -> None:
        """Remove the new generation, unless it is the state."""
        with contextlib.suppress(OSError, StateError):  # the first error is the one to report
            self._file.discard()
            current = _record(self._path)
            self._remove_others(current.generation if current else 0)
            if current is None:  # nothing was made with this salt
                (self._folder / _SALT).unlink(missing_ok=True)

    def _remove_others(self, generation: int) -> None:
        """Remove all generations but one."""
        for path in self._folder.glob(f"{_GENERATION}*"):
            if path.name != f"{_GENERATION}{generation}":
                shutil.rmtree(path)

    def _error(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-STATE-WRITE",
            f"Cannot write the state '{self._folder}': {error.strerror or error}.",
            "Free some space there, or choose another folder with delta.state.",
        )


def make_state_folder(folder: Path) -> None:
    """Make the folder of a state, which only its owner can open. Raises `OSError`."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(_PRIVATE_FOLDER)
        sync_folder(folder.parent)


def salt_id(salt: bytes) -> str:
    """Return what tells a salt from others."""
    return hashlib.sha256(salt).hexdigest()[:12]


def _record(path: Path) -> StateRecord | None:
    """Return the record of a state; None where there is none. Raises `OSError`, `StateError` where it is damaged."""
    try:
        facts = orjson.loads(path.read_bytes())
        version = facts.pop("version")
        if version != VERSION:
            raise StateError(
                "E-STATE-VERSION",
                f"The state '{path.parent}' is of version {version}, but this program writes and reads {VERSION}.",
                "Use the program that wrote it, or name another folder in delta.state: then a run sends all users.",
            )
        files = [StateFile(**each) for each in facts.pop("files")]
        return StateRecord(**facts, files=files)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path.parent, f"'{path.name}' is not what was written") from error


def _damaged(folder: Path, why: str) -> StateError:
    return StateError("E-STATE-DAMAGED", f"The state '{folder}' is damaged: {why}.", _NEW)
