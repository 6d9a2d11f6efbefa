"""Retries of transient errors, with growing pauses."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from converter.errors import TransientError
from converter.jobs.events import tell
from converter.remote.pauses import pause

if TYPE_CHECKING:
    import tenacity

FIRST_PAUSE = 0.5  # seconds; each further one is up to twice as long
LONGEST_PAUSE = 30.0
_T = TypeVar("_T")


class Pause(NamedTuple):
    """A pause before a retry: the code of the error, and its end by `time.monotonic`."""

    code: str
    until: float

    @property
    def what(self) -> str:
        """What is waited for."""
        return f"the next try after {self.code}"

    @property
    def seconds(self) -> float:
        """How long it still takes."""
        return max(self.until - time.monotonic(), 0.0)


class Retries:
    """The retries of a run so far. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._pause: Pause | None = None

    def note(self, error: TransientError, seconds: float) -> None:
        """Note, and log, that there is a retry after a pause."""
        with self._lock:
            self._counts[error.code] += 1
            pause = Pause(error.code, time.monotonic() + seconds)
            if self._pause is None or self._pause.until < pause.until:
                self._pause = pause
        facts = {"code": error.code, "seconds": round(seconds, 1)}
        tell("retry", f"{error.message} It is tried again in {seconds:.1f} s.", level=logging.WARNING, **facts)

    def count(self, code: str) -> None:
        """Count a retry that a client makes by itself, after an error with this code."""
        with self._lock:
            self._counts[code] += 1

    @property
    def counts(self) -> dict[str, int]:
        """The number of retries by the code of the error."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    @property
    def pause(self) -> Pause | None:
        """The pause that ends last of those under way, if there is one."""
        pause = self._pause
        return pause if pause and pause.until > time.monotonic() else None


class Patience:
    """Bounds the time spent on transient errors to `seconds`: pauses, and waits for a server that does not respond.

    `sleep` makes the pauses, and `retries` counts them. Threads may share it: each has its own time.
    """

    def __init__(self, seconds: float, sleep: Callable[[float], None] = pause, retries: Retries | None = None) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self.retries = retries or Retries()
        self._progress = threading.local()  # when a thread last made progress, as `at`

    def progressed(self) -> None:
        """Note that this thread has made progress: the time until now was not spent waiting."""
        self._progress.at = time.monotonic()

    def retrying(self, call: Callable[..., _T], *arguments: object) -> _T:
        """Call, and again while that raises `TransientError` and time is left; then that error is raised."""
        self.progressed()
        try:
            return call(*arguments)
        except TransientError as error:
            first = error
        try:
            return self._retrying(first, call, *arguments)
        finally:
            del first  # its traceback refers to this frame

    def _retrying(self, first: TransientError, call: Callable[..., _T], *arguments: object) -> _T:
        """Call again, after a call that failed with a first error."""
        import tenacity  # here, since it takes a while, and most calls need no retry

        stalled = 0.0
        failed: TransientError | None = first

        def attempt() -> _T:
            nonlocal failed
            if failed:
                error, failed = failed, None
                raise error
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
            before_sleep=self._note,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(attempt)

    def _note(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and state.next_action:
            self.retries.note(error, state.next_action.sleep)
