"""A state in a folder: private files, which are flushed to the disk, and a lock of the operating system."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

from converter.delivery.atomic import AtomicFile, make_folder, sync_folder
from converter.delivery.locks import lock_state
from converter.delivery.state_places.base import GENERATION, RECORD, SALT, Prepared
from converter.errors import Finding
from converter.rows.delta.keyed import KEY_BYTES

_PRIVATE_FOLDER, _PRIVATE = 0o700, 0o600


class StateFolder:
    """The folder of a state, with a folder for each generation. Files that did not change get a second name."""

    at_once = 1

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self._folder = folder
        self._record = AtomicFile(folder / RECORD, mode=_PRIVATE)

    def record(self) -> Prepared | None:
        """Return the record."""
        return _read(self._record.path)

    def salt(self) -> bytes:
        """Return the salt."""
        found = _read(self._folder / SALT)
        return found.data if found else b""

    def new_salt(self, found: bytes) -> bytes:
        """Write a new salt."""
        del found  # it is replaced
        salt = secrets.token_bytes(KEY_BYTES)
        file = AtomicFile(self._folder / SALT, mode=_PRIVATE)
        file.write_whole(salt)
        file.publish()
        return salt

    def file(self, generation: str, name: str) -> bytes:
        """Return the content of a file."""
        return (self._folder / generation / name).read_bytes()

    def open(self) -> None:
        """Make the folder, which only its owner can open."""
        make_state_folder(self._folder)

    def begin(self, number: int, *, apart: bool = False) -> str:
        """Make the folder of a generation; its name has this process in it where it is apart."""
        name = f"{GENERATION}{number}" + (f"-{secrets.token_hex(8)}" if apart else "")
        (self._folder / name).mkdir(_PRIVATE_FOLDER)
        return name

    def write(self, generation: str, name: str, content: io.BytesIO, crc32: int) -> None:
        """Write a file, flushed to the disk."""
        del crc32  # nothing is on its way
        descriptor = os.open(self._folder / generation / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content.getbuffer())
            opened.flush()
            os.fsync(descriptor)

    def settle(self) -> None:
        """Do nothing: files are written at once."""

    def stop_writing(self) -> None:
        """Do nothing: files are written at once."""

    def take_over(self, generation: str, name: str, by: str) -> str | None:
        """Give a file a second name; not every file system can do it."""
        try:
            os.link(self._folder / generation / name, self._folder / by / name)
        except OSError:
            return None
        return by

    def adopt(self, generation: str, name: str, by: str) -> str:
        """Move a file."""
        (self._folder / generation / name).rename(self._folder / by / name)
        return by

    def prepare(self, generation: str, record: Prepared) -> None:
        """Write the record under its partial name."""
        sync_folder(self._folder / generation)
        self._record.write_whole(record.data)
        sync_folder(self._folder)

    def prepared(self) -> Prepared | None:
        """Return what has the partial name."""
        return _read(self._record.partial)

    def publish(self, record: Prepared) -> bool:
        """Give the record its name."""
        del record  # it is what was prepared
        self._record.publish()
        return True

    def give_up(self) -> None:
        """Remove what has the partial name."""
        self._record.discard()

    def remove_others(self, generation: str, kept: Collection[tuple[str, str]]) -> None:
        """Remove all folders but one: it has all files that are kept."""
        del kept
        for path in self._folder.glob(f"{GENERATION}*"):
            if path.name != generation:
                is_apart = path.name.count("-") > GENERATION.count("-")
                shutil.rmtree(path, ignore_errors=is_apart)  # its process may live: then the next run removes the rest

    def remove_salt(self) -> None:
        """Remove the salt, which only the holder of the lock has."""
        (self._folder / SALT).unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock, a file in the folder."""
        return lock_state(self._folder, make_state_folder)

    def confirm(self) -> None:
        """Do nothing: the lock is held as long as the process lives."""

    def is_open(self) -> bool:
        """Return whether others may open the folder."""
        return bool(stat.S_IMODE(self._folder.stat().st_mode) & 0o077)

    def check(self) -> list[Finding]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Do nothing: no file is open between two calls."""


def make_state_folder(folder: Path) -> None:
    """Make the folder of a state, which only its owner can open. Raises `OSError`."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(_PRIVATE_FOLDER)
        sync_folder(folder.parent)


def _read(path: Path) -> Prepared | None:
    with contextlib.suppress(FileNotFoundError):
        return Prepared(path.read_bytes())
    return None
