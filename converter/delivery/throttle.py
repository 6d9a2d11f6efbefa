"""A limit of bandwidth that all senders of a run share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Limits how many bytes a second pass, in all threads together. Without a limit it does nothing.

    `sleep` is called with seconds, to wait.
    """

    def __init__(self, bytes_a_second: int | None, sleep: Callable[[float], None]) -> None:
        self._rate = bytes_a_second
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass."""
        if self._rate is None:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + count / self._rate
        self._sleep(begin - time.monotonic())
