"""Percent-encoding (RFC 3986) of whole columns: the bytes of all texts that need it are handled at once.

Null stays null. Input and output are UTF-8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

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

_NEVER = 4
_FOLLOWING = np.zeros(256, np.uint8)
_FOLLOWING[0xC0:] = _NEVER
_FOLLOWING[0xC2:0xE0], _FOLLOWING[0xE0:0xF0], _FOLLOWING[0xF0:0xF5] = 1, 2, 3
"""How many bytes follow a byte that begins a character; `_NEVER` for what is in no UTF-8."""
_SECOND = ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F))
"""Bytes that not all can follow: the least and the greatest one."""


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
    """Say of each of some texts, one after the other and none empty, whether it is UTF-8 (RFC 3629)."""
    try:
        text.tobytes().decode()
    except UnicodeDecodeError:
        pass
    else:
        if not _continues(text[_starts(lengths)]).any():
            return np.ones(len(lengths), bool)
    # Between texts there is room for what is missing at the end of one.
    text = np.insert(text, np.repeat(np.cumsum(lengths), 3), 0)
    follow = _FOLLOWING.take(text)
    wanted = np.zeros(len(text), bool)
    for back in (1, 2, 3):
        wanted[back:] |= (follow[:-back] >= back) & (follow[:-back] != _NEVER)
    is_bad = (wanted != _continues(text)) | (follow == _NEVER)
    for first, least, most in _SECOND:
        is_bad[1:] |= (text[:-1] == first) & ((text[1:] < least) | (text[1:] > most))
    good: npt.NDArray[np.bool_] = _sums(is_bad, lengths + 3) == 0
    return good


def _continues(text: Bytes) -> npt.NDArray[np.bool_]:
    """Say of each byte whether it goes on with a character of UTF-8."""
    continues: npt.NDArray[np.bool_] = (text & 0xC0) == 0x80
    return continues


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
    import pyarrow as pa  # here, since it takes a while: most runs encode nothing

    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return pl.Series(pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(text)))


def _replace(texts: pl.Series, rows: pl.Series, replacements: pl.Series) -> pl.Series:
    """Replace the texts of some rows."""
    if len(rows) == len(texts):
        return replacements.alias(texts.name)
    return texts.clone().scatter(rows, replacements)  # `scatter` changes the series that it is called on
