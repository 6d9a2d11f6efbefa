"""The contenders `duckdb` and `duckdb-pigz`: one `COPY` of DuckDB, compressed by itself or by pigz.

DuckDB's own gzip has no level to choose: it compresses like zlib's level 6 or so, which costs several times what
the rest of the query does. So there is a second contender that leaves that to pigz, at a level like ours.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.contenders import Task
from benchmarks.workloads import TRAIT_SEPARATOR, Workload

_RAW = "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01'"
"""One column as it is: nothing is quoted, and the delimiter is in no line."""


def convert(task: Task) -> None:
    """Let DuckDB write gzip: a file a thread, since it compresses a single one in little more than one thread."""
    _copy(task, str(task.folder), "COMPRESSION gzip, PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true")


def convert_with_pigz(task: Task) -> None:
    """Let DuckDB write text into a pipe, and pigz compress it."""
    with task.target.open("wb") as file:
        pigz = subprocess.Popen(["pigz", f"-{task.level}", f"-p{task.threads}"], stdin=subprocess.PIPE, stdout=file)
        assert pigz.stdin
        _copy(task, f"/dev/fd/{pigz.stdin.fileno()}", "COMPRESSION none")
        pigz.stdin.close()
        if pigz.wait():
            raise SystemExit(1)


def _copy(task: Task, target: str, options: str) -> None:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {"threads": task.threads}
    if task.workload.gathered:
        config |= {"memory_limit": "1GB", "temp_directory": str(task.folder) + "-temp"}
    with duckdb.connect(config=config) as connection:
        # Rows may change their order: that is faster, and takes less memory.
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"COPY ({_query(task)}) TO {_quoted(target)} ({_RAW}, {options})")


def _query(task: Task) -> str:
    """Return the query of the lines. What is missing is null; `||` then gives null, and `concat_ws` leaves it out."""
    workload = task.workload
    if workload.gathered:  # distinct rows first: these are kept on disk where they are many, lists are not
        return f"""
            SELECT {workload.id} || chr(9) || string_agg('d_sid=' || {workload.traits}, ',' ORDER BY {workload.traits})
            FROM (
                SELECT DISTINCT {workload.id}, {workload.traits} FROM {_table(task)}
                WHERE NOT contains({workload.id}, ':') AND NOT contains({workload.id}, '@')
            )
            GROUP BY {workload.id}
        """
    items = [f"""'"{name}"="' || {_value(workload, name)} || '"'""" for name in workload.signals]
    traits = workload.traits
    if workload.columns[traits] == "text":
        traits = f"replace({traits}, '{TRAIT_SEPARATOR}', ',d_sid=')"
    joined = ", ".join([*items, f"'d_sid=' || {traits}"])
    return f"""
        SELECT {workload.id} || chr(9) || concat_ws(',', {joined})
        FROM {_table(task)}
        WHERE NOT contains({workload.id}, ':') AND NOT contains({workload.id}, '@')
    """


def _value(workload: Workload, name: str) -> str:
    return f"replace({name}, '\"', '''')" if name in workload.quoted else name


def _table(task: Task) -> str:
    if task.workload.format == "parquet":
        return f"read_parquet({_quoted(task.path)})"
    if task.workload.format == "ndjson":  # columns that are not needed are not even parsed
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in task.workload.used)
        return f"read_json({_quoted(task.path)}, format = 'newline_delimited', columns = {{{columns}}})"
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in task.workload.columns)
    return (
        f"read_csv({_quoted(task.glob)}, auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', columns = {{{columns}}})"
    )


def _quoted(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"
