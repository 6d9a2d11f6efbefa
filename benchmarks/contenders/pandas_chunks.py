"""The contender `pandas`: chunks of rows, whole columns at a time, and the standard library's gzip."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING

from benchmarks.contenders import Task
from benchmarks.workloads import TRAIT_SEPARATOR, Type, Workload

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_ROWS = 200_000


def convert(task: Task) -> None:
    """Convert chunk by chunk, in one thread."""
    with gzip.open(task.target, "wt", compresslevel=task.level, encoding="utf-8", newline="") as file:
        for chunk in _chunks(task):
            file.write("\n".join(_lines(task.workload, chunk)) + "\n")


def _chunks(task: Task) -> Iterator[pd.DataFrame]:
    import pandas as pd

    if task.workload.format == "csv":
        for path in task.files:
            yield from pd.read_csv(
                path, usecols=task.workload.used, dtype=str, keep_default_na=False, chunksize=_CHUNK_ROWS
            )
        return
    if task.workload.format == "ndjson":
        yield from pd.read_json(task.path, lines=True, dtype=False, convert_dates=False, chunksize=_CHUNK_ROWS)
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(task.path) as file:
        for batch in file.iter_batches(_CHUNK_ROWS, columns=task.workload.used):
            # Nullable types: integers with gaps would become floats, and lose their digits.
            yield batch.to_pandas(types_mapper=_nullable_types().get)


def _nullable_types() -> dict[object, object]:
    import pandas as pd
    import pyarrow as pa

    return {
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }


def _lines(workload: Workload, chunk: pd.DataFrame) -> pd.Series:
    ids = chunk[workload.id]
    chunk = chunk[~ids.str.contains("[:@]")]
    texts = {name: _text(chunk[name], workload.columns[name]) for name in workload.used}
    for name in workload.quoted:
        texts[name] = texts[name].str.replace('"', "'", regex=False)
    items = [_item(texts[name], f',"{name}"="', '"') for name in workload.signals]
    traits = texts[workload.traits].str.replace(TRAIT_SEPARATOR, ",d_sid=", regex=False)
    items.append(_item(traits, ",d_sid=", ""))
    joined = reduce(lambda one, other: one + other, items)
    return texts[workload.id] + "\t" + joined.str.slice(1)


def _text(values: pd.Series, type_: Type) -> pd.Series:
    """Return the values as texts, empty where they are missing."""
    if type_ == "text":
        return values.fillna("")
    texts = values.astype("str")
    if type_ == "boolean":
        texts = texts.str.lower()
    return texts.mask(values.isna(), "")


def _item(texts: pd.Series, before: str, after: str) -> pd.Series:
    return (before + texts + after).where(texts != "", "")
