"""Databases as inputs: the rows of a query or of a table, streamed as batches of Arrow.

`find_database` turns a URL of `input.path` into an origin, by the scheme that `KINDS` lists. Opened, it connects,
begins a transaction that only reads, and asks which columns there are (`base`). The query is run for those that the
job uses; its batches are taken as those of a frame (`source`).

To add a kind, write a module with a class that is a `Database`, and list it in `KINDS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from converter.errors import JobError
from converter.jobs.secrets import mask_password, without_password
from converter.jobs.sections.table import Input, Table
from converter.sources.base import Source
from converter.sources.extras import missing_package
from converter.sources.row_origins import Queried

if TYPE_CHECKING:
    from converter.sources.databases.base import Database

__all__ = ["find_database"]


class _Kind(NamedTuple):
    """A kind of database: the module and the class that read it, and the extra that installs its driver."""

    module: str
    name: str
    extra: str


_POSTGRESQL = _Kind("postgresql", "PostgreSQL", "postgres")
KINDS = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "sqlite": _Kind("sqlite", "SQLite", "sqlite"),
    "duckdb": _Kind("duck", "DuckDB", "duckdb"),
}
"""By the part of a URL before `://`."""
_OF_DRIVER = _Kind("driver", "OtherDatabase", "sqlite")  # its extra brings the manager of drivers
_NOT_READ = ("mysql", "mariadb")


def find_database(path: str, options: Table) -> Queried | None:
    """Return the database that a path of `input.path` names, if it names one. Nothing is connected to.

    Raises `JobError` for one that is not read directly, and where it is not clear which rows are wanted.
    """
    scheme = path.partition("://")[0].lower() if "://" in path else ""
    if scheme in _NOT_READ:
        raise JobError(
            "E-INPUT-REMOTE",
            f"The input '{mask_password(path)}' is a database of MySQL or MariaDB, which is not read directly.",
            "Export it, by `mariadb --batch --default-character-set=utf8mb4 -e 'SELECT …' DATABASE > crm.tsv`, and set "
            'input.path = "crm.tsv", input.dialect = "mysql" and input.null_values = "NULL"; see docs/dialects.md.',
        )
    kind = _OF_DRIVER if options.driver else KINDS.get(scheme)
    if kind is None:
        return None
    if (options.query is None) == (options.table is None):
        what = "neither is set" if options.query is None else "both are set"
        raise JobError(
            "E-DATABASE-ROWS",
            f"The rows of '{mask_password(path)}' are those of input.query or of input.table, but {what}.",
            'Set one of them, such as --set "input.query=SELECT crm_id, city FROM crm" or --set input.table=crm.',
        )
    return _DatabaseOrigin(path, options, kind)


class _DatabaseOrigin(Queried):
    """A query of a database. It is read again by running it again, in the same transaction."""

    def __init__(self, url: str, options: Table, kind: _Kind) -> None:
        label = mask_password(url)
        super().__init__(label, (without_password(url), options.query, options.table), rereadable=True)
        self._url = url
        self._kind = kind
        self._opened: list[Database] = []

    def open_rows(self, options: Input) -> Source:
        """Connect, and return the source of its rows. Raises `InputError` and `JobError`."""
        # Here, since loading Arrow and a driver takes a while.
        from converter.sources.databases.source import DatabaseSource

        module = f"{__name__}.{self._kind.module}"
        try:
            database = getattr(importlib.import_module(module), self._kind.name)(self._url, options)
        except ModuleNotFoundError as error:
            raise missing_package(self.label, error.name or "", self._kind.extra) from error
        self._opened.append(database)
        return DatabaseSource(self, database, options)

    def check_unchanged(self) -> None:
        """Close the connections, and so end their transactions: this is called once all rows are read."""
        for database in self._opened:
            database.close()
