"""Compiled loops over bytes: they parse text, make the lines of rows that are plain, merge and gather lines.

Rows of text go to a sink (`sink.h`): to lines by a form, else to string views, or to the malformed ones. The loops are
C (`*.c`), built with the package; `calls` is their interface in Python. They know nothing of jobs and rules: a form
says what to write, and every row that is not certain to be regular is left to their caller. Everything works without
them, slower. To add a loop, add a source and its entry to `calls.ENTRIES`, and a twin to `tests.fuzz`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

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


class Status(NamedTuple):
    """Which variant of the loops is used (`base`, `v3`), or the reason why none is: one of both. As text a sentence."""

    variant: str | None
    reason: str | None

    def __str__(self) -> str:
        if self.variant is None:
            return f"not used: {self.reason}. Everything works without the compiled loops, slower."
        from converter.kernel.library import processors_of

        return f"used, in the variant {self.variant}, for {processors_of(self.variant)}."


def status() -> Status:
    """Return whether the loops are used."""
    from converter.kernel.library import KernelError, open_library

    try:
        return Status(open_library().variant, None)
    except KernelError as error:
        return Status(None, str(error))
