"""Columns that stand in the path of a file: folders named `KEY=VALUE`, as Hive, Spark and others write partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from urllib.parse import unquote

import numpy as np
import polars as pl

from converter.columns.buffers import VIEW_BYTES, Chunk, Views
from converter.sources.origins.folders import PARTITION

_MISSING = "__HIVE_DEFAULT_PARTITION__"
_INLINE = 12  # bytes of a text in its view


def partition_of(path: PurePath | None) -> dict[str, str]:
    """Return the columns that the folders of a file say, by the names that directly precede it: empty if missing."""
    columns: dict[str, str] = {}
    for folder in path.parents if path else ():
        match = PARTITION.fullmatch(folder.name)
        if not match:
            break
        columns.setdefault(unquote(match[1]), "" if match[2] == _MISSING else unquote(match[2]))
    return columns


def own_columns(columns: Sequence[str], partition: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return those of the columns that are read from the file: at least one, so that its rows are counted."""
    return [name for name in columns if name not in partition] or list(names[:1])


def constant(text: str, rows: int) -> Views:
    """Return a column that has one text in all rows."""
    data = np.frombuffer(text.encode(), np.uint8)
    view = np.zeros(VIEW_BYTES, np.uint8)
    view[:4] = np.array([len(data)], np.uint32).view(np.uint8)
    if len(data) <= _INLINE:
        view[4 : 4 + len(data)] = data
        return Views(np.tile(view, rows), ())
    view[4:8] = data[:4]
    return Views(np.tile(view, rows), (data,))


def with_partition(chunk: Chunk, own: Sequence[str], partition: Mapping[str, str], columns: Sequence[str]) -> Chunk:
    """Return rows with the columns of a partition among their `own` ones."""
    views = dict(zip(own, chunk.columns, strict=True))
    return Chunk(
        tuple(constant(partition[name], chunk.rows) if name in partition else views[name] for name in columns),
        chunk.rows,
    )


def frame_with_partition(frame: pl.DataFrame, partition: Mapping[str, str], columns: Sequence[str]) -> pl.DataFrame:
    """Return rows as `with_partition` does, as a frame."""
    values = [pl.lit(value).alias(name) for name, value in partition.items() if name in columns]
    return frame.with_columns(values).select(columns)
