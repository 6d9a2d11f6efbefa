"""FTP, and FTPS with explicit TLS. `ftp://HOST/a/b` is a folder of the login's, `ftp://HOST//a/b` one of the server's.

Plain FTP notices no damage on the way: a part is read again and compared, where the server lets it be read. FTPS
verifies the certificate, protects the data, and takes up the session of the control connection for each data
connection, as many servers require.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ftplib
import netrc
import os
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable, Iterator

from isal import isal_zlib

from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.sections.servers import Ftp
from converter.remote.files import Files, Look
from converter.remote.server import RIGHTS_HINT, SPACE_HINT, Address, cannot, network_error

_SLICE_BYTES = 64 << 10  # the time-out is for each slice: large blocks may take longer on a slow line
_GOODBYE_SECONDS = 5.0  # how long to wait for what a server need not say
_KEEPALIVE_SECONDS = 60
_POLL_SECONDS = 0.002
_PASSES = True, "It is tried again."
_LOGIN = False, "Check user and password in output.to or ~/.netrc."
_SPACE = False, SPACE_HINT
_UNKNOWN = False, "The server does not take what is needed for this."
_ANSWERS: dict[str, tuple[bool, str]] = {
    "421": (True, "It has too many connections, or closes those that wait. It is tried again."),
    "425": (True, "A firewall may stand in between: try ftp.passive = false, or true."),
    "426": _PASSES,
    "430": _LOGIN,
    "450": _PASSES,
    "451": (True, f"{SPACE_HINT} It is tried again."),
    "452": _SPACE,
    "500": _UNKNOWN,
    "501": _UNKNOWN,
    "502": _UNKNOWN,
    "503": _UNKNOWN,
    "504": _UNKNOWN,
    "521": (False, "The server wants data to be protected: use ftps://."),
    "522": (False, "The server wants data to be protected in another way."),
    "530": _LOGIN,
    "532": (False, "The user may not store files there."),
    "534": _UNKNOWN,
    "550": (False, RIGHTS_HINT),
    "552": _SPACE,
    "553": (False, "The server does not allow the name: see ftp.partial_suffix, and the rights of the user."),
}
"""What the answers of servers mean (RFC 959, 2228): whether another try may help, and what to do."""

_CODES = {
    "430": "E-SERVER-LOGIN",
    "452": "E-SERVER-FULL",
    "530": "E-SERVER-LOGIN",
    "532": "E-SERVER-RIGHTS",
    "550": "E-SERVER-RIGHTS",
    "552": "E-SERVER-FULL",
    "553": "E-SERVER-NAME",
}
"""The codes of answers that mean one thing alone."""

_FAILURES: tuple[type[Exception], ...] = (ftplib.Error, OSError, EOFError, ValueError)
"""What ftplib raises; a `ValueError` for an answer that it cannot take apart."""


def connector(address: Address, settings: Ftp) -> Callable[[], Files]:
    """Return what connects to a server of FTP or FTPS. Raises `JobError` where the file of certificates is unusable."""
    context = _context(settings.tls_ca_file) if address.scheme == "ftps" else None
    return lambda: _FtpFiles(address, settings, context)


def _context(ca_file: str | None) -> ssl.SSLContext:
    """Return what TLS connections are made with: certificates are verified, and their hosts."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise JobError(
            "E-FTP-CA-FILE",
            f"ftp.tls_ca_file is '{ca_file}', which cannot be read: {error.strerror or 'it holds no certificate'}.",
            "Name a file with certificates in PEM format (-----BEGIN CERTIFICATE-----).",
        ) from error
    if ca_file:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the server's own certificate is enough
    return context


def _login_of(address: Address) -> tuple[str, str]:
    """Return user and password: those of the URL, or else of `~/.netrc`, or else anonymous."""
    if address.password is not None:
        return address.user or "anonymous", address.password
    try:
        found = netrc.netrc().authenticators(address.host)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError, netrc.NetrcParseError) as error:  # their texts quote the file
        raise DestinationError(
            "E-FTP-NETRC",
            f"Cannot log in to '{address.url}': ~/.netrc cannot be read.",
            "Its lines are `machine HOST login USER password PASSWORD`, and only its owner may read it (mode 600).",
        ) from error
    if found and address.user in (None, found[0]):
        return found[0], found[2] or ""
    return address.user or "anonymous", ""


