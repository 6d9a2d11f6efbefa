"""Any other database, through the driver of ADBC that `input.driver` names.

The query is run as it is, and its columns have the types that the driver gives them.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator, Sequence

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_manager import dbapi

from converter.errors import JobError
from converter.jobs.sections.table import Table
from converter.remote.passwords import password_of
from converter.sources.databases.adbc import AdbcDatabase

_READ_ONLY = "adbc.connection.readonly"


class OtherDatabase(AdbcDatabase):
    """A query of a database of any kind."""

    def __init__(self, url: str, options: Table) -> None:
        if options.query is None:
            raise JobError(
                "E-DATABASE-ROWS",
                "input.table cannot be used with input.driver: databases quote names in different ways.",
                "Set input.query = 'SELECT … FROM …' instead.",
            )
        super().__init__(url, options)
        self._options = {"uri": url}
        if password := password_of("input", options):
            self._options["password"] = password
        self._driver = _path_of(options.driver or "")

    def connect(self) -> None:
        """Connect; where the driver knows how, the connection only reads."""
        self._connection = dbapi.connect(driver=self._driver, db_kwargs=self._options, autocommit=True)
        with contextlib.suppress(adbc_driver_manager.NotSupportedError, adbc_driver_manager.ProgrammingError):
            self._connection.adbc_connection.set_options(**{_READ_ONLY: "true"})
        with contextlib.suppress(adbc_driver_manager.NotSupportedError):
            self._connection.adbc_connection.set_autocommit(False)

    def schema(self) -> pa.Schema:
        """Return the columns, with the types of the driver."""
        try:
            return self.prepared_columns_of(self.query)
        except adbc_driver_manager.NotSupportedError:
            return self.columns_of(self.query)

    def run(self, columns: Sequence[str]) -> Generator[pa.RecordBatch]:
        """Run the query; columns that are not wanted are left out here."""
        for batch in self.reading(self.query, {}):
            yield batch.select(list(columns))

    def explain(self, error: BaseException) -> str:
        """Return the kind of the error: what a driver says may quote values."""
        status = getattr(error, "status_code", None)
        name = getattr(status, "name", type(error).__name__)
        return f"the driver reports the error {name}, whose message may quote values (--debug shows it)"


def _path_of(driver: str) -> str:
    """Return what the manager loads: the library of a package of Python, or what is named itself."""
    with contextlib.suppress(ImportError, ValueError):
        if importlib.util.find_spec(driver):
            return str(importlib.import_module(driver)._driver_path())
    return driver
