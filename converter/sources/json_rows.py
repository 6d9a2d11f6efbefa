"""JSON whose rows are not lines: the items of lists, or objects that follow each other, over any number of lines.

The text is split at the commas of the outermost list, and after outermost objects, and each row is put on a line.
What is not an object becomes a line too, which is rejected later. The twin of the loop is used where the kernel is
missing.
"""

from __future__ import annotations

import re
from typing import Self

import numpy as np
import orjson

from converter import kernel
from converter.errors import InputError
from converter.kernel.calls import SplitStructure
from converter.sources.reshaped import Reshaped
from converter.sources.streams import TextStream

_PIECE = 1 << 20  # bytes
_NEWLINE = 10
_INSIDE = re.compile(rb'["\\\n]')
_OUTSIDE = re.compile(rb'["{}\[\],\s]')


class JsonRows(Reshaped):
    """The rows of a JSON text as lines. Raises `InputError` where the text ends inside a list, object or string."""

    def __init__(self, stream: TextStream) -> None:
        super().__init__()
        self._stream = stream
        self._state = SplitStructure()
        self._loops = kernel.load()
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the input."""
        self._stream.close()

    @property
    def position(self) -> int:
        """How many bytes of the input itself have been read."""
        return self._stream.position

    def next_piece(self) -> memoryview:
        """Return some rows."""
        while True:
            text = np.empty(_PIECE, np.uint8)
            text = text[: self._stream.readinto(text.data)]
            if not len(text):
                self._check_end()
                return memoryview(b"")
            if self._loops:
                piece = self._loops.split(text, self._state)
            else:
                piece = np.frombuffer(split(text.tobytes(), self._state), np.uint8)
            if len(piece):
                self._rows += int(np.count_nonzero(piece == _NEWLINE))
                return piece.data

    def _check_end(self) -> None:
        if self._state.depth or self._state.in_string:
            raise InputError(
                "E-INPUT-DAMAGED",
                f"The input '{self._stream.origin.label}' is damaged: it ends inside its row {self._rows + 1:,}.",
                "It is cut off, or no valid JSON (a quote or bracket that is not closed). Get the file again; nothing "
                "was published.",
            )


def split(text: bytes, state: SplitStructure) -> bytes:
    """Return the next bytes of a text with each row on one line, as `Loops.split` does."""
    out = bytearray()
    at = 0
    while at < len(text):
        if state.in_string:
            at = _copy_string(text, at, state, out)
            continue
        found = _OUTSIDE.search(text, at)
        end = found.start() if found else len(text)
        if end > at:
            out += text[at:end]
            state.has_content = 1
        if found:
            _take(found[0], state, out)
        at = end + 1
    return bytes(out)


def _copy_string(text: bytes, at: int, state: SplitStructure, out: bytearray) -> int:
    """Copy what is inside a string up to the next byte of meaning; return what follows that."""
    if state.is_escaped:
        end, byte = at, text[at : at + 1]
        state.is_escaped = 0
    else:
        found = _INSIDE.search(text, at)
        end, byte = (found.start(), found[0]) if found else (len(text), b"")
        state.is_escaped, state.in_string = int(byte == b"\\"), int(byte != b'"')
    out += text[at:end] + (b"\x01" if byte == b"\n" else byte)
    return end + 1


def _take(byte: bytes, state: SplitStructure, out: bytearray) -> None:
    """Take a byte outside of strings that has a meaning."""
    is_outside, in_list = state.depth == state.in_list, bool(state.in_list)
    ends = False
    if byte in b" \t\r\n\v\f":
        if byte in b"\v\f":
            state.has_content = 1
        ends = byte == b"\n" and state.depth == 0
        if state.has_content:
            out += b"\n" if ends else b" " if byte == b"\n" else byte
            state.has_content = int(not ends)
        return
    if byte == b"," and is_outside:
        if not in_list and not state.has_content:
            return
        ends = in_list
    elif byte == b"[" and state.depth == 0 and not state.has_content:
        state.depth = state.in_list = 1
        return
    elif byte == b"]" and is_outside and in_list:
        out += b"\n" * state.has_content
        state.depth = state.in_list = state.has_content = 0
        return
    elif byte in b"[{":
        state.depth += 1
    elif byte in b"]}":
        state.depth -= int(not is_outside)
        if byte == b"}" and state.depth == 0:
            out += byte
            ends = True
    elif byte == b'"':
        state.in_string = 1
    out += b"\n" if ends else byte
    state.has_content = int(not ends)


def is_split(head: bytes) -> bool:
    """Return whether the rows of a JSON text are not lines, by its first bytes."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return True
    line = text.split(b"\n", 1)[0]
    if not text.startswith(b"{") or _is_object(line):
        return False
    state = SplitStructure()
    row, newline, _ = split(text, state).partition(b"\n")
    if newline:  # over several lines, or with a comma after each object
        return (len(row) > len(line.rstrip()) or line.rstrip().endswith(b",")) and _is_object(row)
    # An object that is longer than the head: its first line is open, and none is an object.
    is_open = line.rstrip().endswith((b"{", b",", b"[", b":"))
    return is_open and not any(_is_object(each) for each in text.split(b"\n"))


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
