"""When a signal may end a command, and when it is too late for that.

A handler that raises can interrupt anything, also cleaning up. So the first signal raises `StoppedError` only until
`hold` is called, before publishing and before cleaning up. From then on signals are only noted, and `asked` returns
them. A second signal ends the process at once, and leaves what a kill would leave.

The command line calls `listen`. Programs that use the package have handlers of their own, which are not touched.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

from converter.errors import StoppedError
from converter.remote.pauses import on_stops

# The same signal often comes twice, as from `timeout`, which sends it to its child and to the group of both.
_SAME_SECONDS = 0.25
_AGAIN_SECONDS = 0.01
_SHOW_CURSOR = b"\x1b[?25h\n"


class _Signals:
    """The signals of this process so far."""

    number: int | None = None  # the first one
    at = 0.0
    held = False
    raised = False  # whether it raised an error
    exit_code: int | None = None  # of a command that has ended, and is only printing


_state = _Signals()


def listen() -> None:
    """Handle SIGTERM, and SIGINT and SIGHUP unless they are ignored, as after `nohup` and in background jobs."""
    global _state
    _state = _Signals()
    on_stops(asked)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def hold() -> None:
    """From now on a first signal is only noted."""
    _state.held = True


def release() -> None:
    """From now on a first signal raises again, as before `hold`. Raises `StoppedError` where one came meanwhile."""
    _state.held = False
    if _state.number is not None:
        raise StoppedError(_state.number)


def end(exit_code: int) -> None:
    """From now on a first signal is ignored, and the next one ends the process with this code."""
    _state.held = True
    _state.exit_code = exit_code


def asked() -> int | None:
    """Return the first signal, if there was one."""
    return _state.number


def within(error: BaseException | None) -> StoppedError | None:
    """Return the `StoppedError` that an error comes from.

    Python wraps errors in some places, and compiled modules replace them in others, say while they are imported.
    """
    while error is not None and not isinstance(error, StoppedError):
        error = error.__cause__
    if error is None and _state.raised and _state.number is not None:
        return StoppedError(_state.number)
    return error


def raise_again() -> None:
    """Send again, soon, a signal whose error was lost, for example in a destructor."""
    number, _state.number = _state.number, None

    def send() -> None:
        time.sleep(_AGAIN_SECONDS)
        signal.pthread_kill(threading.main_thread().ident or 0, number or signal.SIGTERM)

    threading.Thread(target=send, daemon=True).start()


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    state = _state
    if state.number is None:
        state.number, state.at = number, time.monotonic()
        if not state.held:
            state.raised = True
            raise StoppedError(number)
    elif time.monotonic() - state.at >= _SAME_SECONDS:
        _end_now(128 + number if state.exit_code is None else state.exit_code)


def _end_now(exit_code: int) -> NoReturn:
    """End the process, with the cursor back on its terminal."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty() and select.select([], [sys.stderr], [], 0)[1]:
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    os._exit(exit_code)
