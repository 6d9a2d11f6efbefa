"""The users of the lines of inbound files: how many lines they have (C7), and the types of their IDs (I1, C13).

Lines are counted in limited memory: a counter is that of all users whose hashes have the same bits, so it says too much
where it is that of several. Users whose counter is above the limit are counted exactly, in a second reading.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.earlier import Keys
from converter.kernel.form import SLACK
from converter.kernel.gather import CUT
from converter.kernel.seen import (
    ANY_ID,
    HASHED_ID,
    LOWER_DEVICE,
    NUMBER_ID,
    UPPER_DEVICE,
    Seen,
    SeenStructure,
)
from converter.parts.problems import Positions
from converter.spec.ids import GLOBAL_DATA_SOURCES
from converter.spec.limits import USER_LINES
from converter.spec.names import FileName

MOST_THREADS = 48
"""That may count at the same time: as many as fit between the limit of lines and the largest number of a counter."""
_LEAST_BITS, _MOST_BITS = 16, 27
_BYTES_A_COUNTER = 10  # of text: mostly a quarter of a line or less
_MOST_USERS_BYTES = 96 << 20  # of the table of those that are counted exactly
_USER_BYTES = 200  # of one of them, without compiled loops
_MARK = b"\xef\xbb\xbf"
_DEVICE = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"


class Counted(NamedTuple):
    """What is counted: the field after `skipped` ones, up to one more than `most`.

    With `pairs`, it counts once for each field after it, at least once; else only where there is one.
    """

    skipped: int
    most: int = USER_LINES.value
    pairs: bool = False


class UserCounters:
    """Counters of lines by users. Threads may share it.

    `text_bytes` is about how much text there is. Users of files with the same `stem` are the same.
    """

    def __init__(self, text_bytes: int, loops: Loops | None) -> None:
        self._bits = min(max((text_bytes // _BYTES_A_COUNTER).bit_length(), _LEAST_BITS), _MOST_BITS)
        self._loops = loops
        self._counters = np.zeros(1 << self._bits, np.uint8)
        self._secret = np.frombuffer(os.urandom(16), np.uint64)
        self._lock = threading.Lock()

    @property
    def may_be_over(self) -> bool:
        """Whether a user may have more lines than a user may."""
        return bool(self._counters.max() > USER_LINES.value)

    def see(self, name: FileName, chunk: bytes, *, finds: bool = False) -> Seen:
        """Count the lines of a chunk, which ends in `SLACK` bytes more; or find those whose users may have too many."""
        return self._look(name.stem, chunk, Counted(int(name.kind == "odc")), finds=finds)

    def _look(self, of: str, chunk: bytes, what: Counted, *, finds: bool) -> Seen:
        """Do so for a field of lines; `of` tells apart what is counted apart."""
        digest = np.frombuffer(hashlib.blake2b(of.encode(), digest_size=16).digest(), np.uint64)
        key = self._secret ^ digest
        mark = len(_MARK) if chunk.startswith(_MARK) else 0
        text = np.frombuffer(chunk, np.uint8)[mark:]
        if not self._loops:
            return self._see(text, what, key, finds=finds)
        structure = SeenStructure(
            key.ctypes.data,
            self._counters.ctypes.data,
            len(self._counters),
            self._bits,
            what.skipped,
            what.most,
            what.pairs,
        )
        return self._loops.see_users(text, len(text) - SLACK, structure, finds=finds)

    def _see(self, text: Bytes, what: Counted, key: npt.NDArray[np.uint64], *, finds: bool) -> Seen:
        """Do the same without compiled loops."""
        skipped = what.skipped
        frame = users_of(text[: len(text) - SLACK].tobytes(), skipped, pairs=what.pairs)
        users = frame.filter(pl.col("id").is_not_null())
        ids = users["id"]
        keys = np.column_stack([ids.hash(int(word) & (2**63 - 1)).to_numpy() for word in key]).reshape(-1, 2)
        place = (keys[:, 0] >> np.uint64(64 - self._bits)).astype(np.int64)
        found = np.zeros(0, np.int64)
        if finds:
            found = np.flatnonzero(self._counters[place] > what.most)
        else:
            at, index = np.unique(place, return_inverse=True)
            counts = np.bincount(index, weights=users["times"].to_numpy(), minlength=len(at)).astype(np.int64)
            with self._lock:
                self._counters[at] = np.minimum(self._counters[at] + counts, what.most + 1)
        kinds = int(np.bitwise_or.reduce(users["kind"].to_numpy(), initial=0))
        numbers = users["line"].to_numpy().astype(np.int64)[found]
        return Seen(kinds, skipped > 0 and users["type"].n_unique() > 1, numbers, keys[found])


def users_of(text: bytes, skipped: int, *, pairs: bool = False) -> pl.DataFrame:
    """Return of each line of a text the number of `line`s before it, its `type`, its `id`, and the `kind` of that.

    The type is the first field, and the ID that after `skipped` fields. The ID is null where it is empty or, without
    `pairs`, no tab is after it; `times` is how often it counts. Kinds are bits of `converter.kernel.seen`, 0 where an
    ID may be of two types.
    """
    lines = pl.Series("text", text.decode(errors="replace").split("\n")[:-1], pl.String).to_frame()
    id_ = pl.col("text").str.extract(rf"^(?:[^\t]*\t){{{skipped}}}([^\t]+)" + ("" if pairs else r"\t"))
    fields = pl.col("text").str.count_matches("\t", literal=True).cast(pl.Int64) - skipped
    is_device = id_.str.contains(f"^{_DEVICE}$")
    kind = (
        pl.when(is_device & id_.str.contains("[a-f]"))
        .then(LOWER_DEVICE)
        .when(is_device & id_.str.contains("[A-F]"))
        .then(UPPER_DEVICE)
        .when(is_device)
        .then(0)
        .when(id_.str.contains("^[0-9]{38}$"))
        .then(NUMBER_ID)
        .when(id_.str.contains("^[0-9A-Fa-f]{64}$"))
        .then(HASHED_ID)
        .otherwise(ANY_ID)
    )
    return lines.with_row_index("line").select(
        "line",
        type=pl.col("text").str.extract(r"^([^\t]*)"),
        id=id_,
        kind=kind.cast(pl.Int64),
        times=pl.max_horizontal(fields, 1) if pairs else 1,
    )


class MixedLines:
    """Finds lines whose IDs are of another type than that of the first line of their file. Chunks come in order."""

    def __init__(self, name: FileName) -> None:
        self._skipped = int(name.kind == "odc")
        self._is_free = name.kind == "data" and name.dpids[0] not in (0, *GLOBAL_DATA_SOURCES)
        self._first: int | str | None = None

    def take(self, chunk: bytes, seen: Seen) -> Positions:
        """Return the lines of a chunk, counted from 1, that differ."""
        if self._skipped:
            first = chunk.partition(b"\t")[0].rpartition(b"\n")[2].decode(errors="replace")
            return self._differing("type", chunk) if seen.differs or first != self._first else _NONE
        is_one = seen.kinds and not seen.kinds & (seen.kinds - 1)
        if self._first is None and is_one:
            self._first = seen.kinds
        if not self._is_free or not seen.kinds or seen.kinds == self._first:
            return _NONE
        return self._differing("kind", chunk)

    def _differing(self, column: str, chunk: bytes) -> Positions:
        mark = len(_MARK) if chunk.startswith(_MARK) else 0
        users = users_of(chunk[mark : len(chunk) - SLACK], self._skipped)
        users = users.filter(pl.col("id").is_not_null(), (pl.col("kind") != 0) | (column == "type"))
        if users.is_empty():
            return _NONE
        if self._first is None:
            self._first = users[column][0]
        found = users.filter(pl.col(column) != self._first)["line"].to_numpy().astype(np.int64)
        lines: Positions = found + 1
        return lines


_NONE: Positions = np.zeros(0, np.int64)


class ExactCounts:
    """Counts the lines of users exactly, in the order of the lines, as long as memory is left for them."""

    def __init__(self, loops: Loops | None) -> None:
        self._known = loops.earlier_keys() if loops else None
        self._counts: dict[bytes, int] = {}
        self.is_full = False

    def over(self, seen: Seen) -> Positions:
        """Return the lines, counted from 1, before which their user has as many as a user may have."""
        if self._known is None:
            is_over = np.array(list(self._are_over(seen.keys)), np.bool_)
            self.is_full = len(self._counts) > _MOST_USERS_BYTES // _USER_BYTES
        else:
            is_over = self._known.judge(None, seen.keys, len(seen.keys), USER_LINES.value) == CUT
            self.is_full = self._known.size > _MOST_USERS_BYTES
        lines: Positions = seen.numbers[is_over] + 1
        return lines

    def _are_over(self, keys: Keys) -> Iterable[bool]:
        for key in map(bytes, np.ascontiguousarray(keys)):
            self._counts[key] = self._counts.get(key, 0) + 1
            yield self._counts[key] > USER_LINES.value
