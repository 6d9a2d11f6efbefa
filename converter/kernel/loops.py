"""The loops over the bytes of regular delimited text, compiled: where rows end, and what lines they become.

This is the one room that looks at bytes one after the other, and it knows nothing of jobs, files or rules: it is
told in tables what to write, and leaves every row that is not plain to its caller.

Texts come as bytes and once more as `words`, the 64-bit word that begins at each byte (`words_of`), since the loops
look at eight bytes at a time. Both must go on for `SLACK` bytes after the text, which are read and do not count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import config as config
from numba import int64, njit

SLACK = 24
"""How many bytes must follow a text, and what may be written to."""

PAIR, LIST, CONSTANT = 0, 1, 2
START, END, LINE, LINES, PLACE = range(5)
"""The columns of the table of odd rows: see `to_lines`."""

_ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)
_NONE = np.uint64(0)
_SPACES = np.uint64(0x20) * _ONES
_QUOTES = np.uint64(0x22) * _ONES
_NEWLINES = np.uint64(0x0A) * _ONES
_ZEROS = np.uint64(0x30) * _ONES
_PAST_NINE = np.uint64(0x80 - 10) * _ONES
_PLACES = np.uint64(0x0001020304050607)


def words_of(memory: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the words that begin at each byte of `memory`, as a view of it."""
    return np.ndarray(len(memory) - 7, np.dtype("<u8"), memory.data, 0, (1,))


# In these masks the highest bit of a byte says that it was found. Bytes above the first one found may be
# marked wrongly, by the borrow of the subtraction, so only the first one counts.


@njit(inline="always")
def _zero(word):
    """Mark the bytes that are zero."""
    return (word - _ONES) & ~word & _HIGH


@njit(inline="always")
def _control(word):
    """Mark the bytes that are control characters."""
    return (word - _SPACES) & ~word & _HIGH


@njit(inline="always")
def _first(found):
    """Return the place of the first byte that is marked."""
    lowest = found & (~found + _ONE)
    return int64(((lowest >> np.uint64(7)) * _PLACES) >> np.uint64(56))


@njit(inline="always")
def _copy(target, at, words, start, end):
    """Copy the text from `start` to `end`; return the place after it. Nearly all are shorter than two words."""
    target[at] = words[start]
    target[at + 8] = words[start + 8]
    for offset in range(16, end - start, 8):
        target[at + offset] = words[start + offset]
    return at + end - start


@njit(inline="always")
def _next_quote_or_newline(words, place, size):
    """Return the first place from `place` on with a double quote or a newline, `size` or more where none is left."""
    while place < size:
        word = words[place]
        found = _zero(word ^ _QUOTES) | _zero(word ^ _NEWLINES)
        if found != _NONE:
            return place + _first(found)
        place += 8
    return place


@njit(nogil=True, cache=True)
def whole_rows(text, words, size, separator):
    """Find the rows that end within the first `size` bytes of a text that begins at a row's start.

    Returns where the last of them ends, how many there are, how many newlines stand inside their quotes, and
    whether all that was seen is quoted regularly: an opening quote stands at a field's start, a closing one at
    its end. Where it is not, the rows before it are returned.
    """
    place = end = rows = inner = inner_at_end = 0
    while True:
        place = _next_quote_or_newline(words, place, size)
        if place >= size:
            return end, rows, inner_at_end, True
        if text[place] == 10:
            place += 1
            rows += 1
            end = place
            inner_at_end = inner
            continue
        if place != end and text[place - 1] != separator:
            return end, rows, inner_at_end, False
        place += 1
        while True:  # inside quotes
            place = _next_quote_or_newline(words, place, size)
            while place < size and text[place] == 10:
                inner += 1
                place = _next_quote_or_newline(words, place + 1, size)
            if place + 1 >= size:  # what follows is not known yet
                return end, rows, inner_at_end, True
            if text[place + 1] != 34:
                break
            place += 2
        place += 1
        after = text[place]
        if after == 13 and place + 1 >= size:
            return end, rows, inner_at_end, True
        if after != separator and after != 10 and (after != 13 or text[place + 1] != 10):
            return end, rows, inner_at_end, False


