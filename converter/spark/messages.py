"""What goes from the driver to tasks and back: pickled, since both run the same version of this package.

A message has all that the driver needs to publish the parts of a task, or to remove them: the process of the task is
gone by then, and may have run on another machine. Errors of tasks are texts in what Spark reports.
"""

from __future__ import annotations

import datetime
import json
import pickle
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from converter import errors
from converter.errors import ConverterError, Reported
from converter.rows.skipped import FirstSkips

if TYPE_CHECKING:
    import polars as pl

    from converter.commands.changes import ComparedElsewhere, Comparison
    from converter.delivery.destinations.base import Arrived
    from converter.delivery.destinations.partials import Owner
    from converter.jobs.job import Job
    from converter.ledger import Ledger
    from converter.parts.part import Part
    from converter.rows.frequency import Frequency
    from converter.rows.judging import FirstRows
    from converter.rows.stages import StageResults
    from converter.sources.base import Span
    from converter.sources.delta import OfTable
    from converter.sources.malformed import MalformedRows, RowNumbers
    from converter.sources.spans import Scan
    from converter.spark.suppressed import SentList

_MARK = "aam-inbound-task"
_ERROR = re.compile(_MARK + r" (\{.*\})")

MOST_PARTITIONS = 100_000
"""Of a DataFrame, whose number of partitions is known only when it runs."""


class SharedFile(NamedTuple):
    """A file of the input: its `number` among all, its path or URL, and what shows that it is the one meant.

    `span` is what is read of it, where that is not all; `of_table` is what the log of its table says of it.
    """

    number: int
    path: str
    fingerprint: Mapping[str, Any]
    span: Span | None = None
    of_table: OfTable | None = None


class Share(NamedTuple):
    """What a task reads: the files of a partition, or a span of a single one."""

    partition: int
    files: Sequence[SharedFile]

    @property
    def spanned(self) -> int | None:
        """The number of the file of which it is a span, if it is one."""
        return self.files[0].number if self.files[0].span else None


class Scanned(NamedTuple):
    """What a task has found in a range of a text: the number of the range, and its scan."""

    number: int
    scan: Scan


@dataclass(frozen=True)
class Assignment:
    """What tasks are to do: the job, with absolute paths, and what the driver has decided for all of them.

    `found` is what the first rows of the whole input show; `key` is the fingerprint of the key that parts are encrypted
    for. Part `k` of partition `p`, both from 0, has the split number `k * stride + p + 1`. `known` are hashes that
    tasks have to make of the same text, where any are compared; `colliding` are IDs whose rows are rejected.
    `comparison` is what users are compared with, where only changes are sent.
    """

    version: str
    job: Job
    timestamp: int
    sent: datetime.date
    owner: Owner
    found: FirstRows
    key: str | None
    stride: int
    known: tuple[int, ...] = ()
    suppressed: SentList | None = None
    colliding: pl.DataFrame | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True)
class StagedPart:
    """A part that a task has sent, and the CRC-32 of its text. It is invisible."""

    number: int
    part: Part
    text_crc32: int
    arrived: Arrived


@dataclass(frozen=True)
class StagedRejects:
    """Rejected rows of a file, as `RejectsFile.add` takes them; `file` is its index in the input.

    `partition` is the one that had them in the input.
    """

    file: int
    partition: int
    rows: RowNumbers
    rejected: pl.DataFrame
    malformed: MalformedRows


@dataclass
class Staged:
    """What a task has made of a partition. `left_out` counts rejected rows that are not among `rejects`, by rule.

    After a shuffle, `ranges` are those of hashes that this task had, and the partition is the first. `results` are
    those of stages that have seen the hashes, and `colliding` the IDs whose rows are to be rejected. `torn` has the
    number of the file whose span ends inside a row: then there is nothing else, and the file has to be read as a whole.
    `compared` is what became of its users, where only changes are sent.
    """

    partition: int
    ledger: Ledger
    parts: list[StagedPart] = field(default_factory=list)
    rejects: list[StagedRejects] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bytes_read: Counter[int] = field(default_factory=Counter)
    frequencies: Sequence[Frequency] = ()
    first_lines: Sequence[str] = ()
    skips: FirstSkips = field(default_factory=FirstSkips)
    ranges: frozenset[int] = frozenset()
    results: StageResults | None = None
    colliding: pl.DataFrame | None = None
    torn: frozenset[int] = frozenset()
    compared: ComparedElsewhere | None = None


def packed(message: object) -> bytes:
    """Return a message as bytes."""
    return zlib.compress(pickle.dumps(message, pickle.HIGHEST_PROTOCOL), 1)


def unpacked(data: bytes) -> Any:
    """Return the message that `packed` has made, on the driver or in a task of the same run."""
    return pickle.loads(zlib.decompress(data))  # noqa: S301 - Spark itself sends functions in the same way


class RunFailedError(Exception):
    """A task, or another process of Spark, failed. Spark shows the text of its error, which is all that is left of it.

    The first line of the text is for people, the second one for `error_of_task`.
    """

    @classmethod
    def of(cls, error: Reported, where: str = "") -> RunFailedError:
        """Return the failure that an error is; `where` is where a bug is, if it is one."""
        known = {"kind": type(error).__name__, "code": error.code, "message": error.message, "hint": error.hint}
        return cls(f"{error.code}: {error}\n{_MARK} {json.dumps({**known, 'where': where})}")


def error_of_task(text: str) -> ConverterError | None:
    """Return the error of a task that is in a text of Spark, if there is one: the last one, of the last attempt."""
    found = _ERROR.findall(text)
    if not found:
        return None
    try:
        known = json.loads(found[-1])
    except ValueError:  # Spark has cut its text off
        return None
    kind = getattr(errors, known["kind"], ConverterError)
    where = f" ({known['where']})" if known["where"] else ""
    is_error = isinstance(kind, type) and issubclass(kind, ConverterError)
    return (kind if is_error else ConverterError)(known["code"], f"{known['message']}{where}", known["hint"])
