"""The users of a run, compared with those of the state, file by file."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from converter.columns.buffers import Text
from converter.kernel.sink import Positions
from converter.ledger import Ledger
from converter.rows.delta.changes import UNCHANGED, ChangeCounts, Compared, compare, gone
from converter.rows.delta.lines import Users, id_places, texts_at
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import BITS, PastUsers, file_schema, sorted_users
from converter.rows.spill import hashes_of
from converter.rows.users.whole import WholeUsers
from converter.spec import rules

_SHIFT = 64 - BITS


class StateFiles(Protocol):
    """Where the files of the state are, and those of the next one, by their set and number."""

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of a file."""
        ...

    def store(self, set_: int, number: int, users: pl.DataFrame) -> None:
        """Write a file of the next state (`past`)."""
        ...


@dataclass
class _File:
    """A file whose users are being compared, and the rows of the next state so far."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    past: PastUsers | None = None
    rows: list[pl.DataFrame] = field(default_factory=list)


class Changes:
    """Leaves out users who have not changed, and makes the next state. Workers call it at the same time.

    Users come in the order of the hashes of their IDs. A file is loaded when its first users come, and finished once
    all of them have come (`finish`), or at once where they come together.
    """

    def __init__(self, options: DeltaOptions, files: StateFiles) -> None:
        self.counts = ChangeCounts()
        self._options = options
        self._state = files
        self._open: dict[tuple[int, int], _File] = {}
        self._lock = threading.Lock()

    def pass_on(self, whole: WholeUsers) -> tuple[WholeUsers, Ledger]:
        """Return the users that are to be written, and what is to be counted in addition."""
        memory = whole.text.buffers[0] if len(whole.text.buffers) == 1 else np.concatenate(whole.text.buffers)
        users = Users(memory, whole.text.ends, whole.users)
        numbers = files_of(whole.hashes)
        edges = [0, len(whole.rows)]
        if len(numbers) > 1:
            hashes = hashes_of(texts_at(users.lines, *id_places(users, self._options.skipped)))
            edges = np.searchsorted(hashes >> np.uint64(_SHIFT), np.arange(numbers.start, numbers.stop + 1)).tolist()
        made: list[tuple[Users, Positions]] = []
        unchanged = signals = 0
        for number, start, end in zip(numbers, edges[:-1], edges[1:], strict=True):
            if start < end:
                rows = whole.rows[start:end]
                compared = self._compare(users.take(slice(start, end)), whole.set, number)
                is_sent = compared.outcomes != UNCHANGED
                made.append((compared.sent, rows[is_sent]))
                unchanged += int(rows[~is_sent].sum())
                signals += compared.counts.signals
            if is_whole(whole.hashes):
                removed, counted = self._gone(whole.set, number)
                made.append((removed, np.zeros(len(removed.firsts) - 1, np.int64)))
                signals += counted.signals_written
        joined = Users.joined([sent for sent, _ in made])
        rows = np.concatenate([np.zeros(0, np.int64), *(each for _, each in made)])
        skipped = Counter({rules.UNCHANGED.name: unchanged}) if unchanged else Counter[str]()
        ledger = Ledger(written=-unchanged, skipped=skipped, signals_written=signals)
        return whole._replace(text=_text(joined), users=joined.firsts, rows=rows), ledger

    def finish(self, set_: int, number: int) -> tuple[WholeUsers, Ledger]:
        """Return the users of a file who are gone, with lines that remove their traits; all others have come."""
        users, ledger = self._gone(set_, number)
        hashes = range(number << _SHIFT, (number + 1) << _SHIFT)
        return WholeUsers(_text(users), users.firsts, np.zeros(len(users.firsts) - 1, np.int64), hashes, set_), ledger

    def _gone(self, set_: int, number: int) -> tuple[Users, Ledger]:
        file = self._file(set_, number)
        users, counts = gone(self._past(file, set_, number), self._options)
        schema = file_schema(traits=self._options.keeps_traits, ids=self._options.removes_gone)
        self._state.store(set_, number, sorted_users(file.rows, schema))
        with self._lock:
            del self._open[set_, number]
            self.counts = self.counts.plus(counts)
        return users, Ledger(signals_written=counts.signals)

    def _compare(self, users: Users, set_: int, number: int) -> Compared:
        """Compare users of one file."""
        file = self._file(set_, number)
        compared = compare(users, self._past(file, set_, number), self._options)
        with self._lock:
            file.rows.append(compared.rows)
            self.counts = self.counts.plus(compared.counts)
        return compared

    def _file(self, set_: int, number: int) -> _File:
        with self._lock:
            return self._open.setdefault((set_, number), _File())

    def _past(self, file: _File, set_: int, number: int) -> PastUsers:
        with file.lock:
            if file.past is None:
                file.past = self._state.load(set_, number)
            return file.past


def _text(users: Users) -> Text:
    return Text((users.lines,), users.ends, users.firsts)


def files_of(hashes: range) -> range:
    """Return the numbers of the files that have users with these hashes."""
    return range(hashes.start >> _SHIFT, ((hashes.stop - 1) >> _SHIFT) + 1)


def is_whole(hashes: range) -> bool:
    """Whether these are all hashes of one or more files."""
    return hashes.start % (1 << _SHIFT) == 0 and hashes.stop % (1 << _SHIFT) == 0
