"""What all origins have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol, TypeAlias

from converter.errors import Finding, InputError

Reason: TypeAlias = Literal[
    "empty", "hidden", "checksum", "marker", "manifest", "unfinished", "subfolder", "special", "repeated", "foreign"
]
"""Why a file is not read: it has no text; its name begins with `.` or `_`; it is a checksum, a marker or a manifest of
the program that wrote the folder, or part of what that has not finished; it is a folder, or no regular file; it is
read by another name; or its name is not that of an outbound file."""


class Origin(Protocol):
    """Where the bytes of one input are, as it was when the run began. Creating one reads nothing of it.

    `open` and `read_at` raise `OSError`.
    """

    @property
    def label(self) -> str:
        """What messages call it, without secrets. Its suffixes name the format."""
        ...

    @property
    def size(self) -> int | None:
        """Its size in bytes; `None` where that is not known before the end."""
        ...

    @property
    def rereadable(self) -> bool:
        """Whether it can be opened more than once, at the same time too, and read at any position."""
        ...

    @property
    def identity(self) -> Hashable:
        """What is the same for each path to it, and for no other origin."""
        ...

    @property
    def path(self) -> Path | None:
        """The local file that it is, if it is one. For formats alone, whose libraries open or map files themselves."""
        ...

    def open(self) -> BinaryIO:
        """Return its bytes from the start, as a stream that can seek if it is `rereadable`."""
        ...

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, fewer at the end. Only if it is `rereadable`."""
        ...

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return what changes when its content changes, as JSON, with its `path` and `size`.

        `None` where its content cannot be recognized: a run of it cannot be resumed.
        """
        ...

    def check_unchanged(self) -> None:
        """Raise `InputError` where it is no longer what it was, as far as that can be known."""
        ...


class LeftOut(NamedTuple):
    """A file (or folder) that is not read."""

    path: str
    reason: Reason


class Found(NamedTuple):
    """The origins that paths name, what is beside them and not read, and warnings about their folders."""

    origins: list[Origin]
    left_out: Sequence[LeftOut] = ()
    warnings: Sequence[Finding] = ()


def total_size(origins: Iterable[Origin]) -> int | None:
    """Return the size of all origins in bytes, or `None` where one is not known."""
    total = 0
    for origin in origins:
        if origin.size is None:
            return None
        total += origin.size
    return total


def check_rereadable(origins: Iterable[Origin], need: str, hint: str) -> None:
    """Raise `InputError` where an origin can be read only once; `need` is what has to read it more than once."""
    for origin in origins:
        if not origin.rereadable:
            raise once_error(origin, need, hint)


def once_error(origin: Origin, need: str, hint: str = "Copy it to a file first.") -> InputError:
    """Return the error that an origin can be read only once, but is needed for more."""
    return InputError("E-INPUT-ONCE", f"The input '{origin.label}' can be read only once, but {need}.", hint)
