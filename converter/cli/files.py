"""How commands write a file that an option names."""

from __future__ import annotations

from pathlib import Path

from converter.errors import DestinationError


def write_file(path: str, content: bytes) -> None:
    """Write a file, or replace it. Raises `DestinationError`."""
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise DestinationError(
            "E-FOLDER-WRITE", f"The file '{path}' cannot be written: {error.strerror or error}."
        ) from error