class _Lines(ftplib.FTP):
    """FTP whose commands are UTF-8, and whose answers may be anything: they are read as Latin-1."""

    def putline(self, line: str) -> None:
        """Send a line as UTF-8."""
        super().putline(line.encode().decode(self.encoding))


class _Plain(_Lines):
    """FTP without protection."""


class _Secure(_Lines, ftplib.FTP_TLS):
    """FTP with explicit TLS; data connections take up the session of the control connection."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection. Without the session, vsftpd and others refuse it."""
        data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321  # it is protected below
        control = self.sock
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        return self.context.wrap_socket(data, server_hostname=self.host, session=session), size


class _FtpFiles:
    """One connection, in the folder of the URL."""

    def __init__(self, address: Address, settings: Ftp, context: ssl.SSLContext | None) -> None:
        self._address, self.timeout = address, settings.timeout
        user, password = _login_of(address)
        self._ftp: ftplib.FTP
        if context is None:
            self._ftp = _Plain(timeout=settings.timeout, encoding="latin-1")
        else:
            self._ftp = _Secure(timeout=settings.timeout, encoding="latin-1", context=context)
        self._ftp.set_pasv(settings.passive)
        self._inside = not address.path
        self._tells_sizes = False
        self._made: list[str] = []
        try:
            with self.mapped("log in to"):
                self._ftp.connect(address.host, address.port or 0)
                self._keep_alive()
                if isinstance(self._ftp, _Secure):
                    self._ftp.auth()
                self._ftp.login(user, password)
                if isinstance(self._ftp, _Secure):
                    self._ftp.prot_p()
                self._ftp.voidcmd("TYPE I")
        except BaseException:
            self._ftp.close()
            raise

    def _keep_alive(self) -> None:
        """Have signs of life sent on the control connection: during long files, firewalls forget it."""
        if self._ftp.sock:
            self._ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                self._ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)

    @contextlib.contextmanager
    def mapped(self, doing: str) -> Iterator[None]:
        """Raise our errors for those of ftplib, TLS and the network."""
        try:
            yield
        except _FAILURES as error:
            raise _error(doing, self._address, self.timeout, error) from error

    def upload(self, name: str, *, exclusive: bool = False) -> _FtpUpload:
        """Send STOR, which has no way to be exclusive."""
        del exclusive
        with self.mapped("make the folder of"):
            self._enter(make=True)
        with self.mapped(f"send '{name}' to"):
            return _FtpUpload(self, self._ftp, name)

    def look(self, name: str) -> Look:
        """Ask for the size, or else for the names: the answer may be one for what is not and what may not be seen."""
        with self.mapped(f"look for '{name}' at"):
            if not self._enter():
                return Look(there=False)
            try:
                size = self._ftp.size(name)
                self._tells_sizes = True
                return Look(there=True, size=size)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                _pass_over(error)
                if self._tells_sizes:
                    return Look(there=False)
        names = self.names()
        return Look(there=None if names is None else name in names)

    def names(self) -> list[str] | None:
        """Send NLST; some servers say 450 or 550 for an empty folder."""
        with self.mapped("list"):
            if not self._enter():
                return []
            self._ftp.voidcmd("TYPE A")
            listed: bytes | None = b""
            try:
                listed = b"".join(self._received("NLST"))
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
        """Send RETR and add up what comes."""
        crc32 = 0
        with self.mapped(f"read '{name}' from"):
            try:
                for block in self._received(f"RETR {name}"):
                    crc32 = isal_zlib.crc32(block, crc32)
            except ftplib.error_perm:
                return None
        return crc32

    def rename(self, name: str, new: str) -> None:
        """Send RNFR and RNTO."""
        with self.mapped(f"give '{name}' its final name at"):
            if not self._enter():
                self._ftp.cwd(self._address.path)  # the refusal is what is to be told
            self._ftp.rename(name, new)

    def remove(self, name: str) -> bool:
        """Send DELE."""
        with self.mapped(f"remove '{name}' from"):
            try:
                if self._enter():
                    self._ftp.delete(name)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                _pass_over(error)
                return False
        return True

    def unmake_folders(self) -> None:
        """Send CDUP and RMD for each folder that was made."""
        with self.mapped("leave the folder of"), contextlib.suppress(ftplib.error_perm):
            while self._made:
                self._ftp.cwd("..")
                self._ftp.rmd(self._made.pop())

    def close(self) -> None:
        """Take leave, without waiting for an answer."""
        with contextlib.suppress(OSError, AttributeError):
            self._ftp.putcmd("QUIT")
        with contextlib.suppress(OSError):
            self._ftp.close()

    def _enter(self, *, make: bool = False) -> bool:
        """Go into the folder, once. Without `make`, say whether it is there."""
        if not self._inside:
            try:
                self._ftp.cwd(self._address.path)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                _pass_over(error)
                if not make:
                    return False
                self._make()
            self._inside = True
        return True

    def _make(self) -> None:
        """Go down step by step, and make what is missing. Another connection may make the same."""
        root, steps = self._address.path.startswith("/"), self._address.path.strip("/").split("/")
        for step in ["/"] * root + steps:
            with contextlib.suppress(ftplib.error_perm):
                self._ftp.cwd(step)
                continue
            with contextlib.suppress(ftplib.error_perm):
                self._ftp.mkd(step)
                self._made.append(step)
            self._ftp.cwd(step)

    def _received(self, command: str) -> Iterator[bytes]:
        with self._ftp.transfercmd(command) as data:
            while block := data.recv(_SLICE_BYTES):
                yield block
            end_tls(data)
        self._ftp.voidresp()


