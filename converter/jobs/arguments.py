"""What Python programs give: paths as objects, numbers of libraries, and what no job can hold, such as a frame."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Mapping
from operator import index
from typing import Any

from pydantic import BaseModel

from converter.errors import JobError

_PLAIN = (str, bool, int, float, type(None), decimal.Decimal, datetime.date, datetime.time)
_TABLES = {
    "DataFrame": ".write_parquet('crm.parquet'), or .to_parquet with pandas",
    "LazyFrame": ".sink_parquet('crm.parquet')",
    "Table": "pyarrow.parquet.write_table(table, 'crm.parquet')",
}


def plain(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Return nested data with paths as texts, sections as mappings, and whole numbers of libraries as those of Python.

    `path` are the names of the keys that lead to `value`. Raises `JobError` for what no document can hold.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: plain(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, path) for item in value]
    if hasattr(value, "__index__"):
        return index(value)
    raise wrong_argument(".".join(path), value, "a text, a number, a list or a dictionary")


def wrong_argument(name: str, value: object, needed: str) -> JobError:
    """Return the error that an argument has a wrong type. Its value is not shown: it may hold personal data."""
    kind = type(value)
    hint = ""
    if kind.__name__ in _TABLES:
        hint = (
            "Give it as input: convert(job, input=…). Or write it to a file "
            f"({_TABLES[kind.__name__]}), and give its path in input.path."
        )
    elif hasattr(value, "__iter__") and not isinstance(value, Mapping):
        hint = "Make a list of it: list(…)."
    return JobError(
        "E-ARGUMENT", f"{name} is a {kind.__module__.partition('.')[0]}.{kind.__name__}; {needed} is needed.", hint
    )
