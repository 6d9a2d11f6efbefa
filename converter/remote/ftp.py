"""FTP, and FTPS with explicit TLS.

`ftp://HOST/a/b` is relative to the folder of the login, `ftp://HOST//a/b` to the root of the server. FTPS verifies the
certificate, protects the data, and resumes the session of the control connection for each data connection, as many
servers require.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ftplib
import os
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable, Iterator

from isal import isal_zlib

from converter.errors import DestinationError, TransientError
from converter.jobs.events import tell
from converter.jobs.sections.servers import Ftp
from converter.remote.files import Files, FileStatus
from converter.remote.passwords import netrc_login
from converter.remote.server import RIGHTS_HINT, SPACE_HINT, Address, cannot, network_error
from converter.remote.tls import tls_context

_SLICE_BYTES = 64 << 10  # the timeout is for each slice: large blocks may take longer on a slow line
_GOODBYE_SECONDS = 5.0  # how long to wait for answers that are optional
_KEEPALIVE_SECONDS = 60
_POLL_SECONDS = 0.002
_IMPLICIT_TLS = 990  # a port
_NEEDS_TLS = re.compile(r"^[45][0-9]{2}.*\b(tls|ssl|ftps|encrypt)", re.IGNORECASE | re.DOTALL)
_TRANSIENT = True, "It is tried again."
_LOGIN = (
    False,
    "Check user and password in output.to or ~/.netrc. In a URL, '%' and '@' of a password are written as %25 and %40.",
)
_SPACE = False, SPACE_HINT
_UNSUPPORTED = False, "The server does not support a command that is needed."
_ANSWERS: dict[str, tuple[bool, str]] = {
    "421": (True, "It has too many connections, or closes idle ones. It is tried again."),
    "425": (True, "A firewall may block it: try ftp.passive = false, or true."),
    "426": _TRANSIENT,
    "430": _LOGIN,
    "450": _TRANSIENT,
    "451": (True, f"{SPACE_HINT} It is tried again."),
    "452": _SPACE,
    "500": _UNSUPPORTED,
    "501": _UNSUPPORTED,
    "502": _UNSUPPORTED,
    "503": _UNSUPPORTED,
    "504": _UNSUPPORTED,
    "521": (False, "The server requires protected data: use ftps://."),
    "522": (False, "The server requires another protection of data."),
    "530": _LOGIN,
    "532": (False, "The user may not store files there."),
    "534": _UNSUPPORTED,
    "550": (False, RIGHTS_HINT),
    "552": _SPACE,
    "553": (False, "The server does not allow the name: see ftp.partial_suffix, and the rights of the user."),
}
"""What answers of servers mean (RFC 959, 2228): whether a retry may help, and what to do."""

_CODES = {
    "430": "E-SERVER-LOGIN",
    "452": "E-SERVER-FULL",
    "530": "E-SERVER-LOGIN",
    "532": "E-SERVER-RIGHTS",
    "550": "E-SERVER-RIGHTS",
    "552": "E-SERVER-FULL",
    "553": "E-SERVER-NAME",
}
"""The error codes of answers that have only one meaning."""

_FAILURES: tuple[type[Exception], ...] = (ftplib.Error, OSError, EOFError, ValueError)
"""What ftplib raises; a `ValueError` is for a malformed answer."""


def connector(address: Address, settings: Ftp) -> Callable[[], Files]:
    """Return what connects to an FTP or FTPS server. Raises `JobError` where `ftp.tls_ca_file` cannot be used."""
    context = tls_context(settings.tls_ca_file, "ftp") if address.scheme == "ftps" else None
    return lambda: FtpFiles(address, settings, context)


def _login_of(address: Address) -> tuple[str, str]:
    """Return user and password: from the URL, else from `~/.netrc`, else anonymous."""
    if address.password is not None:
        return address.user or "anonymous", address.password
    found = netrc_login(address.host, address.url)
    if found and address.user in (None, found[0]):
        return found
    return address.user or "anonymous", ""


class _Utf8Ftp(ftplib.FTP):
    """FTP whose commands are UTF-8. Answers may have any encoding: they are decoded as Latin-1."""

    def putline(self, line: str) -> None:
        """Send a line as UTF-8."""
        super().putline(line.encode().decode(self.encoding))

    def getline(self) -> str:
        """Receive a line. The greeting of an SFTP server looks like the start of an answer that never ends."""
        line = super().getline()
        if line.startswith("SSH-"):
            raise ftplib.error_proto(line)  # noqa: S321 - an error, no call
        return line


class _Secure(_Utf8Ftp, ftplib.FTP_TLS):
    """FTP with explicit TLS; data connections resume the session of the control connection."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection. vsftpd and others refuse one with a new session."""
        data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321  # it is protected below
        control = self.sock
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        return self.context.wrap_socket(data, server_hostname=self.host, session=session), size


