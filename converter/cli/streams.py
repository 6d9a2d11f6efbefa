"""Standard output and standard error, so that printing never fails and nothing else is printed.

Below Python, libraries write to standard error as well: a damaged file that brings one to panic would print its trace,
which may quote the data, beside the one sentence. And where a stream is closed, its number would be that of the next
file to be opened, such as a part, into which they would write.
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
    """A file that takes everything; `failure` is the first error with what it was given."""

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, as far as that can be done."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.failure = self.failure or error
            return memoryview(data).nbytes


def secure() -> None:
    """Put streams into place that never fail, and keep standard error for ourselves."""
    closed = {number: _opened(number) for number in (_IN, _OUT, _ERROR)}
    sys.stdout = _text(os.dup(_OUT), sys.stdout, closed[_OUT])
    sys.stderr = _text(os.dup(_ERROR), sys.stderr, closed[_ERROR])
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _ERROR)
    os.close(nowhere)


def failure_of(stream: TextIO | None) -> OSError | None:
    """Return the first error with what was printed, if any."""
    if stream is None:
        return None
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Stream) else None


def _opened(number: int) -> OSError | None:
    """Open a stream that was closed when the command was started; return the error that says so."""
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
        errors="replace",  # a terminal that cannot show a character gets a question mark
        line_buffering=raw.isatty() or before is sys.stderr,
    )
