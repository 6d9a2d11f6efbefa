"""What may pass is tried again, with growing pauses."""

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
    """For how long to wait, in all, for what may pass: in pauses, and for a server that does not go on.

    `sleep` makes the pauses. Threads may share it: each has its own waiting.
    """

    def __init__(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._moved = threading.local()  # when something went on in a thread, as `at`

    def moves(self) -> None:
        """Note that something goes on, in this thread."""
        self._moved.at = time.monotonic()

    def retrying(self, call: Callable[..., _T], *arguments: object) -> _T:
        """Call, and again while that raises `TransientError` and there is patience left."""
        import tenacity  # here, since it takes a while

        stalled = 0.0

        def attempt() -> _T:
            self.moves()
            return call(*arguments)

        def is_enough(state: tenacity.RetryCallState) -> bool:
            nonlocal stalled
            stalled += time.monotonic() - self._moved.at
            return bool(state.idle_for + stalled >= self._seconds)

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            stop=is_enough,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(attempt)
