"""Places to send to, as the conformance suite sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from converter.delivery.destinations import Destination, Owner
from converter.errors import Finding, TransientError
from converter.spec.names import FileName

PARTIAL = ".partial"
OWNER = Owner("0123456789ab", "01234567")
"""Whose partial names are, in tests of one job: each run has another token, which is the same here."""


def findings_of(destination: Destination, name: FileName) -> list[Finding]:
    """What a check finds, or what it could not pass."""
    try:
        return destination.check(name)
    except TransientError as error:
        return [Finding.of(error)]


class Place(Protocol):
    """Somewhere to send to, and what is to be seen there."""

    def destination(self) -> Destination:
        """Return a new destination, as a new process has it."""
        ...

    def visible(self) -> dict[str, bytes]:
        """Return the final names, and what is in them."""
        ...

    def hidden(self) -> set[str]:
        """Return what is left of parts that are not published."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Put a file there, as somebody else would."""
        ...


@dataclass
class FolderPlace:
    """A place that is a folder on this machine in the end.

    `stop` ends its server at once; `wrong` makes destinations that cannot work, by what is wrong with them.
    """

    folder: Path
    destination: Callable[[], Destination]
    stop: Callable[[], None] | None = None
    wrong: dict[str, Callable[[], Destination]] = field(default_factory=dict)

    def _files(self) -> dict[str, Path]:
        return {path.name: path for path in self.folder.iterdir()} if self.folder.exists() else {}

    def visible(self) -> dict[str, bytes]:
        return {name: path.read_bytes() for name, path in self._files().items() if not name.endswith(PARTIAL)}

    def hidden(self) -> set[str]:
        return {name for name in self._files() if name.endswith(PARTIAL)}

    def put(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
