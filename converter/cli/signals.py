"""How SIGTERM and SIGINT end a command: in the way an error does, with everything cleaned up."""

from __future__ import annotations

import signal
from types import FrameType

from converter.errors import StoppedError


def stop_on_signals() -> None:
    """Let the first of them raise `StoppedError`, and those that follow do nothing."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)  # one is enough: let it clean up
        raise StoppedError(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
