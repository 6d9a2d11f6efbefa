"""What databases have in common that are read through drivers of ADBC."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_manager import dbapi

from converter.sources.databases.base import Database


class AdbcDatabase(Database):
    """A query of a database through ADBC."""

    errors = (adbc_driver_manager.Error, pa.ArrowException, OSError)
    _connection: dbapi.Connection | None = None

    def disconnect(self) -> None:
        """Close the connection, which ends its transaction."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(*self.errors):  # it is lost
                connection.close()

    def reading(self, sql: str, options: Mapping[str, Any]) -> Generator[pa.RecordBatch]:
        """Run a query; yield its batches. `options` are those of the statement."""
        assert self._connection  # noqa: S101 - for the type checker: there is one where a query is run
        cursor = self._connection.cursor()
        try:
            if options:
                cursor.adbc_statement.set_options(**options)
            self.can_stop(cursor.adbc_cancel)
            cursor.execute(sql)
            yield from cursor.fetch_record_batch()
        finally:
            self.can_stop(None)
            with contextlib.suppress(*self.errors):
                cursor.close()

    def columns_of(self, sql: str) -> pa.Schema:
        """Return the columns of a query, which is begun for that."""
        assert self._connection  # noqa: S101 - for the type checker: there is one where a query is run
        with self._connection.cursor() as cursor:
            self.can_stop(cursor.adbc_cancel)
            try:
                cursor.execute(sql)
                return cursor.fetch_record_batch().schema
            finally:
                self.can_stop(None)
