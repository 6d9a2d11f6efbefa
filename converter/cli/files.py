"""How commands write to what an option names: a file, or standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from converter.cli.streams import failure_of
from converter.errors import DestinationError


def write_file(path: str, content: bytes) -> None:
    """Write a file, or replace it. Raises `DestinationError`."""
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise DestinationError(
            "E-FOLDER-WRITE", f"The file '{path}' cannot be written: {error.strerror or error}."
        ) from error


@contextlib.contextmanager
def output_at(path: str, option: str) -> Iterator[str | BinaryIO]:
    """Yield the path, or for `-` standard output. Raises `DestinationError` where that is closed."""
    if path != "-":
        yield path
        return
    if failure_of(sys.stdout):
        raise DestinationError("E-STDOUT", "Standard output is closed.", f"Set a file: {option} FILE.")
    stream = open(sys.stdout.fileno(), "wb", closefd=False)  # noqa: SIM115 - `sys.stdout` hides errors
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):  # it is flushed, or has failed
            stream.close()
