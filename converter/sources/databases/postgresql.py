"""PostgreSQL, and what speaks its protocol, through its driver of ADBC, which copies rows in binary.

Most types become columns of Arrow of the same type. What has none, or another text there, is turned into text by the
server, as `COPY TO` writes it: numeric, bytea, money, intervals, ranges, addresses, enums and so on.

Where all columns of a job are texts, whole numbers, truth values, or what the server turns into text, rows come as text
over a second connection (`copied`), in less than half the CPU seconds. Both ways give the same texts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Sequence
from urllib.parse import quote

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import psycopg
import pyarrow as pa

from converter.jobs.sections.table import Table
from converter.remote.passwords import password_of
from converter.sources.databases.adbc import AdbcDatabase
from converter.sources.databases.base import quoted, said, selecting
from converter.sources.databases.copied import CopiedRows, CopiedText, copied_query
from converter.sources.origins.base import Origin
from converter.sources.texts import TextSource

_NATIVE = {
    *("int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "name"),
    *("json", "jsonb", "uuid", "date", "time", "timestamp", "timestamptz"),
}
_ITEMS = {"_int2", "_int4", "_int8", "_float4", "_float8", "_bool", "_text", "_varchar"}
"""Arrays that become lists of Arrow as they are."""
_SAME_TEXT = {*("int2", "int4", "int8", "text", "varchar", "bpchar", "name", "json", "jsonb", "uuid")}
"""Types whose text is the same in a column of Arrow and in what `COPY TO` writes."""
_SESSION = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    # The text forms of values are the same whatever the settings of the server are.
    "SET client_encoding = 'UTF8'",
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO'",
    "SET IntervalStyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
)
_BATCH = {"adbc.postgresql.batch_size_hint_bytes": 4 << 20}
# Classes of SQLSTATE whose messages name tables, columns, users and servers, and never quote what is in rows.
_SHOWN = ("08", "0A", "25", "28", "3D", "3F", "42", "53", "55", "57", "58")
_SAID = re.compile(r"(?:ERROR|FATAL):\s+(.+)")
_NOT_REACHED = re.compile(r"(?:failed: |could not translate )(.+)")
_LOST = re.compile(r"server closed the connection|connection not open|SSL connection|no connection|could not receive")
_WHILE_SENDING = re.compile(
    r"(?:ERROR|FATAL):\s+(?:terminating connection|canceling statement|could not write|"
    r"cannot execute \w+ in a read-only|transaction read-write mode)"
)


class PostgreSQL(AdbcDatabase):
    """A query of PostgreSQL."""

    errors = (*AdbcDatabase.errors, psycopg.Error)

    def __init__(self, url: str, options: Table) -> None:
        super().__init__(url, options)
        self._url = url
        if password := password_of("input", options):
            self._url += f"{'&' if '?' in url else '?'}password={quote(password, safe='')}"
        self._texts: dict[str, str] = {}  # the types to cast columns to
        self._copied: dict[str, str] = {}  # the expressions for columns as texts
        self._rows: CopiedRows | None = None

    def connect(self) -> None:
        """Connect as libpq does, and begin a transaction that sees one state of the database."""
        self._connection = adbc_driver_postgresql.dbapi.connect(self._url, autocommit=True)
        for statement in _SESSION:
            self.execute(statement)
        self._connection.adbc_connection.set_autocommit(False)

    def schema(self) -> pa.Schema:
        """Return the columns, those that the server turns into text as texts."""
        fields = []
        for field in self.prepared_columns_of(selecting(["*"], self.query)):
            name = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
            column = quoted(field.name)
            if name in _SAME_TEXT:
                self._copied[field.name] = column
            if name in _NATIVE or name in _ITEMS:
                fields.append(field.remove_metadata())
            else:
                is_list = pa.types.is_list(field.type)
                self._texts[field.name] = "text[]" if is_list else "text"
                fields.append(pa.field(field.name, pa.list_(pa.string()) if is_list else pa.string()))
            if name == "bool" or self._texts.get(field.name) == "text":
                self._copied[field.name] = f"{column}::text"
        return pa.schema(fields)

    def run(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Run the query. Rows come as fast as they are taken: the server waits otherwise."""
        expressions = [
            f"{quoted(name)}::{self._texts[name]} AS {quoted(name)}" if name in self._texts else quoted(name)
            for name in columns
        ]
        yield from self.reading(selecting(expressions, self.query), _BATCH)

    def text(self, origin: Origin, columns: Sequence[str]) -> TextSource | None:
        """Return the rows as a text, unless a column needs its type, or there can be no second connection."""
        if not columns or not self._copied.keys() >= set(columns):
            return None
        if self._rows and self._rows.can_be_read and self._rows.names == tuple(columns):
            return self._rows
        self._close_text()
        if not self.is_connected:  # it was closed since: another transaction begins
            self.describe()
        query = copied_query([self._copied[name] for name in columns], self.query)
        with contextlib.suppress(*self.errors):  # a server may allow one connection, or know no snapshots
            begin = ("BEGIN", f"SET TRANSACTION SNAPSHOT '{self._snapshot()}'")
            self._rows = CopiedRows(origin, columns, CopiedText(self._url, (*_SESSION, *begin), query, self.failing))
        return self._rows

    def stop(self) -> None:
        """Ask the server to stop what it runs."""
        super().stop()
        if rows := self._rows:
            rows.text.cancel()

    def disconnect(self) -> None:
        """Close the connections, which ends their transactions."""
        self._close_text()
        super().disconnect()

    def _close_text(self) -> None:
        rows, self._rows = self._rows, None
        if rows:
            rows.text.close()

    def _snapshot(self) -> str:
        """Return the name of the state of the database that the transaction sees."""
        (batch,) = self.reading("SELECT pg_export_snapshot()", {})
        return str(batch.column(0)[0])

    def explain(self, error: BaseException) -> str:
        """Return what the server says, unless it may quote values; then the code of the error."""
        text = str(error)
        if isinstance(error, psycopg.Error) and error.diag.message_primary:
            text = f"ERROR:  {error.diag.message_primary}"
        state = getattr(error, "sqlstate", None) or ""
        if match := re.search(r"SQLSTATE: (\w{5})", text):
            state = state or match[1]
        if _LOST.search(text):
            return "the connection was lost"
        is_sending = not isinstance(error, adbc_driver_manager.Error | psycopg.Error)  # the driver tells no code then
        if (state and not state.startswith(_SHOWN)) or (is_sending and not _WHILE_SENDING.search(text)):
            which = f"the error {state}" if state else "an error"
            return f"the server reports {which}, whose message may quote values (--debug shows it)"
        if match := _SAID.search(text) or _NOT_REACHED.search(text):
            return said(match[1]) + (f" ({state})" if state else "")
        if isinstance(error, adbc_driver_manager.NotSupportedError):
            return "a value has a type or a form that the driver cannot read: cast its column to text in input.query"
        return "the driver cannot use the URL, or cannot read what the server sends"
