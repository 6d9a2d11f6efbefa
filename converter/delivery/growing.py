"""A part of a delivery while it grows: what the packer writes it to."""

from __future__ import annotations

import functools
from typing import Protocol

from converter.delivery.destinations.base import Arrived, PartUpload
from converter.delivery.spool import Spool
from converter.parts.part import Part


class Parts(Protocol):
    """The delivery that a part belongs to."""

    def begin(self, number: int, name: str) -> PartUpload | Spool:
        """Begin the part: where it stays, or in a spool, from which it is sent meanwhile."""
        ...

    def raise_failure(self) -> None:
        """Raise the first failure of any part, if there is one."""
        ...

    def note_made(self, number: int, part: Part, text_crc32: int) -> None:
        """Note that all bytes of the part are known."""
        ...

    def note_arrived(self, number: int, arrived: Arrived) -> None:
        """Note that the part has arrived whole."""
        ...

    def fail(self, error: BaseException) -> None:
        """Raise an error of the part in the next call."""
        ...


class GrowingPart:
    """Writes a part, which begins with its first bytes."""

    def __init__(self, delivery: Parts, number: int, name: str) -> None:
        self._delivery = delivery
        self._number = number
        self._name = name

    @functools.cached_property
    def _target(self) -> PartUpload | Spool:
        return self._delivery.begin(self._number, self._name)

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes."""
        self._delivery.raise_failure()
        self._target.write(data)

    def finish(self, part: Part, text_crc32: int) -> None:
        """Complete the part."""
        self._delivery.note_made(self._number, part, text_crc32)
        if arrived := self._target.finish():
            self._delivery.note_arrived(self._number, arrived)

    def fail(self, error: BaseException) -> None:
        """Give the part up."""
        self._delivery.fail(error)