class FtpFiles:
    """One connection, in the folder of the URL."""

    def __init__(self, address: Address, settings: Ftp, context: ssl.SSLContext | None) -> None:
        self._address, self.timeout = address, settings.timeout
        user, password = _login_of(address)
        self._ftp: ftplib.FTP
        if context is None:
            self._ftp = _Utf8Ftp(timeout=settings.timeout, encoding="latin-1")
        else:
            self._ftp = _Secure(timeout=settings.timeout, encoding="latin-1", context=context)
        self._ftp.set_pasv(settings.passive)
        self._inside = not address.path
        self._reports_sizes = False
        self._made: list[str] = []
        try:
            with self.map_errors("log in to"):
                self._ftp.connect(address.host, address.port or 0)
                self._keep_alive()
                if isinstance(self._ftp, _Secure):
                    self._start_tls(self._ftp)
                self._ftp.login(user, password)
                if isinstance(self._ftp, _Secure):
                    self._ftp.prot_p()
                self._ftp.voidcmd("TYPE I")
        except BaseException:
            self._ftp.close()
            raise
        tell("connect", f"Logged in to '{address.url}'.")

    def _start_tls(self, ftp: _Secure) -> None:
        """Send AUTH TLS. Raises `DestinationError` where the server does not know it."""
        try:
            ftp.auth()
        except ftplib.error_perm as error:
            raise cannot(
                "E-SERVER-TLS",
                "log in to",
                self._address,
                f"the server offers no TLS: it answers AUTH with {self._address.quoted(str(error))}",
                "If it is a server of plain FTP, use ftp://, which sends passwords and data unencrypted; "
                "if it has SFTP, use sftp://.",
            ) from error

    def _keep_alive(self) -> None:
        """Turn on keep-alive on the control connection: firewalls drop it while a long file is sent."""
        if self._ftp.sock:
            self._ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                self._ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)

    @property
    def ftp(self) -> ftplib.FTP:
        """The client of the connection."""
        return self._ftp

    @contextlib.contextmanager
    def map_errors(self, doing: str) -> Iterator[None]:
        """Map errors of ftplib, TLS and the network."""
        try:
            yield
        except _FAILURES as error:
            raise _map_error(doing, self._address, self.timeout, error) from error

    def upload(self, name: str, *, exclusive: bool = False) -> _FtpUpload:
        """Send STOR, which cannot be exclusive."""
        del exclusive
        with self.map_errors("make the folder of"):
            self._enter(make=True)
        with self.map_errors(f"send '{name}' to"):
            return _FtpUpload(self, self._ftp, name)

    def status(self, name: str) -> FileStatus:
        """Ask for the size, or else for the names: servers may give one answer for missing and for hidden files."""
        with self.map_errors(f"find '{name}' at"):
            if not self._enter():
                return FileStatus(there=False)
            try:
                size = self._ftp.size(name)
                self._reports_sizes = True
                return FileStatus(there=True, size=size)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                ignore_refusal(error)
                if self._reports_sizes:
                    return FileStatus(there=False)
        names = self.names()
        return FileStatus(there=None if names is None else name in names)

    def names(self) -> list[str] | None:
        """Send NLST; some servers say 450 or 550 for an empty folder."""
        with self.map_errors("list"):
            if not self._enter():
                return []
            self._ftp.voidcmd("TYPE A")
            listed: bytes | None = b""
            try:
                listed = b"".join(self._receive("NLST"))
            except (ftplib.error_perm, ftplib.error_temp) as error:
                if "no files" not in str(error).lower():
                    if isinstance(error, ftplib.error_temp):
                        raise
                    listed = None
            self._ftp.voidcmd("TYPE I")
        if listed is None:
            return None
        return [line.rpartition("/")[2] for line in listed.decode(errors="replace").splitlines()]

    def crc32(self, name: str) -> int | None:
        """Send RETR and compute the checksum of the data."""
        crc32 = 0
        with self.map_errors(f"read '{name}' from"):
            try:
                for block in self._receive(f"RETR {name}"):
                    crc32 = isal_zlib.crc32(block, crc32)
            except ftplib.error_perm:
                return None
        return crc32

    def rename(self, name: str, new: str) -> None:
        """Send RNFR and RNTO."""
        with self.map_errors(f"give '{name}' its final name at"):
            if not self._enter():
                self._ftp.cwd(self._address.path)  # raises the server's refusal
            self._ftp.rename(name, new)

    def remove(self, name: str) -> bool:
        """Send DELE."""
        with self.map_errors(f"remove '{name}' from"):
            try:
                if self._enter():
                    self._ftp.delete(name)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                ignore_refusal(error)
                return False
        return True

    def unmake_folders(self) -> None:
        """Send CDUP and RMD for each folder that was made."""
        with self.map_errors("leave the folder of"), contextlib.suppress(ftplib.error_perm):
            while self._made:
                self._ftp.cwd("..")
                self._ftp.rmd(self._made.pop())

    def close(self) -> None:
        """Send QUIT and close, without waiting for the answer."""
        with contextlib.suppress(OSError, AttributeError):
            self._ftp.putcmd("QUIT")
        with contextlib.suppress(OSError):
            self._ftp.close()

    def _enter(self, *, make: bool = False) -> bool:
        """Change to the folder, once; return False where it is missing. With `make`, it is made."""
        if not self._inside:
            try:
                self._ftp.cwd(self._address.path)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                ignore_refusal(error)
                if not make:
                    return False
                self._make()
            self._inside = True
        return True

    def _make(self) -> None:
        """Change to the folder step by step, and make missing ones. Another connection may make the same."""
        root, steps = self._address.path.startswith("/"), self._address.path.strip("/").split("/")
        for step in ["/"] * root + steps:
            with contextlib.suppress(ftplib.error_perm):
                self._ftp.cwd(step)
                continue
            with contextlib.suppress(ftplib.error_perm):
                self._ftp.mkd(step)
                self._made.append(step)
            self._ftp.cwd(step)

    def _receive(self, command: str) -> Iterator[bytes]:
        with self._ftp.transfercmd(command) as data:
            while block := data.recv(_SLICE_BYTES):
                yield block
            end_tls(data)
        self._ftp.voidresp()


