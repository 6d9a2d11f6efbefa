"""Columns of Arrow become string views: texts where they stand, numbers and dates in their text form.

`converter.columns.text` says what the text form of a value is. The kernel makes nearly all of them; a few rare types go
through Polars (`typed`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from converter.columns.buffers import VIEW_BYTES, Views
from converter.columns.pool import Bytes
from converter.columns.text import as_text
from converter.kernel import texts
from converter.kernel.calls import Loops
from converter.kernel.texts import MOST_BYTES, Values
from converter.sources.typed import has_zone, is_text, series_of

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MOST_DIGITS = 38  # of a decimal of 128 bits
_INLINE = 12  # bytes
_NOTHING = np.empty(0, np.uint8)
_is = pa.types


class TextColumn:
    """A column of texts: the memory `views` for the views of all rows, filled part by part."""

    def __init__(self, loops: Loops, views: Bytes) -> None:
        self._loops = loops
        self._views = views
        self._filled = 0
        self._buffers: list[Bytes] = []

    def add(self, array: pa.Array) -> None:
        """Add the texts of an array that is validated, empty where a value is missing.

        Raises `pyarrow.ArrowInvalid` for a text that is too long for a view.
        """
        end = self._filled + VIEW_BYTES * len(array)
        self._fill(self._views[self._filled : end], array)
        self._filled = end

    def views(self) -> Views:
        """Return the column, once all rows are added."""
        return Views(self._views, tuple(self._buffers))

    def _fill(self, views: Bytes, array: pa.Array) -> None:
        type_ = array.type
        if not len(array) or _is.is_null(type_):
            views[:] = 0
        elif _is.is_dictionary(type_):
            entries = np.empty(VIEW_BYTES * len(array.dictionary), np.uint8)
            self._fill(entries, array.dictionary)
            self._make(views, _values(array.indices, texts.INDEX)._replace(data=entries))
        elif _is.is_string_view(type_):
            self._copy(views, array)
        elif is_text(type_):
            self._refer(views, array)
        elif (values := _values_of(array)) is not None:
            self._make(views, values)
        elif isinstance(type_, pa.BaseExtensionType) and type_.extension_name == "arrow.json":
            self._fill(views, array.storage)
        else:
            series = series_of("", array)
            text = series.to_frame().select(as_text(pl.col(""), "", series.dtype).alias("")).to_series()
            self._fill(views, text.rechunk().to_arrow(compat_level=pl.CompatLevel.newest()))

    def _make(self, views: Bytes, values: Values) -> None:
        buffer = self._loops.column_texts(views, values, len(self._buffers))
        if len(buffer):
            self._buffers.append(buffer)

    def _refer(self, views: Bytes, array: pa.Array) -> None:
        """Set views of texts between offsets, which stay where they are."""
        values = _values(array, texts.TEXT)
        edges = values.values.view(np.int32 if values.width == 4 else np.int64)
        start, end = int(edges[array.offset]), int(edges[array.offset + len(array)])
        if end - start > MOST_BYTES:
            if len(array) == 1:
                raise pa.ArrowInvalid("A text is too long.")
            half = len(array) // 2
            self._refer(views[: VIEW_BYTES * half], array[:half])
            self._refer(views[VIEW_BYTES * half :], array[half:])
            return
        data = _memory(array.buffers()[2])
        self._loops.column_texts(views, values._replace(data=data), len(self._buffers))
        self._buffers.append(data[start:end])

    def _copy(self, views: Bytes, array: pa.Array) -> None:
        """Copy views, to refer to the buffers of the array after those that are there already."""
        _, given, *buffers = array.buffers()
        fields = views.view(np.uint32).reshape(-1, 4)
        fields[:] = _memory(given).view(np.uint32).reshape(-1, 4)[array.offset : array.offset + len(array)]
        if self._buffers:
            fields[:, 2] += np.where(fields[:, 0] > _INLINE, np.uint32(len(self._buffers)), np.uint32(0))
        if array.null_count:
            fields[array.is_null().to_numpy(zero_copy_only=False)] = 0
        self._buffers += map(_memory, buffers)


def views_of(loops: Loops, arrays: Sequence[pa.Array], views: Bytes) -> Views:
    """Return the texts of validated arrays, one after the other, with `views` as the memory of their views."""
    column = TextColumn(loops, views)
    for array in arrays:
        column.add(array)
    return column.views()


def _memory(buffer: pa.Buffer | None) -> Bytes:
    return np.frombuffer(buffer, np.uint8) if buffer else _NOTHING


def _values(array: pa.Array, type_: int, unit: int = 0) -> Values:
    """Return the values of an array as the kernel takes them."""
    validity, values = array.buffers()[:2]
    width = 8 if _is.is_large_string(array.type) else 4 if _is.is_string(array.type) else array.type.bit_width // 8
    return Values(
        type_,
        width,
        array.offset,
        len(array),
        _memory(values),
        _memory(validity) if array.null_count else None,
        unit=unit,
    )


def _values_of(array: pa.Array) -> Values | None:
    """Return the values of a type of which the kernel knows the text form; `None` for another type."""
    type_ = array.type
    if _is.is_boolean(type_):
        return _values(array, texts.BOOLEAN)
    if _is.is_integer(type_):
        return _values(array, texts.SIGNED if _is.is_signed_integer(type_) else texts.UNSIGNED)
    if _is.is_floating(type_):
        return _values(array.cast(pa.float32()) if _is.is_float16(type_) else array, texts.FLOAT)
    if _is.is_date(type_):
        return _values(array, texts.DATE)
    if _is.is_time(type_):
        return _values(array, texts.TIME, _UNITS[type_.unit])
    if _is.is_timestamp(type_):
        return _values(array, texts.UTC if has_zone(type_) else texts.MOMENT, _UNITS[type_.unit])
    if _is.is_decimal(type_) and type_.precision <= _MOST_DIGITS and 0 <= type_.scale <= type_.precision:
        return _values(array.cast(pa.decimal128(type_.precision, type_.scale)), texts.DECIMAL, type_.scale)
    return None
