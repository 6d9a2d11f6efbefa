"""Percent-encoding (RFC 3986) of whole columns: the bytes of all texts that need it are handled at once.

Null stays null. Input and output are UTF-8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.utf8 import invalid_utf8, is_utf8

Bytes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]

_PERCENT = ord("%")
_DIGITS = np.frombuffer(b"0123456789ABCDEF", np.uint8)
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_RESERVED = "[^A-Za-z0-9._~-]"

_NO_DIGIT = 255
_VALUES = np.full(256, _NO_DIGIT, np.uint8)
_VALUES[_DIGITS] = np.arange(16)
_VALUES[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16)

_WIDTHS = np.full(256, 3, np.uint8)
_WIDTHS[np.frombuffer(_UNRESERVED, np.uint8)] = 1

_NEWLINE = 10


def percent_encode(text: pl.Expr) -> pl.Expr:
    """Percent-encode a text (String): all but ASCII letters, digits and `-._~`, with upper-case hexadecimal digits."""
    return text.map_batches(_encode, return_dtype=pl.String, is_elementwise=True)


def percent_decode(text: pl.Expr) -> pl.Expr:
    """Percent-decode a text (String), once.

    A percent sign without two hexadecimal digits after it stays; so does the whole text where the result would not be
    UTF-8.
    """
    return text.map_batches(_decode, return_dtype=pl.String, is_elementwise=True)


def _encode(texts: pl.Series) -> pl.Series:
    # Few IDs need encoding, and the search takes a tenth of the time that encoding takes.
    rows = texts.str.contains(_RESERVED).fill_null(value=False).arg_true()
    if not len(rows):
        return texts
    text, lengths = _bytes_of(texts.gather(rows))
    widths = _WIDTHS.take(text)
    encoded = np.repeat(text, widths)
    reserved = np.flatnonzero(widths == 3)
    offsets = reserved + 2 * np.arange(len(reserved))  # each escape before it added two bytes
    encoded[offsets] = _PERCENT
    encoded[offsets + 1] = _DIGITS[text[reserved] >> 4]
    encoded[offsets + 2] = _DIGITS[text[reserved] & 15]
    return _replace(texts, rows, _series_of(encoded, _sums(widths, lengths)))


def _decode(texts: pl.Series) -> pl.Series:
    rows = texts.str.contains("%", literal=True).fill_null(value=False).arg_true()
    if not len(rows):
        return texts
    text, lengths = _bytes_of(texts.gather(rows))
    digits = _VALUES.take(text)
    high, low = np.roll(digits, -1), np.roll(digits, -2)
    is_escape = (text == _PERCENT) & (high != _NO_DIGIT) & (low != _NO_DIGIT)
    # Not where the digits are in the next text (after the last one: in the first).
    for back in (1, 2):
        is_escape[(_starts(lengths) - back) % len(text)] = False
    escapes = np.flatnonzero(is_escape)
    decoded = text.copy()
    decoded[escapes] = (high[escapes] << 4) | low[escapes]
    kept = np.ones(len(text), bool)
    kept[escapes + 1] = kept[escapes + 2] = False
    decoded, lengths = decoded[kept], _sums(kept, lengths)
    valid = _are_utf8(decoded, lengths)
    if not valid.all():
        decoded, lengths, rows = decoded[np.repeat(valid, lengths)], lengths[valid], rows.filter(pl.Series(valid))
    return _replace(texts, rows, _series_of(decoded, lengths))


def _are_utf8(text: Bytes, lengths: Lengths) -> npt.NDArray[np.bool_]:
    """Return which texts, one after the other and none empty, are UTF-8."""
    ends = np.cumsum(lengths)
    lines = np.insert(text, ends, _NEWLINE)
    good = np.ones(len(lengths), bool)
    if not is_utf8(lines):
        good[np.searchsorted(ends + np.arange(len(ends)), invalid_utf8(lines))] = False
    return good


def _bytes_of(texts: pl.Series) -> tuple[Bytes, Lengths]:
    """Return the bytes of texts, one after the other, and the length of each; none is null or empty."""
    text = np.frombuffer(texts.str.join("").item().encode(), np.uint8)
    return text, texts.str.len_bytes().cast(pl.Int64).to_numpy()


def _starts(lengths: Lengths) -> Lengths:
    """Return the offsets of texts of these lengths, one after the other."""
    return np.cumsum(lengths) - lengths


def _sums(of_bytes: npt.NDArray[np.generic], lengths: Lengths) -> Lengths:
    """Return the sums of values of bytes, text by text."""
    return np.add.reduceat(of_bytes, _starts(lengths), dtype=np.int64)


def _series_of(text: Bytes, lengths: Lengths) -> pl.Series:
    """Return texts, one after the other in memory, of these lengths in bytes."""
    import pyarrow as pa  # here, since it takes a while, and few runs encode

    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return pl.Series(pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(text)))


def _replace(texts: pl.Series, rows: pl.Series, replacements: pl.Series) -> pl.Series:
    """Replace the texts of some rows."""
    if len(rows) == len(texts):
        return replacements.alias(texts.name)
    return texts.clone().scatter(rows, replacements)  # `scatter` changes the series that it is called on
