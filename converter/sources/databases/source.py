"""The rows of a query as a source."""

from __future__ import annotations

import contextlib
import copy
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TypeVar

from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.sources.ahead import ReadAhead
from converter.sources.arrow import Batch
from converter.sources.base import Budget, Task
from converter.sources.batches import Batches, BatchSource
from converter.sources.databases.base import Database
from converter.sources.row_origins import RowOrigin
from converter.sources.texts import TextSource, TextTasks
from converter.sources.typed import heads_of

_T = TypeVar("_T")


class DatabaseSource(BatchSource):
    """The rows of a query, which is run once as far as possible: what is read of its first rows is kept.

    Where they are needed again, it is run again in the same transaction, in which the rows are the same.
    """

    def __init__(self, origin: RowOrigin, database: Database, options: Input) -> None:
        self._database = database
        weakref.finalize(self, database.close)
        self._columns: dict[str, None] = {}
        self._is_beginning = False
        self._asked = Batches(origin, partial(_batches, database, self._columns), repeatable=True)
        super().__init__(origin, _stoppable(database, database.describe), self._asked, options)

    def beginning(self) -> DatabaseSource:
        """Return the same source, whose batches are kept."""
        other = copy.copy(super().beginning())
        assert isinstance(other, DatabaseSource)  # noqa: S101 - for the type checker: a copy of this one
        other._is_beginning = True
        return other

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the rows in blocks. The query is stopped when this ends before its last row, unless more is read."""
        wanted = dict.fromkeys(heads_of(self.own(columns), self.names))
        if not wanted.keys() <= self._columns.keys():
            self._asked.forget()
            self._columns.update(wanted)
        _hear_interrupts()
        try:
            for task in self._tasks(columns, loops, budget):  # noqa: UP028 - its reader is closed after the query
                yield task
        except GeneratorExit:
            if not self._is_beginning:
                self._stop()
            raise
        except BaseException:
            self._stop()
            raise

    def _tasks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        text = self._text(columns) if loops else None
        if text is None or loops is None:
            yield from super().blocks(columns, loops, budget)
            return
        text = text.beginning() if self._is_beginning else text
        # What reads the first rows alone leaves no thread behind that reads on.
        ahead = not self._is_beginning
        tasks = TextTasks(text, columns, loops, text.block(budget, loops), self._pool, ahead=ahead)
        with contextlib.closing(tasks):
            for task in tasks:
                yield Task(self, task.parse)

    def _text(self, columns: Sequence[str]) -> TextSource | None:
        """Return the rows as a text, if the database gives one for the columns, and none has to keep its type."""
        if not all(name in self._columns and self._is_text(name) for name in columns):
            return None
        return _stoppable(self._database, partial(self._database.text, self.origin, list(self._columns)))

    def _stop(self) -> None:
        self._database.stop()


def _hear_interrupts() -> None:
    """Set the handler of SIGINT again: once a driver has connected, the signal does not reach that of Python."""
    if threading.current_thread() is threading.main_thread() and (handler := signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, handler)


def _batches(database: Database, columns: dict[str, None]) -> Iterator[Batch]:
    with contextlib.closing(database.batches(list(columns))) as batches:
        for rows in batches:
            yield Batch(rows, rows.nbytes)


def _stoppable(database: Database, work: Callable[[], _T]) -> _T:
    """Do work with a database in a thread: a signal ends the wait for it, and the query."""

    def results() -> Generator[_T]:
        yield work()

    ahead = ReadAhead(results())
    with contextlib.closing(ahead):
        try:
            return next(ahead)
        except BaseException:
            database.stop()
            raise
