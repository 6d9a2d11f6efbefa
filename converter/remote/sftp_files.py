"""Files of an SFTP server, read by parts, many requests ahead."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from converter.jobs.sections.servers import Sftp
from converter.remote.objects import Entry
from converter.remote.server import Address
from converter.remote.server_files import ServerFiles
from converter.remote.sftp import CHUNK_BYTES, READS_AHEAD, SftpFiles, private_key


def sftp_files(address: Address, settings: Sftp) -> ServerFiles:
    """Return the files of a server; nothing is connected yet. Raises `JobError` where the key cannot be used."""
    key = private_key(settings)
    return ServerFiles(address, lambda: _SftpSession(SftpFiles(address, settings, key)))


class _SftpSession:
    """One connection."""

    def __init__(self, files: SftpFiles) -> None:
        self._files = files
        self.close = files.close

    def find(self, path: str) -> Entry | None:
        """Ask for the attributes."""
        with self._files.map_errors(f"read '{path}' from"):
            try:
                found = self._files.sftp.stat(_on_server(path))
            except FileNotFoundError:
                return None
        return None if stat.S_ISDIR(found.st_mode or 0) else _entry(path, found.st_size, found.st_mtime)

    def listed(self, folder: str) -> tuple[Sequence[Entry], Sequence[str]]:
        """List a folder."""
        with self._files.map_errors(f"list '{folder}' at"):
            try:
                found = self._files.sftp.listdir_attr(_on_server(folder) or ".")
            except FileNotFoundError:
                return (), ()
        prefix = f"{folder}/" if folder else ""
        files = [
            _entry(prefix + each.filename, each.st_size, each.st_mtime)
            for each in found
            if stat.S_ISREG(each.st_mode or stat.S_IFREG)
        ]
        return files, [prefix + each.filename for each in found if stat.S_ISDIR(each.st_mode or 0)]

    def read(self, path: str, start: int, stop: int) -> Iterator[bytes]:
        """Read in chunks, of which many are asked for at once."""
        chunks = [(at, min(CHUNK_BYTES, stop - at)) for at in range(start, stop, CHUNK_BYTES)]
        with self._files.map_errors(f"read '{path}' from"), self._files.sftp.open(_on_server(path), "rb") as file:
            yield from file.readv(chunks, READS_AHEAD)


def _entry(path: str, size: int | None, modified: float | None) -> Entry:
    return Entry(path, size, f"{size}-{modified}")


def _on_server(path: str) -> str:
    """Return a path of a URL as the server knows it: `~/` is the folder of the login."""
    return path.removeprefix("~").removeprefix("/") if path.split("/")[0] == "~" else f"/{path}"
