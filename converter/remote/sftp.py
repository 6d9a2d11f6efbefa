"""SFTP. `sftp://HOST/a/b` is from the server's root, `sftp://HOST/~/a` from the folder of the login, as in curl.

1. The host key is compared with the known ones, or with a fingerprint; an unknown or changed one is refused.
2. The login uses the key file, or the password of the URL, or else the keys of the agent and of `~/.ssh`.
3. Writes do not wait for their answers, but every answer is read before a file counts as sent: see `sftp_upload`.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import paramiko
from isal import isal_zlib
from paramiko.hostkeys import HostKeyEntry
from paramiko.ssh_exception import IncompatiblePeer

from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.events import tell
from converter.jobs.sections.servers import Sftp
from converter.remote.files import Files, FileStatus
from converter.remote.server import RIGHTS_HINT, SPACE_HINT, Address, cannot, network_error
from converter.remote.sftp_upload import WRITE_BYTES, PipelinedFile, write_bytes

_PORT = 22
CHUNK_BYTES = 32 << 10  # which all servers accept at once
READS_AHEAD = 64
_FAILURES: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    paramiko.SSHException,
    paramiko.SFTPError,
    ValueError,  # these are for answers that are not SSH
    IndexError,
    struct.error,
)
_KEEPALIVE_SECONDS = 30

# Without a handler, Python prints paramiko's warnings, with tracebacks, to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def connector(address: Address, settings: Sftp) -> Callable[[], Files]:
    """Return what connects to an SFTP server. Raises `JobError` where the key file cannot be used."""
    key = private_key(settings)
    return lambda: SftpFiles(address, settings, key)


def private_key(settings: Sftp) -> paramiko.PKey | None:
    """Read the key file. Raises `JobError`, which never quotes it."""
    if settings.key_file is None:
        return None
    passphrase = settings.key_passphrase.encode() if settings.key_passphrase else None
    try:
        return paramiko.PKey.from_path(settings.key_file, passphrase)  # type: ignore[arg-type]  # a text is not accepted
    except OSError as error:
        cause: Exception = error
        why, hint = f"which cannot be read: {error.strerror}", "Name the private key, not the public one."
    except (TypeError, paramiko.PasswordRequiredException) as error:
        cause = error
        if passphrase is None:
            why = "which is encrypted"
            hint = 'Give its passphrase, such as sftp.key_passphrase = "${KEY_PASSPHRASE}", or use an SSH agent.'
        else:
            why, hint = "which is not encrypted", "Leave sftp.key_passphrase out."
    except Exception as error:  # of paramiko and of several of its libraries: their texts may quote the file
        cause = error
        why = "which is not a usable private key" + (", or the passphrase is wrong" if passphrase else "")
        hint = "RSA, ECDSA and Ed25519 keys are usable, in the form that ssh-keygen writes."
    raise JobError("E-SFTP-KEY-FILE", f"sftp.key_file is '{settings.key_file}', {why}.", hint) from cause


class _HostKeys(paramiko.MissingHostKeyPolicy):
    """The host keys to accept. paramiko's own list stays empty, so that it calls `missing_host_key` each time."""

    def __init__(self, address: Address, settings: Sftp) -> None:
        self._address, self._fingerprint = address, settings.host_key_fingerprint
        port = address.port or _PORT
        name = address.host if port == _PORT else f"[{address.host}]:{port}"
        self._file = Path(settings.known_hosts or "~/.ssh/known_hosts").expanduser()
        self._known: list[paramiko.PKey] = []
        if self._fingerprint is None and (os.access(self._file, os.F_OK) or settings.known_hosts):
            try:
                lines = self._file.read_text(errors="replace").splitlines()
            except OSError as error:
                why = f"the known hosts in '{self._file}' cannot be read ({error.strerror})"
                raise cannot("E-SFTP-KNOWN-HOSTS", "log in to", address, why, "Correct sftp.known_hosts.") from error
            self._known = list(_keys_of(name, lines))

    def transport(self, sock: socket.socket) -> paramiko.Transport:
        """Return a transport that prefers host keys of the kinds that are known, and cheap ciphers."""
        transport = paramiko.Transport(sock)
        kinds = {key.get_name() for key in self._known}
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in kinds else set()
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda kind: kind not in kinds)
        options.ciphers = sorted(options.ciphers, key=lambda cipher: "-gcm" not in cipher)  # a quarter less CPU time
        return transport

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise `DestinationError` for a key that is not known, with the setting that would accept it."""
        offered = f"{key.fingerprint} ({key.get_name()})"
        if key in self._known or key.fingerprint == (self._fingerprint or "").rstrip("="):
            return
        accept = f'write sftp.host_key_fingerprint = "{key.fingerprint}"'
        if self._fingerprint or self._known:
            known = self._fingerprint or " or ".join(each.fingerprint for each in self._known)
            why = f"the host key is {offered}, but {known} is known"
            hint = f"The connection may be intercepted: ask who runs the server. Only if the key is right, {accept}."
        else:
            why = f"the host key is {offered}, which is not known"
            hint = f"Ask who runs the server whether it is right; if so, {accept}, or add it to '{self._file}'."
        raise cannot("E-SFTP-HOST-KEY", "log in to", self._address, why, hint)


def _keys_of(name: str, lines: Sequence[str]) -> Iterator[paramiko.PKey]:
    """Find a host's keys among lines of known hosts, whose names may be hashed."""
    for line in lines:
        entry = _entry(line.strip())
        if entry and any(_is_name(name, each) for each in entry.hostnames):
            yield entry.key


