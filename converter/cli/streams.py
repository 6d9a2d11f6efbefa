"""Standard output and standard error, replaced so that printing never fails and nothing else is printed.

Libraries write to standard error below Python: when a damaged file makes one panic, it prints a trace that may quote
data. And if a stream is closed, its file descriptor is that of the next opened file, such as a part, and libraries
would write into it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_IN, _OUT, _ERROR = 0, 1, 2


class _Stream(io.FileIO):
    """A file whose writes never fail; `failure` is the first error."""

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, and keep the first error."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.failure = self.failure or error
            return memoryview(data).nbytes


def secure() -> None:
    """Replace the streams by ones that never fail, and redirect standard error of libraries to nowhere."""
    closed = {number: _ensure_open(number) for number in (_IN, _OUT, _ERROR)}
    sys.stdout = _text(os.dup(_OUT), sys.stdout, closed[_OUT])
    sys.stderr = _text(os.dup(_ERROR), sys.stderr, closed[_ERROR])
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _ERROR)
    os.close(nowhere)


def failure_of(stream: TextIO | None) -> OSError | None:
    """Return the first error of printing to a stream, if there was one."""
    if stream is None:
        return None
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Stream) else None


def _ensure_open(number: int) -> OSError | None:
    """Open a stream that was closed when the command started; return the error of using it."""
    try:
        os.fstat(number)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        return error
    return None


def _text(number: int, before: TextIO | None, failure: OSError | None) -> TextIO:
    raw = _Stream(number, "w")
    raw.failure = failure
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="replace",  # a question mark for characters that the terminal cannot show
        line_buffering=raw.isatty() or before is sys.stderr,
    )
