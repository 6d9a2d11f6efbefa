"""Retries of transient errors, with growing pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from converter.errors import TransientError

FIRST_PAUSE = 0.5  # seconds; each further one is up to twice as long
LONGEST_PAUSE = 30.0
_T = TypeVar("_T")


class Patience:
    """Bounds the time spent on transient errors to `seconds`: pauses, and waits for a server that does not respond.

    `sleep` makes the pauses. Threads may share it: each has its own time.
    """

    def __init__(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._progress = threading.local()  # when a thread last made progress, as `at`

    def progressed(self) -> None:
        """Note that this thread has made progress: the time until now was not spent waiting."""
        self._progress.at = time.monotonic()

    def retrying(self, call: Callable[..., _T], *arguments: object) -> _T:
        """Call, and again while that raises `TransientError` and time is left; then that error is raised."""
        import tenacity  # here, since it takes a while

        stalled = 0.0

        def attempt() -> _T:
            self.progressed()
            return call(*arguments)

        def is_enough(state: tenacity.RetryCallState) -> bool:
            nonlocal stalled
            stalled += time.monotonic() - self._progress.at
            return bool(state.idle_for + stalled >= self._seconds)

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            stop=is_enough,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(attempt)
