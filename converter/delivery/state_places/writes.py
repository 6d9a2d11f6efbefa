"""Writes in threads, while more is made: a server answers later than it could take the next file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_MOST_BYTES = 1 << 25  # under way; one file may be larger


class Writes:
    """Calls that write, up to `at_once` at the same time, with a limited number of bytes. Threads may share it."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._pool: ThreadPoolExecutor | None = None
        self._changed = threading.Condition()
        self._size = self._count = 0  # of what is under way, or waits for a thread
        self._error: BaseException | None = None
        self.is_stopping = False

    def begin(self, size: int, write: Callable[[], object]) -> None:
        """Begin to write so many bytes, once there is room. Raises what an earlier one has raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._size or self._size + size <= _MOST_BYTES)
            self._check()
            self._size += size
            self._count += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="state")
            self._pool.submit(self._write, size, write)

    def settle(self) -> None:
        """Wait until all is written. Raises what one of them has raised."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count)
            self._check()

    def stop(self) -> None:
        """Wait for what is being written; what waits for a thread is omitted, and errors are forgotten."""
        with self._changed:
            self.is_stopping = True
            self._changed.wait_for(lambda: not self._count)
            self.is_stopping, self._error = False, None
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown()

    def _write(self, size: int, write: Callable[[], object]) -> None:
        try:
            if not (self.is_stopping or self._error):
                write()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
        finally:
            with self._changed:
                self._size -= size
                self._count -= 1
                self._changed.notify_all()

    def _check(self) -> None:
        if self._error:
            raise self._error
