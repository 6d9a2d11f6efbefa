"""Which texts are UTF-8 (RFC 3629), by whole columns of bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_SHORT = 1 << 20  # bytes: up to so many are decoded faster than Arrow is loaded
_NEWLINE = 10
_SECOND = ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F))
"""Bytes that not all continuation bytes can follow: the lowest and the highest one that can."""


def is_utf8(text: bytes | Bytes) -> bool:
    """Return whether a text is UTF-8."""
    if len(text) < _SHORT:
        try:
            bytes(text).decode()
        except UnicodeDecodeError:
            return False
        return True
    import pyarrow as pa  # here, since loading it takes a while; it checks ten times as fast as Python decodes

    offsets = pa.py_buffer(np.array([0, len(text)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_utf8(), 1, [None, offsets, pa.py_buffer(text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def invalid_utf8(lines: Bytes) -> npt.NDArray[np.int64]:
    """Return positions in a text of lines: one or more in each line that is not UTF-8, its newline included.

    The well-formed byte sequences are those of table 3-7 of the Unicode standard. A character that is cut off at the
    end of a line does not affect the next line.
    """
    inside = lines != _NEWLINE
    high, two, three, four = (lines >= least for least in (0x80, 0xC0, 0xE0, 0xF0))
    expected = np.zeros(len(lines), np.bool_)
    expected[1:] |= two[:-1]
    expected[2:] |= three[:-2] & inside[1:-1]
    expected[3:] |= four[:-3] & inside[1:-2] & inside[2:-1]
    after = np.append(lines[1:], np.uint8(_NEWLINE))
    wrong = expected != (high & ~two)
    wrong |= (two & (lines < 0xC2)) | (lines >= 0xF5)
    for byte, least, most in _SECOND:
        wrong |= (lines == byte) & ((after < least) | (after > most))
    return np.flatnonzero(wrong)
