"""Connections to a server that are kept, and lent to one thread at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Closeable(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it. Never raises."""
        ...


_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is not used again: servers and firewalls close idle ones."""

_Connection = TypeVar("_Connection", bound=Closeable)


class Connections(Generic[_Connection]):
    """Connections that `connect` opens. Threads may share it."""

    def __init__(self, connect: Callable[[], _Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: list[tuple[_Connection, float]] = []  # with when it was used last
        self._closings = 0

    def take(self, *, new: bool = False) -> Lent[_Connection]:
        """Return a connection that nobody uses, or a new one where there is none. Raises what `connect` raises."""
        late: list[_Connection] = []
        with self._lock:
            closings, found = self._closings, None
            while self._idle and found is None and not new:
                connection, used = self._idle.pop()
                if time.monotonic() - used > _IDLE_SECONDS:
                    late.append(connection)
                else:
                    found = connection
        for connection in late:
            connection.close()
        return Lent(self, found or self._connect(), closings, is_new=found is None)

    @contextlib.contextmanager
    def lend(self) -> Iterator[_Connection]:
        """Lend a connection. After an error it is closed."""
        lent = self.take()
        try:
            yield lent.connection
        except BaseException:
            lent.drop()
            raise
        lent.give_back()

    def keep(self, connection: _Connection, closings: int) -> None:
        """Keep a connection for others, unless all have been closed since it was lent."""
        with self._lock:
            if closings == self._closings:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def close(self) -> None:
        """Close all that are idle now, and those that are lent when they are given back."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._closings += 1
        for connection, _ in idle:
            connection.close()


class Lent(Generic[_Connection]):
    """A connection that is lent, until it is given back or dropped, once. One that `is_new` was not used before."""

    def __init__(
        self, owner: Connections[_Connection], connection: _Connection, closings: int, *, is_new: bool
    ) -> None:
        self.connection, self.is_new = connection, is_new
        self._owner, self._closings = owner, closings
        self._is_lent = True

    def give_back(self) -> None:
        """Let others use it."""
        if self._is_lent:
            self._is_lent = False
            self._owner.keep(self.connection, self._closings)

    def drop(self) -> None:
        """Close it."""
        if self._is_lent:
            self._is_lent = False
            self.connection.close()
