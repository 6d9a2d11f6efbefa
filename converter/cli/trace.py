"""Tracebacks for `--debug`, without the messages of libraries."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from converter.errors import Reported


def traced(error: BaseException) -> Iterator[str]:
    """Yield the lines of a traceback, the first cause first.

    Messages of libraries may quote data, and those of causes may contain secrets, which only the last error conceals.
    So a cause is shown by its type, with its code or the message of the system.
    """
    if cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        yield from traced(cause)
        yield "\nwhich led to:\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}{_detail(error)}\n"


def _detail(error: BaseException) -> str:
    if isinstance(error, Reported):
        return f": {error.code}"
    return f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
