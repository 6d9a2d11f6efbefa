"""The contender `chdb`: one SQL query of ClickHouse in this process, on all cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders import Task
from benchmarks.workloads import TRAIT_SEPARATOR, Workload

_BEFORE_DISK = 400_000_000  # bytes, where rows are gathered: it takes several times as many, and fails with less
_TYPES = {"text": "String", "integer": "Int64", "float": "Float64", "date": "Date32", "boolean": "Bool"}


def convert(task: Task) -> None:
    """Run the query."""
    import chdb

    query: Callable[[str], object] = chdb.query  # untyped where it is installed, unknown where it is not
    query(_query(task))


def _query(task: Task) -> str:
    """Return the query that writes the lines.

    Each item comes with a comma before it, and the first comma is cut off: measured a little cheaper than to filter
    and join an array. Texts that are missing are read as empty ones, which is cheaper than null.
    """
    workload = task.workload
    items = [_item(workload, name, f'"{name}"="', name, '"') for name in workload.signals]
    traits = workload.traits
    if workload.columns[traits] == "text":
        traits = f"replaceAll({traits}, '{TRAIT_SEPARATOR}', ',d_sid=')"
    items.append(_item(workload, workload.traits, "d_sid=", traits, ""))
    settings = f"max_threads = {task.threads}"
    group = ""
    if workload.gathered:
        items = [f"',d_sid=', arrayStringConcat(arraySort(groupUniqArray({workload.traits})), ',d_sid=')", "''"]
        group = f"GROUP BY {workload.id}"
        settings += f", max_bytes_before_external_group_by = {_BEFORE_DISK}"
    joined = f"concat({', '.join(items)})" if len(items) > 1 else items[0]
    schema = ", ".join(f"{name} {_type(workload, name)}" for name in workload.columns)
    format_ = {"csv": "CSVWithNames", "ndjson": "JSONEachRow", "parquet": "Parquet"}[workload.format]
    return f"""
        SELECT concat({workload.id}, '\\t', substring({joined}, 2))
        FROM file({_quoted(task.glob)}, '{format_}', '{schema}')
        WHERE position({workload.id}, ':') = 0 AND position({workload.id}, '@') = 0
        {group}
        INTO OUTFILE {_quoted(task.target)} COMPRESSION 'gzip' LEVEL {task.level}
        FORMAT LineAsString
        SETTINGS {settings}
    """


def _item(workload: Workload, name: str, before: str, value: str, after: str) -> str:
    """Return the item of a column, empty where its value is missing."""
    if workload.columns[name] == "text":
        if name in workload.quoted:
            value = f"""replaceAll({value}, '"', '\\'')"""
        return f"if({name} = '', '', concat(',{before}', {value}, '{after}'))"
    return f"ifNull(concat(',{before}', toString({value}), '{after}'), '')"


def _type(workload: Workload, name: str) -> str:
    type_ = workload.columns[name]
    return _TYPES[type_] if type_ == "text" else f"Nullable({_TYPES[type_]})"


def _quoted(path: Path | str) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
