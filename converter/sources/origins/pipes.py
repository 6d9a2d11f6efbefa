"""Standard input (`-`) and named pipes, which can be read once: their size is not known, and nothing is there again."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from converter.errors import JobError

STANDARD_INPUT = 0
_NAMES_OF_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


class Pipe:
    """A named pipe or, where `name` is `-`, standard input."""

    size = None
    rereadable = False
    path = None

    def __init__(self, name: str) -> None:
        self._name = name
        self.label = "standard input" if name == "-" else name
        self.identity = "-" if name == "-" else os.path.realpath(name)

    def open(self) -> BinaryIO:
        """Return its bytes. Waits until a program writes to it. Raises `OSError`."""
        # Without a buffer, so that no lock is held by a thread that waits for it when the process ends.
        if self._name == "-":
            return os.fdopen(os.dup(STANDARD_INPUT), "rb", buffering=0)
        return Path(self._name).open("rb", buffering=0)

    def read_at(self, start: int, stop: int) -> bytes:
        """Raise `OSError`: it has no positions."""
        raise OSError("a pipe has no positions")

    def fingerprint(self) -> None:
        """Return `None`: what comes from a pipe cannot be recognized."""

    def check_unchanged(self) -> None:
        """Do nothing: what is read is all there is."""


def find_pipe(path: str) -> Pipe | None:
    """Return what a path names, if that is standard input or a pipe. Raises `JobError` where there is no input."""
    if path not in _NAMES_OF_INPUT:
        try:
            return Pipe(path) if stat.S_ISFIFO(Path(path).stat().st_mode) else None
        except (OSError, ValueError):
            return None
    if sys.stdin is None:  # its descriptor may be that of another file by now
        raise JobError(
            "E-INPUT-STDIN", "Standard input ('-') is closed.", "Give a file, or pipe a table into the command."
        )
    if os.isatty(STANDARD_INPUT):
        raise JobError(
            "E-INPUT-STDIN",
            "Standard input ('-') is a terminal, so there is nothing to read.",
            "Give a file, or pipe a table into the command: `PROGRAM | aam-inbound convert job.toml --input -`.",
        )
    return Pipe("-")
