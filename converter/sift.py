"""Cheap tests on the bytes of a whole batch, so that costly ones need not be asked of every row.

Nearly all batches hold nothing but plain IDs and sound lists. To see that takes a few passes over their bytes,
a tenth of what a regular expression a row costs. Only a batch that fails is looked at row by row, with a regular
expression that gives the same answer: what a row's batch is never shows in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl


def all_bytes_in(text: pl.Expr, allowed: bytes) -> pl.Expr:
    """Say of each text (String) whether it is not empty and holds only `allowed` ASCII bytes (Boolean)."""
    pattern = f"^[{re.escape(allowed.decode('ascii'))}]+$"

    def holds(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> bool:
        return not data.tobytes().translate(None, allowed) and bool((np.diff(starts) > 0).all())

    return _sifted(text, pattern, holds)


def all_number_lists(text: pl.Expr, separator: str) -> pl.Expr:
    """Say of each text (String) whether it is digits, separator, digits … (Boolean)."""
    mark = ord(separator)

    def holds(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> bool:
        other = (data - np.uint8(48)) > 9  # wraps around below "0"
        if np.count_nonzero(other) != np.count_nonzero(data == mark):
            return False
        # No separator at a start, before an end, or after another, and no text empty.
        return not (
            (np.diff(starts) == 0).any()
            or (other[1:] & other[:-1]).any()
            or other[starts[:-1] - starts[0]].any()
            or other[starts[1:] - starts[0] - 1].any()
        )

    return _sifted(text, f"^[0-9]+(?:{re.escape(separator)}[0-9]+)*$", holds)


def _sifted(
    text: pl.Expr, pattern: str, holds: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64]], bool]
) -> pl.Expr:
    """Ask `holds` of each batch, given its bytes and where its texts start and end, else `pattern` of each row."""

    def sift(texts: pl.Series) -> pl.Series:
        if len(texts) and not texts.null_count():
            array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
            starts = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
            data = np.frombuffer(array.buffers()[2], np.uint8)[starts[0] : starts[-1]] if starts[-1] else _NO_BYTES
            if holds(data, starts):
                return pl.Series(np.ones(len(texts), np.bool_))
        return texts.str.contains(pattern).fill_null(value=False)

    return text.map_batches(sift, return_dtype=pl.Boolean, is_elementwise=True)


_NO_BYTES = np.empty(0, np.uint8)
