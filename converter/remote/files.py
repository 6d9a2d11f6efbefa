"""What a client of a server with files gives, whatever protocol it speaks."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Look(NamedTuple):
    """What a server tells about a file: whether it is there, and its size. None is what it does not tell."""

    there: bool | None
    size: int | None = None


class OpenUpload(Protocol):
    """A file that is being sent."""

    def write(self, data: memoryview) -> None:
        """Send the next bytes."""
        ...

    def finish(self) -> None:
        """End the file; returns when the server has said that it has everything."""
        ...

    def abort(self) -> None:
        """Stop sending; the connection is not used again. Never raises."""
        ...


class Files(Protocol):
    """An open connection to a server, and the files in the folder of the URL.

    Used by one thread at a time. Methods raise `DestinationError` or `TransientError`; after any of those the
    connection is closed, and another one opened.
    """

    def upload(self, name: str, *, exclusive: bool = False) -> OpenUpload:
        """Begin a file, in place of what has that name; missing folders are made.

        Where it is to be `exclusive` and the server knows how, it is refused where something has the name.
        """
        ...

    def look(self, name: str) -> Look:
        """Say what the server tells about a file."""
        ...

    def names(self) -> list[str] | None:
        """Return the names in the folder; nothing where the server does not tell."""
        ...

    def crc32(self, name: str) -> int | None:
        """Read a file and return its checksum; nothing where the server does not let it be read."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str) -> bool:
        """Remove a file; false where the server says that it did not, for whatever reason."""
        ...

    def unmake_folders(self) -> None:
        """Remove the folders that this connection made, where that is allowed; then it can only be closed."""
        ...

    def close(self) -> None:
        """Close the connection. Never raises."""
        ...
