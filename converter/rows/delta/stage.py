"""The users of a run, compared with those of the state, file by file."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from converter.columns.buffers import Text
from converter.kernel.calls import Loops
from converter.kernel.known import PastLines
from converter.ledger import Ledger
from converter.rows.delta.changes import UNCHANGED, ChangeCounts, compare, gone
from converter.rows.delta.known import KnownLines, past_lines
from converter.rows.delta.lines import Users
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import BITS, FILES, PastUsers, file_schema, sorted_users
from converter.rows.users.lines import UserLines
from converter.rows.users.whole import WholeUsers
from converter.spec import rules

_SHIFT = 64 - BITS


class StateFiles(Protocol):
    """Where the files of the state are, and those of the next one, by their set and number."""

    at_once: int
    """How many files are to be loaded at the same time, at least."""

    def load(self, set_: int, number: int) -> PastUsers:
        """Return the users of a file."""
        ...

    def store(self, set_: int, number: int, users: pl.DataFrame) -> None:
        """Write a file of the next state (`past`)."""
        ...

    def keep(self, set_: int, number: int, schema: pl.Schema) -> bool:
        """Take over a file as it is, where it has these columns; return whether that was done."""
        ...


@dataclass
class _File:
    """A file whose users are being compared, and the rows of the next state so far."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    past: PastUsers | None = None
    rows: list[pl.DataFrame] = field(default_factory=list)


class Changes:
    """Leaves out users who have not changed, and makes the next state. Workers call it at the same time.

    Users come in the order of the hashes of their IDs, those of a file in one or more calls. A file is loaded when its
    first users come, and finished once all of them have come. With `in_memory`, all files are loaded before: then lines
    that have not changed are recognized as they come, which is several times faster.
    """

    def __init__(self, options: DeltaOptions, files: StateFiles, *, in_memory: bool = False) -> None:
        self.counts = ChangeCounts()
        self.files: Collection[int] = range(FILES)
        """The numbers of the files whose users come, in each set."""
        self._in_memory = in_memory
        self._loading: list[list[Future[PastLines]]] = []
        self._known: dict[int, KnownLines] = {}
        self._is_again = False
        self._options = options
        self._schema = file_schema(traits=options.keeps_traits, ids=options.removes_gone)
        self._state = files
        self._open: dict[tuple[int, int], _File] = {}
        self._lock = threading.Lock()

    def begin(self, sets: int, pool: Executor, *, again: bool) -> None:
        """Begin to load the state, where it is to be in memory, and all lines can be read `again`."""
        if not (self._in_memory and again):
            return
        own = ThreadPoolExecutor(self._state.at_once, thread_name_prefix="state") if self._state.at_once > 1 else None
        load = (own or pool).submit
        self._loading = [[load(self._load, set_, number) for number in range(FILES)] for set_ in range(sets)]
        if own:  # its threads end once all is loaded
            own.shutdown(wait=False)

    @property
    def knows_lines(self) -> bool:
        """Whether lines that have not changed are recognized as they come."""
        return bool(self._loading)

    def unknown(self, set_: int, lines: UserLines, loops: Loops | None) -> UserLines:
        """Return the lines without those that are known and need not be gathered."""
        if not (known := self._known_of(set_)):
            return lines
        taken = known.taken(lines, loops, is_again=self._is_again)
        return lines if len(taken) == len(lines.ends) else lines.taken(taken, loops)

    def lacks_lines(self) -> bool:
        """Return whether all lines have to come once more."""
        lacking = [known.lacks_lines() for known in map(self._known_of, range(len(self._loading))) if known]
        self._is_again = any(lacking)
        return self._is_again

    def pass_on(self, whole: WholeUsers) -> tuple[WholeUsers, Ledger]:
        """Return the users that are to be written, and what is to be counted in addition; all are of one file."""
        memory = whole.text.buffers[0] if len(whole.text.buffers) == 1 else np.concatenate(whole.text.buffers)
        number = file_of(whole.hashes)
        file = self._file(whole.set, number)
        past = self._past(file, whole.set, number)
        compared = compare(Users(memory, whole.text.ends, whole.users), past, self._options)
        with self._lock:
            file.rows.append(compared.rows)
            self.counts = self.counts.plus(compared.counts)
        sent, is_sent = compared.sent, compared.outcomes != UNCHANGED
        unchanged = int(whole.rows[~is_sent].sum())
        ledger = Ledger(written=-unchanged, skipped=_skipped(unchanged), signals_written=compared.counts.signals)
        return whole._replace(text=_text(sent), users=sent.firsts, rows=whole.rows[is_sent]), ledger

    def finish(self, set_: int, number: int) -> tuple[WholeUsers, Ledger]:
        """Return the users of a file who are gone, with lines that remove their traits; all others have come."""
        unchanged = self._kept(set_, number)
        users, counts = (Users.joined([]), ChangeCounts()) if unchanged else self._stored(set_, number)
        if known := self._known_of(set_):
            known.release(number)
        counts = counts._replace(unchanged=counts.unchanged + unchanged)
        with self._lock:
            self._open.pop((set_, number), None)
            self.counts = self.counts.plus(counts)
        hashes = range(number << _SHIFT, (number + 1) << _SHIFT)
        whole = WholeUsers(_text(users), users.firsts, np.zeros(len(users.firsts) - 1, np.int64), hashes, set_)
        return whole, Ledger(skipped=_skipped(counts.unchanged), signals_written=counts.signals)

    def _kept(self, set_: int, number: int) -> int:
        """Take over a file whose users are all as they were, and return how many these are; 0 where it is not."""
        known = self._known_of(set_)
        if known is None or (set_, number) in self._open or not (omitted := known.omitted(number)).all():
            return 0
        return len(omitted) if self._state.keep(set_, number, self._schema) else 0

    def _stored(self, set_: int, number: int) -> tuple[Users, ChangeCounts]:
        """Write a file of the next state; return the users who are gone, and what is to be counted in addition."""
        file, known = self._file(set_, number), self._known_of(set_)
        past = self._past(file, set_, number)
        unchanged = 0
        if known:
            omitted = known.omitted(number)
            past.are_found |= omitted
            file.rows.append(past.rows(omitted, self._schema.names()))
            unchanged = int(omitted.sum())
        users, counts = gone(past, self._options)
        past.release()
        self._state.store(set_, number, sorted_users(file.rows, self._schema))
        return users, counts._replace(unchanged=unchanged)

    def _load(self, set_: int, number: int) -> PastLines:
        return past_lines(self._state.load(set_, number), self._options)

    def _known_of(self, set_: int) -> KnownLines | None:
        """Return the lines that are known of a set, once all of its files are loaded, where they are in memory."""
        if not self._loading:
            return None
        with self._lock:
            if set_ not in self._known:
                files = [future.result() for future in self._loading[set_]]
                self._known[set_] = KnownLines(files, self._options)
                self._loading[set_] = []  # which would hold the files
            return self._known[set_]

    def _file(self, set_: int, number: int) -> _File:
        with self._lock:
            return self._open.setdefault((set_, number), _File())

    def _past(self, file: _File, set_: int, number: int) -> PastUsers:
        with file.lock:
            if file.past is None:
                file.past = self._state.load(set_, number)
            return file.past


def _skipped(unchanged: int) -> Counter[str]:
    return +Counter({rules.UNCHANGED.name: unchanged})


def _text(users: Users) -> Text:
    return Text((users.lines,), users.ends, users.firsts)


def file_of(hashes: range) -> int:
    """Return the number of the file that has users with these hashes, all of which are of one file."""
    return hashes.start >> _SHIFT
