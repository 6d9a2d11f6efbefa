"""Tracebacks for `--debug`: where errors and their causes were raised, without what libraries say of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from converter.errors import Reported


def traced(error: BaseException) -> Iterator[str]:
    """Yield the lines of a traceback, the first cause first.

    Texts of other libraries may quote data, and those of our own causes hold what only the last error conceals: of a
    cause its type is shown, with its code or with what the system says.
    """
    if cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        yield from traced(cause)
        yield "\nwhich led to:\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}{_said(error)}\n"


def _said(error: BaseException) -> str:
    if isinstance(error, Reported):
        return f": {error.code}"
    return f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
