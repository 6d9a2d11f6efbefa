"""Sound texts are shown to be sound by a few passes over the bytes of a whole batch; only the others are worked on.

A regular expression a row costs ten times as much as looking at the bytes of all rows at once, and nearly all
IDs and trait lists are sound. So a batch's bytes are searched for what no sound text holds, the few rows in which
it stands are taken out, mended and judged by expressions, and put back. What comes out depends on the row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

Test = Callable[[pl.Series], pl.Series]
"""Says of each text (String) whether it is sound (Boolean, never null)."""

Mend = Callable[[pl.LazyFrame], pl.LazyFrame]
"""Takes texts that are not sound, as the column `text`, and gives what becomes of them."""

_Bytes = npt.NDArray[np.uint8]
_Edges = npt.NDArray[np.int64]
_Truths = npt.NDArray[np.bool_]
_NO_BYTES = np.empty(0, np.uint8)


def sifted(text: pl.Expr, test: Test, mend: Mend, findings: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return a structure of `text`, as it is where it is sound and as `mend` makes it elsewhere, and `findings`.

    The findings are further columns that `mend` returns; they are null where a text is sound.
    """
    schema = {"text": pl.String(), **findings}

    def of_batch(texts: pl.Series) -> pl.Series:
        odd = (~test(texts)).arg_true().to_numpy()
        nothing = [pl.Series(name, [None], type_).new_from_index(0, len(texts)) for name, type_ in findings.items()]
        columns = [texts.alias("text"), *nothing]
        if len(odd):
            mended = mend(texts.gather(odd).to_frame("text").lazy()).collect()
            places = np.arange(len(texts))
            places[odd] = len(texts) + np.arange(len(odd))
            columns = [pl.concat([each, mended[each.name]], rechunk=False).gather(places) for each in columns]
        return pl.DataFrame(columns).to_struct()

    return text.map_batches(of_batch, return_dtype=pl.Struct(schema), is_elementwise=True)


def only_holds(allowed: bytes) -> Test:
    """Return the test that a text is not empty and holds `allowed` ASCII bytes only."""
    is_allowed = np.zeros(256, np.bool_)
    is_allowed[np.frombuffer(allowed, np.uint8)] = True

    def test(data: _Bytes, edges: _Edges) -> _Truths:
        sound = np.diff(edges) > 0
        if data.tobytes().translate(None, allowed):
            sound[_rows_of(np.flatnonzero(~is_allowed[data]), edges)] = False
        return sound

    return _on_bytes(test)


def is_number_list(separator: str) -> Test:
    """Return the test that a text is numbers with a separator between, or empty."""
    mark = ord(separator)

    def test(data: _Bytes, edges: _Edges) -> _Truths:
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

    return _on_bytes(test)


def matches(pattern: str) -> Test:
    """Return the test that a text matches a regular expression: for forms that bytes alone do not show."""
    return lambda texts: texts.str.contains(pattern).fill_null(value=False)


def _rows_of(places: _Edges, edges: _Edges) -> _Edges:
    """Return the rows in which the bytes at `places` stand."""
    return np.searchsorted(edges, places, side="right") - 1


def _on_bytes(test: Callable[[_Bytes, _Edges], _Truths]) -> Test:
    """Make a test of one that takes the bytes of all texts and the edges of the texts in them; null is not sound."""

    def of_batch(texts: pl.Series) -> pl.Series:
        if not len(texts):
            return pl.Series(dtype=pl.Boolean)
        array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, values = array.buffers()
        edges = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        data = np.frombuffer(values, np.uint8)[edges[0] : edges[-1]] if edges[-1] > edges[0] else _NO_BYTES
        sound = test(data, edges - edges[0])
        if array.null_count:
            sound &= texts.is_not_null().to_numpy()
        return pl.Series(sound)

    return of_batch
