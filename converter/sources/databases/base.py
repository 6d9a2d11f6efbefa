"""What all databases have in common: a connection that only reads, and one query at a time."""

from __future__ import annotations

import abc
import contextlib
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa

from converter.errors import InputError
from converter.jobs.secrets import mask_password
from converter.jobs.sections.table import Table
from converter.sources.origins.base import Origin
from converter.sources.texts import TextSource

_MOST_SHOWN = 300  # characters of what a database says
_PARTS = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


class Database(abc.ABC):
    """A query of a database. Threads may share it, one after the other; `stop` may be called by any at any time.

    `connect`, `schema` and `run` of subclasses raise what their library raises, which `explain` turns into an error.
    """

    errors: tuple[type[BaseException], ...]
    """What the library raises."""

    def __init__(self, url: str, options: Table) -> None:
        self.label = mask_password(url)
        self.query = query_of(options)
        self._cancel: Callable[[], Any] | None = None
        self._lock = threading.Lock()  # a query is not closed while it is being stopped
        self.is_connected = False

    @abc.abstractmethod
    def connect(self) -> None:
        """Connect, and begin a transaction that only reads."""

    @abc.abstractmethod
    def disconnect(self) -> None:
        """Close the connection; does nothing where there is none. No query is running."""

    @abc.abstractmethod
    def schema(self) -> pa.Schema:
        """Return the columns of the query, with the types that `run` gives them."""

    @abc.abstractmethod
    def run(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Run the query; yield its rows with some columns, each of which it has once. It is stopped when closed."""

    @abc.abstractmethod
    def explain(self, error: BaseException) -> str:
        """Return what the database says, without what may be in its rows, as the rest of a sentence."""

    def describe(self) -> pa.Schema:
        """Connect, and return the columns. Raises `InputError`."""
        try:
            if not self.is_connected:
                self.connect()
                self.is_connected = True
        except self.errors as error:
            self.disconnect()
            raise self._unreachable(error) from error
        try:
            return self.schema()
        except self.errors as error:
            self.close()
            raise self._failed(error) from error

    def batches(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Yield the rows of the query. Unless all are taken, the connection is closed then. Raises `InputError`."""
        if not self.is_connected:  # it was closed since: another transaction begins
            self.describe()
        with self.failing():
            yield from self.run(columns)

    def text(self, origin: Origin, columns: Sequence[str]) -> TextSource | None:
        """Return the rows of the query as a text, where it gives them faster so, with the same texts as `batches`.

        It is read as `batches` are, and stopped by `stop`. Raises `InputError`.
        """
        del origin, columns
        return None

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Close the connection where what is done fails; turn what the library raises into an `InputError`."""
        try:
            yield
        except self.errors as error:
            self.close()
            raise self._failed(error) from error
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Ask the database to stop the query, if it runs one: taking its batches raises then."""
        with self._lock:
            if self._cancel:
                try:
                    self._cancel()
                except self.errors:  # it has ended, or cannot be stopped
                    return

    def close(self) -> None:
        """Disconnect. No query is running."""
        if self.is_connected:
            self.is_connected = False
            self.disconnect()

    def can_stop(self, cancel: Callable[[], Any] | None) -> None:
        """Keep what stops the query that runs now; with `None`, none does any more, and it may be closed."""
        with self._lock:
            self._cancel = cancel

    def _unreachable(self, error: BaseException) -> InputError:
        return InputError(
            "E-DATABASE-CONNECT",
            f"The database '{self.label}' cannot be reached: {self.explain(error)}.",
            "Check the URL, the user and the password; see docs/databases.md.",
        )

    def _failed(self, error: BaseException) -> InputError:
        return InputError(
            "E-DATABASE-READ",
            f"The query of '{self.label}' failed: {self.explain(error)}.",
            "Try input.query in a client of the database. Nothing was published.",
        )


def query_of(options: Table) -> str:
    """Return the query of a table or of `input.query`, without the semicolon at its end."""
    if options.query is not None:
        return options.query.strip().rstrip(";").rstrip()
    names = [match[2] or match[1].replace('""', '"') for match in _PARTS.finditer(options.table or "")]
    return f"SELECT * FROM {'.'.join(map(quoted, names))}"  # noqa: S608 - its names are quoted


def quoted(name: str) -> str:
    """Return the name of a column or table in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def selecting(expressions: Sequence[str], query: str) -> str:
    """Return a query for some expressions over the columns of another one."""
    # On a line of its own, since a query may end in a comment.
    return f"SELECT {', '.join(expressions) or '1'} FROM (\n{query}\n) AS rows_of_query"  # noqa: S608 - the user's own


def said(text: str) -> str:
    """Return the first line of what a library says, as the rest of a sentence."""
    line = next(iter(text.strip().splitlines()), "").strip().rstrip(".")
    return "".join(mark if mark.isprintable() else " " for mark in line[:_MOST_SHOWN])
