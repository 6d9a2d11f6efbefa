"""The rows of a query of PostgreSQL as text, which `COPY … TO STDOUT` gives in order, over a connection of its own.

The loops parse this text in a third of the time in which a driver makes columns of Arrow of the same rows. The
connection sees the state of another one, whose transaction exported it, and has settings of the same URL.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

import psycopg
from psycopg import pq

from converter.kernel.form import Grammar
from converter.sources.databases.base import selecting
from converter.sources.delimited import DelimitedSource
from converter.sources.dialects import meanings_of
from converter.sources.origins.base import Origin
from converter.sources.origins.once import ReadOnce
from converter.sources.row_origins import RowOrigin
from converter.sources.texts import Body

_FIRST_LINE = b"copied\n"
"""Precedes the rows: what the first one begins with is no sign of a packed text or of another encoding."""
_GRAMMAR = Grammar(separator=b"\t", quote=b"", meanings=meanings_of("postgres"))
_LONGEST_ROW = 1 << 24  # bytes
_NO_NAME = "\0"  # of the constant after a column that is alone: a row is never an empty line


class CopiedText(io.RawIOBase):
    """The text of a query, read once from start to end, after a first line that is none of it.

    Creating it connects, and raises `psycopg.Error`. Reading raises what `failing` makes of that. Any thread may call
    `cancel`, at any time: reading raises then.
    """

    def __init__(
        self, url: str, session: Sequence[str], query: str, failing: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._query = query
        self._failing = failing
        self._rows: list[Any] = [_FIRST_LINE]
        self._left = memoryview(b"")
        self._count = 0
        self._is_begun = self._is_ended = self.is_stopped = False
        self._lock = threading.RLock()  # the connection is not closed while it is read
        self._connection = psycopg.connect(url, autocommit=True)
        try:
            for statement in session:
                self._connection.execute(statement.encode())
        except BaseException:
            self._connection.close()
            raise
        self._server = self._connection.pgconn
        self._canceling = self._server.get_cancel()
        self._socket = socket.socket(fileno=os.dup(self._server.socket))
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def readable(self) -> bool:
        """Return that it is read."""
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._count

    def readinto(self, buffer: Any) -> int:
        """Read what is there; wait until something is, or until the end."""
        with self._lock, self._failing():
            if not self._left and not self._is_ended:
                self._left = memoryview(self._next())
        count = min(len(self._left), len(buffer))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        self._count += count
        return count

    def cancel(self) -> None:
        """Stop the query, and what waits for its rows."""
        self.is_stopped = True
        if self._is_begun and not self._is_ended:
            with contextlib.suppress(psycopg.Error):  # the server is gone
                self._canceling.cancel()
            with contextlib.suppress(OSError):  # it is not connected any more
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop the query, unless it has ended, and close the connection."""
        if not self.closed:
            self.cancel()
            with self._lock:
                self._connection.close()
                self._socket.close()
        super().close()

    def _next(self) -> bytes:
        """Return some rows, empty at the end."""
        if not self._is_begun:
            self._is_begun = True
            self._server.send_query(f"COPY ({self._query}\n) TO STDOUT".encode())
            self._check(pq.ExecStatus.COPY_OUT)
        rows, self._rows = self._rows, []
        get, add = self._server.get_copy_data, rows.append
        while True:  # each row is a message
            size, row = get(1)
            if size > 0:
                add(row)
            elif size < 0:
                self._check(pq.ExecStatus.COMMAND_OK)
                self._is_ended = True
                return b"".join(rows)
            elif rows:
                return b"".join(rows)
            else:
                self._wait()

    def _check(self, expected: pq.ExecStatus) -> None:
        """Raise `psycopg.Error` unless the server says what is expected."""
        while self._server.is_busy():
            self._wait()
        result = self._server.get_result()
        if result is None or result.status != expected:
            raise (
                psycopg.errors.error_from_result(result) if result else psycopg.OperationalError("connection not open")
            )

    def _wait(self) -> None:
        self._readable.poll()
        self._server.consume_input()


class _Opened(RowOrigin):
    """The origin of a text."""

    def __init__(self, origin: Origin, text: CopiedText) -> None:
        super().__init__(origin.label, origin.identity, rereadable=False)
        self._text = text

    def open(self) -> BinaryIO:
        """Return the text."""
        return cast("BinaryIO", self._text)


class CopiedRows(DelimitedSource):
    """The source of a text, whose rows have some columns. It can be read again until more than its start was read."""

    def __init__(self, origin: Origin, columns: Sequence[str], text: CopiedText) -> None:
        self.text = text
        self._kept = ReadOnce(_Opened(origin, text))
        self.origin = self._kept
        self.names = tuple(columns)
        self.grammar = _GRAMMAR
        self.most = self.longest = _LONGEST_ROW
        self.body = Body(self._kept, "utf-8", len(_FIRST_LINE), 0, None)

    @property
    def can_be_read(self) -> bool:
        """Whether it can be read from its start."""
        return self._kept.is_kept and not self.text.is_stopped

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields of a row."""
        return (*self.names, *[_NO_NAME] * (len(self.names) == 1))


def copied_query(expressions: Sequence[str], query: str) -> str:
    """Return the query for the text of some expressions over another query, for `CopiedRows`."""
    return selecting(expressions if len(expressions) > 1 else [*expressions, "1"], query)
