"""A proxy for one server, which does to connections what networks do. Bytes are counted from client to server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count


@dataclass
class Proxy:
    """What is wrong with the way to `target`, a port of this machine; may be changed while connections stand.

    `refuse`: connections are reset at once. `reset_after`, `hole_after`: after so many bytes the connection is reset,
    or nothing passes any more, in both directions. `flip_at`: this byte, counted from 0, arrives with one bit turned.
    `delay`: seconds each block takes longer. `rate`: bytes a second. `faulty`: only so many connections have faults.
    """

    target: int
    refuse: bool = False
    reset_after: int | None = None
    hole_after: int | None = None
    flip_at: int | None = None
    delay: float = 0
    rate: float | None = None
    faulty: float = float("inf")
    port: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _closed: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)  # it holds back, as a line does
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def stop(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)  # a connection that comes now is closed as well
        for sock in [self._listener, *self._open]:
            sock.close()

    def cut(self) -> None:
        """Reset all connections that stand."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                _reset(sock)
        self._open.clear()

    def _accept(self) -> None:
        for number in count():
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if self.refuse:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # it has ended
                _reset(client)
                continue
            self._open += [client, server]
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            faulty = number < self.faulty
            hole = threading.Event()
            for source, sink, up in ((client, server, True), (server, client, False)):
                args = (source, sink, hole, up and faulty)
                threading.Thread(target=self._pump, args=args, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, hole: threading.Event, faulty: bool) -> None:
        try:
            passed = 0
            while block := source.recv(16 << 10):
                if faulty and self.hole_after is not None and passed + len(block) > self.hole_after:
                    hole.set()
                if hole.is_set():
                    self._closed.wait()
                    return
                if faulty and self.reset_after is not None and passed + len(block) > self.reset_after:
                    sink.sendall(block[: self.reset_after - passed])
                    raise ConnectionResetError
                if faulty and self.flip_at is not None and passed <= self.flip_at < passed + len(block):
                    place = self.flip_at - passed
                    block = block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :]
                time.sleep(self.delay + (len(block) / self.rate if self.rate else 0))
                sink.sendall(block)
                passed += len(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # what breaks on one side breaks on the other
            _reset(source)
            _reset(sink)


def _reset(sock: socket.socket) -> None:
    """Close with RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
    sock.close()


@contextlib.contextmanager
def proxy(target: int, **faults: float | bool | None) -> Iterator[Proxy]:
    """A proxy that runs."""
    made = Proxy(target, **faults).start()  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.stop()
