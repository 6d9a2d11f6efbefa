"""What a client that reads objects or files of a server offers, for any protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from converter.errors import InputError


class Entry(NamedTuple):
    """An object, or a file: its name, its size in bytes, and what changes with its content.

    `size` is None where the server does not say it. `version` is an ETag or a time, empty where there is none. `ranges`
    says whether any part of it can be read.
    """

    name: str
    size: int | None
    version: str
    ranges: bool = True


class Content(Protocol):
    """The bytes of an answer, as they come."""

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end. Raises `TransientError`."""
        ...

    def close(self) -> None:
        """End the answer, wherever it is. Never raises."""
        ...


class Objects(Protocol):
    """A place whose objects can be read. Threads may share it.

    Methods raise `InputError` where an object has changed, `DestinationError`, and `TransientError` where a retry may
    help.
    """

    def url(self, name: str) -> str:
        """Return what messages call an object, without secrets."""
        ...

    def find(self, name: str) -> Entry | None:
        """Return what the server says of an object; None where there is none."""
        ...

    def entries(self, prefix: str) -> Sequence[Entry]:
        """Return all objects whose names begin with a text."""
        ...

    def open(self, entry: Entry, start: int, stop: int | None) -> Content:
        """Ask for the bytes from `start` up to `stop` or the end. Raises `InputError` where it has changed."""
        ...


def changed(url: str) -> InputError:
    """Return the error that an object is not what it was when the run began."""
    return InputError(
        "E-INPUT-CHANGED",
        f"The input '{url}' changed while it was read, so the run was stopped.",
        "Run again when nothing writes to it.",
    )
