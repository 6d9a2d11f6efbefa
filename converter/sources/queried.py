"""Inputs that are queried for their rows: databases, and tables whose log knows which rows are current."""

from __future__ import annotations

from converter.errors import JobError
from converter.jobs.access import Access
from converter.jobs.sections.table import Table
from converter.sources.databases import find_database
from converter.sources.delta import find_delta
from converter.sources.origins.base import Found

_OF_DATABASES = ("query", "table", "driver", "password", "password_file", "password_command")


def find_queried(path: str, options: Table, access: Access) -> Found | None:
    """Return what a path of `input.path` names, if that is queried for its rows.

    Raises `JobError` where settings about such inputs do not fit, and `InputError` where one is not there.
    """
    if database := find_database(path, options):
        return Found([database])
    _check_unused(path, options, _OF_DATABASES, "a database", "postgresql://USER@HOST/DATABASE")
    if table := find_delta(path, options, access):
        return table
    _check_unused(path, options, ("version", "at"), "a Delta table", "a folder with _delta_log")
    return None


def _check_unused(path: str, options: Table, keys: tuple[str, ...], kind: str, example: str) -> None:
    if given := next((key for key in keys if getattr(options, key) not in (None, ())), None):
        raise JobError(
            "E-INPUT-KEY",
            f"input.{given} is for {kind}, but the input '{path}' is none.",
            f"Remove it, or name what it is for in input.path, such as {example}.",
        )
