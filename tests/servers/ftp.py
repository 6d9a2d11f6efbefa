"""FTP and FTPS: pyftpdlib, in a thread."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from OpenSSL import SSL

from converter.delivery.destinations import Destination, Owner
from converter.delivery.destinations.ftp import ftp_destination
from converter.jobs.sections.servers import Ftp

from .place import OWNER, FolderPlace

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, up to Python 3.11
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

USER, PASSWORD = "us@er", "p@ss/wörd"
LOGIN = "us%40er:p%40ss%2Fw%C3%B6rd"
EVERYTHING = "elradfmwMT"
TIMEOUT = 10.0

logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())
logging.getLogger("pyftpdlib").propagate = False


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class FtpServer:
    """A server whose root is `root`. The user may do what `rights` say, in pyftpdlib's letters.

    `answers` replaces the answers to commands; `through` is asked for the port that stands before a data connection's;
    `seen` are the commands, `reused` whether each TLS data connection took up a session; those that do not are refused
    as vsftpd refuses them; `ended` whether TLS was ended, for each file sent.
    """

    root: Path
    tls: bool = False
    rights: str = EVERYTHING
    host: str = "localhost"
    answers: dict[str, str] = field(default_factory=dict)
    through: Callable[[int], int] | None = None
    hides_close: bool = False
    newest_tls: bool = True
    seen: list[str] = field(default_factory=list)
    reused: list[bool] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    port: int = 0
    opened: list[Destination] = field(default_factory=list)
    files: list[Any] = field(default_factory=list)

    def start(self) -> FtpServer:
        outer = self
        authorizer = DummyAuthorizer()
        authorizer.add_user(USER, PASSWORD, str(self.root), perm=self.rights)
        authorizer.add_anonymous(str(self.root))

        class Kept(AbstractedFS):
            """Files that stay open until the server ends: where a connection breaks at a bad moment, some are let go."""

            def open(self, filename: str, mode: str) -> Any:
                outer.files.append(super().open(filename, mode))
                return outer.files[-1]

        class Common:
            abstracted_fs = Kept

            def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
                outer.seen.append(line)
                if cmd in outer.answers:
                    self.respond(outer.answers[cmd])  # type: ignore[attr-defined]
                    return
                super().pre_process_command(line, cmd, arg)  # type: ignore[misc]

            def respond(self, resp: str, *args: Any, **kwargs: Any) -> None:
                found = re.match(r"227 .*,(\d+),(\d+)\)", resp)
                if found and outer.through:
                    port = outer.through(int(found[1]) * 256 + int(found[2]))
                    resp = f"227 Entering passive mode (127,0,0,1,{port // 256},{port % 256})."
                super().respond(resp, *args, **kwargs)  # type: ignore[misc]

        class Data(TLS_DTPHandler):
            def handle_ssl_established(self) -> None:
                super().handle_ssl_established()
                outer.reused.append(bool(SSL._lib.SSL_session_reused(self.socket._ssl)))
                if not outer.reused[-1]:
                    self.cmd_channel.respond("522 SSL connection failed: session reuse required")
                    self.close()

            def close(self) -> None:
                if self.connected and self.receive:
                    outer.ended.append(bool(self.socket.get_shutdown() & SSL.RECEIVED_SHUTDOWN))
                if outer.hides_close and self.connected:  # the connection ends without TLS being ended
                    self.socket.sock_shutdown(2)
                super().close()

        class Plain(Common, FTPHandler):
            dtp_handler = DTPHandler

        class Secure(Common, TLS_FTPHandler):
            dtp_handler = Data
            tls_control_required = tls_data_required = True

        handler = Secure if self.tls else Plain
        handler.authorizer = authorizer
        handler.use_sendfile = False
        handler.auth_failed_timeout = 0
        if self.tls:
            Secure.certfile = str(self.root.parent / "server.pem")
            authority().issue_cert(self.host).private_key_and_cert_chain_pem.write_to_path(Secure.certfile)
            Secure.ssl_context = None
            Secure.get_ssl_context().set_session_id(b"tests")
            if not self.newest_tls:
                Secure.get_ssl_context().set_options(SSL.OP_NO_TLSv1_3)
        self._server = FTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
        self.port = self._server.address[1]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._server.ioloop.loop(timeout=0.01, blocking=False)
        self._server.close_all()
        for file in self.files:
            file.close()

    def stop(self) -> None:
        """End at once, and every connection with it."""
        self._stopping.set()
        self._thread.join()

    @property
    def scheme(self) -> str:
        return "ftps" if self.tls else "ftp"

    def url(self, path: str = "/in/bound", login: str = LOGIN, port: int | None = None) -> str:
        return f"{self.scheme}://{login}{'@' * bool(login)}localhost:{port or self.port}{path}"

    def destination(self, url: str | None = None, owner: Owner | None = None, **settings: Any) -> Destination:
        if self.tls:
            ca_file = self.root.parent / "ca.pem"
            authority().cert_pem.write_to_path(str(ca_file))
            settings = {"tls_ca_file": str(ca_file), **settings}
        self.opened.append(ftp_destination(url or self.url(), Ftp(**{"timeout": TIMEOUT, **settings}), owner or OWNER))
        return self.opened[-1]


@contextlib.contextmanager
def ftp_server(folder: Path, **settings: Any) -> Iterator[FtpServer]:
    """A server that runs; its root is a folder below `folder`."""
    root = folder / "root"
    root.mkdir()
    server = FtpServer(root, **settings).start()
    try:
        yield server
    finally:
        for destination in server.opened:
            destination.close()
        server.stop()


@contextlib.contextmanager
def ftp_place(folder: Path, *, tls: bool = False) -> Iterator[FolderPlace]:
    """A folder on a server, not made yet."""
    with ftp_server(folder, tls=tls) as server:
        (server.root / "closed").mkdir()

        def open_at(url: str) -> Destination:
            return server.destination(url, timeout=10)

        authorizer = server._server.handler.authorizer
        authorizer.override_perm(USER, str(server.root / "closed"), "el")
        yield FolderPlace(
            server.root / "in/bound",
            lambda: open_at(server.url()),
            server.stop,
            {
                "password": lambda: open_at(server.url(login="us%40er:wr0ng-secret")),
                "host": lambda: open_at(f"{server.scheme}://{LOGIN}@no-such-host.invalid/in"),
                "port": lambda: open_at(server.url(port=9)),
                "folder": lambda: open_at(server.url("/closed/in")),
            },
        )
