"""The data source of Spark for writing: `frame.write.format("aam_inbound").mode("append").options(…).save()`.

Its tasks are those of any run on Spark; the run itself is kept by a process of the driver (`kept`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.pandas.types import to_arrow_schema

from converter.errors import JobError, LedgerError
from converter.spark.kept import KeptRun, Request
from converter.spark.messages import RunFailedError
from converter.spark.tasks import partition_number, result_of, rows_of_partition

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType


class AamInbound(DataSource):  # type: ignore[misc] # pyspark is not there to check types
    """The data source `aam_inbound`, which is registered once for a session of Spark.

    `options` are keys of the job, such as `output.dpid`; `job`, the path or the text of a job file; and `resume`,
    `strict` and `accept_volume`, as `converter.convert` takes them.
    """

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "aam_inbound"

    def writer(self, schema: StructType, overwrite: bool) -> InboundWriter:
        """Begin a run, and return what writes for it. Raises `RunFailedError`, with the code of the error."""
        if overwrite:
            raise RunFailedError.of(
                JobError(
                    "E-SPARK-MODE",
                    "The data source aam_inbound only appends: files that were sent are never replaced.",
                    'Use .mode("append"); what Audience Manager is to replace is said by output.mode.',
                )
            )
        return InboundWriter(KeptRun.begin(Request(dict(self.options), _in_arrow(schema), os.getppid())))


def _in_arrow(schema: StructType) -> bytes:
    """Return a schema in Arrow, serialized. Since 4.1, times have the time zone that they are asked for in."""
    zones = {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_schema).parameters else {}
    return bytes(to_arrow_schema(schema, **zones).serialize())


@dataclass
class TaskResult(WriterCommitMessage):  # type: ignore[misc] # as above
    """What a task has made of its partition, packed (`Staged`)."""

    staged: bytes


class InboundWriter(DataSourceArrowWriter):  # type: ignore[misc] # as above
    """Writes for a run: each method in another process."""

    def __init__(self, run: KeptRun) -> None:
        self._run = run

    def write(self, iterator: Iterator[pa.RecordBatch]) -> TaskResult:
        """Convert the rows of a partition, in a task. Raises `RunFailedError`."""
        assignment = self._run.begun.assignment
        if assignment is None:
            return TaskResult(b"")
        return TaskResult(result_of(partial(rows_of_partition, assignment, iterator, partition_number())))

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Publish what tasks have made, on the driver. Raises `RunFailedError`."""
        results = [message.staged for message in messages if isinstance(message, TaskResult)]
        if len(results) != len(messages):  # Spark refuses None as a message, and nothing else counts the partitions
            raise RunFailedError.of(
                LedgerError(
                    "E-LEDGER",
                    f"{len(messages):,} tasks were committed, but only {len(results):,} say what they have made.",
                    "Nothing was published; please report this as a bug.",
                )
            )
        self._run.commit(results)

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Remove what tasks have sent, on the driver."""
        del messages
        self._run.abort()
