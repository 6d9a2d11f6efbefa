"""Texts of files as they are shown in a terminal: short, and without characters that control it."""

from __future__ import annotations


def cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters: what cannot be printed is escaped, and the end is cut off."""
    shown = "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