class _FtpUpload:
    """A file on its way, on a data connection."""

    def __init__(self, files: _FtpFiles, ftp: ftplib.FTP, name: str) -> None:
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
        with self._files.mapped(self._doing):
            self._ftp.voidresp()

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        """Map errors; where the server hung up, its answer says why."""
        with self._files.mapped(self._doing):
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
        """Wait for what the system still has to send, which may be megabytes: on a slow line, longer than an answer."""
        least, since = sys.maxsize, time.monotonic()
        while left := _unsent(self._data):
            try:
                self._data.getpeername()  # there is none after a reset, of which another call may have heard
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


def _pass_over(error: ftplib.Error) -> None:
    """Do nothing about a refusal; some servers say 450 for what is not there. Raise what may pass."""
    if isinstance(error, ftplib.error_temp) and not str(error).startswith("450"):
        raise error


def end_tls(data: socket.socket) -> None:
    """Say that the data ends here, and read what the server still says: else, closing would take back what was sent.

    Many servers never answer, or just hang up.
    """
    if isinstance(data, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            data.settimeout(_GOODBYE_SECONDS)
            data.unwrap()


def _unsent(data: socket.socket) -> int:
    """Return how many bytes were written and not acknowledged yet; none where the system does not tell."""
    with contextlib.suppress(OSError):
        return int.from_bytes(fcntl.ioctl(data, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0


def _error(doing: str, address: Address, timeout: float, error: Exception) -> DestinationError:
    """Return our error for one of ftplib, TLS or the network."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of the server is not trusted ({error.verify_message})"
        return cannot(
            "E-SERVER-CERTIFICATE",
            doing,
            address,
            why,
            "If it is right, name a file with it, or with its authority's, as ftp.tls_ca_file; "
            "the host in output.to must be the one that it names.",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
        return cannot(
            "E-SERVER-TLS", doing, address, f"TLS failed ({error.reason})", "Is it an FTPS server?", TransientError
        )
    if isinstance(error, ftplib.Error):
        answer = str(error).encode("latin-1", "replace").decode(errors="replace")  # see _Lines
        code = _CODES.get(answer[:3], "E-SERVER-ANSWER")
        passes, hint = _ANSWERS.get(answer[:3], (not answer.startswith("5"), "Nothing of it is visible."))
        return cannot(
            code, doing, address, address.quoted(answer), hint, TransientError if passes else DestinationError
        )
    if isinstance(error, ValueError):
        return cannot(
            "E-SERVER-MALFORMED",
            doing,
            address,
            "the server's answer makes no sense",
            "Is it an FTP server?",
            TransientError,
        )
    return network_error(doing, address, timeout, error)
