"""DuckDB, through its own stream of Arrow.

Columns keep their types. Those without a text form, such as intervals and maps, are turned into text by DuckDB.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence

import duckdb
import pyarrow as pa

from converter.jobs.sections.table import Table
from converter.sources.databases.base import Database, quoted, said, selecting
from converter.sources.databases.files import IN_MEMORY, file_of

_NATIVE = re.compile(
    r"(?:BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|VARCHAR|JSON|UUID|DATE|TIME|"
    r'TIMESTAMP(?:_S|_MS|_NS| WITH TIME ZONE)?|ENUM\(.*\)|STRUCT\(.*\)|"NULL")(?:\[\d*\])*',
    re.DOTALL,
)
_ROWS = 1 << 16  # of a batch
_SHOWN = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.IOException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.SyntaxException,
    duckdb.ConnectionException,
)
"""What never quotes values."""


class DuckDB(Database):
    """A query of a file of DuckDB, or of the files that it names itself."""

    errors = (duckdb.Error, pa.ArrowException, OSError)
    _connection: duckdb.DuckDBPyConnection | None = None

    def __init__(self, url: str, options: Table) -> None:
        super().__init__(url, options)
        self._file = file_of(url, in_memory=True)
        self._texts: set[str] = set()

    def connect(self) -> None:
        """Open the file for reading alone, and begin a transaction."""
        self._connection = duckdb.connect(self._file, read_only=self._file != IN_MEMORY)
        self._connection.execute("SET enable_progress_bar = false")  # it would be on standard output
        self._connection.execute("BEGIN TRANSACTION")

    def disconnect(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def schema(self) -> pa.Schema:
        """Return the columns, those that DuckDB turns into text as texts."""
        assert self._connection  # noqa: S101 - for the type checker: there is one where a query is run
        relation = self._connection.sql(selecting(["*"], self.query))
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        self._texts = {name for name, type_ in types.items() if not _NATIVE.fullmatch(type_)}
        found = relation.limit(0).to_arrow_reader(1).schema
        return pa.schema([pa.field(each.name, pa.string()) if each.name in self._texts else each for each in found])

    def run(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Run the query. Batches are made as they are taken."""
        assert self._connection  # noqa: S101 - for the type checker: there is one where a query is run
        expressions = [
            f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" if name in self._texts else quoted(name)
            for name in columns
        ]
        self.can_stop(self._connection.interrupt)
        try:
            with self._connection.sql(selecting(expressions, self.query)).to_arrow_reader(_ROWS) as reader:
                yield from reader
        finally:
            self.can_stop(None)

    def explain(self, error: BaseException) -> str:
        """Return what DuckDB says, unless it may quote values."""
        if isinstance(error, _SHOWN):
            return said(str(error))
        return f"DuckDB reports an error ({type(error).__name__}), whose message may quote values (--debug shows it)"
