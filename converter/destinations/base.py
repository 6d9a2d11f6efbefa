"""What every destination promises."""

from __future__ import annotations

from typing import Protocol

from converter.parts import PartWriter
from converter.spec.names import FileName


class Destination(Protocol):
    """A place for parts. A part is visible under its final name whole and once, or not at all.

    All methods raise `DestinationError`.
    """

    def check(self, name: FileName) -> None:
        """Make sure, before anything is converted, that parts of this name can be written and replace nothing."""
        ...

    def create(self, name: str) -> PartWriter:
        """Begin a part, out of sight."""
        ...

    def url(self, name: str) -> str:
        """Where the part will be."""
        ...

    def publish(self) -> None:
        """Make all finished parts visible, together; where that fails, none of them stays."""
        ...

    def abort(self) -> None:
        """Remove everything that is not published. Does nothing after `publish`."""
        ...
