"""What a place offers for a state, whether it is a folder or in a bucket."""

from __future__ import annotations

import io
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from converter.errors import Finding

RECORD = "state.json"
SALT = "salt"
LOCK = "state.lock"
GENERATION = "generation-"


class Prepared(NamedTuple):
    """A record, as it is or is to be; `version` tells the record that is there from others, or the one it replaces.

    A version is empty where there is no record, and in a folder, where the lock is enough.
    """

    data: bytes
    version: str = ""


class StatePlace(Protocol):
    """The place of a state: its record, its salt, and its files in generations.

    Methods raise `DestinationError`; in a folder they raise `OSError`, but for `lock`. Threads may share it.
    """

    url: str
    """What messages call it."""
    at_once: int
    """How many files are to be read at the same time: more than one where it takes a while until reading begins."""

    def record(self) -> Prepared | None:
        """Return the record and its version; None where there is none."""
        ...

    def salt(self) -> bytes:
        """Return the salt, empty where there is none."""
        ...

    def new_salt(self, found: bytes) -> bytes:
        """Return a new salt, once it is written in place of the one that was `found`."""
        ...

    def file(self, generation: str, name: str) -> bytes:
        """Return the content of a file. Raises `FileNotFoundError` where there is none."""
        ...

    def open(self) -> None:
        """Make the place where it is not there yet."""
        ...

    def begin(self, number: int, *, apart: bool = False) -> str:
        """Return the name of a new generation with this number, where no other process writes.

        With `apart`, another process has begun that generation, which is to adopt the files of this one.
        """
        ...

    def write(self, generation: str, name: str, content: io.BytesIO, crc32: int) -> None:
        """Begin to write a file, which stays once `settle` returns. Raises also what an earlier one has raised."""
        ...

    def settle(self) -> None:
        """Wait until all files are written. Raises what one of them has raised."""
        ...

    def stop_writing(self) -> None:
        """Wait until no file is being written, and forget those that are not begun. Raises nothing."""
        ...

    def take_over(self, generation: str, name: str, by: str) -> str | None:
        """Let a generation have a file of another one; return where it is then, None where that cannot be done."""
        ...

    def adopt(self, generation: str, name: str, by: str) -> str:
        """Let a generation have a file of one that was begun apart; return where it is then."""
        ...

    def prepare(self, generation: str, record: Prepared) -> None:
        """Write the record of a generation, invisible, so that another process can publish it."""
        ...

    def prepared(self) -> Prepared | None:
        """Return the record that was prepared, by whichever process; None where there is none."""
        ...

    def publish(self, record: Prepared) -> bool:
        """Let the prepared record be the record; return whether the one that it replaces was still there."""
        ...

    def give_up(self) -> None:
        """Remove the prepared record, if there is one."""
        ...

    def remove_others(self, generation: str, kept: Collection[tuple[str, str]]) -> None:
        """Remove all files but those of one generation, and those that are `kept`, each a generation and a name."""
        ...

    def remove_salt(self) -> None:
        """Remove the salt of a state that has not come about, where no other process can have taken it."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock of the state. Raises `DestinationError` where another run has it."""
        ...

    def confirm(self) -> None:
        """Raise `DestinationError` unless the lock that is held is held still."""
        ...

    def is_open(self) -> bool:
        """Return whether other users of this machine can read the state."""
        ...

    def check(self) -> list[Finding]:
        """Return whether a state can be written, where that is not known before; leave nothing behind."""
        ...

    def close(self) -> None:
        """Close connections. Never raises."""
        ...