def _entry(line: str) -> HostKeyEntry | None:
    """Parse a line of known hosts; None for comments, authorities and malformed lines."""
    if line.startswith(("#", "@")):
        return None
    with contextlib.suppress(Exception):  # paramiko raises many kinds
        return HostKeyEntry.from_line(line)
    return None


def _is_name(name: str, known: str) -> bool:
    return known in (name, paramiko.HostKeys.hash_host(name, known) if known.startswith("|1|") else name)


def _current_user(address: Address) -> str:
    """Return the name of the user who runs this. Some containers' users have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        why, hint = "no user is named", "Name one in output.to, as in sftp://USER@HOST/FOLDER."
        raise cannot("E-SFTP-USER", "log in to", address, why, hint) from error


class _Socket(socket.socket):
    """A socket that fails when nothing can be sent for `patience` seconds: paramiko itself would retry for ever."""

    patience = 0.0
    _stalled: float | None = None

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # paramiko sends bytes
        """Send some bytes."""
        try:
            sent = super().send(data, flags)
        except TimeoutError as error:
            self._stalled = self._stalled or time.monotonic()
            if time.monotonic() - self._stalled > self.patience:
                raise ConnectionAbortedError(errno.ECONNABORTED, "nothing could be sent for long") from error
            raise
        self._stalled = None
        return sent


class SftpFiles:
    """One connection."""

    def __init__(self, address: Address, settings: Sftp, key: paramiko.PKey | None) -> None:
        self._address, self._settings, self._timeout = address, settings, settings.timeout
        path = address.path
        self._folder = path.removeprefix("~").removeprefix("/") if path.split("/")[0] == "~" else path and f"/{path}"
        self._made: list[str] = []
        self.write_bytes = WRITE_BYTES
        self._client = paramiko.SSHClient()
        self._sftp: paramiko.SFTPClient | None = None
        try:
            with self.map_errors("log in to"):
                self._log_in(key)
                self._sftp = self._open()
                self.write_bytes = write_bytes(self._sftp)
        except BaseException:
            self.close()
            raise
        tell("connect", f"Logged in to '{address.url}'.")

    def _log_in(self, key: paramiko.PKey | None) -> None:
        address, port, timeout = self._address, self._address.port or _PORT, self._timeout
        host_keys = _HostKeys(address, self._settings)
        self._client.set_missing_host_key_policy(host_keys)
        plain = socket.create_connection((address.host, port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # requests do not wait for earlier answers
        sock = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        sock.patience = timeout
        searched = key is None and address.password is None
        try:
            self._client.connect(
                address.host,
                port,
                username=address.user or _current_user(address),
                password=address.password,
                pkey=key,
                sock=sock,
                timeout=timeout,
                banner_timeout=timeout,
                auth_timeout=timeout,
                channel_timeout=timeout,
                allow_agent=searched,
                look_for_keys=searched,
                passphrase=self._settings.key_passphrase,
                transport_factory=lambda *_, **__: host_keys.transport(sock),
            )
        except BaseException:
            self._client.close()
            sock.close()
            raise

    def _open(self) -> paramiko.SFTPClient:
        """Open the SFTP session."""
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        channel = transport.open_session(timeout=self._timeout)
        channel.settimeout(self._timeout)
        watch = threading.Timer(self._timeout, transport.close)  # paramiko would wait for this answer for ever
        watch.daemon = True
        watch.start()
        try:
            channel.invoke_subsystem("sftp")
        finally:
            watch.cancel()
        return paramiko.SFTPClient(channel)

    @property
    def sftp(self) -> paramiko.SFTPClient:
        """The client of the connection. Raises `EOFError` where it is closed."""
        if self._sftp is None:
            raise EOFError
        return self._sftp

    @contextlib.contextmanager
    def map_errors(self, doing: str) -> Iterator[None]:
        """Map errors of paramiko and the network."""
        try:
            yield
        except _FAILURES as error:
            raise _map_error(doing, self._address, self._timeout, error, alive=self._alive) from error

    @property
    def _alive(self) -> bool:
        """Whether the connection is open: then an error is an answer of the server."""
        channel = self._sftp.get_channel() if self._sftp else None
        return channel is not None and not channel.closed

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return f"{self._folder}/{name}" if self._folder.rstrip("/") else self._folder + name

    def upload(self, name: str, *, exclusive: bool = False) -> _SftpUpload:
        """Open a file for writing."""
        with self.map_errors(f"send '{name}' to"):
            try:
                return _SftpUpload(self, name, exclusive=exclusive)
            except FileNotFoundError:
                self._make()
                return _SftpUpload(self, name, exclusive=exclusive)

    def _make(self) -> None:
        """Make missing folders. Those that cannot be made may exist: opening the file will show it."""
        steps = self._folder.strip("/").split("/")
        for count in range(1, len(steps) + 1):
            folder = "/" * self._folder.startswith("/") + "/".join(steps[:count])
            try:
                self.sftp.mkdir(folder)
                self._made.append(folder)
            except OSError as error:
                self._ignore_refusal(error)

    def _ignore_refusal(self, error: OSError) -> None:
        """Ignore a refusal of the server; raise an error of the connection."""
        if isinstance(error, TimeoutError) or not self._alive:
            raise error

    def status(self, name: str) -> FileStatus:
        """Ask for the attributes, or else for the names."""
        with self.map_errors(f"find '{name}' at"):
            try:
                return FileStatus(there=True, size=self.sftp.stat(self.path(name)).st_size)
            except FileNotFoundError:
                return FileStatus(there=False)
            except OSError as error:
                self._ignore_refusal(error)
        names = self.names()
        return FileStatus(there=None if names is None else name in names)

    def names(self) -> list[str] | None:
        """List the folder."""
        with self.map_errors("list"):
            try:
                return self.sftp.listdir(self._folder or ".")
            except FileNotFoundError:
                return []
            except OSError as error:
                self._ignore_refusal(error)
        return None

    def crc32(self, name: str) -> int | None:
        """Read the file, many blocks ahead."""
        crc32 = 0
        with self.map_errors(f"read '{name}' from"):
            try:
                with self.sftp.open(self.path(name), "rb") as file:
                    file.prefetch(file.stat().st_size, READS_AHEAD)
                    while block := file.read(CHUNK_BYTES):
                        crc32 = isal_zlib.crc32(block, crc32)
                return crc32
            except OSError as error:
                self._ignore_refusal(error)
        return None

    def rename(self, name: str, new: str) -> None:
        """Rename by the standard command, which never replaces a file; OpenSSH's extension does."""
        with self.map_errors(f"give '{name}' its final name at"):
            self.sftp.rename(self.path(name), self.path(new))

    def remove(self, name: str) -> bool:
        """Remove the file."""
        with self.map_errors(f"remove '{name}' from"):
            try:
                self.sftp.remove(self.path(name))
            except FileNotFoundError:
                pass
            except OSError as error:
                self._ignore_refusal(error)
                return False
        return True

    def unmake_folders(self) -> None:
        """Remove the folders, the innermost first."""
        with self.map_errors("remove the folder of"):
            try:
                while self._made:
                    self.sftp.rmdir(self._made.pop())
            except OSError as error:
                self._ignore_refusal(error)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._client.close()


