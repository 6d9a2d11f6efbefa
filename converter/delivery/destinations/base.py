"""What every destination promises: a part is visible under its final name whole and once, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from converter.errors import Finding
from converter.spec.names import FileName


@dataclass(frozen=True)
class Arrived:
    """A part that has arrived whole, and is not visible yet.

    `bytes` and `crc32` are those of the part as sent. `state` is what the destination needs to publish or to remove
    the part, also in another process: plain texts, numbers and lists, which the journal keeps.
    """

    name: str
    bytes: int
    crc32: int
    state: Mapping[str, Any]


class Incoming(Protocol):
    """A part on its way, out of sight. Used by one thread at a time."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What `Destination.discard` needs to remove the part, from now on."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Send the next bytes; `data` is not kept."""
        ...

    def finish(self) -> Arrived:
        """Make sure that everything has arrived as it was written."""
        ...

    def abort(self) -> None:
        """Let go, and remove what has arrived as far as that can be done. Never raises."""
        ...


class Destination(Protocol):
    """A place for parts.

    Methods raise `DestinationError`, and of its kinds `TransientError` where another try may help. Several parts may
    be on their way at once, in a thread each.

    A run claims the names of its parts before it sends any: no other run, of whatever job or machine, gets them then,
    as far as the place can tell two runs apart.
    """

    direct: bool
    """Whether parts are written in place, with nothing between that could fail and be tried again."""

    @property
    def identity(self) -> str:
        """What tells one place from another on any machine, without credentials."""
        ...

    def check(self, name: FileName) -> list[Finding]:
        """See whether parts of this name can be written and would replace nothing, and leave nothing behind.

        What is wrong is found, not raised, but for a `TransientError`.
        """
        ...

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """See what `check` sees, and claim the name, out of sight, until it is released; not where errors are found.

        With `own`, what a run of the same job has left out of sight is no obstacle; with `visible`, neither is what
        has final names: it is the run's own.
        """
        ...

    def release(self, name: FileName) -> None:
        """Give a claim up, if there is one. Never raises."""
        ...

    def create(self, name: str) -> Incoming:
        """Begin a part, out of sight."""
        ...

    def holds(self, part: Arrived) -> bool | None:
        """Say whether a part that had arrived is still there, or visible, or processed; None where nobody can see."""
        ...

    def publish(self, part: Arrived) -> None:
        """Make a part visible, and replace nothing. Where it is visible already, with the same bytes, all is well."""
        ...

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove what is not published of a part, if it is there. What is published stays."""
        ...

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove what an earlier run of the same job has left out of sight but some parts, as far as that is seen."""
        ...

    def url(self, name: str) -> str:
        """Where a part will be, without any password."""
        ...

    def close(self) -> None:
        """Give connections back. The destination can still be used, and opens new ones."""
        ...
