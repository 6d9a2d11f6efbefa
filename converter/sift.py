"""Texts that cannot simply be written as they are, found by a few passes over the bytes of a whole column.

A regular expression a row costs ten times as much as looking at the bytes of all rows at once, and nearly all
IDs, lists and values are sound. So these tests clear the sound ones; rows that they do not clear are judged and
mended by expressions (`converter.records`), row by row. A test answers with the rows that it does not clear.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Rows = npt.NDArray[np.int64]
"""Rows of a column, counted from 0."""

_Bytes = npt.NDArray[np.uint8]
_FEW = 8  # different bytes, up to which it is cheaper to look for each of them


class Texts:
    """A column of texts, none of them null: as the engine has it, and as the bytes of all of them in a row."""

    def __init__(self, series: pl.Series) -> None:
        self.series = series

    @cached_property
    def edges(self) -> Rows:
        """Where each text begins in `data`, and the last one ends."""
        offsets = np.frombuffer(self._array.buffers()[1], np.int64)
        edges = offsets[self._array.offset : self._array.offset + len(self._array) + 1]
        from_zero: Rows = edges - edges[0]
        return from_zero

    @cached_property
    def data(self) -> _Bytes:
        """The bytes of all texts."""
        values = self._array.buffers()[2]
        start = np.frombuffer(self._array.buffers()[1], np.int64)[self._array.offset]
        if values is None or not self.edges[-1]:
            return np.empty(0, np.uint8)
        return np.frombuffer(values, np.uint8)[start : start + self.edges[-1]]

    def rows_of(self, places: Rows) -> Rows:
        """Return the rows in which the bytes at `places` stand."""
        return np.searchsorted(self.edges, places, side="right") - 1

    def holding(self, marks: bytes) -> Rows:
        """Return the rows that hold one of `marks`, which are ASCII characters."""
        if len(marks) <= _FEW:
            found = [np.flatnonzero(self.data == mark) for mark in marks]
            return self.rows_of(np.concatenate(found)) if found else np.empty(0, np.int64)
        is_mark = np.zeros(256, np.bool_)
        is_mark[np.frombuffer(marks, np.uint8)] = True
        return self.rows_of(np.flatnonzero(is_mark[self.data]))

    @cached_property
    def _array(self) -> Any:
        return self.series.to_arrow(compat_level=pl.CompatLevel.oldest())


Test = Callable[[Texts], Rows]
"""Returns the rows that it does not clear, in any order, some perhaps more than once."""


def only_holds(allowed: bytes) -> Test:
    """Return the test that a text is not empty and holds `allowed` ASCII characters only."""

    def test(texts: Texts) -> Rows:
        others = bytes(set(texts.data.tobytes().translate(None, allowed)))
        return np.concatenate([np.flatnonzero(np.diff(texts.edges) == 0), texts.holding(others)])

    return test


def lacks(marks: bytes) -> Test:
    """Return the test that a text holds none of `marks`, which are ASCII characters."""

    def test(texts: Texts) -> Rows:
        data = texts.data.tobytes()
        if len(data.translate(None, marks)) == len(data):
            return np.empty(0, np.int64)
        return texts.holding(marks)

    return test


def is_list(separator: str, allowed: bytes) -> Test:
    """Return the test that a text is empty, or items with a separator between, made of `allowed` ASCII characters."""
    digits = bytes(range(ord("0"), ord("9") + 1))
    items = allowed.replace(separator.encode(), b"")

    def test(texts: Texts) -> Rows:
        data, edges = texts.data, texts.edges
        mark = data == ord(separator)
        filled = np.flatnonzero(np.diff(edges))
        # A separator stands neither first nor last nor after another one.
        found = [filled[mark[edges[filled]] | mark[edges[filled + 1] - 1]]]
        doubled = mark[1:] & mark[:-1]
        if doubled.any():
            found.append(texts.rows_of(np.flatnonzero(doubled)))
        # Looking at a range is quicker than at a table.
        sound = np.count_nonzero(data - np.uint8(digits[0]) < len(digits)) if items == digits else -1
        if sound + np.count_nonzero(mark) != len(data):
            others = bytes(set(data.tobytes().translate(None, items + separator.encode())))
            found.append(texts.holding(others))
        return np.concatenate(found)

    return test


def matches(pattern: str) -> Test:
    """Return the test that a text matches a regular expression: for forms that bytes alone do not show."""
    return lambda texts: (~texts.series.str.contains(pattern)).arg_true().to_numpy().astype(np.int64)


def count_items(texts: Texts, separator: str) -> int:
    """Count the items of lists, none of which has an empty one."""
    return int(np.count_nonzero(np.diff(texts.edges))) + int(np.count_nonzero(texts.data == ord(separator)))
