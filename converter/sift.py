"""Tests on the bytes of a whole batch of texts, at a tenth of what a regular expression a row costs.

A batch's texts lie one after the other in memory. A few passes find the bytes that no sound text holds, and only
where there are some is it worked out which rows they stand in. The answer is exact, row by row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

_Bytes = npt.NDArray[np.uint8]
_Edges = npt.NDArray[np.int64]
_Truths = npt.NDArray[np.bool_]


def only_holds(text: pl.Expr, allowed: bytes) -> pl.Expr:
    """Say of each text (String) whether it is not empty and holds `allowed` ASCII bytes only (Boolean, never null)."""
    is_allowed = np.zeros(256, np.bool_)
    is_allowed[np.frombuffer(allowed, np.uint8)] = True

    def sift(data: _Bytes, edges: _Edges) -> _Truths:
        sound = np.diff(edges) > 0
        if data.tobytes().translate(None, allowed):
            sound[_rows_of(np.flatnonzero(~is_allowed[data]), edges)] = False
        return sound

    return _sifted(text, sift)


def is_number_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Say of each text (String) whether it is numbers with a separator between, or empty (Boolean, never null)."""
    mark = ord(separator)

    def sift(data: _Bytes, edges: _Edges) -> _Truths:
        sound = np.ones(len(edges) - 1, np.bool_)
        filled = np.flatnonzero(np.diff(edges))
        other = (data - np.uint8(48)) > 9  # no digit: what is below "0" wraps around
        # A separator stands neither first nor last nor after another one.
        sound[filled[other[edges[filled]] | other[edges[filled + 1] - 1]]] = False
        doubled = other[1:] & other[:-1]
        if doubled.any():
            sound[_rows_of(np.flatnonzero(doubled), edges)] = False
        if np.count_nonzero(other) != np.count_nonzero(data == mark):
            sound[_rows_of(np.flatnonzero(other & (data != mark)), edges)] = False
        return sound

    return _sifted(text, sift)


def _rows_of(places: _Edges, edges: _Edges) -> _Edges:
    """Return the rows in which the bytes at `places` stand."""
    return np.searchsorted(edges, places, side="right") - 1


def _sifted(text: pl.Expr, sift: Callable[[_Bytes, _Edges], _Truths]) -> pl.Expr:
    """Ask `sift` of each batch: it takes the bytes and the edges of the texts in them; a null is not sound."""

    def of_batch(texts: pl.Series) -> pl.Series:
        if not len(texts):
            return pl.Series(dtype=pl.Boolean)
        array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, values = array.buffers()
        edges = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        data = np.frombuffer(values, np.uint8)[edges[0] : edges[-1]] if edges[-1] > edges[0] else _NO_BYTES
        sound = sift(data, edges - edges[0])
        if array.null_count:
            sound &= texts.is_not_null().to_numpy()
        return pl.Series(sound)

    return text.map_batches(of_batch, return_dtype=pl.Boolean, is_elementwise=True)


_NO_BYTES = np.empty(0, np.uint8)
