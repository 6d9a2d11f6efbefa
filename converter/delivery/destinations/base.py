"""What every destination promises: a part is visible under its final name whole and once, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from converter.errors import DestinationError, Finding
from converter.spec.names import FileName


@dataclass(frozen=True)
class Arrived:
    """A part that has arrived whole, and is not visible yet.

    `bytes` and `crc32` are those of the part as sent. `state` is what the destination needs to publish or remove the
    part, also in another process: plain texts, numbers and lists, which the journal keeps.
    """

    name: str
    bytes: int
    crc32: int
    state: Mapping[str, Any]


class PartUpload(Protocol):
    """A part on its way, invisible. Used by one thread at a time."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What `Destination.discard` needs to remove the part, from now on."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Send the next bytes; `data` is not kept."""
        ...

    def finish(self) -> Arrived:
        """Check that everything has arrived as it was written."""
        ...

    def abort(self) -> None:
        """Stop, and remove what has arrived as far as that succeeds. Never raises."""
        ...


class AtOnce(Protocol):
    """A way to send a whole part and make it visible by one request, for parts that exist already."""

    most_bytes: int
    """How many bytes a part may have, so that this takes little longer than publishing one that has arrived."""

    def publish(self, name: str, data: bytes | bytearray, crc32: int) -> Arrived:
        """Publish a part, and replace nothing. Does nothing where it is visible already, with the same bytes."""
        ...


class Destination(Protocol):
    """Where parts are delivered.

    Methods raise `DestinationError`, and of its kinds `TransientError` where a retry may help. Several parts may be
    under way at once, in a thread each.

    A run claims the names of its parts before it sends any: no other run, of whatever job or machine, gets them then,
    as far as the destination can tell two runs apart.
    """

    direct: bool
    """Whether parts are written in place, by calls whose errors are all permanent."""
    on_retry: Callable[[str], None]
    """Called with the code of the error whenever a client sends a request again by itself."""

    @property
    def at_once(self) -> AtOnce | None:
        """Return how small parts that exist already are published; None where all have to be sent first."""
        ...

    @property
    def identity(self) -> str:
        """A text that is different for each destination, and the same on all machines, without credentials."""
        ...

    def check(self, name: FileName) -> list[Finding]:
        """Check whether parts of this name can be written and would replace nothing, and leave nothing behind.

        Errors are returned as findings; only a `TransientError` is raised.
        """
        ...

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Do what `check` does, and claim the name, invisibly, until it is released. With an error, it is not claimed.

        With `own`, invisible files of runs of the same job are no obstacle; with `visible`, neither are files with
        final names: they are the run's own.
        """
        ...

    def release(self, name: FileName) -> None:
        """Remove the claim, if there is one. Never raises."""
        ...

    def create(self, name: str) -> PartUpload:
        """Begin a part, invisible."""
        ...

    def holds(self, part: Arrived) -> bool | None:
        """Return whether a part that had arrived is still there, visible, or processed; None if that cannot be seen."""
        ...

    def publish(self, part: Arrived) -> None:
        """Make a part visible, and replace nothing. Does nothing where it is visible already, with the same bytes."""
        ...

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove a part that is not published, if it is there. A published one stays."""
        ...

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove invisible files that runs of the same job have left, but for the parts to `keep`, as far as seen."""
        ...

    def url(self, name: str) -> str:
        """Return where a part will be, without a password."""
        ...

    def close(self) -> None:
        """Close connections. The destination can still be used, and opens new ones."""
        ...


def warnings_of(findings: Iterable[Finding]) -> list[Finding]:
    """Return the warnings among findings. Raises the first error among them as `DestinationError`."""
    warnings = []
    for finding in findings:
        if finding.level == "error":
            raise DestinationError(*finding)
        if finding.level == "warning":
            warnings.append(finding)
    return warnings
