"""Files of an FTP or FTPS server, read from any byte on (RFC 3659)."""

from __future__ import annotations

import contextlib
import ftplib
from collections.abc import Iterator, Sequence

from converter.jobs.sections.servers import Ftp
from converter.remote.ftp import FtpFiles, ignore_refusal
from converter.remote.objects import Entry
from converter.remote.server import Address
from converter.remote.server_files import ServerFiles
from converter.remote.tls import tls_context

_BLOCK = 1 << 18  # bytes
_NOT_KNOWN = ("500", "502")  # answers to commands that a server does not know


def ftp_files(address: Address, settings: Ftp) -> ServerFiles:
    """Return the files of a server; nothing is connected yet. Raises `JobError` for unusable `ftp.tls_ca_file`."""
    context = tls_context(settings.tls_ca_file, "ftp") if address.scheme == "ftps" else None
    return ServerFiles(address, lambda: _FtpSession(FtpFiles(address, settings, context)))


class _FtpSession:
    """One connection."""

    def __init__(self, files: FtpFiles) -> None:
        self._files = files
        self._ftp = files.ftp
        self.close = files.close

    def find(self, path: str) -> Entry | None:
        """Ask for the size and the time of the last change."""
        with self._files.map_errors(f"read '{path}' from"):
            try:
                size = self._ftp.size(path)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                ignore_refusal(error)
                return None
            try:
                modified = self._ftp.voidcmd(f"MDTM {path}")[4:]
            except ftplib.error_perm:  # it is not known
                modified = ""
        return Entry(path, size, f"{size}-{modified.strip()}")

    def listed(self, folder: str) -> tuple[Sequence[Entry], Sequence[str]]:
        """Send MLSD, which says what is a folder; the time of files is asked for, since lists may round it."""
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        with self._files.map_errors(f"list '{folder}' at"):
            try:
                listed = list(self._ftp.mlsd(folder or "."))
            except ftplib.error_perm as error:
                if str(error)[:3] in _NOT_KNOWN:
                    return self._named(folder, prefix)
                ignore_refusal(error)
                return (), ()
            finally:
                self._ftp.voidcmd("TYPE I")
        found = [(prefix + _text(name), facts.get("type")) for name, facts in listed]
        entries = [entry for name, type_ in found if type_ == "file" and (entry := self.find(name))]
        return entries, [name for name, type_ in found if type_ == "dir"]

    def _named(self, folder: str, prefix: str) -> tuple[Sequence[Entry], Sequence[str]]:
        """Send NLST, which says no more than names: what has no size and can be entered is a folder."""
        try:
            listed = self._ftp.nlst(folder or ".")
        except (ftplib.error_perm, ftplib.error_temp) as error:
            ignore_refusal(error)
            return (), ()
        finally:
            self._ftp.voidcmd("TYPE I")
        names = [prefix + _text(name.rpartition("/")[2]) for name in listed]
        files = {name: entry for name in names if (entry := self.find(name))}
        return list(files.values()), [name for name in names if name not in files and self._is_folder(name)]

    def _is_folder(self, path: str) -> bool:
        start = self._ftp.pwd()
        try:
            self._ftp.cwd(path)
        except ftplib.error_perm as error:
            ignore_refusal(error)
            return False
        self._ftp.cwd(start)
        return True

    def read(self, path: str, start: int, stop: int) -> Iterator[bytes]:
        """Send REST and RETR, and close the data connection at the end of the part."""
        left = stop - start
        with self._files.map_errors(f"read '{path}' from"):
            self._ftp.voidcmd("TYPE I")
            with self._ftp.transfercmd(f"RETR {path}", rest=start or None) as data:
                while left > 0 and (block := data.recv(min(_BLOCK, left))):
                    left -= len(block)
                    yield block
            # Where the part ends before the file does, the server says that the connection was closed.
            with contextlib.suppress(ftplib.error_temp):
                self._ftp.voidresp()


def _text(name: str) -> str:
    """Return a name that a server has sent, which was read byte by byte."""
    return name.encode("latin-1").decode(errors="replace")
