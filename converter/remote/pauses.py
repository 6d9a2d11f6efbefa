"""Pauses of threads, which end when a signal stops the process. This module is small, since every command loads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 0.1


class RunEndedError(Exception):
    """The run has ended: work that a thread still does for it stops."""


class _Stops:
    """How it is known whether a signal stops the process. Programs that use the package have ways of their own."""

    asked: Callable[[], int | None] = staticmethod(lambda: None)


def on_stops(asked: Callable[[], int | None]) -> None:
    """Let `asked` return the signal that stops the process, if there was one."""
    _Stops.asked = staticmethod(asked)


def pause(seconds: float) -> None:
    """Wait. In a thread, raises `RunEndedError` soon after a signal has stopped the process.

    The main thread is interrupted by the error of the signal's handler.
    """
    if threading.current_thread() is threading.main_thread():
        time.sleep(seconds)
        return
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if _Stops.asked() is not None:
            raise RunEndedError
        time.sleep(min(left, _POLL_SECONDS))
