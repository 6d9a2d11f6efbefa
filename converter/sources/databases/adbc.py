"""What databases have in common that are read through drivers of ADBC."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_manager import dbapi

from converter.sources.databases.base import Database


class AdbcDatabase(Database):
    """A query of a database through ADBC."""

    errors: tuple[type[BaseException], ...] = (adbc_driver_manager.Error, pa.ArrowException, OSError)
    _connection: dbapi.Connection | None = None

    def disconnect(self) -> None:
        """Close the connection, which ends its transaction."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(*self.errors):  # it is lost
                connection.close()

    def reading(self, sql: str, options: Mapping[str, Any]) -> Generator[pa.RecordBatch]:
        """Run a query; yield its batches. `options` are those of the statement."""
        with self._statement(sql, options) as statement:
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader._import_from_c(handle.address) as reader:
                yield from reader

    def columns_of(self, sql: str) -> pa.Schema:
        """Return the columns of a query, which is begun for that."""
        with self._statement(sql, {}) as statement:
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader._import_from_c(handle.address) as reader:
                return reader.schema

    def prepared_columns_of(self, sql: str) -> pa.Schema:
        """Return the columns of a query, which is not run for that."""
        with self._statement(sql, {}) as statement:
            handle = statement.execute_schema()  # it owns what is at its address
            return pa.Schema._import_from_c(handle.address)

    def execute(self, sql: str) -> None:
        """Execute a statement that gives no rows."""
        with self._statement(sql, {}) as statement:
            statement.execute_update()

    @contextlib.contextmanager
    def _statement(self, sql: str, options: Mapping[str, Any]) -> Iterator[Any]:
        """Open a statement, which can be stopped.

        Its own methods are called, and not those of a cursor: these catch SIGINT for themselves while they wait.
        """
        assert self._connection  # noqa: S101 - for the type checker: there is one where a query is run
        with adbc_driver_manager.AdbcStatement(self._connection.adbc_connection) as statement:
            statement.set_options(**options)
            statement.set_sql_query(sql)
            self.can_stop(statement.cancel)
            try:
                yield statement
            finally:
                self.can_stop(None)
