"""Where tables are drawn."""

from __future__ import annotations

from rich.console import Console

_WIDTH_OF_NO_TERMINAL = 1000


def console() -> Console:
    """Return standard output for rich: names and paths come as they are.

    They are not cut where there is no terminal, and never read as markup.
    """
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _WIDTH_OF_NO_TERMINAL
    return made
