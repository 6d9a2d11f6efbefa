"""SFTP: asyncssh, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from converter.delivery.destinations import Destination, Owner
from converter.delivery.destinations.sftp import sftp_destination
from converter.jobs.sections.servers import Sftp

from .place import OWNER, FolderPlace

USER, PASSWORD = "us@er", "p@ss/wörd"
LOGIN = "us%40er:p%40ss%2Fw%C3%B6rd"
TIMEOUT = 10.0


@functools.cache
def host_key(algorithm: str = "ssh-ed25519", number: int = 0) -> asyncssh.SSHKey:
    """A key for servers; another one for each number."""
    del number
    return asyncssh.generate_private_key(algorithm)


@dataclass
class SftpServer:
    """A server whose root is `root`.

    `fails` are the operations that are refused, by the names that asyncssh has for them, and how; `key` is what
    users may log in with, beside their password. Files cannot be larger than `largest`; while it `holds`, writes are
    not answered. `tried` counts keys of users.
    """

    root: Path
    keys: list[asyncssh.SSHKey] = field(default_factory=lambda: [host_key()])
    fails: dict[str, Exception] = field(default_factory=dict)
    key: asyncssh.SSHKey | None = None
    passwords: bool = True
    largest: int | None = None
    port: int = 0
    writes: int = 0
    tried: int = 0
    holds: bool = False
    connections: set[Any] = field(default_factory=set)
    opened: list[Destination] = field(default_factory=list)

    def start(self) -> SftpServer:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(10)
        return self

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _listen(self) -> None:
        outer = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: Any) -> None:
                self.conn = conn
                outer.connections.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                outer.connections.discard(self.conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return outer.passwords

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (USER, PASSWORD)

            def public_key_auth_supported(self) -> bool:
                return outer.key is not None

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                outer.tried += 1
                return outer.key is not None and key.public_data == outer.key.public_data

        class Files(asyncssh.SFTPServer):
            def __init__(self, chan: Any) -> None:
                super().__init__(chan, chroot=str(outer.root).encode())

            def __getattribute__(self, name: str) -> Any:
                if name in outer.fails:
                    raise_it = outer.fails[name]

                    def fail(*_: Any) -> Any:
                        raise raise_it

                    return fail
                return super().__getattribute__(name)

            async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
                outer.writes += 1
                while outer.holds:
                    await asyncio.sleep(0.005)
                if outer.largest is not None and offset + len(data) > outer.largest:
                    raise asyncssh.SFTPFailure("No space left on device")
                return int(super().write(file_obj, offset, data))  # type: ignore[arg-type]

        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=self.keys,
            sftp_factory=Files,
            login_timeout=30,
        )
        self.port = self._acceptor.get_port()

    def stop(self) -> None:
        """End at once, and every connection with it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _end(self) -> None:
        """Leave nothing open: neither connections, nor those that are about to be one."""
        self._acceptor.close()
        self.holds = False
        for _ in range(50):  # until all that is under way has seen the end of its connection
            for connection in list(self.connections):
                connection.abort()
            await asyncio.sleep(0.02)
            if len(asyncio.all_tasks()) == 1:
                return

    @property
    def known_hosts(self) -> str:
        """The path of a file that knows the first key of the server."""
        path = self.root.parent / "known_hosts"
        path.write_text(self.known_hosts_line())
        return str(path)

    def known_hosts_line(self, key: asyncssh.SSHKey | None = None, name: str | None = None) -> str:
        public = (key or self.keys[0]).export_public_key("openssh").decode().strip()
        return f"{name or f'[localhost]:{self.port}'} {public}\n"

    def url(self, path: str = "/in/bound", login: str = LOGIN, port: int | None = None) -> str:
        return f"sftp://{login}{'@' * bool(login)}localhost:{port or self.port}{path}"

    def destination(self, url: str | None = None, owner: Owner | None = None, **settings: Any) -> Destination:
        trusted = {} if "host_key_fingerprint" in settings else {"known_hosts": self.known_hosts}
        self.opened.append(
            sftp_destination(url or self.url(), Sftp(**{"timeout": TIMEOUT, **trusted, **settings}), owner or OWNER)
        )
        return self.opened[-1]


@contextlib.contextmanager
def sftp_server(folder: Path, **settings: Any) -> Iterator[SftpServer]:
    """A server that runs; its root is a folder below `folder`."""
    root = folder / "root"
    root.mkdir()
    server = SftpServer(root, **settings).start()
    try:
        yield server
    finally:
        for destination in server.opened:
            destination.close()
        server.stop()


@contextlib.contextmanager
def sftp_place(folder: Path) -> Iterator[FolderPlace]:
    """A folder on a server, not made yet."""
    with sftp_server(folder) as server:
        (server.root / "a file").write_bytes(b"")

        def open_at(url: str) -> Destination:
            return server.destination(url, timeout=10)

        yield FolderPlace(
            server.root / "in/bound",
            lambda: open_at(server.url()),
            server.stop,
            {
                "password": lambda: open_at(server.url(login="us%40er:wr0ng-secret")),
                "host": lambda: open_at(f"sftp://{LOGIN}@no-such-host.invalid/in"),
                "port": lambda: open_at(server.url(port=9)),
                "folder": lambda: open_at(server.url("/a%20file/in")),
            },
        )