@njit(nogil=True, cache=True)
def to_lines(
    text,
    words,
    size,
    separator,
    columns,
    needed,
    id_column,
    id_bytes,
    id_shape,
    id_not_zero,
    kinds,
    of_column,
    marks,
    before,
    before_at,
    most_line,
    lines,
    line_words,
    room,
    ends,
    odd,
):
    """Turn the rows of a text, as `whole_rows` found them, into lines; leave out those that are not plain.

    `needed` says of each of the `columns` whether the lines need it. `id_bytes` maps each byte of an ID to the byte
    to write, 0 where the ID is not plain; `id_shape` is empty, or as long as an ID must be, with a hyphen where one
    must stand; `id_not_zero` says that not all may be zeros. Signal k of a line is of `kinds[k]`: the value of
    column `of_column[k]` in quotes, its digits between `marks[k]` as items, or a constant;
    `before[before_at[k]:before_at[k + 1]]` stands before each value or item.

    Writes the lines to `lines` (`line_words` are its words, `room` the bytes that may be used), where each ends to
    `ends`, and for each row left out where it starts and ends in the text, the newlines before it and in it, and the
    lines before it, to `odd`. Rows with too few or too many fields, blank ones, and those with a carriage return that
    ends no line are among them. Returns how many rows, lines, odd rows, signals and missing values there are.
    """
    starts = np.empty(columns, np.int64)
    stops = np.empty(columns, np.int64)
    separators = np.uint64(separator) * _ONES
    widest = np.max(before_at[1:] - before_at[:-1]) + 1 if len(kinds) else 1
    place = at = rows = made = odds = newlines = signals = missing = 0
    while place < size:
        row_start, row_newlines, line_start = place, newlines, at
        is_odd = False
        column = 0
        while True:  # a field; as a function of their own, its two loops over words measured a seventh slower
            if text[place] == 34:
                place += 1
                starts[column] = place
                while True:
                    word = words[place]
                    found = _zero(word ^ _QUOTES) | _control(word)
                    if found == _NONE:
                        place += 8
                        continue
                    place += _first(found)
                    if text[place] == 34:
                        if text[place + 1] != 34:
                            break
                        place += 1
                    elif text[place] == 10:
                        newlines += 1
                    is_odd |= needed[column]
                    place += 1
                stops[column] = place
                place += 1
                byte = text[place]
            else:
                starts[column] = place
                while True:
                    word = words[place]
                    found = _zero(word ^ separators) | _control(word)
                    if found == _NONE:
                        place += 8
                        continue
                    place += _first(found)
                    byte = text[place]
                    if byte == separator or byte == 10:
                        break
                    if byte == 13:
                        if text[place + 1] == 10:
                            break
                        is_odd = True
                    elif needed[column]:
                        is_odd = True
                    place += 1
                stops[column] = place
            column += 1
            place += 1
            if byte != separator:
                if byte == 13:
                    place += 1
                newlines += 1
                break
            if column == columns:  # too many: on to the row's end
                is_odd = True
                quoted = False
                while True:
                    byte = text[place]
                    place += 1
                    if byte == 34:
                        quoted = not quoted
                    elif byte == 10:
                        newlines += 1
                        if not quoted:
                            break
                break
        if column != columns or stops[columns - 1] == row_start:
            is_odd = True
        rows += 1

        here = absent = 0
        if not is_odd and at + place - row_start + 64 < room:
            start, end = starts[id_column], stops[id_column]
            sound = start < end and (len(id_shape) == 0 or len(id_shape) == end - start)
            zeros = True
            for offset in range(end - start):
                byte = id_bytes[text[start + offset]]
                if sound and len(id_shape) and (text[start + offset] == 45) != (id_shape[offset] == 45):
                    sound = False
                sound &= byte != 0
                zeros &= byte == 48 or byte == 45
                lines[at] = byte
                at += 1
            is_odd = not sound or (id_not_zero and zeros)
            lines[at] = 9
            at += 1
            for signal in range(len(kinds)):
                kind = kinds[signal]
                prefix, prefix_end = before_at[signal], before_at[signal + 1]
                start = end = 0
                if kind != CONSTANT:
                    start, end = starts[of_column[signal]], stops[of_column[signal]]
                    if start == end:
                        absent += kind == PAIR
                        continue
                if at + (end - start + 1) * widest + 64 > room:
                    is_odd = True
                    break
                if here:
                    lines[at] = 44
                    at += 1
                here += 1
                at = _copy(line_words, at, before, prefix, prefix_end)
                if kind == PAIR:
                    at = _copy(line_words, at, words, start, end)
                    lines[at] = 34
                    at += 1
                elif kind == LIST:
                    mark = np.uint64(marks[signal]) * _ONES
                    while True:  # an item, or eight digits of one
                        word = words[start]
                        found = _zero(word ^ mark)
                        length = _first(found) if found != _NONE else 8
                        length = min(length, end - start)
                        digits = word ^ _ZEROS
                        other = ((digits + _PAST_NINE) | digits) & _HIGH
                        if length < 8:
                            other &= (_ONE << np.uint64(8 * length)) - _ONE
                        is_odd |= other != _NONE or length == 0
                        line_words[at] = word
                        at += length
                        start += length
                        if start == end:
                            break
                        if text[start] == marks[signal]:
                            start += 1
                            lines[at] = 44
                            at = _copy(line_words, at + 1, before, prefix, prefix_end)
                            here += 1
                            if start == end:
                                is_odd = True
                                break
            lines[at] = 10
            at += 1
            is_odd |= here == 0 or at - line_start > most_line
        else:
            is_odd = True
        if is_odd:
            at = line_start
            odd[odds, START] = row_start
            odd[odds, END] = place
            odd[odds, LINE] = row_newlines
            odd[odds, LINES] = newlines - row_newlines
            odd[odds, PLACE] = made
            odds += 1
        else:
            ends[made] = at
            made += 1
            signals += here
            missing += absent
    return rows, made, odds, signals, missing


@njit(nogil=True, cache=True)
def merged(lines, ends, others, other_ends, places, target, target_ends):
    """Put the lines of `others` among `lines`, other i before line `places[i]`; write to `target` and `target_ends`."""
    at = made = taken = start = other_start = 0
    for line in range(len(ends) + 1):
        while taken < len(places) and places[taken] == line:
            length = other_ends[taken] - other_start
            target[at : at + length] = others[other_start : other_start + length]
            other_start += length
            at += length
            target_ends[made] = at
            made += 1
            taken += 1
        if line < len(ends):
            length = ends[line] - start
            target[at : at + length] = lines[start : start + length]
            start += length
            at += length
            target_ends[made] = at
            made += 1
