"""Keyed hashes of texts: SipHash-2-4 with 128 bits (https://github.com/veorq/SipHash), in numpy.

Without the key nobody can say which text a hash is of, or choose texts whose hashes are equal.
"""

from __future__ import annotations

import numpy as np

from converter import kernel
from converter.columns.pool import Bytes
from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions

KEY_BYTES = 16
_TAB = 9
_WORD = 8  # bytes
_HASHED_ROWS = 1 << 16
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD)], np.uint64)
_INITIAL = np.array([0x736F6D6570736575, 0x646F72616E646F6D ^ 0xEE, 0x6C7967656E657261, 0x7465646279746573], np.uint64)
_BEFORE_FIRST, _BEFORE_SECOND = np.uint64(0xEE), np.uint64(0xDD)


def key_of(secret: bytes) -> Hashes:
    """Return 16 bytes as a key: two words."""
    return np.frombuffer(secret, "<u8", 2).astype(np.uint64)


def keyed_hashes(text: Bytes, starts: Positions, ends: Positions, key: Hashes, field: int = -1) -> Hashes:
    """Return SipHash-2-4 of parts of a text, each from its start to its end: two words (UInt64) for each.

    With a `field`, counted from 0, that of the field of each part alone which ends in a tab.
    """
    if loops := kernel.load():
        return loops.keyed_hashes(text, starts, ends, key, field)
    if field >= 0:
        starts, ends = fields_at(text, starts, field)
    padded = np.concatenate([text, np.zeros(_WORD, np.uint8)])
    slices = (slice(start, start + _HASHED_ROWS) for start in range(0, len(starts), _HASHED_ROWS))
    made = [_hashes(padded, starts[rows], ends[rows], key) for rows in slices]
    return np.concatenate([np.zeros((0, 2), np.uint64), *made])


def fields_at(text: Bytes, starts: Positions, field: int) -> tuple[Positions, Positions]:
    """Return where a field, counted from 0, begins and ends in parts of a text that begin at `starts`."""
    tabs = np.flatnonzero(text == _TAB)
    index = np.searchsorted(tabs, starts) + field
    ends: Positions = tabs[index]
    return (tabs[index - 1] + 1 if field else starts), ends


def _hashes(text: Bytes, starts: Positions, ends: Positions, key: Hashes) -> Hashes:
    """Hash texts side by side, a word of each at a time; `text` has a word of padding."""
    words: Hashes = np.ndarray((len(text) - _WORD + 1,), "<u8", text.data, strides=(1,))
    lengths = ends - starts
    state = np.repeat((_INITIAL ^ np.tile(key, 2))[:, None], len(starts), axis=1)
    rows, done = np.flatnonzero(lengths >= _WORD), 0
    while len(rows):
        state[:, rows] = _take(state[:, rows], words[starts[rows] + done])
        done += _WORD
        rows = rows[lengths[rows] >= done + _WORD]
    rest = lengths % _WORD
    last = words[ends - rest] & _MASKS[rest] | lengths.astype(np.uint64) << np.uint64(56)
    state = _take(state, last)
    state[2] ^= _BEFORE_FIRST
    state = _mixed(state, 4)
    first = np.bitwise_xor.reduce(state)
    state[1] ^= _BEFORE_SECOND
    return np.stack([first, np.bitwise_xor.reduce(_mixed(state, 4))], axis=1)


def _take(state: Hashes, words: Hashes) -> Hashes:
    state[3] ^= words
    state = _mixed(state, 2)
    state[0] ^= words
    return state


def _mixed(state: Hashes, rounds: int) -> Hashes:
    a, b, c, d = state
    for _ in range(rounds):
        a, c = a + b, c + d
        b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
        a, c = _rotated(a, 32) + d, c + b
        d, b = _rotated(d, 21) ^ a, _rotated(b, 17) ^ c
        c = _rotated(c, 32)
    return np.stack([a, b, c, d])


def _rotated(words: Hashes, bits: int) -> Hashes:
    return words << np.uint64(bits) | words >> np.uint64(64 - bits)
