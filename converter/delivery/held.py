"""Small parts that exist already: each is sent and becomes visible by one request, so they wait for the publication.

Their bytes are sent while parts become visible. So they are few in all: that takes little longer than publishing parts
that have arrived.
"""

from __future__ import annotations

from typing import NamedTuple

from isal import isal_zlib

from converter.delivery.destinations.base import Arrived, AtOnce, Destination
from converter.delivery.spool import PartSource
from converter.errors import TransientError

_MOST_BYTES = 64 << 20


class HeldPart(NamedTuple):
    """A part that waits, whose bytes stay where they are, and the way by which it is published."""

    name: str
    source: PartSource
    way: AtOnce


class HeldParts:
    """The parts that wait, by number. One thread adds to them; then several may publish them."""

    def __init__(self, destination: Destination) -> None:
        self._way = destination.at_once
        self._left = _MOST_BYTES
        self.parts: dict[int, HeldPart] = {}

    def add(self, number: int, name: str, source: PartSource) -> bool:
        """Hold a part, which is read once for that, where it and all together are small; return whether they are."""
        if self._way is None or not 0 < source.size <= min(self._way.most_bytes, self._left):
            return False
        self._left -= source.size
        self.parts[number] = HeldPart(name, source, self._way)
        self.read(number)
        return True

    def read(self, number: int) -> tuple[bytearray, int]:
        """Return all bytes, and their CRC-32. Raises what the source raises, such as `InputError` after a change."""
        data = bytearray()
        for chunk in self.parts[number].source.chunks():  # not joined: each is valid until the next one is taken
            data += chunk
        return data, isal_zlib.crc32(data)

    def publish(self, number: int, data: bytes | bytearray, crc32: int) -> Arrived:
        """Send a part that was read, and make it visible, by one request."""
        part = self.parts[number]
        return part.way.publish(part.name, data, crc32)


def changed(name: str) -> TransientError:
    """Return the error that what was read of a part, or what arrived of it, is not the part."""
    return TransientError(
        "E-PART-CHANGED",
        f"'{name}' has other bytes than it had, where they were read or where they arrived.",
        "Nothing of it is visible; it is sent again.",
    )
