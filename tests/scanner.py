"""Delimited text parsed byte by byte: what `converter.sources.structure` must agree with. Slow and simple."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from converter.kernel.form import Grammar

MOST_LINES, MOST_BYTES = 100, 1 << 16
PLAIN = Grammar()
Scanned = tuple[list[tuple[int, list[str]]], list[tuple[int, str, bytes]], int]


class Field(NamedTuple):
    """A field: its bytes as a list of (byte, whether it is escaped), without quotes; `None` for a missing value."""

    content: list[tuple[bytes, bool]]
    is_quoted: bool

    def value(self, grammar: Grammar) -> bytes:
        missing = ([(b"N", True)], [(b"\\", False), (b"N", False)])
        if grammar.meanings and not self.is_quoted and self.content in missing:
            return b""
        return b"".join(_meant(byte, grammar) if escaped else byte for byte, escaped in self.content)


def _meant(byte: bytes, grammar: Grammar) -> bytes:
    """What a byte after a backslash stands for."""
    meant = grammar.meanings[byte[0] :][:1]
    return b"\\" + byte if meant == b"\\" and byte != b"\\" else meant


def scan(data: bytes, columns: int, longest: int = 1 << 24, grammar: Grammar = PLAIN) -> Scanned:
    """Return the rows (physical line, fields), the bad rows (line, rule, text) and the number of blank lines.

    A row of several lines is misquoted where it has more than `longest` bytes.
    """
    rows: list[tuple[int, list[str]]] = []
    bad: list[tuple[int, str, bytes]] = []
    start = line = blank = 0
    while start < len(data):
        if grammar.comment and data.startswith(grammar.comment, start):
            after, blank = data.find(b"\n", start) + 1, blank + 1
        else:
            rule, fields, after = _judged(data, start, columns, longest, grammar)
            text = data[start : after - 1]
            if rule == "blank":
                blank += 1
            elif rule or not _is_text(text):
                bad.append((line, rule if _is_text(text) else "row_not_text", text))
            else:
                rows.append((line, [field.value(grammar).decode() for field in fields]))
        line += data.count(b"\n", start, after)
        start = after
    return rows, bad, blank


def _judged(data: bytes, start: int, columns: int, longest: int, grammar: Grammar) -> tuple[str, list[Field], int]:
    """Return the rule that the row at `start` breaks, empty if none, its fields, and where the next one begins."""
    taken = _row(data, start, grammar)
    if taken is None or (taken[1] - start > longest and b"\n" in data[start : taken[1] - 1]):
        return "row_misquoted", [], _end_of_broken(data, start, longest, grammar)
    fields, after = taken
    text = data[start : after - 1]
    if not text.strip(b"\r"):
        return "blank", [], after
    if grammar.is_crlf and not text.endswith(b"\r"):
        lines = data[after : start + min(longest, MOST_BYTES)].split(b"\n")[:-1][:MOST_LINES]
        for number, each in enumerate(lines):
            if each.endswith(b"\r"):
                return "row_torn", [], after + sum(len(other) + 1 for other in lines[: number + 1])
    if len(fields) != columns:
        return "row_too_short" if len(fields) < columns else "row_too_long", [], after
    if grammar.empty_last and (fields[-1].content or fields[-1].is_quoted):
        return "row_too_long", [], after
    return "row_misquoted" if _has_two_readings(fields, grammar) else "", fields, after


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _row(data: bytes, start: int, grammar: Grammar) -> tuple[list[Field], int] | None:
    """Return the fields of the row at `start` and where the next one begins, `None` where it is misquoted."""
    fields: list[Field] = []
    place = start
    while True:
        while grammar.skips_spaces and data[place : place + 1] == b" ":
            place += 1
        is_quoted = bool(grammar.quote) and data[place : place + 1] == grammar.quote
        content: list[tuple[bytes, bool]] = []
        place += is_quoted
        while True:
            byte = data[place : place + 1]
            if not byte:
                return None
            if grammar.meanings and byte == b"\\" and (is_quoted or not grammar.quote):
                content.append((data[place + 1 : place + 2], True))
                place += 2
            elif is_quoted and data[place : place + 2] == grammar.quote * 2:
                content.append((byte, False))
                place += 2
            elif (is_quoted and byte == grammar.quote) or (not is_quoted and byte in (grammar.separator, b"\n")):
                break
            else:
                content.append((byte, False))
                place += 1
        place += is_quoted
        if is_quoted:
            end = _end_of_field(data, place, len(data), grammar)
            if end is None:
                return None
            place = end
        fields.append(Field(content, is_quoted))
        place += 1
        if data[place - 1 : place] == b"\n":
            while not is_quoted and content and content[-1] == (b"\r", False):
                content.pop()
            return fields, place


def _end_of_field(data: bytes, place: int, limit: int, grammar: Grammar) -> int | None:
    """Return where the separator or the newline is that ends a field after its closing quote; `None`: none does."""
    while grammar.skips_spaces and place < limit and data[place : place + 1] == b" ":
        place += 1
    if place < limit and data[place : place + 1] == grammar.separator:
        return place
    while place < limit and data[place : place + 1] == b"\r":
        place += 1
    return place if place < limit and data[place : place + 1] == b"\n" else None


def _has_two_readings(fields: list[Field], grammar: Grammar) -> bool:
    """Whether a quote that ends a field, as text, may close what an earlier quote of the row may have opened."""
    quote, opened = (grammar.quote, False), False
    for field in fields if grammar.quote else []:
        if not field.is_quoted and field.content.count(quote) % 2:
            at = len(field.content) - 1 - field.content[::-1].index(quote)
            if at == len(field.content) - 1:
                if opened and at and field.content[at - 1][0] != b" ":
                    return True
            elif field.content[at + 1] != (b" ", False):
                opened = True
        if not grammar.meanings:
            content = [byte for byte, _ in field.content] + [grammar.quote] * field.is_quoted
            opened |= any(pair == (b"\\", grammar.quote) for pair in itertools.pairwise(content))
    return False


def _end_of_broken(data: bytes, start: int, longest: int, grammar: Grammar) -> int:
    """Return where the lines end that belong to a row that is not whole."""
    first = data.find(b"\n", start) + 1
    limit = min(start + min(longest, MOST_BYTES), len(data))
    lines, is_open, begins, place = 0, False, True, start
    while place < limit:
        byte = data[place : place + 1]
        if grammar.meanings and byte == b"\\" and (is_open or not grammar.quote):
            place, begins = place + 2, False
            continue
        if grammar.quote and byte == grammar.quote:
            if not is_open:
                is_open = begins
            elif _end_of_field(data, place + 1, limit, grammar) is not None:
                is_open = False
            elif place + 1 < limit and data[place + 1 : place + 2] == grammar.quote:
                if begins and _end_of_field(data, place + 2, limit, grammar) is not None:
                    return first
                place += 1
            elif place + 1 < limit and begins:
                return first
            begins = False
        elif byte == b"\n":
            if not is_open:
                return place + 1
            lines += 1
            if lines > MOST_LINES:
                return first
            begins = True
        else:
            begins = byte == grammar.separator or (begins and grammar.skips_spaces and byte == b" ")
        place += 1
    return first
