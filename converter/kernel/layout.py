"""The tables of 64-bit integers that the compiled loops and their callers exchange: the index of each entry.

Addresses are integers too. All memory belongs to the caller, who keeps it alive during a call.
"""

from __future__ import annotations

SLACK = 96
"""How many bytes of memory must follow a text, and a buffer for results: loops read and write whole vectors."""

PAIR, TRAITS, CODES, CONSTANT = range(4)
"""Kinds of signals: a value in quotes, a list of digits, a list of codes, a constant text."""

SIGNAL = 7
KIND, COLUMN, MARK, PREFIX, PREFIX_BYTES, SPECIAL, SCAN = range(SIGNAL)
"""A signal: its kind, its column, the byte between items of a list, and the prefix of each value or item.

`SPECIAL` is how many special bytes there are around each value or item: control characters, double quotes, at signs,
and the byte that no value may contain. `SCAN` is whether a value that may be personal data makes its row irregular.
"""

NUMBERS, CARDS = 1, 2
"""How an ID is scanned for personal data: with numbers that could be those of payment cards allowed, or not."""

FORM = 11
(
    ID_COLUMN,
    ID_BYTES,  # 256 bytes: what to write for each byte of an ID, 0 where it makes the row irregular
    ID_SHAPE,  # as many bytes as an ID must have, with hyphens where it must have them
    ID_LENGTH,  # 0: IDs have no shape
    ID_NOT_ZERO,  # whether an ID of zeros makes its row irregular
    ID_SCAN,  # how an ID is scanned for personal data: 0 (not at all), `NUMBERS` or `CARDS`
    SIGNALS,
    SIGNAL_COUNT,
    WIDEST,  # the most bytes that one byte of a list can become
    BAD_BYTE,  # a byte that no value may contain, beside quotes, at signs and control characters
    MOST_LINE,  # the longest line, in bytes
) = range(FORM)
"""The form of a line."""

OUTPUT = 14
(
    LINES,  # the memory for lines
    ROOM,  # the size of that memory, in bytes
    ENDS,  # where each line ends, in bytes from the first one's start
    IRREGULAR,  # the table of irregular rows
    IRREGULAR_TEXT,  # their text, if the input is text
    FIELDS,  # two integers for each column: where a row's value is, and its length
    SCRATCH,  # 64 bytes
    ROWS,  # the results: the number of rows,
    MADE,  # of lines written,
    LEFT_OUT,  # of irregular rows,
    WRITTEN,  # of signals written,
    MISSING,  # of values that are missing,
    CHANGED,  # of IDs whose case was changed,
    IRREGULAR_BYTES,  # and of bytes in the text of irregular rows
) = range(OUTPUT)
"""The memory for the results of a call, and the counts."""

IRREGULAR_ROW = 3
LINE, TEXT_LINE, POSITION = range(IRREGULAR_ROW)
"""An irregular row: the newlines before it (of a frame: its index), those in `IRREGULAR_TEXT`, the lines before it."""

WHOLE_ROWS = 4
END, ROW_COUNT, INNER, REGULAR = range(WHOLE_ROWS)
"""Whole rows: where they end, how many, the newlines inside their quotes, whether all of the text is regular."""

VIEWS = 2
"""A column of a frame: the address of its string views, and of a table of the addresses of their buffers."""