class _FtpUpload:
    """A file on its way, on a data connection."""

    def __init__(self, files: FtpFiles, ftp: ftplib.FTP, name: str) -> None:
        self._files, self._ftp = files, ftp
        self._doing = f"send '{name}' to"
        self._data = ftp.transfercmd(f"STOR {name}")

    def write(self, data: memoryview) -> None:
        """Send the next bytes."""
        with self._sending():
            for start in range(0, len(data), _SLICE_BYTES):
                self._data.sendall(data[start : start + _SLICE_BYTES])

    def finish(self) -> None:
        """Close the data connection, and wait for the answer."""
        with self._sending(), self._data:
            end_tls(self._data)
            self._wait_until_sent()
        with self._files.map_errors(self._doing):
            self._ftp.voidresp()

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        """Map errors; where the server closed the connection, its answer has the reason."""
        with self._files.map_errors(self._doing):
            try:
                yield
            except TimeoutError:
                raise
            except OSError:
                with contextlib.suppress(OSError, EOFError):
                    if self._ftp.sock:
                        self._ftp.sock.settimeout(_GOODBYE_SECONDS)
                    self._ftp.voidresp()
                raise

    def _wait_until_sent(self) -> None:
        """Wait until the system has sent its buffer: on a slow line, that may take longer than a timeout."""
        least, since = sys.maxsize, time.monotonic()
        while left := _unsent(self._data):
            try:
                self._data.getpeername()  # fails after a reset that another call was told of
            except OSError as error:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
            if left < least:
                least, since = left, time.monotonic()
            if time.monotonic() - since > self._files.timeout:
                raise TimeoutError
            time.sleep(_POLL_SECONDS)

    def abort(self) -> None:
        """Close the data connection."""
        with contextlib.suppress(OSError):
            self._data.close()


