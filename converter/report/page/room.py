"""How much a page may show, so that it is small for any report."""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """How much a page may show: characters of a text, items of a list, examples of a rule; and its bytes."""

    text: int
    items: int
    examples: int
    page_bytes: int = 250_000


MOST = (Room(300, 100, 10), Room(160, 40, 5), Room(80, 20, 1), Room(60, 5, 0))
"""What is tried in turn until a page is small enough; with the last, any is."""
