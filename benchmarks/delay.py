"""A proxy to a server on this machine whose answers arrive later, as over a long line that is not narrow.

Half of the delay is on the way there, half on the way back. So much may be on its way that the delay alone limits
nothing; what is read no sooner is held back by the system, as on any line.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator

_MOST_BYTES = 64 << 20  # on their way in one direction of a connection: over 3 GB/s at 20 ms
_BUFFER_BYTES = 1 << 20


class DelayProxy:
    """A proxy that serves in a thread of its own. It counts connections."""

    def __init__(self, target: int, seconds: float) -> None:
        self._target, self._half = target, seconds / 2
        self._loop = asyncio.new_event_loop()
        self._open = 0
        self._transports: set[asyncio.Transport] = set()
        self.port = 0
        self.most = 0
        """The most connections that were open at the same time."""

    def start(self) -> None:
        """Listen on a free port."""
        listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        listening.wait()

    def stop(self) -> None:
        """End, with all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self, listening: threading.Event) -> None:
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Client(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        for transport in list(self._transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))  # tasks end, and sockets are closed
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def connect(self, client: _Way) -> None:
        """Connect the client of a connection to the server."""
        await asyncio.sleep(2 * self._half)  # a handshake is a round trip
        with contextlib.suppress(OSError):
            await self._loop.create_connection(lambda: _Way(self, client), "127.0.0.1", self._target)
            return
        client.close()

    def later(self, way: _Way, data: bytes) -> None:
        """Let a way send data after its half of the delay; nothing is the end."""
        way.waiting.append(data)  # timers alone would keep no order
        self._loop.call_later(self._half, way.send)

    def opened(self, transport: asyncio.Transport) -> None:
        """Note a side of a connection, to be closed at the end."""
        self._transports.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """Note that a side was closed."""
        self._transports.discard(transport)

    def note(self, change: int) -> None:
        """Note that a connection was opened or closed."""
        self._open += change
        self.most = max(self.most, self._open)


class _Way(asyncio.Protocol):
    """One side of a connection; what it receives goes to the `other` side."""

    def __init__(self, proxy: DelayProxy, other: _Way | None = None) -> None:
        self._proxy, self._other = proxy, other
        self._transport: asyncio.Transport | None = None
        self._to_send = 0
        self._is_paused = False
        self._early: list[bytes] = []
        self.waiting: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.opened(transport)
        transport.max_size = _BUFFER_BYTES  # type: ignore[attr-defined]  # of a read
        transport.set_write_buffer_limits(_MOST_BYTES)
        if self._other is not None:
            self._other.join(self)

    def join(self, other: _Way) -> None:
        """Take the other side, and pass on what was received before it was there."""
        self._other = other
        early, self._early = self._early, []
        for data in early:
            self._pass_on(data)

    def data_received(self, data: bytes) -> None:
        self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
            return
        self._other.expect(len(data))
        self._proxy.later(self._other, data)

    def expect(self, count: int) -> None:
        """Note that bytes are on their way here; the other side pauses where there are too many."""
        self._to_send += count
        if self._other and self._to_send > _MOST_BYTES:
            self._other.pause(paused=True)

    def send(self) -> None:
        """Send what has arrived next; nothing is the end."""
        data = self.waiting.popleft()
        if self._transport is None or self._transport.is_closing():
            return
        if not data:
            self._transport.close()
            return
        self._to_send -= len(data)
        self._transport.write(data)
        if self._other and self._to_send + self._transport.get_write_buffer_size() < _MOST_BYTES // 2:
            self._other.pause(paused=False)

    def resume_writing(self) -> None:
        if self._other:
            self._other.pause(paused=False)

    def pause(self, *, paused: bool) -> None:
        """Stop reading, or go on."""
        if self._transport and paused != self._is_paused and not self._transport.is_closing():
            self._is_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport:
            self._proxy.closed(self._transport)
        if self._other is not None:
            self._proxy.later(self._other, b"")

    def close(self) -> None:
        """Close this side."""
        if self._transport:
            self._transport.close()


class _Client(_Way):
    """The side of the client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._proxy.note(1)
        self._task = asyncio.ensure_future(self._proxy.connect(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.note(-1)
        super().connection_lost(exc)


@contextlib.contextmanager
def delayed(port: int, seconds: float) -> Iterator[DelayProxy]:
    """Stand between a client and the server at `port`, with round trips that take so many seconds."""
    proxy = DelayProxy(port, seconds)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
