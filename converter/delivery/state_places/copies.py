"""Copies of what a run has read from a bucket, so that nothing is downloaded twice while it lasts."""

from __future__ import annotations

import contextlib
import shutil
import tempfile

from converter.errors import DestinationError
from converter.rows.spill_file import SpillFile


class Copies:
    """Contents by their names, in a nameless temporary file of a `folder`, by default that of the system.

    Threads may share it. All copies together take at most half of the space that is free there. One that has no room,
    or that the disk fails to give back, is just not there: this never raises.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder or tempfile.gettempdir()
        self._file = SpillFile(folder)
        self._places: dict[str, tuple[int, int]] = {}  # the offset and the length of each

    def get(self, name: str) -> bytes | None:
        """Return a content, as it was kept; None where it was not."""
        if place := self._places.get(name):
            with contextlib.suppress(DestinationError):
                return self._file.read(*place)
        return None

    def keep(self, name: str, content: bytes) -> None:
        """Keep a content, unless there is no room."""
        with contextlib.suppress(DestinationError, OSError):
            if self._file.size + len(content) <= shutil.disk_usage(self._folder).free - len(content):
                self._places[name] = self._file.append(memoryview(content)), len(content)

    def close(self) -> None:
        """Remove all copies."""
        self._places.clear()
        self._file.close()
