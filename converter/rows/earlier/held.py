"""Lines that are held until it is known what becomes of them: in memory while they fit, else in a file."""

from __future__ import annotations

import threading
from typing import NamedTuple

from converter.rows.spill_file import SpillFile
from converter.rows.users.lines import UserLines


class Stored(NamedTuple):
    """Lines in the file: their offset and length in bytes."""

    offset: int
    length: int


class HeldLines:
    """Holds lines. `memory` is how many bytes of them stay in memory; the file of the others is in `folder`.

    Threads may share it. Close it. Raises `DestinationError` where the disk fails.
    """

    def __init__(self, memory: int, folder: str | None) -> None:
        self._room = memory
        self._file = SpillFile(folder)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Release the disk."""
        self._file.close()

    @property
    def bytes_on_disk(self) -> int:
        """How many bytes of the disk are used; 0 while all lines are in memory."""
        return self._file.size

    def hold(self, lines: UserLines) -> UserLines | Stored:
        """Take lines; return what `take` gives them for."""
        with self._lock:
            fits = lines.size <= self._room
            self._room -= lines.size if fits else 0
        if fits:
            # Not the memory of the whole block: it is leased, and may be much larger.
            return UserLines(lines.text.copy(), lines.ends.copy(), lines.at)
        data = lines.packed()
        return Stored(self._file.append(data), len(data))

    def take(self, held: UserLines | Stored) -> UserLines:
        """Return lines that are held."""
        return UserLines.unpacked(self._file.read(*held)) if isinstance(held, Stored) else held
