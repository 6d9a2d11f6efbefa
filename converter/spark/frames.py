"""DataFrames of Spark as inputs: the driver knows the first rows of one, and a task the rows of its partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from converter.errors import InputError
from converter.jobs.job import Job
from converter.rows.records import Records
from converter.rows.selection import Selection
from converter.sources.base import Source
from converter.sources.frames import open_frame
from converter.sources.typed import heads_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame as SparkFrame

_FIRST_ROWS = 1_000


class DataFrame:
    """Rows of a DataFrame of Spark, as a stream of Arrow that is read once, or again if they are a table."""

    __module__ = "pyspark"  # messages name a frame by its class

    def __init__(self, rows: pa.Table | pa.RecordBatchReader) -> None:
        self._rows = rows

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream."""
        return self._rows.__arrow_c_stream__(requested_schema)


def used_columns(job: Job, frame: SparkFrame) -> SparkFrame:
    """Return a DataFrame with those of its columns that a job uses: Spark reads no others."""
    names = heads_of(Selection(job.input, job.columns).columns, frame.columns)
    used = [name for name in names if frame.columns.count(name) == 1]
    return frame.select([frame["`" + name.replace("`", "``") + "`"] for name in used]) if used else frame


def first_rows(frame: SparkFrame) -> DataFrame:
    """Return the first rows of a DataFrame, which takes a job of Spark. Raises `InputError` where it fails."""
    try:
        return DataFrame(frame.limit(_FIRST_ROWS).toArrow())
    except Exception as error:  # of Spark, or of the connection to it
        condition = getattr(error, "getCondition", lambda: None)() or type(error).__name__
        raise InputError(
            "E-INPUT-FRAME",
            f"The input, a pyspark.DataFrame, cannot be read ({condition}).",
            "See the cause of this error, which is what Spark says.",
        ) from error


def open_rows(job: Job, records: Records, schema: pa.Schema, rows: Iterator[pa.RecordBatch]) -> dict[int, Source]:
    """Open the rows of a partition, which are read once."""
    reader = pa.RecordBatchReader.from_batches(schema, rows)
    selection = records.selection
    return {0: open_frame(DataFrame(reader), job.input, selection.columns, selection.own)}
