"""The console of rich, for tables."""

from __future__ import annotations

from rich.console import Console

_WIDTH_OF_NO_TERMINAL = 1000


def console() -> Console:
    """Return a console on standard output that prints names and paths unchanged.

    They are never read as markup, and not truncated where there is no terminal.
    """
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _WIDTH_OF_NO_TERMINAL
    return made


def error_console() -> Console:
    """Return a console on standard error, for progress."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)