class _SftpUpload:
    """A file on its way."""

    def __init__(self, files: SftpFiles, name: str, *, exclusive: bool) -> None:
        self._files, self._doing = files, f"send '{name}' to"
        self._file = PipelinedFile(files.sftp, files.path(name), files.write_bytes, exclusive=exclusive)

    def write(self, data: memoryview) -> None:
        """Send the next bytes."""
        with self._files.map_errors(self._doing):
            self._file.write(data)

    def finish(self) -> None:
        """Send the rest, close the file, and check all answers."""
        with self._files.map_errors(self._doing):
            self._file.finish()

    def abort(self) -> None:
        """Stop; the connection is closed next, and the server's handle with it."""
        self._file.forget()


_SSH: tuple[tuple[type[Exception], str, str, type[DestinationError], str], ...] = (
    (
        paramiko.AuthenticationException,
        "timeout|shut down",
        "E-SERVER-CONNECTION",
        TransientError,
        "The server may be too busy, or hang: sftp.timeout is how long to wait.",
    ),
    (
        paramiko.PasswordRequiredException,
        "",
        "E-SERVER-LOGIN",
        DestinationError,
        "A key of ~/.ssh is encrypted: add it to the SSH agent (ssh-add), or set sftp.key_passphrase.",
    ),
    (
        paramiko.AuthenticationException,
        "",
        "E-SERVER-LOGIN",
        DestinationError,
        "Check the user in output.to, and sftp.key_file or the password.",
    ),
    (
        paramiko.SSHException,
        "No authentication methods",
        "E-SERVER-LOGIN",
        DestinationError,
        "There is no key and no password: set sftp.key_file, start an SSH agent, or put the password into output.to.",
    ),
    (
        IncompatiblePeer,
        "",
        "E-SERVER-ALGORITHMS",
        DestinationError,
        "The server supports no algorithm that is still safe: it has to be updated.",
    ),
    (
        paramiko.SSHException,
        "protocol banner",
        "E-SERVER-CONNECTION",
        TransientError,
        "Is it an SFTP server? For a server of FTP, use ftps:// or ftp://. If it is slow, raise sftp.timeout.",
    ),
    (
        paramiko.SSHException,
        "",
        "E-SERVER-CONNECTION",
        TransientError,
        "The server closed the connection, or hangs: sftp.timeout is how long to wait.",
    ),
    (Exception, "", "E-SERVER-CONNECTION", TransientError, "Nothing of it is visible."),
)
"""Errors of paramiko about connections, by type and words, and what to do."""


def _map_error(doing: str, address: Address, timeout: float, error: Exception, *, alive: bool) -> DestinationError:
    """Map an error of paramiko or the network. On an open connection it is the server's answer."""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError) and alive:
        answer = str(error.strerror or error) or "Failure"
        if error.errno in (errno.EACCES, errno.ENOENT):
            return cannot("E-SERVER-RIGHTS", doing, address, address.quoted(answer), RIGHTS_HINT)
        return cannot(
            "E-SERVER-ANSWER",
            doing,
            address,
            address.quoted(answer),
            SPACE_HINT + " Servers often give no other reason.",
        )
    if isinstance(error, OSError | EOFError):
        return network_error(doing, address, timeout, error)
    code, kind, hint = next(
        (code, kind, hint)
        for type_, words, code, kind, hint in _SSH
        if isinstance(error, type_) and any(word in str(error) for word in words.split("|"))
    )
    return cannot(code, doing, address, address.quoted(str(error) or type(error).__name__), hint, kind)
