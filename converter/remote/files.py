"""What a client of a file server offers, for any protocol."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class FileStatus(NamedTuple):
    """What a server reports about a file: whether it is there, and its size in bytes; None where it does not."""

    there: bool | None
    size: int | None = None


class OpenUpload(Protocol):
    """A file that is being sent."""

    def write(self, data: memoryview) -> None:
        """Send the next bytes."""
        ...

    def finish(self) -> None:
        """End the file; returns when the server has confirmed that it has everything."""
        ...

    def abort(self) -> None:
        """Stop sending; the connection is not used again. Never raises."""
        ...


class Files(Protocol):
    """An open connection to a server, and the files in the folder of the URL.

    A connection is used by one thread at a time. Methods raise `DestinationError` or `TransientError`; after an error
    the connection is closed, and another one opened.
    """

    def upload(self, name: str, *, exclusive: bool = False) -> OpenUpload:
        """Begin a file, in place of an older one; missing folders are made.

        Where it is `exclusive`, and the server supports that, an older file is an error.
        """
        ...

    def status(self, name: str) -> FileStatus:
        """Return what the server reports about a file."""
        ...

    def names(self) -> list[str] | None:
        """Return the names in the folder; None where the server does not list it."""
        ...

    def crc32(self, name: str) -> int | None:
        """Read a file and return its CRC-32; None where the server does not let it be read."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str) -> bool:
        """Remove a file; return False where the server refuses, for whatever reason."""
        ...

    def unmake_folders(self) -> None:
        """Remove the folders that this connection made, where that is allowed. After that it can only be closed."""
        ...

    def close(self) -> None:
        """Close the connection. Never raises."""
        ...
