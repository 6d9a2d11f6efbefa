"""Rows of delimited text that are not what they seem: how far those go that are broken, and which have two readings.

The compiled loops have the same rules (`kernel/broken.h`).
"""

from __future__ import annotations

from collections.abc import Sequence

from converter.kernel.form import Grammar

_MOST_LINES, _MOST_BYTES = 100, 1 << 16
WAIT = -1
"""More text is needed."""


def end_of_broken(grammar: Grammar, text: bytes, start: int, *, last: bool, longest: int) -> int | None:
    """Return where the newline is at the end of a row that is not whole, as far as its quotes show it.

    Where a quote is text that no end of a field follows, the row ends after the quote that closes its last field.
    `None`: only its first line belongs to it, since no such quote comes, or another field begins with one before.
    """
    limit = min(start + min(longest, _MOST_BYTES), len(text))
    quote, separator = grammar.quote, grammar.separator
    may_be_longer = limit == len(text) and not last
    lines, is_open, begins = 0, False, True
    at = start
    while at < limit:
        byte = text[at : at + 1]
        if grammar.meanings and byte == b"\\" and (is_open or not quote):
            at += 1
            begins = False
        elif quote and byte == quote:
            if not is_open:
                is_open = begins
            elif (is_end := _is_field_end(grammar, text, at + 1, limit)) is None and may_be_longer:
                return WAIT
            elif is_end:
                is_open = False
            elif at + 1 < limit and text[at + 1 : at + 2] == quote:
                if begins and _is_field_end(grammar, text, at + 2, limit):
                    return None
                at += 1
            elif at + 1 < limit and begins:
                return None
            begins = False
        elif byte == b"\n":
            if not is_open:
                return at
            lines += 1
            if lines > _MOST_LINES:
                return None
            begins = True
        else:
            begins = byte == separator or (begins and grammar.skips_spaces and byte == b" ")
        at += 1
    return WAIT if may_be_longer else None


def _is_field_end(grammar: Grammar, text: bytes, at: int, limit: int) -> bool | None:
    """Return whether a separator follows, or carriage returns and a newline; `None` where the text is cut off."""
    while grammar.skips_spaces and at < limit and text[at : at + 1] == b" ":
        at += 1
    if at < limit and text[at : at + 1] == grammar.separator:
        return True
    while at < limit and text[at : at + 1] == b"\r":
        at += 1
    return None if at == limit else text[at : at + 1] == b"\n"


def end_of_torn(text: bytes, start: int, following: int, *, last: bool, longest: int) -> int | None:
    """Return where the next CR LF is, whose row LFs alone are inside, before `following`.

    `None`: none is near, so that the LF ends the row.
    """
    limit = min(start + min(longest, _MOST_BYTES), len(text))
    at = following
    for line in range(_MOST_LINES):
        at = text.find(b"\n", at, limit)
        if at < 0:
            break
        if text[at - 1 : at] == b"\r":
            return at
        if line + 1 == _MOST_LINES:
            return None
        at += 1
    return WAIT if limit == len(text) and not last else None


def has_two_readings(grammar: Grammar, fields: Sequence[bytes]) -> bool:
    """Return whether the separators between two fields of a row may be text.

    The last quote of one, which is text, may open a value, or a backslash that may escape it is before a quote; and a
    later one ends in a quote that is text.
    """
    quote = grammar.quote
    is_open = may_escape = False
    for field in fields:
        if not field.startswith(quote) and field.count(quote) % 2:
            at = field.rindex(quote)
            if at + 1 < len(field):
                is_open |= field[at + 1 : at + 2] != b" "
            elif at and field[at - 1 : at] != b" " and (is_open or may_escape):
                return True
        may_escape |= not grammar.meanings and b"\\" + quote in field
    return False
