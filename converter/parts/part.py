"""A part: what is known of it, and what it is written to. All rooms that handle parts share these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

Buffer: TypeAlias = "bytes | memoryview"


@dataclass(frozen=True)
class Part:
    """A finished part. `bytes`, `crc32` and `sha256` are of the part as sent, `raw_bytes` is the size of its text."""

    name: str
    url: str
    lines: int
    raw_bytes: int
    bytes: int
    crc32: str
    sha256: str


class PlannedPart(NamedTuple):
    """A part that an earlier run has made, and the CRC-32 of its text; if it has `arrived`, it is not made again."""

    part: Part
    text_crc32: int
    arrived: bool


class PartWriter(Protocol):
    """What the bytes of one part are written to, all by one thread."""

    def write(self, data: Buffer) -> None:
        """Write the next bytes."""
        ...

    def finish(self, part: Part, text_crc32: int) -> None:
        """Complete the part: `part` is what was written, and `text_crc32` the CRC-32 of its text."""
        ...

    def fail(self, error: BaseException) -> None:
        """Give the part up. A call that waits to begin another part raises the error."""
        ...
