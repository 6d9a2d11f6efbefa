"""Inputs that are turned into lines of JSON, a row each, while they are read from start to end."""

from __future__ import annotations

from typing import Protocol, Self


class LineStream(Protocol):
    """A text of lines that is read once, as `TextStream`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def position(self) -> int:
        """How many bytes of the input itself have been read."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` until the input ends; return the number of bytes, 0 at the end."""
        ...

    def skip(self, size: int) -> None:
        """Read `size` bytes, or to the end."""
        ...


class Reshaped:
    """The text of an input with each of its rows on a line. Subclasses give it piece by piece."""

    def __init__(self) -> None:
        self._ready: memoryview = memoryview(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the input."""
        raise NotImplementedError

    def next_piece(self) -> memoryview:
        """Return more of the text, nothing at its end. Raises `InputError` where the input is damaged."""
        raise NotImplementedError

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` until the input ends; return the number of bytes, 0 at the end."""
        filled = 0
        while filled < len(buffer):
            if not self._ready and not (piece := self.next_piece()):
                break
            self._ready = self._ready or piece
            count = min(len(self._ready), len(buffer) - filled)
            buffer[filled : filled + count] = self._ready[:count]
            self._ready = self._ready[count:]
            filled += count
        return filled

    def skip(self, size: int) -> None:
        """Raise `SystemError`: no text of this kind has a header."""
        if size:
            raise SystemError("Rows are skipped in an input without a header.")
