"""Spans of a large text, which are parsed by themselves, on other machines too.

1. The text is divided at places that are about as far from each other (`ranges`).
2. Each range is scanned (`scan`): where it can be cut near its start, and whether its end is inside of quotes. Both
   depend on whether its start is, so all possibilities are followed.
3. Once all scans are there, that is known of each start. So spans begin where blocks would (`cuts`), and the newlines
   before each are counted (`spans_of`).

Where there are quotes that are not those of values, a span may end inside a row. That is found out when it is parsed
(`TornSpanError`); then the text has to be parsed in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.form import ESCAPED, INSIDE
from converter.sources.ahead import in_background
from converter.sources.base import Span
from converter.sources.cuts import Cuts
from converter.sources.streams import Ranges
from converter.sources.texts import WINDOW, TextSource

_READ_BYTES = 4 << 20  # at once
_SLICE = 1 << 16  # bytes that stay in the first cache
_NEWLINE = 10


class Entry(NamedTuple):
    """What a range comes to for a state at its start (see `Cuts`).

    It can be cut after `cut` bytes with so many `newlines`, or nowhere near its start (0); `after` is the state at its
    end.
    """

    cut: int
    newlines: int
    after: int


class Scan(NamedTuple):
    """A range: how many newlines it has, and what it comes to for each state at its start."""

    newlines: int
    entries: Mapping[int, Entry]


def ranges(source: TextSource, most: int) -> list[tuple[int, int]]:
    """Return ranges of the bytes of a plain text, of `most` bytes each, but for a smaller last one."""
    start, size = source.body.start or 0, source.body.size or 0
    places = [*range(start, start + size, most), start + size]
    return list(pairwise(places))


def scan(source: TextSource, start: int, stop: int, loops: Loops | None) -> Scan:
    """Read a range of bytes of a plain text. Raises `InputError`."""
    cuts, read = Cuts(source.grammar, loops), Ranges(source.body.origin)
    size = (source.body.start or 0) + (source.body.size or 0)

    def part(at: int, end: int) -> Bytes:
        memory = np.empty(max(end - at, 0), np.uint8)
        return memory[: read.read(memory, at)]

    window = part(start, min(start + WINDOW, size))
    states = _states(source)
    after, newlines = {state: state for state in states}, 0
    coming = in_background(part, start, min(start + _READ_BYTES, stop))
    for at in range(start, stop, _READ_BYTES):
        text = coming.result()
        following = at + _READ_BYTES
        coming = in_background(part, following, min(following + _READ_BYTES, stop))
        newlines += _newlines(text)
        after = {state: cuts.state_after(text, reached) for state, reached in after.items()}
    found = {state: cuts.find(window, state)[0] for state in states}
    return Scan(newlines, {each: Entry(cut, _newlines(window[:cut]), after[each]) for each, cut in found.items()})


def spans_of(source: TextSource, scans: Sequence[tuple[tuple[int, int], Scan]]) -> list[Span]:
    """Return the spans of a text whose ranges were scanned, in order. There may be one."""
    begin, lines = source.body.start or 0, source.body.lines
    end = begin + (source.body.size or 0)
    starts, state = [(begin, 0)], 0
    for (start, _), found in scans:
        entry = found.entries[state]
        if start > begin and entry.cut and starts[-1][0] < start + entry.cut < end:
            starts.append((start + entry.cut, lines + entry.newlines))
        lines += found.newlines
        state = entry.after
    stops = [*(start for start, _ in starts[1:]), end]
    return [Span(start, stop, before) for (start, before), stop in zip(starts, stops, strict=True)]


def _states(source: TextSource) -> Sequence[int]:
    """Return the states in which a text of the grammar of a source can be."""
    grammar = source.grammar
    if grammar is None:
        return (0,)
    return (0, INSIDE, ESCAPED, INSIDE | ESCAPED) if grammar.meanings else (0, INSIDE)


def _newlines(text: Bytes) -> int:
    parts = (text[at : at + _SLICE] == _NEWLINE for at in range(0, len(text), _SLICE))
    return sum(int(np.count_nonzero(part)) for part in parts)