def ignore_refusal(error: ftplib.Error) -> None:
    """Ignore a refusal, also 450, which some servers send for missing files. Raises other transient errors."""
    if isinstance(error, ftplib.error_temp) and not str(error).startswith("450"):
        raise error


def end_tls(data: socket.socket) -> None:
    """End TLS on a data connection and read the server's answer: otherwise, closing could discard data already sent.

    Many servers never answer, or close the connection.
    """
    if isinstance(data, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            data.settimeout(_GOODBYE_SECONDS)
            data.unwrap()


def _unsent(data: socket.socket) -> int:
    """Return how many bytes were written and not acknowledged yet; 0 where the system does not report it."""
    with contextlib.suppress(OSError):
        return int.from_bytes(fcntl.ioctl(data, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0


def _map_error(doing: str, address: Address, timeout: float, error: Exception) -> DestinationError:
    """Map an error of ftplib, TLS or the network."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of the server is not trusted ({error.verify_message})"
        return cannot(
            "E-SERVER-CERTIFICATE",
            doing,
            address,
            why,
            "If it is right, set ftp.tls_ca_file to a file with it or its authority's certificate; "
            "the host in output.to must be the one in the certificate.",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
        return cannot(
            "E-SERVER-TLS", doing, address, f"TLS failed ({error.reason})", "Is it an FTPS server?", TransientError
        )
    if address.scheme == "ftps" and address.port == _IMPLICIT_TLS and isinstance(error, TimeoutError | EOFError):
        why = f"port {_IMPLICIT_TLS} is for implicit TLS, which is not supported"
        return cannot("E-SERVER-TLS", doing, address, why, "Use the port for explicit TLS, most often 21.")
    if isinstance(error, ftplib.Error):
        answer = str(error).encode("latin-1", "replace").decode(errors="replace")  # see _Utf8Ftp
        if answer.startswith("SSH-"):
            return cannot("E-SERVER-MALFORMED", doing, address, "it is an SFTP server", "Use sftp://.")
        if address.scheme == "ftp" and _NEEDS_TLS.search(answer):
            return cannot("E-SERVER-TLS", doing, address, address.quoted(answer), "Use ftps://.")
        code = _CODES.get(answer[:3], "E-SERVER-ANSWER")
        is_transient, hint = _ANSWERS.get(answer[:3], (not answer.startswith("5"), "Nothing of it is visible."))
        return cannot(
            code, doing, address, address.quoted(answer), hint, TransientError if is_transient else DestinationError
        )
    if isinstance(error, ValueError):
        return cannot(
            "E-SERVER-MALFORMED",
            doing,
            address,
            "the server's answer is malformed",
            "Is it an FTP server?",
            TransientError,
        )
    return network_error(doing, address, timeout, error)
