"""What the compiled loops and their callers pass to each other: tables of 64-bit integers, and what stands where.

Addresses are integers too. All memory belongs to the caller, who keeps it alive during a call.
"""

from __future__ import annotations

SLACK = 96
"""How many bytes must follow a text in memory, and what is written to: loops look at whole vectors."""

PAIR, TRAITS, CODES, CONSTANT = range(4)
"""Kinds of signals: a value in quotes, a list of digits, a list of codes, a text that is always the same."""

SIGNAL = 7
KIND, COLUMN, MARK, PREFIX, PREFIX_BYTES, SPECIAL, LOOK = range(SIGNAL)
"""A signal: its kind, its column, the byte between items of a list, and what stands before each value or item.

`SPECIAL` is how many special bytes there are around each value or item: control characters, double quotes, at signs,
and the byte that no value may hold. `LOOK` says whether values that may be personal data are not plain.
"""

NUMBERS, CARDS = 1, 2
"""How closely an ID is looked at for personal data: whether numbers that could be those of cards are plain, or not."""

FORM = 11
(
    ID_COLUMN,
    ID_BYTES,  # 256 bytes: what to write for each byte of an ID, 0 where the ID is not plain
    ID_SHAPE,  # as many bytes as an ID must have, a hyphen where one must stand
    ID_LENGTH,  # 0: IDs have no shape
    ID_NOT_ZERO,  # whether an ID of zeros alone is not plain
    ID_LOOK,  # whether an ID that may be personal data is not plain: 0, `NUMBERS` or `CARDS`
    SIGNALS,
    SIGNAL_COUNT,
    WIDEST,  # the most bytes that one byte of a list can become
    BAD_BYTE,  # a byte that no value may hold, beside quotes, at signs and control characters
    MOST_LINE,  # the longest line, in bytes
) = range(FORM)
"""The form of a line."""

OUTPUT = 14
(
    LINES,  # where lines are written to
    ROOM,  # for so many bytes
    ENDS,  # where each line ends, in bytes from the first one's start
    ODD,  # the table of rows left out
    ODD_TEXT,  # their text, if they come as text
    FIELDS,  # two integers for each column: where a row's value is, and its length
    SCRATCH,  # 64 bytes
    ROWS,  # the results: how many rows there were,
    MADE,  # lines were written,
    LEFT_OUT,  # rows were left out,
    WRITTEN,  # signals were written,
    MISSING,  # values are missing from the lines,
    CHANGED,  # IDs are written with another byte than they have,
    ODD_BYTES,  # and the text of the rows left out has bytes
) = range(OUTPUT)
"""Where the results of a call go."""

ODD_ROW = 3
LINE, TEXT_LINE, PLACE = range(ODD_ROW)
"""A row left out: the newlines before it (of a frame: its place), those before it in `ODD_TEXT`, lines before it."""

FOUND = 4
END, FOUND_ROWS, INNER, REGULAR = range(FOUND)
"""Whole rows found: where they end, how many, the newlines inside their quotes, whether all was quoted regularly."""

VIEWS = 2
"""A column of a frame: the address of its string views, and of a table of the addresses of their buffers."""
