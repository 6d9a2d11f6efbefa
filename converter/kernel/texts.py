"""How the loop that makes texts of columns is called. The structures are those of `texts.h`."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from ctypes import POINTER, c_int32, c_int64, c_void_p
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from converter.columns.buffers import VIEW_BYTES
from converter.columns.pool import Bytes, Pool

TEXT, INDEX, BOOLEAN, SIGNED, UNSIGNED, FLOAT, DECIMAL, DATE, TIME, MOMENT, UTC = range(11)
"""Types of values; `texts.h` says how each is stored."""
MOST_BYTES = (1 << 31) - 1
"""Of texts that views can refer to in one buffer."""

_OK, _FULL = 0, 1
_LEAST_ROOM = 1 << 10  # bytes for long texts
_GROWTH = 4  # numbers without an exponent may have hundreds of digits
_LONG = {
    (SIGNED, 8): 8,
    (UNSIGNED, 8): 8,
    (FLOAT, 4): 8,
    (FLOAT, 8): 20,
    (DECIMAL, 16): 8,
    (MOMENT, 8): 26,
    (UTC, 8): 27,
}
"""How many bytes the long texts of a type and a width take for each row, mostly."""
_FIRST_POWER, _LAST_POWER = -292, 324


class _Column(ctypes.Structure):
    _fields_ = [
        ("values", c_void_p),
        ("values_bytes", c_int64),
        ("validity", c_void_p),
        ("validity_bytes", c_int64),
        ("data", c_void_p),
        ("data_bytes", c_int64),
        ("start", c_int64),
        ("rows", c_int64),
        ("unit", c_int64),
        ("type", c_int32),
        ("width", c_int32),
    ]


class _Texts(ctypes.Structure):
    _fields_ = [
        ("views", c_void_p),
        ("views_bytes", c_int64),
        ("text", c_void_p),
        ("text_room", c_int64),
        ("text_bytes", c_int64),
        ("buffer", c_int64),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {"column_texts": (POINTER(_Column), POINTER(_Texts))}
"""The entry of the library, and what it takes."""


class Values(NamedTuple):
    """`rows` values of a column from the index `start` on, as Arrow has them in memory.

    Each has `width` bytes; `unit` is how many units a second has, or how many digits of a decimal are after its point.
    `validity` has a bit for each value, 0 where it is missing. `data` are the bytes of texts, or the views of the
    entries of a dictionary.
    """

    type: int
    width: int
    start: int
    rows: int
    values: Bytes
    validity: Bytes | None = None
    data: Bytes | None = None
    unit: int = 0


def fill_views(entry: Callable[..., int], pool: Pool, views: Bytes, values: Values, buffer: int) -> Bytes:
    """Call the loop (`Loops.column_texts`) with enough room for the texts that are too long for a view; return them."""
    data = _powers() if values.type == FLOAT else values.data
    column = _Column(
        values=values.values.ctypes.data,
        values_bytes=len(values.values),
        validity=None if values.validity is None else values.validity.ctypes.data,
        validity_bytes=0 if values.validity is None else len(values.validity),
        data=None if data is None else data.ctypes.data,
        data_bytes=0 if data is None else data.nbytes,
        start=values.start,
        rows=values.rows,
        unit=values.unit,
        type=values.type,
        width=values.width,
    )
    room = max(len(views) // VIEW_BYTES * _LONG.get((values.type, values.width), 0), _LEAST_ROOM)
    while True:
        text = pool.lease(min(room, MOST_BYTES))
        texts = _Texts(views.ctypes.data, len(views), text.ctypes.data, len(text), 0, buffer)
        status = entry(column, texts)
        if status == _OK:
            return text[: texts.text_bytes]
        if status != _FULL:
            raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
        if room > MOST_BYTES:
            raise MemoryError
        room *= _GROWTH


@functools.cache
def _powers() -> npt.NDArray[np.uint64]:
    """Return the upper 128 bits of powers of ten, rounded up: the lower and the upper 64 of each."""
    table = np.empty((_LAST_POWER - _FIRST_POWER + 1, 2), np.uint64)
    for row, power in enumerate(range(_FIRST_POWER, _LAST_POWER + 1)):
        if power >= 0:
            whole = 10**power
            shift = whole.bit_length() - 128
            bits = whole << -shift if shift <= 0 else -(-whole >> shift)
        else:
            whole = 10**-power
            bits = -(-(1 << whole.bit_length() + 127) // whole)
        table[row] = bits & (1 << 64) - 1, bits >> 64
    return table
