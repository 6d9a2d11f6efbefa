"""SQLite, through its driver of ADBC.

A column of SQLite may have values of any type, and the driver takes the type of the first ones. So each value is turned
into the bytes of its text by SQLite: what its shell writes into a CSV file. Missing values are empty texts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from urllib.parse import quote

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import pyarrow as pa

from converter.jobs.sections.table import Table
from converter.sources.databases.adbc import AdbcDatabase
from converter.sources.databases.base import quoted, said, selecting
from converter.sources.databases.files import file_of

_BATCH = {"adbc.sqlite.query.batch_rows": 1 << 16}


class SQLite(AdbcDatabase):
    """A query of a file of SQLite."""

    def __init__(self, url: str, options: Table) -> None:
        super().__init__(url, options)
        self._file = file_of(url)

    def connect(self) -> None:
        """Open the file for reading alone, and begin a transaction."""
        self._connection = adbc_driver_sqlite.dbapi.connect(f"file:{quote(self._file)}?mode=ro")

    def schema(self) -> pa.Schema:
        """Return the columns, all of which are texts."""
        names = self.columns_of(f"{selecting(['*'], self.query)} LIMIT 0").names
        return pa.schema([(name, pa.binary()) for name in names])

    def run(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Run the query."""
        expressions = [f"coalesce(CAST({quoted(name)} AS BLOB), x'') AS {quoted(name)}" for name in columns]
        yield from self.reading(selecting(expressions, self.query), _BATCH)

    def explain(self, error: BaseException) -> str:
        """Return what SQLite says about the query; what it says while it runs may quote values."""
        text = str(error)
        if isinstance(error, adbc_driver_manager.Error) and "prepare query" in text:
            return said(text.partition("prepare query: ")[2])
        return f"SQLite reports an error ({type(error).__name__}), whose message may quote values (--debug shows it)"
