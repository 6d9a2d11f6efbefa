"""Compiled loops over bytes: they parse text, make the lines of rows that are plain, and merge them with others.

Rows of text go to a sink (`sink.h`): to lines by a form, else to string views, or to the malformed ones. The loops are
C (`*.c`), built with the package; `calls` gives them a Python face. They know nothing of jobs and rules: a form says
what to write, and every row that is not certain to be regular is left to their caller. Everything works without them,
slower. To add a loop, add a source and its entry to `calls.ENTRIES`, and a twin to `tests.fuzz`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.kernel.calls import Loops


@functools.cache
def load() -> Loops | None:
    """Return the compiled loops; nothing where they were not built, or not for this machine: `status` says why."""
    from converter.kernel.library import KernelError, open_library

    try:
        library = open_library()
    except KernelError:
        return None
    from converter.kernel.calls import Loops

    return Loops(library)


def status() -> str:
    """Return which variant of the loops is used, or why there is none."""
    from converter.kernel.library import KernelError, open_library

    try:
        return f"used, in the variant {open_library().variant}."
    except KernelError as error:
        return f"not used: {error}. Everything works without the compiled loops, slower."
